//! A program for the tests of traces: threads that share a lock and a queue, until its standard input ends.
//!
//! It says `ready`, and in the end what it knows of the waits for its lock: `COUNT NANOSECONDS`, those of the threads
//! themselves. With `again` it starts itself once more, `fork` makes a child that does the same.

use lisle::queue::{Queue, Shutdown};
use lisle::sync::Mutex;
use lisle::thread::{self, Builder};
use lisle::watch::wire::Thread;
use lisle::{Kind, watch};
use std::io::{Read, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn main() {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        None => {}
        Some("again") => {
            thread::yield_now();
            let _ = lisle::sync::Event::new().wait_for(Duration::from_millis(1)); // this one's trace begins first
            let program = std::env::current_exe().expect("a running program has a path");
            assert!(Command::new(program).arg("short").status().expect("it starts").success());
        }
        Some("fork") => {
            let _ = lisle::sync::Event::new().wait_for(Duration::from_millis(1));
            // SAFETY: the child does what lisle promises to work there.
            let child = unsafe { libc::fork() };
            if child == 0 {
                work(|| ());
                return;
            }
            // SAFETY: waits for a child of ours; nothing is written to null.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
        Some("short") => {
            work(|| ());
            return;
        }
        Some(other) => panic!("not known: {other}"),
    }
    let (count, total) = work(|| {
        println!("ready");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    println!("{count} {}", total.as_nanos());
    let _ = std::io::stdout().flush();
}

/// Has threads work until `until` returns, and at least until each has waited for the lock.
fn work(until: impl FnOnce()) -> (u64, Duration) {
    let (ledger, orders, over) =
        (Mutex::named(0, "ledger"), Queue::bounded(4).with_name("orders"), AtomicBool::new(false));
    let stats = thread::scope(|scope| {
        let held = ledger.lock();
        let threads: Vec<_> = ["buyer", "seller"]
            .into_iter()
            .flat_map(|role| [1, 2].map(|number| (role, number)))
            .map(|(role, number)| {
                let (ledger, orders, over) = (&ledger, &orders, &over);
                let run = move || {
                    loop {
                        let mut entries = ledger.lock();
                        *entries += 1;
                        if *entries % 16 == 0 {
                            thread::sleep(Duration::from_millis(1)); // for the others to come and wait
                        }
                        drop(entries);
                        let goes_on = match role {
                            "buyer" => orders.put(number).is_ok(),
                            _ => orders.get().is_ok(),
                        };
                        if !goes_on || over.load(Ordering::Relaxed) {
                            orders.shutdown(Shutdown::Immediate);
                            return thread::current().wait_stats().get(Kind::Mutex);
                        }
                    }
                };
                Builder::new().name(format!("{role} {number}")).spawn_scoped(scope, run).expect("it starts")
            })
            .collect();
        let waits = |thread: &Thread| thread.wait.as_ref().is_some_and(|wait| wait.kind == "mutex");
        let waiting = || watch::snapshot().threads.iter().filter(|thread| waits(thread)).count();
        while waiting() < 4 {
            thread::yield_now();
        }
        drop(held);
        until();
        over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect::<Vec<_>>()
    });
    (stats.iter().map(|stat| stat.count).sum(), stats.iter().map(|stat| stat.total).sum())
}
