//! What a model test can do besides calling the API: let a thread's deadline pass.

use super::record::Record;
use super::sys::atomic::Ordering;
use super::{current, sys};
use std::time::{Duration, Instant};

/// Lets the deadline of the thread's present and later waits pass.
pub(crate) fn expire(record: &Record) {
    sys::with_all_woken(|| record.expired.store(true, Ordering::SeqCst));
}

pub(super) fn is_expired() -> bool {
    current::with(|me| me.expired.load(Ordering::SeqCst))
}

/// A deadline that real time will not reach: only [`expire`] lets it pass.
pub(crate) fn some_deadline() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(3600))
}

/// [`some_deadline`], for calls that take an instant.
#[cfg(test)]
pub(crate) fn deadline() -> Instant {
    some_deadline().expect("there is one")
}

/// Starts a thread that lets the deadline of the thread's waits pass.
#[cfg(test)]
pub(crate) fn clock(record: super::record::Shared) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(move || expire(&record))
}

/// Starts a thread that interrupts the thread.
#[cfg(test)]
pub(crate) fn interrupter(record: super::record::Shared) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(move || record.interrupt())
}

/// The lot by itself.
#[cfg(test)]
mod lot {
    use super::super::sys::atomic::{AtomicBool, Ordering};
    use super::super::{Kind, Outcome, Subject, Wait, current, key_of, park, park_with, unpark_all, unpark_one};
    use super::{expire, some_deadline};
    use loom::thread;
    use std::fmt;
    use std::panic::Location;
    use std::sync::Arc;
    use std::time::Instant;

    struct Flag(AtomicBool);

    impl Subject for Flag {
        fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a flag")
        }
    }

    impl Flag {
        fn new() -> Arc<Flag> {
            Arc::new(Flag(AtomicBool::new(false)))
        }

        fn wait(&self, deadline: Option<Instant>) -> Outcome {
            let wait = Wait::new(Kind::Event, self, Location::caller(), deadline);
            park(key_of(self), &wait, || !self.0.load(Ordering::Relaxed))
        }

        fn raise(&self) -> usize {
            self.0.store(true, Ordering::Relaxed);
            unpark_one(key_of(self), 7, |_| {}).granted
        }
    }

    #[test]
    fn model_a_wake_up_is_not_missed() {
        loom::model(|| {
            let flag = Flag::new();
            let raised = flag.clone();
            let granter = thread::spawn(move || raised.raise());
            let outcome = flag.wait(None);
            match (&outcome, granter.join().unwrap()) {
                (Outcome::Granted(7), 1) | (Outcome::Invalid, 0) => {}
                other => panic!("{other:?}"),
            }
        });
    }

    #[test]
    fn model_a_grant_a_deadline_and_an_interrupt_race() {
        loom::model(|| {
            let flag = Flag::new();
            let me = current::get();
            let (raised, clock_of, target) = (flag.clone(), me.clone(), me.clone());
            let granter = thread::spawn(move || raised.raise());
            let clock = thread::spawn(move || expire(&clock_of));
            let interrupter = thread::spawn(move || target.interrupt());
            let outcome = flag.wait(some_deadline());
            let granted = granter.join().unwrap();
            clock.join().unwrap();
            interrupter.join().unwrap();
            // One of the three has ended the wait, and the granter knows whether it was he.
            assert_eq!(granted == 1, matches!(outcome, Outcome::Granted(7)), "{outcome:?}");
            assert_eq!(me.take_interrupt(), !matches!(outcome, Outcome::Interrupted), "{outcome:?}");
            assert_eq!(unpark_all(key_of(&*flag), 0, |_| {}).granted, 0, "nothing is left behind");
        });
    }

    #[test]
    fn model_who_leaves_last_says_so() {
        loom::model(|| {
            // Two waiters with deadlines and nobody who grants: the last one to leave is told that
            // nobody is left, the other that somebody is or not, as the case may be.
            let flag = Flag::new();
            let leave = |flag: &Arc<Flag>| {
                let flag = flag.clone();
                thread::spawn(move || {
                    let me = current::get();
                    expire(&me);
                    let wait = Wait::new(Kind::Event, &*flag, Location::caller(), some_deadline());
                    let mut left_others = None;
                    let outcome = park_with(key_of(&*flag), &wait, || true, || {}, |left| left_others = Some(left));
                    assert!(matches!(outcome, Outcome::TimedOut));
                    left_others.expect("called")
                })
            };
            let (a, b) = (leave(&flag), leave(&flag));
            let (a, b) = (a.join().unwrap(), b.join().unwrap());
            assert!(!(a && b), "somebody was last");
        });
    }
}
