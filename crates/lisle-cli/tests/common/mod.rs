//! What the tests of the program have in common.
#![allow(dead_code)] // no test uses all of it

use lisle::watch::frame::{Frames, decode, encode};
use lisle::watch::place::{Directory, ProcessId};
use lisle::watch::wire::{Hello, MAX_FRAME, MAX_REQUEST, PROTOCOL, Reply, Request, Snapshot, SnapshotRequest};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What takes longer has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A built example of this workspace, which lies beside the folder of this test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let program = test.ancestors().nth(2).expect("tests lie in PROFILE/deps").join("examples").join(name);
    assert!(program.exists(), "{program:?} is not built: run `cargo build --example {name}`");
    program
}

/// A session of its own, with a directory for sockets that no other test looks into.
pub(crate) struct Session(PathBuf);

impl Session {
    pub(crate) fn new() -> Session {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lisle-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Session(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the sockets are.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.0.join("lisle")
    }

    /// The names in there, but for hidden ones.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.sockets()) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("XDG_RUNTIME_DIR", &self.0).env_remove("LISLE_AGENT");
        command
    }

    /// The program `lisle`.
    pub(crate) fn lisle(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_lisle"));
        command.args(arguments);
        command
    }

    /// What `lisle` prints, in words.
    pub(crate) fn says(&self, arguments: &[&str]) -> Said {
        Said::of(self.lisle(arguments).output().unwrap())
    }

    /// Starts the example `watched`.
    pub(crate) fn watched(&self, arguments: &[&str]) -> Watched {
        self.watched_with(arguments, |command| command)
    }

    pub(crate) fn watched_with(&self, arguments: &[&str], more: impl FnOnce(&mut Command) -> &mut Command) -> Watched {
        let mut command = self.command(example("watched"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = more(&mut command).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Watched { child, stdout }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a program printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Said {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// That it failed, with one sentence in which these words are.
    #[track_caller]
    pub(crate) fn assert_refused(&self, words: &[&str]) {
        assert_eq!((self.code, &*self.out), (Some(1), ""), "{self:?}");
        assert!(self.err.starts_with("lisle: ") && self.err.trim_end().lines().count() == 1, "{self:?}");
        for words in words {
            assert!(self.err.contains(words), "{words:?} in {self:?}");
        }
    }
}

/// A program that runs.
pub(crate) struct Watched {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Watched {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn id(&self) -> String {
        self.pid().to_string()
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        send(self.pid(), signal);
    }

    /// Has it end, and returns what it said on stderr.
    pub(crate) fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status:?}");
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// What it prints to stderr, until that is enough.
    pub(crate) fn errors_until(&mut self, is_enough: impl Fn(&str) -> bool) -> String {
        let stderr = self.child.stderr.as_mut().unwrap();
        let (mut text, mut bytes) = (String::new(), [0; 1024]);
        while !is_enough(&text) {
            let read = stderr.read(&mut bytes).unwrap();
            assert_ne!(read, 0, "it ended: {text}");
            text += &String::from_utf8_lossy(&bytes[..read]);
        }
        text
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: u32, signal: libc::c_int) {
    // SAFETY: a call without memory, to a process that this test has started and not waited for.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}

/// Asks until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT, "not {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A connection to an agent, with nothing between.
pub(crate) struct Wire {
    pub(crate) stream: UnixStream,
    frames: Frames,
}

impl Wire {
    pub(crate) fn to(session: &Session, pid: u32) -> Wire {
        let user = rustix::process::geteuid().as_raw();
        let directory = Directory::open(&session.sockets(), user).unwrap();
        let socket = directory.connect(ProcessId::of(pid).unwrap(), user).unwrap();
        Wire::over(UnixStream::from(socket))
    }

    pub(crate) fn over(stream: UnixStream) -> Wire {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Wire { stream, frames: Frames::new(MAX_FRAME) }
    }

    /// One that has said hello.
    pub(crate) fn greeted(session: &Session, pid: u32) -> Wire {
        let mut wire = Wire::to(session, pid);
        wire.ask(&Request::Hello(Hello { protocol: PROTOCOL, software: "a test".into() }));
        assert!(matches!(wire.hear(), Some(Reply::Hello(hello)) if hello.protocol == PROTOCOL));
        wire
    }

    pub(crate) fn ask(&mut self, request: &Request) {
        self.send(&encode(request, MAX_REQUEST).unwrap());
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send_frame(&mut self, content: &[u8]) {
        self.send(&(content.len() as u32).to_le_bytes());
        self.send(content);
    }

    /// What comes next; `None` if the connection is closed.
    pub(crate) fn hear(&mut self) -> Option<Reply> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            if let Some(frame) = self.frames.next().unwrap() {
                return Some(decode(frame).unwrap());
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.frames.add(&bytes[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.ask(&Request::Snapshot(SnapshotRequest::default()));
        match self.hear() {
            Some(Reply::Snapshot(snapshot)) => *snapshot,
            other => panic!("no snapshot: {other:?}"),
        }
    }

    /// That it can be talked to as if nothing had happened.
    #[track_caller]
    pub(crate) fn assert_well(session: &Session, pid: u32) {
        assert_eq!(Wire::greeted(session, pid).snapshot().process.pid, pid);
    }
}

/// Whether the test may act as other users; says so if not.
pub(crate) fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED {test}: only root can act as another user");
    }
    is_root
}

/// The user `nobody`.
pub(crate) const NOBODY: u32 = 65534;

/// Has the command run as that user.
pub(crate) fn as_nobody(command: &mut Command) -> &mut Command {
    command.uid(NOBODY).gid(NOBODY)
}
