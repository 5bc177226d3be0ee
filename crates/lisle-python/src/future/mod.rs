//! `Future`, and the waits for several of them.
//!
//! A future is in *plain mode*, where its state is in Rust and its methods are the ones here, until a
//! program looks inside; see [`expose`].

pub(crate) mod done;
mod expose;
mod state;
mod wait;
mod waiter;

pub(crate) use done::{Begun, Outcome, begin, finish, raised};
pub(crate) use state::Future;

use crate::kit::class::{Class, instance};
use crate::kit::ffi::{intern, new_bool, new_none, new_ref, raise, unwinding};
use crate::kit::{Body, Obj, Once, body, py};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use state::*;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

/// The types: of the base that is made here, and of the class that programs see.
static FUTURE_BASE: Once = Once::new();
pub(crate) static FUTURE: Once = Once::new();
/// The standard library's class.
static STOCK: Once = Once::new();
static CANCELLED_ERROR: Once = Once::new();
/// Functions of `lisle._future`, for what is rare: to log a callback's exception, to complain of a
/// state, to make a condition.
static LOG: Once = Once::new();
static INVALID: Once = Once::new();
static UNEXPECTED: Once = Once::new();
static CONDITION: Once = Once::new();
/// `"_invoke_callbacks"`, and the base's function of that name.
static INVOKE: Once = Once::new();
static INVOKE_HERE: Once = Once::new();

pub(crate) unsafe fn add_to(module: Obj) -> bool {
    const NAMED: [&CStr; 5] = [c"PENDING", c"RUNNING", c"CANCELLED", c"CANCELLED_AND_NOTIFIED", c"FINISHED"];
    for (slot, name) in NAMES.iter().zip(NAMED) {
        slot.set(intern(name));
    }
    INVOKE.set(intern(c"_invoke_callbacks"));
    // SAFETY: attached, and the module is being made.
    unsafe {
        let (base, waiter) = (class(), waiter::class());
        FUTURE_BASE.set(base);
        if base.is_null() || waiter.is_null() {
            return false;
        }
        INVOKE_HERE.set(py::PyObject_GetAttr(base, INVOKE.get()));
        py::PyModule_AddObjectRef(module, c"FutureBase".as_ptr(), base) == 0
            && py::PyModule_AddObjectRef(module, c"Waiter".as_ptr(), waiter) == 0
    }
}

/// Takes what `lisle._future` has.
#[pyfunction]
#[pyo3(signature = (parts, /))]
pub(crate) fn _set_up_futures(parts: &Bound<'_, PyDict>) -> PyResult<()> {
    let slots = [
        ("Future", &FUTURE),
        ("stock", &STOCK),
        ("CancelledError", &CANCELLED_ERROR),
        ("log", &LOG),
        ("invalid", &INVALID),
        ("unexpected", &UNEXPECTED),
        ("condition", &CONDITION),
    ];
    Once::take(parts, &slots)
}

fn class() -> Obj {
    let result = c"result($self, /, timeout=None)\n--\n\n\
        What the call returned, or its exception raised. Waits until it is done.\n\n\
        On timeout: TimeoutError. If it was cancelled: CancelledError. On interrupt: ThreadInterrupted.\n\
        Deadlock: DeadlockError, if the call can only be run or ended by threads that wait for this one.";
    let exception = c"exception($self, /, timeout=None)\n--\n\n\
        The exception that the call raised, or None. Waits and fails as result().";
    Class::of::<Future>(c"lisle._lisle.FutureBase", c"Future()\n--\n\nThe result of a call, once that is done.")
        .open::<Future>()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .with_slot(py::Py_tp_init, init as *mut c_void)
        .keywords(c"result", wait::result, result)
        .keywords(c"exception", wait::exception, exception)
        .keywords(c"set_result", set_result, c"set_result($self, /, result)\n--\n\nFor executors: the call has returned.")
        .keywords(
            c"set_exception",
            set_exception,
            c"set_exception($self, /, exception)\n--\n\nFor executors: the call has raised.",
        )
        .no_args(c"cancel", done::cancel, c"cancel($self, /)\n--\n\nCancels a call that has not begun; whether it is cancelled.")
        .no_args(c"cancelled", cancelled, c"cancelled($self, /)\n--\n\nWhether it was cancelled.")
        .no_args(c"running", running, c"running($self, /)\n--\n\nWhether it is being run.")
        .no_args(c"done", is_done, c"done($self, /)\n--\n\nWhether it has finished or was cancelled.")
        .keywords(
            c"add_done_callback",
            done::add_done_callback,
            c"add_done_callback($self, /, fn)\n--\n\nHas fn(future) called when it is done; at once if it is.",
        )
        .no_args(
            c"set_running_or_notify_cancel",
            set_running,
            c"set_running_or_notify_cancel($self, /)\n--\n\nFor executors: the call is to begin. False if it was cancelled.",
        )
        .no_args(c"_invoke_callbacks", invoke_callbacks, c"Calls the callbacks.")
        .getter(c"_state", expose::state, Some(expose::set_state), c"One of five names.")
        .getter(c"_result", expose::result, Some(expose::set_result), c"What result() returns.")
        .getter(c"_exception", expose::exception, Some(expose::set_exception), c"What result() raises.")
        .getter(c"_condition", expose::condition, Some(expose::set_condition), c"What result() waits for.")
        .getter(c"_waiters", expose::waiters, Some(expose::set_waiters), c"Who waits for several futures.")
        .getter(c"_done_callbacks", expose::callbacks, Some(expose::set_callbacks), c"What is called when it is done.")
        .make(ptr::null_mut())
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: attached; arguments as `tp_new` gets them.
    unsafe {
        let mut word = PENDING;
        if class.cast() != FUTURE.get() {
            let invoke = py::PyObject_GetAttr(class.cast(), INVOKE.get());
            if invoke.is_null() {
                return invoke;
            }
            if invoke != INVOKE_HERE.get() {
                word |= OVERRIDDEN;
            }
            py::Py_DECREF(invoke);
        }
        instance(class, Future::new(word))
    }
}

unsafe extern "C-unwind" fn init(future: Obj, args: Obj, kwargs: Obj) -> c_int {
    // SAFETY: arguments as `tp_init` gets them.
    unsafe {
        if py::PyTuple_GET_SIZE(args) != 0 || !kwargs.is_null() && py::PyDict_Size(kwargs) != 0 {
            raise(py::PyExc_TypeError, c"Future() takes no arguments");
            return -1;
        }
        let it = body::<Future>(future);
        if it.load() & !OVERRIDDEN != PENDING {
            // Initialized once more: it begins anew.
            it.latch.lock();
            let word = it.load();
            it.store(word & OVERRIDDEN);
            it.latch.unlock();
            Future::clear(crate::kit::class::body_at::<Future>(future));
            done::wake(it, word);
        }
        0
    }
}

/// Calls the standard class's method.
#[cold]
unsafe fn stock(future: Obj, name: &CStr, args: &[Obj]) -> Obj {
    // SAFETY: attached; the caller holds what it gives, and there are at most two.
    unsafe {
        let method = py::PyObject_GetAttrString(STOCK.get(), name.as_ptr());
        if method.is_null() {
            return method;
        }
        let done = call_with(method, future, args);
        py::Py_DECREF(method);
        done
    }
}

/// Calls a function of `lisle._future` with the future, unless that is null, and the arguments.
#[cold]
unsafe fn call_python(function: &Once, future: Obj, args: &[Obj]) -> Obj {
    // SAFETY: attached; the caller holds what it gives.
    unsafe { call_with(function.get(), future, args) }
}

unsafe fn call_with(function: Obj, future: Obj, args: &[Obj]) -> Obj {
    let mut all = [future, ptr::null_mut(), ptr::null_mut()];
    all[1..=args.len()].copy_from_slice(args);
    let skipped = usize::from(future.is_null());
    // SAFETY: attached; the caller holds what it gives.
    unsafe {
        unwinding::PyObject_Vectorcall(function, all.as_ptr().add(skipped), 1 + args.len() - skipped, ptr::null_mut())
    }
}

/// Takes `item` out of the list, where it is there. The reference that the caller has keeps it alive.
unsafe fn list_remove(list: Obj, item: Obj) {
    // SAFETY: attached; nobody else changes the list meanwhile.
    unsafe {
        for at in 0..py::PyList_Size(list) {
            if py::PyList_GetItem(list, at) == item {
                py::PyList_SetSlice(list, at, at + 1, ptr::null_mut());
                return;
            }
        }
    }
}

unsafe fn set(future: Obj, args: *const Obj, count: isize, keywords: Obj, failed: bool) -> Obj {
    const TO: [crate::kit::Names<1>; 2] = [
        crate::kit::Names { function: "set_result", names: [c"result"], required: 1 },
        crate::kit::Names { function: "set_exception", names: [c"exception"], required: 1 },
    ];
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let to = &TO[usize::from(failed)];
        let Some([value]) = crate::kit::arguments(to, args, count, keywords) else { return ptr::null_mut() };
        new_ref(value);
        let outcome = if failed { Outcome::Exception(value) } else { Outcome::Result(value) };
        if finish(future, outcome) { new_none() } else { ptr::null_mut() }
    }
}

unsafe extern "C-unwind" fn set_result(future: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    // SAFETY: arguments of a method with keywords.
    unsafe { set(future, args, count, keywords, false) }
}

unsafe extern "C-unwind" fn set_exception(future: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    // SAFETY: arguments of a method with keywords.
    unsafe { set(future, args, count, keywords, true) }
}

unsafe extern "C-unwind" fn set_running(future: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        match begin(future, 0) {
            Begun::Raised => ptr::null_mut(),
            begun => new_bool(begun == Begun::Yes),
        }
    }
}

unsafe extern "C-unwind" fn invoke_callbacks(future: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { if done::call_back(future) { new_none() } else { ptr::null_mut() } }
}

unsafe fn ask(future: Obj, name: &CStr, is: fn(u64) -> bool) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let word = body::<Future>(future).load();
        if word & EXPOSED != 0 { stock(future, name, &[]) } else { new_bool(is(phase(word))) }
    }
}

unsafe extern "C-unwind" fn is_done(future: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { ask(future, c"done", |phase| phase > RUNNING) }
}

unsafe extern "C-unwind" fn running(future: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { ask(future, c"running", |phase| phase == RUNNING) }
}

unsafe extern "C-unwind" fn cancelled(future: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { ask(future, c"cancelled", |phase| matches!(phase, CANCELLED | NOTIFIED)) }
}
