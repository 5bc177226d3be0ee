//! Locks and other places where threads meet.

mod barrier;
mod condvar;
mod event;
mod lock;
#[cfg(all(test, loom))]
mod model;
mod mutex;
pub(crate) mod raw_mutex;
mod raw_rwlock;
mod raw_semaphore;
pub(crate) mod reentrant_lock;
mod reentrant_mutex;
mod rwlock;
mod semaphore;
#[cfg(all(test, not(loom)))]
pub(crate) mod testing;
mod unwind;

pub use barrier::{Barrier, BarrierError, BarrierWaitResult};
pub use condvar::Condvar;
pub use event::Event;
pub use lock::{Lock, LockGuard, NotLocked};
pub use mutex::{Mutex, MutexGuard};
pub use reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{BoundedSemaphore, Permit, ReleaseError, Semaphore};
