//! The program `lisle`, as a library: the Python package brings it too.
//!
//! | room | what it does |
//! |---|---|
//! | `source` | where snapshots come from |
//! | `top` | a terminal view of them |
//! | `web` | a page of them |

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

mod source;

/// Who waits for what in a running program, who holds it, since when, and is it a deadlock?
#[derive(Parser)]
#[command(name = "lisle", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {}

/// The program, called with these arguments, the first of which is its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command }) => match command {},
        Err(error) => {
            let _ = error.print();
            ExitCode::from(error.exit_code() as u8)
        }
    }
}
