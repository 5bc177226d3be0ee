//! Numbers that another process finds out.

use std::process::Command;
use std::{env, io};

/// The one number that a program prints.
pub(crate) fn number(program: &mut Command) -> io::Result<f64> {
    let output = program.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| io::Error::other(String::from_utf8_lossy(&output.stderr)))
}

/// Memory is measured in a process of its own, where nothing earlier has left stacks and heaps
/// behind that only wait to be used again.
pub(crate) fn memory(group: &str, make: &str, scene: usize, crowd: usize) -> io::Result<f64> {
    number(Command::new(env::current_exe()?).args(["--memory", group, make, &scene.to_string(), &crowd.to_string()]))
}

/// What cannot be had here leaves a gap in the table.
pub(crate) fn or_nothing(value: io::Result<f64>) -> f64 {
    value.unwrap_or_else(|error| {
        eprintln!("left out: {error}");
        f64::NAN
    })
}
