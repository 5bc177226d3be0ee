//! A pseudo-terminal for tests: what a program draws on it, keys, signals, and whether it is left as it was.

#![allow(dead_code)] // two test programs have it, and each needs some of it

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtyPair, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A test that is not done then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal, and a program on it.
pub(crate) struct Terminal {
    pair: Option<PtyPair>,
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// The line settings before the program came.
    before: String,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn lines(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap()
}

/// The settings of the terminal's line, all of them.
fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().expect("settings"))
}

impl Terminal {
    /// Starts a program on a terminal of 80×24.
    pub(crate) fn start<const N: usize>(
        program: &Path,
        arguments: [&str; N],
        environment: &[(&str, &str)],
    ) -> Terminal {
        let pair = native_pty_system().openpty(size(80, 24)).expect("a pseudo-terminal");
        let before = settings(&*pair.master);
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.cwd(std::env::current_dir().unwrap());
        command.env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        environment.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).expect("the program");
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keyboard = pair.master.take_writer().unwrap();
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if send.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let parser = vt100::Parser::new(lines(24), lines(80), 0);
        Terminal { pair: Some(pair), child, keyboard, output, parser, before }
    }

    /// Waits until the screen is as told.
    pub(crate) fn expect(&mut self, what: &str, is_there: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_there(self.screen()) {
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{what} is not on the screen:\n{}", self.screen().contents());
                }
            }
        }
    }

    /// Waits until the screen has this text.
    pub(crate) fn expect_text(&mut self, text: &str) {
        self.expect(text, |screen| screen.contents().contains(text));
    }

    /// Types this.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends the program a signal.
    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Gives it another size, as a window does.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.parser.screen_mut().set_size(lines(rows), lines(columns));
        self.pair.as_ref().unwrap().master.resize(size(columns, rows)).unwrap();
    }

    /// What is seen on it.
    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Closes it, as a window does. Returns what its program ends with.
    pub(crate) fn close(self) -> ExitStatus {
        let Terminal { pair, mut child, keyboard, output, .. } = self;
        drop((keyboard, output, pair));
        child.wait().unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap()
    }

    /// What the system says that the program does: `S`, `T` …
    pub(crate) fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid().as_raw_nonzero())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    /// Waits until the system says so.
    pub(crate) fn wait_for_state(&self, is_wanted: impl Fn(char) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_wanted(self.state()) {
            assert!(Instant::now() < until, "the program does not get there: {}", self.state());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the terminal is as it was before the program came.
    pub(crate) fn expect_given_back(&mut self) {
        self.expect("the shell's screen", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        let now = settings(&*self.pair.as_ref().unwrap().master);
        assert_eq!(now, self.before);
    }

    /// Waits for the end of the program and for all that it wrote. Returns what it ended with, and what is seen then.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.expect_given_back();
        // Closes our side of what it had, so the reader comes to an end.
        let PtyPair { slave, master } = self.pair.take().unwrap();
        drop(slave);
        while let Ok(bytes) = self.output.recv() {
            self.parser.process(&bytes);
        }
        drop(master);
        (status, self.screen().contents())
    }
}
