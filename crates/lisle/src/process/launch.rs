//! The parent's side: starting a child and following its life.

use super::child::{Setup, VARIABLE};
use super::packet::{ReceiveFault, SendFault, Socket, Tag, Waiting};
use super::wire::Encoded;
use crate::park::outside::Outside;
use crate::park::{Kind, Limit, Subject, Wait, WaitError, key_of, park, spin};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::Location;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// What becomes of what a process writes to its stdout or stderr.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Output {
    /// It goes where that of this process goes.
    #[default]
    Inherit,
    /// It is thrown away.
    Null,
    /// It can be read from [`Process::stdout`](super::Process::stdout) or
    /// [`Process::stderr`](super::Process::stderr).
    Capture,
}

impl From<Output> for Stdio {
    fn from(output: Output) -> Stdio {
        match output {
            Output::Inherit => Stdio::inherit(),
            Output::Null => Stdio::null(),
            Output::Capture => Stdio::piped(),
        }
    }
}

/// What is said of a child before it is made.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) daemon: bool,
    pub(super) resident: bool,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    pub(super) answer_within: Duration,
}

/// How long a child may take to get to `init`, unless something else is said.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The exit code of a child that has ended, nobody knows how.
const NOT_KNOWN: i32 = 255;

/// A child that others may signal while its life is being followed.
pub(super) struct Handle {
    pub(super) pid: u32,
    /// Means this child, and never one that gets its number later.
    pidfd: OwnedFd,
}

impl Handle {
    /// Sends the signal; false if the child has ended.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.pidfd, signal).is_ok()
    }
}

/// A child, for the one thread that follows its life.
pub(super) struct Live {
    pub(super) handle: Arc<Handle>,
    pub(super) socket: Socket,
    pub(super) child: Child,
    name: String,
    /// Until when it has to get to `init`, as long as it has not.
    answer: Option<(Instant, Duration)>,
    ended: Option<ExitStatus>,
}

/// What a child does next.
pub(super) enum News {
    Value { number: u32, bytes: Vec<u8>, descriptors: Vec<OwnedFd> },
    Panic { number: u32, message: String, location: Option<String> },
    Failure { number: u32, text: String },
    Garbage(String),
    NoAnswer(Duration),
    Ended(ExitStatus),
}

/// A number that nobody else uses.
fn token() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}

impl Live {
    /// Starts a child, with its first call already waiting for it.
    pub(super) fn start(plan: &Plan, call: Option<&Encoded>) -> io::Result<Live> {
        let (ours, theirs) = Socket::pair()?;
        let setup = Setup { token: token(), name: plan.name.clone(), daemon: plan.daemon, resident: plan.resident };
        let full = |fault: SendFault| match fault {
            SendFault::System(error) => error,
            fault => io::Error::other(fault.to_string()),
        };
        ours.try_send(Tag::Setup, 0, &setup.encode()).map_err(full)?;
        if let Some(call) = call {
            ours.try_send(Tag::Call, 0, call).map_err(full)?;
        }
        // The program that runs, even if its file has been replaced since.
        let mut command = Command::new("/proc/self/exe");
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        command
            .env(VARIABLE, format!("{:x}", setup.token))
            .envs(plan.environment.iter().map(|(key, value)| (key, value)))
            // The one descriptor that `Command` passes on without leaving it open for a moment in
            // whatever other threads start meanwhile.
            .stdin(Stdio::from(theirs.into_descriptor()?))
            .stdout(plan.stdout)
            .stderr(plan.stderr);
        let child = command.spawn()?;
        drop(command); // and with it our copy of the child's end
        let mut child = Abort(Some(child));
        let pid = child.0.as_ref().expect("just put").id();
        let pidfd = match pidfd_open(pid_of(pid), PidfdFlags::empty()) {
            // It has ended, and the system has not kept it for us: what is as readable as its end.
            Err(Errno::SRCH) => eventfd(1, EventfdFlags::CLOEXEC)?,
            opened => opened?,
        };
        Ok(Live {
            handle: Arc::new(Handle { pid, pidfd }),
            socket: ours,
            child: child.0.take().expect("just put"),
            name: plan.name.clone(),
            answer: Instant::now().checked_add(plan.answer_within).map(|at| (at, plan.answer_within)),
            ended: None,
        })
    }

    /// Whether the child has got to `init`.
    pub(super) fn has_answered(&self) -> bool {
        self.answer.is_none()
    }

    /// Waits until the child tells something or ends; what it had told before it ended comes first.
    /// `Ended` is the last, and comes again if it is asked for.
    pub(super) fn next(&mut self, interruptible: bool) -> Result<News, WaitError> {
        let (mut first, mut closed) = (true, false);
        loop {
            let told = match () {
                () if closed => Err(ReceiveFault::Empty),
                // An answer is often on its way; as long as one comes, nobody asks for the child's end.
                () if first => spin::spin_at(spin::Pace::Backoff, || match self.receive() {
                    Err(ReceiveFault::Empty) => None,
                    told => Some(told),
                })
                .unwrap_or(Err(ReceiveFault::Empty)),
                () => self.receive(),
            };
            match told {
                Ok(Some(news)) => return Ok(news),
                Ok(None) => continue,
                Err(ReceiveFault::Empty) => {}
                Err(ReceiveFault::Garbage(reason)) => return Ok(News::Garbage(reason.into())),
                // A child that has closed its end is about to end, or will by itself.
                Err(ReceiveFault::Closed | ReceiveFault::System(_)) => closed = true,
            }
            if let Some(status) = self.ended {
                return Ok(News::Ended(status));
            }
            if !std::mem::take(&mut first) && self.look().is_some() {
                continue; // what it told last
            }
            match self.wait(closed, interruptible) {
                Err(WaitError::TimedOut) => {
                    let (_, limit) = self.answer.take().expect("there is no other limit");
                    return Ok(News::NoAnswer(limit));
                }
                waited => waited?,
            }
        }
    }

    /// Sends a call to a child that waits for one.
    pub(super) fn call(&self, number: u32, call: &Encoded) -> Result<(), SendFault> {
        let how = Waiting {
            kind: Kind::Process,
            subject: self,
            site: Location::caller(),
            limit: Limit::Never,
            interruptible: false,
        };
        self.socket.send(Tag::Call, number, call, &how).unwrap_or(Err(SendFault::Closed))
    }

    /// Whether the child is there for another call, as far as one can tell.
    pub(super) fn is_idle(&mut self) -> bool {
        matches!(self.socket.try_receive(|_| ()), Err(ReceiveFault::Empty))
    }

    /// Tells a child that waits for calls that there will be none.
    pub(super) fn dismiss(&self) {
        self.socket.close();
    }

    /// Waits for the end of a child that was dismissed; one that takes too long is killed.
    pub(super) fn see_off(mut self, until: Instant) {
        while self.ended.is_none() && Instant::now() < until {
            let end = [(self.handle.pidfd.as_fd(), PollFlags::IN)];
            let mut wait = Wait::new(Kind::Process, &self, Location::caller(), Some(until));
            (wait.interruptible, wait.outside) = (false, Some(Outside::Ready(&end)));
            park(key_of(&self), &wait, || true);
            self.look();
        }
    }

    fn wait(&self, closed: bool, interruptible: bool) -> Result<(), WaitError> {
        let end = (self.handle.pidfd.as_fd(), PollFlags::IN);
        let told = (self.socket.descriptor().as_fd(), PollFlags::IN);
        let watched = [end, told];
        let limit = self.answer.map_or(Limit::Never, |(at, _)| Limit::Until(at));
        let mut wait = Wait::new(Kind::Process, self, Location::caller(), limit.deadline());
        wait.interruptible = interruptible;
        wait.outside = Some(Outside::Ready(if closed { &watched[..1] } else { &watched }));
        park(key_of(self), &wait, || true).settle().map(drop)
    }

    /// What the child has told; `None` if that is of no interest to others.
    fn receive(&mut self) -> Result<Option<News>, ReceiveFault> {
        let answer = &mut self.answer;
        self.socket.try_receive(|packet| {
            let number = packet.number;
            let readable = |news: Result<News, String>| Some(news.unwrap_or_else(News::Garbage));
            match packet.tag {
                Tag::Hello => {
                    *answer = None;
                    None
                }
                Tag::Value => {
                    Some(News::Value { number, bytes: packet.payload.to_vec(), descriptors: packet.descriptors })
                }
                Tag::Panic => {
                    readable(super::wire::decode(packet.payload, Vec::new()).map(|(message, location)| News::Panic {
                        number,
                        message,
                        location,
                    }))
                }
                Tag::Failure => {
                    readable(super::wire::decode(packet.payload, Vec::new()).map(|text| News::Failure { number, text }))
                }
                Tag::Setup | Tag::Call | Tag::Item => {
                    Some(News::Garbage("its tag is not one that a child sends".into()))
                }
            }
        })
    }

    /// How the child has ended, if it has.
    fn look(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            // Refused if there is no such child any more: somebody else has asked, or this process ignores
            // `SIGCHLD`, so that the system keeps no status.
            self.ended = self.child.try_wait().unwrap_or(Some(ExitStatus::from_raw(NOT_KNOWN << 8)));
        }
        self.ended
    }

    /// Kills the child and waits for its end, which is near then.
    pub(super) fn put_down(&mut self) -> ExitStatus {
        self.handle.signal(Signal::KILL);
        loop {
            if let Some(status) = self.look() {
                return status;
            }
            let _ = self.wait(true, false);
        }
    }
}

/// No child is left behind, dead or alive, by who stops to follow it.
impl Drop for Live {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.put_down();
        }
    }
}

impl Subject for Live {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (pid {})", self.name, self.handle.pid)
    }
}

fn pid_of(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a child has a positive number")
}

/// A child that is killed if it does not get as far as being followed.
struct Abort(Option<Child>);

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
