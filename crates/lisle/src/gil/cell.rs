//! `GilCell`: what is reached with a GIL's token only.

use super::raw::RawGil;
use super::{Gil, GilToken};
use crate::park::sys::atomic::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ops::Deref;

/// A value that belongs to whoever holds a [`Gil`]: it can be reached with a token of that GIL, by any
/// thread, and not without.
///
/// A thread may have several tokens of one GIL, so a token gives a shared reference. Put a
/// [`Cell`](std::cell::Cell) or a [`RefCell`](std::cell::RefCell) inside for what shall change; neither
/// needs to be shareable between threads, since one thread at a time is there.
///
/// The reference borrows the token, and [`detach`](GilToken::detach) and
/// [`checkpoint`](GilToken::checkpoint) want the token for themselves: none can be kept where another
/// thread may come in. One that was got through another token of the same thread is found when the
/// program runs: `detach`, and a `checkpoint` that has to hand over, panic then.
///
/// # Examples
/// ```
/// use lisle::gil::{Gil, GilCell};
/// use std::cell::Cell;
/// use std::time::Duration;
///
/// let gil = Gil::new(Duration::from_millis(5));
/// let calls = GilCell::new(&gil, Cell::new(0)); // Cell is not Sync, and need not be
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             let mut token = gil.attach();
///             for _ in 0..100 {
///                 let calls = calls.get(&token);
///                 calls.set(calls.get() + 1);
///                 drop(calls);
///                 token.checkpoint();
///             }
///         });
///     }
/// });
/// assert_eq!(calls.into_inner().get(), 400);
/// ```
pub struct GilCell<T: ?Sized> {
    gil: NonZeroU64,
    value: T,
}

// SAFETY: a shared cell gives out its value to one thread at a time: `get` asks that the calling thread
// holds the GIL of this number, of which there is one. What it gives out keeps the GIL from going to
// another thread (see `GilRef`). So sharing the cell asks no more of `T` than moving it from thread to
// thread.
unsafe impl<T: ?Sized + Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    /// A value for those who hold `gil`.
    pub fn new(gil: &Gil, value: T) -> GilCell<T> {
        GilCell { gil: gil.number(), value }
    }

    /// The value, out of the cell that is given up.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> GilCell<T> {
    /// The value, for a thread that holds the GIL, as long as it does so.
    ///
    /// # Panics
    /// If the token is one of another GIL, or the thread is inside a `detach` of another token.
    #[inline]
    #[track_caller]
    pub fn get<'a>(&'a self, token: &'a GilToken<'_>) -> GilRef<'a, T> {
        let gil = token.gil();
        assert!(gil.is(self.gil), "a value that belongs to one Gil was asked for with a token of another");
        assert!(gil.is_attached(), "a value that belongs to a Gil was asked for inside a detach of its");
        let borrows = gil.raw().borrows();
        let now = borrows.load(Ordering::Relaxed);
        borrows.store(now.checked_add(1).expect("2³² references are more than there can be"), Ordering::Relaxed);
        GilRef { value: &self.value, gil: gil.raw(), stays_here: PhantomData }
    }

    /// The value, without a token: `&mut self` says that nobody else is here.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized> fmt::Debug for GilCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GilCell").finish_non_exhaustive()
    }
}

/// A reference to the value of a [`GilCell`]. While there is one, its thread hands the GIL to nobody.
#[must_use]
pub struct GilRef<'a, T: ?Sized> {
    value: &'a T,
    gil: &'a RawGil,
    /// It is counted by the thread that holds the GIL, and must not leave it.
    stays_here: PhantomData<*const ()>,
}

impl<T: ?Sized> Deref for GilRef<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized> Drop for GilRef<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let borrows = self.gil.borrows();
        borrows.store(borrows.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for GilRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
