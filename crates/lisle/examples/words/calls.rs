//! The calls that are under way: not too many at a time, and all of them can be stopped.

use std::ffi::OsString;
use std::sync::Arc;

use lisle::executor::{Future, FutureError, Pending, SubmitError};
use lisle::sync::{Mutex, Semaphore};

use crate::collect::News;
use crate::count::{Batch, COUNT, Counted};
use crate::share::Share;
use crate::workers::Counters;

/// For each worker there are so many calls under way: one to work at, the others so that the next is
/// there, and that main may be late.
const PER_WORKER: u32 = 4;

/// The way to the executor.
pub(crate) struct Calls {
    executor: Counters,
    /// What is on its way to main has one, until main has taken it: a call from before it is made,
    /// other news of the feeder.
    places: Semaphore,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    stopped: bool,
    futures: Vec<Future<Counted>>,
}

/// What came of a call.
pub(crate) struct Done {
    pub(crate) result: Result<Counted, FutureError>,
    /// Of its batch: how many bytes, how many files, and the first of them.
    pub(crate) bytes: u64,
    pub(crate) files: usize,
    pub(crate) first: OsString,
}

impl Calls {
    pub(crate) fn new(executor: Counters, workers: usize) -> Arc<Self> {
        let places = u32::try_from(workers).unwrap_or(u32::MAX).saturating_mul(PER_WORKER);
        let places = Semaphore::named(places, "places");
        Arc::new(Calls { executor, places, running: Mutex::named(Running::default(), "running calls") })
    }

    /// Waits for a place. False on interrupt.
    pub(crate) fn place(&self) -> bool {
        self.places.acquire().is_ok()
    }

    /// Has a batch counted, of which the results will hear. False after a stop.
    pub(crate) fn make(&self, batch: Batch, results: &Share<News>) -> Result<bool, SubmitError> {
        let (bytes, files, first) = (batch.bytes, batch.files.len(), batch.files.first().cloned().unwrap_or_default());
        let future = {
            let mut running = self.running.lock();
            if running.stopped {
                return Ok(false);
            }
            let future = self.executor.call(COUNT, batch)?;
            running.futures.retain(|future| !future.is_done());
            running.futures.push(future.clone());
            future
        };
        let results = results.clone();
        future.add_done_callback(move |future| {
            let result = future.try_result();
            // Fails when main has gone, and then nobody wants it.
            let _ = results.put(News::Done(Done { result, bytes, files, first }));
        });
        Ok(true)
    }

    /// Main has taken what had a place.
    pub(crate) fn taken(&self) {
        self.places.release();
    }

    /// Cancels what is pending and interrupts what is running. Returns at once.
    pub(crate) fn stop(&self) {
        self.executor.close(Pending::Cancel);
        let mut running = self.running.lock();
        running.stopped = true;
        for future in running.futures.drain(..) {
            future.interrupt();
        }
    }
}
