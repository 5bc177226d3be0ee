//! `ProcessPoolExecutor`: processes that run submitted calls.
//!
//! It is a pool of threads each of whose calls borrows a process, tells it what to do and waits for the
//! answer. So whatever goes for that pool goes for this one: the states of futures, bounds, shutdown, the
//! end of the process, deadlocks.
#![forbid(unsafe_code)]

use super::child::call_room;
use super::crew::{Crew, Trouble};
use super::error::StartError;
use super::launch::{ANSWER_WITHIN, Output, Plan};
use super::map::ProcessMap;
use super::registered::{Lookup, look_up};
use super::wire::{self, Encoded};
use crate::executor::{
    self, CallOptions, Executor, Failure, Function, Future, OnFull, Pending, RunningCall, ShutdownError, SubmitError,
    ThreadPoolExecutor,
};
use crate::park::WaitError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{error, fmt};

/// Processes that run submitted calls, in the order in which they came.
///
/// It is used like a [`ThreadPoolExecutor`], through [`Executor`] by code that does not care which it is.
/// Functions have to be [registered](super::init), arguments and values to be serialisable. Processes are
/// started when there are calls for them, up to a number, and wait for more when they have none; they end
/// with this process, however that ends. Dropping the pool is a
/// [`shutdown`](ProcessPoolExecutor::shutdown): what was submitted is run.
///
/// A panic in a call goes to its [`Future`], and the process goes on. A process that ends in the middle of
/// a call, killed by the system for instance, fails that call with [`BrokenProcessPool`](super::BrokenProcessPool). The pool is
/// broken then, and whatever is pending fails too, unless it was made to
/// [replace](ProcessPoolBuilder::replace_workers) its workers.
///
/// # Fairness
/// Calls begin in the order in which they were submitted.
///
/// # Examples
/// ```no_run
/// use lisle::executor::Function;
/// use lisle::process::{self, ProcessPoolExecutor};
///
/// const SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
///
/// fn main() {
///     process::init(&[&SQUARE]);
///     let pool = ProcessPoolExecutor::new().unwrap();
///     let square = pool.call(SQUARE, 7).unwrap();
///     assert_eq!(square.result().unwrap(), 49);
///     let squares: Result<Vec<u64>, _> = pool.map(SQUARE, 0..10).collect();
///     assert_eq!(squares.unwrap()[9], 81);
/// }
/// ```
pub struct ProcessPoolExecutor {
    threads: ThreadPoolExecutor,
    crew: Arc<Crew>,
}

/// What can be said of a [`ProcessPoolExecutor`] before it is made.
///
/// # Examples
/// ```
/// use lisle::process::ProcessPoolExecutor;
///
/// let pool = ProcessPoolExecutor::builder().max_workers(2).replace_workers(true).retries(3).build().unwrap();
/// assert_eq!(pool.max_workers(), 2);
/// ```
#[must_use = "a builder makes no pool until it is told to build one"]
#[derive(Debug)]
pub struct ProcessPoolBuilder {
    threads: executor::Builder,
    name: Option<String>,
    environment: Vec<(OsString, OsString)>,
    answer_within: Duration,
    replace: bool,
    retries: u32,
    initializer: Result<Option<Encoded>, StartError>,
}

impl ProcessPoolBuilder {
    /// How many processes there may be; without this one per processor.
    pub fn max_workers(mut self, most: usize) -> ProcessPoolBuilder {
        self.threads = self.threads.max_workers(most);
        self
    }

    /// Names the pool; its processes' names begin with that. Without this it is `ProcessPoolExecutor-N`.
    pub fn name(mut self, name: impl Into<String>) -> ProcessPoolBuilder {
        self.name = Some(name.into());
        self
    }

    /// How many calls may be pending, and what becomes of one that is submitted then.
    pub fn max_pending(mut self, most: usize, on_full: OnFull) -> ProcessPoolBuilder {
        self.threads = self.threads.max_pending(most, on_full);
        self
    }

    /// Whether this process may end without waiting for the pool's calls.
    pub fn daemon(mut self, daemon: bool) -> ProcessPoolBuilder {
        self.threads = self.threads.daemon(daemon);
        self
    }

    /// Adds to the environment that the processes have from this one.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> ProcessPoolBuilder {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// How long a process may take to get to [`init`](super::init): 30 seconds without this.
    pub fn answer_within(mut self, limit: Duration) -> ProcessPoolBuilder {
        self.answer_within = limit;
        self
    }

    /// Has each process call `function` with `argument` before anything else. If that panics, the pool is
    /// broken, and the panic is the reason.
    pub fn initializer<A: Serialize + 'static>(mut self, function: Function<A, ()>, argument: A) -> ProcessPoolBuilder {
        self.initializer = prepare(function, &argument).map(Some);
        self
    }

    /// Whether the pool goes on when a process ends in the middle of a call: another takes its place, and
    /// only that call fails. [`Future::interrupt`] ends a running call's process then.
    pub fn replace_workers(mut self, replace: bool) -> ProcessPoolBuilder {
        self.replace = replace;
        self
    }

    /// How many times a call is made again whose process has ended, in a pool that
    /// [replaces](ProcessPoolBuilder::replace_workers) them. For functions that may be called twice.
    pub fn retries(mut self, times: u32) -> ProcessPoolBuilder {
        self.retries = times;
        self
    }

    /// Makes the pool. No process is started before there is a call.
    ///
    /// # Errors
    /// If it would have no workers, or no room for a call, or its initializer cannot be called.
    #[track_caller]
    pub fn build(self) -> Result<ProcessPoolExecutor, ProcessPoolError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name =
            self.name.unwrap_or_else(|| format!("ProcessPoolExecutor-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let threads = self.threads.name(&name).build().map_err(ProcessPoolError::Pool)?;
        let plan = Plan {
            name,
            daemon: true,
            resident: true,
            environment: self.environment,
            stdout: Output::Inherit,
            stderr: Output::Inherit,
            answer_within: self.answer_within,
        };
        let initializer = self.initializer.map_err(ProcessPoolError::Initializer)?;
        let retries = if self.replace { self.retries } else { 0 };
        let crew = Arc::new(Crew::new(plan, initializer, self.replace, retries, threads.breaker()));
        Ok(ProcessPoolExecutor { threads, crew })
    }
}

/// A call as it travels.
fn prepare<A, R>(function: Function<A, R>, argument: &A) -> Result<Encoded, StartError>
where
    A: Serialize + 'static,
    R: 'static,
{
    let name = function.name();
    match look_up(function) {
        Lookup::Found => wire::encode(argument, call_room(name))
            .map_err(|reason| StartError::NotSerialisable { function: name, reason }),
        Lookup::NotInitialised => Err(StartError::NotInitialised),
        Lookup::NotRegistered => Err(StartError::NotRegistered(name)),
    }
}

impl ProcessPoolExecutor {
    /// A pool of one process per processor.
    ///
    /// # Errors
    /// None at present; see [`ProcessPoolBuilder::build`].
    #[track_caller]
    pub fn new() -> Result<ProcessPoolExecutor, ProcessPoolError> {
        ProcessPoolExecutor::builder().build()
    }

    /// A pool of at most so many processes.
    ///
    /// # Errors
    /// If that is 0.
    #[track_caller]
    pub fn with_max_workers(most: usize) -> Result<ProcessPoolExecutor, ProcessPoolError> {
        ProcessPoolExecutor::builder().max_workers(most).build()
    }

    /// What can be said of a pool before it is made.
    pub fn builder() -> ProcessPoolBuilder {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        ProcessPoolBuilder {
            threads: ThreadPoolExecutor::builder().max_workers(processors),
            name: None,
            environment: Vec::new(),
            answer_within: ANSWER_WITHIN,
            replace: false,
            retries: 0,
            initializer: Ok(None),
        }
    }

    /// Has `function` called with `argument` in another process. Blocks only if the pool is
    /// [bounded](ProcessPoolBuilder::max_pending), blocks then, and is full.
    ///
    /// # On interrupt
    /// `Interrupted`, if it blocked; the call is dropped.
    ///
    /// # Errors
    /// `NotRegistered`, `NotSerialisable`, and those of [`ThreadPoolExecutor::submit`].
    #[track_caller]
    pub fn call<A, R>(&self, function: Function<A, R>, argument: A) -> Result<Future<R>, SubmitError>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + Send + 'static,
    {
        self.call_within(function, argument, None)
    }

    #[track_caller]
    pub(super) fn call_within<A, R>(
        &self,
        function: Function<A, R>,
        argument: A,
        limit: Option<Instant>,
    ) -> Result<Future<R>, SubmitError>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + Send + 'static,
    {
        let name = function.name();
        let call = prepare(function, &argument).map_err(|error| match error {
            StartError::NotRegistered(name) => SubmitError::NotRegistered { name },
            StartError::NotSerialisable { reason, .. } => SubmitError::NotSerialisable(reason),
            error => SubmitError::Broken(Failure::new(error)),
        })?;
        let crew = self.crew.clone();
        let run = move || match crew.run(name, &call) {
            Ok(value) => value,
            Err(Trouble { failure, breaks_pool }) => {
                if breaks_pool {
                    crew.break_down(&failure);
                }
                failure.end_call()
            }
        };
        let options = self.threads.call().name(name);
        limit.into_iter().fold(options, CallOptions::deadline).submit(run)
    }

    /// Calls `function` with each of `items` and gives the results in their order.
    ///
    /// It is lazy: items are taken, and calls submitted, when the iterator is first asked, and four for
    /// each process are kept under way.
    ///
    /// # Errors
    /// Each result is one of a call, as [`Future::result`] gives it. The first error ends the iterator.
    pub fn map<A, R, I>(&self, function: Function<A, R>, items: I) -> ProcessMap<'_, A, R, I::IntoIter>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        ProcessMap::new(self, function, items.into_iter())
    }

    /// How many processes there may be.
    pub fn max_workers(&self) -> usize {
        self.threads.max_workers()
    }

    /// The numbers of the processes that there are at this moment.
    pub fn pids(&self) -> Vec<u32> {
        self.crew.pids()
    }

    /// How many calls have not begun at this moment.
    pub fn pending(&self) -> usize {
        self.threads.pending()
    }

    /// The calls that are running at this moment.
    pub fn running(&self) -> Vec<RunningCall> {
        self.threads.running()
    }

    /// Waits until no call is pending or running.
    ///
    /// # On interrupt
    /// `Interrupted`.
    ///
    /// # Errors
    /// `Interrupted` or `Deadlocked`.
    #[track_caller]
    pub fn join(&self) -> Result<(), WaitError> {
        self.threads.join()
    }

    /// [`join`](ProcessPoolExecutor::join) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`.
    ///
    /// # Errors
    /// `TimedOut`, and those of `join`.
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<(), WaitError> {
        self.threads.join_for(limit)
    }

    /// [`join_for`](ProcessPoolExecutor::join_for), with the limit as a point in time.
    ///
    /// # Errors
    /// As `join_for`.
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<(), WaitError> {
        self.threads.join_until(limit)
    }

    /// Takes no more calls, has those that are pending run or cancels them, and does not wait.
    pub fn close(&self, pending: Pending) {
        self.threads.close(pending);
    }

    /// Takes no more calls, has those that are pending run, waits until all are over, and ends the
    /// processes. Can be called again.
    ///
    /// # On interrupt
    /// `Interrupted`; the pool takes no more calls all the same.
    ///
    /// # Errors
    /// Those of [`ThreadPoolExecutor::shutdown`].
    #[track_caller]
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        self.threads.shutdown().inspect(|()| self.crew.dismiss(None))
    }

    /// [`shutdown`](ProcessPoolExecutor::shutdown) with a choice, waiting for at most `limit`;
    /// `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `StillRunning`, with what is running at that moment, by name.
    ///
    /// # Errors
    /// `StillRunning`, and those of `shutdown`.
    #[track_caller]
    pub fn shutdown_for(&self, pending: Pending, limit: Duration) -> Result<(), ShutdownError> {
        let until = Instant::now().checked_add(limit);
        self.threads.shutdown_for(pending, limit).inspect(|()| self.crew.dismiss(until))
    }

    /// [`shutdown_for`](ProcessPoolExecutor::shutdown_for), with the limit as a point in time.
    ///
    /// # Errors
    /// As `shutdown_for`.
    #[track_caller]
    pub fn shutdown_until(&self, pending: Pending, limit: Instant) -> Result<(), ShutdownError> {
        self.threads.shutdown_until(pending, limit).inspect(|()| self.crew.dismiss(Some(limit)))
    }
}

impl<A, R> Executor<A, R> for ProcessPoolExecutor
where
    A: Serialize + Send + 'static,
    R: DeserializeOwned + Send + 'static,
{
    #[track_caller]
    fn call(&self, function: Function<A, R>, argument: A) -> Result<Future<R>, SubmitError> {
        self.call(function, argument)
    }

    fn close(&self, pending: Pending) {
        self.close(pending);
    }
}

impl fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolExecutor")
            .field("name", &self.threads.name())
            .field("max_workers", &self.max_workers())
            .field("pids", &self.pids())
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

/// Why a [`ProcessPoolExecutor`] could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProcessPoolError {
    /// It would have no workers, or no room.
    Pool(executor::BuildError),
    /// Its initializer cannot be called.
    Initializer(StartError),
}

impl fmt::Display for ProcessPoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessPoolError::Pool(error) => error.fmt(f),
            ProcessPoolError::Initializer(error) => write!(f, "the pool's initializer cannot be called: {error}"),
        }
    }
}

impl error::Error for ProcessPoolError {}
