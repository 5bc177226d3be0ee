//! A place where threads wait for a queue to change.

use crate::park::lot::Candidate;
use crate::park::sys::{self, atomic::AtomicBool, atomic::Ordering, const_fn};
use crate::park::{Choice, Wait, WaitError, key_of, park_with, spin, unpark};
use std::time::Instant;

/// Threads that wait for something which others make true without taking any lock of ours. See
/// `README.md` beside this file for the protocol.
pub(crate) struct Gate {
    /// Threads wait in the lot, or are about to. Set by who is about to wait; cleared under the
    /// bucket's lock, when nobody is left there. Says too much rather than too little.
    awaited: AtomicBool,
}

impl Gate {
    const_fn! {
        pub(crate) const fn new() -> Gate {
            Gate { awaited: AtomicBool::new(false) }
        }
    }

    /// Whether somebody may wait for what the caller has just made true, before a
    /// [`cheap_barrier`](sys::cheap_barrier).
    #[inline(always)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Ends the `count` waits that have lasted longest.
    pub(crate) fn admit(&self, mut count: usize) {
        self.admit_while(|| match count {
            0 => false,
            _ => {
                count -= 1;
                true
            }
        });
    }

    /// Ends the waits that have lasted longest, as long as `grant` says so.
    pub(crate) fn admit_while(&self, mut grant: impl FnMut() -> bool) {
        let choose = |_: &Candidate<'_>| if grant() { Choice::Grant(0) } else { Choice::Stop };
        unpark(key_of(self), choose, |done| self.note_left(done.left));
    }

    fn note_left(&self, left: bool) {
        if !left {
            self.awaited.store(false, Ordering::SeqCst);
        }
    }

    /// Waits until `attempt` tells something; it is told whether the thread has just been
    /// admitted. `must_wait` says, without taking a lock, whether there is nothing to attempt.
    #[cold]
    pub(crate) fn wait<R>(
        &self,
        mut wait: Wait<'_>,
        mut attempt: impl FnMut(bool) -> Option<R>,
        must_wait: impl Fn() -> bool,
    ) -> Result<R, WaitError> {
        wait.spin = false; // we do it here, where spinning can get what is wanted
        let late = wait.deadline.is_some_and(|at| at <= Instant::now());
        let mut began = None;
        loop {
            if !late && let Some(done) = spin::spin_until(|| if must_wait() { None } else { attempt(false) }) {
                return Ok(done);
            }
            wait.since = began;
            began = began.or_else(|| Some(Instant::now()));
            let granted = self.sleep(&wait, &must_wait)?;
            if let Some(done) = attempt(granted) {
                return Ok(done);
            }
        }
    }

    /// Waits once, without looking around before; tells whether the thread was admitted. If not, there
    /// was nothing to wait for.
    #[cold]
    pub(crate) fn sleep(&self, wait: &Wait<'_>, must_wait: impl Fn() -> bool) -> Result<bool, WaitError> {
        self.awaited.store(true, Ordering::SeqCst);
        sys::heavy_barrier();
        let validate = || self.awaited.load(Ordering::SeqCst) && must_wait();
        let outcome = park_with(key_of(self), wait, validate, || {}, |left| self.note_left(left));
        Ok(outcome.settle()?.is_some())
    }
}
