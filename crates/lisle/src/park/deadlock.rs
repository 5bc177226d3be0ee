//! Who waits for whom.
//!
//! A thread that has waited a few milliseconds follows owner → that thread's wait → owner …, one
//! bucket at a time. If the way leads back to itself (`graph.rs` knows which ways count), it walks
//! once more with all buckets locked: then no wait can begin or end, and a thread that waits cannot
//! release what it owns, so what is a cycle now is a deadlock. The thread that proves it takes its own
//! node out before it lets go, so a cycle fails one wait only. It does so too before it tells of
//! anything else: what is told runs users' code.
//!
//! Each wait is looked at once. That is enough because a deadlock is closed by a thread that begins to
//! wait, and the last one to do so sees it whole: if it is on no cycle itself, then what it depends on
//! was a deadlock without it, and is somebody else's. A wait that comes to depend on fewer threads
//! without one of them beginning to wait breaks that rule, and calls [`look_again`].

use super::graph::{self, Deadlock, Found, Step};
use super::kind::Kind;
use super::lot::{self, Node, Queue, WholeLot};
use super::record::{Record, Shared};
use super::registry;
use super::report::{self, Confidence, Link, Report, Waiter};
use super::site::Spot;
use super::sys::{PlainGuard, PlainLock};
use super::told::Told;
use super::wait::{Bond, DETECT_AFTER, Described, Owner, Wait};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A thread's wait, copied out under the bucket's lock.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) kind: Kind,
    pub(crate) object: String,
    pub(crate) called_at: String,
    /// Whether an embedder spoke for the thread: places in our source mean nothing then.
    pub(crate) embedded: bool,
    pub(crate) since: Instant,
    pub(crate) deadline: Option<Instant>,
    /// Each with the number of the need that it is for. See `graph.rs`.
    pub(crate) owners: Vec<(usize, Owner)>,
    pub(super) needs: usize,
    /// What executor's call the thread runs, see [`Link::running`].
    pub(crate) running: Option<String>,
    pub(crate) interruptible: bool,
    unfailing: bool,
    pub(crate) key: usize,
    /// The key, or what an embedder says that the object goes by.
    #[cfg(all(feature = "watch", not(loom)))]
    pub(crate) object_key: usize,
    /// See [`Subject::identity`](super::Subject::identity).
    #[cfg(all(feature = "watch", not(loom)))]
    pub(crate) identity: u64,
    pub(super) epoch: u64,
    /// How long it has to last before a cycle through it is suspected.
    #[cfg_attr(not(feature = "watch"), expect(dead_code, reason = "for those who look from outside"))]
    pub(super) patience: Duration,
    /// Whether a signal ends the wait, whose handler may do anything.
    #[cfg_attr(not(feature = "watch"), expect(dead_code, reason = "for those who look from outside"))]
    pub(super) minds_signals: bool,
}

/// What `record`'s thread waits for at the moment, if anything.
pub(crate) fn waiting(record: &Record) -> Option<Waiting> {
    let key = record.waiting_on.load(Ordering::Acquire);
    if key == 0 {
        return None;
    }
    waiting_in(&lot::lock_bucket(key), key, record)
}

fn wait_in<'a>(_: &'a Queue, key: usize, record: &'a Record) -> Option<(&'a Node, &'a Wait<'static>)> {
    if record.waiting_on.load(Ordering::Acquire) != key {
        return None; // it has moved on in the meantime
    }
    // SAFETY: `waiting_on` changes only under the lock of the key's bucket, which the caller holds: the
    // node is queued there, hence it and its wait are alive, and so is the wait's subject.
    unsafe {
        let node = &*record.node.load(Ordering::Relaxed);
        Some((node, &*node.wait))
    }
}

fn waiting_in(queue: &Queue, key: usize, record: &Record) -> Option<Waiting> {
    let (node, wait) = wait_in(queue, key, record)?;
    let (mut owners, mut needs) = (Vec::new(), 0);
    let (mut groups, mut grouped) = (HashMap::new(), HashSet::new());
    let mut add = |owner: Owner| {
        let need = match owner.group {
            0 => needs,
            group if grouped.insert((group, owner.ident)) => *groups.entry(group).or_insert(needs),
            _ => return, // told twice
        };
        needs = needs.max(need + 1);
        owners.push((need, owner));
    };
    wait.subject.owners(wait.kind, &mut add);
    if wait.kind == Kind::RwLockRead {
        // Readers do not pass a writer that waits: they depend on it as on a holder.
        for other in queue.of_key(key).take_while(|other| !std::ptr::eq(*other, node)) {
            // SAFETY: `other` is queued in the bucket whose lock we hold.
            let (other_wait, other_record) = unsafe { (&*other.wait, &*other.record) };
            if other_wait.kind == Kind::RwLockWrite {
                add(Owner::queues(other_record.ident()));
            }
        }
    }
    // SAFETY: null, or the label of a call that the thread is in: it waits in it, and goes on only
    // after its node was taken out, for which the lock of the bucket is needed that we hold.
    let running = unsafe { record.doing.load(Ordering::Relaxed).as_ref() };
    // SAFETY: likewise.
    let told = unsafe { record.told.load(Ordering::Relaxed).as_ref() };
    Some(Waiting {
        kind: wait.kind,
        object: told.map_or_else(|| Described(wait.subject).to_string(), Told::object),
        called_at: told.map_or_else(|| wait.site.to_string(), Told::place),
        embedded: told.is_some(),
        since: node.since,
        deadline: wait.deadline,
        owners,
        needs,
        running: running.map(|label| match label.name() {
            Some(name) => format!("call {name:?}"),
            None => format!("the call submitted at {}", label.site()),
        }),
        interruptible: wait.interruptible,
        unfailing: wait.unfailing,
        key,
        #[cfg(all(feature = "watch", not(loom)))]
        object_key: told.and_then(Told::key).unwrap_or(key),
        #[cfg(all(feature = "watch", not(loom)))]
        identity: told.map_or_else(|| wait.subject.identity(), Told::identity),
        epoch: record.epoch.load(Ordering::Relaxed),
        patience: told.filter(|_| wait.kind == Kind::Lock).map_or(DETECT_AFTER, Told::patience),
        minds_signals: told.is_some_and(Told::minds_signals),
    })
}

/// What came of looking where a wait leads.
pub(super) enum Verdict {
    /// Nothing to tell; the wait goes on.
    Nothing,
    /// The wait was part of a deadlock and has been ended.
    Failed(Box<Report>),
    /// There is something to tell, for which the wait has been ended too: it is to begin again.
    Told(Box<Report>),
}

/// Looks where the calling thread's wait leads, and ends it by `leave` if there is anything to say.
#[cold]
pub(super) fn look(me: &Shared, node: &Node, leave: &mut dyn FnMut(&Queue)) -> Verdict {
    if matches!(graph::search(me, &waiting), Found::Nothing) {
        return Verdict::Nothing;
    }
    let lot = WholeLot::lock();
    if !node.queued.get() {
        return Verdict::Nothing; // granted meanwhile
    }
    let in_lot = |record: &Record| {
        let key = record.waiting_on.load(Ordering::Acquire);
        if key == 0 { None } else { waiting_in(lot.bucket(key), key, record) }
    };
    // An interrupt ends a wait before any report of it could be read.
    let in_lot = |record: &Record| in_lot(record).filter(|waiting| !waiting.is_interrupted(record));
    // First only what can be proven: a way that ends by itself must not hide one that does not.
    let lasting = |record: &Record| in_lot(record).and_then(Waiting::lasting);
    if let Found::Deadlock(Deadlock { steps, cycle }) = graph::search(me, &lasting)
        && let Some(victim) = steps[..cycle].iter().find(|step| !step.waiting.unfailing)
    {
        if steps[0].waiting.unfailing {
            // Its thread finds the cycle as we did, and has a caller to tell.
            victim.record.look_again();
            return Verdict::Nothing;
        }
        let report = in_words(&steps, cycle, Confidence::Proven);
        leave(lot.bucket(node.key));
        return Verdict::Failed(Box::new(report));
    }
    let (steps, cycle, confidence) = match graph::search(me, &in_lot) {
        Found::Nothing => return Verdict::Nothing,
        // A thread that has ended releases nothing: that it still holds the lock is proof.
        Found::Orphan(step) => (vec![*step], 0, Confidence::Orphaned),
        Found::Deadlock(Deadlock { steps, cycle }) => {
            let confidence = confidence(&steps);
            (steps, cycle, confidence)
        }
    };
    let report = in_words(&steps, cycle, confidence);
    if !is_news(&report) {
        return Verdict::Nothing;
    }
    leave(lot.bucket(node.key));
    Verdict::Told(Box::new(report))
}

/// Has every thread that waits for something of this kind look once more where its wait leads.
///
/// To be called by a primitive after there have become fewer who could end such a wait, unless who left
/// did so by beginning to wait: a pool's thread ends, or was told of in advance and could not be
/// started. By then `Subject::owners` must not name it any more: a thread that has ended counts as one
/// that may go on. Not needed where nothing is pending that the thread could have done, nor for a thread
/// that takes on what others could have done (a call that begins to run): it does not wait.
#[cold]
#[cfg_attr(
    any(loom, not(test)),
    expect(dead_code, reason = "the pools keep to the rule: a worker goes when nothing is pending")
)]
pub(crate) fn look_again(kind: Kind) {
    let records: Vec<Shared> = registry::lock().iter().cloned().collect();
    for record in records {
        let key = record.waiting_on.load(Ordering::Acquire);
        if key != 0 && wait_in(&lot::lock_bucket(key), key, &record).is_some_and(|(_, wait)| wait.kind == kind) {
            record.look_again();
        }
    }
}

impl Waiting {
    /// Whether a place where something was taken means anything to who reads of this wait.
    pub(crate) fn means(&self, spot: Spot) -> bool {
        !self.embedded || spot.here().is_none()
    }

    pub(super) fn is_interrupted(&self, record: &Record) -> bool {
        self.interruptible && record.is_interrupted()
    }

    /// Whether nothing but its owners can end the wait.
    #[cfg(all(feature = "watch", not(loom)))]
    pub(super) fn is_lasting(&self) -> bool {
        self.deadline.is_none() && !self.owners.iter().any(|(_, owner)| matches!(owner.bond, Bond::Took(_)))
    }

    /// The wait as far as nothing but its owners can end it.
    pub(super) fn lasting(mut self) -> Option<Waiting> {
        for (_, owner) in &mut self.owners {
            if matches!(owner.bond, Bond::Took(_)) {
                owner.ident = 0; // anybody may release it
            }
        }
        self.deadline.is_none().then_some(self)
    }
}

/// How sure a deadlock is that is not proven, or of which nobody can be told the proof.
pub(super) fn confidence(steps: &[Step]) -> Confidence {
    let mut owners = steps.iter().flat_map(|step| step.others.iter().chain([&step.owner]));
    if owners.any(|owner| matches!(owner.bond, Bond::Took(_))) {
        Confidence::Suspected
    } else if steps.iter().any(|step| step.waiting.deadline.is_some()) {
        Confidence::Timed
    } else {
        Confidence::Proven
    }
}

const REMEMBERED: usize = 256;

pub(crate) struct Reported {
    /// The marks of the last ones.
    marks: VecDeque<Mark>,
    /// The last reports themselves, for those who look later.
    pub(super) past: VecDeque<Past>,
}

/// A report that was made.
#[derive(Clone)]
#[cfg_attr(any(loom, not(feature = "watch")), expect(dead_code, reason = "for those who look from outside"))]
pub(crate) struct Past {
    pub(crate) report: Report,
    pub(crate) at: Instant,
    /// The thread whose wait was failed for it.
    pub(crate) failed: Option<u32>,
}

static REPORTED: PlainLock<Reported> = PlainLock::new(Reported { marks: VecDeque::new(), past: VecDeque::new() });

/// What has been reported, locked; no other lock is taken under it.
pub(super) fn lock_reported() -> PlainGuard<'static, Reported> {
    REPORTED.lock()
}

/// What tells a deadlock from others, whoever of its threads finds it.
pub(crate) type Mark = (u64, u64);

/// Two sums that do not depend on where one starts. An orphan is a matter of the lock and its holder, whoever waits.
fn mark(steps: &[Step], confidence: Confidence) -> Mark {
    let mut sums = (0u64, 0u64);
    for step in steps {
        let who = (u64::from(step.record.ident()), step.waiting.epoch);
        let what = (step.waiting.key as u64, u64::from(step.owner.ident));
        let (a, b) = if confidence == Confidence::Orphaned { what } else { who };
        sums.0 = sums.0.wrapping_add(mix(a, b));
        sums.1 = sums.1.wrapping_add(mix(b, !a));
    }
    sums
}

/// Whether this was not reported before: the same deadlock is found by each of its threads.
fn is_news(report: &Report) -> bool {
    let reported = &mut lock_reported().marks;
    if reported.contains(&report.mark) {
        return false;
    }
    if reported.len() == REMEMBERED {
        reported.pop_front();
    }
    reported.push_back(report.mark);
    true
}

impl Reported {
    /// The last reports, and the marks of all that the program has been told of.
    #[cfg(all(feature = "watch", not(loom)))]
    pub(super) fn all(&self) -> (Vec<Past>, Vec<Mark>) {
        (self.past.iter().cloned().collect(), self.marks.iter().copied().collect())
    }
}

/// Keeps a report for those who look later.
pub(super) fn remember(report: &Report, failed: Option<u32>) {
    const KEPT: usize = 16;
    let past = Past { report: report.clone(), at: Instant::now(), failed };
    let all = &mut lock_reported().past;
    if all.len() == KEPT {
        all.pop_front();
    }
    all.push_back(past);
}

fn mix(a: u64, b: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(a);
    hasher.write_u64(b);
    hasher.finish()
}

impl Bond {
    /// The words before the thread, and where it took what it did.
    pub(crate) fn in_words(self) -> (&'static str, Option<Spot>) {
        match self {
            Bond::Holds(site) => ("held by", site),
            Bond::Took(site) => ("last taken by", site),
            Bond::Queues => ("behind the waiting writer,", None),
            Bond::Runs => ("which is", None),
            Bond::Calls => ("run by", None),
            Bond::MayRun => ("to be run by", None),
        }
    }
}

pub(super) fn in_words(steps: &[Step], cycle: usize, confidence: Confidence) -> Report {
    let now = Instant::now();
    let links = steps.iter().map(|Step { record, waiting, owner, others }| {
        let (bond, taken_at) = if owner.ident == 0 { ("", None) } else { owner.bond.in_words() };
        Link {
            thread: record.name.get().to_owned(),
            ident: record.ident(),
            running: waiting.running.clone(),
            kind: waiting.kind,
            object: waiting.object.clone(),
            called_at: waiting.called_at.clone(),
            waited: now.saturating_duration_since(waiting.since),
            ends_in: waiting.deadline.map(|at| at.saturating_duration_since(now)),
            holder: if owner.ident == 0 { String::new() } else { name_of(owner.ident) },
            holder_ident: owner.ident,
            others: others.iter().map(|owner| owner.ident).collect(),
            bond,
            taken_at: taken_at.filter(|spot| waiting.means(*spot)).map(|spot| spot.to_string()),
        }
    });
    Report { confidence, links: links.collect(), cycle, mark: mark(steps, confidence) }
}

pub(crate) fn name_of(ident: u32) -> String {
    let registry = registry::lock();
    match registry.get(ident) {
        Some(record) => record.name.get().to_owned(),
        None => registry.ended_name(ident).unwrap_or("ended long ago").to_owned(),
    }
}

/// How many of a wait's needs a line tells of.
const NAMED: usize = 8;

/// A line for each thread that keeps the process alive, with what it waits for.
pub(crate) fn describe_wait(record: &Arc<Record>) -> String {
    let who = Waiter { name: record.name.get(), ident: record.ident(), running: None };
    let Some(waiting) = waiting(record) else { return format!("{who} is running") };
    let who = Waiter { running: waiting.running.as_deref(), ..who };
    let age = report::Age(waiting.since.elapsed());
    let mut line =
        format!("{who} has waited {age} for {} {}, in a call at {}", waiting.kind, waiting.object, waiting.called_at);
    // One owner for each need, and how many could do it in its place.
    let mut told: Vec<Option<(Owner, usize)>> = vec![None; waiting.needs];
    for &(need, owner) in &waiting.owners {
        match &mut told[need] {
            Some((_, others)) => *others += 1,
            first => *first = Some((owner, 0)),
        }
    }
    for (owner, others) in told.iter().flatten().filter(|(owner, _)| owner.ident != 0).take(NAMED) {
        line += &format!(", {} thread {:?} (ident {})", owner.bond.in_words().0, name_of(owner.ident), owner.ident);
        match others {
            0 => {}
            1 => line += " or another thread",
            n => line += &format!(" or one of {n} other threads"),
        }
    }
    if told.len() > NAMED {
        line += &format!(" and {} more", told.len() - NAMED);
    }
    line
}

#[cfg(all(test, not(loom)))]
pub(super) mod testing;
#[cfg(all(test, not(loom)))]
mod tests;
