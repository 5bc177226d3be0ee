//! What could not be read, in words for stderr.

use std::ffi::OsString;
use std::fmt;
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path that was not read, and why. Can be told to another process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Problem {
    // As a `PathBuf` it could only be told if it was UTF-8.
    path: OsString,
    why: String,
}

impl Problem {
    pub(crate) fn new(path: PathBuf, why: impl Into<String>) -> Self {
        Problem { path: path.into(), why: why.into() }
    }

    /// For a path that was there a moment ago: had it not been, nobody would have asked for it.
    pub(crate) fn failed(path: PathBuf, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::new(path, "has vanished"),
            _ => Self::new(path, reason(error)),
        }
    }

    /// For a thing that is not opened at all: a pipe would block, a device may act.
    pub(crate) fn not_a_file(path: PathBuf, kind: FileType) -> Self {
        let what = match kind {
            _ if kind.is_fifo() => "a pipe",
            _ if kind.is_socket() => "a socket",
            _ if kind.is_block_device() => "a block device",
            _ if kind.is_char_device() => "a character device",
            _ => "not a file",
        };
        Self::new(path, format!("{what}, not read"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(Path::new(&self.path)), self.why)
    }
}

/// The path as it is if that fits into a line and a terminal, else quoted and escaped.
pub(crate) fn shown(path: &Path) -> String {
    match path.to_str() {
        Some(plain) if !plain.contains(char::is_control) => plain.to_owned(),
        _ => format!("{path:?}"),
    }
}

/// The system's words alone, without "(os error 13)".
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
