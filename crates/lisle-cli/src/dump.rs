//! `lisle dump`: all threads once, as text or as JSON.

use crate::client::Client;
use crate::print;
use crate::source::{Gone, Source};
use lisle::watch::wire::{Confidence, Snapshot};
use std::fmt::Write;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The process
    pid: u32,
    /// Print JSON, as docs/schema/snapshot-1.json has it
    #[arg(long)]
    json: bool,
    /// Leave out an interpreter's frames
    #[arg(long)]
    no_frames: bool,
    /// Print an interpreter's frames (the default)
    #[arg(long, overrides_with = "no_frames")]
    frames: bool,
    /// Exit with 3 if there is a deadlock
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Gone> {
    let mut client = Client::connect(arguments.pid)?;
    if let Some(note) = client.note() {
        crate::tell(&note);
    }
    client.with_frames = !arguments.no_frames || arguments.frames;
    let snapshot = client.snapshot()?;
    print(&if arguments.json { json(&snapshot) } else { snapshot.to_string() })?;
    let is_deadlock = |confidence| matches!(confidence, Confidence::Proven | Confidence::Timed);
    let found = snapshot.reports.iter().any(|report| is_deadlock(report.confidence));
    Ok(ExitCode::from(if arguments.check && found { 3 } else { 0 }))
}

/// The same as JSON, with nothing in it that a terminal would obey.
fn json(snapshot: &Snapshot) -> String {
    let plain = serde_json::to_string_pretty(snapshot).expect("the types of `wire` have texts for keys");
    let mut text = String::with_capacity(plain.len() + 1);
    for char in plain.chars() {
        // JSON itself escapes only those below a blank. What is left is within texts, where escapes may be.
        match lisle::watch::is_harmful(char) && char != '\n' {
            true => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(text, "\\u{unit:04x}").expect("text")),
            false => text.push(char),
        }
    }
    text.push('\n');
    text
}
