//! Pools that make calls: lisle's and its peers', each used in its best way.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::thread::{self, Thread};

use crossbeam_utils::CachePadded;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::RemoteHandle;
use futures::task::SpawnExt;
use lisle::executor::{Future, ThreadPoolExecutor};

/// Some workers who make calls.
pub(crate) trait Pool: Sized + 'static {
    /// What a result is waited for on.
    type Answer;

    fn new(workers: usize) -> Self;

    fn execute(&self, call: impl FnOnce() + Send + 'static);

    /// Hands over `n` calls, and returns when all have been made.
    fn run(&self, n: u64);

    fn submit(&self, item: u64) -> Self::Answer;

    fn result(answer: Self::Answer) -> u64;

    /// One call there and its result back.
    fn trip(&self, item: u64) -> u64 {
        Self::result(self.submit(item))
    }
}

/// What every call does: too little to be seen beside the cost of the call, and nothing that two
/// workers would compete for.
#[inline]
pub(crate) fn add(item: u64) {
    thread_local!(static SUM: Cell<u64> = const { Cell::new(0) });
    SUM.set(black_box(SUM.get().wrapping_add(item)));
}

/// The same with a result.
#[inline]
pub(crate) fn tiny(item: u64) -> u64 {
    add(item);
    item
}

impl Pool for ThreadPoolExecutor {
    type Answer = Future<u64>;

    fn new(workers: usize) -> ThreadPoolExecutor {
        ThreadPoolExecutor::with_max_workers(workers).expect("there are workers")
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        self.execute(call).expect("the pool is open");
    }

    fn run(&self, n: u64) {
        (0..n).for_each(|item| Pool::execute(self, move || add(item)));
        self.join().expect("nobody interrupts");
    }

    fn submit(&self, item: u64) -> Self::Answer {
        self.submit(move || tiny(item)).expect("the pool is open")
    }

    fn result(answer: Self::Answer) -> u64 {
        answer.result().expect("every call ends")
    }
}

/// Counts the calls of a round that are still to be made, for pools that cannot be joined.
struct Latch {
    left: CachePadded<AtomicUsize>,
    waiting: OnceLock<Thread>,
}

impl Latch {
    fn new() -> &'static Latch {
        Box::leak(Box::new(Latch { left: CachePadded::new(AtomicUsize::new(0)), waiting: OnceLock::new() }))
    }

    /// The same thread begins all rounds.
    fn begin(&self, calls: u64) {
        self.waiting.get_or_init(thread::current);
        self.left.store(calls as usize, Release);
    }

    #[inline]
    fn count_down(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1
            && let Some(thread) = self.waiting.get()
        {
            thread.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Acquire) > 0 {
            thread::park();
        }
    }
}

/// A channel for the one result of a round trip, used again and again.
type Back = (crossbeam_channel::Sender<u64>, crossbeam_channel::Receiver<u64>);

/// Gives the pools that only take closures the rest: a one-shot channel for each future, and one
/// channel for all round trips.
macro_rules! by_closures {
    () => {
        type Answer = oneshot::Receiver<u64>;

        fn submit(&self, item: u64) -> Self::Answer {
            let (sender, receiver) = oneshot::channel();
            self.execute(move || sender.send(tiny(item)).expect("the receiver is here"));
            receiver
        }

        fn result(answer: Self::Answer) -> u64 {
            block_on(answer).expect("every call ends")
        }

        fn trip(&self, item: u64) -> u64 {
            let sender = self.back.0.clone();
            self.execute(move || sender.send(tiny(item)).expect("the receiver is here"));
            self.back.1.recv().expect("the sender is here")
        }
    };
}

pub(crate) struct Rayon {
    pub(crate) pool: rayon::ThreadPool,
    back: Back,
}

impl Pool for Rayon {
    fn new(workers: usize) -> Rayon {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("threads can be started");
        Rayon { pool, back: crossbeam_channel::bounded(1) }
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        self.pool.spawn(call);
    }

    fn run(&self, n: u64) {
        self.pool.in_place_scope(|scope| {
            for item in 0..n {
                scope.spawn(move |_| add(item));
            }
        });
    }

    by_closures!();
}

pub(crate) struct Threadpool {
    pool: threadpool::ThreadPool,
    back: Back,
}

impl Pool for Threadpool {
    fn new(workers: usize) -> Threadpool {
        Threadpool { pool: threadpool::ThreadPool::new(workers), back: crossbeam_channel::bounded(1) }
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        self.pool.execute(call);
    }

    fn run(&self, n: u64) {
        (0..n).for_each(|item| self.execute(move || add(item)));
        self.pool.join();
    }

    by_closures!();
}

type Call = Box<dyn FnOnce() + Send>;

/// What one writes who has no pool: two threads that take boxes out of a channel.
pub(crate) struct ByHand {
    calls: crossbeam_channel::Sender<Call>,
    latch: &'static Latch,
    back: Back,
}

impl Pool for ByHand {
    fn new(workers: usize) -> ByHand {
        let (calls, taken) = crossbeam_channel::unbounded::<Call>();
        let latch = Latch::new();
        for _ in 0..workers {
            let taken = taken.clone();
            thread::spawn(move || {
                for call in taken {
                    call();
                    latch.count_down();
                }
            });
        }
        ByHand { calls, latch, back: crossbeam_channel::bounded(1) }
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        self.calls.send(Box::new(call)).expect("the workers are here");
    }

    fn run(&self, n: u64) {
        self.latch.begin(n);
        for item in 0..n {
            self.execute(move || add(item));
        }
        self.latch.wait();
    }

    by_closures!();
}

pub(crate) struct RustyPool(rusty_pool::ThreadPool);

impl Pool for RustyPool {
    type Answer = rusty_pool::JoinHandle<u64>;

    fn new(workers: usize) -> RustyPool {
        RustyPool(rusty_pool::Builder::new().core_size(workers).max_size(workers).build())
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        self.0.execute(call);
    }

    fn run(&self, n: u64) {
        (0..n).for_each(|item| self.execute(move || add(item)));
        self.0.join();
    }

    fn submit(&self, item: u64) -> Self::Answer {
        self.0.evaluate(move || tiny(item))
    }

    fn result(answer: Self::Answer) -> u64 {
        answer.await_complete()
    }
}

pub(crate) struct Futures(futures::executor::ThreadPool, &'static Latch);

impl Pool for Futures {
    type Answer = RemoteHandle<u64>;

    fn new(workers: usize) -> Futures {
        let pool = futures::executor::ThreadPool::builder().pool_size(workers).create();
        Futures(pool.expect("threads can be started"), Latch::new())
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        self.0.spawn_ok(async move { call() });
    }

    fn run(&self, n: u64) {
        let latch = self.1;
        latch.begin(n);
        for item in 0..n {
            self.execute(move || {
                add(item);
                latch.count_down();
            });
        }
        latch.wait();
    }

    fn submit(&self, item: u64) -> Self::Answer {
        self.0.spawn_with_handle(async move { tiny(item) }).expect("the pool is open")
    }

    fn result(answer: Self::Answer) -> u64 {
        block_on(answer)
    }
}

/// Its threads are the process's own; `main` has limited them.
pub(crate) struct Blocking(&'static Latch);

/// Gives `blocking` no more threads than this.
///
/// # Safety
///
/// No other thread may exist: this sets a variable of the environment.
pub(crate) unsafe fn limit_blocking(workers: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::env::set_var("BLOCKING_MAX_THREADS", workers.to_string()) };
}

impl Pool for Blocking {
    type Answer = blocking::Task<u64>;

    fn new(_: usize) -> Blocking {
        Blocking(Latch::new())
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        blocking::unblock(call).detach();
    }

    fn run(&self, n: u64) {
        let latch = self.0;
        latch.begin(n);
        for item in 0..n {
            self.execute(move || {
                add(item);
                latch.count_down();
            });
        }
        latch.wait();
    }

    fn submit(&self, item: u64) -> Self::Answer {
        blocking::unblock(move || tiny(item))
    }

    fn result(answer: Self::Answer) -> u64 {
        block_on(answer)
    }
}

/// No pool at all: what the closures cost whoever calls them.
pub(crate) struct Alone;

impl Pool for Alone {
    type Answer = u64;

    fn new(_: usize) -> Alone {
        Alone
    }

    fn execute(&self, call: impl FnOnce() + Send + 'static) {
        call();
    }

    fn run(&self, n: u64) {
        for item in 0..n {
            let call: Call = Box::new(move || add(item));
            black_box(call)();
        }
    }

    fn submit(&self, item: u64) -> u64 {
        tiny(item)
    }

    fn result(answer: u64) -> u64 {
        answer
    }
}
