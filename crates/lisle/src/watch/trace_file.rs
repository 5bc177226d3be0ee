//! `LISLE_TRACE=out.json program`: a trace of the whole run, written by the program itself.
#![forbid(unsafe_code)]

use super::perfetto::Writer;
use super::{Reader, system};
use crate::park::latest::Latest;
use crate::park::sys;
use crate::sync::Mutex;
use crate::thread::exit::{self, After};
use crate::thread::{self, hook};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the events are fetched.
const PAUSE: Duration = Duration::from_millis(10);
/// In how many of these pauses what was written becomes a whole file.
const WHOLE_EVERY: u32 = 20;

/// The trace of this process. A child of a fork finds that of another, and leaves it alone.
static RECORDING: Latest<Recording> = Latest::none();

struct Recording {
    process: u32,
    path: PathBuf,
    /// `None` when it is finished, or there is no writing any more.
    trace: Mutex<Option<Open>>,
}

struct Open {
    reader: Reader,
    writer: Writer<BufWriter<File>>,
}

impl Recording {
    fn here() -> Option<&'static Recording> {
        RECORDING.get().filter(|recording| recording.process == std::process::id())
    }

    /// Does something with the trace, if it is still open. What cannot be written ends it.
    fn with(&self, call: impl FnOnce(&mut Open) -> io::Result<()>) -> bool {
        let mut trace = self.trace.lock();
        let Some(open) = &mut *trace else { return false };
        if let Err(error) = call(open) {
            hook::tell(format_args!("LISLE_TRACE: {} cannot be written: {error}", self.path.display()));
            *trace = None;
        }
        trace.is_some()
    }
}

/// The process calls in for the first time, or does so as the child of a fork.
pub(crate) fn first_use() {
    let Some(path) = std::env::var_os("LISLE_TRACE").filter(|path| !path.is_empty()) else { return };
    if sys::is_privileged() {
        return;
    }
    if let Err((path, error)) = begin(PathBuf::from(path)) {
        hook::tell(format_args!("LISLE_TRACE: {} cannot be written: {error}", path.display()));
    }
}

fn begin(path: PathBuf) -> Result<(), (PathBuf, io::Error)> {
    let (path, file) = create(path)?;
    let process = system::process();
    let name = process.command.join(" ");
    let failed = |error| (path.clone(), error);
    let writer = Writer::new(BufWriter::new(file), process.pid, &name).map_err(failed)?;
    let trace = Mutex::new(Some(Open { reader: Reader::start(), writer }));
    RECORDING.set(Recording { process: process.pid, path: path.clone(), trace });
    exit::after_waiting(After::FinishTrace, finish);
    let made = thread::Builder::new().name("lisle trace".into()).service().spawn(run);
    made.map(drop).map_err(failed)
}

/// The file of this path, or one beside it if another process writes to that: one that this one was forked
/// by, or that has started it.
fn create(path: PathBuf) -> Result<(PathBuf, File), (PathBuf, io::Error)> {
    let open = |path: &Path| OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = open(&path).map_err(|error| (path.clone(), error))?;
    let (path, file) = match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let mut name = path.file_stem().unwrap_or_default().to_owned();
            name.push(format!(".{}", std::process::id()));
            let mut own = path.with_file_name(name);
            if let Some(extension) = path.extension() {
                own.as_mut_os_string().push(".");
                own.as_mut_os_string().push(extension);
            }
            let file = open(&own).map_err(|error| (own.clone(), error))?;
            (own, file)
        }
        // Nor can it be locked where it is no plain file, or the file system has no locks.
        Ok(()) | Err(TryLockError::Error(_)) => (path, file),
    };
    // Refused where there is nothing to cut off: a pipe.
    let _ = file.set_len(0);
    Ok((path, file))
}

/// The thread that writes.
fn run() {
    let Some(recording) = Recording::here() else { return };
    for pauses in 1.. {
        let goes_on = recording.with(|open| {
            loop {
                open.writer.add(&open.reader.next())?;
                if !open.reader.has_more() {
                    break;
                }
            }
            if pauses % WHOLE_EVERY == 0 { open.writer.checkpoint() } else { Ok(()) }
        });
        if !goes_on {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// At the end of the process, when it has waited for its threads.
fn finish() {
    let Some(recording) = Recording::here() else { return };
    recording.with(|open| {
        open.reader.stop();
        while !open.writer.is_complete() {
            open.writer.add(&open.reader.next())?;
        }
        Ok(())
    });
    let open = recording.trace.lock().take();
    if let Some(Err(error)) = open.map(|open| open.writer.finish()) {
        hook::tell(format_args!("LISLE_TRACE: {} cannot be written: {error}", recording.path.display()));
    }
}
