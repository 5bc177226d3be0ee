//! `Condvar`: waiting for something to become true under a mutex.

use super::mutex::MutexGuard;
use crate::park::sys::{atomic::Ordering, const_fn};
use crate::park::{Kind, Label, Limit, Site, Subject, Wait, WaitError};
use crate::park::{key_of, park_with, unpark_all, unpark_one};
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A place to wait, with a [`Mutex`](super::Mutex) held, until another thread says that something
/// has changed.
///
/// # Differences from [`std::sync::Condvar`]
/// - The guard is borrowed, not moved: `condvar.wait(&mut guard)?`.
/// - Every form can be interrupted and returns a `Result`; a time-out is an error of it. The mutex
///   is held again whatever the result.
/// - There are no spurious wake-ups; all the same, what was true at the notification may have
///   changed by the time the mutex is held again, so wait in a loop or by
///   [`wait_while`](Condvar::wait_while).
/// - Different mutexes may be used with one condvar.
///
/// # Fairness
/// Notifications reach the threads in the order in which they came.
///
/// # Examples
/// ```
/// use lisle::sync::{Condvar, Mutex};
/// use lisle::thread;
///
/// static READY: Mutex<bool> = Mutex::new(false);
/// static CHANGED: Condvar = Condvar::new();
///
/// let waiter = thread::spawn(|| {
///     let mut ready = READY.lock();
///     CHANGED.wait_while(&mut ready, |ready| !*ready)
/// });
/// *READY.lock() = true;
/// CHANGED.notify_one();
/// waiter.join().unwrap().unwrap();
/// ```
pub struct Condvar {
    /// Flag `WAITERS`: threads wait in the lot. Changed under the bucket's lock only.
    label: Label,
}

const WAITERS: usize = 0b01;

impl Condvar {
    const_fn! {
        /// A condvar nobody waits on.
        #[track_caller]
        pub const fn new() -> Condvar {
            Condvar { label: Label::new(Location::caller()) }
        }
    }

    /// The condvar of something that was made there.
    pub(crate) fn made_at(site: Site) -> Condvar {
        Condvar { label: Label::new(site) }
    }

    /// A condvar that reports call by `name`.
    #[track_caller]
    pub fn named(name: impl Into<String>) -> Condvar {
        Condvar { label: Label::named(name.into(), Location::caller()) }
    }

    /// Releases the mutex, waits for a notification, and locks the mutex again. No notification
    /// that comes after the release is missed.
    ///
    /// # On interrupt
    /// `Interrupted`. If a notification came at the same moment it counts, and the interrupt
    /// stays pending.
    ///
    /// # Errors
    /// `Interrupted` is the only one.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) -> Result<(), WaitError> {
        self.wait_as(Kind::Condvar, guard, Limit::Never, Location::caller())
    }

    /// [`wait`](Condvar::wait) for at most `limit`.
    ///
    /// # On timeout
    /// `TimedOut`, with the mutex held; locking it again may take longer than the limit.
    #[track_caller]
    pub fn wait_for<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) -> Result<(), WaitError> {
        self.wait_as(Kind::Condvar, guard, Limit::For(limit), Location::caller())
    }

    /// [`wait_for`](Condvar::wait_for), with the limit as a point in time.
    #[track_caller]
    pub fn wait_until<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, limit: Instant) -> Result<(), WaitError> {
        self.wait_as(Kind::Condvar, guard, Limit::Until(limit), Location::caller())
    }

    /// Waits while `condition` holds of the value. It is called with the mutex held, first before
    /// waiting at all.
    ///
    /// # Errors
    /// `Interrupted`; the condition still held when last looked at.
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(), WaitError> {
        self.wait_while_within(guard, condition, Limit::Never, Location::caller())
    }

    /// [`wait_while`](Condvar::wait_while) for at most `limit` altogether.
    ///
    /// # On timeout
    /// `TimedOut` if the condition still holds then.
    #[track_caller]
    pub fn wait_while_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
        limit: Duration,
    ) -> Result<(), WaitError> {
        self.wait_while_within(guard, condition, Limit::For(limit), Location::caller())
    }

    /// [`wait_while_for`](Condvar::wait_while_for), with the limit as a point in time.
    #[track_caller]
    pub fn wait_while_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
        limit: Instant,
    ) -> Result<(), WaitError> {
        self.wait_while_within(guard, condition, Limit::Until(limit), Location::caller())
    }

    fn wait_while_within<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        limit: Limit,
        site: Site,
    ) -> Result<(), WaitError> {
        // One deadline for all rounds.
        let limit = limit.deadline().map_or(Limit::Never, Limit::Until);
        let mut timed_out = false;
        while condition(&mut **guard) {
            if timed_out {
                return Err(WaitError::TimedOut); // counts only if the condition still holds
            }
            match self.wait_as(Kind::Condvar, guard, limit, site) {
                Err(WaitError::TimedOut) => timed_out = true,
                other => other?,
            }
        }
        Ok(())
    }

    /// [`wait`](Condvar::wait), for something whose waits are of another kind.
    pub(crate) fn wait_as<T: ?Sized>(
        &self,
        kind: Kind,
        guard: &mut MutexGuard<'_, T>,
        limit: Limit,
        site: Site,
    ) -> Result<(), WaitError> {
        let mutex = guard.raw();
        let mut released = false;
        let wait = Wait::new(kind, self, site, limit.deadline());
        let outcome = park_with(
            key_of(self),
            &wait,
            || {
                self.label.change(WAITERS, 0);
                true
            },
            || {
                mutex.unlock();
                released = true;
            },
            |left| self.note_left(left),
        );
        if released {
            mutex.lock_unfailing(Kind::Mutex, site.into());
        }
        outcome.settle().map(drop)
    }

    fn note_left(&self, left: bool) {
        if !left {
            self.label.change(0, WAITERS);
        }
    }

    /// Wakes the thread that has waited longest; tells whether there was one. Costs a load when
    /// nobody waits. The mutex need not be held.
    #[inline]
    pub fn notify_one(&self) -> bool {
        self.has_waiters() && self.notify_one_slow()
    }

    /// Wakes all threads that wait now; tells how many.
    #[inline]
    pub fn notify_all(&self) -> usize {
        if self.has_waiters() { self.notify_all_slow() } else { 0 }
    }

    #[inline(always)]
    fn has_waiters(&self) -> bool {
        // A waiter sets the flag before it releases the mutex; who has held the mutex since then
        // sees it, and for others there is no "before".
        self.label.flags(Ordering::Relaxed) != 0
    }

    #[cold]
    fn notify_one_slow(&self) -> bool {
        unpark_one(key_of(self), 0, |done| self.note_left(done.left)).granted > 0
    }

    #[cold]
    fn notify_all_slow(&self) -> usize {
        unpark_all(key_of(self), 0, |done| self.note_left(done.left)).granted
    }
}

impl Default for Condvar {
    #[track_caller]
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("label", &format_args!("{}", self.label)).finish_non_exhaustive()
    }
}

/// Anybody may notify: a condvar has no owner.
impl Subject for Condvar {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }
}
