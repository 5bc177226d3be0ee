//! Every blocking call of the API: ends at its limit, does not sleep for a limit in the past, takes
//! `Duration::MAX` for ever, and can be interrupted.

use lisle::executor::{
    FutureError, OnFull, Pending, Promise, ShutdownError, SubmitError, ThreadPoolExecutor, Until, Waited, as_completed,
    as_completed_for, as_completed_until, wait, wait_for, wait_until,
};
use lisle::gil::Gil;
use lisle::queue::{GetError, LifoQueue, PriorityQueue, PutError, Queue, SimpleQueue};
use lisle::sync::*;
use lisle::thread::{self, JoinError};
use lisle::timer::Timer;
use lisle::{Kind, WaitError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a call ended, whatever its error type.
#[derive(Debug, PartialEq)]
enum End {
    TimedOut,
    Interrupted,
    Other(String),
}

trait Ended {
    fn ended(self) -> End;
}

/// Errors of which the variants in question have the names that they have everywhere.
macro_rules! ended {
    ($($error:ty => $timed_out:pat, $interrupted:pat,)*) => {$(
        impl<T> Ended for Result<T, $error> {
            fn ended(self) -> End {
                match self {
                    Err($timed_out) => End::TimedOut,
                    Err($interrupted) => End::Interrupted,
                    Err(other) => End::Other(format!("{other:?}")),
                    Ok(_) => End::Other("came back with what it was called for".into()),
                }
            }
        }
    )*};
}

ended! {
    WaitError => WaitError::TimedOut, WaitError::Interrupted,
    JoinError => JoinError::TimedOut, JoinError::Interrupted,
    BarrierError => BarrierError::TimedOut, BarrierError::Interrupted,
    GetError => GetError::TimedOut, GetError::Interrupted,
    PutError<i32> => PutError::TimedOut(_), PutError::Interrupted(_),
    FutureError => FutureError::TimedOut, FutureError::Interrupted,
    SubmitError => SubmitError::TimedOut, SubmitError::Interrupted,
    ShutdownError => ShutdownError::StillRunning(_), ShutdownError::Interrupted,
}

const LIMIT: Duration = Duration::from_millis(20);

/// How long a thing may take that takes no time, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// One row of the table: a call that blocks for ever, in its forms.
struct Row<'a> {
    name: &'a str,
    kind: Kind,
    for_: &'a (dyn Fn(Duration) -> End + Sync),
    until: &'a (dyn Fn(Instant) -> End + Sync),
    /// The form without a limit, if it can return an error.
    untimed: Option<&'a (dyn Fn() -> End + Sync)>,
}

impl Row<'_> {
    fn check(&self) {
        println!("{}", self.name);
        thread::scope(|scope| {
            scope.spawn(|| self.check_limits()).join().unwrap();
        });
        self.check_interrupt("_for(Duration::MAX)", &|| (self.for_)(Duration::MAX));
        if let Some(untimed) = self.untimed {
            self.check_interrupt("", untimed);
        }
        // And none of that left anything behind that would keep the next one from waiting.
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!((self.for_)(LIMIT), End::TimedOut, "{}", self.name)).join().unwrap();
        });
    }

    fn check_limits(&self) {
        let began = Instant::now();
        assert_eq!((self.for_)(LIMIT), End::TimedOut, "{}_for", self.name);
        assert!(began.elapsed() >= LIMIT, "{}_for came back early", self.name);

        let limit = Instant::now() + LIMIT;
        assert_eq!((self.until)(limit), End::TimedOut, "{}_until", self.name);
        assert!(Instant::now() >= limit, "{}_until came back early", self.name);

        let waits = || thread::current().wait_stats().get(self.kind).count;
        // A thread that the system keeps from running for as long as its limit finds it in the past, and does
        // not wait. That is not often.
        let patience = Instant::now() + PATIENCE;
        let forms: [&dyn Fn() -> End; 2] = [&|| (self.for_)(LIMIT), &|| (self.until)(Instant::now() + LIMIT)];
        for form in forms {
            let before = waits();
            while waits() == before {
                assert!(Instant::now() < patience, "{} is not counted as a wait for {}", self.name, self.kind);
                assert_eq!(form(), End::TimedOut, "{}", self.name);
            }
        }
        let before = waits();
        assert_eq!((self.for_)(Duration::ZERO), End::TimedOut, "{}_for(0)", self.name);
        let past = Instant::now() - Duration::from_secs(1);
        assert_eq!((self.until)(past), End::TimedOut, "{}_until(past)", self.name);
        assert_eq!(waits(), before, "{} slept for a limit in the past", self.name);
    }

    fn check_interrupt(&self, form: &str, call: &(dyn Fn() -> End + Sync)) {
        let name = format!("{}{form}", self.name);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| (call(), thread::current().is_interrupted()));
            let patience = Instant::now() + PATIENCE;
            while waiter.thread().waits_for() != Some(self.kind) {
                assert!(!waiter.is_finished(), "{name} did not wait: {:?}", waiter.join());
                assert!(Instant::now() < patience, "{name} does not show as waiting for {}", self.kind);
                thread::yield_now();
            }
            waiter.thread().interrupt();
            let (end, pending) = waiter.join_for(PATIENCE).expect("an interrupt ends the wait");
            assert_eq!(end, End::Interrupted, "{name}");
            assert!(!pending, "{name} left the interrupt pending that it reported");

            // An interrupt that is there before the call ends it too.
            let waiter = scope.spawn(|| {
                thread::current().interrupt();
                call()
            });
            assert_eq!(waiter.join_for(PATIENCE).expect("a pending interrupt ends the wait"), End::Interrupted);
        });
    }
}

macro_rules! check {
    ($name:literal, $kind:ident, $for_:expr, $until:expr $(, $untimed:expr)?) => {
        Row {
            name: $name,
            kind: Kind::$kind,
            for_: &$for_,
            until: &$until,
            untimed: None$(.or(Some(&$untimed as &(dyn Fn() -> End + Sync))))?,
        }
        .check()
    };
}

#[test]
fn locks() {
    let mutex = Mutex::new(());
    let held = mutex.lock();
    check!("Mutex::lock", Mutex, |d| mutex.lock_for(d).ended(), |i| mutex.lock_until(i).ended(), || mutex
        .lock_interruptible()
        .ended());
    drop(held);
    assert!(mutex.try_lock().is_some());

    let mutex = ReentrantMutex::new(());
    let held = mutex.lock();
    check!(
        "ReentrantMutex::lock",
        ReentrantMutex,
        |d| mutex.lock_for(d).ended(),
        |i| mutex.lock_until(i).ended(),
        || mutex.lock_interruptible().ended()
    );
    drop(held);

    let lock = Lock::new();
    lock.acquire().unwrap();
    check!("Lock::acquire", Lock, |d| lock.acquire_for(d).ended(), |i| lock.acquire_until(i).ended(), || lock
        .acquire()
        .ended());
    lock.release().unwrap();
    assert!(lock.try_acquire());

    let lock = RwLock::new(());
    let held = lock.write();
    check!("RwLock::read", RwLockRead, |d| lock.read_for(d).ended(), |i| lock.read_until(i).ended(), || lock
        .read_interruptible()
        .ended());
    drop(held);
    let held = lock.read();
    check!("RwLock::write", RwLockWrite, |d| lock.write_for(d).ended(), |i| lock.write_until(i).ended(), || lock
        .write_interruptible()
        .ended());
    drop(held);
    assert!(lock.try_write().is_some());
}

#[test]
fn gil() {
    let gil = Gil::new(Duration::from_millis(5));
    let held = gil.attach();
    check!("Gil::attach", Gil, |d| gil.attach_for(d).ended(), |i| gil.attach_until(i).ended(), || gil
        .attach_interruptible()
        .ended());
    drop(held);
    assert!(gil.try_attach().is_some());
}

#[test]
fn condvar() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    check!(
        "Condvar::wait",
        Condvar,
        |d| condvar.wait_for(&mut mutex.lock(), d).ended(),
        |i| condvar.wait_until(&mut mutex.lock(), i).ended(),
        || condvar.wait(&mut mutex.lock()).ended()
    );
    check!(
        "Condvar::wait_while",
        Condvar,
        |d| condvar.wait_while_for(&mut mutex.lock(), |()| true, d).ended(),
        |i| condvar.wait_while_until(&mut mutex.lock(), |()| true, i).ended(),
        || condvar.wait_while(&mut mutex.lock(), |()| true).ended()
    );
    assert!(!condvar.notify_one(), "nobody is left");
    assert!(mutex.try_lock().is_some());
}

#[test]
fn signals() {
    let event = Event::new();
    check!("Event::wait", Event, |d| event.wait_for(d).ended(), |i| event.wait_until(i).ended(), || event
        .wait()
        .ended());

    let semaphore = Semaphore::new(0);
    check!(
        "Semaphore::acquire",
        Semaphore,
        |d| semaphore.acquire_for(d).ended(),
        |i| semaphore.acquire_until(i).ended(),
        || semaphore.acquire().ended()
    );
    semaphore.release();
    assert!(semaphore.try_acquire() && !semaphore.try_acquire());

    let bounded = BoundedSemaphore::new(1);
    bounded.acquire().unwrap();
    check!(
        "BoundedSemaphore::acquire",
        Semaphore,
        |d| bounded.acquire_for(d).ended(),
        |i| bounded.acquire_until(i).ended(),
        || bounded.acquire().ended()
    );

    // Each wait breaks it, so it is made whole before the next.
    let barrier = Barrier::new(2);
    let whole = |end| {
        barrier.reset();
        end
    };
    check!(
        "Barrier::wait",
        Barrier,
        |d| whole(barrier.wait_for(d).ended()),
        |i| whole(barrier.wait_until(i).ended()),
        || whole(barrier.wait().ended())
    );
}

#[test]
fn threads() {
    let release = Event::new();
    thread::scope(|scope| {
        let endless = scope.spawn(|| release.wait());
        check!("ScopedJoinHandle::join", Join, |d| endless.join_for(d).ended(), |i| endless.join_until(i).ended());
        let thread = endless.thread();
        check!("Thread::join", Join, |d| thread.join_for(d).ended(), |i| thread.join_until(i).ended(), || thread
            .join()
            .ended());
        release.set();
    });
    check!(
        "sleep",
        Sleep,
        |d| sleep_as_timed(d),
        |i| sleep_as_timed(i.saturating_duration_since(Instant::now())),
        || thread::sleep_interruptible(Duration::MAX).ended()
    );
}

#[test]
fn timers() {
    let endless = Timer::new(Duration::MAX, || ());
    endless.start().unwrap();
    check!("Timer::join", Join, |d| endless.join_for(d).ended(), |i| endless.join_until(i).ended(), || {
        let error = endless.join().unwrap_err();
        Err::<(), _>(*error.downcast::<JoinError>().unwrap()).ended()
    });
    assert!(endless.cancel());
    assert_eq!(endless.join().unwrap(), None, "nobody has taken it");
}

#[test]
fn futures() {
    let promise = Promise::<i32>::new();
    let future = promise.future();
    check!("Future::wait", Future, |d| future.wait_for(d).ended(), |i| future.wait_until(i).ended(), || future
        .wait()
        .ended());
    check!("Future::result", Future, |d| future.result_for(d).ended(), |i| future.result_until(i).ended(), || future
        .result()
        .ended());
    check!("Future::cloned", Future, |d| future.cloned_for(d).ended(), |i| future.cloned_until(i).ended(), || future
        .cloned()
        .ended());
    check!(
        "Future::exception",
        Future,
        |d| future.exception_for(d).ended(),
        |i| future.exception_until(i).ended(),
        || future.exception().ended()
    );
    for until in [Until::AllCompleted, Until::FirstCompleted, Until::FirstError] {
        check!(
            "executor::wait",
            Future,
            |d| waited(wait_for([&future], until, d)),
            |i| waited(wait_until([&future], until, i)),
            || waited(wait([&future], until))
        );
    }
    let one = || [future.clone()];
    check!(
        "executor::as_completed",
        Future,
        |d| as_completed_for(one(), d).next().unwrap().ended(),
        |i| as_completed_until(one(), i).next().unwrap().ended(),
        || as_completed(one()).next().unwrap().ended()
    );
    promise.set(1).unwrap();
    assert_eq!(future.result().unwrap(), 1);
}

/// Here the end of the limit is no error.
fn waited(result: Result<Waited, WaitError>) -> End {
    match result {
        Ok(waited) if waited.done.is_empty() => End::TimedOut,
        other => other.ended(),
    }
}

#[test]
fn pools() {
    let (gate, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let pool = ThreadPoolExecutor::builder().max_workers(1).max_pending(1, OnFull::Block).build().unwrap();
    let (its_gate, its_begun) = (gate.clone(), begun.clone());
    let running = pool.submit(move || {
        its_begun.set();
        its_gate.wait().unwrap();
    });
    begun.wait().unwrap();
    let dropped = Arc::new(());
    let pending = pool.submit(|| 7).unwrap();
    let nothing = || {
        let kept = dropped.clone();
        move || drop(kept)
    };
    check!(
        "ThreadPoolExecutor::submit",
        PoolFull,
        |d| pool.call().limit(d).submit(nothing()).ended(),
        |i| pool.call().deadline(i).submit(nothing()).ended(),
        || pool.submit(nothing()).ended()
    );
    assert_eq!(Arc::strong_count(&dropped), 1, "a call that was not taken is dropped");
    assert_eq!(pool.pending(), 1);
    check!("ThreadPoolExecutor::join", PoolJoin, |d| pool.join_for(d).ended(), |i| pool.join_until(i).ended(), || pool
        .join()
        .ended());
    check!(
        "ThreadPoolExecutor::shutdown",
        Join,
        |d| pool.shutdown_for(Pending::Run, d).ended(),
        |i| pool.shutdown_until(Pending::Run, i).ended(),
        || pool.shutdown().ended()
    );
    gate.set();
    running.unwrap().result().unwrap();
    assert_eq!(pending.result().unwrap(), 7);
}

/// The end of a sleep is what the others call a time-out.
fn sleep_as_timed(length: Duration) -> End {
    match thread::sleep_interruptible(length) {
        Ok(()) => End::TimedOut,
        other => other.ended(),
    }
}

#[test]
fn queues() {
    let full = Queue::bounded(1);
    full.put(0).unwrap();
    check!("Queue::put", QueuePut, |d| full.put_for(1, d).ended(), |i| full.put_until(1, i).ended(), || full
        .put(1)
        .ended());
    check!("Queue::join", QueueJoin, |d| full.join_for(d).ended(), |i| full.join_until(i).ended(), || full
        .join()
        .ended());
    assert_eq!(full.len(), 1, "what was not put is not there");

    let empty = Queue::<i32>::new();
    check!("Queue::get", QueueGet, |d| empty.get_for(d).ended(), |i| empty.get_until(i).ended(), || empty
        .get()
        .ended());
    check!(
        "Queue::get_many",
        QueueGet,
        |d| empty.get_many_for(8, d).ended(),
        |i| empty.get_many_until(8, i).ended(),
        || empty.get_many(8).ended()
    );
    empty.put(7).unwrap();
    assert_eq!(empty.try_get().unwrap(), 7, "no wait that ended took an item along");

    let empty = LifoQueue::<i32>::new();
    check!("LifoQueue::get", QueueGet, |d| empty.get_for(d).ended(), |i| empty.get_until(i).ended(), || empty
        .get()
        .ended());
    let empty = PriorityQueue::<i32>::new();
    check!("PriorityQueue::get", QueueGet, |d| empty.get_for(d).ended(), |i| empty.get_until(i).ended(), || empty
        .get()
        .ended());
    let empty = SimpleQueue::<i32>::new();
    check!("SimpleQueue::get", QueueGet, |d| empty.get_for(d).ended(), |i| empty.get_until(i).ended(), || empty
        .get()
        .ended());
}
