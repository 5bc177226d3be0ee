//! `Semaphore` and `BoundedSemaphore`.

use super::holds::{self, Holds, took};
use crate::kit::class::{body_at, instance};
use crate::kit::ffi::{new_none, new_str, none, raise};
use crate::kit::name::{self, Name, Named};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Body, Class, Names, Obj, Once, args, arguments, body, py};
use std::ffi::{CStr, c_int, c_long, c_void};
use std::ptr;

pub(crate) struct Semaphore {
    permits: Permits,
    name: Name,
}

enum Permits {
    Any(lisle::sync::Semaphore),
    Bounded(lisle::sync::BoundedSemaphore),
}

impl Named for Semaphore {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Body for Semaphore {}

static BOUNDED: Once = Once::new();

const DOC: &CStr = c"Semaphore(value=1)\n--\n\nA number of permits: acquire takes one, release gives one back.";

pub(crate) fn class() -> Obj {
    let acquire = c"acquire($self, /, blocking=True, timeout=None)\n--\n\n\
        Takes a permit, and tells whether it did. Waits while there is none.\n\n\
        On timeout: False. On interrupt: ThreadInterrupted; a signal's handler runs, and the wait goes on.\n\
        Fairness: the longest waiter is woken first.";
    Class::of::<Semaphore>(c"threading.Semaphore", DOC)
        .open::<Semaphore>()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .with_slot(py::Py_tp_init, init as *mut c_void)
        .with_slot(py::Py_tp_repr, repr as *mut c_void)
        .keywords(c"acquire", acquire_, acquire)
        .keywords(
            c"release",
            release,
            c"release($self, /, n=1)\n--\n\nGives n permits back, and wakes as many who wait.",
        )
        .no_args(c"__enter__", holds::enter::<Semaphore>, acquire)
        .fast(c"__exit__", holds::exit::<Semaphore>, c"Gives a permit back.")
        .getter(c"name", name::get::<Semaphore>, Some(name::set::<Semaphore>), c"Its name in reports, or None.")
        .getter(c"_value", value, None, c"How many permits there are at this moment.")
        .make(ptr::null_mut())
}

pub(crate) fn bounded(base: Obj) -> Obj {
    let doc = c"BoundedSemaphore(value=1)\n--\n\nA Semaphore that never has more permits than at first: ValueError otherwise.";
    let class = Class::of::<Semaphore>(c"threading.BoundedSemaphore", doc)
        .derivable()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .with_slot(py::Py_tp_init, init as *mut c_void)
        .getter(c"_initial_value", initial_value, None, c"How many permits there were at first.")
        .make(base);
    BOUNDED.set(class);
    class
}

unsafe fn is_bounded(class: *mut py::PyTypeObject) -> bool {
    // SAFETY: attached; null while the first of the two types is being made.
    !BOUNDED.get().is_null() && unsafe { py::PyType_IsSubtype(class, BOUNDED.get().cast()) != 0 }
}

unsafe fn permits(class: *mut py::PyTypeObject, n: u32) -> Permits {
    // SAFETY: attached.
    match unsafe { is_bounded(class) } {
        true => Permits::Bounded(lisle::sync::BoundedSemaphore::new(n)),
        false => Permits::Any(lisle::sync::Semaphore::new(n)),
    }
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: attached. What a subclass takes is for its `__init__` to say.
    unsafe { instance(class, Semaphore { permits: permits(class, 1), name: Name::none() }) }
}

unsafe extern "C-unwind" fn init(semaphore: Obj, args: Obj, kwargs: Obj) -> c_int {
    const TO: Names<1> = Names { function: "Semaphore", names: [c"value"], required: 0 };
    // SAFETY: attached; nobody else knows the instance yet.
    unsafe {
        let Some([value]) = args::unpack(&TO, args, kwargs) else { return -1 };
        if value.is_null() {
            return 0;
        }
        let Some(n) = first_value(value) else { return -1 };
        ptr::write(&raw mut (*body_at::<Semaphore>(semaphore)).permits, permits(py::Py_TYPE(semaphore), n));
    }
    0
}

/// How many permits there are where a program wants more than can be counted: `sys.maxsize`, infinity.
/// There is room for those that are released on top.
const PLENTY: u32 = u32::MAX / 2;

/// A semaphore's first value: a whole number, also as a float. `None` with an exception set if it is none.
unsafe fn first_value(value: Obj) -> Option<u32> {
    // SAFETY: attached; `value` is an object.
    unsafe {
        let n = if py::PyFloat_Check(value) != 0 {
            let n = py::PyFloat_AsDouble(value);
            if n.is_finite() && n.fract() != 0.0 || n.is_nan() {
                raise(py::PyExc_ValueError, c"semaphore initial value must be a whole number");
                return None;
            }
            n as i64
        } else {
            let mut overflow = 0;
            let n = py::PyLong_AsLongLongAndOverflow(value, &mut overflow);
            if n == -1 && !py::PyErr_Occurred().is_null() {
                return None;
            }
            if overflow > 0 { i64::MAX } else { n }
        };
        if n < 0 {
            raise(py::PyExc_ValueError, c"semaphore initial value must be >= 0");
            return None;
        }
        Some(u32::try_from(n).map_or(PLENTY, |n| n.min(PLENTY)))
    }
}

unsafe fn take(semaphore: Obj, limit: Limit) -> Waited {
    /// Calls a method that both kinds have.
    macro_rules! of_either {
        ($raw:ident, $call:expr) => {
            match &body::<Semaphore>(semaphore).permits {
                Permits::Any($raw) => $call,
                Permits::Bounded($raw) => $call,
            }
        };
    }
    // SAFETY: the caller holds a reference to the semaphore.
    unsafe {
        if of_either!(raw, raw.try_acquire()) {
            return Waited::Granted;
        }
        wait(Described { object: semaphore, describe: name::describe::<Semaphore> }, limit, &mut |deadline| {
            match deadline {
                Some(at) => of_either!(raw, raw.acquire_until(at)),
                None => of_either!(raw, raw.acquire()),
            }
        })
    }
}

unsafe extern "C-unwind" fn acquire_(semaphore: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<2> = Names { function: "acquire", names: [c"blocking", c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let mut limit = Limit::Never;
        if count != 0 || !keywords.is_null() {
            let Some([blocking, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
            let blocks = if blocking.is_null() { 1 } else { py::PyObject_IsTrue(blocking) };
            if blocks < 0 {
                return ptr::null_mut();
            }
            if blocks == 0 && !timeout.is_null() && timeout != none() {
                return raise(py::PyExc_ValueError, c"can't specify timeout for non-blocking acquire");
            }
            limit = Limit::Now;
            if blocks != 0 {
                let Some(given) = time::of_wait(timeout) else { return ptr::null_mut() };
                limit = given;
            }
        }
        took(take(semaphore, limit))
    }
}

impl Holds for Semaphore {
    unsafe fn take(semaphore: Obj, limit: Limit) -> Waited {
        // SAFETY: as the caller says.
        unsafe { take(semaphore, limit) }
    }

    unsafe fn give(semaphore: Obj) -> Obj {
        // SAFETY: as the caller says.
        unsafe { give(semaphore, 1) }
    }
}

unsafe fn give(semaphore: Obj, n: c_long) -> Obj {
    // SAFETY: attached, with an instance of ours.
    unsafe {
        if n < 1 {
            return raise(py::PyExc_ValueError, c"n must be one or more");
        }
        let of = body::<Semaphore>(semaphore);
        let now = match &of.permits {
            Permits::Any(raw) => raw.available(),
            Permits::Bounded(raw) => raw.available(),
        };
        let Some(n) = u32::try_from(n).ok().filter(|n| now.checked_add(*n).is_some()) else {
            return raise(py::PyExc_OverflowError, c"a semaphore has at most 2**32 - 1 permits");
        };
        match &of.permits {
            Permits::Any(raw) => raw.release_many(n),
            Permits::Bounded(raw) => {
                if raw.release_many(n).is_err() {
                    return raise(py::PyExc_ValueError, c"Semaphore released too many times");
                }
            }
        }
        new_none()
    }
}

unsafe extern "C-unwind" fn release(semaphore: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<1> = Names { function: "release", names: [c"n"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([n]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let n = if n.is_null() { 1 } else { py::PyLong_AsLong(n) };
        if n == -1 && !py::PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        give(semaphore, n)
    }
}

unsafe fn available(semaphore: Obj) -> u32 {
    // SAFETY: attached, with an instance of ours.
    match unsafe { &body::<Semaphore>(semaphore).permits } {
        Permits::Any(raw) => raw.available(),
        Permits::Bounded(raw) => raw.available(),
    }
}

unsafe fn bound(semaphore: Obj) -> Option<u32> {
    // SAFETY: attached, with an instance of ours.
    match unsafe { &body::<Semaphore>(semaphore).permits } {
        Permits::Any(_) => None,
        Permits::Bounded(raw) => Some(raw.bound()),
    }
}

unsafe extern "C-unwind" fn value(semaphore: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { py::PyLong_FromUnsignedLong(u64::from(available(semaphore))) }
}

unsafe extern "C-unwind" fn initial_value(semaphore: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { py::PyLong_FromUnsignedLong(u64::from(bound(semaphore).unwrap_or_default())) }
}

unsafe extern "C-unwind" fn repr(semaphore: Obj) -> Obj {
    // SAFETY: a slot's argument.
    unsafe {
        let class = crate::kit::class::full_name(semaphore);
        let value = available(semaphore);
        match bound(semaphore) {
            Some(bound) => new_str(&format!("<{class} at {semaphore:p}: value={value}/{bound}>")),
            None => new_str(&format!("<{class} at {semaphore:p}: value={value}>")),
        }
    }
}
