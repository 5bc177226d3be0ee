//! `Future`: the handle on one call's result.

use super::core::{Core, Listener, Prospect, State, Watcher};
use super::failure::{Failure, FutureError};
use super::poll::Alarm;
use super::worker;
use crate::park::{Label, Limit, Site, WaitError};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What future handles share with who completes the future.
pub(super) trait Shared<T>: Send + Sync {
    fn core(&self) -> &Core<T>;

    /// Drops the call, which was cancelled before it began.
    fn discard(&self) {}

    /// Runs the call on the calling thread if it has not begun.
    fn run_here(self: Arc<Self>) {}
}

/// A future that nobody calls anything for: a promise's.
impl<T: Send> Shared<T> for Core<T> {
    fn core(&self) -> &Core<T> {
        self
    }
}

/// The handle on the result of a call that was submitted, or of a [`Promise`](super::Promise). Any
/// number of threads may wait for it, with limits; clone it, or share it by reference.
///
/// The value comes out once, by [`result`](Future::result), as from a
/// [`JoinHandle`](crate::thread::JoinHandle); [`cloned`](Future::cloned) leaves it where it is. A
/// [`Failure`] is the same for all who ask. Dropping the handle changes nothing for the call.
///
/// It is also a [`std::future::Future`], which can be `.await`ed under any runtime.
///
/// # Fairness
/// All who wait are released together; the first of them gets the value.
///
/// # Examples
/// ```
/// use lisle::executor::{FutureError, State, ThreadPoolExecutor};
/// use std::time::Duration;
///
/// let pool = ThreadPoolExecutor::new();
/// let answer = pool.submit(|| 6 * 7).unwrap();
/// answer.wait_for(Duration::from_secs(5)).unwrap();
/// assert_eq!(answer.state(), State::Finished);
/// assert_eq!(answer.cloned().unwrap(), 42);
/// assert_eq!(answer.result().unwrap(), 42);
/// assert!(matches!(answer.result(), Err(FutureError::Taken)));
/// ```
pub struct Future<T> {
    shared: Arc<dyn Shared<T>>,
    /// The waker of this handle, once it was polled.
    pub(super) alarm: Option<Arc<Alarm>>,
}

impl<T> Future<T> {
    #[inline(always)]
    pub(super) fn of(shared: Arc<dyn Shared<T>>) -> Future<T> {
        Future { shared, alarm: None }
    }

    #[inline(always)]
    pub(super) fn core(&self) -> &Core<T> {
        self.shared.core()
    }

    /// Where the call is. May be over when the caller looks, unless it is one of the last two.
    pub fn state(&self) -> State {
        self.core().state()
    }

    /// Whether a thread runs the call at this moment.
    pub fn is_running(&self) -> bool {
        self.state() == State::Running
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.state() == State::Cancelled
    }

    /// Whether the call has finished or was cancelled, so that waiting for it does not block.
    pub fn is_done(&self) -> bool {
        self.core().is_done()
    }

    /// The call's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.core().label.name()
    }

    /// Where the call was submitted.
    pub fn submitted_at(&self) -> &'static Location<'static> {
        self.core().label.site()
    }

    /// Cancels the call if it has not begun: it never will. Tells whether it is cancelled.
    ///
    /// What the call would have used is dropped here and now.
    ///
    /// ```
    /// use lisle::executor::{Promise, State};
    ///
    /// let promise = Promise::<u32>::new();
    /// let future = promise.future();
    /// assert!(future.cancel());
    /// assert_eq!(future.state(), State::Cancelled);
    /// ```
    pub fn cancel(&self) -> bool {
        match self.core().cancel() {
            Ok(news) => {
                self.shared.discard();
                news.tell(|| self.clone());
                true
            }
            Err(before) => before,
        }
    }

    /// Cancels the call; if it runs, [interrupts](crate::thread::Thread::interrupt) the thread that
    /// runs it. Tells whether it was still to be cancelled, or to be interrupted.
    ///
    /// A running call cannot be stopped, only asked: its present or next interruptible wait fails. If
    /// it takes notice of that, by such a wait or by [`interrupted`](crate::thread::interrupted), it
    /// ends as cancelled, whatever it returns. If it does not, its value stands.
    ///
    /// ```
    /// use lisle::executor::{FutureError, ThreadPoolExecutor};
    /// use lisle::queue::Queue;
    ///
    /// let pool = ThreadPoolExecutor::new();
    /// let future = pool.submit(|| Queue::<u32>::new().get()).unwrap();
    /// # while !future.is_running() { lisle::thread::yield_now() }
    /// assert!(future.interrupt());
    /// assert!(matches!(future.result(), Err(FutureError::Cancelled)));
    /// ```
    pub fn interrupt(&self) -> bool {
        self.cancel() || self.core().interrupt()
    }

    /// Has `callback` called when the call is done, on the thread that completes or cancels it; here
    /// and now if it is done already. Callbacks are called once each; those that came before it was done, in
    /// the order in which they came. A panic in one goes to the [`excepthook`](crate::thread::excepthook),
    /// and the next is called.
    ///
    /// A callback that blocks holds up the thread that runs it: a pool's worker, for one.
    ///
    /// ```
    /// use lisle::executor::Promise;
    /// use std::sync::mpsc;
    ///
    /// let (told, hears) = mpsc::channel();
    /// let promise = Promise::new();
    /// promise.future().add_done_callback(move |future| told.send(future.result().unwrap()).unwrap());
    /// promise.set(42).unwrap();
    /// assert_eq!(hears.recv(), Ok(42));
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&Future<T>) + Send + 'static) {
        self.watch(Watcher::Call(Box::new(callback)));
    }

    /// Has `watcher` told when the call is done; here and now if it is.
    pub(super) fn watch(&self, watcher: Watcher<T>) {
        if let Err((watcher, done)) = self.core().watch(watcher) {
            watcher.tell(self, done);
        }
    }
}

impl<T: Send> Future<T> {
    /// A future that has this value already.
    #[track_caller]
    pub fn ready(value: T) -> Future<T>
    where
        T: 'static,
    {
        Future::of(Arc::new(Core::done(Label::new(Location::caller()), value)))
    }

    /// Waits until the call is done, however it ends. Takes nothing.
    ///
    /// # On interrupt
    /// `Interrupted`; the call goes on.
    ///
    /// # Errors
    /// `Interrupted`, or `Deadlocked` if the call waits for this thread, or is pending in a pool whose
    /// every worker does.
    #[track_caller]
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_within(Limit::Never, Location::caller())
    }

    /// [`wait`](Future::wait) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the call goes on.
    ///
    /// # Errors
    /// `TimedOut`, and those of `wait`.
    #[track_caller]
    pub fn wait_for(&self, limit: Duration) -> Result<(), WaitError> {
        self.wait_within(Limit::For(limit), Location::caller())
    }

    /// [`wait_for`](Future::wait_for), with the limit as a point in time; one in the past means not to
    /// wait at all.
    #[track_caller]
    pub fn wait_until(&self, limit: Instant) -> Result<(), WaitError> {
        self.wait_within(Limit::Until(limit), Location::caller())
    }

    #[inline(always)]
    pub(super) fn wait_within(&self, limit: Limit, site: Site) -> Result<(), WaitError> {
        if self.is_done() {
            return Ok(());
        }
        self.help();
        self.core().wait(limit, site)
    }

    /// Runs the call here if this is a worker of its pool that is to do so rather than wait for it.
    #[inline]
    pub(super) fn help(&self) {
        if let Prospect::PendingIn(pool) = self.core().prospect()
            && worker::may_help(pool)
        {
            self.shared.clone().run_here();
        }
    }

    /// Waits until the call is done and takes its value.
    ///
    /// # On interrupt
    /// `Interrupted`; the call goes on, and its value can be taken later.
    ///
    /// # Errors
    /// - `Cancelled`, `Failed`: the call has no value.
    /// - `Taken`: it has, but it was given to an earlier caller.
    /// - `Interrupted`, `Deadlocked`: as [`wait`](Future::wait).
    /// - `Itself`: the calling thread runs the call.
    #[inline]
    #[track_caller]
    pub fn result(&self) -> Result<T, FutureError> {
        self.result_within(Limit::Never, Location::caller())
    }

    /// Takes the value if the call is done. Waits only while another thread [copies](Future::cloned) it.
    ///
    /// # Errors
    /// `NotDone`, and those of [`result`](Future::result) that are not about waiting.
    #[track_caller]
    pub fn try_result(&self) -> Result<T, FutureError> {
        self.core().take(Limit::Never, Location::caller())
    }

    /// [`result`](Future::result), waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the call goes on, and its value can be taken later.
    ///
    /// # Errors
    /// `TimedOut`, and those of `result`.
    #[track_caller]
    pub fn result_for(&self, limit: Duration) -> Result<T, FutureError> {
        self.result_within(Limit::For(limit), Location::caller())
    }

    /// [`result_for`](Future::result_for), with the limit as a point in time; one in the past means not
    /// to wait at all.
    #[track_caller]
    pub fn result_until(&self, limit: Instant) -> Result<T, FutureError> {
        self.result_within(Limit::Until(limit), Location::caller())
    }

    #[inline(always)]
    pub(super) fn result_within(&self, limit: Limit, site: Site) -> Result<T, FutureError> {
        let limit = self.settle(limit, site)?;
        self.core().take(limit, site)
    }

    /// [`wait`](Future::wait), for what comes next: it makes no sense from inside the call. What comes
    /// next may wait too, for what is left of the limit.
    #[inline(always)]
    fn settle(&self, limit: Limit, site: Site) -> Result<Limit, FutureError> {
        if self.is_done() {
            return Ok(limit);
        }
        if self.core().runs_here() {
            return Err(FutureError::Itself);
        }
        let limit = limit.deadline().map_or(Limit::Never, Limit::Until);
        self.wait_within(limit, site)?;
        Ok(limit)
    }

    /// Waits until the call is done and copies its value, which stays for others.
    ///
    /// # On interrupt
    /// `Interrupted`; the call goes on.
    ///
    /// # Errors
    /// As [`result`](Future::result).
    #[track_caller]
    pub fn cloned(&self) -> Result<T, FutureError>
    where
        T: Clone,
    {
        self.cloned_within(Limit::Never, Location::caller())
    }

    /// Copies the value if the call is done. Waits only while another thread copies it.
    ///
    /// # Errors
    /// As [`try_result`](Future::try_result).
    #[track_caller]
    pub fn try_cloned(&self) -> Result<T, FutureError>
    where
        T: Clone,
    {
        self.core().copy(Limit::Never, Location::caller())
    }

    /// [`cloned`](Future::cloned), waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the call goes on.
    ///
    /// # Errors
    /// `TimedOut`, and those of `cloned`.
    #[track_caller]
    pub fn cloned_for(&self, limit: Duration) -> Result<T, FutureError>
    where
        T: Clone,
    {
        self.cloned_within(Limit::For(limit), Location::caller())
    }

    /// [`cloned_for`](Future::cloned_for), with the limit as a point in time.
    #[track_caller]
    pub fn cloned_until(&self, limit: Instant) -> Result<T, FutureError>
    where
        T: Clone,
    {
        self.cloned_within(Limit::Until(limit), Location::caller())
    }

    fn cloned_within(&self, limit: Limit, site: Site) -> Result<T, FutureError>
    where
        T: Clone,
    {
        let limit = self.settle(limit, site)?;
        self.core().copy(limit, site)
    }

    /// Waits until the call is done and says what it failed with, if it did. Takes nothing.
    ///
    /// # On interrupt
    /// `Interrupted`; the call goes on.
    ///
    /// # Errors
    /// `Cancelled`, `Interrupted`, `Deadlocked`, `Itself`.
    #[track_caller]
    pub fn exception(&self) -> Result<Option<Failure>, FutureError> {
        self.exception_within(Limit::Never, Location::caller())
    }

    /// Says what the call failed with, if it is done and did.
    ///
    /// # Errors
    /// `NotDone` or `Cancelled`.
    pub fn try_exception(&self) -> Result<Option<Failure>, FutureError> {
        match self.state() {
            State::Cancelled => Err(FutureError::Cancelled),
            State::Finished => Ok(self.core().failure()),
            _ => Err(FutureError::NotDone),
        }
    }

    /// [`exception`](Future::exception), waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the call goes on.
    ///
    /// # Errors
    /// `TimedOut`, and those of `exception`.
    #[track_caller]
    pub fn exception_for(&self, limit: Duration) -> Result<Option<Failure>, FutureError> {
        self.exception_within(Limit::For(limit), Location::caller())
    }

    /// [`exception_for`](Future::exception_for), with the limit as a point in time.
    #[track_caller]
    pub fn exception_until(&self, limit: Instant) -> Result<Option<Failure>, FutureError> {
        self.exception_within(Limit::Until(limit), Location::caller())
    }

    fn exception_within(&self, limit: Limit, site: Site) -> Result<Option<Failure>, FutureError> {
        self.settle(limit, site)?;
        self.try_exception()
    }
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Future<T> {
        Future::of(self.shared.clone())
    }
}

/// A task that was dropped, or has its value, is not to be woken.
impl<T> Drop for Future<T> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            let alarm: Arc<dyn Listener> = alarm;
            self.core().unwatch(&alarm);
        }
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Future")
            .field("label", &format_args!("{}", self.core().label))
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
