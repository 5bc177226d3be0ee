//! A million races of grants with time-outs and interrupts, counted: nothing is lost, nothing is
//! doubled, no lock is left held by nobody.
//!
//! `LISLE_SOAK=n` makes each test n times as long.

mod dice;

use dice::{Dice, soak};
use lisle::queue::{GetError, Queue};
use lisle::sync::*;
use lisle::thread::{self, Thread};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

const THREADS: u64 = 4;

/// How many calls each of a test's threads makes.
fn rounds() -> u64 {
    40_000 * soak() as u64
}

fn dawdle(dice: &mut Dice) {
    match dice.roll(64) {
        0 => thread::yield_now(),
        n => (0..n).for_each(|_| std::hint::spin_loop()),
    }
}

/// Runs `work` on some threads while another one interrupts them at random; returns the sum of
/// what they return.
fn race(work: impl Fn(&mut Dice) -> u64 + Sync) -> u64 {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (1..=THREADS)
            .map(|seed| {
                let work = &work;
                scope.spawn(move || work(&mut Dice(seed * 0x9E37_79B9)))
            })
            .collect();
        let targets: Vec<Thread> = workers.iter().map(|worker| worker.thread().clone()).collect();
        let over = &over;
        scope.spawn(move || {
            let mut dice = Dice(4711);
            while !over.load(Ordering::Relaxed) {
                targets[dice.roll(THREADS) as usize].interrupt();
                dawdle(&mut dice);
            }
        });
        let sum = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        over.store(true, Ordering::Relaxed);
        sum
    })
}

#[test]
fn mutex() {
    let mutex = Mutex::new(0u64);
    let granted = race(|dice| {
        let mut granted = 0;
        for _ in 0..rounds() {
            let guard = match dice.roll(4) {
                0 => mutex.lock_interruptible(),
                1 => Ok(mutex.lock()),
                _ => mutex.lock_for(dice.limit()),
            };
            if let Ok(mut guard) = guard {
                *guard += 1;
                granted += 1;
                dawdle(dice);
                if dice.roll(8) == 0 {
                    MutexGuard::unlock_fair(guard);
                }
            }
        }
        granted
    });
    assert_eq!(*mutex.try_lock().expect("held by nobody"), granted);
}

#[test]
fn reentrant_mutex() {
    let mutex = ReentrantMutex::new(AtomicU64::new(0));
    let granted = race(|dice| {
        let mut granted = 0;
        for _ in 0..rounds() {
            if let Ok(outer) = mutex.lock_for(dice.limit()) {
                let inner = mutex.try_lock().expect("it is ours");
                inner.store(inner.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                drop((inner, outer));
                granted += 1;
            }
        }
        granted
    });
    assert_eq!(mutex.try_lock().expect("held by nobody").load(Ordering::Relaxed), granted);
}

#[test]
fn lock() {
    let lock = Lock::new();
    let inside = AtomicI64::new(0);
    race(|dice| {
        for _ in 0..rounds() {
            if lock.acquire_for(dice.limit()).is_ok() {
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                dawdle(dice);
                inside.fetch_sub(1, Ordering::Relaxed);
                lock.release().unwrap();
            }
        }
        0
    });
    assert!(lock.try_acquire(), "held by nobody");
}

#[test]
fn semaphore() {
    let semaphore = Semaphore::new(2);
    let inside = AtomicI64::new(0);
    race(|dice| {
        for _ in 0..rounds() {
            let wanted = 1 + dice.roll(2) as u32;
            if semaphore.acquire_many_for(wanted, dice.limit()).is_ok() {
                let now = inside.fetch_add(i64::from(wanted), Ordering::Relaxed) + i64::from(wanted);
                assert!(now <= 2, "{now} permits are out");
                dawdle(dice);
                inside.fetch_sub(i64::from(wanted), Ordering::Relaxed);
                semaphore.release_many(wanted);
            }
        }
        0
    });
    assert!(semaphore.try_acquire() && semaphore.try_acquire(), "all permits are back");
    assert!(!semaphore.try_acquire(), "and no more than all");
}

#[test]
fn rwlock() {
    let lock = RwLock::new(0u64);
    let readers = AtomicI64::new(0);
    let written = race(|dice| {
        let mut written = 0;
        for _ in 0..rounds() {
            if dice.roll(4) == 0 {
                if let Ok(mut value) = lock.write_for(dice.limit()) {
                    assert_eq!(readers.load(Ordering::Relaxed), 0);
                    *value += 1;
                    dawdle(dice);
                    written += 1;
                }
            } else if let Ok(value) = lock.read_for(dice.limit()) {
                readers.fetch_add(1, Ordering::Relaxed);
                let before = *value;
                dawdle(dice);
                assert_eq!(*value, before);
                readers.fetch_sub(1, Ordering::Relaxed);
            }
        }
        written
    });
    assert_eq!(*lock.try_write().expect("held by nobody"), written);
}

#[test]
fn condvar() {
    // Tokens, each put there with one notification; who waits in vain for the limit leaves.
    let tokens = Mutex::new(0u64);
    let changed = Condvar::new();
    let taken = AtomicU64::new(0);
    let put = race(|dice| {
        let mut put = 0;
        for _ in 0..rounds() {
            if dice.roll(2) == 0 {
                *tokens.lock() += 1;
                changed.notify_one();
                put += 1;
            } else {
                let mut tokens = tokens.lock();
                if changed.wait_while_for(&mut tokens, |tokens| *tokens == 0, dice.limit()).is_ok() {
                    *tokens -= 1;
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        put
    });
    assert_eq!(*tokens.try_lock().expect("held by nobody") + taken.into_inner(), put);
    assert!(!changed.notify_one(), "nobody is left waiting");
}

#[test]
fn event() {
    // A waiter that comes after the last `clear` and before the last `set` must be released: if
    // one is not, the test hangs.
    let event = Event::new();
    race(|dice| {
        for _ in 0..rounds() {
            match dice.roll(4) {
                0 => event.set(),
                1 => event.clear(),
                _ => drop(event.wait_for(dice.limit())),
            }
        }
        event.set();
        while event.wait().is_err() {} // interrupted
        0
    });
    assert!(event.is_set());
}

#[test]
fn queue() {
    for capacity in [1, 3, 64] {
        let queue = Queue::bounded(capacity);
        let got = AtomicU64::new(0);
        let put = race(|dice| {
            let mut put = 0;
            for _ in 0..rounds() / 2 {
                if dice.roll(2) == 0 {
                    let item = 1 + dice.roll(1_000);
                    match queue.put_for(item, dice.limit()) {
                        Ok(()) => put += item,
                        Err(error) => assert_eq!(error.into_inner(), item, "the item comes back"),
                    }
                } else {
                    match queue.get_for(dice.limit()) {
                        Ok(item) => drop(got.fetch_add(item, Ordering::Relaxed)),
                        Err(GetError::TimedOut | GetError::Interrupted) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
            put
        });
        let left: u64 = std::iter::from_fn(|| queue.try_get().ok()).sum();
        assert_eq!(got.into_inner() + left, put, "capacity {capacity}");
    }
}
