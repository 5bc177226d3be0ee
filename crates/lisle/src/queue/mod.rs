//! Queues: where threads hand things to each other.
//!
//! | type | gives out first |
//! |---|---|
//! | [`Queue`] | what came first |
//! | [`LifoQueue`] | what came last |
//! | [`PriorityQueue`] | the smallest |
//! | [`SimpleQueue`] | what came first; without bound, tasks or end |
//!
//! A queue is shared by reference or in an `Arc`; there are no halves of it. Any thread may put
//! and any may get. The first three can be [bounded](Queue::bounded), count the
//! [tasks](Queue::task_done) that their items stand for, and be [shut down](Queue::shutdown).
//!
//! ```
//! use lisle::queue::{Queue, Shutdown};
//!
//! static JOBS: Queue<u32> = Queue::bounded(16);
//!
//! std::thread::scope(|scope| {
//!     let worker = || JOBS.iter().map(u64::from).sum::<u64>();
//!     let workers = [scope.spawn(worker), scope.spawn(worker)];
//!     JOBS.put_many(1..=100).unwrap();
//!     JOBS.shutdown(Shutdown::Drain);
//!     let sums = workers.map(|worker| worker.join().unwrap());
//!     assert_eq!(sums.iter().sum::<u64>(), 5050);
//! });
//! ```
//!
//! # Nothing is lost
//! An item that is put is got by exactly one call, or dropped with the queue or by
//! [`clear`](Queue::clear) or [`Shutdown::Immediate`]. An item that could not be put is in the
//! error. A call that timed out or was interrupted took nothing and left nothing behind.

mod bolt;
mod error;
mod fifo;
pub(crate) mod gate;
mod many;
#[cfg(all(test, loom))]
mod model;
mod ordered;
mod pile;
mod simple;
mod store;
mod tasks;
#[cfg(all(test, not(loom)))]
mod tests;

pub use error::{GetError, PutError, PutManyError, TaskDoneError};
pub use fifo::Fifo;
pub use many::Iter;
pub use ordered::{LifoQueue, PriorityQueue};
pub use pile::{Lifo, Smallest};
pub use simple::SimpleQueue;
pub use store::Store;
pub use tasks::Shutdown;

use crate::park::sys::{atomic::AtomicBool, const_fn};
use crate::park::{Kind, Label, Limit, Site};
use bolt::Caller;
use gate::Gate;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};
use tasks::Tasks;

/// A queue: what is put first is got first. [`LifoQueue`] and [`PriorityQueue`] are the same with
/// another order, and reach all of its methods.
///
/// # Differences from channels
/// - One object, not a sender and a receiver; what ends it is [`shutdown`](Queue::shutdown), not
///   the last handle that goes.
/// - Every call that blocks can be timed and interrupted, and is seen by reports.
/// - It counts what has been done: [`task_done`](Queue::task_done) and [`join`](Queue::join).
///
/// # Fairness
/// Threads that sleep in `get`, or in `put`, are woken in the order in which they went to sleep,
/// one for each item or place that comes free. A woken thread may find that one which never slept
/// was faster. It then looks around as that one does, and if it has to go to sleep again, it comes
/// before all others. How often in a row a thread may be too late has no bound.
///
/// # In the child of a fork
/// A queue works there unless another thread was using it at the moment of the fork: that thread may
/// have held the lock at one of its ends, which nobody gives back then, and the child would wait for
/// ever. New queues always work.
///
/// # Examples
/// ```
/// use lisle::queue::{GetError, PutError, Queue};
/// use std::time::Duration;
///
/// let queue = Queue::bounded(2).with_name("letters");
/// queue.put('a').unwrap();
/// queue.put('b').unwrap();
/// assert_eq!(queue.try_put('c'), Err(PutError::Full('c')));
/// assert_eq!(queue.get(), Ok('a'));
/// assert_eq!(queue.get(), Ok('b'));
/// assert_eq!(queue.get_for(Duration::from_millis(1)), Err(GetError::TimedOut));
/// ```
pub struct Queue<T, S = Fifo<T>> {
    store: S,
    /// Where threads wait for an item.
    getters: Gate,
    /// Where threads wait for room.
    putters: Gate,
    /// Set once, when the store is closed: what is in is all there will ever be.
    closed: AtomicBool,
    label: Label,
    tasks: Tasks,
    items: PhantomData<fn() -> T>,
}

impl<T, S> Queue<T, S> {
    const_fn! {
        const fn over(store: S, site: Site) -> Queue<T, S> {
            Queue {
                store,
                getters: Gate::new(),
                putters: Gate::new(),
                closed: AtomicBool::new(false),
                label: Label::new(site),
                tasks: Tasks::new(),
                items: PhantomData,
            }
        }
    }

    /// The same queue, which reports call by `name`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Queue<T, S> {
        self.label = Label::named(name.into(), self.label.site());
        self
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.label.name()
    }

    #[inline(always)]
    fn caller(&self, site: Site) -> Caller<'_> {
        Caller { queue: &self.label, site }
    }
}

/// The capacity of a bounded queue, checked.
const fn bound(capacity: usize) -> usize {
    assert!(capacity > 0, "a queue with room for 0 items could never take one: use bounded(1) or unbounded()");
    capacity
}

impl<T> Queue<T> {
    const_fn! {
        /// A queue with room for any number of items. Reports call it by the place of this call.
        #[track_caller]
        pub const fn new() -> Queue<T> {
            Queue::unbounded()
        }
    }

    const_fn! {
        /// [`new`](Queue::new), by a name that says more.
        #[track_caller]
        pub const fn unbounded() -> Queue<T> {
            Queue::over(Fifo::new(usize::MAX), Location::caller())
        }
    }

    const_fn! {
        /// A queue with room for `capacity` items, which `put` waits for. Memory is taken for the
        /// items that are in, not for the capacity.
        ///
        /// # Panics
        /// If `capacity` is 0.
        #[track_caller]
        pub const fn bounded(capacity: usize) -> Queue<T> {
            Queue::over(Fifo::new(bound(capacity)), Location::caller())
        }
    }
}

impl<T, S: Store<T>> Queue<T, S> {
    /// Puts an item in, waiting for room as long as it takes.
    ///
    /// # On interrupt
    /// [`PutError::Interrupted`] with the item. If there was room at the same moment the item is
    /// in, and the interrupt stays pending.
    ///
    /// # Errors
    /// `Interrupted`, or [`PutError::ShutDown`] if the queue was shut down, before or meanwhile.
    #[inline]
    #[track_caller]
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, Limit::Never, Location::caller())
    }

    /// Puts an item in if that takes no waiting.
    ///
    /// # Errors
    /// [`PutError::Full`] or [`PutError::ShutDown`], with the item.
    #[inline]
    #[track_caller]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.give(item, Location::caller()).map_err(|item| match self.is_shut_down() {
            true => PutError::ShutDown(item),
            false => PutError::Full(item),
        })
    }

    /// [`put`](Queue::put) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// [`PutError::TimedOut`] with the item.
    ///
    /// # Errors
    /// `TimedOut`, and those of `put`.
    #[inline]
    #[track_caller]
    pub fn put_for(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        self.put_within(item, Limit::For(limit), Location::caller())
    }

    /// [`put_for`](Queue::put_for), with the limit as a point in time; one in the past means not
    /// to wait at all.
    #[inline]
    #[track_caller]
    pub fn put_until(&self, item: T, limit: Instant) -> Result<(), PutError<T>> {
        self.put_within(item, Limit::Until(limit), Location::caller())
    }

    /// Gets the next item, waiting for one as long as it takes.
    ///
    /// # On interrupt
    /// [`GetError::Interrupted`]. If there was an item at the same moment it is got, and the
    /// interrupt stays pending.
    ///
    /// # Errors
    /// `Interrupted`, or [`GetError::ShutDown`] if the queue is empty and was shut down.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Result<T, GetError> {
        self.get_within(Limit::Never, Location::caller())
    }

    /// Gets the next item if there is one.
    ///
    /// # Errors
    /// [`GetError::Empty`] or [`GetError::ShutDown`].
    #[inline]
    #[track_caller]
    pub fn try_get(&self) -> Result<T, GetError> {
        let site = Location::caller();
        match self.take(site) {
            Some(item) => Ok(item),
            None => self.or_shut_down(|| self.take(site)).unwrap_or(Err(GetError::Empty)),
        }
    }

    /// [`get`](Queue::get) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// [`GetError::TimedOut`]; the queue is as if the call had not been.
    ///
    /// # Errors
    /// `TimedOut`, and those of `get`.
    #[inline]
    #[track_caller]
    pub fn get_for(&self, limit: Duration) -> Result<T, GetError> {
        self.get_within(Limit::For(limit), Location::caller())
    }

    /// [`get_for`](Queue::get_for), with the limit as a point in time; one in the past means not
    /// to wait at all.
    #[inline]
    #[track_caller]
    pub fn get_until(&self, limit: Instant) -> Result<T, GetError> {
        self.get_within(Limit::Until(limit), Location::caller())
    }

    /// How many items are in at this moment, which may be over when the caller looks.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether no item is in at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room at this moment.
    pub fn is_full(&self) -> bool {
        self.len() >= self.store.capacity()
    }

    /// How many items have room; `None` without a bound.
    pub fn capacity(&self) -> Option<usize> {
        Some(self.store.capacity()).filter(|&capacity| capacity != usize::MAX)
    }

    #[inline(always)]
    fn put_within(&self, item: T, limit: Limit, site: Site) -> Result<(), PutError<T>> {
        match self.give(item, site) {
            Ok(()) => Ok(()),
            Err(item) => self.put_slow(item, limit, site),
        }
    }

    #[inline(always)]
    fn get_within(&self, limit: Limit, site: Site) -> Result<T, GetError> {
        match self.take(site) {
            Some(item) => Ok(item),
            None => self.get_slow(limit, site, || self.take(site)),
        }
    }

    /// Puts an item in if there is room, and wakes a getter.
    #[inline(always)]
    fn give(&self, item: T, site: Site) -> Result<(), T> {
        // Also when a comparison panics, with the item in.
        let news = News(&self.getters);
        let given = self.store.put(item, self.caller(site));
        if given.is_err() {
            std::mem::forget(news);
        }
        given
    }

    /// Gets an item if there is one, and wakes a putter.
    #[inline(always)]
    fn take(&self, site: Site) -> Option<T> {
        // When a comparison panics the item is still in, for another getter.
        let passed_on = News(&self.getters);
        let item = self.store.take(self.caller(site));
        std::mem::forget(passed_on);
        let item = item?;
        drop(News(&self.putters));
        Some(item)
    }

    /// What `take` finds, or that nothing can come any more; `None` if something can.
    fn or_shut_down<R>(&self, take: impl FnOnce() -> Option<R>) -> Option<Result<R, GetError>> {
        // In this order: what was put before the end is found after having seen the end.
        let closed = self.is_shut_down();
        match take() {
            Some(taken) => Some(Ok(taken)),
            None => closed.then_some(Err(GetError::ShutDown)),
        }
    }

    /// Waits until `take` finds something.
    #[cold]
    fn get_slow<R>(&self, limit: Limit, site: Site, mut take: impl FnMut() -> Option<R>) -> Result<R, GetError> {
        let must_wait = || self.store.len_at_most() == 0 && !self.is_shut_down();
        let attempt = |_| self.or_shut_down(&mut take);
        let length = || self.store.len_at_most();
        let mut wait = self.caller(site).wait(Kind::QueueGet, limit);
        wait.length = Some(&length);
        self.store.rest_before_take();
        self.getters.wait(wait, attempt, must_wait).unwrap_or_else(|error| Err(GetError::of(error)))
    }

    #[cold]
    fn put_slow(&self, item: T, limit: Limit, site: Site) -> Result<(), PutError<T>> {
        let must_wait = || self.store.len_at_most() >= self.store.capacity() && !self.is_shut_down();
        let mut left = Some(item);
        let attempt = |_| {
            left = self.give(left.take()?, site).err();
            (left.is_none() || self.is_shut_down()).then_some(())
        };
        let length = || self.store.len_at_most();
        let mut wait = self.caller(site).wait(Kind::QueuePut, limit);
        wait.length = Some(&length);
        self.store.rest_before_put();
        let ended = self.putters.wait(wait, attempt, must_wait);
        match left {
            None => Ok(()),
            Some(item) => Err(match ended {
                Ok(()) => PutError::ShutDown(item),
                Err(error) => PutError::of(error, item),
            }),
        }
    }
}

/// Something has changed that one thread may wait for. It is told when this is dropped.
struct News<'a>(&'a Gate);

impl Drop for News<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.is_awaited() {
            self.0.admit(1);
        }
    }
}

// As the ends of std's channels: a queue holds items, and whatever panics, each is whole.
impl<T, S> UnwindSafe for Queue<T, S> {}
impl<T, S> RefUnwindSafe for Queue<T, S> {}

impl<T> Default for Queue<T> {
    #[track_caller]
    fn default() -> Queue<T> {
        Queue::new()
    }
}

impl<T, S: Store<T>> fmt::Debug for Queue<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("label", &format_args!("{}", self.label))
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("unfinished", &self.unfinished())
            .field("shut_down", &self.is_shut_down())
            .finish_non_exhaustive()
    }
}
