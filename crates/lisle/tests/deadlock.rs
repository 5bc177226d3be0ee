//! The table of deadlocks: what is found, whom it fails, and the words of the report; and what
//! must stay silent.

use lisle::gil::Gil;
use lisle::sync::{Condvar, Lock, Mutex, ReentrantMutex, RwLock};
use lisle::thread::{self, Builder, JoinError};
use lisle::{Confidence, Kind, Report, WaitError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex as StdMutex, OnceLock};
use std::time::{Duration, Instant};

/// All reports that failed nobody, of all tests of this file, which run side by side.
static PUBLISHED: StdMutex<Vec<Report>> = StdMutex::new(Vec::new());

fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| lisle::on_report(|report| PUBLISHED.lock().unwrap().push(report.clone())));
}

/// The published reports in which an object of this name occurs.
fn published(object: &str) -> Vec<Report> {
    let object = format!("{object:?}");
    let all = PUBLISHED.lock().unwrap();
    all.iter().filter(|report| report.links.iter().any(|link| link.object == object)).cloned().collect()
}

fn await_published(object: &str) -> Report {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(report) = published(object).pop() {
            return report;
        }
        assert!(Instant::now() < patience, "no report about {object:?}");
        thread::yield_now();
    }
}

fn spawn<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    Builder::new().name(name.into()).spawn(run).unwrap()
}

/// The one report among the results of waits of which one must have failed.
fn the_victim(results: Vec<Result<(), WaitError>>) -> Report {
    let mut reports: Vec<Report> =
        results.into_iter().filter_map(|result| Some(result.err()?.deadlock()?.clone())).collect();
    assert_eq!(reports.len(), 1, "exactly one wait is failed: {reports:?}");
    reports.pop().unwrap()
}

/// `n` threads, each of which holds a lock of its own and locks the next one's.
fn ring(n: usize, prefix: &'static str) -> Report {
    let locks: Arc<Vec<Mutex<()>>> = Arc::new((0..n).map(|i| Mutex::named((), format!("{prefix}-{i}"))).collect());
    let all_hold = Arc::new(Barrier::new(n));
    let threads: Vec<_> = (0..n)
        .map(|i| {
            let (locks, all_hold) = (locks.clone(), all_hold.clone());
            spawn(&format!("{prefix}-thread-{i}"), move || {
                let _mine = locks[i].lock();
                all_hold.wait();
                locks[(i + 1) % n].lock_interruptible().map(drop)
            })
        })
        .collect();
    the_victim(threads.into_iter().map(|thread| thread.join().unwrap()).collect())
}

#[test]
fn two_locks() {
    let report = ring(2, "two");
    assert_eq!(report.confidence, Confidence::Proven);
    let text = report.to_string();
    assert!(text.starts_with("deadlock: 2 threads wait for each other\n"), "{text}");
    for i in 0..2 {
        let next = 1 - i;
        assert!(text.contains(&format!("thread \"two-thread-{i}\" (ident ")), "{text}");
        assert!(text.contains(&format!(" ms for mutex \"two-{i}\"\n")), "{text}");
        assert!(text.contains(&format!("held by thread \"two-thread-{next}\" (ident ")), "{text}");
    }
    // Both the place of the wait and the place where the lock was taken, of both threads.
    assert_eq!(text.matches("    in a call at crates/lisle/tests/deadlock.rs:").count(), 2, "{text}");
    assert_eq!(text.matches(", taken at crates/lisle/tests/deadlock.rs:").count(), 2, "{text}");
}

#[test]
fn three_locks() {
    let report = ring(3, "three");
    let text = report.to_string();
    assert!(text.starts_with("deadlock: 3 threads wait for each other\n"), "{text}");
    for link in 0..3 {
        // Each link's holder is the next link's thread.
        assert_eq!(report.links[link].holder_ident, report.links[(link + 1) % 3].ident, "{text}");
    }
}

#[test]
fn without_a_name_the_report_says_where_a_lock_was_made() {
    let (made_at, lock) = (line!(), Mutex::new(()));
    let _held = lock.lock();
    let error = lock.lock_interruptible().map(drop).unwrap_err();
    let expected = format!("for mutex made at crates/lisle/tests/deadlock.rs:{made_at}:");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn two_locks_with_one_timed_wait() {
    listen();
    let locks = Arc::new([Mutex::named((), "timed-a"), Mutex::named((), "timed-b")]);
    let both_hold = Arc::new(Barrier::new(2));
    let (locks2, both_hold2) = (locks.clone(), both_hold.clone());
    let patient = spawn("patient", move || {
        let _a = locks2[0].lock();
        both_hold2.wait();
        locks2[1].lock_interruptible().map(drop)
    });
    let hasty = spawn("hasty", move || {
        let _b = locks[1].lock();
        both_hold.wait();
        let waited = locks[0].lock_for(Duration::from_millis(500)).map(drop);
        (waited, await_published("timed-a"))
    });
    let (waited, report) = hasty.join().unwrap();
    assert!(waited.is_err_and(|error| error.is_timed_out()), "nobody is failed before the limit");
    patient.join().unwrap().expect("got the lock when the other gave up");
    assert_eq!(report.confidence, Confidence::Timed);
    let text = report.to_string();
    assert!(text.starts_with("deadlock that ends by itself in "), "{text}");
    assert!(text.contains(" ms: 2 threads wait for each other\n"), "{text}");
    assert_eq!(published("timed-a").len(), 1, "reported once");
}

#[test]
fn relock_by_the_holder() {
    let panic = spawn("self-locker", || {
        let lock = Mutex::named(1, "mine");
        let _held = lock.lock();
        let _again = lock.lock();
    })
    .join()
    .unwrap_err();
    let text = panic.downcast_ref::<String>().expect("a message");
    assert!(text.starts_with("deadlock: 1 thread waits for itself\n"), "{text}");
    assert!(text.contains("thread \"self-locker\" (ident "), "{text}");
    assert!(text.contains("for mutex \"mine\"\n"), "{text}");
    assert!(text.contains("held by thread \"self-locker\""), "{text}");
}

#[test]
fn the_panic_names_the_line_of_the_call() {
    let lock = Mutex::new(());
    let _held = lock.lock();
    let line = Arc::new(AtomicUsize::new(0));
    let seen = line.clone();
    let previous = std::panic::take_hook();
    let me = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == me {
            seen.store(info.location().unwrap().line() as usize, Ordering::SeqCst);
        } else {
            previous(info);
        }
    }));
    let called_at = line!() as usize + 1;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(lock.lock())));
    drop(std::panic::take_hook());
    assert!(caught.is_err());
    assert_eq!(line.load(Ordering::SeqCst), called_at);
}

#[test]
fn join_while_holding_what_the_other_wants() {
    let lock = Arc::new(Mutex::named((), "wanted"));
    let held = lock.lock();
    let other = lock.clone();
    let worker = spawn("wanting", move || other.lock_interruptible().map(drop));
    // Either the join or the lock is failed, whichever is looked at first.
    let joined = worker.thread().join();
    drop(held);
    let locked = worker.join().unwrap();
    let report = match (joined, locked) {
        (Err(JoinError::Deadlocked(report)), Ok(())) => *report,
        (Ok(()), Err(WaitError::Deadlocked(report))) => *report,
        other => panic!("one of the two is failed: {other:?}"),
    };
    let text = report.to_string();
    assert!(text.starts_with("deadlock: 2 threads wait for each other\n"), "{text}");
    assert!(text.contains("for join of thread \"wanting\"\n"), "{text}");
    assert!(text.contains("which is thread \"wanting\""), "{text}");
    assert!(text.contains("for mutex \"wanted\"\n"), "{text}");
}

#[test]
fn two_threads_joining_each_other() {
    let threads: Arc<OnceLock<[thread::Thread; 2]>> = Arc::new(OnceLock::new());
    let workers = [0, 1].map(|i| {
        let threads = threads.clone();
        spawn(&format!("joiner-{i}"), move || match threads.wait()[1 - i].join() {
            Err(JoinError::Deadlocked(report)) => Some(*report),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        })
    });
    threads.set([workers[0].thread().clone(), workers[1].thread().clone()]).unwrap();
    let reports: Vec<Report> = workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect();
    assert_eq!(reports.len(), 1, "one join is failed, the other granted: {reports:?}");
    let text = reports[0].to_string();
    assert!(text.contains("for join of thread \"joiner-0\"\n"), "{text}");
    assert!(text.contains("for join of thread \"joiner-1\"\n"), "{text}");
}

#[test]
fn read_read_writer() {
    let lock = Arc::new(RwLock::named((), "shelf"));
    let reading = lock.read();
    let other = lock.clone();
    let writer = spawn("writer", move || other.write_interruptible().map(drop));
    // The second read waits behind the writer, who waits for the first one.
    while !lisle_waits(writer.thread(), Kind::RwLockWrite) {
        thread::yield_now();
    }
    let again = lock.read_interruptible().map(drop);
    drop(reading);
    let report = the_victim(vec![again, writer.join().unwrap()]);
    let text = report.to_string();
    assert!(text.starts_with("deadlock: 2 threads wait for each other\n"), "{text}");
    assert!(text.contains("for read lock \"shelf\"\n"), "{text}");
    assert!(text.contains("behind the waiting writer, thread \"writer\""), "{text}");
    assert!(text.contains("for write lock \"shelf\"\n"), "{text}");
    assert!(text.contains(", taken at crates/lisle/tests/deadlock.rs:"), "{text}");
}

/// Whether the thread waits for something of this kind at the moment.
fn lisle_waits(thread: &thread::Thread, kind: Kind) -> bool {
    thread.waits_for() == Some(kind)
}

#[test]
fn write_upgrade_of_two_readers() {
    let lock = Arc::new(RwLock::named((), "upgraded"));
    let both_read = Arc::new(Barrier::new(2));
    let readers = [0, 1].map(|i| {
        let (lock, both_read) = (lock.clone(), both_read.clone());
        spawn(&format!("upgrader-{i}"), move || {
            let _reading = lock.read();
            both_read.wait();
            lock.write_interruptible().map(drop)
        })
    });
    let results = readers.map(|reader| reader.join().unwrap());
    // Each also waits for itself: both are failed, one after the other.
    assert!(results.iter().all(|result| matches!(result, Err(WaitError::Deadlocked(_)))), "{results:?}");
}

#[test]
fn orphaned_lock() {
    listen();
    let lock = Arc::new(Mutex::named((), "left-behind"));
    let other = lock.clone();
    spawn("careless", move || std::mem::forget(other.lock())).join().unwrap();
    let waited = lock.lock_for(Duration::from_millis(300)).map(drop);
    assert!(waited.is_err_and(|error| error.is_timed_out()));
    let text = await_published("left-behind").to_string();
    assert!(text.starts_with("orphaned lock: its holder has ended without releasing it\n"), "{text}");
    assert!(text.contains("for mutex \"left-behind\"\n"), "{text}");
    assert!(text.contains("held by thread \"careless\" (ident "), "{text}");
    assert!(text.contains(", taken at crates/lisle/tests/deadlock.rs:"), "{text}");
    // Once, not for each who waits.
    assert!(lock.lock_for(Duration::from_millis(30)).is_err());
    assert_eq!(published("left-behind").len(), 1);
}

#[test]
fn a_cycle_through_an_unowned_lock_is_suspected() {
    listen();
    let gate = Arc::new(Lock::new());
    let owned = Arc::new(Mutex::named((), "behind-the-gate"));
    gate.acquire().unwrap();
    let held = Arc::new(Barrier::new(2));
    let (gate2, owned2, held2) = (gate.clone(), owned.clone(), held.clone());
    let worker = spawn("at-the-gate", move || {
        let _owned = owned2.lock();
        held2.wait();
        gate2.acquire()
    });
    held.wait();
    let waited = owned.lock_for(Duration::from_millis(500)).map(drop);
    assert!(waited.is_err_and(|error| error.is_timed_out()), "nobody is failed");
    let report = await_published("behind-the-gate");
    assert_eq!(report.confidence, Confidence::Suspected);
    let text = report.to_string();
    assert!(text.starts_with("suspected deadlock: 2 threads wait for each other, if nobody else releases the lock\n"));
    assert!(text.contains("last taken by thread "), "{text}");
    gate.release().unwrap();
    worker.join().unwrap().unwrap();
}

#[test]
fn a_cycle_through_a_reentrant_mutex() {
    let outer = Arc::new(ReentrantMutex::named((), "reentrant"));
    let inner = Arc::new(Mutex::named((), "plain"));
    let both_hold = Arc::new(Barrier::new(2));
    let (outer2, inner2, both_hold2) = (outer.clone(), inner.clone(), both_hold.clone());
    let worker = spawn("inside-out", move || {
        let _inner = inner2.lock();
        both_hold2.wait();
        outer2.lock_interruptible().map(drop)
    });
    let once = outer.lock();
    let twice = outer.lock();
    both_hold.wait();
    let mine = inner.lock_interruptible().map(drop);
    drop(twice);
    drop(once);
    let report = the_victim(vec![mine, worker.join().unwrap()]);
    assert!(report.to_string().contains("for reentrant mutex \"reentrant\"\n"), "{report}");
}

#[test]
fn who_cannot_be_failed_passes_it_on() {
    // `waiter` comes back from the condvar and must lock `m` again, holding `n`; `holder` has `m`
    // and wants `n`. Only the holder's call can return an error.
    let shared = Arc::new((Mutex::named((), "m"), Condvar::new(), Mutex::named((), "n")));
    let waits = Arc::new(Barrier::new(2));
    let (shared2, waits2) = (shared.clone(), waits.clone());
    let waiter = spawn("cannot-fail", move || {
        let _n = shared2.2.lock();
        let mut m = shared2.0.lock();
        waits2.wait();
        shared2.1.wait(&mut m)
    });
    waits.wait();
    let m = shared.0.lock(); // the waiter has released it: it waits
    assert!(shared.1.notify_one());
    let failed = shared.2.lock_interruptible().map(drop);
    assert!(matches!(failed, Err(WaitError::Deadlocked(_))), "{failed:?}");
    drop(m);
    waiter.join().unwrap().unwrap();
}

/// A thread that holds the GIL and locks, another that holds the lock and attaches.
fn gil_and_lock(name: &str, attach: impl FnOnce(&Gil) -> Result<(), WaitError> + Send + 'static) -> Report {
    let shared = Arc::new((Gil::named(Duration::from_millis(5), name), Mutex::named((), format!("{name}-lock"))));
    let both_hold = Arc::new(Barrier::new(2));
    let (shared2, both_hold2) = (shared.clone(), both_hold.clone());
    let attaching = spawn(&format!("{name}-attaching"), move || {
        let _lock = shared2.1.lock();
        both_hold2.wait();
        attach(&shared2.0)
    });
    let locking = spawn(&format!("{name}-locking"), move || {
        let _token = shared.0.attach();
        both_hold.wait();
        shared.1.lock_interruptible().map(drop)
    });
    the_victim(vec![attaching.join().unwrap(), locking.join().unwrap()])
}

#[test]
fn a_lock_that_is_wanted_by_the_holder_of_the_gil() {
    let report = gil_and_lock("interpreter", |gil| gil.attach_interruptible().map(drop));
    assert_eq!(report.confidence, Confidence::Proven);
    let text = report.to_string();
    assert!(text.starts_with("deadlock: 2 threads wait for each other\n"), "{text}");
    assert!(text.contains("thread \"interpreter-attaching\" (ident "), "{text}");
    assert!(text.contains(" ms for gil \"interpreter\"\n    in a call at crates/lisle/tests/deadlock.rs:"), "{text}");
    assert!(text.contains("held by thread \"interpreter-locking\" (ident "), "{text}");
    assert!(text.contains(" ms for mutex \"interpreter-lock\"\n"), "{text}");
    assert_eq!(text.matches(", taken at crates/lisle/tests/deadlock.rs:").count(), 2, "{text}");
}

#[test]
fn who_comes_back_to_the_gil_cannot_be_failed_and_passes_it_on() {
    // `back` holds the lock inside a detach, which must end with the GIL; the holder of that locks.
    let shared = Arc::new((Gil::named(Duration::from_millis(5), "back"), Mutex::named((), "back-lock")));
    let both_hold = Arc::new(Barrier::new(2));
    let (shared2, both_hold2) = (shared.clone(), both_hold.clone());
    let back = spawn("back", move || {
        let mut token = shared2.0.attach();
        let lock = token.detach(|| {
            let lock = shared2.1.lock();
            both_hold2.wait();
            while shared2.0.holder().is_none() {
                thread::yield_now();
            }
            lock
        });
        drop(lock);
    });
    both_hold.wait();
    let token = shared.0.attach();
    let failed = shared.1.lock_interruptible().map(drop);
    let report = failed.unwrap_err().deadlock().expect("the wait that can be failed").clone();
    assert!(report.to_string().contains("for gil \"back\"\n"), "{report}");
    drop(token);
    back.join().unwrap();
}

#[test]
fn two_gils_in_different_orders() {
    let gils = Arc::new(["left", "right"].map(|name| Gil::named(Duration::from_millis(5), name)));
    let both_hold = Arc::new(Barrier::new(2));
    let threads = [0, 1].map(|i| {
        let (gils, both_hold) = (gils.clone(), both_hold.clone());
        spawn(&format!("gil-{i}"), move || {
            let _mine = gils[i].attach();
            both_hold.wait();
            gils[1 - i].attach_interruptible().map(drop)
        })
    });
    let report = the_victim(threads.map(|thread| thread.join().unwrap()).into());
    let text = report.to_string();
    assert!(text.contains("for gil \"left\"\n") && text.contains("for gil \"right\"\n"), "{text}");
}

#[test]
fn orphaned_gil() {
    listen();
    let gil = Arc::new(Gil::named(Duration::from_millis(5), "left-attached"));
    let other = gil.clone();
    spawn("forgetful", move || std::mem::forget(other.attach())).join().unwrap();
    assert!(gil.holder().is_some_and(|holder| holder.thread.is_none()));
    assert!(gil.attach_for(Duration::from_millis(300)).is_err_and(|error| error.is_timed_out()));
    let text = await_published("left-attached").to_string();
    assert!(text.starts_with("orphaned lock: its holder has ended without releasing it\n"), "{text}");
    assert!(text.contains("for gil \"left-attached\"\n"), "{text}");
    assert!(text.contains("held by thread \"forgetful\" (ident "), "{text}");
    assert!(text.contains(", taken at crates/lisle/tests/deadlock.rs:"), "{text}");
}

#[test]
fn silent_while_threads_take_turns() {
    listen();
    let gil = Arc::new(Gil::named(Duration::from_millis(20), "turns"));
    let threads: Vec<_> = (0..3)
        .map(|i| {
            let gil = gil.clone();
            spawn(&format!("turns-{i}"), move || {
                let mut token = gil.attach();
                for _ in 0..5 {
                    // Longer than it takes until the others' waits are looked at.
                    let until = Instant::now() + Duration::from_millis(10);
                    while Instant::now() < until {
                        token.checkpoint();
                    }
                    token.detach(thread::yield_now);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(published("turns"), []);
}

#[test]
fn silent_when_the_upgrade_is_in_time() {
    listen();
    let lock = Arc::new(RwLock::named(0, "in-time"));
    let reading = lock.read();
    let other = lock.clone();
    let writer = spawn("upgrader", move || *other.write() += 1);
    while !lisle_waits(writer.thread(), Kind::RwLockWrite) {
        thread::yield_now();
    }
    // Long enough for the writer to be looked at several times over.
    thread::sleep(Duration::from_millis(50));
    drop(reading);
    writer.join().unwrap();
    assert_eq!(*lock.read(), 1);
    assert_eq!(published("in-time"), []);
}

#[test]
fn silent_hand_over_hand() {
    listen();
    const NODES: usize = 16;
    let list: Arc<Vec<Mutex<u64>>> = Arc::new((0..NODES).map(|_| Mutex::named(0, "hand-over-hand")).collect());
    let walkers: Vec<_> = (0..4)
        .map(|i| {
            let list = list.clone();
            spawn(&format!("walker-{i}"), move || {
                for _ in 0..2_000 {
                    let mut here = list[0].lock();
                    for next in &list[1..] {
                        let there = next.lock();
                        *here += 1;
                        here = there;
                    }
                    *here += 1;
                }
            })
        })
        .collect();
    for walker in walkers {
        walker.join().unwrap();
    }
    assert!(list.iter().all(|node| *node.lock() == 8_000));
    assert_eq!(published("hand-over-hand"), []);
}

#[test]
fn silent_under_heavy_contention() {
    listen();
    let lock = Arc::new(Mutex::named(0u64, "contended"));
    let until = Instant::now() + Duration::from_secs(5);
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let lock = lock.clone();
            spawn(&format!("contender-{i}"), move || {
                let mut mine = 0;
                while Instant::now() < until {
                    *lock.lock() += 1;
                    mine += 1;
                    // Now and then hold it so long that the others' waits are looked at.
                    if mine % 20_000 == 0 {
                        let held = lock.lock();
                        thread::sleep(Duration::from_millis(6));
                        drop(held);
                    }
                }
                mine
            })
        })
        .collect();
    let total: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(*lock.lock(), total);
    assert_eq!(published("contended"), []);
}

#[test]
fn a_cycle_that_ends_by_itself_does_not_hide_one_that_does_not() {
    let shelf = Arc::new(RwLock::named((), "two-ways"));
    let mutex = Arc::new(Mutex::named((), "two-ways-out"));
    let held = mutex.lock();
    let both_read = Arc::new(Barrier::new(3));
    let readers: [_; 2] = [Duration::from_millis(300), Duration::MAX].map(|limit| {
        let (shelf, mutex, both_read) = (shelf.clone(), mutex.clone(), both_read.clone());
        spawn("two-ways-reader", move || {
            let _reading = shelf.read();
            both_read.wait();
            mutex.lock_for(limit).map(drop)
        })
    });
    both_read.wait();
    for reader in &readers {
        while !lisle_waits(reader.thread(), Kind::Mutex) {
            thread::yield_now();
        }
    }
    // Closes two cycles: one through each reader. Only the patient one's is a deadlock.
    let written = shelf.write_interruptible().map(drop);
    drop(held);
    let [hasty, patient] = readers.map(|reader| reader.join().unwrap());
    assert!(hasty.as_ref().err().is_none_or(WaitError::is_timed_out), "{hasty:?}");
    the_victim(vec![written, patient]);
}

#[test]
fn a_forgotten_read_guard_proves_nothing_about_another_lock() {
    let mut lock = RwLock::new(0);
    let first = lock.read();
    std::mem::forget(lock.read());
    drop(first);
    lock = RwLock::new(1); // at the same place
    let reading = [lock.read(), lock.read()];
    thread::scope(|scope| {
        let writer = scope.spawn(|| *lock.write() += 1);
        while !lisle_waits(writer.thread(), Kind::RwLockWrite) {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(30)); // looked at by now
        drop(reading);
        writer.join().unwrap();
    });
    assert_eq!(*lock.read(), 2);
}
