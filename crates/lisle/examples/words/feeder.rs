//! The threads beside main and the executor, and how they are started, stopped and joined.

use std::mem;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lisle::executor::SubmitError;
use lisle::queue::{Queue, Shutdown};
use lisle::thread::{self, Builder, JoinHandle, Run};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::calls::Calls;
use crate::collect::{News, Stopped};
use crate::count::Batch;
use crate::ctrl_c::CtrlC;
use crate::report::Ended;
use crate::share::Share;
use crate::walk::{Found, survey, walk};
use crate::workers::Workers;

/// A batch is full with so many files, or so many bytes. Enough that the way to another process does
/// not count; little enough that all workers come to their end together, and the bar moves.
const FILES: usize = 128;
const BYTES: u64 = 1024 * 1024;

/// The feeder, and the thread that waits for Ctrl-C. Daemons, as the workers are.
pub(crate) struct Crew {
    pub(crate) results: Arc<Queue<News>>,
    pub(crate) calls: Arc<Calls>,
    feeder: JoinHandle<()>,
    ctrl_c: JoinHandle<i32>,
    workers: String,
}

impl Crew {
    pub(crate) fn new(root: &Path, workers: Workers, signals: Signals) -> Self {
        let results = Arc::new(Queue::new().with_name("results"));
        let calls = Calls::new(workers.executor, workers.number);
        let feeder = daemon("feeder").create(Feeder {
            root: root.to_owned(),
            calls: calls.clone(),
            results: Share::new(&results, Shutdown::Drain),
            batch: Batch::default(),
        });
        // Weak: who drops the last but this drops the executor, which ends its workers.
        let (main, feeding, calls_then) = (thread::current(), feeder.thread().clone(), Arc::downgrade(&calls));
        let stop = move || {
            // Main first: it cannot take for the natural end what is the work of a stop.
            main.interrupt();
            feeding.interrupt();
            if let Some(calls) = calls_then.upgrade() {
                calls.stop();
                mem::forget(calls); // as in `join`
            }
        };
        let ctrl_c = daemon("ctrl-c").create(CtrlC { signals, stop });
        let workers = crate::figures::number_of(workers.number as u64, workers.what);
        Crew { results, calls, feeder, ctrl_c, workers }
    }

    /// Starts the threads; given a root, also one that counts what there is to do below it.
    pub(crate) fn start(&self, survey_of: Option<&PathBuf>) -> Result<(), String> {
        let cannot = |why| format!("cannot start a thread: {why}");
        self.ctrl_c.start().map_err(cannot)?;
        self.feeder.start().map_err(cannot)?;
        if let Some(root) = survey_of.cloned() {
            // It has no share in the results: nobody waits for it. Without it, the bar knows no end.
            let results = Arc::clone(&self.results);
            let _ = daemon("survey").spawn(move || survey(&root, |total| results.put(News::Total(total)).is_ok()));
        }
        Ok(())
    }

    /// How it ended. Called when there are no more results, or none are waited for.
    pub(crate) fn join(self, stopped: Option<Stopped>) -> Ended {
        let signal = stopped.map(|stopped| self.ctrl_c.join_until(stopped.limit).unwrap_or(SIGINT));
        if stopped.is_some() {
            // Dropping the executor would wait for calls that do not hear: those that are in the
            // middle of a system call that does not come back.
            mem::forget(self.calls);
        }
        Ended { signal, workers: self.workers }
    }
}

fn daemon(name: &str) -> Builder {
    Builder::new().name(name.into()).daemon(true)
}

/// The thread that finds the files and makes the calls.
struct Feeder {
    root: PathBuf,
    calls: Arc<Calls>,
    results: Share<News>,
    batch: Batch,
}

/// Why the feeder ends before its time: because it is told to, or by an error.
type End = Option<SubmitError>;

impl Run for Feeder {
    type Output = ();

    fn run(mut self) {
        let root = mem::take(&mut self.root);
        let mut end: Result<(), End> = Ok(());
        let _ = walk(&root, |found| {
            end = self.meet(found);
            if end.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if let Err(Some(error)) = end.and_then(|()| self.call()) {
            let _ = self.results.put(News::Refused(error));
        }
    }
}

impl Feeder {
    fn meet(&mut self, found: Found) -> Result<(), End> {
        let news = match found {
            Found::File(path) => {
                self.batch.bytes += path.metadata().map_or(0, |meta| meta.len());
                self.batch.files.push(path.into_os_string());
                let full = self.batch.files.len() >= FILES || self.batch.bytes >= BYTES;
                return if full { self.call() } else { Ok(()) };
            }
            Found::DirectoryLink => News::DirectoryLink,
            Found::Problem(problem) => News::NotRead(problem),
        };
        if self.calls.place() && self.results.put(news).is_ok() { Ok(()) } else { Err(None) }
    }

    fn call(&mut self) -> Result<(), End> {
        let batch = mem::take(&mut self.batch);
        if batch.files.is_empty() {
            return Ok(());
        }
        if !self.calls.place() {
            return Err(None);
        }
        match self.calls.make(batch, &self.results) {
            Ok(true) => Ok(()),
            Ok(false) => Err(None),
            Err(error) => Err(Some(error)),
        }
    }
}
