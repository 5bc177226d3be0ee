//! For those who embed this crate in an interpreter: the parking lot, for primitives of their own.
//!
//! A primitive is a word of state, and waiters who sleep at its address. Whoever changes the state
//! wakes them; whoever is about to sleep looks at the state once more, which cannot be missed:
//!
//! ```
//! use lisle::embed::{Waiting, park, unpark};
//! use lisle::{Kind, thread};
//! use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
//!
//! static OPEN: AtomicBool = AtomicBool::new(false);
//! let key = &raw const OPEN as usize;
//! let waiter = thread::spawn(move || {
//!     while !OPEN.load(SeqCst) {
//!         park(key, &Waiting::new(Kind::Event), || !OPEN.load(SeqCst)).unwrap();
//!     }
//! });
//! OPEN.store(true, SeqCst);
//! unpark(key, usize::MAX);
//! waiter.join().unwrap();
//! ```
//!
//! This module follows the needs of embedders: it may change from one version to the next.

use crate::park::{self, Choice, Limit, Wait, WaitError, current};
use crate::sync::{Lock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::{Kind, thread};
use std::fmt;
use std::panic::Location;
use std::time::Instant;

pub use crate::park::site::{Place, Spot};
pub use crate::park::told::{Tell, Told, telling};
pub use crate::park::wait::{Bond, Owner, Subject};
pub use crate::sync::reentrant_lock::ReentrantLock;

/// What nobody in particular can end, and that has no name.
struct Nobody;

impl Subject for Nobody {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of an embedder")
    }
}

/// A wait that is about to begin.
pub struct Waiting<'a> {
    /// What kind of wait it is, for those who look.
    pub kind: Kind,
    /// Who can end it.
    pub subject: &'a dyn Subject,
    /// When it ends by itself.
    pub deadline: Option<Instant>,
    /// Whether an interrupt ends it.
    pub interruptible: bool,
    /// How many items or permits there are, for those who watch. Called by the waiting thread, without a
    /// lock.
    pub length: Option<&'a dyn Fn() -> usize>,
}

impl Waiting<'_> {
    /// A wait without limit, which an interrupt can end, for something that anybody can do.
    pub fn new(kind: Kind) -> Waiting<'static> {
        Waiting { kind, subject: &Nobody, deadline: None, interruptible: true, length: None }
    }
}

/// Sleeps at `key` until somebody calls [`unpark`] for it, unless `validate`, called under a lock
/// that [`unpark`] takes too, says that there is nothing to wait for. True if the thread was unparked.
///
/// `validate` must not wait, and take no lock that is held around [`unpark`].
///
/// # Errors
/// As of any wait: see [`WaitError`]. A thread that was unparked in that moment returns `Ok(true)`.
#[track_caller]
pub fn park(key: usize, waiting: &Waiting<'_>, validate: impl FnOnce() -> bool) -> Result<bool, WaitError> {
    let mut wait = Wait::new(waiting.kind, waiting.subject, Location::caller(), waiting.deadline);
    wait.interruptible = waiting.interruptible;
    wait.length = waiting.length;
    Ok(park::park(key, &wait, validate).settle()?.is_some())
}

/// Wakes at most `most` of those who wait at `key`, the oldest first; returns how many.
pub fn unpark(key: usize, most: usize) -> usize {
    let mut left = most;
    let choose = |_: &park::lot::Candidate<'_>| match left.checked_sub(1) {
        Some(fewer) => {
            left = fewer;
            Choice::Grant(0)
        }
        None => Choice::Stop,
    };
    park::unpark(key, choose, |_| ()).granted
}

/// [`Lock::try_acquire`] at a place of the embedder's program, for [`taken_at`] and reports.
#[inline(always)]
pub fn try_acquire(lock: &Lock, at: Place) -> bool {
    lock.try_acquire_at(at.into())
}

/// Likewise [`Lock::acquire`], or with a deadline [`Lock::acquire_until`].
///
/// # Errors
/// As theirs.
pub fn acquire(lock: &Lock, deadline: Option<Instant>, at: Place) -> Result<(), WaitError> {
    lock.acquire_within(deadline.map_or(Limit::Never, Limit::Until), at.into())
}

/// Where the lock was taken, if it is taken and that is known.
pub fn taken_at(lock: &Lock) -> Option<Spot> {
    lock.spot()
}

/// Likewise [`RwLock::try_read`].
pub fn try_read<T: ?Sized>(lock: &RwLock<T>, at: Place) -> Option<RwLockReadGuard<'_, T>> {
    lock.try_read_at(at.into())
}

/// Likewise [`RwLock::read_interruptible`], or with a deadline [`RwLock::read_until`].
///
/// # Errors
/// As theirs.
pub fn read<T: ?Sized>(
    lock: &RwLock<T>,
    deadline: Option<Instant>,
    at: Place,
) -> Result<RwLockReadGuard<'_, T>, WaitError> {
    lock.read_at(deadline.map_or(Limit::Never, Limit::Until), at.into())
}

/// Likewise [`RwLock::try_write`].
pub fn try_write<T: ?Sized>(lock: &RwLock<T>, at: Place) -> Option<RwLockWriteGuard<'_, T>> {
    lock.try_write_at(at.into())
}

/// Likewise [`RwLock::write_interruptible`], or with a deadline [`RwLock::write_until`].
///
/// # Errors
/// As theirs.
pub fn write<T: ?Sized>(
    lock: &RwLock<T>,
    deadline: Option<Instant>,
    at: Place,
) -> Result<RwLockWriteGuard<'_, T>, WaitError> {
    lock.write_at(deadline.map_or(Limit::Never, Limit::Until), at.into())
}

/// The calling thread's ident, for [`Owner`].
#[inline]
pub fn ident() -> u32 {
    current::ident()
}

/// The calling thread goes by that name from now on. Returns the thread.
pub fn introduce(name: &str) -> thread::Thread {
    let thread = thread::Thread::of(current::introduce(name));
    // A system call, also where the name is what it was: for those who look from outside.
    thread.set_name(name);
    thread
}

/// The calling thread goes by that name, and is one of the embedder's own: it does nothing for the program, and
/// what it waits for says nothing of it.
#[cfg(all(feature = "watch", not(loom)))]
pub fn introduce_service(name: &str) -> thread::Thread {
    let thread = introduce(name);
    thread.record().set_service();
    thread
}

/// The calling thread, which this crate has not made, is one that the embedder's program has made, as a daemon or
/// not: for those who look. When the process ends is for the embedder to say.
pub fn made_by_program(daemon: bool) {
    current::with(|me| {
        if me.origin == park::record::Origin::Adopted {
            me.set_embedded(daemon);
        }
    });
}

/// How many forks this process and those that it comes from have behind them: what keeps books of threads goes by
/// it, since in the child of a fork they are gone.
pub fn forks() -> u32 {
    park::registry::forks()
}

/// The thread of this ident, if it lives.
pub fn find(ident: u32) -> Option<thread::Thread> {
    park::registry::find(ident).map(thread::Thread::of)
}

/// Looks around for a moment, as a wait does before it sleeps, until `look` says that it may stop. How long depends on
/// the thread's luck with this, but not with its waits.
pub fn look_around(mut look: impl FnMut() -> bool) {
    if !look() {
        park::spin::spin_aside(|| look().then_some(()));
    }
}

/// Sleeps until the process ends: for a thread that must not go back where it came from.
pub fn sleep_for_ever() -> ! {
    let here = 0u8;
    loop {
        let mut wait = Wait::new(Kind::Sleep, &Nobody, Location::caller(), None);
        wait.interruptible = false;
        park::park(park::key_of(&here), &wait, || true);
    }
}
