//! Several items at a time.

use super::gate::Gate;
use super::store::Store;
use super::{Fifo, GetError, News, PutManyError, Queue};
use crate::park::{Limit, Site, current};
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

impl<T, S: Store<T>> Queue<T, S> {
    /// Puts all items of an iterator in, one after the other, waiting for room where there is
    /// none; tells how many. Other threads' items may come in between.
    ///
    /// # On interrupt
    /// As in [`put`](Queue::put): what was put before is in.
    ///
    /// # Errors
    /// Those of `put`, with the item that was not put. The iterator is asked for no more then: an
    /// iterator that is given by reference keeps the rest.
    ///
    /// ```
    /// let queue = lisle::queue::Queue::bounded(2);
    /// let mut letters = "abcd".chars();
    /// let stopped = queue.try_put_many(&mut letters).unwrap_err();
    /// assert_eq!((stopped.put, stopped.error.into_inner()), (2, 'c'));
    /// assert_eq!(letters.as_str(), "d");
    /// ```
    #[track_caller]
    pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<usize, PutManyError<T>> {
        self.put_many_within(items, Limit::Never, Location::caller())
    }

    /// [`put_many`](Queue::put_many) without waiting.
    ///
    /// # Errors
    /// Those of [`try_put`](Queue::try_put).
    #[track_caller]
    pub fn try_put_many(&self, items: impl IntoIterator<Item = T>) -> Result<usize, PutManyError<T>> {
        let mut put = 0;
        for item in items {
            self.try_put(item).map_err(|error| PutManyError { put, error })?;
            put += 1;
        }
        Ok(put)
    }

    /// [`put_many`](Queue::put_many) for at most `limit` altogether.
    ///
    /// # On timeout
    /// As in [`put_for`](Queue::put_for): what was put before is in.
    #[track_caller]
    pub fn put_many_for(&self, items: impl IntoIterator<Item = T>, limit: Duration) -> Result<usize, PutManyError<T>> {
        self.put_many_within(items, Limit::For(limit), Location::caller())
    }

    /// [`put_many_for`](Queue::put_many_for), with the limit as a point in time.
    #[track_caller]
    pub fn put_many_until(&self, items: impl IntoIterator<Item = T>, limit: Instant) -> Result<usize, PutManyError<T>> {
        self.put_many_within(items, Limit::Until(limit), Location::caller())
    }

    fn put_many_within(
        &self,
        items: impl IntoIterator<Item = T>,
        limit: Limit,
        site: Site,
    ) -> Result<usize, PutManyError<T>> {
        // One deadline for all.
        let limit = limit.deadline().map_or(Limit::Never, Limit::Until);
        let mut put = 0;
        for item in items {
            self.put_within(item, limit, site).map_err(|error| PutManyError { put, error })?;
            put += 1;
        }
        Ok(put)
    }

    /// Gets the next items, at most `max`, waiting until there is one. They are taken at once: no
    /// other thread gets one in between.
    ///
    /// # On interrupt
    /// As in [`get`](Queue::get).
    ///
    /// # Errors
    /// Those of `get`. For a `max` of 0 the answer is an empty vector at once.
    ///
    /// ```
    /// let queue = lisle::queue::Queue::new();
    /// queue.put_many(1..=5).unwrap();
    /// assert_eq!(queue.get_many(3).unwrap(), [1, 2, 3]);
    /// assert_eq!(queue.get_many(3).unwrap(), [4, 5]);
    /// ```
    #[track_caller]
    pub fn get_many(&self, max: usize) -> Result<Vec<T>, GetError> {
        self.get_many_within(max, Limit::Never, Location::caller())
    }

    /// [`get_many`](Queue::get_many) without waiting.
    ///
    /// # Errors
    /// Those of [`try_get`](Queue::try_get).
    #[track_caller]
    pub fn try_get_many(&self, max: usize) -> Result<Vec<T>, GetError> {
        let site = Location::caller();
        self.or_shut_down(|| self.take_many(max, site)).unwrap_or(Err(GetError::Empty))
    }

    /// [`get_many`](Queue::get_many) for at most `limit`.
    ///
    /// # On timeout
    /// As in [`get_for`](Queue::get_for).
    #[track_caller]
    pub fn get_many_for(&self, max: usize, limit: Duration) -> Result<Vec<T>, GetError> {
        self.get_many_within(max, Limit::For(limit), Location::caller())
    }

    /// [`get_many_for`](Queue::get_many_for), with the limit as a point in time.
    #[track_caller]
    pub fn get_many_until(&self, max: usize, limit: Instant) -> Result<Vec<T>, GetError> {
        self.get_many_within(max, Limit::Until(limit), Location::caller())
    }

    fn get_many_within(&self, max: usize, limit: Limit, site: Site) -> Result<Vec<T>, GetError> {
        match self.take_many(max, site) {
            Some(items) => Ok(items),
            None => self.get_slow(limit, site, || self.take_many(max, site)),
        }
    }

    /// Gets what is there, at most `max` items, and wakes as many putters.
    pub(super) fn take_many(&self, max: usize, site: Site) -> Option<Vec<T>> {
        let expected = self.store.len_at_most().min(max);
        let mut items = Vec::with_capacity(expected);
        if expected > 0 {
            let passed_on = News(&self.getters); // as in `take`
            self.store.take_many(expected, &mut items, self.caller(site));
            std::mem::forget(passed_on);
        }
        wake(&self.putters, items.len());
        (max == 0 || !items.is_empty()).then_some(items)
    }

    /// The items as they come, until the queue is shut down and empty.
    ///
    /// # On interrupt
    /// The iteration ends, and the interrupt stays pending:
    /// [`interrupted`](crate::thread::interrupted) tells this end from the other.
    pub fn iter(&self) -> Iter<'_, T, S> {
        Iter { queue: self }
    }
}

#[inline]
fn wake(gate: &Gate, count: usize) {
    if count > 0 && gate.is_awaited() {
        gate.admit(count);
    }
}

/// The items of a queue as they come; see [`Queue::iter`].
pub struct Iter<'a, T, S = Fifo<T>> {
    queue: &'a Queue<T, S>,
}

impl<T, S: Store<T>> fmt::Debug for Iter<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.queue).finish()
    }
}

impl<T, S: Store<T>> Iterator for Iter<'_, T, S> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        let got = self.queue.get();
        if got.as_ref().is_err_and(GetError::is_interrupted) {
            current::with(|me| me.interrupt());
        }
        got.ok()
    }
}

impl<'a, T, S: Store<T>> IntoIterator for &'a Queue<T, S> {
    type Item = T;
    type IntoIter = Iter<'a, T, S>;

    fn into_iter(self) -> Iter<'a, T, S> {
        self.iter()
    }
}
