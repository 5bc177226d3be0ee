//! `lisle top`: a terminal view of a program's threads, refreshed as it runs.
//!
//! | file | what it knows |
//! |---|---|
//! | `run`, `screen` | the loop, the thread that asks the program, the terminal |
//! | `keys` | what each key changes |
//! | `model` | what is seen, how it is sorted, where one is |
//! | `asking` | when the program is asked |
//! | `picture` | a snapshot as rows, and what the difference of two tells |
//! | `list` | a table: columns, order, filter, mark |
//! | `threads`, `objects`, `reports`, `cells` | the columns of the three tables |
//! | `page`, `details`, `help`, `writing` | pages that lie over a table |
//! | `view`, `look` | the model as a picture on the terminal |
#![forbid(unsafe_code)]

mod asking;
mod cells;
mod details;
mod help;
mod keys;
mod list;
mod look;
mod model;
mod objects;
mod page;
mod picture;
#[cfg(test)]
mod pty;
mod reports;
mod run;
mod screen;
#[cfg(test)]
mod tests;
mod threads;
mod view;
mod writing;

use crate::source::Source;
use model::Model;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// A terminal view of a program's threads, locks and deadlocks, refreshed as it runs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The process to look at; `lisle list` shows those that can be.
    pub(crate) pid: u32,

    /// How many seconds lie between two looks; + and - change it.
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    delay: Duration,

    /// No colours. The environment variable NO_COLOR says the same.
    #[arg(long)]
    no_color: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.05..=3600.0) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds between 0.05 and 3600 is wanted".to_owned()),
    }
}

/// Whether there is a terminal to draw on; if not, why. To be asked before the program is.
pub(crate) fn check_terminal(pid: u32) -> Result<(), String> {
    let is_plain = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match std::io::stdout().is_terminal() && !is_plain {
        true => Ok(()),
        false => Err(format!("lisle top draws on a terminal, and there is none: use `lisle dump {pid}` instead.")),
    }
}

/// Shows what the source tells until one quits.
pub(crate) fn run(arguments: &Arguments, source: Box<dyn Source>) -> ExitCode {
    let no_color = arguments.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match run::run(Model::new(arguments.pid, arguments.delay, !no_color), source) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lisle: the terminal cannot be used: {error}");
            ExitCode::from(2)
        }
    }
}
