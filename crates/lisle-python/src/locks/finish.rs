//! `Finish`: the beginning and the end of a thread that Python made, for those who wait for either.
//!
//! The thread tells who it is before anything else (the standard library has a thread call its `_bootstrap`, which is
//! ours), and that it has ended from the destructor of a thread
//! local, after the last of its Python code: who waits for that finds the interpreter free, and the
//! standard library's own join over at once.

use super::event;
use crate::kit::args::text_of;
use crate::kit::class::{NoArgs, instance};
use crate::kit::ffi::{
    PyMethod_Function, PyMethod_Type, intern, new_bool, new_none, put_back, raise, set_aside, unwinding,
};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{ACTIVE, Described, Waited, python_ident, set_name, wait};
use crate::kit::{Body, Class, Obj, Once, body, inside, py};
use lisle::Kind;
use lisle::embed::{self, Owner, Subject, Waiting};
use lisle::thread::Thread;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::cell::{RefCell, UnsafeCell};
use std::ffi::c_void;
use std::fmt;
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

static CLASS: Once = Once::new();

// Names of attributes.
static BOOTSTRAP: Once = Once::new();
static BOOTSTRAP_INNER: Once = Once::new();
static NATIVE_ID: Once = Once::new();
static NAME: Once = Once::new();
static DAEMONIC: Once = Once::new();
static FINISH: Once = Once::new();

static FIRST_STEPS: Once = Once::new();

// See `_set_up_threads`.
static THREAD: Once = Once::new();
static USUAL_BOOTSTRAP: Once = Once::new();
static USUAL_BOOTSTRAP_INNER: Once = Once::new();
static LIMBO: Once = Once::new();
static ON_THEIR_WAY: Once = Once::new();

/// What describes a method to the interpreter, which only reads it.
struct Method(UnsafeCell<py::PyMethodDef>);

// SAFETY: nobody writes to it.
unsafe impl Sync for Method {}

struct Finish {
    life: Arc<Life>,
}

impl Body for Finish {}

/// | `thread` | `ended` | |
/// |---|---|---|
/// | none | false | the thread has not begun |
/// | some | false | it runs, unless it was left behind by a fork |
/// | some | true | it has ended |
///
/// Joiners wait at its address, those who want to see it begin one byte further.
struct Life {
    /// One more than the count of forks since when it is certain that the thread says so when it begins; or 0.
    comes: AtomicU64,
    thread: OnceLock<Thread>,
    ended: AtomicBool,
}

thread_local! {
    /// The calling thread's, which its destructor ends.
    static MINE: RefCell<Option<Ending>> = const { RefCell::new(None) };
}

struct Ending(Arc<Life>);

impl Drop for Ending {
    fn drop(&mut self) {
        inside::left(); // it may have come back from a wait, and was let go of by the interpreter's own code
        self.0.ended.store(true, Ordering::SeqCst);
        embed::unpark(self.0.end_key(), usize::MAX);
    }
}

impl Life {
    fn end_key(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    fn begin_key(&self) -> usize {
        self.end_key() + 1
    }

    fn has_begun(&self) -> bool {
        self.thread.get().is_some()
    }

    fn comes(&self) -> bool {
        // In the child of a fork it does not come.
        self.comes.load(Ordering::SeqCst) == u64::from(embed::forks()) + 1 || self.has_begun()
    }

    fn set_comes(&self, comes: bool) {
        self.comes.store(if comes { u64::from(embed::forks()) + 1 } else { 0 }, Ordering::SeqCst);
        if !comes {
            embed::unpark(self.begin_key(), usize::MAX);
            embed::unpark(self.end_key(), usize::MAX);
        }
    }

    /// The calling thread is the one.
    fn begin(self: &Arc<Life>) {
        // Once only: a thread does not begin again.
        if self.thread.set(lisle::thread::current()).is_ok() {
            MINE.set(Some(Ending(self.clone())));
            embed::unpark(self.begin_key(), usize::MAX);
        }
    }

    fn is_mine(&self) -> bool {
        self.thread.get().and_then(Thread::ident).is_some_and(|ident| ident.get() == embed::ident())
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst) || self.thread.get().is_some_and(Thread::is_finished)
    }
}

/// Who joins a thread waits for that thread.
impl Subject for Life {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.thread.get() {
            Some(thread) => write!(f, "of thread {:?}", thread.name().unwrap_or_default()),
            None => f.write_str("of a thread that has not begun"),
        }
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        if let Some(ident) = self.thread.get().and_then(Thread::ident) {
            found(Owner::runs(ident.get()));
        }
    }
}

/// `Thread._bootstrap`, as a method that any class can have.
pub(crate) fn first_steps() -> Obj {
    static METHOD: Method = Method(UnsafeCell::new(py::PyMethodDef {
        ml_name: c"_bootstrap".as_ptr(),
        // SAFETY: that it may unwind changes nothing about how it is called.
        ml_meth: py::PyMethodDefPointer { PyCFunction: unsafe { transmute::<NoArgs, py::PyCFunction>(bootstrap) } },
        ml_flags: py::METH_NOARGS,
        ml_doc: c"The whole of the thread's life, from its first steps on.".as_ptr(),
    }));
    // SAFETY: attached, as all of the module's set-up; the method lives for good.
    let steps = unsafe { py::PyDescr_NewMethod(&raw mut py::PyBaseObject_Type, METHOD.0.get()) };
    FIRST_STEPS.set(steps);
    steps
}

/// What is needed of `threading`: its class, the first steps that its threads take, and its table of threads that have
/// not begun; for builds without a GIL ours, too.
#[pyfunction]
pub(crate) fn _set_up_threads(parts: &Bound<'_, PyDict>) -> PyResult<()> {
    Once::take(
        parts,
        &[
            ("thread", &THREAD),
            ("bootstrap", &USUAL_BOOTSTRAP),
            ("bootstrap_inner", &USUAL_BOOTSTRAP_INNER),
            ("limbo", &LIMBO),
            ("on_their_way", &ON_THEIR_WAY),
        ],
    )
}

pub(crate) fn class() -> Obj {
    for (name, place) in [
        (c"_bootstrap", &BOOTSTRAP),
        (c"_bootstrap_inner", &BOOTSTRAP_INNER),
        (c"_native_id", &NATIVE_ID),
        (c"_name", &NAME),
        (c"_daemonic", &DAEMONIC),
        (c"_lisle_finish", &FINISH),
    ] {
        place.set(intern(name));
    }
    let class = Class::of::<Finish>(c"lisle._lisle.Finish", c"The end of a thread.")
        .plain::<Finish>()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .fast(
            c"expect",
            expect,
            c"Takes note that this thread is about to be started, whose event this is. True if it is certain to say when it begins: then who starts it need not wait for the event.",
        )
        .one_arg(c"give_up", give_up, c"Takes that back: the thread has not been started.")
        .no_args(
            c"wait_begun",
            wait_begun,
            c"Waits until the thread has begun, or it is no longer certain that it will.",
        )
        .one_arg(
            c"wait",
            wait_,
            c"Waits for the end, at most so many seconds; None is for ever. True if it has come, None if there is nothing to wait for here.",
        )
        .make(ptr::null_mut());
    CLASS.set(class);
    class
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    let life = Life { comes: AtomicU64::new(0), thread: OnceLock::new(), ended: AtomicBool::new(false) };
    // SAFETY: attached.
    unsafe { instance(class, Finish { life: Arc::new(life) }) }
}

/// `Thread._bootstrap`, which a new thread calls first of all: no line of Python is run before, so nothing can keep it from
/// telling that it has begun.
unsafe extern "C-unwind" fn bootstrap(thread: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments; what has a destructor is gone before Python code can run.
    unsafe {
        let finish = attribute(thread, &FINISH);
        if !finish.is_null() && py::Py_TYPE(finish) == CLASS.get().cast() {
            introduce(thread);
            body::<Finish>(finish).life.begin();
            #[cfg(Py_GIL_DISABLED)]
            if py::PyDict_DelItem(ON_THEIR_WAY.get(), finish) < 0 {
                py::PyErr_Clear(); // who started it waits for it
            }
        }
        py::Py_XDECREF(finish);
        // Where the drop-ins are installed, that is this function.
        let now = unwinding::PyObject_GetAttr(THREAD.get(), BOOTSTRAP.get());
        let usual = if now.is_null() || now == FIRST_STEPS.get() { USUAL_BOOTSTRAP.get() } else { now };
        py::PyErr_Clear();
        let result = unwinding::PyObject_Vectorcall(usual, &thread, 1, ptr::null_mut());
        py::Py_XDECREF(now);
        if result.is_null() {
            forget(thread);
        }
        result
    }
}

/// The calling thread goes by what `thread` says of it, and that is told its native id.
unsafe fn introduce(thread: Obj) {
    // SAFETY: as the caller's.
    unsafe {
        let (name, daemon) = (attribute(thread, &NAME), attribute(thread, &DAEMONIC));
        if !name.is_null() && py::PyUnicode_Check(name) != 0 {
            set_name(&text_of(name));
        }
        embed::made_by_program(daemon == py::Py_True());
        py::Py_XDECREF(name);
        py::Py_XDECREF(daemon);
        // Before anybody can see that it has begun. If it cannot be told, the usual steps try it again.
        let native_id = py::PyLong_FromUnsignedLong(lisle::thread::get_native_id().into());
        if native_id.is_null() || py::PyObject_GenericSetAttr(thread, NATIVE_ID.get(), native_id) < 0 {
            py::PyErr_Clear();
        }
        py::Py_XDECREF(native_id);
    }
}

/// The thread ends by an exception that met it before it could see to its own end, as one can that another thread
/// raises in it: who started it may have listed it by now.
unsafe fn forget(thread: Obj) {
    // SAFETY: attached; what comes out of the table is borrowed, and only compared.
    unsafe {
        let exception = set_aside();
        let (active, ident) = (ACTIVE.get(), py::PyLong_FromUnsignedLongLong(python_ident()));
        let _ = py::PyDict_DelItem(LIMBO.get(), thread);
        if !ident.is_null() && py::PyDict_GetItemWithError(active, ident) == thread {
            let _ = py::PyDict_DelItem(active, ident);
        }
        py::Py_XDECREF(ident);
        py::PyErr_Clear();
        put_back(exception);
    }
}

/// An attribute as objects have it that do nothing special about attributes, or null without an exception.
unsafe fn attribute(object: Obj, name: &Once) -> Obj {
    // SAFETY: attached; the caller holds the object.
    unsafe {
        let found = py::PyObject_GenericGetAttr(object, name.get());
        if found.is_null() {
            py::PyErr_Clear();
        }
        found
    }
}

/// Whether its `_bootstrap` is ours.
unsafe fn tells_of_itself(thread: Obj) -> bool {
    // SAFETY: as the caller's.
    unsafe {
        let method = attribute(thread, &BOOTSTRAP);
        let ours = !method.is_null()
            && py::PyCFunction_Check(method) != 0
            && py::PyCFunction_GetSelf(method) == thread
            && py::PyCFunction_GetFunction(method).is_some_and(|it| it as *const () == bootstrap as *const ());
        py::Py_XDECREF(method);
        ours
    }
}

/// Whether its `_bootstrap_inner` is the standard library's.
unsafe fn begins_as_usual(thread: Obj) -> bool {
    // SAFETY: as the caller's.
    unsafe {
        let method = attribute(thread, &BOOTSTRAP_INNER);
        let usual = !method.is_null()
            && py::Py_TYPE(method) == &raw mut PyMethod_Type
            && PyMethod_Function(method) == USUAL_BOOTSTRAP_INNER.get();
        py::Py_XDECREF(method);
        usual
    }
}

unsafe extern "C-unwind" fn expect(finish: Obj, args: *const Obj, count: isize) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        if count != 2 {
            return raise(py::PyExc_TypeError, c"expect() takes a thread and its event");
        }
        let (thread, started) = (*args, *args.add(1));
        // What a class with a `__getattr__` of its own will have as `_bootstrap` is not known.
        let getattr = |class: *mut py::PyTypeObject| (*class).tp_getattro.map(|get| get as *const ());
        let generic = getattr(py::Py_TYPE(thread)) == getattr(&raw mut py::PyBaseObject_Type);
        let comes = generic && event::is(started) && tells_of_itself(thread) && begins_as_usual(thread);
        if comes {
            body::<Finish>(finish).life.set_comes(true);
            event::set_by_next_wait(started, true);
        }
        new_bool(comes)
    }
}

unsafe extern "C-unwind" fn give_up(finish: Obj, started: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        if event::is(started) {
            event::set_by_next_wait(started, false);
        }
        body::<Finish>(finish).life.set_comes(false);
        new_none()
    }
}

fn describe(finish: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // SAFETY: it is alive while it is waited for.
    unsafe { body::<Finish>(finish) }.life.describe(f)
}

/// Waits at `key` until `done`.
unsafe fn wait_at(finish: Obj, key: usize, limit: Limit, done: impl Fn(&Life) -> bool) -> Obj {
    // SAFETY: attached, with an instance of ours.
    unsafe {
        let life: &Life = &body::<Finish>(finish).life;
        if done(life) {
            return new_bool(true);
        }
        let waited = wait(Described { object: finish, describe }, limit, &mut |deadline| {
            let waiting = Waiting { subject: life, deadline, ..Waiting::new(Kind::Join) };
            while !done(life) {
                embed::park(key, &waiting, || !done(life))?;
            }
            Ok(())
        });
        match waited {
            Waited::Raised => ptr::null_mut(),
            waited => new_bool(waited == Waited::Granted),
        }
    }
}

unsafe extern "C-unwind" fn wait_begun(finish: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        wait_at(finish, body::<Finish>(finish).life.begin_key(), Limit::Never, |life| life.has_begun() || !life.comes())
    }
}

unsafe extern "C-unwind" fn wait_(finish: Obj, timeout: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let life = &body::<Finish>(finish).life;
        if !life.comes() || life.is_mine() {
            return new_none();
        }
        let Some(limit) = time::of_wait(timeout) else { return ptr::null_mut() };
        let over = wait_at(finish, life.end_key(), limit, |life| life.has_ended() || !life.comes());
        // It has been given up: what to say to that the standard join knows.
        if over == py::Py_True() && !life.has_ended() { new_none() } else { over }
    }
}
