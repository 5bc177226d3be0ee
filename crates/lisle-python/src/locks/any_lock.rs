//! The lock of a condition, which may be any object that behaves like one.
//!
//! | lock | how it is taken and released |
//! |---|---|
//! | our `Lock` or `RLock` | directly |
//! | any other object | by its methods, `_release_save` and its kin where it has them |

use super::holds::{Holds, took};
use super::lock::{self, Lock};
use super::rlock::{self, RLock};
use crate::kit::ffi::{intern, new_bool, new_none, new_ref, none, put_back, set_aside, unwinding};
use crate::kit::time::Limit;
use crate::kit::{Obj, Once, body, place, py};
use lisle::embed;
use std::ffi::c_int;
use std::ptr;

/// A lock, referred to by whoever has this.
#[derive(Clone, Copy)]
pub(super) struct AnyLock {
    pub(super) object: Obj,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Lock,
    RLock,
    /// Which of the methods that a condition is better off with it has.
    Other {
        saves: bool,
        restores: bool,
        is_owned: bool,
    },
}

/// The names of the methods that are called.
pub(super) struct Methods {
    pub(super) acquire: Once,
    pub(super) release: Once,
    enter: Once,
    exit: Once,
    save: Once,
    restore: Once,
    is_owned: Once,
    pub(super) reinit: Once,
}

pub(super) static NAMES: Methods = Methods {
    acquire: Once::new(),
    release: Once::new(),
    enter: Once::new(),
    exit: Once::new(),
    save: Once::new(),
    restore: Once::new(),
    is_owned: Once::new(),
    reinit: Once::new(),
};

/// To be called before the first condition is made.
pub(super) fn set_up() {
    for (slot, name) in [
        (&NAMES.acquire, c"acquire"),
        (&NAMES.release, c"release"),
        (&NAMES.enter, c"__enter__"),
        (&NAMES.exit, c"__exit__"),
        (&NAMES.save, c"_release_save"),
        (&NAMES.restore, c"_acquire_restore"),
        (&NAMES.is_owned, c"_is_owned"),
        (&NAMES.reinit, c"_at_fork_reinit"),
    ] {
        slot.set(intern(name));
    }
}

/// Calls a method without arguments. The object is kept until that is over: a condition may be given
/// another lock meanwhile.
pub(super) unsafe fn call(object: Obj, name: &Once) -> Obj {
    // SAFETY: attached; `object` is an object.
    unsafe {
        new_ref(object);
        let done = unwinding::PyObject_VectorcallMethod(name.get(), [object].as_ptr(), 1, ptr::null_mut());
        py::Py_DECREF(object);
        done
    }
}

/// What a new reference, or null, is worth: 1, 0, or -1 with an exception set.
unsafe fn truth(value: Obj) -> c_int {
    // SAFETY: attached.
    unsafe {
        if value.is_null() {
            return -1;
        }
        let truth = unwinding::PyObject_IsTrue(value);
        py::Py_DECREF(value);
        truth
    }
}

/// # Safety
/// Of all methods but `none`: attached, and the object is alive.
impl AnyLock {
    /// That of a condition whose `__init__` was not called.
    pub(super) const fn none() -> AnyLock {
        AnyLock { object: ptr::null_mut(), kind: Kind::RLock }
    }

    /// A lock of ours that was just made; null stays null, with an exception set.
    pub(super) fn own_lock(object: Obj) -> AnyLock {
        AnyLock { object, kind: Kind::Lock }
    }

    /// Likewise an `RLock`.
    pub(super) fn own_rlock(object: Obj) -> AnyLock {
        AnyLock { object, kind: Kind::RLock }
    }

    /// That object; `none` with an exception set if it is no lock.
    pub(super) unsafe fn of(object: Obj) -> AnyLock {
        // SAFETY: as the caller says.
        unsafe {
            let class = py::Py_TYPE(object).cast();
            if class == lock::CLASS.get() {
                return AnyLock::own_lock(object);
            }
            if class == rlock::CLASS.get() {
                return AnyLock::own_rlock(object);
            }
            let has = |name: &Once| {
                let method = unwinding::PyObject_GetAttr(object, name.get());
                py::Py_XDECREF(method);
                !method.is_null()
            };
            let may_have = |name: &Once| {
                let has = has(name);
                if !has {
                    py::PyErr_Clear(); // before the next is asked for: that may be Python code
                }
                has
            };
            if !has(&NAMES.acquire) || !has(&NAMES.release) {
                return AnyLock::none();
            }
            let kind = Kind::Other {
                saves: may_have(&NAMES.save),
                restores: may_have(&NAMES.restore),
                is_owned: may_have(&NAMES.is_owned),
            };
            AnyLock { object, kind }
        }
    }

    /// `__enter__`.
    pub(super) unsafe fn enter(self) -> Obj {
        // SAFETY: as the caller says.
        unsafe {
            let free = match self.kind {
                Kind::Lock => embed::try_acquire(&body::<Lock>(self.object).raw, place::of_take()),
                Kind::RLock => body::<RLock>(self.object).raw.try_acquire(|| place::of_take()),
                Kind::Other { .. } => return call(self.object, &NAMES.enter),
            };
            if free {
                return new_bool(true);
            }
            new_ref(self.object); // as in `call`
            let waited = match self.kind {
                Kind::RLock => RLock::take(self.object, Limit::Never),
                _ => Lock::take(self.object, Limit::Never),
            };
            py::Py_DECREF(self.object);
            took(waited)
        }
    }

    /// `__exit__`, with its arguments.
    pub(super) unsafe fn exit(self, args: *const Obj, count: isize) -> Obj {
        // SAFETY: as the caller says.
        unsafe {
            match self.kind {
                Kind::Lock => Lock::give(self.object),
                Kind::RLock => RLock::give(self.object),
                Kind::Other { .. } => {
                    let mut all = [self.object, none(), none(), none()];
                    for (at, slot) in all[1..].iter_mut().enumerate().take(count as usize) {
                        *slot = *args.add(at);
                    }
                    new_ref(self.object); // as in `call`
                    let exit = NAMES.exit.get();
                    let left = unwinding::PyObject_VectorcallMethod(exit, all.as_ptr(), all.len(), ptr::null_mut());
                    py::Py_DECREF(self.object);
                    left
                }
            }
        }
    }

    /// Whether the calling thread holds the lock, as far as can be told: 1, 0, or -1 with an exception set.
    pub(super) unsafe fn is_owned(self) -> c_int {
        // SAFETY: as the caller says.
        unsafe {
            match self.kind {
                Kind::Lock => c_int::from(body::<Lock>(self.object).raw.is_locked()),
                Kind::RLock => c_int::from(body::<RLock>(self.object).raw.is_owned_by_current()),
                Kind::Other { is_owned: true, .. } => truth(call(self.object, &NAMES.is_owned)),
                Kind::Other { .. } => {
                    // Who can take it did not hold it.
                    let args = [self.object, py::Py_False()];
                    let acquire = NAMES.acquire.get();
                    let taken = truth(unwinding::PyObject_VectorcallMethod(acquire, args.as_ptr(), 2, ptr::null_mut()));
                    if taken == 1 {
                        let released = call(self.object, &NAMES.release);
                        if released.is_null() {
                            return -1;
                        }
                        py::Py_DECREF(released);
                    }
                    if taken < 0 { taken } else { 1 - taken }
                }
            }
        }
    }

    /// Releases the lock however often it is held; what comes back is for `restore`.
    pub(super) unsafe fn release_save(self) -> Obj {
        // SAFETY: as the caller says.
        unsafe {
            match self.kind {
                Kind::Lock => Lock::give(self.object),
                Kind::RLock => rlock::release_save(self.object, ptr::null_mut()),
                Kind::Other { saves: true, .. } => call(self.object, &NAMES.save),
                Kind::Other { .. } => call(self.object, &NAMES.release),
            }
        }
    }

    /// Takes the lock again, and lets go of `saved`. True if that worked, which only an object that is
    /// not ours can prevent. An exception that is set stays so.
    pub(super) unsafe fn restore(self, saved: Obj) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            let exception = set_aside();
            let done = match self.kind {
                Kind::Lock => {
                    lock::take_for_sure(self.object);
                    new_none()
                }
                Kind::RLock => rlock::acquire_restore(self.object, saved),
                Kind::Other { restores: true, .. } => {
                    let args = [self.object, saved];
                    unwinding::PyObject_VectorcallMethod(NAMES.restore.get(), args.as_ptr(), 2, ptr::null_mut())
                }
                Kind::Other { .. } => call(self.object, &NAMES.acquire),
            };
            py::Py_DECREF(saved);
            py::Py_XDECREF(done);
            put_back(exception);
            !done.is_null()
        }
    }
}
