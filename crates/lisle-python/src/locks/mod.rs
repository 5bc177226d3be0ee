//! The locks and meeting points of `threading`.

mod any_lock;
mod condition;
mod event;
mod finish;
mod holds;
mod lock;
mod rlock;
mod rwlock;
mod semaphore;
mod within;

pub(crate) use finish::_set_up_threads;

use crate::kit::{Obj, py};
use std::ffi::CStr;

/// Makes the types and gives them to the module; false with an exception set if that fails.
pub(crate) unsafe fn add_to(module: Obj) -> bool {
    // SAFETY: attached, and the module is being made.
    let add = |name: &CStr, class: Obj| unsafe {
        !class.is_null() && py::PyModule_AddObjectRef(module, name.as_ptr(), class) == 0
    };
    let semaphore = semaphore::class();
    add(c"lock", lock::class())
        && add(c"RLock", rlock::class())
        && add(c"RWLock", rwlock::class())
        && add(c"Within", within::class())
        && add(c"Condition", condition::class())
        && add(c"Event", event::class())
        && add(c"Finish", finish::class())
        && add(c"_bootstrap", finish::first_steps())
        && add(c"Semaphore", semaphore)
        && add(c"BoundedSemaphore", semaphore::bounded(semaphore))
}
