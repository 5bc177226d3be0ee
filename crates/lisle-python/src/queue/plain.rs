//! Whether a queue can be in plain mode: it can unless the program has its own `_init`, `_qsize`,
//! `_put` or `_get`, in a subclass, in a class that it changed, or in the instance.

use super::exposed::expose;
use super::state::{NEVER, Queue};
use crate::kit::ffi::{intern, unwinding};
use crate::kit::{Obj, Once, body, py};
use std::ffi::{CStr, c_int};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

const HOOKS: [&CStr; 4] = [c"_init", c"_qsize", c"_put", c"_get"];
/// What `put_nowait` and `get_nowait` call.
const CALLED: [&CStr; 2] = [c"put", c"get"];
pub(super) const PUT: u8 = 1;
pub(super) const GET: u8 = 2;
/// The same for those that were replaced in the instance, where they stay.
const IN_INSTANCE: u8 = 4;

static HOOK_NAMES: [Once; HOOKS.len()] = [const { Once::new() }; HOOKS.len()];
static CALLED_NAMES: [Once; CALLED.len()] = [const { Once::new() }; CALLED.len()];
/// What each class of ours has under these names, by `Order`.
static OURS: [[Once; HOOKS.len() + CALLED.len()]; 3] =
    [const { [const { Once::new() }; HOOKS.len() + CALLED.len()] }; 3];

/// By `Order`, the version of a type that was found to allow for plain mode and to replace nothing:
/// what spares the next instance a look at it.
static FITTING: [AtomicU32; 3] = [const { AtomicU32::new(NEVER) }; 3];

/// To be called with our classes, by `Order`, once they have their hooks.
pub(super) unsafe fn set_up(classes: [Obj; 3]) -> bool {
    for (name, once) in HOOKS.iter().chain(&CALLED).zip(HOOK_NAMES.iter().chain(&CALLED_NAMES)) {
        once.set(intern(name));
    }
    classes.iter().zip(&OURS).all(|(class, ours)| {
        ours.iter().zip(names()).all(|(once, name)| {
            // SAFETY: attached; a class and a name.
            let found = unsafe { unwinding::PyObject_GetAttr(*class, name) };
            once.set(found);
            !found.is_null()
        })
    })
}

fn names() -> impl Iterator<Item = Obj> {
    HOOK_NAMES.iter().chain(&CALLED_NAMES).map(Once::get)
}

/// What stands under the name of `PUT` or `GET`.
pub(super) fn name_of(which: u8) -> Obj {
    CALLED_NAMES[usize::from(which == GET)].get()
}

/// The version of the instance's type: another one after each change of the type or its bases, or 0.
#[inline(always)]
unsafe fn version(it: Obj) -> u32 {
    // SAFETY: a type is alive as long as its instance. On free-threaded interpreters others may be
    // changing it right now.
    unsafe {
        let version = &raw mut (*py::Py_TYPE(it)).tp_version_tag;
        std::sync::atomic::AtomicU32::from_ptr(version).load(Relaxed)
    }
}

/// Whether the queue is known to be in plain mode.
#[inline(always)]
pub(super) unsafe fn is_plain(it: Obj) -> bool {
    // SAFETY: `it` is a queue.
    unsafe { body::<Queue>(it).fit.load(Relaxed) == version(it) }
}

/// Whether the queue is in plain mode, after a look at its type where that is needed. `None` with an
/// exception set if that fails.
#[inline(always)]
pub(super) unsafe fn find_out(it: Obj) -> Option<bool> {
    // SAFETY: passed on.
    unsafe { if is_plain(it) { Some(true) } else { examine(it) } }
}

#[cold]
unsafe fn examine(it: Obj) -> Option<bool> {
    // SAFETY: attached, and `it` is a queue.
    unsafe {
        if body::<Queue>(it).is_exposed.load(Relaxed) {
            look_at(it)?;
            return Some(false);
        }
        match can_be_plain(it) {
            Some(false) => expose(it).then_some(false),
            // Another thread may have exposed it by now.
            other => other.map(|_| !body::<Queue>(it).is_exposed.load(Relaxed)),
        }
    }
}

/// Whether the instance's type allows for plain mode.
pub(super) unsafe fn can_be_plain(it: Obj) -> Option<bool> {
    // SAFETY: attached, and `it` is a queue.
    unsafe {
        let queue = body::<Queue>(it);
        let fitting = &FITTING[queue.order as usize];
        let before = version(it);
        let replaced = if before == fitting.load(Relaxed) { 0 } else { look_at(it)? };
        if replaced & HOOKED != 0 {
            return Some(false);
        }
        if version(it) == before && before != 0 {
            queue.state.with(|_| {
                if !queue.is_exposed.load(Relaxed) {
                    queue.fit.store(before, Relaxed);
                }
            });
            if replaced == 0 {
                fitting.store(before, Relaxed);
            }
        }
        Some(true)
    }
}

/// Among the results of [`look_at`]: one of the hooks.
const HOOKED: u8 = 128;

/// Looks which of our functions the instance's type has replaced.
unsafe fn look_at(it: Obj) -> Option<u8> {
    // SAFETY: attached, and `it` is a queue. Of what is found only the address counts.
    unsafe {
        let queue = body::<Queue>(it);
        let mut replaced = 0;
        for (at, (name, ours)) in names().zip(&OURS[queue.order as usize]).enumerate() {
            let found = unwinding::PyObject_GetAttr(py::Py_TYPE(it).cast(), name);
            if found.is_null() {
                return None;
            }
            if found != ours.get() {
                replaced |= if at < HOOKS.len() { HOOKED } else { PUT << (at - HOOKS.len()) };
            }
            py::Py_DECREF(found);
        }
        let in_instance = queue.replaced.load(Relaxed) & (IN_INSTANCE * (PUT | GET));
        queue.replaced.store(in_instance | (replaced & (PUT | GET)), Relaxed);
        Some(replaced)
    }
}

/// Whether the program has its own `put` (or `get`).
pub(super) unsafe fn is_replaced(it: Obj, which: u8) -> bool {
    // SAFETY: `it` is a queue, whose type has been looked at.
    unsafe { body::<Queue>(it).replaced.load(Relaxed) & (which | (which * IN_INSTANCE)) != 0 }
}

/// Sets an attribute of an instance, which may be one of the hooks.
pub(super) unsafe extern "C-unwind" fn set_attribute(it: Obj, name: Obj, value: Obj) -> c_int {
    // SAFETY: a slot's arguments; `name` is a string, interned or not.
    unsafe {
        let done = py::PyObject_GenericSetAttr(it, name, value);
        if done < 0 || value.is_null() || py::PyUnicode_Check(name) == 0 {
            return done;
        }
        let is = |known: &CStr| py::PyUnicode_CompareWithASCIIString(name, known.as_ptr()) == 0;
        if HOOKS.iter().any(|known| is(known)) && !expose(it) {
            return -1;
        }
        if let Some(which) = CALLED.iter().position(|known| is(known)) {
            body::<Queue>(it).replaced.fetch_or((PUT << which) * IN_INSTANCE, Relaxed);
        }
    }
    0
}

/// Calls the program's own `put` or `get` as `put_nowait` and `get_nowait` are defined:
/// `self.put(item, block=False)`.
pub(super) unsafe fn call_replaced<const N: usize>(which: u8, args: [Obj; N], names: Obj) -> Obj {
    // SAFETY: attached; the last of the arguments is the one that is named.
    unsafe { unwinding::PyObject_VectorcallMethod(name_of(which), args.as_ptr(), N - 1, names) }
}

/// A tuple of one name.
pub(super) fn named(name: &CStr) -> Obj {
    // SAFETY: attached.
    unsafe { py::PyTuple_Pack(1, intern(name)) }
}
