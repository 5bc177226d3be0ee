//! `lisle run`: a program with the agent.

use crate::source::Gone;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

/// Becomes the program. If that cannot be, ends as a shell does: 127 if there is no such program, 126 if it cannot
/// be run.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Gone> {
    let (program, its) = arguments.command.split_first().expect("clap wants one at least");
    let error = Command::new(program).args(its).env("LISLE_AGENT", "1").exec();
    crate::tell(&format!("{} cannot be run: {error}", lisle::watch::Harmless::new(&program.to_string_lossy())));
    Ok(ExitCode::from(if error.kind() == ErrorKind::NotFound { 127 } else { 126 }))
}
