//! Waiting for something that is not done in this process: a descriptor to be ready, or a word that
//! processes share to change. Such a wait is one like the others, with a node in the lot: it can be
//! granted, interrupted, timed and seen. What happens outside ends it as `Invalid`, so that the call
//! looks again.

use super::sys::atomic::AtomicU32;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
#[cfg(not(lisle_portable))]
use rustix::thread::{ClockId, futex};
use rustix::time::Timespec;
#[cfg(not(lisle_portable))]
use rustix::time::clock_gettime;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

/// What else a wait is for.
#[derive(Clone, Copy)]
pub(crate) enum Outside<'a> {
    /// One of these descriptors, three at most, is ready for this, or has an error or no other end.
    Ready(&'a [(BorrowedFd<'a>, PollFlags)]),
    /// Somebody wakes the word, which is shared with other processes, or it has changed from this.
    #[cfg_attr(not(feature = "process"), allow(dead_code))]
    Word(&'a AtomicU32, u32),
}

/// How a sleep ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slept {
    /// Something happened outside.
    Outside,
    /// Perhaps the thread's own word has changed.
    Woken,
    Expired,
    Signalled,
}

/// Where the kernel cannot wait for two words at once (Linux before 5.16), the thread looks at the
/// one and at the other in turn, this often.
const SLICE: Duration = Duration::from_millis(2);

impl Outside<'_> {
    /// Sleeps while `own` holds `state` and nothing happens outside, or until `deadline`.
    pub(super) fn sleep(&self, own: &AtomicU32, state: u32, bell: &Bell, deadline: Option<Instant>) -> Slept {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Slept::Expired;
        }
        match *self {
            Outside::Ready(watched) => bell.poll(watched, left),
            Outside::Word(word, seen) => wait_for_either(own, state, (word, seen), deadline, left),
        }
    }
}

/// A descriptor that is rung when a thread that waits for others shall look at its own word. Made when
/// the thread first waits so; kept as long as its parker.
pub(super) struct Bell(AtomicPtr<OwnedFd>);

impl Bell {
    pub(super) const fn new() -> Bell {
        Bell(AtomicPtr::new(std::ptr::null_mut()))
    }

    fn get(&self) -> Option<&OwnedFd> {
        // SAFETY: null, or from the box that `made` put here, which lives until our `drop`; a child
        // of a fork replaces it while its one thread is not in here.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The descriptor, made if need be. Called by the one thread that waits on it.
    fn made(&self) -> Option<&OwnedFd> {
        if self.get().is_none() {
            let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
            self.0.store(Box::into_raw(Box::new(fd)), Ordering::Release);
        }
        self.get()
    }

    /// Ends the owner's present or next poll.
    pub(super) fn ring(&self) {
        if let Some(fd) = self.get() {
            // Refused only if it has been rung 2⁶⁴ times.
            let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
        }
    }

    fn poll(&self, watched: &[(BorrowedFd<'_>, PollFlags)], left: Option<Duration>) -> Slept {
        let Some(own) = self.made() else {
            // No descriptor is left for a bell: a short sleep, and another look.
            let (mut all, count) = list(None, watched);
            return poll_in(&mut all[1..count], Some(left.map_or(SLICE, |left| left.min(SLICE))));
        };
        let (mut all, count) = list(Some(own.as_fd()), watched);
        let slept = poll_in(&mut all[..count], left);
        if slept == Slept::Outside && !all[0].revents().is_empty() {
            let _ = rustix::io::read(own, &mut [0; 8]);
            if all[1..count].iter().all(|fd| fd.revents().is_empty()) {
                return Slept::Woken;
            }
        }
        slept
    }

    /// In the child of a fork: a bell of its own, not the one that its parent listens to.
    pub(super) fn forget(&self) {
        let shared = self.0.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !shared.is_null() {
            // SAFETY: the box of `made`, just taken out; in the child nobody else runs.
            drop(unsafe { Box::from_raw(shared) });
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The bell and what is watched beside it, and how many that is.
fn list<'a>(bell: Option<BorrowedFd<'a>>, watched: &[(BorrowedFd<'a>, PollFlags)]) -> ([PollFd<'a>; 4], usize) {
    assert!((1..=3).contains(&watched.len()), "one to three descriptors are watched");
    let first = bell.unwrap_or(watched[0].0);
    let mut all = [(); 4].map(|()| PollFd::from_borrowed_fd(first, PollFlags::IN));
    for (place, &(fd, what)) in all[1..].iter_mut().zip(watched) {
        *place = PollFd::from_borrowed_fd(fd, what);
    }
    (all, 1 + watched.len())
}

fn poll_in(all: &mut [PollFd<'_>], left: Option<Duration>) -> Slept {
    let limit = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(all, limit.as_ref()) {
        Ok(0) => Slept::Expired,
        Ok(_) => Slept::Outside,
        Err(Errno::INTR) => Slept::Signalled,
        Err(_) => Slept::Outside, // the call finds out what is wrong with it
    }
}

/// Sleeps while `own` holds `state` and the shared word what was seen of it.
#[cfg(not(lisle_portable))]
fn wait_for_either(
    own: &AtomicU32,
    state: u32,
    (word, seen): (&AtomicU32, u32),
    deadline: Option<Instant>,
    left: Option<Duration>,
) -> Slept {
    let futex = |word: &AtomicU32, value, flags| {
        let mut one = futex::Wait::new();
        (one.val, one.uaddr, one.flags) = (u64::from(value), futex::WaitPtr::new(word.as_ptr().cast()), flags);
        one
    };
    let size = futex::WaitFlags::SIZE_U32;
    let both = [futex(own, state, size | futex::WaitFlags::PRIVATE), futex(word, seen, size)];
    // The kernel wants a point in time, of a clock that `Instant` does not give away.
    let until = left.and_then(|left| clock_gettime(ClockId::Monotonic).checked_add(Timespec::try_from(left).ok()?));
    match futex::waitv(&both, futex::WaitvFlags::empty(), until.as_ref(), ClockId::Monotonic) {
        Ok(0) => Slept::Woken,
        Ok(_) | Err(Errno::AGAIN) => Slept::Outside,
        Err(Errno::TIMEDOUT) => Slept::Expired,
        Err(Errno::INTR) => Slept::Signalled,
        Err(_) => wait_in_slices(own, state, deadline),
    }
}

/// The portable parker's word is no futex: nothing in the kernel knows of it.
#[cfg(lisle_portable)]
fn wait_for_either(
    own: &AtomicU32,
    state: u32,
    _shared: (&AtomicU32, u32),
    deadline: Option<Instant>,
    _left: Option<Duration>,
) -> Slept {
    wait_in_slices(own, state, deadline)
}

fn wait_in_slices(own: &AtomicU32, state: u32, deadline: Option<Instant>) -> Slept {
    use super::sys::{FutexWait, futex_wait};
    let slice = Instant::now() + SLICE;
    match futex_wait(own, state, Some(deadline.map_or(slice, |at| at.min(slice)))) {
        FutexWait::Woken => Slept::Woken,
        FutexWait::Signalled => Slept::Signalled,
        FutexWait::Expired if deadline.is_some_and(|at| at <= Instant::now()) => Slept::Expired,
        FutexWait::Expired => Slept::Outside,
    }
}
