//! Futures: what each of their methods gives in each state, also to many who ask at once.

use lisle::Kind;
use lisle::executor::{Future, FutureError, Promise, State};
use lisle::sync::{Event, Mutex};
use lisle::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// A future whose call failed, one that was cancelled, one whose value is gone.
fn ended() -> [(&'static str, Future<u32>); 3] {
    let (failed, cancelled, taken) = (Promise::new(), Promise::new(), Future::ready(1));
    failed.set_error("no more paper").unwrap();
    assert!(cancelled.future().cancel());
    taken.result().unwrap();
    [("failed", failed.future()), ("cancelled", cancelled.future()), ("taken", taken)]
}

fn is(error: &FutureError, what: &str) -> bool {
    match error {
        FutureError::Failed(failure) => what == "failed" && failure.message() == "no more paper",
        FutureError::Cancelled => what == "cancelled",
        FutureError::Taken => what == "taken",
        FutureError::TimedOut => what == "timed out",
        FutureError::NotDone => what == "not done",
        _ => false,
    }
}

#[track_caller]
fn until(what: impl Fn() -> bool) {
    let patience = Instant::now() + LONG;
    while !what() {
        assert!(Instant::now() < patience, "it does not come to that");
        thread::yield_now();
    }
}

#[test]
fn states() {
    let promise = Promise::named("the answer");
    let future = promise.future();
    let look = || (future.state(), future.is_running(), future.is_cancelled(), future.is_done());
    assert_eq!(look(), (State::Pending, false, false, false));
    assert!(promise.set_running());
    assert_eq!(look(), (State::Running, true, false, false));
    assert!(!promise.set_running(), "it was");
    assert!(!future.cancel(), "it runs");
    promise.set(42).unwrap();
    assert_eq!(look(), (State::Finished, false, false, true));
    assert!(!promise.set_running() && !future.cancel() && !future.interrupt());
    assert_eq!(future.result().unwrap(), 42);
    assert_eq!(look(), (State::Finished, false, false, true));

    assert_eq!(future.name(), Some("the answer"));
    assert_eq!(Promise::<()>::new().future().name(), None);
    assert!(future.submitted_at().file().ends_with("executor_future.rs"));

    let promise = Promise::<u32>::new();
    let future = promise.future();
    assert!(future.cancel() && future.cancel(), "cancelled before counts too");
    assert_eq!((future.state(), future.is_cancelled(), future.is_done()), (State::Cancelled, true, true));
    assert!(!promise.set_running());
    assert!(future.interrupt(), "as cancel");
}

#[test]
fn every_form_gives_the_value() {
    let past = Instant::now().checked_sub(SHORT).unwrap();
    let ready = || Future::ready(7);
    assert_eq!(ready().result().unwrap(), 7);
    assert_eq!(ready().try_result().unwrap(), 7);
    assert_eq!(ready().result_for(Duration::ZERO).unwrap(), 7, "done: no limit matters");
    assert_eq!(ready().result_until(past).unwrap(), 7);
    let future = ready();
    for _ in 0..2 {
        assert_eq!(future.cloned().unwrap(), 7);
        assert_eq!(future.try_cloned().unwrap(), 7);
        assert_eq!(future.cloned_for(Duration::ZERO).unwrap(), 7);
        assert_eq!(future.cloned_until(past).unwrap(), 7);
        assert!(future.exception().unwrap().is_none());
        assert!(future.try_exception().unwrap().is_none());
        assert!(future.exception_for(Duration::ZERO).unwrap().is_none());
        assert!(future.exception_until(past).unwrap().is_none());
        future.wait().unwrap();
        future.wait_for(Duration::ZERO).unwrap();
        future.wait_until(past).unwrap();
    }
    assert_eq!(future.result().unwrap(), 7, "the copies left it in");
}

#[test]
fn every_form_says_why_there_is_none() {
    let past = Instant::now();
    for (what, future) in ended() {
        for _ in 0..2 {
            assert!(is(&future.result().unwrap_err(), what), "{what}");
            assert!(is(&future.try_result().unwrap_err(), what), "{what}");
            assert!(is(&future.result_for(SHORT).unwrap_err(), what), "{what}");
            assert!(is(&future.result_until(past).unwrap_err(), what), "{what}");
            assert!(is(&future.cloned().unwrap_err(), what), "{what}");
            assert!(is(&future.try_cloned().unwrap_err(), what), "{what}");
            assert!(is(&future.cloned_for(SHORT).unwrap_err(), what), "{what}");
            assert!(is(&future.cloned_until(past).unwrap_err(), what), "{what}");
            future.wait().unwrap();
        }
        let exceptions = [
            future.exception(),
            future.try_exception(),
            future.exception_for(Duration::ZERO),
            future.exception_until(past),
        ];
        for exception in exceptions {
            match what {
                "failed" => assert_eq!(exception.unwrap().unwrap().message(), "no more paper"),
                "cancelled" => assert!(exception.unwrap_err().is_cancelled()),
                _ => assert!(exception.unwrap().is_none()),
            }
        }
    }
}

#[test]
fn every_form_ends_at_its_limit() {
    let promise = Promise::<u32>::new();
    let future = promise.future();
    for set_running in [false, true] {
        if set_running {
            // By another thread: for this one, it would be the call's own future.
            thread::scope(|scope| assert!(scope.spawn(|| promise.set_running()).join().unwrap()));
        }
        let soon = || Instant::now() + SHORT;
        assert!(is(&future.result_for(SHORT).unwrap_err(), "timed out"));
        assert!(is(&future.result_until(soon()).unwrap_err(), "timed out"));
        assert!(is(&future.cloned_for(SHORT).unwrap_err(), "timed out"));
        assert!(is(&future.cloned_until(soon()).unwrap_err(), "timed out"));
        assert!(is(&future.exception_for(SHORT).unwrap_err(), "timed out"));
        assert!(is(&future.exception_until(soon()).unwrap_err(), "timed out"));
        assert!(future.wait_for(SHORT).unwrap_err().is_timed_out());
        assert!(future.wait_until(soon()).unwrap_err().is_timed_out());
        assert!(is(&future.try_result().unwrap_err(), "not done"));
        assert!(is(&future.try_cloned().unwrap_err(), "not done"));
        assert!(is(&future.try_exception().unwrap_err(), "not done"));
    }
    promise.set(1).unwrap();
    assert_eq!(future.result().unwrap(), 1, "nothing was lost");
}

#[test]
fn all_who_wait_are_released_and_one_gets_the_value() {
    for _ in 0..50 {
        let promise = Promise::new();
        let future = promise.future();
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..6).map(|_| scope.spawn(|| future.result_for(LONG))).collect();
            promise.set(String::from("one")).unwrap();
            let (got, not): (Vec<_>, Vec<_>) =
                waiters.into_iter().map(|waiter| waiter.join().unwrap()).partition(Result::is_ok);
            assert_eq!((got.len(), not.len()), (1, 5));
            assert!(not.iter().all(|error| is(error.as_ref().unwrap_err(), "taken")));
        });
    }
}

#[test]
fn copies_made_at_once() {
    let future = Future::ready(vec![1; 100]);
    thread::scope(|scope| {
        let copiers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..2_000).all(|_| future.cloned().unwrap().len() == 100))).collect();
        assert!(copiers.into_iter().all(|copier| copier.join().unwrap()));
    });
    assert_eq!(future.result().unwrap(), vec![1; 100]);
}

/// Its clone does what is said when the future is there.
struct OnClone(Arc<dyn Fn() + Send + Sync>);

impl Clone for OnClone {
    fn clone(&self) -> OnClone {
        (self.0)();
        OnClone(self.0.clone())
    }
}

#[test]
fn a_copy_that_blocks_holds_up_nobody_beyond_his_limit() {
    let (at_it, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (says, waits) = (at_it.clone(), go.clone());
    let future = Future::ready(OnClone(Arc::new(move || {
        says.set();
        waits.wait().unwrap();
    })));
    thread::scope(|scope| {
        let slow = scope.spawn(|| drop(future.cloned().unwrap()));
        at_it.wait_for(LONG).unwrap();
        future.wait().unwrap();
        assert_eq!(future.state(), State::Finished);
        assert!(future.exception().unwrap().is_none(), "that needs no copy");
        assert!(is(&future.cloned_for(SHORT).err().unwrap(), "timed out"));
        assert!(is(&future.result_for(SHORT).err().unwrap(), "timed out"));
        assert!(is(&future.result_until(Instant::now()).err().unwrap(), "timed out"));
        let taker = scope.spawn(|| drop(future.result().unwrap()));
        until(|| taker.thread().waits_for() == Some(Kind::Future));
        go.set();
        slow.join_for(LONG).unwrap();
        taker.join_for(LONG).unwrap();
    });
    assert!(is(&future.result().err().unwrap(), "taken"));
}

#[test]
fn a_copy_that_panics_leaves_the_value_in() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counts = tries.clone();
    let future = Future::ready(OnClone(Arc::new(move || {
        assert!(counts.fetch_add(1, Ordering::SeqCst) > 0, "the first copy fails");
    })));
    catch_unwind(AssertUnwindSafe(|| drop(future.cloned()))).unwrap_err();
    future.cloned().unwrap();
    future.result().unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[test]
fn a_copy_that_waits_for_itself_is_told_so() {
    static FUTURE: Mutex<Option<Future<OnClone>>> = Mutex::new(None);
    static ERROR: Mutex<Option<FutureError>> = Mutex::new(None);
    let future = Future::ready(OnClone(Arc::new(|| {
        let own = FUTURE.lock().clone().unwrap();
        *ERROR.lock() = own.result().err();
    })));
    *FUTURE.lock() = Some(future.clone());
    let copier = thread::spawn(move || drop(future.cloned().unwrap()));
    copier.join_for(LONG).expect("it does not hang");
    let error = ERROR.lock().take().expect("the inner call fails");
    assert!(error.deadlock().is_some(), "{error}");
}

#[test]
fn failures() {
    #[derive(Debug, PartialEq)]
    struct OutOfInk(u32);
    impl std::fmt::Display for OutOfInk {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{} ml of ink left", self.0)
        }
    }
    impl std::error::Error for OutOfInk {}

    let promise = Promise::<()>::new();
    promise.set_error(OutOfInk(3)).unwrap();
    let failure = promise.future().exception().unwrap().unwrap();
    assert_eq!((failure.message(), failure.to_string()), ("3 ml of ink left".into(), "3 ml of ink left".into()));
    assert_eq!(failure.downcast_ref(), Some(&OutOfInk(3)));
    assert!(failure.error().is_some() && !failure.is_panic() && !failure.is_abandoned());

    // The same for all who ask, and handed on to another promise.
    let next = Promise::<()>::new();
    next.set_failure(failure).unwrap();
    let again = next.future().result().unwrap_err();
    assert_eq!(again.failure().unwrap().downcast_ref(), Some(&OutOfInk(3)));

    let promise = Promise::<()>::new();
    promise.set_panic(catch_unwind(|| std::panic::panic_any(OutOfInk(0))).unwrap_err()).unwrap();
    let failure = promise.future().exception().unwrap().unwrap();
    assert!(failure.is_panic() && failure.error().is_none());
    let payload = catch_unwind(AssertUnwindSafe(|| failure.resume())).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&OutOfInk(0)));
    let again = promise.future().exception().unwrap().unwrap();
    let text = again.message();
    let payload = catch_unwind(AssertUnwindSafe(|| again.resume())).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&text), "the payload is gone, the message is not");
}

#[test]
fn an_interrupt_for_a_promise_is_not_left_for_what_comes_next() {
    let promise = Promise::new();
    let future = promise.future();
    assert!(promise.set_running());
    assert!(future.interrupt());
    promise.set(1).unwrap();
    assert!(!thread::interrupted(), "it was for the making of that value");
    assert_eq!(future.result().unwrap(), 1);
}
