//! `RwLock` among threads: deadlocks in words, nobody starves, nothing is torn or left behind.

use lisle::sync::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LONG, "{what} has not come about");
        thread::yield_now();
    }
}

fn named<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().name(name.into()).spawn(run).unwrap()
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    *panic.downcast::<String>().expect("the report is a text")
}

#[test]
fn reading_again_behind_a_waiting_writer_is_a_deadlock() {
    // The first reader is named by the lock's word, another one by its record: both are found.
    for others in [0, 1] {
        let lock = Arc::new(RwLock::named(0, "limits"));
        let other_readers: Vec<_> = (0..others).map(|_| lock.read()).collect();
        let reader = named("reader", {
            let lock = lock.clone();
            move || {
                let first = lock.read();
                let other = lock.clone();
                let writer = named("writer", move || other.write_interruptible().map(|mut value| *value += 1));
                // A writer that waits keeps new readers out; until then this reads.
                wait_until("the writer's wait", || lock.try_read().is_none());
                let began = Instant::now();
                let again = lock.read_interruptible().map(drop);
                assert!(began.elapsed() < Duration::from_secs(10), "it was found in passing");
                drop(first);
                (again, writer)
            }
        });
        // Whoever sees the cycle first fails, the other goes on.
        let (again, writer) = reader.join().unwrap();
        drop(other_readers);
        let text = match (again, writer.join().unwrap()) {
            (Err(error), Ok(())) | (Ok(()), Err(error)) => error.to_string(),
            both => panic!("one of the two waits should have failed: {both:?}"),
        };
        assert!(lock.try_write().is_some(), "nothing is left behind");
        assert!(text.starts_with("deadlock: 2 threads wait for each other"), "{text}");
        let lines: Vec<_> = text.lines().collect();
        let of = |name: &str| {
            let start = format!("  thread {name:?}");
            lines.iter().position(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{name} in {text}"))
        };
        let (reader, writer) = (of("reader"), of("writer"));
        assert!(lines[reader].contains("for read lock \"limits\""), "{text}");
        assert!(lines[reader + 2].contains("behind the waiting writer, thread \"writer\""), "{text}");
        assert!(lines[writer].contains("for write lock \"limits\""), "{text}");
        assert!(lines[writer + 2].contains("held by thread \"reader\""), "{text}");
        assert!(lines[writer + 2].contains("taken at") && text.contains("sync_rwlock.rs"), "{text}");
    }
}

#[test]
fn writing_what_one_reads_or_writes_is_a_deadlock() {
    let lock = Arc::new(RwLock::new(()));
    let attempt = |act: fn(&RwLock<()>)| {
        let lock = lock.clone();
        panic_text(thread::spawn(move || act(&lock)).join().unwrap_err())
    };
    let upgrade = attempt(|lock| {
        let _reading = lock.read();
        drop(lock.write());
    });
    assert!(upgrade.contains("deadlock: 1 thread waits for itself"), "{upgrade}");
    assert!(upgrade.contains("for write lock made at"), "{upgrade}");
    let second_reader_upgrades = attempt(|lock| {
        thread::scope(|scope| {
            let _reading = lock.read();
            let upgrade = scope.spawn(|| {
                let _reading = lock.read();
                panic_text(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(lock.write()))).unwrap_err())
            });
            let text = upgrade.join().unwrap();
            std::panic::resume_unwind(Box::new(text));
        })
    });
    assert!(second_reader_upgrades.contains("1 thread waits for itself"), "{second_reader_upgrades}");
    let reading = attempt(|lock| {
        let _writing = lock.write();
        drop(lock.read());
    });
    assert!(reading.contains("for read lock made at"), "{reading}");
    assert!(lock.try_write().is_some(), "the panics released everything");
}

#[test]
fn an_upgrade_with_a_limit_is_an_error() {
    let lock = RwLock::new(());
    let _reading = lock.read();
    assert!(lock.write_for(Duration::from_millis(1)).unwrap_err().is_timed_out());
    assert!(lock.try_read().is_some(), "the writer has left nothing behind");
}

/// Lets `crowd` threads do one thing over and over, and one thread another `times` times.
fn one_against(crowd: usize, often: impl Fn() + Sync, times: usize, rare: impl Fn()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..crowd {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    often();
                }
            });
        }
        let began = Instant::now();
        for n in 0..times {
            rare();
            if began.elapsed() > LONG {
                done.store(true, Ordering::Relaxed);
                panic!("starved: {n} of {times} in {LONG:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn hold<G>(guard: G) {
    for _ in 0..100 {
        std::hint::spin_loop();
    }
    drop(guard);
}

#[test]
fn writers_do_not_starve_among_readers() {
    let lock = RwLock::new(0);
    one_against(4, || hold(lock.read()), 300, || *lock.write() += 1);
    assert_eq!(lock.into_inner(), 300);
}

#[test]
fn readers_do_not_starve_among_writers() {
    let lock = RwLock::new(0u64);
    let seen = AtomicU64::new(0);
    let read = || {
        seen.fetch_max(*lock.read(), Ordering::Relaxed);
    };
    let write = || {
        let mut guard = lock.write();
        *guard += 1;
        hold(guard);
    };
    one_against(4, write, 300, read);
    assert!(seen.into_inner() <= lock.into_inner());
}

#[test]
fn nothing_is_torn_lost_or_left_behind_under_random_limits() {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 20_000;
    let lock = RwLock::new((0u64, 0u64));
    let written: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| {
                let lock = &lock;
                scope.spawn(move || {
                    let mut random = seed * 2 + 1;
                    let mut written = 0;
                    for _ in 0..ROUNDS {
                        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        let limit = Duration::from_nanos(random >> 48);
                        match random >> 40 & 7 {
                            0 => written += u64::from(lock.write_for(limit).map(|mut pair| add(&mut pair)).is_ok()),
                            1 => {
                                let mut pair = lock.write();
                                add(&mut pair);
                                written += 1;
                                let pair = lisle::sync::RwLockWriteGuard::downgrade(pair);
                                assert_eq!(pair.0, pair.1);
                            }
                            2 | 3 => assert!(lock.read_for(limit).map_or(true, |pair| pair.0 == pair.1)),
                            4 => assert!(lock.try_read().is_none_or(|pair| pair.0 == pair.1)),
                            5 => {
                                let first = lock.read();
                                let again = lock.try_read();
                                assert!(again.is_none_or(|again| again.0 == first.0));
                            }
                            _ => {
                                let pair = lock.read();
                                assert_eq!(pair.0, pair.1);
                            }
                        }
                    }
                    written
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(!lock.is_locked());
    assert_eq!(*lock.try_write().unwrap(), (written, written));
}

fn add(pair: &mut (u64, u64)) {
    pair.0 += 1;
    std::hint::spin_loop();
    pair.1 += 1;
}
