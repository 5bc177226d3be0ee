//! Whether a queue can be in plain mode: it can unless the program has its own `_init`, `_qsize`,
//! `_put` or `_get`, in a subclass, in a class that it changed, or in the instance.

use super::exposed::expose;
use super::state::{NEVER, Queue};
use crate::kit::class::Instance;
use crate::kit::ffi::{intern, unwinding};
use crate::kit::{Obj, Once, body, py};
use std::ffi::CStr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

const HOOKS: [&CStr; 4] = [c"_init", c"_qsize", c"_put", c"_get"];
/// What `put_nowait` and `get_nowait` call.
const CALLED: [&CStr; 2] = [c"put", c"get"];
pub(super) const PUT: u8 = 1;
pub(super) const GET: u8 = 2;
/// Any of the hooks.
const HOOKED: u8 = 4;

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

/// How many attributes the instance has of its own. A hook among them is noticed by that.
#[inline(always)]
unsafe fn attributes(it: Obj) -> isize {
    // SAFETY: `it` is a queue; a dict stays until the program puts another in its place.
    unsafe {
        let dict = (*it.cast::<Instance<Queue>>()).dict;
        if dict.is_null() { 0 } else { py::PyDict_Size(dict) }
    }
}

/// Whether nothing has changed since the last look at the instance and its type.
#[inline(always)]
unsafe fn is_known(it: Obj) -> bool {
    // SAFETY: `it` is a queue.
    unsafe {
        let queue = body::<Queue>(it);
        queue.looked_at.load(Relaxed) == version(it) && queue.attributes.load(Relaxed) == attributes(it)
    }
}

/// Whether the queue is known to be in plain mode.
#[inline(always)]
pub(super) unsafe fn is_plain(it: Obj) -> bool {
    // SAFETY: `it` is a queue.
    unsafe { is_known(it) && !body::<Queue>(it).is_exposed.load(Relaxed) }
}

/// Whether the queue is in plain mode, after a look at it where that is needed. `None` with an
/// exception set if that fails.
#[inline(always)]
pub(super) unsafe fn find_out(it: Obj) -> Option<bool> {
    // SAFETY: `it` is a queue.
    unsafe {
        if !is_known(it) && !can_be_plain(it)? && !expose(it) {
            return None;
        }
        Some(!body::<Queue>(it).is_exposed.load(Relaxed))
    }
}

/// Whether there are no hooks of the program's that stand against plain mode.
#[cold]
pub(super) unsafe fn can_be_plain(it: Obj) -> Option<bool> {
    // SAFETY: attached, and `it` is a queue.
    unsafe {
        let queue = body::<Queue>(it);
        let (before, size) = (version(it), attributes(it));
        let mut replaced = in_type(it, before)?;
        if size > 0 {
            replaced |= in_instance(it)?;
        }
        queue.replaced.store(replaced, Relaxed);
        let is_well = replaced & HOOKED == 0;
        // What should be exposed and is not yet has to be looked at again.
        if version(it) == before && before != 0 && (is_well || queue.is_exposed.load(Relaxed)) {
            queue.attributes.store(size, Relaxed);
            queue.looked_at.store(before, Relaxed);
        }
        Some(is_well)
    }
}

/// The bit of the name of that number.
fn bit(at: usize) -> u8 {
    if at < HOOKS.len() { HOOKED } else { PUT << (at - HOOKS.len()) }
}

/// Which of our functions the instance's type, of that version, has replaced.
unsafe fn in_type(it: Obj, of: u32) -> Option<u8> {
    // SAFETY: attached, and `it` is a queue. Of what is found only the address counts.
    unsafe {
        let order = body::<Queue>(it).order as usize;
        if of == FITTING[order].load(Relaxed) {
            return Some(0);
        }
        let mut replaced = 0;
        for (at, (name, ours)) in names().zip(&OURS[order]).enumerate() {
            let found = unwinding::PyObject_GetAttr(py::Py_TYPE(it).cast(), name);
            if found.is_null() {
                return None;
            }
            if found != ours.get() {
                replaced |= bit(at);
            }
            py::Py_DECREF(found);
        }
        if replaced == 0 && of != 0 && of == version(it) {
            FITTING[order].store(of, Relaxed);
        }
        Some(replaced)
    }
}

/// Which of our functions the instance has replaced by attributes of its own.
unsafe fn in_instance(it: Obj) -> Option<u8> {
    // SAFETY: attached, and `it` is a queue; the dict is kept while it is asked.
    unsafe {
        let dict = (*it.cast::<Instance<Queue>>()).dict;
        if dict.is_null() {
            return Some(0);
        }
        py::Py_INCREF(dict);
        let mut replaced = 0;
        let mut failed = false;
        for (at, name) in names().enumerate() {
            match py::PyDict_Contains(dict, name) {
                0 => {}
                found => {
                    failed |= found < 0;
                    replaced |= bit(at);
                }
            }
        }
        py::Py_DECREF(dict);
        if failed { None } else { Some(replaced) }
    }
}

/// Whether the program has its own `put` (or `get`).
pub(super) unsafe fn is_replaced(it: Obj, which: u8) -> bool {
    // SAFETY: `it` is a queue that has been looked at.
    unsafe { body::<Queue>(it).replaced.load(Relaxed) & which != 0 }
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
