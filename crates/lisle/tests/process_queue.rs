//! A queue that processes share.

mod process_support;

use lisle::executor::Function;
use lisle::process::{self, Process, ProcessQueue, QueueGetError, QueuePutError, Sender, channel};
use lisle::thread;
use process_support::{LONG, run, until};
use std::collections::BTreeSet;
use std::time::Duration;

type Item = (u32, u32, Vec<u8>);
type Got = Sender<(u32, u32)>;

const PUT: Function<(ProcessQueue<Item>, u32, u32), ()> = Function::new("put", |(queue, who, count)| {
    for number in 0..count {
        queue.put(&(who, number, vec![who as u8; (number % 300) as usize])).unwrap();
    }
});
const GET: Function<(ProcessQueue<Item>, Got), ()> = Function::new("get", |(queue, got)| {
    loop {
        match queue.get() {
            Ok((who, number, bytes)) => {
                assert_eq!(bytes, vec![who as u8; (number % 300) as usize]);
                got.send(&(who, number)).unwrap();
            }
            Err(QueueGetError::ShutDown) => return,
            Err(error) => panic!("{error}"),
        }
    }
});
/// Puts and gets as fast as it can, until it is killed.
const CHURN: Function<(ProcessQueue<Item>, Sender<()>), ()> = Function::new("churn", |(queue, ready)| {
    ready.send(&()).unwrap();
    loop {
        queue.put(&(9, 9, vec![9; 50])).unwrap();
        queue.get().unwrap();
    }
});
const GET_ONE: Function<ProcessQueue<u32>, u32> = Function::new("get one", |queue| queue.get().unwrap());
const PUT_ONE: Function<ProcessQueue<u32>, ()> = Function::new("put one", |queue| queue.put(&7).unwrap());

fn main() {
    process::init(&[&PUT, &GET, &CHURN, &GET_ONE, &PUT_ONE]);
    run(&[
        ("many_put_many_get", many_put_many_get),
        ("it_is_bounded", it_is_bounded),
        ("waits_end", waits_end),
        ("shutdown_ends_all_waits", shutdown_ends_all_waits),
        ("who_needs_less_room_is_not_held_up", who_needs_less_room_is_not_held_up),
        ("bad_input", bad_input),
        ("who_is_killed_in_a_wait_is_not_missed", who_is_killed_in_a_wait_is_not_missed),
        ("who_is_killed_anywhere_is_not_missed", who_is_killed_anywhere_is_not_missed),
    ]);
}

/// The same queue once more, as another process gets it.
fn again<T>(queue: &ProcessQueue<T>) -> ProcessQueue<T> {
    let (sender, receiver) = channel::<ProcessQueue<T>>().unwrap();
    // By reference, since sending does not need to own.
    sender.send(queue).unwrap();
    receiver.recv().unwrap()
}

fn many_put_many_get() {
    let queue = ProcessQueue::<Item>::with_bytes(8, 1000).unwrap();
    let (got, results) = channel().unwrap();
    let getters: Vec<Process<()>> =
        (0..2).map(|_| process::spawn(GET, (again(&queue), got.clone())).unwrap()).collect();
    drop(got);
    let putters: Vec<Process<()>> = (0..3).map(|who| process::spawn(PUT, (again(&queue), who, 400)).unwrap()).collect();
    let sum = thread::spawn(move || {
        let mut all = BTreeSet::new();
        while let Ok(one) = results.recv_for(LONG) {
            assert!(all.insert(one), "each comes out once");
        }
        all
    });
    putters.iter().for_each(|putter| putter.join_for(LONG).unwrap());
    queue.shutdown();
    getters.iter().for_each(|getter| getter.join_for(LONG).unwrap());
    assert_eq!(sum.join().unwrap().len(), 1200);
    assert!(queue.is_empty());
}

fn it_is_bounded() {
    let queue = ProcessQueue::<u32>::new(3).unwrap();
    for n in 0..3 {
        queue.try_put(&n).unwrap();
    }
    assert!(queue.try_put(&3).unwrap_err().is_full());
    assert_eq!((queue.len(), queue.max_items()), (3, 3));
    assert_eq!([0; 3].map(|_| queue.try_get().unwrap()), [0, 1, 2]);
    assert!(queue.try_get().unwrap_err().is_empty());

    let bytes = ProcessQueue::<Vec<u8>>::with_bytes(1000, 100).unwrap();
    for _ in 0..50 {
        bytes.try_put(&vec![1; 45]).unwrap();
        bytes.try_put(&vec![2; 50]).unwrap();
        assert!(bytes.try_put(&vec![3; 10]).unwrap_err().is_full());
        assert_eq!((bytes.get().unwrap().len(), bytes.get().unwrap().len()), (45, 50));
    }
}

fn waits_end() {
    let queue = ProcessQueue::<u32>::new(1).unwrap();
    assert!(queue.get_for(Duration::from_millis(5)).unwrap_err().is_timed_out());
    assert!(queue.get_for(Duration::ZERO).unwrap_err().is_timed_out());
    thread::scope(|scope| {
        let gets = scope.spawn(|| queue.get());
        until("it waits", || gets.thread().waits_for() == Some(lisle::Kind::QueueGet));
        gets.thread().interrupt();
        assert!(gets.join().unwrap().unwrap_err().is_interrupted());
        let gets = scope.spawn(|| queue.get());
        until("it waits", || gets.thread().waits_for() == Some(lisle::Kind::QueueGet));
        queue.put(&1).unwrap();
        assert_eq!(gets.join().unwrap().unwrap(), 1);
        queue.put(&2).unwrap();
        assert!(queue.put_for(&3, Duration::from_millis(5)).unwrap_err().is_timed_out());
        let puts = scope.spawn(|| queue.put(&3));
        until("it waits", || puts.thread().waits_for() == Some(lisle::Kind::QueuePut));
        puts.thread().interrupt();
        assert!(puts.join().unwrap().unwrap_err().is_interrupted());
        let puts = scope.spawn(|| queue.put(&4));
        until("it waits", || puts.thread().waits_for() == Some(lisle::Kind::QueuePut));
        assert_eq!(queue.get().unwrap(), 2);
        puts.join().unwrap().unwrap();
        assert_eq!(queue.get().unwrap(), 4);
    });
}

fn shutdown_ends_all_waits() {
    let queue = ProcessQueue::<u32>::new(1).unwrap();
    thread::scope(|scope| {
        let gets = [(); 3].map(|()| scope.spawn(|| queue.get()));
        for get in &gets {
            until("it waits", || get.thread().waits_for() == Some(lisle::Kind::QueueGet));
        }
        again(&queue).shutdown();
        for get in gets {
            assert!(get.join().unwrap().unwrap_err().is_shut_down());
        }
    });
    assert!(queue.put(&1).unwrap_err().is_shut_down());
    assert!(queue.try_get().unwrap_err().is_shut_down());
}

fn who_needs_less_room_is_not_held_up() {
    for _ in 0..20 {
        let queue = ProcessQueue::<Vec<u8>>::with_bytes(1000, 100).unwrap();
        queue.put(&vec![1; 19]).unwrap(); // with its length, 20
        queue.put(&vec![1; 79]).unwrap();
        thread::scope(|scope| {
            let waits = |bytes: usize| {
                let queue = &queue;
                let puts = scope.spawn(move || queue.put_for(&vec![2; bytes], Duration::from_secs(5)));
                until("it waits", || puts.thread().waits_for() == Some(lisle::Kind::QueuePut));
                puts
            };
            let (large, small) = (waits(90), waits(9));
            queue.get().unwrap();
            small.join().unwrap().unwrap();
            queue.get().unwrap();
            queue.get().unwrap();
            large.join().unwrap().unwrap();
        });
    }
}

fn bad_input() {
    assert!(ProcessQueue::<u32>::new(0).unwrap_err().to_string().contains("allow at least one"));
    assert!(ProcessQueue::<u32>::new(usize::MAX).is_err());
    let queue = ProcessQueue::<Vec<u8>>::with_bytes(5, 100).unwrap();
    let error = queue.put(&vec![0; 200]).unwrap_err();
    assert!(matches!(error, QueuePutError::TooLong { most: 100, .. }));
    assert!(error.to_string().contains("make it with more, by `with_bytes`"), "{error}");
    let (sender, _receiver) = channel::<u32>().unwrap();
    let handles = ProcessQueue::<Sender<u32>>::new(1).unwrap();
    assert!(handles.put(&sender).unwrap_err().to_string().contains("use a channel"));
}

fn who_is_killed_in_a_wait_is_not_missed() {
    let queue = ProcessQueue::<u32>::new(1).unwrap();
    let getters = [(); 2].map(|()| process::spawn(GET_ONE, again(&queue)).unwrap());
    thread::sleep(Duration::from_millis(50));
    getters[0].kill();
    queue.put(&1).unwrap();
    assert!(getters[0].join_for(LONG).is_err());
    assert_eq!(getters[1].join_for(LONG).unwrap(), 1);

    queue.put(&2).unwrap();
    let putters = [(); 2].map(|()| process::spawn(PUT_ONE, again(&queue)).unwrap());
    thread::sleep(Duration::from_millis(50));
    putters[0].kill();
    assert!(putters[0].join_for(LONG).is_err());
    assert_eq!(queue.get_for(LONG).unwrap(), 2);
    putters[1].join_for(LONG).unwrap();
    assert_eq!(queue.get_for(LONG).unwrap(), 7);
}

fn who_is_killed_anywhere_is_not_missed() {
    let queue = ProcessQueue::<Item>::with_bytes(3, 200).unwrap();
    for round in 0..12 {
        let all: Vec<_> = (0..3)
            .map(|_| {
                let (ready, is_ready) = channel().unwrap();
                let one = process::spawn(CHURN, (again(&queue), ready)).unwrap();
                is_ready.recv_for(LONG).unwrap();
                one
            })
            .collect();
        for (n, one) in all.iter().enumerate() {
            thread::sleep(Duration::from_micros(100 * round + 37 * n as u64));
            one.kill();
            assert!(one.join_for(LONG).is_err());
        }
        // What they have left behind comes out whole, and the queue works on.
        while let Ok(item) = queue.try_get() {
            assert_eq!(item, (9, 9, vec![9; 50]));
        }
        assert!(queue.is_empty());
        queue.put_for(&(1, round as u32, vec![]), LONG).unwrap();
        assert_eq!(queue.get_for(LONG).unwrap(), (1, round as u32, vec![]));
    }
}
