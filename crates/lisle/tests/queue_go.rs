//! After the tests of Go's channels (`runtime/chan_test.go`, `test/chan/*.go`), written afresh for
//! queues. Left out: what is about `select`, nil channels and the collector's stacks.

use lisle::queue::{GetError, PutError, Queue, Shutdown};
use lisle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

/// `TestChan`, first half: an empty queue makes the getter wait and a full one the putter.
#[test]
fn empty_and_full_make_wait() {
    for capacity in 1..20 {
        let queue = Arc::new(Queue::bounded(capacity));
        assert_eq!(queue.get_for(Duration::from_micros(100)), Err(GetError::TimedOut));
        assert_eq!(queue.try_get(), Err(GetError::Empty));
        for item in 0..capacity {
            queue.put(item).unwrap();
        }
        assert_eq!(queue.put_for(99, Duration::from_micros(100)), Err(PutError::TimedOut(99)));
        assert_eq!(queue.try_put(99), Err(PutError::Full(99)));
        assert_eq!((queue.len(), queue.capacity()), (capacity, Some(capacity)));
        for item in 0..capacity {
            assert_eq!(queue.get(), Ok(item));
        }
    }
}

/// `TestChan`, the end: what is in can be got, then the end shows, again and again.
#[test]
fn an_ended_queue_drains() {
    for capacity in 1..20 {
        let queue = Queue::bounded(capacity);
        queue.put_many(0..capacity).unwrap();
        queue.shutdown(Shutdown::Drain);
        assert!(queue.is_shut_down());
        assert_eq!(queue.put(7).unwrap_err(), PutError::ShutDown(7));
        assert_eq!(queue.try_put(7).unwrap_err(), PutError::ShutDown(7));
        assert_eq!(queue.put_for(7, SHORT).unwrap_err(), PutError::ShutDown(7));
        assert_eq!(queue.iter().collect::<Vec<_>>(), (0..capacity).collect::<Vec<_>>());
        for _ in 0..2 {
            assert_eq!(queue.get(), Err(GetError::ShutDown));
            assert_eq!(queue.try_get(), Err(GetError::ShutDown));
            assert_eq!(queue.get_for(SHORT), Err(GetError::ShutDown));
            assert_eq!(queue.get_many(3), Err(GetError::ShutDown));
            assert_eq!(queue.try_get_many(3), Err(GetError::ShutDown));
        }
        queue.shutdown(Shutdown::Drain);
        queue.shutdown(Shutdown::Immediate);
    }
}

/// `TestChan`: one thread's items arrive in order.
#[test]
fn order_is_kept() {
    for capacity in [1, 2, 3, 63, 64, 65, 1000] {
        let queue = Arc::new(Queue::bounded(capacity));
        let putter = thread::spawn({
            let queue = queue.clone();
            move || (0..1000).for_each(|item| queue.put(item).unwrap())
        });
        for item in 0..1000 {
            assert_eq!(queue.get(), Ok(item));
        }
        putter.join().unwrap();
    }
}

/// `TestChan`, last part: every item of several putters is got by one of several getters.
#[test]
fn many_to_many() {
    const THREADS: usize = 4;
    const ITEMS: usize = 1000;
    for capacity in [1, 5, 100] {
        let queue = Queue::bounded(capacity);
        let counts: Vec<AtomicUsize> = (0..ITEMS).map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| queue.put_many(0..ITEMS).unwrap());
                scope.spawn(|| {
                    for _ in 0..ITEMS {
                        counts[queue.get().unwrap()].fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert!(counts.iter().all(|count| count.load(Relaxed) == THREADS));
    }
}

/// `TestMultiConsumer`: a pool of workers between two queues, ended by the end of the first.
#[test]
fn a_pool_of_workers() {
    const WORKERS: usize = 23;
    const ITEMS: usize = 20_000;
    let primes = [2, 3, 7, 11, 13, 17, 19, 23, 27, 31];
    let (jobs, results) = (Queue::bounded(WORKERS), Queue::bounded(WORKERS * 2));
    let (sent, got) = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| {
                    for job in &jobs {
                        if job % 17 == 0 {
                            thread::yield_now();
                        }
                        results.put(job).unwrap();
                    }
                })
            })
            .collect();
        let (jobs, results) = (&jobs, &results);
        let feeder = scope.spawn(move || {
            let items = (0..ITEMS).map(|index| primes[index % primes.len()]);
            let sum = items.map(|item| jobs.put(item).map(|()| item).unwrap()).sum::<usize>();
            jobs.shutdown(Shutdown::Drain);
            for worker in workers {
                worker.join().unwrap();
            }
            results.shutdown(Shutdown::Drain);
            sum
        });
        let got = results.iter().fold((0, 0), |(count, sum), item| (count + 1, sum + item));
        (feeder.join().unwrap(), got)
    });
    assert_eq!(got, (ITEMS, sent));
}

/// `sieve1.go`: a chain of threads, one for each prime number.
#[test]
fn the_sieve() {
    let numbers = Arc::new(Queue::bounded(1));
    let mut threads = Vec::new();
    threads.push(thread::spawn({
        let numbers = numbers.clone();
        move || assert!(numbers.put_many(2..).unwrap_err().error.is_shut_down())
    }));
    let mut last = numbers;
    let mut chain = vec![last.clone()];
    let mut primes = Vec::new();
    for _ in 0..20 {
        let prime: u32 = last.get().unwrap();
        primes.push(prime);
        let next = Arc::new(Queue::bounded(1));
        threads.push(thread::spawn({
            let (from, to) = (last, next.clone());
            move || {
                let left = from.iter().filter(|number| number % prime != 0);
                to.put_many(left).map(drop).unwrap_or_default();
            }
        }));
        chain.push(next.clone());
        last = next;
    }
    assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71]);
    chain.iter().for_each(|queue| queue.shutdown(Shutdown::Immediate));
    threads.iter().for_each(|thread| thread.join().unwrap());
}

/// `goroutines.go`: a value goes through a long chain of threads.
#[test]
fn a_long_chain() {
    const THREADS: usize = 200;
    let queues: Vec<Arc<Queue<usize>>> = (0..=THREADS).map(|_| Arc::new(Queue::bounded(1))).collect();
    let threads: Vec<_> = queues
        .windows(2)
        .map(|pair| {
            let (from, to) = (pair[1].clone(), pair[0].clone());
            thread::spawn(move || to.put(from.get().unwrap() + 1).unwrap())
        })
        .collect();
    queues[THREADS].put(0).unwrap();
    assert_eq!(queues[0].get(), Ok(THREADS));
    threads.iter().for_each(|thread| thread.join().unwrap());
}

/// `nonblock.go`: the forms that do not wait find what others have left, and do not sleep.
#[test]
fn without_waiting() {
    let queue = Arc::new(Queue::bounded(1));
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    let other = thread::spawn({
        let queue = queue.clone();
        move || queue.put("here").unwrap()
    });
    other.join().unwrap();
    assert_eq!(queue.try_put("there"), Err(PutError::Full("there")));
    assert_eq!(queue.try_get(), Ok("here"));
    assert_eq!(queue.try_put("there"), Ok(()));
}

/// `zerosize.go`: items without size count all the same.
#[test]
fn items_without_size() {
    let queue = Queue::bounded(40);
    assert_eq!(queue.try_put_many(std::iter::repeat(())).unwrap_err().put, 40);
    assert_eq!(queue.get_many(39).unwrap().len(), 39);
    assert_eq!(queue.get(), Ok(()));
    assert!(queue.is_empty());
}

/// `perm.go` asks the compiler; here: a queue of what may only be moved, shared by reference.
#[test]
fn what_may_only_be_moved() {
    struct OnlySend(std::cell::Cell<u8>);
    static QUEUE: Queue<OnlySend> = Queue::new();
    thread::spawn(|| QUEUE.put(OnlySend(std::cell::Cell::new(3))).map_err(|_| ()).unwrap()).join().unwrap();
    assert_eq!(QUEUE.get().map(|item| item.0.get()), Ok(3));
}

/// What is in when the queue goes is dropped with it, in whatever block it is.
#[test]
fn the_rest_goes_with_the_queue() {
    for (puts, gets) in [(0, 0), (1, 0), (1, 1), (63, 2), (64, 0), (64, 64), (65, 64), (200, 1), (200, 128), (200, 193)]
    {
        let item = Arc::new(());
        let queue = Queue::new();
        for _ in 0..puts {
            queue.put(item.clone()).unwrap();
        }
        for _ in 0..gets {
            queue.get().unwrap();
        }
        assert_eq!(Arc::strong_count(&item), 1 + puts - gets);
        drop(queue);
        assert_eq!(Arc::strong_count(&item), 1);
    }
}

/// `TestNonblockRecvRace` and its like: a getter that comes and goes loses nothing to one that stays.
#[test]
fn comers_and_goers() {
    for _ in 0..200 {
        let queue = Arc::new(Queue::bounded(1));
        let stays = thread::spawn({
            let queue = queue.clone();
            move || queue.get().unwrap()
        });
        let goes = thread::spawn({
            let queue = queue.clone();
            move || queue.get_for(Duration::from_micros(50)).is_ok()
        });
        queue.put(1).unwrap();
        if goes.join().unwrap() {
            queue.put(2).unwrap();
        }
        stays.join().unwrap();
    }
}

#[test]
fn no_room_is_a_mistake() {
    let panic = std::panic::catch_unwind(|| Queue::<u8>::bounded(0)).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("use bounded(1) or unbounded()"));
}

#[test]
fn errors_say_what_happened() {
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    let full = queue.try_put(2).unwrap_err();
    assert_eq!((full.to_string().as_str(), format!("{full:?}").as_str()), ("the queue is full", "Full(..)"));
    let late = queue.put_many_until([3, 4], Instant::now()).unwrap_err();
    assert_eq!(late.to_string(), "the queue was full until the time limit passed (after 0 items)");
    queue.task_done().unwrap();
    let often = queue.task_done().unwrap_err();
    assert!(often.to_string().contains("call it once for each item got"), "{often}");
    assert_eq!(Queue::<u8>::new().try_get().unwrap_err().to_string(), "the queue is empty");
}
