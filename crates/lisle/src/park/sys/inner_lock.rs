//! The lock for the library's own short critical sections (a bucket, the registry).

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A `std` mutex that does not know poison. Never held across user code or a sleep, hence not
/// part of the wait-for graph; it is the one thing a thread may sleep on that the lot does not see.
#[derive(Default)]
pub(crate) struct PlainLock<T>(Mutex<T>);

pub(crate) type PlainGuard<'a, T> = MutexGuard<'a, T>;

impl<T> PlainLock<T> {
    pub(crate) const fn new(value: T) -> PlainLock<T> {
        PlainLock(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> PlainGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
