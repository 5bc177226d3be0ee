//! What is kept of waits for those who watch: nothing while nobody does, which costs a look at one flag.
//!
//! While somebody counts, the end of each wait is noted by [object](super::objects); while somebody traces,
//! what threads do with their waits is also [recorded](super::trace), event by event. The library's own threads
//! do nothing that is kept.

use super::kind::Kind;
use super::record::{Record, Shared};
use super::sys::{PlainGuard, PlainLock};
use super::trace::{self, Did, How, Tracer};
use super::wait::{Described, Outcome, Wait};
use super::{current, objects, told::Told};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

/// What is kept at present. Relaxed: what begins or ends at that moment may be kept or not.
static LEVEL: AtomicU8 = AtomicU8::new(NOTHING);
const NOTHING: u8 = 0;
const COUNTS: u8 = 1;
const EVENTS: u8 = 2;

struct Watchers {
    counting: usize,
    tracing: usize,
}

static WATCHERS: PlainLock<Watchers> = PlainLock::new(Watchers { counting: 0, tracing: 0 });

impl Watchers {
    fn set_level(&self) {
        let level = match self {
            Watchers { tracing: 1.., .. } => EVENTS,
            Watchers { counting: 1.., .. } => COUNTS,
            _ => NOTHING,
        };
        LEVEL.store(level, Ordering::Relaxed);
    }
}

thread_local! {
    static KNOWN: Known = const { Known([const { Cell::new(Met { key: 0, kind: Kind::Idle, identity: 0, epoch: 0, id: 0 }) }; 4]) };
}

/// An object that a thread has met, and its number: not to have to look for it at the beginning of each wait.
#[derive(Clone, Copy)]
struct Met {
    key: usize,
    kind: Kind,
    identity: u64,
    /// Since when numbers are as they are: see [`objects::epoch`].
    epoch: u32,
    id: u32,
}

/// The last few.
struct Known([Cell<Met>; 4]);

impl Known {
    fn place(&self, thing: &objects::Thing<'_>) -> &Cell<Met> {
        // Keys are addresses of words.
        &self.0[(thing.key >> 3 ^ thing.kind as usize) % 4]
    }

    fn find(&self, thing: &objects::Thing<'_>) -> Option<u32> {
        let met = self.place(thing).get();
        let same = met.key == thing.key && met.kind == thing.kind && met.identity == thing.identity;
        (same && met.epoch == objects::epoch()).then_some(met.id)
    }

    fn note(&self, thing: &objects::Thing<'_>, id: u32) {
        let &objects::Thing { key, kind, identity, .. } = thing;
        self.place(thing).set(Met { key, kind, identity, epoch: objects::epoch(), id });
    }
}

/// While one lives, waits are counted by object.
pub(crate) struct Counting(());

impl Counting {
    pub(crate) fn begin() -> Counting {
        let mut watchers = WATCHERS.lock();
        if watchers.counting == 0 {
            objects::clear();
        }
        watchers.counting += 1;
        watchers.set_level();
        Counting(())
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let mut watchers = WATCHERS.lock();
        // Not so many in the child of a fork, where all have been forgotten.
        watchers.counting = watchers.counting.saturating_sub(1);
        watchers.set_level();
        if watchers.counting == 0 {
            objects::clear(); // what they take
        }
    }
}

/// Records events for its reader while it lives, or until it is stopped.
pub(crate) struct Tracing {
    reader: trace::Reader,
    goes_on: bool,
    // Objects have their numbers from there.
    _counting: Counting,
}

impl Tracing {
    pub(crate) fn begin() -> Tracing {
        let tracing = Tracing { _counting: Counting::begin(), reader: trace::Reader::new(), goes_on: true };
        let mut watchers = WATCHERS.lock();
        watchers.tracing += 1;
        watchers.set_level();
        tracing
    }

    /// Records no more, unless others do. What has been recorded can still be read.
    pub(crate) fn stop(&mut self) {
        if std::mem::replace(&mut self.goes_on, false) {
            let mut watchers = WATCHERS.lock();
            watchers.tracing = watchers.tracing.saturating_sub(1);
            watchers.set_level();
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Deref for Tracing {
    type Target = trace::Reader;

    fn deref(&self) -> &trace::Reader {
        &self.reader
    }
}

impl DerefMut for Tracing {
    fn deref_mut(&mut self) -> &mut trace::Reader {
        &mut self.reader
    }
}

/// What was found out about a wait's object at its beginning.
pub(super) type Begun = Option<u64>;

/// A wait has begun, and its thread can be found. Not to be called under the lock of a bucket, as none of
/// these.
#[inline]
pub(super) fn begin(me: &Record, key: usize, wait: &Wait<'_>, began: Instant) -> Begun {
    if LEVEL.load(Ordering::Relaxed) < EVENTS { None } else { begin_traced(me, key, wait, began) }
}

#[cold]
fn begin_traced(me: &Record, key: usize, wait: &Wait<'_>, began: Instant) -> Begun {
    if me.is_service() {
        return None;
    }
    let identity = identity_of(me, wait);
    let meet = |thing: &objects::Thing<'_>| {
        KNOWN.with(|known| {
            known.find(thing).unwrap_or_else(|| {
                let id = objects::meet(thing);
                known.note(thing, id);
                id
            })
        })
    };
    let object = with_thing(me, key, wait, identity, meet);
    trace::record(began, Did::Wait { object });
    if let Some(length) = wait.length {
        trace::record(began, Did::Length { object, length: length() as u64 });
    }
    Some(identity)
}

/// The wait has ended.
#[inline]
pub(super) fn end(
    me: &Record,
    key: usize,
    wait: &Wait<'_>,
    [began, ended]: [Instant; 2],
    outcome: &Outcome,
    begun: Begun,
) {
    let level = LEVEL.load(Ordering::Relaxed);
    if level != NOTHING {
        end_watched(me, key, wait, [began, ended], outcome, begun, level);
    }
}

#[cold]
fn end_watched(
    me: &Record,
    key: usize,
    wait: &Wait<'_>,
    [began, ended]: [Instant; 2],
    outcome: &Outcome,
    begun: Begun,
    level: u8,
) {
    if me.is_service() {
        return;
    }
    let identity = begun.unwrap_or_else(|| identity_of(me, wait));
    let lasted = ended.saturating_duration_since(began);
    let lasted_ns = u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX);
    let length = wait.length.map(|length| length() as u64);
    let object = with_thing(me, key, wait, identity, |thing| objects::note(thing, lasted_ns, length));
    if level < EVENTS {
        return;
    }
    let how = match outcome {
        Outcome::Granted(_) => How::Granted,
        Outcome::Invalid => How::Again,
        Outcome::TimedOut => How::TimedOut,
        Outcome::Interrupted | Outcome::Signalled => How::Interrupted,
        Outcome::Deadlocked(_) => How::Deadlocked,
    };
    trace::record(ended, Did::End { object, how, turn: me.turn(), lasted_ns });
    if let Some(length) = length {
        trace::record(ended, Did::Length { object, length });
    }
}

/// The calling thread is about to grant these threads' waits.
#[inline]
pub(super) fn wake<'a>(threads: impl Iterator<Item = &'a Shared>) {
    if LEVEL.load(Ordering::Relaxed) == EVENTS {
        wake_traced(threads);
    }
}

#[cold]
fn wake_traced<'a>(threads: impl Iterator<Item = &'a Shared>) {
    if current::if_known(Record::is_service) == Some(true) {
        return;
    }
    // Before the grant: so no wait ends before it was ended.
    let at = Instant::now();
    for thread in threads {
        trace::record(at, Did::Wake { thread: thread.ident(), turn: thread.turn() });
    }
}

/// The calling thread ends.
pub(super) fn leave() {
    trace::end();
}

fn identity_of(me: &Record, wait: &Wait<'_>) -> u64 {
    me.told().map_or_else(|| wait.subject.identity(), Told::identity)
}

fn with_thing<R>(
    me: &Record,
    key: usize,
    wait: &Wait<'_>,
    identity: u64,
    call: impl FnOnce(&objects::Thing<'_>) -> R,
) -> R {
    let told = me.told();
    let key = told.and_then(Told::key).unwrap_or(key);
    let words = || told.map_or_else(|| Described(wait.subject).to_string(), Told::object);
    call(&objects::Thing { key, kind: wait.kind, identity, words: &words })
}

/// All of it, locked across a fork.
#[cfg(unix)]
pub(super) struct Held {
    watchers: PlainGuard<'static, Watchers>,
    objects: Vec<PlainGuard<'static, objects::Table>>,
    tracer: PlainGuard<'static, Tracer>,
}

#[cfg(unix)]
impl Held {
    pub(super) fn lock() -> Held {
        Held { watchers: WATCHERS.lock(), objects: objects::lock_all(), tracer: trace::lock() }
    }

    /// In the child: nobody watches it.
    pub(super) fn clear(&mut self) {
        *self.watchers = Watchers { counting: 0, tracing: 0 };
        self.watchers.set_level();
        self.objects.iter_mut().for_each(|table| table.clear());
        self.tracer.clear();
    }
}
