//! What can go wrong with a thread.

use super::hook::text_of;
use crate::park::WaitError;
use crate::park::report::Report;
use std::any::Any;
use std::{error, fmt, io};

/// Why a thread could not be joined, or what it left instead of a value.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The time limit passed first.
    TimedOut,
    /// Another thread called [`interrupt`](super::Thread::interrupt) on this one.
    Interrupted,
    /// The thread could never have ended: it waits for this one. The report names the cycle.
    Deadlocked(Box<Report>),
    /// The thread has not been started.
    NotStarted,
    /// The thread tried to join itself.
    Itself,
    /// The thread has ended, but its value or panic was given to an earlier join.
    Taken,
    /// The thread panicked; this is the payload.
    Panicked(Box<dyn Any + Send + 'static>),
    /// The thread did not come along into this process, which was forked while it ran.
    Lost,
}

impl JoinError {
    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, JoinError::TimedOut)
    }

    /// Whether the joining thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, JoinError::Interrupted)
    }

    /// Whether the joined thread panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }

    /// The report, if joining was a deadlock.
    pub fn deadlock(&self) -> Option<&Report> {
        match self {
            JoinError::Deadlocked(report) => Some(report),
            _ => None,
        }
    }

    /// As the payload that [`JoinHandle::join`](super::JoinHandle::join) returns: a panic's own,
    /// for the rest the error itself.
    pub(super) fn into_payload(self) -> Box<dyn Any + Send + 'static> {
        match self {
            JoinError::Panicked(payload) => payload,
            error => Box::new(error),
        }
    }
}

impl From<WaitError> for JoinError {
    fn from(error: WaitError) -> JoinError {
        match error {
            WaitError::TimedOut => JoinError::TimedOut,
            WaitError::Interrupted => JoinError::Interrupted,
            WaitError::Deadlocked(report) => JoinError::Deadlocked(report),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JoinError::TimedOut => "the time limit passed before the thread ended",
            JoinError::Interrupted => "another thread interrupted the wait for the thread's end",
            JoinError::Deadlocked(report) => return report.fmt(f),
            JoinError::NotStarted => "the thread has not been started: call `start` before joining it",
            JoinError::Itself => "a thread cannot join itself: it would wait for ever",
            JoinError::Taken => "the thread's result was taken by an earlier join: it comes out once",
            JoinError::Panicked(payload) => return write!(f, "the thread panicked: {}", text_of(&**payload)),
            JoinError::Lost => "the thread is not in this process: it was lost when the process forked",
        })
    }
}

impl error::Error for JoinError {}

/// Why a thread could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It has been started before. A thread runs once.
    AlreadyStarted,
    /// The system could not make it, for the reason given. It is as before the call.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::AlreadyStarted => {
                f.write_str("the thread has been started before: threads run once, make another")
            }
            StartError::System(reason) => write!(f, "the system could not make the thread: {reason}"),
        }
    }
}

impl error::Error for StartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            StartError::AlreadyStarted => None,
            StartError::System(reason) => Some(reason),
        }
    }
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> io::Error {
        match error {
            StartError::System(reason) => reason,
            again => io::Error::other(again),
        }
    }
}

/// Whether a thread is a daemon is settled when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DaemonError(pub(super) ());

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a started thread stays or stays not a daemon: use `Builder::daemon`, or `set_daemon` before `start`",
        )
    }
}

impl error::Error for DaemonError {}
