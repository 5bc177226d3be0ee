//! Pools at the end of the process.

use super::teams;
use super::worker::ENDING;
use crate::thread::exit;
use std::sync::atomic::Ordering;

/// Has the end of the process release workers that have nothing to do.
pub(super) fn watch() {
    exit::before_waiting(release);
}

/// Workers that rest are not to keep the process, nor those that will have nothing to do. What is
/// submitted from now on, by calls that still run, is run by workers that go when it is done.
fn release() {
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
