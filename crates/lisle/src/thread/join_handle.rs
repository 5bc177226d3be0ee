//! `JoinHandle`: the right to a thread's result.
#![forbid(unsafe_code)]

use super::builder;
use super::error::{JoinError, StartError};
use super::handle::Thread;
use super::packet::Packet;
use crate::park::record::{Life, Shared};
use crate::park::{Limit, Site};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The right to a thread's value. There is one for each thread; share it by reference.
///
/// # Differences from [`std::thread::JoinHandle`]
/// - Joining borrows the handle: it can be done any number of times, by any number of threads, with
///   a time limit, and interrupted. The value, or the panic, comes out once.
/// - Dropping the handle detaches the thread, but the process still waits for it at its end unless
///   it is a daemon; and its panic, if it comes to that, goes to the
///   [`excepthook`](super::set_excepthook).
/// - It may be of a thread that is not started yet, see [`create`](super::create).
///
/// # Fairness
/// All who wait for a thread's end are released together; the first of them gets the value.
///
/// # Examples
/// ```
/// use lisle::thread::{self, JoinError};
/// use std::time::Duration;
///
/// let answer = thread::spawn(|| {
///     thread::park();
///     42
/// });
/// assert!(matches!(answer.join_for(Duration::from_millis(1)), Err(JoinError::TimedOut)));
/// answer.thread().unpark();
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
pub struct JoinHandle<T> {
    thread: Thread,
    packet: Arc<Packet<T>>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(record: Shared, packet: Arc<Packet<T>>) -> JoinHandle<T> {
        JoinHandle { thread: Thread::of(record), packet }
    }

    /// The thread.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Whether the thread has been started and has not finished.
    pub fn is_alive(&self) -> bool {
        self.thread.is_alive()
    }

    /// Whether the thread has finished, so that joining it does not block.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the thread has finished and returns its value.
    ///
    /// # On interrupt
    /// The error is a [`JoinError::Interrupted`]; the thread can be joined again.
    ///
    /// # Errors
    /// If the thread panicked, the panic's payload. All other errors are a boxed [`JoinError`]: it
    /// was taken before, the thread is the calling one or not started, the wait was interrupted or
    /// closed a deadlock.
    #[track_caller]
    pub fn join(&self) -> super::Result<T> {
        self.join_within(Limit::Never, Location::caller()).map_err(JoinError::into_payload)
    }

    /// [`join`](JoinHandle::join) for at most `limit`.
    ///
    /// # On timeout
    /// `TimedOut`; the thread can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// See [`JoinError`]; `Panicked` has the payload.
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<T, JoinError> {
        self.join_within(Limit::For(limit), Location::caller())
    }

    /// [`join_for`](JoinHandle::join_for), with the limit as a point in time.
    ///
    /// # On timeout
    /// `TimedOut`; the thread can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`join_for`](JoinHandle::join_for).
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<T, JoinError> {
        self.join_within(Limit::Until(limit), Location::caller())
    }

    /// The thread's value, if it has finished.
    ///
    /// # Errors
    /// As [`join_for`](JoinHandle::join_for); `TimedOut` if it has not finished.
    pub fn try_join(&self) -> Result<T, JoinError> {
        match self.thread.record().life() {
            Life::Finished => self.packet.claim(),
            Life::Initial => Err(JoinError::NotStarted),
            Life::Started | Life::Alive if self.thread == super::current() => Err(JoinError::Itself),
            Life::Started | Life::Alive => Err(JoinError::TimedOut),
        }
    }

    pub(super) fn join_within(&self, limit: Limit, site: Site) -> Result<T, JoinError> {
        self.thread.join_within(limit, site)?;
        self.packet.claim()
    }
}

impl<T: Send + 'static> JoinHandle<T> {
    /// Starts a thread that was made by [`create`](super::create) or
    /// [`Builder::create`](super::Builder::create).
    ///
    /// # Errors
    /// If it has been started before, or the system cannot make it; after the latter, `start` may
    /// be tried again.
    pub fn start(&self) -> Result<(), StartError> {
        builder::start(self.thread.record(), &self.packet)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.packet.abandon(&self.thread);
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}
