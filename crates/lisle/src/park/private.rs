//! Descriptors that a child of a fork has no business with, and closes: whoever is at the other end would
//! not see that we are gone as long as a child holds ours.
//!
//! Programs close descriptors that they have not opened (`closerange`), and the numbers go to files of theirs:
//! what is not ours any more is not closed.

use super::sys::{PlainGuard, PlainLock};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::collections::BTreeMap;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of all of them, and which files they were opened for. Locked across a fork, and while a
/// descriptor comes or goes: the child finds every one that there is.
pub(super) struct Private(BTreeMap<RawFd, Entry>);

/// The file, and what tells it from another of ours that got the number later.
type Entry = (File, u64);

/// The device, the number of the file on it, and its type. Polls and event counters share one number, so that
/// one of the program's could pass for one of ours.
type File = (u64, u64, u32);

static ALL: PlainLock<Private> = PlainLock::new(Private(BTreeMap::new()));

/// What has this number now.
fn file_of(fd: RawFd) -> Option<File> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for what the system writes, which refuses a number that is no descriptor.
    let stat = unsafe { (libc::fstat(fd, stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }?;
    Some((stat.st_dev, stat.st_ino, stat.st_mode))
}

/// Taken after every other lock.
pub(super) fn lock() -> PlainGuard<'static, Private> {
    ALL.lock()
}

impl Private {
    /// In the child. Whoever had them is not here, or must forget them.
    pub(super) fn close(&mut self) {
        for (fd, (file, _)) in std::mem::take(&mut self.0) {
            if file_of(fd) == Some(file) {
                // SAFETY: its owner was a thread that the fork left behind, so nobody uses it here.
                unsafe { libc::close(fd) };
            }
        }
    }
}

/// A descriptor that is closed in the child of a fork. To be used by a thread that never forks.
#[derive(Debug)]
pub(crate) struct PrivateFd {
    fd: ManuallyDrop<OwnedFd>,
    entry: Option<Entry>,
}

impl PrivateFd {
    /// What `make` returns, which must not wait.
    pub(crate) fn new<E>(make: impl FnOnce() -> Result<OwnedFd, E>) -> Result<PrivateFd, E> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let mut all = lock();
        let fd = make()?;
        let entry = file_of(fd.as_raw_fd()).map(|file| (file, NUMBERS.fetch_add(1, Ordering::Relaxed)));
        if let Some(entry) = entry {
            all.0.insert(fd.as_raw_fd(), entry);
        }
        Ok(PrivateFd { fd: ManuallyDrop::new(fd), entry })
    }

    /// Whether its number still leads to what was opened. Safe in the handler of a signal.
    pub(super) fn is_open(&self) -> bool {
        self.entry.is_some_and(|(file, _)| file_of(self.fd.as_raw_fd()) == Some(file))
    }
}

impl AsFd for PrivateFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for PrivateFd {
    fn drop(&mut self) {
        let (mut all, fd) = (lock(), self.fd.as_raw_fd());
        if self.entry.is_none() || all.0.get(&fd) != self.entry.as_ref() {
            return; // closed by the program, and another one of ours by now
        }
        all.0.remove(&fd);
        if self.is_open() {
            // SAFETY: this is the drop, after which nobody uses the field.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}
