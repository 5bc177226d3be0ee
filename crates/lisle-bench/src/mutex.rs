//! Mutual exclusion: `Mutex` and `ReentrantMutex`.

use std::ops::DerefMut;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use crate::floor::{FutexGuard, FutexLock};
use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Unit, compete, repeat, work};

/// A lock around a number.
pub(crate) trait Exclusive: Send + Sync + 'static {
    type Guard<'a>: DerefMut<Target = u64>;

    fn new() -> Self;
    fn lock(&self) -> Self::Guard<'_>;
}

macro_rules! exclusive {
    ($type:ty, $guard:ty, $new:expr, |$lock:ident| $locked:expr) => {
        impl Exclusive for $type {
            type Guard<'a> = $guard;

            fn new() -> Self {
                $new
            }

            #[inline]
            fn lock(&self) -> Self::Guard<'_> {
                let $lock = self;
                $locked
            }
        }
    };
}

exclusive!(lisle::sync::Mutex<u64>, lisle::sync::MutexGuard<'a, u64>, Self::new(0), |lock| {
    lisle::sync::Mutex::lock(lock)
});
exclusive!(parking_lot::Mutex<u64>, parking_lot::MutexGuard<'a, u64>, Self::new(0), |lock| {
    parking_lot::Mutex::lock(lock)
});
exclusive!(std::sync::Mutex<u64>, std::sync::MutexGuard<'a, u64>, Self::new(0), |lock| {
    std::sync::Mutex::lock(lock).expect("no contender panics")
});
exclusive!(FutexLock, FutexGuard<'a>, Self::default(), |lock| FutexLock::lock(lock));

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![uncontended()];
    for threads in [2, 4, 8] {
        for (nanos, what) in [(0.0, "increment only"), (100.0, "100 ns inside and outside")] {
            cases.push(contended(threads, nanos, what));
        }
    }
    cases.push(reentrant::<1>());
    cases.push(reentrant::<2>());
    cases
}

fn uncontended() -> Case {
    fn alone<L: Exclusive>(n: u64) -> std::time::Duration {
        let lock = L::new();
        repeat(n, || drop(lock.lock()))
    }
    let word = AtomicU32::new(0);
    let stored = AtomicU32::new(0);
    Case::new("mutex", "lock and unlock, uncontended", Goal::Best(1.03))
        .timed(Lisle, "lisle", alone::<lisle::sync::Mutex<u64>>)
        .timed(Peer, "parking_lot", alone::<parking_lot::Mutex<u64>>)
        .timed(Peer, "std", alone::<std::sync::Mutex<u64>>)
        .timed(Floor, "raw futex", alone::<FutexLock>)
        .timed(Floor, "swap, swap", move |n| {
            repeat(n, || {
                word.swap(1, Acquire);
                word.swap(0, Release);
            })
        })
        .timed(Floor, "compare-and-swap, store", move |n| {
            repeat(n, || {
                let _ = stored.compare_exchange(0, 1, Acquire, Relaxed);
                stored.store(0, Release);
            })
        })
}

/// The time per increment of all threads together, and how the increments were shared out.
fn contended(threads: usize, nanos: f64, what: &str) -> Case {
    fn fight<L: Exclusive>(threads: usize, nanos: f64) -> impl FnMut(&Plan) -> Vec<f64> {
        move |plan| {
            let lock = CachePadded::new(L::new());
            let (time, share) = compete(threads, plan.window, || {
                let mut value = lock.lock();
                *value += 1;
                work(nanos);
                drop(value);
                work(nanos);
            });
            vec![time, share]
        }
    }
    let name = format!("{threads} threads, {what}");
    let share = format!("{name}: least share");
    Case::of(
        "mutex",
        [Figure::new(name, Unit::Nanos, Goal::Best(1.05)), Figure::new(share, Unit::Plain, Goal::AtLeast(0.5))],
    )
    .at_most(5)
    .measured(Lisle, "lisle", fight::<lisle::sync::Mutex<u64>>(threads, nanos))
    .measured(Peer, "parking_lot", fight::<parking_lot::Mutex<u64>>(threads, nanos))
    .measured(Peer, "std", fight::<std::sync::Mutex<u64>>(threads, nanos))
    .measured(Floor, "raw futex", fight::<FutexLock>(threads, nanos))
}

fn reentrant<const DEEP: usize>() -> Case {
    let ours = lisle::sync::ReentrantMutex::new(0_u64);
    let theirs = parking_lot::ReentrantMutex::new(0_u64);
    Case::new("reentrant", format!("lock and unlock, {DEEP} deep"), Goal::Best(1.05))
        .timed(Lisle, "lisle", move |n| repeat(n, || drop([(); DEEP].map(|()| ours.lock()))))
        .timed(Peer, "parking_lot", move |n| repeat(n, || drop([(); DEEP].map(|()| theirs.lock()))))
}
