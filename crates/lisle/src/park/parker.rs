//! One thread's sleep: a futex word, spun on for a bounded while before the thread sleeps.

use super::spin;
use super::sys::atomic::{AtomicU32, Ordering, fence};
use super::sys::{self, FutexWait};
use std::time::Instant;

/// | state | the thread | who leaves it, and to what |
/// |---|---|---|
/// | `IDLE` | has never waited | itself, to `WAITING`, before its node is in a bucket |
/// | `WAITING` | its node is or was in a bucket; it spins | itself, to `SLEEPING`; a granter or poker |
/// | `SLEEPING` | sleeps on this word | a granter or poker, who also wakes it; itself, when the sleep ends |
/// | `POKED` | shall look around: it may have been interrupted | itself, to `WAITING`; a granter |
/// | `GRANTED` | its node was taken out for it | itself, to `WAITING`, at its next wait |
///
/// A wait that the thread ends itself leaves `WAITING` behind; a poke that comes then does nothing.
/// Only who has taken the node out of the bucket grants, so there is one grant per wait.
pub(crate) struct Parker(AtomicU32);

const IDLE: u32 = 0;
const WAITING: u32 = 1;
const SLEEPING: u32 = 2;
const POKED: u32 = 3;
const GRANTED: u32 = 4;

/// Why [`Parker::wait`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woke {
    Granted,
    Poked,
    Expired,
    Signalled,
}

impl Parker {
    pub(crate) fn new() -> Parker {
        Parker(AtomicU32::new(IDLE))
    }

    /// Begins a wait; called before anybody can find the thread's node. What the thread reads
    /// afterwards is at least as new as what was written before a poke that came too early.
    pub(crate) fn begin(&self) {
        self.0.swap(WAITING, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    /// Waits for a grant or a poke, at most until `deadline`. Spins first if `spin`.
    pub(crate) fn wait(&self, deadline: Option<Instant>, spin: bool) -> Woke {
        if spin && let Some(woke) = spin::spin_until(|| self.take_news()) {
            return woke;
        }
        loop {
            if let Some(woke) = self.take_news() {
                return woke;
            }
            if self.0.compare_exchange(WAITING, SLEEPING, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            let ended = sys::futex_wait(&self.0, SLEEPING, deadline);
            // Whatever ended the sleep, a grant or poke that is there by now is the answer.
            if self.0.compare_exchange(SLEEPING, WAITING, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            match ended {
                FutexWait::Woken => {}
                FutexWait::Expired => return Woke::Expired,
                FutexWait::Signalled => return Woke::Signalled,
            }
        }
    }

    #[inline]
    fn take_news(&self) -> Option<Woke> {
        match self.0.load(Ordering::Acquire) {
            GRANTED => Some(Woke::Granted),
            POKED => {
                // Lost only to a grant, which the next look finds.
                let _ = self.0.compare_exchange(POKED, WAITING, Ordering::AcqRel, Ordering::Relaxed);
                // A poke that found `POKED` did nothing: what it was about must be seen from here.
                fence(Ordering::SeqCst);
                Some(Woke::Poked)
            }
            _ => None,
        }
    }

    /// Grants the wait. To be called once, by who took the thread's node out of its bucket.
    pub(crate) fn grant(&self) {
        if self.0.swap(GRANTED, Ordering::AcqRel) == SLEEPING {
            sys::futex_wake(&self.0);
        }
    }

    /// Makes the thread look around if it waits.
    pub(crate) fn poke(&self) {
        let mut now = self.0.load(Ordering::Relaxed);
        while now == WAITING || now == SLEEPING {
            match self.0.compare_exchange(now, POKED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(SLEEPING) => return sys::futex_wake(&self.0),
                Ok(_) => return,
                Err(seen) => now = seen,
            }
        }
    }
}
