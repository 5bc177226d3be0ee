//! The most frequent words of all text files below a directory.
//!
//! ```text
//! words [--executor threads|processes] [--workers N] [DIR]
//! ```
//!
//! The model of how executors are used: one function, called with batches of files, by the threads
//! of this process or by other processes. What is here does not know which.
//!
//! ```text
//!            calls                              results
//!  feeder ──▶ executor: count(batch) ──▶ future ──▶ ▯▯▯▯▯ ──▶ main: sums, progress bar
//!     ▲                                                         │
//!     └───────────────────── places (a semaphore) ◀─────────────┘
//! ```
//!
//! *Memory stays flat*: a call needs a place, which it has until main has taken its result (`calls`).
//! *The end* comes by itself: the results are shut down when the feeder has ended and no future is
//! left. *A stop* (Ctrl-C) interrupts main, the feeder and every running call, and cancels the rest.
//!
//! Exit status: 0; 1 if something could not be read; 2 if nothing could be done, or not all of
//! it; 130 after Ctrl-C.

#![forbid(unsafe_code)]

mod calls;
mod collect;
mod count;
mod feeder;
mod report;
mod text;
mod workers;

// What it has in common with its neighbour `digest`.
#[path = "../common/ctrl_c.rs"]
mod ctrl_c;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/problem.rs"]
mod problem;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/share.rs"]
mod share;
#[path = "../common/walk.rs"]
mod walk;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::collect::Collector;
use crate::feeder::Crew;
use crate::report::Report;
use crate::workers::Kind;

/// Counts the words of all text files below DIR and prints the 20 most frequent, as lines `count
/// word` in the order of their counts, and of their letters' code points where those are equal.
///
/// A word is a run of letters (what Unicode calls alphabetic), which may have apostrophes between
/// its letters: `don't` is one word. `’` counts as `'`, and large letters as small ones. Runs of
/// more than 100 characters are data, not words, and left out.
///
/// A text file is valid UTF-8 without a NUL. Other files are counted, as binary ones, and
/// skipped. Links to files are read like files; links to directories are counted, but not followed.
///
/// Everything but the 20 lines goes to stderr.
#[derive(Parser)]
#[command(name = "words")]
struct Args {
    /// What counts: threads of this process, or processes of their own
    #[arg(long, short, value_name = "EXECUTOR", default_value = "threads")]
    executor: Kind,

    /// How many of them [default: one per processor]
    #[arg(long, short, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    workers: Option<usize>,

    /// The directory to read
    #[arg(default_value = ".")]
    dir: PathBuf,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one worker must do the work".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a number of workers".into()),
    }
}

fn main() -> ExitCode {
    workers::set_up();
    match run(&Args::parse()).and_then(|report| report.print()) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("words: {why}");
            ExitCode::from(2)
        }
    }
}

/// Does the job. An error is one that ends it: what cannot be read is named and counted instead.
fn run(args: &Args) -> Result<Report, String> {
    fs::read_dir(&args.dir)
        .map_err(|why| format!("cannot read {}: {}", problem::shown(&args.dir), problem::reason(&why)))?;
    let signals = Signals::new([SIGINT, SIGTERM]).map_err(|why| why.to_string())?;
    let workers = workers::start(args.executor, args.workers)?;

    let begin = Instant::now();
    let crew = Crew::new(&args.dir, workers, signals);
    let mut collector = Collector::new();
    crew.start(collector.wants_totals().then_some(&args.dir))?;
    let stopped = collector.collect(&crew);
    let elapsed = begin.elapsed();
    Ok(Report { sums: collector.into_sums(), elapsed, ended: crew.join(stopped) })
}
