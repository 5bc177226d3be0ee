//! What waits cost while somebody counts or traces them.

use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;

use lisle::sync::{Condvar, Mutex};
use lisle::watch::{Counting, Reader};

use crate::cores::Cores;
use crate::harness::Role::Lisle;
use crate::harness::{Case, Figure, Goal, Unit, together, work};
use crate::load::thread_time;

/// How many waits each of the two threads makes in a batch, and how many batches of each kind a round has.
const WAITS: u64 = 4_000;
const BATCHES: usize = 15;

pub(crate) fn cases() -> Vec<Case> {
    let case = |figures: [Figure; 3]| Case::of("watch", figures).at_most(15);
    let each = [
        Figure::new("a wait and a wake-up, nobody watches", Unit::Nanos, Goal::None),
        Figure::new("the same, counted: on top for each wait", Unit::Nanos, Goal::None),
        Figure::new("the same, traced: on top for each event", Unit::Nanos, Goal::AtMost(60.0)),
    ];
    let load = [
        Figure::new("two threads with a lock at full load, nobody watches", Unit::Nanos, Goal::None),
        Figure::new("the same, counted: times that", Unit::Plain, Goal::AtMost(1.01)),
        Figure::new("the same, traced: times that", Unit::Plain, Goal::None),
    ];
    vec![
        // One core: what two threads on two cores take is by chance, more than anything.
        case(each).on(Cores::One).measured(Lisle, "lisle", |_| {
            let (plain, counted, traced, events) = round(waits);
            // Those that came while it was measured: half, since the warm-up is as long.
            let for_each_event = (traced - plain) * 2.0 * WAITS as f64 / (events / 2.0);
            vec![plain, counted - plain, for_each_event]
        }),
        case(load).measured(Lisle, "lisle", |_| {
            let (plain, counted, traced, _) = round(shared_lock);
            vec![plain, counted / plain, traced / plain]
        }),
    ]
}

/// The median of all three ways, and how many events there were. They are run in turn, again and again: what the
/// machine does meanwhile it does to all of them.
fn round(run: fn() -> f64) -> (f64, f64, f64, f64) {
    let mut all = [const { Vec::new() }; 4];
    for _ in 0..BATCHES {
        let plain = run();
        let counted = {
            let _counting = Counting::start();
            run()
        };
        let (traced, events) = trace(run);
        for (samples, sample) in all.iter_mut().zip([plain, counted, traced, events as f64]) {
            samples.push(sample);
        }
    }
    let [plain, counted, traced, events] = all.map(median);
    (plain, counted, traced, events)
}

/// The processor time, in nanoseconds, for each time that one of two threads has had a lock, with a microsecond of
/// work in between.
fn shared_lock() -> f64 {
    const TIMES: u64 = 10_000;
    let (lock, nanos) = (Mutex::new(0_u64), AtomicU64::new(0));
    together(2, |_| {
        let before = thread_time();
        for _ in 0..TIMES {
            *lock.lock() += 1;
            work(1_000.0);
        }
        nanos.fetch_add((thread_time() - before).as_nanos() as u64, Relaxed);
    });
    nanos.into_inner() as f64 / (2 * TIMES) as f64
}

/// The processor time, in nanoseconds, for each of the waits of two threads that take turns, with what wakes
/// them.
fn waits() -> f64 {
    let (turn, changed) = (Mutex::new(0), Condvar::new());
    let (begin, nanos) = (Barrier::new(2), AtomicU64::new(0));
    let trips = |me: usize| {
        for _ in 0..WAITS {
            let mut turn = turn.lock();
            while *turn != me {
                changed.wait(&mut turn).expect("nobody interrupts");
            }
            *turn = 1 - me;
            drop(turn);
            changed.notify_one();
        }
    };
    thread::scope(|scope| {
        for me in 0..2 {
            let (begin, nanos, trips) = (&begin, &nanos, &trips);
            scope.spawn(move || {
                trips(me); // rings grow, and what is waited for gets its number
                begin.wait();
                let before = thread_time();
                trips(me);
                nanos.fetch_add((thread_time() - before).as_nanos() as u64, Relaxed);
            });
        }
    });
    nanos.into_inner() as f64 / (2 * WAITS) as f64
}

/// Calls with a trace that is being read; returns how many events there were too.
fn trace(call: impl FnOnce() -> f64) -> (f64, u64) {
    let mut reader = Reader::start();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let events = scope.spawn(|| {
            let mut events = 0;
            loop {
                let part = reader.next();
                events += part.events.len() as u64 + part.dropped;
                if part.last {
                    return events;
                }
                if over.load(Relaxed) {
                    reader.stop();
                } else if !reader.has_more() {
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
        let result = call();
        over.store(true, Relaxed);
        (result, events.join().expect("reading does not panic"))
    })
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}
