//! The threads, and how they are wired, started, stopped and joined.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lisle::queue::{Queue, Shutdown};
use lisle::thread::{self, Builder, JoinError, JoinHandle, Thread};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::collect::Stopped;
use crate::ctrl_c::CtrlC;
use crate::report::{Ended, Row};
use crate::share::Share;
use crate::walk::survey;
use crate::worker::{FileId, Job, News, Tally, Walker, Worker, report};

/// Enough that nobody waits for a moment's unevenness of another, and no more.
const CAPACITY: usize = 256;

/// All threads but main. They are daemons: main joins each of them, unless it stops them and one
/// does not come back from the system, and then that one must not hold the process.
pub(crate) struct Crew {
    pub(crate) results: Arc<Queue<News>>,
    walker: JoinHandle<()>,
    workers: Vec<JoinHandle<Tally>>,
    ctrl_c: JoinHandle<i32>,
    stop: Stop,
}

impl Crew {
    /// Makes the threads. None runs before all are made, so each can be given what it needs.
    pub(crate) fn new(root: &Path, threads: Option<usize>, manifest: FileId, signals: Signals) -> Self {
        let paths = Arc::new(Queue::bounded(CAPACITY).with_name("paths"));
        let results = Arc::new(Queue::bounded(CAPACITY).with_name("results"));
        let threads = threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));

        // What the walker has put is still taken when it has ended; what it puts when the workers
        // have ended is not.
        let into_paths = Share::new(&paths, Shutdown::Drain);
        let from_paths = Share::new(&paths, Shutdown::Immediate);
        let into_results = Share::new(&results, Shutdown::Drain);

        let walker =
            daemon("walker").create(Walker { root: root.to_owned(), paths: into_paths, results: into_results.clone() });
        let worker = |n| {
            daemon(&format!("hash-{n}")).create(Worker {
                paths: from_paths.clone(),
                results: into_results.clone(),
                manifest,
            })
        };
        let workers: Vec<_> = (1..=threads).map(worker).collect();

        let mut others = vec![walker.thread().clone()];
        others.extend(workers.iter().map(|worker| worker.thread().clone()));
        let stop = Stop { main: thread::current(), others, paths };
        let its_stop = stop.clone();
        let ctrl_c = daemon("ctrl-c").create(CtrlC { signals, stop: move || its_stop.now() });
        Crew { results, walker, workers, ctrl_c, stop }
    }

    /// Starts the threads; given a root, also one that counts what there is to do below it.
    pub(crate) fn start(&self, survey_of: Option<&PathBuf>) -> Result<(), String> {
        start(&self.ctrl_c)?;
        self.workers.iter().try_for_each(start)?;
        start(&self.walker)?;
        if let Some(root) = survey_of.cloned() {
            // It has no share in the results: nobody waits for it, and should it still count when
            // all is done, then it finds the queue shut down. Without it, the bar knows no end.
            let results = Arc::clone(&self.results);
            let _ = daemon("survey").spawn(move || survey(&root, |total| report(&results, News::Total(total))));
        }
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.stop.now();
    }

    /// Waits for the end of the threads (after a stop, only to its limit) and sums up.
    pub(crate) fn join(&self, stopped: Option<Stopped>) -> Ended {
        let limit = stopped.map(|stopped| stopped.limit);
        let mut panicked = Vec::new();
        join(&self.walker, limit, &mut panicked);
        let mut rows = vec![Row::new(&thread::current(), None), Row::new(self.walker.thread(), None)];
        for worker in &self.workers {
            let tally = join(worker, limit, &mut panicked);
            rows.push(Row::new(worker.thread(), tally));
        }
        // Which signal it was is what the thread that waited for it returns.
        let signal = stopped.map(|_| join(&self.ctrl_c, limit, &mut panicked).unwrap_or(SIGINT));
        Ended { signal, panicked, rows }
    }
}

fn daemon(name: &str) -> Builder {
    Builder::new().name(name.into()).daemon(true)
}

fn start<T: Send + 'static>(handle: &JoinHandle<T>) -> Result<(), String> {
    let name = || handle.thread().name().unwrap_or_default();
    handle.start().map_err(|why| format!("cannot start the thread {}: {why}", name()))
}

/// What the thread returned, if it came back in time. A panic has been reported where it happened;
/// here it leaves the thread's name.
fn join<T>(handle: &JoinHandle<T>, limit: Option<Instant>, panicked: &mut Vec<String>) -> Option<T> {
    let ended = match limit {
        None => handle.join_for(Duration::MAX),
        Some(limit) => handle.join_until(limit),
    };
    match ended {
        Ok(value) => Some(value),
        Err(JoinError::Panicked(_)) => {
            panicked.extend(handle.thread().name().map(str::to_owned));
            None
        }
        Err(_) => None,
    }
}

/// How the work is stopped before its end.
#[derive(Clone)]
struct Stop {
    main: Thread,
    others: Vec<Thread>,
    paths: Arc<Queue<Job>>,
}

impl Stop {
    /// Returns at once. No file is begun any more, and every thread hears of it: at its wait, or
    /// where it looks between two chunks of a file. What is finished still reaches the manifest.
    ///
    /// Main hears first. So it cannot take for the natural end what is the work of a stop.
    fn now(&self) {
        self.main.interrupt();
        self.paths.shutdown(Shutdown::Immediate);
        self.others.iter().for_each(Thread::interrupt);
    }
}
