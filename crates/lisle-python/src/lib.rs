//! `lisle._lisle`: the types under Python's `lisle`.
//!
//! | room | what is in it |
//! |---|---|
//! | `future` | `Future`, and waiting for several |
//! | `kit` | how types are made, arguments taken, and waited |
//! | `locks` | `Lock`, `RLock` and the other meeting points of `threading` |
//! | `pool` | `ThreadPoolExecutor`: its queue, `submit`, its workers' loop |
//! | `queue` | `Queue` and its kin |
//! | `watch` | what Python adds to snapshots, and `lisle.watch` |

mod future;
mod kit;
mod locks;
mod pool;
mod queue;
mod watch;

use kit::wait::{ACTIVE, DEADLOCK, INTERRUPTED, MAIN};
use pyo3::prelude::*;
use std::sync::atomic::Ordering;

pyo3::create_exception!(
    lisle,
    ThreadInterrupted,
    pyo3::exceptions::PyRuntimeError,
    "Another thread called interrupt() on this one while it waited."
);
pyo3::create_exception!(
    lisle,
    DeadlockError,
    pyo3::exceptions::PyRuntimeError,
    "The wait could never have ended: it closed a cycle of waits, which the message names."
);

/// Which thread runs the interpreter's signal handlers.
#[pyfunction]
fn _set_main_thread(ident: u64) {
    MAIN.store(ident, Ordering::Relaxed);
}

/// Makes the present or next wait of the thread with this native id raise ThreadInterrupted. False if
/// no such thread has ever come here.
#[pyfunction]
fn _interrupt(native_id: u32) -> bool {
    let found = lisle::thread::enumerate().into_iter().find(|thread| thread.native_id() == Some(native_id));
    found.inspect(lisle::thread::Thread::interrupt).is_some()
}

/// The calling thread's name in reports.
#[pyfunction]
fn _set_name(name: &str) {
    kit::wait::set_name(name);
}

/// For tests: everything as on a version of which it is not known where its frames are.
#[pyfunction]
fn _forget_layout() {
    kit::place::forget_layout();
}

#[pymodule(gil_used = false)]
fn _lisle(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    kit::place::set_up();
    kit::wait::set_up();
    let (interrupted, deadlock) = (py.get_type::<ThreadInterrupted>(), py.get_type::<DeadlockError>());
    let threading = py.import("threading")?;
    INTERRUPTED.set(interrupted.clone().into_ptr());
    DEADLOCK.set(deadlock.clone().into_ptr());
    ACTIVE.set(threading.getattr("_active")?.into_ptr());
    module.add("ThreadInterrupted", interrupted)?;
    module.add("DeadlockError", deadlock)?;
    module.add_function(wrap_pyfunction!(_set_main_thread, module)?)?;
    module.add_function(wrap_pyfunction!(_interrupt, module)?)?;
    module.add_function(wrap_pyfunction!(_set_name, module)?)?;
    module.add_function(wrap_pyfunction!(_forget_layout, module)?)?;
    module.add_function(wrap_pyfunction!(locks::_set_up_threads, module)?)?;
    module.add_function(wrap_pyfunction!(future::_set_up_futures, module)?)?;
    module.add_function(wrap_pyfunction!(pool::_set_up_pools, module)?)?;
    module.add_function(wrap_pyfunction!(queue::_queue_set_up, module)?)?;
    // SAFETY: attached, and this is the module's set-up.
    let all_well = unsafe {
        locks::add_to(module.as_ptr())
            && future::add_to(module.as_ptr())
            && pool::add_to(module.as_ptr())
            && queue::add_to(module.as_ptr())
            && watch::add_to(module.as_ptr())
    };
    if !all_well {
        return Err(PyErr::fetch(py));
    }
    Ok(())
}
