//! The threads between the two queues: `hash-N`, and before them the `walker`.

use std::fs::Metadata;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lisle::queue::{PutError, Queue};
use lisle::thread::{self, Run};
use sha2::{Digest, Sha256};

use crate::manifest;
use crate::problem::Problem;
use crate::share::Share;
use crate::walk::{Found, Total, open, walk};

/// So much is read and hashed at a time. Small enough to stay in a processor's cache, and for a
/// thread to hear soon that it is interrupted, which it asks in between.
const CHUNK: usize = 128 * 1024;

/// A large file is heard of each time so much of it has been read.
const NEWS_EVERY: u64 = 8 * 1024 * 1024;

/// A file to hash. Places count from zero, in the order of the manifest.
pub(crate) struct Job {
    pub(crate) place: u64,
    pub(crate) path: PathBuf,
}

/// What the threads tell main.
pub(crate) enum News {
    /// So many bytes of a file have been read, and there is more to come.
    Read(u64),
    /// All is done for a place in the manifest; `bytes` have been read since the last news of it.
    Done { place: u64, bytes: u64, outcome: Outcome },
    /// Something without a place in the manifest.
    NotRead(Problem),
    /// A link to a directory, which was not followed.
    DirectoryLink,
    /// What there is to do, as far as it has been counted.
    Total(Total),
}

/// What became of a file.
pub(crate) enum Outcome {
    /// Its line, ready to be written.
    Line(Vec<u8>),
    /// It is the manifest, which cannot contain its own digest.
    Manifest,
    NotRead(Problem),
}

/// What tells a file from all others, whatever the name.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct FileId(u64, u64);

impl From<Metadata> for FileId {
    fn from(meta: Metadata) -> Self {
        FileId(meta.dev(), meta.ino())
    }
}

/// The thread that finds the files.
pub(crate) struct Walker {
    pub(crate) root: PathBuf,
    pub(crate) paths: Share<Job>,
    pub(crate) results: Share<News>,
}

impl Run for Walker {
    type Output = ();

    /// Ends when the tree does, or when nobody takes paths any more.
    fn run(self) {
        let mut places = 0..;
        let _ = walk(&self.root, |found| {
            let taken = match found {
                Found::File(path) => {
                    let place = places.next().expect("there are fewer than 2⁶⁴ files");
                    self.paths.put(Job { place, path }).is_ok()
                }
                Found::DirectoryLink => report(&self.results, News::DirectoryLink),
                Found::Problem(problem) => report(&self.results, News::NotRead(problem)),
            };
            if taken { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
}

/// A thread that hashes.
pub(crate) struct Worker {
    pub(crate) paths: Share<Job>,
    pub(crate) results: Share<News>,
    pub(crate) manifest: FileId,
}

/// What one worker did.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// How the hashing of a file ended.
enum Hashed {
    Digest([u8; 32]),
    /// It is the manifest, of which nothing was read.
    Manifest,
    /// This thread was interrupted, and the file is not read to its end.
    Interrupted,
}

impl Run for Worker {
    type Output = Tally;

    /// Ends when the paths do, or on interrupt, also in the middle of a file.
    fn run(self) -> Tally {
        let mut tally = Tally::default();
        let mut buffer = vec![0; CHUNK];
        for Job { place, path } in self.paths.iter() {
            let mut bytes = 0;
            let outcome = match self.hash(&path, &mut buffer, &mut bytes) {
                Ok(Hashed::Digest(digest)) => {
                    tally.files += 1;
                    tally.bytes += bytes;
                    Outcome::Line(manifest::line(&digest, &path))
                }
                Ok(Hashed::Manifest) => Outcome::Manifest,
                Ok(Hashed::Interrupted) => break,
                Err(error) => Outcome::NotRead(Problem::failed(path, &error)),
            };
            let bytes = bytes % NEWS_EVERY; // what News::Read has not told
            if !report(&self.results, News::Done { place, bytes, outcome }) {
                break;
            }
        }
        tally
    }
}

impl Worker {
    /// Hashes a file. `bytes` counts what was read on the way, also to an error.
    fn hash(&self, path: &Path, buffer: &mut [u8], bytes: &mut u64) -> io::Result<Hashed> {
        let (mut file, meta) = open(path)?;
        if FileId::from(meta) == self.manifest {
            return Ok(Hashed::Manifest);
        }
        let mut hash = Sha256::new();
        loop {
            if thread::interrupted() {
                return Ok(Hashed::Interrupted);
            }
            let n = match file.read(buffer) {
                Ok(0) => return Ok(Hashed::Digest(hash.finalize().into())),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hash.update(&buffer[..n]);
            let told = *bytes / NEWS_EVERY;
            *bytes += n as u64;
            if *bytes / NEWS_EVERY > told && !report(&self.results, News::Read(NEWS_EVERY)) {
                return Ok(Hashed::Interrupted);
            }
        }
    }
}

/// Tells main. False says that the thread should come to its end: it was interrupted, or nobody
/// listens any more. The news are not lost by an interrupt, which only ends the wait it came in.
pub(crate) fn report(results: &Queue<News>, news: News) -> bool {
    match results.put(news) {
        Ok(()) => true,
        Err(PutError::Interrupted(news)) => {
            let _ = results.put(news);
            false
        }
        Err(_) => false,
    }
}
