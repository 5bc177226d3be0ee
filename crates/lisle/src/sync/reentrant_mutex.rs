//! `ReentrantMutex`: a mutex that its holder may lock again.

use super::mutex::fail;
use super::reentrant_lock::ReentrantLock;
use crate::park::sys::const_fn;
use crate::park::{Kind, Label, Limit, Site, WaitError};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Mutual exclusion that the thread which has it may enter again: a call that holds the mutex may
/// call another that locks it too. It is free when each lock has been released.
///
/// # Differences from [`Mutex`](super::Mutex)
/// - Locking it again never waits. So a thread may have several guards at a time, and a guard
///   gives out `&T` only; put a [`Cell`](std::cell::Cell) or a [`RefCell`](std::cell::RefCell) inside.
/// - [`depth`](ReentrantMutex::depth) tells how often the calling thread has locked it.
///
/// # Fairness
/// As of [`Mutex`](super::Mutex).
///
/// # Examples
/// ```
/// use lisle::sync::ReentrantMutex;
/// use std::cell::Cell;
///
/// static TOTAL: ReentrantMutex<Cell<u64>> = ReentrantMutex::new(Cell::new(0));
///
/// fn add(amount: u64) {
///     let total = TOTAL.lock();
///     total.set(total.get() + amount);
/// }
///
/// let total = TOTAL.lock();
/// add(2);
/// add(3);
/// assert_eq!(total.get(), 5);
/// ```
pub struct ReentrantMutex<T: ?Sized> {
    lock: ReentrantLock,
    value: T,
}

// SAFETY: the value is reached by the holding thread alone, which may be any: sharing the mutex asks
// of `T` no more than moving it from thread to thread.
unsafe impl<T: ?Sized + Send> Sync for ReentrantMutex<T> {}

impl<T> ReentrantMutex<T> {
    const_fn! {
        /// A mutex around `value`. Reports call it by the place of this call.
        #[track_caller]
        pub const fn new(value: T) -> ReentrantMutex<T> {
            ReentrantMutex { lock: ReentrantLock::labelled(Label::new(Location::caller())), value }
        }
    }

    /// A mutex that reports call by `name`.
    #[track_caller]
    pub fn named(value: T, name: impl Into<String>) -> ReentrantMutex<T> {
        let label = Label::named(name.into(), Location::caller());
        ReentrantMutex { lock: ReentrantLock::labelled(label), value }
    }

    /// The value, out of the mutex that is given up.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    #[inline(always)]
    fn guard(&self) -> ReentrantMutexGuard<'_, T> {
        ReentrantMutexGuard { mutex: self, stays_here: PhantomData }
    }

    /// Locks, waiting as long as another thread holds it. An interrupt does not end the wait and
    /// stays pending.
    ///
    /// # Panics
    /// In a deadlock with other threads, with the [`Report`](crate::Report) as the message. When
    /// the thread has locked it 2³² times.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        if !self.lock.take_again()
            && let Err(error) = self.lock.raw().lock(Kind::ReentrantMutex, Location::caller().into())
        {
            fail(&error);
        }
        self.guard()
    }

    /// Locks if no other thread holds it.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<ReentrantMutexGuard<'_, T>> {
        self.lock.try_acquire_at(Location::caller().into()).then(|| self.guard())
    }

    /// Locks, waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the mutex is as if the call had not been.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise. If the lock was granted at the same moment, or the thread held it
    /// anyway, that counts and the interrupt stays pending.
    ///
    /// # Errors
    /// The two, and `Deadlocked`, which a wait with a real limit never is.
    #[inline]
    #[track_caller]
    pub fn lock_for(&self, limit: Duration) -> Result<ReentrantMutexGuard<'_, T>, WaitError> {
        self.lock_within(Limit::For(limit), Location::caller())
    }

    /// [`lock_for`](ReentrantMutex::lock_for), with the limit as a point in time; one in the past
    /// means not to wait at all.
    #[inline]
    #[track_caller]
    pub fn lock_until(&self, limit: Instant) -> Result<ReentrantMutexGuard<'_, T>, WaitError> {
        self.lock_within(Limit::Until(limit), Location::caller())
    }

    /// Locks without a limit, but with an error where [`lock`](ReentrantMutex::lock) panics, and
    /// an ear for interrupts.
    #[inline]
    #[track_caller]
    pub fn lock_interruptible(&self) -> Result<ReentrantMutexGuard<'_, T>, WaitError> {
        self.lock_within(Limit::Never, Location::caller())
    }

    #[inline(always)]
    fn lock_within(&self, limit: Limit, site: Site) -> Result<ReentrantMutexGuard<'_, T>, WaitError> {
        self.lock.acquire_within(limit, site)?;
        Ok(self.guard())
    }

    /// Whether any thread holds it at this moment, which may be over when the caller looks.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Whether the calling thread holds it.
    #[inline(always)]
    pub fn is_owned_by_current(&self) -> bool {
        self.lock.is_owned_by_current()
    }

    /// How often the calling thread has locked it and not released it yet.
    pub fn depth(&self) -> u32 {
        self.lock.depth()
    }

    /// The value, without locking: `&mut self` says that nobody else is here.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Default> Default for ReentrantMutex<T> {
    #[track_caller]
    fn default() -> ReentrantMutex<T> {
        ReentrantMutex::new(T::default())
    }
}

impl<T> From<T> for ReentrantMutex<T> {
    #[track_caller]
    fn from(value: T) -> ReentrantMutex<T> {
        ReentrantMutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ReentrantMutex");
        match self.try_lock() {
            Some(guard) => out.field("value", &&*guard),
            None => out.field("value", &format_args!("<locked>")),
        };
        out.field("label", &format_args!("{}", self.lock.raw().label())).finish()
    }
}

/// The right to a [`ReentrantMutex`]'s value; takes back one lock when dropped.
#[must_use = "the mutex is released at once if the guard is not kept"]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    mutex: &'a ReentrantMutex<T>,
    /// The mutex belongs to the thread that locked it: the guard must not leave it.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for ReentrantMutexGuard<'_, T> {}

impl<'a, T: ?Sized> ReentrantMutexGuard<'a, T> {
    /// Takes back one lock; if it was the last, hands the mutex to the thread that has waited
    /// longest for it, if any.
    pub fn unlock_fair(guard: ReentrantMutexGuard<'a, T>) {
        if guard.mutex.lock.is_last() {
            guard.mutex.lock.raw().unlock_fair();
        }
        std::mem::forget(guard);
    }

    /// The mutex this guards.
    pub fn mutex(guard: &ReentrantMutexGuard<'a, T>) -> &'a ReentrantMutex<T> {
        guard.mutex
    }
}

impl<T: ?Sized> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.mutex.value
    }
}

impl<T: ?Sized> Drop for ReentrantMutexGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.mutex.lock.is_last() {
            self.mutex.lock.raw().unlock();
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::spawn;
    use super::*;
    use std::cell::Cell;
    use std::sync::Arc;

    #[test]
    fn is_free_when_each_lock_was_released() {
        let mutex = Arc::new(ReentrantMutex::new(0));
        let guards = [mutex.lock(), mutex.try_lock().unwrap(), mutex.lock_for(Duration::ZERO).unwrap()];
        assert_eq!(mutex.depth(), 3);
        for (left, guard) in [2, 1, 0].into_iter().zip(guards) {
            let other = mutex.clone();
            assert!(spawn(move || other.try_lock().is_none() && other.depth() == 0).join());
            drop(guard);
            assert_eq!(mutex.depth(), left);
        }
        let other = mutex.clone();
        assert!(spawn(move || other.try_lock().is_some()).join());
    }

    #[test]
    fn a_thread_that_waits_gets_it_after_the_last_release() {
        let mutex = Arc::new(ReentrantMutex::new(Cell::new(1)));
        let outer = mutex.lock();
        let inner = mutex.lock();
        let other = mutex.clone();
        let waiter = spawn(move || other.lock().get());
        waiter.falls_asleep();
        drop(outer);
        assert!(waiter.is_asleep(), "one lock is left");
        inner.set(2);
        ReentrantMutexGuard::unlock_fair(inner);
        assert_eq!(waiter.join(), 2);
    }

    #[test]
    fn gives_up_at_its_limit_or_when_interrupted() {
        let mutex = Arc::new(ReentrantMutex::new(()));
        let guard = mutex.lock();
        let other = mutex.clone();
        let timed = spawn(move || other.lock_for(Duration::from_millis(1)).map(drop));
        assert!(timed.join().unwrap_err().is_timed_out());
        let other = mutex.clone();
        let interrupted = spawn(move || other.lock_interruptible().map(drop));
        interrupted.falls_asleep();
        interrupted.record.interrupt();
        assert!(interrupted.join().unwrap_err().is_interrupted());
        drop(guard);
        assert!(!mutex.is_locked());
    }

    #[test]
    #[should_panic(expected = "locked 2³² times")]
    fn a_count_that_overflows_panics() {
        let mutex = ReentrantMutex::new(());
        let _guard = mutex.lock();
        mutex.lock.again.set(u32::MAX);
        let _ = mutex.lock();
    }

    #[test]
    fn a_panic_releases() {
        let mutex = Arc::new(ReentrantMutex::new(()));
        let other = mutex.clone();
        let died = std::thread::spawn(move || {
            let _outer = other.lock();
            let _inner = other.lock();
            panic!("expected");
        });
        assert!(died.join().is_err());
        assert!(mutex.try_lock().is_some() && !mutex.is_locked());
    }
}
