//! How long a deadlock lasts before somebody is told.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lisle::WaitError;
use lisle::sync::Mutex;
use lisle::thread::{self, JoinError, JoinHandle, Thread};

use crate::harness::Role::Lisle;
use crate::harness::{Case, Goal};

/// Time for the waits that make the rest of the cycle to settle.
const SETTLE: Duration = Duration::from_millis(20);

/// When a deadlock that nobody reports is given up, and counted with this time.
const GIVEN_UP: Duration = Duration::from_secs(1);

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn() -> Duration| {
        Case::new("deadlock", format!("{name}, closing to report"), Goal::AtMost(20e6)).measured(
            Lisle,
            "lisle",
            move |_| vec![run().as_nanos() as f64],
        )
    };
    vec![
        case("a lock taken again by its holder", || ring(1)),
        case("two locks", || ring(2)),
        case("three locks", || ring(3)),
        case("joining a thread that wants what one holds", join_while_holding),
        case("two threads that join each other", join_each_other),
    ]
}

/// What a thread of a cycle sends: that it is about to close the cycle, or that it was failed.
enum Signal {
    Closing(Instant),
    Reported(Instant),
}

/// As many threads as locks; each holds its own lock and wants the next one's. The last to want
/// closes the cycle.
fn ring(size: usize) -> Duration {
    let locks: Arc<[Mutex<()>]> = (0..size).map(|_| Mutex::new(())).collect();
    let gate = Arc::new(std::sync::Barrier::new(size));
    cycle(size, move |index, signals| {
        let _own = locks[index].lock();
        gate.wait();
        if index == 0 {
            close(&signals);
        }
        if let Err(WaitError::Deadlocked(_)) = locks[(index + 1) % size].lock_interruptible() {
            report(&signals);
        }
    })
}

/// One thread joins the other, which wants the lock that the first one holds.
fn join_while_holding() -> Duration {
    let lock = Arc::new(Mutex::new(()));
    let other = Arc::new(OnceLock::new());
    cycle(2, move |index, signals| {
        if index == 0 {
            let _held = lock.lock();
            let other: &Thread = other.wait();
            close(&signals);
            if let Err(JoinError::Deadlocked(_)) = other.join() {
                report(&signals);
            }
        } else {
            // Late enough for the first thread to hold the lock.
            std::thread::sleep(SETTLE / 4);
            let _ = other.set(thread::current());
            if let Err(WaitError::Deadlocked(_)) = lock.lock_interruptible() {
                report(&signals);
            }
        }
    })
}

fn join_each_other() -> Duration {
    let threads = Arc::new([const { OnceLock::new() }; 2]);
    cycle(2, move |index, signals| {
        let _ = threads[index].set(thread::current());
        let other: &Thread = threads[1 - index].wait();
        if index == 0 {
            close(&signals);
        }
        if let Err(JoinError::Deadlocked(_)) = other.join() {
            report(&signals);
        }
    })
}

/// Lets the others settle, and tells that the next call closes the cycle.
fn close(signals: &Sender<Signal>) {
    std::thread::sleep(SETTLE);
    let _ = signals.send(Signal::Closing(Instant::now()));
}

fn report(signals: &Sender<Signal>) {
    let _ = signals.send(Signal::Reported(Instant::now()));
}

/// Runs `body` in `size` threads and returns the time from closing to the first report.
fn cycle(size: usize, body: impl Fn(usize, Sender<Signal>) + Clone + Send + 'static) -> Duration {
    let (sender, signals) = mpsc::channel();
    let threads: Vec<JoinHandle<()>> = (0..size)
        .map(|index| {
            let (body, sender) = (body.clone(), sender.clone());
            thread::spawn(move || body(index, sender))
        })
        .collect();
    let (mut closing, mut reported) = (None, None);
    while closing.is_none() || reported.is_none() {
        match signals.recv_timeout(SETTLE + GIVEN_UP) {
            Ok(Signal::Closing(at)) => closing = Some(at),
            Ok(Signal::Reported(at)) => reported = reported.or(Some(at)),
            Err(_) => break,
        }
    }
    // Ends what was not reported; whoever has left does not mind.
    threads.iter().for_each(|handle| handle.thread().interrupt());
    threads.iter().for_each(|handle| {
        let _ = handle.join();
    });
    match (closing, reported) {
        (Some(closing), Some(reported)) => reported.saturating_duration_since(closing),
        _ => GIVEN_UP,
    }
}
