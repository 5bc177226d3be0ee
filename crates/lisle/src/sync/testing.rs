//! What the tests of this folder share: threads that can be seen falling asleep.

use crate::park::record::Shared;
use crate::park::{current, deadlock};
use std::sync::mpsc;
use std::thread::{JoinHandle, yield_now};

pub(super) struct Worker<T> {
    pub(super) record: Shared,
    handle: JoinHandle<T>,
}

pub(super) fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Worker<T> {
    let (send, receive) = mpsc::channel();
    let handle = std::thread::spawn(move || {
        send.send(current::get()).unwrap();
        run()
    });
    Worker { record: receive.recv().unwrap(), handle }
}

impl<T> Worker<T> {
    /// Whether its thread waits in the lot.
    pub(super) fn is_asleep(&self) -> bool {
        deadlock::waiting(&self.record).is_some()
    }

    /// Waits until it does.
    #[track_caller]
    pub(super) fn falls_asleep(&self) {
        while !self.is_asleep() {
            assert!(!self.handle.is_finished(), "the thread was expected to wait, and has ended");
            yield_now();
        }
    }

    #[track_caller]
    pub(super) fn join(self) -> T {
        self.handle.join().unwrap()
    }
}
