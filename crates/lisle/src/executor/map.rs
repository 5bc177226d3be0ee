//! `map`: one function over many items.

use super::failure::{Failure, FutureError, SubmitError};
use super::future::Future;
use super::pool::{Inner, ThreadPoolExecutor};
use crate::park::{Label, Limit, Site};
use crate::thread::hook::Panic;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl ThreadPoolExecutor {
    /// Calls `function` with each of the items and gives the results in the order of the items.
    ///
    /// It is lazy: items are taken, and calls submitted, when the iterator is first asked, and as many
    /// are kept under way as the workers need. Items are handed over in [chunks](Map::chunk_size).
    ///
    /// # Errors
    /// Each result is one of a call, as [`Future::result`] gives it. The first error ends the iterator.
    ///
    /// # Examples
    /// ```
    /// use lisle::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new();
    /// let squares: Result<Vec<u64>, _> = pool.map(0..1000, |n: u64| n * n).collect();
    /// assert_eq!(squares.unwrap()[31], 961);
    /// ```
    #[track_caller]
    pub fn map<I, F, R>(&self, items: I, function: F) -> Map<'_, I::IntoIter, F, R>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let items = items.into_iter();
        let workers = self.inner.crew.most();
        // As many chunks as are under way at a time, if it is known how many items there are.
        let chunk_size = (items.size_hint().0 / (4 * workers)).max(1);
        Map {
            pool: &self.inner,
            items: Some(items),
            function: Arc::new(function),
            under_way: VecDeque::new(),
            results: Vec::new().into_iter(),
            failure: None,
            chunk_size,
            ahead: 4 * workers,
            limit: Limit::Never,
            deadline: None,
            site: Location::caller(),
        }
    }
}

/// The results of [`map`](ThreadPoolExecutor::map), in order. Dropping it cancels what has not begun.
#[must_use = "nothing is called before the iterator is asked"]
pub struct Map<'pool, I, F, R>
where
    I: Iterator,
{
    pool: &'pool Arc<Inner>,
    /// Gone when there are no more, or no more are wanted.
    items: Option<I>,
    function: Arc<F>,
    under_way: VecDeque<Future<Chunk<R>>>,
    results: std::vec::IntoIter<R>,
    /// What the chunk ended with whose results are coming out.
    failure: Option<FutureError>,
    chunk_size: usize,
    ahead: usize,
    limit: Limit,
    deadline: Option<Instant>,
    site: Site,
}

/// The results of some items, and why there are no more.
struct Chunk<R> {
    results: Vec<R>,
    failure: Option<Failure>,
}

impl<I, F, R> Map<'_, I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    /// How many items are handed to a worker at a time; at least 1. Without this, as many as give each
    /// worker four chunks if the number of items is known, else 1.
    pub fn chunk_size(mut self, size: usize) -> Self {
        self.chunk_size = size.max(1);
        self
    }

    /// How many chunks are kept under way; at least 1. Without this, four for each worker there may be.
    pub fn ahead(mut self, chunks: usize) -> Self {
        self.ahead = chunks.max(1);
        self
    }

    /// How long all results may take, from when the iterator is first asked.
    ///
    /// # On timeout
    /// The iterator gives [`FutureError::TimedOut`], then no more, and what has not begun is cancelled.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Limit::For(limit);
        self
    }

    /// All results, or the first error. The same as collecting the iterator, and faster where a call is
    /// little work: results are moved by the chunk.
    ///
    /// # Errors
    /// As the iterator's.
    ///
    /// ```
    /// use lisle::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new();
    /// assert_eq!(pool.map(1..=3, |n| n * n).into_vec().unwrap(), [1, 4, 9]);
    /// ```
    pub fn into_vec(mut self) -> Result<Vec<R>, FutureError> {
        let mut all = Vec::with_capacity(self.items.as_ref().map_or(0, |items| items.size_hint().0));
        loop {
            all.extend(std::mem::take(&mut self.results));
            match self.next_chunk() {
                Some(chunk) => chunk?,
                None => return Ok(all),
            }
        }
    }

    /// Keeps as many chunks under way as there shall be.
    fn submit(&mut self) -> Result<(), FutureError> {
        while self.under_way.len() < self.ahead
            && let Some(items) = &mut self.items
        {
            let mut chunk = Vec::with_capacity(self.chunk_size.min(items.size_hint().0.max(1)));
            chunk.extend(items.take(self.chunk_size));
            if chunk.len() < self.chunk_size {
                self.items = None;
            }
            if chunk.is_empty() {
                return Ok(());
            }
            let function = self.function.clone();
            let call = move || run(chunk, &*function);
            let limit = self.deadline.map_or(Limit::Never, Limit::Until);
            self.under_way.push_back(self.pool.submit(call, Label::new(self.site), 0, limit).map_err(|error| {
                match error {
                    SubmitError::TimedOut => FutureError::TimedOut,
                    SubmitError::Interrupted => FutureError::Interrupted,
                    SubmitError::Deadlocked(report) => FutureError::Deadlocked(report),
                    error => FutureError::Failed(Failure::new(error)),
                }
            })?);
        }
        Ok(())
    }

    /// Makes the next chunk's results the present ones; `None` if there are no more.
    #[cold]
    fn next_chunk(&mut self) -> Option<Result<(), FutureError>> {
        if let Some(failure) = self.failure.take() {
            self.give_up();
            return Some(Err(failure));
        }
        if let Limit::For(_) = self.limit {
            self.deadline = self.limit.deadline();
            self.limit = Limit::Never;
        }
        if let Err(error) = self.submit() {
            // What is under way still counts; the error comes after it.
            self.items = None;
            self.failure = Some(error);
        }
        let Some(next) = self.under_way.pop_front() else {
            return self.failure.take().map(Err);
        };
        let limit = self.deadline.map_or(Limit::Never, Limit::Until);
        match next.result_within(limit, self.site) {
            Ok(Chunk { results, failure }) => {
                self.results = results.into_iter();
                if let Some(failure) = failure {
                    self.items = None;
                    self.failure = Some(FutureError::Failed(failure));
                }
                Some(Ok(()))
            }
            Err(error) => {
                let _ = next.cancel();
                self.give_up();
                Some(Err(error))
            }
        }
    }
}

impl<I: Iterator, F, R> Map<'_, I, F, R> {
    /// No more results are wanted.
    fn give_up(&mut self) {
        self.items = None;
        self.failure = None;
        for future in self.under_way.drain(..) {
            let _ = future.cancel();
        }
    }
}

/// Calls `function` with the items until it panics.
fn run<A, R>(items: Vec<A>, function: &impl Fn(A) -> R) -> Chunk<R> {
    let mut results = Vec::with_capacity(items.len());
    let outcome = catch_unwind(AssertUnwindSafe(|| results.extend(items.into_iter().map(function))));
    let failure = outcome.err().map(|payload| Failure::panicked(Panic::caught(payload)));
    Chunk { results, failure }
}

impl<I, F, R> Iterator for Map<'_, I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    type Item = Result<R, FutureError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(result) = self.results.next() {
                return Some(Ok(result));
            }
            match self.next_chunk()? {
                Ok(()) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.results.len(), None)
    }
}

impl<I: Iterator, F, R> Drop for Map<'_, I, F, R> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<I: Iterator, F, R> fmt::Debug for Map<'_, I, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("chunk_size", &self.chunk_size)
            .field("under_way", &self.under_way.len())
            .finish_non_exhaustive()
    }
}
