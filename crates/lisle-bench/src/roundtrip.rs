//! Two threads take turns: what it costs to wake somebody and be woken.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use crossbeam_utils::sync::{Parker, Unparker};

use crate::cores::Cores;
use crate::event::{ByParkingLot, ByStd, Flag, Listening};
use crate::floor::Baton;
use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Goal, together};

pub(crate) fn cases() -> Vec<Case> {
    let settings = [("two cores", Cores::All, 0.05), ("one core", Cores::One, 1.0)];
    settings
        .into_iter()
        .flat_map(|(place, cores, goal)| {
            let case =
                |through| Case::new("round trip", format!("{through}, {place}"), Goal::Best(goal)).on(cores).longer(2);
            [
                floors(
                    case("Condvar").timed(Lisle, "lisle", trips(ours)).timed(Peer, "parking_lot", trips(theirs)).timed(
                        Peer,
                        "std",
                        trips(standard),
                    ),
                ),
                floors(
                    case("Event")
                        .timed(Lisle, "lisle", trips(flags::<lisle::sync::Event>))
                        .timed(Peer, "event-listener", trips(flags::<Listening>))
                        .timed(Peer, "parking_lot", trips(flags::<ByParkingLot>))
                        .timed(Peer, "std", trips(flags::<ByStd>)),
                ),
                floors(
                    case("park and unpark")
                        .timed(Lisle, "lisle", parked::<ByLisle>)
                        .timed(Peer, "std", parked::<StdThread>)
                        .timed(Peer, "crossbeam", parked::<Crossbeam>),
                ),
            ]
        })
        .collect()
}

fn floors(case: Case) -> Case {
    case.timed(Floor, "raw futex", trips(|| baton(0))).timed(Floor, "raw futex, 30 yields first", trips(|| baton(30)))
}

fn baton(yields: u32) -> impl Fn(usize) + Sync {
    let baton = CachePadded::new(Baton::default());
    move |me| baton.pass(me as u32, yields)
}

/// `n` round trips, where `pass(me)` waits for the turn of `me` and gives it to the other.
fn trips<P: Fn(usize) + Sync>(make: impl Fn() -> P) -> impl FnMut(u64) -> Duration {
    move |n| {
        let pass = make();
        together(2, |me| (0..n).for_each(|_| pass(me)))
    }
}

/// A monitor: whose turn it is, under a lock, and a condition that says it changed.
macro_rules! monitor {
    ($name:ident, $sync:path, |$lock:ident| $locked:expr, |$changed:ident, $turn:ident| $wait:expr) => {
        fn $name() -> impl Fn(usize) + Sync {
            use $sync as sync;
            let monitor = CachePadded::new((sync::Mutex::new(0), sync::Condvar::new()));
            move |me| {
                let ($lock, $changed) = &*monitor;
                let mut $turn = $locked;
                while *$turn != me {
                    $wait;
                }
                *$turn = 1 - me;
                drop($turn);
                $changed.notify_one();
            }
        }
    };
}
monitor!(ours, lisle::sync, |lock| lock.lock(), |changed, turn| changed.wait(&mut turn).expect("nobody interrupts"));
monitor!(theirs, parking_lot, |lock| lock.lock(), |changed, turn| changed.wait(&mut turn));
monitor!(standard, std::sync, |lock| lock.lock().expect("no contender panics"), |changed, turn| {
    turn = changed.wait(turn).expect("no contender panics")
});

fn flags<F: Flag>() -> impl Fn(usize) + Sync {
    let flags = [CachePadded::new(F::new()), CachePadded::new(F::new())];
    flags[0].set();
    move |me| {
        flags[me].wait();
        flags[me].clear();
        flags[1 - me].set();
    }
}

/// Threads that can be parked.
trait Park {
    type Thread: Send + Sync;

    fn current() -> Self::Thread;
    fn park();
    fn unpark(thread: &Self::Thread);
}

macro_rules! park {
    ($name:ident, $($thread:ident)::+) => {
        struct $name;

        impl Park for $name {
            type Thread = $($thread)::+::Thread;

            fn current() -> Self::Thread {
                $($thread)::+::current()
            }

            fn park() {
                $($thread)::+::park();
            }

            fn unpark(thread: &Self::Thread) {
                thread.unpark();
            }
        }
    };
}
park!(ByLisle, lisle::thread);
park!(StdThread, std::thread);

struct Crossbeam;
thread_local!(static PARKER: Parker = Parker::new());

impl Park for Crossbeam {
    type Thread = Unparker;

    fn current() -> Unparker {
        PARKER.with(|parker| parker.unparker().clone())
    }

    fn park() {
        PARKER.with(|parker| parker.park());
    }

    fn unpark(thread: &Unparker) {
        thread.unpark();
    }
}

fn parked<P: Park>(n: u64) -> Duration {
    let turn = CachePadded::new(AtomicUsize::new(0));
    let threads = [const { OnceLock::new() }; 2];
    together(2, |me| {
        let _ = threads[me].set(P::current());
        let other = threads[1 - me].wait();
        for _ in 0..n {
            while turn.load(Acquire) != me {
                P::park();
            }
            turn.store(1 - me, Release);
            P::unpark(other);
        }
    })
}
