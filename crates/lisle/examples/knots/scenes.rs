//! What the nine programs do.

use lisle::executor::ThreadPoolExecutor;
use lisle::queue::Queue;
use lisle::sync::{Barrier, Event, Lock, Mutex, RwLock};
use lisle::watch::wire::{Confidence, Snapshot, State};
use lisle::{thread, watch};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The threads that play it, by name.
    pub(crate) threads: fn() -> Vec<(&'static str, Run)>,
    /// Whether it has come to what it is to show.
    pub(crate) is_ready: fn(&Snapshot) -> bool,
    /// Whether the main thread waits in lisle too, so that there is nobody left who does anything.
    pub(crate) main_waits: bool,
}

type Run = Box<dyn FnOnce() + Send>;

const LONG: Duration = Duration::from_secs(3600);

pub(crate) static SCENES: &[Scene] = &[
    Scene {
        name: "two-locks",
        about: "two threads take two locks in different order; one of them is failed, and keeps its lock",
        threads: || ring(["transfer", "audit"], ["account a", "account b"]),
        is_ready: |now| was_failed(now) && waiting(now, "mutex") == 1 && waiting(now, "event") == 1,
        main_waits: false,
    },
    Scene {
        name: "three-locks",
        about: "the same with three",
        threads: || ring(["red", "green", "blue"], ["lock 1", "lock 2", "lock 3"]),
        is_ready: |now| was_failed(now) && waiting(now, "mutex") == 2 && waiting(now, "event") == 1,
        main_waits: false,
    },
    Scene {
        name: "timed-two-locks",
        about: "two locks, and one of the waits has a limit: a deadlock that ends by itself",
        threads: timed_two_locks,
        is_ready: |now| is_told(now, Confidence::Timed),
        main_waits: false,
    },
    Scene {
        name: "orphan",
        about: "a thread has ended with a lock",
        threads: orphan,
        is_ready: |now| is_told(now, Confidence::Orphaned),
        main_waits: false,
    },
    Scene {
        name: "join-while-holding",
        about: "a thread joins another, which waits for its lock",
        threads: join_while_holding,
        is_ready: |now| was_failed(now) && waiting(now, "event") == 1,
        main_waits: false,
    },
    Scene {
        name: "no-producer",
        about: "a queue whose last producer has ended",
        threads: no_producer,
        is_ready: |now| waiting(now, "queue empty") == 1 && !has_thread(now, "producer"),
        main_waits: true,
    },
    Scene {
        name: "starved-pool",
        about: "a call waits for another of its pool, which has one thread",
        threads: starved_pool,
        is_ready: |now| was_failed(now) && waiting(now, "event") == 1,
        main_waits: false,
    },
    Scene {
        name: "contention",
        about: "four threads that want the same lock all the time: nothing is wrong",
        threads: contention,
        is_ready: |now| now.threads.iter().filter(|thread| thread.name.starts_with("busy")).count() == 4,
        main_waits: false,
    },
    Scene {
        name: "reader-reader-writer",
        about: "a thread that reads wants to read again, behind a writer that waits for it",
        threads: reader_reader_writer,
        is_ready: |now| was_failed(now) && waiting(now, "write lock") == 1 && waiting(now, "event") == 1,
        main_waits: false,
    },
];

pub(crate) fn wait_for_ever() -> ! {
    loop {
        let _ = Event::named("for ever").wait();
    }
}

fn waiting(now: &Snapshot, kind: &str) -> usize {
    now.threads.iter().filter(|thread| thread.wait.as_ref().is_some_and(|wait| wait.kind == kind)).count()
}

fn has_thread(now: &Snapshot, name: &str) -> bool {
    now.threads.iter().any(|thread| thread.name == name && thread.state != State::Other)
}

fn was_failed(now: &Snapshot) -> bool {
    now.past_reports.iter().any(|report| report.failed.is_some())
}

/// Whether there is such a report, and is there to stay: the thread that tells it lets go of its wait for that.
fn is_told(now: &Snapshot, confidence: Confidence) -> bool {
    now.reports.iter().any(|report| report.confidence == confidence && report.told)
}

/// Each thread holds a lock of its own and wants the next one's.
fn ring<const N: usize>(threads: [&'static str; N], locks: [&'static str; N]) -> Vec<(&'static str, Run)> {
    let locks = Arc::new(locks.map(|name| Mutex::named((), name)));
    let all_hold = Arc::new(Barrier::new(N));
    let run = |i: usize| -> Run {
        let (locks, all_hold) = (locks.clone(), all_hold.clone());
        Box::new(move || {
            let _mine = locks[i].lock();
            all_hold.wait().expect("nobody breaks it");
            match locks[(i + 1) % N].lock_interruptible() {
                Ok(_) => unreachable!("who is failed keeps its lock"),
                Err(error) => {
                    eprintln!("{error}");
                    wait_for_ever()
                }
            }
        })
    };
    threads.iter().enumerate().map(|(i, name)| (*name, run(i))).collect()
}

fn timed_two_locks() -> Vec<(&'static str, Run)> {
    let locks = Arc::new([Mutex::named((), "first"), Mutex::named((), "second")]);
    let both_hold = Arc::new(Barrier::new(2));
    let (its_locks, its_both_hold) = (locks.clone(), both_hold.clone());
    vec![
        (
            "patient",
            Box::new(move || {
                let _first = its_locks[0].lock();
                its_both_hold.wait().expect("nobody breaks it");
                let _ = its_locks[1].lock_interruptible().map(drop);
            }),
        ),
        (
            "hasty",
            Box::new(move || {
                let _second = locks[1].lock();
                both_hold.wait().expect("nobody breaks it");
                let _ = locks[0].lock_for(LONG).map(drop);
            }),
        ),
    ]
}

fn orphan() -> Vec<(&'static str, Run)> {
    let lock = Arc::new(Mutex::named((), "left behind"));
    let (its_lock, taken) = (lock.clone(), Arc::new(Event::new()));
    let its_taken = taken.clone();
    vec![
        (
            "gone",
            Box::new(move || {
                std::mem::forget(its_lock.lock());
                its_taken.set();
            }),
        ),
        (
            "heir",
            Box::new(move || {
                taken.wait().expect("it is set");
                let _ = lock.lock_interruptible().map(drop);
            }),
        ),
    ]
}

fn join_while_holding() -> Vec<(&'static str, Run)> {
    vec![(
        "boss",
        Box::new(|| {
            let ledger = Arc::new(Mutex::named((), "ledger"));
            let _held = ledger.lock();
            let its_ledger = ledger.clone();
            let clerk = thread::Builder::new().name("clerk".into()).daemon(true).spawn(move || {
                if let Err(error) = its_ledger.lock_interruptible().map(drop) {
                    eprintln!("{error}");
                    wait_for_ever();
                }
            });
            let joined = clerk.expect("a thread").join();
            eprintln!("{joined:?}");
            wait_for_ever()
        }),
    )]
}

fn no_producer() -> Vec<(&'static str, Run)> {
    let jobs = Arc::new(Queue::new().with_name("jobs"));
    let its_jobs = jobs.clone();
    vec![
        ("producer", Box::new(move || its_jobs.put(1).expect("it is open"))),
        (
            "consumer",
            Box::new(move || {
                while let Ok(job) = jobs.get() {
                    assert_eq!(job, 1);
                }
            }),
        ),
    ]
}

fn starved_pool() -> Vec<(&'static str, Run)> {
    vec![(
        "client",
        Box::new(|| {
            let pool = ThreadPoolExecutor::builder().name("pool").max_workers(1).build().expect("a pool");
            let pool = Arc::new(pool);
            let its_pool = pool.clone();
            let outer = pool.call().name("outer").submit(move || {
                let inner = its_pool.call().name("inner").submit(|| ()).expect("it is open");
                if let Err(error) = inner.result() {
                    eprintln!("{error}");
                    wait_for_ever()
                }
            });
            let _ = outer.expect("it is open").result();
        }),
    )]
}

fn contention() -> Vec<(&'static str, Run)> {
    let hot = Arc::new(Mutex::named(0_u64, "hot"));
    let gate = Arc::new(Lock::new());
    let names = ["busy-1", "busy-2", "busy-3", "busy-4"];
    let run = |name| -> (&'static str, Run) {
        let (hot, gate) = (hot.clone(), gate.clone());
        let run = move || {
            loop {
                let mut count = hot.lock();
                *count += 1;
                if count.is_multiple_of(16) {
                    // Something to wait for, so that there are waits to see.
                    thread::sleep(Duration::from_micros(50));
                }
                drop(count);
                if gate.acquire().is_ok() {
                    gate.release().expect("just taken");
                }
            }
        };
        (name, Box::new(run))
    };
    names.into_iter().map(run).collect()
}

fn writer_has_waited(now: &Snapshot) -> bool {
    let mut waits = now.threads.iter().filter_map(|thread| thread.wait.as_ref());
    waits.any(|wait| wait.kind == "write lock" && wait.waited_us > 50_000)
}

fn reader_reader_writer() -> Vec<(&'static str, Run)> {
    let table = Arc::new(RwLock::named((), "table"));
    let (its_table, reading) = (table.clone(), Arc::new(Event::new()));
    let its_reading = reading.clone();
    vec![
        (
            "reader",
            Box::new(move || {
                let _first = table.read();
                reading.set();
                // Each wait is looked at once, when it is some milliseconds old. So it is our own that is failed.
                while !writer_has_waited(&watch::snapshot()) {
                    thread::sleep(Duration::from_millis(1));
                }
                match table.read_interruptible() {
                    Ok(_) => unreachable!("the writer waits for us"),
                    Err(error) => {
                        eprintln!("{error}");
                        wait_for_ever()
                    }
                }
            }),
        ),
        (
            "writer",
            Box::new(move || {
                its_reading.wait().expect("it is set");
                if let Err(error) = its_table.write_interruptible().map(drop) {
                    eprintln!("{error}");
                    wait_for_ever()
                }
            }),
        ),
    ]
}
