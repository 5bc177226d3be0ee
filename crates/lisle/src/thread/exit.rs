//! The end of the process.
#![forbid(unsafe_code)]

use super::handle::{unfailing, wait_for};
use super::hook::tell;
use crate::park::record::{Life, Origin, Shared};
use crate::park::{Limit, current, deadlock, registry};
use std::panic::{Location, catch_unwind};
use std::time::Duration;

/// When a process that waits for its threads says so, unless the environment says otherwise.
const REPORT_AFTER: Duration = Duration::from_secs(5);

/// Runs at the end of a process in which a thread that is not a daemon was started.
pub(super) extern "C" fn handler() {
    // Nothing may unwind into the system's `exit`.
    let _ = catch_unwind(wait_for_all);
}

/// Waits until no thread is left that keeps the process, also of those started meanwhile.
fn wait_for_all() {
    current::with(|me| {
        if me.origin == Origin::Main {
            // `main` is over: a thread that waits for that shall not be waited for in vain.
            me.enter(Life::Finished);
        }
        let mut limit = None;
        loop {
            let next = registry::lock().keep_process(me).next().cloned();
            let Some(next) = next else { return };
            // One limit for all waits, counted from the first.
            let until = *limit.get_or_insert_with(|| match report_after() {
                Some(after) => Limit::For(after).deadline().map_or(Limit::Never, Limit::Until),
                None => Limit::Never,
            });
            if wait_for(&next, Life::Finished, until, Location::caller(), unfailing).is_err() {
                report(me);
                limit = Some(Limit::Never);
            }
        }
    });
}

/// What the environment says on when to report: `LISLE_EXIT_REPORT=seconds`, 0 for never.
fn report_after() -> Option<Duration> {
    let Ok(text) = std::env::var("LISLE_EXIT_REPORT") else { return Some(REPORT_AFTER) };
    let seconds = text.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if seconds.is_none() {
        tell(format_args!("LISLE_EXIT_REPORT={text:?} is not a number of seconds (0 for never): it is taken as 5"));
    }
    Some(seconds.unwrap_or(REPORT_AFTER)).filter(|after| !after.is_zero())
}

fn report(me: &Shared) {
    let keepers: Vec<Shared> = registry::lock().keep_process(me).cloned().collect();
    let mut text = match keepers.len() {
        0 => return,
        1 => "the process ends when this thread has finished:".to_owned(),
        n => format!("the process ends when these {n} threads have finished:"),
    };
    for keeper in &keepers {
        text += "\n  ";
        text += &deadlock::describe_wait(keeper);
    }
    tell(format_args!("{text}"));
}
