//! Executors: what runs submitted calls, and the futures that they give.
//!
//! | type | what |
//! |---|---|
//! | [`ThreadPoolExecutor`] | runs calls on threads |
//! | [`Future`] | the handle on one call's result |
//! | [`Promise`] | the side from which a future is completed by hand |
//! | [`wait`], [`as_completed`] | waiting for several futures |
//! | [`Executor`], [`Function`] | one interface for threads and processes |
//!
//! ```
//! use lisle::executor::ThreadPoolExecutor;
//!
//! let pool = ThreadPoolExecutor::new();
//! let answer = pool.submit(|| 6 * 7).unwrap();
//! assert_eq!(answer.result().unwrap(), 42);
//! ```
//!
//! # Nothing hangs
//! A wait for a future depends on the thread that runs the call, or, while it is pending, on the
//! workers of its pool. If those wait for the waiting thread in turn, one of the waits fails with a
//! [report](crate::Report).

mod backlog;
mod bench;
mod builder;
mod call;
mod core;
mod crew;
mod exit;
mod failure;
mod function;
mod future;
mod map;
#[cfg(all(test, loom))]
mod model;
mod poll;
mod pool;
mod promise;
mod scope;
mod shutdown;
mod task;
mod teams;
mod wait;
mod worker;

pub use builder::{BuildError, Builder, CallOptions, OnFull};
pub use core::State;
pub use failure::{Failure, FutureError, SetError, SubmitError};
pub use function::{Executor, Function, Pending};
pub use future::Future;
pub use map::Map;
#[cfg(all(feature = "process", not(loom)))]
pub(crate) use pool::Breaker;
pub use pool::ThreadPoolExecutor;
pub use promise::Promise;
pub use scope::Scope;
pub use shutdown::ShutdownError;
pub use wait::{
    AsCompleted, Until, Waitable, Waited, as_completed, as_completed_for, as_completed_until, wait, wait_for,
    wait_until,
};
pub use worker::RunningCall;
