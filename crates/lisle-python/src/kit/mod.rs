//! What the types of this module are made with: CPython's C API, and how to wait.
//!
//! # The rule of the frames
//! Until 3.13 an interpreter that ends unwinds every other thread that comes back to it, through all
//! frames of the thread, ours among them. So in a function from which Python code can run, or which
//! detaches from the interpreter and attaches again, **no value with a destructor may be alive across
//! that call**: the destructor would run in a thread that is not attached. Such functions are `extern
//! "C-unwind"`, hold plain pointers, and drop references by hand. Nothing catches the unwinding.

pub(crate) mod args;
mod chain;
pub(crate) mod class;
pub(crate) mod ffi;
pub(crate) mod inside;
pub(crate) mod latch;
pub(crate) mod layout;
pub(crate) mod name;
pub(crate) mod place;
pub(crate) mod time;
pub(crate) mod wait;

pub(crate) use args::{Names, arguments};
pub(crate) use class::{Body, Class, body};
pub(crate) use ffi::{Obj, py};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Where a static of the module is set once, at its start, by the thread that imports it.
pub(crate) struct Once(std::sync::atomic::AtomicPtr<py::PyObject>);

impl Once {
    pub(crate) const fn new() -> Once {
        Once(std::sync::atomic::AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Keeps the reference for good.
    pub(crate) fn set(&self, object: Obj) {
        self.0.store(object, std::sync::atomic::Ordering::Release);
    }

    /// Sets each to what stands under its name in a dict of the Python side.
    pub(crate) fn take(parts: &Bound<'_, PyDict>, slots: &[(&str, &Once)]) -> PyResult<()> {
        for (name, slot) in slots {
            let part = parts.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_string()))?;
            slot.set(part.into_ptr());
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Obj {
        self.0.load(std::sync::atomic::Ordering::Acquire)
    }
}
