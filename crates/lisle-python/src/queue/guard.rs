//! What guards a queue's state: the GIL where there is one, else a lock of one byte.

use std::cell::UnsafeCell;

/// State that one thread at a time may use, for a moment in which no Python code can run.
pub(super) struct Guarded<T> {
    #[cfg(Py_GIL_DISABLED)]
    lock: byte::Lock,
    state: UnsafeCell<T>,
    /// The next object in memory may be another thread's.
    #[cfg(Py_GIL_DISABLED)]
    _apart: [u8; 64],
}

// SAFETY: `with` lets one thread in at a time.
unsafe impl<T> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(super) const fn new(state: T) -> Guarded<T> {
        Guarded {
            #[cfg(Py_GIL_DISABLED)]
            lock: byte::Lock::new(),
            state: UnsafeCell::new(state),
            #[cfg(Py_GIL_DISABLED)]
            _apart: [0; 64],
        }
    }

    /// Uses the state.
    ///
    /// # Safety
    /// Attached. `user` runs no Python code, not even by letting go of a reference; it does not
    /// detach, panic, or come here again.
    #[inline(always)]
    pub(super) unsafe fn with<R>(&self, user: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(Py_GIL_DISABLED)]
        self.lock.lock();
        // SAFETY: nobody else is here: by the lock, or because this thread has the GIL and does not
        // give it away in `user`.
        let result = user(unsafe { &mut *self.state.get() });
        #[cfg(Py_GIL_DISABLED)]
        self.lock.unlock();
        result
    }

    /// The state, for the collector.
    ///
    /// # Safety
    /// All threads stand still, none of them in [`Guarded::with`].
    pub(super) unsafe fn seen_by_collector(&self) -> &T {
        // SAFETY: as the caller says.
        unsafe { &*self.state.get() }
    }
}

#[cfg(Py_GIL_DISABLED)]
mod byte {
    use lisle::Kind;
    use lisle::embed::{Waiting, park};
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
    use std::time::{Duration, Instant};

    /// How long who has looked often enough sleeps in between.
    const NAP: Duration = Duration::from_micros(100);

    /// A lock that is held for some nanoseconds only, by a thread that needs nobody to go on; so who
    /// waits for it stays attached. Nobody is woken: releasing is no more than a store, and what a
    /// waiter sleeps too long is less than what it costs all others to look for sleepers.
    pub(super) struct Lock(AtomicBool);

    impl Lock {
        pub(super) const fn new() -> Lock {
            Lock(AtomicBool::new(false))
        }

        #[inline(always)]
        pub(super) fn lock(&self) {
            if !self.try_lock() {
                self.lock_slow();
            }
        }

        #[inline(always)]
        pub(super) fn unlock(&self) {
            self.0.store(false, Release);
        }

        #[inline(always)]
        fn try_lock(&self) -> bool {
            self.0.compare_exchange(false, true, Acquire, Relaxed).is_ok()
        }

        #[cold]
        #[inline(never)]
        fn lock_slow(&self) {
            loop {
                // Not longer: each look takes the queue away from the holder's cache, and two that pass it to and fro
                // get less done than one that has it to itself while the other naps.
                for pauses in 0..2 {
                    for _ in 0..1 << pauses {
                        std::hint::spin_loop();
                    }
                    if !self.0.load(Relaxed) && self.try_lock() {
                        return;
                    }
                }
                // The holder may have lost its processor: it can have ours.
                let deadline = Some(Instant::now() + NAP);
                let nap = Waiting { interruptible: false, deadline, ..Waiting::new(Kind::QueueLock) };
                let _ = park(&raw const self.0 as usize, &nap, || self.0.load(Relaxed));
            }
        }
    }
}
