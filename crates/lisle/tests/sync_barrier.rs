//! Barriers among threads: nobody goes on early, and a break reaches everybody.

use lisle::sync::{Barrier, BarrierError};
use lisle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn nobody_goes_on_before_all_have_come() {
    const PARTIES: usize = 4;
    const ROUNDS: usize = 2_000;
    let barrier = Barrier::new(PARTIES);
    let come = AtomicUsize::new(0);
    let (indices, leaders) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    come.fetch_add(1, Ordering::Relaxed);
                    let passed = barrier.wait().unwrap();
                    assert!(come.load(Ordering::Relaxed) >= round * PARTIES);
                    assert_eq!(passed.is_leader(), passed.index() == PARTIES - 1);
                    indices.fetch_add(passed.index(), Ordering::Relaxed);
                    leaders.fetch_add(usize::from(passed.is_leader()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(leaders.into_inner(), ROUNDS);
    assert_eq!(indices.into_inner(), ROUNDS * (0..PARTIES).sum::<usize>());
}

#[test]
fn more_threads_than_parties_make_more_rounds() {
    const ROUNDS: usize = 500;
    let rounds = Arc::new(AtomicUsize::new(0));
    let running = AtomicUsize::new(0);
    let counted = rounds.clone();
    let action = move || {
        assert_eq!(running.fetch_add(1, Ordering::Relaxed), 0, "one action at a time");
        thread::yield_now();
        counted.fetch_add(1, Ordering::Relaxed);
        running.fetch_sub(1, Ordering::Relaxed);
    };
    let barrier = Barrier::with_action(2, action);
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while rounds.load(Ordering::Relaxed) < ROUNDS {
                    match barrier.wait() {
                        Ok(_) => drop(passed.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => {
                            assert_eq!(error, BarrierError::Broken);
                            break;
                        }
                    }
                }
                barrier.abort(); // who waits now would wait for ever
            });
        }
    });
    // The last rounds may have been broken while their action ran.
    let rounds = rounds.load(Ordering::Relaxed);
    assert!(rounds >= ROUNDS);
    assert!((2 * (ROUNDS - 1)..=2 * rounds).contains(&passed.into_inner()));
}

#[test]
fn a_round_either_passes_for_all_or_for_none() {
    const PARTIES: usize = 3;
    let barrier = Barrier::new(PARTIES);
    let assembly = Barrier::new(PARTIES);
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..PARTIES {
            let (barrier, assembly, passed) = (&barrier, &assembly, &passed);
            scope.spawn(move || {
                for round in 0..1_000 {
                    let limit = Duration::from_micros((thread * round) as u64 % 30);
                    match barrier.wait_for(limit) {
                        Ok(_) => drop(passed.fetch_add(1, Ordering::Relaxed)),
                        Err(BarrierError::TimedOut | BarrierError::Broken) => assert!(barrier.is_broken()),
                        Err(error) => panic!("{error}"),
                    }
                    if assembly.wait().unwrap().is_leader() {
                        let passed = passed.swap(0, Ordering::Relaxed);
                        assert!(passed == 0 || passed == PARTIES, "{passed} of {PARTIES} passed");
                        assert_eq!(barrier.is_broken(), passed == 0);
                        barrier.reset();
                    }
                    assembly.wait().unwrap();
                }
            });
        }
    });
}
