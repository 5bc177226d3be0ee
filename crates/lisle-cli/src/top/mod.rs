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
mod terminal;
#[cfg(test)]
mod tests;
mod threads;
mod view;
mod writing;

use crate::client::Client;
use crate::source::Gone;
use model::Model;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// What `lisle top` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The process to look at; `lisle list` shows those that can be
    pid: u32,

    /// How many seconds lie between two looks, from 0.05 to 3600; + and - change it
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    delay: Duration,

    /// No colours; the environment variable NO_COLOR says the same
    #[arg(long)]
    no_color: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.05..=3600.0) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number from 0.05 to 3600 is wanted".to_owned()),
    }
}

/// Shows the process until one quits.
///
/// # Errors
/// Why it cannot be looked at.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Gone> {
    let Arguments { pid, delay, no_color } = *arguments;
    if let Err(why) = check_terminal() {
        crate::tell(&format!("top {why}: use `lisle dump {pid}` instead"));
        return Ok(ExitCode::from(2));
    }
    let client = Client::connect(pid)?;
    client.wait_for_ever()?;
    let has_colors = !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut model = Model::new(pid, delay, has_colors);
    model.program = client.process().name();
    model.note = client.note();
    if let Err(error) = run::run(model, Box::new(client)) {
        crate::tell(&format!("top cannot use this terminal ({error}): use `lisle dump {pid}` instead"));
        return Ok(ExitCode::from(2));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether there is a terminal that can be drawn on; if not, why.
fn check_terminal() -> Result<(), &'static str> {
    if !std::io::stdout().is_terminal() {
        return Err("draws on a terminal, and stdout is none");
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err("draws on a terminal, and this one says that it cannot be drawn on (TERM=dumb)");
    }
    Ok(())
}
