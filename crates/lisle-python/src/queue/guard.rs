//! What guards a queue's state: the GIL where there is one, else a lock of one byte.

use std::cell::UnsafeCell;

/// State that one thread at a time may use, for a moment in which no Python code can run.
pub(super) struct Guarded<T> {
    #[cfg(Py_GIL_DISABLED)]
    lock: byte::Lock,
    state: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread in at a time.
unsafe impl<T> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(super) const fn new(state: T) -> Guarded<T> {
        Guarded {
            #[cfg(Py_GIL_DISABLED)]
            lock: byte::Lock::new(),
            state: UnsafeCell::new(state),
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
    use lisle::embed::{Waiting, park, unpark};
    use std::sync::atomic::AtomicU8;
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

    const FREE: u8 = 0;
    const HELD: u8 = 1;
    /// Held, and others may be asleep for it.
    const AWAITED: u8 = 2;

    /// A lock that is held for some nanoseconds only. Who waits for it stays attached: its holder
    /// needs nobody to let it go on.
    pub(super) struct Lock(AtomicU8);

    impl Lock {
        pub(super) const fn new() -> Lock {
            Lock(AtomicU8::new(FREE))
        }

        #[inline(always)]
        pub(super) fn lock(&self) {
            if self.0.compare_exchange(FREE, HELD, Acquire, Relaxed).is_err() {
                self.lock_slow();
            }
        }

        #[inline(always)]
        pub(super) fn unlock(&self) {
            if self.0.swap(FREE, Release) == AWAITED {
                self.wake();
            }
        }

        #[cold]
        fn lock_slow(&self) {
            for pauses in 0..7 {
                for _ in 0..1 << pauses {
                    std::hint::spin_loop();
                }
                if self.0.load(Relaxed) == FREE && self.0.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok() {
                    return;
                }
            }
            let waiting = Waiting { interruptible: false, ..Waiting::new(Kind::QueueLock) };
            while self.0.swap(AWAITED, Acquire) != FREE {
                // It ends as soon as it is woken, and cannot fail: there is no limit to it.
                let _ = park(self.key(), &waiting, || self.0.load(Relaxed) == AWAITED);
            }
        }

        #[cold]
        fn wake(&self) {
            unpark(self.key(), 1);
        }

        fn key(&self) -> usize {
            &raw const self.0 as usize
        }
    }
}
