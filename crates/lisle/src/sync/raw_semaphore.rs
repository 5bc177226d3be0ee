//! The state machine under `Semaphore` and `BoundedSemaphore`: permits, flags and a name in 8 bytes.

use crate::park::sys::atomic::{AtomicU64, Ordering};
use crate::park::sys::const_fn;
use crate::park::wait::{Described, identity_of_words};
use crate::park::{Choice, Kind, Limit, Site, Subject, Wait, WaitError};
use crate::park::{key_of, names, park_with, spin, unpark};
use std::cell::Cell;
use std::fmt;
use std::time::Instant;

/// | bits | meaning |
/// |---|---|
/// | 0–31 | permits that nobody has |
/// | `WAITERS` | threads wait in the lot; the next release looks there. Changes under the bucket's lock |
/// | `WOKEN` | one of them has been sent to try; releases leave the others alone. It looks after them when it has what it wants |
/// | `CLOSED` | the permits are not for whoever comes: a release is about to look for whom they are, or the oldest waiter is due and wants more than there are |
/// | 35–63 | number of the name, 0 without |
///
/// Permits and flags change together, so that no release can miss a thread that goes to sleep.
/// `WAITERS` without a waiter costs one look, as does `CLOSED` without a reason.
pub(crate) struct RawSemaphore(AtomicU64);

const WAITERS: u64 = 1 << 32;
const WOKEN: u64 = 1 << 33;
const CLOSED: u64 = 1 << 34;
const NAME_SHIFT: u32 = 64 - names::NUMBER_BITS;

/// Tokens of a granted wait: try again, or the permits are yours.
const RETRY: u32 = 0;
const HANDED: u32 = 1;

#[inline(always)]
fn permits(word: u64) -> u32 {
    word as u32
}

/// Whether who adds permits has to look for waiters.
#[inline(always)]
fn must_look(word: u64) -> bool {
    word & CLOSED != 0 || word & (WAITERS | WOKEN) == WAITERS
}

/// Whether there is room for `n` more permits.
#[inline(always)]
fn has_room(word: u64, n: u32, most: u32) -> bool {
    permits(word).checked_add(n).is_some_and(|all| all <= most)
}

/// There would be more permits than there may be.
pub(super) struct TooMany;

impl RawSemaphore {
    const_fn! {
        pub(super) const fn new(permits: u32) -> RawSemaphore {
            RawSemaphore(AtomicU64::new(permits as u64))
        }
    }

    pub(super) fn named(permits: u32, name: String) -> RawSemaphore {
        RawSemaphore(AtomicU64::new(u64::from(permits) | u64::from(names::add(name)) << NAME_SHIFT))
    }

    /// Permits that nobody has.
    pub(super) fn available(&self) -> u32 {
        permits(self.0.load(Ordering::Relaxed))
    }

    /// Changes the word to what `change` makes of it, unless it says `None`; returns the new word.
    #[inline(always)]
    fn update(&self, mut change: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let new = change(now)?;
            match self.0.compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(new),
                Err(seen) => now = seen,
            }
        }
    }

    /// Takes `n` permits, unless there are fewer or a flag of `but_for` is set; clears the flags in
    /// `clear` with it. Returns the new word.
    #[inline(always)]
    fn take(&self, n: u32, but_for: u64, clear: u64) -> Option<u64> {
        self.update(|now| (permits(now) >= n && now & but_for == 0).then(|| (now - u64::from(n)) & !clear))
    }

    #[inline(always)]
    pub(super) fn try_acquire(&self, n: u32) -> bool {
        self.take(n, CLOSED, 0).is_some()
    }

    #[inline(always)]
    pub(super) fn acquire(&self, n: u32, limit: Limit, site: Site) -> Result<(), WaitError> {
        if self.try_acquire(n) { Ok(()) } else { self.acquire_slow(n, limit, site) }
    }

    #[cold]
    fn acquire_slow(&self, n: u32, limit: Limit, site: Site) -> Result<(), WaitError> {
        let began = Instant::now();
        let available = || self.available() as usize;
        let mut wait = Wait::new(Kind::Semaphore, self, site, limit.deadline());
        wait.spin = false; // we do it here, where spinning can take the permits
        wait.detail = n;
        wait.length = Some(&available);
        let late = wait.deadline.is_some_and(|at| at <= began);
        let woken = Cell::new(0);
        loop {
            let take = || self.take(n, CLOSED, woken.get());
            let taken = if late { take() } else { spin::spin_until(take) };
            if let Some(word) = taken {
                self.pass_on(word, woken.get() != 0);
                return Ok(());
            }
            let seen = self.0.load(Ordering::Relaxed);
            if seen & CLOSED != 0 && permits(seen) >= n {
                // The release that closed it may have got lost in a fork. We do its work, as it
                // does if it is still to come.
                self.serve(false);
            }
            // Who goes to sleep also takes back its own `WOKEN`, or that of a thread that got lost
            // in a fork: from here on the next release looks for waiters.
            let must_wait = || {
                let kept_out = |now| permits(now) < n || now & CLOSED != 0;
                let queued = self.update(|now| kept_out(now).then_some(now & !WOKEN | WAITERS));
                queued.inspect(|_| woken.set(0)).is_some()
            };
            let on_leave = |left: bool| {
                let clear = if left { CLOSED } else { CLOSED | WAITERS };
                self.update(|now| Some(now & !clear));
            };
            match park_with(key_of(self), &wait, must_wait, || {}, on_leave).settle() {
                Ok(Some(HANDED)) => return Ok(()),
                Ok(Some(_)) => woken.set(WOKEN),
                Ok(None) => {}
                Err(error) => {
                    // There may be enough for those who waited behind us.
                    self.pass_on(self.0.load(Ordering::Relaxed), true);
                    return Err(error);
                }
            }
            wait.since = Some(began);
        }
    }

    /// Sees to it that permits which are left after a waiter has got its own, or has given up,
    /// reach the next.
    fn pass_on(&self, word: u64, was_oldest: bool) {
        if was_oldest && permits(word) > 0 && must_look(word) {
            self.serve(false);
        }
    }

    /// Adds `n` permits, unless there would be more than `most`.
    #[inline(always)]
    pub(super) fn release(&self, n: u32, most: u32) -> Result<(), TooMany> {
        let mut now = self.0.load(Ordering::Relaxed);
        while now & (WAITERS | CLOSED) == 0 {
            if !has_room(now, n, most) {
                return Err(TooMany);
            }
            let new = now + u64::from(n);
            match self.0.compare_exchange_weak(now, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => now = seen,
            }
        }
        self.release_slow(n, most)
    }

    #[cold]
    fn release_slow(&self, n: u32, most: u32) -> Result<(), TooMany> {
        let mut look = false;
        let added = self.update(|now| {
            look = must_look(now);
            let closed = if look { CLOSED } else { 0 };
            has_room(now, n, most).then(|| (now + u64::from(n)) | closed)
        });
        if look && added.is_some() {
            self.serve(n > 1);
        }
        added.map(drop).ok_or(TooMany)
    }

    /// Looks for waiters, oldest first. One that is due is handed its permits, or they are kept
    /// for it until there are enough; with `many` released at a time all are handed theirs as far
    /// as they go. Else the oldest is sent to try if there are enough for it.
    #[cold]
    fn serve(&self, many: bool) {
        let sent = Cell::new(false);
        let kept = Cell::new(false);
        unpark(
            key_of(self),
            |oldest| {
                let wanted = oldest.detail();
                if sent.get() {
                    return Choice::Stop;
                }
                let due = oldest.is_due();
                if !due && !many {
                    sent.set(self.available() >= wanted);
                    return if sent.get() { Choice::Grant(RETRY) } else { Choice::Stop };
                }
                if self.take(wanted, 0, 0).is_none() {
                    kept.set(due);
                    return Choice::Stop;
                }
                if due {
                    oldest.note_handover();
                }
                Choice::Grant(HANDED)
            },
            |done| {
                let set = if sent.get() { WOKEN } else { 0 };
                let clear = if done.left { 0 } else { WAITERS } | if kept.get() { 0 } else { CLOSED };
                self.update(|now| Some(now & !clear | set));
            },
        );
    }
}

impl Drop for RawSemaphore {
    fn drop(&mut self) {
        let name = self.0.load(Ordering::Relaxed) >> NAME_SHIFT;
        if name != 0 {
            names::remove(name as u32);
        }
    }
}

/// Anybody may release: a semaphore has no owner.
impl Subject for RawSemaphore {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.load(Ordering::Relaxed) >> NAME_SHIFT {
            0 => write!(f, "at {:#x}", key_of(self)),
            name => names::describe(name as u32, f),
        }
    }

    fn identity(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) >> NAME_SHIFT {
            0 => 0,
            _ => identity_of_words(Described(self)), // a name's number may come back for another name
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::{Worker, spawn};
    use super::*;
    use crate::park::lot::FAIR_AFTER;
    use std::panic::Location;
    use std::sync::Arc;
    use std::time::Duration;

    fn flags(semaphore: &RawSemaphore) -> u64 {
        semaphore.0.load(Ordering::Relaxed) & (WAITERS | WOKEN | CLOSED)
    }

    /// A thread that waits for `n` permits, asleep.
    fn waiter(semaphore: &Arc<RawSemaphore>, n: u32, limit: Limit) -> Worker<Result<(), WaitError>> {
        let semaphore = semaphore.clone();
        let waiter = spawn(move || semaphore.acquire(n, limit, Location::caller()));
        waiter.falls_asleep();
        waiter
    }

    fn release(semaphore: &RawSemaphore, n: u32) {
        assert!(semaphore.release(n, u32::MAX).is_ok());
    }

    #[test]
    fn many_permits_go_to_the_oldest_as_far_as_they_go() {
        let semaphore = Arc::new(RawSemaphore::new(0));
        let [a, b, c, d] = [2, 1, 3, 1].map(|n| waiter(&semaphore, n, Limit::Never));
        release(&semaphore, 4);
        a.join().unwrap();
        b.join().unwrap();
        assert!(c.is_asleep() && d.is_asleep(), "who wants one does not pass who wants three");
        release(&semaphore, 2);
        c.join().unwrap();
        assert!(d.is_asleep());
        release(&semaphore, 1);
        d.join().unwrap();
        assert_eq!((semaphore.available(), flags(&semaphore)), (0, 0));
    }

    #[test]
    fn permits_are_kept_for_a_large_request_that_is_due() {
        let semaphore = Arc::new(RawSemaphore::new(0));
        let large = waiter(&semaphore, 3, Limit::Never);
        let asleep = Instant::now();
        while asleep.elapsed() < 2 * FAIR_AFTER {
            std::hint::spin_loop();
        }
        release(&semaphore, 1);
        assert_eq!(flags(&semaphore), WAITERS | CLOSED);
        assert!(!semaphore.try_acquire(1), "it is kept");
        let small = waiter(&semaphore, 1, Limit::Never);
        release(&semaphore, 1);
        release(&semaphore, 1);
        large.join().unwrap();
        assert!(small.is_asleep());
        release(&semaphore, 1);
        small.join().unwrap();
        assert_eq!((semaphore.available(), flags(&semaphore)), (0, 0));
    }

    #[test]
    fn who_gives_up_lets_those_behind_it_go_on() {
        for interrupted in [false, true] {
            let semaphore = Arc::new(RawSemaphore::new(0));
            let limit = if interrupted { Limit::Never } else { Limit::For(Duration::from_millis(100)) };
            let large = waiter(&semaphore, 3, limit);
            let small = waiter(&semaphore, 1, Limit::Never);
            release(&semaphore, 1);
            if interrupted {
                large.record.interrupt();
                assert!(large.join().unwrap_err().is_interrupted());
            } else {
                assert!(large.join().unwrap_err().is_timed_out());
            }
            small.join().unwrap();
            assert_eq!((semaphore.available(), flags(&semaphore)), (0, 0));
        }
    }

    #[test]
    fn a_closed_semaphore_that_nobody_looks_after_is_opened() {
        let semaphore = RawSemaphore::new(1);
        semaphore.0.fetch_or(CLOSED | WOKEN | WAITERS, Ordering::Relaxed); // as a fork may leave it
        assert!(!semaphore.try_acquire(1));
        let limit = Limit::For(Duration::from_secs(60));
        assert!(semaphore.acquire(1, limit, Location::caller()).is_ok());
    }

    #[test]
    fn a_name_comes_back_and_its_number_is_used_again() {
        struct Shown<'a>(&'a RawSemaphore);
        impl fmt::Display for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.describe(f)
            }
        }
        let slots = RawSemaphore::named(u32::MAX, "slots".into());
        assert_eq!(Shown(&slots).to_string(), "\"slots\"");
        assert_eq!(slots.available(), u32::MAX);
        drop(slots);
        let seats = RawSemaphore::named(0, "seats".into());
        assert_eq!(Shown(&seats).to_string(), "\"seats\"");
        assert!(Shown(&RawSemaphore::new(0)).to_string().starts_with("at 0x"));
    }
}
