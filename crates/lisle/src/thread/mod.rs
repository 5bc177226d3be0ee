//! Threads.
//!
//! A superset of [`std::thread`] by name and meaning: `use lisle::thread` takes the place of
//! `use std::thread`. What is different is meant to be, and is this:
//!
//! - A thread that is not a daemon finishes before the process ends, also when `main` returns or
//!   [`std::process::exit`] is called. See [The end of the process](#the-end-of-the-process).
//! - [`JoinHandle::join`] borrows the handle, so that a thread can be joined any number of times,
//!   by any number of threads, with a time limit; joining in a circle is an error. Hence
//!   `.map(|handle| handle.join())` where `std` takes `.map(JoinHandle::join)`, and a handle changes
//!   threads, or is shared by them, only if the thread's value may change threads (`T: Send`).
//! - Every thread has a name.
//! - A panic that nobody takes goes to the [`excepthook`]. For its place, the start of the first
//!   thread puts a hook before the process's [panic hook](std::panic::set_hook); one that another
//!   thread sets at the same moment may be lost.
//!
//! # Two ways to say what a thread does
//! Give a callable to [`spawn`], or implement [`Run`] for a type of your own. Both can also be made
//! now by [`create`] and [started](JoinHandle::start) later.
//!
//! # A thread cannot be killed
//! It ends when its callable returns or panics. What it was about to release, restore or tell would
//! otherwise never happen, with the rest of the program living on. It can be asked to end: a flag
//! of your own, a queue that is shut down, or an [interrupt](Thread::interrupt), which ends its
//! present or next interruptible wait with an error.
//!
//! # The end of the process
//! When `main` returns or somebody calls [`std::process::exit`], the process first waits for the
//! threads that are not daemons, also for those they start meanwhile. If that takes five seconds,
//! or `LISLE_EXIT_REPORT` seconds (0: never), stderr gets one report of which threads the process
//! waits for, and what each of those waits for, where. Ctrl-C ends the process as ever.
//!
//! `std` lets one thread end the process and keeps a second that tries for ever. A thread that the
//! process waits for must therefore not call [`std::process::exit`] while another does, or once
//! `main` has returned: the two would wait for each other. It calls [`exit`] of this module, which
//! says that nobody has to wait for the calling thread.
//!
//! # Thread locals
//! [`thread_local!`] works as ever; its values have been dropped when a join returns. [`Local`] is
//! for values per thread *and* per instance.

// | file | what it knows |
// |---|---|
// | `builder`, `run` | making and starting threads |
// | `handle`, `join_handle`, `packet`, `error` | what others may know of one, and what it leaves |
// | `scope` | threads that borrow |
// | `idle` | `park` and `sleep` |
// | `hook`, `exit` | panics that nobody takes, and the end of the process |
// | `local` | values per thread and instance |

mod builder;
mod error;
pub(crate) mod exit;
mod handle;
pub(crate) mod hook;
mod idle;
mod join_handle;
mod local;
mod packet;
mod run;
mod scope;

pub use builder::Builder;
pub use error::{DaemonError, JoinError, StartError};
pub use exit::exit;
pub use handle::{Thread, ThreadId};
pub use hook::{ExceptHookArgs, excepthook, set_excepthook};
pub use idle::{park, park_timeout, park_until, sleep, sleep_interruptible, sleep_until};
pub use join_handle::JoinHandle;
pub use local::Local;
pub use run::Run;
pub(crate) use run::target_of;
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use std::thread::{AccessError, LocalKey, Result, available_parallelism, panicking};

use crate::park::current as calling;
use crate::park::registry::{self, Registry};
use crate::park::sys::{self, PlainGuard};
use std::num::NonZeroU32;

/// Makes and starts a thread that calls `f`. Its name is `Thread-N (f)`, or `Thread-N` if `f` is a
/// closure; a [`Builder`] gives it another, or another stack.
///
/// # Panics
/// If the system cannot make the thread; [`Builder::spawn`] returns an error.
///
/// # Examples
/// ```
/// use lisle::thread;
///
/// let sum = thread::spawn(|| (1..=10).sum::<u32>());
/// assert_eq!(sum.join().unwrap(), 55);
/// ```
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("failed to spawn thread")
}

/// Makes a thread that does `run` once it is [started](JoinHandle::start). Without that, nothing of
/// it is left when the handle is dropped.
///
/// # Examples
/// ```
/// use lisle::thread;
///
/// let later = thread::create(|| 6 * 7);
/// assert!(!later.is_alive());
/// later.start().unwrap();
/// assert!(later.start().is_err(), "threads run once");
/// assert_eq!(later.join().unwrap(), 42);
/// ```
pub fn create<R: Run>(run: R) -> JoinHandle<R::Output> {
    Builder::new().create(run)
}

/// The calling thread. One that was not made here is adopted.
pub fn current() -> Thread {
    Thread::of(calling::get())
}

/// The main thread: the one in which the process began, or which forked it.
pub fn main_thread() -> Thread {
    Thread::of(calling::main_record())
}

/// All threads that have been started and have not finished: those made here, the main thread,
/// which stays on the list to the end of the process, and adopted ones. The
/// [agent](crate::watch::start_agent)'s is not among them: a program has no more threads for being watched.
///
/// ```
/// use lisle::thread;
///
/// assert!(thread::enumerate().contains(&thread::current()));
/// ```
pub fn enumerate() -> Vec<Thread> {
    complete_registry().iter().filter(|record| !record.is_service()).map(|record| Thread::of(record.clone())).collect()
}

/// How many threads [`enumerate`] lists.
pub fn active_count() -> usize {
    complete_registry().iter().filter(|record| !record.is_service()).count()
}

/// The registry, with the main thread and this one, whether or not they have called in before.
fn complete_registry() -> PlainGuard<'static, Registry> {
    calling::main_record();
    calling::ident();
    registry::lock()
}

/// The calling thread's [identifier](Thread::ident).
#[inline]
pub fn get_ident() -> NonZeroU32 {
    NonZeroU32::new(calling::ident()).expect("a running thread has one")
}

/// The kernel's number for the calling thread.
pub fn get_native_id() -> u32 {
    calling::with(|me| me.native_id())
}

/// Whether the calling thread has been [interrupted](Thread::interrupt); takes back the interrupt.
///
/// ```
/// use lisle::thread;
///
/// thread::current().interrupt();
/// assert!(thread::interrupted());
/// assert!(!thread::interrupted());
/// ```
pub fn interrupted() -> bool {
    calling::with(|me| me.take_interrupt())
}

/// Gives up the processor for a moment.
pub fn yield_now() {
    sys::yield_now();
}
