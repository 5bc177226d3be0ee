//! What threads do with their waits, event by event, while somebody reads it.
//!
//! Each thread writes into a [ring](super::ring) of its own, which it gets at its first event. A ring
//! whose thread is faster than the readers is replaced by one four times as large, as long as there is
//! memory: the old one stays until it is read, as does that of a thread that has ended. What is
//! overwritten, or finds no room, is counted.

use super::current;
use super::ring::{Ring, Words};
use super::sys::{PlainGuard, PlainLock};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// What all rings take together at most.
const BUDGET: usize = 32 << 20;
/// What of that is not for rings that grow: threads that have none yet come first.
const RESERVE: usize = BUDGET / 4;
/// In events. Ten thousand threads get one of the smallest; one of the largest lasts a busy thread for a tenth
/// of a second.
const SMALLEST: usize = 128;
const LARGEST: usize = 128 << 10;

/// What is left of the budget. Changed under the tracer's lock.
static LEFT: AtomicUsize = AtomicUsize::new(BUDGET);
/// How many events found no ring.
static HOMELESS: AtomicU64 = AtomicU64::new(0);

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Did {
    /// It has begun to wait for the object of this number.
    Wait { object: u32 },
    /// Its wait has ended.
    End { object: u32, how: How, turn: u32, lasted_ns: u64 },
    /// It has ended the wait of this thread, the thread's `turn`th.
    Wake { thread: u32, turn: u32 },
    /// An object has so many items or permits.
    Length { object: u32, length: u64 },
}

/// How a wait ended; as [`Outcome`](super::Outcome).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    Granted,
    Again,
    TimedOut,
    Interrupted,
    Deadlocked,
}

/// An event: when, in nanoseconds of the process's traces, who, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub(crate) at_ns: u64,
    pub(crate) thread: u32,
    pub(crate) did: Did,
}

// | word | 0 | 1, high half | 1, low half | 2, from bit 8 on | 2, bits 4 to 7 | 2, bits 0 to 3 |
// |---|---|---|---|---|---|---|
// | `Wait` | when | object | | | | 0 |
// | `End` | when | object | turn | how long | how | 1 |
// | `Wake` | when | thread | turn | | | 2 |
// | `Length` | when | object | | length | | 3 |

/// What fits into the last word's 56 bits: two years in nanoseconds.
const MOST: u64 = u64::MAX >> 8;

impl Did {
    #[inline]
    fn encode(self, at_ns: u64) -> Words {
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        match self {
            Did::Wait { object } => [at_ns, pair(object, 0), 0],
            Did::End { object, how, turn, lasted_ns } => {
                [at_ns, pair(object, turn), lasted_ns.min(MOST) << 8 | (how as u64) << 4 | 1]
            }
            Did::Wake { thread, turn } => [at_ns, pair(thread, turn), 2],
            Did::Length { object, length } => [at_ns, pair(object, 0), length.min(MOST) << 8 | 3],
        }
    }

    fn decode([_, pair, rest]: Words) -> Did {
        let (high, low) = ((pair >> 32) as u32, pair as u32);
        match rest & 0xf {
            0 => Did::Wait { object: high },
            1 => {
                let how = match rest >> 4 & 0xf {
                    0 => How::Granted,
                    1 => How::Again,
                    2 => How::TimedOut,
                    3 => How::Interrupted,
                    _ => How::Deadlocked,
                };
                Did::End { object: high, how, turn: low, lasted_ns: rest >> 8 }
            }
            2 => Did::Wake { thread: high, turn: low },
            _ => Did::Length { object: high, length: rest >> 8 },
        }
    }
}

/// A ring and whose it is.
struct Traced {
    ring: Ring,
    ident: u32,
    /// When the clock of traces began.
    origin: Instant,
    /// Up to where all readers have read, or will not.
    read: AtomicU64,
    /// Up to where the thread may write without a look at `read`; for the thread alone.
    good_until: AtomicU64,
}

thread_local! {
    // Without a destructor, so that the thread's own end can still be told. From `Arc::into_raw`.
    static RING: Cell<*const Traced> = const { Cell::new(ptr::null()) };
    /// The thread has ended, as far as anybody is told. What it still does is not recorded.
    static OVER: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread did that, at that time. Only while somebody reads, see `watched.rs`.
#[inline]
pub(super) fn record(at: Instant, did: Did) {
    let Some(traced) = ring() else {
        HOMELESS.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let at_ns = at.saturating_duration_since(traced.origin).as_nanos() as u64;
    traced.ring.write(did.encode(at_ns));
}

/// The calling thread's ring, with room for an event that overwrites none if that can be had.
#[inline]
fn ring<'a>() -> Option<&'a Traced> {
    // SAFETY: null, or from `Arc::into_raw` of this thread, which gives it back nowhere but in `replace`,
    // `end` and `forget`: none of them runs while what is returned here is in use, in `record`.
    let traced = unsafe { RING.get().as_ref() };
    match traced {
        Some(traced) if traced.ring.head() < traced.good_until.load(Ordering::Relaxed) => Some(traced),
        _ => find_room(traced),
    }
}

/// No ring yet, or one that is full of what may not have been read.
#[cold]
#[inline(never)]
fn find_room(full: Option<&Traced>) -> Option<&Traced> {
    let (mut capacity, mut reserve) = (SMALLEST, 0);
    if let Some(traced) = full {
        let good_until = traced.read.load(Ordering::Acquire) + traced.ring.capacity() - 1;
        traced.good_until.store(good_until, Ordering::Relaxed);
        if traced.ring.head() < good_until {
            return Some(traced);
        }
        (capacity, reserve) = ((traced.ring.capacity() as usize * 4).min(LARGEST), RESERVE);
    }
    let has_room = LEFT.load(Ordering::Relaxed) >= capacity * Ring::SLOT + reserve;
    let is_largest = full.is_some_and(|traced| traced.ring.capacity() as usize == capacity);
    if has_room && !is_largest && !OVER.get() && replace(capacity) {
        // SAFETY: as in `ring`; `replace` has just put it there.
        return unsafe { RING.get().as_ref() };
    }
    let traced = full?;
    // It is overwritten. Not to look each time: another look when a quarter of it has been.
    traced.good_until.store(traced.ring.head() + traced.ring.capacity() / 4, Ordering::Relaxed);
    Some(traced)
}

/// A thread's ring, as its readers find it.
struct Held {
    traced: Arc<Traced>,
    /// The thread writes no more into it.
    ended: bool,
    /// How far each reader is.
    readers: Vec<(u64, u64)>,
}

impl Held {
    fn is_over(&self) -> bool {
        let head = self.traced.ring.head();
        self.ended && self.readers.iter().all(|&(_, next)| next >= head)
    }

    fn note(&mut self, reader: u64, next: u64) {
        let mine = self.readers.iter_mut().filter(|(number, _)| *number == reader);
        mine.for_each(|(_, at)| *at = next);
        self.update();
    }

    fn update(&self) {
        let least = self.readers.iter().map(|&(_, next)| next).min();
        self.traced.read.store(least.unwrap_or_else(|| self.traced.ring.head()), Ordering::Release);
    }

    fn size(&self) -> usize {
        self.traced.ring.capacity() as usize * Ring::SLOT
    }
}

/// Who reads, and what there is to read.
pub(super) struct Tracer {
    readers: Vec<u64>,
    last_reader: u64,
    /// When the first reader came.
    origin: Option<Instant>,
    /// Each thread's rings, the oldest first: all but the last have ended.
    rings: BTreeMap<u32, VecDeque<Held>>,
}

static TRACER: PlainLock<Tracer> =
    PlainLock::new(Tracer { readers: Vec::new(), last_reader: 0, origin: None, rings: BTreeMap::new() });

/// All that has to do with reading, locked; nothing else is locked under it.
pub(super) fn lock() -> PlainGuard<'static, Tracer> {
    TRACER.lock()
}

impl Tracer {
    /// The thread's present ring, if it has one, gets no more events.
    fn end(&mut self, ident: u32) {
        if let Some(held) = self.rings.get_mut(&ident).and_then(VecDeque::back_mut) {
            held.ended = true;
        }
        self.sweep(ident);
    }

    /// Lets go of rings that are read and get no more events.
    fn sweep(&mut self, ident: u32) {
        let Some(rings) = self.rings.get_mut(&ident) else { return };
        while let Some(held) = rings.front().filter(|held| held.is_over()) {
            LEFT.fetch_add(held.size(), Ordering::Relaxed);
            rings.pop_front();
        }
        if rings.is_empty() {
            self.rings.remove(&ident);
        }
    }

    /// In the child of a fork: nobody reads here, and the threads that wrote are not there.
    pub(super) fn clear(&mut self) {
        self.readers.clear();
        self.rings.clear();
        LEFT.store(BUDGET, Ordering::Relaxed);
        forget();
    }
}

/// Gives the calling thread a ring of this capacity in the place of the one it has, if any; false if nobody
/// reads any more, or there is no memory.
fn replace(capacity: usize) -> bool {
    let ident = current::ident();
    let mut tracer = lock();
    let size = capacity * Ring::SLOT;
    let Some(origin) = tracer.origin.filter(|_| !tracer.readers.is_empty()) else { return false };
    if LEFT.load(Ordering::Relaxed) < size {
        return false;
    }
    LEFT.fetch_sub(size, Ordering::Relaxed);
    if !RING.get().is_null() {
        tracer.end(ident);
        forget();
    }
    let traced = Arc::new(Traced {
        ring: Ring::new(capacity),
        ident,
        origin,
        read: AtomicU64::new(0),
        good_until: AtomicU64::new(capacity as u64 - 1),
    });
    RING.set(Arc::into_raw(traced.clone()));
    let readers = tracer.readers.iter().map(|&reader| (reader, 0)).collect();
    tracer.rings.entry(ident).or_default().push_back(Held { traced, ended: false, readers });
    true
}

/// The calling thread's last act: its events stay until they are read.
pub(super) fn end() {
    OVER.set(true);
    // SAFETY: as in `ring`.
    if let Some(traced) = unsafe { RING.get().as_ref() } {
        lock().end(traced.ident);
        forget();
    }
}

fn forget() {
    let traced = RING.replace(ptr::null());
    if !traced.is_null() {
        // SAFETY: from `Arc::into_raw` in `replace`, and just taken out.
        drop(unsafe { Arc::from_raw(traced) });
    }
}

/// Somebody who reads all events from now on.
pub(crate) struct Reader {
    number: u64,
    /// How many events had found no ring at the last look.
    homeless: u64,
    origin: Instant,
    /// The thread whose rings come first at the next look.
    resume_at: u32,
}

impl Reader {
    /// To be called by `watched.rs`, which says at the same time that there is something to record for.
    pub(super) fn new() -> Reader {
        let mut tracer = lock();
        tracer.last_reader += 1;
        let number = tracer.last_reader;
        let origin = *tracer.origin.get_or_insert_with(Instant::now);
        tracer.readers.push(number);
        for held in tracer.rings.values_mut().flatten() {
            held.readers.push((number, held.traced.ring.head()));
            held.update();
        }
        Reader { number, homeless: HOMELESS.load(Ordering::Relaxed), origin, resume_at: 0 }
    }

    /// A time on the events' clock; what was before it begins with it.
    pub(crate) fn at_ns(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_nanos() as u64
    }

    /// The time now on the events' clock.
    pub(crate) fn now_ns(&self) -> u64 {
        self.at_ns(Instant::now())
    }

    /// Reads at most about `most` events, those of each thread in their order; returns how many were lost
    /// since the last time, and whether there may be more at once.
    pub(crate) fn read(&mut self, most: u64, mut found: impl FnMut(Event)) -> (u64, bool) {
        // Not under the lock: a thread that needs a ring is not to wait for what is read here.
        let (mut work, mut more) = self.find_work(most);
        let (mut left, mut lost) = (most, 0);
        self.resume_at = if more { work.last().map_or(0, |(traced, _)| traced.ident) } else { 0 };
        for (traced, next) in &mut work {
            let head = traced.ring.head();
            let read = traced.ring.read(*next, left, |words| {
                let (at_ns, did) = (words[0], Did::decode(words));
                found(Event { at_ns, thread: traced.ident, did });
            });
            left -= (read.next - *next - read.lost).min(left);
            (*next, lost) = (read.next, lost + read.lost);
            if read.next < head {
                // Its later rings must not come first.
                (self.resume_at, more) = (traced.ident, true);
                break;
            }
        }
        self.settle(&work);
        let homeless = HOMELESS.load(Ordering::Relaxed);
        lost += homeless - std::mem::replace(&mut self.homeless, homeless);
        (lost, more)
    }

    /// The rings in which there is something new, and from where on; and whether there are more of them.
    fn find_work(&self, most: u64) -> (Vec<(Arc<Traced>, u64)>, bool) {
        let tracer = lock();
        let (mut work, mut events) = (Vec::new(), 0);
        let (first, second) = (tracer.rings.range(self.resume_at..), tracer.rings.range(..self.resume_at));
        for held in first.chain(second).flat_map(|(_, rings)| rings) {
            let Some(&(_, next)) = held.readers.iter().find(|(number, _)| *number == self.number) else { continue };
            let head = held.traced.ring.head();
            if head > next {
                events += head - next;
                work.push((held.traced.clone(), next));
            }
            if events > most {
                return (work, true);
            }
        }
        (work, false)
    }

    /// Notes how far this reader is.
    fn settle(&self, work: &[(Arc<Traced>, u64)]) {
        let mut tracer = lock();
        for (traced, next) in work {
            if let Some(rings) = tracer.rings.get_mut(&traced.ident) {
                let same = |held: &&mut Held| Arc::ptr_eq(&held.traced, traced);
                rings.iter_mut().filter(same).for_each(|held| held.note(self.number, *next));
            }
            tracer.sweep(traced.ident);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut tracer = lock();
        tracer.readers.retain(|&number| number != self.number);
        for held in tracer.rings.values_mut().flatten() {
            held.readers.retain(|&(number, _)| number != self.number);
            held.update();
        }
        let threads: Vec<u32> = tracer.rings.keys().copied().collect();
        threads.into_iter().for_each(|ident| tracer.sweep(ident));
    }
}
