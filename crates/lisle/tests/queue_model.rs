//! Any sequence of calls on a queue does what it does to a vector.

use lisle::queue::{GetError, LifoQueue, PriorityQueue, PutError, Queue, Shutdown, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
enum Call {
    Put(u8),
    TryPut(u8),
    PutMany(Vec<u8>),
    Get,
    TryGet,
    GetMany(usize),
    TaskDone,
    Clear,
    End(Shutdown),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        8 => any::<u8>().prop_map(Call::Put),
        8 => any::<u8>().prop_map(Call::TryPut),
        4 => vec(any::<u8>(), 0..80).prop_map(Call::PutMany),
        6 => Just(Call::Get),
        6 => Just(Call::TryGet),
        4 => (0_usize..60).prop_map(Call::GetMany),
        6 => Just(Call::TaskDone),
        1 => Just(Call::Clear),
        1 => prop_oneof![Just(Shutdown::Drain), Just(Shutdown::Immediate)].prop_map(Call::End),
    ]
}

/// What a queue should be: a vector, and the place of the item that goes next.
struct Model {
    items: Vec<u8>,
    next: fn(&[u8]) -> usize,
    capacity: usize,
    unfinished: usize,
    ended: bool,
}

impl Model {
    fn put(&mut self, item: u8, refused: PutError<u8>) -> Result<(), PutError<u8>> {
        if self.ended {
            return Err(PutError::ShutDown(item));
        }
        if self.items.len() == self.capacity {
            return Err(refused);
        }
        self.items.push(item);
        self.unfinished += 1;
        Ok(())
    }

    fn get(&mut self, refused: GetError) -> Result<u8, GetError> {
        match self.items.is_empty() {
            false => Ok(self.items.remove((self.next)(&self.items))),
            true if self.ended => Err(GetError::ShutDown),
            true => Err(refused),
        }
    }

    fn clear(&mut self) -> usize {
        let count = self.items.len().min(self.unfinished);
        self.unfinished -= count;
        self.items.clear();
        count
    }
}

fn check<S: Store<u8>>(queue: &Queue<u8, S>, next: fn(&[u8]) -> usize, calls: Vec<Call>) {
    let capacity = queue.capacity().unwrap_or(usize::MAX);
    let mut model = Model { items: Vec::new(), next, capacity, unfinished: 0, ended: false };
    let now = Instant::now();
    for call in calls {
        match call {
            Call::Put(item) => assert_eq!(queue.put_until(item, now), model.put(item, PutError::TimedOut(item))),
            Call::TryPut(item) => assert_eq!(queue.try_put(item), model.put(item, PutError::Full(item))),
            Call::PutMany(items) => {
                let mut left = items.iter().copied();
                let put = queue.try_put_many(&mut left);
                let mut taken = items.iter().map(|&item| model.put(item, PutError::Full(item)));
                let count = taken.by_ref().take_while(Result::is_ok).count();
                drop(taken);
                match put {
                    Ok(put) => assert_eq!((put, count), (items.len(), items.len())),
                    Err(error) => {
                        assert_eq!((error.put, error.error.into_inner()), (count, items[count]));
                        assert_eq!(left.len(), items.len() - count - 1);
                    }
                }
            }
            Call::Get => assert_eq!(queue.get_for(Duration::ZERO), model.get(GetError::TimedOut)),
            Call::TryGet => assert_eq!(queue.try_get(), model.get(GetError::Empty)),
            Call::GetMany(max) => {
                let got = queue.try_get_many(max);
                if max == 0 {
                    assert_eq!(got, Ok(Vec::new()));
                } else {
                    let first = model.get(GetError::Empty);
                    let rest = (1..max).map_while(|_| model.get(GetError::Empty).ok());
                    assert_eq!(got, first.map(|first| std::iter::once(first).chain(rest).collect()));
                }
            }
            Call::TaskDone => {
                assert_eq!(queue.task_done().is_ok(), model.unfinished > 0);
                model.unfinished = model.unfinished.saturating_sub(1);
            }
            Call::Clear => assert_eq!(queue.clear(), model.clear()),
            Call::End(how) => {
                queue.shutdown(how);
                model.ended = true;
                if how == Shutdown::Immediate {
                    model.clear();
                }
            }
        }
        assert_eq!(queue.len(), model.items.len());
        assert_eq!(queue.is_empty(), model.items.is_empty());
        assert_eq!(queue.is_full(), model.items.len() == capacity);
        assert_eq!(queue.unfinished(), model.unfinished);
        assert_eq!(queue.is_shut_down(), model.ended);
        assert_eq!(queue.join_for(Duration::ZERO).is_ok(), model.unfinished == 0);
    }
}

fn smallest(items: &[u8]) -> usize {
    (0..items.len()).min_by_key(|&index| items[index]).expect("not empty")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn first_in_first_out(bound in prop_oneof![Just(None), (1_usize..70).prop_map(Some)], calls in vec(call(), 0..60)) {
        check(&bound.map_or_else(Queue::unbounded, Queue::bounded), |_| 0, calls);
    }

    #[test]
    fn last_in_first_out(bound in prop_oneof![Just(None), (1_usize..70).prop_map(Some)], calls in vec(call(), 0..60)) {
        check(&bound.map_or_else(LifoQueue::unbounded, LifoQueue::bounded), |items| items.len() - 1, calls);
    }

    #[test]
    fn smallest_first(bound in prop_oneof![Just(None), (1_usize..70).prop_map(Some)], calls in vec(call(), 0..60)) {
        check(&bound.map_or_else(PriorityQueue::unbounded, PriorityQueue::bounded), smallest, calls);
    }
}
