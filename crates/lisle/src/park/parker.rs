//! One thread's sleep: a futex word, spun on for a bounded while before the thread sleeps.

#[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
use super::outside::{Bell, Outside, Slept};
use super::spin::{self, Pace};
use super::sys::atomic::{AtomicU32, Ordering, fence};
use super::sys::{self, FutexWait};
use std::time::Instant;

/// | state | the thread | who leaves it, and to what |
/// |---|---|---|
/// | `IDLE` | has never waited | itself, to `WAITING`, before its node is in a bucket |
/// | `WAITING` | its node is or was in a bucket; it spins | itself, to `SLEEPING`; a granter or poker |
/// | `SLEEPING` | sleeps on this word | a granter or poker, who also wakes it; itself, when the sleep ends |
/// | `LISTENING` | sleeps on descriptors, the bell among them | as `SLEEPING`; who wakes it rings the bell |
/// | `POKED` | shall look around: it may have been interrupted | itself, to `WAITING`; a granter |
/// | `GRANTED` | its node was taken out for it | itself, to `WAITING`, at its next wait |
///
/// A wait that the thread ends itself leaves `WAITING` behind; a poke that comes then does nothing.
/// Only who has taken the node out of the bucket grants, so there is one grant per wait.
pub(crate) struct Parker {
    word: AtomicU32,
    #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
    bell: Bell,
}

const IDLE: u32 = 0;
const WAITING: u32 = 1;
const SLEEPING: u32 = 2;
const POKED: u32 = 3;
const GRANTED: u32 = 4;
const LISTENING: u32 = 5;

/// Why [`Parker::wait`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woke {
    Granted,
    Poked,
    Expired,
    Signalled,
    /// Something happened outside, see [`Parker::wait_outside`].
    #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
    Outside,
}

impl Parker {
    pub(crate) fn new() -> Parker {
        Parker {
            word: AtomicU32::new(IDLE),
            #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
            bell: Bell::new(),
        }
    }

    /// Begins a wait; called before anybody can find the thread's node. What the thread reads
    /// afterwards is at least as new as what was written before a poke that came too early.
    pub(crate) fn begin(&self) {
        self.word.swap(WAITING, Ordering::AcqRel);
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
            if self.word.compare_exchange(WAITING, SLEEPING, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            let ended = sys::futex_wait(&self.word, SLEEPING, deadline);
            // Whatever ended the sleep, a grant or poke that is there by now is the answer.
            if self.word.compare_exchange(SLEEPING, WAITING, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            match ended {
                FutexWait::Woken => {}
                FutexWait::Expired => return Woke::Expired,
                FutexWait::Signalled => return Woke::Signalled,
            }
        }
    }

    /// Whether looking around for a moment, at most until `deadline`, finds that there is no need to sleep.
    pub(crate) fn has_news_soon(&self, deadline: Option<Instant>) -> bool {
        let look = || match self.word.load(Ordering::Acquire) {
            GRANTED | POKED => Some(true),
            // A yield on a busy machine can take longer than all that time.
            _ => deadline.is_some_and(|at| at <= Instant::now()).then_some(false),
        };
        spin::spin_at(Pace::Patient, look) == Some(true)
    }

    /// [`wait`](Parker::wait), also for something that is not done in this process.
    #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
    pub(crate) fn wait_outside(&self, deadline: Option<Instant>, outside: Outside<'_>) -> Woke {
        let asleep = match outside {
            Outside::Ready(_) => LISTENING,
            Outside::Word(..) => SLEEPING,
        };
        loop {
            if let Some(woke) = self.take_news() {
                return woke;
            }
            if self.word.compare_exchange(WAITING, asleep, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            let slept = outside.sleep(&self.word, asleep, &self.bell, deadline);
            if self.word.compare_exchange(asleep, WAITING, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            match slept {
                Slept::Woken => {} // the bell of an earlier wait, which came late
                Slept::Outside => return Woke::Outside,
                Slept::Expired => return Woke::Expired,
                Slept::Signalled => return Woke::Signalled,
            }
        }
    }

    /// In the child of a fork.
    #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
    pub(crate) fn forget_bell(&self) {
        self.bell.forget();
    }

    #[inline]
    fn take_news(&self) -> Option<Woke> {
        match self.word.load(Ordering::Acquire) {
            GRANTED => Some(Woke::Granted),
            POKED => {
                // Lost only to a grant, which the next look finds.
                let _ = self.word.compare_exchange(POKED, WAITING, Ordering::AcqRel, Ordering::Relaxed);
                // A poke that found `POKED` did nothing: what it was about must be seen from here.
                fence(Ordering::SeqCst);
                Some(Woke::Poked)
            }
            _ => None,
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn sleeps(&self) -> bool {
        self.word.load(Ordering::Acquire) == SLEEPING
    }

    /// Grants the wait. To be called once, by who took the thread's node out of its bucket.
    pub(crate) fn grant(&self) {
        let before = self.word.swap(GRANTED, Ordering::AcqRel);
        self.wake(before);
    }

    /// Makes the thread look around if it waits.
    pub(crate) fn poke(&self) {
        let mut now = self.word.load(Ordering::Relaxed);
        while matches!(now, WAITING | SLEEPING | LISTENING) {
            match self.word.compare_exchange(now, POKED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(before) => return self.wake(before),
                Err(seen) => now = seen,
            }
        }
    }

    /// Wakes the thread if it slept, as the word told before it was changed.
    #[inline]
    fn wake(&self, before: u32) {
        match before {
            SLEEPING => sys::futex_wake(&self.word),
            #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
            LISTENING => self.bell.ring(),
            _ => {}
        }
    }
}
