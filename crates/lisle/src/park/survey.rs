//! All threads and their waits at once, for those who look from outside.
//!
//! Each wait is read under the lock of its bucket, one after the other: nobody is held up for longer than
//! that. So what is seen of different threads is of different moments, and a cycle among them may be made up
//! of waits that were never there together. It is real if each of its threads is found in the same wait, with
//! the same owners, a second time: then all of them were in it at the moment between the two looks, and a
//! thread that waits takes and releases nothing.

use super::deadlock::{self, Mark, Past, Waiting};
use super::graph::{self, Deadlock, Step};
use super::record::{Record, Shared};
use super::registry;
use super::report::{Confidence, Report};
use super::wait::{Bond, Owner};
use crate::Kind;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What there was to see.
pub(crate) struct Survey {
    /// By ident.
    pub(crate) threads: Vec<Seen>,
    /// Deadlocks, suspicions and orphaned locks that are there now.
    pub(crate) reports: Vec<Report>,
    /// The last ones that were told, those that are there now among them.
    pub(crate) past: Vec<Past>,
    /// What the program has been told of.
    pub(crate) told: Vec<Mark>,
}

/// A thread, and what it waits for.
pub(crate) struct Seen {
    pub(crate) record: Shared,
    pub(crate) waiting: Option<Waiting>,
    /// Whether it waited each time that it was looked at, but never long enough to be read.
    pub(crate) unread: bool,
}

/// How often a wait is tried to read.
const TRIES: usize = 3;

impl Seen {
    fn new(record: Shared) -> Seen {
        let mut tries = (0..TRIES).map(|_| deadlock::waiting(&record));
        let waiting = tries.find_map(|waiting| waiting);
        let unread = waiting.is_none() && record.waiting_on.load(Ordering::Acquire) != 0;
        Seen { record, waiting, unread }
    }
}

/// The threads as they are now, and what is wrong with their waits.
pub(crate) fn survey() -> Survey {
    // First: what is told only after we have looked, and stays, would pass for over.
    let (past, told) = deadlock::lock_reported().all();
    let records: Vec<Shared> = registry::lock().iter().cloned().collect();
    let threads: Vec<Seen> = records.iter().cloned().map(Seen::new).collect();
    let waits: HashMap<u32, &Waiting> =
        threads.iter().filter_map(|seen| Some((seen.record.ident(), seen.waiting.as_ref()?))).collect();
    let look_up = |record: &Record| {
        let waiting = *waits.get(&record.ident())?;
        // An interrupt ends a wait before any report of it could be read.
        (waiting.needs > 0 && !waiting.is_interrupted(record)).then(|| waiting.clone())
    };
    // First what can be proven: a way that ends by itself must not hide one that does not.
    let proven = graph::survey(&records, &|record| look_up(record).and_then(Waiting::lasting));
    let proven: Vec<Deadlock> = proven.into_iter().filter(is_real).collect();
    let mut reports: Vec<Report> =
        proven.iter().map(|found| deadlock::in_words(&found.steps, found.cycle, Confidence::Proven)).collect();
    let in_proven: HashSet<u32> =
        proven.iter().flat_map(|found| &found.steps[..found.cycle]).map(|step| step.record.ident()).collect();
    // What the first look saw of all waits there is no need to look at again.
    let more =
        if waits.values().all(|waiting| waiting.is_lasting()) { Vec::new() } else { graph::survey(&records, &look_up) };
    for Deadlock { steps, cycle } in more {
        let known = steps[..cycle].iter().any(|step| in_proven.contains(&step.record.ident()));
        if !known && is_real(&Deadlock { steps: steps.clone(), cycle }) {
            reports.push(deadlock::in_words(&steps, cycle, deadlock::confidence(&steps)));
        }
    }
    reports.extend(orphans(&threads));
    if reports.is_empty() {
        reports.extend(rest(&threads));
    }
    Survey { threads, reports, past, told }
}

/// Whether all that the deadlock is made of is still there, and has been for long enough.
fn is_real(found: &Deadlock) -> bool {
    let now = Instant::now();
    found.steps.iter().all(|Step { record, waiting, .. }| {
        now.saturating_duration_since(waiting.since) >= waiting.patience && stays(record, waiting)
    })
}

/// Whether the thread is in the same wait as when it was looked at before, and those who can end it are the same.
fn stays(record: &Record, before: &Waiting) -> bool {
    let owners = |waiting: &Waiting| -> HashSet<u32> { waiting.owners.iter().map(|(_, owner)| owner.ident).collect() };
    deadlock::waiting(record)
        .is_some_and(|now| now.key == before.key && now.epoch == before.epoch && owners(&now) == owners(before))
}

/// Locks whose holder has ended, with one of those who wait for each.
fn orphans(threads: &[Seen]) -> Vec<Report> {
    let alive: HashSet<u32> = threads.iter().map(|seen| seen.record.ident()).collect();
    let mut told = HashSet::new();
    let mut reports = Vec::new();
    for Seen { record, waiting, .. } in threads {
        let Some(waiting) = waiting else { continue };
        for (_, owner) in &waiting.owners {
            let is_lost = owner.ident != 0
                && matches!(owner.bond, Bond::Holds(_) | Bond::Took(_))
                && !alive.contains(&owner.ident)
                // It may have begun, taken the lock and been seen holding it since we read the list.
                && registry::find(owner.ident).is_none();
            if is_lost && told.insert((waiting.key, owner.ident)) && stays(record, waiting) {
                let step = Step { record: record.clone(), waiting: waiting.clone(), owner: *owner, others: Vec::new() };
                reports.push(deadlock::in_words(&[step], 0, Confidence::Orphaned));
            }
        }
    }
    reports
}

/// A program that has come to rest without being in a deadlock: all of its threads wait without a limit, some of
/// them for what anybody could do, and there is nobody.
fn rest(threads: &[Seen]) -> Option<Report> {
    let mut steps = Vec::new();
    let mut waits_for_anybody = false;
    for Seen { record, waiting, .. } in threads.iter().filter(|seen| !seen.record.is_service()) {
        let waiting = waiting.as_ref().filter(|waiting| !is_ended_from_outside(waiting))?;
        let owner = waiting.owners.iter().map(|(_, owner)| *owner).find(|owner| owner.ident != 0);
        // A lock without an owner can be held by a thread that has gone: that is for `orphans` to tell.
        waits_for_anybody |= owner.is_none();
        let owner = owner.unwrap_or(Owner::runs(0));
        steps.push(Step { record: record.clone(), waiting: waiting.clone(), owner, others: Vec::new() });
    }
    let is_at_rest = waits_for_anybody
        && steps.iter().all(|Step { record, waiting, .. }| !waiting.is_interrupted(record) && stays(record, waiting))
        // Nobody has come since.
        && registry::lock().iter().filter(|record| !record.is_service()).count() == steps.len();
    is_at_rest.then(|| deadlock::in_words(&steps, 0, Confidence::Suspected))
}

/// Whether the wait ends without anything that a thread of this process does.
fn is_ended_from_outside(waiting: &Waiting) -> bool {
    let elsewhere =
        [Kind::Process, Kind::ChannelReceive, Kind::ChannelSend, Kind::SharedLock, Kind::Sleep, Kind::Timer];
    let signals = waiting.minds_signals && waiting.owners.is_empty();
    waiting.deadline.is_some() || signals || elsewhere.contains(&waiting.kind)
}
