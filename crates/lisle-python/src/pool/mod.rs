//! `ThreadPoolExecutor`: its queue of calls, `submit`, and the loop of its workers. The rest of it, which
//! is not called for each call, is Python code in `lisle._pool`.

mod call;
mod queue;
mod submit;
pub(crate) mod team;
mod worker;

pub(crate) use submit::_set_up_pools;
pub(crate) use worker::{Helped, help};

use crate::kit::{Obj, py};

pub(crate) unsafe fn add_to(module: Obj) -> bool {
    // SAFETY: attached, and the module is being made.
    unsafe {
        let types = [(c"WorkItem", call::class()), (c"WorkQueue", queue::class()), (c"PoolBase", submit::class())];
        types
            .into_iter()
            .all(|(name, class)| !class.is_null() && py::PyModule_AddObjectRef(module, name.as_ptr(), class) == 0)
    }
}
