//! The view in a real terminal: what is drawn, what keys and signals do, and that the terminal is left as it was.
//!
//! Each test starts this test program again in a pseudo-terminal, where only [`child`] runs: the view of a source
//! that is made up.

use super::model::Model;
use crate::source::{Gone, Source};
use crate::testing;
use lisle::watch::wire::Snapshot;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtyPair, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The environment variable that makes this program the child, with what its source does after its first answer.
const CHILD: &str = "LISLE_TOP_CHILD";

/// A test that is not done then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells of a deadlock, and then what the environment says.
struct MadeUp {
    then: String,
    asked: u64,
}

impl Source for MadeUp {
    fn snapshot(&mut self) -> Result<Snapshot, Gone> {
        self.asked += 1;
        match &*self.then {
            _ if self.asked == 1 => {}
            "end" => return Err(Gone("the program has ended".into())),
            "panic" => panic!("the source\npanics"),
            "hang" => loop {
                std::thread::park();
            },
            _ => {}
        }
        Ok(testing::later(testing::deadlock(), self.asked * 1_000))
    }
}

#[test]
fn child() {
    let Ok(then) = std::env::var(CHILD) else { return };
    let color = std::env::var_os("NO_COLOR").is_none();
    let model = Model::new(4242, Duration::from_millis(50), color);
    let ended = super::run::run(model, Box::new(MadeUp { then, asked: 0 }));
    println!("ended: {ended:?}");
    std::process::exit(7);
}

/// A terminal with the view on it.
struct Terminal {
    pair: Option<PtyPair>,
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// The line settings before the view came.
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
    fn start(then: &str, environment: &[(&str, &str)]) -> Terminal {
        let pair = native_pty_system().openpty(size(80, 24)).expect("a pseudo-terminal");
        let before = settings(&*pair.master);
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "top::pty::child", "--nocapture", "--test-threads=1"]);
        command.env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        command.env(CHILD, then);
        environment.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).expect("the child");
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
        let screen = vt100::Parser::new(lines(24), lines(80), 0);
        Terminal { pair: Some(pair), child, keyboard, output, screen, before }
    }

    /// Waits until the screen is as told.
    fn expect(&mut self, what: &str, is_there: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_there(self.screen.screen()) {
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{what} is not on the screen:\n{}", self.screen.screen().contents());
                }
            }
        }
    }

    fn expect_text(&mut self, text: &str) {
        self.expect(text, |screen| screen.contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap()
    }

    /// What the system says that the child does: `S`, `T` …
    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid().as_raw_nonzero())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    fn wait_for_state(&self, is_wanted: impl Fn(char) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_wanted(self.state()) {
            assert!(Instant::now() < until, "the child does not get there: {}", self.state());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The terminal is as it was before the view.
    fn expect_given_back(&mut self) {
        self.expect("the shell's screen", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        let now = settings(&*self.pair.as_ref().unwrap().master);
        assert_eq!(now, self.before);
    }

    /// Waits for the end of the child, after which everything it wrote has been read.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.expect_given_back();
        // Closes our side of what the child had, so the reader comes to an end.
        let PtyPair { slave, master } = self.pair.take().unwrap();
        drop(slave);
        while let Ok(bytes) = self.output.recv() {
            self.screen.process(&bytes);
        }
        drop(master);
        (status, self.screen.screen().contents())
    }
}

#[test]
fn one_looks_around_and_quits() {
    let mut terminal = Terminal::start("go on", &[]);
    terminal.expect_text("1 suspected deadlock");
    assert!(terminal.screen.screen().alternate_screen() && terminal.screen.screen().hide_cursor());
    for column in [0, 40, 79] {
        let cell = terminal.screen.screen().cell(2, column).unwrap();
        assert_eq!((cell.bgcolor(), cell.bold()), (vt100::Color::Idx(1), true), "red");
    }
    // It goes on: the youngest wait of the picture grows by a second each time.
    terminal.expect_text("ticker        waiting        4.3 s");
    terminal.press("3");
    terminal.expect_text("└───┘");
    terminal.press("1/audit\r\r");
    terminal.expect_text("What that depends on");
    terminal.press("\x1b[B\x1b[F");
    terminal.press("q");
    terminal.expect_text("with \"audit\"");
    terminal.press("\x1bOPq");
    terminal.expect_text("with \"audit\"");
    terminal.press("q");
    let (status, screen) = terminal.end();
    assert!(screen.contains("ended: Ok(())"), "{screen}");
    assert_eq!(status.exit_code(), 7);
}

#[test]
fn the_terminal_may_change_its_size() {
    let mut terminal = Terminal::start("go on", &[]);
    terminal.expect_text("bank.py   up");
    for (columns, rows, text) in [(120, 40, "CALLED AT"), (20, 5, "MainThread"), (80, 24, "F1Help")] {
        terminal.screen.screen_mut().set_size(lines(rows), lines(columns));
        terminal.pair.as_ref().unwrap().master.resize(size(columns, rows)).unwrap();
        terminal.expect_text(text);
    }
    terminal.press("\x03");
    assert!(terminal.end().1.contains("ended: Ok(())"));
}

#[test]
fn without_colours_the_terminal_gets_none() {
    let mut terminal = Terminal::start("go on", &[("NO_COLOR", "1")]);
    terminal.expect_text("1 suspected deadlock");
    terminal.expect_text("qQuit");
    for row in 0..24 {
        for column in 0..80 {
            let cell = terminal.screen.screen().cell(row, column).unwrap();
            assert_eq!((cell.fgcolor(), cell.bgcolor()), (vt100::Color::Default, vt100::Color::Default));
        }
    }
    assert!(terminal.screen.screen().cell(2, 40).unwrap().inverse());
    terminal.press("q");
    terminal.end();
}

#[test]
fn the_last_picture_stays_when_the_program_ends() {
    let mut terminal = Terminal::start("end", &[]);
    terminal.expect_text("The program has ended. This is the last picture");
    terminal.expect_text("ticker");
    terminal.press("2");
    terminal.expect_text("LOCK OR QUEUE");
    terminal.press("q");
    assert!(terminal.end().1.contains("ended: Ok(())"));
}

#[test]
fn a_program_that_does_not_answer_holds_up_no_key() {
    let mut terminal = Terminal::start("hang", &[]);
    terminal.expect_text("The program has not answered for");
    terminal.press("h");
    terminal.expect_text("quit; the program goes on untouched");
    terminal.press("qq");
    assert!(terminal.end().1.contains("ended: Ok(())"));
}

#[test]
fn a_panic_can_be_read_afterwards() {
    let terminal = Terminal::start("panic", &[]);
    let (status, screen) = terminal.end();
    // In a terminal that was not given back, its lines would go down like stairs.
    assert!(screen.contains("\nthe source\npanics\n"), "{screen}");
    assert_eq!(status.exit_code(), 101);
}

#[test]
fn signals_that_end_it_leave_the_terminal_as_it_was() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = Terminal::start("go on", &[]);
        terminal.expect_text("1 suspected deadlock");
        terminal.send(signal);
        let (status, _) = terminal.end();
        assert!(!status.success() && status.exit_code() != 7, "{status:?}");
    }
}

#[test]
fn one_may_stop_it_and_go_on() {
    let mut terminal = Terminal::start("go on", &[]);
    terminal.expect_text("1 suspected deadlock");
    terminal.press("\x1a");
    terminal.wait_for_state(|state| state == 'T');
    terminal.expect_given_back();
    terminal.send(Signal::CONT);
    terminal.expect("the view", |screen| screen.alternate_screen() && screen.contents().contains("qQuit"));
    terminal.press("q");
    assert!(terminal.end().1.contains("ended: Ok(())"));
}

/// The library that reads the keys would spin.
#[test]
fn it_ends_with_its_terminal() {
    let mut terminal = Terminal::start("go on", &[]);
    terminal.expect_text("1 suspected deadlock");
    let Terminal { pair, mut child, keyboard, output, .. } = terminal;
    drop((keyboard, output, pair));
    let status = child.wait().unwrap();
    assert!(!status.success());
}
