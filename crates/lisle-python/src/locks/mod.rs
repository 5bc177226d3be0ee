//! The locks and meeting points of `threading`.

mod lock;
mod rlock;
mod within;

use crate::kit::{Obj, py};

/// Makes the types and gives them to the module; false with an exception set if that fails.
pub(crate) unsafe fn add_to(module: Obj) -> bool {
    // SAFETY: attached, and the module is being made.
    unsafe {
        let types = [(c"lock", lock::class()), (c"RLock", rlock::class()), (c"Within", within::class())];
        types
            .into_iter()
            .all(|(name, class)| !class.is_null() && py::PyModule_AddObjectRef(module, name.as_ptr(), class) == 0)
    }
}
