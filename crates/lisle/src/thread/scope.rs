//! Threads that borrow.
#![forbid(unsafe_code)]

use super::builder::Builder;
use super::error::JoinError;
use super::handle::{Thread, unfailing, wait_for};
use super::join_handle::JoinHandle;
use super::packet::Mourner;
use crate::park::record::{Life, Shared};
use crate::park::sys::PlainLock;
use crate::park::{Limit, Site};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A place for threads that may borrow from outside of it, because they all finish before
/// [`scope`](scope()) returns.
pub struct Scope<'scope, 'env: 'scope> {
    /// Threads that may not have finished. Under a lock that cannot fail, because what they borrow
    /// depends on all being here.
    running: PlainLock<Vec<Shared>>,
    /// Whether one panicked and nobody took it.
    panicked: Arc<AtomicBool>,
    // Both lifetimes are invariant: a longer or shorter one would let threads borrow what goes
    // before the scope ends.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Calls `f` with a scope in which it can start threads that borrow, waits until they have all
/// finished, and returns what `f` returned.
///
/// The wait can neither be interrupted nor fail: the threads' borrows end here.
///
/// # Panics
/// If a thread of the scope panicked and its handle was not joined, or if `f` does.
///
/// # Examples
/// ```
/// use lisle::thread;
///
/// let mut numbers = [1, 2, 3, 4];
/// let (left, right) = numbers.split_at_mut(2);
/// thread::scope(|s| {
///     s.spawn(|| left.reverse());
///     s.spawn(|| right.reverse());
/// });
/// assert_eq!(numbers, [2, 1, 4, 3]);
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        running: PlainLock::new(Vec::new()),
        panicked: Arc::new(AtomicBool::new(false)),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.wait_for_all(Location::caller());
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.panicked.load(Ordering::Relaxed) => panic!("a scoped thread panicked"),
        Ok(value) => value,
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a thread that calls `f`, which may borrow what outlives the scope, and start further
    /// threads in it.
    ///
    /// # Panics
    /// If the system cannot make the thread; [`Builder::spawn_scoped`] returns an error.
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f).expect("failed to spawn thread")
    }

    /// Has `spawn` start a thread, for which the scope will wait.
    pub(super) fn adopt<T>(
        &'scope self,
        spawn: impl FnOnce(Mourner) -> io::Result<JoinHandle<T>>,
    ) -> io::Result<ScopedJoinHandle<'scope, T>> {
        let handle = spawn(Mourner::Scope(self.panicked.clone()))?;
        let mut running = self.running.lock();
        if running.len() == running.capacity() {
            running.retain(|record| record.life() != Life::Finished);
        }
        running.push(handle.thread().record().clone());
        Ok(ScopedJoinHandle { handle, scope: PhantomData })
    }

    fn wait_for_all(&self, site: Site) {
        // A thread that starts another enters it before it finishes itself: when the list is
        // empty there is none left.
        while let Some(record) = self.next() {
            while wait_for(&record, Life::Finished, Limit::Never, site, unfailing).is_err() {}
        }
    }

    fn next(&self) -> Option<Shared> {
        self.running.lock().pop()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("panicked", &self.panicked).finish_non_exhaustive()
    }
}

/// The right to the value of a scope's thread, as [`JoinHandle`] is for others.
///
/// Like that, it is joined by reference, any number of times; the value, or the panic, comes out
/// once.
///
/// # Examples
/// ```
/// use lisle::thread;
///
/// let text = String::from("one two three");
/// let words = thread::scope(|s| s.spawn(|| text.split(' ').count()).join().unwrap());
/// assert_eq!(words, 3);
/// ```
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// The thread.
    pub fn thread(&self) -> &Thread {
        self.handle.thread()
    }

    /// Whether the thread has not finished.
    pub fn is_alive(&self) -> bool {
        self.handle.is_alive()
    }

    /// Whether the thread has finished, so that joining it does not block.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits until the thread has finished and returns its value.
    ///
    /// # On interrupt
    /// The error is a [`JoinError::Interrupted`]; the thread can be joined again.
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    #[track_caller]
    pub fn join(&self) -> super::Result<T> {
        self.handle.join()
    }

    /// [`join`](ScopedJoinHandle::join) for at most `limit`.
    ///
    /// # On timeout
    /// `TimedOut`; the thread can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`JoinHandle::join_for`].
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<T, JoinError> {
        self.handle.join_for(limit)
    }

    /// [`join_for`](ScopedJoinHandle::join_for), with the limit as a point in time.
    ///
    /// # On timeout
    /// `TimedOut`; the thread can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`JoinHandle::join_for`].
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<T, JoinError> {
        self.handle.join_until(limit)
    }

    /// The thread's value, if it has finished.
    ///
    /// # Errors
    /// As [`JoinHandle::try_join`].
    pub fn try_join(&self) -> Result<T, JoinError> {
        self.handle.try_join()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("thread", self.thread()).finish_non_exhaustive()
    }
}
