//! In the place of `watched.rs` where nobody can watch: in models, and without the feature.

use super::record::{Record, Shared};
use super::wait::{Outcome, Wait};
use std::time::Instant;

pub(super) type Begun = Option<u64>;

#[inline(always)]
pub(super) fn begin(_: &Record, _: usize, _: &Wait<'_>, _: Instant) -> Begun {
    None
}

#[inline(always)]
pub(super) fn end(_: &Record, _: usize, _: &Wait<'_>, _: [Instant; 2], _: &Outcome, _: Begun) {}

#[inline(always)]
pub(super) fn wake<'a>(_: impl Iterator<Item = &'a Shared>) {}

#[cfg(not(loom))]
#[inline(always)]
pub(super) fn leave() {}

#[cfg(all(unix, not(loom)))]
pub(super) struct Held;

#[cfg(all(unix, not(loom)))]
impl Held {
    pub(super) fn lock() -> Held {
        Held
    }

    pub(super) fn clear(&mut self) {}
}
