//! What may be used on both sides of a `catch_unwind`: whatever may be in `std`.

use lisle::queue::{LifoQueue, PriorityQueue, Queue, SimpleQueue};
use lisle::sync::{Barrier, BoundedSemaphore, Condvar, Event, Lock, Mutex, ReentrantMutex, RwLock, Semaphore};
use lisle::thread::{JoinHandle, Local, Thread};
use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};

const fn both<T: UnwindSafe + RefUnwindSafe + ?Sized>() {}

/// Neither of the two itself.
type Touchy = Cell<&'static mut u8>;

const _: () = {
    both::<Mutex<Touchy>>();
    both::<RwLock<Touchy>>();
    both::<ReentrantMutex<u8>>();
    both::<Barrier>();
    both::<Condvar>();
    both::<Event>();
    both::<Lock>();
    both::<Semaphore>();
    both::<BoundedSemaphore>();
    both::<Queue<Touchy>>();
    both::<SimpleQueue<Touchy>>();
    both::<LifoQueue<Touchy>>();
    both::<PriorityQueue<Touchy>>();
    both::<Local<Touchy>>();
    both::<Thread>();
    both::<JoinHandle<Touchy>>();
};

#[test]
fn a_mutex_and_a_queue_go_through_a_panic() {
    let (mutex, queue) = (Mutex::new(0), Queue::new());
    catch_unwind(|| {
        *mutex.lock() += 1;
        queue.put(2).unwrap();
        panic!("after that");
    })
    .unwrap_err();
    assert_eq!((*mutex.lock(), queue.get()), (1, Ok(2)));
}
