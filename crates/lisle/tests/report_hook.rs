//! The hook of reports is users' code: it may wait and panic, and the wait it is told of goes on.
//! One test, because there is one hook.

use lisle::sync::{Event, Lock, Mutex};
use lisle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Runs `wait` on a thread that has taken `lock`, so that its wait for it is suspected of a
/// deadlock and the hook called; releases the lock when told that the hook is at work.
fn suspect(at_work: &Arc<Event>) -> bool {
    let lock = Arc::new(Lock::new());
    let theirs = lock.clone();
    let waiter = thread::spawn(move || {
        theirs.acquire().unwrap();
        theirs.acquire().unwrap(); // until somebody else releases it
    });
    at_work.wait().unwrap();
    at_work.clear();
    lock.release().unwrap();
    waiter.join_for(Duration::from_secs(20)).is_ok()
}

#[test]
fn a_hook_may_do_what_it_likes() {
    let at_work = Arc::new(Event::new());
    let calls = Arc::new(AtomicUsize::new(0));

    // It panics.
    let (says, counts) = (at_work.clone(), calls.clone());
    lisle::on_report(move |_| {
        counts.fetch_add(1, Ordering::SeqCst);
        says.set();
        panic!("the hook's own");
    });
    assert!(suspect(&at_work), "the wait outlives the hook");
    assert_eq!(calls.load(Ordering::SeqCst), 1, "told once");

    // It sleeps, while the wait that it is told of could be granted.
    let says = at_work.clone();
    lisle::on_report(move |_| {
        says.set();
        thread::sleep(Duration::from_millis(50));
    });
    assert!(suspect(&at_work), "no grant is lost to the hook's own wait");

    // It locks what others hold, and is itself made to wait.
    let log = Arc::new(Mutex::named((), "log"));
    let (says, theirs) = (at_work.clone(), log.clone());
    lisle::on_report(move |_| {
        says.set();
        drop(theirs.lock());
    });
    let held = log.lock();
    let lock = Arc::new(Mutex::new(()));
    let theirs = lock.clone();
    let waiter = thread::spawn(move || {
        let _mine = theirs.lock();
        theirs.lock_for(Duration::from_millis(100)).map(drop)
    });
    at_work.wait().unwrap();
    drop(held);
    let ended = waiter.join_for(Duration::from_secs(20)).expect("it ends");
    assert!(ended.is_err_and(|error| error.is_timed_out()));
    assert!(lock.try_lock().is_some());
}
