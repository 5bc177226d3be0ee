//! What a queue keeps its items in.

use super::bolt::Caller;
use crate::park::sys::atomic::AtomicBool;

/// In which order a [`Queue`](super::Queue) gives its items out: [`Fifo`](super::Fifo),
/// [`Lifo`](super::Lifo) or [`Smallest`](super::Smallest). Not to be implemented elsewhere.
pub trait Store<T>: Items<T> {}

/// Items shared by threads. Nothing here waits, but for the locks inside, which are held for the
/// length of one operation; no destructor of an item runs under them.
///
/// A change comes before a [`cheap_barrier`](crate::park::sys::cheap_barrier) in the same call, so
/// that the caller may look for waiters at once.
pub trait Items<T> {
    /// Puts an item in, or gives it back when there is no room or the store is closed. If it
    /// panics, the item is in.
    fn put(&self, item: T, caller: Caller<'_>) -> Result<(), T>;

    /// Takes the next item out. If it panics, all items are in.
    fn take(&self, caller: Caller<'_>) -> Option<T>;

    /// Takes the next items out, at most `max`, into a vector that has room for so many. If it
    /// panics, all items are in.
    fn take_many(&self, max: usize, into: &mut Vec<T>, caller: Caller<'_>);

    /// Passes the time before looking for room again, where that helps.
    fn rest_before_put(&self) {}

    /// Passes the time before looking for items again, where that helps.
    fn rest_before_take(&self) {}

    /// How many items have been put in so far.
    fn puts(&self) -> usize;

    /// How many items are in.
    fn len(&self) -> usize;

    /// No fewer items than are in, and 0 only if none are: cheaper than [`len`](Items::len), and as
    /// good for who looks again.
    fn len_at_most(&self) -> usize {
        self.len()
    }

    /// How many items have room; `usize::MAX` for any number.
    fn capacity(&self) -> usize;

    /// From now on nothing can be put in. Says so in `closed` before anybody is refused.
    fn close(&self, closed: &AtomicBool, caller: Caller<'_>);
}

/// How far `ahead` is before `behind`, two counts that others raise and of which the second never
/// overtakes the first: a number that was true at one moment, since `ahead` is found unchanged
/// after the look at `behind`. If it never is, somebody else is very busy, and the answer is a
/// lower bound.
pub(super) fn lead(ahead: impl Fn() -> usize, behind: impl Fn() -> usize) -> usize {
    const TRIES: u32 = 64;
    let mut before = ahead();
    for _ in 0..TRIES {
        let lead = before.wrapping_sub(behind());
        let after = ahead();
        if after == before {
            return lead;
        }
        before = after;
    }
    (before.wrapping_sub(behind()) as isize).max(0) as usize
}
