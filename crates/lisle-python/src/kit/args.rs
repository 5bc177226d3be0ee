//! Arguments by position and by name.

use super::ffi::{Obj, py};
use std::ffi::CStr;
use std::ptr;

/// A function's parameters: its name for messages, theirs, and how many must be given.
pub(crate) struct Names<const N: usize> {
    pub(crate) function: &'static str,
    pub(crate) names: [&'static CStr; N],
    pub(crate) required: usize,
}

/// The `N` arguments of a call, null where one was not given, borrowed from the caller. `None` with
/// an exception set if they don't fit.
#[inline(always)]
pub(crate) unsafe fn arguments<const N: usize>(
    to: &Names<N>,
    args: *const Obj,
    count: isize,
    keywords: Obj,
) -> Option<[Obj; N]> {
    let count = count as usize;
    let mut found = [ptr::null_mut(); N];
    if count <= N {
        for (at, slot) in found.iter_mut().enumerate().take(count) {
            // SAFETY: the caller gave `count` arguments.
            *slot = unsafe { *args.add(at) };
        }
        if keywords.is_null() && count >= to.required {
            return Some(found);
        }
    }
    // SAFETY: passed on.
    unsafe { with_keywords(to, &mut found, args, count, keywords) }.then_some(found)
}

/// The rest of [`arguments`], where keywords were given or something is wrong.
#[inline(never)]
unsafe fn with_keywords<const N: usize>(
    to: &Names<N>,
    found: &mut [Obj; N],
    args: *const Obj,
    count: usize,
    keywords: Obj,
) -> bool {
    // SAFETY: attached; `keywords` is null or a tuple of strings, whose values follow the others.
    unsafe {
        if count > N {
            return complain(&format!("{}() takes at most {N} arguments ({count} given)", to.function));
        }
        let named = if keywords.is_null() { 0 } else { py::PyTuple_GET_SIZE(keywords) };
        for at in 0..named {
            let name = py::PyTuple_GET_ITEM(keywords, at);
            let is = |known: &&CStr| py::PyUnicode_CompareWithASCIIString(name, known.as_ptr()) == 0;
            let Some(which) = to.names.iter().position(is) else {
                return complain(&format!("{}() got an unexpected keyword argument '{}'", to.function, text_of(name)));
            };
            if !found[which].is_null() {
                return complain(&format!("{}() got multiple values for argument '{}'", to.function, text_of(name)));
            }
            found[which] = *args.add(count + at as usize);
        }
        if let Some(missing) = found.iter().take(to.required).position(|one| one.is_null()) {
            let name = to.names[missing].to_str().unwrap_or_default();
            return complain(&format!("{}() missing required argument '{name}' (pos {})", to.function, missing + 1));
        }
    }
    true
}

unsafe fn complain(message: &str) -> bool {
    // SAFETY: attached.
    unsafe { super::ffi::raise_text(py::PyExc_TypeError, message) };
    false
}

/// The text of a `str`.
pub(crate) unsafe fn text_of(object: Obj) -> String {
    let mut length = 0;
    // SAFETY: attached; the pointer that comes back is good for as long as the object, which the
    // caller holds.
    unsafe {
        let text = py::PyUnicode_AsUTF8AndSize(object, &mut length);
        if text.is_null() {
            py::PyErr_Clear();
            return "?".into();
        }
        String::from_utf8_lossy(std::slice::from_raw_parts(text.cast(), length as usize)).into_owned()
    }
}

/// `args` and `kwargs` of `tp_new` and `tp_init`, as [`arguments`] has them.
pub(crate) unsafe fn unpack<const N: usize>(to: &Names<N>, args: Obj, kwargs: Obj) -> Option<[Obj; N]> {
    // SAFETY: attached; `args` is a tuple, `kwargs` null or a dict, both alive during the call.
    unsafe {
        let count = py::PyTuple_GET_SIZE(args);
        let mut all = [ptr::null_mut(); 16];
        let named = if kwargs.is_null() { 0 } else { py::PyDict_Size(kwargs) };
        if (count + named) as usize > all.len().min(N) {
            complain(&format!("{}() takes at most {N} arguments ({} given)", to.function, count + named));
            return None;
        }
        for at in 0..count {
            all[at as usize] = py::PyTuple_GET_ITEM(args, at);
        }
        if named == 0 {
            return arguments(to, all.as_ptr(), count, ptr::null_mut());
        }
        let keywords = py::PyTuple_New(named);
        if keywords.is_null() {
            return None;
        }
        let (mut position, mut key, mut value, mut at) = (0, ptr::null_mut(), ptr::null_mut(), 0);
        while py::PyDict_Next(kwargs, &mut position, &mut key, &mut value) != 0 {
            py::Py_INCREF(key);
            py::PyTuple_SET_ITEM(keywords, at, key);
            all[(count + at) as usize] = value;
            at += 1;
        }
        let found = arguments(to, all.as_ptr(), count, keywords);
        py::Py_DECREF(keywords);
        found
    }
}
