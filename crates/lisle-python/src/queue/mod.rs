//! The queues of `queue`.
//!
//! | file | what is in it |
//! |---|---|
//! | `guard` | what guards a queue's state |
//! | `line` | threads that wait for the same change |
//! | `state` | what a queue is made of; the two modes |
//! | `plain` | whether plain mode is possible |
//! | `items` | putting and getting one item in plain mode |
//! | `heap`, `compare` | the order of a `PriorityQueue` |
//! | `methods`, `many`, `attributes`, `limits`, `class` | `Queue` as Python sees it |
//! | `exposed` | the change to exposed mode, and the way to the Python code of it |
//! | `simple` | `SimpleQueue` |

mod attributes;
mod class;
mod compare;
mod exposed;
mod guard;
mod heap;
mod items;
mod limits;
mod line;
mod many;
mod methods;
mod plain;
mod simple;
mod state;

use crate::kit::{Obj, Once, py};
use pyo3::prelude::*;

/// `queue.Empty`, `queue.Full`, and `queue.ShutDown` or what stands for it.
static EMPTY: Once = Once::new();
static FULL: Once = Once::new();
static SHUT_DOWN: Once = Once::new();

/// The types, by `Order`.
static CLASSES: [Once; 3] = [const { Once::new() }; 3];

/// Makes the types and gives them to the module; false with an exception set if that fails.
pub(crate) unsafe fn add_to(module: Obj) -> bool {
    // SAFETY: attached, and the module is being made.
    unsafe {
        let queue = class::queue();
        if queue.is_null() {
            return false;
        }
        let types = [queue, class::lifo(queue), class::priority(queue)];
        for (once, class) in CLASSES.iter().zip(types) {
            once.set(class);
        }
        let [queue, lifo, priority] = types;
        let types =
            [(c"Queue", queue), (c"LifoQueue", lifo), (c"PriorityQueue", priority), (c"SimpleQueue", simple::class())];
        types
            .into_iter()
            .all(|(name, object)| !object.is_null() && py::PyModule_AddObjectRef(module, name.as_ptr(), object) == 0)
    }
}

/// For `lisle.queue`: what the types need of Python.
#[pyfunction]
pub(crate) fn _queue_set_up(
    standard: &Bound<'_, PyAny>,
    ours: &Bound<'_, PyAny>,
    exposed: &Bound<'_, PyAny>,
    shut_down: Bound<'_, PyAny>,
) -> PyResult<()> {
    EMPTY.set(standard.getattr("Empty")?.into_ptr());
    FULL.set(standard.getattr("Full")?.into_ptr());
    SHUT_DOWN.set(shut_down.into_ptr());
    // SAFETY: attached, with modules of Python's and our own types.
    let all_well = unsafe {
        methods::BLOCK.set(plain::named(c"block"));
        plain::set_up([CLASSES[0].get(), CLASSES[1].get(), CLASSES[2].get()])
            && limits::set_up([standard.as_ptr(), ours.as_ptr()])
            && exposed::set_up(exposed.as_ptr())
    };
    if all_well { Ok(()) } else { Err(PyErr::fetch(ours.py())) }
}
