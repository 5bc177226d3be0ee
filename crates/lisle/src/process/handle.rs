//! `Process`: starting one, following its life, getting its value.

use super::child::call_room;
use super::error::{ChildPanic, JoinError, StartError};
use super::launch::{ANSWER_WITHIN, Handle, Live, News, Output, Plan};
use super::registered::{Lookup, look_up};
use super::wire::{self, Encoded};
use crate::executor::Function;
use crate::park::sys::PlainLock;
use crate::thread::{self, JoinHandle};
use rustix::process::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::fmt;
use std::process::{ChildStderr, ChildStdout, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What can be said of a process before it is made.
///
/// # Examples
/// ```no_run
/// use lisle::executor::Function;
/// use lisle::process;
///
/// const HOME: Function<(), Option<String>> = Function::new("home", |()| std::env::var("HOME").ok());
///
/// process::init(&[&HOME]);
/// let home = process::Builder::new().name("who").env("HOME", "/nowhere").spawn(HOME, ()).unwrap();
/// assert_eq!(home.join().unwrap().as_deref(), Some("/nowhere"));
/// ```
#[derive(Clone, Default, Debug)]
#[must_use = "a builder makes no process until it is told to spawn or create one"]
pub struct Builder {
    name: Option<String>,
    daemon: Option<bool>,
    environment: Vec<(OsString, OsString)>,
    stdout: Output,
    stderr: Output,
    answer_within: Option<Duration>,
}

impl Builder {
    /// A process with a default name, the environment and the outputs of this one, that is a daemon if the
    /// calling thread is one.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the process. Without this it is `Process-N (function)`.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Whether the process ends with this one, however this one ends, instead of keeping it from ending.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = Some(daemon);
        self
    }

    /// Adds to the environment that the process has from this one.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Builder {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// What becomes of what the process writes to its stdout.
    pub fn stdout(mut self, output: Output) -> Builder {
        self.stdout = output;
        self
    }

    /// What becomes of what the process writes to its stderr.
    pub fn stderr(mut self, output: Output) -> Builder {
        self.stderr = output;
        self
    }

    /// How long the process may take to get to [`init`](super::init): 30 seconds without this. One that
    /// takes longer is killed, and joining it fails.
    pub fn answer_within(mut self, limit: Duration) -> Builder {
        self.answer_within = Some(limit);
        self
    }

    /// Makes and starts a process that calls `function` with `argument`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn spawn<A, R>(self, function: Function<A, R>, argument: A) -> Result<Process<R>, StartError>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + Send + 'static,
    {
        let process = self.create(function, argument)?;
        process.start()?;
        Ok(process)
    }

    /// Makes a process that calls `function` with `argument` once it is [started](Process::start).
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn create<A, R>(self, function: Function<A, R>, argument: A) -> Result<Process<R>, StartError>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + Send + 'static,
    {
        let name = function.name();
        match look_up(function) {
            Lookup::Found => {}
            Lookup::NotInitialised => return Err(StartError::NotInitialised),
            Lookup::NotRegistered => return Err(StartError::NotRegistered(name)),
        }
        let call = wire::encode(&argument, call_room(name))
            .map_err(|reason| StartError::NotSerialisable { function: name, reason })?;
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name(self.name.unwrap_or_else(|| default_name(name)));
        let thread = match self.daemon {
            Some(daemon) => thread.daemon(daemon),
            None => thread,
        };
        let its = shared.clone();
        let follower = thread.stack_size(STACK).create(move || its.follow());
        let plan = Plan {
            name: follower.thread().name().unwrap_or_default().to_owned(),
            daemon: follower.thread().is_daemon(),
            resident: false,
            environment: self.environment,
            stdout: self.stdout,
            stderr: self.stderr,
            answer_within: self.answer_within.unwrap_or(ANSWER_WITHIN),
        };
        *shared.stage.lock() = Stage::Initial(plan, call);
        Ok(Process { follower, shared })
    }
}

/// Of the thread that follows a process; a value is read on it, which [may take](wire) half of this.
const STACK: usize = 512 * 1024;

fn default_name(function: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    format!("Process-{} ({function})", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Makes and starts a process that calls `function` with `argument`; a [`Builder`] can say more of it.
///
/// # Errors
/// See [`StartError`].
///
/// # Examples
/// ```no_run
/// use lisle::executor::Function;
/// use lisle::process;
///
/// const SUM: Function<Vec<u64>, u64> = Function::new("sum", |all| all.iter().sum());
///
/// fn main() {
///     process::init(&[&SUM]);
///     let sum = process::spawn(SUM, (1..=10).collect()).unwrap();
///     assert_eq!(sum.join().unwrap(), 55);
/// }
/// ```
pub fn spawn<A, R>(function: Function<A, R>, argument: A) -> Result<Process<R>, StartError>
where
    A: Serialize + 'static,
    R: DeserializeOwned + Send + 'static,
{
    Builder::new().spawn(function, argument)
}

/// Makes a process that calls `function` with `argument` once it is [started](Process::start).
///
/// # Errors
/// See [`StartError`].
pub fn create<A, R>(function: Function<A, R>, argument: A) -> Result<Process<R>, StartError>
where
    A: Serialize + 'static,
    R: DeserializeOwned + Send + 'static,
{
    Builder::new().create(function, argument)
}

/// A process that runs one function, in an address space of its own: the right to its value.
///
/// It has the life of a [`Thread`](crate::thread::Thread): *initial* when made, then *started*, *alive*
/// and *finished*; and it can be killed. A thread of this process, which has the process's name, follows
/// it. So a process that is not a daemon keeps this one from ending, and what keeps it is reported, as
/// with threads.
///
/// Dropping this lets the process go on by itself.
///
/// # Fairness
/// All who wait for a process's end are released together; the first of them gets the value.
///
/// # Examples
/// See [`spawn`].
pub struct Process<R> {
    follower: JoinHandle<Result<R, JoinError>>,
    shared: Arc<Shared>,
}

/// What a process shares with the thread that follows it.
#[derive(Default)]
struct Shared {
    stage: PlainLock<Stage>,
    handle: OnceLock<Arc<Handle>>,
    status: OnceLock<ExitStatus>,
    pipes: PlainLock<(Option<ChildStdout>, Option<ChildStderr>)>,
}

#[derive(Default)]
enum Stage {
    Initial(Plan, Encoded),
    /// On its way to the thread that follows it.
    Started(Live),
    /// With that thread, or being started.
    #[default]
    Gone,
}

impl Shared {
    /// The life of a process, on the thread that follows it.
    fn follow<R: DeserializeOwned>(&self) -> Result<R, JoinError> {
        let Stage::Started(mut live) = std::mem::take(&mut *self.stage.lock()) else { return Err(JoinError::Lost) };
        let mut outcome = None;
        loop {
            let told = match live.next(false) {
                Ok(News::Value { bytes, descriptors, .. }) => wire::decode(&bytes, descriptors).map_err(|reason| {
                    JoinError::NotSerialisable(format!("the process's value cannot be read: {reason}"))
                }),
                Ok(News::Panic { message, location, .. }) => Err(JoinError::Panicked(ChildPanic { message, location })),
                Ok(News::Failure { text, .. }) => Err(JoinError::NotSerialisable(text)),
                Ok(News::Garbage(reason)) => {
                    live.put_down();
                    outcome = None; // it is not to be believed
                    Err(JoinError::Garbage(reason))
                }
                Ok(News::NoAnswer(limit)) => {
                    live.put_down();
                    Err(JoinError::NoAnswer(limit))
                }
                Ok(News::Ended(status)) => {
                    let _ = self.status.set(status);
                    return outcome.unwrap_or_else(|| match live.has_answered() {
                        true => Err(JoinError::Ended(status)),
                        false => Err(JoinError::NoInit(status)),
                    });
                }
                Err(error) => Err(error.into()),
            };
            outcome.get_or_insert(told);
        }
    }
}

impl<R> Process<R> {
    /// The process's name.
    pub fn name(&self) -> &str {
        self.follower.thread().name().unwrap_or_default()
    }

    /// The system's number for the process, once it is started.
    pub fn pid(&self) -> Option<u32> {
        self.shared.handle.get().map(|handle| handle.pid)
    }

    /// Whether the process ends with this one.
    pub fn is_daemon(&self) -> bool {
        self.follower.thread().is_daemon()
    }

    /// Whether the process has been started and has not finished.
    pub fn is_alive(&self) -> bool {
        self.follower.is_alive()
    }

    /// Whether the process has finished, so that joining it does not block.
    pub fn is_finished(&self) -> bool {
        self.follower.is_finished()
    }

    /// The process's exit code, or the signal that ended it
    /// ([`ExitStatusExt::signal`](std::os::unix::process::ExitStatusExt::signal)), once it has ended. The
    /// code is 101 if its function panicked, and 255 if this process ignores `SIGCHLD`, so that the system
    /// does not tell.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.shared.status.get().copied()
    }

    /// Asks the process to end, by `SIGTERM`; false if it is not running.
    pub fn terminate(&self) -> bool {
        self.signal(Signal::TERM)
    }

    /// Ends the process at once, by `SIGKILL`; false if it is not running.
    pub fn kill(&self) -> bool {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> bool {
        self.shared.handle.get().is_some_and(|handle| handle.signal(signal))
    }

    /// What the process writes to its stdout, if that is [captured](Output::Capture); comes out once,
    /// after the start.
    pub fn stdout(&self) -> Option<ChildStdout> {
        self.shared.pipes.lock().0.take()
    }

    /// What the process writes to its stderr, likewise.
    pub fn stderr(&self) -> Option<ChildStderr> {
        self.shared.pipes.lock().1.take()
    }

    /// Waits until the process has ended and returns the function's value.
    ///
    /// # On interrupt
    /// `Interrupted`; the process goes on and can be joined again.
    ///
    /// # Errors
    /// See [`JoinError`].
    #[track_caller]
    pub fn join(&self) -> Result<R, JoinError> {
        self.join_for(Duration::MAX)
    }

    /// [`join`](Process::join) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the process can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// See [`JoinError`].
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<R, JoinError> {
        self.follower.join_for(limit).map_err(JoinError::of)?
    }

    /// [`join_for`](Process::join_for), with the limit as a point in time.
    ///
    /// # On timeout
    /// `TimedOut`; the process can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// See [`JoinError`].
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<R, JoinError> {
        self.follower.join_until(limit).map_err(JoinError::of)?
    }

    /// The function's value, if the process has ended.
    ///
    /// # Errors
    /// See [`JoinError`]; `TimedOut` if it has not ended.
    pub fn try_join(&self) -> Result<R, JoinError> {
        self.follower.try_join().map_err(JoinError::of)?
    }
}

impl<R: DeserializeOwned + Send + 'static> Process<R> {
    /// Starts a process that was made by [`create`] or [`Builder::create`].
    ///
    /// # Errors
    /// If it has been started before, or the system cannot make it; after the latter, `start` may be
    /// tried again.
    pub fn start(&self) -> Result<(), StartError> {
        let mut stage = self.shared.stage.lock();
        if !matches!(*stage, Stage::Initial(..)) {
            return Err(StartError::AlreadyStarted);
        }
        let Stage::Initial(plan, call) = std::mem::take(&mut *stage) else { unreachable!("just looked at") };
        drop(stage);
        let started = Live::start(&plan, Some(&call)).map_err(StartError::System).and_then(|mut live| {
            let handle = live.handle.clone();
            let pipes = (live.child.stdout.take(), live.child.stderr.take());
            *self.shared.stage.lock() = Stage::Started(live);
            self.follower.start().map_err(|error| StartError::System(error.into()))?;
            let _ = self.shared.handle.set(handle);
            *self.shared.pipes.lock() = pipes;
            Ok(())
        });
        if started.is_err() {
            // A process that has nobody to follow it is put down, with the lock given back.
            let before = std::mem::replace(&mut *self.shared.stage.lock(), Stage::Initial(plan, call));
            drop(before);
        }
        started
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("daemon", &self.is_daemon())
            .field("status", &self.exit_status())
            .finish_non_exhaustive()
    }
}
