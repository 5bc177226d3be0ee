//! A pool of processes: calls, failures, killed workers, the end.

mod process_support;

use lisle::executor::{BuildError, Executor, Function, Future, FutureError, OnFull, Pending, State, SubmitError};
use lisle::process::{
    self, BrokenProcessPool, Builder, Output, ProcessPoolError, ProcessPoolExecutor, Sender, SharedBuffer, channel,
};
use lisle::thread;
use process_support::{LONG, children, descriptors, run, runs, signal, until};
use serde::{Serialize, Serializer};
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
const PANIC: Function<String, ()> = Function::new("panic", |text| panic!("{text}"));
const PID: Function<(), u32> = Function::new("pid", |()| std::process::id());
/// Tells that it runs, and in which process; then sleeps.
const STUCK: Function<Sender<u32>, ()> = Function::new("stuck", |runs| {
    runs.send(&std::process::id()).unwrap();
    thread::sleep(Duration::from_secs(600));
});
const ABORT: Function<(), ()> = Function::new("abort", |()| std::process::abort());
const SET: Function<u64, ()> = Function::new("set", |n| SEEN.store(n, Ordering::Relaxed));
const GET: Function<(), u64> = Function::new("get", |()| SEEN.load(Ordering::Relaxed));
const REFUSE: Function<(), ()> = Function::new("refuse", |()| panic!("not today"));
const COPY: Function<SharedBuffer, SharedBuffer> =
    Function::new("copy", |bytes| SharedBuffer::copy_of(&bytes).unwrap());
const GLASS: Function<Glass, ()> = Function::new("glass", |_| ());
const GLASS_BACK: Function<(), Glass> = Function::new("glass back", |()| Glass);
const HOT_BACK: Function<(), Hot> = Function::new("hot back", |()| Hot);
const NAP: Function<u64, ()> = Function::new("nap", |millis| thread::sleep(Duration::from_millis(millis)));
const UNKNOWN: Function<(), ()> = Function::new("unknown", |()| ());
/// Makes a pool, has it stuck, tells the worker's number, and is stuck itself.
const OWNER: Function<(), ()> = Function::new("owner", |()| {
    let pool = ProcessPoolExecutor::with_max_workers(1).unwrap();
    let (stuck, pid) = stuck(&pool);
    println!("{pid}");
    let _ = stuck.result();
});

static SEEN: AtomicU64 = AtomicU64::new(0);

#[derive(serde::Deserialize)]
struct Glass;

impl Serialize for Glass {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it is made of glass"))
    }
}

#[derive(Debug, serde::Deserialize)]
struct Hot;

impl Serialize for Hot {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("it is too hot")
    }
}

fn main() {
    if std::env::var_os("TEST_BEFORE_INIT").is_some() {
        std::thread::sleep(Duration::from_secs(600));
    }
    process::init(&[
        &SQUARE,
        &PANIC,
        &PID,
        &STUCK,
        &ABORT,
        &SET,
        &GET,
        &REFUSE,
        &COPY,
        &GLASS,
        &GLASS_BACK,
        &HOT_BACK,
        &NAP,
        &OWNER,
    ]);
    run(&[
        ("results_are_right", results_are_right),
        ("one_interface", one_interface),
        ("bad_input", bad_input),
        ("a_map_keeps_its_limit_in_a_full_pool", a_map_keeps_its_limit_in_a_full_pool),
        ("a_panic_fails_its_call", a_panic_fails_its_call),
        ("a_killed_worker_breaks_the_pool", a_killed_worker_breaks_the_pool),
        ("a_killed_worker_is_replaced", a_killed_worker_is_replaced),
        ("a_call_is_made_again", a_call_is_made_again),
        ("a_worker_killed_at_rest_matters_to_nobody", a_worker_killed_at_rest_matters_to_nobody),
        ("cancel_and_interrupt", cancel_and_interrupt),
        ("the_initializer_comes_first", the_initializer_comes_first),
        ("a_worker_that_does_not_answer", a_worker_that_does_not_answer),
        ("shutdown", shutdown),
        ("workers_end_with_a_killed_parent", workers_end_with_a_killed_parent),
        ("killed_over_and_over", killed_over_and_over),
        ("nothing_is_left_behind", nothing_is_left_behind),
    ]);
}

fn stuck(pool: &ProcessPoolExecutor) -> (Future<()>, u32) {
    let (sender, receiver) = channel().unwrap();
    let future = pool.call(STUCK, sender).unwrap();
    (future, receiver.recv_for(LONG).unwrap())
}

fn broken<T: std::fmt::Debug>(result: Result<T, FutureError>) -> BrokenProcessPool {
    match result {
        Err(FutureError::Failed(failure)) => failure.downcast_ref::<BrokenProcessPool>().expect("broken").clone(),
        other => panic!("not broken: {other:?}"),
    }
}

fn results_are_right() {
    let pool = ProcessPoolExecutor::with_max_workers(2).unwrap();
    let all: Vec<_> = (0..500).map(|n| pool.call(SQUARE, n).unwrap()).collect();
    for (n, future) in all.iter().enumerate() {
        assert_eq!(future.result_for(LONG).unwrap(), (n * n) as u64);
        assert_eq!(future.name(), Some("square"));
    }
    assert!((1..=2).contains(&pool.pids().len()));
    let mapped: Result<Vec<u64>, _> = pool.map(SQUARE, 0..100).limit(LONG).collect();
    assert_eq!(mapped.unwrap(), (0..100).map(|n| n * n).collect::<Vec<_>>());
    let buffer = SharedBuffer::filled(1 << 20, |bytes| bytes.fill(7)).unwrap();
    assert_eq!(*pool.call(COPY, buffer.clone()).unwrap().result_for(LONG).unwrap(), *buffer);
    pool.join_for(LONG).unwrap();
}

fn one_interface() {
    fn sum(executor: &impl Executor<u64, u64>) -> u64 {
        let all: Vec<_> = (1..=4).map(|n| executor.call(SQUARE, n).unwrap()).collect();
        all.iter().map(|future| future.result_for(LONG).unwrap()).sum()
    }
    assert_eq!(sum(&ProcessPoolExecutor::new().unwrap()), 30);
    assert_eq!(sum(&lisle::executor::ThreadPoolExecutor::new()), 30);
}

fn bad_input() {
    let error = ProcessPoolExecutor::with_max_workers(0).unwrap_err();
    assert!(matches!(error, ProcessPoolError::Pool(BuildError::NoWorkers)));
    let pool = ProcessPoolExecutor::with_max_workers(1).unwrap();
    assert!(matches!(pool.call(UNKNOWN, ()), Err(SubmitError::NotRegistered { name: "unknown" })));
    let error = pool.call(GLASS, Glass).unwrap_err();
    assert_eq!(error.to_string(), "the argument cannot be sent to another process: it is made of glass");
    let error = pool.call(GLASS_BACK, ()).unwrap().result_for(LONG).map(drop).unwrap_err();
    assert!(error.to_string().contains("the value of \"glass back\" cannot be sent back: it is made of glass"));
    pool.shutdown().unwrap();
    assert!(matches!(pool.call(SQUARE, 1), Err(SubmitError::ShutDown)));
    let error = ProcessPoolExecutor::builder().initializer(UNKNOWN, ()).build().unwrap_err();
    assert!(matches!(error, ProcessPoolError::Initializer(process::StartError::NotRegistered("unknown"))));
}

fn a_map_keeps_its_limit_in_a_full_pool() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).max_pending(1, OnFull::Block).build().unwrap();
    let mut all = pool.map(NAP, [5_000; 3]).limit(Duration::from_millis(50));
    let start = Instant::now();
    assert!(matches!(all.next(), Some(Err(FutureError::TimedOut))));
    assert!(start.elapsed() < Duration::from_secs(4), "it waited for room");
    assert!(all.next().is_none());
}

fn a_panic_fails_its_call() {
    let pool = ProcessPoolExecutor::with_max_workers(1).unwrap();
    let pid = pool.call(PID, ()).unwrap().result_for(LONG).unwrap();
    let future = pool.call(PANIC, "no more paper".into()).unwrap();
    let failure = future.exception_for(LONG).unwrap().unwrap();
    assert!(failure.is_panic());
    assert_eq!(failure.message(), "no more paper");
    assert!(failure.location().unwrap().contains("process_pool.rs"), "{failure}");
    assert_eq!(pool.call(PID, ()).unwrap().result_for(LONG).unwrap(), pid, "the process goes on");
    let failure = pool.call(HOT_BACK, ()).unwrap().exception_for(LONG).unwrap().unwrap();
    assert!(failure.is_panic(), "{failure}");
    assert_eq!(failure.message(), "it is too hot");
    assert_eq!(pool.call(PID, ()).unwrap().result_for(LONG).unwrap(), pid, "nor does this end it");
}

fn a_killed_worker_breaks_the_pool() {
    let pool = ProcessPoolExecutor::with_max_workers(1).unwrap();
    let (stuck, pid) = stuck(&pool);
    let waiting = [1, 2, 3].map(|n| pool.call(SQUARE, n).unwrap());
    signal(pid, libc::SIGKILL);
    let error = broken(stuck.result_for(LONG));
    assert_eq!((error.call, error.pid, error.signal()), ("stuck", Some(pid), Some(libc::SIGKILL)));
    assert_eq!(
        error.to_string(),
        format!("broken process pool: the process {pid} was ended by signal 9 (SIGKILL), in the call \"stuck\"")
    );
    for future in waiting {
        assert_eq!(broken(future.result_for(LONG)).call, "stuck");
    }
    until("it takes no more calls", || matches!(pool.call(SQUARE, 1), Err(SubmitError::Broken(_))));
    let error = pool.call(SQUARE, 1).unwrap_err();
    assert!(error.to_string().contains("signal 9 (SIGKILL)"), "{error}");
    pool.shutdown().unwrap();
}

fn a_killed_worker_is_replaced() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).replace_workers(true).build().unwrap();
    let (first, pid) = stuck(&pool);
    let waiting = [1, 2, 3].map(|n| pool.call(SQUARE, n).unwrap());
    signal(pid, libc::SIGKILL);
    assert_eq!(broken(first.result_for(LONG)).signal(), Some(libc::SIGKILL));
    assert_eq!(waiting.map(|future| future.result_for(LONG).unwrap()), [1, 4, 9]);
    let aborts = pool.call(ABORT, ()).unwrap();
    assert_eq!(broken(aborts.result_for(LONG)).signal(), Some(libc::SIGABRT));
    assert_eq!(pool.call(SQUARE, 5).unwrap().result_for(LONG).unwrap(), 25);
}

fn a_call_is_made_again() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).replace_workers(true).retries(2).build().unwrap();
    let (sender, receiver) = channel().unwrap();
    let stuck = pool.call(STUCK, sender).unwrap();
    let pids = [(); 3].map(|()| {
        let pid = receiver.recv_for(LONG).unwrap();
        signal(pid, libc::SIGKILL);
        pid
    });
    assert_eq!(broken(stuck.result_for(LONG)).pid, Some(pids[2]), "the third time was the last");
    drop(stuck);
    assert!(receiver.recv_for(LONG).unwrap_err().is_disconnected());
}

fn a_worker_killed_at_rest_matters_to_nobody() {
    for replace in [false, true] {
        let pool = ProcessPoolExecutor::builder().max_workers(1).replace_workers(replace).build().unwrap();
        for n in 0..5 {
            assert_eq!(pool.call(SQUARE, n).unwrap().result_for(LONG).unwrap(), n * n);
            let pid = pool.pids()[0];
            signal(pid, libc::SIGKILL);
            until("it has ended", || !runs(pid));
        }
    }
}

fn cancel_and_interrupt() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).replace_workers(true).build().unwrap();
    let (running, pid) = stuck(&pool);
    let pending = pool.call(SQUARE, 1).unwrap();
    assert_eq!((running.state(), pending.state()), (State::Running, State::Pending));
    assert!(pending.cancel() && !running.cancel());
    assert!(running.interrupt());
    assert!(matches!(running.result_for(LONG), Err(FutureError::Cancelled)));
    until("its process has ended", || !runs(pid));
    assert_eq!(pool.call(SQUARE, 3).unwrap().result_for(LONG).unwrap(), 9);
}

fn the_initializer_comes_first() {
    let pool = ProcessPoolExecutor::builder().max_workers(2).initializer(SET, 42).build().unwrap();
    for future in (0..10).map(|_| pool.call(GET, ()).unwrap()).collect::<Vec<_>>() {
        assert_eq!(future.result_for(LONG).unwrap(), 42);
    }
    let pool = ProcessPoolExecutor::builder().max_workers(1).initializer(REFUSE, ()).build().unwrap();
    let error = pool.call(SQUARE, 1).unwrap().result_for(LONG).unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
    until("it takes no more calls", || matches!(pool.call(SQUARE, 1), Err(SubmitError::Broken(_))));
}

fn a_worker_that_does_not_answer() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .env("TEST_BEFORE_INIT", "sleep")
        .answer_within(Duration::from_millis(100))
        .build()
        .unwrap();
    let error = broken(pool.call(SQUARE, 1).unwrap().result_for(LONG));
    assert!(error.to_string().contains("did not call `lisle::process::init` within 100ms"), "{error}");
}

fn shutdown() {
    let pool = ProcessPoolExecutor::builder().max_workers(1).replace_workers(true).build().unwrap();
    let (running, _) = stuck(&pool);
    let pending = pool.call(SQUARE, 1).unwrap();
    // The pool's thread may be about to wait for its process, on a busy machine for longer than this.
    until("it waits for its process", || {
        let error = pool.shutdown_for(Pending::Cancel, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.still_running()[0].name.as_deref(), Some("stuck"));
        error.to_string().contains("\"stuck\", which waits for: process")
    });
    assert!(pending.is_cancelled());
    running.interrupt();
    pool.shutdown().unwrap();
    assert_eq!(pool.pids(), [0; 0]);
}

fn workers_end_with_a_killed_parent() {
    let owner = Builder::new().stdout(Output::Capture).spawn(OWNER, ()).unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout().unwrap()).read_line(&mut line).unwrap();
    let worker: u32 = line.trim().parse().unwrap();
    assert!(runs(worker));
    owner.kill();
    assert!(owner.join_for(LONG).is_err());
    until("the worker has ended", || !runs(worker));
}

fn killed_over_and_over() {
    let pool = ProcessPoolExecutor::builder().max_workers(2).replace_workers(true).retries(1000).build().unwrap();
    let over = lisle::sync::Event::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while over.wait_for(Duration::from_millis(3)).is_err() {
                let pids = pool.pids();
                if !pids.is_empty() {
                    signal(pids[turn % pids.len()], libc::SIGKILL);
                }
                turn += 1;
            }
        });
        for (n, result) in pool.map(SQUARE, 0..3_000).enumerate() {
            assert_eq!(result.unwrap(), (n * n) as u64);
        }
        over.set();
    });
}

fn nothing_is_left_behind() {
    let before = descriptors();
    for _ in 0..3 {
        let pool = ProcessPoolExecutor::with_max_workers(2).unwrap();
        let all: Vec<_> = (0..20).map(|n| pool.call(SQUARE, n).unwrap()).collect();
        drop(pool);
        assert!(all.iter().all(|future| future.state() == State::Finished));
    }
    until("all children are reaped", || children().is_empty());
    until("all descriptors are closed", || descriptors() <= before);
}
