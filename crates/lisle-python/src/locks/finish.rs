//! `Finish`: the beginning and the end of a thread that Python made, for those who wait for either.
//!
//! The thread tells who it is among its first steps (the standard library has a thread call `_set_native_id` there,
//! which is ours), and that it has ended from the destructor of a thread
//! local, after the last of its Python code: who waits for that finds the interpreter free, and the
//! standard library's own join over at once.

use super::event;
use crate::kit::args::text_of;
use crate::kit::class::{NoArgs, instance};
use crate::kit::ffi::{PyMethod_Function, PyMethod_Type, intern, new_bool, new_none, raise, unwinding};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, set_name, wait};
use crate::kit::{Body, Class, Obj, Once, body, inside, py};
use lisle::Kind;
use lisle::embed::{self, Owner, Subject, Waiting};
use lisle::thread::Thread;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::cell::{RefCell, UnsafeCell};
use std::ffi::{c_ulong, c_void};
use std::fmt;
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

static CLASS: Once = Once::new();

// Names of attributes.
static BOOTSTRAP: Once = Once::new();
static BOOTSTRAP_INNER: Once = Once::new();
static SET_NATIVE_ID: Once = Once::new();
static NATIVE_ID: Once = Once::new();
static NAME: Once = Once::new();
static DAEMONIC: Once = Once::new();
static FINISH: Once = Once::new();

// See `_set_up_threads`.
static USUAL_BOOTSTRAP: Once = Once::new();
static USUAL_BOOTSTRAP_INNER: Once = Once::new();
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

/// `Thread._set_native_id`, as a method that any class can have.
pub(crate) fn first_steps() -> Obj {
    static METHOD: Method = Method(UnsafeCell::new(py::PyMethodDef {
        ml_name: c"_set_native_id".as_ptr(),
        // SAFETY: that it may unwind changes nothing about how it is called.
        ml_meth: py::PyMethodDefPointer { PyCFunction: unsafe { transmute::<NoArgs, py::PyCFunction>(set_native_id) } },
        ml_flags: py::METH_NOARGS,
        ml_doc: c"The thread's first steps, taken by itself.".as_ptr(),
    }));
    // SAFETY: attached, as all of the module's set-up; the method lives for good.
    unsafe { py::PyDescr_NewMethod(&raw mut py::PyBaseObject_Type, METHOD.0.get()) }
}

/// What is needed of `threading`: the first steps that its threads take, and for builds without a GIL the table of
/// those that have not begun.
#[pyfunction]
pub(crate) fn _set_up_threads(parts: &Bound<'_, PyDict>) -> PyResult<()> {
    Once::take(
        parts,
        &[
            ("bootstrap", &USUAL_BOOTSTRAP),
            ("bootstrap_inner", &USUAL_BOOTSTRAP_INNER),
            ("on_their_way", &ON_THEIR_WAY),
        ],
    )
}

pub(crate) fn class() -> Obj {
    for (name, place) in [
        (c"_bootstrap", &BOOTSTRAP),
        (c"_bootstrap_inner", &BOOTSTRAP_INNER),
        (c"_set_native_id", &SET_NATIVE_ID),
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

/// `Thread._set_native_id`, which a thread calls among its first steps.
unsafe extern "C-unwind" fn set_native_id(thread: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments; what has a destructor is gone before Python code can run.
    unsafe {
        let finish = attribute(thread, &FINISH);
        let ours = !finish.is_null() && py::Py_TYPE(finish) == CLASS.get().cast();
        let native_id = if ours {
            introduce(thread);
            lisle::thread::get_native_id().into()
        } else {
            libc::gettid() as c_ulong // the main thread, or one that others made
        };
        // Before anybody can see that it has begun.
        let native_id = py::PyLong_FromUnsignedLong(native_id);
        let failed = native_id.is_null() || unwinding::PyObject_SetAttr(thread, NATIVE_ID.get(), native_id) < 0;
        py::Py_XDECREF(native_id);
        if ours {
            let life = &body::<Finish>(finish).life;
            if failed {
                life.set_comes(false);
            } else {
                life.begin();
            }
            #[cfg(Py_GIL_DISABLED)]
            if !failed && py::PyDict_DelItem(ON_THEIR_WAY.get(), finish) < 0 {
                py::PyErr_Clear(); // who started it waits for it
            }
        }
        py::Py_XDECREF(finish);
        if failed { ptr::null_mut() } else { new_none() }
    }
}

/// The calling thread goes by what `thread` says of it.
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
    }
}

/// An attribute, or null without an exception.
unsafe fn attribute(object: Obj, name: &Once) -> Obj {
    // SAFETY: attached; the caller holds the object.
    unsafe {
        let found = unwinding::PyObject_GetAttr(object, name.get());
        if found.is_null() {
            py::PyErr_Clear();
        }
        found
    }
}

/// Whether the method of this name, the class's or the thread's own, is the standard library's.
unsafe fn is_usual(thread: Obj, name: &Once, usual: &Once) -> bool {
    // SAFETY: as the caller's.
    unsafe {
        let method = attribute(thread, name);
        let is = !method.is_null()
            && py::Py_TYPE(method) == &raw mut PyMethod_Type
            && PyMethod_Function(method) == usual.get();
        py::Py_XDECREF(method);
        is
    }
}

/// Whether its `_set_native_id` is ours.
unsafe fn tells_of_itself(thread: Obj) -> bool {
    // SAFETY: as the caller's.
    unsafe {
        let method = attribute(thread, &SET_NATIVE_ID);
        let ours = !method.is_null()
            && py::PyCFunction_Check(method) != 0
            && py::PyCFunction_GetFunction(method).is_some_and(|it| it as *const () == set_native_id as *const ());
        py::Py_XDECREF(method);
        ours
    }
}

unsafe extern "C-unwind" fn expect(finish: Obj, args: *const Obj, count: isize) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        if count != 2 {
            return raise(py::PyExc_TypeError, c"expect() takes a thread and its event");
        }
        let (thread, started) = (*args, *args.add(1));
        let comes = event::is(started)
            && tells_of_itself(thread)
            && is_usual(thread, &BOOTSTRAP, &USUAL_BOOTSTRAP)
            && is_usual(thread, &BOOTSTRAP_INNER, &USUAL_BOOTSTRAP_INNER);
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
        wait_at(finish, life.end_key(), limit, Life::has_ended)
    }
}
