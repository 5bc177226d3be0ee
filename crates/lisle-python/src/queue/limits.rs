//! The time limits of `put` and `get`.

use crate::kit::ffi::{new_none, new_ref, none, raise, unwinding};
use crate::kit::time::{self, Limit};
use crate::kit::{Obj, Once, py};
use std::ptr;
use std::time::Instant;

static ZERO: Once = Once::new();
/// The namespaces whose `time` a program may have replaced, and what was there.
static NAMESPACES: [Once; 2] = [const { Once::new() }; 2];
static TIME: Once = Once::new();
static TIME_NAME: Once = Once::new();

/// To be called with the modules `queue` and `lisle.queue`.
pub(super) unsafe fn set_up(modules: [Obj; 2]) -> bool {
    // SAFETY: attached.
    unsafe {
        ZERO.set(py::PyLong_FromLong(0));
        TIME_NAME.set(py::PyUnicode_InternFromString(c"time".as_ptr()));
        for (module, namespace) in modules.iter().zip(&NAMESPACES) {
            namespace.set(py::PyModule_GetDict(*module));
        }
        let time = py::PyObject_GetAttrString(modules[1], c"time".as_ptr());
        TIME.set(time);
        !time.is_null()
    }
}

/// Whether the program has its own clock: then it is the one that counts.
unsafe fn is_clock_replaced() -> bool {
    NAMESPACES.iter().any(|namespace| {
        // SAFETY: attached; the namespaces of modules that are kept, and a string. Of what is found
        // only the address counts.
        let found = unsafe { py::PyDict_GetItemWithError(namespace.get(), TIME_NAME.get()) };
        !found.is_null() && found != TIME.get()
    })
}

/// What the caller said about waiting.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) blocks: bool,
    /// Null or None for ever; borrowed from the caller.
    timeout: Obj,
    /// Once it is known: then the clock runs.
    limit: Option<Limit>,
}

/// What to do when a call has to wait.
pub(super) enum Next {
    Wait(Limit),
    /// Do as the documentation says, with the program's own clock.
    Expose,
    Raised,
}

impl Patience {
    pub(super) fn none() -> Patience {
        Patience { blocks: false, timeout: ptr::null_mut(), limit: None }
    }

    /// `block` and `timeout` as they were given, null where they were not.
    pub(super) unsafe fn of(block: Obj, timeout: Obj) -> Option<Patience> {
        let blocks = match block.is_null() {
            true => 1,
            // SAFETY: attached; an object.
            false => unsafe { unwinding::PyObject_IsTrue(block) },
        };
        (blocks >= 0).then_some(Patience { blocks: blocks == 1, timeout, limit: None })
    }

    fn is_timed(&self) -> bool {
        !self.timeout.is_null() && self.timeout != none()
    }

    /// Whether the timeout counts and is one that there cannot be. `None` with an exception set if it
    /// is no number at all.
    pub(super) unsafe fn is_negative(&self) -> Option<bool> {
        if !self.blocks || !self.is_timed() {
            return Some(false);
        }
        // SAFETY: attached; two objects.
        match unsafe { unwinding::PyObject_RichCompareBool(self.timeout, ZERO.get(), py::Py_LT) } {
            -1 => None,
            negative => Some(negative == 1),
        }
    }

    /// Begins to wait, or goes on.
    pub(super) unsafe fn next(&mut self) -> Next {
        // SAFETY: attached.
        unsafe {
            if let Some(limit) = self.limit {
                return Next::Wait(limit);
            }
            if self.is_timed() && is_clock_replaced() {
                return Next::Expose;
            }
            let Some(limit) = time::of_wait(self.timeout) else { return Next::Raised };
            self.limit = Some(limit);
            Next::Wait(limit)
        }
    }

    /// What is left of the timeout, for a call that goes on with it: a new reference, or null with an
    /// exception set.
    pub(super) unsafe fn left(&self) -> Obj {
        // SAFETY: attached.
        unsafe {
            match self.limit {
                Some(Limit::Now) => py::PyFloat_FromDouble(0.0),
                Some(Limit::Until(at)) => {
                    py::PyFloat_FromDouble(at.saturating_duration_since(Instant::now()).as_secs_f64())
                }
                _ if self.timeout.is_null() => new_none(),
                _ => new_ref(self.timeout),
            }
        }
    }
}

/// What is said of a negative timeout.
pub(super) unsafe fn refuse_negative() -> Obj {
    // SAFETY: attached.
    unsafe { raise(py::PyExc_ValueError, c"'timeout' must be a non-negative number") }
}
