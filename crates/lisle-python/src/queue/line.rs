//! A line of threads that wait for the same change of a queue.

use super::guard::Guarded;
use crate::kit::Obj;
use crate::kit::ffi::unwinding;
use crate::kit::time::Limit;
use crate::kit::wait::{Described, Waited, is_main, wait};
use lisle::Kind;
use lisle::embed::{Waiting, park, unpark};
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// How many threads wait here, or are about to, and have not been woken yet. They sleep at its
/// address.
pub(super) struct Line(AtomicUsize);

impl Line {
    pub(super) const fn new() -> Line {
        Line(AtomicUsize::new(0))
    }

    /// Whether anybody is to be woken. To be asked under the guard, after the change: who comes too
    /// late to be seen here will see the change.
    #[inline(always)]
    pub(super) fn is_awaited(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// Wakes at most `most`, the oldest first.
    #[cold]
    #[inline(never)]
    pub(super) fn wake(&self, most: usize) {
        self.0.fetch_sub(unpark(self.key(), most), Relaxed);
    }

    fn key(&self) -> usize {
        &raw const self.0 as usize
    }
}

/// Waits in `line`, of the queue `of`, whose state `guard` guards, until it is woken or `idle` says
/// that there is nothing to wait for any more. `idle` is called detached. `len` is what the queue has.
///
/// Who is woken has to look for what it was woken for; if it leaves without having looked, it must
/// wake another in its place.
#[cold]
#[inline(never)]
pub(super) unsafe fn wait_in<T>(
    line: &Line,
    guard: &Guarded<T>,
    of: Obj,
    kind: Kind,
    limit: Limit,
    idle: &dyn Fn() -> bool,
    len: &AtomicUsize,
) -> Waited {
    if matches!(limit, Limit::Now) {
        return Waited::TimedOut;
    }
    // SAFETY: attached, as the caller is.
    unsafe {
        // Under the guard: who changes the state after this sees it, and `idle` sees what was
        // changed before.
        guard.with(|_| line.0.fetch_add(1, Relaxed));
        let mut woken = false;
        let ended = wait(Described { object: of, describe }, limit, &mut |deadline| {
            let length = || len.load(Relaxed);
            let waiting = Waiting { deadline, length: Some(&length), ..Waiting::new(kind) };
            match park(line.key(), &waiting, idle) {
                Ok(by_other) => {
                    woken = by_other;
                    Ok(())
                }
                Err(error) => Err(error),
            }
        });
        if !woken {
            line.0.fetch_sub(1, Relaxed);
        }
        // A signal that came while this thread was on its way back: now, when its handler can raise without
        // taking an item with it.
        if ended == Waited::Granted && is_main() && unwinding::PyErr_CheckSignals() < 0 {
            if woken {
                line.wake(1);
            }
            return Waited::Raised;
        }
        ended
    }
}

fn describe(queue: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "queue at {queue:p}")
}
