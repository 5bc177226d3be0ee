//! Every interleaving of a few threads on a future and on a pool, deadlines and interrupts included.
//!
//! `make model` runs these. A deadline is a thread that lets it pass at any time, an interrupt a
//! thread that calls it at any time. What a model asserts besides its outcomes: loom itself fails
//! on a thread that sleeps for ever, and on a value that is read without order after its making.
//!
//! The pool's models run the pool itself, with threads of the model's for workers.

use super::call::Call;
use super::task::Work;
use super::worker::STARTED;
use super::{FutureError, Pending, Promise, State, SubmitError, ThreadPoolExecutor, Until, wait, wait_until};
use crate::park::model::{clock, deadline, interrupter};
use crate::park::{Label, WaitError, current};
use crate::sync::Event;
use loom::cell::UnsafeCell;
use loom::thread;
use std::future::Future as _;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};

/// A value whose reading loom checks against its making.
#[derive(Debug)]
struct Item(UnsafeCell<usize>);

// SAFETY: loom fails on two threads that are here at a time.
unsafe impl Sync for Item {}

impl Item {
    fn new(number: usize) -> Item {
        let item = Item(UnsafeCell::new(0));
        item.0.with_mut(|at| {
            // SAFETY: loom checks that nobody else is here.
            unsafe { *at = number }
        });
        item
    }

    fn add_one(&self) {
        self.0.with_mut(|at| {
            // SAFETY: loom checks that nobody else is here.
            unsafe { *at += 1 }
        });
    }

    fn number(&self) -> usize {
        self.0.with(|at| {
            // SAFETY: loom checks that nobody writes.
            unsafe { *at }
        })
    }
}

impl Clone for Item {
    fn clone(&self) -> Item {
        // As a writer, so that loom sees whether anybody else is here.
        Item::new(self.0.with_mut(|at| {
            // SAFETY: loom checks that nobody else is here.
            unsafe { *at }
        }))
    }
}

/// Counts how often it is dropped.
struct Witness(Arc<AtomicUsize>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Promised = Arc<Promise<Item>>;

fn promise() -> (Promised, super::Future<Item>) {
    let promise = Promise::new();
    let future = promise.future();
    (Arc::new(promise), future)
}

fn set(promise: &Promised, number: usize) -> thread::JoinHandle<bool> {
    let promise = promise.clone();
    thread::spawn(move || promise.set(Item::new(number)).is_ok())
}

fn call<T: Send>(function: impl FnOnce() -> T + Send) -> Arc<Call<impl FnOnce() -> T + Send, T>> {
    Arc::new(Call::new(function, Label::new(Location::caller()), 0))
}

#[test]
fn a_value_wakes_who_waits() {
    loom::model(|| {
        let (promise, future) = promise();
        let setter = set(&promise, 1);
        assert_eq!(future.result().unwrap().number(), 1);
        assert!(setter.join().unwrap());
    });
}

#[test]
fn a_value_comes_out_once() {
    loom::model(|| {
        let (promise, future) = promise();
        let other = future.clone();
        let taker = thread::spawn(move || other.result().map(|item| item.number()));
        promise.set(Item::new(1)).unwrap();
        let mine = future.result().map(|item| item.number());
        match (mine, taker.join().unwrap()) {
            (Ok(1), Err(FutureError::Taken)) | (Err(FutureError::Taken), Ok(1)) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_timeout_leaves_the_value_in() {
    loom::model(|| {
        let (promise, future) = promise();
        let setter = set(&promise, 1);
        let clock = clock(current::get());
        let value = future.result_until(deadline());
        setter.join().unwrap();
        clock.join().unwrap();
        match value {
            Ok(item) => assert_eq!(item.number(), 1),
            Err(FutureError::TimedOut) => assert_eq!(future.try_result().unwrap().number(), 1, "it is still there"),
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn a_timeout_of_one_is_not_the_others() {
    loom::model(|| {
        let (promise, future) = promise();
        let other = future.clone();
        let patient = thread::spawn(move || other.wait().unwrap());
        let clock = clock(current::get());
        let waited = future.wait_until(deadline());
        assert!(matches!(waited, Ok(()) | Err(WaitError::TimedOut)));
        promise.set(Item::new(1)).unwrap();
        patient.join().unwrap();
        clock.join().unwrap();
    });
}

#[test]
fn an_interrupt_ends_the_wait_or_stays_pending() {
    loom::model(|| {
        let (promise, future) = promise();
        let setter = set(&promise, 1);
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let value = future.result();
        setter.join().unwrap();
        interrupter.join().unwrap();
        let done = match value {
            Ok(item) => item.number() == 1,
            Err(FutureError::Interrupted) => false,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(me.take_interrupt(), done);
        assert_eq!(future.try_result().is_ok(), !done);
    });
}

#[test]
fn who_sets_or_who_cancels_wins() {
    loom::model(|| {
        let (promise, future) = promise();
        let other = future.clone();
        let canceller = thread::spawn(move || other.cancel());
        let waiter = future.clone();
        let waiter = thread::spawn(move || waiter.result().map(|item| item.number()));
        let set = promise.set(Item::new(1)).map_err(|back| back.value.number());
        let cancelled = canceller.join().unwrap();
        match (set, cancelled, waiter.join().unwrap()) {
            (Ok(()), false, Ok(1)) => assert_eq!(future.state(), State::Finished),
            (Err(1), true, Err(FutureError::Cancelled)) => assert!(future.is_cancelled()),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn two_setters_give_one_value() {
    loom::model(|| {
        let (promise, future) = promise();
        let setters = [set(&promise, 1), set(&promise, 2)];
        let got = future.result().unwrap().number();
        let set = setters.map(|setter| setter.join().unwrap());
        assert_eq!(set, [got == 1, got == 2]);
    });
}

#[test]
fn a_call_runs_or_is_cancelled() {
    loom::model(|| {
        let (dropped, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (witness, count) = (Witness(dropped.clone()), ran.clone());
        let call = call(move || {
            let _witness = witness;
            count.fetch_add(1, Ordering::Relaxed);
            Item::new(1)
        });
        let future = call.future();
        let runner = thread::spawn(move || call.run());
        let other = future.clone();
        let canceller = thread::spawn(move || other.cancel());
        let value = future.result().map(|item| item.number());
        runner.join().unwrap();
        let cancelled = canceller.join().unwrap();
        match (value, cancelled, ran.load(Ordering::Relaxed)) {
            (Ok(1), false, 1) | (Err(FutureError::Cancelled), true, 0) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "of the closure nothing is left");
    });
}

/// Runs a call that does `function` while another thread interrupts it. Says whether it did so while the
/// call could be interrupted or cancelled, and what came of the call.
fn interrupted_while_it_runs(function: impl FnOnce() -> Item + Send + 'static) -> (bool, Result<usize, FutureError>) {
    let call = call(function);
    let future = call.future();
    let other = future.clone();
    let interrupter = thread::spawn(move || other.interrupt());
    call.run();
    assert!(!current::with(|me| me.is_interrupted()), "none is left for the next call");
    let asked = interrupter.join().unwrap();
    assert!(!current::with(|me| me.is_interrupted()), "nor comes one later");
    (asked, future.result().map(|item| item.number()))
}

#[test]
fn an_interrupt_that_is_not_noticed_changes_nothing() {
    loom::model(|| match interrupted_while_it_runs(|| Item::new(1)) {
        (_, Ok(1)) | (true, Err(FutureError::Cancelled)) => {}
        other => panic!("{other:?}"),
    });
}

#[test]
fn an_interrupt_that_is_noticed_cancels() {
    loom::model(|| {
        let noticed = Arc::new(AtomicUsize::new(0));
        let count = noticed.clone();
        let end = interrupted_while_it_runs(move || {
            if current::with(|me| me.take_interrupt()) {
                count.store(1, Ordering::Relaxed);
            }
            Item::new(1)
        });
        match (end, noticed.load(Ordering::Relaxed)) {
            ((true, Err(FutureError::Cancelled)), _) | ((_, Ok(1)), 0) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_interrupt_ends_a_wait_in_the_call() {
    loom::model(|| {
        let never = Arc::new(Event::new());
        let end = interrupted_while_it_runs(move || {
            assert!(matches!(never.wait(), Err(WaitError::Interrupted)));
            Item::new(1)
        });
        assert!(matches!(end, (true, Err(FutureError::Cancelled))), "{end:?}");
    });
}

#[test]
fn callbacks_are_called_once_and_in_order() {
    loom::model(|| {
        let (promise, future) = promise();
        let called = Arc::new(Mutex::new(Vec::new()));
        let note = |number: usize| {
            let called = called.clone();
            move |future: &super::Future<Item>| {
                assert!(future.is_done());
                called.lock().unwrap().push(number);
            }
        };
        future.add_done_callback(note(1));
        let setter = set(&promise, 1);
        future.add_done_callback(note(2));
        let second = future.is_done();
        setter.join().unwrap();
        let mut called = called.lock().unwrap().clone();
        if second {
            called.sort(); // the second may have come when the first was just about to be called
        }
        assert_eq!(called, [1, 2]);
    });
}

#[test]
fn a_wait_for_several_ends_with_the_first() {
    loom::model(|| {
        let ((first, a), (second, b)) = (promise(), promise());
        let setters = [set(&first, 1), set(&second, 2)];
        let waited = wait([&a, &b], Until::FirstCompleted).unwrap();
        assert!(!waited.done.is_empty());
        for place in waited.done {
            assert_eq!([&a, &b][place].try_result().unwrap().number(), place + 1);
        }
        setters.map(|setter| setter.join().unwrap());
    });
}

#[test]
fn a_wait_for_several_ends_with_the_last() {
    loom::model(|| {
        let ((first, a), (second, b)) = (promise(), promise());
        let setters = [set(&first, 1), set(&second, 2)];
        assert_eq!(wait([&a, &b], Until::AllCompleted).unwrap().done, [0, 1]);
        setters.map(|setter| setter.join().unwrap());
    });
}

#[test]
fn a_wait_for_several_leaves_nothing_behind() {
    loom::model(|| {
        let (promise, future) = promise();
        let setter = set(&promise, 1);
        let clock = clock(current::get());
        let waited = wait_until([&future], Until::AllCompleted, deadline()).unwrap();
        if !waited.done.is_empty() {
            assert!(future.is_done());
        }
        setter.join().unwrap();
        clock.join().unwrap();
        assert_eq!(future.result().unwrap().number(), 1);
    });
}

#[test]
fn a_copy_is_made_by_one_at_a_time() {
    loom::model(|| {
        let future = super::Future::ready(Item::new(1));
        let copiers = [(); 2].map(|()| {
            let future = future.clone();
            thread::spawn(move || match future.cloned() {
                Ok(item) => assert_eq!(item.number(), 1),
                Err(error) => assert!(matches!(error, FutureError::Taken), "{error}"),
            })
        });
        assert_eq!(future.result().unwrap().number(), 1);
        copiers.map(|copier| copier.join().unwrap());
    });
}

/// A task's waker: an event.
struct Bell(Event);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.set();
    }
}

fn poll(future: &mut super::Future<Item>, bell: &Arc<Bell>) -> Option<usize> {
    match Pin::new(future).poll(&mut Context::from_waker(&bell.clone().into())) {
        Poll::Ready(value) => Some(value.unwrap().number()),
        Poll::Pending => None,
    }
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    loom::model(|| {
        let (promise, mut future) = promise();
        let setter = set(&promise, 1);
        let [first, last] = [(); 2].map(|()| Arc::new(Bell(Event::new())));
        let value = poll(&mut future, &first).or_else(|| poll(&mut future, &last)).or_else(|| {
            last.0.wait().unwrap();
            poll(&mut future, &last)
        });
        assert_eq!(value, Some(1));
        setter.join().unwrap();
    });
}

fn pool(workers: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::with_max_workers(workers).unwrap()
}

/// Ends the pool and waits for its workers.
fn end(pool: &ThreadPoolExecutor) {
    pool.close(Pending::Run);
    while let Some(worker) = { STARTED.lock().pop() } {
        worker.join().unwrap();
    }
}

/// Two calls of which each waits for the other to have begun.
fn meet(pool: &ThreadPoolExecutor, here: &Arc<Event>, there: &Arc<Event>) {
    let (here, there) = (here.clone(), there.clone());
    let call = move || {
        here.set();
        there.wait().unwrap();
    };
    pool.execute(call).unwrap();
}

/// A model with two workers beside the threads that submit, which has too many orders as it is.
fn with_one_preemption(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(1);
    builder.check(model);
}

#[test]
fn two_calls_get_a_worker_each() {
    with_one_preemption(|| {
        let pool = pool(2);
        let (a, b) = (Arc::new(Event::new()), Arc::new(Event::new()));
        meet(&pool, &a, &b);
        meet(&pool, &b, &a);
        end(&pool);
    });
}

#[test]
fn two_submitters_get_a_worker_each() {
    with_one_preemption(|| {
        let pool = Arc::new(pool(2));
        let (a, b) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (other, x, y) = (pool.clone(), a.clone(), b.clone());
        let submitter = thread::spawn(move || meet(&other, &x, &y));
        meet(&pool, &b, &a);
        submitter.join().unwrap();
        end(&pool);
    });
}

#[test]
fn a_call_finds_a_worker_that_would_have_left() {
    loom::model(|| {
        let pool = ThreadPoolExecutor::builder().max_workers(1).keep_alive(std::time::Duration::from_secs(3600));
        let pool = pool.build().unwrap();
        let worker = pool.submit(current::get).unwrap().result().unwrap();
        let clock = clock(worker);
        assert_eq!(pool.submit(|| Item::new(2)).unwrap().result().unwrap().number(), 2);
        clock.join().unwrap();
        end(&pool);
    });
}

#[test]
fn a_join_is_released_when_all_is_over() {
    loom::model(|| {
        let pool = pool(1);
        let item = Arc::new(Item::new(0));
        for _ in 0..2 {
            let item = item.clone();
            pool.execute(move || item.add_one()).unwrap();
        }
        pool.join().unwrap();
        assert_eq!(item.number(), 2);
        end(&pool);
    });
}

#[test]
fn a_full_pool_takes_a_call_when_one_has_begun() {
    loom::model(|| {
        let pool = ThreadPoolExecutor::builder().max_workers(1).max_pending(1, super::OnFull::Block).build().unwrap();
        let calls = [1, 2, 3].map(|number| pool.submit(move || Item::new(number)).unwrap());
        assert_eq!(calls.map(|call| call.result().unwrap().number()), [1, 2, 3]);
        end(&pool);
    });
}

#[test]
fn what_is_submitted_at_the_end_runs_or_is_refused() {
    loom::model(|| {
        let pool = Arc::new(pool(1));
        let other = pool.clone();
        let closer = thread::spawn(move || other.close(Pending::Run));
        match pool.submit(|| Item::new(1)) {
            Ok(future) => assert_eq!(future.result().unwrap().number(), 1),
            Err(error) => assert!(matches!(error, SubmitError::ShutDown), "{error}"),
        }
        closer.join().unwrap();
        end(&pool);
    });
}
