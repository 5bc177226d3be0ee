//! SHA-256 of every file below a directory, as a manifest that `sha256sum -c` accepts.
//!
//! ```text
//! digest [--threads N] [--out FILE] [DIR]
//! ```
//!
//! The model of how lisle is used: every thread here is a lisle thread, and all they say to each
//! other goes through two bounded queues.
//!
//! ```text
//!              paths                    results
//!  walker ──▶ ▯▯▯▯▯▯▯ ──▶ hash-1 ──▶ ▯▯▯▯▯▯▯ ──▶ main: manifest, progress bar
//!                     ──▶ hash-2 ──▶
//! ```
//!
//! *The end* comes by itself: a queue is shut down when the last thread that puts into it has let
//! go of it (`share`). *A stop* (Ctrl-C) interrupts every thread and shuts `paths` down (`crew`).
//!
//! Exit status: 0; 1 if something could not be read; 2 if nothing could be done, or not all of
//! it; 130 after Ctrl-C.

#![forbid(unsafe_code)]

mod collect;
mod crew;
mod manifest;
mod report;
mod worker;

// What it has in common with its neighbour `words`.
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
use crate::crew::Crew;
use crate::manifest::Manifest;
use crate::report::Report;

/// Writes the SHA-256 of every file below DIR to a manifest for `sha256sum -c`.
///
/// Lines are sorted by path, byte by byte. Links to files are read like files; links to
/// directories are counted, but not followed. The manifest itself is left out.
#[derive(Parser)]
#[command(name = "digest")]
struct Args {
    /// Threads that hash [default: one per processor]
    #[arg(long, short, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    threads: Option<usize>,

    /// The manifest to write
    #[arg(long, short, value_name = "FILE", default_value = "manifest.sha256")]
    out: PathBuf,

    /// The directory to read
    #[arg(default_value = ".")]
    dir: PathBuf,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one thread must do the work".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a number of threads".into()),
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(report) => {
            report.print();
            report.exit_code()
        }
        Err(why) => {
            eprintln!("digest: {why}");
            ExitCode::from(2)
        }
    }
}

/// Does the job. An error is one that ends it: what cannot be read is named and counted instead.
fn run(args: &Args) -> Result<Report, String> {
    let name = |path: &PathBuf, why| format!("{}: {}", problem::shown(path), problem::reason(&why));

    // Both ends are looked at before anything is started (and the input before the output, which
    // is emptied by being looked at).
    fs::read_dir(&args.dir).map_err(|why| format!("cannot read {}", name(&args.dir, why)))?;
    let cannot_write = |why| format!("cannot write {}", name(&args.out, why));
    let manifest = Manifest::create(&args.out).map_err(cannot_write)?;
    let id = manifest.id().map_err(cannot_write)?;
    let signals = Signals::new([SIGINT, SIGTERM]).map_err(|why| why.to_string())?;

    let begin = Instant::now();
    let crew = Crew::new(&args.dir, args.threads, id, signals);
    let mut collector = Collector::new(manifest);
    crew.start(collector.wants_totals().then_some(&args.dir))?;
    let stopped = collector.collect(&crew).map_err(cannot_write)?;

    Ok(Report {
        manifest: args.out.clone(),
        lines: collector.lines(),
        count: collector.count(),
        elapsed: begin.elapsed(),
        ended: crew.join(stopped),
    })
}
