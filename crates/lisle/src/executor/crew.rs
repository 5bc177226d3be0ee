//! A pool's workers: how many there are, who rests, and whether another one is needed.
//!
//! A worker that finds nothing to do rests; a call that is put in is for one that rests, if there is
//! one. Otherwise whoever put it in hires another worker, up to the most there may be. Two calls may
//! count on the same resting worker: so a worker that leaves its rest looks whether there is more to
//! do, and if nobody rests any more, hires.

use crate::park::sys::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::park::sys::{self, InnerGuard, InnerLock};
use crate::thread::Thread;
use std::sync::Arc;

/// The workers of a pool. Who works is under a lock; it is taken when a worker begins or ends a rest,
/// and by who submits while there are fewer workers than there may be.
pub(super) struct Crew {
    most: usize,
    /// Whether there are as many workers as there may be. Lost only with a
    /// [`heavy_barrier`](sys::heavy_barrier) after it.
    full: AtomicBool,
    /// Calls that are over, as far as the workers that ran them have rested since.
    done: AtomicUsize,
    roster: InnerLock<Roster>,
}

/// Who works.
pub(super) struct Roster {
    pub(super) size: usize,
    pub(super) resting: usize,
    /// The threads that were made for the pool, less those known to have finished.
    pub(super) threads: Vec<Thread>,
    pub(super) members: Vec<Arc<Member>>,
    /// How many were ever hired, for their names.
    pub(super) hired: u64,
}

/// What others may know of a worker.
pub(super) struct Member {
    pub(super) thread: Thread,
    pub(super) rests: AtomicBool,
    pub(super) at_work: super::worker::AtWork,
}

impl Crew {
    pub(super) fn new(most: usize) -> Crew {
        let roster = Roster { size: 0, resting: 0, threads: Vec::new(), members: Vec::new(), hired: 0 };
        Crew { most, full: AtomicBool::new(false), done: AtomicUsize::new(0), roster: InnerLock::new(roster) }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn lock(&self) -> InnerGuard<'_, Roster> {
        self.roster.lock()
    }

    /// A call was put in: whether somebody has to be hired for it. If so, `hire` is called, and the
    /// worker counts as one who has not rested yet.
    #[inline(always)]
    pub(super) fn call_came<E>(&self, hire: impl FnOnce(&mut Roster) -> Result<(), E>) -> Result<(), E> {
        // What was put in before this is seen by who makes it false, see `leave`.
        if self.full.load(Ordering::Relaxed) { Ok(()) } else { self.look_for_hands(hire) }
    }

    #[cold]
    fn look_for_hands<E>(&self, hire: impl FnOnce(&mut Roster) -> Result<(), E>) -> Result<(), E> {
        let mut roster = self.lock();
        if roster.resting > 0 || roster.size == self.most {
            return Ok(());
        }
        hire(&mut roster)?;
        roster.size += 1;
        if roster.size == self.most {
            self.full.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A worker has found nothing to do, after so many calls. True if all calls of `puts` are over.
    pub(super) fn rest(&self, member: &Member, calls: usize, puts: impl FnOnce() -> usize) -> bool {
        let mut roster = self.lock();
        roster.resting += 1;
        member.rests.store(true, Ordering::Relaxed);
        self.count(calls, puts)
    }

    /// Counts calls as over; true if all of `puts` are. Also for calls that are dropped.
    pub(super) fn count(&self, calls: usize, puts: impl FnOnce() -> usize) -> bool {
        self.done.fetch_add(calls, Ordering::SeqCst).wrapping_add(calls) == puts()
    }

    pub(super) fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// A worker that has rested has something to do. What follows may be hiring, as in
    /// [`call_came`](Crew::call_came), if there is more.
    pub(super) fn resume<E>(
        &self,
        member: &Member,
        is_more: impl FnOnce() -> bool,
        hire: impl FnOnce(&mut Roster) -> Result<(), E>,
    ) -> Result<(), E> {
        {
            let mut roster = self.lock();
            roster.resting -= 1;
            member.rests.store(false, Ordering::Relaxed);
            if roster.resting > 0 || self.full.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        if is_more() { self.look_for_hands(hire) } else { Ok(()) }
    }

    /// A worker that rests leaves. If there is something to do by now, and `stays` is called for, it
    /// does not, and has not.
    pub(super) fn leave(&self, member: &Arc<Member>, must_stay: impl FnOnce() -> bool) -> bool {
        let mut roster = self.lock();
        if member.rests.load(Ordering::Relaxed) {
            roster.resting -= 1;
        }
        roster.size -= 1;
        self.full.store(false, Ordering::SeqCst);
        // Who puts a call in from now on sees that, or has put it in for us to see.
        sys::heavy_barrier();
        if must_stay() {
            roster.size += 1;
            if member.rests.load(Ordering::Relaxed) {
                roster.resting += 1;
            }
            self.full.store(roster.size == self.most, Ordering::Relaxed);
            return false;
        }
        roster.members.retain(|other| !Arc::ptr_eq(other, member));
        roster.threads.retain(|thread| !thread.is_finished());
        true
    }
}
