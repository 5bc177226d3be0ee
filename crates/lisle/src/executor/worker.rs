//! A worker's life.

use super::crew::Member;
use super::failure::Failure;
use super::pool::Inner;
use super::task::Task;
use super::teams;
use crate::park::{Kind, Label, Limit, Site, WaitError, current, sys};
use crate::thread::{self, Thread, hook::Panic};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Instant;

thread_local! {
    /// The pool that the thread works for, and whether it runs pending calls rather than wait for them.
    static EMPLOYER: Cell<(u32, bool)> = const { Cell::new((0, false)) };
}

/// Whether the calling thread is to run a call that is pending in this pool rather than wait for it.
pub(super) fn may_help(pool: u32) -> bool {
    EMPLOYER.get() == (pool, true)
}

/// Whether the calling thread works for this pool.
pub(super) fn works_for(pool: u32) -> bool {
    EMPLOYER.get().0 == pool
}

/// What a worker is doing, for who asks from outside.
#[derive(Default)]
pub(super) struct AtWork {
    /// Where its call was submitted; null while it has none.
    site: AtomicPtr<Location<'static>>,
    /// The call's name, if it has one: few do, and only they pay for it.
    name: crate::park::sys::PlainLock<Option<String>>,
}

impl AtWork {
    #[inline(always)]
    fn begin(&self, label: &Label) {
        if let Some(name) = label.name() {
            *self.name.lock() = Some(name.to_owned());
        }
        self.site.store(ptr::from_ref(label.site()).cast_mut(), Ordering::Relaxed);
    }

    #[inline(always)]
    fn end(&self, named: bool) {
        self.site.store(ptr::null_mut(), Ordering::Relaxed);
        if named {
            *self.name.lock() = None;
        }
    }
}

/// A call that is being run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunningCall {
    /// The worker that runs it.
    pub thread: Thread,
    /// The call's name, if it was given one.
    pub name: Option<String>,
    /// Where it was submitted, as `file:line:column`.
    pub submitted_at: String,
    /// What kind of thing the worker waits for at the moment, if it does.
    pub waits_for: Option<Kind>,
}

impl fmt::Display for RunningCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {:?} runs the call ", self.thread.name().unwrap_or_default())?;
        match &self.name {
            Some(name) => write!(f, "{name:?}")?,
            None => write!(f, "submitted at {}", self.submitted_at)?,
        }
        match self.waits_for {
            Some(kind) => write!(f, ", which waits for: {kind}"),
            None => Ok(()),
        }
    }
}

impl Member {
    pub(super) fn running(&self) -> Option<RunningCall> {
        // SAFETY: null, or a location, which is a static.
        let site: Site = unsafe { self.at_work.site.load(Ordering::Relaxed).as_ref() }?;
        let name = self.at_work.name.lock().clone();
        let (thread, waits_for) = (self.thread.clone(), self.thread.waits_for());
        Some(RunningCall { thread, name, submitted_at: site.to_string(), waits_for })
    }
}

/// Set when the process ends: it is not to be kept by workers that have nothing to do.
pub(super) static ENDING: AtomicBool = AtomicBool::new(false);

/// Starts a worker's thread.
#[cfg(not(loom))]
pub(super) fn start(builder: thread::Builder, run: impl FnOnce() + Send + 'static) -> io::Result<Option<Thread>> {
    builder.spawn(run).map(|handle| Some(handle.thread().clone()))
}

/// Starts a thread of the model's, of which nobody knows when it has finished.
#[cfg(loom)]
pub(super) fn start(_: thread::Builder, run: impl FnOnce() + Send + 'static) -> io::Result<Option<Thread>> {
    STARTED.lock().push(loom::thread::spawn(run));
    Ok(None)
}

#[cfg(loom)]
loom::lazy_static! {
    /// The threads that a model has to wait for before it ends.
    pub(super) static ref STARTED: sys::PlainLock<Vec<loom::thread::JoinHandle<()>>> = sys::PlainLock::default();
}

/// What a worker's thread does.
pub(super) fn work(pool: Arc<Inner>) {
    EMPLOYER.set((pool.id, pool.options.help));
    let member = Arc::new(Member {
        thread: thread::current(),
        rests: sys::atomic::AtomicBool::new(false),
        at_work: AtWork::default(),
    });
    pool.crew.lock().members.push(member.clone());
    teams::join(pool.id, current::ident());
    // Whatever ends the thread, its place is free again and what is pending is not left alone.
    let worker = Worker { pool, member, calls: Cell::new(0) };
    match worker.prepare() {
        Ok(()) => worker.work(),
        Err(failure) => worker.pool.break_down(failure),
    }
}

struct Worker {
    pool: Arc<Inner>,
    member: Arc<Member>,
    /// Calls that are over and not counted yet.
    calls: Cell<usize>,
}

impl Worker {
    fn prepare(&self) -> Result<(), Failure> {
        let Some(initializer) = &self.pool.options.initializer else { return Ok(()) };
        match catch_unwind(AssertUnwindSafe(initializer)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::new(format!("the initializer of a worker failed: {error}"))),
            Err(payload) => {
                let failure = Failure::panicked(Panic::caught(payload));
                Err(Failure::new(format!("the initializer of a worker failed: {failure}")))
            }
        }
    }

    /// Runs calls until there is reason to go. Begins with a rest, however short: who leaves one looks
    /// whether another worker is needed beside it.
    fn work(&self) {
        while let Some(task) = self.rest() {
            self.run(task);
            while let Ok(task) = self.pool.backlog.try_get() {
                self.run(task);
            }
        }
    }

    #[inline]
    fn run(&self, task: Task) {
        self.pool.room_came();
        let label = task.label();
        let named = label.name().is_some();
        self.member.at_work.begin(label);
        task.run();
        self.member.at_work.end(named);
        self.calls.set(self.calls.get() + 1);
    }

    /// Waits for the next call; `None` when the worker is to go.
    #[cold]
    fn rest(&self) -> Option<Task> {
        let (pool, member) = (&*self.pool, &*self.member);
        // First of all: who has waited for the last call's result may be about to submit another.
        pool.bench.look_around();
        if pool.crew.rest(member, self.calls.replace(0), || pool.backlog.puts()) {
            pool.all_is_quiet();
        }
        loop {
            let limit = match ENDING.load(Ordering::SeqCst) {
                true => Limit::Until(Instant::now()),
                false => pool.options.keep_alive.map_or(Limit::Never, Limit::For),
            };
            match pool.next_task(limit) {
                Ok(Some(task)) => {
                    // Fails for want of a thread: then the present ones see to what there is.
                    let _ =
                        pool.crew.resume(member, || !pool.backlog.is_empty(), |roster| pool.hire(roster, &self.pool));
                    // One that was meant for a worker that rests, or for an earlier call.
                    thread::interrupted();
                    return Some(task);
                }
                Ok(None) => return None,
                Err(WaitError::TimedOut) if self.leave() => return None,
                Err(_) => pool.bench.look_around(),
            }
        }
    }

    /// Leaves, unless there is something to do.
    fn leave(&self) -> bool {
        self.pool.crew.leave(&self.member, || {
            let stays = !self.pool.backlog.is_empty();
            if !stays {
                self.leave_team();
            }
            stays
        })
    }

    /// To be called before anybody can be hired in its place: a team of more than the most there may be
    /// would hide a deadlock.
    fn leave_team(&self) {
        teams::leave(self.pool.id, current::ident());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let pool = &self.pool;
        if !pool.crew.lock().members.iter().any(|member| Arc::ptr_eq(member, &self.member)) {
            return; // it has left in order
        }
        let quiet = pool.crew.count(self.calls.get(), || pool.backlog.puts());
        pool.crew.leave(&self.member, || {
            self.leave_team();
            false
        });
        if quiet {
            pool.all_is_quiet();
        }
        if !pool.backlog.is_empty() {
            // The worker was stopped by other means than ours: another takes its place.
            let _ = pool.crew.call_came(|roster| pool.hire(roster, pool));
        }
    }
}
