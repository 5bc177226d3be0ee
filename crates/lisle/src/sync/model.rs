//! Every interleaving of a few threads on the locks, deadlines and interrupts included.
//!
//! `make model` runs these. A deadline is a thread that lets it pass at any time, an interrupt a
//! thread that calls it at any time. What a model asserts besides its outcomes: loom itself fails
//! on a thread that sleeps for ever, and on an access to the cell that nothing orders.

use super::{Condvar, Event, Mutex};
use crate::WaitError;
use crate::park::record::Shared;
use crate::park::{current, model};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::time::Instant;

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

fn deadline() -> Instant {
    model::some_deadline().expect("there is one")
}

/// Starts a thread that lets the deadline of `record`'s waits pass.
fn clock(record: Shared) -> thread::JoinHandle<()> {
    thread::spawn(move || model::expire(&record))
}

fn interrupter(record: Shared) -> thread::JoinHandle<()> {
    thread::spawn(move || record.interrupt())
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
        threads.map(|thread| thread.join().unwrap());
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
        threads.map(|thread| thread.join().unwrap());
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
        waiters.map(|waiter| waiter.join().unwrap());
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
        waiters.map(|waiter| waiter.join().unwrap());
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
