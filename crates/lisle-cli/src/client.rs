//! A connection to a program's agent.

use crate::source::{Gone, Source};
use lisle::watch::Harmless;
use lisle::watch::frame::{Frames, ReadError, decode, encode};
use lisle::watch::place::{Directory, ProcessId, directories};
use lisle::watch::wire::{Hello, MAX_FRAME, MAX_REQUEST, PROTOCOL, Reply, Request, Snapshot, SnapshotRequest, Trace};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long an agent may take for an answer. A snapshot of ten thousand threads takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look meanwhile whether somebody has stopped the process.
const LOOK: Duration = Duration::from_millis(500);

/// A connection to the agent of a process.
pub(crate) struct Client {
    stream: UnixStream,
    frames: Frames,
    process: Target,
    agent: Hello,
    /// Parts of a trace that came when something else was waited for.
    traces: VecDeque<Trace>,
    /// Whether snapshots are to have an interpreter's frames.
    pub(crate) with_frames: bool,
}

/// A process that is to be looked at.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) id: ProcessId,
    /// Whose it is: the user that it acts as.
    user: u32,
    command: String,
}

impl Target {
    /// The process with this number; that of a thread is its process's.
    pub(crate) fn find(number: u32) -> Result<Target, Gone> {
        let none = || Gone(format!("there is no process {number}"));
        let status = fs::read_to_string(format!("/proc/{number}/status")).map_err(|_| none())?;
        let field = |name: &str, nth: usize| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().nth(nth)?.parse::<u32>().ok()
        };
        let (pid, user) = (field("Tgid", 0).unwrap_or(number), field("Uid", 1).ok_or_else(none)?);
        let id = ProcessId::of(pid).map_err(|_| none())?;
        if !id.is_alive() {
            return Err(Gone(format!("process {pid} has ended")));
        }
        Ok(Target { id, user, command: command(pid) })
    }

    /// The number and the command, for people.
    pub(crate) fn name(&self) -> String {
        format!("process {} ({})", self.id.pid, self.command)
    }

    /// The directories in which its agent may listen.
    fn directories(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for session in [self.session(), std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)] {
            for path in directories(self.user, session.as_deref()) {
                if !all.contains(&path) {
                    all.push(path);
                }
            }
        }
        all
    }

    /// What its environment says of where its session has its sockets.
    fn session(&self) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStrExt;
        let environment = fs::read(format!("/proc/{}/environ", self.id.pid)).ok()?;
        let value = environment.split(|&byte| byte == 0).find_map(|line| line.strip_prefix(b"XDG_RUNTIME_DIR="))?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(value)))
    }

    /// Whether it does not run because somebody has stopped it.
    fn is_stopped(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id.pid)).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:\tT") || line.starts_with("State:\tt"))
    }

    /// Whether it has ended, or is about to: its end of a connection is closed before it can be seen to.
    fn has_ended(&self) -> bool {
        let begin = Instant::now();
        while self.id.is_alive() {
            if begin.elapsed() > Duration::from_millis(300) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// The command line of a process, harmless and not too long.
fn command(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
    if words.is_empty() {
        words = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
    }
    shortened(&words, 60)
}

/// The first characters of a text that is not ours, made harmless.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => Harmless::new(text).to_string(),
        Some((at, _)) => format!("{}…", Harmless::new(&text[..at])),
    }
}

impl Client {
    /// Connects to the agent of the process with this number.
    ///
    /// # Errors
    /// Why that cannot be done, and what can be done about it.
    pub(crate) fn connect(pid: u32) -> Result<Client, Gone> {
        let target = Target::find(pid)?;
        let me = rustix::process::geteuid().as_raw();
        if target.user != me && me != 0 {
            let (name, user) = (target.name(), target.user);
            return Err(Gone(format!("{name} is not yours: only user {user} and root may look at it")));
        }
        let mut refused = None;
        for path in target.directories() {
            let found = Directory::open(&path, target.user).and_then(|dir| dir.connect(target.id, target.user));
            match found {
                Ok(socket) => return Client::greet(UnixStream::from(socket), target),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // Left behind, by the program that this process was before it became another one.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(silent(&target)),
                Err(error) => refused = Some(error),
            }
        }
        Err(Gone(match refused {
            Some(error) => format!("{} cannot be asked: {error}", target.name()),
            None => format!(
                "{} runs without the agent, which answers for it. A program gets one by `lisle run -- PROGRAM` \
                 (LISLE_AGENT=1 in its environment), by lisle::watch::start_agent() in it, or, if it calls \
                 lisle::watch::start_agent_on_signal(), by `kill -USR2 {}`; for Python, `python -m lisle --watch \
                 PROGRAM`",
                target.name(),
                target.id.pid
            ),
        }))
    }

    fn greet(stream: UnixStream, process: Target) -> Result<Client, Gone> {
        let set = stream.set_read_timeout(Some(LOOK)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        set.map_err(|error| Gone(format!("{} cannot be asked: {error}", process.name())))?;
        let frames = Frames::new(MAX_FRAME);
        let mut client =
            Client { stream, frames, process, agent: Hello::default(), traces: VecDeque::new(), with_frames: false };
        let said = client.say(&Request::Hello(Hello { protocol: PROTOCOL, software: software() }));
        // An agent that lets nobody in says why and closes: that may be there to be heard when it listens no more.
        let heard = client.hear();
        if heard.is_ok() {
            said?;
        }
        match heard? {
            Reply::Hello(hello) => client.agent = hello,
            _ => return Err(client.unclear("something else than a greeting")),
        }
        Ok(client)
    }

    /// The process.
    pub(crate) fn process(&self) -> &Target {
        &self.process
    }

    /// Waits for answers as long as they take: for a view that says so while it waits.
    ///
    /// # Errors
    /// That the connection is of no use any more.
    pub(crate) fn wait_for_ever(&self) -> Result<(), Gone> {
        let set = self.stream.set_read_timeout(None).and_then(|()| self.stream.set_write_timeout(None));
        set.map_err(|error| self.lost(&error))
    }

    /// What there is to say of the versions of the two, if they are not sure to understand each other.
    pub(crate) fn note(&self) -> Option<String> {
        (self.agent.protocol[0] != PROTOCOL[0]).then(|| format!("{}: only what both know is shown", self.versions()))
    }

    fn versions(&self) -> String {
        let version = |[major, minor]: [u32; 2]| format!("version {major}.{minor} of the protocol");
        let (agent, process) = (Harmless::new(&self.agent.software), self.process.id.pid);
        let (theirs, ours) = (version(self.agent.protocol), version(PROTOCOL));
        format!("process {process} has {agent} with {theirs}, and this is {} with {ours}", software())
    }

    /// Has the agent send a trace, from now on: see [`next_trace`](Client::next_trace).
    pub(crate) fn start_trace(&mut self) -> Result<(), Gone> {
        self.say(&Request::StartTrace)
    }

    /// The next part of the trace. Waits for it: there is one now and then, also if nothing has happened.
    pub(crate) fn next_trace(&mut self) -> Result<Trace, Gone> {
        if let Some(trace) = self.traces.pop_front() {
            return Ok(trace);
        }
        match self.hear()? {
            Reply::Trace(trace) => Ok(*trace),
            _ => Err(self.unclear("something else than a trace")),
        }
    }

    /// Has the agent send the last part, which is marked so.
    pub(crate) fn stop_trace(&mut self) -> Result<(), Gone> {
        self.say(&Request::StopTrace)
    }

    fn say(&mut self, request: &Request) -> Result<(), Gone> {
        let bytes = encode(request, MAX_REQUEST).expect("a request is short");
        self.stream.write_all(&bytes).map_err(|error| self.lost(&error))
    }

    /// What the agent says next, if that is not an error.
    fn hear(&mut self) -> Result<Reply, Gone> {
        let mut bytes = vec![0; 64 << 10];
        let mut since = Instant::now();
        loop {
            match self.frames.next() {
                Ok(None) => {}
                Ok(Some(frame)) => {
                    return match decode(frame) {
                        Ok(Reply::Error(why)) => {
                            Err(Gone(format!("{} says: {}", self.process.name(), Harmless::new(&why))))
                        }
                        Ok(reply) => Ok(reply),
                        Err(error) => Err(self.unclear(&reason(&error))),
                    };
                }
                Err(error) => return Err(self.unclear(&error.to_string())),
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(self.lost(&ErrorKind::UnexpectedEof.into())),
                Ok(read) => {
                    self.frames.add(&bytes[..read]);
                    since = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if since.elapsed() > PATIENCE || self.process.is_stopped() {
                        return Err(silent(&self.process));
                    }
                }
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    /// Why there is no answer.
    fn lost(&self, error: &io::Error) -> Gone {
        use ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
        match error.kind() {
            WouldBlock | TimedOut => silent(&self.process),
            UnexpectedEof | BrokenPipe | ConnectionReset => {
                let what = if self.process.has_ended() { "has ended" } else { "has closed the connection" };
                Gone(format!("{} {what}", self.process.name()))
            }
            _ => Gone(format!("{} cannot be asked: {error}", self.process.name())),
        }
    }

    fn unclear(&self, what: &str) -> Gone {
        match &*self.agent.software {
            "" => Gone(format!("{} does not speak lisle's protocol: it sent {what}", self.process.name())),
            _ => Gone(format!("{}: it sent {what}", self.versions())),
        }
    }
}

/// What another program says of itself is in it.
fn reason(error: &ReadError) -> String {
    Harmless::new(&error.to_string()).to_string()
}

fn silent(process: &Target) -> Gone {
    let why = if process.is_stopped() { ": it is stopped" } else { "" };
    Gone(format!("{} does not answer{why}", process.name()))
}

fn software() -> String {
    concat!("lisle ", env!("CARGO_PKG_VERSION")).into()
}

impl Source for Client {
    fn want_frames(&mut self, wanted: bool) {
        self.with_frames = wanted;
    }

    fn snapshot(&mut self) -> Result<Snapshot, Gone> {
        self.say(&Request::Snapshot(SnapshotRequest { frames: self.with_frames }))?;
        loop {
            match self.hear()? {
                Reply::Snapshot(snapshot) => return Ok(*snapshot),
                Reply::Trace(trace) => self.traces.push_back(*trace),
                _ => return Err(self.unclear("something else than a snapshot")),
            }
        }
    }
}

/// For who waits for several things at once.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// The example `watched`, which listens.
    fn started() -> Child {
        let test = std::env::current_exe().expect("a running test has a path");
        let program = test.ancestors().nth(2).expect("tests lie in PROFILE/deps").join("examples/watched");
        let mut command = Command::new(program);
        let mut child = command.arg("start").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.ends_with(".sock\n"), "{line}");
        child
    }

    #[test]
    fn a_program_that_ends_while_it_is_watched_is_said_to_have_ended() {
        for in_order in [true, false] {
            let mut child = started();
            let pid = child.id();
            let mut client = Client::connect(pid).unwrap();
            assert_eq!(client.note(), None);
            assert_eq!(client.snapshot().unwrap().process.pid, pid);
            match in_order {
                true => drop(child.stdin.take()),
                false => child.kill().unwrap(),
            }
            let gone = loop {
                if let Err(gone) = client.snapshot() {
                    break gone.to_string();
                }
            };
            assert!(gone.starts_with(&format!("process {pid} (")) && gone.ends_with(") has ended"), "{gone}");
            assert_eq!(client.snapshot().unwrap_err().to_string(), gone, "and that does not change");
            child.wait().unwrap();
            assert!(Client::connect(pid).is_err());
        }
    }
}
