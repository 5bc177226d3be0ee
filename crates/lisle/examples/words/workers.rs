//! The executors that there are to choose from: the only place that knows which it is.

use std::num::NonZero;
use std::sync::Arc;

use clap::ValueEnum;
use lisle::executor::{Executor, Function, ThreadPoolExecutor};
use lisle::process::{self, ProcessPoolExecutor};
use lisle::thread;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::count::{Batch, COUNT, Counted};

/// What counts.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Threads,
    Processes,
}

pub(crate) type Counters = Arc<dyn Executor<Batch, Counted> + Send + Sync>;

/// The workers, and what they are called.
pub(crate) struct Workers {
    pub(crate) executor: Counters,
    pub(crate) number: usize,
    pub(crate) what: &'static str,
}

/// A terminal sends Ctrl-C to all processes of a job. What it means is for the one to say that the
/// user has started.
const LEAVE_SIGNALS: Function<(), ()> = Function::new("words::leave_signals", |()| {
    for signal in [SIGINT, SIGTERM] {
        let _ = flag::register(signal, Arc::default());
    }
});

/// To be the first thing in `main`: a process that was started as a worker becomes one here, and
/// does not come back.
pub(crate) fn set_up() {
    process::init(&[&COUNT, &LEAVE_SIGNALS]);
}

pub(crate) fn start(kind: Kind, workers: Option<usize>) -> Result<Workers, String> {
    let number = workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
    let cannot = |what: &str, why: &dyn std::fmt::Display| format!("cannot start the {what}: {why}");
    match kind {
        Kind::Threads => {
            // Daemons: a thread that does not come back from the system must not hold the process.
            let pool = ThreadPoolExecutor::builder().max_workers(number).name("count").daemon(true).build();
            let executor = Arc::new(pool.map_err(|why| cannot("threads", &why))?);
            Ok(Workers { executor, number, what: "thread" })
        }
        Kind::Processes => {
            let pool = ProcessPoolExecutor::builder().max_workers(number).name("count").daemon(true);
            // Counting once more does no harm. What kills two processes is named.
            let pool = pool.replace_workers(true).retries(1).initializer(LEAVE_SIGNALS, ()).build();
            let executor = Arc::new(pool.map_err(|why| cannot("processes", &why))?);
            Ok(Workers { executor, number, what: "process" })
        }
    }
}
