//! The model checker's system. A deadline is a thread of the model that may fire at any time: the
//! test starts one which calls [`expire`](crate::park::model::expire) on the waiting thread.

use super::FutexWait;
use super::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

loom::lazy_static! {
    static ref GATE: Mutex<()> = Mutex::new(());
    static ref BELL: Condvar = Condvar::new();
}

pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> FutexWait {
    let gate = GATE.lock().unwrap();
    if word.load(Ordering::SeqCst) != expected {
        return FutexWait::Woken;
    }
    if deadline.is_some() && crate::park::model::is_expired() {
        return FutexWait::Expired;
    }
    drop(BELL.wait(gate));
    FutexWait::Woken
}

pub(crate) fn futex_wake(_word: &AtomicU32) {
    let _gate = GATE.lock().unwrap();
    BELL.notify_all();
}

/// Runs `change` where no sleeper can miss it, then wakes all to look.
pub(crate) fn with_all_woken(change: impl FnOnce()) {
    let _gate = GATE.lock().unwrap();
    change();
    BELL.notify_all();
}

pub(crate) fn register_barrier() {}

/// Both sides are full fences in the model: a `membarrier` acts as a fence at some point of each
/// other thread, and a point before the store or after the load only helps.
pub(crate) fn barrier_is_asymmetric() -> bool {
    true
}

pub(crate) fn light_barrier() {
    fence(Ordering::SeqCst);
}

pub(crate) fn heavy_barrier() {
    fence(Ordering::SeqCst);
}

pub(crate) fn yield_now() {
    loom::thread::yield_now();
}

pub(crate) fn native_id() -> u32 {
    1
}

pub(crate) fn is_main_thread(_late: bool) -> bool {
    false
}

pub(crate) const NATIVE_NAME: usize = 15;

pub(crate) fn set_native_name(_name: &str) {}

pub(crate) fn set_native_name_of(_native_id: u32, _name: &str) {}

pub(crate) struct InnerLock<T>(Mutex<T>);
pub(crate) type InnerGuard<'a, T> = MutexGuard<'a, T>;

impl<T> InnerLock<T> {
    pub(crate) fn new(value: T) -> InnerLock<T> {
        InnerLock(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> InnerGuard<'_, T> {
        self.0.lock().unwrap()
    }
}
