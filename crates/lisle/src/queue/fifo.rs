//! First in, first out: a chain of blocks with a lock at each end.
//!
//! Who puts and who gets do not meet: each end has its lock, and an index which it alone moves and
//! the other end only reads, when what it knew of it is used up. (M. Michael and M. Scott's
//! two-lock queue, with blocks instead of nodes.) So an operation costs one compare-and-swap.

use super::bolt::{Bolt, Caller};
use super::store::{Items, Store, lead};
use crate::park::sys::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::park::sys::const_fn;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// Items per block.
const SLOTS: usize = 64;

struct Block<T> {
    slots: [UnsafeCell<MaybeUninit<T>>; SLOTS],
    /// The next block; written once, before the first item in it is shown.
    next: UnsafeCell<*mut Block<T>>,
}

/// On cache lines of its own (two: processors fetch them in pairs).
#[repr(align(128))]
struct Apart<V>(V);

/// Items in the order in which they came.
pub struct Fifo<T> {
    back: Apart<Back<T>>,
    front: Apart<Front<T>>,
}

struct Back<T> {
    /// Items put so far. Written with the lock held; item `i` is in slot `i % SLOTS` of its block.
    puts: AtomicUsize,
    end: Bolt<BackEnd<T>>,
    rhythm: Rhythm,
    capacity: usize,
}

struct BackEnd<T> {
    /// The block of the last item; null before the first.
    block: *mut Block<T>,
    /// The number of the first item that may not be put, as far as is known.
    full_at: usize,
    /// How many items may be in: the capacity, or 0 once closed.
    limit: usize,
}

struct Front<T> {
    /// Items taken so far. Written with the lock held.
    takes: AtomicUsize,
    end: Bolt<FrontEnd<T>>,
    rhythm: Rhythm,
    /// The first block of all. Written once, by the back, before the first item is shown.
    first: UnsafeCell<*mut Block<T>>,
    /// A block for the back to use again. Only the front makes it non-null, only the back null.
    spare: AtomicPtr<Block<T>>,
}

struct FrontEnd<T> {
    /// The block of the last item taken; null before the first.
    block: *mut Block<T>,
    /// What `puts` was when last looked at.
    puts_seen: usize,
}

// SAFETY: the blocks belong to the queue and hold items, which may change threads if `T` may.
unsafe impl<T: Send> Send for BackEnd<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Send for FrontEnd<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Send for Front<T> {}
// SAFETY: `first` is written by one thread before any other reads it (`puts` tells them), and
// items are only moved in and out, never shared.
unsafe impl<T: Send> Sync for Front<T> {}

/// Half a microsecond or so, as much as [`spin`](crate::park::spin) pauses altogether.
const MOST_PAUSES: u32 = 64;

/// How long a thread that has caught up with the other end leaves that end alone before it looks
/// again.
///
/// A look takes the other end's cache line away, and what it finds is gone at once if the other
/// end is just about its next item. While both ends run, it pays to let some items gather first.
/// Where they take turns (a question, an answer), it would only delay. The two are told apart by
/// the number of items between two times of having caught up.
///
/// No model needs to know of it: these are numbers, not a protocol.
struct Rhythm {
    pauses: std::sync::atomic::AtomicU32,
    /// The most pauses: not longer than what fills the queue, or empties it.
    most: u32,
    /// The index of this end when it last had caught up.
    caught_up_at: std::sync::atomic::AtomicUsize,
}

impl Rhythm {
    const fn new(capacity: usize) -> Rhythm {
        use std::sync::atomic::{AtomicU32, AtomicUsize};
        let most = if capacity < 8 * MOST_PAUSES as usize { capacity as u32 / 8 } else { MOST_PAUSES };
        Rhythm { pauses: AtomicU32::new(0), most, caught_up_at: AtomicUsize::new(0) }
    }

    /// This end has caught up with the other one at item number `at`; its lock is held.
    #[cold]
    fn catch_up(&self, at: usize) {
        let pauses = self.pauses.load(Ordering::Relaxed);
        let run = at.wrapping_sub(self.caught_up_at.load(Ordering::Relaxed));
        let pauses = match run {
            0 => return,
            1 => pauses / 2,
            _ => (pauses * 2 + 1).min(self.most),
        };
        self.pauses.store(pauses, Ordering::Relaxed);
        self.caught_up_at.store(at, Ordering::Relaxed);
    }

    fn pause(&self) {
        for _ in 0..self.pauses.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }
}

impl<T> Fifo<T> {
    const_fn! {
        pub(super) const fn new(capacity: usize) -> Fifo<T> {
            Fifo {
                back: Apart(Back {
                    puts: AtomicUsize::new(0),
                    end: Bolt::new(BackEnd { block: ptr::null_mut(), full_at: capacity, limit: capacity }),
                    rhythm: Rhythm::new(capacity),
                    capacity,
                }),
                front: Apart(Front {
                    takes: AtomicUsize::new(0),
                    end: Bolt::new(FrontEnd { block: ptr::null_mut(), puts_seen: 0 }),
                    rhythm: Rhythm::new(capacity),
                    first: UnsafeCell::new(ptr::null_mut()),
                    spare: AtomicPtr::new(ptr::null_mut()),
                }),
            }
        }
    }

    /// Whether item number `at` may be put now, which the back did not know to be so.
    #[inline]
    fn look_for_room(&self, end: &mut BackEnd<T>, at: usize) -> bool {
        let takes = self.front.0.takes.load(Ordering::Acquire);
        let room = at.wrapping_sub(takes) < end.limit;
        if room {
            end.full_at = takes.wrapping_add(end.limit);
        }
        room
    }

    /// Appends a block; the lock of the back is held.
    fn append(&self, end: &mut BackEnd<T>) {
        let front = &self.front.0;
        let mut block = front.spare.load(Ordering::Acquire);
        if block.is_null() {
            let new: Box<MaybeUninit<Block<T>>> = Box::new_uninit();
            block = Box::into_raw(new).cast();
        } else {
            front.spare.store(ptr::null_mut(), Ordering::Relaxed);
        }
        let link = match NonNull::new(end.block) {
            None => front.first.get(),
            // SAFETY: the front leaves the last block only when there is a next one.
            Some(last) => unsafe { (*last.as_ptr()).next.get() },
        };
        // SAFETY: nobody reads the link before `puts` says that the new block has an item.
        unsafe { *link = block };
        end.block = block;
    }

    /// Moves on to the next block, which there is; the lock of the front is held.
    fn advance(&self, end: &mut FrontEnd<T>) {
        let front = &self.front.0;
        let old = end.block;
        // SAFETY: `puts` has told of an item in the next block, after the link to it was written;
        // the old block is ours to leave.
        end.block = unsafe {
            match NonNull::new(old) {
                None => *front.first.get(),
                Some(old) => *(*old.as_ptr()).next.get(),
            }
        };
        if old.is_null() {
            return;
        }
        if front.spare.load(Ordering::Relaxed).is_null() {
            front.spare.store(old, Ordering::Release);
        } else {
            // SAFETY: it came from a box in `append`, all its items are out, and nobody has it.
            unsafe { free(old) };
        }
    }

    /// Takes item number `at` out, which is in; the lock of the front is held.
    #[inline(always)]
    fn pop(&self, end: &mut FrontEnd<T>, at: usize) -> T {
        if at.is_multiple_of(SLOTS) {
            self.advance(end);
        }
        // SAFETY: `block` is the block of item `at`; the item was written before `puts` told so,
        // and nobody has taken it, because `takes` is `at` and only we move it on.
        unsafe { (*(*end.block).slots[at % SLOTS].get()).assume_init_read() }
    }

    /// How many items are in that the front knows of, having looked again if it knew of none.
    #[inline(always)]
    fn available(&self, end: &mut FrontEnd<T>, at: usize) -> usize {
        if end.puts_seen == at {
            end.puts_seen = self.back.0.puts.load(Ordering::Acquire);
        }
        end.puts_seen.wrapping_sub(at)
    }
}

/// Frees a block, not the items in it.
///
/// # Safety
/// It came from `append`, and nobody uses it any more.
unsafe fn free<T>(block: *mut Block<T>) {
    // SAFETY: `append` made it of a box of this type.
    drop(unsafe { Box::from_raw(block.cast::<MaybeUninit<Block<T>>>()) });
}

impl<T> Store<T> for Fifo<T> {}

impl<T> Items<T> for Fifo<T> {
    #[inline(always)]
    fn put(&self, item: T, caller: Caller<'_>) -> Result<(), T> {
        let back = &self.back.0;
        let mut end = back.end.lock(caller);
        let at = back.puts.load(Ordering::Relaxed);
        if at == end.full_at && !self.look_for_room(&mut end, at) {
            back.rhythm.catch_up(at);
            return Err(item);
        }
        if at.is_multiple_of(SLOTS) {
            self.append(&mut end);
        }
        // SAFETY: `block` is the block of item `at`, whose slot nobody reads before `puts` says so.
        unsafe { (*(*end.block).slots[at % SLOTS].get()).write(item) };
        back.puts.store(at.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    #[inline(always)]
    fn take(&self, caller: Caller<'_>) -> Option<T> {
        let front = &self.front.0;
        let mut end = front.end.lock(caller);
        let at = front.takes.load(Ordering::Relaxed);
        if self.available(&mut end, at) == 0 {
            front.rhythm.catch_up(at);
            return None;
        }
        let item = self.pop(&mut end, at);
        front.takes.store(at.wrapping_add(1), Ordering::Release);
        Some(item)
    }

    fn rest_before_put(&self) {
        self.back.0.rhythm.pause();
    }

    fn rest_before_take(&self) {
        self.front.0.rhythm.pause();
    }

    fn take_many(&self, max: usize, into: &mut Vec<T>, caller: Caller<'_>) {
        let front = &self.front.0;
        let mut end = front.end.lock(caller);
        let mut at = front.takes.load(Ordering::Relaxed);
        end.puts_seen = self.back.0.puts.load(Ordering::Acquire);
        for _ in 0..end.puts_seen.wrapping_sub(at).min(max) {
            into.push(self.pop(&mut end, at));
            at = at.wrapping_add(1);
        }
        front.takes.store(at, Ordering::Release);
    }

    fn puts(&self) -> usize {
        self.back.0.puts.load(Ordering::Acquire)
    }

    fn len(&self) -> usize {
        lead(|| self.puts(), || self.front.0.takes.load(Ordering::Acquire))
    }

    #[inline]
    fn len_at_most(&self) -> usize {
        // In this order: the back is never behind the front.
        let takes = self.front.0.takes.load(Ordering::Acquire);
        let puts = self.back.0.puts.load(Ordering::Acquire);
        puts.wrapping_sub(takes).min(self.back.0.capacity)
    }

    fn capacity(&self) -> usize {
        self.back.0.capacity
    }

    fn close(&self, closed: &AtomicBool, caller: Caller<'_>) {
        let mut end = self.back.0.end.lock(caller);
        end.limit = 0;
        end.full_at = self.back.0.puts.load(Ordering::Relaxed);
        closed.store(true, Ordering::Release);
    }
}

impl<T> Drop for Fifo<T> {
    fn drop(&mut self) {
        let takes = self.front.0.takes.load(Ordering::Relaxed);
        let puts = self.back.0.puts.load(Ordering::Relaxed);
        let nothing = FrontEnd { block: ptr::null_mut(), puts_seen: 0 };
        let end = std::mem::replace(self.front.0.end.get_mut(), nothing);
        Rest { fifo: self, end, takes, puts }.drop_all();
    }
}

/// What is in when the queue goes. Also what an item whose destructor panics leaves, as in a vector.
struct Rest<'a, T> {
    fifo: &'a Fifo<T>,
    end: FrontEnd<T>,
    takes: usize,
    puts: usize,
}

impl<T> Rest<'_, T> {
    fn drop_all(&mut self) {
        while self.takes != self.puts {
            let at = self.takes;
            self.takes = at.wrapping_add(1);
            drop(self.fifo.pop(&mut self.end, at));
        }
    }
}

impl<T> Drop for Rest<'_, T> {
    fn drop(&mut self) {
        self.drop_all();
        for block in [self.end.block, self.fifo.front.0.spare.load(Ordering::Relaxed)] {
            if !block.is_null() {
                // SAFETY: both came from `append`; the front's is the last one, since no item is
                // left, and the spare one is in no chain.
                unsafe { free(block) };
            }
        }
    }
}
