//! Letting go of chains: a queue whose item is a queue, a future whose result is a future, and so on.

use super::ffi::Obj;
use std::cell::Cell;
use std::ptr;

/// How many objects deep freeing one frees the next at once.
const DEPTH: u32 = 32;

type Free = unsafe extern "C-unwind" fn(Obj);

struct Chain {
    deep: Cell<u32>,
    /// What is left to the outermost call: a boxed list, or null.
    later: Cell<*mut Vec<(Obj, Free)>>,
}

thread_local! {
    static CHAIN: Chain = const { Chain { deep: Cell::new(0), later: Cell::new(ptr::null_mut()) } };
}

/// Calls `free(object)`; if this thread is deep in such calls, the outermost of them does it. What the interpreter
/// has for this is made for its own types, and another thing in each version.
///
/// # Safety
/// Attached; `object` may be freed by `free`, and nobody refers to it any more.
#[inline]
pub(super) unsafe fn bounded(object: Obj, free: Free) {
    CHAIN.with(|chain| {
        let deep = chain.deep.get();
        if deep == DEPTH {
            return chain.put_off(object, free);
        }
        // Python code can run here, which can unwind: then the thread ends, and what was put off stays.
        chain.deep.set(deep + 1);
        // SAFETY: as the caller says.
        unsafe { free(object) };
        if deep == 0 && !chain.later.get().is_null() {
            chain.free_what_was_put_off();
        }
        chain.deep.set(deep);
    });
}

impl Chain {
    #[cold]
    fn put_off(&self, object: Obj, free: Free) {
        if self.later.get().is_null() {
            self.later.set(Box::into_raw(Box::default()));
        }
        // SAFETY: this thread's, and used by nobody else while this pushes.
        unsafe { (*self.later.get()).push((object, free)) };
    }

    #[cold]
    fn free_what_was_put_off(&self) {
        // SAFETY: this thread's, and used by nobody else while this pops; what is freed may put off more. The
        // objects came from `bounded`, whose caller gave them.
        unsafe {
            while let Some((object, free)) = (*self.later.get()).pop() {
                free(object);
            }
            drop(Box::from_raw(self.later.replace(ptr::null_mut())));
        }
    }
}
