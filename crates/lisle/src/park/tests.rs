//! The lot by itself, without a primitive around it.

use super::record::Shared;
use super::told::{Tell, Told, telling};
use super::{Choice, Kind, Limit, Outcome, Subject, Wait, current, key_of, park, park_with, unpark, unpark_all};
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A thing to wait for that nobody owns.
struct Thing;

impl Subject for Thing {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thing")
    }
}

fn wait(limit: Limit) -> Wait<'static> {
    Wait::new(Kind::Event, &Thing, Location::caller(), limit.deadline())
}

fn await_waiting(record: &Shared) {
    while super::deadlock::waiting(record).is_none() {
        thread::yield_now();
    }
}

/// Runs `work` on another thread and returns its record besides the handle.
fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Shared, thread::JoinHandle<T>) {
    let (send, receive) = mpsc::channel();
    let handle = thread::spawn(move || {
        send.send(current::get()).unwrap();
        work()
    });
    (receive.recv().unwrap(), handle)
}

#[test]
fn grants_reach_waiters_in_order_with_their_tokens() {
    let key: &'static u8 = Box::leak(Box::new(0));
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let (record, handle) = start(move || match park(key_of(key), &wait(Limit::Never), || true) {
                Outcome::Granted(token) => token,
                other => panic!("{other:?}"),
            });
            await_waiting(&record);
            handle
        })
        .collect();
    let mut next = 0;
    let done = unpark(
        key_of(key),
        |_| {
            next += 1;
            if next == 4 { Choice::Stop } else { Choice::Grant(next) }
        },
        |done| assert!(done.left),
    );
    assert_eq!((done.granted, done.left), (3, true));
    assert_eq!(unpark_all(key_of(key), 9, |done| assert!(!done.left)).granted, 1);
    let tokens: Vec<u32> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
    assert_eq!(tokens, [1, 2, 3, 9]);
}

#[test]
fn a_candidate_can_be_skipped() {
    let key: &'static u8 = Box::leak(Box::new(0));
    let waiters: Vec<_> = (0..3)
        .map(|detail| {
            let (record, handle) = start(move || {
                let mut wait = wait(Limit::Never);
                wait.detail = detail;
                matches!(park(key_of(key), &wait, || true), Outcome::Granted(_))
            });
            await_waiting(&record);
            handle
        })
        .collect();
    let odd = |candidate: &super::lot::Candidate<'_>| {
        if candidate.detail() % 2 == 1 { Choice::Grant(0) } else { Choice::Skip }
    };
    let done = unpark(key_of(key), odd, |_| {});
    assert_eq!((done.granted, done.left), (1, true));
    assert_eq!(unpark_all(key_of(key), 0, |_| {}).granted, 2);
    for waiter in waiters {
        assert!(waiter.join().unwrap());
    }
}

#[test]
fn nothing_to_wait_for() {
    let key = 0u8;
    let slept = AtomicBool::new(false);
    let sleeping = || slept.store(true, Ordering::Relaxed);
    let outcome = park_with(key_of(&key), &wait(Limit::Never), || false, sleeping, |_| unreachable!());
    assert!(matches!(outcome, Outcome::Invalid));
    assert!(!slept.into_inner());
}

#[test]
fn a_limit_ends_the_wait_and_leaves_nothing() {
    let key = 0u8;
    let left = AtomicUsize::new(0);
    current::ident(); // a process's first call registers with the kernel, which takes a while
    let began = Instant::now();
    let limit = Duration::from_millis(10);
    let outcome = park_with(
        key_of(&key),
        &wait(Limit::For(limit)),
        || true,
        || {},
        |others| {
            assert!(!others);
            left.fetch_add(1, Ordering::Relaxed);
        },
    );
    assert!(matches!(outcome, Outcome::TimedOut));
    assert!(began.elapsed() >= limit);
    assert_eq!(left.into_inner(), 1);
    assert_eq!(unpark_all(key_of(&key), 0, |_| {}).granted, 0);
}

#[test]
fn a_limit_in_the_past_does_not_sleep() {
    let key = 0u8;
    let limit = Limit::Until(Instant::now() - Duration::from_secs(1));
    let outcome = park_with(key_of(&key), &wait(limit), || true, || unreachable!(), |left| assert!(!left));
    assert!(matches!(outcome, Outcome::TimedOut));
}

#[test]
fn an_interrupt_ends_an_interruptible_wait_only() {
    let key: &'static u8 = Box::leak(Box::new(0));
    let (record, handle) = start(move || {
        let mut deaf = wait(Limit::Never);
        deaf.interruptible = false;
        let deaf = park(key_of(key), &deaf, || true);
        (deaf, park(key_of(key), &wait(Limit::Never), || true), current::with(|me| me.take_interrupt()))
    });
    await_waiting(&record);
    record.interrupt();
    assert_eq!(unpark_all(key_of(key), 5, |_| {}).granted, 1, "it still waits");
    let (deaf, keen, pending) = handle.join().unwrap();
    assert!(matches!(deaf, Outcome::Granted(5)), "{deaf:?}");
    assert!(matches!(keen, Outcome::Interrupted), "{keen:?}");
    assert!(!pending, "reported once");
}

#[test]
fn what_a_wait_is_can_be_read_from_outside() {
    let key: &'static u8 = Box::leak(Box::new(0));
    let (record, handle) = start(move || park(key_of(key), &wait(Limit::For(Duration::from_secs(60))), || true));
    await_waiting(&record);
    let waiting = super::deadlock::waiting(&record).expect("it waits");
    assert_eq!((waiting.kind, waiting.object.as_str()), (Kind::Event, "a thing"));
    assert!(waiting.called_at.contains("tests.rs"));
    assert!(waiting.deadline.is_some());
    unpark_all(key_of(key), 0, |_| {});
    handle.join().unwrap();
    let stat = record.stats.read().get(Kind::Event);
    assert_eq!(stat.count, 1);
    assert!(stat.longest > Duration::ZERO && stat.longest == stat.total);
}

struct InTest;

impl Tell for InTest {
    fn object(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its object")
    }

    fn place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its place")
    }
}

#[test]
fn an_embedder_has_its_own_words_for_a_wait() {
    let key: &'static u8 = Box::leak(Box::new(0));
    let (record, handle) = start(move || {
        telling(&Told::new(&InTest, false, Duration::ZERO), || park(key_of(key), &wait(Limit::Never), || true))
    });
    await_waiting(&record);
    let waiting = super::deadlock::waiting(&record).expect("it waits");
    assert_eq!((&*waiting.object, &*waiting.called_at), ("its object", "its place"));
    assert_eq!(unpark_all(key_of(key), 0, |_| {}).granted, 1);
    assert!(matches!(handle.join().unwrap(), Outcome::Granted(0)));
}

#[test]
fn who_minds_signals_looks_for_missed_ones_and_keeps_its_place() {
    let key: &'static u8 = Box::leak(Box::new(0));
    let (tell, broken_off) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (first_record, first) = start(move || {
        let told = Told::new(&InTest, true, Duration::ZERO);
        telling(&told, || {
            let outcome = park(key_of(key), &wait(Limit::Never), || true);
            tell.send(matches!(outcome, Outcome::Signalled) && told.take_signalled()).unwrap();
            told.breath.set(Duration::from_secs(3600));
            may_go_on.recv().unwrap();
            park(key_of(key), &wait(Limit::Never), || true)
        })
    });
    assert!(broken_off.recv().unwrap(), "it looks, and says so");
    let (second_record, second) = start(move || park(key_of(key), &wait(Limit::Never), || true));
    await_waiting(&second_record);
    go_on.send(()).unwrap();
    await_waiting(&first_record);
    let mut token = 0;
    let in_order = |_: &super::lot::Candidate<'_>| {
        token += 1;
        Choice::Grant(token)
    };
    unpark(key_of(key), in_order, |_| {});
    let tokens = [first, second].map(|thread| match thread.join().unwrap() {
        Outcome::Granted(token) => token,
        other => panic!("{other:?}"),
    });
    assert_eq!(tokens, [1, 2]);
}

#[test]
fn an_interrupt_after_a_signal_that_a_grant_overtook_is_one() {
    let key: &'static u8 = Box::leak(Box::new(0));
    let (_, handle) = start(move || {
        let told = Told::new(&InTest, true, Duration::ZERO);
        told.breath.set(Duration::from_secs(3600));
        telling(&told, || {
            told.signalled(); // and the wait was granted
            let first = park(key_of(key), &wait(Limit::Never), || true);
            assert!(matches!(first, Outcome::Signalled), "it looks before it sleeps: {first:?}");
            let second = park(key_of(key), &wait(Limit::Never), || {
                current::with(|me| me.interrupt());
                told.signalled();
                true
            });
            (second, told.take_signalled())
        })
    });
    assert!(matches!(handle.join().unwrap(), (Outcome::Interrupted, false)));
}

#[cfg(all(target_os = "linux", not(lisle_portable)))]
#[test]
fn a_signal_ends_a_wait_that_asked_for_it() {
    extern "C" fn handler(_: libc::c_int) {}
    // SAFETY: a handler that does nothing, without SA_RESTART, for a signal nobody else here uses.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut());
    }
    let key: &'static u8 = Box::leak(Box::new(0));
    let (send, receive) = mpsc::channel();
    let (_, handle) = start(move || {
        // SAFETY: pthread_self has no preconditions.
        send.send(unsafe { libc::pthread_self() }).unwrap();
        let told = Told::new(&InTest, true, Duration::ZERO);
        told.breath.set(Duration::from_secs(3600));
        let outcome = telling(&told, || park(key_of(key), &wait(Limit::Never), || true));
        (outcome, told.take_signalled())
    });
    let thread = receive.recv().unwrap();
    // A signal that comes before the sleep is missed, as with any system call: send until it ends.
    while !handle.is_finished() {
        // SAFETY: the thread has not been joined, so its id is good.
        unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
        thread::yield_now();
    }
    assert!(matches!(handle.join().unwrap(), (Outcome::Signalled, true)));
}
