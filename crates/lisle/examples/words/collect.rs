//! What main does while the others work: it takes the results, until there will be no more.

use std::path::Path;
use std::time::{Duration, Instant};

use lisle::executor::{FutureError, SubmitError};
use lisle::queue::GetError;
use lisle::thread;

use crate::calls::Done;
use crate::count::Counted;
use crate::feeder::Crew;
use crate::problem::{Problem, shown};
use crate::progress::Progress;
use crate::text::add;
use crate::walk::Total;

/// How often the bar is brought up to date.
const TICK: Duration = Duration::from_millis(100);

/// How long a stop may take. What has not ended by then is left where it is.
const PATIENCE: Duration = Duration::from_millis(70);

/// What main is told.
pub(crate) enum News {
    /// A call has come to its end.
    Done(Done),
    /// The executor takes no more calls.
    Refused(SubmitError),
    /// Something that could not be read, and was not in a batch.
    NotRead(Problem),
    /// A link to a directory, which was not followed.
    DirectoryLink,
    /// What there is to do, as far as it has been counted.
    Total(Total),
}

/// That the work was stopped before its end, and when those who work must have let go of it.
#[derive(Clone, Copy)]
pub(crate) struct Stopped {
    pub(crate) limit: Instant,
}

impl Stopped {
    fn now() -> Self {
        Stopped { limit: Instant::now() + PATIENCE }
    }
}

/// The sums.
#[derive(Default)]
pub(crate) struct Sums {
    /// All batches as one. Its problems have been told.
    pub(crate) all: Counted,
    pub(crate) calls: u64,
    pub(crate) not_read: u64,
    pub(crate) directory_links: u64,
    /// Files of batches that gave no result.
    pub(crate) lost: u64,
    pub(crate) refused: bool,
}

pub(crate) struct Collector {
    progress: Progress,
    sums: Sums,
}

impl Collector {
    pub(crate) fn new() -> Self {
        Collector { progress: Progress::new(), sums: Sums::default() }
    }

    /// Whether anybody sees how much is left.
    pub(crate) fn wants_totals(&self) -> bool {
        self.progress.is_shown()
    }

    pub(crate) fn into_sums(self) -> Sums {
        self.sums
    }

    /// Takes results to the end, or until an interrupt of main and a little longer.
    pub(crate) fn collect(&mut self, crew: &Crew) -> Option<Stopped> {
        let stopped = self.take_all(crew);
        self.progress.finish();
        stopped
    }

    fn take_all(&mut self, crew: &Crew) -> Option<Stopped> {
        let mut stopped: Option<Stopped> = None;
        let mut tick = Instant::now();
        loop {
            let now = Instant::now();
            if now >= tick {
                self.progress.tick(self.sums.all.texts + self.sums.all.binaries);
                tick = now + TICK;
            }
            match crew.results.get_until(stopped.map_or(tick, |stopped| stopped.limit)) {
                Ok(news) => {
                    if !matches!(news, News::Total(_)) {
                        crew.calls.taken();
                    }
                    self.take(news, stopped.is_some());
                }
                Err(GetError::Interrupted) => stopped = Some(Stopped::now()),
                // The interrupt comes first, but main has not met it if it never had to wait.
                Err(GetError::ShutDown) => return stopped.or_else(|| thread::interrupted().then(Stopped::now)),
                Err(_) if stopped.is_some() => return stopped,
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, news: News, stopped: bool) {
        match news {
            News::Done(done) => self.done(done, stopped),
            News::Refused(_) if stopped => {}
            News::Refused(error) => {
                self.sums.refused = true;
                self.complain(&format!("no more files can be counted: {error}"));
            }
            News::NotRead(problem) => self.not_read(&problem),
            News::DirectoryLink => self.sums.directory_links += 1,
            News::Total(total) => self.progress.set_total(total),
        }
    }

    fn done(&mut self, done: Done, stopped: bool) {
        self.progress.advance(done.bytes);
        let counted = match done.result {
            Ok(counted) => counted,
            Err(_) if stopped => return,           // as is to be expected
            Err(FutureError::Cancelled) => return, // by a stop that main has not heard of yet
            Err(error) => {
                self.sums.lost += done.files as u64;
                let first = shown(Path::new(&done.first));
                return match done.files {
                    1 => self.complain(&format!("{first}: not counted: {error}")),
                    n => self.complain(&format!("{first} and {} files after it: not counted: {error}", n - 1)),
                };
            }
        };
        self.sums.calls += 1;
        let all = &mut self.sums.all;
        counted.words.iter().for_each(|(word, &count)| add(&mut all.words, word, count));
        all.texts += counted.texts;
        all.binaries += counted.binaries;
        all.bytes += counted.bytes;
        counted.problems.iter().for_each(|problem| self.not_read(problem));
    }

    fn not_read(&mut self, problem: &Problem) {
        self.sums.not_read += 1;
        self.complain(&problem.to_string());
    }

    fn complain(&self, what: &str) {
        self.progress.print(&format!("words: {what}"));
    }
}
