//! From `create` to `join`: the life of a thread, and what it leaves.

use lisle::Kind;
use lisle::thread::{self, Builder, JoinError, JoinHandle, Run, StartError, Thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// A thread that runs until told, and how to tell it.
fn held() -> (JoinHandle<u32>, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let handle = thread::spawn(move || {
        let _ = released.recv();
        7
    });
    (handle, release)
}

#[test]
fn a_life_from_beginning_to_end() {
    let (release, released) = mpsc::channel::<()>();
    let handle = thread::create(move || {
        let _ = released.recv();
        (thread::get_ident(), thread::get_native_id())
    });
    let thread = handle.thread().clone();
    assert!(!thread.is_alive() && !handle.is_alive() && !thread.is_finished());
    assert_eq!((thread.ident(), thread.native_id()), (None, None));
    assert!(!thread::enumerate().contains(&thread));

    handle.start().unwrap();
    assert!(thread.is_alive() && handle.is_alive() && !handle.is_finished());
    assert!(thread::enumerate().contains(&thread));
    let ids = (thread.ident().unwrap(), thread.native_id().unwrap());
    assert_ne!(ids.1, thread::get_native_id());
    assert_ne!(ids.0, thread::get_ident());

    drop(release);
    assert_eq!(handle.join().unwrap(), ids);
    assert!(!thread.is_alive() && !handle.is_alive());
    assert!(thread.is_finished() && handle.is_finished());
    assert!(!thread::enumerate().contains(&thread));
    assert_eq!((thread.ident(), thread.native_id()), (Some(ids.0), Some(ids.1)));
}

#[test]
fn the_native_id_is_there_as_soon_as_the_thread_is_started() {
    for _ in 0..100 {
        let handle = thread::spawn(thread::get_native_id);
        let seen = handle.thread().native_id();
        assert_eq!(seen, Some(handle.join().unwrap()));
    }
}

struct Count {
    to: usize,
    seen: Arc<AtomicUsize>,
}

impl Run for Count {
    type Output = String;

    fn run(self) -> String {
        for _ in 0..self.to {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
        thread::current().name().unwrap().to_owned()
    }
}

#[test]
fn a_type_of_ones_own_runs() {
    let seen = Arc::new(AtomicUsize::new(0));
    let handle = Builder::new().name("counter".into()).create(Count { to: 5, seen: seen.clone() });
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    handle.start().unwrap();
    assert_eq!(handle.join().unwrap(), "counter");
    assert_eq!(seen.load(Ordering::Relaxed), 5);

    let unnamed = thread::create(Count { to: 1, seen });
    let number = unnamed.thread().name().unwrap().strip_prefix("Thread-").unwrap().to_owned();
    assert!(number.parse::<u64>().is_ok(), "{number}");
}

#[test]
fn a_callable_can_be_started_later() {
    fn late() -> u8 {
        9
    }
    let handle = thread::create(late);
    assert!(handle.thread().name().unwrap().ends_with(" (late)"));
    handle.start().unwrap();
    assert_eq!(handle.join().unwrap(), 9);
}

#[test]
fn starting_twice_is_an_error() {
    let handle = thread::create(|| 1);
    handle.start().unwrap();
    let error = handle.start().unwrap_err();
    assert!(matches!(error, StartError::AlreadyStarted));
    assert!(error.to_string().contains("started before"));
    assert_eq!(handle.join().unwrap(), 1);
    assert!(matches!(handle.start(), Err(StartError::AlreadyStarted)), "also when it has finished");
    assert!(matches!(thread::spawn(|| ()).start(), Err(StartError::AlreadyStarted)));
}

#[test]
fn of_many_who_start_a_thread_one_does() {
    for _ in 0..50 {
        let runs = Arc::new(AtomicUsize::new(0));
        let handle = thread::create({
            let runs = runs.clone();
            move || runs.fetch_add(1, Ordering::Relaxed)
        });
        let starts = thread::scope(|s| {
            let starters: Vec<_> = (0..4).map(|_| s.spawn(|| handle.start().is_ok())).collect();
            starters.iter().filter(|starter| starter.join().unwrap()).count()
        });
        handle.join().unwrap();
        assert_eq!((starts, runs.load(Ordering::Relaxed)), (1, 1));
    }
}

#[test]
fn making_without_starting_leaks_nothing() {
    let held = Arc::new(());
    let handle = thread::create({
        let held = held.clone();
        move || drop(held)
    });
    let thread = handle.thread().clone();
    assert_eq!(Arc::strong_count(&held), 2);
    drop(handle);
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(!thread.is_alive() && !thread.is_finished());
}

#[test]
fn an_unstarted_thread_cannot_be_joined() {
    let handle = thread::create(|| ());
    let error = handle.join().unwrap_err().downcast::<JoinError>().unwrap();
    assert!(matches!(*error, JoinError::NotStarted));
    assert!(error.to_string().contains("call `start`"));
    assert!(matches!(handle.try_join(), Err(JoinError::NotStarted)));
    assert!(matches!(handle.join_for(Duration::MAX), Err(JoinError::NotStarted)));
    assert!(matches!(handle.join_until(Instant::now()), Err(JoinError::NotStarted)));
    assert!(matches!(handle.thread().join(), Err(JoinError::NotStarted)));
    handle.start().unwrap();
    handle.join().unwrap();
}

#[test]
fn a_thread_cannot_join_itself() {
    let me = thread::current();
    assert!(matches!(me.join(), Err(JoinError::Itself)));
    assert!(matches!(me.join_for(Duration::MAX), Err(JoinError::Itself)));
    assert!(matches!(me.join_until(Instant::now()), Err(JoinError::Itself)));

    let own: Arc<OnceLock<JoinHandle<String>>> = Arc::new(OnceLock::new());
    let handle = thread::create({
        let own = own.clone();
        move || {
            let handle = own.wait();
            assert!(matches!(handle.try_join(), Err(JoinError::Itself)));
            handle.join().unwrap_err().downcast::<JoinError>().unwrap().to_string()
        }
    });
    let thread = handle.thread().clone();
    handle.start().unwrap();
    assert!(own.set(handle).is_ok());
    thread.join().unwrap();
    let text = own.get().unwrap().join().unwrap();
    assert!(text.contains("cannot join itself"), "{text}");
}

#[test]
fn time_limits() {
    let (handle, release) = held();
    assert!(handle.try_join().unwrap_err().is_timed_out());
    assert!(handle.join_for(Duration::ZERO).unwrap_err().is_timed_out());
    assert!(handle.join_until(Instant::now()).unwrap_err().is_timed_out());
    let start = Instant::now();
    assert!(handle.join_for(Duration::from_millis(10)).unwrap_err().is_timed_out());
    assert!(handle.thread().join_for(Duration::from_millis(10)).unwrap_err().is_timed_out());
    assert!(handle.thread().join_until(Instant::now() + Duration::from_millis(10)).unwrap_err().is_timed_out());
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(handle.is_alive(), "a time-out does nothing to the thread");
    drop(release);
    assert_eq!(handle.join_for(Duration::MAX).unwrap(), 7);
    assert!(handle.thread().join_until(Instant::now()).is_ok(), "finished: no waiting, whatever the limit");
}

#[test]
fn the_value_comes_out_once() {
    let handle = thread::spawn(|| String::from("value"));
    handle.thread().join().unwrap();
    assert_eq!(handle.try_join().unwrap(), "value");
    assert!(matches!(handle.try_join(), Err(JoinError::Taken)));
    assert!(matches!(handle.join_for(Duration::ZERO), Err(JoinError::Taken)));
    let error = handle.join().unwrap_err().downcast::<JoinError>().unwrap();
    assert!(error.to_string().contains("earlier join"));
    handle.thread().join().unwrap();
}

#[test]
fn the_panic_comes_out_once() {
    let handle: JoinHandle<()> = thread::spawn(|| panic!("once"));
    let error = handle.join_until(Instant::now() + Duration::from_secs(60)).unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.to_string(), "the thread panicked: once");
    let JoinError::Panicked(payload) = error else { unreachable!() };
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"once"));
    assert!(matches!(handle.join_for(Duration::ZERO), Err(JoinError::Taken)));
    handle.thread().join().unwrap();
}

#[test]
fn all_joiners_are_released_and_one_has_the_value() {
    let (handle, release) = held();
    let (at_it, ready) = mpsc::channel();
    let (values, waited) = thread::scope(|s| {
        let takers: Vec<_> = (0..8)
            .map(|number| {
                let (handle, at_it) = (&handle, at_it.clone());
                s.spawn(move || {
                    at_it.send(()).unwrap();
                    match number % 2 {
                        0 => handle.join().map_err(|error| *error.downcast::<JoinError>().unwrap()),
                        _ => handle.join_for(Duration::MAX),
                    }
                })
            })
            .collect();
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                at_it.send(()).unwrap();
                s.spawn(|| handle.thread().join())
            })
            .collect();
        (0..12).for_each(|_| ready.recv().unwrap());
        drop(release);
        let values: Vec<_> = takers.iter().map(|taker| taker.join().unwrap()).collect();
        (values, waiters.iter().filter(|waiter| waiter.join().unwrap().is_ok()).count())
    });
    assert_eq!(values.iter().filter(|value| matches!(value, Ok(7))).count(), 1);
    assert_eq!(values.iter().filter(|value| matches!(value, Err(JoinError::Taken))).count(), 7);
    assert_eq!(waited, 4);
}

#[test]
fn joining_in_a_circle_is_a_deadlock() {
    let threads: Arc<OnceLock<Vec<Thread>>> = Arc::new(OnceLock::new());
    let handles: Vec<_> = (0..2)
        .map(|number| {
            let threads = threads.clone();
            let name = format!("circle-{number}");
            Builder::new().name(name).create(move || threads.wait()[1 - number].join().map_err(|e| e.to_string()))
        })
        .collect();
    handles.iter().for_each(|handle| handle.start().unwrap());
    threads.set(handles.iter().map(|handle| handle.thread().clone()).collect()).unwrap();
    let results: Vec<_> = handles.iter().map(|handle| handle.join().unwrap()).collect();
    let reports: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(reports.len(), 1, "one of the two fails, so that the other can end: {results:?}");
    let report = reports[0];
    assert!(report.starts_with("deadlock: 2 threads wait for each other"), "{report}");
    for part in ["thread \"circle-0\"", "thread \"circle-1\"", "for join of thread \"circle-", "thread_life.rs:"] {
        assert!(report.contains(part), "{part} in {report}");
    }
}

#[test]
fn joining_while_holding_what_the_thread_wants_is_a_deadlock() {
    let mutex = lisle::sync::Mutex::named((), "wanted");
    thread::scope(|s| {
        let guard = mutex.lock();
        let wants = s.spawn(|| mutex.lock_interruptible().map(drop).is_err());
        // One of the two waits fails, whichever closes the circle.
        match wants.join() {
            Ok(failed) => assert!(failed),
            Err(error) => {
                let error = error.downcast::<JoinError>().unwrap();
                let report = error.deadlock().expect("nothing else is wrong").to_string();
                assert!(report.contains("mutex \"wanted\""), "{report}");
                drop(guard);
                assert!(!wants.join().unwrap());
            }
        }
    });
}

#[test]
fn a_scope_that_holds_what_its_thread_wants_fails_the_thread() {
    let mutex = lisle::sync::Mutex::named((), "held by the scope");
    let guard = mutex.lock();
    let mut report = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        thread::scope(|s| {
            s.spawn(|| {
                report = mutex.lock_interruptible().map(drop).err().map(|error| error.to_string());
                panic!("cannot go on");
            });
        });
    }));
    drop(guard);
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"a scoped thread panicked"));
    let report = report.unwrap();
    for part in ["deadlock: 2 threads", "mutex \"held by the scope\"", "join of thread \"Thread-"] {
        assert!(report.contains(part), "{part} in {report}");
    }
}

#[test]
fn waits_are_counted() {
    let handle = thread::spawn(|| {
        thread::sleep(Duration::from_millis(2));
        thread::park_timeout(Duration::from_millis(3));
        thread::create(|| ()).join().unwrap_err(); // no wait
    });
    handle.join().unwrap();
    let stats = handle.thread().wait_stats();
    assert_eq!((stats.get(Kind::Sleep).count, stats.get(Kind::Park).count), (1, 1));
    assert!(stats.get(Kind::Park).longest >= Duration::from_millis(3));
    assert!(stats.total() >= Duration::from_millis(5));
    assert_eq!(stats.iter().map(|(kind, _)| kind).collect::<Vec<_>>(), [Kind::Park, Kind::Sleep]);
}

#[test]
fn thread_locals_are_gone_after_join() {
    struct Slow(Arc<AtomicBool>);
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(20));
            self.0.store(true, Ordering::Release);
        }
    }
    thread_local!(static SLOW: std::cell::OnceCell<Slow> = const { std::cell::OnceCell::new() });

    let gone = Arc::new(AtomicBool::new(false));
    let handle = thread::spawn({
        let gone = gone.clone();
        move || SLOW.with(|slow| assert!(slow.set(Slow(gone)).is_ok()))
    });
    handle.join().unwrap();
    assert!(gone.load(Ordering::Acquire));
}

#[test]
fn a_scope_too_joins_in_time() {
    thread::scope(|s| {
        let (release, released) = mpsc::channel::<()>();
        let handle = s.spawn(move || released.recv().is_err());
        assert!(handle.is_alive());
        assert!(handle.try_join().unwrap_err().is_timed_out());
        assert!(handle.join_for(Duration::from_millis(1)).unwrap_err().is_timed_out());
        assert!(handle.join_until(Instant::now()).unwrap_err().is_timed_out());
        drop(release);
        assert!(handle.join_for(Duration::MAX).unwrap());
        assert!(matches!(handle.try_join(), Err(JoinError::Taken)));
    });
}

#[test]
fn a_scope_forgets_threads_that_have_finished() {
    let count = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..500 {
            s.spawn(|| count.fetch_add(1, Ordering::Relaxed)).join().unwrap();
        }
    });
    assert_eq!(count.into_inner(), 500);
}

#[test]
fn what_is_a_daemon() {
    assert!(!thread::main_thread().is_daemon());
    assert!(thread::main_thread().set_daemon(true).is_err());

    let daemon = Builder::new().daemon(true).spawn(|| {
        let child = thread::create(|| ());
        let other = Builder::new().daemon(false).create(|| ());
        (thread::current().is_daemon(), child.thread().is_daemon(), other.thread().is_daemon())
    });
    assert_eq!(daemon.unwrap().join().unwrap(), (true, true, false), "inherited, unless said otherwise");

    let plain = thread::spawn(|| thread::create(|| ()).thread().is_daemon());
    assert!(!plain.join().unwrap());

    let adopted = std::thread::spawn(|| {
        let child = thread::create(|| ());
        (thread::current().is_daemon(), child.thread().is_daemon())
    });
    assert_eq!(adopted.join().unwrap(), (true, false), "not inherited from an adopted thread");
}

#[test]
fn being_a_daemon_is_settled_by_start() {
    let handle = thread::create(|| thread::current().is_daemon());
    assert!(!handle.thread().is_daemon());
    handle.thread().set_daemon(true).unwrap();
    assert!(handle.thread().is_daemon());
    handle.start().unwrap();
    let error = handle.thread().set_daemon(false).unwrap_err();
    assert!(error.to_string().contains("before `start`"));
    assert!(handle.join().unwrap());
    assert!(handle.thread().set_daemon(false).is_err());
    assert!(thread::current().set_daemon(true).is_err());
}

/// More than any system has.
const ABSURD: usize = 1 << 60;

#[test]
fn a_thread_that_cannot_be_made_leaves_nothing() {
    let held = Arc::new(());
    let name = "never to be seen";
    let error = Builder::new()
        .name(name.into())
        .stack_size(ABSURD)
        .spawn({
            let held = held.clone();
            move || drop(held)
        })
        .unwrap_err();
    assert!(error.raw_os_error().is_some(), "the system's reason: {error}");
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(thread::enumerate().iter().all(|thread| thread.name() != Some(name)));
}

#[test]
fn a_panic_in_a_failed_start_leaves_nothing() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let (bomb, name) = (Bomb, "not to be seen either");
    let builder = Builder::new().name(name.into()).stack_size(ABSURD);
    catch_unwind(AssertUnwindSafe(|| builder.spawn(move || drop(bomb)))).expect_err("the closure was dropped");
    assert!(thread::enumerate().iter().all(|thread| thread.name() != Some(name)));
}

#[test]
fn a_thread_that_could_not_be_started_is_as_before() {
    let held = Arc::new(());
    let handle = Builder::new().stack_size(ABSURD).create({
        let held = held.clone();
        move || drop(held)
    });
    for _ in 0..2 {
        let error = handle.start().unwrap_err();
        let StartError::System(reason) = &error else { panic!("{error}") };
        assert!(error.to_string().contains(&reason.to_string()));
        assert!(!handle.is_alive() && !handle.is_finished());
        assert_eq!((handle.thread().ident(), handle.thread().native_id()), (None, None));
        assert!(!thread::enumerate().contains(handle.thread()));
        assert!(matches!(handle.try_join(), Err(JoinError::NotStarted)));
        handle.thread().set_daemon(true).unwrap();
    }
    assert_eq!(Arc::strong_count(&held), 2);
    drop(handle);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_scope_survives_a_thread_that_cannot_be_made() {
    let text = String::from("borrowed");
    thread::scope(|s| {
        let tried = Builder::new().stack_size(ABSURD).spawn_scoped(s, || text.len());
        assert!(tried.is_err());
        assert_eq!(s.spawn(|| text.len()).join().unwrap(), 8);
    });
}
