//! The methods of whatever can be held: `acquire`, `__enter__`, `__exit__`.

use crate::kit::ffi::new_bool;
use crate::kit::time::{self, Limit};
use crate::kit::wait::Waited;
use crate::kit::{Names, Obj, arguments};
use std::ptr;

/// What is taken and given back.
///
/// # Safety
/// Of both functions: attached, and the object is an instance of the type.
pub(super) trait Holds {
    /// Takes it, waiting up to the limit.
    unsafe fn take(object: Obj, limit: Limit) -> Waited;

    /// Gives it back, as `release()` does.
    unsafe fn give(object: Obj) -> Obj;
}

/// `acquire(blocking=True, timeout=-1)`.
pub(super) unsafe extern "C-unwind" fn acquire<T: Holds>(
    object: Obj,
    args: *const Obj,
    count: isize,
    keywords: Obj,
) -> Obj {
    const TO: Names<2> = Names { function: "acquire", names: [c"blocking", c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let mut limit = Limit::Never;
        if count != 0 || !keywords.is_null() {
            let Some([blocking, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
            let Some(given) = time::of_lock(blocking, timeout) else { return ptr::null_mut() };
            limit = given;
        }
        took(T::take(object, limit))
    }
}

/// What `acquire` returns.
pub(super) unsafe fn took(waited: Waited) -> Obj {
    match waited {
        Waited::Raised => ptr::null_mut(),
        // SAFETY: attached.
        ended => unsafe { new_bool(ended == Waited::Granted) },
    }
}

/// `__enter__`.
pub(super) unsafe extern "C-unwind" fn enter<T: Holds>(object: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { took(T::take(object, Limit::Never)) }
}

/// `__exit__`, whose arguments do not matter.
pub(super) unsafe extern "C-unwind" fn exit<T: Holds>(object: Obj, _: *const Obj, _: isize) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { T::give(object) }
}

/// `release()`.
pub(super) unsafe extern "C-unwind" fn release<T: Holds>(object: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { T::give(object) }
}
