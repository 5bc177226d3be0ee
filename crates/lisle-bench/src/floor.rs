//! The floors: what the machine charges for the bare thing, without any of the comforts.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;

/// Sleeps while `word` is `value`; may wake for no reason.
fn futex_wait(word: &AtomicU32, value: u32) {
    // SAFETY: `word` is valid for the call, and with no time-out the kernel reads nothing else.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            ptr::null::<libc::timespec>(),
        );
    }
}

/// Wakes one thread that sleeps on `word`.
fn futex_wake(word: &AtomicU32) {
    // SAFETY: the kernel uses the address of `word` as a key only.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
    }
}

/// The textbook lock over a raw futex: 0 free, 1 taken, 2 taken and somebody may sleep.
#[derive(Default)]
pub(crate) struct FutexLock {
    state: AtomicU32,
    value: UnsafeCell<u64>,
}

pub(crate) struct FutexGuard<'a>(&'a FutexLock);

// SAFETY: only the thread that holds the one guard gets at the value.
unsafe impl Sync for FutexLock {}

impl FutexLock {
    #[inline]
    pub(crate) fn lock(&self) -> FutexGuard<'_> {
        if self.state.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            self.lock_slow();
        }
        FutexGuard(self)
    }

    #[cold]
    fn lock_slow(&self) {
        while self.state.swap(2, Acquire) != 0 {
            futex_wait(&self.state, 2);
        }
    }
}

impl Drop for FutexGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.state.swap(0, Release) == 2 {
            futex_wake(&self.0.state);
        }
    }
}

impl Deref for FutexGuard<'_> {
    type Target = u64;

    #[inline]
    fn deref(&self) -> &u64 {
        // SAFETY: the guard is the right to the value.
        unsafe { &*self.0.value.get() }
    }
}

impl DerefMut for FutexGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut u64 {
        // SAFETY: the guard is the right to the value, and it is borrowed uniquely.
        unsafe { &mut *self.0.value.get() }
    }
}

/// A baton between two threads. The low bit says whose turn it is, the next one that the other
/// sleeps.
#[derive(Default)]
pub(crate) struct Baton(AtomicU32);

impl Baton {
    /// Waits for the turn of `me` (0 or 1), giving up the core at most `yields` times before it
    /// sleeps, then gives the turn to the other.
    pub(crate) fn pass(&self, me: u32, yields: u32) {
        const SLEEPS: u32 = 2;
        let other = 1 - me;
        let mine = || self.0.load(Acquire) & 1 == me;
        (0..yields).take_while(|_| !mine()).for_each(|_| thread::yield_now());
        while !mine() {
            // Either the bit is set, or the turn came in between and the futex refuses to sleep.
            let _ = self.0.compare_exchange(other, other | SLEEPS, Relaxed, Relaxed);
            futex_wait(&self.0, other | SLEEPS);
        }
        if self.0.swap(other, Release) & SLEEPS != 0 {
            futex_wake(&self.0);
        }
    }
}
