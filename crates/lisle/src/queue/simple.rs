//! `SimpleQueue`: hand-over and nothing else.

use super::bolt::Caller;
use super::fifo::Fifo;
use super::gate::Gate;
use super::store::Items;
use super::{GetError, News};
use crate::park::sys::const_fn;
use crate::park::{Kind, Label, Limit, Site};
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// A queue without bound, tasks or end: [`put`](SimpleQueue::put) never fails and never waits for
/// other threads' doings. What is put first is got first.
///
/// # Fairness
/// That of [`Queue`](super::Queue#fairness).
///
/// # Examples
/// ```
/// use lisle::queue::SimpleQueue;
///
/// static LINES: SimpleQueue<String> = SimpleQueue::new();
///
/// std::thread::spawn(|| LINES.put("hello".to_owned()));
/// assert_eq!(LINES.get().unwrap(), "hello");
/// ```
pub struct SimpleQueue<T> {
    items: Fifo<T>,
    getters: Gate,
    label: Label,
}

impl<T> SimpleQueue<T> {
    const_fn! {
        /// An empty queue. Reports call it by the place of this call.
        #[track_caller]
        pub const fn new() -> SimpleQueue<T> {
            let label = Label::new(Location::caller());
            SimpleQueue { items: Fifo::new(usize::MAX), getters: Gate::new(), label }
        }
    }

    /// The same queue, which reports call by `name`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> SimpleQueue<T> {
        self.label = Label::named(name.into(), self.label.site());
        self
    }

    /// Puts an item in.
    #[inline]
    #[track_caller]
    pub fn put(&self, item: T) {
        let news = News(&self.getters);
        if self.items.put(item, self.caller(Location::caller())).is_err() {
            unreachable!("a queue without bound or end has room");
        }
        drop(news);
    }

    /// Gets the next item, waiting for one as long as it takes.
    ///
    /// # On interrupt
    /// [`GetError::Interrupted`]. If there was an item at the same moment it is got, and the
    /// interrupt stays pending.
    ///
    /// # Errors
    /// `Interrupted` is the only one.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Result<T, GetError> {
        self.get_within(Limit::Never, Location::caller())
    }

    /// Gets the next item if there is one.
    ///
    /// # Errors
    /// [`GetError::Empty`].
    #[inline]
    #[track_caller]
    pub fn try_get(&self) -> Result<T, GetError> {
        self.items.take(self.caller(Location::caller())).ok_or(GetError::Empty)
    }

    /// [`get`](SimpleQueue::get) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// [`GetError::TimedOut`]; the queue is as if the call had not been.
    #[inline]
    #[track_caller]
    pub fn get_for(&self, limit: Duration) -> Result<T, GetError> {
        self.get_within(Limit::For(limit), Location::caller())
    }

    /// [`get_for`](SimpleQueue::get_for), with the limit as a point in time.
    #[inline]
    #[track_caller]
    pub fn get_until(&self, limit: Instant) -> Result<T, GetError> {
        self.get_within(Limit::Until(limit), Location::caller())
    }

    /// How many items are in at this moment, which may be over when the caller looks.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no item is in at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    fn caller(&self, site: Site) -> Caller<'_> {
        Caller { queue: &self.label, site }
    }

    #[inline(always)]
    fn get_within(&self, limit: Limit, site: Site) -> Result<T, GetError> {
        match self.items.take(self.caller(site)) {
            Some(item) => Ok(item),
            None => self.get_slow(limit, site),
        }
    }

    #[cold]
    fn get_slow(&self, limit: Limit, site: Site) -> Result<T, GetError> {
        let caller = self.caller(site);
        let length = || self.items.len_at_most();
        let mut wait = caller.wait(Kind::QueueGet, limit);
        wait.length = Some(&length);
        self.getters.wait(wait, |_| self.items.take(caller), || self.items.len_at_most() == 0).map_err(GetError::of)
    }
}

// As of `Queue`.
impl<T> UnwindSafe for SimpleQueue<T> {}
impl<T> RefUnwindSafe for SimpleQueue<T> {}

impl<T> Default for SimpleQueue<T> {
    #[track_caller]
    fn default() -> SimpleQueue<T> {
        SimpleQueue::new()
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue")
            .field("label", &format_args!("{}", self.label))
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
