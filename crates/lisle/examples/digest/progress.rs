//! The progress bar, on a terminal only.

use std::io::{self, IsTerminal, Write};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// While the tree is still being counted, there is no whole to be a part of.
const COUNTING: &str = "{spinner} {decimal_bytes} {msg}  {decimal_bytes_per_sec}  (counting what is left)";
const COUNTED: &str = "{wide_bar:.cyan/blue} {percent}%  {decimal_bytes}/{decimal_total_bytes} {msg}  \
                       {decimal_bytes_per_sec}  {eta} left";

/// Progress, as seen by somebody who waits for the end. Without a terminal it shows nothing, and
/// costs as little.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            // Drawn by main when there is news: it needs no thread of its own.
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.with_style(style(COUNTING))
        });
        Progress { bar }
    }

    pub(crate) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    pub(crate) fn set_total(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(bytes);
            bar.set_style(style(COUNTED));
        }
    }

    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// To be called now and then, so that it moves when nothing else does.
    pub(crate) fn tick(&self, files: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("in {} files", HumanCount(files)));
            bar.tick();
        }
    }

    /// Prints a line above the bar.
    pub(crate) fn print(&self, line: &str) {
        // Where stderr is closed, there is nobody to tell.
        let print = || _ = writeln!(io::stderr(), "{line}");
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the bar away: the report says all, and better.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}
