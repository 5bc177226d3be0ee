//! What main does while the others work: it takes the results, until there will be no more.

use std::io;
use std::time::{Duration, Instant};

use lisle::queue::GetError;
use lisle::thread;

use crate::crew::Crew;
use crate::manifest::Manifest;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::worker::{News, Outcome};

/// How often the manifest and the bar are brought up to date.
const TICK: Duration = Duration::from_millis(100);

/// How long a stop may take. A thread that has not ended by then is in the middle of a system
/// call that does not come back (a disk that fails, a server that is gone), and left there.
const PATIENCE: Duration = Duration::from_millis(70);

/// How much was done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) not_read: u64,
    pub(crate) directory_links: u64,
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

pub(crate) struct Collector {
    manifest: Manifest,
    progress: Progress,
    count: Count,
}

impl Collector {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Collector { manifest, progress: Progress::new(), count: Count::default() }
    }

    /// Whether anybody sees how much is left.
    pub(crate) fn wants_totals(&self) -> bool {
        self.progress.is_shown()
    }

    pub(crate) fn count(&self) -> Count {
        self.count
    }

    pub(crate) fn lines(&self) -> u64 {
        self.manifest.lines()
    }

    /// Takes results to the end, or until an interrupt of main and a little longer. Stops the
    /// crew if the manifest cannot be written.
    pub(crate) fn collect(&mut self, crew: &Crew) -> io::Result<Option<Stopped>> {
        let stopped = self.take_all(crew).and_then(|stopped| {
            self.manifest.finish()?;
            Ok(stopped)
        });
        self.progress.finish();
        stopped.inspect_err(|_| crew.stop())
    }

    fn take_all(&mut self, crew: &Crew) -> io::Result<Option<Stopped>> {
        let mut stopped: Option<Stopped> = None;
        let mut tick = Instant::now();
        loop {
            let now = Instant::now();
            if now >= tick {
                self.manifest.flush()?;
                self.progress.tick(self.count.files);
                tick = now + TICK;
            }
            match crew.results.get_until(stopped.map_or(tick, |stopped| stopped.limit)) {
                Ok(news) => self.take(news)?,
                Err(GetError::Interrupted) => stopped = Some(Stopped::now()),
                // The interrupt comes first, but main has not met it if it never had to wait.
                Err(GetError::ShutDown) => {
                    return Ok(stopped.or_else(|| thread::interrupted().then(Stopped::now)));
                }
                Err(_) if stopped.is_some() => return Ok(stopped),
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, news: News) -> io::Result<()> {
        match news {
            News::Read(bytes) => self.read(bytes),
            News::Total(total) => self.progress.set_total(total),
            News::DirectoryLink => self.count.directory_links += 1,
            News::NotRead(problem) => self.not_read(&problem),
            News::Done { place, bytes, outcome } => {
                self.read(bytes);
                let line = match outcome {
                    Outcome::Line(line) => {
                        self.count.files += 1;
                        Some(line)
                    }
                    Outcome::Manifest => None,
                    Outcome::NotRead(problem) => {
                        self.not_read(&problem);
                        None
                    }
                };
                self.manifest.put(place, line)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, bytes: u64) {
        self.count.bytes += bytes;
        self.progress.advance(bytes);
    }

    fn not_read(&mut self, problem: &Problem) {
        self.count.not_read += 1;
        self.progress.print(&format!("digest: {problem}"));
    }
}
