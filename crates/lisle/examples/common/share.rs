//! A queue that knows when its users are gone.

use std::ops::Deref;
use std::sync::Arc;

use lisle::queue::{Queue, Shutdown};

/// A share in one end of a queue. Threads at the same end hold clones of one share; when the last
/// of them lets go, be it at the end of its `run` or by a panic, the queue is shut down, and so
/// nobody at the other end waits for what cannot come.
pub(crate) struct Share<T>(Arc<End<T>>);

struct End<T> {
    queue: Arc<Queue<T>>,
    how: Shutdown,
}

impl<T> Share<T> {
    pub(crate) fn new(queue: &Arc<Queue<T>>, how: Shutdown) -> Self {
        let queue = Arc::clone(queue);
        Share(Arc::new(End { queue, how }))
    }
}

// Derived, this would ask for `T: Clone`.
impl<T> Clone for Share<T> {
    fn clone(&self) -> Self {
        Share(Arc::clone(&self.0))
    }
}

impl<T> Deref for Share<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0.queue
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.queue.shutdown(self.how);
    }
}
