//! Every interleaving of a few threads on a queue, deadlines and interrupts included.
//!
//! `make model` runs these. A deadline is a thread that lets it pass at any time, an interrupt a
//! thread that calls it at any time. What a model asserts besides its outcomes: loom itself fails
//! on a thread that sleeps for ever, and on an item that is read without order after its writing.

use super::{GetError, PutError, Queue, Shutdown};
use crate::park::current;
use crate::park::model::{clock, deadline, interrupter};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

/// An item whose reading loom checks against its writing.
struct Item(UnsafeCell<usize>);

impl Item {
    fn new(number: usize) -> Item {
        let item = Item(UnsafeCell::new(0));
        item.0.with_mut(|at| {
            // SAFETY: loom checks that nobody else is here.
            unsafe { *at = number }
        });
        item
    }

    fn number(self) -> usize {
        self.0.with(|at| {
            // SAFETY: loom checks that nobody writes.
            unsafe { *at }
        })
    }
}

type Shelf = Arc<Queue<Item>>;

fn put(queue: &Shelf, number: usize) -> thread::JoinHandle<()> {
    let queue = queue.clone();
    thread::spawn(move || queue.put(Item::new(number)).unwrap())
}

fn get(queue: &Shelf) -> thread::JoinHandle<usize> {
    let queue = queue.clone();
    thread::spawn(move || queue.get().unwrap().number())
}

fn drained(queue: &Shelf) -> Vec<usize> {
    std::iter::from_fn(|| queue.try_get().ok()).map(Item::number).collect()
}

#[test]
fn a_full_queue_hands_over() {
    loom::model(|| {
        let queue = Arc::new(Queue::bounded(1));
        let other = queue.clone();
        let putter = thread::spawn(move || {
            for number in 1..=2 {
                other.put(Item::new(number)).unwrap();
            }
        });
        assert_eq!(queue.get().unwrap().number(), 1);
        assert_eq!(queue.get().unwrap().number(), 2);
        putter.join().unwrap();
    });
}

#[test]
fn two_getters_get_one_item_each() {
    loom::model(|| {
        let queue = Arc::new(Queue::unbounded());
        let getters = [get(&queue), get(&queue)];
        queue.put(Item::new(1)).unwrap();
        queue.put(Item::new(2)).unwrap();
        let mut got = getters.map(|getter| getter.join().unwrap());
        got.sort();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn two_putters_find_room() {
    loom::model(|| {
        let queue = Arc::new(Queue::bounded(1));
        let putters = [put(&queue, 1), put(&queue, 2)];
        let mut got = [(); 2].map(|()| queue.get().unwrap().number());
        for putter in putters {
            putter.join().unwrap();
        }
        got.sort();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn a_get_times_out_or_gets() {
    loom::model(|| {
        let queue = Arc::new(Queue::bounded(1));
        let putter = put(&queue, 1);
        let clock = clock(current::get());
        let got = queue.get_until(deadline());
        putter.join().unwrap();
        clock.join().unwrap();
        match got {
            Ok(item) => assert_eq!(item.number(), 1),
            Err(error) => {
                assert_eq!(error, GetError::TimedOut);
                assert_eq!(drained(&queue), [1], "it is still there");
            }
        }
    });
}

#[test]
fn a_wake_up_is_not_lost_to_a_timeout() {
    loom::model(|| {
        let queue = Arc::new(Queue::unbounded());
        // Two wait, one of them with a deadline: whatever becomes of that one, the other must get
        // the item if that one does not, or loom reports a thread that sleeps for ever.
        let patient = get(&queue);
        let other = queue.clone();
        let hasty = thread::spawn(move || {
            let clock = clock(current::get());
            let got = other.get_until(deadline()).is_ok();
            clock.join().unwrap();
            got
        });
        queue.put(Item::new(1)).unwrap();
        if hasty.join().unwrap() {
            queue.put(Item::new(2)).unwrap();
        }
        patient.join().unwrap();
    });
}

#[test]
fn a_wake_up_is_not_lost_to_an_interrupt() {
    loom::model(|| {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(Item::new(0)).unwrap();
        let patient = put(&queue, 1);
        let other = queue.clone();
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let getter = thread::spawn(move || other.get().unwrap().number());
        let mine = match queue.put(Item::new(2)) {
            Ok(()) => 1,
            Err(PutError::Interrupted(item)) => {
                assert_eq!(item.number(), 2);
                0
            }
            Err(error) => panic!("{error}"),
        };
        interrupter.join().unwrap();
        assert_eq!(getter.join().unwrap(), 0);
        if mine == 1 {
            queue.get().unwrap();
        }
        patient.join().unwrap();
        assert_eq!(mine == 1, me.take_interrupt(), "an interrupt that ended nothing is pending");
    });
}

#[test]
fn an_end_is_seen_by_who_sleeps_and_who_comes() {
    loom::model(|| {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(Item::new(0)).unwrap();
        let other = queue.clone();
        let putter = thread::spawn(move || match other.put(Item::new(1)) {
            Ok(()) => 1,
            Err(PutError::ShutDown(item)) => {
                assert_eq!(item.number(), 1);
                0
            }
            Err(error) => panic!("{error}"),
        });
        let other = queue.clone();
        let getter = thread::spawn(move || {
            let mut count = 0;
            while let Ok(item) = other.get() {
                assert_eq!(item.number(), count);
                count += 1;
            }
            count
        });
        queue.shutdown(Shutdown::Drain);
        let put = putter.join().unwrap();
        assert_eq!(getter.join().unwrap(), 1 + put);
    });
}

#[test]
fn an_immediate_end_leaves_nothing() {
    loom::model(|| {
        let queue = Arc::new(Queue::unbounded());
        let other = queue.clone();
        let putter = thread::spawn(move || other.put(Item::new(1)).is_ok());
        queue.shutdown(Shutdown::Immediate);
        assert!(queue.is_empty() && queue.unfinished() == 0);
        putter.join().unwrap();
        assert!(queue.is_empty() && queue.unfinished() == 0);
    });
}

#[test]
fn join_is_released_by_the_last_task() {
    loom::model(|| {
        let queue = Arc::new(Queue::unbounded());
        queue.put(Item::new(1)).unwrap();
        queue.put(Item::new(2)).unwrap();
        let workers = [(); 2].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.get().unwrap();
                queue.task_done().unwrap();
            })
        });
        queue.join().unwrap();
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
