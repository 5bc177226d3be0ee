//! The view in a real terminal: what is drawn, what keys and signals do, and that the terminal is left as it was.
//!
//! Each test starts this test program again in a pseudo-terminal, where only [`child`] runs: the view of a source
//! that is made up.

use super::model::Model;
use super::terminal::Terminal;
use crate::source::{Gone, Source};
use crate::testing;
use lisle::watch::wire::Snapshot;
use rustix::process::Signal;
use std::time::Duration;

/// The environment variable that makes this program the child, with what its source does after its first answer.
const CHILD: &str = "LISLE_TOP_CHILD";

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

/// The child on a terminal.
fn start(then: &str, environment: &[(&str, &str)]) -> Terminal {
    let program = std::env::current_exe().unwrap();
    let environment: Vec<_> = environment.iter().copied().chain([(CHILD, then)]).collect();
    Terminal::start(&program, ["--exact", "top::pty::child", "--nocapture", "--test-threads=1"], &environment)
}

#[test]
fn one_looks_around_and_quits() {
    let mut terminal = start("go on", &[]);
    terminal.expect_text("1 suspected deadlock");
    assert!(terminal.screen().alternate_screen() && terminal.screen().hide_cursor());
    for column in [0, 40, 79] {
        let cell = terminal.screen().cell(2, column).unwrap();
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
    let mut terminal = start("go on", &[]);
    terminal.expect_text("bank.py   up");
    for (columns, rows, text) in [(120, 40, "CALLED AT"), (20, 5, "MainThread"), (80, 24, "F1Help")] {
        terminal.resize(columns, rows);
        terminal.expect_text(text);
    }
    terminal.press("\x03");
    assert!(terminal.end().1.contains("ended: Ok(())"));
}

#[test]
fn without_colours_the_terminal_gets_none() {
    let mut terminal = start("go on", &[("NO_COLOR", "1")]);
    terminal.expect_text("1 suspected deadlock");
    terminal.expect_text("qQuit");
    for row in 0..24 {
        for column in 0..80 {
            let cell = terminal.screen().cell(row, column).unwrap();
            assert_eq!((cell.fgcolor(), cell.bgcolor()), (vt100::Color::Default, vt100::Color::Default));
        }
    }
    assert!(terminal.screen().cell(2, 40).unwrap().inverse());
    terminal.press("q");
    terminal.end();
}

#[test]
fn the_last_picture_stays_when_the_program_ends() {
    let mut terminal = start("end", &[]);
    terminal.expect_text("The program has ended. This is the last picture");
    terminal.expect_text("ticker");
    terminal.press("2");
    terminal.expect_text("LOCK OR QUEUE");
    terminal.press("q");
    assert!(terminal.end().1.contains("ended: Ok(())"));
}

#[test]
fn a_program_that_does_not_answer_holds_up_no_key() {
    let mut terminal = start("hang", &[]);
    terminal.expect_text("The program has not answered for");
    terminal.press("h");
    terminal.expect_text("quit; the program goes on untouched");
    terminal.press("qq");
    assert!(terminal.end().1.contains("ended: Ok(())"));
}

#[test]
fn a_panic_can_be_read_afterwards() {
    let terminal = start("panic", &[]);
    let (status, screen) = terminal.end();
    // In a terminal that was not given back, its lines would go down like stairs.
    assert!(screen.contains("\nthe source\npanics\n"), "{screen}");
    assert_eq!(status.exit_code(), 101);
}

#[test]
fn signals_that_end_it_leave_the_terminal_as_it_was() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = start("go on", &[]);
        terminal.expect_text("1 suspected deadlock");
        terminal.send(signal);
        let (status, _) = terminal.end();
        assert!(!status.success() && status.exit_code() != 7, "{status:?}");
    }
}

#[test]
fn one_may_stop_it_and_go_on() {
    let mut terminal = start("go on", &[]);
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
    let mut terminal = start("go on", &[]);
    terminal.expect_text("1 suspected deadlock");
    assert!(!terminal.close().success());
}
