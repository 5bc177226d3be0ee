//! Starting threads, and asking which one this is.

use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, Instant};

use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Goal, repeat};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [(1, "one at a time"), (16, "16 at once")]
        .into_iter()
        .map(|(at_once, name)| {
            let ours = move || {
                batch(
                    at_once,
                    || lisle::thread::spawn(|| ()),
                    |handle| {
                        handle.join().expect("it only returns");
                    },
                )
            };
            let theirs = move || {
                batch(
                    at_once,
                    || std::thread::spawn(|| ()),
                    |handle| {
                        handle.join().expect("it only returns");
                    },
                )
            };
            let bare = move || batch(at_once, create, join);
            Case::new("thread", format!("spawn and join, {name}"), Goal::Of("std", 1.05))
                .timed(Lisle, "lisle", ours())
                .timed(Peer, "std", theirs())
                .timed(Floor, "raw pthread", bare())
        })
        .collect();
    cases.push(current_id());
    cases
}

/// Starts `at_once` threads and then joins them, as often as it takes; the time per thread.
fn batch<H>(at_once: u64, spawn: impl Fn() -> H, join: impl Fn(H)) -> impl FnMut(u64) -> Duration {
    let mut handles = Vec::new();
    move |n| {
        let times = n.div_ceil(at_once);
        let start = Instant::now();
        for _ in 0..times {
            handles.extend((0..at_once).map(|_| spawn()));
            handles.drain(..).for_each(&join);
        }
        // What `times * at_once` threads took, told for `n`.
        start.elapsed().mul_f64(n as f64 / (times * at_once) as f64)
    }
}

fn create() -> libc::pthread_t {
    extern "C" fn nothing(_: *mut c_void) -> *mut c_void {
        ptr::null_mut()
    }
    let mut thread = MaybeUninit::uninit();
    // SAFETY: the pointer is valid for writes, null means the default attributes, and a call that
    // succeeds has written the thread.
    unsafe {
        let failed = libc::pthread_create(thread.as_mut_ptr(), ptr::null(), nothing, ptr::null_mut());
        assert_eq!(failed, 0, "pthread_create");
        thread.assume_init()
    }
}

fn join(thread: libc::pthread_t) {
    // SAFETY: `create` made the thread, and each is joined once.
    unsafe { libc::pthread_join(thread, ptr::null_mut()) };
}

fn current_id() -> Case {
    thread_local!(static IDENT: Cell<u64> = const { Cell::new(1) });
    Case::new("thread", "the current thread's id", Goal::AtMost(1.0))
        .timed(Lisle, "lisle", |n| {
            repeat(n, || {
                black_box(lisle::thread::get_ident());
            })
        })
        .timed(Peer, "std", |n| {
            repeat(n, || {
                black_box(std::thread::current().id());
            })
        })
        .timed(Floor, "thread-local", |n| {
            repeat(n, || {
                black_box(IDENT.get());
            })
        })
        .timed(Floor, "gettid", |n| {
            repeat(n, || {
                // SAFETY: it only asks.
                black_box(unsafe { libc::gettid() });
            })
        })
}
