//! The program `lisle`, as a library: the Python package brings it too.
//!
//! | room | what it does |
//! |---|---|
//! | `client` | a connection to a program's agent |
//! | `harmless`, `human` | the program's texts, times and numbers, fit to be read |
//! | `source` | where views get snapshots: there, or what a test makes up |
//! | `dump`, `list`, `run`, `trace` | the commands of these names |
//! | `top` | a terminal view |
//! | `web` | a page |

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

mod client;
mod dump;
mod harmless;
mod human;
mod list;
mod run;
mod source;
#[cfg(test)]
mod testing;
mod top;
mod trace;
mod web;

use source::Gone;

/// Who waits for what in a running program, who holds it, since when, and is it a deadlock?
#[derive(Parser)]
#[command(
    name = "lisle",
    version,
    after_help = "\
Exit status: 0, or 1 if it cannot be done, with a sentence on stderr that says why; 2 if the arguments make no \
sense; 3 from `dump --check` if there is a deadlock. `run` ends as the program does."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print all threads of a process: what each waits for, who holds that, and any deadlock
    Dump(dump::Arguments),
    /// List your processes that can be looked at
    List,
    /// Run a program so that it can be looked at
    Run(run::Arguments),
    /// Record what the threads of a process do, as a file that Perfetto opens
    Trace(trace::Arguments),
    /// Show a process live in the terminal: its threads, its locks and queues, any deadlock
    Top(top::Arguments),
    /// Show the threads of a process live in the browser, at an address that only this machine reaches
    Web(web::Arguments),
}

/// The program, called with these arguments, the first of which is its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command }) => command,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let done = match &command {
        Command::Dump(arguments) => dump::run(arguments),
        Command::List => list::run(),
        Command::Run(arguments) => run::run(arguments),
        Command::Trace(arguments) => trace::run(arguments),
        Command::Top(arguments) => top::run(arguments),
        Command::Web(arguments) => web::run(arguments),
    };
    done.unwrap_or_else(|why| {
        tell(&why.to_string());
        ExitCode::FAILURE
    })
}

/// Prints to stdout. That nobody reads it to the end is not an error.
fn print(text: &str) -> Result<(), Gone> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Gone(format!("stdout cannot be written: {error}"))),
        _ => Ok(()),
    }
}

/// Prints a sentence to stderr, if somebody reads it.
fn tell(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "lisle: {sentence}");
}
