//! What it costs to look at a program: the time that a snapshot takes, and what the program loses by it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use lisle::sync::{Event, Mutex, Semaphore};
use lisle::{thread, watch};

use crate::harness::Role::{Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Unit, compete, work};

const STACK: usize = 64 << 10;

/// What the threads of a crowd wait for.
#[derive(Clone, Copy)]
enum Scene {
    /// All for one lock.
    OneLock,
    /// Each for the lock of the one before: the longest way that there can be.
    Chain,
    /// All for one event.
    OneEvent,
}

const SCENES: [(Scene, &str); 3] = [
    (Scene::OneLock, "for one lock"),
    (Scene::Chain, "each for the next one's lock"),
    (Scene::OneEvent, "for one event"),
];

pub(crate) fn cases(plan: &Plan) -> Vec<Case> {
    let crowd = plan.crowd;
    let goal = Goal::AtMost(50e6 * crowd as f64 / 10_000.0);
    let case = |(scene, what)| {
        let name = format!("snapshot of {crowd} threads that wait {what}");
        Case::of("watch", [Figure::new(name, Unit::Nanos, goal)])
            .at_most(3)
            .measured(Lisle, "lisle", move |_| vec![snapshot_of(scene, crowd).as_nanos() as f64])
    };
    SCENES.into_iter().map(case).chain([under_load()]).collect()
}

/// How long a snapshot of a crowd takes: the median of nine.
fn snapshot_of(scene: Scene, crowd: usize) -> Duration {
    let locks: Arc<[Mutex<()>]> = (0..=crowd).map(|_| Mutex::new(())).collect();
    let event = Arc::new(Event::new());
    let ready = Arc::new(Semaphore::new(0));
    let held = locks[0].lock();
    let threads: Vec<_> = (0..crowd)
        .map(|index| {
            let (locks, event, ready_too) = (locks.clone(), event.clone(), ready.clone());
            let wait = move || match scene {
                Scene::OneLock => drop(locks[0].lock()),
                Scene::OneEvent => event.wait().expect("it is set in the end"),
                Scene::Chain => {
                    let _mine = locks[index + 1].lock();
                    ready_too.release();
                    drop(locks[index].lock());
                }
            };
            let thread = thread::Builder::new().stack_size(STACK).spawn(wait).expect("the system has room for a crowd");
            if matches!(scene, Scene::Chain) {
                ready.acquire().expect("it takes its lock"); // or the next one would get that
            }
            thread
        })
        .collect();
    let waiting = || watch::snapshot().threads.iter().filter(|thread| thread.wait.is_some()).count();
    while waiting() < crowd {
        thread::sleep(Duration::from_millis(10));
    }
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let begin = Instant::now();
            let snapshot = watch::snapshot();
            let took = begin.elapsed();
            assert!(snapshot.threads.len() > crowd && snapshot.reports.is_empty());
            took
        })
        .collect();
    times.sort();
    drop(held);
    event.set();
    threads.iter().for_each(|thread| thread.join().expect("a wait does not panic"));
    times[4]
}

/// What two threads that share a lock get done, with and without a thousand snapshots a second.
fn under_load() -> Case {
    let run = |snapshots: bool| {
        move |plan: &Plan| {
            let (lock, over) = (Mutex::new(0_u64), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut next = Instant::now();
                    while snapshots && !over.load(Relaxed) {
                        assert!(watch::snapshot().threads.len() >= 2);
                        next += Duration::from_millis(1);
                        thread::sleep_until(next);
                    }
                });
                let operation = || {
                    *lock.lock() += 1;
                    work(1_000.0);
                };
                let (each, _) = compete(2, plan.window, operation);
                over.store(true, Relaxed);
                vec![each]
            })
        }
    };
    let name = "two threads with a lock at full load, 1,000 snapshots a second";
    Case::of("watch", [Figure::new(name, Unit::Nanos, Goal::Of("no snapshots", 1.05))])
        .at_most(15)
        .measured(Lisle, "lisle", run(true))
        .measured(Peer, "no snapshots", run(false))
}
