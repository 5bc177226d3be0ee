//! `lisle top` on a real program, in a real terminal.

#[path = "../src/top/terminal.rs"]
mod terminal;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use terminal::Terminal;

/// An example of the library, which `cargo test --workspace` builds into the same place.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let program = test.ancestors().nth(2).expect("tests lie in PROFILE/deps").join("examples").join(name);
    assert!(program.exists(), "{program:?} is not built: run `cargo build --example {name}`");
    program
}

/// A program in a timed deadlock, which stays in it for an hour.
struct Program(Child);

impl Program {
    fn start() -> Program {
        let mut command = Command::new(example("knots"));
        command
            .arg("timed-two-locks")
            .env("LISLE_AGENT", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the example runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Program(child)
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `lisle top` for this process.
fn top(pid: u32) -> Terminal {
    Terminal::start(Path::new(env!("CARGO_BIN_EXE_lisle")), ["top", "--delay", "0.1", &pid.to_string()], &[])
}

#[test]
fn a_real_program_is_seen_and_left_alone() {
    let mut program = Program::start();
    let mut terminal = top(program.0.id());
    terminal.expect_text(" 1 deadlock: key 3 shows more");
    terminal.expect_text("mutex \"second\"");
    terminal.press("3");
    terminal.expect_text("┌─▶ \"patient\"");
    terminal.expect_text("held by \"hasty\", taken at crates/lisle/examples/knots/scenes.rs:");
    terminal.press("2");
    terminal.expect_text("mutex \"first\"");
    terminal.press("1/hasty\r\r");
    terminal.expect_text("They wait for each other.");
    terminal.press("qq");
    let (status, _) = terminal.end();
    assert!(status.success(), "{status:?}");
    assert!(program.is_running());
}

#[test]
fn the_last_picture_of_a_program_that_was_killed_stays() {
    let program = Program::start();
    let mut terminal = top(program.0.id());
    terminal.expect_text("patient");
    program.send(Signal::KILL);
    terminal.expect_text("The program has ended. This is the last picture, ");
    terminal.expect_text("patient");
    terminal.press("q");
    assert!(terminal.end().0.success());
}

#[test]
fn a_program_that_stands_still_is_waited_for() {
    let program = Program::start();
    let mut terminal = top(program.0.id());
    terminal.expect_text("patient");
    program.send(Signal::STOP);
    terminal.expect_text("The program has not answered for");
    program.send(Signal::CONT);
    terminal.expect("the present", |screen| !screen.contents().contains("not answered"));
    terminal.press("q");
    assert!(terminal.end().0.success());
}

/// Why it cannot be done is told in one sentence, and in the words of the shell's screen.
#[test]
fn what_cannot_be_seen_is_told() {
    let (status, screen) = top(4_000_000).end();
    assert_eq!((status.exit_code(), screen.trim_end()), (1, "lisle: there is no process 4000000"));

    let pid = std::process::id().to_string();
    let (status, screen) =
        Terminal::start(Path::new(env!("CARGO_BIN_EXE_lisle")), ["top", &pid], &[("TERM", "dumb")]).end();
    assert_eq!(status.exit_code(), 2);
    assert!(screen.replace('\n', "").contains("(TERM=dumb): use `lisle dump"), "{screen}");

    let (status, screen) = Terminal::start(Path::new(env!("CARGO_BIN_EXE_lisle")), ["top", &pid, "-d0"], &[]).end();
    assert_eq!(status.exit_code(), 2);
    assert!(screen.contains("a number from 0.05 to 3600 is wanted"), "{screen}");
}

#[test]
fn without_a_terminal_one_is_told_what_to_use() {
    let output = Command::new(env!("CARGO_BIN_EXE_lisle")).args(["top", "17"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        (output.stdout.len(), String::from_utf8_lossy(&output.stderr).into_owned()),
        (0, "lisle: top draws on a terminal, and stdout is none: use `lisle dump 17` instead\n".to_owned())
    );
}
