//! Pools at the end of the process.

use super::teams;
use super::worker::ENDING;
use crate::thread::exit;
use std::sync::atomic::{AtomicU32, Ordering};

/// Has the end of the process release workers that have nothing to do.
pub(super) fn watch() {
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    exit::before_waiting(release);
}

/// The process in which a pool was made last. In the child of a fork it has no workers, and its locks may
/// have been held by threads that are not there.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Workers that rest are not to keep the process, nor those that will have nothing to do. What is
/// submitted from now on, by calls that still run, is run by workers that go when it is done.
fn release() {
    if PROCESS.load(Ordering::Relaxed) != std::process::id() {
        return;
    }
    ENDING.store(true, Ordering::SeqCst);
    for pool in teams::all() {
        for member in &pool.crew.lock().members {
            // It cannot leave its rest before we let go of the lock, so this hits no call.
            if member.rests.load(Ordering::Relaxed) {
                member.thread.interrupt();
            }
        }
    }
}
