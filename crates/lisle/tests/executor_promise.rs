//! Promises and the calls of pools: how they end, who is told of it, and what of it is the user's code.

use lisle::Kind;
use lisle::executor::{Failure, Future, Pending, Promise, State, ThreadPoolExecutor};
use lisle::sync::{Barrier, Event, Mutex};
use lisle::thread::{self, Builder};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

fn pool(workers: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::with_max_workers(workers).unwrap()
}

/// The texts of panics that nobody takes, which contain `mark`.
fn mourned(mark: &str) -> usize {
    static ONCE: Once = Once::new();
    static TEXTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    ONCE.call_once(|| thread::set_excepthook(|args| TEXTS.lock().push(args.to_string())));
    TEXTS.lock().iter().filter(|text| text.contains(mark)).count()
}

#[track_caller]
fn until(what: impl Fn() -> bool) {
    let patience = Instant::now() + LONG;
    while !what() {
        assert!(Instant::now() < patience, "it does not come to that");
        thread::yield_now();
    }
}

/// Panics when dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[test]
fn an_abandoned_promise_fails_its_future() {
    for set_running in [false, true] {
        let promise = Promise::<u32>::new();
        let future = promise.future();
        let seen = Arc::new(AtomicUsize::new(0));
        let sees = seen.clone();
        future.add_done_callback(move |future| {
            assert!(future.exception().unwrap().unwrap().is_abandoned());
            sees.fetch_add(1, Ordering::SeqCst);
        });
        let waiter = {
            let future = future.clone();
            thread::spawn(move || future.result())
        };
        let dropper = thread::spawn(move || {
            assert!(!set_running || promise.set_running());
            drop(promise);
        });
        dropper.join_for(LONG).unwrap();
        let error = waiter.join_for(LONG).unwrap().unwrap_err();
        assert!(error.failure().unwrap().is_abandoned());
        assert_eq!(error.to_string(), "the promise was dropped before it had a result");
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    }
    // Dropped after it was done, or when it was cancelled, it changes nothing.
    let promise = Promise::new();
    let future = promise.future();
    promise.set(1).unwrap();
    drop(promise);
    assert_eq!(future.result().unwrap(), 1);
    let promise = Promise::<u32>::new();
    let future = promise.future();
    future.cancel();
    drop(promise);
    assert!(future.is_cancelled());
}

#[test]
fn a_result_is_set_once_and_comes_back_otherwise() {
    let promise = Promise::new();
    promise.set(String::from("first")).unwrap();
    let error = promise.set("second".into()).unwrap_err();
    assert_eq!(error.value, "second");
    assert!(error.to_string().contains("a result is set once"), "{error}");
    assert_eq!(promise.set_error("late").unwrap_err().value.message(), "late");
    assert!(promise.set_panic(Box::new("late")).unwrap_err().value.is_panic());
    assert_eq!(promise.set_failure(Failure::new("late")).unwrap_err().value.message(), "late");
    assert_eq!(promise.future().result().unwrap(), "first");
    assert_eq!(promise.set("after it was taken".into()).unwrap_err().value, "after it was taken");

    for (_, future) in [("cancelled", true), ("failed", false)].map(|(what, cancel)| {
        let promise = Promise::<u32>::new();
        let future = promise.future();
        if cancel {
            future.cancel();
        } else {
            promise.set_error("no more paper").unwrap();
        }
        assert_eq!(promise.set(5).unwrap_err().value, 5);
        (what, future)
    }) {
        assert!(future.is_done() && future.try_result().is_err());
    }

    // Many at once: one of them succeeds.
    for _ in 0..200 {
        let promise = Promise::new();
        let set = thread::scope(|scope| {
            let setters: Vec<_> = (0..3)
                .map(|n| {
                    scope.spawn({
                        let promise = &promise;
                        move || promise.set(n)
                    })
                })
                .collect();
            let cancels = scope.spawn(|| promise.future().cancel());
            let set = setters.into_iter().filter(|setter| setter.join().unwrap().is_ok()).count();
            set + usize::from(cancels.join().unwrap())
        });
        assert_eq!(set, 1);
    }
}

#[test]
fn a_call_that_waits_for_its_own_future() {
    for help in [false, true] {
        let pool = ThreadPoolExecutor::builder().max_workers(1).help(help).build().unwrap();
        let own = Promise::<Future<Vec<String>>>::new();
        let its = own.future();
        let call = pool
            .submit(move || {
                let me: Future<Vec<String>> = its.result().unwrap();
                vec![
                    me.result().unwrap_err().to_string(),
                    me.result_for(LONG).unwrap_err().to_string(),
                    me.cloned().unwrap_err().to_string(),
                    me.exception().unwrap_err().to_string(),
                    me.try_result().unwrap_err().to_string(),
                    me.wait().unwrap_err().to_string(),
                ]
            })
            .unwrap();
        own.set(call.clone()).unwrap();
        let texts = call.result_for(LONG).unwrap();
        assert!(texts[..4].iter().all(|text| text.contains("a call cannot wait for its own future")), "{texts:?}");
        assert!(texts[4].contains("not done"), "{texts:?}");
        assert!(texts[5].contains("1 thread waits for itself"), "{texts:?}");
    }
}

#[test]
fn a_call_that_is_run_in_place_and_waits_for_the_one_below_it() {
    let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).help(true).build().unwrap());
    let own = Promise::<Future<String>>::new();
    let (its, inner) = (own.future(), pool.clone());
    let outer = pool
        .submit(move || {
            let me: Future<String> = its.result().unwrap();
            let nested = inner.submit(move || me.result().unwrap_err().to_string()).unwrap();
            nested.result().unwrap()
        })
        .unwrap();
    own.set(outer.clone()).unwrap();
    let text = outer.result_for(LONG).unwrap();
    assert!(text.contains("a call cannot wait for its own future"), "{text}");
}

#[test]
fn an_interrupt_reaches_the_thread_that_keeps_the_promise() {
    let promise = Arc::new(Promise::<u32>::new());
    let (future, keeper) = (promise.future(), promise.clone());
    let worker = Builder::new()
        .spawn(move || {
            assert!(keeper.set_running());
            let left = thread::sleep_interruptible(LONG).unwrap_err().is_interrupted();
            keeper.set(u32::from(left)).unwrap();
        })
        .unwrap();
    until(|| worker.thread().waits_for() == Some(Kind::Sleep));
    assert!(future.is_running() && !future.cancel());
    assert!(future.interrupt());
    worker.join_for(LONG).unwrap();
    assert_eq!(future.result().unwrap(), 1);
    assert!(!future.interrupt(), "nobody runs it any more");
}

#[test]
fn a_cancelled_call_is_dropped_at_once_and_its_panic_does_no_harm() {
    assert_eq!(mourned("dropped with the call"), 0);
    let pool = pool(1);
    let go = Arc::new(Event::new());
    let its = go.clone();
    pool.execute(move || its.wait().unwrap()).unwrap();
    let held = Arc::new(());
    let kept = held.clone();
    let call = pool.submit(move || drop(kept)).unwrap();
    assert_eq!(Arc::strong_count(&held), 2);
    assert!(call.cancel());
    assert_eq!(Arc::strong_count(&held), 1);

    let bomb = Bomb("dropped with the call");
    let call = pool.submit(move || std::mem::forget(bomb)).unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let tells = told.clone();
    call.add_done_callback(move |_| {
        tells.fetch_add(1, Ordering::SeqCst);
    });
    assert!(call.cancel());
    assert_eq!(told.load(Ordering::SeqCst), 1, "those who wait are told all the same");
    assert_eq!(mourned("dropped with the call"), 1);
    go.set();
    pool.join_for(LONG).unwrap();
}

#[test]
fn a_result_that_panics_when_nobody_wants_it_costs_no_worker() {
    assert_eq!(mourned("unwanted"), 0);
    let pool = pool(1);
    let worker = pool.submit(thread::current).unwrap().result().unwrap();
    for (count, fails) in [(1, false), (2, true)] {
        let (go, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (its, says) = (go.clone(), begun.clone());
        let call = pool.submit(move || {
            says.set();
            its.wait().unwrap();
            if fails {
                std::panic::panic_any(Bomb("unwanted failure"));
            }
            Bomb("unwanted value")
        });
        begun.wait_for(LONG).unwrap();
        drop(call);
        go.set();
        pool.join_for(LONG).expect("the call is counted as over");
        assert_eq!(pool.submit(thread::current).unwrap().result_for(LONG).unwrap(), worker);
        assert_eq!(mourned("unwanted"), count);
    }
    pool.shutdown_for(Pending::Run, LONG).unwrap();
}

#[test]
fn a_scope_outlasts_its_calls_though_a_value_panics() {
    let pool = Arc::new(pool(1));
    let inner = pool.clone();
    let call = pool
        .submit(move || {
            let borrowed = AtomicUsize::new(0);
            inner.scope(|scope| {
                for _ in 0..3 {
                    let call = scope.submit(|| {
                        borrowed.fetch_add(1, Ordering::SeqCst);
                        Bomb("left in the scope")
                    });
                    drop(call.unwrap());
                }
            });
            borrowed.into_inner()
        })
        .unwrap();
    assert_eq!(call.result_for(LONG).unwrap(), 3);
    assert_eq!(mourned("left in the scope"), 3);
}

#[test]
fn callbacks_come_in_order_and_once() {
    let promise = Promise::new();
    let future = promise.future();
    let order = Arc::new(Mutex::new(Vec::new()));
    let add = |n: u32| {
        let order = order.clone();
        future.add_done_callback(move |future| order.lock().push((n, future.state(), thread::current())));
    };
    (0..5).for_each(add);
    assert_eq!(*order.lock(), []);
    let setter = thread::spawn(move || {
        promise.set(1).unwrap();
        thread::current()
    });
    let setter = setter.join().unwrap();
    let expected: Vec<_> = (0..5).map(|n| (n, State::Finished, setter.clone())).collect();
    assert_eq!(*order.lock(), expected, "by who completed it");
    add(5);
    assert_eq!(*order.lock().last().unwrap(), (5, State::Finished, thread::current()), "here and now");
    assert_eq!(future.result().unwrap(), 1);
}

#[test]
fn a_callback_that_panics_stops_nobody() {
    assert_eq!(mourned("hung up"), 0);
    let promise = Promise::new();
    let future = promise.future();
    let called = Arc::new(AtomicUsize::new(0));
    for n in 0..4 {
        let called = called.clone();
        future.add_done_callback(move |_| {
            called.fetch_add(1, Ordering::SeqCst);
            assert!(n % 2 == 1, "hung up");
        });
    }
    promise.set(1).unwrap();
    future.add_done_callback(|_| panic!("hung up"));
    assert_eq!(called.load(Ordering::SeqCst), 4);
    assert_eq!(mourned("hung up"), 3);
}

#[test]
fn callbacks_added_while_it_ends_are_called_once_each() {
    for round in 0..200 {
        let promise = Promise::<u32>::new();
        let future = promise.future();
        let (called, start) = (Arc::new(AtomicUsize::new(0)), Barrier::new(4));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    start.wait().unwrap();
                    for _ in 0..50 {
                        let called = called.clone();
                        future.add_done_callback(move |_| {
                            called.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                });
            }
            start.wait().unwrap();
            match round % 3 {
                0 => promise.set(1).unwrap(),
                1 => assert!(future.cancel()),
                _ => promise.set_error("no").unwrap(),
            }
        });
        assert_eq!(called.load(Ordering::SeqCst), 150);
    }
}
