//! Finds the files below a directory, in the order in which `LC_ALL=C sort` would put their paths,
//! and opens them.

use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::problem::Problem;

/// What there is below a directory. (Directories themselves are gone into, not told of.)
pub(crate) enum Found {
    /// A file, or a link to one.
    File(PathBuf),
    /// A link to a directory. Followed, it could lead back to where it lies, and so for ever.
    DirectoryLink,
    /// Something that cannot or must not be read.
    Problem(Problem),
}

/// Calls `visit` for everything below `root`, until that breaks.
///
/// The walk keeps its own stack, so that depth costs no stack of the thread, and no directory is
/// open while a deeper one is read.
pub(crate) fn walk(root: &Path, mut visit: impl FnMut(Found) -> ControlFlow<()>) -> ControlFlow<()> {
    let root = Entry { path: root.to_owned(), kind: fs::metadata(root).map(|meta| meta.file_type()) };
    let mut levels = vec![vec![root].into_iter()];
    while let Some(level) = levels.last_mut() {
        match level.next() {
            None => _ = levels.pop(),
            Some(Entry { path, kind: Ok(kind) }) if kind.is_dir() => match list(&path) {
                Ok(entries) => levels.push(entries.into_iter()),
                Err(error) => visit(Found::Problem(Problem::failed(path, &error)))?,
            },
            Some(entry) => visit(classify(entry))?,
        }
    }
    ControlFlow::Continue(())
}

struct Entry {
    path: PathBuf,
    kind: io::Result<FileType>,
}

impl Entry {
    /// By what an entry is sorted among its neighbours: a directory counts as `name/`, since so
    /// begin the paths of all that is in it (`a-b` comes before `a/b`).
    fn key(&self) -> impl Iterator<Item = &u8> {
        let name = self.path.file_name().unwrap_or(OsStr::new("")).as_bytes();
        let directory = self.kind.as_ref().is_ok_and(FileType::is_dir);
        name.iter().chain(directory.then_some(&b'/'))
    }
}

fn list(directory: &Path) -> io::Result<Vec<Entry>> {
    let entry = |found: io::Result<fs::DirEntry>| match found {
        Ok(found) => Entry { path: found.path(), kind: found.file_type() },
        Err(error) => Entry { path: directory.to_owned(), kind: Err(error) },
    };
    let mut entries: Vec<_> = fs::read_dir(directory)?.map(entry).collect();
    entries.sort_unstable_by(|a, b| a.key().cmp(b.key()));
    Ok(entries)
}

/// What an entry that is not a directory is to us.
fn classify(Entry { path, kind }: Entry) -> Found {
    let kind = match kind {
        Ok(link) if link.is_symlink() => match fs::metadata(&path) {
            Ok(target) => target.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Found::Problem(Problem::new(path, "dangling link"));
            }
            Err(error) => return Found::Problem(Problem::failed(path, &error)),
        },
        Ok(kind) => kind,
        Err(error) => return Found::Problem(Problem::failed(path, &error)),
    };
    match kind {
        _ if kind.is_file() => Found::File(path),
        _ if kind.is_dir() => Found::DirectoryLink,
        _ => Found::Problem(Problem::not_a_file(path, kind)),
    }
}

/// Opens a file without ever waiting for it: should a pipe have taken the place of the file that
/// the walk saw, then it is opened without waiting for a writer, and refused.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("no longer a file"));
    }
    Ok((file, meta))
}

/// What there is below a directory, as far as it has been counted.
#[derive(Clone, Copy)]
pub(crate) struct Total {
    pub(crate) bytes: u64,
    pub(crate) counted_all: bool,
}

/// Counts what there is to read, for the time left, and tells now and then, until `tell` says that
/// nobody listens. It opens nothing, and so is soon far ahead of who reads.
pub(crate) fn survey(root: &Path, mut tell: impl FnMut(Total) -> bool) {
    let mut total = Total { bytes: 0, counted_all: false };
    let mut files = 0u64;
    let end = walk(root, |found| {
        if let Found::File(path) = found {
            total.bytes += path.metadata().map_or(0, |meta| meta.len());
            files += 1;
            if files.is_multiple_of(1000) && !tell(total) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    if end.is_continue() {
        tell(Total { counted_all: true, ..total });
    }
}
