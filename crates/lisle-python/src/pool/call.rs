//! A call that was submitted: the function, its arguments as they were given, and its future.

use crate::future::{self, Begun, Outcome};
use crate::kit::class::instance;
use crate::kit::ffi::{new_none, new_ref, raise, unwinding};
use crate::kit::latch::Latch;
use crate::kit::{Body, Class, Obj, Once, body, py};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

/// One piece of memory, with the function and the arguments behind this head.
#[repr(C)]
pub(super) struct Call {
    pub(super) future: Obj,
    /// The names of the last of the arguments, or null.
    names: Obj,
    /// How many arguments have no name.
    positional: usize,
    /// How many objects follow: the function and all arguments.
    objects: usize,
}

impl Call {
    unsafe fn object(this: *mut Call, at: usize) -> *mut Obj {
        // SAFETY: `this` has so many objects behind it.
        unsafe { this.add(1).cast::<Obj>().add(at) }
    }

    /// Of the function and the arguments that follow it, `positional` of them without a name. Takes
    /// over the reference to the future. Null with an exception set if there is no memory.
    #[inline(always)]
    pub(super) unsafe fn new(future: Obj, given: *const Obj, positional: usize, names: Obj) -> *mut Call {
        // SAFETY: attached; there are as many objects in `given` as are read.
        unsafe {
            let named = if names.is_null() { 0 } else { py::PyTuple_GET_SIZE(names) as usize };
            let objects = 1 + positional + named;
            let this: *mut Call = py::PyMem_Malloc(size_of::<Call>() + objects * size_of::<Obj>()).cast();
            if this.is_null() {
                py::Py_DECREF(future);
                py::PyErr_NoMemory();
                return this;
            }
            if !names.is_null() {
                py::Py_INCREF(names);
            }
            ptr::write(this, Call { future, names, positional, objects });
            for at in 0..objects {
                ptr::write(Call::object(this, at), new_ref(*given.add(at)));
            }
            this
        }
    }

    /// Shows all that it refers to.
    pub(super) unsafe fn traverse(this: *mut Call, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        // SAFETY: alive.
        unsafe {
            let head = [(*this).future, (*this).names];
            let objects = (0..(*this).objects).map(|at| *Call::object(this, at));
            head.into_iter().chain(objects).map(visit).find(|&stop| stop != 0).unwrap_or(0)
        }
    }

    /// Lets go of it. Python code may run.
    #[inline(always)]
    pub(super) unsafe fn drop(this: *mut Call) {
        // SAFETY: attached, and the caller has taken it out of where it was.
        unsafe {
            for at in 0..(*this).objects {
                py::Py_DECREF(*Call::object(this, at));
            }
            py::Py_XDECREF((*this).names);
            py::Py_DECREF((*this).future);
            py::PyMem_Free(this.cast());
        }
    }

    /// Makes the call, unless it was cancelled, and lets go of it. False with an exception set if a
    /// callback raised what callbacks may not.
    pub(super) unsafe fn run(this: *mut Call, ident: u32) -> bool {
        // SAFETY: attached; the caller has taken it out of where it was.
        unsafe {
            let future = (*this).future;
            let fine = match future::begin(future, ident) {
                Begun::Yes => {
                    let arguments = Call::object(this, 1);
                    let flags = (*this).positional | py::PY_VECTORCALL_ARGUMENTS_OFFSET;
                    let function = *Call::object(this, 0);
                    let result = unwinding::PyObject_Vectorcall(function, arguments, flags, (*this).names);
                    let outcome = match result.is_null() {
                        true => Outcome::Exception(future::raised()),
                        false => Outcome::Result(result),
                    };
                    future::finish(future, outcome)
                }
                Begun::No => true,
                Begun::Raised => false,
            };
            if fine {
                Call::drop(this);
                return true;
            }
            // What is raised must not be lost to a destructor.
            let exception = future::raised();
            Call::drop(this);
            py::PyErr_SetObject(py::Py_TYPE(exception).cast(), exception);
            py::Py_DECREF(exception);
            false
        }
    }
}

/// A call as Python code has it that takes one out of a pool's queue, or is about to put one in.
pub(super) struct Item {
    latch: Latch,
    /// Null when it was made, or put into a queue. Under the latch.
    call: Cell<*mut Call>,
}

pub(super) static ITEM: Once = Once::new();

impl Body for Item {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        // SAFETY: null or alive.
        unsafe { if self.call.get().is_null() { 0 } else { Call::traverse(self.call.get(), visit) } }
    }

    unsafe fn clear(this: *mut Item) {
        // SAFETY: alive, and taken out before it is let go of.
        unsafe {
            let call = (*this).call.replace(ptr::null_mut());
            if !call.is_null() {
                Call::drop(call);
            }
        }
    }
}

pub(super) fn class() -> Obj {
    let class = Class::of::<Item>(c"lisle._lisle.WorkItem", c"A call that was submitted.")
        .fast(
            c"run",
            run,
            c"Makes the call, and sets its future. From 3.14 on workers give a context, which is not needed.",
        )
        .getter(c"future", future_, None, c"Its future.")
        .getter(c"fn", function, None, c"What is called.")
        .getter(c"args", args, None, c"The arguments without names.")
        .getter(c"kwargs", kwargs, None, c"The arguments with names.")
        .make(ptr::null_mut());
    ITEM.set(class);
    class
}

/// An item around the call, which it takes over.
pub(super) unsafe fn item(call: *mut Call) -> Obj {
    // SAFETY: attached.
    unsafe {
        let item = instance(ITEM.get().cast(), Item { latch: Latch::new(), call: Cell::new(call) });
        if item.is_null() {
            Call::drop(call);
        }
        item
    }
}

/// The call out of an item; null with an exception set if that has none any more.
pub(super) unsafe fn taken(item: Obj) -> *mut Call {
    // SAFETY: attached; an instance of `Item`.
    unsafe {
        let it = body::<Item>(item);
        it.latch.lock();
        let call = it.call.replace(ptr::null_mut());
        it.latch.unlock();
        if call.is_null() {
            raise(py::PyExc_RuntimeError, c"this call has been made, or put into a queue");
        }
        call
    }
}

unsafe extern "C-unwind" fn run(it: Obj, _: *const Obj, _: isize) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let call = taken(it);
        if call.is_null() || !Call::run(call, lisle::embed::ident()) {
            return ptr::null_mut();
        }
        new_none()
    }
}

/// What `read` makes of an item's call; None if it has none any more.
unsafe fn get(it: Obj, read: unsafe fn(*mut Call) -> Obj) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe {
        let it = body::<Item>(it);
        it.latch.lock();
        let call = it.call.get();
        let value = if call.is_null() { new_none() } else { read(call) };
        it.latch.unlock();
        value
    }
}

unsafe extern "C-unwind" fn future_(it: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { get(it, |call| new_ref((*call).future)) }
}

unsafe extern "C-unwind" fn function(it: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { get(it, |call| new_ref(*Call::object(call, 0))) }
}

unsafe extern "C-unwind" fn args(it: Obj, _: *mut c_void) -> Obj {
    unsafe fn read(call: *mut Call) -> Obj {
        // SAFETY: alive; a new tuple is filled.
        unsafe {
            let tuple = py::PyTuple_New((*call).positional as isize);
            for at in 0..(*call).positional {
                if !tuple.is_null() {
                    py::PyTuple_SET_ITEM(tuple, at as isize, new_ref(*Call::object(call, 1 + at)));
                }
            }
            tuple
        }
    }
    // SAFETY: a getter's arguments.
    unsafe { get(it, read) }
}

unsafe extern "C-unwind" fn kwargs(it: Obj, _: *mut c_void) -> Obj {
    unsafe fn read(call: *mut Call) -> Obj {
        // SAFETY: alive; a new dict is filled.
        unsafe {
            let dict = py::PyDict_New();
            let (names, first) = ((*call).names, 1 + (*call).positional);
            for at in first..(*call).objects {
                let name = py::PyTuple_GET_ITEM(names, (at - first) as isize);
                if !dict.is_null() && py::PyDict_SetItem(dict, name, *Call::object(call, at)) < 0 {
                    py::Py_DECREF(dict);
                    return ptr::null_mut();
                }
            }
            dict
        }
    }
    // SAFETY: a getter's arguments.
    unsafe { get(it, read) }
}
