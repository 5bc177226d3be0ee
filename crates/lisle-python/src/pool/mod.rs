//! `ThreadPoolExecutor`: its queue of calls, `submit`, and the loop of its workers. The rest of it, which
//! is not called for each call, is Python code in `lisle._pool`.

mod call;
mod queue;
mod submit;
pub(crate) mod team;
mod worker;

pub(crate) use worker::{Helped, help};

use crate::kit::ffi::new_none;
use crate::kit::{Obj, py};

pub(crate) unsafe fn add_to(module: Obj) -> bool {
    // SAFETY: attached, and the module is being made.
    unsafe {
        let types = [(c"WorkItem", call::class()), (c"WorkQueue", queue::class()), (c"PoolBase", submit::class())];
        types
            .into_iter()
            .all(|(name, class)| !class.is_null() && py::PyModule_AddObjectRef(module, name.as_ptr(), class) == 0)
            && py::PyModule_AddFunctions(module, (&raw const FUNCTIONS.0).cast_mut().cast()) == 0
    }
}

struct Functions([py::PyMethodDef; 2]);

// SAFETY: nobody writes to it.
unsafe impl Sync for Functions {}

static FUNCTIONS: Functions = Functions([
    py::PyMethodDef {
        ml_name: c"_set_up_pools".as_ptr(),
        ml_meth: py::PyMethodDefPointer { PyCFunction: set_up },
        ml_flags: py::METH_O,
        ml_doc: c"Takes the Python side's part, a dict.".as_ptr(),
    },
    py::PyMethodDef::zeroed(),
]);

/// Takes what `lisle._pool` has.
unsafe extern "C" fn set_up(_: Obj, parts: Obj) -> Obj {
    // SAFETY: attached; a function's arguments.
    unsafe { if submit::set_up(parts) { new_none() } else { std::ptr::null_mut() } }
}
