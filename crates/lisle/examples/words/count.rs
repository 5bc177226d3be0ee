//! The call: from a batch of files to the words in them.

use std::ffi::OsString;
use std::path::Path;

use lisle::executor::Function;
use lisle::thread;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::text::{Content, Counts, Reader};

/// What the executor calls. The name is for other processes, where the function is the same but
/// its address may not be.
pub(crate) const COUNT: Function<Batch, Counted> = Function::new("words::count", count);

/// Files to read in one call. Small ones are not worth a call each.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Batch {
    // Not a path, which could only be told to another process if its name was UTF-8.
    pub(crate) files: Vec<OsString>,
    /// As much as they had when they were found.
    pub(crate) bytes: u64,
}

/// What came of a batch, and of all batches together.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) words: Counts,
    pub(crate) texts: u64,
    pub(crate) binaries: u64,
    /// What was read.
    pub(crate) bytes: u64,
    pub(crate) problems: Vec<Problem>,
}

/// Ends when the batch does, or on interrupt, also in the middle of a file. What was finished by
/// then is counted; the interrupt stays pending.
fn count(batch: Batch) -> Counted {
    let mut counted = Counted::default();
    let mut reader = Reader::new();
    for file in batch.files {
        let go_on = || !thread::current().is_interrupted();
        match reader.count(Path::new(&file), &mut counted.words, &mut counted.bytes, go_on) {
            Ok(Content::Text) => counted.texts += 1,
            Ok(Content::Binary) => counted.binaries += 1,
            Ok(Content::Unfinished) => break,
            Err(error) => counted.problems.push(Problem::failed(file.into(), &error)),
        }
    }
    counted
}
