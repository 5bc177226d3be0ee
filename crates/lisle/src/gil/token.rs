//! `GilToken`: the proof that a thread is attached.
#![forbid(unsafe_code)]

use super::Gil;
use super::raw::RawGil;
use crate::park::Site;
use crate::park::current;
use crate::park::sys::atomic::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

/// The calling thread is attached to a [`Gil`]. It lets go when its last token is dropped, also by a panic.
///
/// A token stays with its thread. One that is forgotten leaves the GIL with the thread; when that has ended,
/// the GIL is *orphaned*, and who waits for it is told.
#[must_use = "the thread is detached at once if the token is not kept"]
pub struct GilToken<'a> {
    gil: &'a Gil,
    stays_here: PhantomData<*const ()>,
}

impl<'a> GilToken<'a> {
    /// To be made by a thread that has attached.
    #[inline(always)]
    pub(super) fn new(gil: &'a Gil) -> GilToken<'a> {
        GilToken { gil, stays_here: PhantomData }
    }

    /// The GIL of which this is a token.
    #[inline(always)]
    pub fn gil(&self) -> &'a Gil {
        self.gil
    }

    /// A place at which the GIL may go to another thread: to one that is due, if there is one. This thread
    /// then waits for its next turn, which an interrupt does not end. To be called often: what the thread
    /// does between two checkpoints is what others wait for at least.
    ///
    /// Costs one relaxed load if nobody is due.
    ///
    /// # Panics
    /// If somebody is due and another token of this thread is lent to a [`GilRef`](super::GilRef), or if the
    /// thread is inside a `detach` of another token. In a build with debug assertions the first is found
    /// also when nobody is due.
    #[inline(always)]
    #[track_caller]
    pub fn checkpoint(&mut self) {
        debug_assert!(!self.gil.is_attached() || self.raw().borrows().load(Ordering::Relaxed) == 0, "{LENT}");
        if self.raw().is_asked() {
            self.checkpoint_slow(Location::caller());
        }
    }

    #[cold]
    #[track_caller]
    fn checkpoint_slow(&mut self, site: Site) {
        self.check();
        self.raw().hand_over(site);
    }

    /// Lets go of the GIL, with all tokens of the thread, calls `blocking`, and takes it again, however
    /// `blocking` ends. Others may have it meanwhile; what they changed has changed when this returns.
    ///
    /// Taking it again waits as [`attach`](Gil::attach) does, but cannot fail: an interrupt stays pending,
    /// and in a deadlock another of the waits gets the error.
    ///
    /// `blocking` must not make use of another token of this thread that it can reach by reference: a `&GilToken`
    /// is no proof in there that the thread is attached. What asks for one panics, as said there.
    ///
    /// # Panics
    /// If another token of this thread is lent to a [`GilRef`](super::GilRef), or the thread is already
    /// inside a `detach`.
    #[inline]
    #[track_caller]
    pub fn detach<R>(&mut self, blocking: impl FnOnce() -> R) -> R {
        self.check();
        let raw = self.raw();
        let _back = Back { raw, mine: raw.owner(), again: raw.swap_again(0), site: Location::caller() };
        raw.release();
        blocking()
    }

    /// The thread must have the GIL, and nobody a reference that ends with it.
    #[inline(always)]
    #[track_caller]
    fn check(&self) {
        assert!(self.gil.is_attached(), "a token was used inside a detach of another one");
        assert!(self.raw().borrows().load(Ordering::Relaxed) == 0, "{LENT}");
    }

    #[inline(always)]
    fn raw(&self) -> &'a RawGil {
        self.gil.raw()
    }
}

const LENT: &str = "the GIL cannot be given away: a value of a GilCell is in use by way of another token";

/// Its drop ends a detach.
struct Back<'a> {
    raw: &'a RawGil,
    mine: u64,
    again: u32,
    site: Site,
}

impl Drop for Back<'_> {
    #[inline]
    fn drop(&mut self) {
        self.raw.come_back(self.mine, self.again, self.site);
    }
}

impl Drop for GilToken<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.gil.is_attached() {
            drop_outside();
        } else if !self.raw().unnest() {
            if self.raw().borrows().load(Ordering::Relaxed) == 0 {
                self.raw().release();
            } else {
                drop_lent();
            }
        }
    }
}

/// The last token of a hold goes while a value is lent: by way of a token whose detach goes on, or the
/// reference was leaked. Another thread must not come in beside it, so this one keeps the GIL.
#[cold]
fn drop_lent() {
    if !std::thread::panicking() {
        panic!("{LENT}");
    }
}

/// A token was dropped where its thread has no GIL to let go of.
#[cold]
fn drop_outside() {
    // At the end of a thread, in the destructor of a thread local, it is too late to let go: the GIL is
    // orphaned. Inside a detach it is a mistake that would keep the thread attached for ever.
    if current::ident_if_known() != 0 && !std::thread::panicking() {
        panic!("a token was dropped inside a detach of another one");
    }
}

impl fmt::Debug for GilToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GilToken").field("gil", self.gil).finish()
    }
}
