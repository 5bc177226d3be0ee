//! What can be said of a pool, and of a call, before it is made.

use super::failure::SubmitError;
use super::future::Future;
use super::pool::ThreadPoolExecutor;
use crate::park::{Label, Limit, Site};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Initializer = Box<dyn Fn() -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync>;

/// What a worker does before a call, with what the submitter gave it. What it returns is dropped after
/// the call.
pub(super) type Enter = Box<dyn FnOnce() -> Box<dyn Any> + Send>;

type Context = Box<dyn Fn() -> Enter + Send + Sync>;

/// What a pool is made of.
pub(super) struct Options {
    pub(super) name: String,
    /// Where the pool was built.
    pub(super) site: Site,
    pub(super) max_workers: usize,
    pub(super) max_pending: Option<usize>,
    pub(super) on_full: OnFull,
    pub(super) priorities: bool,
    pub(super) keep_alive: Option<Duration>,
    pub(super) daemon: bool,
    pub(super) help: bool,
    pub(super) stack_size: Option<usize>,
    pub(super) initializer: Option<Initializer>,
    pub(super) context: Option<Context>,
}

/// What becomes of a call that is submitted while as many are pending as may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFull {
    /// Submitting blocks until there is room.
    #[default]
    Block,
    /// Submitting fails with [`SubmitError::Full`].
    Reject,
    /// The submitting thread runs the call itself: it is slowed down, and nothing is lost.
    RunInCaller,
}

/// Why a pool could not be made.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// It would have had no workers.
    NoWorkers,
    /// It would have had no room for a call.
    NoRoom,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BuildError::NoWorkers => "a pool of 0 workers could run nothing: max_workers must be at least 1",
            BuildError::NoRoom => {
                "a pool with room for 0 pending calls could never take one: max_pending must be at least 1"
            }
        })
    }
}

impl Error for BuildError {}

/// What can be said of a pool before it is made.
///
/// # Examples
/// ```
/// use lisle::executor::{OnFull, ThreadPoolExecutor};
/// use std::time::Duration;
///
/// let pool = ThreadPoolExecutor::builder()
///     .name("thumbnails")
///     .max_workers(2)
///     .max_pending(100, OnFull::Block)
///     .keep_alive(Duration::from_secs(10))
///     .build()
///     .unwrap();
/// let name = pool.submit(|| lisle::thread::current().name().map(str::to_owned)).unwrap();
/// assert_eq!(name.result().unwrap().as_deref(), Some("thumbnails_0"));
/// assert!(ThreadPoolExecutor::builder().max_workers(0).build().is_err());
/// ```
#[must_use = "a builder makes no pool until it is told to build one"]
pub struct Builder {
    options: Options,
}

impl Builder {
    pub(super) fn new() -> Builder {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let options = Options {
            name: String::new(),
            site: Location::caller(),
            max_workers: (processors + 4).min(32),
            max_pending: None,
            on_full: OnFull::Block,
            priorities: false,
            keep_alive: None,
            daemon: false,
            help: false,
            stack_size: None,
            initializer: None,
            context: None,
        };
        Builder { options }
    }

    /// How many workers there may be; without this `min(32, processors + 4)`.
    pub fn max_workers(mut self, most: usize) -> Builder {
        self.options.max_workers = most;
        self
    }

    /// Names the pool; its threads are called `name_0`, `name_1` and so on. Without this it is
    /// `ThreadPoolExecutor-N`.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.options.name = name.into();
        self
    }

    /// What every worker does before its first call. If it fails or panics, the pool is
    /// [broken](SubmitError::Broken): pending calls fail with its reason, and no more are taken.
    pub fn initializer<E: Into<Box<dyn Error + Send + Sync>>>(
        mut self,
        initializer: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Builder {
        self.options.initializer = Some(Box::new(move || initializer().map_err(Into::into)));
        self
    }

    /// How many calls may be pending, and what happens when one more is submitted. A call that was
    /// cancelled counts until a worker comes to it. Without this there is no bound.
    pub fn max_pending(mut self, most: usize, on_full: OnFull) -> Builder {
        (self.options.max_pending, self.options.on_full) = (Some(most), on_full);
        self
    }

    /// Whether calls have a [priority](CallOptions::priority). Costs a little for every call.
    pub fn priorities(mut self, priorities: bool) -> Builder {
        self.options.priorities = priorities;
        self
    }

    /// How long a worker waits for a call before its thread ends. Without this it waits for ever.
    pub fn keep_alive(mut self, limit: Duration) -> Builder {
        self.options.keep_alive = Some(limit);
        self
    }

    /// Whether the process may end without waiting for the pool's calls. Without this it waits,
    /// whatever thread makes the pool.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.options.daemon = daemon;
        self
    }

    /// Whether a worker that would wait for a call that is pending in its own pool runs that call in
    /// place. Then no call of this pool waits for want of a worker; but a call may find another one
    /// below it on its stack, with the locks that that one holds.
    pub fn help(mut self, help: bool) -> Builder {
        self.options.help = help;
        self
    }

    /// The size of the workers' stacks in bytes, as for threads.
    pub fn stack_size(mut self, size: usize) -> Builder {
        self.options.stack_size = Some(size);
        self
    }

    /// Carries what belongs to the submitter over to the call: `capture` is called where a call is
    /// submitted, `enter` before the call on its worker. What `enter` returns is dropped after the call.
    ///
    /// ```
    /// use lisle::executor::ThreadPoolExecutor;
    /// use std::cell::Cell;
    ///
    /// thread_local! { static REQUEST: Cell<u32> = const { Cell::new(0) } }
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .context(|| REQUEST.get(), |request| REQUEST.set(request))
    ///     .build()
    ///     .unwrap();
    /// REQUEST.set(7);
    /// assert_eq!(pool.submit(|| REQUEST.get()).unwrap().result().unwrap(), 7);
    /// ```
    pub fn context<C, G>(
        mut self,
        capture: impl Fn() -> C + Send + Sync + 'static,
        enter: impl Fn(C) -> G + Send + Sync + 'static,
    ) -> Builder
    where
        C: Send + 'static,
        G: 'static,
    {
        let enter = std::sync::Arc::new(enter);
        self.options.context = Some(Box::new(move || {
            let (captured, enter) = (capture(), enter.clone());
            Box::new(move || Box::new(enter(captured)) as Box<dyn Any>)
        }));
        self
    }

    /// Makes the pool. No thread is started before there is a call.
    ///
    /// # Errors
    /// If it would have no workers, or no room for a call.
    #[track_caller]
    pub fn build(mut self) -> Result<ThreadPoolExecutor, BuildError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let options = &mut self.options;
        options.site = Location::caller();
        if options.max_workers == 0 {
            return Err(BuildError::NoWorkers);
        }
        if options.max_pending == Some(0) {
            return Err(BuildError::NoRoom);
        }
        if options.name.is_empty() {
            options.name = format!("ThreadPoolExecutor-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        }
        Ok(ThreadPoolExecutor::build(self.options))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.options.name)
            .field("max_workers", &self.options.max_workers)
            .field("max_pending", &self.options.max_pending)
            .finish_non_exhaustive()
    }
}

/// What can be said of one call, see [`ThreadPoolExecutor::call`].
#[must_use = "nothing is called before `submit`"]
#[derive(Clone, Debug)]
pub struct CallOptions<'pool> {
    pool: &'pool ThreadPoolExecutor,
    name: Option<String>,
    priority: i32,
    limit: Limit,
}

impl ThreadPoolExecutor {
    /// A call of which there is something to say: its name, its priority, how long submitting it may
    /// block.
    ///
    /// ```
    /// use lisle::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().priorities(true).build().unwrap();
    /// let future = pool.call().name("the answer").priority(10).submit(|| 42).unwrap();
    /// assert_eq!(future.name(), Some("the answer"));
    /// ```
    pub fn call(&self) -> CallOptions<'_> {
        CallOptions { pool: self, name: None, priority: 0, limit: Limit::Never }
    }
}

impl CallOptions<'_> {
    /// Names the call: reports, and the list of what is still running at a shutdown, call it by this.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Calls of higher priority begin first; without this it is 0. Counts in a pool with
    /// [priorities](Builder::priorities) only.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How long submitting may block for want of room.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Limit::For(limit);
        self
    }

    /// [`limit`](CallOptions::limit) as a point in time.
    pub fn deadline(mut self, limit: Instant) -> Self {
        self.limit = Limit::Until(limit);
        self
    }

    /// Submits the call.
    ///
    /// # On timeout
    /// [`SubmitError::TimedOut`]; the call is dropped.
    ///
    /// # Errors
    /// As [`ThreadPoolExecutor::submit`].
    #[track_caller]
    pub fn submit<F, T>(self, function: F) -> Result<Future<T>, SubmitError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let site = Location::caller();
        let label = match self.name {
            Some(name) => Label::named(name, site),
            None => Label::new(site),
        };
        self.pool.inner.submit(function, label, self.priority, self.limit)
    }
}
