//! The name that a program may give to a primitive.

use super::args::text_of;
use super::class::body;
use super::ffi::{Obj, new_none, new_str, none, py, raise};
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A name, or none. What was replaced is kept: another thread may be reading it in a report.
pub(crate) struct Name(AtomicPtr<String>);

/// Stands for a value that is in the instance's `__dict__`. The standard classes know nothing of a name,
/// and a subclass may keep anything by that word.
const ELSEWHERE: *mut String = ptr::dangling_mut();

impl Name {
    pub(crate) const fn none() -> Name {
        Name(AtomicPtr::new(ptr::null_mut()))
    }

    fn get(&self) -> Option<&str> {
        let at = self.0.load(Ordering::Acquire);
        // SAFETY: null or a string that is never freed.
        if at == ELSEWHERE { None } else { unsafe { at.as_ref() }.map(String::as_str) }
    }

    fn is_elsewhere(&self) -> bool {
        self.0.load(Ordering::Acquire) == ELSEWHERE
    }

    /// As a property's value.
    unsafe fn read(&self) -> Obj {
        // SAFETY: attached.
        unsafe { self.get().map_or_else(|| new_none(), |name| new_str(name)) }
    }

    /// Takes a property's new value; -1 with an exception set if it is no name.
    pub(crate) unsafe fn write(&self, value: Obj) -> i32 {
        // SAFETY: attached; `value` is null (the property is deleted) or an object.
        unsafe {
            if value.is_null() || value == none() {
                self.0.store(ptr::null_mut(), Ordering::Release);
                return 0;
            }
            if py::PyUnicode_Check(value) == 0 {
                raise(py::PyExc_TypeError, c"a name is a str, or None");
                return -1;
            }
            self.0.store(Box::into_raw(Box::new(text_of(value))), Ordering::Release);
        }
        0
    }

    /// The name, or where the object is.
    pub(crate) fn describe(&self, object: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(name) => write!(f, "{name:?}"),
            None => write!(f, "at {object:p}"),
        }
    }
}

/// What has a name.
pub(crate) trait Named {
    fn name(&self) -> &Name;
}

/// The getter of `name`.
pub(crate) unsafe extern "C-unwind" fn get<T: Named>(object: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe {
        let name = body::<T>(object).name();
        if !name.is_elsewhere() {
            return name.read();
        }
        let dict = py::PyObject_GenericGetDict(object, ptr::null_mut());
        if dict.is_null() {
            return dict;
        }
        let value = py::PyMapping_GetItemString(dict, c"name".as_ptr());
        py::Py_DECREF(dict);
        if value.is_null() {
            py::PyErr_Clear(); // the program has emptied it
            return new_none();
        }
        value
    }
}

/// The setter of `name`.
pub(crate) unsafe extern "C-unwind" fn set<T: Named>(object: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        let name = body::<T>(object).name();
        let is_name = value.is_null() || value == none() || py::PyUnicode_CheckExact(value) != 0;
        if is_name && !name.is_elsewhere() {
            return name.write(value);
        }
        let dict = py::PyObject_GenericGetDict(object, ptr::null_mut());
        if dict.is_null() {
            py::PyErr_Clear();
            return name.write(value); // which takes strings alone
        }
        let mut done = 0;
        if is_name {
            if py::PyDict_DelItemString(dict, c"name".as_ptr()) < 0 {
                py::PyErr_Clear();
            }
            name.write(value);
        } else {
            done = py::PyDict_SetItemString(dict, c"name".as_ptr(), value);
            if done == 0 {
                name.0.store(ELSEWHERE, Ordering::Release);
            }
        }
        py::Py_DECREF(dict);
        done
    }
}

/// The words for an object that is waited for.
pub(crate) fn describe<T: Named>(object: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // SAFETY: it is alive while it is waited for.
    unsafe { body::<T>(object) }.name().describe(object, f)
}
