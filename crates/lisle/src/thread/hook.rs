//! Panics that nobody takes.
#![forbid(unsafe_code)]

use super::handle::Thread;
use crate::park::current;
use crate::park::latest::Latest;
pub(crate) use crate::park::report::to_stderr as tell;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// A panic that ended a thread, as the [`excepthook`] gets it. Prints as one line that names the
/// thread, the place and the payload.
#[non_exhaustive]
pub struct ExceptHookArgs<'a> {
    /// The thread that panicked.
    pub thread: &'a Thread,
    /// What it panicked with.
    pub payload: &'a (dyn Any + Send),
    /// Where the thread panicked last, as `file:line:column`; not known if the program has set a
    /// panic hook of its own since the first thread was started.
    pub location: Option<&'a str>,
}

impl<'a> ExceptHookArgs<'a> {
    /// For who catches a thread's panic and has nobody to hand it to.
    pub fn new(thread: &'a Thread, payload: &'a (dyn Any + Send)) -> ExceptHookArgs<'a> {
        ExceptHookArgs { thread, payload, location: None }
    }
}

impl fmt::Display for ExceptHookArgs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {:?} panicked", self.thread.name().unwrap_or_default())?;
        if let Some(location) = self.location {
            write!(f, " at {location}")?;
        }
        write!(f, " and nobody joined it: {}", text_of(self.payload))
    }
}

impl fmt::Debug for ExceptHookArgs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExceptHookArgs")
            .field("thread", self.thread)
            .field("payload", &text_of(self.payload))
            .field("location", &self.location)
            .finish()
    }
}

/// The words of a panic's payload.
pub(crate) fn text_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a payload that is not text"
    }
}

type Hook = Box<dyn Fn(&ExceptHookArgs<'_>) + Send + Sync>;

static HOOK: Latest<Hook> = Latest::none();

/// Sets what is called when a panic has ended a thread and nobody can take it any more: when the
/// thread ends if its [`JoinHandle`](super::JoinHandle) is gone, else when the handle is dropped.
/// A panic that a join has returned is not reported, nor is one in a
/// [scope](super::scope()), which panics itself.
///
/// The default prints the arguments' one line to stderr. The hook runs on the thread that panicked
/// or on the one that drops the handle; a panic in it is caught and told on stderr. A hook that is
/// replaced stays in memory, since another thread may be in it.
///
/// ```
/// use lisle::thread;
/// use std::sync::mpsc;
///
/// let (told, hears) = mpsc::channel();
/// thread::set_excepthook(move |args| told.send(args.to_string()).unwrap());
/// drop(thread::Builder::new().name("worker".into()).spawn(|| panic!("no more paper")));
/// let line = hears.recv().unwrap();
/// assert!(line.starts_with("thread \"worker\" panicked at ") && line.ends_with("no more paper"));
/// ```
pub fn set_excepthook(hook: impl Fn(&ExceptHookArgs<'_>) + Send + Sync + 'static) {
    HOOK.set(Box::new(hook));
}

/// Calls what [`set_excepthook`] has set, or the default.
pub fn excepthook(args: &ExceptHookArgs<'_>) {
    match HOOK.get() {
        Some(hook) => hook(args),
        None => tell(format_args!("{args}")),
    }
}

/// A panic that was caught on the thread where it happened.
pub(crate) struct Panic {
    pub(crate) payload: Box<dyn Any + Send>,
    pub(crate) location: Option<String>,
}

thread_local! {
    /// Where the thread panicked last.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

impl Panic {
    /// The panic that the calling thread has just caught.
    pub(crate) fn caught(payload: Box<dyn Any + Send>) -> Panic {
        Panic { payload, location: LOCATION.try_with(|location| location.take()).ok().flatten() }
    }

    /// Drops the payload, whose destructor may panic in turn.
    pub(crate) fn forget_safely(self) {
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(self))) {
            std::mem::forget(another); // its destructor may do the same, and so on
        }
    }
}

/// Has the process's panic hook note where our threads panic, then do what it did before.
///
/// That is done once, when the first thread is started. `std` cannot exchange a hook in one step: one
/// that another thread sets at that very moment may be lost. Who starts a thread first and sets the
/// hook then, or the reverse, on one thread or one after the other, is safe.
pub(crate) fn note_locations() {
    static DONE: AtomicBool = AtomicBool::new(false);
    // A thread that panics may not set the hook. The next to start a thread will.
    if DONE.load(Ordering::Relaxed) || std::thread::panicking() || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if current::ident_if_known() != 0 {
            let place = info.location().map(ToString::to_string);
            let _ = LOCATION.try_with(|location| location.replace(place));
        }
        before(info);
    }));
}

/// Tells the excepthook of a panic that nobody took.
pub(crate) fn mourn(thread: &Thread, panic: Panic) {
    let args = ExceptHookArgs { thread, payload: &*panic.payload, location: panic.location.as_deref() };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| excepthook(&args))) {
        tell(format_args!("{args}"));
        tell(format_args!("and the excepthook, called for that, panicked too: {}", text_of(&*payload)));
        Panic { payload, location: None }.forget_safely();
    }
    panic.forget_safely();
}
