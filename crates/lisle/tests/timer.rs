//! Timers: when they call, how often, and how they come to their end.

use lisle::Kind;
use lisle::sync::Event;
use lisle::thread::{self, Builder, JoinError, StartError};
use lisle::timer::{Beat, Timer};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

/// How long a thing may take that takes no time, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

fn until(what: &str, condition: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < limit, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn waits<T>(timer: &Timer<T>) {
    until("the timer waits for its time", || timer.thread().waits_for() == Some(Kind::Timer));
}

/// The end of a timer that ends soon.
fn end_of<T>(timer: &Timer<T>) -> Option<T> {
    timer.join_for(PATIENCE).expect("it ends, and without a panic")
}

fn nothing() {}

#[test]
fn a_call_comes_once_after_the_delay() {
    let start = Instant::now();
    let timer = Timer::new(SHORT, Instant::now);
    assert!(!timer.is_alive() && !timer.is_finished());
    assert!(matches!(timer.try_join(), Err(JoinError::NotStarted)));
    assert!(matches!(timer.join_for(PATIENCE), Err(JoinError::NotStarted)));
    timer.start().unwrap();
    assert!(matches!(timer.start(), Err(StartError::AlreadyStarted)));
    let called = end_of(&timer).expect("nobody cancelled it");
    assert!(called >= start + SHORT, "not early");
    assert!(!timer.is_alive() && timer.is_finished());
    assert!(!timer.cancel() && !timer.interrupt() && !timer.reset(SHORT), "too late for all that");
    assert!(matches!(timer.try_join(), Err(JoinError::Taken)));
    assert!(matches!(timer.start(), Err(StartError::AlreadyStarted)));
}

#[test]
fn cancelled_while_it_waits_it_ends_at_once() {
    let timer = Timer::new(LONG, || panic!("cancelled timers do not call"));
    timer.start().unwrap();
    waits(&timer);
    assert!(matches!(timer.try_join(), Err(JoinError::TimedOut)));
    assert!(timer.cancel());
    assert_eq!(end_of::<()>(&timer), None);
    assert!(timer.cancel(), "as before");
    assert!(!timer.reset(SHORT));
}

#[test]
fn cancelled_before_its_start_it_ends_without_a_call() {
    let timer = Timer::new(Duration::ZERO, || panic!("cancelled timers do not call"));
    assert!(timer.cancel() && timer.cancel());
    assert!(!timer.reset(SHORT));
    assert!(matches!(timer.try_join(), Err(JoinError::NotStarted)));
    timer.start().unwrap();
    assert_eq!(end_of::<()>(&timer), None);
}

#[test]
fn every_cancel_is_in_time_or_not() {
    for round in 0..300 {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let timer = Timer::new(Duration::from_micros(round % 120), move || counted.fetch_add(1, Ordering::Relaxed));
        timer.start().unwrap();
        let in_time = timer.cancel();
        let value = end_of(&timer);
        assert_eq!(value.is_none(), in_time);
        assert_eq!(calls.load(Ordering::Relaxed), u32::from(!in_time));
    }
}

#[test]
fn for_ever_is_until_it_is_reset() {
    let timer = Timer::new(Duration::MAX, || 7);
    timer.start().unwrap();
    waits(&timer);
    assert!(timer.reset(LONG) && timer.reset(Duration::MAX) && timer.reset(SHORT));
    assert_eq!(end_of(&timer), Some(7));

    let timer = Timer::new(LONG, || 8);
    assert!(timer.reset(Duration::ZERO), "before the start, too");
    timer.start().unwrap();
    assert_eq!(end_of(&timer), Some(8));
}

#[test]
fn reset_puts_off() {
    // However late we are with it: a reset that was in time holds from when it was made.
    let (told, hears) = mpsc::channel();
    let timer = Timer::new(20 * SHORT, move || told.send(Instant::now()).unwrap());
    timer.start().unwrap();
    let mut last = Instant::now();
    for _ in 0..20 {
        thread::sleep(SHORT);
        let now = Instant::now();
        if timer.reset(20 * SHORT) {
            last = now;
        }
    }
    assert!(hears.recv().unwrap() >= last + 20 * SHORT);
    end_of(&timer);
}

#[test]
fn a_running_call_is_interrupted_not_killed() {
    let running = Arc::new(Event::new());
    let its = running.clone();
    let timer = Timer::new(Duration::ZERO, move || {
        its.set();
        let error = thread::sleep_interruptible(LONG).unwrap_err();
        assert!(error.is_interrupted());
        "left"
    });
    timer.start().unwrap();
    running.wait_for(PATIENCE).unwrap();
    assert!(!timer.cancel(), "too late for that");
    assert!(!timer.reset(SHORT));
    assert!(matches!(timer.join_for(SHORT), Err(JoinError::TimedOut)), "it goes on");
    assert!(timer.interrupt());
    assert_eq!(end_of(&timer), Some("left"));
    assert!(!timer.interrupt() && !timer.cancel(), "it ended with its call");
}

#[test]
fn an_interrupt_while_it_waits_cancels() {
    let by_timer = Timer::new(LONG, nothing);
    let by_thread = Timer::new(LONG, nothing);
    let before = Timer::new(LONG, nothing);
    before.thread().interrupt();
    for timer in [&by_timer, &by_thread, &before] {
        timer.start().unwrap();
    }
    waits(&by_timer);
    waits(&by_thread);
    assert!(by_timer.interrupt());
    by_thread.thread().interrupt();
    for timer in [&by_timer, &by_thread, &before] {
        assert_eq!(end_of(timer), None);
        assert!(timer.cancel());
    }
}

#[test]
fn beats_do_not_drift_and_missed_ones_are_counted() {
    // A call that takes as long as it is told: some return at once, some miss a few beats.
    let period = Duration::from_millis(4);
    let (told, hears) = mpsc::channel::<(Beat, Instant)>();
    let timer = Timer::every(period, move |beat| {
        let begin = Instant::now();
        if beat.number() % 3 == 0 {
            thread::sleep_until(beat.due() + 5 * period / 2);
        }
        told.send((*beat, begin)).unwrap();
    });
    let start = Instant::now();
    timer.start().unwrap();
    let heard: Vec<_> = hears.iter().take(20).collect();
    let first = heard[0].0;
    assert_eq!((first.number(), first.missed()), (1, 0));
    assert!(first.due() >= start + period);
    for pair in heard.windows(2) {
        let [(before, _), (beat, begin)] = pair else { unreachable!() };
        assert_eq!(beat.number(), before.number() + beat.missed() + 1);
        assert_eq!(beat.due(), first.due() + period * (beat.number() as u32 - 1), "exactly");
        assert!(*begin >= beat.due());
        if before.number() % 3 == 0 {
            assert!(beat.missed() >= 2, "{beat:?} after {before:?}");
        }
    }
    // It runs, or it waits: either way it ends.
    timer.cancel();
    assert_eq!(end_of(&timer), None);
}

#[test]
fn a_fixed_delay_counts_from_the_end_of_a_call() {
    let pause = Duration::from_millis(3);
    let (told, hears) = mpsc::channel::<(Beat, Instant)>();
    let timer = Timer::with_delay(pause, move |beat| {
        thread::sleep(2 * pause);
        told.send((*beat, Instant::now())).unwrap();
    });
    timer.start().unwrap();
    let heard: Vec<_> = hears.iter().take(5).collect();
    for (at, pair) in heard.windows(2).enumerate() {
        let [(_, ended), (beat, _)] = pair else { unreachable!() };
        assert_eq!((beat.number(), beat.missed()), (at as u64 + 2, 0));
        assert!(beat.due() >= *ended + pause);
    }
    timer.cancel();
    assert_eq!(end_of(&timer), None);
}

#[test]
fn a_break_ends_it_with_a_value() {
    let mut left = 3;
    let timer = Timer::every(Duration::from_millis(1), move |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break("done") } else { ControlFlow::Continue(()) }
    });
    timer.start().unwrap();
    assert_eq!(end_of(&timer), Some("done"));
    assert!(!timer.cancel());
}

#[test]
fn a_repeating_timer_that_is_cancelled_in_a_call_makes_no_other() {
    for break_with in [None, Some("the last word")] {
        let (running, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (its_running, its_go_on) = (running.clone(), go_on.clone());
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let timer = Timer::every(Duration::from_micros(1), move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            its_running.set();
            its_go_on.wait().unwrap();
            break_with.map_or(ControlFlow::Continue(()), ControlFlow::Break)
        });
        timer.start().unwrap();
        running.wait_for(PATIENCE).unwrap();
        assert!(!timer.cancel(), "one is running");
        go_on.set();
        assert_eq!(end_of(&timer), break_with);
        assert_eq!(timer.cancel(), break_with.is_none(), "whether it was this that ended it");
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_repeating_timer_goes_on_from_where_it_is_reset() {
    let (told, hears) = mpsc::channel::<Beat>();
    let timer = Timer::every(LONG, move |beat| told.send(*beat).unwrap());
    timer.start().unwrap();
    waits(&timer);
    assert!(timer.reset(Duration::ZERO));
    let first = hears.recv_timeout(PATIENCE).unwrap();
    waits(&timer);
    assert!(hears.try_recv().is_err(), "the next one is a period later");
    assert!(timer.reset(Duration::ZERO));
    let second = hears.recv_timeout(PATIENCE).unwrap();
    assert_eq!((first.number(), second.number(), second.missed()), (1, 2, 0));
    waits(&timer);
    assert!(timer.cancel());
    assert_eq!(end_of(&timer), None);
}

#[test]
fn without_a_period_it_calls_on_and_on() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let timer = Timer::every(Duration::ZERO, move |beat| {
        assert_eq!(beat.missed(), 0);
        counted.fetch_add(1, Ordering::Relaxed);
    });
    timer.start().unwrap();
    until("a thousand calls", || calls.load(Ordering::Relaxed) >= 1000);
    timer.cancel();
    assert_eq!(end_of(&timer), None);
}

#[test]
fn a_panic_ends_it_and_comes_out_of_the_join() {
    let timer = Timer::every(Duration::from_millis(1), |beat: &Beat| {
        assert!(beat.number() < 3, "no more paper");
    });
    timer.start().unwrap();
    let JoinError::Panicked(payload) = timer.join_for(PATIENCE).unwrap_err() else { panic!("it panics") };
    assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "no more paper");
    assert!(!timer.cancel());
}

#[test]
fn a_panic_nobody_joins_for_goes_to_the_excepthook() {
    let (told, hears) = mpsc::channel();
    thread::set_excepthook(move |args| _ = told.send(args.to_string()));
    let timer =
        Builder::new().name("paper feed".into()).timer_every(SHORT, |beat| assert!(beat.number() < 2, "no more paper"));
    timer.start().unwrap();
    drop(timer); // detaches it
    let line = hears.iter().find(|line| line.contains("paper feed")).unwrap();
    assert!(line.ends_with("and nobody joined it: no more paper"), "{line}");
}

#[test]
fn names_daemons_and_dumps() {
    let named = Timer::new(LONG, nothing);
    let closure = Timer::every(LONG, |_| ());
    assert!(named.thread().name().unwrap().ends_with(" (nothing)"), "{named:?}");
    assert!(closure.thread().name().unwrap().ends_with(" (timer)"), "{closure:?}");
    assert!(!named.thread().is_daemon());
    named.thread().set_daemon(true).unwrap();
    named.thread().set_name("of my own");

    let built = Builder::new().name("tick".into()).daemon(true).stack_size(64 * 1024);
    let built = built.timer_with_delay(LONG, |_| ());
    assert_eq!(built.thread().name(), Some("tick"));
    assert!(built.thread().is_daemon());
    let text = format!("{built:?}");
    assert!(text.contains("tick") && text.contains("not started, delay 3600s"), "{text}");
    built.start().unwrap();
    waits(&built);
    assert!(format!("{built:?}").contains("due in 35"), "{built:?}");
    built.cancel();
    end_of(&built);
    assert_eq!(built.thread().wait_stats().get(Kind::Timer).count, 1);
}

#[test]
fn a_timer_cannot_join_itself() {
    let timer = Arc::new(std::sync::OnceLock::<Timer<bool>>::new());
    let its = timer.clone();
    let made = Timer::new(Duration::ZERO, move || {
        let me = its.wait();
        matches!(me.join_for(Duration::MAX), Err(JoinError::Itself))
    });
    let timer = timer.get_or_init(|| made);
    timer.start().unwrap();
    assert_eq!(end_of(timer), Some(true));
}

#[test]
fn a_timer_is_shared() {
    fn shared<T: Send + Sync>(_: &T) {}
    let timer = Timer::new(LONG, || 1);
    shared(&timer);
    timer.start().unwrap();
    thread::scope(|scope| {
        let cancels: Vec<_> = (0..4).map(|_| scope.spawn(|| timer.cancel())).collect();
        assert!(cancels.iter().all(|cancel| cancel.join().unwrap()));
    });
    assert_eq!(end_of(&timer), None);
}
