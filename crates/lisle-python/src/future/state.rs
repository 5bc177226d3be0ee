//! What a future is made of, and its states.

use crate::kit::ffi::{Obj, py};
use crate::kit::latch::Latch;
use crate::kit::{Body, Once};
use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

/// # The word
/// | bits | what |
/// |---|---|
/// | 0..3 | the phase: [`PENDING`], [`RUNNING`], [`CANCELLED`], [`NOTIFIED`], [`FINISHED`] |
/// | 3 | [`WAITED`]: a thread may sleep until it is done |
/// | 4 | [`EXPOSED`]: the standard library's algorithm runs over `_condition`; never taken back |
/// | 5 | [`OVERRIDDEN`]: its class has a `_invoke_callbacks` of its own |
/// | 8..32 | while pending: the number of the pool that is to run it, or 0 |
/// | 32..64 | while running: the ident of the thread that runs it, or 0 if nobody knows |
///
/// It is written under the latch alone, and read by anybody.
pub(crate) struct Future {
    pub(super) latch: Latch,
    pub(super) word: AtomicU64,
    /// Null for None, like the exception.
    pub(super) result: Cell<Obj>,
    pub(super) exception: Cell<Obj>,
    /// Lists, null as long as nobody needs them. Of waiters, those of ours alone unless it is exposed.
    pub(super) callbacks: Cell<Obj>,
    pub(super) waiters: Cell<Obj>,
    /// Null unless it is exposed.
    pub(super) condition: Cell<Obj>,
}

pub(super) const PENDING: u64 = 0;
pub(super) const RUNNING: u64 = 1;
pub(super) const CANCELLED: u64 = 2;
/// Cancelled, and whoever was to run it has taken notice.
pub(super) const NOTIFIED: u64 = 3;
pub(super) const FINISHED: u64 = 4;
const PHASE: u64 = 7;

pub(super) const WAITED: u64 = 1 << 3;
pub(super) const EXPOSED: u64 = 1 << 4;
pub(super) const OVERRIDDEN: u64 = 1 << 5;
const POOL_SHIFT: u32 = 8;
const IDENT_SHIFT: u32 = 32;

#[inline(always)]
pub(super) fn phase(word: u64) -> u64 {
    word & PHASE
}

/// Whether `result()` would wait.
#[inline(always)]
pub(super) fn is_open(word: u64) -> bool {
    word & PHASE <= RUNNING
}

/// The word in another phase, where nobody is waited for or known.
#[inline(always)]
pub(super) fn turned(word: u64, phase: u64) -> u64 {
    word & (EXPOSED | OVERRIDDEN) | phase
}

/// On whom it depends that it will be done.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Prospect {
    Unknown,
    /// The thread of this ident.
    RunBy(u32),
    /// The workers of this pool.
    PendingIn(u32),
}

pub(super) fn prospect(word: u64) -> Prospect {
    match (phase(word), pool(word), (word >> IDENT_SHIFT) as u32) {
        _ if word & EXPOSED != 0 => Prospect::Unknown,
        (PENDING, number @ 1.., _) => Prospect::PendingIn(number),
        (RUNNING, _, ident @ 1..) => Prospect::RunBy(ident),
        _ => Prospect::Unknown,
    }
}

/// The pool in which it is pending, or 0.
pub(super) fn pool(word: u64) -> u32 {
    match phase(word) {
        PENDING => (word as u32) >> POOL_SHIFT,
        _ => 0,
    }
}

#[inline(always)]
pub(super) fn run_by(word: u64, ident: u32) -> u64 {
    word & (EXPOSED | OVERRIDDEN | WAITED) | RUNNING | u64::from(ident) << IDENT_SHIFT
}

impl Future {
    #[inline(always)]
    pub(super) fn new(word: u64) -> Future {
        Future {
            latch: Latch::new(),
            word: AtomicU64::new(word),
            result: Cell::new(ptr::null_mut()),
            exception: Cell::new(ptr::null_mut()),
            callbacks: Cell::new(ptr::null_mut()),
            waiters: Cell::new(ptr::null_mut()),
            condition: Cell::new(ptr::null_mut()),
        }
    }

    /// One that is pending in the pool of this number.
    #[inline(always)]
    pub(crate) fn pending_in(number: u32) -> Future {
        Future::new(u64::from(number) << POOL_SHIFT)
    }

    #[inline(always)]
    pub(super) fn load(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// Under the latch.
    #[inline(always)]
    pub(super) fn store(&self, word: u64) {
        self.word.store(word, Ordering::Release);
    }

    pub(super) fn slots(&self) -> [&Cell<Obj>; 5] {
        [&self.result, &self.exception, &self.callbacks, &self.waiters, &self.condition]
    }
}

impl Body for Future {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        for slot in self.slots() {
            match visit(slot.get()) {
                0 => {}
                stop => return stop,
            }
        }
        0
    }

    unsafe fn clear(this: *mut Future) {
        // SAFETY: alive; each is taken out before it is let go of.
        unsafe {
            for slot in (*this).slots() {
                py::Py_XDECREF(slot.replace(ptr::null_mut()));
            }
        }
    }
}

/// The names of the phases, as `_state` has them.
pub(super) static NAMES: [Once; 5] = [const { Once::new() }; 5];
