//! The end of the process.
#![forbid(unsafe_code)]

use super::handle::{unfailing, wait_while};
use super::hook::tell;
use crate::park::latest::Latest;
use crate::park::record::{Life, Shared};
use crate::park::{Limit, current, deadlock, registry};
use std::panic::{Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// When a process that waits for its threads says so, unless the environment says otherwise.
const REPORT_AFTER: Duration = Duration::from_secs(5);

/// Ends the process with `code`, as [`std::process::exit`] does, and does not have it wait for the
/// calling thread: any number of threads may call this, at any time, also after `main` has
/// returned. One of them ends the process, with its code; the others go no further.
///
/// Threads that are not daemons, and do not call this either, finish first: see [The end of the
/// process](super#the-end-of-the-process). Nothing of the calling thread is dropped.
///
/// ```no_run
/// use lisle::thread;
///
/// let workers = [(); 2].map(|()| thread::spawn(|| thread::exit(3)));
/// for worker in workers {
///     let _ = worker.join(); // does not return
/// }
/// ```
pub fn exit(code: i32) -> ! {
    current::with(|me| {
        me.set_daemon(true);
        me.announce(Life::Finished); // whoever waits for this thread as the process's end looks again
    });
    std::process::exit(code)
}

/// Runs at the end of a process in which a thread that is not a daemon was started, or the agent.
pub(super) extern "C" fn handler() {
    // Nothing may unwind into the system's `exit`.
    let _ = catch_unwind(wait_for_all);
    #[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
    let _ = AFTER.each_ref().map(|call| call.get().map(catch_unwind));
}

/// What is to be called before a process waits for its threads: see [`before_waiting`].
static BEFORE: Latest<fn()> = Latest::none();

/// Has `call` called before the process waits for its threads. There is one such call.
pub(crate) fn before_waiting(call: fn()) {
    if BEFORE.get().is_none() {
        BEFORE.set(call);
    }
}

/// What is to be done when the process has waited for its threads, in this order.
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
#[derive(Clone, Copy)]
pub(crate) enum After {
    FinishTrace,
    RemoveSocket,
}

#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
static AFTER: [Latest<fn()>; 2] = [const { Latest::none() }; 2];

/// Has `call` called at the process's end, when it has waited for its threads. There is one such call for each
/// [`After`].
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
pub(crate) fn after_waiting(what: After, call: fn()) {
    if AFTER[what as usize].get().is_none() {
        AFTER[what as usize].set(call);
    }
    registry::have_end(handler);
}

/// Waits until no thread is left that keeps the process, also of those started meanwhile.
fn wait_for_all() {
    current::with(|me| {
        if registry::lock().main().is_some_and(|main| Arc::ptr_eq(main, me)) {
            // `main` is over: a thread that waits for that shall not be waited for in vain.
            me.enter(Life::Finished);
        }
        if let Some(before) = BEFORE.get() {
            before();
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
            let keeps = || next.keeps_process();
            if wait_while(keeps, &next, Life::Finished, until, Location::caller(), unfailing).is_err() {
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
