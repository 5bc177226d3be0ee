//! `RLock`: a lock that its holder may lock again. `_thread.RLock` is its name in Python.

use super::holds::{self, Holds};
use super::lock::{name_of, text_of};
use super::within;
use crate::kit::class::{body_at, instance};
use crate::kit::ffi::{new_bool, new_none, new_str, raise};
use crate::kit::name::{self, Name, Named};
use crate::kit::time::Limit;
use crate::kit::wait::{Described, Waited, wait, wait_deaf};
use crate::kit::{Body, Class, Obj, Once, body, place, py};
use lisle::embed::ReentrantLock;
use std::ffi::c_void;
use std::ptr;

pub(crate) struct RLock {
    pub(super) raw: ReentrantLock,
    name: Name,
}

impl Named for RLock {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Body for RLock {}

pub(crate) static CLASS: Once = Once::new();

pub(crate) fn class() -> Obj {
    let release = c"release($self, /)\n--\n\n\
        Takes back one acquire; the last one releases the lock. RuntimeError if another thread, or none, holds it.";
    let acquire = c"acquire($self, /, blocking=True, timeout=-1)\n--\n\n\
        Locks the lock, once more if this thread holds it already, and tells whether it did.\n\n\
        On timeout: False. On interrupt: ThreadInterrupted. Deadlock: DeadlockError, if the wait closes a cycle.\n\
        Fairness: who has waited for a millisecond is handed the lock.";
    let class = Class::of::<RLock>(
        c"_thread.RLock",
        c"RLock()\n--\n\nA lock that its holder may lock again, and alone may release.",
    )
    .derivable()
    .with_slot(py::Py_tp_new, new as *mut c_void)
    .with_slot(py::Py_tp_repr, repr as *mut c_void)
    .keywords(c"acquire", holds::acquire::<RLock>, acquire)
    .no_args(c"release", holds::release::<RLock>, release)
    .no_args(c"locked", locked, c"locked($self, /)\n--\n\nWhether any thread holds it at this moment.")
    .no_args(c"__enter__", holds::enter::<RLock>, acquire)
    .fast(c"__exit__", holds::exit::<RLock>, release)
    .one_arg(c"within", within::within, within::DOC)
    .no_args(c"_is_owned", is_owned, c"For Condition: whether the calling thread holds it.")
    .no_args(c"_release_save", release_save, c"For Condition: releases it however often it is held.")
    .one_arg(c"_acquire_restore", acquire_restore, c"For Condition: takes it back as it was.")
    .no_args(c"_recursion_count", count, c"How often the calling thread holds it.")
    .no_args(c"_at_fork_reinit", at_fork_reinit, c"Makes it free and new, in the child of a fork.")
    .getter(c"name", name::get::<RLock>, Some(name::set::<RLock>), c"Its name in reports, or None.")
    .getter(c"taken_by", taken_by, None, c"The name of the thread that holds it, or None if it is free.")
    .getter(
        c"taken_at",
        taken_at,
        None,
        c"Where its holder took it first, as 'file:line in function', or None if it is free.",
    )
    .make(ptr::null_mut());
    CLASS.set(class);
    class
}

/// A new lock.
pub(crate) unsafe fn make() -> Obj {
    // SAFETY: attached, and the type is made.
    unsafe { instance(CLASS.get().cast(), RLock { raw: ReentrantLock::new(), name: Name::none() }) }
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: attached, as all that follows. Arguments are ignored, as ever.
    unsafe { instance(class, RLock { raw: ReentrantLock::new(), name: Name::none() }) }
}

impl Holds for RLock {
    unsafe fn take(lock: Obj, limit: Limit) -> Waited {
        // SAFETY: the caller holds a reference to the lock.
        unsafe {
            let raw = &body::<RLock>(lock).raw;
            if raw.try_acquire(|| place::of_take()) {
                return Waited::Granted;
            }
            let at = place::of_take();
            wait(Described { object: lock, describe: name::describe::<RLock> }, limit, &mut |deadline| {
                raw.acquire(deadline, at)
            })
        }
    }

    unsafe fn give(lock: Obj) -> Obj {
        // SAFETY: the caller holds a reference to the lock.
        unsafe {
            match body::<RLock>(lock).raw.release() {
                true => new_none(),
                false => raise(py::PyExc_RuntimeError, c"cannot release un-acquired lock"),
            }
        }
    }
}

unsafe extern "C-unwind" fn locked(lock: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { new_bool(body::<RLock>(lock).raw.is_locked()) }
}

unsafe extern "C-unwind" fn is_owned(lock: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { new_bool(body::<RLock>(lock).raw.is_owned_by_current()) }
}

unsafe extern "C-unwind" fn count(lock: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { py::PyLong_FromUnsignedLong(u64::from(body::<RLock>(lock).raw.depth())) }
}

/// The state is `(how often, owner)`, as the standard library has it.
pub(super) unsafe extern "C-unwind" fn release_save(lock: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let raw = &body::<RLock>(lock).raw;
        let owner = crate::kit::wait::python_ident();
        let depth = raw.depth();
        if depth == 0 {
            return raise(py::PyExc_RuntimeError, c"cannot release un-acquired lock");
        }
        let state = py::PyTuple_New(2);
        if state.is_null() {
            return state;
        }
        py::PyTuple_SET_ITEM(state, 0, py::PyLong_FromUnsignedLong(u64::from(depth)));
        py::PyTuple_SET_ITEM(state, 1, py::PyLong_FromUnsignedLongLong(owner));
        raw.release_all();
        state
    }
}

/// Must succeed, whatever happens in the meantime: the lock is to be held when a `with` ends.
pub(super) unsafe extern "C-unwind" fn acquire_restore(lock: Obj, state: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        if py::PyTuple_Check(state) == 0 || py::PyTuple_GET_SIZE(state) != 2 {
            return raise(py::PyExc_TypeError, c"_acquire_restore() takes what _release_save() returned");
        }
        let depth = py::PyLong_AsUnsignedLong(py::PyTuple_GET_ITEM(state, 0));
        if depth == u64::MAX && !py::PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let raw = &body::<RLock>(lock).raw;
        if !raw.try_acquire(|| place::of_take()) {
            let at = place::of_take();
            wait_deaf(Described { object: lock, describe: name::describe::<RLock> }, &mut || raw.acquire(None, at));
        }
        raw.set_depth(depth as u32);
        new_none()
    }
}

unsafe extern "C-unwind" fn at_fork_reinit(lock: Obj, _: Obj) -> Obj {
    // SAFETY: in the child of a fork there is no other thread.
    unsafe {
        ptr::write(&raw mut (*body_at::<RLock>(lock)).raw, ReentrantLock::new());
        new_none()
    }
}

unsafe extern "C-unwind" fn taken_by(lock: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { name_of(body::<RLock>(lock).raw.holder()) }
}

unsafe extern "C-unwind" fn taken_at(lock: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { text_of(body::<RLock>(lock).raw.taken_at()) }
}

unsafe extern "C-unwind" fn repr(lock: Obj) -> Obj {
    // SAFETY: a slot's argument.
    unsafe {
        let raw = &body::<RLock>(lock).raw;
        let (owner, count) = match (raw.depth(), raw.holder()) {
            (0, 0) => (0, 0),
            (0, other) => (u64::from(other), 1), // how often is for its holder to know
            (depth, _) => (crate::kit::wait::python_ident(), depth),
        };
        let state = if owner == 0 { "unlocked" } else { "locked" };
        let class = std::ffi::CStr::from_ptr((*py::Py_TYPE(lock)).tp_name).to_string_lossy();
        new_str(&format!("<{state} {class} object owner={owner} count={count} at {lock:p}>"))
    }
}
