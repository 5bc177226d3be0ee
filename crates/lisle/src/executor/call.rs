//! Calls on their way to a worker.

use super::core::{Core, End, drop_safely, safely};
use super::failure::Failure;
use super::future::{Future, Shared};
use super::task::{Task, Work};
use crate::park::sys::PlainLock;
use crate::park::{Label, current};
use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, needs_drop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A call and its future in one allocation.
pub(super) struct Call<F, T> {
    core: Core<T>,
    /// Belongs to who ends the phase `PENDING`.
    function: UnsafeCell<MaybeUninit<F>>,
}

// SAFETY: the function is reached by one thread only, see there; the core sees to itself.
unsafe impl<F: Send, T: Send> Sync for Call<F, T> {}

impl<F, T> Call<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    pub(super) fn new(function: F, label: Label, pool: u32) -> Call<F, T> {
        Call { core: Core::new(label, pool), function: UnsafeCell::new(MaybeUninit::new(function)) }
    }

    /// # Safety
    /// The caller has ended the phase `PENDING`, and calls this once.
    unsafe fn take(&self) -> F {
        // SAFETY: written in `new`; the caller is the only one to read it out.
        unsafe { (*self.function.get()).assume_init_read() }
    }
}

impl<F, T> Shared<T> for Call<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn core(&self) -> &Core<T> {
        &self.core
    }

    fn discard(&self) {
        // SAFETY: called by who has cancelled the call, once.
        drop_safely(unsafe { self.take() });
    }

    fn run_here(self: Arc<Self>) {
        Work::run(self);
    }
}

impl<F, T> Work for Arc<Call<F, T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(self) {
        if !self.core.start() {
            return; // it was cancelled, or is run by who would have waited for it
        }
        // SAFETY: `start` has let us begin.
        let function = unsafe { self.take() };
        let end = match current::doing(&self.core.label, || catch_unwind(AssertUnwindSafe(function))) {
            Ok(value) => End::Value(value),
            Err(payload) => End::Failure(Failure::caught(payload)),
        };
        let needs_drop = needs_drop::<T>() || matches!(end, End::Failure(_));
        self.finish(end);
        if needs_drop {
            drop_safely(self); // the result, if nobody has a handle on it any more
        }
    }

    fn fail(self, failure: &Failure) {
        if self.core.start() {
            self.discard();
            self.finish(End::Failure(failure.clone()));
        }
    }

    fn cancel(self) {
        if let Ok(news) = self.core.cancel() {
            self.discard();
            self.tell(news);
        }
    }

    fn label(&self) -> &Label {
        &self.core.label
    }
}

impl<F, T> Call<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    #[inline(always)]
    fn finish(self: &Arc<Self>, end: End<T>) {
        let news = self.core.finish(end);
        self.tell(news);
    }

    #[inline(always)]
    fn tell(self: &Arc<Self>, news: super::core::News<T>) {
        news.tell(|| self.future());
    }

    /// A handle on the call's result.
    #[inline(always)]
    pub(super) fn future(self: &Arc<Self>) -> Future<T> {
        let shared: Arc<dyn Shared<T> + '_> = self.clone();
        // SAFETY: only the lifetime of the function's type goes. The handle never uses the function
        // after the call is done, by when it has been run or dropped; while it is not done, whatever
        // the function borrows is alive: it is `'static`, or a scope waits for it. The value's
        // lifetime stays in the handle's type.
        Future::of(unsafe { std::mem::transmute::<Arc<dyn Shared<T> + '_>, Arc<dyn Shared<T> + 'static>>(shared) })
    }
}

/// A call without a future.
pub(super) struct Plain<F> {
    pub(super) function: F,
    pub(super) label: Label,
}

impl<F: FnOnce() + Send> Work for Plain<F> {
    #[inline]
    fn run(self) {
        let Plain { function, label } = self;
        current::doing(&label, || safely(function));
    }

    fn fail(self, _: &Failure) {
        drop_safely(self);
    }

    fn cancel(self) {
        drop_safely(self);
    }

    fn label(&self) -> &Label {
        &self.label
    }
}

/// A task that borrows, on its way, to be opened once: by a worker, or by its scope when that ends.
pub(super) struct Parcel {
    content: PlainLock<Option<(Task, Box<dyn Send>)>>,
    label: Label,
}

impl Parcel {
    /// `ticket` goes last of all that is left of the task.
    pub(super) fn new(task: Task, label: Label, ticket: Box<dyn Send>) -> Parcel {
        Parcel { content: PlainLock::new(Some((task, ticket))), label }
    }

    pub(super) fn open(&self, use_it: impl FnOnce(Task)) {
        let content = self.content.lock().take();
        if let Some((task, ticket)) = content {
            use_it(task);
            drop(ticket);
        }
    }
}

impl Work for Arc<Parcel> {
    fn run(self) {
        self.open(Task::run);
    }

    fn fail(self, failure: &Failure) {
        self.open(|task| task.fail(failure));
    }

    fn cancel(self) {
        self.open(drop);
    }

    fn label(&self) -> &Label {
        &self.label
    }
}
