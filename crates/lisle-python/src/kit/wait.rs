//! Waiting: detached from the interpreter, in the parking lot, and back.

use super::ffi::{Obj, put_back, py, raise, raise_text, set_aside, unwinding};
use super::time::Limit;
use super::{Once, args, inside, place};
use lisle::embed::{self, Place, Tell, Told};
use lisle::{Link, Report, WaitError};
use std::cell::Cell;
#[cfg(not(Py_3_13))]
use std::ffi::c_int;
use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// `lisle.ThreadInterrupted` and `lisle.DeadlockError`.
pub(crate) static INTERRUPTED: Once = Once::new();
pub(crate) static DEADLOCK: Once = Once::new();
/// `threading._active`: the interpreter's threads by ident.
pub(crate) static ACTIVE: Once = Once::new();
/// The interpreter's main thread, which runs its signal handlers.
pub(crate) static MAIN: AtomicU64 = AtomicU64::new(0);

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    Granted,
    TimedOut,
    /// An exception is set.
    Raised,
}

/// What is known of the object of a wait without attaching.
#[derive(Clone, Copy)]
pub(crate) struct Described {
    pub(crate) object: Obj,
    /// Its words for it. It must not touch anything that can change or go while the wait lasts.
    pub(crate) describe: fn(Obj, &mut fmt::Formatter<'_>) -> fmt::Result,
}

/// [`Described`] and [`Place`], shown to whoever asks while the thread waits.
struct Words {
    of: Described,
    place: Place,
}

// SAFETY: it is plain data that nobody changes; what it points to outlives the wait.
unsafe impl Sync for Words {}

impl Tell for Words {
    fn object(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.of.describe)(self.of.object, f)
    }

    fn key(&self) -> Option<usize> {
        // Of one object's waiters some sleep here and some there.
        Some(self.of.object.addr())
    }

    fn place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.text().unwrap_or("no Python code"))
    }

    /// Until 3.13 daemon threads end there and then when the interpreter does, whatever they hold; and who waits for
    /// that never goes on. The main thread would: what it waits for then holds up the end.
    fn matters(&self) -> bool {
        !is_finalizing() || is_main()
    }
}

#[cfg(not(Py_3_13))]
unsafe extern "C" {
    fn _Py_IsFinalizing() -> c_int;
}

/// How long a thread may wait for a plain `Lock` before a cycle that this closes is reported as
/// suspected: many a program has another thread release it.
const PATIENCE: Duration = Duration::from_millis(500);

/// To be called when the module is set up.
pub(crate) fn set_up() {
    lisle::on_report(|report| {
        // What ends by itself is no news.
        let lasts = report.links.iter().all(|link| link.ends_in.is_none());
        if lasts && !report.links.iter().any(is_a_way_to_wait) && !crate::watch::tell(report) {
            // Not `eprintln!`, which panics where nobody reads any more.
            let _ = writeln!(std::io::stderr(), "lisle: {report}");
        }
    });
}

/// Whether this is the standard library's own way to wait: it takes a lock twice, and another thread
/// releases it.
fn is_a_way_to_wait(link: &Link) -> bool {
    let at = |function| link.called_at.ends_with(function);
    link.holder_ident == link.ident && (at(" in Condition.wait") || at(" in _ModuleLock.acquire"))
}

/// How a wait ended, with nothing in it that would have to be dropped.
#[derive(Clone, Copy)]
enum End {
    Granted,
    TimedOut,
    Signalled,
    Interrupted,
    Deadlocked(*mut Report),
}

/// Calls `wait` with the deadline, detached, until it is granted, has timed out, or an exception is
/// to be raised: of a signal's handler, an interrupt, or a deadlock. `wait` has to be ready to be
/// called again, and must touch no Python object but what `of` keeps alive.
#[inline(never)]
pub(crate) unsafe fn wait(
    of: Described,
    limit: Limit,
    wait: &mut dyn FnMut(Option<Instant>) -> Result<(), WaitError>,
) -> Waited {
    let deadline = match limit {
        Limit::Now => return Waited::TimedOut,
        Limit::Until(at) => Some(at),
        Limit::Never => None,
    };
    // SAFETY: attached, as the caller is; nothing of what lives here has a destructor.
    unsafe {
        let words = Words { of, place: place::of_wait() };
        let told = Told::new(&words, is_main(), PATIENCE);
        loop {
            match detached(&told, &mut || wait(deadline)) {
                End::Granted => return Waited::Granted,
                End::TimedOut => return Waited::TimedOut,
                End::Signalled => {
                    if unwinding::PyErr_CheckSignals() < 0 {
                        return Waited::Raised;
                    }
                }
                End::Interrupted => {
                    raise(INTERRUPTED.get(), c"another thread has interrupted this one");
                    return Waited::Raised;
                }
                End::Deadlocked(report) => {
                    raise_text(DEADLOCK.get(), &Box::from_raw(report).to_string());
                    return Waited::Raised;
                }
            }
        }
    }
}

/// [`wait`] for what must be had before the caller may return: nothing else ends it. An exception
/// that is set stays so.
#[inline(never)]
pub(crate) unsafe fn wait_deaf(of: Described, wait: &mut dyn FnMut() -> Result<(), WaitError>) {
    // SAFETY: as with `wait`.
    unsafe {
        let exception = set_aside();
        let words = Words { of, place: place::of_wait() };
        let told = Told::new(&words, false, PATIENCE).deaf();
        while !matches!(detached(&told, wait), End::Granted) {}
        put_back(exception);
    }
}

/// Calls `wait` detached from the interpreter.
unsafe fn detached(told: &Told<'_>, wait: &mut dyn FnMut() -> Result<(), WaitError>) -> End {
    // SAFETY: attached, as the caller is; nothing of what lives here has a destructor.
    unsafe {
        introduce();
        let state = leave();
        let end = embed::telling(told, || match wait() {
            Ok(()) => {
                inside::look_around();
                End::Granted
            }
            Err(WaitError::Interrupted) if told.take_signalled() => End::Signalled,
            Err(WaitError::Interrupted) => End::Interrupted,
            Err(WaitError::Deadlocked(report)) => End::Deadlocked(Box::into_raw(report)),
            Err(_) => End::TimedOut,
        });
        attach(state);
        end
    }
}

/// Makes a call that has nothing to do with the interpreter detached from it.
pub(crate) unsafe fn away<R: Copy>(call: impl FnOnce() -> R) -> R {
    // SAFETY: attached, as the caller is; what comes back has no destructor.
    unsafe {
        introduce();
        let state = leave();
        let result = call();
        attach(state);
        result
    }
}

/// Leaves the interpreter, for [`attach`] to come back.
pub(crate) unsafe fn leave() -> *mut py::PyThreadState {
    // SAFETY: attached, as the caller is.
    let state = unsafe { py::PyEval_SaveThread() };
    inside::left();
    state
}

/// Comes back to the interpreter, unless that is on its way out: then the thread stays here.
pub(crate) unsafe fn attach(state: *mut py::PyThreadState) {
    // SAFETY: `state` is the calling thread's, which is detached.
    unsafe {
        if is_finalizing() && !is_main() {
            embed::sleep_for_ever();
        }
        // Until 3.13 this unwinds if the interpreter has begun to end in the meantime.
        unwinding::PyEval_RestoreThread(state);
        inside::came();
    }
}

pub(crate) fn is_finalizing() -> bool {
    // SAFETY: may be asked at any time.
    unsafe {
        #[cfg(Py_3_13)]
        return py::Py_IsFinalizing() != 0;
        #[cfg(not(Py_3_13))]
        return _Py_IsFinalizing() != 0;
    }
}

/// Python's ident of the calling thread.
pub(crate) fn python_ident() -> u64 {
    // SAFETY: may be asked at any time.
    unsafe { libc::pthread_self() }
}

pub(crate) fn is_main() -> bool {
    MAIN.load(Ordering::Relaxed) == python_ident()
}

thread_local!(static KNOWN: Cell<bool> = const { Cell::new(false) });

/// The calling thread goes by this name from now on.
pub(crate) fn set_name(name: &str) {
    KNOWN.set(true);
    embed::introduce(name);
}

/// The calling thread is one of ours, by this name.
pub(crate) fn set_service_name(name: &str) {
    KNOWN.set(true);
    embed::introduce_service(name);
}

/// Sees to it that the calling thread goes by its Python name.
unsafe fn introduce() {
    if KNOWN.get() {
        return;
    }
    // SAFETY: attached; `ACTIVE` is a dict for good, and what comes out of it is borrowed while no
    // other Python code runs, or a new reference.
    unsafe {
        let active = ACTIVE.get();
        if active.is_null() {
            return;
        }
        let ident = py::PyLong_FromUnsignedLongLong(python_ident());
        let thread = py::PyDict_GetItemWithError(active, ident);
        py::Py_DECREF(ident);
        if thread.is_null() {
            py::PyErr_Clear();
            return;
        }
        py::Py_INCREF(thread);
        let name = py::PyObject_GetAttrString(thread, c"_name".as_ptr());
        let daemon = py::PyObject_GetAttrString(thread, c"_daemonic".as_ptr());
        if daemon.is_null() {
            py::PyErr_Clear();
        }
        py::Py_DECREF(thread);
        py::Py_XDECREF(daemon); // True or False, which stay
        let daemon = daemon == py::Py_True();
        if name.is_null() {
            return py::PyErr_Clear();
        }
        if py::PyUnicode_Check(name) != 0 {
            set_name(&args::text_of(name));
        }
        py::Py_DECREF(name);
        embed::made_by_program(daemon);
    }
}
