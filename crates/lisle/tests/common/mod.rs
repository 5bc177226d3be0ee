//! What the tests of the example programs have in common.
#![allow(dead_code)] // no test uses all of it

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lisle::thread;

/// A built example, which lies beside the folder of this test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.ancestors().nth(2).expect("tests lie in PROFILE/deps");
    let program = profile.join("examples").join(name);
    assert!(program.exists(), "{program:?} is not built: run `cargo build --example {name}`");
    program
}

/// A folder for one test: `tree/` to be read, and beside it what is written.
pub(crate) struct Room(PathBuf);

impl Room {
    pub(crate) fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path); // what a test that failed has left
        fs::create_dir_all(path.join("tree")).unwrap();
        Room(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn tree(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path("tree").join(name.as_ref())
    }

    pub(crate) fn file(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        let path = self.tree(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A file so large that nobody comes to its end, and that takes no room.
    pub(crate) fn endless_file(&self, name: &str) {
        File::create(self.tree(name)).unwrap().set_len(1 << 40).unwrap();
    }

    pub(crate) fn end_file(&self, name: &str) {
        File::create(self.tree(name)).unwrap();
    }

    pub(crate) fn pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.tree(name)).status().unwrap().success());
    }

    pub(crate) fn spawn(&self, command: &mut Command) -> Running<'_> {
        let out = File::create(self.path("stdout")).unwrap();
        let err = File::create(self.path("stderr")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        Running { room: self, child }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A program at work.
pub(crate) struct Running<'a> {
    room: &'a Room,
    child: Child,
}

impl Running<'_> {
    /// Waits until a file of the room contains a text.
    #[track_caller]
    pub(crate) fn until(&mut self, file: &str, text: &str) {
        let begin = Instant::now();
        while !fs::read(self.room.path(file)).is_ok_and(|is| String::from_utf8_lossy(&is).contains(text)) {
            assert!(self.child.try_wait().unwrap().is_none(), "ended before there was {text:?} in {file}");
            assert!(begin.elapsed() < Duration::from_secs(30), "no {text:?} in {file}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends a signal and waits for the end, which must come soon.
    #[track_caller]
    pub(crate) fn end_by(&mut self, signal: i32) -> ExitStatus {
        self.end(self.child.id() as libc::pid_t, signal)
    }

    /// [`end_by`](Running::end_by) as a terminal does it: the program's processes get the signal too. It
    /// must be the leader of its group.
    #[track_caller]
    pub(crate) fn end_all_by(&mut self, signal: i32) -> ExitStatus {
        self.end(-(self.child.id() as libc::pid_t), signal)
    }

    #[track_caller]
    fn end(&mut self, whom: libc::pid_t, signal: i32) -> ExitStatus {
        let begin = Instant::now();
        send(whom, signal);
        let status = self.wait();
        let took = begin.elapsed();
        println!("ended {took:?} after signal {signal} (goal: 100 ms)");
        assert!(took < Duration::from_secs(2), "{took:?}");
        status
    }

    /// The processes that the program has started.
    pub(crate) fn children(&self) -> Vec<libc::pid_t> {
        let parent = format!("\nPPid:\t{}\n", self.child.id());
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_child =
            |pid: &_| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| status.contains(&parent));
        all.filter(is_child).collect()
    }
}

/// Sends a signal to a process that a test has started and not waited for, or to its group.
#[track_caller]
pub(crate) fn send(whom: libc::pid_t, signal: i32) {
    // SAFETY: a call without memory; the number is that of the process as long as nobody waits for it.
    let sent = unsafe { libc::kill(whom, signal) };
    assert_eq!(sent, 0);
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
