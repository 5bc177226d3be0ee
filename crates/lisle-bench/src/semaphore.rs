//! Permits.

use std::cell::UnsafeCell;
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::harness::Role::{Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Unit, compete, repeat};

/// A semaphore with one permit.
trait Permit: Sync + 'static {
    fn new() -> Self;
    /// Takes the permit and gives it back.
    fn pass(&self);
}

impl Permit for lisle::sync::Semaphore {
    fn new() -> Self {
        Self::new(1)
    }

    #[inline]
    fn pass(&self) {
        self.acquire().expect("nobody interrupts");
        self.release();
    }
}

impl Permit for tokio::sync::Semaphore {
    fn new() -> Self {
        Self::new(1)
    }

    #[inline]
    fn pass(&self) {
        drop(block_on(self.acquire()).expect("never closed"));
    }
}

/// Waits for a future as a thread does; the way to use tokio's semaphore without its runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    // Whoever need not wait does not pay for a waker either.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// The semaphore of the C library. Boxed, as it must not move.
struct Posix(Box<UnsafeCell<libc::sem_t>>);

// SAFETY: POSIX semaphores are made to be shared by threads.
unsafe impl Sync for Posix {}

impl Permit for Posix {
    fn new() -> Self {
        let mut semaphore = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes; `sem_init` initializes what it points to, and
        // glibc lets a semaphore move until its first use.
        let semaphore = unsafe {
            assert_eq!(libc::sem_init(semaphore.as_mut_ptr(), 0, 1), 0);
            semaphore.assume_init()
        };
        Self(Box::new(UnsafeCell::new(semaphore)))
    }

    #[inline]
    fn pass(&self) {
        // SAFETY: `new` initialized the semaphore, and it stays where it is.
        unsafe {
            while libc::sem_wait(self.0.get()) != 0 {}
            libc::sem_post(self.0.get());
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    fn alone<S: Permit>() -> impl FnMut(u64) -> Duration {
        let semaphore = S::new();
        move |n| repeat(n, || semaphore.pass())
    }
    fn two<S: Permit>() -> impl FnMut(&Plan) -> Vec<f64> {
        let semaphore = CachePadded::new(S::new());
        move |plan| vec![compete(2, plan.window / 5, || semaphore.pass()).0]
    }
    let contended = Figure::new("1 permit, 2 threads", Unit::Nanos, Goal::Best(1.05));
    vec![
        Case::new("semaphore", "acquire and release, uncontended", Goal::Best(1.05))
            .timed(Lisle, "lisle", alone::<lisle::sync::Semaphore>())
            .timed(Peer, "glibc sem", alone::<Posix>())
            .timed(Peer, "tokio", alone::<tokio::sync::Semaphore>()),
        Case::of("semaphore", [contended])
            .measured(Lisle, "lisle", two::<lisle::sync::Semaphore>())
            .measured(Peer, "glibc sem", two::<Posix>())
            .measured(Peer, "tokio", two::<tokio::sync::Semaphore>()),
    ]
}
