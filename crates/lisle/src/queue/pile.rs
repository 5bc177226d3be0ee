//! Last in, first out; and smallest first: a vector with one lock.

use super::bolt::Caller;
use super::store::{Items, Store};
use crate::park::Kind;
use crate::park::sys::{self, atomic::AtomicBool, atomic::AtomicUsize, atomic::Ordering, const_fn};
use crate::sync::{Mutex, MutexGuard};

/// Items of which the last one that came goes first.
pub type Lifo<T> = Pile<Stack<T>>;

/// Items of which the smallest goes first, of equal ones the one that came first.
pub type Smallest<T> = Pile<Heap<T>>;

/// A vector of items that one thread at a time uses. Its lock is an owned one, because users' code
/// (the comparison of items) runs under it.
pub struct Pile<H> {
    inside: Mutex<Inside<H>>,
    capacity: usize,
    /// Items put so far, and items in: written under the lock.
    puts: AtomicUsize,
    len: AtomicUsize,
}

struct Inside<H> {
    heap: H,
    /// How many items may be in: the capacity, or 0 once closed.
    limit: usize,
}

/// How a vector is ordered. Whatever panics on the way, no item is lost; order may be.
pub trait Order<T> {
    /// Adds an item, anywhere.
    fn lay(&mut self, item: T);

    /// Restores the order after `lay`.
    fn settle(&mut self);

    /// Brings the next `count` items, of so many at least, to where `pop` takes them from.
    fn bring(&mut self, count: usize);

    /// Takes out the next item that was brought.
    fn pop(&mut self) -> Option<T>;
}

impl<H> Pile<H> {
    const_fn! {
        #[track_caller]
        const fn with(heap: H, capacity: usize) -> Pile<H> {
            Pile {
                inside: Mutex::new(Inside { heap, limit: capacity }),
                capacity,
                puts: AtomicUsize::new(0),
                len: AtomicUsize::new(0),
            }
        }
    }

    fn lock(&self, caller: Caller<'_>) -> MutexGuard<'_, Inside<H>> {
        self.inside.lock_as(Kind::QueueLock, caller.site)
    }

    /// Changes a count that only holders of the lock change.
    fn add(&self, count: &AtomicUsize, change: usize) {
        count.store(count.load(Ordering::Relaxed).wrapping_add(change), Ordering::Release);
    }
}

impl<T> Lifo<T> {
    const_fn! {
        #[track_caller]
        pub(super) const fn new(capacity: usize) -> Lifo<T> {
            Pile::with(Stack(Vec::new()), capacity)
        }
    }
}

impl<T> Smallest<T> {
    const_fn! {
        #[track_caller]
        pub(super) const fn new(capacity: usize) -> Smallest<T> {
            Pile::with(Heap { slots: Vec::new(), laid: 0 }, capacity)
        }
    }
}

/// The barrier at the end of a change, whichever way the call ends.
struct Barrier;

impl Drop for Barrier {
    fn drop(&mut self) {
        sys::cheap_barrier();
    }
}

impl<T, H: Order<T>> Store<T> for Pile<H> {}

impl<T, H: Order<T>> Items<T> for Pile<H> {
    fn put(&self, item: T, caller: Caller<'_>) -> Result<(), T> {
        let _after = Barrier;
        let mut inside = self.lock(caller);
        if self.len() >= inside.limit {
            return Err(item);
        }
        inside.heap.lay(item);
        self.add(&self.puts, 1);
        self.add(&self.len, 1);
        inside.heap.settle();
        Ok(())
    }

    fn take(&self, caller: Caller<'_>) -> Option<T> {
        let _after = Barrier;
        let mut inside = self.lock(caller);
        inside.heap.bring(self.len().min(1));
        let item = inside.heap.pop()?;
        self.add(&self.len, 1_usize.wrapping_neg());
        Some(item)
    }

    fn take_many(&self, max: usize, into: &mut Vec<T>, caller: Caller<'_>) {
        let _after = Barrier;
        let mut inside = self.lock(caller);
        let count = self.len().min(max);
        inside.heap.bring(count);
        into.extend((0..count).map_while(|_| inside.heap.pop()));
        self.add(&self.len, count.wrapping_neg());
    }

    fn puts(&self) -> usize {
        self.puts.load(Ordering::Acquire)
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn close(&self, closed: &AtomicBool, caller: Caller<'_>) {
        let mut inside = self.lock(caller);
        inside.limit = 0;
        closed.store(true, Ordering::Release);
    }
}

/// The last is the next.
pub struct Stack<T>(Vec<T>);

impl<T> Order<T> for Stack<T> {
    fn lay(&mut self, item: T) {
        self.0.push(item);
    }

    fn settle(&mut self) {}

    fn bring(&mut self, _count: usize) {}

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
}

/// A binary heap: no slot is before its parent, `(index - 1) / 2`. The standard one would lose the
/// item in its hand when a comparison panics, so this one only ever swaps.
pub struct Heap<T> {
    slots: Vec<(T, u64)>,
    /// How many items were laid so far: each takes its number along.
    laid: u64,
}

impl<T: Ord> Heap<T> {
    fn is_before(&self, a: usize, b: usize) -> bool {
        let ((a, a_number), (b, b_number)) = (&self.slots[a], &self.slots[b]);
        a.cmp(b).then(a_number.cmp(b_number)).is_lt()
    }

    /// Lets the item at the top sink to its place among the first `len`.
    fn sink(&mut self, len: usize) {
        let mut at = 0;
        loop {
            let children = 2 * at + 1..len.min(2 * at + 3);
            let Some(child) = children.reduce(|a, b| if self.is_before(b, a) { b } else { a }) else { return };
            if !self.is_before(child, at) {
                return;
            }
            self.slots.swap(child, at);
            at = child;
        }
    }
}

impl<T: Ord> Order<T> for Heap<T> {
    fn lay(&mut self, item: T) {
        self.slots.push((item, self.laid));
        self.laid += 1;
    }

    fn settle(&mut self) {
        let mut at = self.slots.len() - 1;
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.slots.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn bring(&mut self, count: usize) {
        let all = self.slots.len();
        for last in (all - count..all).rev() {
            self.slots.swap(0, last);
            self.sink(last);
        }
    }

    fn pop(&mut self) -> Option<T> {
        self.slots.pop().map(|(item, _)| item)
    }
}
