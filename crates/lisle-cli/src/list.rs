//! `lisle list`: the processes that can be looked at.

use crate::client::{Client, shortened};
use crate::print;
use crate::source::{Gone, Source};
use lisle::watch::place::{Directory, ProcessId, directories};
use lisle::watch::wire::{Confidence, Snapshot, State};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn run() -> Result<ExitCode, Gone> {
    let user = rustix::process::geteuid().as_raw();
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut found = BTreeSet::new();
    for path in directories(user, session.as_deref()) {
        match listed(&path, user) {
            Ok(processes) => found.extend(processes),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => crate::tell(&format!("not looked at: {error}")),
        }
    }
    print(&table(found.into_iter().map(|process| (process.pid, look(process.pid))).collect()))?;
    Ok(ExitCode::SUCCESS)
}

/// The processes with a socket in a directory, after those that nobody listens to were removed.
fn listed(path: &std::path::Path, user: u32) -> std::io::Result<Vec<ProcessId>> {
    let directory = Directory::open(path, user)?;
    directory.sweep(user)?;
    directory.list()
}

fn look(pid: u32) -> Result<Snapshot, Gone> {
    Client::connect(pid)?.snapshot()
}

fn table(processes: Vec<(u32, Result<Snapshot, Gone>)>) -> String {
    if processes.is_empty() {
        return "No process of yours runs with the agent. `lisle run -- PROGRAM` starts one.\n".to_owned();
    }
    let mut text = format!("{:>8} {:>8} {:>8} {:>8} {:>9}  COMMAND\n", "PID", "UP", "THREADS", "WAITING", "DEADLOCKS");
    for (pid, snapshot) in processes {
        let line = match snapshot {
            Ok(snapshot) => {
                let waiting = snapshot.threads.iter().filter(|thread| thread.state == State::Waiting).count();
                let is_deadlock = |confidence| matches!(confidence, Confidence::Proven | Confidence::Timed);
                let deadlocks = snapshot.reports.iter().filter(|report| is_deadlock(report.confidence)).count();
                let (up, threads) = (up(snapshot.process.age_us), snapshot.threads.len());
                let command = shortened(&snapshot.process.command.join(" "), 120);
                format!("{pid:>8} {up:>8} {threads:>8} {waiting:>8} {deadlocks:>9}  {command}")
            }
            Err(why) => format!("{pid:>8} {why}"),
        };
        writeln!(text, "{line}").expect("a text takes all");
    }
    text
}

/// A length of time in two words at most: `12s`, `3m05s`, `2h10m`, `4d02h`.
fn up(us: u64) -> String {
    let seconds = us / 1_000_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}
