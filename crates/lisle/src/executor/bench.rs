//! Where a pool's workers wait for calls.
//!
//! A worker that has nothing to do looks around for a while before it sleeps, and while it does so, who
//! puts a call in need not wake one that sleeps: on a busy pool hardly anybody is ever woken. The worker
//! that looks around no more, because it has found a call or because it goes to sleep, sees to it that
//! none is left: it wakes another, or finds the call itself.

use crate::park::spin::{self, Pace};
use crate::park::sys::atomic::{AtomicUsize, Ordering, fence};
use crate::park::sys::cheap_barrier;
use crate::park::{Wait, WaitError};
use crate::queue::gate::Gate;
use std::time::Instant;

pub(super) struct Bench {
    /// How many look around. Taken back before a fence, or before the barrier of the gate.
    looking: AtomicUsize,
    asleep: Gate,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench { looking: AtomicUsize::new(0), asleep: Gate::new() }
    }

    /// A call was put in: wakes a worker if some sleep and none looks around.
    #[inline(always)]
    pub(super) fn call_came(&self) {
        cheap_barrier();
        if self.asleep.is_awaited() {
            // Who looks around no more passes the same fence, not the gate's barrier, before it looks
            // whether there is a call left: one of the two sees the other.
            fence(Ordering::SeqCst);
            if self.looking.load(Ordering::Relaxed) == 0 {
                self.asleep.admit(1);
            }
        }
    }

    /// Wakes all who sleep.
    pub(super) fn all_get_up(&self) {
        self.asleep.admit(usize::MAX);
    }

    /// The calling worker looks around from now on: [`sit`](Bench::sit) is to follow soon.
    pub(super) fn look_around(&self) {
        self.looking.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits, after [`look_around`](Bench::look_around), until `take` finds something; `must_wait` says without a lock whether it would not.
    pub(super) fn sit<R>(
        &self,
        mut wait: Wait<'_>,
        mut take: impl FnMut() -> Option<R>,
        must_wait: impl Fn() -> bool,
    ) -> Result<R, WaitError> {
        wait.spin = false; // we do it here, where it can be seen
        let mut began = None;
        loop {
            let found = spin::spin_at(Pace::Patient, || if must_wait() { None } else { take() });
            self.looking.fetch_sub(1, Ordering::SeqCst);
            if let Some(found) = found {
                fence(Ordering::SeqCst); // see `call_came`
                if !must_wait() {
                    self.call_came(); // who put that in may have counted on us
                }
                return Ok(found);
            }
            wait.since = began;
            began = began.or_else(|| Some(Instant::now()));
            self.asleep.sleep(&wait, &must_wait)?;
            if let Some(found) = take() {
                return Ok(found);
            }
            self.look_around();
        }
    }
}
