//! Ctrl-C, and the polite kill.

use lisle::thread::Run;
use signal_hook::iterator::Signals;

/// The thread that waits for a signal, then calls `stop`, and returns the number of the signal.
pub(crate) struct CtrlC<F> {
    pub(crate) signals: Signals,
    pub(crate) stop: F,
}

impl<F: FnOnce() + Send + 'static> Run for CtrlC<F> {
    type Output = i32;

    fn run(mut self) -> i32 {
        let signal = self.signals.forever().next().expect("it does not end by itself");
        (self.stop)();
        signal
    }
}
