//! The terminal, and that it is left as it was.
#![forbid(unsafe_code)]

use super::model::Model;
use super::view;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use std::io::{self, Stdout, stdout};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, ThreadId, current};
use std::time::Duration;

/// Whether we are on the terminal. There is one, and to leave it twice would put the cursor on what was written since.
static OURS: Mutex<bool> = Mutex::new(false);

/// That we are not any more.
static GIVEN_BACK: Condvar = Condvar::new();

/// The thread that wants it given back: the loop is to end, and to do so.
static WANTED_BY: Mutex<Option<ThreadId>> = Mutex::new(None);

/// How long the loop may take for that. It may hang in a terminal that has been closed.
const PATIENCE: Duration = Duration::from_secs(1);

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// The terminal while it is ours. It is given back when this is dropped, before the text of a panic is printed,
/// and when a signal ends the process.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    signals: Option<(Handle, JoinHandle<()>)>,
    /// What is to be called for panics afterwards.
    hook: Arc<Hook>,
}

impl Screen {
    pub(super) fn take() -> io::Result<Screen> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let handle = signals.handle();
        let thread = Builder::new().name("lisle top: signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                have_it_given_back();
                let _ = emulate_default_handler(signal);
            }
        })?;
        *lock(&WANTED_BY) = None;
        let hook: Arc<Hook> = Arc::from(std::panic::take_hook());
        std::panic::set_hook({
            let (hook, me) = (Arc::clone(&hook), current().id());
            Box::new(move |panic| {
                // The text must not be lost with our screen.
                if current().id() == me {
                    give_back()
                } else {
                    have_it_given_back()
                }
                hook(panic);
            })
        });
        // From here on, dropping it gives all back.
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let screen = Screen { terminal, signals: Some((handle, thread)), hook };
        take()?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, model: &mut Model) -> io::Result<()> {
        self.terminal.autoresize()?;
        model.resize(self.terminal.get_frame().area().as_size());
        self.terminal.draw(|frame| view::draw(model, frame)).map(drop)
    }

    /// The thread that wants the terminal given back, if one does: it panics, or a signal ends the process.
    pub(super) fn wanted_by(&self) -> Option<ThreadId> {
        *lock(&WANTED_BY)
    }

    /// Forgets what it has drawn, which somebody else may have drawn over.
    pub(super) fn redraw(&mut self) -> io::Result<()> {
        // Not `clear`, which asks the terminal where the cursor is and waits for the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Stops this process as Ctrl-Z does elsewhere, and goes on where it was.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        emulate_default_handler(SIGTSTP)?;
        take()?;
        self.redraw()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        if let Some((handle, thread)) = self.signals.take() {
            handle.close();
            let _ = thread.join();
        }
        // A thread that panics may not change it. It does no harm then: there is nothing to give back.
        if !std::thread::panicking() {
            let hook = Arc::clone(&self.hook);
            std::panic::set_hook(Box::new(move |panic| hook(panic)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take() -> io::Result<()> {
    *lock(&OURS) = true;
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, cursor::Hide)
}

/// Leaves the terminal as it was, if that has not been done.
fn give_back() {
    let mut ours = lock(&OURS);
    if std::mem::replace(&mut *ours, false) {
        let _ = execute!(stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
    GIVEN_BACK.notify_all();
}

/// Has the loop's thread give it back, which may be drawing at this moment. To be called by another one.
fn have_it_given_back() {
    *lock(&WANTED_BY) = Some(current().id());
    drop(GIVEN_BACK.wait_timeout_while(lock(&OURS), PATIENCE, |ours| *ours));
    give_back();
}
