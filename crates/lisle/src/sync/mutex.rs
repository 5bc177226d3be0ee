//! `Mutex`: mutual exclusion that belongs to a thread.

use super::raw_mutex::RawMutex;
use crate::park::sys::const_fn;
use crate::park::{Kind, Label, Limit, Site, WaitError};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::{Duration, Instant};

/// Mutual exclusion around a value: whoever locks it has the value to itself until the guard goes.
///
/// # Differences from [`std::sync::Mutex`]
/// - [`lock`](Mutex::lock) gives the guard itself: there is no poison. A panic while the guard is
///   held releases the lock as any other way out of the scope does; the value stays as it is.
/// - It can be locked with a time limit, and interrupted.
/// - Locking it in a deadlock panics with a report that names the threads and locks, instead of
///   hanging. The forms that return a `Result` return the report.
/// - It may be given a [name](Mutex::named) for such reports.
///
/// # Fairness
/// A thread that comes at the right moment may get the lock before those that sleep for it. The
/// one that has waited longest is handed the lock once it has waited for a millisecond, at most
/// one in each millisecond; `n` waiting threads get it within about `n` milliseconds and the times
/// for which it is held. [`MutexGuard::unlock_fair`] hands it over at once.
///
/// # Examples
/// ```
/// use lisle::sync::Mutex;
/// use std::time::Duration;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
///
/// *TOTAL.lock() += 1;
/// let guard = TOTAL.lock();
/// assert!(TOTAL.try_lock().is_none());
/// assert!(TOTAL.lock_for(Duration::from_millis(1)).is_err_and(|e| e.is_timed_out()));
/// # drop(guard);
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time (the guard is exclusive), so sharing the
// mutex asks no more of `T` than moving it from thread to thread.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: moving the mutex moves the value and words without a tie to a thread.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    const_fn! {
        /// A mutex around `value`. Reports call it by the place of this call.
        #[track_caller]
        pub const fn new(value: T) -> Mutex<T> {
            Mutex { raw: RawMutex::new(Label::new(Location::caller())), value: UnsafeCell::new(value) }
        }
    }

    /// A mutex that reports call by `name`.
    #[track_caller]
    pub fn named(value: T, name: impl Into<String>) -> Mutex<T> {
        let label = Label::named(name.into(), Location::caller());
        Mutex { raw: RawMutex::new(label), value: UnsafeCell::new(value) }
    }

    /// The value, out of the mutex that is given up.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    #[inline(always)]
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, stays_here: PhantomData }
    }

    /// Locks, waiting as long as it takes. An interrupt does not end the wait and stays pending.
    ///
    /// # Panics
    /// In a deadlock, with the [`Report`](crate::Report) as the message; locking what the thread
    /// itself holds is the simplest one.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_as(Kind::Mutex, Location::caller())
    }

    /// [`lock`](Mutex::lock), for a primitive whose waits are of another kind.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn lock_as(&self, kind: Kind, site: Site) -> MutexGuard<'_, T> {
        if let Err(error) = self.raw.lock(kind, site.into()) {
            fail(&error);
        }
        self.guard()
    }

    /// Locks if that takes no waiting.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_lock(Location::caller().into()).then(|| self.guard())
    }

    /// Locks, waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the mutex is as if the call had not been.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise. If the lock was granted at the same moment, the grant counts and
    /// the interrupt stays pending.
    ///
    /// # Errors
    /// The two, and `Deadlocked`, which a wait with a real limit never is.
    #[inline]
    #[track_caller]
    pub fn lock_for(&self, limit: Duration) -> Result<MutexGuard<'_, T>, WaitError> {
        self.lock_within(Limit::For(limit), Location::caller())
    }

    /// [`lock_for`](Mutex::lock_for), with the limit as a point in time; one in the past means
    /// not to wait at all.
    #[inline]
    #[track_caller]
    pub fn lock_until(&self, limit: Instant) -> Result<MutexGuard<'_, T>, WaitError> {
        self.lock_within(Limit::Until(limit), Location::caller())
    }

    /// Locks without a limit, but with an error where [`lock`](Mutex::lock) panics, and an ear
    /// for interrupts.
    #[inline]
    #[track_caller]
    pub fn lock_interruptible(&self) -> Result<MutexGuard<'_, T>, WaitError> {
        self.lock_within(Limit::Never, Location::caller())
    }

    #[inline(always)]
    fn lock_within(&self, limit: Limit, site: Site) -> Result<MutexGuard<'_, T>, WaitError> {
        self.raw.lock_within(limit, Kind::Mutex, site.into()).map(|()| self.guard())
    }

    /// Whether any thread holds it at this moment, which may be over when the caller looks.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// The value, without locking: `&mut self` says that nobody else is here.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// What becomes of an error in a call that has no `Result`.
#[cold]
#[track_caller]
pub(super) fn fail(error: &WaitError) -> ! {
    panic!("{error}")
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(guard) => out.field("value", &&*guard),
            None => out.field("value", &format_args!("<locked>")),
        };
        out.field("label", &format_args!("{}", self.raw.label())).finish()
    }
}

/// The right to a [`Mutex`]'s value; releases it when dropped.
#[must_use = "the mutex is released at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// The mutex belongs to the thread that locked it: the guard must not leave it.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Releases the mutex and hands it to the thread that has waited longest for it, if any.
    pub fn unlock_fair(guard: MutexGuard<'a, T>) {
        guard.mutex.raw.unlock_fair();
        std::mem::forget(guard);
    }

    pub(super) fn raw(&self) -> &'a RawMutex {
        &self.mutex.raw
    }
}

impl<'a, T: ?Sized + Send> MutexGuard<'a, T> {
    /// The mutex this guards.
    // Only where the mutex may be shared: a guard can be, and must not give out what cannot.
    pub fn mutex(guard: &MutexGuard<'a, T>) -> &'a Mutex<T> {
        guard.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the mutex while the guard lives, and `&self` says that no
        // `&mut T` of the guard's is about.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the mutex while the guard lives, and `&mut self` says that
        // nothing else of the guard's is about.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
