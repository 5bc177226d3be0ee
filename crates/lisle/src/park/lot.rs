//! Who waits where: waiters' nodes, on the waiters' own stacks, in buckets hashed by key.

use super::kind::Kind;
use super::record::{Record, Shared};
use super::site::Spot;
use super::sys::atomic::Ordering;
use super::sys::{InnerGuard, InnerLock};
use super::wait::Wait;
use super::watched;
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A waiter that has waited this long is due: a lock is handed over to it rather than left to
/// whoever comes first. Within a bucket that happens at most this often, because each hand-over
/// leaves the lock idle until a sleeping thread has woken up.
pub(crate) const FAIR_AFTER: Duration = Duration::from_millis(1);

/// One thread's wait. It stands on that thread's stack, in the bucket of its key while `queued`.
/// All cells are read and written under the bucket's lock, but for `token`: the granter writes it
/// under the lock, the waiter reads it once granted.
pub(crate) struct Node {
    pub(super) key: usize,
    pub(super) record: *const Record,
    pub(super) wait: *const Wait<'static>,
    pub(super) since: Instant,
    pub(super) token: Cell<u32>,
    pub(super) queued: Cell<bool>,
    previous: Cell<*const Node>,
    next: Cell<*const Node>,
}

impl Node {
    pub(super) fn new(key: usize, record: &Shared, wait: &Wait<'_>, since: Instant) -> Node {
        Node {
            key,
            record: Arc::as_ptr(record),
            // Only the lifetime changes; whoever follows the pointer does so while the node is
            // queued, and a queued node's wait is alive.
            wait: ptr::from_ref(wait).cast(),
            since,
            token: Cell::new(0),
            queued: Cell::new(false),
            previous: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
        }
    }
}

/// The waiters of all keys that hash to one place, oldest first.
pub(crate) struct Queue {
    head: Cell<*const Node>,
    tail: Cell<*const Node>,
    last_handover: Cell<Option<Instant>>,
}

// SAFETY: the pointers lead to nodes of threads that stay where they are until they are taken out,
// which needs the bucket's lock, as does following them.
unsafe impl Send for Queue {}

impl Queue {
    const fn new() -> Queue {
        Queue { head: Cell::new(ptr::null()), tail: Cell::new(ptr::null()), last_handover: Cell::new(None) }
    }

    /// Puts a node in: at the end, or where its age gives it its place, if its thread has been here
    /// before and was only sent to try.
    pub(super) fn insert(&self, node: &Node, again: bool) {
        let (mut previous, mut next) = (self.tail.get(), ptr::null());
        if again {
            (previous, next) = (ptr::null(), self.head.get());
            // SAFETY: `next` is null or in the queue, whose lock we hold.
            while let Some(other) = unsafe { next.as_ref() }
                && other.since <= node.since
            {
                (previous, next) = (next, other.next.get());
            }
        }
        node.previous.set(previous);
        node.next.set(next);
        self.link(previous, next, node, node);
        node.queued.set(true);
        // SAFETY: a thread's record outlives its waits.
        let record = unsafe { &*node.record };
        record.node.store(ptr::from_ref(node).cast_mut(), Ordering::Relaxed);
        record.waiting_on.store(node.key, Ordering::Release);
    }

    /// Takes a node out that is in.
    pub(super) fn remove(&self, node: &Node) {
        debug_assert!(node.queued.get());
        self.link(node.previous.get(), node.next.get(), node.next.get(), node.previous.get());
        node.queued.set(false);
        // SAFETY: a thread's record outlives its waits.
        let record = unsafe { &*node.record };
        record.waiting_on.store(0, Ordering::Release);
        record.node.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Makes `after` follow `previous` and `before` precede `next`; the ends count as neighbours.
    fn link(&self, previous: *const Node, next: *const Node, after: *const Node, before: *const Node) {
        // SAFETY: neighbours of a node in the queue are in the queue, hence alive, and we
        // hold the bucket's lock.
        match unsafe { previous.as_ref() } {
            None => self.head.set(after),
            Some(previous) => previous.next.set(after),
        }
        // SAFETY: likewise.
        match unsafe { next.as_ref() } {
            None => self.tail.set(before),
            Some(next) => next.previous.set(before),
        }
    }

    /// The nodes of one key, oldest first. The present one may be removed while iterating.
    pub(super) fn of_key(&self, key: usize) -> impl Iterator<Item = &Node> {
        let mut next = self.head.get();
        std::iter::from_fn(move || {
            // SAFETY: `next` is null or in the queue: it was so when its predecessor was shown,
            // and the caller, who holds the lock, removes at most what it has been shown.
            while let Some(node) = unsafe { next.as_ref() } {
                next = node.next.get();
                if node.key == key {
                    return Some(node);
                }
            }
            None
        })
    }
}

#[repr(align(64))]
pub(crate) struct Bucket(InnerLock<Queue>);

pub(crate) type BucketGuard = InnerGuard<'static, Queue>;

#[cfg(not(loom))]
mod table {
    use super::*;

    /// 64 KiB of zeroes that are touched where they are used. 10,000 waiting threads make lists
    /// of ten.
    pub(super) const SIZE: usize = 1024;
    static BUCKETS: [Bucket; SIZE] = [const { Bucket(InnerLock::new(Queue::new())) }; SIZE];

    pub(super) fn all() -> &'static [Bucket] {
        &BUCKETS
    }
}

#[cfg(loom)]
mod table {
    use super::*;

    /// One, because addresses differ from run to run and the model must not.
    pub(super) const SIZE: usize = 1;
    loom::lazy_static! {
        static ref BUCKETS: Vec<Bucket> = (0..SIZE).map(|_| Bucket(InnerLock::new(Queue::new()))).collect();
    }
    // SAFETY: loom's mutex is not Sync for a lazy static's taste only because of the raw pointers
    // in `Queue`, which the bucket's lock protects.
    unsafe impl Sync for Bucket {}

    pub(super) fn all() -> &'static [Bucket] {
        &BUCKETS
    }
}

fn index_of(key: usize) -> usize {
    // Fibonacci hashing: the high bits of the product depend on all bits of the key.
    ((key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % table::SIZE
}

/// The bucket of a key, locked.
pub(super) fn lock_bucket(key: usize) -> BucketGuard {
    table::all()[index_of(key)].0.lock()
}

/// Calls `f` under the lock of the key's bucket: no wait at the key begins or ends meanwhile.
pub(crate) fn exclusively<R>(key: usize, f: impl FnOnce() -> R) -> R {
    let _queue = lock_bucket(key);
    f()
}

/// All buckets, locked: nobody can begin or end a wait while this lives.
pub(super) struct WholeLot(Vec<BucketGuard>);

impl WholeLot {
    pub(super) fn lock() -> WholeLot {
        WholeLot(table::all().iter().map(|bucket| bucket.0.lock()).collect())
    }

    pub(super) fn bucket(&self, key: usize) -> &Queue {
        &self.0[index_of(key)]
    }

    /// In the child of a fork: forgets the waiters, whose threads are not there.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn clear(&self) {
        for queue in &self.0 {
            queue.head.set(ptr::null());
            queue.tail.set(ptr::null());
        }
    }
}

/// A waiter that [`unpark`] offers.
pub(crate) struct Candidate<'a> {
    node: &'a Node,
    queue: &'a Queue,
}

impl Candidate<'_> {
    /// What it waits for.
    pub(crate) fn kind(&self) -> Kind {
        self.wait().kind
    }

    fn wait(&self) -> &Wait<'static> {
        // SAFETY: the node is queued and we hold the bucket's lock: its wait is alive.
        unsafe { &*self.node.wait }
    }

    /// Its thread's ident.
    pub(crate) fn ident(&self) -> u32 {
        self.record().ident()
    }

    fn record(&self) -> &Record {
        // SAFETY: a thread's record outlives its waits.
        unsafe { &*self.node.record }
    }

    /// Where its call came from.
    pub(crate) fn site(&self) -> Spot {
        self.wait().site
    }

    /// The number it brought along, see [`Wait::detail`].
    pub(crate) fn detail(&self) -> u32 {
        self.wait().detail
    }

    /// Whether it has waited so long that it should be handed what it waits for.
    pub(crate) fn is_due(&self) -> bool {
        if cfg!(loom) {
            return false; // real time has no place in a model; `unlock_fair` explores hand-overs
        }
        let now = Instant::now();
        let rested = |since: Instant| now.saturating_duration_since(since) >= FAIR_AFTER;
        rested(self.node.since) && self.queue.last_handover.get().is_none_or(rested)
    }

    /// It was handed what it waits for because it was due.
    pub(crate) fn note_handover(&self) {
        self.queue.last_handover.set(Some(Instant::now()));
    }
}

/// What [`unpark`] shall do with a candidate.
pub(crate) enum Choice {
    /// Take it out and end its wait as granted, with this token.
    Grant(u32),
    /// Leave it and look at the next.
    Skip,
    /// Leave it and look no further.
    Stop,
}

/// What [`unpark`] did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unparked {
    /// How many waits were granted.
    pub(crate) granted: usize,
    /// Whether there are waiters of this key left.
    pub(crate) left: bool,
}

/// Offers the waiters of `key`, oldest first, to `choose`, then calls `finish`; both run under the
/// bucket's lock and must not block. Wakes the chosen after the lock is released.
pub(crate) fn unpark(
    key: usize,
    mut choose: impl FnMut(&Candidate<'_>) -> Choice,
    finish: impl FnOnce(Unparked),
) -> Unparked {
    let mut first: Option<Shared> = None;
    let mut rest: Vec<Shared> = Vec::new();
    let mut done = Unparked { granted: 0, left: false };
    let queue = lock_bucket(key);
    for node in queue.of_key(key) {
        match choose(&Candidate { node, queue: &queue }) {
            Choice::Grant(token) => {
                node.token.set(token);
                queue.remove(node);
                // SAFETY: the record is alive (its thread waits) and came from an `Arc`. The
                // count keeps the parker alive while we wake the thread, which may be gone the
                // moment it has seen the grant.
                let record = unsafe {
                    Arc::increment_strong_count(node.record);
                    Arc::from_raw(node.record)
                };
                done.granted += 1;
                match first {
                    None => first = Some(record),
                    Some(_) => rest.push(record),
                }
            }
            Choice::Skip => done.left = true,
            Choice::Stop => {
                done.left = true;
                break;
            }
        }
    }
    finish(done);
    drop(queue);
    if first.is_some() {
        watched::wake(first.iter().chain(&rest));
    }
    for record in first.iter().chain(&rest) {
        record.parker.grant();
    }
    done
}

/// Grants the oldest wait of `key`.
pub(crate) fn unpark_one(key: usize, token: u32, finish: impl FnOnce(Unparked)) -> Unparked {
    let mut taken = false;
    let choose = |_: &Candidate<'_>| match std::mem::replace(&mut taken, true) {
        false => Choice::Grant(token),
        true => Choice::Stop,
    };
    unpark(key, choose, finish)
}

/// Grants all waits of `key`.
pub(crate) fn unpark_all(key: usize, token: u32, finish: impl FnOnce(Unparked)) -> Unparked {
    unpark(key, |_| Choice::Grant(token), finish)
}
