//! The child of a fork has one thread, an empty lot, and every means to go on.
#![cfg(target_os = "linux")]

use lisle::executor::ThreadPoolExecutor;
use lisle::gil::Gil;
use lisle::sync::{Condvar, Mutex};
use lisle::thread::{self, Builder, JoinError, JoinHandle, Local};
use lisle::watch::{Reader, snapshot};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Runs `child` in the child of a fork and waits for its end, which must be a good one. A child that
/// hangs is ended by its alarm.
fn in_child(child: impl FnOnce()) {
    thread::current(); // the process's first call must not come while it forks
    // SAFETY: the child calls what this library promises to work there, and the allocator, which the
    // system's C library promises. It ends by `_exit`, without a way back into the test's frames.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: takes no pointers.
        unsafe { libc::alarm(30) };
        let code = match catch_unwind(AssertUnwindSafe(child)) {
            Ok(()) => 0,
            Err(payload) => {
                let text = payload.downcast_ref::<String>().map_or("a panic", String::as_str);
                // SAFETY: the text is as long as it says. `eprintln` would write to the test's
                // captured output, which ends with the child.
                unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
                99
            }
        };
        // SAFETY: ends the process, whatever state it is in.
        unsafe { libc::_exit(code) };
    }
    assert_eq!(status_of(pid), 0, "exit status << 8, or the signal; 14 is the alarm of a child that hung");
}

fn status_of(pid: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: `status` is a place for an int.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR), "{error}");
    }
    status
}

/// What many threads fight for.
struct Arena {
    mutexes: [Mutex<u64>; 2],
    changed: Condvar,
    local: Local<Cell<u64>>,
    turns: AtomicU64,
    over: AtomicBool,
}

impl Arena {
    fn new() -> Arc<Arena> {
        Arc::new(Arena {
            mutexes: [Mutex::new(0), Mutex::named(0, "second")],
            changed: Condvar::new(),
            local: Local::new(|| Cell::new(0)),
            turns: AtomicU64::new(0),
            over: AtomicBool::new(false),
        })
    }

    /// Has threads do everything that there is to do, until it is over; or all but starting threads.
    fn fill(self: &Arc<Arena>, with_threads: bool) -> Vec<JoinHandle<()>> {
        let roles: [fn(&Arena); 4] = [
            |arena| {
                *arena.mutexes[0].lock() += 1;
                arena.changed.notify_all();
            },
            |arena| {
                let first = arena.mutexes[0].lock();
                let mut second = arena.mutexes[1].lock();
                *second += *first;
                drop(first);
                let _ = arena.changed.wait_for(&mut second, Duration::from_micros(50));
            },
            |arena| {
                let local = thread::create(|| thread::park_timeout(Duration::from_micros(10)));
                local.start().unwrap();
                local.thread().set_name("renamed");
                local.thread().unpark();
                local.join().unwrap();
                arena.local.set(arena.local.get() + 1);
            },
            |arena| {
                thread::scope(|s| s.spawn(|| arena.local.set(1)).thread().interrupt());
                std::thread::spawn(|| thread::current().interrupt()).join().unwrap();
                assert!(thread::active_count() > 1);
            },
        ];
        let begin = |(number, role): (usize, fn(&Arena))| {
            let arena = self.clone();
            let run = move || {
                while !arena.over.load(Ordering::Relaxed) {
                    role(&arena);
                    arena.turns.fetch_add(1, Ordering::Relaxed);
                }
            };
            Builder::new().name(format!("fighter-{number}")).spawn(run).unwrap()
        };
        let roles = roles.into_iter().take(if with_threads { 4 } else { 2 });
        let fighters: Vec<_> = roles.enumerate().map(begin).collect();
        assert!(fighters.iter().all(|fighter| fighter.thread().native_id().is_some()), "they have begun");
        fighters
    }
}

/// The promises to a child.
fn child_goes_on(lost: &[JoinHandle<()>]) {
    child_is_well(lost);
    child_starts_threads();
}

/// Those that hold also when a thread was just beginning or ending at the fork.
fn child_is_well(lost: &[JoinHandle<()>]) {
    let me = thread::current();
    assert_eq!(thread::enumerate(), std::slice::from_ref(&me));
    assert_eq!((thread::active_count(), thread::main_thread()), (1, me.clone()));
    assert!(!me.is_daemon());
    if cfg!(not(lisle_portable)) {
        assert_eq!(me.native_id(), Some(std::process::id()));
    }

    // Lost threads have finished, and have left nothing.
    for handle in lost {
        assert!(handle.is_finished());
        handle.thread().join().unwrap();
        assert!(matches!(handle.try_join(), Err(JoinError::Lost)));
    }

    let mutex = Mutex::new(0);
    *mutex.lock() += 1;
    let changed = Condvar::new();
    assert!(changed.wait_for(&mut mutex.lock(), Duration::from_micros(100)).unwrap_err().is_timed_out());
    thread::park_timeout(Duration::from_micros(100));
    thread::sleep(Duration::from_micros(100));
}

/// Threads start, contend, and are joined. A thread that begins or ends holds a lock of `std` for a moment,
/// and who is forked in that moment can start none.
fn child_starts_threads() {
    let (me, mutex, changed) = (thread::current(), Mutex::new(1), Condvar::new());
    let local = Local::new(|| Cell::new(0));
    thread::scope(|s| {
        let others: Vec<_> = (0..2)
            .map(|_| {
                s.spawn(|| {
                    local.set(local.get() + 1);
                    (0..50).for_each(|_| *mutex.lock() += 1);
                    changed.notify_all();
                })
            })
            .collect();
        assert!(thread::active_count() <= 3);
        let mut total = mutex.lock();
        changed.wait_while_for(&mut total, |total| *total < 101, Duration::from_secs(20)).unwrap();
        drop(total);
        others.iter().for_each(|other| other.join().unwrap());
    });
    assert_eq!(thread::spawn(|| 5).join().unwrap(), 5);
    assert_eq!(thread::enumerate(), [me]);
}

fn five_hundred_forks_under_full_contention() {
    for (with_threads, child) in [(true, child_is_well as fn(&[JoinHandle<()>])), (false, child_goes_on)] {
        let arena = Arena::new();
        let fighters = arena.fill(with_threads);
        for _ in 0..250 {
            let before = arena.turns.load(Ordering::Relaxed);
            in_child(|| child(&fighters));
            // The parent goes on too: nothing that was held across the fork is held still.
            while arena.turns.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
        arena.over.store(true, Ordering::Relaxed);
        fighters.iter().for_each(|fighter| fighter.join().unwrap());
    }
}

fn a_child_of_a_traced_process_is_not_traced() {
    let arena = Arena::new();
    let mut reader = Reader::start();
    let fighters = arena.fill(false);
    for _ in 0..50 {
        in_child(|| {
            // The parent's reader has nothing to say here, and what it has counted is forgotten.
            reader.stop();
            let part = reader.next();
            assert!(part.last && part.events.is_empty());
            assert!(snapshot().objects.is_empty());
            // Another one begins anew.
            let mut reader = Reader::start();
            child_is_well(&fighters);
            reader.stop();
            assert!(
                reader
                    .next()
                    .threads
                    .iter()
                    .all(|named| thread::current().ident().is_some_and(|me| me.get() == named.ident))
            );
            // A sleep that the system begins too late is none.
            while !snapshot().objects.iter().any(|object| object.kind == "sleep" && object.waits > 0) {
                thread::sleep(Duration::from_millis(1));
            }
        });
        reader.next();
    }
    arena.over.store(true, Ordering::Relaxed);
    fighters.iter().for_each(|fighter| fighter.join().unwrap());
    reader.stop();
    assert!(!reader.next().events.is_empty());
}

fn a_thread_that_forks_is_main_in_the_child() {
    let forks = Builder::new().name("forks".into()).daemon(true).spawn(|| {
        in_child(|| {
            assert_eq!(thread::main_thread().name(), Some("forks"));
            child_goes_on(&[]);
        });
    });
    forks.unwrap().join().unwrap();
}

fn a_thread_that_forks_has_finished_once_it_exits_the_child() {
    let forks = thread::spawn(|| {
        in_child(|| {
            drop(thread::spawn(|| {
                let joined = thread::main_thread().join();
                // SAFETY: ends the process, whatever state it is in.
                unsafe { libc::_exit(joined.is_err().into()) }
            }));
            // SAFETY: nobody else is about to exit. Not `process::exit`, which some thread of the
            // parent may have been in. It waits for the thread above.
            unsafe { libc::exit(1) }
        });
    });
    forks.join().unwrap();
}

fn a_child_may_fork_in_turn() {
    in_child(|| {
        let (mutex, never) = (Mutex::new(()), Condvar::new());
        thread::scope(|s| {
            let waits = s.spawn(|| never.wait(&mut mutex.lock()).unwrap_err().is_interrupted());
            in_child(|| child_goes_on(&[]));
            waits.thread().interrupt();
            assert!(waits.join().unwrap());
        });
    });
}

fn a_lock_that_was_held_is_not_free_in_the_child() {
    let mutex = Mutex::named((), "held at the fork");
    thread::scope(|s| {
        let guard = mutex.lock();
        s.spawn(|| in_child(|| assert!(mutex.lock_for(Duration::from_millis(1)).unwrap_err().is_timed_out())))
            .join()
            .unwrap();
        drop(guard);
        assert!(mutex.try_lock().is_some(), "what the child does is its own affair");
    });
}

fn a_gil_stays_with_the_thread_that_forks() {
    let gil = Arc::new(Gil::named(Duration::from_micros(100), "forked"));
    let over = Arc::new(AtomicBool::new(false));
    // Others want it, are asked for it, and hand it over, in the moment of the fork.
    let others: Vec<_> = (0..3)
        .map(|_| {
            let (gil, over) = (gil.clone(), over.clone());
            thread::spawn(move || {
                let mut token = gil.attach();
                while !over.load(Ordering::Relaxed) {
                    token.checkpoint();
                    token.detach(|| ());
                }
            })
        })
        .collect();
    for _ in 0..100 {
        let mut token = gil.attach();
        in_child(|| {
            // The others are not there: nobody takes it, and who was in the line does not hold it up.
            assert!(gil.waiters().is_empty());
            token.checkpoint();
            token.detach(|| assert!(gil.try_attach().is_some()));
            thread::scope(|s| {
                let child = s.spawn(|| drop(gil.attach()));
                while child.thread().waits_for().is_none() {
                    thread::yield_now();
                }
                while gil.waiters().iter().any(|waiter| waiter == child.thread()) {
                    token.checkpoint();
                }
                child.join().unwrap();
            });
            drop(token);
            assert!(gil.try_attach().is_some());
        });
        token = gil.attach(); // the child's went with it
        token.checkpoint();
        drop(token);
    }
    over.store(true, Ordering::Relaxed);
    others.iter().for_each(|other| other.join().unwrap());
    // One that another thread holds does not become free.
    thread::scope(|s| {
        let token = gil.attach();
        s.spawn(|| in_child(|| assert!(gil.attach_for(Duration::from_millis(1)).unwrap_err().is_timed_out())))
            .join()
            .unwrap();
        drop(token);
        assert!(gil.try_attach().is_some());
    });
}

fn the_exit_of_a_child_waits_for_nobody_lost() {
    let over = Arc::new(AtomicBool::new(false));
    let runs_on = thread::spawn({
        let over = over.clone();
        move || {
            while !over.load(Ordering::Acquire) {
                thread::park();
            }
        }
    });
    in_child(|| {
        // SAFETY: the child has one thread, so nobody else is about to exit. Not `process::exit`,
        // which some thread of the parent may have been in.
        unsafe { libc::exit(0) }
    });
    over.store(true, Ordering::Release);
    runs_on.thread().unpark();
    runs_on.join().unwrap();
}

fn pools_come_and_go_while_others_fork() {
    let over = Arc::new(AtomicBool::new(false));
    let makers: Vec<_> = (0..2)
        .map(|_| {
            let over = over.clone();
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    drop(ThreadPoolExecutor::new());
                }
            })
        })
        .collect();
    for _ in 0..200 {
        in_child(|| drop(ThreadPoolExecutor::new()));
    }
    over.store(true, Ordering::Relaxed);
    makers.into_iter().for_each(|maker| maker.join().unwrap());
}

/// One after the other: `std` has locks of its own, which a thread that begins takes for a moment. A child
/// that is forked in that moment can start no threads.
#[test]
fn forks() {
    let cases = [
        ("five_hundred_forks_under_full_contention", five_hundred_forks_under_full_contention as fn()),
        ("a_child_of_a_traced_process_is_not_traced", a_child_of_a_traced_process_is_not_traced as fn()),
        ("a_thread_that_forks_is_main_in_the_child", a_thread_that_forks_is_main_in_the_child as fn()),
        (
            "a_thread_that_forks_has_finished_once_it_exits_the_child",
            a_thread_that_forks_has_finished_once_it_exits_the_child as fn(),
        ),
        ("a_child_may_fork_in_turn", a_child_may_fork_in_turn as fn()),
        ("a_lock_that_was_held_is_not_free_in_the_child", a_lock_that_was_held_is_not_free_in_the_child as fn()),
        ("a_gil_stays_with_the_thread_that_forks", a_gil_stays_with_the_thread_that_forks as fn()),
        ("pools_come_and_go_while_others_fork", pools_come_and_go_while_others_fork as fn()),
        ("the_exit_of_a_child_waits_for_nobody_lost", the_exit_of_a_child_waits_for_nobody_lost as fn()),
    ];
    for (name, case) in cases {
        println!("{name}");
        case();
    }
}
