//! Why a call gave no value.

use crate::Report;
use crate::park::WaitError;
use crate::park::sys::PlainLock;
use crate::thread::hook::{Panic, text_of};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

/// What became of a call that did not return: it panicked, or whoever was to make its value gave an
/// error instead, or nobody was left to do so. Cheap to clone; all who ask get the same one.
///
/// # Examples
/// ```
/// use lisle::executor::{FutureError, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::new();
/// let future = pool.submit(|| panic!("no more paper")).unwrap();
/// let failure = future.exception().unwrap().expect("it panicked");
/// assert!(failure.is_panic());
/// assert_eq!(failure.message(), "no more paper");
/// assert!(matches!(future.result(), Err(FutureError::Failed(_))));
/// ```
#[derive(Clone)]
pub struct Failure(Arc<Cause>);

enum Cause {
    Panicked {
        text: String,
        location: Option<String>,
        /// Comes out once, for who panics in turn.
        payload: PlainLock<Option<Box<dyn Any + Send>>>,
    },
    Error(Box<dyn Error + Send + Sync>),
    Abandoned,
}

impl Failure {
    pub(crate) fn panicked(panic: Panic) -> Failure {
        let text = text_of(&*panic.payload).to_owned();
        let Panic { payload, location } = panic;
        Failure(Arc::new(Cause::Panicked { text, location, payload: PlainLock::new(Some(payload)) }))
    }

    /// What a call was caught with.
    pub(super) fn caught(payload: Box<dyn Any + Send>) -> Failure {
        match payload.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(payload) => Failure::panicked(Panic::caught(payload)),
        }
    }

    /// Ends the call that the calling thread runs with this failure, which need not be a panic.
    #[cfg(all(feature = "process", not(loom)))]
    pub(crate) fn end_call(self) -> ! {
        resume_unwind(Box::new(self))
    }

    /// What an error makes of a call that was to give a value.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure(Arc::new(Cause::Error(error.into())))
    }

    pub(super) fn abandoned() -> Failure {
        Failure(Arc::new(Cause::Abandoned))
    }

    /// Whether the call panicked.
    pub fn is_panic(&self) -> bool {
        matches!(*self.0, Cause::Panicked { .. })
    }

    /// Whether the [`Promise`](super::Promise) was dropped without a result.
    pub fn is_abandoned(&self) -> bool {
        matches!(*self.0, Cause::Abandoned)
    }

    /// In words: a panic's own, or the error's.
    pub fn message(&self) -> String {
        match &*self.0 {
            Cause::Panicked { text, .. } => text.clone(),
            Cause::Error(error) => error.to_string(),
            Cause::Abandoned => "the promise was dropped before it had a result".to_owned(),
        }
    }

    /// Where the call panicked, as `file:line:column`, if that is known.
    pub fn location(&self) -> Option<&str> {
        match &*self.0 {
            Cause::Panicked { location, .. } => location.as_deref(),
            _ => None,
        }
    }

    /// The error that was given instead of a value.
    pub fn error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &*self.0 {
            Cause::Error(error) => Some(&**error),
            _ => None,
        }
    }

    /// The error that was given instead of a value, if it is of this type.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.error()?.downcast_ref()
    }

    /// Panics on the calling thread: with the payload of the call's panic if this is the first to ask
    /// for it, else with the message.
    pub fn resume(self) -> ! {
        let payload = match &*self.0 {
            Cause::Panicked { payload, .. } => payload.lock().take(),
            _ => None,
        };
        resume_unwind(payload.unwrap_or_else(|| Box::new(self.message())))
    }
}

impl Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Panicked { text, location: Some(location), .. } => {
                write!(f, "the call panicked at {location}: {text}")
            }
            Cause::Panicked { text, .. } => write!(f, "the call panicked: {text}"),
            Cause::Error(error) => error.fmt(f),
            Cause::Abandoned => f.write_str(&self.message()),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&format_args!("{self}")).finish()
    }
}

/// Why a [`Future`](super::Future) gave no value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FutureError {
    /// The time limit passed first.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// The wait could never have ended: the report names who waits for whom.
    Deadlocked(Box<Report>),
    /// The call waited for its own future.
    Itself,
    /// The call was cancelled.
    Cancelled,
    /// The value was given to an earlier caller.
    Taken,
    /// The call is not done, and this one does not wait.
    NotDone,
    /// The call gave no value.
    Failed(Failure),
}

impl FutureError {
    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, FutureError::TimedOut)
    }

    /// Whether the waiting thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, FutureError::Interrupted)
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, FutureError::Cancelled)
    }

    /// The report, if waiting was a deadlock.
    pub fn deadlock(&self) -> Option<&Report> {
        match self {
            FutureError::Deadlocked(report) => Some(report),
            _ => None,
        }
    }

    /// What became of the call, if it gave no value.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            FutureError::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl From<WaitError> for FutureError {
    fn from(error: WaitError) -> FutureError {
        match error {
            WaitError::TimedOut => FutureError::TimedOut,
            WaitError::Interrupted => FutureError::Interrupted,
            WaitError::Deadlocked(report) => FutureError::Deadlocked(report),
        }
    }
}

impl fmt::Display for FutureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FutureError::TimedOut => "the time limit passed before the call was done",
            FutureError::Interrupted => "waiting for the call was interrupted by another thread",
            FutureError::Deadlocked(report) => return report.fmt(f),
            FutureError::Itself => "a call cannot wait for its own future: it would wait for ever",
            FutureError::Cancelled => "the call was cancelled",
            FutureError::Taken => "the value was given to an earlier caller; cloned() leaves it where it is",
            FutureError::NotDone => "the call is not done yet; result() waits for it",
            FutureError::Failed(failure) => return failure.fmt(f),
        })
    }
}

impl Error for FutureError {}

/// The future has a result already, or was cancelled: what was to be set is given back.
#[derive(Debug, PartialEq, Eq)]
pub struct SetError<V> {
    /// What was to be set.
    pub value: V,
}

impl<V> fmt::Display for SetError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the future is done already: a result is set once, and not after it was cancelled")
    }
}

impl<V: fmt::Debug> Error for SetError<V> {}

/// Why an executor did not take a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubmitError {
    /// The executor was shut down.
    ShutDown,
    /// The executor can run nothing any more.
    Broken(Failure),
    /// As many calls are pending as may be, and the executor was made to reject more.
    Full,
    /// The time limit passed before there was room.
    TimedOut,
    /// Another thread interrupted the wait for room.
    Interrupted,
    /// There could never have been room: the report names who waits for whom.
    Deadlocked(Box<Report>),
    /// The system made no thread for the call.
    NoThread(Arc<std::io::Error>),
    /// The function is not known to other processes.
    NotRegistered {
        /// Its name.
        name: &'static str,
    },
    /// The argument cannot be sent to another process.
    NotSerialisable(String),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::ShutDown => f.write_str("the executor was shut down and takes no more calls; make another"),
            SubmitError::Broken(failure) => write!(f, "the executor is broken and takes no more calls: {failure}"),
            SubmitError::Full => f.write_str("as many calls are pending as the executor was made for; try again later"),
            SubmitError::TimedOut => f.write_str("the time limit passed before the executor had room for the call"),
            SubmitError::Interrupted => {
                f.write_str("the wait for room in the executor was interrupted by another thread")
            }
            SubmitError::Deadlocked(report) => report.fmt(f),
            SubmitError::NoThread(error) => write!(f, "the system made no thread for the call: {error}"),
            SubmitError::NotRegistered { name } => {
                write!(f, "the function {name:?} is not registered; name it in the call of process::init in main")
            }
            SubmitError::NotSerialisable(why) => write!(f, "the argument cannot be sent to another process: {why}"),
        }
    }
}

impl Error for SubmitError {}
