//! A trace as a file that Perfetto opens, as does `chrome://tracing`: the JSON array format of Chrome's trace
//! events.
//!
//! | in the file | stands for |
//! |---|---|
//! | a track of its own, by ident | a thread |
//! | a slice named `mutex "account"` on it | a wait; how it ended is among its arguments |
//! | a slice `woken` at its end | the time from another thread's wake-up call to the end of the wait |
//! | a slice `wakes NAME` | the other thread's part in that |
//! | an arrow between the two | the hand-over |
//! | a counter named `"jobs" items` | the items of a queue, or permits of a semaphore, when threads waited for it |
//! | the instant `events lost`, and the last line | events that nobody could read in time |
//!
//! Perfetto does not like a file that ends in the middle: see [`checkpoint`](Writer::checkpoint).
#![forbid(unsafe_code)]

use super::wire::{Event, Outcome, Trace, What};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Seek, Write};

/// How long a wake-up call is shown to take: nobody has measured it, and an arrow needs a slice to begin at.
const CALL_NS: u64 = 1_000;
/// For how many arrows one end is kept while the other has not been seen.
const MOST_LOOSE: usize = 1 << 16;

/// Writes the parts of one trace, in the order in which they were read.
///
/// ```
/// use lisle::watch::Reader;
/// use lisle::watch::perfetto::Writer;
///
/// let mut reader = Reader::start();
/// let mut writer = Writer::new(Vec::new(), std::process::id(), "my program")?;
/// lisle::thread::spawn(|| ()).join().unwrap();
/// reader.stop();
/// while !writer.is_complete() {
///     writer.add(&reader.next())?;
/// }
/// let (json, written) = writer.finish()?;
/// assert_eq!(json.len() as u64, written.bytes);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Writer<W: Write> {
    out: Counted<W>,
    pid: u32,
    line: String,
    is_first: bool,
    is_complete: bool,
    since_ns: u64,
    until_ns: u64,
    /// The last event's time.
    latest_ns: u64,
    threads: HashMap<u32, Track>,
    objects: HashMap<u32, Thing>,
    /// How many objects of a kind go by the same words: their counters are told apart.
    namesakes: HashMap<(String, String), u32>,
    /// Arrows of which one end was seen, by the woken thread and the number of its wait.
    wakes: HashMap<(u32, u32), Wake>,
    ends: HashMap<(u32, u32), End>,
    written: Written,
}

/// Which thread woke another, and when.
#[derive(Clone, Copy)]
struct Wake {
    by: u32,
    at: u64,
}

/// From when to when a wait lasted that another thread ended.
#[derive(Clone, Copy)]
struct End {
    began: u64,
    at: u64,
}

/// What ends a file.
const END: &[u8] = b"\n]\n";

/// What has been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Written {
    /// How many events of the trace.
    pub events: u64,
    /// How many threads made them.
    pub threads: u64,
    /// How many were lost before they could be read.
    pub dropped: u64,
    /// How many waits they tell of.
    pub waits: u64,
    /// How many hand-overs of which both ends are known.
    pub arrows: u64,
    /// How long the text is.
    pub bytes: u64,
}

struct Track {
    name: String,
    /// Whether it made any event, and not only was woken.
    acts: bool,
    /// What it waits for, and since when.
    waits: Option<(u32, u64)>,
    /// Its last event, if that was a wake-up call: to be written when it is known how much room there is.
    calls: Option<(u64, Vec<(u32, u32)>)>,
}

/// How an object's slices and its counter go by, as text for JSON.
struct Thing {
    name: String,
    counter: String,
}

impl<W: Write> Writer<W> {
    /// A file about the process of this number and name.
    ///
    /// # Errors
    /// Those of `out`, here as below.
    pub fn new(out: W, pid: u32, process: &str) -> io::Result<Writer<W>> {
        let mut writer = Writer {
            out: Counted { out, bytes: 0 },
            pid,
            line: String::new(),
            is_first: true,
            is_complete: false,
            since_ns: 0,
            until_ns: 0,
            latest_ns: 0,
            threads: HashMap::new(),
            objects: HashMap::new(),
            namesakes: HashMap::new(),
            wakes: HashMap::new(),
            ends: HashMap::new(),
            written: Written::default(),
        };
        let name = text(process);
        writer.put(format_args!(
            r#"{{"ph":"M","name":"process_name","pid":{pid},"tid":{pid},"args":{{"name":{name}}}}}"#
        ))?;
        Ok(writer)
    }

    /// What has been written so far.
    pub fn written(&self) -> Written {
        Written { bytes: self.out.bytes, ..self.written }
    }

    /// Whether the last part of the trace has been added.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Adds a part.
    pub fn add(&mut self, part: &Trace) -> io::Result<()> {
        for thread in &part.threads {
            self.add_thread(thread.ident, &thread.name, thread.native_id)?;
        }
        for object in &part.objects {
            self.add_object(object.id, &object.kind, &object.object);
        }
        (self.since_ns, self.until_ns) = (part.since_ns, self.until_ns.max(part.until_ns));
        if part.dropped > 0 {
            self.written.dropped += part.dropped;
            let (pid, at, dropped) = (self.pid, Micros(self.until_ns), part.dropped);
            self.put(format_args!(
                r#"{{"ph":"i","s":"p","name":"events lost","cat":"lisle","pid":{pid},"tid":{pid},"ts":{at},"args":{{"events":{dropped}}}}}"#
            ))?;
        }
        for event in &part.events {
            self.add_event(event)?;
        }
        self.is_complete |= part.last;
        self.forget_loose_ends();
        Ok(())
    }

    /// Waits that still go on end with the trace. Returns what was written to.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        let mut threads: Vec<u32> = self.threads.keys().copied().collect();
        threads.sort_unstable();
        let end = self.until_ns.max(self.latest_ns);
        for ident in threads {
            self.call(ident, end)?;
            if let Some((object, since)) = self.track(ident).waits.take() {
                self.slice(ident, object, since.max(self.since_ns), end, "waits on")?;
            }
        }
        let Written { events, dropped, waits, arrows, .. } = self.written;
        let (pid, threads) = (self.pid, self.written.threads);
        self.put(format_args!(
            r#"{{"ph":"M","name":"lisle_trace","pid":{pid},"tid":{pid},"args":{{"events":{events},"threads":{threads},"waits":{waits},"hand_overs":{arrows},"lost":{dropped}}}}}"#
        ))?;
        self.out.write_all(END)?;
        self.out.flush()?;
        let written = self.written();
        Ok((self.out.out, written))
    }

    /// An event of the file, on a line of its own.
    fn put(&mut self, event: fmt::Arguments<'_>) -> io::Result<()> {
        let before = if std::mem::replace(&mut self.is_first, false) { "[\n" } else { ",\n" };
        self.line.clear();
        self.line.push_str(before);
        fmt::write(&mut self.line, event).expect("a string takes anything");
        self.out.write_all(self.line.as_bytes())
    }

    fn add_thread(&mut self, ident: u32, name: &str, native_id: u32) -> io::Result<()> {
        let name = if name.is_empty() { format!("thread {ident}") } else { name.to_owned() };
        let (pid, text) = (self.pid, text(&name));
        self.put(format_args!(
            r#"{{"ph":"M","name":"thread_name","pid":{pid},"tid":{ident},"args":{{"name":{text},"native_id":{native_id}}}}}"#
        ))?;
        self.put(format_args!(
            r#"{{"ph":"M","name":"thread_sort_index","pid":{pid},"tid":{ident},"args":{{"sort_index":{ident}}}}}"#
        ))?;
        self.track(ident).name = name;
        Ok(())
    }

    fn add_object(&mut self, id: u32, kind: &str, words: &str) {
        let number = self.namesakes.entry((kind.to_owned(), words.to_owned())).or_default();
        *number += 1;
        let counter = match *number {
            1 => words.to_owned(), // Perfetto adds the word for what is counted
            n => format!("{words} ({n})"),
        };
        let name = text(format!("{kind} {words}").trim_end());
        self.objects.insert(id, Thing { name, counter: text(&counter) });
    }

    fn track(&mut self, ident: u32) -> &mut Track {
        // Each is introduced before; one that is not has no name.
        let nameless = || Track { name: format!("thread {ident}"), acts: false, waits: None, calls: None };
        self.threads.entry(ident).or_insert_with(nameless)
    }

    fn add_event(&mut self, event: &Event) -> io::Result<()> {
        let &Event { at_ns, thread, what } = event;
        self.written.events += 1;
        self.latest_ns = self.latest_ns.max(at_ns);
        let track = self.track(thread);
        if !std::mem::replace(&mut track.acts, true) {
            self.written.threads += 1;
        }
        match what {
            What::Wait { object } => {
                self.call(thread, at_ns)?;
                self.track(thread).waits = Some((object, at_ns));
            }
            What::End { object, outcome, wait, waited_ns } => {
                let began = at_ns.saturating_sub(waited_ns).max(self.since_ns).min(at_ns);
                // What it did within the wait stands within the slice.
                let is_within = self.track(thread).calls.as_ref().is_some_and(|&(at, _)| at >= began);
                self.call(thread, if is_within { at_ns } else { began })?;
                self.track(thread).waits = None;
                self.slice(thread, object, began, at_ns, words_for(outcome))?;
                if outcome == Outcome::Granted {
                    let end = End { began, at: at_ns };
                    match self.wakes.remove(&(thread, wait)) {
                        Some(wake) => self.arrow((thread, wait), wake, end)?,
                        None => drop(self.ends.insert((thread, wait), end)),
                    }
                }
            }
            What::Wake { thread: woken, wait } => {
                let same = self.track(thread).calls.as_ref().is_some_and(|&(at, _)| at == at_ns);
                if !same {
                    self.call(thread, at_ns)?;
                }
                let calls = &mut self.track(thread).calls;
                calls.get_or_insert_with(|| (at_ns, Vec::new())).1.push((woken, wait));
            }
            What::Length { object, length } => {
                let Some(thing) = self.objects.get(&object) else { return Ok(()) };
                let (pid, at, counter) = (self.pid, Micros(at_ns.max(self.since_ns)), thing.counter.clone());
                self.put(format_args!(
                    r#"{{"ph":"C","name":{counter},"pid":{pid},"tid":{thread},"ts":{at},"args":{{"items":{length}}}}}"#
                ))?;
            }
            What::Other => {}
        }
        Ok(())
    }

    /// A wait.
    fn slice(&mut self, thread: u32, object: u32, began: u64, ended: u64, outcome: &str) -> io::Result<()> {
        self.written.waits += 1;
        let (pid, at, length) = (self.pid, Micros(began), Micros(ended - began));
        let name = self.objects.get(&object).map_or_else(|| r#""wait""#.to_owned(), |thing| thing.name.clone());
        self.put(format_args!(
            r#"{{"ph":"X","name":{name},"cat":"wait","pid":{pid},"tid":{thread},"ts":{at},"dur":{length},"args":{{"outcome":"{outcome}","object":{object}}}}}"#
        ))
    }

    /// Writes the thread's last wake-up call, for which there is room until its next event.
    fn call(&mut self, thread: u32, next: u64) -> io::Result<()> {
        let Some((at_ns, woken)) = self.track(thread).calls.take() else { return Ok(()) };
        let first = woken.first().map_or(0, |&(ident, _)| ident);
        let first = self.track(first).name.clone();
        let name = match woken.len() {
            1 => format!("wakes {first}"),
            n => format!("wakes {first} and {} more", n - 1),
        };
        let (pid, at, name) = (self.pid, Micros(at_ns), text(&name));
        let length = Micros(next.saturating_sub(at_ns).min(CALL_NS));
        self.put(format_args!(
            r#"{{"ph":"X","name":{name},"cat":"wake","pid":{pid},"tid":{thread},"ts":{at},"dur":{length}}}"#
        ))?;
        let wake = Wake { by: thread, at: at_ns };
        for whose in woken {
            match self.ends.remove(&whose) {
                Some(end) => self.arrow(whose, wake, end)?,
                None => drop(self.wakes.insert(whose, wake)),
            }
        }
        Ok(())
    }

    /// A hand-over of which both ends are known. Its slices, in which an arrow begins and ends, are there.
    fn arrow(&mut self, (thread, wait): (u32, u32), wake: Wake, end: End) -> io::Result<()> {
        self.written.arrows += 1;
        let (pid, by) = (self.pid, text(&self.track(wake.by).name.clone()));
        let began = wake.at.clamp(end.began, end.at);
        let (at, length) = (Micros(began), Micros(end.at - began));
        self.put(format_args!(
            r#"{{"ph":"X","name":"woken","cat":"wake","pid":{pid},"tid":{thread},"ts":{at},"dur":{length},"args":{{"by":{by}}}}}"#
        ))?;
        let (by, from) = (wake.by, Micros(wake.at));
        let id = u64::from(thread) << 32 | u64::from(wait); // read as a hexadecimal number
        self.put(format_args!(
            r#"{{"ph":"s","id":"{id:x}","name":"hand-over","cat":"wake","pid":{pid},"tid":{by},"ts":{from}}}"#
        ))?;
        let to = Micros((began + (end.at - began) / 2).max(wake.at));
        self.put(format_args!(
            r#"{{"ph":"f","bp":"e","id":"{id:x}","name":"hand-over","cat":"wake","pid":{pid},"tid":{thread},"ts":{to}}}"#
        ))
    }

    /// Of a hand-over whose other end was lost, what is kept would pile up.
    fn forget_loose_ends(&mut self) {
        let old = self.latest_ns.saturating_sub(1_000_000_000);
        if self.wakes.len() > MOST_LOOSE {
            self.wakes.retain(|_, wake| wake.at > old);
        }
        if self.ends.len() > MOST_LOOSE {
            self.ends.retain(|_, end| end.at > old);
        }
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Makes what has been written a whole file, for the case that the program is killed before the next.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        self.out.out.write_all(END)?;
        self.out.flush()?;
        self.out.out.seek_relative(-(END.len() as i64))
    }
}

fn words_for(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "granted",
        Outcome::Again => "look again",
        Outcome::TimedOut => "timed out",
        Outcome::Interrupted => "interrupted",
        Outcome::Deadlocked => "deadlocked",
        Outcome::Other => "other",
    }
}

/// Text as JSON that does no harm in a page or on a terminal either, should it get there as it is.
fn text(of: &str) -> String {
    let mut json = String::with_capacity(of.len() + 2);
    json.push('"');
    for c in of.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if matches!(c, '<' | '>' | '&' | '\'') || super::is_harmful(c) => {
                json += &format!("\\u{:04x}", u32::from(c)); // all of these are below 2¹⁶
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// Nanoseconds, as the microseconds of the file.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Counts the bytes on their way.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
