//! One thread is inside at a time, whatever the others do; and nobody is left out.
//!
//! `LISLE_SOAK=n` makes the races n times as long: 25, as in `make soak`, is ten million switches.

mod dice;

use dice::{Dice, soak};
use lisle::Kind;
use lisle::gil::{Gil, GilCell, GilToken};
use lisle::thread::{self, Thread};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: u64 = 4;

/// What only one thread may touch at a time, and notices when two do.
struct Inside {
    count: GilCell<Cell<u64>>,
    inside: AtomicU64,
}

impl Inside {
    fn new(gil: &Gil) -> Inside {
        Inside { count: GilCell::new(gil, Cell::new(0)), inside: AtomicU64::new(0) }
    }

    /// Is inside for a moment, in which nobody else may be.
    fn visit(&self, token: &GilToken<'_>, dice: &mut Dice) {
        let count = self.count.get(token);
        assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "somebody else is inside");
        count.set(count.get() + 1);
        for _ in 0..dice.roll(32) {
            std::hint::spin_loop();
        }
        assert_eq!(self.inside.fetch_sub(1, Ordering::Relaxed), 1);
    }
}

/// The switches so far: each time that somebody got the GIL.
fn switches(gil: &Gil) -> u64 {
    gil.figures().iter().map(|(_, figures)| figures.attached).sum::<u64>() + gil.figures_of_ended().attached
}

/// Has threads do `turn` until the GIL has changed hands so often; returns how often they say they were inside.
fn race(gil: &Gil, switches_wanted: u64, turn: impl Fn(&mut Dice) -> u64 + Sync) -> u64 {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (over, turn) = (&over, &turn);
        let hands: Vec<_> = (1..=THREADS)
            .map(|seed| {
                scope.spawn(move || {
                    let (mut dice, mut visits) = (Dice(seed * 0x9E37_79B9), 0);
                    while !over.load(Ordering::Relaxed) {
                        visits += turn(&mut dice);
                    }
                    visits
                })
            })
            .collect();
        let targets: Vec<Thread> = hands.iter().map(|hand| hand.thread().clone()).collect();
        let mut dice = Dice(4711);
        while switches(gil) < switches_wanted {
            targets[dice.roll(THREADS) as usize].interrupt();
            thread::sleep(Duration::from_micros(dice.roll(200)));
        }
        over.store(true, Ordering::Relaxed);
        hands.into_iter().map(|hand| hand.join().unwrap()).sum()
    })
}

/// All that a thread can do with a GIL, at random.
fn anything(gil: &Gil, inside: &Inside, dice: &mut Dice) -> u64 {
    let attached = match dice.roll(4) {
        0 => gil.attach_interruptible(),
        1 => Ok(gil.attach()),
        2 => gil.attach_for(dice.limit()),
        _ => gil.try_attach().ok_or(lisle::WaitError::TimedOut),
    };
    let Ok(mut token) = attached else { return 0 };
    let mut visits = 0;
    for _ in 0..dice.roll(20) {
        inside.visit(&token, dice);
        visits += 1;
        match dice.roll(6) {
            0 => token.detach(|| (0..dice.roll(64)).for_each(|_| std::hint::spin_loop())),
            1 => token.detach(thread::yield_now),
            2 => gil.attach().checkpoint(),
            _ => token.checkpoint(),
        }
    }
    visits
}

#[test]
fn only_one_is_inside() {
    for interval in [Duration::ZERO, Duration::from_micros(50), Duration::from_millis(5)] {
        let gil = Gil::new(interval);
        let inside = Inside::new(&gil);
        let visits = race(&gil, 130_000 * soak() as u64, |dice| anything(&gil, &inside, dice));
        assert_eq!(inside.count.into_inner().get(), visits);
        assert!(gil.holder().is_none() && gil.waiters().is_empty());
        assert!(gil.try_attach().is_some(), "held by nobody");
    }
}

#[test]
fn only_one_is_inside_while_the_interval_changes() {
    let gil = Gil::new(Duration::ZERO);
    let inside = Inside::new(&gil);
    let visits = race(&gil, 10_000 * soak() as u64, |dice| {
        if dice.roll(50) == 0 {
            let intervals = [Duration::ZERO, Duration::from_micros(30), Duration::from_millis(1), Duration::MAX];
            gil.set_switch_interval(intervals[dice.roll(4) as usize]);
        }
        anything(&gil, &inside, dice)
    });
    assert_eq!(inside.count.into_inner().get(), visits);
}

/// Waits until `ready`, which must come.
#[track_caller]
fn until(what: &str, ready: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !ready() {
        assert!(Instant::now() < patience, "{what}: in vain");
        thread::yield_now();
    }
}

#[test]
fn those_who_compute_all_get_their_turns() {
    // Nobody ever lets go by itself: each turn is handed over at a checkpoint, or the test hangs.
    let gil = Gil::new(Duration::from_micros(200));
    let counts: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
    let forced = |times| gil.figures().iter().filter(|(_, figures)| figures.forced >= times).count();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for count in &counts {
            let (gil, over) = (&gil, &over);
            scope.spawn(move || {
                let mut token = gil.attach();
                while !over.load(Ordering::Relaxed) {
                    count.fetch_add(1, Ordering::Relaxed);
                    token.checkpoint();
                }
            });
        }
        until("each has had to hand over 50 times", || forced(50) == THREADS as usize);
        over.store(true, Ordering::Relaxed);
    });
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) > 0));
}

#[test]
fn one_that_computes_is_passed_at_checkpoints() {
    // Its slice never ends. That a thread which comes back from a detach gets in at all is because it is let
    // through; and each time it is, the other has had to hand over.
    let gil = Gil::new(Duration::from_millis(20));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let computes = scope.spawn(|| {
            let mut token = gil.attach();
            while !over.load(Ordering::Relaxed) {
                token.checkpoint();
            }
        });
        let computes_again = || {
            let holds = || gil.holder().is_some_and(|holder| holder.thread.as_ref() == Some(computes.thread()));
            until("it computes", holds);
        };
        computes_again();
        // The first one waits for a while, since nobody knows yet what the other is like.
        drop(gil.attach());
        gil.set_switch_interval(Duration::from_secs(3600));
        let forced = || {
            let figures = gil.figures();
            figures.iter().find(|(thread, _)| thread == computes.thread()).map_or(0, |(_, figures)| figures.forced)
        };
        let before = forced();
        for _ in 0..100 {
            computes_again(); // or we would have it before it wakes up
            let mut token = gil.attach();
            token.detach(thread::yield_now);
        }
        let times = forced() - before;
        over.store(true, Ordering::Relaxed);
        computes.join().unwrap();
        assert!(times >= 100, "{times} of 100 times");
    });
}

#[test]
fn who_holds_it_and_who_waits_can_be_seen() {
    let gil = Arc::new(Gil::named(Duration::MAX, "seen"));
    assert!(gil.holder().is_none() && gil.waiters().is_empty());
    let line = line!() + 1;
    let token = gil.attach();
    let holder = gil.holder().expect("this thread");
    assert_eq!(holder.thread, Some(thread::current()));
    let place = holder.attached_at.expect("it is in this image");
    assert_eq!((place.file(), place.line()), (file!(), line));
    let waiters = ["first", "second"].map(|name| {
        let theirs = gil.clone();
        let waiter = thread::Builder::new().name(name.into()).spawn(move || drop(theirs.attach())).unwrap();
        until("it waits", || waiter.thread().waits_for() == Some(Kind::Gil));
        waiter
    });
    let names: Vec<_> = gil.waiters().iter().map(|waiter| waiter.name().unwrap().to_owned()).collect();
    assert_eq!(names, ["first", "second"]);
    let text = format!("{gil:?}");
    assert!(text.contains("\"seen\"") && text.contains("gil.rs"), "{text}");
    drop(token);
    waiters.iter().for_each(|waiter| waiter.join().unwrap());
    let figures = gil.figures();
    let mine = figures.iter().find(|(thread, _)| *thread == thread::current()).expect("it has an account").1;
    assert_eq!((mine.attached, mine.forced, mine.waited.count), (1, 0, 0));
    assert!(mine.held > Duration::ZERO, "others waited meanwhile");
}

#[test]
fn an_adopted_thread_attaches_and_its_end_leaves_nothing() {
    let gil = Arc::new(Gil::new(Duration::from_millis(5)));
    for _ in 0..3 {
        let theirs = gil.clone();
        std::thread::spawn(move || {
            let mut token = theirs.attach();
            token.checkpoint();
            token.detach(|| ());
        })
        .join()
        .unwrap();
        assert!(gil.holder().is_none());
    }
}

#[test]
fn a_wait_that_ends_takes_its_request_back() {
    // The holder never hands over unless asked, and then to somebody: who gave up is nobody.
    let gil = Arc::new(Gil::new(Duration::ZERO));
    let mut token = gil.attach();
    let theirs = gil.clone();
    let gave_up = thread::spawn(move || theirs.attach_for(Duration::from_millis(2)).map(drop));
    assert!(gave_up.join().unwrap().unwrap_err().is_timed_out());
    let theirs = gil.clone();
    let interrupted = thread::spawn(move || theirs.attach_interruptible().map(drop));
    until("it waits", || interrupted.thread().waits_for() == Some(Kind::Gil));
    interrupted.thread().interrupt();
    assert!(interrupted.join().unwrap().unwrap_err().is_interrupted());
    token.checkpoint(); // would wait for ever if it believed them
    assert!(gil.waiters().is_empty());
}

#[test]
fn an_interrupt_does_not_end_a_checkpoint_or_a_detach() {
    let gil = Arc::new(Gil::new(Duration::ZERO));
    let others_turn = Arc::new(AtomicBool::new(false));
    let (theirs, turn) = (gil.clone(), others_turn.clone());
    let interrupted = thread::spawn(move || {
        let mut token = theirs.attach();
        while !turn.load(Ordering::Relaxed) {
            token.checkpoint();
        }
        token.detach(|| ());
        (theirs.is_attached(), thread::interrupted())
    });
    let token = gil.attach();
    others_turn.store(true, Ordering::Relaxed);
    until("it waits", || interrupted.thread().waits_for() == Some(Kind::Gil));
    interrupted.thread().interrupt();
    until("the interrupt is there", || interrupted.thread().is_interrupted());
    drop(token);
    assert_eq!(interrupted.join().unwrap(), (true, true), "it stays pending");
}
