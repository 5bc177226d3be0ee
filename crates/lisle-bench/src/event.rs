//! Telling others that something happened: `Event`, and `Condvar::notify_one` when nobody listens.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, SeqCst};
use std::time::{Duration, Instant};

use event_listener::Listener;

use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Goal, repeat};

/// A flag that threads can wait for.
pub(crate) trait Flag: Send + Sync + 'static {
    fn new() -> Self;
    fn set(&self);
    fn clear(&self);
    fn wait(&self);
    fn wait_until(&self, deadline: Instant);
}

impl Flag for lisle::sync::Event {
    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn set(&self) {
        self.set();
    }

    #[inline]
    fn clear(&self) {
        self.clear();
    }

    #[inline]
    fn wait(&self) {
        self.wait().expect("nobody interrupts");
    }

    fn wait_until(&self, deadline: Instant) {
        let _ = self.wait_until(deadline);
    }
}

/// What event-listener is made for: the flag is the user's own.
pub(crate) struct Listening {
    flag: AtomicBool,
    event: event_listener::Event,
}

impl Flag for Listening {
    fn new() -> Self {
        Self { flag: AtomicBool::new(false), event: event_listener::Event::new() }
    }

    #[inline]
    fn set(&self) {
        self.flag.store(true, SeqCst);
        self.event.notify(usize::MAX);
    }

    #[inline]
    fn clear(&self) {
        self.flag.store(false, SeqCst);
    }

    #[inline]
    fn wait(&self) {
        while !self.flag.load(Acquire) {
            let listener = self.event.listen();
            if !self.flag.load(SeqCst) {
                listener.wait();
            }
        }
    }

    fn wait_until(&self, deadline: Instant) {
        while !self.flag.load(Acquire) {
            let listener = self.event.listen();
            if !self.flag.load(SeqCst) && listener.wait_deadline(deadline).is_none() {
                break;
            }
        }
    }
}

/// The event that everybody writes who has none: a lock, a flag and a condition.
pub(crate) struct ByParkingLot(parking_lot::Mutex<bool>, parking_lot::Condvar);

impl Flag for ByParkingLot {
    fn new() -> Self {
        Self(parking_lot::Mutex::new(false), parking_lot::Condvar::new())
    }

    #[inline]
    fn set(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }

    #[inline]
    fn clear(&self) {
        *self.0.lock() = false;
    }

    #[inline]
    fn wait(&self) {
        self.1.wait_while(&mut self.0.lock(), |set| !*set);
    }

    fn wait_until(&self, deadline: Instant) {
        self.1.wait_while_until(&mut self.0.lock(), |set| !*set, deadline);
    }
}

/// The same with the standard library.
pub(crate) struct ByStd(std::sync::Mutex<bool>, std::sync::Condvar);

impl ByStd {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.0.lock().expect("no contender panics")
    }
}

impl Flag for ByStd {
    fn new() -> Self {
        Self(std::sync::Mutex::new(false), std::sync::Condvar::new())
    }

    #[inline]
    fn set(&self) {
        *self.lock() = true;
        self.1.notify_all();
    }

    #[inline]
    fn clear(&self) {
        *self.lock() = false;
    }

    #[inline]
    fn wait(&self) {
        drop(self.1.wait_while(self.lock(), |set| !*set));
    }

    fn wait_until(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        drop(self.1.wait_timeout_while(self.lock(), left, |set| !*set));
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![set_wait_clear(), notify_nobody()]
}

fn set_wait_clear() -> Case {
    fn alone<F: Flag>() -> impl FnMut(u64) -> Duration {
        let flag = F::new();
        move |n| {
            repeat(n, || {
                flag.set();
                flag.wait();
                flag.clear();
            })
        }
    }
    let swapped = AtomicBool::new(false);
    Case::new("event", "set, wait when set, clear", Goal::Best(1.1))
        .timed(Lisle, "lisle", alone::<lisle::sync::Event>())
        // Not an event, but what the goal is held against.
        .timed(Peer, "two swaps", move |n| {
            repeat(n, || {
                swapped.swap(true, AcqRel);
                black_box(swapped.load(Acquire));
                swapped.swap(false, AcqRel);
            })
        })
        .timed(Peer, "event-listener", alone::<Listening>())
        .timed(Peer, "parking_lot", alone::<ByParkingLot>())
        .timed(Peer, "std", alone::<ByStd>())
}

fn notify_nobody() -> Case {
    let ours = lisle::sync::Condvar::new();
    let theirs = parking_lot::Condvar::new();
    let standard = std::sync::Condvar::new();
    let word = AtomicBool::new(false);
    Case::new("condvar", "notify one, nobody waits", Goal::AtMost(2.0))
        .timed(Lisle, "lisle", move |n| {
            repeat(n, || {
                ours.notify_one();
            })
        })
        .timed(Peer, "parking_lot", move |n| {
            repeat(n, || {
                theirs.notify_one();
            })
        })
        .timed(Peer, "std", move |n| repeat(n, || standard.notify_one()))
        .timed(Floor, "load", move |n| {
            repeat(n, || {
                black_box(word.load(Acquire));
            })
        })
}
