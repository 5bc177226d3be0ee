//! What a snapshot says of this process. One test, since it is about all threads that there are.

use lisle::sync::{Event, Mutex};
use lisle::thread::{self, Builder};
use lisle::watch::wire::{Origin, Snapshot, State, Thread};
use lisle::watch::{dump, snapshot};
use std::sync::Arc;

fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Thread> {
    snapshot.threads.iter().find(|thread| thread.name == name)
}

/// The first snapshot that is as it should be.
fn await_snapshot(is_right: impl Fn(&Snapshot) -> bool) -> Snapshot {
    loop {
        let snapshot = snapshot();
        if is_right(&snapshot) {
            return snapshot;
        }
        thread::yield_now();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn all_threads_and_what_they_wait_for() {
    // The test harness's main thread has not called in: it is known all the same, and is no stranger.
    let first = snapshot();
    let main = first.threads.iter().find(|thread| thread.origin == Origin::Main).expect("there is a main thread");
    assert_eq!((&*main.name, main.native_id, main.daemon), ("main", std::process::id(), false));
    assert_eq!(first.strangers, []);
    let me = find(&first, thread::current().name().unwrap()).expect("the test's own thread");
    assert_eq!((me.state, me.origin, me.native_id), (State::Running, Origin::Adopted, thread::get_native_id()));

    let (lock, go) = (Arc::new(Mutex::named((), "shared")), Arc::new(Event::named("go")));
    let (its_lock, its_go) = (lock.clone(), go.clone());
    let taken_at = line!() + 2;
    let holder = Builder::new().name("holder".into()).spawn(move || {
        let _held = its_lock.lock();
        its_go.wait().unwrap();
    });
    await_snapshot(|now| find(now, "holder").is_some_and(|thread| thread.wait.is_some()));
    let waiter = Builder::new().name("waiter".into()).daemon(true).spawn(move || drop(lock.lock()));
    let now = await_snapshot(|now| find(now, "waiter").is_some_and(|thread| thread.wait.is_some()));
    let (a, b) = (find(&now, "holder").unwrap(), find(&now, "waiter").unwrap());
    let wait = b.wait.as_ref().unwrap();
    assert_eq!((&*wait.kind, &*wait.object), ("mutex", "\"shared\""));
    let [owner] = &wait.owners[..] else { panic!("{wait:?}") };
    assert_eq!((owner.ident, &*owner.name, owner.ended, &*owner.bond), (a.ident, "holder", false, "held by"));
    let site = format!("crates/lisle/tests/watch_snapshot.rs:{taken_at}:");
    assert!(owner.taken_at.as_ref().is_some_and(|at| at.starts_with(&site)), "{owner:?}");
    assert!(b.daemon && !a.daemon);
    assert_eq!(b.cpu_us.is_some(), cfg!(not(lisle_portable)), "std does not tell");
    let object = now.objects.iter().find(|object| object.object == "\"shared\"").expect("it is waited for");
    assert_eq!((object.waiting, &object.holders[..], object.key), (1, &[a.ident][..], wait.key));
    assert!(now.reports.is_empty() && now.past_reports.is_empty() && now.unread.is_empty(), "{now:?}");

    let text = dump();
    for line in [
        format!("thread \"waiter\" (ident {}, native id {}), daemon waits", b.ident, b.native_id),
        format!("  for mutex \"shared\" ({:#x}), ", wait.key),
        format!("  held by thread \"holder\" (ident {}), taken at {site}", a.ident),
        "Found no deadlock.".to_owned(),
    ] {
        assert!(text.contains(&line), "no {line:?} in:\n{text}");
    }

    // A thread that has never called in is a stranger, and may yet do what others wait for.
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let stranger = std::thread::Builder::new().name("stranger".into()).spawn(move || receiver.recv()).unwrap();
    await_snapshot(|now| now.strangers.iter().any(|stranger| stranger.name == "stranger"));
    drop(sender);
    let _ = stranger.join();
    go.set();
    holder.unwrap().join().unwrap();
    waiter.unwrap().join().unwrap();
    await_snapshot(|now| find(now, "holder").is_none() && now.strangers.is_empty());
}
