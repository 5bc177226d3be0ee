//! How often and how long a thread has waited, by kind of wait.

use super::kind::Kind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[derive(Default)]
struct Cell {
    count: AtomicU64,
    total_ns: AtomicU64,
    longest_ns: AtomicU64,
}

/// Written by the thread itself at the end of a wait, read by anybody.
pub(crate) struct Stats([Cell; Kind::COUNT]);

impl Stats {
    pub(crate) fn new() -> Stats {
        Stats(std::array::from_fn(|_| Cell::default()))
    }

    pub(crate) fn note(&self, kind: Kind, length: Duration) {
        let ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let cell = &self.0[kind as usize];
        // One writer: plain additions lose nothing.
        cell.count.store(cell.count.load(Relaxed) + 1, Relaxed);
        cell.total_ns.store(cell.total_ns.load(Relaxed).saturating_add(ns), Relaxed);
        cell.longest_ns.store(cell.longest_ns.load(Relaxed).max(ns), Relaxed);
    }

    pub(crate) fn read(&self) -> WaitStats {
        WaitStats(std::array::from_fn(|kind| WaitStat {
            count: self.0[kind].count.load(Relaxed),
            total: Duration::from_nanos(self.0[kind].total_ns.load(Relaxed)),
            longest: Duration::from_nanos(self.0[kind].longest_ns.load(Relaxed)),
        }))
    }
}

/// The waits of one kind that a thread has been through.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct WaitStat {
    /// How many there were. Waits that a short spin ended are not counted.
    pub count: u64,
    /// How long they lasted together.
    pub total: Duration,
    /// How long the longest lasted.
    pub longest: Duration,
}

/// What a thread has waited for and how long, by [`Kind`]; see
/// [`Thread::wait_stats`](crate::thread::Thread::wait_stats).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitStats([WaitStat; Kind::COUNT]);

impl WaitStats {
    /// The waits of one kind.
    pub fn get(&self, kind: Kind) -> WaitStat {
        self.0[kind as usize]
    }

    /// The kinds of which there was a wait.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, WaitStat)> + '_ {
        Kind::ALL.iter().map(|&kind| (kind, self.get(kind))).filter(|(_, stat)| stat.count > 0)
    }

    /// The time spent in waits of all kinds.
    pub fn total(&self) -> Duration {
        self.0.iter().map(|stat| stat.total).sum()
    }
}
