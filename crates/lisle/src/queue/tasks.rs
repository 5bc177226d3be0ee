//! What became of the items: tasks done, and the end of a queue.

use super::gate::Gate;
use super::store::{Store, lead};
use super::{Queue, TaskDoneError};
use crate::park::sys::{self, atomic::AtomicUsize, atomic::Ordering, const_fn};
use crate::park::{Kind, Limit, Site, WaitError};
use std::panic::Location;
use std::time::{Duration, Instant};

/// What [`Queue::shutdown`] does with the items that are in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// They can still be got.
    Drain,
    /// They are dropped, and count as done.
    Immediate,
}

/// The count of tasks done. On cache lines of its own: workers write it for each item.
#[repr(align(128))]
pub(super) struct Tasks {
    /// Never more than the items put so far.
    done: AtomicUsize,
    /// Where threads wait for there being as many.
    joiners: Gate,
}

impl Tasks {
    const_fn! {
        pub(super) const fn new() -> Tasks {
            Tasks { done: AtomicUsize::new(0), joiners: Gate::new() }
        }
    }
}

impl<T, S: Store<T>> Queue<T, S> {
    /// How many items were put for which [`task_done`](Queue::task_done) was not called.
    pub fn unfinished(&self) -> usize {
        lead(|| self.store.puts(), || self.tasks.done.load(Ordering::Acquire))
    }

    /// Whether there are none, at a moment during this call.
    fn all_is_done(&self) -> bool {
        // In this order: there are never more done than put.
        let done = self.tasks.done.load(Ordering::Acquire);
        self.store.puts() == done
    }

    /// Says that the work for one item is done. Whoever [`join`](Queue::join)s the queue waits for
    /// as many calls as there were items put.
    ///
    /// # Errors
    /// If it was called for all items put so far.
    ///
    /// ```
    /// let queue = lisle::queue::Queue::new();
    /// queue.put("work").unwrap();
    /// let _work = queue.get().unwrap();
    /// queue.task_done().unwrap();
    /// queue.join().unwrap();
    /// assert!(queue.task_done().is_err());
    /// ```
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        match self.finish(1) {
            0 => Err(TaskDoneError),
            _ => Ok(()),
        }
    }

    /// How many items were ever put in.
    pub(crate) fn puts(&self) -> usize {
        self.store.puts()
    }

    /// Counts up to `count` tasks as done, but no more than there are; tells how many.
    fn finish(&self, count: usize) -> usize {
        let mut done = self.tasks.done.load(Ordering::Relaxed);
        let change = loop {
            let change = self.store.puts().wrapping_sub(done).min(count);
            let new = done.wrapping_add(change);
            match self.tasks.done.compare_exchange_weak(done, new, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => break change,
                Err(seen) => done = seen,
            }
        };
        sys::cheap_barrier();
        if self.tasks.joiners.is_awaited() {
            // Looked at under the bucket's lock: who began to wait after another put goes on.
            self.tasks.joiners.admit_while(|| self.all_is_done());
        }
        change
    }

    /// Waits until [`task_done`](Queue::task_done) was called for every item put.
    ///
    /// # On interrupt
    /// [`WaitError::Interrupted`].
    ///
    /// # Errors
    /// `Interrupted` is the only one.
    #[track_caller]
    pub fn join(&self) -> Result<(), WaitError> {
        self.join_within(Limit::Never, Location::caller())
    }

    /// [`join`](Queue::join) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// [`WaitError::TimedOut`]; tasks may be done all the same later.
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<(), WaitError> {
        self.join_within(Limit::For(limit), Location::caller())
    }

    /// [`join_for`](Queue::join_for), with the limit as a point in time.
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<(), WaitError> {
        self.join_within(Limit::Until(limit), Location::caller())
    }

    fn join_within(&self, limit: Limit, site: Site) -> Result<(), WaitError> {
        let must_wait = || !self.all_is_done();
        if !must_wait() {
            return Ok(());
        }
        // Who was admitted need not look again: all was done then, whatever was put since.
        let attempt = |admitted| (admitted || !must_wait()).then_some(());
        self.tasks.joiners.wait(self.caller(site).wait(Kind::QueueJoin, limit), attempt, must_wait)
    }

    /// Ends the queue: from now on nothing can be put. Threads that wait in `put` return
    /// [`PutError::ShutDown`](super::PutError::ShutDown) with their items, and threads that wait
    /// in `get` return [`GetError::ShutDown`](super::GetError::ShutDown) once the queue is empty.
    ///
    /// A second call does what the first has left to do.
    ///
    /// ```
    /// use lisle::queue::{Queue, Shutdown};
    ///
    /// let queue = Queue::new();
    /// queue.put(1).unwrap();
    /// queue.shutdown(Shutdown::Drain);
    /// assert_eq!(queue.put(2).unwrap_err().into_inner(), 2);
    /// assert_eq!(queue.get(), Ok(1));
    /// assert!(queue.get().unwrap_err().is_shut_down());
    /// ```
    #[track_caller]
    pub fn shutdown(&self, how: Shutdown) {
        let site = Location::caller();
        self.store.close(&self.closed, self.caller(site));
        let dropped = match how {
            Shutdown::Drain => Vec::new(),
            Shutdown::Immediate => self.take_many(usize::MAX, site).unwrap_or_default(),
        };
        self.finish(dropped.len());
        // Whoever is not in the lot by now finds the queue closed before it sleeps there.
        self.getters.admit(usize::MAX);
        self.putters.admit(usize::MAX);
    }

    /// Whether the queue was shut down.
    #[inline]
    pub fn is_shut_down(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Drops the items that are in, and counts them as done; tells how many.
    #[track_caller]
    pub fn clear(&self) -> usize {
        let dropped = self.take_many(usize::MAX, Location::caller()).unwrap_or_default();
        self.finish(dropped.len())
    }
}
