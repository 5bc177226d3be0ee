//! Interrupts: every wait of this room that can be interrupted, and those that cannot.

use lisle::thread::{self, JoinError, JoinHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A thread that lives until the sender goes.
fn held() -> (JoinHandle<()>, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let handle = thread::spawn(move || {
        let _ = released.recv();
    });
    (handle, release)
}

fn interrupted_join(error: &JoinError) -> bool {
    error.is_interrupted()
}

/// Runs `wait` on a thread and interrupts it until it ends: it must end with `true`, once with the
/// interrupt there before the wait, once (most likely) during it.
fn is_interruptible(wait: impl Fn() -> bool + Clone + Send + 'static) {
    let before = {
        let wait = wait.clone();
        thread::create(move || {
            thread::current().interrupt();
            wait() && !thread::interrupted()
        })
    };
    before.start().unwrap();
    assert!(before.join().unwrap(), "an interrupt that is pending ends the wait, which consumes it");

    let (began, has_begun) = mpsc::channel();
    let during = thread::spawn(move || {
        began.send(()).unwrap();
        wait()
    });
    has_begun.recv().unwrap();
    let _ = during.thread().join_for(Duration::from_millis(5)); // time to fall asleep
    during.thread().interrupt();
    assert!(during.join_for(Duration::from_secs(60)).unwrap());
}

#[test]
fn joins() {
    let (target, release) = held();
    let target = Arc::new(target);
    let far = Instant::now() + Duration::from_secs(3600);

    let t = target.clone();
    is_interruptible(move || interrupted_join(t.join().unwrap_err().downcast_ref().unwrap()));
    let t = target.clone();
    is_interruptible(move || interrupted_join(&t.join_for(Duration::MAX).unwrap_err()));
    let t = target.clone();
    is_interruptible(move || interrupted_join(&t.join_until(far).unwrap_err()));
    let t = target.thread().clone();
    is_interruptible(move || interrupted_join(&t.join().unwrap_err()));
    let t = target.thread().clone();
    is_interruptible(move || interrupted_join(&t.join_for(Duration::MAX).unwrap_err()));
    let t = target.thread().clone();
    is_interruptible(move || interrupted_join(&t.join_until(far).unwrap_err()));

    drop(release);
    target.join().unwrap(); // none of them has taken the value
}

#[test]
fn scoped_joins() {
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|s| {
        let target = s.spawn(move || released.recv().is_err());
        thread::current().interrupt();
        assert!(interrupted_join(target.join().unwrap_err().downcast_ref().unwrap()));
        thread::current().interrupt();
        assert!(target.join_for(Duration::MAX).unwrap_err().is_interrupted());
        drop(release);
        assert!(target.join().unwrap());
    });
}

#[test]
fn sleep_interruptible() {
    is_interruptible(|| thread::sleep_interruptible(Duration::MAX).is_err_and(|error| error.is_interrupted()));
    assert!(thread::sleep_interruptible(Duration::from_millis(1)).is_ok());
}

#[test]
fn park_ends_and_leaves_the_interrupt_pending() {
    let forms: [fn(); 3] = [
        thread::park,
        || thread::park_timeout(Duration::MAX),
        || thread::park_until(Instant::now() + Duration::from_secs(3600)),
    ];
    for form in forms {
        is_interruptible(move || {
            form();
            thread::current().is_interrupted() && thread::interrupted()
        });
    }
}

#[test]
fn a_token_comes_before_an_interrupt() {
    thread::spawn(|| {
        thread::current().unpark();
        thread::current().interrupt();
        thread::park(); // takes the token
        assert!(thread::interrupted());
        let start = Instant::now();
        thread::park_timeout(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5), "neither is left");
    })
    .join()
    .unwrap();
}

#[test]
fn sleep_sleeps_on() {
    let sleeper = thread::spawn(|| {
        let start = Instant::now();
        thread::sleep(Duration::from_millis(30));
        thread::sleep_until(start + Duration::from_millis(40));
        (start.elapsed(), thread::interrupted())
    });
    while !sleeper.is_finished() {
        sleeper.thread().interrupt();
        thread::yield_now();
    }
    let (slept, pending) = sleeper.join().unwrap();
    assert!(slept >= Duration::from_millis(40));
    assert!(pending);
}

#[test]
fn a_scope_waits_on() {
    thread::spawn(|| {
        let done = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                done.store(true, Ordering::Release);
            });
            thread::current().interrupt();
        });
        assert!(done.load(Ordering::Acquire));
        assert!(thread::interrupted(), "still pending");
    })
    .join()
    .unwrap();
}

#[test]
fn interrupted_reads_and_clears() {
    let me = thread::current();
    assert!(!me.is_interrupted() && !thread::interrupted());
    me.interrupt();
    me.interrupt();
    assert!(me.is_interrupted());
    assert!(thread::interrupted());
    assert!(!me.is_interrupted() && !thread::interrupted(), "it is a flag, not a count");
}

#[test]
fn a_thread_can_be_interrupted_before_it_starts() {
    let handle = thread::create(|| thread::sleep_interruptible(Duration::MAX).is_err());
    handle.thread().interrupt();
    handle.start().unwrap();
    assert!(handle.join().unwrap());
}

#[test]
fn nothing_is_lost_when_an_end_and_an_interrupt_race() {
    for _ in 0..500 {
        let quick = Arc::new(thread::spawn(thread::yield_now));
        let joiner = thread::spawn({
            let quick = quick.clone();
            move || quick.join_for(Duration::MAX)
        });
        joiner.thread().interrupt();
        match joiner.join().unwrap() {
            Ok(()) => assert!(joiner.thread().is_interrupted(), "a granted wait leaves the interrupt pending"),
            Err(error) => {
                assert!(error.is_interrupted() && !joiner.thread().is_interrupted());
                quick.join().unwrap(); // and an interrupted one leaves the value
            }
        }
    }
}

#[test]
fn tokens_survive_timeouts_and_interrupts() {
    // Each round one token is given while a time-out and interrupts go off. It must come through: the
    // thread parks until it has seen the number that the token announces.
    let number = Arc::new(AtomicU32::new(0));
    let parked = thread::spawn({
        let number = number.clone();
        move || {
            for expected in 1..=2_000 {
                while number.load(Ordering::Relaxed) < expected {
                    if expected % 3 == 0 {
                        thread::park_timeout(Duration::from_micros(20));
                    } else {
                        thread::park();
                    }
                    thread::interrupted();
                }
            }
        }
    });
    for value in 1..=2_000 {
        if value % 5 == 0 {
            parked.thread().interrupt();
        }
        number.store(value, Ordering::Relaxed);
        parked.thread().unpark();
    }
    parked.join_for(Duration::from_secs(60)).unwrap();
}
