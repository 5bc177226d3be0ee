//! Every interleaving of a few threads on the locks, deadlines and interrupts included.
//!
//! `make model` runs these. A deadline is a thread that lets it pass at any time, an interrupt a
//! thread that calls it at any time. What a model asserts besides its outcomes: loom itself fails
//! on a thread that sleeps for ever, and on an access to the cell that nothing orders.

use super::{Barrier, Condvar, Event, Lock, Mutex, RwLock, Semaphore};
use crate::WaitError;
use crate::park::current;
use crate::park::model::{clock, deadline, interrupter};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

type Counter = Mutex<UnsafeCell<usize>>;

fn counter() -> Arc<Counter> {
    Arc::new(Mutex::new(UnsafeCell::new(0)))
}

fn add_one(cell: &UnsafeCell<usize>) {
    cell.with_mut(|n| {
        // SAFETY: loom checks that nobody else is here.
        unsafe { *n += 1 }
    });
}

fn read(counter: &Counter) -> usize {
    let guard = counter.try_lock().expect("nobody holds it any more");
    guard.with(|n| {
        // SAFETY: loom checks that nobody writes.
        unsafe { *n }
    })
}

#[test]
fn mutex_excludes() {
    loom::model(|| {
        let counter = counter();
        let threads = [(); 2].map(|()| {
            let counter = counter.clone();
            thread::spawn(move || add_one(&counter.lock()))
        });
        add_one(&counter.lock());
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(read(&counter), 3);
    });
}

#[test]
fn mutex_fair_release_excludes() {
    loom::model(|| {
        let counter = counter();
        let threads = [(); 2].map(|()| {
            let counter = counter.clone();
            thread::spawn(move || {
                let guard = counter.lock();
                add_one(&guard);
                super::MutexGuard::unlock_fair(guard);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(read(&counter), 2);
    });
}

#[test]
fn mutex_wait_times_out_or_is_granted() {
    loom::model(|| {
        let counter = counter();
        let other = counter.clone();
        let holder = thread::spawn(move || add_one(&other.lock()));
        let clock = clock(current::get());
        let granted = match counter.lock_until(deadline()) {
            Ok(guard) => {
                add_one(&guard);
                1
            }
            Err(error) => {
                assert!(error.is_timed_out());
                0
            }
        };
        holder.join().unwrap();
        clock.join().unwrap();
        assert_eq!(read(&counter), 1 + granted);
    });
}

#[test]
fn mutex_grant_is_not_lost_to_a_timeout() {
    loom::model(|| {
        let counter = counter();
        // Two wait for it, one of them with a deadline: whatever becomes of that one, the other
        // must get the lock, or loom reports a thread that sleeps for ever.
        let patient = counter.clone();
        let patient = thread::spawn(move || add_one(&patient.lock()));
        let hasty = counter.clone();
        let hasty = thread::spawn(move || {
            let clock = clock(current::get());
            let granted = hasty.lock_until(deadline()).map(|guard| add_one(&guard)).is_ok();
            clock.join().unwrap();
            usize::from(granted)
        });
        add_one(&counter.lock());
        let granted = hasty.join().unwrap();
        patient.join().unwrap();
        assert_eq!(read(&counter), 2 + granted);
    });
}

#[test]
fn mutex_wait_is_interrupted_or_granted() {
    loom::model(|| {
        let counter = counter();
        let other = counter.clone();
        let holder = thread::spawn(move || add_one(&other.lock()));
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let granted = match counter.lock_interruptible() {
            Ok(guard) => {
                add_one(&guard);
                1
            }
            Err(error) => {
                assert!(error.is_interrupted());
                0
            }
        };
        holder.join().unwrap();
        interrupter.join().unwrap();
        assert_eq!(me.take_interrupt(), granted == 1, "an interrupt ends one wait or stays pending");
        assert_eq!(read(&counter), 1 + granted);
    });
}

#[test]
fn condvar_notification_is_not_missed() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = shared.clone();
        let notifier = thread::spawn(move || {
            *other.0.lock() = true;
            other.1.notify_one();
        });
        let mut ready = shared.0.lock();
        shared.1.wait_while(&mut ready, |ready| !*ready).unwrap();
        drop(ready);
        notifier.join().unwrap();
    });
}

#[test]
fn condvar_notify_all_reaches_all() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let waiters = [(); 2].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut ready = shared.0.lock();
                shared.1.wait_while(&mut ready, |ready| !*ready).unwrap();
            })
        });
        *shared.0.lock() = true;
        shared.1.notify_all();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn condvar_notification_is_not_lost_to_a_timeout() {
    loom::model(|| {
        // One notification, two waiters, one of which may time out: the notification reaches a
        // thread that returns Ok, so exactly one does.
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let hasty = shared.clone();
        let hasty = thread::spawn(move || {
            let clock = clock(current::get());
            let mut waiting = hasty.0.lock();
            *waiting += 1;
            let waited = hasty.1.wait_until(&mut waiting, deadline());
            *waiting -= 1;
            drop(waiting);
            clock.join().unwrap();
            match waited {
                Ok(()) => 1,
                Err(WaitError::TimedOut) => 0,
                Err(error) => panic!("{error}"),
            }
        });
        let told = {
            let waiting = shared.0.lock();
            let told = shared.1.notify_one();
            // Who has counted itself in and is still there to be counted was told.
            assert!(!told || *waiting == 1);
            usize::from(told)
        };
        assert_eq!(hasty.join().unwrap(), told);
    });
}

#[test]
fn condvar_wait_is_interrupted_or_notified() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = shared.clone();
        let notifier = thread::spawn(move || {
            *other.0.lock() = true;
            other.1.notify_one();
        });
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let mut ready = shared.0.lock();
        let waited = shared.1.wait_while(&mut ready, |ready| !*ready);
        let interrupted = waited.is_err_and(|error| error.is_interrupted());
        assert!(interrupted || *ready);
        drop(ready);
        notifier.join().unwrap();
        interrupter.join().unwrap();
        assert_eq!(me.take_interrupt(), !interrupted);
    });
}

#[test]
fn event_set_is_not_missed() {
    loom::model(|| {
        let event = Arc::new(Event::new());
        let waiters = [(); 2].map(|()| {
            let event = event.clone();
            thread::spawn(move || event.wait().unwrap())
        });
        event.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(event.is_set());
    });
}

#[test]
fn event_cleared_at_once_releases_who_waited() {
    loom::model(|| {
        // The waiter hears `set` or finds the event clear again and times out; either way it ends.
        let event = Arc::new(Event::new());
        let other = event.clone();
        let setter = thread::spawn(move || {
            other.set();
            other.clear();
        });
        let clock = clock(current::get());
        let waited = event.wait_until(deadline());
        setter.join().unwrap();
        clock.join().unwrap();
        assert!(waited.is_ok() || waited.is_err_and(|error| error.is_timed_out()));
        assert!(!event.is_set());
    });
}

#[test]
fn event_set_publishes_what_came_before() {
    loom::model(|| {
        let shared = Arc::new((UnsafeCell::new(0), Event::new()));
        let other = shared.clone();
        let setter = thread::spawn(move || {
            add_one(&other.0);
            other.1.set();
        });
        shared.1.wait().unwrap();
        add_one(&shared.0);
        setter.join().unwrap();
    });
}

#[test]
fn event_wait_is_interrupted_or_granted() {
    loom::model(|| {
        let event = Arc::new(Event::new());
        let other = event.clone();
        let setter = thread::spawn(move || other.set());
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let interrupted = event.wait().is_err();
        setter.join().unwrap();
        interrupter.join().unwrap();
        assert_eq!(me.take_interrupt(), !interrupted);
    });
}

#[test]
fn semaphore_permits_are_not_lost_to_a_timeout() {
    loom::model(|| {
        // One permit comes, one of two waiters may time out: the permit is with the other, or with
        // it, or left.
        let semaphore = Arc::new(Semaphore::new(0));
        let hasty = semaphore.clone();
        let hasty = thread::spawn(move || {
            let clock = clock(current::get());
            let granted = hasty.acquire_until(deadline()).is_ok();
            clock.join().unwrap();
            granted
        });
        semaphore.release();
        let left = semaphore.try_acquire();
        let granted = hasty.join().unwrap();
        let left = left || semaphore.try_acquire();
        assert!(granted ^ left, "one permit: granted {granted}, left {left}");
    });
}

#[test]
fn semaphore_wakes_all_for_whom_there_are_permits() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiters = [(); 2].map(|()| {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().unwrap())
        });
        semaphore.release();
        semaphore.release();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(!semaphore.try_acquire());
    });
}

#[test]
fn semaphore_of_one_excludes() {
    loom::model(|| {
        let shared = Arc::new((Semaphore::new(1), UnsafeCell::new(0)));
        let inside = |shared: &(Semaphore, UnsafeCell<usize>)| {
            shared.0.acquire().unwrap();
            add_one(&shared.1);
            shared.0.release();
        };
        let other = shared.clone();
        let other = thread::spawn(move || inside(&other));
        inside(&shared);
        other.join().unwrap();
    });
}

#[test]
fn semaphore_wait_is_interrupted_or_granted() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        let releaser = thread::spawn(move || other.release());
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let interrupted = semaphore.acquire().is_err();
        releaser.join().unwrap();
        interrupter.join().unwrap();
        assert_eq!(semaphore.try_acquire(), interrupted, "the permit was not taken or was left");
        assert_eq!(me.take_interrupt(), !interrupted);
    });
}

#[test]
fn lock_excludes() {
    loom::model(|| {
        let shared = Arc::new((Lock::new(), UnsafeCell::new(0)));
        let inside = |shared: &(Lock, UnsafeCell<usize>)| {
            shared.0.acquire().unwrap();
            add_one(&shared.1);
            shared.0.release().unwrap();
        };
        let others = [(); 2].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || inside(&shared))
        });
        inside(&shared);
        for other in others {
            other.join().unwrap();
        }
        assert!(shared.0.try_acquire());
    });
}

#[test]
fn lock_is_not_lost_to_a_timeout() {
    loom::model(|| {
        let lock = Arc::new(Lock::new());
        lock.acquire().unwrap();
        let hasty = lock.clone();
        let hasty = thread::spawn(move || {
            let clock = clock(current::get());
            if hasty.acquire_until(deadline()).is_ok() {
                hasty.release().unwrap();
            }
            clock.join().unwrap();
        });
        let patient = lock.clone();
        let patient = thread::spawn(move || {
            patient.acquire().unwrap();
            patient.release().unwrap();
        });
        lock.release().unwrap();
        hasty.join().unwrap();
        patient.join().unwrap();
        assert!(lock.try_acquire());
    });
}

type Shelf = RwLock<UnsafeCell<usize>>;

fn look(cell: &UnsafeCell<usize>) -> usize {
    cell.with(|n| {
        // SAFETY: loom checks that nobody writes.
        unsafe { *n }
    })
}

#[test]
fn rwlock_writer_excludes_two_readers() {
    loom::model(|| {
        let shelf: Arc<Shelf> = Arc::new(RwLock::new(UnsafeCell::new(0)));
        let readers = [(); 2].map(|()| {
            let shelf = shelf.clone();
            thread::spawn(move || look(&shelf.read()))
        });
        add_one(&shelf.write());
        let seen = readers.map(|reader| reader.join().unwrap());
        assert!(seen.iter().all(|&n| n <= 1));
        assert_eq!(look(&shelf.read()), 1);
    });
}

#[test]
fn rwlock_writers_exclude_each_other_and_a_reader() {
    loom::model(|| {
        let shelf: Arc<Shelf> = Arc::new(RwLock::new(UnsafeCell::new(0)));
        let other = shelf.clone();
        let writer = thread::spawn(move || add_one(&other.write()));
        let other = shelf.clone();
        let reader = thread::spawn(move || look(&other.read()));
        add_one(&shelf.write());
        writer.join().unwrap();
        assert!(reader.join().unwrap() <= 2);
        assert_eq!(look(&shelf.read()), 2);
        assert!(shelf.try_write().is_some());
    });
}

#[test]
fn rwlock_writer_that_gives_up_lets_readers_go_on() {
    loom::model(|| {
        let shelf: Arc<Shelf> = Arc::new(RwLock::new(UnsafeCell::new(0)));
        let reading = shelf.read();
        let hasty = shelf.clone();
        let writer = thread::spawn(move || {
            let clock = clock(current::get());
            let granted = hasty.write_until(deadline()).map(|guard| add_one(&guard)).is_ok();
            clock.join().unwrap();
            granted
        });
        // May have to wait behind the writer, who may wait for us or give up: without a writer
        // that gives up this is the deadlock which the detector finds, and the model has none.
        let other = shelf.clone();
        let reader = thread::spawn(move || look(&other.read()));
        drop(reading);
        let granted = writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(look(&shelf.read()), usize::from(granted));
        assert!(shelf.try_write().is_some(), "held by nobody");
    });
}

#[test]
fn rwlock_wait_is_interrupted_or_granted() {
    loom::model(|| {
        let shelf: Arc<Shelf> = Arc::new(RwLock::new(UnsafeCell::new(0)));
        let other = shelf.clone();
        let writer = thread::spawn(move || add_one(&other.write()));
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let interrupted = shelf.read_interruptible().map(|guard| look(&guard)).is_err();
        writer.join().unwrap();
        interrupter.join().unwrap();
        assert_eq!(me.take_interrupt(), !interrupted);
        assert!(shelf.try_write().is_some(), "held by nobody");
    });
}

#[test]
fn rwlock_downgrade_lets_readers_in() {
    loom::model(|| {
        let shelf: Arc<Shelf> = Arc::new(RwLock::new(UnsafeCell::new(0)));
        let writing = shelf.write();
        let other = shelf.clone();
        let reader = thread::spawn(move || look(&other.read()));
        add_one(&writing);
        let reading = super::RwLockWriteGuard::downgrade(writing);
        assert_eq!(reader.join().unwrap(), 1, "let in while we read");
        drop(reading);
        assert!(shelf.try_write().is_some(), "held by nobody");
    });
}

#[test]
fn barrier_passes_all_or_breaks_for_all() {
    loom::model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let hasty = barrier.clone();
        let hasty = thread::spawn(move || {
            let clock = clock(current::get());
            let passed = hasty.wait_until(deadline()).is_ok();
            clock.join().unwrap();
            passed
        });
        let passed = barrier.wait().is_ok();
        assert_eq!(hasty.join().unwrap(), passed);
        assert_eq!(barrier.is_broken(), !passed);
    });
}
