//! What tests of chance have in common.

use std::time::Duration;

/// How many times as long tests of chance are to be: `LISLE_SOAK`, or 1.
pub(crate) fn soak() -> usize {
    std::env::var("LISLE_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(1usize).max(1)
}

/// A small random number generator (xorshift), seeded per thread: a test's threads differ.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Limits around the time that a hand-over or a small call takes, where the races are.
    pub(crate) fn limit(&mut self) -> Duration {
        Duration::from_nanos(match self.roll(4) {
            0 => 0,
            1 => self.roll(1_000),
            2 => self.roll(30_000),
            _ => self.roll(120_000),
        })
    }
}
