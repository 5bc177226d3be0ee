//! `with lock.within(0.5):`, a `with` that has a time limit.

use crate::kit::class::instance;
use crate::kit::ffi::{intern, new_none, new_ref, raise, unwinding};
use crate::kit::{Body, Class, Obj, Once, body, py};
use std::ffi::{CStr, c_int};
use std::ptr;

pub(crate) const DOC: &CStr = c"within($self, seconds, /)\n--\n\n\
    For `with lock.within(seconds):`, which raises TimeoutError if the lock cannot be had in that time.";

/// Its `with` acquires the lock in time, or raises.
struct Within {
    lock: Obj,
    seconds: Obj,
}

impl Body for Within {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        match visit(self.lock) {
            0 => visit(self.seconds),
            stop => stop,
        }
    }

    unsafe fn clear(this: *mut Within) {
        // SAFETY: ours, and taken out before it is let go of.
        unsafe {
            for slot in [&raw mut (*this).lock, &raw mut (*this).seconds] {
                py::Py_XDECREF(ptr::replace(slot, ptr::null_mut()));
            }
        }
    }
}

static CLASS: Once = Once::new();
static ACQUIRE: Once = Once::new();
static RELEASE: Once = Once::new();
static TIMEOUT: Once = Once::new();

pub(crate) fn class() -> Obj {
    ACQUIRE.set(intern(c"acquire"));
    RELEASE.set(intern(c"release"));
    // SAFETY: attached; a tuple of one string.
    unsafe {
        TIMEOUT.set(py::PyTuple_Pack(1, intern(c"timeout")));
    }
    let class = Class::of::<Within>(c"lisle.threading.Within", c"A lock with a time limit for its with.")
        .no_args(c"__enter__", enter, c"Acquires the lock; TimeoutError if that takes too long.")
        .fast(c"__exit__", exit, c"Releases the lock.")
        .make(ptr::null_mut());
    CLASS.set(class);
    class
}

pub(crate) unsafe extern "C-unwind" fn within(lock: Obj, seconds: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { instance(CLASS.get().cast(), Within { lock: new_ref(lock), seconds: new_ref(seconds) }) }
}

unsafe extern "C-unwind" fn enter(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let within = body::<Within>(it);
        let args = [within.lock, within.seconds];
        let got = unwinding::PyObject_VectorcallMethod(ACQUIRE.get(), args.as_ptr(), 1, TIMEOUT.get());
        if got.is_null() {
            return got;
        }
        let granted = got == py::Py_True();
        py::Py_DECREF(got);
        if !granted {
            return raise(py::PyExc_TimeoutError, c"the lock could not be acquired in time");
        }
        new_ref(within.lock)
    }
}

unsafe extern "C-unwind" fn exit(it: Obj, _: *const Obj, _: isize) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let args = [body::<Within>(it).lock];
        let done = unwinding::PyObject_VectorcallMethod(RELEASE.get(), args.as_ptr(), 1, ptr::null_mut());
        if done.is_null() {
            return done;
        }
        py::Py_DECREF(done);
        new_none()
    }
}
