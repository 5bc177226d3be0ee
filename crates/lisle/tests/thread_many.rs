//! Ten thousand threads at once. Alone in its program, so that no other test lacks threads.

use lisle::thread::{self, Builder, JoinHandle, Thread};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn ten_thousand_threads() {
    const MANY: usize = 10_000;
    let go_on = Arc::new(AtomicBool::new(false));
    let mut handles: Vec<JoinHandle<usize>> = Vec::new();
    let before = thread::active_count();
    for number in 0..MANY {
        let go_on = go_on.clone();
        let builder = Builder::new().stack_size(32 * 1024).name(format!("many-{number}"));
        let run = move || {
            while !go_on.load(Ordering::Acquire) {
                thread::park();
            }
            number
        };
        match builder.spawn(run) {
            Ok(handle) => handles.push(handle),
            Err(reason) => {
                eprintln!("this machine has room for {number} threads only: {reason}");
                break;
            }
        }
    }
    assert!(handles.len() > 100);

    assert_eq!(thread::active_count(), before + handles.len());
    let listed: HashSet<_> = thread::enumerate().iter().map(Thread::id).collect();
    assert!(handles.iter().all(|handle| listed.contains(&handle.thread().id())));
    let idents: HashSet<_> = handles.iter().filter_map(|handle| handle.thread().ident()).collect();
    assert_eq!(idents.len(), handles.len());

    go_on.store(true, Ordering::Release);
    handles.iter().for_each(|handle| handle.thread().unpark());
    for (number, handle) in handles.iter().enumerate() {
        assert_eq!(handle.join().unwrap(), number);
    }
    assert_eq!(thread::active_count(), before);
}
