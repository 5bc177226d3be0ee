//! What the system tells of this process and its threads. Elsewhere than on Linux that is little: what is not
//! known is left out.
#![forbid(unsafe_code)]

use super::wire::{Process, State, Stranger};
use crate::park::latest::Latest;
use std::collections::HashSet;
use std::fs;
#[cfg(target_os = "linux")]
use std::os::linux::fs::MetadataExt;
use std::time::{Duration, Instant};

/// What does not change while a process lives, read once: a snapshot a millisecond is not to be felt.
struct Begun {
    pid: u32,
    command: Vec<String>,
    at: Option<Instant>,
}

/// This process.
pub(super) fn process() -> Process {
    static BEGUN: Latest<Begun> = Latest::none();
    let pid = std::process::id();
    if BEGUN.get().is_none_or(|begun| begun.pid != pid) {
        // The first time, or in the child of a fork.
        BEGUN.set(Begun { pid, command: command(), at: age().and_then(|age| Instant::now().checked_sub(age)) });
    }
    let begun = BEGUN.get().expect("set just now");
    Process {
        pid,
        command: begun.command.clone(),
        age_us: begun.at.map_or(0, |at| at.elapsed().as_micros() as u64),
        lisle: env!("CARGO_PKG_VERSION").to_owned(),
        interpreter: None,
    }
}

fn command() -> Vec<String> {
    let line = fs::read("/proc/self/cmdline").unwrap_or_default();
    let words = line.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// For how long the process has run.
fn age() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks: u64 = fields(&stat).nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let began = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Duration::try_from_secs_f64(uptime - began).ok()
}

/// The fields of a `stat` file from the third on. The second is a name in brackets, in which anything may be.
pub(super) fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ')
}

/// Whether the system says that the thread sleeps, which is in no wait of ours.
pub(super) fn state(native_id: u32) -> State {
    let stat = fs::read_to_string(format!("/proc/self/task/{native_id}/stat")).unwrap_or_default();
    match fields(&stat).next() {
        Some("S" | "D") => State::Blocked,
        _ => State::Running,
    }
}

/// The process's threads but for the known ones.
pub(super) fn strangers(known: &HashSet<u32>) -> Vec<Stranger> {
    // The folder's links are itself, the one that leads to it, and one from each thread's: usually that says
    // that there are no others, at a small part of the cost of reading it.
    #[cfg(target_os = "linux")]
    if fs::metadata("/proc/self/task").is_ok_and(|task| task.st_nlink() == known.len() as u64 + 2) {
        return Vec::new();
    }
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    let strangers = ids.filter(|id| !known.contains(id)).map(|native_id: u32| {
        let name = fs::read_to_string(format!("/proc/self/task/{native_id}/comm")).unwrap_or_default();
        Stranger { native_id, name: name.trim_end_matches('\n').to_owned() }
    });
    let mut strangers: Vec<Stranger> = strangers.collect();
    strangers.sort_by_key(|stranger| stranger.native_id);
    strangers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_stat_file_may_be_anything() {
        let stat = "71 (a) R 1 (b)) S 1 71";
        assert_eq!(fields(stat).collect::<Vec<_>>(), ["S", "1", "71"]);
        assert_eq!(fields("").next(), Some(""));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_knows_this_process() {
        let process = process();
        assert_eq!(process.pid, std::process::id());
        assert!(process.age_us > 0 && !process.command.is_empty(), "{process:?}");
        assert_eq!(self::process().command, process.command);
        let all = strangers(&HashSet::new());
        assert!(all.iter().any(|stranger| stranger.native_id == process.pid));
    }
}
