//! The loop, and the thread that asks the program.
#![forbid(unsafe_code)]

use super::keys::{self, Then};
use super::model::Model;
use super::screen::Screen;
use crate::source::{Gone, Source};
use crossterm::event::{self, Event};
use lisle::watch::wire::Snapshot;
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long an answer may lie about before it is looked at. Keys are heeded at once.
const LOOK: Duration = Duration::from_millis(50);

/// How often texts such as "4.2 s old" are brought up to date.
const REFRESH: Duration = Duration::from_millis(500);

/// Shows the model until one quits.
///
/// # Errors
/// That the terminal cannot be used. It is as it was before then, too.
///
/// # Panics
/// If the source does.
pub(super) fn run(mut model: Model, source: Box<dyn Source>) -> io::Result<()> {
    let asker = Asker::start(source)?;
    let mut screen = Screen::take()?;
    let ended = show(&mut model, &asker, &mut screen);
    let wanted_by = screen.wanted_by();
    drop(screen);
    // It has waited for the terminal, to tell of its panic.
    if wanted_by == Some(asker.thread.thread().id())
        && let Err(panic) = asker.thread.join()
    {
        resume_unwind(panic);
    }
    ended
}

fn show(model: &mut Model, asker: &Asker, screen: &mut Screen) -> io::Result<()> {
    let began = Instant::now();
    let mut drawn: Option<Instant> = None;
    loop {
        model.asking.now = began.elapsed();
        let mut changed = drawn.is_none_or(|drawn| drawn.elapsed() >= REFRESH);
        if screen.wanted_by().is_some() {
            return Ok(());
        }
        while let Ok(answer) = asker.answers.try_recv() {
            model.take(answer);
            changed = true;
        }
        if model.wants_to_ask() {
            asker.ask(model.wants_frames());
        }
        if changed {
            screen.draw(model)?;
            drawn = Some(Instant::now());
        }
        // All keys that are there are one change: a held arrow must not lag behind.
        let mut wait = LOOK;
        while event::poll(wait)? {
            if let Event::Key(key) = event::read()? {
                match keys::press(model, key) {
                    Then::Nothing => {}
                    Then::Redraw => screen.redraw()?,
                    Then::Suspend => screen.suspend()?,
                    Then::Quit => return Ok(()),
                }
            }
            (wait, drawn) = (Duration::ZERO, None);
        }
    }
}

/// The thread that asks, so that a program that is slow to answer holds up no key. It ends with the process: it
/// may wait for an answer that never comes.
struct Asker {
    questions: Sender<Question>,
    answers: Receiver<Result<Snapshot, Gone>>,
    thread: JoinHandle<()>,
}

/// A snapshot is wanted.
struct Question {
    frames: bool,
}

impl Asker {
    fn start(mut source: Box<dyn Source>) -> io::Result<Asker> {
        let (questions, asked) = channel::<Question>();
        let (answer, answers) = channel();
        let thread = Builder::new().name("lisle top: asks".into()).spawn(move || {
            for Question { frames } in asked {
                source.want_frames(frames);
                let got = source.snapshot();
                let is_last = got.is_err();
                if answer.send(got).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Asker { questions, answers, thread })
    }

    fn ask(&self, frames: bool) {
        // If the thread has ended, its last answer says why.
        let _ = self.questions.send(Question { frames });
    }
}
