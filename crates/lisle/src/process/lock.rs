//! `SharedLock`: a lock that processes share, and that survives its holder.
//!
//! The lock itself is a robust mutex of the system's C library, which alone can put it into the list that
//! the kernel goes through when a thread ends, however that ends. The library's own waiting can neither
//! be interrupted nor seen, so we do the waiting: the mutex's word follows the kernel's rules, which are
//! the same for all libraries (the holder's number, `WAITERS`, `OWNER_DIED`), and a waiting thread sleeps
//! on that word and on its own at once.

use super::memory::Placed;
use super::wire;
use crate::park::outside::Outside;
use crate::park::report::Report;
use crate::park::{Kind, Label, Limit, Owner, Site, Subject, Wait, WaitError, current, key_of, park, spin};
use rustix::thread::futex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{error, fmt, io, process};

/// What processes share of a lock.
#[repr(C)]
pub(super) struct RawLock {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    /// The holder's process, and for its own process its ident, with the kernel's number of the thread.
    /// Written by who has just taken the lock; older than that if another number is in the word.
    pid: AtomicU32,
    ident: AtomicU64,
}

const WAITERS: u32 = 1 << 31;
const THREAD: u32 = (1 << 30) - 1;

/// How the lock was taken.
pub(super) enum Taken {
    No,
    Free,
    /// From this process, which ended with it.
    Left(u32),
}

impl RawLock {
    /// Makes a lock at this place.
    ///
    /// # Safety
    /// The place is zeroed shared memory, of the right size and alignment, that nobody else uses yet.
    pub(super) unsafe fn set_up(place: *mut RawLock) -> io::Result<()> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        let done = |code: libc::c_int| if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) };
        // SAFETY: the attributes are made before they are used, and done away with after; the mutex is at
        // a place that the caller answers for. What is left of it, zero, is as it should be.
        unsafe {
            done(libc::pthread_mutexattr_init(attributes))?;
            let made = done(libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED))
                .and_then(|()| done(libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST)))
                .and_then(|()| done(libc::pthread_mutex_init((&raw mut (*place).mutex).cast(), attributes)));
            libc::pthread_mutexattr_destroy(attributes);
            made
        }
    }

    /// The word of which the kernel knows.
    fn word(&self) -> &AtomicU32 {
        // The first of the mutex, or with musl the second behind its type.
        let place: *mut u32 = self.mutex.get().cast();
        let index = usize::from(cfg!(target_env = "musl"));
        // SAFETY: aligned, in the mutex, and only changed by atomic instructions, ours, the library's
        // and the kernel's.
        unsafe { AtomicU32::from_ptr(place.add(index)) }
    }

    /// Takes the lock if nobody alive has it.
    pub(super) fn try_take(&self) -> Taken {
        // SAFETY: `set_up` has made the mutex, and it is not done away with.
        let taken = match unsafe { libc::pthread_mutex_trylock(self.mutex.get()) } {
            0 => Taken::Free,
            libc::EOWNERDEAD => {
                // SAFETY: as above, and it is ours, as a lock whose holder has died.
                unsafe { libc::pthread_mutex_consistent(self.mutex.get()) };
                Taken::Left(self.pid.load(Ordering::Relaxed))
            }
            _ => return Taken::No,
        };
        let thread = u64::from(self.word().load(Ordering::Relaxed) & THREAD);
        self.ident.store(thread << 32 | u64::from(current::ident()), Ordering::Relaxed);
        self.pid.store(process::id(), Ordering::Relaxed);
        taken
    }

    /// Takes the lock, after a wait if need be.
    pub(super) fn take(
        &self,
        subject: &dyn Subject,
        limit: Limit,
        site: Site,
        interruptible: bool,
    ) -> Result<Taken, WaitError> {
        match self.try_take() {
            Taken::No => self.take_slow(subject, limit, site, interruptible),
            taken => Ok(taken),
        }
    }

    #[cold]
    fn take_slow(
        &self,
        subject: &dyn Subject,
        limit: Limit,
        site: Site,
        interruptible: bool,
    ) -> Result<Taken, WaitError> {
        let attempt = || match self.try_take() {
            Taken::No => None,
            taken => Some(taken),
        };
        let deadline = limit.deadline();
        if deadline.is_none_or(|at| at > Instant::now())
            && let Some(taken) = spin::spin_at(spin::Pace::Backoff, attempt)
        {
            return Ok(taken);
        }
        let word = self.word();
        let mut since = None;
        loop {
            if let Some(taken) = attempt() {
                if since.is_some() {
                    // We were woken, or may have been, in place of others who still sleep.
                    word.fetch_or(WAITERS, Ordering::Relaxed);
                }
                return Ok(taken);
            }
            let Some(seen) = self.announce() else { continue };
            let unchanged = || word.load(Ordering::Relaxed) == seen;
            // A wake-up is lost with a thread that is killed on its way from one to the lock, if just then
            // somebody took the lock who knows of nobody. So all look from time to time.
            let changed = || !unchanged();
            let mut wait = Wait::new(Kind::SharedLock, subject, site, deadline);
            (wait.since, wait.interruptible) = (since, interruptible);
            since.get_or_insert_with(Instant::now);
            wait.outside = Some(Outside::Word(word, seen));
            wait.overdue = Some(&changed);
            if let Err(error) = park(key_of(self), &wait, unchanged).settle() {
                self.pass_on();
                return Err(error);
            }
        }
    }

    /// Says in the word that somebody waits; tells what it is then, or `None` if nobody holds the lock.
    fn announce(&self) -> Option<u32> {
        let seen = self.word().load(Ordering::Relaxed);
        let said = seen | WAITERS;
        let held = seen & THREAD != 0
            && (seen == said || self.word().compare_exchange(seen, said, Ordering::Relaxed, Ordering::Relaxed).is_ok());
        held.then_some(said)
    }

    /// A wake-up that came when its thread was leaving is another's.
    fn pass_on(&self) {
        if self.announce().is_none() {
            self.wake();
        }
    }

    fn wake(&self) {
        let _ = futex::wake(self.word(), futex::Flags::empty(), 1);
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// The calling thread has it.
    pub(super) unsafe fn give_back(&self) {
        // SAFETY: made by `set_up`, and ours, says the caller.
        unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
    }

    /// The thread that holds it, if that is one of this process.
    pub(super) fn holder_here(&self) -> Option<u32> {
        let ident = self.ident.load(Ordering::Relaxed);
        let same = self.word().load(Ordering::Relaxed) & THREAD == (ident >> 32) as u32;
        (same && ident != 0 && self.pid.load(Ordering::Relaxed) == process::id()).then_some(ident as u32)
    }
}

/// A lock that threads of any processes share: one at a time has it.
///
/// It survives its holder. If a process ends with the lock, by a signal or otherwise, the next to take it
/// is [told so](SharedLockGuard::recovered), because what the lock protects may be half changed; then the
/// lock works on.
///
/// Sending it, as an argument, a value or an item of a channel, sends a handle on the same lock. Whoever
/// has one can ruin the lock for the others: it is for processes that trust each other.
///
/// # Fairness
/// None: whoever comes first when the lock is given back has it.
///
/// # Examples
/// ```
/// use lisle::process::SharedLock;
///
/// let lock = SharedLock::new().unwrap();
/// let held = lock.lock().unwrap();
/// assert!(held.recovered().is_none());
/// assert!(lock.try_lock().is_none());
/// ```
pub struct SharedLock {
    shared: Placed<RawLock>,
    label: Label,
}

// SAFETY: what is shared is a mutex that processes share, let alone threads, and atomics.
unsafe impl Send for SharedLock {}
// SAFETY: likewise.
unsafe impl Sync for SharedLock {}

impl SharedLock {
    /// A lock that nobody holds. Reports call it by the place of this call.
    ///
    /// # Errors
    /// If the system has no memory or no descriptor left.
    #[track_caller]
    pub fn new() -> io::Result<SharedLock> {
        // SAFETY: `Placed` gives zeroed memory of the right size, at the start of a page.
        let shared = Placed::new(0, |place| unsafe { RawLock::set_up(place) })?;
        Ok(SharedLock { shared, label: Label::new(Location::caller()) })
    }

    fn raw(&self) -> &RawLock {
        // SAFETY: made in `new`, here or in another process; it lives as long as `self`.
        unsafe { self.shared.get().as_ref() }
    }

    /// Takes the lock, after a wait if need be.
    ///
    /// # On interrupt
    /// `Interrupted`; the lock was not taken.
    ///
    /// # Errors
    /// `Interrupted`, or `Deadlocked` if a thread of this process, this one perhaps, holds the lock and
    /// waits for this one. What other processes wait for is not known here.
    #[track_caller]
    pub fn lock(&self) -> Result<SharedLockGuard<'_>, SharedLockError> {
        self.lock_within(Limit::Never, Location::caller())
    }

    /// [`lock`](SharedLock::lock) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the lock was not taken.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`lock`](SharedLock::lock), and `TimedOut`.
    #[track_caller]
    pub fn lock_for(&self, limit: Duration) -> Result<SharedLockGuard<'_>, SharedLockError> {
        self.lock_within(Limit::For(limit), Location::caller())
    }

    /// [`lock_for`](SharedLock::lock_for), with the limit as a point in time.
    ///
    /// # On timeout
    /// `TimedOut`; the lock was not taken.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`lock_for`](SharedLock::lock_for).
    #[track_caller]
    pub fn lock_until(&self, limit: Instant) -> Result<SharedLockGuard<'_>, SharedLockError> {
        self.lock_within(Limit::Until(limit), Location::caller())
    }

    /// Takes the lock if nobody alive has it.
    pub fn try_lock(&self) -> Option<SharedLockGuard<'_>> {
        self.guard(self.raw().try_take())
    }

    fn lock_within(&self, limit: Limit, site: Site) -> Result<SharedLockGuard<'_>, SharedLockError> {
        let taken = self.raw().take(self, limit, site, true)?;
        Ok(self.guard(taken).expect("it was waited for"))
    }

    fn guard(&self, taken: Taken) -> Option<SharedLockGuard<'_>> {
        let recovered = match taken {
            Taken::No => return None,
            Taken::Free => None,
            Taken::Left(pid) => Some(Recovered { pid }),
        };
        Some(SharedLockGuard { lock: self, recovered, on_its_thread: PhantomData })
    }
}

impl Drop for SharedLock {
    fn drop(&mut self) {
        if self.raw().holder_here().is_some() {
            // A guard was forgotten: its thread's list of mutexes leads here.
            self.shared.leak();
        }
    }
}

impl Serialize for SharedLock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::serialize(&self.shared.file, serializer)
    }
}

impl<'de> Deserialize<'de> for SharedLock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedLock, D::Error> {
        let shared = Placed::received(wire::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        Ok(SharedLock { shared, label: Label::new(Location::caller()) })
    }
}

impl Subject for SharedLock {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)?;
        match self.raw().pid.load(Ordering::Relaxed) {
            pid if pid == process::id() => Ok(()),
            pid => write!(f, ", last taken by process {pid}"),
        }
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        if let Some(ident) = self.raw().holder_here() {
            found(Owner::holds(ident, None));
        }
    }
}

impl fmt::Debug for SharedLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.raw().word().load(Ordering::Relaxed) & THREAD != 0;
        f.debug_struct("SharedLock")
            .field("held", &held)
            .field("label", &format_args!("{}", self.label))
            .finish_non_exhaustive()
    }
}

/// Whoever held the lock before ended without giving it back: what it protects may be half changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// The process that the holder was a thread of.
    pub pid: u32,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ended while it held the lock: what it protects may be half changed", self.pid)
    }
}

/// Having a [`SharedLock`]; gives it back when dropped, on the thread that took it.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct SharedLockGuard<'a> {
    lock: &'a SharedLock,
    recovered: Option<Recovered>,
    on_its_thread: PhantomData<*const ()>,
}

impl SharedLockGuard<'_> {
    /// Who held the lock before and ended with it; `None` if it was given back as it should be.
    pub fn recovered(&self) -> Option<Recovered> {
        self.recovered
    }
}

impl Drop for SharedLockGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: the guard is the right to this, and stays on the thread that took the lock.
        unsafe { self.lock.raw().give_back() };
    }
}

impl fmt::Debug for SharedLockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLockGuard").field("recovered", &self.recovered).finish_non_exhaustive()
    }
}

/// Why a [`SharedLock`] was not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum SharedLockError {
    /// The time limit passed.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// The wait closed a cycle of waits of this process, which the report names.
    Deadlocked(Box<Report>),
}

impl SharedLockError {
    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, SharedLockError::TimedOut)
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, SharedLockError::Interrupted)
    }
}

impl From<WaitError> for SharedLockError {
    fn from(error: WaitError) -> SharedLockError {
        match error {
            WaitError::TimedOut => SharedLockError::TimedOut,
            WaitError::Interrupted => SharedLockError::Interrupted,
            WaitError::Deadlocked(report) => SharedLockError::Deadlocked(report),
        }
    }
}

impl fmt::Display for SharedLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SharedLockError::TimedOut => "the shared lock was held until the time limit passed",
            SharedLockError::Interrupted => "the wait for the shared lock was interrupted by another thread",
            SharedLockError::Deadlocked(report) => return report.fmt(f),
        })
    }
}

impl error::Error for SharedLockError {}
