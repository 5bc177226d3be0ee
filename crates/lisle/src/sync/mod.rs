//! Locks and other places where threads meet.

mod condvar;
#[cfg(all(test, loom))]
mod model;
mod mutex;
pub(crate) mod raw_mutex;

pub use condvar::Condvar;
pub use mutex::{Mutex, MutexGuard};
