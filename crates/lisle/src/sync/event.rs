//! `Event`: a flag that threads wait for.

use crate::park::sys::{atomic::Ordering, const_fn};
use crate::park::{Kind, Label, Limit, Site, Subject, Wait, WaitError};
use crate::park::{key_of, park_with, spin, unpark_all};
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A flag that any thread may set and clear, and wait for.
///
/// What a thread did before it set the event is seen by those whose wait that ends.
///
/// # Fairness
/// All who wait go on together.
///
/// # Examples
/// ```
/// use lisle::sync::Event;
/// use std::time::Duration;
///
/// static READY: Event = Event::new();
///
/// std::thread::scope(|scope| {
///     let waiter = scope.spawn(|| READY.wait());
///     READY.set();
///     waiter.join().unwrap().unwrap();
/// });
/// READY.clear();
/// assert!(READY.wait_for(Duration::from_millis(1)).unwrap_err().is_timed_out());
/// ```
pub struct Event {
    /// | flags | state |
    /// |---|---|
    /// | 0 | clear, nobody waits |
    /// | `SET` | set; who comes does not wait |
    /// | `WAITERS` | clear, threads wait in the lot; changes only under the bucket's lock |
    /// | `SET + WAITERS` | set while they came; the thread that set it is about to release them |
    label: Label,
}

const SET: usize = 0b01;
const WAITERS: usize = 0b10;

const _: () = assert!(size_of::<Event>() <= 8 || cfg!(loom));

impl Event {
    const_fn! {
        /// An event that is not set. Reports call it by the place of this call.
        #[track_caller]
        pub const fn new() -> Event {
            Event { label: Label::new(Location::caller()) }
        }
    }

    /// An event that reports call by `name`.
    #[track_caller]
    pub fn named(name: impl Into<String>) -> Event {
        Event { label: Label::named(name.into(), Location::caller()) }
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.label.flags(Ordering::Acquire) & SET != 0
    }

    /// Sets it. All threads that wait for it go on, even if it is cleared right afterwards.
    #[inline]
    pub fn set(&self) {
        // Written even if it is set: who clears it after that shall see what we did before.
        if !self.has_waiters() {
            self.label.set(SET);
            if self.has_waiters() {
                self.set_slow(0); // they came just now: before or after our write
            }
        } else {
            self.set_slow(SET);
        }
    }

    #[inline(always)]
    fn has_waiters(&self) -> bool {
        self.label.flags(Ordering::Relaxed) & WAITERS != 0
    }

    /// Sets it if `set` says so, under the bucket's lock: each wait begins either before, and is
    /// ended here, or afterwards, and finds the event set or cleared again.
    #[cold]
    fn set_slow(&self, set: usize) {
        unpark_all(key_of(self), 0, |_| {
            self.label.change(set, WAITERS);
        });
    }

    /// Clears it: who comes from now on waits for the next [`set`](Event::set).
    #[inline]
    pub fn clear(&self) {
        self.label.clear(SET);
    }

    /// Waits until it is set; comes back at once if it is.
    ///
    /// # On interrupt
    /// `Interrupted`. If the event was set at the same moment that counts, and the interrupt stays
    /// pending.
    ///
    /// # Errors
    /// `Interrupted` is the only one.
    #[inline]
    #[track_caller]
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_within(Limit::Never, Location::caller())
    }

    /// [`wait`](Event::wait) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the event was not set.
    #[inline]
    #[track_caller]
    pub fn wait_for(&self, limit: Duration) -> Result<(), WaitError> {
        self.wait_within(Limit::For(limit), Location::caller())
    }

    /// [`wait_for`](Event::wait_for), with the limit as a point in time; one in the past means not
    /// to wait at all.
    #[inline]
    #[track_caller]
    pub fn wait_until(&self, limit: Instant) -> Result<(), WaitError> {
        self.wait_within(Limit::Until(limit), Location::caller())
    }

    #[inline(always)]
    fn wait_within(&self, limit: Limit, site: Site) -> Result<(), WaitError> {
        if self.is_set() { Ok(()) } else { self.wait_slow(limit, site) }
    }

    #[cold]
    fn wait_slow(&self, limit: Limit, site: Site) -> Result<(), WaitError> {
        let mut wait = Wait::new(Kind::Event, self, site, limit.deadline());
        wait.spin = false; // we do it here, where it saves the setter the way to the lot
        let late = wait.deadline.is_some_and(|at| at <= Instant::now());
        if !late && spin::spin_until(|| self.is_set().then_some(())).is_some() {
            return Ok(());
        }
        let must_wait = || self.label.update(|flags| (flags & SET == 0).then_some(WAITERS)).is_ok();
        let on_leave = |left: bool| {
            if !left {
                self.label.change(0, WAITERS);
            }
        };
        park_with(key_of(self), &wait, must_wait, || {}, on_leave).settle().map(drop)
    }
}

impl Default for Event {
    #[track_caller]
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("set", &self.is_set())
            .field("label", &format_args!("{}", self.label))
            .finish_non_exhaustive()
    }
}

/// Anybody may set it: an event has no owner.
impl Subject for Event {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::spawn;
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_set_releases_all_who_wait_even_if_cleared_at_once() {
        let event = Arc::new(Event::new());
        let waiters = [(); 4].map(|()| {
            let event = event.clone();
            let waiter = spawn(move || event.wait());
            waiter.falls_asleep();
            waiter
        });
        event.set();
        event.clear();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(!event.is_set());
        assert_eq!(event.label.flags(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let event = Arc::new(Event::named("dawn"));
        assert!(event.wait_for(Duration::ZERO).unwrap_err().is_timed_out());
        assert_eq!(event.label.flags(Ordering::Relaxed), 0);
        assert!(event.wait_until(Instant::now() + Duration::from_millis(1)).unwrap_err().is_timed_out());
        assert_eq!(event.label.flags(Ordering::Relaxed), 0);
        let other = event.clone();
        let interrupted = spawn(move || other.wait());
        interrupted.falls_asleep();
        assert_eq!(event.label.flags(Ordering::Relaxed), WAITERS);
        interrupted.record.interrupt();
        assert!(interrupted.join().unwrap_err().is_interrupted());
        assert_eq!(event.label.flags(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_set_event_counts_more_than_an_interrupt_or_a_limit() {
        let event = Arc::new(Event::new());
        event.set();
        event.set();
        assert!(event.wait_for(Duration::ZERO).is_ok());
        let other = event.clone();
        let pending = spawn(move || {
            crate::park::current::with(|me| me.interrupt());
            let waited = other.wait();
            (waited.is_ok(), crate::park::current::with(|me| me.take_interrupt()))
        });
        assert_eq!(pending.join(), (true, true));
    }
}
