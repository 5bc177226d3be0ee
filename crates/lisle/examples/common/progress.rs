//! The progress bar, on a terminal only.

use std::io::{self, IsTerminal, Write};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::walk::Total;

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
            bar.with_style(style(false))
        });
        Progress { bar }
    }

    pub(crate) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    pub(crate) fn set_total(&self, total: Total) {
        if let Some(bar) = &self.bar {
            bar.set_length(total.bytes);
            if total.counted_all {
                bar.set_style(style(true));
            }
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

/// While files are still being counted, total and time left are at least what they seem.
fn style(counted_all: bool) -> ProgressStyle {
    let plus = if counted_all { "" } else { "+" };
    let template = format!(
        "{{wide_bar:.cyan/blue}} {{percent}}%  {{decimal_bytes}}/{{decimal_total_bytes}}{plus} {{msg}}  \
         {{decimal_bytes_per_sec}}  {{eta}}{plus} left"
    );
    ProgressStyle::with_template(&template).expect("the template above is well-formed")
}
