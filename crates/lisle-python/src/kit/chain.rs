//! Letting go of chains: a queue whose item is a queue, a future whose result is a future, and so on.

use super::ffi::Obj;
use std::cell::Cell;
use std::ptr;

/// How many objects deep freeing one frees the next at once.
const DEPTH: u32 = 32;

type Free = unsafe extern "C-unwind" fn(Obj);

thread_local! {
    static DEEP: Cell<u32> = const { Cell::new(0) };
    /// What is left to the outermost call: a boxed list, or null.
    static LATER: Cell<*mut Vec<(Obj, Free)>> = const { Cell::new(ptr::null_mut()) };
}

/// Calls `free(object)`; if this thread is deep in such calls, the outermost of them does it. What the interpreter
/// has for this is made for its own types, and another thing in each version.
///
/// # Safety
/// Attached; `object` may be freed by `free`, and nobody refers to it any more.
#[inline]
pub(super) unsafe fn bounded(object: Obj, free: Free) {
    let deep = DEEP.get();
    if deep == DEPTH {
        return put_off(object, free);
    }
    // Python code can run here, which can unwind: then the thread ends, and what was put off stays.
    DEEP.set(deep + 1);
    // SAFETY: as the caller says.
    unsafe { free(object) };
    if deep == 0 && !LATER.get().is_null() {
        free_what_was_put_off();
    }
    DEEP.set(deep);
}

#[cold]
fn put_off(object: Obj, free: Free) {
    if LATER.get().is_null() {
        LATER.set(Box::into_raw(Box::default()));
    }
    // SAFETY: this thread's, and used by nobody else while this pushes.
    unsafe { (*LATER.get()).push((object, free)) };
}

#[cold]
fn free_what_was_put_off() {
    // SAFETY: this thread's, and used by nobody else while this pops; what is freed may put off more. The
    // objects came from `bounded`, whose caller gave them.
    unsafe {
        while let Some((object, free)) = (*LATER.get()).pop() {
            free(object);
        }
        drop(Box::from_raw(LATER.replace(ptr::null_mut())));
    }
}
