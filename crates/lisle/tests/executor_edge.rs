//! Executors where users' code misbehaves, and at the edges of the search for deadlocks.

use lisle::executor::{FutureError, Promise, ThreadPoolExecutor, Until, wait, wait_for};
use lisle::sync::Event;
use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};
use std::time::Duration;

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_value_that_nobody_wants_and_that_panics_leaves_the_pool_whole() {
    let pool = ThreadPoolExecutor::with_max_workers(1).unwrap();
    drop(pool.submit(|| Bomb).unwrap());
    drop(pool.submit(|| std::panic::panic_any(Bomb)).unwrap());
    pool.join_for(LONG).expect("the calls are over");
    let worker = pool.submit(|| lisle::thread::current().name().map(String::from)).unwrap().result().unwrap();
    assert!(worker.unwrap().ends_with("_0"), "it is the first worker still");
}

#[test]
fn a_value_that_panics_does_not_end_a_scope_early() {
    let pool = ThreadPoolExecutor::with_max_workers(2).unwrap();
    // A worker's scope: it runs calls itself. The last submitted is the first that it comes to.
    let over = pool.submit(|| {
        let inner = ThreadPoolExecutor::with_max_workers(1).unwrap();
        let (busy, go, over) = (Event::new(), Event::new(), AtomicUsize::new(0));
        let scoped = inner.submit(|| ()).unwrap();
        scoped.wait().unwrap();
        let (busy, go, over) = (&busy, &go, &over);
        inner.scope(|s| {
            s.submit(move || {
                busy.set();
                go.wait_for(LONG).unwrap();
                over.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
            busy.wait().unwrap();
            drop(s.submit(|| Bomb).unwrap());
            go.set();
        });
        over.load(Ordering::Relaxed)
    });
    assert_eq!(over.unwrap().result().unwrap(), 1);
    // The same on the pool's own worker, where the scope runs what has not begun.
    let shared = Arc::new(pool);
    let own = shared.clone();
    let over = shared.submit(move || {
        let (busy, over) = (Event::new(), AtomicUsize::new(0));
        let (go, busy, over) = (&Event::new(), &busy, &over);
        own.scope(|s| {
            s.submit(move || {
                busy.set();
                go.wait_for(LONG).unwrap();
                over.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
            busy.wait().unwrap();
            s.submit(|| go.set()).unwrap();
            drop(s.submit(|| Bomb).unwrap());
        });
        over.load(Ordering::Relaxed)
    });
    assert_eq!(over.unwrap().result().unwrap(), 1);
}

#[test]
fn a_waker_that_panics_does_not_keep_the_news_from_others() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let promise = Promise::new();
    let mut polled = pin!(promise.future());
    assert!(polled.as_mut().poll(&mut Context::from_waker(&Arc::new(Panics).into())).is_pending());
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    promise.future().add_done_callback(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    promise.set(1).unwrap();
    assert_eq!(called.load(Ordering::Relaxed), 1);
}

#[test]
fn a_scope_runs_what_its_calls_submit_while_it_waits() {
    let pool = Arc::new(ThreadPoolExecutor::with_max_workers(2).unwrap());
    let own = pool.clone();
    // One worker waits for the scope's end, the other for a call that only the first can run.
    let sum = pool.submit(move || {
        let begun = &Event::new();
        let outer = own.scope(|s| {
            let outer = s.submit(move || {
                begun.set();
                // Time for the other worker to fall asleep; without it the test means less.
                lisle::thread::sleep(Duration::from_millis(50));
                s.submit(|| 41).unwrap().result_for(LONG).unwrap() + 1
            });
            begun.wait().unwrap();
            outer.unwrap()
        });
        outer.result().unwrap()
    });
    assert_eq!(sum.unwrap().result().unwrap(), 42);
}

#[test]
fn a_wait_for_the_first_of_several_is_no_deadlock_when_one_is_done() {
    let pool = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let (promise, go) = (Promise::new(), Arc::new(Event::new()));
    let done = promise.future();
    let held = go.clone();
    // The callback comes before the wait's own: it holds up the news.
    done.add_done_callback(move |_| held.wait_for(LONG).unwrap());
    let mine = Arc::new(Promise::<()>::new());
    mine.set_running();
    let other = mine.future();
    let waits_for_me = pool.submit(move || other.wait()).unwrap();
    let setter = lisle::thread::spawn(move || {
        lisle::thread::sleep(Duration::from_millis(2));
        promise.set(()).unwrap();
    });
    let opener = lisle::thread::spawn(move || {
        lisle::thread::sleep(Duration::from_millis(100));
        go.set();
    });
    let both: [&dyn lisle::executor::Waitable; 2] = [&done, &waits_for_me];
    let waited = wait(both, Until::FirstCompleted).expect("one is done");
    assert_eq!(waited.done, [0]);
    mine.set(()).unwrap();
    waits_for_me.result().unwrap().unwrap();
    setter.join().unwrap();
    opener.join().unwrap();
}

#[test]
fn a_handle_outlives_its_scope() {
    let pool = ThreadPoolExecutor::with_max_workers(2).unwrap();
    let text = String::from("borrowed");
    let future = pool.scope(|s| s.submit(|| text.len()).unwrap());
    assert!(future.is_done());
    drop(text);
    assert!(!future.cancel() && !future.interrupt());
    assert_eq!(future.clone().result().unwrap(), 8);
    assert!(matches!(future.result(), Err(FutureError::Taken)));
    assert_eq!(wait_for([&future], Until::AllCompleted, LONG).unwrap().done, [0]);
}

#[test]
fn of_two_calls_in_a_row_neither_is_left_to_a_worker_that_is_busy() {
    let pool = ThreadPoolExecutor::with_max_workers(2).unwrap();
    for round in 0..3_000 {
        let (go, late) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (wanted, sets) = (go.clone(), go.clone());
        let noticed = late.clone();
        let first = pool.submit(move || wanted.wait_for(LONG).unwrap_or_else(|_| noticed.set())).unwrap();
        pool.execute(move || sets.set()).unwrap();
        first.result().unwrap();
        assert!(!late.is_set(), "in round {round}, nobody came for the second call while the first waited for it");
        if round % 8 == 0 {
            lisle::thread::sleep(Duration::from_micros(200)); // both workers fall asleep
        }
    }
}
