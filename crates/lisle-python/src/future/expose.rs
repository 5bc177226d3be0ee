//! What programs see inside a future, and the change to the standard library's algorithm that comes
//! with it: once `_condition`, `_waiters` or `_done_callbacks` were seen, or anything was written, the
//! standard class's own methods run over these attributes.

use super::done::wake;
use super::state::*;
use super::{CONDITION, call_python};
use crate::kit::ffi::{new_ref, none, raise};
use crate::kit::{Obj, body, py};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

/// Sees to it that there is a list in the slot. False with an exception set if there is no memory.
pub(super) unsafe fn list_in(it: &Future, slot: &Cell<Obj>) -> bool {
    // SAFETY: attached.
    unsafe {
        let list = py::PyList_New(0);
        if list.is_null() {
            return false;
        }
        it.latch.lock();
        let spare = if slot.get().is_null() { slot.replace(list) } else { list };
        it.latch.unlock();
        py::Py_XDECREF(spare);
    }
    true
}

/// From here on everything goes by what the program can see. Those who sleep are woken, and go on over
/// the condition.
pub(super) unsafe fn expose(future: Obj) -> bool {
    // SAFETY: attached; the caller holds the future.
    unsafe {
        let it = body::<Future>(future);
        if it.load() & EXPOSED != 0 {
            return true;
        }
        let condition = call_python(&CONDITION, ptr::null_mut(), &[]);
        if condition.is_null() || !list_in(it, &it.callbacks) || !list_in(it, &it.waiters) {
            py::Py_XDECREF(condition);
            return false;
        }
        it.latch.lock();
        let word = it.load();
        if word & EXPOSED != 0 {
            it.latch.unlock();
            py::Py_DECREF(condition);
            return true;
        }
        let before = it.condition.replace(condition);
        it.store((word & !WAITED) | EXPOSED);
        it.latch.unlock();
        py::Py_XDECREF(before);
        wake(it, word);
    }
    true
}

/// The value of a slot, None where it is empty.
unsafe fn read(it: &Future, slot: &Cell<Obj>) -> Obj {
    // SAFETY: attached.
    unsafe {
        it.latch.lock();
        let value = slot.get();
        let value = new_ref(if value.is_null() { none() } else { value });
        it.latch.unlock();
        value
    }
}

unsafe fn write(future: Obj, value: Obj, of: fn(&Future) -> &Cell<Obj>) -> c_int {
    // SAFETY: attached; a setter's arguments.
    unsafe {
        if value.is_null() {
            raise(py::PyExc_AttributeError, c"cannot delete an attribute of a future");
            return -1;
        }
        if !expose(future) {
            return -1;
        }
        let it = body::<Future>(future);
        new_ref(value);
        it.latch.lock();
        let before = of(it).replace(value);
        it.latch.unlock();
        py::Py_XDECREF(before);
    }
    0
}

macro_rules! attribute {
    ($get:ident, $set:ident, $slot:ident, exposing: $exposing:literal) => {
        pub(super) unsafe extern "C-unwind" fn $get(future: Obj, _: *mut c_void) -> Obj {
            // SAFETY: a getter's arguments.
            unsafe {
                if $exposing && !expose(future) {
                    return ptr::null_mut();
                }
                let it = body::<Future>(future);
                read(it, &it.$slot)
            }
        }

        pub(super) unsafe extern "C-unwind" fn $set(future: Obj, value: Obj, _: *mut c_void) -> c_int {
            // SAFETY: a setter's arguments.
            unsafe { write(future, value, |it| &it.$slot) }
        }
    };
}

attribute!(result, set_result, result, exposing: false);
attribute!(exception, set_exception, exception, exposing: false);
attribute!(condition, set_condition, condition, exposing: true);
attribute!(waiters, set_waiters, waiters, exposing: true);
attribute!(callbacks, set_callbacks, callbacks, exposing: true);

pub(super) unsafe extern "C-unwind" fn state(future: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { new_ref(NAMES[phase(body::<Future>(future).load()) as usize].get()) }
}

pub(super) unsafe extern "C-unwind" fn set_state(future: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        if value.is_null() {
            raise(py::PyExc_AttributeError, c"cannot delete an attribute of a future");
            return -1;
        }
        let named =
            |name: &crate::kit::Once| name.get() == value || py::PyUnicode_Check(value) != 0 && same(name.get(), value);
        let Some(phase) = NAMES.iter().position(named) else {
            raise(py::PyExc_ValueError, c"that is no state of a future");
            return -1;
        };
        if !expose(future) {
            return -1;
        }
        let it = body::<Future>(future);
        it.latch.lock();
        it.store(turned(it.load(), phase as u64));
        it.latch.unlock();
    }
    0
}

unsafe fn same(a: Obj, b: Obj) -> bool {
    // SAFETY: attached; both are strings.
    unsafe { py::PyUnicode_Compare(a, b) == 0 }
}
