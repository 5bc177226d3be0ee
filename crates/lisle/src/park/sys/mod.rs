//! What the lot needs of the system, three times over: Linux, plain `std`, and the model checker.
//!
//! The whole of it is a *futex* (wait while a word has a value; wake who waits), an asymmetric
//! memory barrier, and a lock for the lot's own short critical sections. Everything above this
//! folder is the same code on all three, so what the model explores is what runs.

#[cfg(all(target_os = "linux", not(loom), not(lisle_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(loom), not(lisle_portable)))]
pub(crate) use linux::*;

#[cfg(all(not(loom), any(not(target_os = "linux"), lisle_portable)))]
mod portable;
#[cfg(all(not(loom), any(not(target_os = "linux"), lisle_portable)))]
pub(crate) use portable::*;

#[cfg(loom)]
mod model;
#[cfg(loom)]
pub(crate) use model::*;

mod inner_lock;
pub(crate) use inner_lock::*;

#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
mod peer;
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
pub(crate) use peer::is_privileged;
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
pub use peer::peer_user;
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
mod signal;
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
pub(crate) use signal::*;

/// Has `handler` run when the process ends in order: `main` returns or somebody calls `exit`.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a plain function that lives as long as the image. It is refused only
    // for want of memory, and then the process ends without it.
    unsafe { libc::atexit(handler) };
}

/// The lock of a bucket: one that the model checker can watch.
#[cfg(not(loom))]
pub(crate) type InnerLock<T> = PlainLock<T>;
#[cfg(not(loom))]
pub(crate) type InnerGuard<'a, T> = PlainGuard<'a, T>;

/// Atomics that the model checker can watch.
pub(crate) mod atomic {
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::*;
    #[cfg(not(loom))]
    pub(crate) use std::sync::atomic::*;
}

/// Stands between a sequentially consistent exchange and such a load of another word, which must not
/// be taken first. The two orders see to that; only the model checker wants to be told.
#[inline(always)]
pub(crate) fn exchange_barrier() {
    #[cfg(loom)]
    atomic::fence(atomic::Ordering::SeqCst);
}

/// How a [`futex_wait`] ended. `Woken` may be spurious: the caller looks at its word again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FutexWait {
    /// Somebody woke us, or the word had changed, or nobody knows why.
    Woken,
    /// The deadline passed.
    Expired,
    /// A signal handler ran on this thread.
    Signalled,
}

/// What stands between a store and a load of something else that a waiter sets before it passes
/// [`heavy_barrier`] and looks at what was stored: one of the two sees the other.
#[inline(always)]
pub(crate) fn cheap_barrier() {
    if barrier_is_asymmetric() {
        light_barrier();
    } else {
        full_barrier();
    }
}

#[cold]
fn full_barrier() {
    register_barrier(); // so that the next one is cheap, where the system allows it
    atomic::fence(atomic::Ordering::SeqCst);
}

/// Makes a function `const` except under the model checker, whose atomics cannot be made so.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])* $vis fn $($rest)*
    };
}
pub(crate) use const_fn;
