//! Calls that come later, once or again and again.
//!
//! A [`Timer`] is a thread that waits for its time and then makes a call. It can be cancelled and
//! put off while it waits, and joined like any thread; the call's value, or its panic, goes the way
//! of a thread's.
//!
//! ```
//! use lisle::timer::Timer;
//! use std::time::Duration;
//!
//! let greeting = Timer::new(Duration::from_millis(5), || "hello");
//! greeting.start().unwrap();
//! assert_eq!(greeting.join().unwrap(), Some("hello"));
//! ```
//!
//! # Again and again
//! | made by | the next call is due | a call that takes long |
//! |---|---|---|
//! | [`Timer::every`] | at the next beat; beat `n` is at the start + `n` periods, so nothing drifts | beats whose time comes before it has returned are missed: they are not made up for, but [counted](Beat::missed) |
//! | [`Timer::with_delay`] | a pause after the call before it has returned, so calls drift | puts off those after it |
//!
//! No two calls of a timer run at the same time. A call is never early, and as late as the system
//! is with waking the thread, which does not move the beats after it. The clock is the monotonic
//! one: setting the time of day changes nothing.
//!
//! # Who has many timers
//! has a thread for each, as in the model. That is what lets each take its time, be interrupted,
//! and be seen by its name.

// | file | what it knows |
// |---|---|
// | `clock` | when the next call is due, and who has changed that |
// | `alarm` | what the timer's thread does |

mod alarm;
mod clock;

pub use alarm::Repeat;
pub use clock::Beat;

use crate::thread::{self, Builder, JoinError, JoinHandle, StartError, Thread};
use alarm::{Once, Repeated};
use clock::{Clock, Pace};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A call after a delay, or again and again, on a thread of its own.
///
/// Its life is a thread's: made, [started](Timer::start), and finished when no call will come any
/// more. Dropping it detaches it: the calls still come, and the process waits for them unless the
/// thread is a daemon. Share it by reference.
///
/// What can be said of the thread is said by a [`Builder`]: [`timer`](Builder::timer),
/// [`timer_every`](Builder::timer_every), [`timer_with_delay`](Builder::timer_with_delay). Without
/// that the name is `Thread-N (function)`, or `Thread-N (timer)` for a closure. While it waits for
/// its time, reports and statistics show it as waiting for the [`Kind::Timer`](crate::Kind::Timer)
/// made at the line that made it.
///
/// # Differences from `threading.Timer`
/// - [`cancel`](Timer::cancel) tells whether it came in time.
/// - The time runs from [`start`](Timer::start), however long the thread takes to begin.
/// - The call's value comes out of [`join`](Timer::join), `None` if the timer was cancelled.
/// - It can be put off ([`reset`](Timer::reset)), repeat, and its call be
///   [interrupted](Timer::interrupt).
///
/// # Fairness
/// As [`JoinHandle`]: all who wait for the end are released together, the first gets the value.
///
/// # Examples
/// ```
/// use lisle::timer::Timer;
/// use std::time::Duration;
///
/// let alarm = Timer::new(Duration::from_secs(3600), || panic!("nobody came"));
/// alarm.start().unwrap();
/// assert!(alarm.reset(Duration::from_secs(7200))); // somebody was heard
/// assert!(alarm.cancel(), "and here they are, in time");
/// assert_eq!(alarm.join().unwrap(), None);
/// ```
pub struct Timer<T> {
    thread: JoinHandle<Option<T>>,
    clock: Arc<Clock>,
}

impl<T: Send + 'static> Timer<T> {
    /// A timer that calls `f` once, `delay` after its start; never if that is too long to be told as
    /// an instant (`Duration::MAX`), unless it is [reset](Timer::reset).
    #[track_caller]
    pub fn new<F>(delay: Duration, f: F) -> Timer<T>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        Builder::new().timer(delay, f)
    }

    /// A timer that calls `f` at each beat: at its start + `period`, + 2 × `period`, and so on.
    ///
    /// It ends when it is cancelled, or when `f` says so, see [`Repeat`]. A panic in `f` ends it too,
    /// and goes where a thread's panic goes. With a period of zero the calls follow each other
    /// without a pause, and no beat is missed.
    ///
    /// # Examples
    /// ```
    /// use lisle::timer::Timer;
    /// use std::ops::ControlFlow;
    /// use std::time::Duration;
    ///
    /// let mut calls = 0;
    /// let three = Timer::every(Duration::from_millis(2), move |beat| {
    ///     calls += 1;
    ///     assert!(beat.number() >= calls, "missed ones are counted");
    ///     if calls < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(calls) }
    /// });
    /// three.start().unwrap();
    /// assert_eq!(three.join().unwrap(), Some(3));
    /// ```
    #[track_caller]
    pub fn every<F, R>(period: Duration, f: F) -> Timer<T>
    where
        F: FnMut(&Beat) -> R + Send + 'static,
        R: Repeat<Value = T>,
    {
        Builder::new().timer_every(period, f)
    }

    /// A timer that calls `f` a `pause` after its start, and again and again a `pause` after the call
    /// before has returned. It ends as that of [`every`](Timer::every).
    ///
    /// # Examples
    /// ```
    /// use lisle::timer::Timer;
    /// use std::time::Duration;
    ///
    /// let polling = Timer::with_delay(Duration::from_millis(500), |_| println!("anything new?"));
    /// polling.start().unwrap();
    /// polling.cancel(); // wakes it; does not take half a second
    /// polling.join().unwrap();
    /// ```
    #[track_caller]
    pub fn with_delay<F, R>(pause: Duration, f: F) -> Timer<T>
    where
        F: FnMut(&Beat) -> R + Send + 'static,
        R: Repeat<Value = T>,
    {
        Builder::new().timer_with_delay(pause, f)
    }

    /// Starts it: its time runs from now on.
    ///
    /// One that was [cancelled](Timer::cancel) before can be started all the same. Its thread comes
    /// to its end without a call.
    ///
    /// # Errors
    /// As [`JoinHandle::start`]: it has been started before, or the system cannot make the thread.
    pub fn start(&self) -> Result<(), StartError> {
        self.clock.start(|| self.thread.start())
    }
}

impl<T> Timer<T> {
    /// Sees to it that no further call is made. Wakes the thread at once if it waits for its time.
    ///
    /// True if no call runs from now on: the timer was waiting, not started, or this was done before.
    /// False if a call is running, which goes on and is the last one (to have it leave its waits, see
    /// [`interrupt`](Timer::interrupt)), and false if the timer has ended by itself.
    pub fn cancel(&self) -> bool {
        self.clock.cancel(|| false)
    }

    /// [Cancels](Timer::cancel), and if a call is running, also asks that call to leave its present
    /// or next interruptible wait. False if the timer has ended by itself.
    ///
    /// What the call makes of it is its own affair: its value, if it comes to one, is the timer's.
    /// (An [`interrupt`](Thread::interrupt) of the thread that comes while it waits for its time, or
    /// is still pending then, cancels the timer.)
    pub fn interrupt(&self) -> bool {
        self.clock.cancel(|| {
            self.thread().interrupt();
            true
        })
    }

    /// Puts the next call to `delay` from now, or before the start: from the start; beats go on from
    /// there. False, and without effect, if a call is running, and if the timer is cancelled or has
    /// ended.
    pub fn reset(&self, delay: Duration) -> bool {
        self.clock.reset(delay)
    }

    /// The thread.
    pub fn thread(&self) -> &Thread {
        self.thread.thread()
    }

    /// Whether it has been started and has not finished.
    pub fn is_alive(&self) -> bool {
        self.thread.is_alive()
    }

    /// Whether it has finished, so that joining it does not block.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the timer has finished. The value is the call's, and of a repeating timer what
    /// ended it; `None` if it was cancelled before it came to that.
    ///
    /// # On interrupt
    /// The error is a [`JoinError::Interrupted`]; the timer can be joined again.
    ///
    /// # Errors
    /// As [`JoinHandle::join`]: the payload of the panic in the call, or a boxed [`JoinError`].
    #[track_caller]
    pub fn join(&self) -> thread::Result<Option<T>> {
        self.thread.join()
    }

    /// [`join`](Timer::join) for at most `limit`.
    ///
    /// # On timeout
    /// `TimedOut`; the timer can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// See [`JoinError`]; `Panicked` has the payload of the panic in the call.
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<Option<T>, JoinError> {
        self.thread.join_for(limit)
    }

    /// [`join_for`](Timer::join_for), with the limit as a point in time.
    ///
    /// # On timeout
    /// `TimedOut`; the timer can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`join_for`](Timer::join_for).
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<Option<T>, JoinError> {
        self.thread.join_until(limit)
    }

    /// The value, if the timer has finished.
    ///
    /// # Errors
    /// As [`join_for`](Timer::join_for); `TimedOut` if it has not finished.
    pub fn try_join(&self) -> Result<Option<T>, JoinError> {
        self.thread.try_join()
    }
}

impl<T> fmt::Debug for Timer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("thread", self.thread())
            .field("clock", &format_args!("{}", self.clock))
            .finish_non_exhaustive()
    }
}

/// Timers with a thread of one's own choice.
impl Builder {
    /// [`Timer::new`] on a thread like this.
    ///
    /// ```
    /// use lisle::thread::{self, Builder};
    /// use std::time::Duration;
    ///
    /// let name = || thread::current().name().map(str::to_owned);
    /// let timer = Builder::new().name("backup".into()).timer(Duration::from_millis(1), name);
    /// timer.start().unwrap();
    /// assert_eq!(timer.join().unwrap().flatten().as_deref(), Some("backup"));
    /// ```
    #[track_caller]
    pub fn timer<F, T>(self, delay: Duration, f: F) -> Timer<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let clock = Arc::new(Clock::new(delay, Pace::Once, Location::caller()));
        Timer { thread: self.create(Once { clock: clock.clone(), call: f }), clock }
    }

    /// [`Timer::every`] on a thread like this.
    #[track_caller]
    pub fn timer_every<F, R>(self, period: Duration, f: F) -> Timer<R::Value>
    where
        F: FnMut(&Beat) -> R + Send + 'static,
        R: Repeat,
    {
        self.repeated(Clock::new(period, Pace::Every(period), Location::caller()), f)
    }

    /// [`Timer::with_delay`] on a thread like this.
    #[track_caller]
    pub fn timer_with_delay<F, R>(self, pause: Duration, f: F) -> Timer<R::Value>
    where
        F: FnMut(&Beat) -> R + Send + 'static,
        R: Repeat,
    {
        self.repeated(Clock::new(pause, Pace::WithDelay(pause), Location::caller()), f)
    }

    fn repeated<F, R>(self, clock: Clock, call: F) -> Timer<R::Value>
    where
        F: FnMut(&Beat) -> R + Send + 'static,
        R: Repeat,
    {
        let clock = Arc::new(clock);
        Timer { thread: self.create(Repeated { clock: clock.clone(), call }), clock }
    }
}
