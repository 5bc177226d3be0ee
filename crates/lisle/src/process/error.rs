//! What can go wrong with a process.

use crate::park::WaitError;
use crate::park::report::Report;
use crate::thread;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use std::{error, fmt, io};

/// Why a process could not be made or started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// `main` has not called [`init`](super::init): the new process would not know what to do.
    NotInitialised,
    /// The function is not among those that were given to [`init`](super::init).
    NotRegistered(&'static str),
    /// The argument cannot be serialised, for the reason given by `serde`.
    NotSerialisable {
        /// The function that was to be called.
        function: &'static str,
        /// What `serde` says.
        reason: String,
    },
    /// It has been started before. A process runs once.
    AlreadyStarted,
    /// The system could not make it, for the reason given. It is as before the call.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::NotInitialised => f.write_str(
                "this program cannot start processes yet: call `lisle::process::init` first thing in `main`, \
                 with the functions that other processes shall call",
            ),
            StartError::NotRegistered(name) => write!(
                f,
                "no function {name:?} with these types is registered: give it to `lisle::process::init`, first \
                 thing in `main`"
            ),
            StartError::NotSerialisable { function, reason } => {
                write!(f, "the argument of {function:?} cannot be sent to another process: {reason}")
            }
            StartError::AlreadyStarted => {
                f.write_str("the process has been started before: processes run once, make another")
            }
            StartError::System(reason) => write!(f, "the system could not make the process: {reason}"),
        }
    }
}

impl error::Error for StartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            StartError::System(reason) => Some(reason),
            _ => None,
        }
    }
}

impl From<io::Error> for StartError {
    fn from(reason: io::Error) -> StartError {
        StartError::System(reason)
    }
}

/// A panic that ended a call in another process.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ChildPanic {
    /// What it panicked with, as text.
    pub message: String,
    /// Where, as `file:line:column`; not known if the program has set a panic hook of its own since.
    pub location: Option<String>,
}

impl fmt::Display for ChildPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the function panicked in the other process")?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl error::Error for ChildPanic {}

/// Why a process could not be joined, or what it left instead of a value.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The time limit passed first.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// The wait closed a cycle of waits, which the report names.
    Deadlocked(Box<Report>),
    /// The process has not been started.
    NotStarted,
    /// The process has ended, but its value or failure was given to an earlier join.
    Taken,
    /// The function panicked.
    Panicked(ChildPanic),
    /// The process ended before its function returned, by a signal or by calling `exit`.
    Ended(ExitStatus),
    /// The process did not get to [`init`](super::init) in time, and was killed.
    NoAnswer(Duration),
    /// The process ended, with this status, without having got to [`init`](super::init).
    NoInit(ExitStatus),
    /// What the process was to do, or what came of it, cannot be told to the other side.
    NotSerialisable(String),
    /// The process sent something that it should not have, and was killed.
    Garbage(String),
    /// The process is not this one's child: it was started before this process was forked.
    Lost,
}

impl JoinError {
    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, JoinError::TimedOut)
    }

    /// Whether the joining thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, JoinError::Interrupted)
    }

    /// The panic, if the function panicked.
    pub fn panic(&self) -> Option<&ChildPanic> {
        match self {
            JoinError::Panicked(panic) => Some(panic),
            _ => None,
        }
    }

    /// The signal, if one ended the process before its function returned.
    pub fn signal(&self) -> Option<i32> {
        match self {
            JoinError::Ended(status) | JoinError::NoInit(status) => status.signal(),
            _ => None,
        }
    }

    pub(super) fn of(error: thread::JoinError) -> JoinError {
        match error {
            thread::JoinError::TimedOut => JoinError::TimedOut,
            thread::JoinError::Interrupted => JoinError::Interrupted,
            thread::JoinError::Deadlocked(report) => JoinError::Deadlocked(report),
            thread::JoinError::NotStarted => JoinError::NotStarted,
            thread::JoinError::Taken => JoinError::Taken,
            thread::JoinError::Panicked(payload) => std::panic::resume_unwind(payload),
            thread::JoinError::Itself | thread::JoinError::Lost => JoinError::Lost,
        }
    }
}

impl From<WaitError> for JoinError {
    fn from(error: WaitError) -> JoinError {
        match error {
            WaitError::TimedOut => JoinError::TimedOut,
            WaitError::Interrupted => JoinError::Interrupted,
            WaitError::Deadlocked(report) => JoinError::Deadlocked(report),
        }
    }
}

/// An exit code or a signal, in words that follow "the process".
pub(super) struct Ending(pub(super) ExitStatus);

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.signal(), self.0.code()) {
            (Some(signal), _) => write!(f, "was ended by signal {signal}{}", name_of(signal)),
            (None, Some(code)) => write!(f, "ended with exit code {code}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => " (SIGHUP)",
        libc::SIGINT => " (SIGINT)",
        libc::SIGQUIT => " (SIGQUIT)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGPIPE => " (SIGPIPE)",
        libc::SIGTERM => " (SIGTERM)",
        _ => "",
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JoinError::TimedOut => "the time limit passed before the process ended",
            JoinError::Interrupted => "another thread interrupted the wait for the process's end",
            JoinError::Deadlocked(report) => return report.fmt(f),
            JoinError::NotStarted => "the process has not been started: call `start` before joining it",
            JoinError::Taken => "the process's result was taken by an earlier join: it comes out once",
            JoinError::Panicked(panic) => return panic.fmt(f),
            JoinError::Ended(status) => {
                return write!(f, "the process {} before its function returned", Ending(*status));
            }
            JoinError::NoAnswer(limit) => {
                return write!(
                    f,
                    "the process did not call `lisle::process::init` within {limit:?} and was killed: call it first \
                     thing in `main`, or allow more time with `Builder::answer_within`"
                );
            }
            JoinError::NoInit(status) => {
                return write!(
                    f,
                    "the process {} without having called `lisle::process::init`: call it first thing in `main`",
                    Ending(*status)
                );
            }
            JoinError::NotSerialisable(reason) => return f.write_str(reason),
            JoinError::Garbage(reason) => {
                return write!(f, "the process sent what no process of lisle sends, and was killed: {reason}");
            }
            JoinError::Lost => "the process is not a child of this one: it was started before this one was forked",
        })
    }
}

impl error::Error for JoinError {}
