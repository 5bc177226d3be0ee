//! Who is in the interpreter, as far as we know.
//!
//! A thread that wakes another has the GIL at that moment, and most often goes into a wait of its own soon after: it
//! has a lock to release and a few lines to run. A thread that was woken and asks for the GIL at once finds it taken,
//! sleeps for it, and has to be woken a second time, which takes longer than all the rest. So it looks around for a
//! moment first, as before any sleep, until the other has left. (Two threads that take turns at a `Barrier` were
//! 1.4 times as fast as the standard library without that, and are 4.2 times as fast with it.)
//!
//! It is a guess, which costs a moment where it is wrong: threads also enter and leave by ways that we do not see.

#[cfg(not(Py_GIL_DISABLED))]
mod gil {
    use crate::kit::wait::python_ident;
    use lisle::embed;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Who has come back last from a wait, and not gone into another since; or 0.
    static INSIDE: AtomicU64 = AtomicU64::new(0);

    /// The calling thread has the GIL again.
    pub(crate) fn came() {
        INSIDE.store(python_ident(), Ordering::Relaxed);
    }

    /// It has given the GIL away.
    pub(crate) fn left() {
        // Not if another has come in the meantime.
        let _ = INSIDE.compare_exchange(python_ident(), 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Looks around for a moment, until nobody is known to be inside.
    pub(crate) fn look_around() {
        embed::look_around(|| INSIDE.load(Ordering::Relaxed) == 0);
    }
}

/// Without a GIL there is nobody to wait for.
#[cfg(Py_GIL_DISABLED)]
mod gil {
    pub(crate) fn came() {}
    pub(crate) fn left() {}
    pub(crate) fn look_around() {}
}

pub(crate) use gil::{came, left, look_around};
