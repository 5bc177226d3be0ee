//! `Lock`: mutual exclusion that belongs to nobody. `_thread.lock` is its name in Python.

use super::holds::{self, Holds};
use super::within;
use crate::kit::class::{body_at, instance};
use crate::kit::ffi::{new_bool, new_none, new_str, raise};
use crate::kit::name::{self, Name, Named};
use crate::kit::time::Limit;
use crate::kit::wait::{Described, Waited, wait, wait_deaf};
use crate::kit::{Body, Class, Names, Obj, Once, args, body, place, py};
use lisle::embed::{self, Spot};
use std::ffi::c_void;
use std::ptr;

pub(crate) struct Lock {
    pub(crate) raw: lisle::sync::Lock,
    name: Name,
}

impl Named for Lock {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Body for Lock {}

pub(crate) static CLASS: Once = Once::new();

pub(crate) fn class() -> Obj {
    let release =
        c"release($self, /)\n--\n\nReleases the lock, which any thread may do. RuntimeError if it is not locked.";
    let acquire = c"acquire($self, /, blocking=True, timeout=-1)\n--\n\n\
        Locks the lock, and tells whether it did. Waits while another thread holds it.\n\n\
        On timeout: False. On interrupt: ThreadInterrupted; a signal's handler runs, and the wait goes on.\n\
        Fairness: who has waited for a millisecond is handed the lock.";
    let locked = c"locked($self, /)\n--\n\nWhether the lock is held at this moment.";
    let class = Class::of::<Lock>(c"_thread.lock", c"Lock(*, name=None)\n--\n\nA lock that any thread may release.")
        .plain::<Lock>()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .with_slot(py::Py_tp_repr, repr as *mut c_void)
        .keywords(c"acquire", holds::acquire::<Lock>, acquire)
        .keywords(c"acquire_lock", holds::acquire::<Lock>, acquire)
        .no_args(c"release", holds::release::<Lock>, release)
        .no_args(c"release_lock", holds::release::<Lock>, release)
        .no_args(c"locked", locked_, locked)
        .no_args(c"locked_lock", locked_, locked)
        .no_args(c"__enter__", holds::enter::<Lock>, acquire)
        .fast(c"__exit__", holds::exit::<Lock>, release)
        .one_arg(c"within", within::within, within::DOC)
        .no_args(c"_at_fork_reinit", at_fork_reinit, c"Makes it free and new, in the child of a fork.")
        .getter(c"name", name::get::<Lock>, Some(name::set::<Lock>), c"Its name in reports, or None.")
        .getter(c"taken_by", taken_by, None, c"The name of the thread that took it, or None if it is free.")
        .getter(c"taken_at", taken_at, None, c"Where it was taken, as 'file:line in function', or None if it is free.")
        .make(ptr::null_mut());
    CLASS.set(class);
    class
}

/// A new lock.
pub(crate) unsafe fn make() -> Obj {
    // SAFETY: attached, and the type is made.
    unsafe { instance(CLASS.get().cast(), Lock { raw: lisle::sync::Lock::new(), name: Name::none() }) }
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, args: Obj, kwargs: Obj) -> Obj {
    const TO: Names<1> = Names { function: "Lock", names: [c"name"], required: 0 };
    // SAFETY: attached, as all that follows; `args` and `kwargs` as `tp_new` gets them.
    unsafe {
        let lock = Lock { raw: lisle::sync::Lock::new(), name: Name::none() };
        if py::PyTuple_GET_SIZE(args) != 0 {
            return raise(py::PyExc_TypeError, c"lock() takes no positional arguments");
        }
        if !kwargs.is_null() {
            let Some([name]) = args::unpack(&TO, args, kwargs) else { return ptr::null_mut() };
            if !name.is_null() && lock.name.write(name) < 0 {
                return ptr::null_mut();
            }
        }
        instance(class, lock)
    }
}

impl Holds for Lock {
    unsafe fn take(lock: Obj, limit: Limit) -> Waited {
        // SAFETY: the caller holds a reference to the lock.
        unsafe {
            let (raw, at) = (&body::<Lock>(lock).raw, place::of_take());
            if embed::try_acquire(raw, at) {
                return Waited::Granted;
            }
            wait(Described { object: lock, describe: name::describe::<Lock> }, limit, &mut |deadline| {
                embed::acquire(raw, deadline, at)
            })
        }
    }

    unsafe fn give(lock: Obj) -> Obj {
        // SAFETY: the caller holds a reference to the lock.
        unsafe {
            match body::<Lock>(lock).raw.release() {
                Ok(()) => new_none(),
                Err(_) => raise(py::PyExc_RuntimeError, c"release unlocked lock"),
            }
        }
    }
}

/// Takes the lock, whatever comes.
pub(crate) unsafe fn take_for_sure(lock: Obj) {
    // SAFETY: the caller holds a reference to the lock.
    unsafe {
        let (raw, at) = (&body::<Lock>(lock).raw, place::of_take());
        if !embed::try_acquire(raw, at) {
            wait_deaf(Described { object: lock, describe: name::describe::<Lock> }, &mut || {
                embed::acquire(raw, None, at)
            });
        }
    }
}

unsafe extern "C-unwind" fn locked_(lock: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { new_bool(body::<Lock>(lock).raw.is_locked()) }
}

unsafe extern "C-unwind" fn at_fork_reinit(lock: Obj, _: Obj) -> Obj {
    // SAFETY: in the child of a fork there is no other thread.
    unsafe {
        ptr::write(&raw mut (*body_at::<Lock>(lock)).raw, lisle::sync::Lock::new());
        new_none()
    }
}

unsafe extern "C-unwind" fn taken_by(lock: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { name_of(body::<Lock>(lock).raw.taken_by().map_or(0, |ident| ident.get())) }
}

unsafe extern "C-unwind" fn taken_at(lock: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { text_of(embed::taken_at(&body::<Lock>(lock).raw)) }
}

/// The text of the place, if it is one in a Python program, or None.
pub(crate) unsafe fn text_of(spot: Option<Spot>) -> Obj {
    let text = spot.and_then(|spot| if let Spot::There(place) = spot { place.text() } else { None });
    // SAFETY: attached.
    unsafe { text.map_or_else(|| new_none(), |text| new_str(text)) }
}

/// The name of the thread of this ident, or None.
pub(crate) unsafe fn name_of(ident: u32) -> Obj {
    // SAFETY: attached.
    unsafe {
        match embed::find(ident) {
            Some(thread) => new_str(thread.name().unwrap_or_default()),
            None => new_none(),
        }
    }
}

unsafe extern "C-unwind" fn repr(lock: Obj) -> Obj {
    // SAFETY: a slot's argument.
    unsafe {
        let state = if body::<Lock>(lock).raw.is_locked() { "locked" } else { "unlocked" };
        new_str(&format!("<{state} _thread.lock object at {lock:p}>"))
    }
}
