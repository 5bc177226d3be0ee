//! What the agent's thread is told to do. Anybody can tell it, also the handler of a signal: all that it
//! takes is a bit in a word and a ring of a bell.

use super::latest::Latest;
use super::private::PrivateFd;
use super::sys::{self, Handler};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// Whether nobody has called in yet since this process began, or since it was forked.
pub(super) static IS_NEW: AtomicBool = AtomicBool::new(true);

#[cold]
pub(super) fn first_use() {
    if IS_NEW.swap(false, Ordering::Relaxed) {
        crate::watch::trace_file::first_use();
        crate::watch::agent::first_use();
    }
}

/// What is to be done, a bit for each, and where to ring; null as long as there is nobody who would hear it.
static ORDERS: AtomicU32 = AtomicU32::new(0);
static BELL: AtomicPtr<PrivateFd> = AtomicPtr::new(ptr::null_mut());

/// In the child of a fork, where nobody listens.
pub(super) fn forget() {
    BELL.store(ptr::null_mut(), Ordering::Relaxed);
    ORDERS.store(0, Ordering::Relaxed);
    IS_NEW.store(true, Ordering::Relaxed);
}

/// Tells the thread to do this. Safe in the handler of a signal.
pub(crate) fn give(order: u32) {
    // Either the thread, which gives its bell out before it looks, sees the bit, or we see the bell.
    ORDERS.fetch_or(order, Ordering::SeqCst);
    // SAFETY: null, or what `bell` has leaked.
    let bell = unsafe { BELL.load(Ordering::SeqCst).as_ref() };
    // A program that closes descriptors of others may have given the number to a file that we must not write to.
    if let Some(bell) = bell.filter(|bell| bell.is_open()) {
        // SAFETY: an event descriptor, and eight bytes to read. In a child of a fork that has not yet come to
        // `forget` it rings the parent, who finds no order.
        unsafe { libc::write(bell.as_fd().as_raw_fd(), (&raw const ONE).cast(), 8) };
    }
}

static ONE: u64 = 1;

/// The bell, for the thread that takes the orders. Called once in a process.
pub(crate) fn bell() -> io::Result<BorrowedFd<'static>> {
    let bell = PrivateFd::new(|| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))?;
    // Never closed: a handler may be about to ring.
    let bell: &'static PrivateFd = Box::leak(Box::new(bell));
    BELL.store(ptr::from_ref(bell).cast_mut(), Ordering::SeqCst);
    Ok(bell.as_fd())
}

/// What has been ordered since this was last called; silences the bell.
pub(crate) fn take(bell: BorrowedFd<'_>) -> u32 {
    let _ = rustix::io::read(bell, &mut [0; 8]); // refused if it does not ring
    ORDERS.swap(0, Ordering::SeqCst)
}

/// A signal that can give an order.
pub(crate) struct Signal {
    number: libc::c_int,
    order: u32,
    is_ours: AtomicBool,
    /// What the program did on it before.
    before: Latest<Handler>,
}

impl Signal {
    const fn new(number: libc::c_int, order: u32) -> Signal {
        Signal { number, order, is_ours: AtomicBool::new(false), before: Latest::none() }
    }

    /// Has the signal give its order from now on, and then do what the program had it do before, if that
    /// was a handler. Once only: another handler that the program sets later, and that may call ours as the
    /// one before, has the last word.
    pub(crate) fn give_orders(&self) -> io::Result<()> {
        if self.is_ours.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        sys::handle_signal(self.number, handler, |before| self.before.set(before))
            .inspect_err(|_| self.is_ours.store(false, Ordering::SeqCst))
    }

    /// Whether it does.
    pub(crate) fn gives_orders(&self) -> bool {
        self.is_ours.load(Ordering::SeqCst)
    }
}

/// Open the socket.
pub(crate) const LISTEN: u32 = 1;
/// Print a dump.
pub(crate) const DUMP: u32 = 2;

pub(crate) static USR2: Signal = Signal::new(libc::SIGUSR2, LISTEN);
pub(crate) static QUIT: Signal = Signal::new(libc::SIGQUIT, DUMP);
static SIGNALS: [&Signal; 2] = [&USR2, &QUIT];

extern "C" fn handler(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // Neither allocates, locks or waits. `errno` belongs to the code that was interrupted.
    let errno = sys::errno();
    for signal in SIGNALS.iter().filter(|signal| signal.number == number) {
        give(signal.order);
        sys::set_errno(errno);
        if let Some(before) = signal.before.get() {
            before.call(number, info, context);
        }
    }
}
