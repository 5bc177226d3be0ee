//! Panics that nobody takes, and those that somebody does. The hook belongs to the process, so one
//! hook keeps what it is told and each test looks for its own threads.

use lisle::thread::{self, Builder, ExceptHookArgs, JoinHandle, Thread, ThreadId};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

struct Told {
    of: ThreadId,
    by: ThreadId,
    line: String,
    location: Option<String>,
}

static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());

static HOOK: LazyLock<()> = LazyLock::new(|| {
    thread::set_excepthook(|args: &ExceptHookArgs<'_>| {
        if args.thread.name() == Some("hook panics") {
            panic!("the hook too");
        }
        let (of, by) = (args.thread.id(), thread::current().id());
        let told = Told { of, by, line: args.to_string(), location: args.location.map(str::to_owned) };
        lock().push(told);
    });
});

fn lock() -> MutexGuard<'static, Vec<Told>> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the hook was told of this thread.
fn told_of(thread: &Thread) -> Vec<Told> {
    lock().extract_if(.., |told| told.of == thread.id()).collect()
}

fn named(name: &str) -> Builder {
    LazyLock::force(&HOOK);
    Builder::new().name(name.into())
}

#[test]
fn a_detached_thread_tells_the_hook_itself() {
    let (release, released) = mpsc::channel::<()>();
    let handle = named("detached")
        .spawn(move || {
            let _ = released.recv();
            panic!("no {} left", "paper");
        })
        .unwrap();
    let thread = handle.thread().clone();
    drop(handle);
    drop(release);
    thread.join().unwrap();
    let told = told_of(&thread);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].by, thread.id());
    let location = told[0].location.as_deref().unwrap();
    assert!(location.starts_with(file!()), "{location}");
    let line = format!("thread \"detached\" panicked at {location} and nobody joined it: no paper left");
    assert_eq!(told[0].line, line);
}

#[test]
fn dropping_the_handle_tells_the_hook() {
    let handle = named("dropped").spawn(|| panic!("plain")).unwrap();
    let thread = handle.thread().clone();
    thread.join().unwrap(); // only waits: the panic is still there to be taken
    assert!(told_of(&thread).is_empty());
    drop(handle);
    let told = told_of(&thread);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].by, thread::current().id());
    assert!(told[0].line.ends_with(": plain"));
}

#[test]
fn a_panic_that_was_taken_is_not_told() {
    let ways: [fn(&JoinHandle<()>) -> bool; 2] =
        [|handle| handle.join().is_err(), |handle| handle.join_for(Duration::MAX).is_err_and(|error| error.is_panic())];
    for take in ways {
        let handle = named("joined").spawn(|| panic!("taken")).unwrap();
        let thread = handle.thread().clone();
        assert!(take(&handle));
        drop(handle);
        assert!(told_of(&thread).is_empty());
    }
}

#[test]
fn a_value_is_nobodys_business() {
    let handle = named("fine").spawn(|| 5).unwrap();
    let thread = handle.thread().clone();
    drop(handle);
    thread.join().unwrap();
    assert!(told_of(&thread).is_empty());
}

#[test]
fn a_scope_is_told_instead_of_the_hook() {
    LazyLock::force(&HOOK);
    let mut thread = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        thread::scope(|s| thread = Some(s.spawn(|| panic!("inside")).thread().clone()));
    }));
    assert!(caught.is_err());
    assert!(told_of(&thread.unwrap()).is_empty());
}

#[test]
fn a_payload_need_not_be_text() {
    let handle = named("number").spawn(|| std::panic::panic_any(12u8)).unwrap();
    let thread = handle.thread().clone();
    thread.join().unwrap();
    drop(handle);
    assert!(told_of(&thread)[0].line.ends_with("a payload that is not text"));
}

#[test]
fn a_panic_in_the_hook_is_survived() {
    let handle = named("hook panics").spawn(|| panic!("first")).unwrap();
    let thread = handle.thread().clone();
    drop(handle);
    thread.join().unwrap();
    assert_eq!(thread::spawn(|| 1).join().unwrap(), 1, "the process and other threads go on");
}

#[test]
fn the_hook_may_use_threads() {
    LazyLock::force(&HOOK);
    let handle = named("outer").spawn(|| drop(named("inner").spawn(|| panic!("deep")).unwrap())).unwrap();
    handle.join().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !lock().iter().any(|told| told.line.contains("\"inner\"")) {
        assert!(Instant::now() < end);
        thread::yield_now();
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

#[test]
fn a_value_whose_destructor_panics_ends_the_thread_in_order() {
    let (release, released) = mpsc::channel::<()>();
    let handle = named("bad value")
        .spawn(move || {
            let _ = released.recv();
            PanicsWhenDropped
        })
        .unwrap();
    let thread = handle.thread().clone();
    drop(handle);
    drop(release);
    thread.join().unwrap();
    assert!(thread.is_finished() && !thread::enumerate().contains(&thread));
    assert!(told_of(&thread)[0].line.ends_with("in a destructor"));
}

#[test]
fn a_payload_whose_destructor_panics_ends_the_thread_in_order() {
    let handle = named("bad payload").spawn(|| std::panic::panic_any(PanicsWhenDropped)).unwrap();
    let thread = handle.thread().clone();
    drop(handle);
    thread.join().unwrap();
    assert_eq!(told_of(&thread).len(), 1);
}

#[test]
fn the_hook_can_be_called() {
    LazyLock::force(&HOOK);
    let thread = thread::create(|| ()).thread().clone();
    thread::excepthook(&ExceptHookArgs::new(&thread, &"caught by a pool"));
    let told = told_of(&thread);
    assert_eq!(told[0].location, None);
    assert!(told[0].line.ends_with(" panicked and nobody joined it: caught by a pool"));
}
