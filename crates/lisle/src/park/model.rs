//! What a model test can do besides calling the API: let a thread's deadline pass.

use super::record::Record;
use super::sys::atomic::Ordering;
use super::{current, sys};
use std::time::{Duration, Instant};

/// Lets the deadline of the thread's present and later waits pass.
pub(crate) fn expire(record: &Record) {
    sys::with_all_woken(|| record.expired.store(true, Ordering::SeqCst));
}

pub(super) fn is_expired() -> bool {
    current::with(|me| me.expired.load(Ordering::SeqCst))
}

/// A deadline that real time will not reach: only [`expire`] lets it pass.
pub(crate) fn some_deadline() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(3600))
}
