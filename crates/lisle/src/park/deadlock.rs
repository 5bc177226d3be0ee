//! Who waits for whom.
//!
//! A thread that has waited a few milliseconds follows owner → that thread's wait → owner …, one
//! bucket at a time. If the way leads back to itself, it walks once more with all buckets locked:
//! then no wait can begin or end, and a thread that waits cannot release what it owns, so what is
//! a cycle now is a deadlock. The thread that proves it takes its own node out before it lets go,
//! so a cycle fails one wait only. It does so too before it tells of anything else: what is told
//! runs users' code.

use super::kind::Kind;
use super::lot::{self, Node, Queue, WholeLot};
use super::record::{Record, Shared};
use super::registry;
use super::report::{self, Confidence, Link, Report};
use super::site::Site;
use super::sys::{PlainGuard, PlainLock};
use super::wait::{Bond, Owner, Subject, Wait};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A thread's wait, copied out under the bucket's lock.
pub(crate) struct Waiting {
    pub(crate) kind: Kind,
    pub(crate) object: String,
    pub(crate) site: Site,
    pub(crate) since: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) owners: Vec<Owner>,
    interruptible: bool,
    unfailing: bool,
    key: usize,
    epoch: u64,
}

/// What `record`'s thread waits for at the moment, if anything.
pub(crate) fn waiting(record: &Record) -> Option<Waiting> {
    let key = record.waiting_on.load(Ordering::Acquire);
    if key == 0 {
        return None;
    }
    waiting_in(&lot::lock_bucket(key), key, record)
}

fn waiting_in(queue: &Queue, key: usize, record: &Record) -> Option<Waiting> {
    if record.waiting_on.load(Ordering::Acquire) != key {
        return None; // it has moved on in the meantime
    }
    // SAFETY: `waiting_on` changes only under the lock of the key's bucket, which we hold: the
    // node is queued there, hence it and its wait are alive, and so is the wait's subject.
    let (node, wait): (&Node, &Wait<'_>) = unsafe {
        let node = &*record.node.load(Ordering::Relaxed);
        (node, &*node.wait)
    };
    let mut owners = Vec::new();
    wait.subject.owners(wait.kind, &mut |owner| owners.push(owner));
    if wait.kind == Kind::RwLockRead {
        // Readers do not pass a writer that waits: they depend on it as on a holder.
        for other in queue.of_key(key).take_while(|other| !std::ptr::eq(*other, node)) {
            // SAFETY: `other` is queued in the bucket whose lock we hold.
            let (other_wait, other_record) = unsafe { (&*other.wait, &*other.record) };
            if other_wait.kind == Kind::RwLockWrite {
                owners.push(Owner { ident: other_record.ident(), bond: Bond::Queues });
            }
        }
    }
    Some(Waiting {
        kind: wait.kind,
        object: Described(wait.subject).to_string(),
        site: wait.site,
        since: node.since,
        deadline: wait.deadline,
        owners,
        interruptible: wait.interruptible,
        unfailing: wait.unfailing,
        key,
        epoch: record.epoch.load(Ordering::Relaxed),
    })
}

struct Described<'a>(&'a dyn Subject);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}

/// One step of the way: a thread, its wait, and the owner by which the way goes on.
struct Step {
    record: Shared,
    waiting: Waiting,
    next: usize,
}

impl Step {
    fn owner(&self) -> Owner {
        self.waiting.owners[self.next]
    }
}

enum Found {
    Nothing,
    /// The way from the first thread back to it.
    Cycle(Vec<Step>),
    /// The first thread waits for one that has ended.
    Orphan(Step),
}

/// Searches the ways that lead away from `start`'s wait, each thread once, without recursion: a
/// chain of waits can be as long as there are threads.
fn search(start: &Shared, look_up: &dyn Fn(&Record) -> Option<Waiting>) -> Found {
    let Some(waiting) = look_up(start) else { return Found::Nothing };
    let mut seen = HashSet::from([start.ident()]);
    let mut orphan = None;
    let mut way = vec![Step { record: start.clone(), waiting, next: 0 }];
    loop {
        let is_first = way.len() == 1;
        let Some(last) = way.last_mut() else { return Found::Nothing };
        let Some(&owner) = last.waiting.owners.get(last.next) else {
            let mut done = way.pop().expect("there was a last one");
            if let (true, Some(next)) = (is_first, orphan) {
                done.next = next;
                return Found::Orphan(done);
            }
            if let Some(last) = way.last_mut() {
                last.next += 1;
            }
            continue;
        };
        if owner.ident == start.ident() {
            return Found::Cycle(way);
        }
        let next = registry::lock().get(owner.ident).cloned();
        if next.is_none() && is_first && matches!(owner.bond, Bond::Holds(_) | Bond::Took(_)) {
            orphan = Some(last.next);
        }
        // A thread that was seen before leads nowhere, or we would have found it.
        let next = next.filter(|_| seen.insert(owner.ident));
        match next.and_then(|record| Some((look_up(&record)?, record))) {
            Some((waiting, record)) => way.push(Step { record, waiting, next: 0 }),
            None => last.next += 1,
        }
    }
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
    match search(me, &waiting) {
        Found::Nothing => return Verdict::Nothing,
        Found::Orphan(_) | Found::Cycle(_) => {}
    }
    let lot = WholeLot::lock();
    if !node.queued.get() {
        return Verdict::Nothing; // granted meanwhile
    }
    let in_lot = |record: &Record| {
        let key = record.waiting_on.load(Ordering::Acquire);
        if key == 0 { None } else { waiting_in(lot.bucket(key), key, record) }
    };
    // First only what can be proven: a way that ends by itself must not hide one that does not.
    let lasting = |record: &Record| in_lot(record).and_then(|waiting| waiting.lasting(record));
    if let Found::Cycle(way) = search(me, &lasting)
        && let Some(victim) = way.iter().find(|step| !step.waiting.unfailing)
    {
        if way[0].waiting.unfailing {
            // Its thread finds the cycle as we did, and has a caller to tell.
            victim.record.look_again();
            return Verdict::Nothing;
        }
        let report = in_words(&way, Confidence::Proven);
        leave(lot.bucket(node.key));
        return Verdict::Failed(Box::new(report));
    }
    let (way, confidence) = match search(me, &in_lot) {
        Found::Nothing => return Verdict::Nothing,
        // A thread that has ended releases nothing: that it still holds the lock is proof.
        Found::Orphan(step) => (vec![step], Confidence::Orphaned),
        Found::Cycle(way) => {
            let confidence = confidence(&way);
            (way, confidence)
        }
    };
    if !is_news(&way, confidence) {
        return Verdict::Nothing;
    }
    let report = in_words(&way, confidence);
    leave(lot.bucket(node.key));
    Verdict::Told(Box::new(report))
}

impl Waiting {
    /// The wait as far as nothing but its owners can end it.
    fn lasting(mut self, record: &Record) -> Option<Waiting> {
        let ends = self.deadline.is_some() || self.interruptible && record.is_interrupted();
        self.owners.retain(|owner| !matches!(owner.bond, Bond::Took(_)));
        (!ends).then_some(self)
    }
}

/// How sure a cycle is that is not proven, or of which nobody can be told the proof.
fn confidence(way: &[Step]) -> Confidence {
    if way.iter().any(|step| matches!(step.owner().bond, Bond::Took(_))) {
        Confidence::Suspected
    } else if way.iter().any(|step| step.waiting.deadline.is_some()) {
        Confidence::Timed
    } else {
        Confidence::Proven
    }
}

const REMEMBERED: usize = 256;

type Reported = VecDeque<(u64, u64)>;

static REPORTED: PlainLock<Reported> = PlainLock::new(VecDeque::new());

/// What has been reported, locked; no other lock is taken under it.
pub(super) fn lock_reported() -> PlainGuard<'static, Reported> {
    REPORTED.lock()
}

/// Whether this was not reported before: the same cycle is found by each of its threads.
fn is_news(way: &[Step], confidence: Confidence) -> bool {
    // Two sums that do not depend on where in the cycle one starts. An orphan is a matter of the
    // lock and its holder, whoever waits.
    let mut sums = (0u64, 0u64);
    for step in way {
        let who = (u64::from(step.record.ident()), step.waiting.epoch);
        let what = (step.waiting.key as u64, u64::from(step.owner().ident));
        let (a, b) = if confidence == Confidence::Orphaned { what } else { who };
        sums.0 = sums.0.wrapping_add(mix(a, b));
        sums.1 = sums.1.wrapping_add(mix(b, !a));
    }
    let mut reported = lock_reported();
    if reported.contains(&sums) {
        return false;
    }
    if reported.len() == REMEMBERED {
        reported.pop_front();
    }
    reported.push_back(sums);
    true
}

fn mix(a: u64, b: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(a);
    hasher.write_u64(b);
    hasher.finish()
}

fn in_words(way: &[Step], confidence: Confidence) -> Report {
    let now = Instant::now();
    let links = way.iter().map(|step| {
        let (Step { record, waiting, .. }, owner) = (step, step.owner());
        let (bond, taken_at) = match owner.bond {
            Bond::Holds(site) => ("held by", site),
            Bond::Took(site) => ("last taken by", site),
            Bond::Queues => ("behind the waiting writer,", None),
            Bond::Runs => ("which is", None),
        };
        Link {
            thread: record.name.get().to_owned(),
            ident: record.ident(),
            kind: waiting.kind,
            object: waiting.object.clone(),
            called_at: waiting.site.to_string(),
            waited: now.saturating_duration_since(waiting.since),
            ends_in: waiting.deadline.map(|at| at.saturating_duration_since(now)),
            holder: name_of(owner.ident),
            holder_ident: owner.ident,
            bond,
            taken_at: taken_at.map(|site| site.to_string()),
        }
    });
    Report { confidence, links: links.collect() }
}

fn name_of(ident: u32) -> String {
    let registry = registry::lock();
    match registry.get(ident) {
        Some(record) => record.name.get().to_owned(),
        None => registry.ended_name(ident).unwrap_or("ended long ago").to_owned(),
    }
}

/// A line for each thread that keeps the process alive, with what it waits for.
pub(crate) fn describe_wait(record: &Arc<Record>) -> String {
    let who = format!("thread {:?} (ident {})", record.name.get(), record.ident());
    match waiting(record) {
        None => format!("{who} is running"),
        Some(waiting) => {
            let age = report::Age(waiting.since.elapsed());
            let mut line = format!(
                "{who} has waited {age} for {} {}, in a call at {}",
                waiting.kind, waiting.object, waiting.site
            );
            for owner in &waiting.owners {
                line += &format!(", owned by thread {:?} (ident {})", name_of(owner.ident), owner.ident);
            }
            line
        }
    }
}
