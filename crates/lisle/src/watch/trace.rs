//! What threads do, event by event, for who wants to see it afterwards.
#![forbid(unsafe_code)]

use super::wire::{Event, Outcome, Trace, TraceObject, TraceThread, What};
use crate::park::objects::{self, OTHERS};
use crate::park::trace::{self, Did, How};
use crate::park::watched::{self, Tracing};
use crate::park::{deadlock, registry};
use std::collections::HashSet;

/// How many events a part of a trace has at most.
const PART: u64 = 1 << 16;

/// After a trace was stopped its last events are read in at most so many parts, also if others read on and
/// there come ever more.
const PARTS_AFTER: u32 = 64;

/// Counts waits by object while it lives, for [`Snapshot::objects`](super::wire::Snapshot::objects).
///
/// That costs some tens of nanoseconds at the end of each wait that has to sleep or nearly so. Without it
/// only what is waited for at the moment is among the objects, without counts. The counts begin at nothing with
/// the first of these and are forgotten with the last.
///
/// ```
/// use lisle::sync::Event;
/// use lisle::{thread, watch};
///
/// let counting = watch::Counting::start();
/// let go = Event::named("go");
/// thread::scope(|scope| {
///     let waiter = scope.spawn(|| go.wait());
///     while waiter.thread().waits_for().is_none() {
///         thread::yield_now();
///     }
///     go.set();
/// });
/// let objects = watch::snapshot().objects;
/// let go = objects.iter().find(|object| object.object == "\"go\"").unwrap();
/// assert_eq!((&*go.kind, go.waits), ("event", 1));
/// # drop(counting);
/// ```
#[must_use = "it counts as long as it lives"]
pub struct Counting(
    #[allow(dead_code, reason = "its drop is what it is for")] // not where drops count as use
    watched::Counting,
);

impl Counting {
    /// Counts from now on.
    pub fn start() -> Counting {
        Counting(watched::Counting::begin())
    }
}

/// Records what all threads do with their waits, from [`start`](Reader::start) to
/// [`stop`](Reader::stop) or its drop: when they begin and end to wait, for what, and who wakes whom. There may be
/// several at once, which all see everything.
///
/// Who reads too slowly loses events; how many is told. The events of all threads together take
/// at most 32 MiB. A thread that makes an event spends some tens of nanoseconds on it. None is made
/// while there is no `Reader`.
///
/// ```
/// use lisle::sync::Event;
/// use lisle::thread;
/// use lisle::watch::wire::{Outcome, What};
/// use lisle::watch::Reader;
///
/// let mut reader = Reader::start();
/// let go = Event::named("go");
/// thread::scope(|scope| {
///     let waiter = scope.spawn(|| go.wait());
///     while waiter.thread().waits_for().is_none() {
///         thread::yield_now();
///     }
///     go.set();
/// });
/// reader.stop();
/// let trace = reader.next();
/// let go = trace.objects.iter().find(|object| object.object == "\"go\"").unwrap();
/// assert!(trace.events.iter().any(|event| matches!(
///     event.what,
///     What::End { object, outcome: Outcome::Granted, .. } if object == go.id
/// )));
/// assert!(trace.last);
/// ```
pub struct Reader {
    tracing: Tracing,
    since_ns: u64,
    /// What has been told of threads and objects.
    threads: HashSet<u32>,
    objects: HashSet<u32>,
    begun: bool,
    stopped: Option<Stopped>,
    has_more: bool,
}

struct Stopped {
    at_ns: u64,
    parts: u32,
}

impl Reader {
    /// Records from now on.
    pub fn start() -> Reader {
        let tracing = Tracing::begin();
        Reader {
            since_ns: tracing.now_ns(),
            tracing,
            threads: HashSet::new(),
            objects: HashSet::new(),
            begun: false,
            stopped: None,
            has_more: false,
        }
    }

    /// What has happened since the last time; does not block. One part has 65,536 events at most, see
    /// [`has_more`](Reader::has_more). The first begins with the waits that had begun before.
    #[expect(clippy::should_implement_trait, reason = "there is always a next one, if an empty one")]
    pub fn next(&mut self) -> Trace {
        let now_ns = self.tracing.now_ns();
        let mut trace = Trace { since_ns: self.since_ns, ..Trace::default() };
        if !std::mem::replace(&mut self.begun, true) {
            self.add_present_waits(&mut trace.events);
        }
        let until_ns = self.stopped.as_ref().map_or(now_ns, |stopped| stopped.at_ns);
        // What happened just before the start may have been written down just after it.
        let times = self.since_ns..=if self.stopped.is_some() { until_ns } else { u64::MAX };
        let (dropped, more) = self.tracing.read(PART, |event| {
            if times.contains(&event.at_ns) {
                trace.events.push(event_of(event));
            }
        });
        (trace.dropped, trace.until_ns, self.has_more) = (dropped, until_ns, more);
        if let Some(stopped) = &mut self.stopped {
            stopped.parts += 1;
            trace.last = !more || stopped.parts >= PARTS_AFTER;
            self.has_more = !trace.last;
        }
        self.introduce(&mut trace);
        trace
    }

    /// Whether the last part was not all that there was: the next one should follow at once.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Records no more. What has been recorded can still be read: up to the part that is the
    /// [last](Trace::last).
    pub fn stop(&mut self) {
        if self.stopped.is_none() {
            self.tracing.stop();
            self.stopped = Some(Stopped { at_ns: self.tracing.now_ns(), parts: 0 });
            self.has_more = true;
        }
    }

    /// The waits that go on already, as if they had begun when they did or, if that was before the clock of
    /// traces, with it.
    fn add_present_waits(&self, events: &mut Vec<Event>) {
        let threads: Vec<_> = registry::lock().iter().filter(|record| !record.is_service()).cloned().collect();
        for record in threads {
            let Some(waiting) = deadlock::waiting(&record) else { continue };
            let thing = objects::Thing {
                key: waiting.object_key,
                kind: waiting.kind,
                identity: waiting.identity,
                words: &|| waiting.object.clone(),
            };
            let object = objects::meet(&thing);
            events.push(Event {
                at_ns: self.tracing.at_ns(waiting.since),
                thread: record.ident(),
                what: What::Wait { object },
            });
        }
    }

    /// Names the threads and objects that this part is the first to speak of.
    fn introduce(&mut self, trace: &mut Trace) {
        let (mut threads, mut objects) = (Vec::new(), Vec::new());
        let (known_threads, known_objects) = (&mut self.threads, &mut self.objects);
        let mut thread = |ident: u32| {
            if known_threads.insert(ident) {
                threads.push(ident);
            }
        };
        let mut object = |id: u32| {
            if known_objects.insert(id) {
                objects.push(id);
            }
        };
        for event in &trace.events {
            thread(event.thread);
            match event.what {
                What::Wait { object: id } | What::End { object: id, .. } | What::Length { object: id, .. } => {
                    object(id)
                }
                What::Wake { thread: ident, .. } => thread(ident),
                What::Other => {}
            }
        }
        if !threads.is_empty() {
            let registry = registry::lock();
            trace.threads = threads
                .into_iter()
                .map(|ident| match registry.get(ident) {
                    Some(record) => {
                        TraceThread { ident, native_id: record.native_id(), name: record.name.get().to_owned() }
                    }
                    // It has ended.
                    None => TraceThread {
                        ident,
                        native_id: 0,
                        name: registry.ended_name(ident).unwrap_or_default().to_owned(),
                    },
                })
                .collect();
        }
        if !objects.is_empty() {
            let words = objects::words_of(objects.iter().copied());
            let known: HashSet<u32> = words.iter().map(|&(id, ..)| id).collect();
            let named = words.iter().map(|(id, kind, words)| TraceObject {
                id: *id,
                kind: kind.to_string(),
                object: words.to_string(),
            });
            let nameless = objects.iter().filter(|id| !known.contains(id)).map(|&id| TraceObject {
                id,
                kind: if id == OTHERS { "others" } else { "forgotten" }.into(),
                object: String::new(),
            });
            trace.objects = named.chain(nameless).collect();
        }
    }
}

fn event_of(trace::Event { at_ns, thread, did }: trace::Event) -> Event {
    let what = match did {
        Did::Wait { object } => What::Wait { object },
        Did::End { object, how, turn, lasted_ns } => {
            let outcome = match how {
                How::Granted => Outcome::Granted,
                How::Again => Outcome::Again,
                How::TimedOut => Outcome::TimedOut,
                How::Interrupted => Outcome::Interrupted,
                How::Deadlocked => Outcome::Deadlocked,
            };
            What::End { object, outcome, wait: turn, waited_ns: lasted_ns }
        }
        Did::Wake { thread, turn } => What::Wake { thread, wait: turn },
        Did::Length { object, length } => What::Length { object, length },
    };
    Event { at_ns, thread, what }
}
