//! Semaphores among threads: who wants many is not starved, and bounds hold.

use lisle::sync::{BoundedSemaphore, Semaphore};
use lisle::thread;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn who_wants_all_is_not_starved_by_those_who_want_one() {
    const PERMITS: u32 = 3;
    const TIMES: u32 = 100;
    let semaphore = Semaphore::named(PERMITS, "slots");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..PERMITS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let permit = semaphore.access().unwrap();
                    (0..100).for_each(|_| std::hint::spin_loop());
                    drop(permit);
                }
            });
        }
        let began = Instant::now();
        let mut times = 0;
        while times < TIMES && began.elapsed() < LONG {
            if semaphore.acquire_many_for(PERMITS, LONG).is_ok() {
                assert_eq!(semaphore.available(), 0);
                semaphore.release_many(PERMITS);
                times += 1;
            }
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(times, TIMES, "starved");
    });
    assert_eq!(semaphore.available(), PERMITS);
}

#[test]
fn each_permit_of_a_release_of_many_finds_its_taker() {
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        let takers: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..1000).try_for_each(|_| semaphore.acquire()))).collect();
        for _ in 0..1000 {
            semaphore.release_many(8);
        }
        for taker in takers {
            taker.join().unwrap().unwrap();
        }
    });
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_bound_holds_whoever_releases() {
    const BOUND: u32 = 2;
    let semaphore = BoundedSemaphore::new(BOUND);
    let most = AtomicU32::new(0);
    let given_back = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut given_back = 0;
                    for _ in 0..10_000 {
                        // Who takes and who gives back are not the same: some releases come first
                        // and are refused.
                        if semaphore.acquire_for(Duration::from_micros(20)).is_ok() {
                            most.fetch_max(semaphore.available(), Ordering::Relaxed);
                        }
                        given_back += u32::from(semaphore.release().is_ok());
                    }
                    given_back
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    assert!(given_back > 0);
    assert!(most.into_inner() <= BOUND);
    while semaphore.release().is_ok() {}
    assert_eq!(semaphore.available(), BOUND);
    let error = semaphore.release().unwrap_err().to_string();
    assert!(error.contains("bounded to 2"), "{error}");
}

#[test]
#[should_panic(expected = "give back only what was taken")]
fn permits_beyond_the_largest_number_are_refused() {
    Semaphore::new(u32::MAX).release();
}

#[test]
fn a_permit_gives_itself_back_or_is_kept() {
    let semaphore = BoundedSemaphore::new(2);
    let permit = semaphore.try_access().unwrap();
    lisle::sync::Permit::keep(semaphore.access_for(LONG).unwrap());
    assert!(semaphore.try_access().is_none());
    assert!(semaphore.access_until(Instant::now()).unwrap_err().is_timed_out());
    drop(permit);
    assert_eq!(semaphore.available(), 1);
    semaphore.release().unwrap();
    let permit = semaphore.access().unwrap();
    semaphore.release().unwrap();
    drop(permit); // it was given back by hand: nothing to do
    assert_eq!(semaphore.available(), 2);
}
