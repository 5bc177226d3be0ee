//! Waiting a moment before sleeping.
//!
//! A sleep and a wake-up cost tens of microseconds, most waits are shorter. So a thread that must
//! wait looks again a bounded number of times: first with processor pauses (the other thread runs
//! on another core), then giving up its time slice in between (it may need ours). Both budgets
//! adapt to the thread's luck: pauses are wasted on one core, yields are when the wait is long, or
//! when other programs want the processor: then who yields comes back only after their slices,
//! long after the news, while a sleeper would be woken at once.

use super::sys;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The budget of pauses is a power of two; 2⁶ pauses are 0.3 to 3 µs.
const MOST_DOUBLINGS: u32 = 6;
const FEWEST_DOUBLINGS: u32 = 1;
const MOST_YIELDS: u32 = 32;
const FEWEST_YIELDS: u32 = 4;
/// A yield that takes longer has given the processor to another program.
const LONG_YIELD: Duration = Duration::from_micros(100);
/// How many waits do without yields after a long one.
const SHY_FOR: u32 = 64;

#[derive(Clone, Copy)]
struct Luck {
    doublings: u32,
    yields: u32,
    /// For how many more waits not to yield.
    shy: u32,
}

thread_local! {
    static LUCK: Cell<Luck> = const { Cell::new(Luck { doublings: MOST_DOUBLINGS, yields: MOST_YIELDS, shy: 0 }) };
}

/// How often to look while pausing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// After each pause: for a word that nobody else is busy with, where the news count at once.
    Steady,
    /// As `Steady`, and with all the yields whatever the thread's luck: for who is waited for in turn
    /// when it sleeps. Two that have stopped looking around, each because the other sleeps, would never
    /// begin again.
    Patient,
    /// After 1, 2, 4, 8 … pauses: for a word that its holder is busy with and that each look takes
    /// away from the holder's cache.
    Backoff,
}

/// Looks with `look` until it tells something or the thread's budget is spent.
#[inline]
pub(crate) fn spin_until<T>(look: impl FnMut() -> Option<T>) -> Option<T> {
    spin_at(Pace::Steady, look)
}

/// [`spin_until`], at the pace that suits what is looked at.
#[inline]
pub(crate) fn spin_at<T>(pace: Pace, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    if cfg!(loom) {
        return look(); // how often one looks is nothing a model needs to explore
    }
    let Luck { doublings, yields, shy } = LUCK.get();
    let (mut paused, mut look_at) = (0, 1);
    while paused < 1 << doublings {
        std::hint::spin_loop();
        paused += 1;
        if paused == look_at {
            look_at = if pace == Pace::Backoff { paused * 2 } else { paused + 1 };
            if let Some(seen) = look() {
                LUCK.set(Luck { doublings: (doublings + 1).min(MOST_DOUBLINGS), yields, shy });
                return Some(seen);
            }
        }
    }
    let doublings = (doublings - 1).max(FEWEST_DOUBLINGS);
    if shy > 0 {
        LUCK.set(Luck { doublings, yields, shy: shy - 1 });
        return None;
    }
    let mut before = Instant::now();
    for _ in 0..if pace == Pace::Patient { MOST_YIELDS } else { yields } {
        sys::yield_now();
        let seen = look();
        let now = Instant::now();
        if now - before > LONG_YIELD {
            LUCK.set(Luck { doublings, yields, shy: SHY_FOR });
            return seen;
        }
        if seen.is_some() {
            LUCK.set(Luck { doublings, yields: (yields * 2).min(MOST_YIELDS), shy: 0 });
            return seen;
        }
        before = now;
    }
    LUCK.set(Luck { doublings, yields: (yields / 2).max(FEWEST_YIELDS), shy: 0 });
    None
}
