//! The uses that the standard library documents for `std::thread`, one test each. The module is
//! brought in under its usual name: what stands below compiles and passes with `use std::thread`
//! too, but for the tests at the end, which say so.

use lisle::thread;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::{UnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

#[test]
fn a_spawned_thread_returns_a_value() {
    let handle: thread::JoinHandle<i32> = thread::spawn(|| 40 + 2);
    assert_eq!(handle.join().unwrap(), 42);
}

#[test]
fn a_closure_moves_what_it_uses() {
    let numbers = vec![1, 2, 3];
    let handle = thread::spawn(move || numbers.into_iter().sum::<i32>());
    assert_eq!(handle.join().unwrap(), 6);
}

#[test]
fn a_function_a_pointer_and_a_box_can_be_spawned() {
    fn seven() -> u8 {
        7
    }
    let pointer: fn() -> u8 = seven;
    let boxed: Box<dyn FnOnce() -> u8 + Send> = Box::new(seven);
    assert_eq!(thread::spawn(seven).join().unwrap(), 7);
    assert_eq!(thread::spawn(pointer).join().unwrap(), 7);
    assert_eq!(thread::spawn(boxed).join().unwrap(), 7);
}

#[test]
fn the_type_of_the_value_follows_from_the_handle() {
    let handle: thread::JoinHandle<Result<(), String>> = thread::spawn(|| Ok(()));
    assert_eq!(handle.join().unwrap(), Ok(()));
    let answer = thread::spawn::<_, u16>(|| "12".parse().unwrap()).join().unwrap();
    assert_eq!(answer, 12);
}

#[test]
fn threads_talk_over_a_channel() {
    let (sender, receiver) = mpsc::channel();
    let sending = thread::spawn(move || sender.send("Hello, thread").unwrap());
    let receiving = thread::spawn(move || receiver.recv().unwrap());
    sending.join().unwrap();
    assert_eq!(receiving.join().unwrap(), "Hello, thread");
}

#[test]
fn a_panic_is_the_error_of_join() {
    let payload = thread::spawn(|| panic!("panicking already: {}", thread::panicking())).join().unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("panicking already: false"));
    let payload = thread::spawn(|| panic!("plain")).join().unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"plain"));
    let payload = thread::spawn(|| std::panic::panic_any(17u64)).join().unwrap_err();
    assert_eq!(payload.downcast::<u64>().ok(), Some(Box::new(17)));
}

#[test]
fn a_panic_can_be_passed_on() {
    let passed_on = catch_unwind(|| {
        let result: thread::Result<()> = thread::spawn(|| panic!("from below")).join();
        if let Err(payload) = result {
            resume_unwind(payload);
        }
    });
    assert_eq!(passed_on.unwrap_err().downcast_ref::<&str>(), Some(&"from below"));
}

#[test]
fn a_result_is_made_for_the_question_mark() {
    fn copy_in_thread() -> thread::Result<usize> {
        let copied = thread::spawn(|| "abc".len()).join()?;
        Ok(copied)
    }
    assert_eq!(copy_in_thread().unwrap(), 3);
}

#[test]
fn a_thread_outlives_the_one_that_made_it() {
    let (told, hears) = mpsc::channel();
    let outer = thread::spawn(move || {
        let _detached = thread::spawn(move || {
            thread::park_timeout(Duration::from_millis(1));
            told.send(()).unwrap();
        });
    });
    outer.join().unwrap();
    hears.recv().unwrap();
}

#[test]
fn a_builder_names_and_sizes() {
    let builder = thread::Builder::new().name("foo".into()).stack_size(32 * 1024);
    let handle = builder.spawn(|| thread::current().name().map(str::to_owned)).unwrap();
    assert_eq!(handle.thread().name(), Some("foo"));
    assert_eq!(handle.join().unwrap().as_deref(), Some("foo"));
}

#[test]
fn a_big_stack_is_big() {
    fn deep(left: usize) -> usize {
        let room = std::hint::black_box([left as u8; 4096]);
        if left == 0 { 0 } else { deep(left - 1) + usize::from(room[7] == left as u8) }
    }
    let builder = thread::Builder::new().stack_size(64 * 1024 * 1024);
    assert_eq!(builder.spawn(|| deep(5_000)).unwrap().join().unwrap(), 5_000);
}

#[test]
fn a_builder_can_be_told_to_trust() {
    let text = String::from("borrowed");
    // SAFETY: joined below, before `text` goes, and nothing in between can panic.
    let handle = unsafe { thread::Builder::new().spawn_unchecked(|| text.len()).unwrap() };
    assert_eq!(handle.join().unwrap(), 8);
}

#[test]
fn a_handle_knows_whether_its_thread_has_finished() {
    let go_on = Arc::new(AtomicBool::new(false));
    let handle = thread::spawn({
        let go_on = go_on.clone();
        move || {
            while !go_on.load(Ordering::Acquire) {
                thread::park();
            }
        }
    });
    assert!(!handle.is_finished());
    go_on.store(true, Ordering::Release);
    handle.thread().unpark();
    while !handle.is_finished() {
        thread::yield_now();
    }
    handle.join().unwrap();
}

#[test]
fn ids_differ() {
    let mine = thread::current().id();
    let other = thread::spawn(|| thread::current().id()).join().unwrap();
    assert!(mine != other);
    assert_eq!(mine, thread::current().id());
    let handles: Vec<_> = (0..10).map(|_| thread::spawn(|| thread::current().id())).collect();
    let of_handles: HashSet<thread::ThreadId> = handles.iter().map(|handle| handle.thread().id()).collect();
    let of_threads = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
    assert_eq!(of_handles, of_threads);
    assert_eq!(of_handles.len(), 10);
}

#[test]
fn current_is_the_handle_of_the_caller() {
    let handle = thread::spawn(thread::current);
    let id = handle.thread().id();
    assert_eq!(handle.join().unwrap().id(), id);
}

#[test]
fn a_token_given_before_park_is_not_lost() {
    thread::current().unpark();
    thread::current().unpark();
    thread::park(); // would wait for ever without it
    let start = Instant::now();
    thread::park_timeout(Duration::from_millis(20)); // there was one token, not two
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn park_and_a_flag() {
    let flag = Arc::new(AtomicBool::new(false));
    let parked = thread::spawn({
        let flag = flag.clone();
        move || {
            while !flag.load(Ordering::Relaxed) {
                thread::park();
            }
        }
    });
    thread::park_timeout(Duration::from_millis(5)); // most likely it sleeps now
    flag.store(true, Ordering::Relaxed);
    parked.thread().unpark();
    parked.join().unwrap();
}

#[test]
fn unpark_publishes_what_was_written_before() {
    // Relaxed on both sides: the token carries the order. Two threads take turns.
    let turn = Arc::new(AtomicUsize::new(0));
    let main = thread::current();
    let other = thread::spawn({
        let turn = turn.clone();
        move || {
            for round in 0..2_000 {
                while turn.load(Ordering::Relaxed) != 2 * round + 1 {
                    thread::park();
                }
                turn.store(2 * round + 2, Ordering::Relaxed);
                main.unpark();
            }
        }
    });
    for round in 0..2_000 {
        turn.store(2 * round + 1, Ordering::Relaxed);
        other.thread().unpark();
        while turn.load(Ordering::Relaxed) != 2 * round + 2 {
            thread::park();
        }
    }
    other.join().unwrap();
}

#[test]
fn park_timeout_in_a_loop_waits_out_its_time() {
    let limit = Duration::from_millis(10);
    let begin = Instant::now();
    let mut left = limit;
    loop {
        thread::park_timeout(left);
        let elapsed = begin.elapsed();
        if elapsed >= limit {
            break;
        }
        left = limit - elapsed;
    }
}

#[test]
fn sleep_takes_at_least_its_time() {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(10));
    assert!(start.elapsed() >= Duration::from_millis(10));
    thread::sleep(Duration::ZERO);
}

#[test]
fn yield_now_lets_others_go_on() {
    let flag = Arc::new(AtomicBool::new(false));
    let setter = thread::spawn({
        let flag = flag.clone();
        move || flag.store(true, Ordering::Release)
    });
    while !flag.load(Ordering::Acquire) {
        thread::yield_now();
    }
    setter.join().unwrap();
}

#[test]
fn there_is_some_parallelism() {
    let n: std::num::NonZeroUsize = thread::available_parallelism().unwrap();
    assert!(n.get() >= 1);
}

#[test]
fn a_destructor_can_tell_that_the_thread_panics() {
    struct Witness(mpsc::Sender<bool>);
    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.send(thread::panicking()).unwrap();
        }
    }
    let (sender, receiver) = mpsc::channel();
    let (quiet, loud) = (Witness(sender.clone()), Witness(sender));
    thread::spawn(move || drop(quiet)).join().unwrap();
    assert!(!receiver.recv().unwrap());
    thread::spawn(move || {
        let _loud = loud;
        panic!("on purpose");
    })
    .join()
    .unwrap_err();
    assert!(receiver.recv().unwrap());
}

#[test]
fn scoped_threads_borrow() {
    let mut a = vec![1, 2, 3];
    let mut x = 0;
    thread::scope(|s| {
        s.spawn(|| assert_eq!(a.len(), 3)); // shared
        s.spawn(|| x += a[0] + a[2]); // exclusive
    });
    a.push(4);
    assert_eq!(x, a.len());
}

#[test]
fn scope_returns_what_its_function_returns() {
    let text = "hello".to_string();
    let length = thread::scope(|s| {
        let upper = s.spawn(|| text.to_uppercase());
        assert_eq!(upper.join().unwrap(), "HELLO");
        text.len()
    });
    assert_eq!(length, 5);
}

#[test]
fn scoped_threads_spawn_into_the_scope() {
    let count = AtomicUsize::new(0);
    thread::scope(|s| {
        s.spawn(|| {
            s.spawn(|| {
                s.spawn(|| count.fetch_add(1, Ordering::Relaxed));
                count.fetch_add(1, Ordering::Relaxed);
            });
            count.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(count.into_inner(), 3);
}

#[test]
fn scopes_nest() {
    let mut outer = 1;
    thread::scope(|s| {
        s.spawn(|| {
            let inner = thread::scope(|s| s.spawn(|| 2).join().unwrap());
            outer += inner;
        });
    });
    assert_eq!(outer, 3);
}

#[test]
fn a_scoped_value_may_borrow() {
    let words = ["a".to_string(), "bbb".to_string()];
    let longest: &str = thread::scope(|s| {
        let handles: Vec<_> = words.iter().map(|word| s.spawn(move || word.as_str())).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).max_by_key(|word| word.len()).unwrap()
    });
    assert_eq!(longest, "bbb");
}

#[test]
fn a_builder_spawns_scoped() {
    let a = [1, 2, 3];
    thread::scope(|s| {
        let handle = thread::Builder::new().name("first".into()).spawn_scoped(s, || a.iter().sum::<i32>()).unwrap();
        assert_eq!(handle.thread().name(), Some("first"));
        assert_eq!(handle.join().unwrap(), 6);
        assert!(handle_finishes(&s.spawn(|| ())));
    });

    fn handle_finishes<T>(handle: &thread::ScopedJoinHandle<'_, T>) -> bool {
        while !handle.is_finished() {
            thread::yield_now();
        }
        true
    }
}

fn panic_of<T>(f: impl FnOnce() -> T + UnwindSafe) -> Box<dyn Any + Send> {
    catch_unwind(f).map(|_| ()).unwrap_err()
}

#[test]
fn a_scope_panics_when_a_thread_did_that_nobody_joined() {
    let payload = panic_of(|| thread::scope(|s| s.spawn(|| panic!("inside")).thread().id()));
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"a scoped thread panicked"));
}

#[test]
fn a_joined_panic_is_no_business_of_the_scope() {
    let caught = thread::scope(|s| s.spawn(|| panic!("inside")).join().is_err());
    assert!(caught);
}

#[test]
fn a_scope_that_panics_waits_for_its_threads_first() {
    let done = AtomicBool::new(false);
    let payload = catch_unwind(std::panic::AssertUnwindSafe(|| {
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                done.store(true, Ordering::Relaxed);
            });
            panic!("the function itself");
        })
    }))
    .unwrap_err();
    assert!(done.load(Ordering::Relaxed));
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"the function itself"));
}

#[test]
fn thread_locals_are_local() {
    thread_local!(static COUNTER: RefCell<u32> = const { RefCell::new(1) });
    COUNTER.with_borrow_mut(|counter| *counter = 2);
    let of_other = thread::spawn(|| {
        let before = COUNTER.with_borrow(|counter| *counter);
        COUNTER.with_borrow_mut(|counter| *counter = 3);
        before
    });
    assert_eq!(of_other.join().unwrap(), 1);
    assert_eq!(COUNTER.with_borrow(|counter| *counter), 2);
}

#[test]
fn the_forms_of_a_local_key() {
    thread_local! {
        static CELL: Cell<i32> = panic!("set before it is read, so never initialised");
        static TEXT: RefCell<String> = RefCell::new(String::from("a"));
    }
    static KEY: &thread::LocalKey<RefCell<String>> = &TEXT;
    CELL.set(123);
    assert_eq!(CELL.get(), 123);
    assert_eq!(CELL.replace(4), 123);
    assert_eq!(CELL.take(), 4);
    assert_eq!(KEY.replace("b".into()), "a");
    assert_eq!(KEY.take(), "b");
}

#[test]
fn a_local_key_cannot_be_used_in_its_own_destructor() {
    thread_local!(static LATE: Late = const { Late(RefCell::new(None)) });
    struct Late(RefCell<Option<mpsc::Sender<Result<(), thread::AccessError>>>>);
    impl Drop for Late {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                sender.send(LATE.try_with(|_| ())).unwrap();
            }
        }
    }
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || LATE.with(|late| *late.0.borrow_mut() = Some(sender))).join().unwrap();
    assert!(receiver.recv().unwrap().is_err());
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn everywhere<T: Send + Sync + 'static>() {}
    fn unwind_safe<T: UnwindSafe>() {}
    everywhere::<thread::JoinHandle<Cell<u8>>>();
    everywhere::<thread::Thread>();
    everywhere::<thread::ThreadId>();
    everywhere::<thread::Builder>();
    unwind_safe::<thread::Thread>();

    let shared = Arc::new(Mutex::new(Vec::new()));
    let handles: Vec<_> = (0..8)
        .map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.lock().unwrap().push(number))
        })
        .collect();
    thread::spawn(move || handles.into_iter().for_each(|handle| handle.join().unwrap())).join().unwrap();
    let mut numbers = Arc::into_inner(shared).unwrap().into_inner().unwrap();
    numbers.sort();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
}

// From here on: what is meant to be different.

#[test]
fn every_thread_has_a_name() {
    fn fetch() {}
    let named = thread::spawn(fetch);
    let (head, tail) = named.thread().name().unwrap().split_once(' ').unwrap();
    assert!(head.strip_prefix("Thread-").unwrap().parse::<u64>().is_ok());
    assert_eq!(tail, "(fetch)");
    let plain = thread::spawn(|| ());
    assert!(plain.thread().name().unwrap().strip_prefix("Thread-").unwrap().parse::<u64>().is_ok());
}

#[test]
fn a_name_may_hold_anything() {
    let name = "null \0 and bell \u{7}";
    let handle = thread::Builder::new().name(name.into()).spawn(|| ()).unwrap();
    assert_eq!(handle.thread().name(), Some(name));
    handle.join().unwrap();
}

#[test]
fn sleep_until_takes_a_point_in_time() {
    let end = Instant::now() + Duration::from_millis(10);
    thread::sleep_until(end);
    assert!(Instant::now() >= end);
    thread::sleep_until(end);
    thread::park_until(end);
}
