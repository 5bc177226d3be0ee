//! Calls that borrow.

use super::call::{Call, Parcel, Plain};
use super::core::safely;
use super::failure::SubmitError;
use super::future::Future;
use super::pool::{Inner, ThreadPoolExecutor};
use super::task::Task;
use super::teams;
use crate::park::sys::atomic::{AtomicUsize, Ordering};
use crate::park::sys::{PlainLock, cheap_barrier};
use crate::park::wait::{Bond, Subject};
use crate::park::{Kind, Label, Limit, Owner, Site, Wait};
use crate::queue::gate::Gate;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;

/// A place for calls that may borrow from outside of it, because they are all over before
/// [`scope`](ThreadPoolExecutor::scope) returns.
pub struct Scope<'scope, 'env: 'scope> {
    pool: &'scope Arc<Inner>,
    count: Arc<Count>,
    /// The calls, if this is a worker of the pool: it runs itself what has not begun.
    own: Option<PlainLock<Vec<Arc<Parcel>>>>,
    // As in `thread::scope`: both lifetimes are invariant.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// How many calls of a scope there are, and how many are left of.
struct Count {
    label: Label,
    pool: u32,
    begun: AtomicUsize,
    over: AtomicUsize,
    gate: Gate,
}

/// Stands for a part of a call that may borrow: for the function, and for the queue's share in the
/// value. Dropped after it.
struct Ticket(Arc<Count>);

impl Ticket {
    fn new(count: &Arc<Count>) -> Ticket {
        count.begun.fetch_add(1, Ordering::Relaxed);
        Ticket(count.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, Ordering::SeqCst);
        cheap_barrier();
        if self.0.gate.is_awaited() {
            self.0.gate.admit_while(|| self.0.is_over());
        }
    }
}

impl Count {
    fn is_over(&self) -> bool {
        // In this order: a call that begins another one is not over yet.
        let over = self.over.load(Ordering::SeqCst);
        over == self.begun.load(Ordering::SeqCst)
    }
}

/// Whoever runs the scope's calls, or will, is one of the pool's workers. Which of them is not told, so
/// the wait is hopeless only when all of them are.
impl Subject for Count {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of the scope {}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        teams::of(self.pool, &mut |ident| found(Owner::any(1, ident, Bond::MayRun)));
    }
}

impl ThreadPoolExecutor {
    /// Calls `f` with a scope in which calls can be submitted that borrow, waits until they are all
    /// over, and returns what `f` returned. A worker of the pool that opens a scope runs itself what of
    /// it has not begun, rather than wait for another worker.
    ///
    /// The wait can neither be interrupted nor fail: the calls' borrows end here.
    ///
    /// # Panics
    /// If `f` does. A panic in a call goes to its future.
    ///
    /// # Examples
    /// ```
    /// use lisle::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new();
    /// let mut numbers = [1, 2, 3, 4];
    /// let (left, right) = numbers.split_at_mut(2);
    /// let sum = pool.scope(|s| {
    ///     let sum = s.submit(|| left.iter().sum::<u32>()).unwrap();
    ///     s.submit(|| right.reverse()).unwrap();
    ///     sum.result().unwrap()
    /// });
    /// assert_eq!((sum, numbers), (3, [1, 2, 4, 3]));
    /// ```
    #[track_caller]
    pub fn scope<'env, F, T>(&self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        let site = Location::caller();
        let count = Count {
            label: Label::new(site),
            pool: self.inner.id,
            begun: AtomicUsize::new(0),
            over: AtomicUsize::new(0),
            gate: Gate::new(),
        };
        let scope = Scope {
            pool: &self.inner,
            count: Arc::new(count),
            own: self.inner.is_own_worker().then(|| PlainLock::new(Vec::new())),
            scope: PhantomData,
            env: PhantomData,
        };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        scope.wait_for_all(site);
        match result {
            Err(payload) => resume_unwind(payload),
            Ok(value) => value,
        }
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Submits a call that may borrow what outlives the scope, and submit further calls in it.
    ///
    /// # Errors
    /// As [`ThreadPoolExecutor::submit`]; the call is dropped.
    #[track_caller]
    pub fn submit<F, T>(&'scope self, function: F) -> Result<Future<T>, SubmitError>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let site = Location::caller();
        let ticketed = Ticketed { function, _ticket: Ticket::new(&self.count) };
        let enter = self.pool.context();
        let function = move || {
            let _entered = enter.map(|enter| enter());
            ticketed.run()
        };
        let call = Arc::new(Call::new(function, Label::new(site), self.pool.id));
        let future = call.future();
        // SAFETY: what of the call borrows has a ticket each: the function, which is run or dropped
        // before its ticket is, and what the parcel holds, which is dropped before the parcel's ticket.
        // `scope` does not return before all tickets are gone. Futures carry the value's lifetime in
        // their type.
        let task = unsafe { Task::borrowing(call) };
        let parcel = Arc::new(Parcel::new(task, Label::new(site), Box::new(Ticket::new(&self.count))));
        if let Some(own) = &self.own {
            own.lock().push(parcel.clone());
            // The worker that opened the scope may be waiting for its end: this call is for it too.
            cheap_barrier();
            if self.count.gate.is_awaited() {
                self.count.gate.admit(1);
            }
        }
        self.pool.put(Task::new(parcel), 0, Limit::Never, site)?;
        Ok(future)
    }

    /// Submits a call without a future: a panic in it goes to the
    /// [`excepthook`](crate::thread::set_excepthook).
    ///
    /// # Errors
    /// As [`ThreadPoolExecutor::submit`]; the call is dropped.
    #[track_caller]
    pub fn execute(&'scope self, function: impl FnOnce() + Send + 'scope) -> Result<(), SubmitError> {
        if self.own.is_some() {
            return self.submit(move || safely(function)).map(drop);
        }
        let site = Location::caller();
        let ticketed = Ticketed { function, _ticket: Ticket::new(&self.count) };
        let enter = self.pool.context();
        let function = move || {
            let _entered = enter.map(|enter| enter());
            ticketed.run();
        };
        // SAFETY: the function is run or dropped before its ticket is, and `scope` does not return before
        // all tickets are gone.
        let task = unsafe { Task::borrowing(Plain { function, label: Label::new(site) }) };
        self.pool.put(task, 0, Limit::Never, site)
    }

    fn wait_for_all(&self, site: Site) {
        let own_left = || self.own.as_ref().is_some_and(|own| !own.lock().is_empty());
        let must_wait = || !self.count.is_over() && !own_left();
        loop {
            while let Some(parcel) = self.own.as_ref().and_then(|own| own.lock().pop()) {
                parcel.open(Task::run);
            }
            if self.count.is_over() {
                return;
            }
            let mut wait = Wait::new(Kind::PoolJoin, &*self.count, site, None);
            (wait.interruptible, wait.unfailing) = (false, true);
            let attempt = |_| (!must_wait()).then_some(());
            self.count.gate.wait(wait, attempt, must_wait).expect("nothing can fail this wait");
        }
    }
}

/// A function that borrows, with its ticket, which goes after it.
struct Ticketed<F> {
    function: F,
    _ticket: Ticket,
}

impl<F: FnOnce() -> T, T> Ticketed<F> {
    fn run(self) -> T {
        let Ticketed { function, _ticket } = self;
        function()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("pool", &self.pool.name).finish_non_exhaustive()
    }
}
