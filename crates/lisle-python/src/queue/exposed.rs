//! Exposed mode: how a queue gets there, and the calls of `lisle._exposed_queue`, which does the
//! work from then on.

use super::state::{Inside, Queue};
use crate::kit::ffi::{intern, raise, unwinding};
use crate::kit::{Obj, Once, body, py};
use std::ffi::{CStr, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

/// The functions of `lisle._exposed_queue`.
#[derive(Clone, Copy)]
pub(super) enum Call {
    Insides,
    Init,
    Put,
    Get,
    PutMany,
    GetMany,
    GiveBack,
    TaskDone,
    Join,
    Qsize,
    Empty,
    Full,
    Shutdown,
}

const NAMES: [&CStr; 13] = [
    c"insides",
    c"init",
    c"put",
    c"get",
    c"put_many",
    c"get_many",
    c"give_back",
    c"task_done",
    c"join",
    c"qsize",
    c"empty",
    c"full",
    c"shutdown",
];

static CALLS: [Once; NAMES.len()] = [const { Once::new() }; NAMES.len()];
static APPEND: Once = Once::new();
static RELEASE: Once = Once::new();

/// Takes the functions from the module; false with an exception set if that fails.
pub(super) unsafe fn set_up(module: Obj) -> bool {
    APPEND.set(intern(c"append"));
    RELEASE.set(intern(c"release"));
    NAMES.iter().zip(&CALLS).all(|(name, call)| {
        // SAFETY: attached.
        let function = unsafe { py::PyObject_GetAttrString(module, name.as_ptr()) };
        call.set(function);
        !function.is_null()
    })
}

/// Calls one of the functions.
pub(super) unsafe fn call<const N: usize>(which: Call, args: [Obj; N]) -> Obj {
    let function = CALLS[which as usize].get();
    // SAFETY: attached; the caller holds references to the arguments.
    unsafe {
        if function.is_null() {
            return raise(py::PyExc_RuntimeError, c"import lisle.queue first");
        }
        unwinding::PyObject_Vectorcall(function, args.as_ptr(), N, ptr::null_mut())
    }
}

/// Calls a method without arguments, for its effect; false with an exception set if it fails.
unsafe fn tell(object: Obj, name: Obj) -> bool {
    // SAFETY: attached; a call with `object` as its only argument.
    unsafe {
        let result = unwinding::PyObject_VectorcallMethod(name, [object].as_ptr(), 1, ptr::null_mut());
        py::Py_XDECREF(result);
        !result.is_null()
    }
}

/// Puts the queue into exposed mode; false with an exception set if that fails.
#[cold]
pub(super) unsafe fn expose(it: Obj) -> bool {
    // SAFETY: attached, and `it` is a queue.
    unsafe {
        let queue = body::<Queue>(it);
        if queue.is_exposed.load(Relaxed) {
            return true;
        }
        // The mutex comes locked: who finds the queue exposed waits until all is in its place.
        let insides = call(Call::Insides, [it]);
        if insides.is_null() {
            return false;
        }
        let items = queue.state.with(|state| {
            if queue.is_exposed.load(Relaxed) {
                return None;
            }
            for (at, slot) in state.insides.iter_mut().enumerate() {
                *slot = py::PyTuple_GET_ITEM(insides, at as isize);
                py::Py_INCREF(*slot);
            }
            queue.enter();
            state.version += 1;
            Some(ManuallyDrop::new(std::mem::take(&mut state.items)))
        });
        let mut all_well = true;
        if let Some(mut items) = items {
            let container = py::PyTuple_GET_ITEM(insides, Inside::Queue as isize);
            while let Some(item) = items.pop_front() {
                let args = [container, item];
                let none = unwinding::PyObject_VectorcallMethod(APPEND.get(), args.as_ptr(), 2, ptr::null_mut());
                all_well &= !none.is_null();
                py::Py_XDECREF(none);
                py::Py_DECREF(item);
            }
            ManuallyDrop::drop(&mut items);
            all_well &= tell(py::PyTuple_GET_ITEM(insides, Inside::Mutex as isize), RELEASE.get());
            queue.wake_all();
        }
        py::Py_DECREF(insides);
        all_well
    }
}

/// Begins the queue in exposed mode, or again; what `__init__` returns.
pub(super) unsafe fn init(it: Obj, maxsize: Obj) -> c_int {
    // SAFETY: attached, and `it` is a queue.
    unsafe {
        let queue = body::<Queue>(it);
        queue.state.with(|_| queue.enter());
        queue.is_shutdown.store(false, Relaxed);
        queue.unfinished.store(0, Relaxed);
        queue.wake_all();
        let done = call(Call::Init, [it, maxsize]);
        if done.is_null() {
            return -1;
        }
        py::Py_DECREF(done);
        0
    }
}

impl Queue {
    /// The change itself, under the guard.
    fn enter(&self) {
        self.is_exposed.store(true, Relaxed);
        self.len.store(0, Relaxed);
    }
}

/// The getter of the [`Inside`] of that number.
pub(super) unsafe extern "C-unwind" fn inside<const AT: usize>(it: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe {
        if !expose(it) {
            return ptr::null_mut();
        }
        let found = body::<Queue>(it).state.with(|state| {
            let object = state.insides[AT];
            py::Py_XINCREF(object);
            object
        });
        if found.is_null() {
            return raise(py::PyExc_AttributeError, c"this queue has not been initialised so far");
        }
        found
    }
}

/// Its setter.
pub(super) unsafe extern "C-unwind" fn set_inside<const AT: usize>(it: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        if !expose(it) {
            return -1;
        }
        py::Py_XINCREF(value);
        let old = body::<Queue>(it).state.with(|state| std::mem::replace(&mut state.insides[AT], value));
        py::Py_XDECREF(old);
    }
    0
}
