//! Who is there: the registry, adopted threads, identifiers and names.

use lisle::thread::{self, Builder, Thread};
use std::collections::HashSet;
use std::sync::{Barrier, mpsc};
use std::time::{Duration, Instant};

/// Waits until `what` holds. What this is used for takes moments.
fn until(mut what: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < end, "waited for a minute");
        thread::yield_now();
    }
}

#[test]
fn main_is_there_from_the_beginning() {
    let main = thread::main_thread();
    assert_eq!(main.name(), Some("main"));
    assert!(main.is_alive() && !main.is_finished() && !main.is_daemon());
    assert!(main.ident().is_some());
    assert!(thread::enumerate().contains(&main));
    assert_eq!(main, thread::main_thread());
    let seen = thread::spawn(thread::main_thread).join().unwrap();
    assert_eq!(seen, main);

    let native = || std::fs::read(format!("/proc/{}/comm", std::process::id())).ok();
    let before = native();
    main.set_name("main, renamed");
    assert_eq!(main.name(), Some("main, renamed"));
    assert_eq!(native(), before, "the process keeps its name");
}

#[test]
fn threads_called_main_are_two() {
    let both_are_there = Barrier::new(2);
    let idents = std::thread::scope(|s| {
        let spawn = |_| {
            let call_in = || {
                let ident = thread::get_ident();
                both_are_there.wait();
                ident
            };
            std::thread::Builder::new().name("main".into()).spawn_scoped(s, call_in).unwrap()
        };
        [(); 2].map(spawn).map(|thread| thread.join().unwrap())
    });
    assert_ne!(idents[0], idents[1]);
}

#[test]
fn enumerate_lists_who_lives() {
    let (release, released) = mpsc::channel::<()>();
    let handle = thread::spawn(move || released.recv().is_err());
    let listed = thread::enumerate();
    assert!(listed.contains(handle.thread()) && listed.contains(&thread::current()));
    assert!(thread::active_count() >= 3, "main, this one and that one");
    drop(release);
    handle.join().unwrap();
    assert!(!thread::enumerate().contains(handle.thread()));
}

#[test]
fn active_count_counts_what_enumerate_lists() {
    // Other tests come and go: the two are compared as long as that takes.
    until(|| thread::active_count() == thread::enumerate().len());
}

#[test]
fn adopted_threads_come_and_go() {
    let (tell, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let foreign = std::thread::Builder::new()
        .name("foreign".into())
        .spawn(move || {
            let me = thread::current();
            assert!(thread::enumerate().contains(&me));
            assert_eq!(me, thread::current());
            tell.send(me).unwrap();
            let _ = released.recv();
        })
        .unwrap();
    let adopted = told.recv().unwrap();
    assert_eq!(adopted.name(), Some("foreign"));
    assert!(adopted.is_alive() && adopted.is_daemon());
    assert!(adopted.ident().is_some() && adopted.native_id().is_some());
    assert!(thread::enumerate().contains(&adopted));
    assert!(adopted.join_for(Duration::ZERO).unwrap_err().is_timed_out());
    drop(release);
    adopted.join().unwrap(); // it can be joined like any other
    assert!(adopted.is_finished() && !thread::enumerate().contains(&adopted));
    foreign.join().unwrap();
}

#[test]
fn an_adopted_thread_without_a_name_gets_one() {
    let adopted = std::thread::spawn(thread::current).join().unwrap();
    let number = adopted.name().unwrap().strip_prefix("Adopted-").unwrap();
    assert!(number.parse::<u64>().is_ok());
}

#[test]
fn an_adopted_thread_does_what_others_do() {
    let handle = std::thread::spawn(|| {
        thread::current().unpark();
        thread::park();
        thread::current().interrupt();
        assert!(thread::interrupted());
        thread::spawn(|| 3).join().unwrap()
    });
    assert_eq!(handle.join().unwrap(), 3);
}

#[test]
fn idents_are_unique_among_the_living() {
    const N: usize = 64;
    let together = Barrier::new(N);
    let seen: Vec<_> = thread::scope(|s| {
        let handles: Vec<_> = (0..N)
            .map(|_| {
                s.spawn(|| {
                    together.wait();
                    let ids = (thread::get_ident(), thread::get_native_id());
                    let me = thread::current();
                    assert_eq!((me.ident(), me.native_id()), (Some(ids.0), Some(ids.1)));
                    together.wait();
                    ids
                })
            })
            .collect();
        handles.iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert_eq!(seen.iter().map(|ids| ids.0).collect::<HashSet<_>>().len(), N);
    assert_eq!(seen.iter().map(|ids| ids.1).collect::<HashSet<_>>().len(), N);
}

#[test]
fn names_can_be_changed_and_are_whole() {
    let long = "a name of any length, as long as one likes, ".repeat(20);
    let handle = thread::create(|| thread::current().name().unwrap().len());
    handle.thread().set_name(long.as_str());
    assert_eq!(handle.thread().name(), Some(&*long));
    assert!(format!("{:?}", handle.thread()).contains(&long));
    handle.start().unwrap();
    assert_eq!(handle.join().unwrap(), long.len());
}

#[test]
fn default_names_have_numbers_of_their_own() {
    let names: HashSet<_> = (0..50).map(|_| thread::create(|| ()).thread().name().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 50);
}

#[test]
#[expect(clippy::mutable_key_type, reason = "equality and hash are those of the id, which never changes")]
fn threads_compare_and_hash_by_identity() {
    let one = thread::create(|| ());
    let other = thread::create(|| ());
    let set: HashSet<Thread> = [one.thread(), other.thread(), one.thread()].into_iter().cloned().collect();
    assert_eq!(set.len(), 2);
    assert!(one.thread() != other.thread() && one.thread() == &one.thread().clone());
}

#[cfg(all(target_os = "linux", not(lisle_portable)))]
mod kernel {
    use super::*;

    fn name_of(native: u32) -> String {
        let comm = std::fs::read_to_string(format!("/proc/self/task/{native}/comm")).unwrap();
        comm.trim_end_matches('\n').to_owned()
    }

    #[test]
    fn the_kernel_gets_a_name_that_keeps_the_tail() {
        for (name, short) in [
            ("short", "short"),
            ("exactly15bytes!", "exactly15bytes!"),
            ("raftstore-apply-worker-0007", "raft..rker-0007"),
            ("null\0inside", "null inside"),
        ] {
            let handle = Builder::new().name(name.into()).spawn(|| name_of(thread::get_native_id())).unwrap();
            assert_eq!(handle.join().unwrap(), short);
        }
    }

    #[test]
    fn a_thread_that_renames_itself_tells_the_kernel() {
        let handle = thread::spawn(|| {
            thread::current().set_name("renamed-by-itself-42");
            name_of(thread::get_native_id())
        });
        assert_eq!(handle.join().unwrap(), "rena..itself-42");
    }

    #[test]
    fn a_thread_can_be_renamed_by_another() {
        let (release, released) = mpsc::channel::<()>();
        let handle = thread::spawn(move || released.recv().is_err());
        let native = handle.thread().native_id().unwrap();
        handle.thread().set_name("renamed-by-another-7");
        assert_eq!(name_of(native), "rena..another-7");
        drop(release);
        handle.join().unwrap();
        handle.thread().set_name("too late for the kernel");
        assert_eq!(handle.thread().name(), Some("too late for the kernel"));
    }

    #[test]
    fn native_ids_are_the_kernels() {
        let native = thread::spawn(|| {
            let native = thread::get_native_id();
            assert!(std::path::Path::new(&format!("/proc/self/task/{native}")).exists());
            native
        });
        assert_ne!(native.join().unwrap(), 0);
    }
}
