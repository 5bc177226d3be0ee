//! Waiting a moment before sleeping.
//!
//! A sleep and a wake-up cost tens of microseconds, most waits are shorter. So a thread that must
//! wait looks again a bounded number of times: first with processor pauses (the other thread runs
//! on another core), then giving up its time slice in between (it may need ours). Both budgets
//! adapt to the thread's luck: pauses are wasted on one core, yields are when the wait is long. For
//! the threads of an interpreter they are too when other programs want the processor: who yields comes
//! back only after their slices then, long after the news, while a sleeper would be woken at once.

use super::sys;
use std::cell::Cell;
use std::thread::LocalKey;
use std::time::{Duration, Instant};

/// The budget of pauses is a power of two; 2⁶ pauses are 0.3 to 3 µs.
const MOST_DOUBLINGS: u32 = 6;
const FEWEST_DOUBLINGS: u32 = 1;
const MOST_YIELDS: u32 = 32;
const FEWEST_YIELDS: u32 = 4;

#[derive(Clone, Copy)]
struct Luck {
    doublings: u32,
    yields: u32,
    /// Whether the thread stops yielding when the processor is wanted elsewhere, see [`heed_rushes`].
    heeds: bool,
}

impl Luck {
    const fn best() -> Luck {
        Luck { doublings: MOST_DOUBLINGS, yields: MOST_YIELDS, heeds: false }
    }
}

thread_local! {
    static LUCK: Cell<Luck> = const { Cell::new(Luck::best()) };
    /// Of [`spin_aside`].
    static LUCK_ASIDE: Cell<Luck> = const { Cell::new(Luck::best()) };
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
pub(crate) fn spin_at<T>(pace: Pace, look: impl FnMut() -> Option<T>) -> Option<T> {
    spin(&LUCK, pace, look)
}

/// [`spin_until`] for something that says little of how the thread's waits go: its luck with that is another.
pub(crate) fn spin_aside<T>(look: impl FnMut() -> Option<T>) -> Option<T> {
    LUCK_ASIDE.set(Luck { heeds: LUCK.get().heeds, ..LUCK_ASIDE.get() });
    spin(&LUCK_ASIDE, Pace::Steady, look)
}

#[inline]
fn spin<T>(luck: &'static LocalKey<Cell<Luck>>, pace: Pace, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    if cfg!(loom) {
        return look(); // how often one looks is nothing a model needs to explore
    }
    let Luck { doublings, yields, heeds } = luck.get();
    let (mut paused, mut look_at) = (0, 1);
    while paused < 1 << doublings {
        std::hint::spin_loop();
        paused += 1;
        if paused == look_at {
            look_at = if pace == Pace::Backoff { paused * 2 } else { paused + 1 };
            if let Some(seen) = look() {
                luck.set(Luck { doublings: (doublings + 1).min(MOST_DOUBLINGS), yields, heeds });
                return Some(seen);
            }
        }
    }
    let doublings = (doublings - 1).max(FEWEST_DOUBLINGS);
    // Who does not heed rushes need not look at the clock.
    let mut before = heeds.then(Instant::now);
    if before.is_some_and(rush::is_on) {
        luck.set(Luck { doublings, yields, heeds });
        return None;
    }
    for _ in 0..if pace == Pace::Patient { MOST_YIELDS } else { yields } {
        sys::yield_now();
        let seen = look();
        if let Some(before) = &mut before {
            let now = Instant::now();
            if now - std::mem::replace(before, now) > LONG_YIELD {
                luck.set(Luck { doublings, yields, heeds });
                rush::begins(now);
                return seen;
            }
        }
        if seen.is_some() {
            luck.set(Luck { doublings, yields: (yields * 2).min(MOST_YIELDS), heeds });
            if heeds {
                rush::eases();
            }
            return seen;
        }
    }
    luck.set(Luck { doublings, yields: (yields / 2).max(FEWEST_YIELDS), heeds });
    None
}

/// Whether the calling thread's waits stop yielding in a rush; returns whether they did before.
///
/// For threads of an interpreter, of which one runs at a time: whoever takes the processor during a
/// yield is another program, or does nothing for this thread. Where threads of ours work beside each
/// other, a long yield is time in which they have come along: eight at both ends of a bounded queue on
/// two cores are three times as fast with it.
pub(super) fn heed_rushes(heeds: bool) -> bool {
    let luck = LUCK.get();
    LUCK.set(Luck { heeds, ..luck });
    luck.heeds
}

/// A yield that takes longer has given the processor to another program.
const LONG_YIELD: Duration = Duration::from_micros(100);

/// Times in which other programs want the processor: nobody who heeds them yields then, but for one
/// try at the end of each. They get longer as long as the tries fail.
mod rush {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    const SHORTEST: u64 = Duration::from_millis(10).as_nanos() as u64;
    const LONGEST: u64 = Duration::from_secs(1).as_nanos() as u64;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    /// In nanoseconds since the start; 0 while there has been none.
    static ENDS: AtomicU64 = AtomicU64::new(0);
    static LENGTH: AtomicU64 = AtomicU64::new(SHORTEST);

    fn clock(now: Instant) -> u64 {
        now.saturating_duration_since(*START).as_nanos() as u64
    }

    // Relaxed, all of it: a guess that others see a little late.
    pub(super) fn is_on(now: Instant) -> bool {
        let ends = ENDS.load(Ordering::Relaxed);
        ends != 0 && clock(now) < ends
    }

    pub(super) fn begins(now: Instant) {
        let length = LENGTH.load(Ordering::Relaxed);
        LENGTH.store((length * 2).min(LONGEST), Ordering::Relaxed);
        ENDS.store(clock(now) + length, Ordering::Relaxed);
    }

    pub(super) fn eases() {
        let length = LENGTH.load(Ordering::Relaxed);
        if length > SHORTEST {
            LENGTH.store((length / 2).max(SHORTEST), Ordering::Relaxed);
        }
    }
}
