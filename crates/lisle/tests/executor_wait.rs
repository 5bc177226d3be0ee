//! Waiting for several futures, and awaiting one.

use lisle::Kind;
use lisle::executor::{
    Future, Promise, ThreadPoolExecutor, Until, Waitable, as_completed, as_completed_for, as_completed_until, wait,
    wait_for, wait_until,
};
use lisle::sync::Event;
use lisle::thread;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// Counts the bytes that each thread has allocated and not freed.
struct Counting;

thread_local!(static BYTES: Cell<isize> = const { Cell::new(0) });

// SAFETY: the system's allocator does the work; the count is a thread local without a destructor,
// which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: likewise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn promises<const N: usize>() -> ([Promise<usize>; N], [Future<usize>; N]) {
    let promises = std::array::from_fn(|_| Promise::new());
    let futures = std::array::from_fn(|n: usize| Promise::future(&promises[n]));
    (promises, futures)
}

#[track_caller]
fn until_waiting(thread: &thread::Thread) {
    let patience = Instant::now() + LONG;
    while thread.waits_for() != Some(Kind::Future) {
        assert!(Instant::now() < patience, "it does not wait");
        thread::yield_now();
    }
}

#[test]
fn futures_of_several_types() {
    let (number, text) = (Future::ready(1), Promise::<String>::new());
    let later = text.future();
    let both: [&dyn Waitable; 2] = [&number, &later];
    let waited = wait(both, Until::FirstCompleted).unwrap();
    assert_eq!((waited.done, waited.pending), (vec![0], vec![1]));
    let waited = wait_for(both, Until::AllCompleted, SHORT).unwrap();
    assert_eq!((waited.done, waited.pending), (vec![0], vec![1]), "no error: who is done by then");
    let waited = wait_until(both, Until::AllCompleted, Instant::now()).unwrap();
    assert_eq!(waited.pending, [1]);
    let setter = thread::spawn(move || text.set("done".into()));
    assert_eq!(wait(both, Until::AllCompleted).unwrap().done, [0, 1]);
    setter.join().unwrap().unwrap();
    assert_eq!((number.result().unwrap(), later.result().unwrap()), (1, "done".into()), "it took nothing");
}

#[test]
fn nothing_to_wait_for() {
    let none: [&Future<u32>; 0] = [];
    for until in [Until::AllCompleted, Until::FirstCompleted, Until::FirstError] {
        let waited = wait(none, until).unwrap();
        assert!(waited.done.is_empty() && waited.pending.is_empty());
    }
    assert!(as_completed(Vec::<Future<u32>>::new()).next().is_none());
}

/// What a wait gives in which the futures end one after the other, as `end` does it.
fn ends(until: Until, count: usize, end: impl Fn(usize, &Promise<usize>)) -> Vec<usize> {
    let (promises, futures) = promises::<3>();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(&futures, until).unwrap());
        for (number, promise) in promises.iter().enumerate().take(count) {
            until_waiting(waiter.thread());
            end(number, promise);
        }
        let waited = waiter.join_for(LONG).unwrap();
        assert_eq!(waited.done.len() + waited.pending.len(), 3);
        waited.done
    })
}

#[test]
fn when_a_wait_is_over() {
    let set = |n: usize, promise: &Promise<usize>| promise.set(n).unwrap();
    let fail = |_: usize, promise: &Promise<usize>| promise.set_error("no").unwrap();
    let cancel = |_: usize, promise: &Promise<usize>| assert!(promise.future().cancel());
    for end in [&set as &dyn Fn(usize, &Promise<usize>), &fail, &cancel] {
        assert_eq!(ends(Until::AllCompleted, 3, end), [0, 1, 2]);
        assert_eq!(ends(Until::FirstCompleted, 1, end), [0]);
    }
    assert_eq!(ends(Until::FirstError, 1, fail), [0]);
    assert_eq!(ends(Until::FirstError, 3, set), [0, 1, 2], "without an error, all");
    assert_eq!(ends(Until::FirstError, 3, cancel), [0, 1, 2], "one that was cancelled has not failed");
    assert_eq!(
        ends(Until::FirstError, 2, |n, promise| if n == 0 { set(n, promise) } else { fail(n, promise) }),
        [0, 1]
    );
}

#[test]
fn what_is_so_already_needs_no_wait() {
    let (promises, futures) = promises::<3>();
    promises[2].set_error("no").unwrap();
    let me = thread::current();
    let waits = || me.wait_stats().get(Kind::Future).count;
    let before = waits();
    assert_eq!(wait(&futures, Until::FirstCompleted).unwrap().done, [2]);
    assert_eq!(wait(&futures, Until::FirstError).unwrap().done, [2]);
    promises[0].set(0).unwrap();
    assert!(futures[1].cancel());
    assert_eq!(wait(&futures, Until::AllCompleted).unwrap().done, [0, 1, 2]);
    assert_eq!(waits(), before);
    // Twice the same one.
    assert_eq!(wait([&futures[0], &futures[0]], Until::AllCompleted).unwrap().done, [0, 1]);
}

#[test]
fn the_same_future_twice() {
    let promise = Promise::new();
    let future = promise.future();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait([&future, &future], Until::AllCompleted).unwrap());
        until_waiting(waiter.thread());
        promise.set(1).unwrap();
        assert_eq!(waiter.join_for(LONG).unwrap().done, [0, 1]);
    });
    assert_eq!(as_completed([future.clone(), future]).filter(Result::is_ok).count(), 2);
}

#[test]
fn an_interrupt_ends_it() {
    let (_promises, futures) = promises::<2>();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(&futures, Until::AllCompleted));
        until_waiting(waiter.thread());
        waiter.thread().interrupt();
        assert!(waiter.join_for(LONG).unwrap().unwrap_err().is_interrupted());
        let waiter = scope.spawn(|| {
            let mut all = as_completed(futures.clone());
            (all.next().unwrap().unwrap_err().is_interrupted(), all.next().is_none(), all.into_remaining().len())
        });
        until_waiting(waiter.thread());
        waiter.thread().interrupt();
        assert_eq!(waiter.join_for(LONG).unwrap(), (true, true, 2));
    });
}

#[test]
fn in_the_order_in_which_they_are_done() {
    let (promises, futures) = promises::<4>();
    promises[2].set(2).unwrap();
    let mut all = as_completed(futures);
    assert_eq!(all.next().unwrap().unwrap().result().unwrap(), 2);
    thread::scope(|scope| {
        let promises = &promises;
        for n in [3, 0] {
            scope.spawn(move || promises[n].set(n).unwrap());
            assert_eq!(all.next().unwrap().unwrap().result().unwrap(), n);
        }
    });
    assert!(promises[1].future().cancel());
    assert!(all.next().unwrap().unwrap().is_cancelled());
    assert!(all.next().is_none() && all.next().is_none());
    assert!(all.into_remaining().is_empty());
}

#[test]
fn the_limit_counts_from_the_call() {
    let (promises, futures) = promises::<3>();
    promises[1].set(1).unwrap();
    for mut all in [
        as_completed_for(futures.clone(), SHORT),
        as_completed_until(futures.clone(), Instant::now() + SHORT),
        as_completed_for(futures.clone(), Duration::ZERO),
        as_completed_until(futures.clone(), Instant::now()),
    ] {
        assert!(all.next().unwrap().unwrap().is_done(), "what is done comes, whatever the limit");
        assert!(all.next().unwrap().unwrap_err().is_timed_out());
        assert!(all.next().is_none());
        assert_eq!(all.into_remaining().len(), 2);
    }
    promises[0].set(0).unwrap();
    promises[2].set(2).unwrap();
    let all: Vec<_> = as_completed_for(futures, Duration::MAX).map(|next| next.unwrap().result().unwrap()).collect();
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn many_that_end_at_once_come_out_once_each() {
    let pool = ThreadPoolExecutor::with_max_workers(4).unwrap();
    for _ in 0..20 {
        let futures: Vec<_> = (0..200usize).map(|n| pool.submit(move || n).unwrap()).collect();
        let mut seen: Vec<_> = as_completed(futures).map(|next| next.unwrap().result().unwrap()).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..200));
    }
}

/// Asserts that doing it again and again leaves nothing behind.
fn leaves_nothing(what: &str, act: impl Fn()) {
    act();
    act();
    let before = BYTES.get();
    (0..500).for_each(|_| act());
    let left = BYTES.get() - before;
    assert!(left < 1024, "{what}: {left} bytes");
}

#[test]
fn waits_that_end_early_leave_nothing_behind() {
    let (_promises, futures) = promises::<2>();
    let past = Duration::from_micros(1);
    leaves_nothing("wait_for", || assert_eq!(wait_for(&futures, Until::AllCompleted, past).unwrap().pending.len(), 2));
    leaves_nothing("first of two", || {
        let waited = wait_for([&futures[0], &futures[1]], Until::FirstCompleted, past).unwrap();
        assert!(waited.done.is_empty());
    });
    leaves_nothing("Future::wait_for", || assert!(futures[0].wait_for(past).is_err()));
    leaves_nothing("as_completed", || assert!(as_completed_for(futures.clone(), past).next().unwrap().is_err()));
    leaves_nothing("as_completed, dropped at once", || drop(as_completed(futures.clone())));
    leaves_nothing("as_completed, taken apart", || drop(as_completed(futures.clone()).into_remaining()));
    leaves_nothing("poll", || {
        let mut one = pin!(futures[0].clone());
        assert!(poll(&mut one, Waker::noop()).is_pending());
        assert!(poll(&mut one, Waker::noop()).is_pending());
    });
}

fn poll<T: Send>(future: &mut Pin<&mut Future<T>>, waker: &Waker) -> Poll<Result<T, lisle::executor::FutureError>> {
    std::future::Future::poll(future.as_mut(), &mut Context::from_waker(waker))
}

/// A waker that counts, and unparks a thread.
struct Knock(thread::Thread, AtomicUsize);

impl Knock {
    fn new() -> (Arc<Knock>, Waker) {
        let knock = Arc::new(Knock(thread::current(), AtomicUsize::new(0)));
        (knock.clone(), Waker::from(knock))
    }

    fn count(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

fn block_on<T>(future: impl std::future::Future<Output = T>) -> T {
    let (mut future, (_, waker)) = (pin!(future), Knock::new());
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn awaited_by_hand() {
    let pool = ThreadPoolExecutor::with_max_workers(2).unwrap();
    for n in 0..500 {
        assert_eq!(block_on(pool.submit(move || n).unwrap()).unwrap(), n);
    }
    let failed = block_on(pool.submit(|| -> u32 { panic!("no") }).unwrap()).unwrap_err();
    assert_eq!(failed.failure().unwrap().message(), "no");
    let cancelled = Promise::<u32>::new();
    cancelled.future().cancel();
    assert!(block_on(cancelled.future()).unwrap_err().is_cancelled());
    assert_eq!(block_on(async { Future::ready(1).await.unwrap() + Future::ready(2).await.unwrap() }), 3);
}

#[test]
fn the_last_waker_is_woken_and_once() {
    let promise = Promise::new();
    let mut future = pin!(promise.future());
    let ((first, first_waker), (second, second_waker)) = (Knock::new(), Knock::new());
    assert!(poll(&mut future, &first_waker).is_pending());
    assert!(poll(&mut future, &second_waker).is_pending());
    promise.set(5).unwrap();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert_eq!(poll(&mut future, &second_waker).map(Result::unwrap), Poll::Ready(5));
    assert_eq!(second.count(), 1);

    // A clone has a waker of its own, and who is gone is not woken.
    let promise = Promise::new();
    let (mut one, mut gone) = (promise.future(), promise.future());
    let mut other = one.clone();
    assert!(poll(&mut Pin::new(&mut one), &first_waker).is_pending());
    assert!(poll(&mut Pin::new(&mut gone), &second_waker).is_pending());
    let (third, third_waker) = Knock::new();
    assert!(poll(&mut Pin::new(&mut other), &third_waker).is_pending());
    drop(gone);
    promise.set(6).unwrap();
    assert_eq!((first.count(), second.count(), third.count()), (1, 1, 1));
}

#[test]
fn a_waker_that_panics_stops_nobody() {
    struct Trap;
    impl Wake for Trap {
        fn wake(self: Arc<Self>) {
            panic!("a trap");
        }
    }
    let pool = ThreadPoolExecutor::with_max_workers(1).unwrap();
    let worker = pool.submit(thread::current).unwrap().result().unwrap();
    let go = Arc::new(Event::new());
    let its = go.clone();
    let call = pool.submit(move || its.wait().is_ok()).unwrap();
    let mut polled = call.clone();
    assert!(poll(&mut Pin::new(&mut polled), &Waker::from(Arc::new(Trap))).is_pending());
    let told = Arc::new(Event::new());
    let tells = told.clone();
    call.add_done_callback(move |_| tells.set());
    go.set();
    told.wait_for(LONG).expect("the next one is told");
    pool.join_for(LONG).unwrap();
    assert_eq!(pool.submit(thread::current).unwrap().result_for(LONG).unwrap(), worker);
}

#[test]
fn awaited_under_runtimes() {
    let pool = ThreadPoolExecutor::with_max_workers(2).unwrap();
    let sum = async {
        let mut sum = 0;
        for n in 0..200 {
            sum += pool.submit(move || n).unwrap().await.unwrap();
        }
        sum
    };
    assert_eq!(futures_executor::block_on(sum), 19_900);

    // Several tasks await clones of one future: one gets the value, all are woken.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let go = Arc::new(Event::new());
    let its = go.clone();
    let call = pool
        .submit(move || {
            its.wait_for(LONG).unwrap();
            7
        })
        .unwrap();
    let results = runtime.block_on(async {
        let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(call.clone())).collect();
        tokio::task::yield_now().await;
        go.set();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    });
    assert_eq!(results.iter().filter(|result| matches!(result, Ok(7))).count(), 1);
    assert_eq!(results.len(), 8);
}

/// Of many futures that are pending in one pool all depend on the same workers, who are named once.
#[test]
#[cfg(feature = "watch")]
fn who_waits_for_many_is_looked_at_for_little() {
    const WORKERS: usize = 4;
    let pool = ThreadPoolExecutor::builder().max_workers(WORKERS).name("looked-at").build().unwrap();
    let go = Arc::new(Event::new());
    let futures: Vec<_> = (0..10_000)
        .map(|_| {
            let go = go.clone();
            pool.submit(move || go.wait().unwrap()).unwrap()
        })
        .collect();
    let wait_all = thread::Builder::new()
        .name("waits-for-many".into())
        .spawn(move || wait(&futures, Until::AllCompleted).unwrap().done.len())
        .unwrap();
    let owners = loop {
        let now = lisle::watch::snapshot();
        let thread = now.threads.iter().find(|thread| thread.name == "waits-for-many");
        match thread.and_then(|thread| thread.wait.as_ref()) {
            // Those that wait in the pool, and one that each worker has begun.
            Some(wait)
                if now.threads.iter().filter(|thread| thread.name.starts_with("looked-at")).count() == WORKERS =>
            {
                break wait.owners.len();
            }
            _ => thread::yield_now(),
        }
    };
    assert!((WORKERS..=2 * WORKERS).contains(&owners), "{owners}");
    go.set();
    assert_eq!(wait_all.join().unwrap(), 10_000);
}
