//! `ReentrantLock`: a lock that its holder may take again, without guards and without a value.

use super::raw_mutex::RawMutex;
use crate::park::site::Place;
use crate::park::{Kind, Label, Limit, Spot, WaitError, current};
use std::cell::Cell;
use std::panic::Location;
use std::time::Instant;

/// What is under [`ReentrantMutex`](crate::sync::ReentrantMutex), for embedders whose language has
/// guards of its own, or none.
pub struct ReentrantLock {
    raw: RawMutex,
    /// How often the holder has taken it beyond once. Its holder alone reads and writes it.
    pub(super) again: Cell<u32>,
}

// SAFETY: `again` is reached by the holding thread alone, which may be any.
unsafe impl Sync for ReentrantLock {}

impl ReentrantLock {
    crate::park::sys::const_fn! {
        pub(super) const fn labelled(label: Label) -> ReentrantLock {
            ReentrantLock { raw: RawMutex::new(label), again: Cell::new(0) }
        }
    }

    /// One that is free.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "a default has no place where it was made")]
    pub fn new() -> ReentrantLock {
        ReentrantLock::labelled(Label::new(Location::caller()))
    }

    /// Takes it once more if the calling thread holds it; tells whether that was so.
    #[inline(always)]
    pub(super) fn take_again(&self) -> bool {
        let held = self.is_owned_by_current();
        if held {
            let again = self.again.get().checked_add(1);
            self.again
                .set(again.expect("a reentrant lock was locked 2³² times by one thread: some are never released"));
        }
        held
    }

    /// Takes it if nobody else holds it; `at` says where, and is asked only if it is not taken again.
    #[inline(always)]
    pub fn try_acquire(&self, at: impl FnOnce() -> Place) -> bool {
        self.take_again() || self.raw.try_lock(at().into())
    }

    #[inline(always)]
    pub(super) fn try_acquire_at(&self, site: Spot) -> bool {
        self.take_again() || self.raw.try_lock(site)
    }

    /// Takes it, waiting until `deadline`, or as long as it takes; `at` says where.
    ///
    /// # Errors
    /// As of any wait: see [`WaitError`].
    pub fn acquire(&self, deadline: Option<Instant>, at: Place) -> Result<(), WaitError> {
        self.acquire_within(deadline.map_or(Limit::Never, Limit::Until), at)
    }

    #[inline(always)]
    pub(super) fn acquire_within(&self, limit: Limit, site: impl Into<Spot>) -> Result<(), WaitError> {
        if self.take_again() { Ok(()) } else { self.raw.lock_within(limit, Kind::ReentrantMutex, site.into()) }
    }

    /// Takes back one `acquire` of the calling thread; tells whether there was one.
    #[inline(always)]
    pub fn release(&self) -> bool {
        let held = self.is_owned_by_current();
        if held && self.is_last() {
            self.raw.unlock();
        }
        held
    }

    /// Releases it however often the calling thread has taken it; returns how often that was.
    pub fn release_all(&self) -> u32 {
        let depth = self.depth();
        if depth != 0 {
            self.again.set(0);
            self.raw.unlock();
        }
        depth
    }

    /// Makes it as if the calling thread, which holds it, had taken it `depth` times.
    pub fn set_depth(&self, depth: u32) {
        if self.is_owned_by_current() {
            self.again.set(depth.saturating_sub(1));
        }
    }

    /// How often the calling thread has taken it and not released it yet.
    pub fn depth(&self) -> u32 {
        if self.is_owned_by_current() { self.again.get().saturating_add(1) } else { 0 }
    }

    /// Whether any thread holds it at this moment, which may be over when the caller looks.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// Whether the calling thread holds it.
    #[inline(always)]
    pub fn is_owned_by_current(&self) -> bool {
        // Only this thread writes its ident there; whatever else is read was written by others. A
        // thread that has not called in yet has no ident, and holds nothing.
        let me = current::ident_if_known();
        me != 0 && self.raw.holder() == me
    }

    /// Where its holder took it first, if it is held and that is known.
    pub fn taken_at(&self) -> Option<Spot> {
        self.raw.taken_at()
    }

    /// The ident of the thread that holds it, or 0.
    pub fn holder(&self) -> u32 {
        self.raw.holder()
    }

    /// Takes back one of the holder's locks; tells whether it was the last.
    #[inline(always)]
    pub(super) fn is_last(&self) -> bool {
        match self.again.get() {
            0 => true,
            again => {
                self.again.set(again - 1);
                false
            }
        }
    }

    pub(super) fn raw(&self) -> &RawMutex {
        &self.raw
    }
}
