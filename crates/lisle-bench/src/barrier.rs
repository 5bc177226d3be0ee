//! Threads that meet.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Goal, together};

/// Where a number of threads meet.
trait Meeting: Sync {
    fn new(parties: usize) -> Self;
    fn wait(&self);
}

impl Meeting for lisle::sync::Barrier {
    fn new(parties: usize) -> Self {
        Self::new(parties)
    }

    fn wait(&self) {
        self.wait().expect("nobody breaks the barrier");
    }
}

impl Meeting for std::sync::Barrier {
    fn new(parties: usize) -> Self {
        Self::new(parties)
    }

    fn wait(&self) {
        self.wait();
    }
}

/// Gives up the core until all are there, and never sleeps.
struct Yielding {
    parties: usize,
    missing: CachePadded<AtomicUsize>,
    round: CachePadded<AtomicUsize>,
}

impl Meeting for Yielding {
    fn new(parties: usize) -> Self {
        let missing = CachePadded::new(AtomicUsize::new(parties));
        Self { parties, missing, round: CachePadded::default() }
    }

    fn wait(&self) {
        let round = self.round.load(Relaxed);
        if self.missing.fetch_sub(1, AcqRel) == 1 {
            self.missing.store(self.parties, Relaxed);
            self.round.store(round + 1, Release);
        } else {
            while self.round.load(Acquire) == round {
                thread::yield_now();
            }
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    fn meet<M: Meeting>(parties: usize) -> impl FnMut(u64) -> Duration {
        move |n| {
            let barrier = CachePadded::new(M::new(parties));
            together(parties, |_| (0..n).for_each(|_| barrier.wait()))
        }
    }
    let case = |parties: usize, goal| {
        Case::new("barrier", format!("{parties} threads, one round"), Goal::Best(goal))
            .longer(2)
            .timed(Lisle, "lisle", meet::<lisle::sync::Barrier>(parties))
            .timed(Peer, "std", meet::<std::sync::Barrier>(parties))
            .timed(Floor, "atomics, yielding", meet::<Yielding>(parties))
    };
    vec![case(2, 0.1), case(4, 0.2)]
}
