//! Calls on their way to a worker.

use super::core::{Core, End, drop_safely, safely};
use super::failure::Failure;
use super::future::{Future, Shared};
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
        self.run();
    }
}

/// What a worker does with a call, whatever its type.
pub(super) trait Run: Send + Sync {
    /// Runs it unless it has begun, or was cancelled.
    fn run(self: Arc<Self>);

    /// Cancels it unless it has begun.
    fn cancel(self: Arc<Self>);

    /// Has it fail unless it has begun.
    fn fail(self: Arc<Self>, failure: Failure);

    /// What reports call it by.
    fn label(&self) -> &Label;
}

impl<F, T> Run for Call<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(self: Arc<Self>) {
        if !self.core.start() {
            return;
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

    fn cancel(self: Arc<Self>) {
        if let Ok(news) = self.core.cancel() {
            self.discard();
            self.tell(news);
        }
    }

    fn fail(self: Arc<Self>, failure: Failure) {
        if self.core.start() {
            self.discard();
            self.finish(End::Failure(failure));
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

/// What a pool's queue holds. Dropped without being run, it is cancelled.
pub(super) struct Task(Option<Work>);

enum Work {
    Call(Arc<dyn Run>),
    Plain(Box<dyn RunPlain>),
    Scoped(Arc<Parcel>),
}

const _: () = assert!(size_of::<Task>() <= 24);

impl Task {
    pub(super) fn call(call: Arc<dyn Run>) -> Task {
        Task(Some(Work::Call(call)))
    }

    pub(super) fn plain(function: impl FnOnce() + Send + 'static, label: Label) -> Task {
        Task(Some(Work::Plain(Box::new(Plain { function, label }))))
    }

    pub(super) fn scoped(parcel: Arc<Parcel>) -> Task {
        Task(Some(Work::Scoped(parcel)))
    }

    /// What reports call it by.
    #[inline(always)]
    pub(super) fn label(&self) -> Option<&Label> {
        Some(match self.0.as_ref()? {
            Work::Call(call) => call.label(),
            Work::Plain(plain) => plain.label(),
            Work::Scoped(parcel) => &parcel.label,
        })
    }

    #[inline(always)]
    pub(super) fn run(mut self) {
        match self.0.take() {
            Some(Work::Call(call)) => call.run(),
            Some(Work::Plain(plain)) => plain.run(),
            Some(Work::Scoped(parcel)) => parcel.open(|call| call.run()),
            None => {}
        }
    }

    pub(super) fn fail(mut self, failure: &Failure) {
        match self.0.take() {
            Some(Work::Call(call)) => call.fail(failure.clone()),
            Some(Work::Plain(plain)) => drop_safely(plain),
            Some(Work::Scoped(parcel)) => parcel.open(|call| call.fail(failure.clone())),
            None => {}
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        match self.0.take() {
            None => {}
            Some(Work::Call(call)) => call.cancel(),
            Some(Work::Plain(plain)) => drop_safely(plain),
            Some(Work::Scoped(parcel)) => parcel.open(|call| call.cancel()),
        }
    }
}

/// The call, and its ticket.
type Content = (Arc<dyn Run>, Box<dyn Send>);

/// A call that borrows, on its way, to be opened once: by a worker, or by its scope when that ends.
pub(super) struct Parcel {
    content: PlainLock<Option<Content>>,
    label: Label,
}

impl Parcel {
    /// `ticket` goes last of all that is left of the call.
    pub(super) fn new(call: Arc<dyn Run>, label: Label, ticket: Box<dyn Send>) -> Parcel {
        Parcel { content: PlainLock::new(Some((call, ticket))), label }
    }

    pub(super) fn open(&self, use_it: impl FnOnce(Arc<dyn Run>)) {
        let content = self.content.lock().take();
        if let Some((call, ticket)) = content {
            use_it(call);
            drop(ticket);
        }
    }
}

/// A call without a future.
struct Plain<F> {
    function: F,
    label: Label,
}

trait RunPlain: Send {
    fn run(self: Box<Self>);
    fn label(&self) -> &Label;
}

impl<F: FnOnce() + Send> RunPlain for Plain<F> {
    fn run(self: Box<Self>) {
        let Plain { function, label } = *self;
        current::doing(&label, || safely(function));
    }

    fn label(&self) -> &Label {
        &self.label
    }
}
