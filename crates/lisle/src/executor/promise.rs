//! `Promise`: the side from which a future is completed by hand.

use super::core::{Core, End, News};
use super::failure::{Failure, SetError};
use super::future::Future;
use crate::park::Label;
use crate::thread::hook::Panic;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// The side from which a [`Future`] is completed by hand, by any thread. If it is dropped before
/// that, the future fails as [abandoned](Failure::is_abandoned).
///
/// # Examples
/// ```
/// use lisle::executor::Promise;
///
/// let promise = Promise::new();
/// let future = promise.future();
/// let worker = lisle::thread::spawn(move || promise.set(42));
/// assert_eq!(future.result().unwrap(), 42);
/// worker.join().unwrap().unwrap();
/// ```
pub struct Promise<T: Send + 'static> {
    core: Arc<Core<T>>,
}

impl<T: Send + 'static> Promise<T> {
    /// A promise that reports call by the place of this call.
    #[track_caller]
    pub fn new() -> Promise<T> {
        Promise { core: Arc::new(Core::new(Label::new(Location::caller()), 0)) }
    }

    /// A promise that reports call by `name`.
    #[track_caller]
    pub fn named(name: impl Into<String>) -> Promise<T> {
        Promise { core: Arc::new(Core::new(Label::named(name.into(), Location::caller()), 0)) }
    }

    /// The future that is completed here.
    pub fn future(&self) -> Future<T> {
        Future::of(self.core.clone())
    }

    /// Says that the calling thread has begun to make the value: from now on the future cannot be
    /// cancelled, a wait for it depends on this thread, and
    /// [`Future::interrupt`] interrupts it. False if it was cancelled, or begun or done before.
    pub fn set_running(&self) -> bool {
        self.core.start()
    }

    /// Completes the future with a value.
    ///
    /// # Errors
    /// With the value, if the future is done already or was cancelled.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.end(End::Value(value)).map_err(|end| match end {
            End::Value(value) => SetError { value },
            _ => unreachable!("it comes back as it was"),
        })
    }

    /// Completes the future with a failure, such as another future gave.
    ///
    /// # Errors
    /// With the failure, if the future is done already or was cancelled.
    pub fn set_failure(&self, failure: Failure) -> Result<(), SetError<Failure>> {
        self.end(End::Failure(failure)).map_err(|end| match end {
            End::Failure(value) => SetError { value },
            _ => unreachable!("it comes back as it was"),
        })
    }

    /// Completes the future with an error of any kind instead of a value.
    ///
    /// # Errors
    /// As [`set_failure`](Promise::set_failure).
    ///
    /// ```
    /// use lisle::executor::Promise;
    ///
    /// let promise = Promise::<u32>::new();
    /// promise.set_error("the printer is on fire").unwrap();
    /// assert_eq!(promise.future().result().unwrap_err().to_string(), "the printer is on fire");
    /// ```
    pub fn set_error(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Result<(), SetError<Failure>> {
        self.set_failure(Failure::new(error))
    }

    /// [`set_failure`](Promise::set_failure) with a panic that was caught.
    ///
    /// # Errors
    /// As `set_failure`.
    pub fn set_panic(&self, payload: Box<dyn Any + Send>) -> Result<(), SetError<Failure>> {
        self.set_failure(Failure::panicked(Panic::caught(payload)))
    }

    fn end(&self, end: End<T>) -> Result<(), End<T>> {
        self.core.set(end).map(|news| self.tell(news))
    }

    fn tell(&self, news: News<T>) {
        news.tell(|| self.future());
    }
}

impl<T: Send + 'static> Default for Promise<T> {
    #[track_caller]
    fn default() -> Promise<T> {
        Promise::new()
    }
}

impl<T: Send + 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        if !self.core.is_done() {
            let _ = self.end(End::Failure(Failure::abandoned()));
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise")
            .field("label", &format_args!("{}", self.core.label))
            .field("state", &self.core.state())
            .finish_non_exhaustive()
    }
}
