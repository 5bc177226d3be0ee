//! What tests of the detector share: things whose owners they make up, and threads that wait for them.

use super::super::{Kind, Label, Limit, Outcome, Owner, Site, Subject, Wait, current, key_of, park, unpark_all};
use super::Shared;
use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A thing whose owners are what the test says.
pub(in crate::park) struct Thing {
    kind: Kind,
    name: &'static str,
    owners: Mutex<Vec<Owner>>,
    /// Set before those who wait are let go.
    done: AtomicBool,
    /// The threads that have asked for the owners.
    looked: Mutex<HashSet<u32>>,
}

impl Subject for Thing {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }

    fn owners(&self, _kind: Kind, found: &mut dyn FnMut(Owner)) {
        self.looked.lock().unwrap().insert(current::ident_if_known());
        self.owners.lock().unwrap().iter().copied().for_each(found);
    }
}

/// Where all these waits and calls come from, as they say.
pub(in crate::park) const SITE: Site = Location::caller();

impl Thing {
    /// Of a kind for which nothing beside these tests asks to look again: it would have another thread
    /// find the deadlock.
    pub(in crate::park) fn new(name: &'static str) -> &'static Thing {
        Thing::of(Kind::Join, name)
    }

    pub(in crate::park) fn of(kind: Kind, name: &'static str) -> &'static Thing {
        let (owners, looked) = (Mutex::default(), Mutex::default());
        Box::leak(Box::new(Thing { kind, name, owners, done: AtomicBool::new(false), looked }))
    }

    pub(in crate::park) fn set_owners(&self, owners: impl IntoIterator<Item = Owner>) {
        *self.owners.lock().unwrap() = owners.into_iter().collect();
    }

    /// `Ok` when the thing was finished.
    pub(in crate::park) fn wait(&self, limit: Limit) -> Result<(), Outcome> {
        let mut wait = Wait::new(self.kind, self, SITE, limit.deadline());
        let began = Instant::now();
        loop {
            match park(key_of(self), &wait, || !self.done.load(Ordering::Relaxed)) {
                Outcome::Granted(_) => return Ok(()),
                Outcome::Invalid if self.done.load(Ordering::Relaxed) => return Ok(()),
                Outcome::Invalid => wait.since = Some(began),
                other => return Err(other),
            }
        }
    }

    pub(in crate::park) fn finish(&self) {
        self.done.store(true, Ordering::Relaxed);
        unpark_all(key_of(self), 0, |_| {});
    }
}

type Job = Box<dyn FnOnce() + Send>;
pub(in crate::park) type Waited = Result<(), Outcome>;

/// A thread that does what it is told, one thing after the other.
pub(in crate::park) struct Worker {
    pub(in crate::park) record: Shared,
    jobs: Option<mpsc::Sender<Job>>,
    handle: Option<thread::JoinHandle<()>>,
}

impl Worker {
    pub(in crate::park) fn new(name: &str) -> Worker {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (send, receive) = mpsc::channel();
        let run = move || {
            send.send(current::get()).unwrap();
            todo.into_iter().for_each(|job| job());
        };
        let handle = thread::Builder::new().name(name.into()).spawn(run).unwrap();
        Worker { record: receive.recv().unwrap(), jobs: Some(jobs), handle: Some(handle) }
    }

    pub(in crate::park) fn ident(&self) -> u32 {
        self.record.ident()
    }

    pub(in crate::park) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> mpsc::Receiver<T> {
        let (send, receive) = mpsc::channel();
        let job = Box::new(move || send.send(job()).unwrap_or_default());
        self.jobs.as_ref().unwrap().send(job).unwrap();
        receive
    }

    /// Begins to wait for the thing, in a call of that name.
    pub(in crate::park) fn wait_in(
        &self,
        call: &'static str,
        thing: &'static Thing,
        limit: Limit,
    ) -> mpsc::Receiver<Waited> {
        let waited = self.run(move || {
            let label = Label::named(call.into(), SITE);
            current::doing(&label, || thing.wait(limit))
        });
        self.falls_asleep();
        waited
    }

    pub(in crate::park) fn falls_asleep(&self) {
        until(|| self.is_waiting());
    }

    pub(in crate::park) fn is_waiting(&self) -> bool {
        self.record.waiting_on.load(Ordering::Acquire) != 0
    }

    /// Waits until it has looked where its wait for the thing leads, which does not end the wait.
    #[track_caller]
    pub(in crate::park) fn waits_on_for(&self, thing: &Thing) {
        until(|| {
            assert!(self.is_waiting(), "it was to wait on");
            thing.looked.lock().unwrap().contains(&self.ident()) && self.record.parker.sleeps()
        });
    }

    /// Has it look once more, which does not end the wait either.
    #[track_caller]
    pub(in crate::park) fn looks_again(&self, thing: &Thing) {
        thing.looked.lock().unwrap().clear();
        self.record.look_again();
        self.waits_on_for(thing);
    }

    pub(in crate::park) fn end(&mut self) {
        self.jobs = None;
        if let Some(handle) = self.handle.take() {
            handle.join().unwrap();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end();
        }
    }
}

#[track_caller]
pub(in crate::park) fn until(mut so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < patience, "it did not come to that");
        thread::yield_now();
    }
}
