//! Whatever times out, is interrupted or ends in between: each item is got once, comes back in an
//! error, or is dropped by the end of its queue.

use lisle::queue::{GetError, LifoQueue, PriorityQueue, PutError, Queue, Shutdown, SimpleQueue, Store};
use lisle::thread;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::Duration;

/// What became of each item: `HANDLED` once by a thread of the test, `GONE` once at the end.
struct Ledger(Vec<AtomicU8>);

const HANDLED: u8 = 0x01;
const GONE: u8 = 0x10;

struct Item {
    number: usize,
    ledger: Arc<Ledger>,
}

impl Item {
    fn handle(self) {
        self.ledger.0[self.number].fetch_add(HANDLED, Relaxed);
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.ledger.0[self.number].fetch_add(GONE, Relaxed);
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> Ordering {
        (self.number % 16).cmp(&(other.number % 16))
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn moment(&mut self) -> Duration {
        Duration::from_nanos(self.throw(100_000))
    }
}

const PUTTERS: usize = 3;
const GETTERS: usize = 3;
const EACH: usize = if cfg!(debug_assertions) { 8_000 } else { 40_000 };

/// Puts items until all are in, or the queue has ended; handles those that come back for good.
fn put_all<S: Store<Item>>(queue: &Queue<Item, S>, mut dice: Dice, items: impl Iterator<Item = Item>) {
    let mut items = items;
    let mut next = items.next();
    while let Some(item) = next.take() {
        let put = match dice.throw(5) {
            0 => queue.put(item),
            1 => queue.try_put(item),
            2 => queue.put_for(item, dice.moment()),
            3 => queue.put_for(item, Duration::from_secs(60)),
            _ => {
                let many = std::iter::once(item).chain(items.by_ref().take(dice.throw(5) as usize));
                queue.put_many_for(many, dice.moment()).map(drop).map_err(|error| error.error)
            }
        };
        match put {
            Ok(()) => next = items.next(),
            Err(PutError::ShutDown(item)) => {
                item.handle();
                items.for_each(Item::handle);
                return;
            }
            Err(error) => next = Some(error.into_inner()),
        }
    }
}

/// Gets items until the queue has ended.
fn get_all<S: Store<Item>>(queue: &Queue<Item, S>, mut dice: Dice) {
    loop {
        let got = match dice.throw(5) {
            0 => queue.get().map(|item| vec![item]),
            1 => queue.try_get().map(|item| vec![item]),
            2 => queue.get_for(dice.moment()).map(|item| vec![item]),
            3 => queue.get_many(1 + dice.throw(7) as usize),
            _ => queue.get_many_for(1 + dice.throw(7) as usize, dice.moment()),
        };
        match got {
            Ok(items) => {
                for item in items {
                    item.handle();
                    queue.task_done().unwrap();
                }
            }
            Err(GetError::ShutDown) => return,
            Err(_) => {}
        }
    }
}

fn stress<S: Store<Item> + Send + Sync>(queue: &Queue<Item, S>, seed: u64, end_after: Option<Duration>) {
    let ledger = Arc::new(Ledger((0..PUTTERS * EACH).map(|_| AtomicU8::new(0)).collect()));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let putters: Vec<_> = (0..PUTTERS)
            .map(|index| {
                let ledger = ledger.clone();
                let items =
                    (index * EACH..(index + 1) * EACH).map(move |number| Item { number, ledger: ledger.clone() });
                scope.spawn(move || put_all(queue, Dice(seed + 1 + index as u64), items))
            })
            .collect();
        let getters: Vec<_> =
            (0..GETTERS).map(|index| scope.spawn(move || get_all(queue, Dice(seed + 101 + index as u64)))).collect();
        let threads: Vec<_> = putters.iter().chain(&getters).map(|handle| handle.thread().clone()).collect();
        let over = &over;
        scope.spawn(move || {
            let mut dice = Dice(seed);
            while !over.load(Relaxed) {
                threads[dice.throw(threads.len() as u64) as usize].interrupt();
                thread::sleep(dice.moment());
            }
        });
        if let Some(end_after) = end_after {
            thread::sleep(end_after);
            queue.shutdown(Shutdown::Immediate);
        }
        for putter in putters {
            putter.join().unwrap();
        }
        queue.shutdown(Shutdown::Drain);
        for getter in getters {
            getter.join().unwrap();
        }
        over.store(true, Relaxed);
    });
    assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    queue.join().unwrap();
    for (number, state) in ledger.0.iter().enumerate() {
        let state = state.load(Relaxed);
        let fine = state == HANDLED + GONE || (state == GONE && end_after.is_some());
        assert!(fine, "item {number}: {state:#x}");
    }
}

#[test]
fn nothing_is_lost_unbounded() {
    stress(&Queue::unbounded(), 1_000, None);
}

#[test]
fn nothing_is_lost_bounded_1() {
    stress(&Queue::bounded(1), 2_000, None);
}

#[test]
fn nothing_is_lost_bounded_7() {
    stress(&Queue::bounded(7), 3_000, None);
}

#[test]
fn nothing_is_lost_last_first() {
    stress(&LifoQueue::bounded(7), 4_000, None);
}

#[test]
fn nothing_is_lost_smallest_first() {
    stress(&PriorityQueue::bounded(7), 5_000, None);
}

#[test]
fn nothing_is_lost_when_it_ends_at_once() {
    for round in 0..20 {
        let end_after = Some(Duration::from_micros(300 * round));
        stress(&Queue::bounded(3), 6_000 + round, end_after);
        stress(&Queue::unbounded(), 7_000 + round, end_after);
        stress(&PriorityQueue::bounded(3), 8_000 + round, end_after);
    }
}

#[test]
fn nothing_is_lost_in_a_simple_queue() {
    let ledger = Arc::new(Ledger((0..PUTTERS * EACH).map(|_| AtomicU8::new(0)).collect()));
    let queue = SimpleQueue::new();
    let (queue, ledger) = (&queue, &ledger);
    thread::scope(|scope| {
        for index in 0..PUTTERS {
            scope.spawn(move || {
                for number in index * EACH..(index + 1) * EACH {
                    queue.put(Some(Item { number, ledger: ledger.clone() }));
                }
                queue.put(None);
            });
        }
        for index in 0..PUTTERS as u64 {
            let mut dice = Dice(9_000 + index);
            scope.spawn(move || {
                loop {
                    match queue.get_for(dice.moment()) {
                        Ok(Some(item)) => item.handle(),
                        Ok(None) => return,
                        Err(error) => assert_eq!(error, GetError::TimedOut),
                    }
                }
            });
        }
    });
    // Each putter's last word ended one getter, wherever its items were by then.
    while let Ok(Some(item)) = queue.try_get() {
        item.handle();
    }
    assert!(ledger.0.iter().all(|state| state.load(Relaxed) == HANDLED + GONE));
}

#[test]
fn counts_are_of_one_moment() {
    let queue = Queue::bounded(1000);
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            while !over.load(Relaxed) {
                queue.put(()).unwrap();
                queue.get().unwrap();
                queue.task_done().unwrap();
            }
        });
        let most = |count: &dyn Fn() -> usize| (0..300_000).map(|_| count()).max();
        let counts = [most(&|| queue.len()), most(&|| queue.is_full().into()), most(&|| queue.unfinished())];
        over.store(true, Relaxed);
        let [Some(len), Some(full), Some(unfinished)] = counts else { unreachable!() };
        assert!(len <= 1 && full == 0 && unfinished <= 1, "{len} {full} {unfinished} where one item came and went");
    });
}

#[test]
fn a_destructor_that_panics_holds_up_no_other() {
    struct Touchy<'a>(u32, &'a AtomicU8);
    impl Drop for Touchy<'_> {
        fn drop(&mut self) {
            self.1.fetch_add(1, Relaxed);
            assert_ne!(self.0, 70, "this one panics");
        }
    }
    let dropped = AtomicU8::new(0);
    let queue = Queue::new();
    queue.put_many((0..200).map(|number| Touchy(number, &dropped))).unwrap();
    catch_unwind(AssertUnwindSafe(|| drop(queue))).unwrap_err();
    assert_eq!(dropped.load(Relaxed), 200);
}
