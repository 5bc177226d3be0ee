//! Pools of threads.

use lisle::executor::{BuildError, FutureError, OnFull, Pending, State, SubmitError, ThreadPoolExecutor};
use lisle::queue::Queue;
use lisle::sync::{Barrier, Event};
use lisle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn pool(workers: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::with_max_workers(workers).unwrap()
}

/// A pool whose one worker is busy until the event is set.
fn busy(builder: lisle::executor::Builder) -> (ThreadPoolExecutor, Arc<Event>) {
    let (pool, gate, begun) = (builder.max_workers(1).build().unwrap(), Arc::new(Event::new()), Arc::new(Event::new()));
    let (its_gate, its_begun) = (gate.clone(), begun.clone());
    pool.execute(move || {
        its_begun.set();
        its_gate.wait().unwrap();
    })
    .unwrap();
    begun.wait_for(LONG).unwrap();
    (pool, gate)
}

#[test]
fn threads_are_started_on_demand_and_used_again() {
    let pool = pool(4);
    assert_eq!(pool.workers(), 0);
    for n in 0..100 {
        assert_eq!(pool.submit(move || n).unwrap().result().unwrap(), n);
        pool.join().unwrap();
    }
    assert!(pool.workers() <= 2, "{}", pool.workers());
    let barrier = Arc::new(Barrier::new(4));
    let calls: Vec<_> =
        (0..4).map(|_| barrier.clone()).map(|b| pool.submit(move || b.wait().is_ok()).unwrap()).collect();
    assert!(calls.iter().all(|call| call.result_for(LONG).unwrap()));
    assert_eq!(pool.workers(), 4);
}

#[test]
fn each_call_finds_a_worker_though_all_count_on_the_same() {
    for _ in 0..200 {
        let pool = pool(8);
        pool.submit(|| ()).unwrap().result().unwrap();
        let barrier = Arc::new(Barrier::new(8));
        let calls: Vec<_> =
            (0..8).map(|_| barrier.clone()).map(|b| pool.submit(move || b.wait().is_ok()).unwrap()).collect();
        assert!(calls.iter().all(|call| call.result_for(LONG).unwrap()));
    }
}

#[test]
fn what_cannot_be_built_is_said() {
    let no_workers = ThreadPoolExecutor::with_max_workers(0).unwrap_err();
    assert_eq!(no_workers, BuildError::NoWorkers);
    assert!(no_workers.to_string().contains("max_workers must be at least 1"), "{no_workers}");
    let no_room = ThreadPoolExecutor::builder().max_pending(0, OnFull::Block).build().unwrap_err();
    assert_eq!(no_room, BuildError::NoRoom);
}

#[test]
fn after_shutdown_nothing_is_taken_and_what_was_is_run() {
    let (pool, gate) = busy(ThreadPoolExecutor::builder());
    let pending: Vec<_> = (0..10).map(|n| pool.submit(move || n).unwrap()).collect();
    pool.close(Pending::Run);
    assert!(matches!(pool.submit(|| 1), Err(SubmitError::ShutDown)));
    gate.set();
    pool.shutdown().unwrap();
    pool.shutdown().unwrap();
    let results: Vec<_> = pending.iter().map(|future| future.try_result().unwrap()).collect();
    assert_eq!(results, (0..10).collect::<Vec<_>>());
    assert_eq!(pool.workers(), 0);
}

#[test]
fn shutdown_cancels_and_says_what_is_still_running() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).name("loader").build().unwrap();
    let (gate, begun) = (Arc::new(Event::named("the gate")), Arc::new(Event::new()));
    let (its_gate, its_begun) = (gate.clone(), begun.clone());
    let slow = pool.call().name("slow one").submit(move || {
        its_begun.set();
        its_gate.wait().unwrap();
    });
    begun.wait_for(LONG).unwrap();
    let pending = pool.submit(|| 1).unwrap();
    let error = pool.shutdown_for(Pending::Cancel, Duration::from_millis(50)).unwrap_err();
    assert!(pending.is_cancelled());
    let [running] = error.still_running() else { panic!("{error}") };
    assert_eq!((running.name.as_deref(), running.thread.name()), (Some("slow one"), Some("loader_0")));
    assert_eq!(
        error.to_string(),
        "the time limit passed before all calls of the pool were over:\n  thread \"loader_0\" runs the call \"slow one\", which waits for: event"
    );
    gate.set();
    pool.shutdown_for(Pending::Run, LONG).unwrap();
    slow.unwrap().result().unwrap();
}

#[test]
fn a_shutdown_from_inside_is_an_error() {
    let pool = Arc::new(pool(1));
    let inner = pool.clone();
    let error = pool.submit(move || inner.shutdown().unwrap_err().to_string()).unwrap().result().unwrap();
    assert!(error.contains("its own pool"), "{error}");
}

#[test]
fn dropping_the_pool_runs_what_is_pending() {
    let count = Arc::new(AtomicUsize::new(0));
    let pool = pool(2);
    for _ in 0..1000 {
        let count = count.clone();
        pool.execute(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    }
    drop(pool);
    assert_eq!(count.load(Ordering::Relaxed), 1000);
}

#[test]
fn a_pool_dropped_by_its_own_worker_ends() {
    let pool = Arc::new(pool(2));
    let gone = Arc::downgrade(&pool);
    let go = Arc::new(Event::new());
    let (its_go, inner) = (go.clone(), pool.clone());
    let future = pool
        .submit(move || {
            its_go.wait().unwrap();
            drop(inner);
        })
        .unwrap();
    drop(pool);
    go.set();
    future.result_for(LONG).unwrap();
    assert!(gone.upgrade().is_none());
}

#[test]
fn a_bounded_pool_blocks_rejects_or_runs_in_the_caller() {
    let (blocking, gate) = busy(ThreadPoolExecutor::builder().max_pending(1, OnFull::Block));
    blocking.execute(|| ()).unwrap();
    let late = blocking.call().limit(Duration::from_millis(20)).submit(|| 1);
    assert!(matches!(late, Err(SubmitError::TimedOut)), "{late:?}");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| blocking.submit(|| 7).unwrap().result().unwrap());
        while waiter.thread().waits_for() != Some(lisle::Kind::PoolFull) {
            thread::yield_now();
        }
        gate.set();
        assert_eq!(waiter.join_for(LONG).unwrap(), 7);
    });

    let (rejecting, gate) = busy(ThreadPoolExecutor::builder().max_pending(1, OnFull::Reject));
    rejecting.execute(|| ()).unwrap();
    assert!(matches!(rejecting.submit(|| 1), Err(SubmitError::Full)));
    gate.set();

    let (lending, gate) = busy(ThreadPoolExecutor::builder().max_pending(1, OnFull::RunInCaller));
    lending.execute(|| ()).unwrap();
    let me = thread::current();
    assert_eq!(lending.submit(thread::current).unwrap().try_result().unwrap(), me);
    gate.set();
}

#[test]
fn the_more_urgent_comes_first() {
    let (pool, gate) = busy(ThreadPoolExecutor::builder().priorities(true));
    let order = Arc::new(Queue::new());
    for (number, priority) in [0, 5, -1, 5, 9].into_iter().enumerate() {
        let order = order.clone();
        pool.call().priority(priority).submit(move || order.put(number).unwrap()).unwrap();
    }
    gate.set();
    pool.join().unwrap();
    assert_eq!(order.get_many(10).unwrap(), [4, 1, 3, 0, 2]);
}

#[test]
fn workers_go_when_they_have_waited_long_enough_and_come_back() {
    let pool = ThreadPoolExecutor::builder().max_workers(2).keep_alive(Duration::from_millis(5)).build().unwrap();
    for _ in 0..3 {
        assert_eq!(pool.submit(|| 1).unwrap().result_for(LONG).unwrap(), 1);
        while pool.workers() > 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn a_failing_initializer_breaks_the_pool_with_its_reason() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(|| Err("no licence")).build().unwrap();
    let error = match pool.submit(|| 1) {
        Ok(future) => future.result_for(LONG).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("the initializer of a worker failed: no licence"), "{error}");
    let error = loop {
        match pool.submit(|| 1) {
            Err(error) => break error,
            Ok(future) => drop(future.result_for(LONG).unwrap_err()),
        }
    };
    assert!(matches!(&error, SubmitError::Broken(_)), "{error}");
    assert!(error.to_string().contains("no licence"), "{error}");
}

#[test]
fn a_panicking_initializer_does_too() {
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .initializer(|| -> Result<(), String> { panic!("no licence") })
        .build()
        .unwrap();
    let futures: Vec<_> = (0..3).filter_map(|_| pool.submit(|| 1).ok()).collect();
    for future in futures {
        assert!(future.result_for(LONG).unwrap_err().to_string().contains("no licence"));
    }
}

#[test]
fn a_panic_goes_to_the_future_and_the_worker_lives_on() {
    let pool = pool(1);
    let worker = pool.submit(thread::current).unwrap().result().unwrap();
    let future = pool.submit(|| -> u32 { panic!("paper jam") }).unwrap();
    let error = future.result().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the call panicked at ") && text.ends_with(": paper jam"), "{text}");
    assert!(text.contains("executor_pool.rs"), "{text}");
    assert!(future.exception().unwrap().unwrap().is_panic());
    assert_eq!(pool.submit(thread::current).unwrap().result().unwrap(), worker);
}

#[test]
fn a_running_call_is_interrupted_and_ends_as_cancelled() {
    let pool = pool(1);
    let begun = Arc::new(Event::new());
    let its_begun = begun.clone();
    let future = pool
        .submit(move || {
            its_begun.set();
            Queue::<u32>::new().get()
        })
        .unwrap();
    begun.wait_for(LONG).unwrap();
    assert!(!future.cancel(), "it runs");
    assert!(future.interrupt());
    assert!(matches!(future.result_for(LONG), Err(FutureError::Cancelled)));
    assert_eq!(future.state(), State::Cancelled);
    assert!(
        !pool.submit(|| thread::current().is_interrupted()).unwrap().result().unwrap(),
        "it was for that call only"
    );
}

#[test]
fn an_interrupt_that_goes_unnoticed_changes_nothing() {
    let pool = pool(1);
    let (begun, go) = (Arc::new(Event::new()), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let (its_begun, its_go) = (begun.clone(), go.clone());
    let future = pool
        .submit(move || {
            its_begun.set();
            while !its_go.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            42
        })
        .unwrap();
    begun.wait_for(LONG).unwrap();
    assert!(future.interrupt());
    go.store(true, Ordering::Release);
    assert_eq!(future.result_for(LONG).unwrap(), 42);
    assert!(!pool.submit(thread::interrupted).unwrap().result().unwrap());
}

#[test]
fn map_is_ordered_and_lazy() {
    let pool = pool(2);
    let squares: Vec<u64> = pool.map(0..10_000u64, |n| n * n).map(Result::unwrap).collect();
    assert!(squares.iter().enumerate().all(|(n, &square)| square == (n * n) as u64));
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let endless = (0u64..).inspect(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let first: Vec<u64> = pool.map(endless, |n| n).chunk_size(2).ahead(3).take(4).map(Result::unwrap).collect();
    assert_eq!(first, [0, 1, 2, 3]);
    assert!(taken.load(Ordering::Relaxed) <= 12, "{taken:?}");
}

#[test]
fn map_gives_what_came_before_an_error_and_ends_with_it() {
    let pool = pool(2);
    let mut results = pool.map(0..100, |n| if n == 37 { panic!("37") } else { n }).chunk_size(10);
    for n in 0..37 {
        assert_eq!(results.next().unwrap().unwrap(), n);
    }
    assert!(results.next().unwrap().unwrap_err().to_string().ends_with("37"));
    assert!(results.next().is_none());
}

#[test]
fn map_ends_at_its_limit() {
    let (pool, gate) = busy(ThreadPoolExecutor::builder());
    let mut results = pool.map(0..100, |n| n).limit(Duration::from_millis(20));
    assert!(results.next().unwrap().unwrap_err().is_timed_out());
    assert!(results.next().is_none());
    gate.set();
}

#[test]
fn a_scope_lends() {
    let pool = pool(2);
    let mut numbers: Vec<u64> = (0..1000).collect();
    for _ in 0..100 {
        pool.scope(|scope| {
            for part in numbers.chunks_mut(100) {
                scope.submit(|| part.iter_mut().for_each(|n| *n += 1)).unwrap();
            }
        });
    }
    assert!(numbers.iter().enumerate().all(|(n, &number)| number == n as u64 + 100));
}

#[test]
fn a_scope_in_a_call_of_the_same_pool_ends() {
    let pool = Arc::new(pool(1));
    let inner = pool.clone();
    let sum = pool
        .submit(move || {
            let numbers = [1, 2, 3, 4];
            inner.scope(|scope| {
                let halves: Vec<_> =
                    numbers.chunks(2).map(|half| scope.submit(|| half.iter().sum::<u32>()).unwrap()).collect();
                drop(halves);
            });
            numbers.iter().sum::<u32>()
        })
        .unwrap();
    assert_eq!(sum.result_for(LONG).unwrap(), 10);
}

#[test]
fn a_scope_waits_for_calls_whose_handles_are_gone_and_for_cancelled_ones() {
    let (pool, gate) = busy(ThreadPoolExecutor::builder());
    let text = String::from("borrowed");
    let seen = AtomicUsize::new(0);
    pool.scope(|scope| {
        let cancelled = scope.submit(|| seen.fetch_add(text.len(), Ordering::Relaxed)).unwrap();
        assert!(cancelled.cancel());
        drop(scope.submit(|| seen.fetch_add(1, Ordering::Relaxed)).unwrap());
        gate.set();
    });
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[test]
fn joining_waits_for_all_and_the_pool_lives_on() {
    let pool = pool(3);
    let count = Arc::new(AtomicUsize::new(0));
    for round in 1..=50 {
        for _ in 0..20 {
            let count = count.clone();
            pool.execute(move || {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        }
        pool.join_for(LONG).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 20 * round);
    }
    let (busy, gate) = busy(ThreadPoolExecutor::builder());
    assert!(busy.join_for(Duration::from_millis(20)).unwrap_err().is_timed_out());
    gate.set();
    busy.join().unwrap();
}

#[test]
fn the_context_hook_carries_values_and_cleans_up() {
    use std::cell::Cell;
    thread_local! { static REQUEST: Cell<u32> = const { Cell::new(0) } }
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            REQUEST.set(0);
        }
    }
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .context(
            || REQUEST.get(),
            |request| {
                REQUEST.set(request);
                Back
            },
        )
        .build()
        .unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    for request in 1..=3 {
        REQUEST.set(request);
        assert_eq!(pool.submit(|| REQUEST.get()).unwrap().result().unwrap(), request);
        let told = told.clone();
        pool.execute(move || told.send(REQUEST.get()).unwrap()).unwrap();
        assert_eq!(hears.recv().unwrap(), request);
    }
}
