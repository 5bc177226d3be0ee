//! Pools whose calls wait for each other: what is found, whom it fails, and the words of the report;
//! and what must stay silent.

use lisle::executor::{
    Builder, Future, FutureError, OnFull, Promise, SubmitError, ThreadPoolExecutor, Until, as_completed, wait,
};
use lisle::sync::{Barrier, Event, Mutex};
use lisle::thread;
use lisle::{Confidence, Kind, Report, WaitError};
use std::sync::{Arc, Mutex as StdMutex, Once};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

fn builder(name: &str, workers: usize) -> Builder {
    ThreadPoolExecutor::builder().name(name).max_workers(workers)
}

fn pool(name: &str, workers: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(builder(name, workers).build().unwrap())
}

/// The reports that failed nobody, about threads whose names begin so. The tests run side by side, so
/// each has names of its own.
fn published(prefix: &str) -> Vec<Report> {
    static ALL: StdMutex<Vec<Report>> = StdMutex::new(Vec::new());
    static ONCE: Once = Once::new();
    ONCE.call_once(|| lisle::on_report(|report| ALL.lock().unwrap().push(report.clone())));
    let all = ALL.lock().unwrap();
    let about = |report: &&Report| report.links.iter().any(|link| link.thread.starts_with(prefix));
    all.iter().filter(about).cloned().collect()
}

/// A future that is handed to calls which are submitted before it is there.
fn later<T: Send + 'static>() -> (Promise<Future<T>>, Future<Future<T>>) {
    let promise = Promise::new();
    let future = promise.future();
    (promise, future)
}

fn report_of<T>(result: Result<T, FutureError>) -> Option<Report> {
    match result {
        Ok(_) => None,
        Err(FutureError::Deadlocked(report)) => Some(*report),
        Err(other) => panic!("{other}"),
    }
}

#[track_caller]
fn the_one(reports: impl IntoIterator<Item = Option<Report>>) -> Report {
    let mut reports: Vec<Report> = reports.into_iter().flatten().collect();
    assert_eq!(reports.len(), 1, "exactly one wait is failed: {reports:?}");
    let report = reports.pop().unwrap();
    assert_eq!(report.confidence, Confidence::Proven);
    report
}

#[track_caller]
fn contains(report: &Report, parts: &[&str]) {
    let text = report.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} in {text}");
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
fn pythons_first_example() {
    let pool = pool("first", 2);
    let (a_is, a) = later::<Option<Report>>();
    let (b_is, b) = later::<Option<Report>>();
    let wait_on_b = pool.call().name("wait on b").submit(move || report_of(b.result().unwrap().cloned())).unwrap();
    let wait_on_a = pool.call().name("wait on a").submit(move || report_of(a.result().unwrap().cloned())).unwrap();
    a_is.set(wait_on_b.clone()).unwrap();
    b_is.set(wait_on_a.clone()).unwrap();
    let report = the_one([wait_on_a.cloned().unwrap(), wait_on_b.cloned().unwrap()]);
    contains(
        &report,
        &[
            "deadlock: 2 threads wait for each other\n",
            ", running call \"wait on a\", has waited ",
            " ms for future \"wait on b\"\n    in a call at crates/lisle/tests/executor_deadlock.rs:",
            ", running call \"wait on b\", has waited ",
            " ms for future \"wait on a\"\n",
            "run by thread \"first_0\" (ident ",
            "run by thread \"first_1\" (ident ",
        ],
    );
}

/// Submits a call that submits another one to its own pool and waits for it.
fn wait_on_future(pool: &Arc<ThreadPoolExecutor>) -> Result<u32, FutureError> {
    let inner = pool.clone();
    pool.submit(move || inner.call().name("pow").submit(|| 5u32.pow(2)).unwrap().result())
        .unwrap()
        .result_for(LONG)
        .expect("the outer call ends")
}

#[test]
fn pythons_second_example() {
    let pool = pool("second", 1);
    let report = the_one([report_of(wait_on_future(&pool))]);
    contains(
        &report,
        &[
            "deadlock: 1 thread waits for itself\n",
            "thread \"second_0\" (ident ",
            ", running the call submitted at crates/lisle/tests/executor_deadlock.rs:",
            " ms for future \"pow\"\n",
            "to be run by thread \"second_0\" (ident ",
        ],
    );
    pool.join_for(LONG).expect("what was waited for is run when the wait has failed");
}

#[test]
fn a_helping_worker_runs_it_itself() {
    for _ in 0..20 {
        let pool = Arc::new(builder("helping", 1).help(true).build().unwrap());
        assert_eq!(wait_on_future(&pool).unwrap(), 25);
    }
    fn fib(pool: &Arc<ThreadPoolExecutor>, n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let [a, b] = [n - 1, n - 2].map(|n| {
            let inner = pool.clone();
            pool.submit(move || fib(&inner, n)).unwrap()
        });
        a.result().unwrap() + b.result().unwrap()
    }
    for workers in [1, 2] {
        let pool = Arc::new(builder("fib", workers).help(true).build().unwrap());
        let inner = pool.clone();
        assert_eq!(pool.submit(move || fib(&inner, 12)).unwrap().result().unwrap(), 144, "{workers} workers");
        pool.join_for(LONG).unwrap();
        // And by the other ways of waiting.
        let inner = pool.clone();
        let sum = pool.submit(move || {
            let futures: Vec<_> = (0..4u32).map(|n| inner.submit(move || n).unwrap()).collect();
            wait(&futures[..2], Until::AllCompleted).unwrap();
            assert!(!wait(&futures[2..], Until::FirstCompleted).unwrap().done.is_empty());
            as_completed(futures).map(|next| next.unwrap().result().unwrap()).sum::<u32>()
        });
        assert_eq!(sum.unwrap().result_for(LONG).unwrap(), 6);
    }
    assert!(published("helping").is_empty() && published("fib").is_empty());
}

#[test]
fn three_calls_in_a_ring() {
    let pool = pool("ring", 3);
    let (next_is, next): (Vec<_>, Vec<_>) = (0..3).map(|_| later::<Option<Report>>()).unzip();
    let calls: Vec<_> = next
        .into_iter()
        .enumerate()
        .map(|(n, next)| {
            pool.call().name(format!("ring {n}")).submit(move || report_of(next.result().unwrap().cloned())).unwrap()
        })
        .collect();
    for (n, promise) in next_is.into_iter().enumerate() {
        promise.set(calls[(n + 1) % 3].clone()).unwrap();
    }
    let report = the_one(calls.iter().map(|call| call.cloned().unwrap()).collect::<Vec<_>>());
    contains(&report, &["deadlock: 3 threads wait for each other\n", "\"ring 0\"", "\"ring 1\"", "\"ring 2\""]);
    for link in 0..3 {
        assert_eq!(report.links[link].holder_ident, report.links[(link + 1) % 3].ident, "{report}");
    }
}

#[test]
fn a_pool_whose_every_worker_waits_for_its_pending_calls() {
    const WORKERS: usize = 3;
    let pool = pool("starved", WORKERS);
    let all_at_work = Arc::new(Barrier::new(WORKERS));
    let calls: Vec<_> = (0..WORKERS)
        .map(|n| {
            let (inner, all_at_work) = (pool.clone(), all_at_work.clone());
            let call = move || {
                all_at_work.wait().unwrap();
                let pending = inner.call().name(format!("pending {n}")).submit(|| 1).unwrap();
                report_of(pending.result())
            };
            pool.call().name(format!("outer {n}")).submit(call).unwrap()
        })
        .collect();
    // Who was failed runs what the others wait for.
    let report = the_one(calls.iter().map(|call| call.result_for(LONG).unwrap()).collect::<Vec<_>>());
    contains(&report, &[" or one of 2 other threads, which wait too", "to be run by thread \"starved_"]);
    assert_eq!(report.links.len(), WORKERS, "{report}");
    for n in 0..WORKERS {
        contains(&report, &[&format!("thread \"starved_{n}\" (ident "), &format!("running call \"outer {n}\", has")]);
        contains(&report, &[&format!(" for future \"pending {n}\"\n")]);
    }
}

#[test]
fn two_pools_that_starve_each_other() {
    let pools = [pool("east", 1), pool("west", 1)];
    let both_at_work = Arc::new(Barrier::new(2));
    let calls = [0, 1].map(|n| {
        let (other, both) = (pools[1 - n].clone(), both_at_work.clone());
        let call = move || {
            both.wait().unwrap();
            report_of(other.submit(|| 1).unwrap().result())
        };
        pools[n].submit(call).unwrap()
    });
    let report = the_one(calls.map(|call| call.result_for(LONG).unwrap()));
    contains(
        &report,
        &["deadlock: 2 threads wait for each other\n", "\"east_0\"", "\"west_0\"", "to be run by thread"],
    );
}

#[test]
fn waits_for_several_futures_of_ones_own_pool() {
    type Ways = fn(Vec<Future<u32>>) -> Result<(), WaitError>;
    let ways: [(&str, Ways); 4] = [
        ("all", |futures| wait(&futures, Until::AllCompleted).map(drop)),
        ("first", |futures| wait(&futures, Until::FirstCompleted).map(drop)),
        ("error", |futures| wait(&futures, Until::FirstError).map(drop)),
        ("as completed", |futures| as_completed(futures).next().unwrap().map(drop)),
    ];
    for (what, way) in ways {
        let pool = pool("several", 1);
        let inner = pool.clone();
        let call = pool.submit(move || way((0..3).map(|n| inner.submit(move || n).unwrap()).collect())).unwrap();
        let error = call.result_for(LONG).unwrap().expect_err(what);
        let report = error.deadlock().unwrap_or_else(|| panic!("{what}: {error}"));
        contains(report, &["deadlock: 1 thread waits for itself\n", " for future one of 3 that are not done\n"]);
    }
}

#[test]
fn one_of_several_that_can_still_come_is_enough_for_any_but_not_for_all() {
    let (promise, pool) = (Arc::new(Promise::<u32>::new()), pool("mixed", 1));
    for (until, dead) in [(Until::FirstCompleted, false), (Until::AllCompleted, true)] {
        let (inner, outside) = (pool.clone(), promise.future());
        let call = pool
            .submit(move || {
                let own = inner.submit(|| 1).unwrap();
                wait([&own, &outside], until).map(drop)
            })
            .unwrap();
        if dead {
            let result = call.result_for(LONG).unwrap();
            assert!(result.unwrap_err().deadlock().is_some());
        } else {
            thread::sleep(Duration::from_millis(50)); // looked at by now
            assert!(call.is_running(), "whoever has the promise may keep it");
            promise.set(1).unwrap();
            call.result_for(LONG).unwrap().unwrap();
            pool.join_for(LONG).unwrap();
        }
    }
    assert!(published("mixed").is_empty());
}

#[test]
fn a_submit_to_ones_own_full_pool() {
    let pool = Arc::new(builder("full", 1).max_pending(1, OnFull::Block).build().unwrap());
    let inner = pool.clone();
    let call = pool
        .submit(move || {
            inner.execute(|| ()).unwrap();
            match inner.submit(|| 1) {
                Err(SubmitError::Deadlocked(report)) => *report,
                other => panic!("{other:?}"),
            }
        })
        .unwrap();
    let report = call.result_for(LONG).unwrap();
    contains(
        &report,
        &["deadlock: 1 thread waits for itself\n", " for pool full \"full\"\n", "to be run by thread \"full_0\""],
    );
    pool.join_for(LONG).unwrap();

    // Of several workers, the last one to be stuck has it reported.
    let pool = Arc::new(builder("fuller", 2).max_pending(1, OnFull::Block).build().unwrap());
    let both = Arc::new(Barrier::new(2));
    let calls = [0, 1].map(|_| {
        let (inner, both) = (pool.clone(), both.clone());
        pool.submit(move || {
            both.wait().unwrap();
            (0..2).filter(|_| matches!(inner.submit(|| 1), Err(SubmitError::Deadlocked(_)))).count()
        })
        .unwrap()
    });
    let failed: usize = calls.iter().map(|call| call.result_for(LONG).unwrap()).sum();
    assert!(failed >= 1, "somebody is told");
}

#[test]
fn a_join_from_inside() {
    let pool = pool("joined", 2);
    let inner = pool.clone();
    let error = pool.submit(move || inner.join().unwrap_err()).unwrap().result_for(LONG).unwrap();
    contains(error.deadlock().unwrap(), &["deadlock: 1 thread waits for itself\n", " for pool join \"joined\"\n"]);

    // And by way of another thread: one of the two waits is failed. A worker that rests meanwhile
    // has no part in that.
    let both = Arc::new(Barrier::new(2));
    let workers = [(); 2].map(|()| {
        let both = both.clone();
        pool.submit(move || both.wait().map(|_| thread::current())).unwrap()
    });
    let workers = workers.map(|call| call.result_for(LONG).unwrap().unwrap());
    until(|| workers.iter().all(|worker| worker.waits_for() == Some(Kind::Idle)));
    let inner = pool.clone();
    let call = pool.submit(move || {
        until(|| workers.iter().any(|worker| worker.waits_for() == Some(Kind::Idle)));
        let joiner = thread::spawn(move || inner.join());
        (joiner.thread().join().err().map(|error| error.to_string()), joiner)
    });
    let (thread_joined, joiner) = call.unwrap().result_for(LONG).unwrap();
    let pool_joined = joiner.join_for(LONG).unwrap().err().map(|error| error.to_string());
    let told: Vec<_> = [thread_joined, pool_joined].into_iter().flatten().collect();
    assert!(told.len() == 1 && told[0].starts_with("deadlock: 2 threads wait for each other\n"), "{told:?}");
}

#[test]
fn a_lock_and_a_future() {
    let pool = pool("locker", 1);
    let lock = Arc::new(Mutex::named((), "ledger"));
    let held = lock.lock();
    let theirs = lock.clone();
    let call = pool.call().name("book").submit(move || theirs.lock_interruptible().map(drop)).unwrap();
    // Either this wait or the lock is failed, whichever is looked at first.
    let waited = call.wait();
    drop(held);
    let locked = call.result_for(LONG).unwrap();
    let report = the_one([waited, locked].map(|result| result.err().and_then(|error| error.deadlock().cloned())));
    contains(
        &report,
        &[
            "deadlock: 2 threads wait for each other\n",
            " for future \"book\"\n",
            "run by thread \"locker_0\"",
            "running call \"book\", has waited ",
            " for mutex \"ledger\"\n",
            ", taken at crates/lisle/tests/executor_deadlock.rs:",
        ],
    );
}

#[test]
fn a_shutdown_that_a_call_waits_for() {
    let pool = pool("closing", 1);
    let lock = Arc::new(Mutex::named((), "closed"));
    let held = lock.lock();
    let theirs = lock.clone();
    let call = pool.submit(move || theirs.lock_interruptible().map(drop)).unwrap();
    let shut = pool.shutdown();
    drop(held);
    let locked = call.result_for(LONG).unwrap();
    assert!(shut.is_err() != locked.is_err(), "{shut:?} {locked:?}");
    if let Err(error) = shut {
        assert!(error.to_string().starts_with("deadlock: 2 threads wait for each other\n"), "{error}");
    }
}

#[test]
fn a_wait_with_a_limit_is_not_failed() {
    assert!(published("patient").is_empty());
    let pool = pool("patient", 1);
    let inner = pool.clone();
    let call = pool.submit(move || inner.submit(|| 1).unwrap().result_for(Duration::from_millis(200))).unwrap();
    assert!(call.result_for(LONG).unwrap().unwrap_err().is_timed_out());
    let reports = published("patient");
    assert_eq!(reports.len(), 1, "told, and once: {reports:?}");
    assert_eq!(reports[0].confidence, Confidence::Timed);
    contains(&reports[0], &["deadlock that ends by itself in ", "to be run by thread \"patient_0\""]);
}

#[test]
fn silent_while_somebody_can_go_on() {
    assert!(published("healthy").is_empty());
    let long_enough = Duration::from_millis(40);

    // Nested calls, and a worker that is free, or can still be hired.
    let pool = pool("healthy", 3);
    let inner = pool.clone();
    let nested = move || {
        let slow = inner.submit(move || thread::sleep(long_enough)).unwrap();
        let also = inner.submit(|| 7).unwrap();
        slow.result().unwrap();
        also.result().unwrap()
    };
    for _ in 0..3 {
        assert_eq!(pool.submit(nested.clone()).unwrap().result_for(LONG).unwrap(), 7);
    }

    // All workers but one wait for what is pending; that one works, then runs it.
    let (gate, waiting) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (its_gate, its_waiting) = (gate.clone(), waiting.clone());
    let busy = pool
        .submit(move || {
            its_waiting.set();
            its_gate.wait().unwrap();
        })
        .unwrap();
    waiting.wait_for(LONG).unwrap();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let inner = pool.clone();
            pool.submit(move || inner.submit(|| 1).unwrap().result().unwrap()).unwrap()
        })
        .collect();
    until(|| pool.running().iter().filter(|call| call.waits_for == Some(Kind::Future)).count() == 2);
    thread::sleep(long_enough);
    gate.set();
    busy.result_for(LONG).unwrap();
    assert!(waiters.iter().all(|waiter| waiter.result_for(LONG).unwrap() == 1));

    // A full pool whose worker is at work, and a join that waits for it.
    let bounded = builder("healthy-bounded", 1).max_pending(1, OnFull::Block).build().unwrap();
    for _ in 0..4 {
        bounded.execute(move || thread::sleep(long_enough)).unwrap();
    }
    bounded.join().unwrap();

    // A promise that nobody has begun to keep may be kept by anybody.
    let promise = Promise::new();
    let future = promise.future();
    let call = pool.submit(move || future.result().unwrap()).unwrap();
    thread::sleep(long_enough);
    promise.set(9).unwrap();
    assert_eq!(call.result_for(LONG).unwrap(), 9);
    assert!(published("healthy").is_empty(), "{:?}", published("healthy"));
}

#[test]
fn workers_without_a_call_wait_for_nobody() {
    assert!(published("idle").is_empty());
    for keep_alive in [Duration::MAX, Duration::from_millis(30)] {
        let pool = builder("idle", 3).keep_alive(keep_alive).build().unwrap();
        let all = Arc::new(Barrier::new(3));
        let calls = [(); 3].map(|()| {
            let all = all.clone();
            pool.submit(move || all.wait().map(|_| thread::current())).unwrap()
        });
        let workers = calls.map(|call| call.result_for(LONG).unwrap().unwrap());
        pool.join().unwrap();
        if keep_alive == Duration::MAX {
            let rests = || workers.iter().all(|worker| worker.waits_for() == Some(Kind::Idle));
            let waits = || workers.iter().map(|worker| worker.wait_stats().get(Kind::Idle).count).sum::<u64>();
            until(rests);
            let before = waits();
            thread::sleep(Duration::from_millis(60)); // looked at by now
            assert_eq!(waits(), before, "who has nothing to do sleeps on");
        } else {
            until(|| pool.workers() == 0);
        }
    }
    assert!(published("idle").is_empty(), "{:?}", published("idle"));
}

#[test]
fn a_scope_whose_calls_wait_for_a_lock_that_its_thread_holds() {
    let pool = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let lock = Mutex::named((), "ledger");
    let _held = lock.lock();
    let future = pool.scope(|scope| scope.submit(|| lock.lock_interruptible().unwrap_err().to_string()).unwrap());
    let text = future.result().unwrap();
    assert!(text.starts_with("deadlock: 2 threads wait for each other"), "{text}");
    assert!(text.contains("mutex \"ledger\"") && text.contains("of the scope made at"), "{text}");
}
