//! Why a queue said no.

use crate::park::WaitError;
use std::fmt;

/// Why [`put`](super::Queue::put) and its family put nothing; the item comes back in it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError<T> {
    /// The queue is full, and the call was not to wait.
    Full(T),
    /// The queue was full until the time limit passed.
    TimedOut(T),
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted(T),
    /// The queue was shut down.
    ShutDown(T),
}

impl<T> PutError<T> {
    pub(super) fn of(error: WaitError, item: T) -> PutError<T> {
        match error {
            WaitError::TimedOut => PutError::TimedOut(item),
            WaitError::Interrupted => PutError::Interrupted(item),
            WaitError::Deadlocked(_) => unreachable!("a deadlock needs owners, and a queue has none"),
        }
    }

    /// The item that was to be put.
    pub fn into_inner(self) -> T {
        let (PutError::Full(item) | PutError::TimedOut(item) | PutError::Interrupted(item) | PutError::ShutDown(item)) =
            self;
        item
    }

    /// Whether the queue is full, and the call was not to wait.
    pub fn is_full(&self) -> bool {
        matches!(self, PutError::Full(_))
    }

    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, PutError::TimedOut(_))
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, PutError::Interrupted(_))
    }

    /// Whether the queue was shut down.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, PutError::ShutDown(_))
    }
}

/// Without the item, so that items need not be `Debug`.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "Full(..)",
            PutError::TimedOut(_) => "TimedOut(..)",
            PutError::Interrupted(_) => "Interrupted(..)",
            PutError::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "the queue is full",
            PutError::TimedOut(_) => "the queue was full until the time limit passed",
            PutError::Interrupted(_) => "the wait for room in the queue was interrupted by another thread",
            PutError::ShutDown(_) => "the queue was shut down",
        })
    }
}

impl<T> std::error::Error for PutError<T> {}

/// Why [`get`](super::Queue::get) and its family got nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GetError {
    /// The queue is empty, and the call was not to wait.
    Empty,
    /// The queue was empty until the time limit passed.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// The queue was shut down and is empty.
    ShutDown,
}

impl GetError {
    pub(super) fn of(error: WaitError) -> GetError {
        match error {
            WaitError::TimedOut => GetError::TimedOut,
            WaitError::Interrupted => GetError::Interrupted,
            WaitError::Deadlocked(_) => unreachable!("a deadlock needs owners, and a queue has none"),
        }
    }

    /// Whether the queue is empty, and the call was not to wait.
    pub fn is_empty(&self) -> bool {
        matches!(self, GetError::Empty)
    }

    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, GetError::TimedOut)
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, GetError::Interrupted)
    }

    /// Whether the queue was shut down and is empty.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, GetError::ShutDown)
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "the queue is empty",
            GetError::TimedOut => "the queue was empty until the time limit passed",
            GetError::Interrupted => "the wait for an item of the queue was interrupted by another thread",
            GetError::ShutDown => "the queue was shut down and is empty",
        })
    }
}

impl std::error::Error for GetError {}

/// Why [`put_many`](super::Queue::put_many) did not put everything. The iterator was asked for no
/// more than what was put and the one item in the error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PutManyError<T> {
    /// How many items were put before.
    pub put: usize,
    /// What became of the next one, and the item itself.
    pub error: PutError<T>,
}

/// Without the item, so that items need not be `Debug`.
impl<T> fmt::Debug for PutManyError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutManyError").field("put", &self.put).field("error", &self.error).finish()
    }
}

impl<T> fmt::Display for PutManyError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} items)", self.error, self.put)
    }
}

impl<T> std::error::Error for PutManyError<T> {}

/// [`task_done`](super::Queue::task_done) was called more often than items were put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TaskDoneError;

impl fmt::Display for TaskDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than items were put: call it once for each item got")
    }
}

impl std::error::Error for TaskDoneError {}
