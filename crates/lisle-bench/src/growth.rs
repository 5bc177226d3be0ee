//! What it costs when many wait: to wake them all, to keep them, and to let their waits time out.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::child::{self, or_nothing};
use crate::event::{ByParkingLot, ByStd, Flag};
use crate::harness::Role::{Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Role, Unit};
use crate::load::{process_time, resident};
use crate::mutex::Exclusive;

const CROWDS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const STACK: usize = 64 << 10;

/// What the threads of a crowd wait for.
#[derive(Clone, Copy, PartialEq)]
enum Scene {
    OneLock,
    OneEvent,
    LockEach,
}

const SCENES: [(Scene, &str); 3] =
    [(Scene::OneLock, "one lock"), (Scene::OneEvent, "one event"), (Scene::LockEach, "one lock each")];

/// Starts a thread with a small stack; what it returns joins the thread.
type Start = fn(Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn FnOnce()>>;

/// A crowd's locks, events and threads, all of one make.
#[derive(Clone, Copy)]
struct Make {
    role: Role,
    name: &'static str,
    gather: fn(Scene, usize) -> io::Result<Gathering>,
    expire: fn(usize) -> io::Result<Duration>,
}

const MAKES: [Make; 3] = [
    Make {
        role: Lisle,
        name: "lisle",
        gather: |scene, crowd| gather::<lisle::sync::Mutex<u64>, lisle::sync::Event>(start_ours, scene, crowd),
        expire: |crowd| expire::<lisle::sync::Event>(start_ours, crowd),
    },
    Make {
        role: Peer,
        name: "parking_lot",
        gather: |scene, crowd| gather::<parking_lot::Mutex<u64>, ByParkingLot>(start_std, scene, crowd),
        expire: |crowd| expire::<ByParkingLot>(start_std, crowd),
    },
    Make {
        role: Peer,
        name: "std",
        gather: |scene, crowd| gather::<std::sync::Mutex<u64>, ByStd>(start_std, scene, crowd),
        expire: |crowd| expire::<ByStd>(start_std, crowd),
    },
];

fn start_ours(run: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn FnOnce()>> {
    let handle = lisle::thread::Builder::new().stack_size(STACK).spawn(run)?;
    Ok(Box::new(move || handle.join().expect("a wait does not panic")))
}

fn start_std(run: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn FnOnce()>> {
    let handle = std::thread::Builder::new().stack_size(STACK).spawn(run)?;
    Ok(Box::new(move || handle.join().expect("a wait does not panic")))
}

pub(crate) fn cases(plan: &Plan) -> Vec<Case> {
    let crowds: Vec<usize> = CROWDS.into_iter().filter(|&crowd| crowd <= plan.crowd).collect();
    let mut cases = Vec::new();
    for (index, (scene, name)) in SCENES.into_iter().enumerate() {
        let figure = |what, unit| {
            move |&crowd| Figure::new(format!("{name}, {} waiting: {what}", grouped(crowd)), unit, Goal::None)
        };
        let wake = Case::of("growth", crowds.iter().map(figure("wake all", Unit::Nanos)));
        cases.push(each(wake.at_most(3), &crowds, move |make, crowd| {
            Ok((make.gather)(scene, crowd)?.wake.as_nanos() as f64)
        }));
        let keep = Case::of("growth", crowds.iter().map(figure("memory per thread", Unit::Bytes)));
        cases.push(each(keep.at_most(1), &crowds, move |make, crowd| child::memory("growth", make.name, index, crowd)));
    }
    cases.push(time_outs(&crowds));
    cases
}

/// Adds all makes, each of which measures every crowd.
fn each(case: Case, crowds: &[usize], measure: impl Fn(Make, usize) -> io::Result<f64> + Copy + 'static) -> Case {
    MAKES.into_iter().fold(case, |case, make| {
        let crowds = crowds.to_vec();
        case.measured(make.role, make.name, move |_| {
            crowds.iter().map(|&crowd| or_nothing(measure(make, crowd))).collect()
        })
    })
}

/// All waits of a crowd end at the same deadline: the time past it per waiter, which should not
/// depend on the size of the crowd.
fn time_outs(crowds: &[usize]) -> Case {
    let [.., fewer, most] = crowds else { unreachable!("the smallest plan has two crowds") };
    let per_waiter = |&crowd| {
        let name = format!("{} waiting, time-out: per waiter", grouped(crowd));
        Figure::new(name, Unit::Nanos, Goal::None)
    };
    let growth = format!("time-out: a waiter of {} by one of {}", grouped(*most), grouped(*fewer));
    let figures = crowds.iter().map(per_waiter);
    let case = Case::of("growth", figures.chain([Figure::new(growth, Unit::Plain, Goal::AtMost(2.0))]));
    MAKES.into_iter().fold(case.at_most(3), |case, make| {
        let crowds = crowds.to_vec();
        case.measured(make.role, make.name, move |_| {
            let late = |&crowd| or_nothing((make.expire)(crowd).map(|late| late.as_nanos() as f64 / crowd as f64));
            let mut values: Vec<f64> = crowds.iter().map(late).collect();
            values.push(values[values.len() - 1] / values[values.len() - 2]);
            values
        })
    })
}

fn grouped(number: usize) -> String {
    match (number / 1_000, number % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

/// What a crowd cost.
struct Gathering {
    /// From the wake-up to the last thread's end.
    wake: Duration,
    /// Resident memory per thread while all waited.
    bytes: f64,
}

/// Lets a crowd wait, and wakes it.
fn gather<L: Exclusive, F: Flag>(start: Start, scene: Scene, crowd: usize) -> io::Result<Gathering> {
    let locks: Arc<[L]> = (0..if scene == Scene::LockEach { crowd } else { 1 }).map(|_| L::new()).collect();
    let event = Arc::new(F::new());
    let held: Vec<_> = locks.iter().map(|lock| lock.lock()).collect();
    let before = resident();
    let people = People::start(start, crowd, |index| {
        let (locks, event) = (Arc::clone(&locks), Arc::clone(&event));
        move || match scene {
            Scene::OneEvent => event.wait(),
            Scene::OneLock => *locks[0].lock() += 1,
            Scene::LockEach => *locks[index].lock() += 1,
        }
    });
    people.settle();
    let bytes = (resident() - before) / crowd as f64;
    let begin = Instant::now();
    match scene {
        Scene::OneEvent => event.set(),
        Scene::OneLock | Scene::LockEach => drop(held),
    }
    Ok(Gathering { wake: people.end()? - begin, bytes })
}

/// Lets a crowd wait until a deadline, and returns how late the last one was.
fn expire<F: Flag>(start: Start, crowd: usize) -> io::Result<Duration> {
    let mut time_to_come = Duration::from_millis(50) + Duration::from_micros(150) * crowd as u32;
    loop {
        let event = Arc::new(F::new());
        let deadline = Instant::now() + time_to_come;
        let people = People::start(start, crowd, |_| {
            let event = Arc::clone(&event);
            move || event.wait_until(deadline)
        });
        people.settle();
        let in_time = Instant::now() < deadline;
        let end = people.end()?;
        if in_time {
            return Ok(end.saturating_duration_since(deadline));
        }
        time_to_come *= 2;
    }
}

/// The threads of a crowd.
struct People {
    joins: Vec<Box<dyn FnOnce()>>,
    clock: Arc<Clock>,
    failed: Option<io::Error>,
}

struct Clock {
    arrived: AtomicUsize,
    begin: Instant,
    /// The latest end of a wait, in nanoseconds from `begin`.
    last: AtomicU64,
}

impl People {
    /// Starts as many threads as the system lets us have.
    fn start<W: FnOnce() + Send + 'static>(start: Start, crowd: usize, wait: impl Fn(usize) -> W) -> People {
        let clock = Arc::new(Clock { arrived: AtomicUsize::new(0), begin: Instant::now(), last: AtomicU64::new(0) });
        let mut people = People { joins: Vec::with_capacity(crowd), clock: Arc::clone(&clock), failed: None };
        for index in 0..crowd {
            let (wait, clock) = (wait(index), Arc::clone(&clock));
            let started = start(Box::new(move || {
                clock.arrived.fetch_add(1, Relaxed);
                wait();
                clock.last.fetch_max(clock.begin.elapsed().as_nanos() as u64, Relaxed);
            }));
            match started {
                Ok(join) => people.joins.push(join),
                Err(error) => {
                    people.failed = Some(error);
                    break;
                }
            }
        }
        people
    }

    /// Returns when all threads have arrived and the process has become quiet.
    fn settle(&self) {
        const LOOK: Duration = Duration::from_millis(10);
        while self.clock.arrived.load(Relaxed) < self.joins.len() {
            thread::sleep(LOOK);
        }
        let mut before = Duration::ZERO;
        loop {
            let used = process_time();
            if used - before < LOOK / 10 {
                return;
            }
            before = used;
            thread::sleep(LOOK);
        }
    }

    /// Joins all threads; when the last one's wait ended.
    fn end(self) -> io::Result<Instant> {
        self.joins.into_iter().for_each(|join| join());
        let last = Duration::from_nanos(self.clock.last.load(Relaxed));
        self.failed.map_or(Ok(self.clock.begin + last), Err)
    }
}

/// What a second process of this program prints: the bytes per waiting thread.
pub(crate) fn memory(make: &str, scene: usize, crowd: usize) -> io::Result<f64> {
    let make = MAKES.iter().find(|it| it.name == make).ok_or(io::ErrorKind::InvalidInput)?;
    let (scene, _) = SCENES.get(scene).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((make.gather)(*scene, crowd)?.bytes)
}
