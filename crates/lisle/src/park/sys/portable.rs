//! Any system `std` runs on: a futex made of `std` mutexes and condition variables.

use super::FutexWait;
use super::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

struct Bay {
    gate: Mutex<()>,
    bell: Condvar,
}

/// Words share bays by address; who is woken for another's word looks at his own and sleeps again.
const BAYS: usize = 64;
static HARBOUR: [Bay; BAYS] = [const { Bay { gate: Mutex::new(()), bell: Condvar::new() } }; BAYS];

/// All bays, closed: across a fork, so that the child finds none with its gate locked.
pub(crate) type Closed = Vec<MutexGuard<'static, ()>>;

pub(crate) fn close() -> Closed {
    HARBOUR.iter().map(|bay| bay.gate.lock().unwrap_or_else(PoisonError::into_inner)).collect()
}

fn bay(word: &AtomicU32) -> &'static Bay {
    &HARBOUR[(std::ptr::from_ref(word).addr() >> 6) % BAYS]
}

/// Sleeps while `word` holds `expected`, until woken or until `deadline`.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> FutexWait {
    let bay = bay(word);
    let gate = bay.gate.lock().unwrap_or_else(PoisonError::into_inner);
    if word.load(Ordering::SeqCst) != expected {
        return FutexWait::Woken;
    }
    match deadline {
        None => drop(bay.bell.wait(gate)),
        Some(at) => {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return FutexWait::Expired;
            }
            drop(bay.bell.wait_timeout(gate, left));
            if Instant::now() >= at {
                return FutexWait::Expired;
            }
        }
    }
    FutexWait::Woken
}

/// Wakes the one thread that may sleep on `word`.
pub(crate) fn futex_wake(word: &AtomicU32) {
    let bay = bay(word);
    // Taking the gate orders this after a sleeper's look at its word; without it the bell could
    // ring between the look and the sleep.
    drop(bay.gate.lock().unwrap_or_else(PoisonError::into_inner));
    bay.bell.notify_all();
}

/// There is no asymmetric barrier in `std`.
pub(crate) fn register_barrier() {}

/// Always false here: releases run a full fence.
#[inline(always)]
pub(crate) fn barrier_is_asymmetric() -> bool {
    false
}

/// Not reached: see [`barrier_is_asymmetric`].
#[inline(always)]
pub(crate) fn light_barrier() {
    std::sync::atomic::fence(Ordering::SeqCst);
}

/// A full fence: so does the other side.
pub(crate) fn heavy_barrier() {
    std::sync::atomic::fence(Ordering::SeqCst);
}

/// Gives up the processor for a moment.
#[inline]
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// `std` does not tell the kernel's id: a number of our own, unique in the process.
pub(crate) fn native_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local!(static MINE: u32 = NEXT.fetch_add(1, Ordering::Relaxed));
    MINE.with(|mine| *mine)
}

/// `std` does not tell how much time of a processor a thread has used.
#[cfg(feature = "watch")]
pub(crate) fn cpu_time(_native_id: u32) -> Option<std::time::Duration> {
    None
}

/// Whether the calling thread is the process's main thread, as far as `std` tells: by its name, which
/// others may have too, and not any more when the thread's locals are gone (`late`).
pub(crate) fn is_main_thread(late: bool) -> bool {
    !late && std::thread::current().name() == Some("main")
}

/// What the kernel takes of a name, on most systems.
pub(crate) const NATIVE_NAME: usize = 15;

/// `std` named the kernel's thread when it made it; it has no way to change that.
pub(crate) fn set_native_name(_name: &str) {}

/// Nor for another thread.
pub(crate) fn set_native_name_of(_native_id: u32, _name: &str) {}
