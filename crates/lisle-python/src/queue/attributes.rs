//! The attributes of queues that need no exposed mode.

use super::exposed::expose;
use super::state::{Queue, let_go};
use crate::kit::ffi::{new_bool, new_ref, raise, unwinding};
use crate::kit::{Obj, body, py};
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::Relaxed;

/// How many items `maxsize` allows for: `Some(None)` if that is for Python code to say, `None` with
/// an exception set if it cannot be asked.
pub(super) unsafe fn limit_of(maxsize: Obj) -> Option<Option<usize>> {
    // SAFETY: attached; an object.
    unsafe {
        if py::PyFloat_CheckExact(maxsize) != 0 {
            // What is too large for a `usize`, or not a number, is no limit; and `as` says so.
            let most = py::PyFloat_AS_DOUBLE(maxsize).ceil();
            return Some(Some(if most > 0.0 { most as usize } else { usize::MAX }));
        }
        if py::PyIndex_Check(maxsize) == 0 {
            return Some(None);
        }
        let number = py::PyNumber_Index(maxsize);
        if number.is_null() {
            return None;
        }
        let mut overflow = 0;
        let most = py::PyLong_AsLongLongAndOverflow(number, &mut overflow);
        py::Py_DECREF(number);
        Some(Some(if overflow == 0 && most > 0 { most as usize } else { usize::MAX }))
    }
}

/// Begins a queue in plain mode, or again.
pub(super) unsafe fn begin(it: Obj, maxsize: Obj, limit: usize) {
    // SAFETY: attached; `it` is a queue.
    unsafe {
        let queue = body::<Queue>(it);
        let maxsize = new_ref(maxsize);
        let (old, items) = queue.state.with(|state| {
            let items = ManuallyDrop::new(std::mem::take(&mut state.items));
            queue.note_got(state);
            queue.limit.store(limit, Relaxed);
            queue.unfinished.store(0, Relaxed);
            queue.is_shutdown.store(false, Relaxed);
            (std::mem::replace(&mut state.maxsize, maxsize), items)
        });
        if !old.is_null() {
            queue.wake_all();
            py::Py_DECREF(old);
        }
        let_go(ManuallyDrop::into_inner(items));
    }
}

pub(super) unsafe extern "C-unwind" fn maxsize(it: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe {
        let maxsize = body::<Queue>(it).state.with(|state| {
            py::Py_XINCREF(state.maxsize);
            state.maxsize
        });
        if maxsize.is_null() { py::PyLong_FromLong(0) } else { maxsize }
    }
}

pub(super) unsafe extern "C-unwind" fn set_maxsize(it: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        if value.is_null() {
            raise(py::PyExc_AttributeError, c"maxsize");
            return -1;
        }
        let limit = match limit_of(value) {
            None => return -1,
            Some(None) if !expose(it) => return -1,
            Some(limit) => limit.unwrap_or(usize::MAX),
        };
        let queue = body::<Queue>(it);
        let value = new_ref(value);
        let old = queue.state.with(|state| {
            queue.limit.store(limit, Relaxed);
            std::mem::replace(&mut state.maxsize, value)
        });
        queue.putters.wake(usize::MAX);
        py::Py_XDECREF(old);
    }
    0
}

pub(super) unsafe extern "C-unwind" fn unfinished(it: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { py::PyLong_FromLongLong(body::<Queue>(it).unfinished.load(Relaxed)) }
}

pub(super) unsafe extern "C-unwind" fn set_unfinished(it: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        if value.is_null() {
            raise(py::PyExc_AttributeError, c"unfinished_tasks");
            return -1;
        }
        let value = py::PyLong_AsLongLong(value);
        if value == -1 && !py::PyErr_Occurred().is_null() {
            return -1;
        }
        let queue = body::<Queue>(it);
        queue.state.with(|_| queue.unfinished.store(value, Relaxed));
        queue.joiners.wake(usize::MAX);
    }
    0
}

pub(super) unsafe extern "C-unwind" fn is_shutdown(it: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { new_bool(body::<Queue>(it).is_shutdown.load(Relaxed)) }
}

pub(super) unsafe extern "C-unwind" fn set_is_shutdown(it: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        let value = if value.is_null() { 0 } else { unwinding::PyObject_IsTrue(value) };
        if value < 0 {
            return -1;
        }
        let queue = body::<Queue>(it);
        queue.state.with(|_| queue.is_shutdown.store(value == 1, Relaxed));
        queue.wake_all();
    }
    0
}
