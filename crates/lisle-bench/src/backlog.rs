//! What a pool keeps of the calls that it has not made yet.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use std::{io, thread};

use lisle::executor::{OnFull, ThreadPoolExecutor};

use crate::child::{self, or_nothing};
use crate::harness::Role::{Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Role, Unit};
use crate::load::resident;
use crate::pools::{ByHand, Pool, Rayon, RustyPool, Threadpool, add};

const WORKERS: usize = 8;
const CALLS: usize = 1_000_000;
/// What a call captures: a number.
const CLOSURE: usize = size_of::<u64>();

/// The scene in which the pool is bounded, after those of `execute` and `submit`.
const BOUNDED: usize = 2;
/// What counts as no growth: the allocator's moods, and far from a byte per call.
const FLAT: f64 = 256.0 * 1024.0;

/// The bytes per call that a million of them take beyond their closures.
type Pending = fn(submitted: bool, calls: usize) -> f64;

const MAKES: [(Role, &str, Pending); 5] = [
    (Lisle, "lisle", pending::<ThreadPoolExecutor>),
    (Peer, "rayon", pending::<Rayon>),
    (Peer, "threadpool", pending::<Threadpool>),
    (Peer, "rusty_pool", pending::<RustyPool>),
    (Peer, "by hand", pending::<ByHand>),
];

pub(crate) fn cases() -> Vec<Case> {
    let figure = |what| Figure::new(format!("1,000,000 {what} pending: each"), Unit::Bytes, Goal::AtMost(100.0));
    let case = Case::of("executor", [figure("calls"), figure("futures")]).at_most(1);
    let pending = MAKES.into_iter().fold(case, |case, (role, name, _)| {
        case.measured(role, name, move |_| {
            [0, 1].map(|scene| or_nothing(child::memory("backlog", name, scene, CALLS))).to_vec()
        })
    });
    let figure = Figure::new("1,000,000 calls through 100 places: growth", Unit::Bytes, Goal::AtMost(FLAT));
    let flat = Case::of("executor", [figure]).at_most(1);
    vec![
        pending,
        flat.measured(Lisle, "lisle", |_| vec![or_nothing(child::memory("backlog", "lisle", BOUNDED, CALLS))]),
    ]
}

/// What a second process of this program prints: the bytes per call.
pub(crate) fn memory(make: &str, scene: usize, calls: usize) -> io::Result<f64> {
    if scene == BOUNDED {
        return Ok(bounded(calls));
    }
    let (_, _, pending) = MAKES.iter().find(|(_, name, _)| *name == make).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pending(scene == 1, calls))
}

fn pending<P: Pool>(submitted: bool, calls: usize) -> f64 {
    let pool = P::new(WORKERS);
    let gate = Arc::new((RwLock::new(()), AtomicUsize::new(0)));
    let closed = gate.0.write().expect("nobody panics");
    for _ in 0..WORKERS {
        let gate = Arc::clone(&gate);
        pool.execute(move || {
            gate.1.fetch_add(1, Relaxed);
            drop(gate.0.read());
        });
    }
    while gate.1.load(Relaxed) < WORKERS {
        thread::sleep(Duration::from_millis(1));
    }
    // The caller's own list of futures counts for nobody: it is there before.
    let mut futures: Vec<Option<P::Answer>> = (0..calls).filter(|_| submitted).map(|_| None).collect();
    let before = resident();
    if submitted {
        futures.iter_mut().zip(0..).for_each(|(future, item)| *future = Some(pool.submit(item)));
    } else {
        (0..calls as u64).for_each(|item| pool.execute(move || add(item)));
    }
    let bytes = (resident() - before) / calls as f64 - CLOSURE as f64;
    drop(closed);
    futures.into_iter().flatten().for_each(|future| _ = P::result(future));
    bytes
}

/// The bytes that a pool with few places grows by while a fast producer keeps it full.
fn bounded(calls: usize) -> f64 {
    let pool = ThreadPoolExecutor::builder().max_workers(WORKERS).max_pending(100, OnFull::Block).build();
    let pool = pool.expect("there are workers");
    // The first calls start the workers and warm up the heap.
    pool.run(calls as u64 / 10);
    let before = resident();
    pool.run(calls as u64);
    resident() - before
}
