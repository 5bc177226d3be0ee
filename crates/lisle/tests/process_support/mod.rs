//! A harness for tests whose `main` has to call `init`: runs the cases whose names contain an argument.
#![allow(dead_code, reason = "each test program uses a part")]

use std::time::{Duration, Instant};

pub(crate) type Case = (&'static str, fn());

/// Longer than anything takes that goes well.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn run(cases: &[Case]) {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for (name, case) in cases.iter().filter(|(name, _)| name.contains(&wanted)) {
        case();
        println!("test {name} ... ok");
    }
}

/// Waits until `done`, which must come to be true.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process of that number runs, any of its threads at least, which keep its channels open; one
/// that has ended and waits to be reaped does not.
pub(crate) fn runs(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    tasks.flatten().any(|task| {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { return false };
        let state = stat.rsplit_once(')').unwrap().1.trim_start().chars().next();
        state != Some('Z') && state != Some('X')
    })
}

/// The numbers of this process's children, those not reaped among them.
pub(crate) fn children() -> Vec<u32> {
    let mut all = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(list.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    all
}

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Sends a signal by number, as a user would.
pub(crate) fn signal(pid: u32, signal: i32) {
    // SAFETY: `kill` has no preconditions.
    unsafe { libc::kill(i32::try_from(pid).unwrap(), signal) };
}
