//! What guards an object's state for the length of a few instructions.

#[cfg(Py_GIL_DISABLED)]
use super::py;
#[cfg(Py_GIL_DISABLED)]
use std::cell::UnsafeCell;

/// On free-threaded interpreters a lock of one byte; elsewhere nothing, since who is attached is alone.
/// To be held while no Python code can run, and never across a detach.
pub(crate) struct Latch {
    #[cfg(Py_GIL_DISABLED)]
    mutex: UnsafeCell<py::PyMutex>,
}

impl Latch {
    pub(crate) const fn new() -> Latch {
        Latch {
            #[cfg(Py_GIL_DISABLED)]
            mutex: UnsafeCell::new(py::PyMutex::new()),
        }
    }

    /// # Safety
    /// Attached, and `unlock` follows.
    #[inline(always)]
    pub(crate) unsafe fn lock(&self) {
        #[cfg(Py_GIL_DISABLED)]
        // SAFETY: the mutex stays where it is, in an object that the caller holds.
        unsafe {
            py::PyMutex_Lock(self.mutex.get());
        }
    }

    /// # Safety
    /// The caller has locked it.
    #[inline(always)]
    pub(crate) unsafe fn unlock(&self) {
        #[cfg(Py_GIL_DISABLED)]
        // SAFETY: as the caller says.
        unsafe {
            py::PyMutex_Unlock(self.mutex.get());
        }
    }
}
