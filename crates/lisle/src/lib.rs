//! OS threads with nothing hidden: every wait can be timed, interrupted, and checked for deadlock.
//!
//! # Hello
//! [`thread`] is a superset of [`std::thread`]: `use lisle::thread` takes the place of
//! `use std::thread`.
//!
//! ```
//! use lisle::thread;
//!
//! let worker = thread::spawn(|| 6 * 7);
//! assert_eq!(worker.join().unwrap(), 42);
//! ```
//!
//! # Waiting with a limit
//! Every blocking call `x` comes with `try_x`, `x_for(Duration)` and `x_until(Instant)`.
//! `Duration::MAX` is for ever; a point in the past means not to wait at all. What ended a wait
//! that was not granted is a [`WaitError`].
//!
//! ```
//! use lisle::sync::Event;
//! use std::time::Duration;
//!
//! let ready = Event::new();
//! assert!(ready.wait_for(Duration::from_millis(1)).unwrap_err().is_timed_out());
//! ready.set();
//! ready.wait().unwrap(); // comes back at once; it would block if nobody had set the event
//! ```
//!
//! # Ending a wait from outside
//! A thread cannot be killed: it may hold locks, and what they protect may be half changed. It can
//! be asked to leave its present or next wait.
//!
//! ```
//! use lisle::queue::{GetError, Queue};
//! use lisle::thread;
//!
//! thread::scope(|scope| {
//!     let jobs = Queue::<u32>::new();
//!     let worker = scope.spawn(move || jobs.get());
//!     worker.thread().interrupt();
//!     assert_eq!(worker.join().unwrap(), Err(GetError::Interrupted));
//! });
//! ```
//!
//! # Sharing
//! [`sync`] has the locks. Nothing has to be unlocked by hand, and a [deadlock](Report) is an error.
//!
//! ```
//! use lisle::sync::Mutex;
//!
//! let lock = Mutex::named(1, "counter");
//! let held = lock.lock();
//! // Nobody can ever release it for us, so this does not hang:
//! let error = lock.lock_interruptible().unwrap_err();
//! assert!(error.to_string().starts_with("deadlock: 1 thread waits for itself"));
//! drop(held);
//! ```
//!
//! # Talking
//! [`queue`] has queues for any number of threads at both ends, bounded or not, with tasks that can
//! be waited for, and an end.
//!
//! # Having others do it
//! [`executor`] has pools of threads, and futures that can be waited for with limits, combined,
//! cancelled, and awaited.
//!
//! ```
//! use lisle::executor::ThreadPoolExecutor;
//!
//! let pool = ThreadPoolExecutor::new();
//! let answer = pool.submit(|| 6 * 7).unwrap();
//! assert_eq!(answer.result().unwrap(), 42);
//! ```
//!
//! # One at a time
//! [`gil`] has what interpreters need: a global lock that threads hand round fairly, at once to those who
//! wait for other things most of the time.
//!
//! # Later
//! A [`Timer`](timer::Timer) makes a call when its time has come, or again and again.
//!
//! # What is not seen
//! Deadlock detection knows the locks, joins, futures and pools of this crate. A wait for something else (a
//! `std` mutex, a pipe, another process) ends a chain that it follows. A thread remembers eight read
//! locks at a time. A queue, event or semaphore has no owner: nobody can be proven to be the one
//! who ends such a wait.

#![doc(test(attr(deny(warnings))))]

#[cfg(doctest)]
mod compile_fail;
pub mod embed;
pub mod executor;
pub mod gil;
pub(crate) mod park;
#[cfg(all(feature = "process", not(loom)))]
pub mod process;
pub mod queue;
pub mod sync;
pub mod thread;
pub mod timer;
#[cfg(all(feature = "watch", not(loom)))]
pub mod watch;

pub use park::kind::Kind;
pub use park::report::{Confidence, Link, Report, on_report};
pub use park::stats::{WaitStat, WaitStats};
pub use park::wait::WaitError;

/// The examples of the README are run with the others.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// Likewise those of the page on traces.
#[cfg(all(doctest, feature = "watch"))]
#[doc = include_str!("../../../docs/trace.md")]
struct Traces;
