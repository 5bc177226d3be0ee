//! Locks and other places where threads meet.

mod condvar;
mod event;
#[cfg(all(test, loom))]
mod model;
mod mutex;
pub(crate) mod raw_mutex;
mod reentrant_mutex;
#[cfg(all(test, not(loom)))]
pub(crate) mod testing;

pub use condvar::Condvar;
pub use event::Event;
pub use mutex::{Mutex, MutexGuard};
pub use reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
