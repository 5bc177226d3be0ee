//! Traces: what is recorded, what is counted, and the file that Perfetto opens.

mod rules;

use lisle::queue::Queue;
use lisle::sync::{Event, Mutex, Semaphore};
use lisle::watch::perfetto::Writer;
use lisle::watch::wire::{self, Outcome, Trace, TraceObject, TraceThread, What};
use lisle::watch::{Counting, Reader, snapshot};
use lisle::{Kind, thread};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Reads a trace to its end.
fn rest(reader: &mut Reader) -> Vec<Trace> {
    reader.stop();
    let mut parts = Vec::new();
    while !parts.last().is_some_and(|part: &Trace| part.last) {
        parts.push(reader.next());
    }
    parts
}

fn file_of(parts: &[Trace]) -> (String, rules::File) {
    let mut writer = Writer::new(Vec::new(), std::process::id(), "test").unwrap();
    parts.iter().for_each(|part| writer.add(part).unwrap());
    assert!(writer.is_complete());
    let (json, written) = writer.finish().unwrap();
    assert_eq!(json.len() as u64, written.bytes);
    let json = String::from_utf8(json).unwrap();
    let file = rules::read(&json);
    assert_eq!(file.arrows.len() as u64, written.arrows);
    (json, file)
}

/// Waits until the thread sleeps in the lot.
fn until_waits(thread: &thread::Thread) {
    let ident = thread.ident().unwrap().get();
    while !snapshot().threads.iter().any(|seen| seen.ident == ident && seen.wait.is_some()) {
        thread::yield_now();
    }
}

#[test]
fn the_slices_of_a_lock_add_up_to_its_counters() {
    let mut reader = Reader::start();
    let locks = ["north", "south"].map(|name| Mutex::named(0_u64, name));
    let jobs = Queue::bounded(4).with_name("orders");
    let (mut parts, over) = (Vec::new(), AtomicBool::new(false));
    let rounds = if cfg!(debug_assertions) { 3_000 } else { 30_000 };
    let stats = thread::scope(|scope| {
        // So that there are waits for each of them, however fast the machine is.
        let held = locks.each_ref().map(Mutex::lock);
        let workers: Vec<_> = (0..6)
            .map(|worker| {
                let (locks, jobs) = (&locks, &jobs);
                scope.spawn(move || {
                    for round in 0..rounds {
                        *locks[(worker + round) % 2].lock() += 1;
                        match worker {
                            0..3 => jobs.put(round).unwrap(),
                            _ => drop(jobs.get().unwrap()),
                        }
                    }
                    thread::current().wait_stats()
                })
            })
            .collect();
        let reading = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                parts.push(reader.next());
                thread::yield_now();
            }
        });
        workers.iter().for_each(|worker| until_waits(worker.thread()));
        drop(held);
        let mut stats: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        // The same for the queue, at both of its ends.
        let getter = scope.spawn(|| {
            jobs.get().unwrap();
            thread::current().wait_stats()
        });
        until_waits(getter.thread());
        jobs.put(0).unwrap();
        stats.push(getter.join().unwrap());
        (0..4).for_each(|n| jobs.put(n).unwrap());
        let putter = scope.spawn(|| {
            jobs.put(4).unwrap();
            thread::current().wait_stats()
        });
        until_waits(putter.thread());
        jobs.get().unwrap();
        stats.push(putter.join().unwrap());
        over.store(true, Ordering::Relaxed);
        reading.join().unwrap();
        stats
    });
    let objects = snapshot().objects;
    parts.extend(rest(&mut reader));
    assert_eq!(parts.iter().map(|part| part.dropped).sum::<u64>(), 0);
    let (_, file) = file_of(&parts);
    let mut sums: HashMap<String, (u64, u64)> = HashMap::new();
    for slice in file.slices.iter().filter(|slice| slice.category == "wait" && slice.args["outcome"] != "waits on") {
        let sum = sums.entry(slice.name.clone()).or_default();
        *sum = (sum.0 + 1, sum.1 + slice.length);
    }
    let close = |slices: u64, counted: u64| slices.abs_diff(counted) <= counted / 100 + 1_000;
    let mut by_kind: HashMap<Kind, (u64, u64)> = HashMap::new();
    for (kind, name) in [
        (Kind::Mutex, "north"),
        (Kind::Mutex, "south"),
        (Kind::QueuePut, "orders"),
        (Kind::QueueGet, "orders"),
        (Kind::QueueLock, "orders"),
    ] {
        // Both ends of a queue have a lock: these are two objects with the same words.
        let counted = objects.iter().filter(|seen| seen.kind == kind.to_string() && seen.object == format!("{name:?}"));
        let (waits, total_us) = counted.fold((0, 0), |sum, seen| (sum.0 + seen.waits, sum.1 + seen.total_us));
        let &(slices, length) = sums.get(&format!("{kind} {name:?}")).unwrap_or(&(0, 0));
        assert_eq!(slices, waits, "{kind} {name}");
        assert!(close(length, total_us * 1000), "{kind} {name}: {length} ns in slices, {total_us} µs counted");
        let sum = by_kind.entry(kind).or_default();
        *sum = (sum.0 + slices, sum.1 + length);
    }
    // What the threads themselves know.
    for (kind, (slices, length)) in by_kind {
        let known = stats.iter().map(|stats| stats.get(kind));
        let (count, total) = known.fold((0, Duration::ZERO), |sum, stat| (sum.0 + stat.count, sum.1 + stat.total));
        assert_eq!(slices, count, "{kind}");
        assert!(close(length, total.as_nanos() as u64), "{kind}: {length} ns in slices, {total:?} known");
    }
    assert!(sums["mutex \"north\""].0 >= 3 && sums["mutex \"south\""].0 >= 3);
    assert!(sums["queue empty \"orders\""].0 > 0 && !file.arrows.is_empty());
    let items = &file.counters["\"orders\""];
    assert!(items.iter().all(|&(_, items)| items <= 4) && items.iter().any(|&(_, items)| items == 4));
}

#[test]
fn who_wakes_whom_is_told_also_by_a_thread_that_ends() {
    let mut reader = Reader::start();
    let worker = thread::Builder::new().name("short-lived".into()).spawn(thread::park).unwrap();
    let ident = worker.thread().ident().unwrap().get();
    until_waits(worker.thread());
    let joiner = {
        let thread = worker.thread().clone();
        thread::Builder::new().name("joiner".into()).spawn(move || {
            until_waits(&thread);
            thread.join().unwrap();
        })
    };
    let joiner = joiner.unwrap();
    until_waits(joiner.thread());
    let joined_by = joiner.thread().ident().unwrap().get();
    worker.thread().unpark();
    joiner.join().unwrap();
    let parts = rest(&mut reader);
    let events = || parts.iter().flat_map(|part| &part.events);
    let wakes = |by: u32, woken: u32| {
        events().find_map(|event| match event.what {
            What::Wake { thread, wait } if (event.thread, thread) == (by, woken) => Some((event.at_ns, wait)),
            _ => None,
        })
    };
    let ends = |thread: u32, number: u32| {
        events().find_map(|event| match event.what {
            What::End { outcome, wait, .. } if (event.thread, wait) == (thread, number) => Some((event.at_ns, outcome)),
            _ => None,
        })
    };
    let (at, wait) = wakes(thread::current().ident().unwrap().get(), ident).expect("unparked");
    let (end, outcome) = ends(ident, wait).expect("its wait ended");
    assert!(at <= end && outcome == Outcome::Granted);
    let (at, wait) = wakes(ident, joined_by).expect("a thread's end wakes who waits for it");
    let (end, outcome) = ends(joined_by, wait).expect("its wait ended");
    assert!(at <= end && outcome == Outcome::Granted);
    let (_, file) = file_of(&parts);
    let arrow = |[from, to]: &[(u64, u64); 2]| (from.0, to.0) == (u64::from(ident), u64::from(joined_by));
    assert!(file.arrows.iter().any(arrow));
    assert_eq!(file.threads[&u64::from(ident)], "short-lived");
}

#[test]
fn waits_that_go_on_are_there_from_the_beginning_and_to_the_end() {
    let never = Event::named("never");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| never.wait());
        until_waits(waiter.thread());
        let mut reader = Reader::start();
        let parts = rest(&mut reader);
        let (_, file) = file_of(&parts);
        let ident = u64::from(waiter.thread().ident().unwrap().get());
        let slice = file.slices.iter().find(|slice| slice.thread == ident).expect("it waits");
        assert_eq!((&*slice.name, &slice.args["outcome"]), ("event \"never\"", &"waits on".into()));
        assert_eq!(slice.began, parts[0].since_ns);
        never.set();
    });
}

#[test]
fn each_way_out_of_a_wait_is_told() {
    let mut reader = Reader::start();
    let (permits, own) = (Semaphore::named(0, "ways out"), Mutex::named((), "own"));
    // On a busy machine the time may be over before it sleeps.
    while thread::current().wait_stats().get(Kind::Semaphore).count == 0 {
        assert!(permits.acquire_for(Duration::from_millis(1)).unwrap_err().is_timed_out());
    }
    thread::scope(|scope| {
        let waiter = scope.spawn(|| permits.acquire().unwrap_err().is_interrupted());
        until_waits(waiter.thread());
        waiter.thread().interrupt();
        assert!(waiter.join().unwrap());
        let waiter = scope.spawn(|| permits.acquire().unwrap());
        until_waits(waiter.thread());
        permits.release();
        waiter.join().unwrap();
    });
    let held = own.lock();
    assert!(own.lock_interruptible().unwrap_err().deadlock().is_some());
    drop(held);
    let parts = rest(&mut reader);
    let named = |name: &str| {
        let words = format!("{name:?}");
        let object = parts.iter().flat_map(|part| &part.objects).find(|object| object.object == words);
        object.unwrap_or_else(|| panic!("no {name}")).id
    };
    let outcomes = |id: u32| -> HashSet<Outcome> {
        let events = parts.iter().flat_map(|part| &part.events);
        let outcome = |event: &wire::Event| match event.what {
            What::End { object, outcome, .. } if object == id => Some(outcome),
            _ => None,
        };
        events.filter_map(outcome).collect()
    };
    let all = [Outcome::TimedOut, Outcome::Interrupted, Outcome::Granted].into();
    let told = outcomes(named("ways out"));
    assert!(told.is_superset(&all), "{told:?}");
    assert!(outcomes(named("own")).contains(&Outcome::Deadlocked));
}

#[test]
fn several_readers_see_the_same_each_from_its_own_start() {
    let wait = |name: &str| {
        let event = Event::named(name);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| event.wait().unwrap());
            until_waits(waiter.thread());
            event.set();
            waiter.join().unwrap();
        });
    };
    let ends = |parts: &[Trace], name: &str| {
        let words = format!("{name:?}");
        let id = parts.iter().flat_map(|part| &part.objects).find(|object| object.object == words).map(|seen| seen.id);
        let is_end = |event: &&wire::Event| matches!(event.what, What::End { object, .. } if Some(object) == id);
        parts.iter().flat_map(|part| &part.events).filter(is_end).count()
    };
    let mut first = Reader::start();
    wait("both 1");
    let begun = first.next();
    assert!(!begun.last);
    let mut second = Reader::start();
    wait("both 2");
    let first_parts = [vec![begun], rest(&mut first)].concat();
    wait("both 3");
    let second_parts = rest(&mut second);
    let counts = |parts: &[Trace]| ["both 1", "both 2", "both 3"].map(|name| ends(parts, name));
    assert_eq!((counts(&first_parts), counts(&second_parts)), ([1, 1, 0], [0, 1, 1]));
    assert!(first_parts.last().unwrap().last && second_parts.last().unwrap().last);
}

#[test]
fn a_lock_at_the_place_of_another_is_another() {
    let _counting = Counting::start();
    let mut semaphore = Semaphore::named(0, "place 0");
    for n in 0..3 {
        // The name's number and its memory come back for the next.
        semaphore = {
            drop(semaphore);
            Semaphore::named(0, format!("place {n}"))
        };
        let waits = || thread::current().wait_stats().get(Kind::Semaphore).count;
        let before = waits();
        while waits() < before + n + 1 {
            semaphore.acquire_for(Duration::from_millis(1)).unwrap_err();
        }
    }
    let last = snapshot().objects.into_iter().find(|object| object.object == "\"place 2\"").expect("waited for");
    assert_eq!((last.waits, last.length), (3, Some(0)));
}

/// What a trace without chance in it becomes, byte by byte.
#[test]
fn a_trace_is_written_as_it_was() {
    let event = |at_ns, thread, what| wire::Event { at_ns, thread, what };
    let thread = |ident, name: &str| TraceThread { ident, native_id: 4000 + ident, name: name.into() };
    let object = |id, kind: &str, words: &str| TraceObject { id, kind: kind.into(), object: words.into() };
    let parts = [
        Trace {
            since_ns: 1_000,
            until_ns: 50_000,
            threads: vec![thread(1, "main"), thread(2, "</script><b>\"quoted\"\\ \u{1b}[31m é\u{7f}")],
            objects: vec![object(64, "mutex", "\"a <lock>\""), object(65, "queue empty", "\"jobs\"")],
            events: vec![
                // It had begun before the trace.
                event(500, 2, What::Wait { object: 64 }),
                event(2_500, 1, What::Wake { thread: 2, wait: 7 }),
                event(2_500, 1, What::Wake { thread: 3, wait: 1 }),
                event(3_000, 1, What::Wait { object: 65 }),
                event(3_000, 1, What::Length { object: 65, length: 0 }),
                event(4_100, 2, What::End { object: 64, outcome: Outcome::Granted, wait: 7, waited_ns: 9_999 }),
            ],
            ..Trace::default()
        },
        Trace {
            since_ns: 1_000,
            until_ns: 90_000,
            threads: vec![thread(3, "")],
            objects: vec![object(66, "queue full", "\"jobs\""), object(67, "queue full", "\"jobs\"")],
            events: vec![
                event(60_001, 3, What::End { object: 67, outcome: Outcome::Granted, wait: 1, waited_ns: 58_000 }),
                event(60_001, 3, What::Length { object: 67, length: 5 }),
                event(70_000, 2, What::Wait { object: 64 }),
                event(80_000, 3, What::Wake { thread: 1, wait: 9 }),
                event(80_750, 1, What::End { object: 65, outcome: Outcome::TimedOut, wait: 9, waited_ns: 77_750 }),
            ],
            dropped: 12,
            last: true,
        },
    ];
    let mut writer = Writer::new(Vec::new(), 4000, "test <1>").unwrap();
    parts.iter().for_each(|part| writer.add(part).unwrap());
    let json = String::from_utf8(writer.finish().unwrap().0).unwrap();
    rules::read(&json);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trace/golden.json");
    if std::env::var_os("LISLE_BLESS").is_some() {
        std::fs::write(golden, &json).unwrap();
    }
    let told = std::fs::read_to_string(golden).unwrap();
    for (line, told) in json.lines().zip(told.lines()) {
        assert_eq!(line, told, "LISLE_BLESS=1 writes it anew");
    }
    assert_eq!(json.len(), told.len());
    assert!(!json.contains('<') && !json.contains('\u{1b}') && !json.contains('\u{7f}'));
}
