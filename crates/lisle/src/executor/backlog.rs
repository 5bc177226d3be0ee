//! The calls that are pending in a pool.

use super::task::Task;
use crate::park::sys::atomic::{AtomicU64, Ordering};
use crate::queue::{GetError, PriorityQueue, PutError, Queue, Shutdown};

/// A queue of calls: as they came, or the more urgent first.
#[expect(clippy::large_enum_variant, reason = "there is one in each pool, and the larger is the common one")]
pub(super) enum Backlog {
    Fifo(Queue<Task>),
    Ranked(PriorityQueue<Ranked>, AtomicU64),
}

/// A call with its place among the others.
pub(super) struct Ranked {
    priority: i32,
    number: u64,
    task: Task,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.number == other.number
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The smallest comes first: higher priorities, then earlier calls.
impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        other.priority.cmp(&self.priority).then(self.number.cmp(&other.number))
    }
}

macro_rules! either {
    ($self:expr, $queue:ident => $do:expr) => {
        match $self {
            Backlog::Fifo($queue) => $do,
            Backlog::Ranked($queue, _) => $do,
        }
    };
}

impl Backlog {
    pub(super) fn new(name: &str, most: Option<usize>, ranked: bool) -> Backlog {
        let name = format!("{name} calls");
        match (ranked, most) {
            (false, None) => Backlog::Fifo(Queue::unbounded().with_name(name)),
            (false, Some(most)) => Backlog::Fifo(Queue::bounded(most).with_name(name)),
            (true, None) => Backlog::Ranked(PriorityQueue::unbounded().with_name(name), AtomicU64::new(0)),
            (true, Some(most)) => Backlog::Ranked(PriorityQueue::bounded(most).with_name(name), AtomicU64::new(0)),
        }
    }

    #[inline(always)]
    pub(super) fn try_put(&self, task: Task, priority: i32) -> Result<(), PutError<Task>> {
        match self {
            Backlog::Fifo(queue) => queue.try_put(task),
            Backlog::Ranked(queue, numbers) => {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                queue.try_put(Ranked { priority, number, task }).map_err(|error| match error {
                    PutError::ShutDown(ranked) => PutError::ShutDown(ranked.task),
                    other => PutError::Full(other.into_inner().task),
                })
            }
        }
    }

    #[inline(always)]
    pub(super) fn try_get(&self) -> Result<Task, GetError> {
        match self {
            Backlog::Fifo(queue) => queue.try_get(),
            Backlog::Ranked(queue, _) => queue.try_get().map(|ranked| ranked.task),
        }
    }

    /// How many calls were ever put in.
    pub(super) fn puts(&self) -> usize {
        either!(self, queue => queue.puts())
    }

    pub(super) fn len(&self) -> usize {
        either!(self, queue => queue.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_full(&self) -> bool {
        either!(self, queue => queue.is_full())
    }

    pub(super) fn is_closed(&self) -> bool {
        either!(self, queue => queue.is_shut_down())
    }

    /// Takes no more calls; those that are in can be got.
    pub(super) fn close(&self) {
        either!(self, queue => queue.shutdown(Shutdown::Drain));
    }
}
