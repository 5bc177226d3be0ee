//! The figures at the end: how much, how fast, and who waited for what.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount};
use lisle::thread::Thread;
use lisle::{Kind, WaitStats};

use crate::collect::Count;
use crate::figures::number_of;
use crate::problem::shown;
use crate::worker::Tally;

/// All that there is to say.
pub(crate) struct Report {
    pub(crate) manifest: PathBuf,
    pub(crate) lines: u64,
    pub(crate) count: Count,
    pub(crate) elapsed: Duration,
    pub(crate) ended: Ended,
}

/// How the threads came to their end.
pub(crate) struct Ended {
    /// The signal that stopped them.
    pub(crate) signal: Option<i32>,
    /// The names of those that panicked, whose last file is in no list.
    pub(crate) panicked: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One thread.
pub(crate) struct Row {
    name: String,
    tally: Option<Tally>,
    waits: WaitStats,
}

impl Row {
    pub(crate) fn new(thread: &Thread, tally: Option<Tally>) -> Self {
        let name = thread.name().unwrap_or_default().to_owned();
        Row { name, tally, waits: thread.wait_stats() }
    }
}

impl Report {
    /// Prints the figures to stdout, and what went wrong to stderr.
    pub(crate) fn print(&self) {
        // If nobody reads them (`digest | head -1`), the manifest is as good.
        let _ = write!(io::stdout(), "{self}");
        if self.ended.signal.is_some() {
            eprintln!("digest: stopped by a signal: the manifest has the files finished until then");
        }
        for name in &self.ended.panicked {
            eprintln!("digest: the thread {name} panicked: the manifest is not complete");
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match (self.ended.signal, self.count.not_read) {
            (Some(signal), _) => 128 + signal as u8, // as shells say it
            _ if !self.ended.panicked.is_empty() => 2,
            (None, 0) => 0,
            (None, _) => 1,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { files, bytes, not_read, directory_links } = self.count;
        let seconds = self.elapsed.as_secs_f64();
        writeln!(
            f,
            "{}, {} in {seconds:.2} s: {}/s, {} files/s",
            number_of(files, "file"),
            DecimalBytes(bytes),
            DecimalBytes((bytes as f64 / seconds) as u64),
            HumanCount((files as f64 / seconds) as u64),
        )?;
        if not_read > 0 {
            writeln!(f, "{} not read (named above)", HumanCount(not_read))?;
        }
        if directory_links > 0 {
            writeln!(f, "{} not followed", number_of(directory_links, "directory link"))?;
        }
        writeln!(f, "manifest: {} ({})\n", shown(&self.manifest), number_of(self.lines, "line"))?;

        writeln!(f, "{:32} {:>20}", "", "waited for (times)")?;
        let waits = [Kind::QueueGet, Kind::QueuePut].map(|kind| kind.to_string());
        writeln!(f, "{:10} {:>9} {:>10} {:>20} {:>20} {:>20}", "thread", "files", "bytes", waits[0], waits[1], "lock")?;
        self.ended.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10}", self.name)?;
        match &self.tally {
            Some(Tally { files, bytes }) => {
                write!(f, " {:>9} {:>10}", HumanCount(*files).to_string(), DecimalBytes(*bytes).to_string())?;
            }
            None => write!(f, " {:>9} {:>10}", "-", "-")?,
        }
        for kinds in [&[Kind::QueueGet][..], &[Kind::QueuePut], &[Kind::QueueLock, Kind::Mutex]] {
            let waits = kinds.iter().map(|&kind| self.waits.get(kind));
            let (count, total) =
                waits.fold((0, Duration::ZERO), |(count, total), wait| (count + wait.count, total + wait.total));
            let cell = match count {
                0 => "-".to_owned(),
                _ => format!("{:.3} s ({})", total.as_secs_f64(), HumanCount(count)),
            };
            write!(f, " {cell:>20}")?;
        }
        Ok(())
    }
}
