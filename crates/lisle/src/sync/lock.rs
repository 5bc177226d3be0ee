//! `Lock`: mutual exclusion that belongs to nobody.

use crate::park::sys::atomic::{AtomicU64, Ordering};
use crate::park::sys::const_fn;
use crate::park::{Choice, Kind, Limit, Owner, Spot, Subject, Wait, WaitError};
use crate::park::{current, key_of, park_with, spin, unpark};
use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Mutual exclusion that any thread may end: one thread may acquire the lock and another release
/// it. It guards no value. The base for constructions of one's own; else take a
/// [`Mutex`](super::Mutex), which also finds deadlocks for certain.
///
/// The lock remembers which thread has taken it and where. A cycle of waits through it is
/// [reported](crate::on_report) as suspected: a thread outside the cycle could still release it.
///
/// # Fairness
/// As of [`Mutex`](super::Mutex): a thread that comes at the right moment may get the lock before
/// those that sleep for it; the one that has waited longest is handed the lock once it has waited
/// for a millisecond, at most one in each millisecond.
///
/// # Examples
/// ```
/// use lisle::sync::Lock;
///
/// static LOCK: Lock = Lock::new();
///
/// LOCK.acquire().unwrap();
/// assert!(!LOCK.try_acquire());
/// std::thread::scope(|scope| scope.spawn(|| LOCK.release()).join().unwrap().unwrap());
///
/// let answer = LOCK.with(|| 42).unwrap();
/// assert!(!LOCK.is_locked());
/// # assert_eq!(answer, 42);
/// ```
pub struct Lock {
    /// | bits | meaning |
    /// |---|---|
    /// | 0–31 | ident of the thread that has taken it; 0: free |
    /// | `WAITERS` | threads wait in the lot; the next release looks there. Changes under the bucket's lock |
    /// | `WOKEN` | one of them has been sent to try; releases leave the others alone |
    /// | 35–63 | the rest of the code of the site where it was taken, see [`Spot`]; 0 when free |
    ///
    /// `WAITERS` without a waiter costs one look.
    word: AtomicU64,
}

const WAITERS: u64 = 1 << 32;
const WOKEN: u64 = 1 << 33;
const FLAGS: u64 = 0b111 << 32;

// The low bits of a site's code are those of a distance between locations: free for the flags.
const _: () = assert!(align_of::<Location<'static>>() >= 8);
const _: () = assert!(size_of::<Lock>() <= 8 || cfg!(loom));

/// Tokens of a granted wait: try again, or the lock is yours.
const RETRY: u32 = 0;
const HANDED: u32 = 1;

#[inline(always)]
fn taken(ident: u32, site: Spot) -> u64 {
    u64::from(ident) | u64::from(site.encode()) << 32 & !FLAGS
}

#[inline(always)]
fn taker(word: u64) -> u32 {
    word as u32
}

fn spot_in(word: u64) -> Option<Spot> {
    Spot::decode(((word & !FLAGS) >> 32) as u32)
}

impl Lock {
    const_fn! {
        /// A lock that is free. Reports call it by its address and the place where it was taken.
        pub const fn new() -> Lock {
            Lock { word: AtomicU64::new(0) }
        }
    }

    /// Takes it, clearing the flags in `clear`, if it is free.
    #[inline(always)]
    fn take(&self, mine: u64, clear: u64) -> bool {
        let mut now = 0;
        loop {
            match self.word.compare_exchange(now, now & !clear | mine, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) if taker(seen) != 0 => return false,
                Err(seen) => now = seen,
            }
        }
    }

    /// Changes the word to what `change` makes of it, unless it says `None`; tells whether it did.
    fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> bool {
        self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change).is_ok()
    }

    /// Takes the lock, waiting as long as it takes.
    ///
    /// # On interrupt
    /// `Interrupted`; the lock is as if the call had not been. If the lock was handed over at the
    /// same moment that counts, and the interrupt stays pending.
    ///
    /// # Errors
    /// `Interrupted` is the only one.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Result<(), WaitError> {
        self.acquire_within(Limit::Never, Location::caller().into())
    }

    /// Takes the lock if that takes no waiting; tells whether it did.
    #[inline]
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        self.try_acquire_at(Location::caller().into())
    }

    /// [`acquire`](Lock::acquire) within `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; the lock is as if the call had not been.
    #[inline]
    #[track_caller]
    pub fn acquire_for(&self, limit: Duration) -> Result<(), WaitError> {
        self.acquire_within(Limit::For(limit), Location::caller().into())
    }

    /// [`acquire_for`](Lock::acquire_for), with the limit as a point in time; one in the past
    /// means not to wait at all.
    #[inline]
    #[track_caller]
    pub fn acquire_until(&self, limit: Instant) -> Result<(), WaitError> {
        self.acquire_within(Limit::Until(limit), Location::caller().into())
    }

    #[inline(always)]
    pub(crate) fn try_acquire_at(&self, site: Spot) -> bool {
        self.take(taken(current::ident(), site), 0)
    }

    #[inline(always)]
    pub(crate) fn acquire_within(&self, limit: Limit, site: Spot) -> Result<(), WaitError> {
        let mine = taken(current::ident(), site);
        if self.take(mine, 0) { Ok(()) } else { self.acquire_slow(mine, limit, site) }
    }

    #[cold]
    fn acquire_slow(&self, mine: u64, limit: Limit, site: Spot) -> Result<(), WaitError> {
        let began = Instant::now();
        let mut wait = Wait::new(Kind::Lock, self, site, limit.deadline());
        wait.spin = false; // we do it here, where spinning can take the lock
        let late = wait.deadline.is_some_and(|at| at <= began);
        let woken = Cell::new(0);
        loop {
            let take = || {
                let free = taker(self.word.load(Ordering::Relaxed)) == 0;
                (free && self.take(mine, woken.get())).then_some(())
            };
            let taken = if late { take() } else { spin::spin_until(take) };
            if taken.is_some() {
                return Ok(());
            }
            // Who goes to sleep also takes back its own `WOKEN`, or that of a thread that got lost
            // in a fork: from here on the next release wakes somebody.
            let must_wait = || {
                let queued = self.update(|now| (taker(now) != 0).then_some(now & !WOKEN | WAITERS));
                if queued {
                    woken.set(0);
                }
                queued
            };
            let on_leave = |left: bool| {
                if !left {
                    self.word.fetch_and(!WAITERS, Ordering::Relaxed);
                }
            };
            match park_with(key_of(self), &wait, must_wait, || {}, on_leave).settle()? {
                Some(HANDED) => return Ok(()),
                Some(_) => woken.set(WOKEN),
                None => {}
            }
            wait.since = Some(began);
        }
    }

    /// Releases the lock, whichever thread has taken it.
    ///
    /// # Errors
    /// If it is not locked; nothing has changed.
    #[inline]
    pub fn release(&self) -> Result<(), NotLocked> {
        let mut now = self.word.load(Ordering::Relaxed);
        loop {
            if taker(now) == 0 {
                return Err(NotLocked(()));
            }
            if now & (WAITERS | WOKEN) == WAITERS {
                return self.release_slow();
            }
            match self.word.compare_exchange_weak(now, now & FLAGS, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => now = seen,
            }
        }
    }

    #[cold]
    fn release_slow(&self) -> Result<(), NotLocked> {
        let token = Cell::new(None);
        let mut released = true;
        unpark(
            key_of(self),
            |oldest| {
                if token.get().is_some() {
                    return Choice::Stop;
                }
                // From hand to hand, so that nobody comes between. That fails only if another
                // thread has released it too.
                let theirs = taken(oldest.ident(), oldest.site());
                let handed = oldest.is_due() && self.update(|now| (taker(now) != 0).then_some(now & FLAGS | theirs));
                if handed {
                    oldest.note_handover();
                }
                let kind = if handed { HANDED } else { RETRY };
                token.set(Some(kind));
                Choice::Grant(kind)
            },
            |done| {
                let keep = if token.get() == Some(HANDED) { u64::MAX } else { FLAGS };
                let set = if token.get() == Some(RETRY) { WOKEN } else { 0 };
                let clear = if done.left { 0 } else { WAITERS };
                self.update(|now| {
                    released = token.get() == Some(HANDED) || taker(now) != 0;
                    Some(now & keep & !clear | set)
                });
            },
        );
        if released { Ok(()) } else { Err(NotLocked(())) }
    }

    /// Takes the lock for as long as the guard lives, waiting as [`acquire`](Lock::acquire) does.
    ///
    /// # On interrupt
    /// As of `acquire`.
    ///
    /// # Errors
    /// `Interrupted` is the only one.
    #[inline]
    #[track_caller]
    pub fn guard(&self) -> Result<LockGuard<'_>, WaitError> {
        self.acquire_within(Limit::Never, Location::caller().into()).map(|()| LockGuard { lock: self })
    }

    /// Calls `run` with the lock taken, waiting for it as [`acquire`](Lock::acquire) does.
    ///
    /// # On interrupt
    /// As of `acquire`; `run` is not called.
    ///
    /// # Errors
    /// `Interrupted` is the only one.
    #[inline]
    #[track_caller]
    pub fn with<R>(&self, run: impl FnOnce() -> R) -> Result<R, WaitError> {
        let _guard = self.guard()?;
        Ok(run())
    }

    /// Whether it is taken at this moment, which may be over when the caller looks.
    #[inline]
    pub fn is_locked(&self) -> bool {
        taker(self.word.load(Ordering::Relaxed)) != 0
    }

    /// The ident of the thread that has taken it, if it is taken.
    pub fn taken_by(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(taker(self.word.load(Ordering::Relaxed)))
    }

    /// Where it was taken, if it is taken and that is known.
    pub fn taken_at(&self) -> Option<&'static Location<'static>> {
        self.spot().and_then(Spot::here)
    }

    /// Likewise, be it in Rust or in an embedder's program.
    pub(crate) fn spot(&self) -> Option<Spot> {
        spot_in(self.word.load(Ordering::Relaxed))
    }
}

impl Default for Lock {
    fn default() -> Lock {
        Lock::new()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Lock");
        if let Some(ident) = self.taken_by() {
            out.field("taken_by", &ident);
        }
        out.finish_non_exhaustive()
    }
}

/// Anybody may release it; but usually who has taken it does.
impl Subject for Lock {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:#x}", key_of(self))
    }

    fn identity(&self) -> u64 {
        0 // it has no name, and nothing tells it from another at its place
    }

    fn owners(&self, _kind: Kind, found: &mut dyn FnMut(Owner)) {
        let word = self.word.load(Ordering::Relaxed);
        if taker(word) != 0 {
            found(Owner::took(taker(word), spot_in(word)));
        }
    }
}

/// A [`Lock`] was released that was not locked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotLocked(());

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lock was released that was not locked: release it once for each time it was acquired")
    }
}

impl std::error::Error for NotLocked {}

/// Keeps a [`Lock`] taken; releases it when dropped, on whichever thread, unless somebody did so
/// before.
#[must_use = "the lock is released at once if the guard is not kept"]
#[derive(Debug)]
pub struct LockGuard<'a> {
    lock: &'a Lock,
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let _ = self.lock.release();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::spawn;
    use super::*;
    use crate::park::lot::FAIR_AFTER;
    use std::sync::Arc;

    fn flags(lock: &Lock) -> u64 {
        lock.word.load(Ordering::Relaxed) & FLAGS
    }

    #[test]
    fn remembers_who_has_taken_it_and_where() {
        let lock = Lock::new();
        assert_eq!((lock.taken_by(), lock.taken_at()), (None, None));
        let line = line!() + 1;
        lock.acquire().unwrap();
        assert_eq!(lock.taken_by().map(NonZeroU32::get), Some(current::ident()));
        assert_eq!(lock.taken_at().map(|site| (site.file(), site.line())), Some((file!(), line)));
        lock.release().unwrap();
        assert_eq!((lock.taken_by(), lock.taken_at()), (None, None));
        assert!(lock.release().unwrap_err().to_string().contains("not locked"));
    }

    #[test]
    fn another_thread_may_release_it_to_a_third() {
        let lock = Arc::new(Lock::new());
        lock.acquire().unwrap();
        let other = lock.clone();
        let waiter = spawn(move || other.acquire());
        waiter.falls_asleep();
        let ident = waiter.record.ident();
        let other = lock.clone();
        spawn(move || other.release()).join().unwrap();
        waiter.join().unwrap();
        assert_eq!(lock.taken_by().map(NonZeroU32::get), Some(ident));
        assert_eq!(flags(&lock), 0);
    }

    #[test]
    fn who_has_waited_long_is_handed_the_lock() {
        let lock = Arc::new(Lock::new());
        lock.acquire().unwrap();
        let other = lock.clone();
        let waiter = spawn(move || other.acquire());
        waiter.falls_asleep();
        let asleep = Instant::now();
        while asleep.elapsed() < 2 * FAIR_AFTER {
            std::hint::spin_loop();
        }
        lock.release().unwrap();
        assert!(!lock.try_acquire(), "it was never free");
        waiter.join().unwrap();
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let lock = Arc::new(Lock::new());
        let guard = lock.guard().unwrap();
        assert!(lock.acquire_for(Duration::ZERO).unwrap_err().is_timed_out());
        assert!(lock.acquire_until(Instant::now() + Duration::from_millis(1)).unwrap_err().is_timed_out());
        let other = lock.clone();
        let interrupted = spawn(move || other.with(|| ()));
        interrupted.falls_asleep();
        interrupted.record.interrupt();
        assert!(interrupted.join().unwrap_err().is_interrupted());
        assert_eq!(flags(&lock), 0);
        drop(guard);
        assert!(!lock.is_locked());
    }
}
