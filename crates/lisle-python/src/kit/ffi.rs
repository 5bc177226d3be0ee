//! The C API, with the calls that can unwind declared as such.

pub(crate) use pyo3::ffi as py;
use std::ffi::{CStr, c_char, c_int};

pub(crate) type Obj = *mut py::PyObject;

/// The functions from which Python code can run, or which attach. Declared here once more, since
/// `pyo3::ffi` says that they never unwind.
pub(crate) mod unwinding {
    use super::{Obj, c_int, py};

    unsafe extern "C-unwind" {
        pub(crate) fn PyEval_RestoreThread(state: *mut py::PyThreadState);
        pub(crate) fn PyErr_CheckSignals() -> c_int;
        pub(crate) fn PyObject_Vectorcall(call: Obj, args: *const Obj, nargsf: usize, names: Obj) -> Obj;
        pub(crate) fn PyObject_VectorcallMethod(name: Obj, args: *const Obj, nargsf: usize, names: Obj) -> Obj;
        pub(crate) fn PyObject_Call(call: Obj, args: Obj, kwargs: Obj) -> Obj;
        pub(crate) fn PyObject_GetAttr(object: Obj, name: Obj) -> Obj;
        pub(crate) fn PyObject_IsTrue(object: Obj) -> c_int;
        pub(crate) fn PyObject_RichCompareBool(a: Obj, b: Obj, op: c_int) -> c_int;
    }
}

// Not in `pyo3::ffi`.
unsafe extern "C" {
    pub(crate) static mut PyMethod_Type: py::PyTypeObject;
    /// Borrowed: the function of a bound method.
    pub(crate) fn PyMethod_Function(method: Obj) -> Obj;
}

#[inline(always)]
pub(crate) fn none() -> Obj {
    // SAFETY: the address of a static of the interpreter.
    unsafe { py::Py_None() }
}

/// A new reference to None, as functions return it.
#[inline(always)]
pub(crate) unsafe fn new_none() -> Obj {
    // SAFETY: attached.
    unsafe { new_immortal(none()) }
}

#[inline(always)]
pub(crate) unsafe fn new_bool(value: bool) -> Obj {
    // SAFETY: attached, and both are statics.
    unsafe { new_immortal(if value { py::Py_True() } else { py::Py_False() }) }
}

/// A new reference to what is immortal since 3.12, and needs none from then on.
#[inline(always)]
unsafe fn new_immortal(object: Obj) -> Obj {
    #[cfg(not(Py_3_12))]
    // SAFETY: attached.
    unsafe {
        py::Py_INCREF(object);
    }
    object
}

#[inline(always)]
pub(crate) unsafe fn new_ref(object: Obj) -> Obj {
    // SAFETY: the caller has a reference.
    unsafe { py::Py_INCREF(object) };
    object
}

/// Raises, and returns what a function then returns.
#[cold]
pub(crate) unsafe fn raise(kind: Obj, message: &CStr) -> Obj {
    // SAFETY: attached; the kind is an exception's type.
    unsafe { py::PyErr_SetString(kind, message.as_ptr()) };
    std::ptr::null_mut()
}

/// [`raise`] with a text of the moment.
#[cold]
pub(crate) unsafe fn raise_text(kind: Obj, message: &str) -> Obj {
    // SAFETY: attached; the text is UTF-8 of that length.
    unsafe {
        let text = new_str(message);
        if !text.is_null() {
            py::PyErr_SetObject(kind, text);
            py::Py_DECREF(text);
        }
    }
    std::ptr::null_mut()
}

pub(crate) unsafe fn new_str(text: &str) -> Obj {
    // SAFETY: attached; the text is UTF-8 of that length.
    unsafe { py::PyUnicode_FromStringAndSize(text.as_ptr().cast::<c_char>(), text.len() as isize) }
}

/// A string that lives as long as the process, for the names of attributes.
pub(crate) fn intern(name: &CStr) -> Obj {
    // SAFETY: attached, as all of the module's set-up.
    unsafe { py::PyUnicode_InternFromString(name.as_ptr()) }
}

/// An exception that is not to be seen for a while; null if none is set.
pub(crate) type Aside = [Obj; 3];

/// Takes the exception that is set, if any, so that other code can be called.
#[allow(deprecated, reason = "what took its place begins with 3.12")]
pub(crate) unsafe fn set_aside() -> Aside {
    let [mut kind, mut value, mut trace] = [std::ptr::null_mut(); 3];
    // SAFETY: attached.
    unsafe { py::PyErr_Fetch(&mut kind, &mut value, &mut trace) };
    [kind, value, trace]
}

/// Sets the exception again. Without one, what is set stays.
#[allow(deprecated, reason = "what took its place begins with 3.12")]
pub(crate) unsafe fn put_back([kind, value, trace]: Aside) {
    if !kind.is_null() {
        // SAFETY: attached; from `set_aside`.
        unsafe { py::PyErr_Restore(kind, value, trace) };
    }
}
