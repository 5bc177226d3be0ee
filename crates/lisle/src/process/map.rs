//! `map` of a pool of processes.
#![forbid(unsafe_code)]

use super::pool::ProcessPoolExecutor;
use crate::executor::{Failure, Function, Future, FutureError, SubmitError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// The results of [`map`](ProcessPoolExecutor::map), in order. Dropping it cancels what has not begun.
#[must_use = "nothing is called before the iterator is asked"]
pub struct ProcessMap<'pool, A, R, I> {
    pool: &'pool ProcessPoolExecutor,
    function: Function<A, R>,
    items: Option<I>,
    under_way: VecDeque<Result<Future<R>, SubmitError>>,
    limit: Option<Duration>,
    deadline: Option<Instant>,
}

impl<'pool, A, R, I> ProcessMap<'pool, A, R, I> {
    pub(super) fn new(pool: &'pool ProcessPoolExecutor, function: Function<A, R>, items: I) -> Self {
        ProcessMap { pool, function, items: Some(items), under_way: VecDeque::new(), limit: None, deadline: None }
    }

    /// How long all results may take, from when the iterator is first asked.
    ///
    /// # On timeout
    /// The iterator gives [`FutureError::TimedOut`], then no more, and what has not begun is cancelled.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn give_up(&mut self) {
        self.items = None;
        for future in self.under_way.drain(..).flatten() {
            future.cancel();
        }
    }
}

impl<A, R, I> Iterator for ProcessMap<'_, A, R, I>
where
    A: Serialize + 'static,
    R: DeserializeOwned + Send + 'static,
    I: Iterator<Item = A>,
{
    type Item = Result<R, FutureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(limit) = self.limit.take() {
            self.deadline = Instant::now().checked_add(limit);
        }
        while let Some(items) = &mut self.items
            && self.under_way.len() < 4 * self.pool.max_workers()
        {
            let submitted = items.next().map(|item| self.pool.call_within(self.function, item, self.deadline));
            if !matches!(submitted, Some(Ok(_))) {
                self.items = None;
            }
            self.under_way.extend(submitted);
        }
        let result = match self.under_way.pop_front()? {
            Ok(future) => {
                let result = match self.deadline {
                    Some(deadline) => future.result_until(deadline),
                    None => future.result(),
                };
                if result.is_err() {
                    future.cancel();
                }
                result
            }
            Err(SubmitError::TimedOut) => Err(FutureError::TimedOut),
            Err(SubmitError::Interrupted) => Err(FutureError::Interrupted),
            Err(SubmitError::Deadlocked(report)) => Err(FutureError::Deadlocked(report)),
            Err(SubmitError::Broken(failure)) => Err(FutureError::Failed(failure)),
            Err(error) => Err(FutureError::Failed(Failure::new(error))),
        };
        if result.is_err() {
            self.give_up();
        }
        Some(result)
    }
}

impl<A, R, I> Drop for ProcessMap<'_, A, R, I> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<A, R, I> fmt::Debug for ProcessMap<'_, A, R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessMap").field("under_way", &self.under_way.len()).finish_non_exhaustive()
    }
}
