//! Time limits as Python gives them.

use super::ffi::{Obj, none, py, raise};
use std::time::{Duration, Instant};

/// `threading.TIMEOUT_MAX`: what the standard library accepts on 64-bit systems.
const MAX: f64 = 9_223_372_036.0;

/// When a time limit that was given ends.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// Not to wait at all.
    Now,
    Until(Instant),
    Never,
}

/// Seconds, as a number. `None` with an exception set if it is none, not a number, or too large.
pub(crate) unsafe fn seconds(given: Obj) -> Option<f64> {
    // SAFETY: attached; `given` is an object.
    unsafe {
        let seconds = py::PyFloat_AsDouble(given);
        if seconds == -1.0 && !py::PyErr_Occurred().is_null() {
            return None;
        }
        if seconds.is_nan() {
            raise(py::PyExc_ValueError, c"Invalid value NaN (not a number)");
            return None;
        }
        if seconds > MAX {
            raise(py::PyExc_OverflowError, c"timeout value is too large");
            return None;
        }
        Some(seconds)
    }
}

/// A limit of that many seconds from now; negative ones are over.
pub(crate) fn after(seconds: f64) -> Limit {
    if seconds <= 0.0 { Limit::Now } else { Limit::Until(Instant::now() + Duration::from_secs_f64(seconds)) }
}

/// The limit of `lock.acquire(blocking, timeout)`, where -1 is for ever.
pub(crate) unsafe fn of_lock(blocking: Obj, timeout: Obj) -> Option<Limit> {
    // SAFETY: attached; each is an object or null.
    unsafe {
        let blocks = match blocking.is_null() {
            true => 1,
            false => py::PyObject_IsTrue(blocking),
        };
        if blocks < 0 {
            return None;
        }
        if timeout.is_null() {
            return Some(if blocks == 1 { Limit::Never } else { Limit::Now });
        }
        let seconds = seconds(timeout)?;
        if blocks == 0 {
            if seconds != -1.0 {
                raise(py::PyExc_ValueError, c"can't specify a timeout for a non-blocking call");
                return None;
            }
            return Some(Limit::Now);
        }
        if seconds == -1.0 {
            return Some(Limit::Never);
        }
        if seconds < 0.0 {
            raise(py::PyExc_ValueError, c"timeout value must be a non-negative number");
            return None;
        }
        Some(after(seconds))
    }
}

/// The limit of `event.wait(timeout)`, where None is for ever and what is negative is over.
pub(crate) unsafe fn of_wait(timeout: Obj) -> Option<Limit> {
    if timeout.is_null() || timeout == none() {
        return Some(Limit::Never);
    }
    // SAFETY: attached; `timeout` is an object.
    unsafe { seconds(timeout) }.map(after)
}
