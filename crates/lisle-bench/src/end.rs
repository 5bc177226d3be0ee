//! How promptly a wait of each kind ends: after its deadline, and after an interrupt.

use std::mem::forget;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use lisle::queue::Queue;
use lisle::sync::{Barrier, Condvar, Event, Lock, Mutex, ReentrantMutex, RwLock, Semaphore};
use lisle::thread;

use crate::harness::Role::Lisle;
use crate::harness::{Case, Figure, Goal, Unit};

/// How long a wait lasts that times out, and before an interrupt.
const LIMIT: Duration = Duration::from_millis(10);

/// How long a wait lasts that an interrupt should end, and doesn't.
const FOR_EVER: Duration = Duration::from_secs(1);

/// Waits for what does not come, for so long.
type Wait = Arc<dyn Fn(Duration) + Send + Sync>;

pub(crate) fn cases() -> Vec<Case> {
    waits().into_iter().map(|(name, wait)| case(name, wait)).collect()
}

fn case(name: &str, wait: Wait) -> Case {
    let figure = |how| Figure::new(format!("{name}, {how}"), Unit::Nanos, Goal::AtMost(5e6));
    Case::of("end", [figure("time-out to end"), figure("interrupt to end")]).measured(Lisle, "lisle", move |_| {
        [false, true].map(|interrupt| lateness(&wait, interrupt).as_nanos() as f64).to_vec()
    })
}

/// How long after its limit, or after an interrupt, a wait of another thread ends.
fn lateness(wait: &Wait, interrupt: bool) -> Duration {
    let wait = Arc::clone(wait);
    let (sender, waited) = mpsc::channel();
    let handle = thread::spawn(move || {
        let begin = Instant::now();
        wait(if interrupt { FOR_EVER } else { LIMIT });
        let _ = sender.send((begin, Instant::now()));
    });
    let interrupted = interrupt.then(|| {
        std::thread::sleep(LIMIT);
        let now = Instant::now();
        handle.thread().interrupt();
        now
    });
    // This thread holds the locks that the other waits for. Were it to join the other now, that
    // would be a deadlock; so it listens first.
    let (begin, end) = waited.recv().expect("the other sends before it ends");
    handle.join().expect("a wait that ends does not panic");
    end.saturating_duration_since(interrupted.unwrap_or(begin + LIMIT))
}

/// A call that waits on `thing` after `block` has seen to it that it must.
fn on<T: Send + Sync + 'static>(
    thing: T,
    block: impl FnOnce(&T),
    call: impl Fn(&T, Duration) + Send + Sync + 'static,
) -> Wait {
    let thing = Arc::new(thing);
    block(&thing);
    Arc::new(move |limit| call(&thing, limit))
}

/// Every kind of blocking call. Guards are forgotten, so that what they lock stays locked.
fn waits() -> Vec<(&'static str, Wait)> {
    // A thread that outlasts the program, which does not wait for it.
    let endless = thread::Builder::new().daemon(true).spawn(|| Event::new().wait());
    let endless = endless.expect("a thread can be started");
    vec![
        ("Mutex", on(Mutex::new(()), |it| forget(it.lock()), |it, limit| drop(it.lock_for(limit)))),
        (
            "ReentrantMutex",
            on(
                ReentrantMutex::new(()),
                |it| forget(it.lock()),
                |it, limit| {
                    drop(it.lock_for(limit));
                },
            ),
        ),
        (
            "Lock",
            on(
                Lock::new(),
                |it| assert!(it.try_acquire()),
                |it, limit| {
                    let _ = it.acquire_for(limit);
                },
            ),
        ),
        ("RwLock, read", on(RwLock::new(()), |it| forget(it.write()), |it, limit| drop(it.read_for(limit)))),
        ("RwLock, write", on(RwLock::new(()), |it| forget(it.read()), |it, limit| drop(it.write_for(limit)))),
        (
            "Condvar",
            on(
                (Mutex::new(()), Condvar::new()),
                |_| (),
                |(lock, condvar), limit| {
                    let _ = condvar.wait_for(&mut lock.lock(), limit);
                },
            ),
        ),
        (
            "Semaphore",
            on(
                Semaphore::new(0),
                |_| (),
                |it, limit| {
                    let _ = it.acquire_for(limit);
                },
            ),
        ),
        (
            "Event",
            on(
                Event::new(),
                |_| (),
                |it, limit| {
                    let _ = it.wait_for(limit);
                },
            ),
        ),
        (
            "Barrier",
            // A wait that is given up breaks the barrier, so each has its own.
            on(
                (),
                |()| (),
                |(), limit| {
                    let _ = Barrier::new(2).wait_for(limit);
                },
            ),
        ),
        (
            "join",
            on(
                endless,
                |_| (),
                |it, limit| {
                    let _ = it.thread().join_for(limit);
                },
            ),
        ),
        (
            "Queue, get",
            on(
                Queue::<()>::unbounded(),
                |_| (),
                |it, limit| {
                    let _ = it.get_for(limit);
                },
            ),
        ),
        (
            "Queue, put",
            on(
                Queue::bounded(1),
                |it| it.put(()).expect("room for one"),
                |it, limit| {
                    let _ = it.put_for((), limit);
                },
            ),
        ),
        (
            "Queue, join",
            on(
                Queue::unbounded(),
                |it| it.put(()).expect("room"),
                |it, limit| {
                    let _ = it.join_for(limit);
                },
            ),
        ),
        (
            "sleep",
            on(
                (),
                |()| (),
                |(), limit| {
                    let _ = thread::sleep_interruptible(limit);
                },
            ),
        ),
    ]
}
