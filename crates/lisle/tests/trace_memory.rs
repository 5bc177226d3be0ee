//! A trace's memory and its sums: in a process of its own, whose memory is this test's alone.
//!
//! A release build with `LISLE_SOAK=25` makes it 10⁸ events long.

#[allow(dead_code, reason = "of what tests of chance share, this one needs the length")]
mod dice;

use dice::soak;
use lisle::Kind;
use lisle::sync::{Condvar, Mutex};
use lisle::thread;
use lisle::watch::Reader;
use lisle::watch::wire::What;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the watching of a program may take.
const MOST_KIB: u64 = 64 << 10;

/// The most memory that the process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it tells the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Two threads take turns `rounds` times; how often each was in the lot, for the condition and for its lock.
fn take_turns(rounds: u64) -> u64 {
    let (turn, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        let threads = [0, 1].map(|me| {
            let (turn, changed) = (&turn, &changed);
            scope.spawn(move || {
                for _ in 0..rounds {
                    let mut turn = turn.lock();
                    while *turn != me {
                        changed.wait(&mut turn).unwrap();
                    }
                    *turn = 1 - me;
                    drop(turn);
                    changed.notify_one();
                }
                let stats = thread::current().wait_stats();
                assert_eq!(stats.total(), stats.get(Kind::Mutex).total + stats.get(Kind::Condvar).total);
                stats.get(Kind::Mutex).count + stats.get(Kind::Condvar).count
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn many_events_take_little_memory_and_all_are_accounted_for() {
    let events = if soak() > 1 && !cfg!(debug_assertions) { 4_000_000 * soak() as u64 } else { 300_000 };
    let before = peak();
    // One that reads all the time, one that reads nothing before the end.
    let (mut reader, mut idler) = (Reader::start(), Reader::start());
    let over = AtomicBool::new(false);
    let (mut seen, mut ends, mut wakes, mut dropped) = (0_u64, 0_u64, 0_u64, 0_u64);
    let waits = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            // The number of each thread's next wait: none is told twice, or out of order.
            let mut last: HashMap<u32, u32> = HashMap::new();
            loop {
                let part = reader.next();
                dropped += part.dropped;
                for event in &part.events {
                    seen += 1;
                    match event.what {
                        What::End { wait, waited_ns, .. } => {
                            let before = last.insert(event.thread, wait);
                            assert!(before < Some(wait), "{before:?}, then {wait}");
                            assert!(waited_ns <= event.at_ns);
                            ends += 1;
                        }
                        What::Wake { .. } => wakes += 1,
                        _ => {}
                    }
                }
                if part.last {
                    return;
                }
                if over.load(Ordering::Acquire) {
                    reader.stop();
                } else if !reader.has_more() {
                    thread::yield_now();
                }
            }
        });
        // Threads come and go. At least a wait, its end and what ends it for each turn.
        let mut waits = 0;
        const TURNS: u64 = 20_000;
        while waits * 3 < events {
            waits += take_turns(TURNS);
        }
        over.store(true, Ordering::Release);
        reading.join().unwrap();
        waits
    });
    // What the idler has missed, and what is left for it.
    idler.stop();
    let (mut late, mut lost) = (0, 0);
    loop {
        let part = idler.next();
        (late, lost) = (late + part.events.len() as u64, lost + part.dropped);
        if part.last {
            break;
        }
    }
    let used = peak() - before;
    println!("{waits} waits, {seen} events seen, {dropped} lost; {late} seen late, {lost} lost; {used} KiB");
    assert!(used <= MOST_KIB, "{used} KiB");
    // Those of the threads that were joined above are in both sums too.
    assert!(seen + dropped >= 2 * waits && late + lost >= 2 * waits);
    let (on_time, missed) = (seen + dropped, late + lost);
    assert!(on_time.abs_diff(missed) <= 64, "one has seen {on_time} events, the other {missed}");
    if dropped == 0 {
        assert!(ends >= waits && wakes > 0);
    }
}
