//! What needs to see threads asleep.

use super::store::Items;
use super::{GetError, LifoQueue, PriorityQueue, PutError, Queue, Shutdown, SimpleQueue};
use crate::WaitError;
use crate::park::{current, deadlock};
use crate::sync::testing::spawn;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn an_item_ends_the_wait_for_it() {
    let queue = Arc::new(Queue::new());
    let getter = spawn({
        let queue = queue.clone();
        move || queue.get()
    });
    getter.falls_asleep();
    queue.put(5).unwrap();
    assert_eq!(getter.join(), Ok(5));
    let simple = Arc::new(SimpleQueue::new());
    let getter = spawn({
        let simple = simple.clone();
        move || simple.get()
    });
    getter.falls_asleep();
    simple.put(6);
    assert_eq!(getter.join(), Ok(6));
}

#[test]
fn room_ends_the_wait_for_it() {
    let queue = Arc::new(Queue::bounded(1));
    queue.put(1).unwrap();
    let putter = spawn({
        let queue = queue.clone();
        move || queue.put(2)
    });
    putter.falls_asleep();
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(putter.join(), Ok(()));
    assert_eq!(queue.get(), Ok(2));
}

#[test]
fn getters_are_woken_in_the_order_of_their_sleep() {
    let queue = Arc::new(Queue::new());
    let getters: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            let getter = spawn(move || queue.get().unwrap());
            getter.falls_asleep();
            getter
        })
        .collect();
    for (item, getter) in getters.into_iter().enumerate() {
        queue.put(item).unwrap();
        assert_eq!(getter.join(), item);
    }
}

#[test]
fn putters_are_woken_in_the_order_of_their_sleep() {
    let queue = Arc::new(Queue::bounded(1));
    queue.put(0).unwrap();
    let putters: Vec<_> = (1..4)
        .map(|item| {
            let queue = queue.clone();
            let putter = spawn(move || queue.put(item));
            putter.falls_asleep();
            putter
        })
        .collect();
    for (item, putter) in putters.into_iter().enumerate() {
        assert_eq!(queue.get(), Ok(item));
        putter.join().unwrap();
    }
    assert_eq!(queue.get(), Ok(3));
}

#[test]
fn many_at_once_wake_as_many() {
    let queue = Arc::new(Queue::bounded(3));
    queue.put_many(0..3).unwrap();
    let putters: Vec<_> = (3..6)
        .map(|item| {
            let queue = queue.clone();
            let putter = spawn(move || queue.put(item));
            putter.falls_asleep();
            putter
        })
        .collect();
    assert_eq!(queue.get_many(10).unwrap(), [0, 1, 2]);
    for putter in putters {
        putter.join().unwrap();
    }
    let mut rest = queue.get_many(10).unwrap();
    rest.sort();
    assert_eq!(rest, [3, 4, 5]);
}

#[test]
fn an_interrupt_ends_each_wait() {
    let queue = Arc::new(Queue::bounded(1));
    let waiter = spawn({
        let queue = queue.clone();
        move || {
            let got = queue.get();
            queue.put(1).unwrap();
            (got, queue.put(2), queue.join())
        }
    });
    let until_waiting = |kind| {
        while deadlock::waiting(&waiter.record).is_none_or(|waiting| waiting.kind != kind) {
            std::thread::yield_now();
        }
    };
    until_waiting(crate::Kind::QueueGet);
    waiter.record.interrupt();
    until_waiting(crate::Kind::QueuePut);
    waiter.record.interrupt();
    until_waiting(crate::Kind::QueueJoin);
    waiter.record.interrupt();
    let (got, put, joined) = waiter.join();
    assert_eq!(got, Err(GetError::Interrupted));
    assert_eq!(put, Err(PutError::Interrupted(2)));
    assert!(matches!(joined, Err(WaitError::Interrupted)));
    assert_eq!(queue.get(), Ok(1), "the interrupted put left nothing behind");
    assert!(queue.is_empty());
}

#[test]
fn an_interrupt_stays_pending_where_nothing_waits() {
    let queue = Queue::bounded(1);
    let me = current::get();
    me.interrupt();
    queue.put(1).unwrap();
    assert_eq!(queue.get(), Ok(1));
    assert!(me.is_interrupted());
    assert_eq!(queue.get(), Err(GetError::Interrupted));
    assert!(!me.is_interrupted());
}

#[test]
fn an_interrupt_ends_an_iteration_and_stays_pending() {
    let queue = Queue::new();
    queue.put_many([1, 2]).unwrap();
    let me = current::get();
    me.interrupt();
    assert_eq!(queue.iter().collect::<Vec<_>>(), [1, 2]);
    assert!(me.take_interrupt());
}

#[test]
fn an_end_wakes_everybody() {
    for how in [Shutdown::Drain, Shutdown::Immediate] {
        let empty = Arc::new(Queue::<u8>::new());
        let full = Arc::new(Queue::bounded(1));
        full.put(0).unwrap();
        let getters = [(); 3].map(|()| {
            let empty = empty.clone();
            spawn(move || empty.get())
        });
        let putters = [1, 2, 3].map(|item| {
            let full = full.clone();
            spawn(move || full.put(item))
        });
        getters.iter().for_each(|getter| getter.falls_asleep());
        putters.iter().for_each(|putter| putter.falls_asleep());
        empty.shutdown(how);
        full.shutdown(how);
        for getter in getters {
            assert_eq!(getter.join(), Err(GetError::ShutDown));
        }
        let back = putters.map(|putter| putter.join().unwrap_err());
        assert_eq!(back, [PutError::ShutDown(1), PutError::ShutDown(2), PutError::ShutDown(3)]);
        assert_eq!(full.get().ok(), (how == Shutdown::Drain).then_some(0));
    }
}

#[test]
fn join_waits_for_the_last_task() {
    let queue = Arc::new(Queue::new());
    queue.put_many([1, 2]).unwrap();
    let joiners = [(); 2].map(|()| {
        let queue = queue.clone();
        spawn(move || queue.join())
    });
    joiners.iter().for_each(|joiner| joiner.falls_asleep());
    queue.task_done().unwrap();
    assert!(joiners.iter().all(|joiner| joiner.is_asleep()));
    assert!(queue.join_for(Duration::ZERO).unwrap_err().is_timed_out());
    queue.task_done().unwrap();
    for joiner in joiners {
        joiner.join().unwrap();
    }
    assert!(queue.task_done().is_err());
    queue.join().unwrap();
}

#[test]
fn an_immediate_end_releases_who_joins() {
    let queue = Arc::new(Queue::new());
    queue.put_many([1, 2, 3]).unwrap();
    let joiner = spawn({
        let queue = queue.clone();
        move || queue.join()
    });
    joiner.falls_asleep();
    assert_eq!(queue.get(), Ok(1));
    queue.shutdown(Shutdown::Immediate);
    assert!(joiner.is_asleep(), "one task was handed out and is not done");
    queue.task_done().unwrap();
    joiner.join().unwrap();
}

#[test]
fn a_wait_tells_the_name_and_the_place() {
    let queue = Arc::new(Queue::<u8>::bounded(1).with_name("jobs"));
    assert_eq!(queue.name(), Some("jobs"));
    let getter = spawn({
        let queue = queue.clone();
        move || queue.get()
    });
    getter.falls_asleep();
    let told = deadlock::describe_wait(&getter.record);
    assert!(told.contains("for queue empty \"jobs\", in a call at"), "{told}");
    assert!(told.contains(file!()), "{told}");
    queue.put(1).unwrap();
    getter.join().unwrap();
    let unnamed = Queue::<u8>::new();
    assert!(format!("{unnamed:?}").contains(file!()), "{unnamed:?}");
}

#[test]
fn a_late_call_does_not_sleep() {
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    let past = Instant::now();
    assert_eq!(queue.put_until(2, past), Err(PutError::TimedOut(2)));
    assert_eq!(queue.get_until(past), Ok(1));
    assert_eq!(queue.get_until(past), Err(GetError::TimedOut));
    assert_eq!(queue.get_many_until(3, past), Err(GetError::TimedOut));
    assert_eq!(queue.get_for(Duration::ZERO), Err(GetError::TimedOut));
    let waits = current::with(|me| me.stats.read());
    assert_eq!((waits.get(crate::Kind::QueuePut).count, waits.get(crate::Kind::QueueGet).count), (0, 0));
    assert_eq!(queue.get_for(Duration::from_millis(1)), Err(GetError::TimedOut));
}

/// Panics when compared while `ARMED`.
struct Touchy(u32);

thread_local!(static ARMED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });

impl Ord for Touchy {
    fn cmp(&self, other: &Touchy) -> Ordering {
        assert!(!ARMED.get(), "touched");
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Touchy) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Touchy) -> bool {
        self.0 == other.0
    }
}

impl Eq for Touchy {}

#[test]
fn a_panic_in_a_comparison_loses_nothing() {
    let queue = PriorityQueue::new();
    queue.put_many((0..10).rev().map(Touchy)).unwrap();
    let touched = |call: &dyn Fn()| {
        ARMED.set(true);
        catch_unwind(AssertUnwindSafe(call)).expect_err("it compares");
        ARMED.set(false);
    };
    touched(&|| queue.put(Touchy(10)).unwrap());
    touched(&|| drop(queue.get()));
    touched(&|| drop(queue.get_many(5)));
    assert_eq!((queue.len(), queue.unfinished()), (11, 11));
    let mut all: Vec<u32> = queue.get_many(20).unwrap().into_iter().map(|item| item.0).collect();
    all.sort();
    assert_eq!(all, (0..11).collect::<Vec<_>>());
}

#[test]
fn a_panic_in_a_comparison_wakes_who_waits_for_the_item() {
    let queue = Arc::new(PriorityQueue::new());
    let getters = [(); 2].map(|()| {
        let queue = queue.clone();
        let getter = spawn(move || queue.get().map(|item: Touchy| item.0));
        getter.falls_asleep();
        getter
    });
    queue.put(Touchy(1)).unwrap();
    // Compares with the first, unless that one has been got already.
    ARMED.set(true);
    let _ = catch_unwind(AssertUnwindSafe(|| queue.put(Touchy(2)).unwrap()));
    ARMED.set(false);
    let mut got = getters.map(|getter| getter.join().unwrap());
    got.sort();
    assert_eq!(got, [1, 2]);
}

#[test]
fn a_getter_that_panics_passes_its_wake_up_on() {
    type Get = fn(&PriorityQueue<Touchy>);
    for get in [(|queue| drop(queue.get())) as Get, |queue| drop(queue.get_many(2))] {
        let queue = Arc::new(PriorityQueue::new());
        let getters = [true, false].map(|armed| {
            let queue = queue.clone();
            let getter = spawn(move || {
                ARMED.set(armed);
                catch_unwind(AssertUnwindSafe(|| get(&queue))).is_err()
            });
            getter.falls_asleep();
            getter
        });
        // As three puts of which only the first has come to waking somebody.
        for number in 0..3 {
            assert!(queue.store.put(Touchy(number), queue.caller(Location::caller())).is_ok());
        }
        queue.getters.admit(1);
        assert_eq!(getters.map(|getter| getter.join()), [true, false]);
    }
}

#[test]
fn of_equal_items_the_first_goes_first() {
    #[derive(Debug)]
    struct Pair(u8, usize);
    impl PartialEq for Pair {
        fn eq(&self, other: &Pair) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Pair {}
    impl PartialOrd for Pair {
        fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Pair {
        fn cmp(&self, other: &Pair) -> Ordering {
            self.0.cmp(&other.0)
        }
    }
    let queue = PriorityQueue::new();
    queue.put_many((0..100).map(|number| Pair((number % 3) as u8, number))).unwrap();
    let all: Vec<_> = queue.get_many(100).unwrap().iter().map(|pair| (pair.0, pair.1)).collect();
    assert!(all.is_sorted(), "{all:?}");
}

#[test]
fn a_comparison_that_uses_the_queue_is_reported() {
    static QUEUE: PriorityQueue<Nosy> = PriorityQueue::new();
    #[derive(PartialEq, Eq, Debug)]
    struct Nosy(u8);
    impl PartialOrd for Nosy {
        fn partial_cmp(&self, other: &Nosy) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Nosy {
        fn cmp(&self, other: &Nosy) -> Ordering {
            let _ = QUEUE.try_get();
            self.0.cmp(&other.0)
        }
    }
    QUEUE.put(Nosy(1)).unwrap();
    let panic = catch_unwind(|| QUEUE.put(Nosy(2))).unwrap_err();
    let report = panic.downcast_ref::<String>().expect("a report");
    assert!(report.contains("1 thread waits for itself") && report.contains("queue lock"), "{report}");
    assert_eq!(QUEUE.len(), 2);
}

#[test]
fn destructors_may_use_the_queue() {
    static QUEUE: LifoQueue<Echo> = LifoQueue::new();
    struct Echo(u8);
    impl Drop for Echo {
        fn drop(&mut self) {
            if self.0 > 0 {
                QUEUE.put(Echo(self.0 - 1)).unwrap();
            }
        }
    }
    QUEUE.put_many([Echo(1), Echo(2)]).unwrap();
    assert_eq!(QUEUE.clear(), 2);
    assert_eq!(QUEUE.len(), 2);
    QUEUE.shutdown(Shutdown::Drain);
    let rest = QUEUE.get_many(5).unwrap();
    assert_eq!(rest.iter().map(|echo| echo.0).max(), Some(1));
    rest.into_iter().for_each(std::mem::forget);
}
