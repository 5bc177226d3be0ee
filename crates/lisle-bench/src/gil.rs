//! The GIL: what a checkpoint costs, and an attach; what is left of the time when threads take turns, and
//! how evenly they do.
//!
//! How it does against the convoy effect is measured by the example `lua_threads`, beside CPython.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use lisle::gil::{Figures, Gil};

use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Unit, repeat, work};

/// The switch interval, as CPython's.
const INTERVAL: Duration = Duration::from_millis(5);

pub(crate) fn cases() -> Vec<Case> {
    vec![checkpoint(), attach(), together(), turns(2), turns(4)]
}

fn checkpoint() -> Case {
    Case::new("gil", "checkpoint, nobody is due", Goal::AtMost(2.0))
        .timed(Lisle, "lisle", |n| {
            let gil = Gil::new(INTERVAL);
            let mut token = gil.attach();
            repeat(n, || {
                token.checkpoint();
                black_box(());
            })
        })
        .timed(Floor, "bare loop", |n| repeat(n, || black_box(())))
}

fn attach() -> Case {
    let (gil, lent) = (Gil::new(INTERVAL), Gil::new(INTERVAL));
    let peer = parking_lot::Mutex::new(());
    Case::new("gil", "attach and let go, uncontended", Goal::Of("parking_lot", 1.2))
        .timed(Lisle, "lisle", move |n| repeat(n, || drop(black_box(gil.attach()))))
        .timed(Lisle, "lisle, detach and come back", move |n| {
            let mut token = lent.attach();
            repeat(n, || token.detach(|| black_box(())))
        })
        .timed(Peer, "parking_lot", move |n| repeat(n, || drop(black_box(peer.lock()))))
}

/// Has `threads` threads compute under one GIL for `window`. Returns how often each has done its piece of
/// work, and what each has had of the GIL.
fn compute(threads: usize, window: Duration) -> (Vec<u64>, Vec<Figures>) {
    let gil = Gil::new(INTERVAL);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let hands: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut token = gil.attach();
                    let mut count = 0;
                    while !over.load(Relaxed) {
                        work(100.0);
                        count += 1;
                        token.checkpoint();
                    }
                    count
                })
            })
            .collect();
        thread::sleep(window);
        let figures = gil.figures().into_iter().map(|(_, figures)| figures).collect();
        over.store(true, Relaxed);
        (hands.into_iter().map(|hand| hand.join().expect("it only counts")).collect(), figures)
    })
}

/// Two threads together, beside one alone.
fn together() -> Case {
    let figure = Figure::new("2 threads compute, of the speed of one", Unit::Plain, Goal::AtLeast(0.97));
    Case::of("gil", [figure]).at_most(7).measured(Lisle, "lisle", |plan: &Plan| {
        let speed = |threads| {
            let began = Instant::now();
            let (counts, _) = compute(threads, plan.window);
            counts.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64()
        };
        // One before and one after: the machine's mood is theirs as much as that of the two.
        let (before, both, after) = (speed(1), speed(2), speed(1));
        vec![both / ((before + after) / 2.0)]
    })
}

/// Who gets how much in ten windows, and how long one waits at most.
fn turns(threads: usize) -> Case {
    let name = |what| format!("{threads} threads compute: {what}");
    Case::of(
        "gil",
        [
            Figure::new(name("least share"), Unit::Plain, Goal::AtLeast(0.95)),
            Figure::new(name("greatest share"), Unit::Plain, Goal::AtMost(1.05)),
            Figure::new(name("least share of the turns"), Unit::Plain, Goal::AtLeast(0.95)),
            Figure::new(name("longest wait, in intervals"), Unit::Plain, Goal::AtMost(threads as f64 + 1.0)),
        ],
    )
    .at_most(1)
    .measured(Lisle, "lisle", move |plan| {
        let (counts, figures) = compute(threads, plan.window * 10);
        let part = |of: u64, all: u64| of as f64 * threads as f64 / all as f64;
        let (all, [least, greatest]) = (counts.iter().sum(), [counts.iter().min(), counts.iter().max()]);
        let turns = figures.iter().map(|figures| figures.attached);
        let longest = figures.iter().map(|figures| figures.waited.longest).max().unwrap_or_default();
        vec![
            part(*least.expect("threads"), all),
            part(*greatest.expect("threads"), all),
            part(turns.clone().min().unwrap_or(0), turns.sum()),
            longest.as_secs_f64() / INTERVAL.as_secs_f64(),
        ]
    })
}
