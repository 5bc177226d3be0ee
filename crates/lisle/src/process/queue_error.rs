//! Why a queue between processes said no.
#![forbid(unsafe_code)]

use crate::park::WaitError;
use std::{error, fmt};

/// Why nothing was put into a [`ProcessQueue`](super::ProcessQueue).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum QueuePutError {
    /// The queue is full, and the call was not to wait.
    Full,
    /// The queue was full until the time limit passed.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// The queue was shut down.
    ShutDown,
    /// The item cannot be serialised, for the reason given.
    NotSerialisable(String),
    /// The item takes more bytes than the queue has for all.
    TooLong {
        /// How many it takes.
        length: usize,
        /// How many there are.
        most: usize,
    },
}

impl QueuePutError {
    /// Whether the queue is full, and the call was not to wait.
    pub fn is_full(&self) -> bool {
        matches!(self, QueuePutError::Full)
    }

    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, QueuePutError::TimedOut)
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, QueuePutError::Interrupted)
    }

    /// Whether the queue was shut down.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, QueuePutError::ShutDown)
    }
}

const NO_OWNER_WAITS: &str = "who has a queue's lock does not wait, so no wait for it closes a cycle";

impl From<WaitError> for QueuePutError {
    fn from(error: WaitError) -> QueuePutError {
        match error {
            WaitError::TimedOut => QueuePutError::TimedOut,
            WaitError::Interrupted => QueuePutError::Interrupted,
            WaitError::Deadlocked(_) => unreachable!("{NO_OWNER_WAITS}"),
        }
    }
}

impl fmt::Display for QueuePutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QueuePutError::Full => "the queue is full",
            QueuePutError::TimedOut => "the queue was full until the time limit passed",
            QueuePutError::Interrupted => "the wait for room in the queue was interrupted by another thread",
            QueuePutError::ShutDown => "the queue was shut down",
            QueuePutError::NotSerialisable(reason) => return write!(f, "the item cannot be put: {reason}"),
            QueuePutError::TooLong { length, most } => {
                return write!(
                    f,
                    "the item takes {length} bytes and the queue has {most} for all: make it with more, by `with_bytes`"
                );
            }
        })
    }
}

impl error::Error for QueuePutError {}

/// Why nothing was got from a [`ProcessQueue`](super::ProcessQueue).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum QueueGetError {
    /// The queue is empty, and the call was not to wait.
    Empty,
    /// The queue was empty until the time limit passed.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// The queue was shut down and is empty.
    ShutDown,
    /// What was in is no item, for the reason given. It is thrown away.
    Garbage(String),
}

impl QueueGetError {
    /// Whether the queue is empty, and the call was not to wait.
    pub fn is_empty(&self) -> bool {
        matches!(self, QueueGetError::Empty)
    }

    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, QueueGetError::TimedOut)
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, QueueGetError::Interrupted)
    }

    /// Whether the queue was shut down and is empty.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, QueueGetError::ShutDown)
    }
}

impl From<WaitError> for QueueGetError {
    fn from(error: WaitError) -> QueueGetError {
        match error {
            WaitError::TimedOut => QueueGetError::TimedOut,
            WaitError::Interrupted => QueueGetError::Interrupted,
            WaitError::Deadlocked(_) => unreachable!("{NO_OWNER_WAITS}"),
        }
    }
}

impl fmt::Display for QueueGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QueueGetError::Empty => "the queue is empty",
            QueueGetError::TimedOut => "the queue was empty until the time limit passed",
            QueueGetError::Interrupted => "the wait for an item of the queue was interrupted by another thread",
            QueueGetError::ShutDown => "the queue was shut down and is empty",
            QueueGetError::Garbage(reason) => {
                return write!(f, "what was in the queue is no item of its type, and is thrown away: {reason}");
            }
        })
    }
}

impl error::Error for QueueGetError {}
