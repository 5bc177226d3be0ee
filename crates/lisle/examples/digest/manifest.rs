//! The manifest: the format of `sha256sum`, written in order and in whole lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::worker::FileId;

/// Lines go to the file in blocks of about this many bytes, and whenever there is time.
const BLOCK: usize = 64 * 1024;

/// A manifest on its way to its file, in the order of places. Results come in any order, so a line
/// may have to wait here for those before it.
pub(crate) struct Manifest {
    file: File,
    /// Lines whose turn has come: whole ones, so that nobody who looks into the file meanwhile, or
    /// after the program was killed, finds half a line.
    block: Vec<u8>,
    /// The place that comes next, and the lines that wait for it (none where there is no line).
    next: u64,
    early: BTreeMap<u64, Option<Vec<u8>>>,
    lines: u64,
}

impl Manifest {
    /// Creates or empties the file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        Ok(Manifest { file, block: Vec::new(), next: 0, early: BTreeMap::new(), lines: 0 })
    }

    pub(crate) fn id(&self) -> io::Result<FileId> {
        self.file.metadata().map(FileId::from)
    }

    /// How many lines have been written.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Takes the line for a place, or the news that there will be none.
    pub(crate) fn put(&mut self, place: u64, line: Option<Vec<u8>>) -> io::Result<()> {
        self.early.insert(place, line);
        while let Some(line) = self.early.remove(&self.next) {
            self.next += 1;
            self.append(line);
        }
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Writes all lines whose turn has come.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Writes all lines there are: those that are missing will not come.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        for line in std::mem::take(&mut self.early).into_values() {
            self.append(line);
        }
        self.flush()
    }

    fn append(&mut self, line: Option<Vec<u8>>) {
        if let Some(line) = line {
            self.block.extend(line);
            self.lines += 1;
        }
    }
}

/// One line: digest, two spaces, name. The name is its bytes, whatever their encoding; one that
/// would break the line is escaped, and a backslash at the beginning of the line says so.
pub(crate) fn line(digest: &[u8; 32], path: &Path) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let name = path.as_os_str().as_bytes();
    let mut line = Vec::with_capacity(name.len() + 68);
    if name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        line.push(b'\\');
    }
    line.extend(digest.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
    line.extend(b"  ");
    for &byte in name {
        match byte {
            b'\\' => line.extend(b"\\\\"),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            _ => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}
