//! What threads have had of a GIL, in numbers.
#![forbid(unsafe_code)]

use crate::park::WaitStat;
use std::time::Duration;

/// What a thread has had of a [`Gil`](super::Gil).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Figures {
    /// How often it got the GIL: by attaching or after a detach or a hand-over. Nested attaches are not
    /// counted.
    pub attached: u64,
    /// How long it had it, as far as others waited for it then. How long it held what nobody wanted is
    /// not known: to read the clock takes ten times as long as to attach.
    pub held: Duration,
    /// How often and how long it has waited for it.
    pub waited: WaitStat,
    /// How often it had to hand it over at a checkpoint.
    pub forced: u64,
}

impl Figures {
    pub(super) const NONE: Figures = Figures {
        attached: 0,
        held: Duration::ZERO,
        waited: WaitStat { count: 0, total: Duration::ZERO, longest: Duration::ZERO },
        forced: 0,
    };

    pub(super) fn waited(&mut self, length: Duration) {
        self.waited.count += 1;
        self.waited.total += length;
        self.waited.longest = self.waited.longest.max(length);
    }

    pub(super) fn add(&mut self, other: &Figures) {
        self.attached += other.attached;
        self.held += other.held;
        self.waited.count += other.waited.count;
        self.waited.total += other.waited.total;
        self.waited.longest = self.waited.longest.max(other.waited.longest);
        self.forced += other.forced;
    }
}
