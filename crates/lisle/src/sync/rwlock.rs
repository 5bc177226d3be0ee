//! `RwLock`: a value that many threads read or one writes.

use super::mutex::fail;
use super::raw_rwlock::{Hold, RawRwLock};
use crate::park::sys::const_fn;
use crate::park::{Label, Limit, Spot, WaitError};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::{Duration, Instant};

/// A value that any number of threads may read at a time, or one thread write.
///
/// # Differences from [`std::sync::RwLock`]
/// - [`read`](RwLock::read) and [`write`](RwLock::write) give the guard itself: there is no poison.
/// - It can be locked with a time limit, and interrupted.
/// - Locking it in a deadlock panics with a report that names the threads and locks, instead of
///   hanging. That includes the one that is easily overlooked: a thread which reads and wants to
///   read once more, while another waits to write and so keeps new readers out.
/// - It may be given a [name](RwLock::named) for such reports.
/// - A guard for writing can become one for [reading](RwLockWriteGuard::downgrade).
///
/// # Fairness
/// Readers that come while a thread sleeps until it may write wait behind it, and when the lock is
/// released the readers that have waited longest go on together, up to the next writer. Else a
/// thread that comes at the right moment may get the lock before those that sleep for it; those
/// that have waited longest are handed the lock once they have waited for a millisecond, at most
/// once in each millisecond.
///
/// # Examples
/// ```
/// use lisle::sync::RwLock;
///
/// static LIMITS: RwLock<Vec<u32>> = RwLock::new(Vec::new());
///
/// LIMITS.write().push(3);
/// let one = LIMITS.read();
/// let other = LIMITS.read();
/// assert_eq!(one.len() + other.len(), 2);
/// assert!(LIMITS.try_write().is_none());
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: UnsafeCell<T>,
}

// SAFETY: many threads may have `&T` at a time (`Sync`), and one may have `&mut T` and with it take
// the value out (`Send`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: moving the lock moves the value and words without a tie to a thread.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

impl<T> RwLock<T> {
    const_fn! {
        /// A lock around `value`. Reports call it by the place of this call.
        #[track_caller]
        pub const fn new(value: T) -> RwLock<T> {
            RwLock { raw: RawRwLock::new(Label::new(Location::caller())), value: UnsafeCell::new(value) }
        }
    }

    /// A lock that reports call by `name`.
    #[track_caller]
    pub fn named(value: T, name: impl Into<String>) -> RwLock<T> {
        let label = Label::named(name.into(), Location::caller());
        RwLock { raw: RawRwLock::new(label), value: UnsafeCell::new(value) }
    }

    /// The value, out of the lock that is given up.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    #[inline(always)]
    fn reading(&self, hold: Hold) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { lock: self, hold, stays_here: PhantomData }
    }

    #[inline(always)]
    fn writing(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { lock: self, stays_here: PhantomData }
    }

    /// Locks for reading, waiting while another thread writes or sleeps until it may. An interrupt
    /// does not end the wait and stays pending.
    ///
    /// # Panics
    /// In a deadlock, with the [`Report`](crate::Report) as the message.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.raw.read(Location::caller().into()) {
            Ok(hold) => self.reading(hold),
            Err(error) => fail(&error),
        }
    }

    /// Locks for reading if that takes no waiting.
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_read(Location::caller().into()).map(|hold| self.reading(hold))
    }

    /// Locks for reading, waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the lock is as if the call had not been.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise. If the lock was handed over at the same moment that counts, and
    /// the interrupt stays pending.
    ///
    /// # Errors
    /// The two, and `Deadlocked`, which a wait with a real limit never is.
    #[inline]
    #[track_caller]
    pub fn read_for(&self, limit: Duration) -> Result<RwLockReadGuard<'_, T>, WaitError> {
        self.raw.read_within(Limit::For(limit), Location::caller().into()).map(|hold| self.reading(hold))
    }

    /// [`read_for`](RwLock::read_for), with the limit as a point in time; one in the past means
    /// not to wait at all.
    #[inline]
    #[track_caller]
    pub fn read_until(&self, limit: Instant) -> Result<RwLockReadGuard<'_, T>, WaitError> {
        self.raw.read_within(Limit::Until(limit), Location::caller().into()).map(|hold| self.reading(hold))
    }

    /// Locks for reading without a limit, but with an error where [`read`](RwLock::read) panics,
    /// and an ear for interrupts.
    #[inline]
    #[track_caller]
    pub fn read_interruptible(&self) -> Result<RwLockReadGuard<'_, T>, WaitError> {
        self.raw.read_within(Limit::Never, Location::caller().into()).map(|hold| self.reading(hold))
    }

    /// Locks for writing, waiting until nobody else reads or writes. An interrupt does not end
    /// the wait and stays pending.
    ///
    /// # Panics
    /// In a deadlock, with the [`Report`](crate::Report) as the message; writing what the thread
    /// itself reads is the simplest one.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        if let Err(error) = self.raw.write(Location::caller().into()) {
            fail(&error);
        }
        self.writing()
    }

    /// Locks for writing if that takes no waiting.
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_write(Location::caller().into()).then(|| self.writing())
    }

    /// Locks for writing, waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the lock is as if the call had not been, and readers that waited behind it go
    /// on.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise. If the lock was handed over at the same moment that counts, and
    /// the interrupt stays pending.
    ///
    /// # Errors
    /// The two, and `Deadlocked`, which a wait with a real limit never is.
    #[inline]
    #[track_caller]
    pub fn write_for(&self, limit: Duration) -> Result<RwLockWriteGuard<'_, T>, WaitError> {
        self.raw.write_within(Limit::For(limit), Location::caller().into()).map(|()| self.writing())
    }

    /// [`write_for`](RwLock::write_for), with the limit as a point in time; one in the past means
    /// not to wait at all.
    #[inline]
    #[track_caller]
    pub fn write_until(&self, limit: Instant) -> Result<RwLockWriteGuard<'_, T>, WaitError> {
        self.raw.write_within(Limit::Until(limit), Location::caller().into()).map(|()| self.writing())
    }

    /// Locks for writing without a limit, but with an error where [`write`](RwLock::write) panics,
    /// and an ear for interrupts.
    #[inline]
    #[track_caller]
    pub fn write_interruptible(&self) -> Result<RwLockWriteGuard<'_, T>, WaitError> {
        self.raw.write_within(Limit::Never, Location::caller().into()).map(|()| self.writing())
    }

    /// For embedders: [`read_until`](RwLock::read_until), of a place of their own.
    pub(crate) fn read_at(&self, limit: Limit, at: Spot) -> Result<RwLockReadGuard<'_, T>, WaitError> {
        self.raw.read_within(limit, at).map(|hold| self.reading(hold))
    }

    /// Likewise [`try_read`](RwLock::try_read).
    pub(crate) fn try_read_at(&self, at: Spot) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_read(at).map(|hold| self.reading(hold))
    }

    /// Likewise [`write_until`](RwLock::write_until).
    pub(crate) fn write_at(&self, limit: Limit, at: Spot) -> Result<RwLockWriteGuard<'_, T>, WaitError> {
        self.raw.write_within(limit, at).map(|()| self.writing())
    }

    /// Likewise [`try_write`](RwLock::try_write).
    pub(crate) fn try_write_at(&self, at: Spot) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_write(at).then(|| self.writing())
    }

    /// Whether any thread reads or writes at this moment, which may be over when the caller looks.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// Whether a thread writes at this moment, which may be over when the caller looks.
    pub fn is_write_locked(&self) -> bool {
        self.raw.is_write_locked()
    }

    /// The value, without locking: `&mut self` says that nobody else is here.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RwLock");
        match self.try_read() {
            Some(guard) => out.field("value", &&*guard),
            None => out.field("value", &format_args!("<locked>")),
        };
        out.field("label", &format_args!("{}", self.raw.label())).finish()
    }
}

/// The right to read a [`RwLock`]'s value; given back when dropped.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    hold: Hold,
    /// That a thread reads is recorded with the thread: the guard must not leave it.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

/// The right to write a [`RwLock`]'s value; given back when dropped.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    /// The lock belongs to the thread that locked it: the guard must not leave it.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes on reading what was written: other readers may come in, writers may not come between.
    pub fn downgrade(guard: RwLockWriteGuard<'a, T>) -> RwLockReadGuard<'a, T> {
        let lock = guard.lock;
        std::mem::forget(guard);
        lock.reading(lock.raw.downgrade())
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: while the guard lives nobody writes, hence no `&mut T` is about.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock alone while the guard lives, and `&self` says that no
        // `&mut T` of the guard's is about.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock alone while the guard lives, and `&mut self` says
        // that nothing else of the guard's is about.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.raw.unlock_read(self.hold);
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.raw.unlock_write();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
