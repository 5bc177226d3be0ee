//! What tests of primitives share: threads that can be seen falling asleep.

use crate::park::record::Shared;
use crate::park::{current, deadlock};
use std::sync::mpsc;
use std::thread::{JoinHandle, yield_now};

pub(crate) struct Worker<T> {
    pub(crate) record: Shared,
    handle: JoinHandle<T>,
}

pub(crate) fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Worker<T> {
    let (send, receive) = mpsc::channel();
    let handle = std::thread::spawn(move || {
        send.send(current::get()).unwrap();
        run()
    });
    Worker { record: receive.recv().unwrap(), handle }
}

impl<T> Worker<T> {
    /// Whether its thread waits in the lot.
    pub(crate) fn is_asleep(&self) -> bool {
        deadlock::waiting(&self.record).is_some()
    }

    /// Waits until it does.
    #[track_caller]
    pub(crate) fn falls_asleep(&self) {
        while !self.is_asleep() {
            assert!(!self.handle.is_finished(), "the thread was expected to wait, and has ended");
            yield_now();
        }
    }

    #[track_caller]
    pub(crate) fn join(self) -> T {
        self.handle.join().unwrap()
    }
}
