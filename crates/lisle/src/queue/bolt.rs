//! The lock at an end of a queue: the cheapest that can sleep.

use super::gate::Gate;
use crate::park::sys::{self, atomic::AtomicBool, atomic::Ordering, const_fn};
use crate::park::{Kind, Label, Limit, Site, Wait};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

/// Who calls, for what happens on the paths that are not fast.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub(super) queue: &'a Label,
    pub(super) site: Site,
}

impl<'a> Caller<'a> {
    pub(super) fn wait(self, kind: Kind, limit: Limit) -> Wait<'a> {
        Wait::new(kind, self.queue, self.site, limit.deadline())
    }
}

/// A value that one thread at a time may use, for a few instructions in which nothing can fail or
/// block and no code of the user's runs. It therefore has no owner to be found in a deadlock.
pub(super) struct Bolt<V> {
    shut: AtomicBool,
    gate: Gate,
    value: UnsafeCell<V>,
}

// SAFETY: the value is reached by one thread at a time (the guard is exclusive).
unsafe impl<V: Send> Sync for Bolt<V> {}

impl<V> Bolt<V> {
    const_fn! {
        pub(super) const fn new(value: V) -> Bolt<V> {
            Bolt { shut: AtomicBool::new(false), gate: Gate::new(), value: UnsafeCell::new(value) }
        }
    }

    #[inline(always)]
    pub(super) fn lock(&self, caller: Caller<'_>) -> BoltGuard<'_, V> {
        if !self.acquire() {
            self.lock_slow(caller);
        }
        BoltGuard { bolt: self }
    }

    #[inline(always)]
    fn acquire(&self) -> bool {
        self.shut.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn lock_slow(&self, caller: Caller<'_>) {
        let mut wait = caller.wait(Kind::QueueLock, Limit::Never);
        wait.interruptible = false;
        let shut = || self.shut.load(Ordering::SeqCst);
        self.gate.wait(wait, |_| self.acquire().then_some(()), shut).expect("nothing can fail this wait");
    }

    #[cold]
    fn admit_one(&self) {
        self.gate.admit(1);
    }

    pub(super) fn get_mut(&mut self) -> &mut V {
        self.value.get_mut()
    }
}

/// The right to a [`Bolt`]'s value. Its end is also a
/// [`cheap_barrier`](crate::park::sys::cheap_barrier).
pub(super) struct BoltGuard<'a, V> {
    bolt: &'a Bolt<V>,
}

impl<V> Deref for BoltGuard<'_, V> {
    type Target = V;

    #[inline(always)]
    fn deref(&self) -> &V {
        // SAFETY: this thread has the bolt, and `&self` says that no `&mut V` is about.
        unsafe { &*self.bolt.value.get() }
    }
}

impl<V> DerefMut for BoltGuard<'_, V> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut V {
        // SAFETY: this thread has the bolt, and `&mut self` says that nothing else is about.
        unsafe { &mut *self.bolt.value.get() }
    }
}

impl<V> Drop for BoltGuard<'_, V> {
    #[inline(always)]
    fn drop(&mut self) {
        self.bolt.shut.store(false, Ordering::Release);
        sys::cheap_barrier();
        if self.bolt.gate.is_awaited() {
            self.bolt.admit_one();
        }
    }
}
