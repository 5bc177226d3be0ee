//! Descriptors that a child of a fork has no business with, and closes: whoever is at the other end would
//! not see that we are gone as long as a child holds ours.

use super::sys::{PlainGuard, PlainLock};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;

/// The numbers of all of them. Locked across a fork, and while a descriptor comes or goes: the child finds
/// every one that there is.
pub(super) struct Private(BTreeSet<RawFd>);

static ALL: PlainLock<Private> = PlainLock::new(Private(BTreeSet::new()));

/// Taken after every other lock.
pub(super) fn lock() -> PlainGuard<'static, Private> {
    ALL.lock()
}

impl Private {
    /// In the child. Whoever had them is not here, or must forget them.
    pub(super) fn close(&mut self) {
        for fd in std::mem::take(&mut self.0) {
            // SAFETY: its owner was a thread that the fork left behind, so nobody uses it here.
            unsafe { libc::close(fd) };
        }
    }
}

/// A descriptor that is closed in the child of a fork. To be used by a thread that never forks.
#[derive(Debug)]
pub(crate) struct PrivateFd(ManuallyDrop<OwnedFd>);

impl PrivateFd {
    /// What `make` returns, which must not wait.
    pub(crate) fn new<E>(make: impl FnOnce() -> Result<OwnedFd, E>) -> Result<PrivateFd, E> {
        let mut all = lock();
        let fd = make()?;
        all.0.insert(fd.as_raw_fd());
        Ok(PrivateFd(ManuallyDrop::new(fd)))
    }
}

impl AsFd for PrivateFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for PrivateFd {
    fn drop(&mut self) {
        let mut all = lock();
        all.0.remove(&self.0.as_raw_fd());
        // SAFETY: this is the drop, after which nobody uses the field.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}
