//! `ThreadPoolExecutor`: threads that run submitted calls.

use super::backlog::Backlog;
use super::bench::Bench;
use super::builder::{Builder, OnFull, Options};
use super::call::{Call, Plain};
use super::crew::{Crew, Roster};
use super::failure::{Failure, SubmitError};
use super::function::{Executor, Function, Pending};
use super::future::Future;
use super::task::Task;
use super::teams;
use super::worker::{self, works_for};
use crate::park::sys::cheap_barrier;
use crate::park::wait::{Bond, Subject};
use crate::park::{Kind, Label, Limit, Owner, Site, Wait, WaitError};
use crate::queue::gate::Gate;
use crate::queue::{GetError, PutError};
use crate::thread;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What the pool and its workers share.
pub(super) struct Inner {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) crew: Crew,
    pub(super) backlog: Backlog,
    /// Where workers sleep that have nothing to do.
    pub(super) bench: Bench,
    /// Where threads wait for room in the backlog.
    room: Gate,
    /// Where threads wait until all calls are over.
    quiet: Gate,
    pub(super) options: Options,
    broken: OnceLock<Failure>,
}

/// Threads that run submitted calls, in the order in which they came.
///
/// Threads are started when there are calls for them, up to a number, and wait for more when they have
/// none. Dropping the pool is a [`shutdown`](ThreadPoolExecutor::shutdown): what was submitted is run.
///
/// A panic in a call goes to its [`Future`], and the worker goes on. Waits for futures take part in the
/// search for deadlocks: a call that waits for one that only its own thread could run gets an error. So
/// does the last of a pool's workers when all of them wait for calls that are pending in it; or, with
/// [`help`](Builder::help), it runs such a call itself.
///
/// # The end of the process
/// It waits for calls that were submitted, but not for workers that have nothing to do. Pools of
/// [daemons](Builder::daemon) do not keep the process.
///
/// # In the child of a fork
/// The workers are not there. A pool that was made before the fork is not to be used in the child.
///
/// # Fairness
/// Calls begin in the order in which they were submitted, those of higher
/// [priority](super::CallOptions::priority) first.
///
/// # Examples
/// ```
/// use lisle::executor::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::with_max_workers(2).unwrap();
/// let squares: Vec<_> = (1..=4).map(|n: u64| pool.submit(move || n * n).unwrap()).collect();
/// let sum: u64 = squares.iter().map(|square| square.result().unwrap()).sum();
/// assert_eq!(sum, 30);
/// ```
pub struct ThreadPoolExecutor {
    pub(super) inner: Arc<Inner>,
}

impl ThreadPoolExecutor {
    /// A pool of at most `min(32, processors + 4)` workers.
    #[track_caller]
    pub fn new() -> ThreadPoolExecutor {
        ThreadPoolExecutor::builder().build().expect("the defaults can be built")
    }

    /// A pool of at most so many workers.
    ///
    /// # Errors
    /// If that is 0.
    #[track_caller]
    pub fn with_max_workers(most: usize) -> Result<ThreadPoolExecutor, super::BuildError> {
        ThreadPoolExecutor::builder().max_workers(most).build()
    }

    /// What can be said of a pool before it is made.
    pub fn builder() -> Builder {
        Builder::new()
    }

    #[track_caller]
    pub(super) fn build(options: Options) -> ThreadPoolExecutor {
        super::exit::watch();
        let inner = teams::enter(options.max_workers, |id| {
            Arc::new(Inner {
                id,
                name: options.name.clone(),
                crew: Crew::new(options.max_workers),
                backlog: Backlog::new(&options.name, options.max_pending, options.priorities),
                bench: Bench::new(),
                room: Gate::new(),
                quiet: Gate::new(),
                options,
                broken: OnceLock::new(),
            })
        });
        ThreadPoolExecutor { inner }
    }

    /// The pool's name, which its threads' names begin with.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How many workers there may be.
    pub fn max_workers(&self) -> usize {
        self.inner.crew.most()
    }

    /// How many workers there are at this moment.
    pub fn workers(&self) -> usize {
        self.inner.crew.lock().size
    }

    /// How many calls have not begun at this moment, counting those that were cancelled and not yet
    /// come to.
    pub fn pending(&self) -> usize {
        self.inner.backlog.len()
    }

    /// Submits a call. Blocks only if the pool is [bounded](Builder::max_pending), blocks then, and is
    /// full.
    ///
    /// # On interrupt
    /// `Interrupted`, if it blocked; the call is dropped.
    ///
    /// # Errors
    /// `ShutDown`; `Broken`; `Full`, `Interrupted`, `Deadlocked` if the pool is bounded; `NoThread`, if
    /// the pool has no thread and the system makes none.
    #[inline]
    #[track_caller]
    pub fn submit<F, T>(&self, function: F) -> Result<Future<T>, SubmitError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.inner.submit(function, Label::new(Location::caller()), 0, Limit::Never)
    }

    /// Submits a call without a future: a panic in it goes to the
    /// [`excepthook`](crate::thread::set_excepthook). [`join`](ThreadPoolExecutor::join) waits for all.
    ///
    /// # On interrupt
    /// As [`submit`](ThreadPoolExecutor::submit).
    ///
    /// # Errors
    /// As [`submit`](ThreadPoolExecutor::submit).
    #[inline]
    #[track_caller]
    pub fn execute(&self, function: impl FnOnce() + Send + 'static) -> Result<(), SubmitError> {
        let label = Label::new(Location::caller());
        let site = label.site();
        match self.inner.context() {
            None => self.inner.put(Task::new(Plain { function, label }), 0, Limit::Never, site),
            Some(enter) => {
                let function = move || {
                    let _entered = enter();
                    function();
                };
                self.inner.put(Task::new(Plain { function, label }), 0, Limit::Never, site)
            }
        }
    }

    /// Waits until no call is pending or running.
    ///
    /// # On interrupt
    /// `Interrupted`.
    ///
    /// # Errors
    /// `Interrupted`, or `Deadlocked`: a call of this pool waits for this thread, or is this thread's.
    #[track_caller]
    pub fn join(&self) -> Result<(), WaitError> {
        self.inner.join(Limit::Never, Location::caller())
    }

    /// [`join`](ThreadPoolExecutor::join) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`.
    ///
    /// # Errors
    /// `TimedOut`, and those of `join`.
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<(), WaitError> {
        self.inner.join(Limit::For(limit), Location::caller())
    }

    /// [`join_for`](ThreadPoolExecutor::join_for), with the limit as a point in time.
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<(), WaitError> {
        self.inner.join(Limit::Until(limit), Location::caller())
    }
}

/// The means to break a pool from within its calls.
#[cfg(all(feature = "process", not(loom)))]
pub(crate) struct Breaker(std::sync::Weak<Inner>);

#[cfg(all(feature = "process", not(loom)))]
impl ThreadPoolExecutor {
    pub(crate) fn breaker(&self) -> Breaker {
        Breaker(Arc::downgrade(&self.inner))
    }
}

#[cfg(all(feature = "process", not(loom)))]
impl Breaker {
    /// The pool can run nothing any more.
    pub(crate) fn break_down(&self, failure: Failure) {
        if let Some(inner) = self.0.upgrade() {
            inner.break_down(failure);
        }
    }
}

impl Inner {
    #[inline(always)]
    pub(super) fn submit<F, T>(
        self: &Arc<Inner>,
        function: F,
        label: Label,
        priority: i32,
        limit: Limit,
    ) -> Result<Future<T>, SubmitError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.context() {
            None => self.submit_bare(function, label, priority, limit),
            Some(enter) => {
                let function = move || {
                    let _entered = enter();
                    function()
                };
                self.submit_bare(function, label, priority, limit)
            }
        }
    }

    #[inline(always)]
    fn submit_bare<F, T>(
        self: &Arc<Inner>,
        function: F,
        label: Label,
        priority: i32,
        limit: Limit,
    ) -> Result<Future<T>, SubmitError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let site = label.site();
        let call = Arc::new(Call::new(function, label, self.id));
        let future = call.future();
        self.put(Task::new(call), priority, limit, site)?;
        Ok(future)
    }

    /// The submitter's part of the context hook, done.
    #[inline(always)]
    pub(super) fn context(&self) -> Option<super::builder::Enter> {
        self.options.context.as_ref().map(|capture| capture())
    }

    #[inline(always)]
    pub(super) fn put(
        self: &Arc<Inner>,
        task: Task,
        priority: i32,
        limit: Limit,
        site: Site,
    ) -> Result<(), SubmitError> {
        if let Err(error) = self.backlog.try_put(task, priority) {
            match self.put_slow(error, priority, limit, site)? {
                Put::In => {}
                Put::Ran => return Ok(()),
            }
        }
        self.bench.call_came();
        self.crew.call_came(|roster| self.hire(roster, self)).or_else(|error| self.nobody_came(error))
    }

    /// Waits for a call, once the worker [looks around](Bench::look_around); `None` if there will be no more.
    pub(super) fn next_task(&self, limit: Limit) -> Result<Option<Task>, WaitError> {
        let take = || match self.backlog.try_get() {
            Ok(task) => Some(Some(task)),
            Err(GetError::ShutDown) => Some(None),
            Err(_) => None,
        };
        let must_wait = || self.backlog.is_empty() && !self.backlog.is_closed();
        let site = self.options.site;
        let length = || self.backlog.len();
        let mut wait = Wait::new(Kind::Idle, self, site, limit.deadline());
        wait.length = Some(&length);
        self.bench.sit(wait, take, must_wait)
    }

    #[cold]
    fn put_slow(&self, error: PutError<Task>, priority: i32, limit: Limit, site: Site) -> Result<Put, SubmitError> {
        let mut left = match error {
            PutError::ShutDown(_) => return Err(self.why_closed()),
            full => Some(full.into_inner()),
        };
        let limit = match self.options.on_full {
            OnFull::Block => limit,
            OnFull::Reject => return Err(SubmitError::Full),
            OnFull::RunInCaller => {
                left.take().expect("it is still here").run();
                return Ok(Put::Ran);
            }
        };
        let must_wait = || self.backlog.is_full() && !self.backlog.is_closed();
        let attempt = |_| match self.backlog.try_put(left.take()?, priority) {
            Ok(()) => Some(Ok(Put::In)),
            Err(PutError::ShutDown(_)) => Some(Err(self.why_closed())),
            Err(full) => {
                left = Some(full.into_inner());
                None
            }
        };
        let length = || self.backlog.len();
        let mut wait = Wait::new(Kind::PoolFull, self, site, limit.deadline());
        wait.length = Some(&length);
        self.room.wait(wait, attempt, must_wait).unwrap_or_else(|error| {
            Err(match error {
                WaitError::TimedOut => SubmitError::TimedOut,
                WaitError::Interrupted => SubmitError::Interrupted,
                WaitError::Deadlocked(report) => SubmitError::Deadlocked(report),
            })
        })
    }

    fn why_closed(&self) -> SubmitError {
        match self.broken.get() {
            Some(failure) => SubmitError::Broken(failure.clone()),
            None => SubmitError::ShutDown,
        }
    }

    /// A call was taken out of the backlog.
    #[inline(always)]
    pub(super) fn room_came(&self) {
        if self.room.is_awaited() {
            self.room.admit(1);
        }
    }

    /// No thread can be made for a call that was put in. That matters only if there is none.
    #[cold]
    fn nobody_came(&self, error: SubmitError) -> Result<(), SubmitError> {
        if self.crew.lock().size > 0 {
            return Ok(());
        }
        // Ours, if nobody else has put one in meanwhile; who did so is told the same.
        drop(self.backlog.try_get());
        self.count_dropped(1);
        Err(error)
    }

    /// Starts a worker.
    pub(super) fn hire(&self, roster: &mut Roster, shared: &Arc<Inner>) -> Result<(), SubmitError> {
        let mut builder =
            thread::Builder::new().name(format!("{}_{}", self.name, roster.hired)).daemon(self.options.daemon);
        if let Some(size) = self.options.stack_size {
            builder = builder.stack_size(size);
        }
        let pool = shared.clone();
        teams::hire(self.id);
        match worker::start(builder, move || worker::work(pool)) {
            Ok(thread) => {
                roster.hired += 1;
                roster.threads.retain(|thread| !thread.is_finished());
                roster.threads.extend(thread);
                Ok(())
            }
            Err(error) => {
                teams::call_off(self.id);
                Err(SubmitError::NoThread(Arc::new(error)))
            }
        }
    }

    /// All calls that were put in are over.
    #[cold]
    pub(super) fn all_is_quiet(&self) {
        cheap_barrier(); // who waits has a heavy one between announcing that and looking
        if self.quiet.is_awaited() {
            self.quiet.admit_while(|| self.is_quiet());
        }
    }

    fn is_quiet(&self) -> bool {
        self.crew.done() == self.backlog.puts()
    }

    fn join(&self, limit: Limit, site: Site) -> Result<(), WaitError> {
        let must_wait = || !self.is_quiet();
        if !must_wait() {
            return Ok(());
        }
        // Who was admitted need not look again: all were over then, whatever was submitted since.
        let attempt = |admitted| (admitted || !must_wait()).then_some(());
        self.quiet.wait(Wait::new(Kind::PoolJoin, self, site, limit.deadline()), attempt, must_wait)
    }

    fn count_dropped(&self, calls: usize) {
        if self.crew.count(calls, || self.backlog.puts()) {
            self.all_is_quiet();
        }
    }

    /// Ends what is pending as `end` does, and says how many calls that were.
    fn drain(&self, end: impl Fn(Task)) {
        while let Ok(task) = self.backlog.try_get() {
            end(task);
            self.count_dropped(1);
        }
    }

    /// Takes no more calls. Also done again, it does what is left to do.
    pub(super) fn close(self: &Arc<Inner>, pending: Pending) {
        self.backlog.close();
        if pending == Pending::Cancel {
            self.drain(drop);
        }
        self.bench.all_get_up();
        if !self.backlog.is_empty() {
            // There is nobody only if the system made no thread before. Perhaps it does now.
            let _ = self.crew.call_came(|roster| self.hire(roster, self));
        }
        self.room.admit(usize::MAX);
    }

    /// The pool can run nothing any more: whatever is pending fails, and so does what is submitted.
    pub(super) fn break_down(&self, failure: Failure) {
        let _ = self.broken.set(failure.clone());
        self.backlog.close();
        self.drain(|task| task.fail(&failure));
        self.bench.all_get_up();
        self.room.admit(usize::MAX);
    }

    /// Whether the calling thread is one of the pool's.
    pub(super) fn is_own_worker(&self) -> bool {
        works_for(self.id)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        teams::remove(self.id);
    }
}

enum Put {
    In,
    Ran,
}

/// A wait for room depends on any of the workers; one for all calls, on each that runs one.
impl Subject for Inner {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }

    fn identity(&self) -> u64 {
        self.id.into()
    }

    fn owners(&self, kind: Kind, found: &mut dyn FnMut(Owner)) {
        match kind {
            Kind::PoolFull => teams::of(self.id, &mut |ident| found(Owner::any(1, ident, Bond::MayRun))),
            // A call may come from anybody.
            Kind::Idle => {}
            // A worker that rests waits for anybody; so the wait depends on those that do not, and if
            // they all wait for this thread, what is pending waits with them.
            _ => {
                let mut group = 0;
                teams::members(self.id, &mut |ident| {
                    group += 1;
                    found(Owner::any(group, ident, Bond::Calls));
                });
            }
        }
    }
}

impl Default for ThreadPoolExecutor {
    #[track_caller]
    fn default() -> ThreadPoolExecutor {
        ThreadPoolExecutor::new()
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutor")
            .field("name", &self.name())
            .field("workers", &self.workers())
            .field("max_workers", &self.max_workers())
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

impl<A: Send + 'static, R: Send + 'static> Executor<A, R> for ThreadPoolExecutor {
    #[track_caller]
    fn call(&self, function: Function<A, R>, argument: A) -> Result<Future<R>, SubmitError> {
        let label = Label::named(function.name().into(), Location::caller());
        self.inner.submit(move || function.call(argument), label, 0, Limit::Never)
    }

    fn close(&self, pending: Pending) {
        self.inner.close(pending);
    }
}
