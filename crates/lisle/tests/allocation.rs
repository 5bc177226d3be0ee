//! A thread that waits allocates nothing for it.

use lisle::queue::Queue;
use lisle::sync::{Barrier, BoundedSemaphore, Condvar, Event, Lock, Mutex, ReentrantMutex, RwLock, Semaphore};
use lisle::thread;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

struct Counting;

thread_local!(static COUNT: Cell<usize> = const { Cell::new(0) });

// SAFETY: the system's allocator does the work; the count is a thread local without a destructor,
// which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: likewise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Asserts that `wait`, which times out, allocates nothing; a first call may set things up.
fn is_free<T, E>(what: &str, wait: impl Fn(Duration) -> Result<T, E>) {
    // Shorter than it takes until a wait is looked at for deadlock, which does allocate.
    const LIMIT: Duration = Duration::from_millis(1);
    for first in [true, false] {
        let before = COUNT.get();
        assert!(wait(LIMIT).is_err(), "{what} did not wait");
        assert!(first || COUNT.get() == before, "{what} allocated {} times", COUNT.get() - before);
    }
}

#[test]
fn the_count_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(COUNT.get(), before + 1);
}

#[test]
fn no_wait_allocates() {
    let (mutex, reentrant, rwlock) = (Mutex::new(()), ReentrantMutex::new(()), RwLock::new(()));
    let (lock, full, empty) = (Lock::new(), Queue::bounded(1), Queue::<i32>::new());
    let held = (mutex.lock(), reentrant.lock(), rwlock.write());
    lock.acquire().unwrap();
    full.put(0).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            is_free("Mutex", |d| mutex.lock_for(d).map(drop));
            is_free("ReentrantMutex", |d| reentrant.lock_for(d).map(drop));
            is_free("RwLock, read", |d| rwlock.read_for(d).map(drop));
            is_free("RwLock, write", |d| rwlock.write_for(d).map(drop));
            is_free("Lock", |d| lock.acquire_for(d));
            is_free("Queue, put", |d| full.put_for(1, d));
            is_free("Queue, get", |d| empty.get_for(d));
            is_free("Queue, join", |d| full.join_for(d));
        });
        waiter.join().unwrap();
    });
    drop(held);
    let (semaphore, bounded, event) = (Semaphore::new(0), BoundedSemaphore::new(1), Event::new());
    bounded.acquire().unwrap();
    is_free("Semaphore", |d| semaphore.acquire_for(d));
    is_free("BoundedSemaphore", |d| bounded.acquire_for(d));
    is_free("Event", |d| event.wait_for(d));
    let condvar = Condvar::new();
    let mut guard = mutex.lock();
    for first in [true, false] {
        let before = COUNT.get();
        assert!(condvar.wait_for(&mut guard, Duration::from_millis(1)).is_err());
        assert!(first || COUNT.get() == before, "Condvar allocated");
    }
    let barrier = Barrier::new(2);
    is_free("Barrier", |d| {
        let ended = barrier.wait_for(d);
        barrier.reset();
        ended
    });
}

#[test]
fn small_things_are_small() {
    assert!(size_of::<Lock>() <= 8);
    assert!(size_of::<Event>() <= 8);
    assert!(size_of::<Semaphore>() <= 8);
    assert!(size_of::<Condvar>() <= 8);
    assert!(size_of::<Mutex<()>>() <= 16);
}
