//! The end of a pool.

use super::function::Pending;
use super::pool::ThreadPoolExecutor;
use super::worker::RunningCall;
use crate::park::report::Report;
use crate::park::{Limit, Site, current};
use crate::thread::{JoinError, Thread};
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Why a shutdown did not see the end of all workers. The pool takes no more calls all the same.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The time limit passed first; these calls are still running.
    StillRunning(Vec<RunningCall>),
    /// Another thread interrupted this one.
    Interrupted,
    /// A worker waits for this thread: the report names who waits for whom.
    Deadlocked(Box<Report>),
    /// The calling thread is one of the workers, whose end it cannot wait for.
    Itself,
}

impl ShutdownError {
    /// The calls that are still running, if the time limit passed.
    pub fn still_running(&self) -> &[RunningCall] {
        match self {
            ShutdownError::StillRunning(calls) => calls,
            _ => &[],
        }
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShutdownError::StillRunning(calls) => {
                f.write_str("the time limit passed before all calls of the pool were over:")?;
                calls.iter().try_for_each(|call| write!(f, "\n  {call}"))
            }
            ShutdownError::Interrupted => {
                f.write_str("the wait for the pool's workers was interrupted by another thread")
            }
            ShutdownError::Deadlocked(report) => report.fmt(f),
            ShutdownError::Itself => f.write_str("a call cannot wait for the end of its own pool: use close()"),
        }
    }
}

impl Error for ShutdownError {}

impl ThreadPoolExecutor {
    /// Takes no more calls, has those that are pending run or cancels them, and does not wait.
    pub fn close(&self, pending: Pending) {
        self.inner.close(pending);
    }

    /// Takes no more calls, has those that are pending run, and waits until all are over and the
    /// workers have ended. Can be called again.
    ///
    /// # On interrupt
    /// `Interrupted`; the pool takes no more calls all the same.
    ///
    /// # Errors
    /// `Interrupted`, `Deadlocked`, or `Itself` if this is one of the pool's workers.
    #[track_caller]
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        self.shutdown_within(Pending::Run, Limit::Never, Location::caller())
    }

    /// [`shutdown`](ThreadPoolExecutor::shutdown) with a choice, waiting for at most `limit`;
    /// `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `StillRunning`, with what is running at that moment, by name.
    ///
    /// # Errors
    /// `StillRunning`, and those of `shutdown`.
    ///
    /// ```
    /// use lisle::executor::{Pending, ThreadPoolExecutor};
    /// use lisle::sync::Event;
    /// use std::time::Duration;
    ///
    /// static DONE: Event = Event::new();
    /// let pool = ThreadPoolExecutor::builder().name("loader").build().unwrap();
    /// let slow = pool.call().name("slow").submit(|| DONE.wait()).unwrap();
    /// # while !slow.is_running() { lisle::thread::yield_now() }
    /// let error = pool.shutdown_for(Pending::Cancel, Duration::from_millis(10)).unwrap_err();
    /// assert_eq!(error.still_running()[0].name.as_deref(), Some("slow"));
    /// DONE.set();
    /// pool.shutdown().unwrap();
    /// ```
    #[track_caller]
    pub fn shutdown_for(&self, pending: Pending, limit: Duration) -> Result<(), ShutdownError> {
        self.shutdown_within(pending, Limit::For(limit), Location::caller())
    }

    /// [`shutdown_for`](ThreadPoolExecutor::shutdown_for), with the limit as a point in time; one in
    /// the past means not to wait at all.
    #[track_caller]
    pub fn shutdown_until(&self, pending: Pending, limit: Instant) -> Result<(), ShutdownError> {
        self.shutdown_within(pending, Limit::Until(limit), Location::caller())
    }

    fn shutdown_within(&self, pending: Pending, limit: Limit, site: Site) -> Result<(), ShutdownError> {
        self.inner.close(pending);
        if self.inner.is_own_worker() {
            return Err(ShutdownError::Itself);
        }
        let limit = limit.deadline().map_or(Limit::Never, Limit::Until);
        while let Some(thread) = self.next_thread() {
            thread.join_within(limit, site).map_err(|error| match error {
                JoinError::TimedOut => ShutdownError::StillRunning(self.running()),
                JoinError::Interrupted => ShutdownError::Interrupted,
                JoinError::Deadlocked(report) => ShutdownError::Deadlocked(report),
                other => unreachable!("workers are started, and not this thread: {other}"),
            })?;
        }
        Ok(())
    }

    /// The calls that are running at this moment.
    pub fn running(&self) -> Vec<RunningCall> {
        let members = self.inner.crew.lock().members.clone();
        members.iter().filter_map(|member| member.running()).collect()
    }

    /// A worker whose thread has not finished.
    fn next_thread(&self) -> Option<Thread> {
        let mut roster = self.inner.crew.lock();
        roster.threads.retain(|thread| !thread.is_finished());
        roster.threads.iter().find(|thread| thread.record().ident() != current::ident()).cloned()
    }
}

/// A [`shutdown`](ThreadPoolExecutor::shutdown) that cannot fail: it is not interrupted, and if one of
/// the pool's own workers drops the pool, the others are waited for.
impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.inner.close(Pending::Run);
        while let Some(thread) = self.next_thread() {
            thread.join_unfailing(Location::caller());
        }
    }
}
