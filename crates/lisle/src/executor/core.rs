//! What a future and whoever completes it share: the state machine.

use super::failure::{Failure, FutureError};
use super::future::Future;
use super::teams;
use crate::park::spin::Pace;
use crate::park::sys::atomic::{AtomicU64, Ordering};
use crate::park::unpark_all;
use crate::park::wait::{Bond, Subject};
use crate::park::{Kind, Label, Limit, Owner, Site, Wait, WaitError, current, key_of, lot, park_with, registry, spin};
use crate::thread::{self, hook, hook::Panic};
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// | phase | the call | who leaves it, and to what |
/// |---|---|---|
/// | `PENDING` | has not begun | who runs it, to `RUNNING`; who cancels, to `CANCELLED`; a promise, to `SETTING` |
/// | `RUNNING` | is run by the thread `ident` | that thread, to `FINISHED` or `FAILED`; who interrupts, to `ASKED`; a promise, to `SETTING` |
/// | `ASKED` | is run, and its thread was interrupted for it | that thread, as from `RUNNING`, and to `CANCELLED` |
/// | `SETTING` | is over; the promise's value is being moved in | who set it, to `FINISHED` or `FAILED` |
/// | `FINISHED` | is over, the value is in | who takes the value, to `TAKEN`; who copies it, to `BUSY` |
/// | `BUSY` | is over, a thread copies the value | that thread, back to `FINISHED` |
/// | `TAKEN`, `FAILED`, `CANCELLED` | is over | nobody |
///
/// The value's cell belongs to who brought about `RUNNING` (for a call) or `SETTING`, then to who
/// brought about `TAKEN` or `BUSY`. In `FAILED` everybody may read it.
///
/// | bits | what |
/// |---|---|
/// | 0–3 | the phase |
/// | 4 | `WAITERS`: threads wait in the lot. Changes only under the bucket's lock, and when the phase leaves it behind |
/// | 5 | `WATCHED`: `watchers` is not empty; likewise |
/// | 8–31 | the pool that the call was submitted to; 0 for none |
/// | 32–63 | the ident of the thread that runs the call, or copies the value |
pub(super) struct Core<T> {
    word: AtomicU64,
    /// Whom to tell when it is done. Under the lock of the bucket.
    watchers: UnsafeCell<Option<Watchers<T>>>,
    pub(super) label: Label,
    value: UnsafeCell<Option<Result<T, Failure>>>,
}

const PENDING: u64 = 0;
const RUNNING: u64 = 1;
const ASKED: u64 = 2;
const SETTING: u64 = 3;
const FINISHED: u64 = 4;
const BUSY: u64 = 5;
const TAKEN: u64 = 6;
const FAILED: u64 = 7;
const CANCELLED: u64 = 8;
const PHASE: u64 = 0xF;
const WAITERS: u64 = 1 << 4;
const WATCHED: u64 = 1 << 5;
const FLAGS: u64 = WAITERS | WATCHED;
const POOL_SHIFT: u32 = 8;
const IDENT_SHIFT: u32 = 32;

// SAFETY: the value is reached by one thread at a time as the phases say, or is a `Failure`, which is
// `Sync`; the watchers are under a lock, and are `Send`.
unsafe impl<T: Send> Sync for Core<T> {}
// SAFETY: all that is in may change threads.
unsafe impl<T: Send> Send for Core<T> {}

/// A done-callback.
pub(super) type Callback<T> = Box<dyn FnOnce(&Future<T>) + Send>;

/// In a box of its own, which most futures do without: a vector would take two words more in each.
type Watchers<T> = Box<Vec<Watcher<T>>>;

/// Who wants to know that a future is done.
pub(super) enum Watcher<T> {
    Call(Callback<T>),
    Tell(Arc<dyn Listener>, usize),
}

/// Who watches several futures.
pub trait Listener: Send + Sync {
    /// The future that was entered with this number is done.
    fn tell(&self, number: usize, done: Done);
}

/// How a future is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// With a value.
    Finished,
    /// With a failure.
    Failed,
    /// By being cancelled.
    Cancelled,
}

/// On whom it depends that a future will be done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Prospect {
    /// Nobody knows, or it is done.
    Unknown,
    /// On the thread of this ident.
    RunBy(u32),
    /// On the workers of this pool.
    PendingIn(u32),
}

/// The states of a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// It has not begun.
    Pending,
    /// It is being run.
    Running,
    /// It was cancelled and gives no value.
    Cancelled,
    /// It has returned or failed.
    Finished,
}

/// What a call ends with.
pub(super) enum End<T> {
    Value(T),
    Failure(Failure),
}

impl<T> End<T> {
    fn phase(&self) -> u64 {
        match self {
            End::Value(_) => FINISHED,
            End::Failure(_) => FAILED,
        }
    }
}

/// The right, and the duty, to tell those who watch a future that is done.
#[must_use = "those who watch the future have to be told"]
pub(super) struct News<T> {
    watchers: Option<Watchers<T>>,
    done: Done,
    /// What came of a call that was cancelled while it ran. Its destructor is user's code.
    unwanted: Option<Box<Result<T, Failure>>>,
}

impl<T> Core<T> {
    pub(super) fn new(label: Label, pool: u32) -> Core<T> {
        let word = AtomicU64::new(PENDING | u64::from(pool) << POOL_SHIFT);
        Core { word, watchers: UnsafeCell::new(None), label, value: UnsafeCell::new(None) }
    }

    pub(super) fn done(label: Label, value: T) -> Core<T> {
        let value = UnsafeCell::new(Some(Ok(value)));
        Core { word: AtomicU64::new(FINISHED), watchers: UnsafeCell::new(None), label, value }
    }

    pub(super) fn state(&self) -> State {
        match self.phase() {
            PENDING => State::Pending,
            RUNNING | ASKED | SETTING => State::Running,
            CANCELLED => State::Cancelled,
            _ => State::Finished,
        }
    }

    #[inline(always)]
    fn phase(&self) -> u64 {
        self.word.load(Ordering::Acquire) & PHASE
    }

    #[inline(always)]
    pub(super) fn is_done(&self) -> bool {
        self.phase() > SETTING
    }

    /// How it is done; `None` while it is not.
    pub(super) fn how_done(&self) -> Option<Done> {
        match self.phase() {
            PENDING..=SETTING => None,
            FAILED => Some(Done::Failed),
            CANCELLED => Some(Done::Cancelled),
            _ => Some(Done::Finished),
        }
    }

    /// On whom it depends that it will be done.
    pub(super) fn prospect(&self) -> Prospect {
        let word = self.word.load(Ordering::Acquire);
        match (word & PHASE, pool_of(word)) {
            (PENDING, pool) if pool != 0 => Prospect::PendingIn(pool),
            (RUNNING | ASKED | BUSY, _) => Prospect::RunBy(ident_of(word)),
            _ => Prospect::Unknown,
        }
    }

    /// Whether the calling thread runs the call.
    pub(super) fn runs_here(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        matches!(word & PHASE, RUNNING | ASKED) && ident_of(word) == current::ident()
    }

    /// `PENDING` → `RUNNING`, by the calling thread. Who gets true runs the call and finishes it.
    #[inline]
    pub(super) fn start(&self) -> bool {
        let ident = u64::from(current::ident()) << IDENT_SHIFT;
        let mut word = self.word.load(Ordering::Relaxed);
        while word & PHASE == PENDING {
            match self.word.compare_exchange_weak(word, word | RUNNING | ident, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    /// The calling thread, which was allowed to [`start`](Core::start) the call, has run it.
    #[inline]
    pub(super) fn finish(&self, end: End<T>) -> News<T> {
        let mut phase = end.phase();
        match end {
            // SAFETY: the cell is ours from `start` until we publish another phase below.
            End::Value(value) => unsafe { *self.value.get() = Some(Ok(value)) },
            // SAFETY: likewise.
            End::Failure(failure) => unsafe { *self.value.get() = Some(Err(failure)) },
        }
        let mut unwanted = None;
        let mut word = self.word.load(Ordering::Relaxed);
        let mut was_asked = false;
        loop {
            if word & PHASE == ASKED && !std::mem::replace(&mut was_asked, true) && self.was_noticed() {
                // The call left a wait for it: what it came back with is no result.
                // SAFETY: the cell is still ours.
                unwanted = unsafe { (*self.value.get()).take() }.map(Box::new);
                phase = CANCELLED;
            }
            match self.word.compare_exchange_weak(word, phase, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(before) => return News { unwanted, ..self.publish(before, phase) },
                Err(seen) => word = seen,
            }
        }
    }

    /// Whether the call has taken notice of the interrupt that was sent for it. If not, takes it back:
    /// it was not for the thread's next call.
    #[cold]
    fn was_noticed(&self) -> bool {
        // Who interrupts does so under this lock: it has arrived by now.
        lot::exclusively(key_of(&self.word), || {});
        !current::with(|me| me.take_interrupt())
    }

    /// A promise's result, from whatever phase it is in before it is done.
    pub(super) fn set(&self, end: End<T>) -> Result<News<T>, End<T>> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & PHASE >= SETTING {
                return Err(end);
            }
            let new = word & FLAGS | SETTING;
            match self.word.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(seen) => word = seen,
            }
        }
        if word & PHASE == ASKED && ident_of(word) == current::ident() {
            self.was_noticed(); // an interrupt that was not is not for what comes next; the value stands
        }
        let phase = end.phase();
        // SAFETY: `SETTING` gives us the cell.
        unsafe {
            *self.value.get() = match end {
                End::Value(value) => Some(Ok(value)),
                End::Failure(failure) => Some(Err(failure)),
            }
        }
        let before = self.word.swap(phase, Ordering::AcqRel);
        Ok(self.publish(before, phase))
    }

    /// `PENDING` → `CANCELLED`. `Err` tells whether it was cancelled before.
    pub(super) fn cancel(&self) -> Result<News<T>, bool> {
        let mut word = self.word.load(Ordering::Acquire);
        while word & PHASE == PENDING {
            match self.word.compare_exchange_weak(word, CANCELLED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(before) => return Ok(self.publish(before, CANCELLED)),
                Err(seen) => word = seen,
            }
        }
        Err(word & PHASE == CANCELLED)
    }

    /// Interrupts the thread that runs the call; false if none does.
    pub(super) fn interrupt(&self) -> bool {
        lot::exclusively(key_of(&self.word), || {
            let mut word = self.word.load(Ordering::Acquire);
            while word & PHASE == RUNNING {
                let new = word & !PHASE | ASKED;
                match self.word.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => {
                        let runner = registry::find(ident_of(word));
                        // It cannot leave the call before we let go of the lock.
                        return runner.inspect(|runner| runner.interrupt()).is_some();
                    }
                    Err(seen) => word = seen,
                }
            }
            word & PHASE == ASKED
        })
    }

    /// The phase is published; `before` says who has to hear of it.
    #[inline]
    fn publish(&self, before: u64, phase: u64) -> News<T> {
        let done = match phase {
            FINISHED => Done::Finished,
            FAILED => Done::Failed,
            _ => Done::Cancelled,
        };
        let watchers = if before & FLAGS == 0 { None } else { self.wake() };
        News { watchers, done, unwanted: None }
    }

    #[cold]
    fn wake(&self) -> Option<Watchers<T>> {
        let mut watchers = None;
        unpark_all(key_of(&self.word), 0, |_| {
            // SAFETY: `finish` runs under the bucket's lock, as does whatever reaches the watchers.
            watchers = unsafe { (*self.watchers.get()).take() };
        });
        watchers
    }

    /// Enters somebody who wants to know; gives him back if it is done.
    pub(super) fn watch(&self, watcher: Watcher<T>) -> Result<(), (Watcher<T>, Done)> {
        lot::exclusively(key_of(&self.word), || {
            if !self.raise(WATCHED, PENDING..=SETTING) {
                let done = self.how_done().expect("no flag can be raised because it is done");
                return Err((watcher, done));
            }
            // SAFETY: we hold the bucket's lock.
            unsafe { (*self.watchers.get()).get_or_insert_default().push(watcher) };
            Ok(())
        })
    }

    /// Takes a listener out who does not want to know any more. He may be told all the same, if that
    /// has begun.
    pub(super) fn unwatch(&self, listener: &Arc<dyn Listener>) {
        lot::exclusively(key_of(&self.word), || {
            // SAFETY: we hold the bucket's lock.
            if let Some(watchers) = unsafe { &mut *self.watchers.get() } {
                watchers.retain(|watcher| !matches!(watcher, Watcher::Tell(one, _) if Arc::ptr_eq(one, listener)));
            }
        });
    }

    /// Sets a flag while the phase is one of these. To be called under the bucket's lock.
    fn raise(&self, flag: u64, phases: RangeInclusive<u64>) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        while phases.contains(&(word & PHASE)) {
            match self.word.compare_exchange_weak(word, word | flag, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    #[inline(always)]
    pub(super) fn wait(&self, limit: Limit, site: Site) -> Result<(), WaitError>
    where
        T: Send,
    {
        if self.is_done() { Ok(()) } else { self.wait_while(PENDING..=SETTING, limit, site) }
    }

    /// Waits as long as the phase is one of these.
    #[cold]
    fn wait_while(&self, phases: RangeInclusive<u64>, limit: Limit, site: Site) -> Result<(), WaitError>
    where
        T: Send,
    {
        let over = || !phases.contains(&self.phase());
        let mut wait = Wait::new(Kind::Future, self, site, limit.deadline());
        wait.spin = false; // we do it here, where it saves the other thread the way to the lot
        let late = wait.deadline.is_some_and(|at| at <= Instant::now());
        if !late && spin::spin_at(Pace::Patient, || over().then_some(())).is_some() {
            return Ok(());
        }
        let on_leave = |left: bool| {
            if !left {
                self.word.fetch_and(!WAITERS, Ordering::Relaxed);
            }
        };
        let began = Instant::now();
        while !over() {
            park_with(key_of(&self.word), &wait, || self.raise(WAITERS, phases.clone()), || {}, on_leave).settle()?;
            wait.since = Some(began);
        }
        Ok(())
    }

    /// Takes the value of a call that is done, or says why there is none.
    #[inline]
    pub(super) fn take(&self, limit: Limit, site: Site) -> Result<T, FutureError>
    where
        T: Send,
    {
        self.claim(TAKEN, limit, site)?;
        // SAFETY: who brought about `TAKEN` has the cell for good, and `FINISHED` came before.
        match unsafe { (*self.value.get()).take() } {
            Some(Ok(value)) => Ok(value),
            _ => unreachable!("a value is in while the phase is FINISHED"),
        }
    }

    /// Copies the value of a call that is done, or says why there is none.
    pub(super) fn copy(&self, limit: Limit, site: Site) -> Result<T, FutureError>
    where
        T: Clone + Send,
    {
        self.claim(BUSY | u64::from(current::ident()) << IDENT_SHIFT, limit, site)?;
        let _back = Back(self);
        // SAFETY: who brought about `BUSY` has the cell until it changes the phase back.
        match unsafe { &*self.value.get() } {
            Some(Ok(value)) => Ok(value.clone()),
            _ => unreachable!("a value is in while the phase is FINISHED"),
        }
    }

    /// `FINISHED` → `to`.
    #[inline(always)]
    fn claim(&self, to: u64, limit: Limit, site: Site) -> Result<(), FutureError>
    where
        T: Send,
    {
        loop {
            match self.word.compare_exchange(FINISHED, to, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(word) => self.cannot_claim(word, limit, site)?,
            }
        }
    }

    #[cold]
    fn cannot_claim(&self, word: u64, limit: Limit, site: Site) -> Result<(), FutureError>
    where
        T: Send,
    {
        match word & PHASE {
            FINISHED => Ok(()), // a copy has just been made
            // One is being made, which is user's code: it may take its time.
            BUSY => Ok(self.wait_while(BUSY..=BUSY, limit, site)?),
            TAKEN => Err(FutureError::Taken),
            CANCELLED => Err(FutureError::Cancelled),
            FAILED => Err(FutureError::Failed(self.failure().expect("there is one in this phase"))),
            _ => Err(FutureError::NotDone),
        }
    }

    /// The failure of a call that is done.
    pub(super) fn failure(&self) -> Option<Failure> {
        if self.phase() != FAILED {
            return None;
        }
        // SAFETY: nobody writes the cell in this phase, which is the last, and what is in is `Sync`.
        match unsafe { &*self.value.get() } {
            Some(Err(failure)) => Some(failure.clone()),
            _ => unreachable!("a failure is in while the phase is FAILED"),
        }
    }
}

/// Ends a copy, also when it panics.
struct Back<'a, T>(&'a Core<T>);

impl<T> Drop for Back<'_, T> {
    fn drop(&mut self) {
        if self.0.word.swap(FINISHED, Ordering::AcqRel) & WAITERS != 0 {
            self.0.wake();
        }
    }
}

impl<T> News<T> {
    /// Tells those who watch. `future` is the one that is done.
    #[inline(always)]
    pub(super) fn tell(self, future: impl FnOnce() -> Future<T>) {
        if let Some(watchers) = self.watchers {
            tell_all(watchers, &future(), self.done);
        }
        if let Some(unwanted) = self.unwanted {
            drop_safely(unwanted);
        }
    }
}

/// Runs what is the user's on a thread whose business it is not: a panic is reported, and ends here.
#[inline(always)]
pub(super) fn safely(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        hook::mourn(&thread::current(), Panic::caught(payload));
    }
}

/// Drops what nobody wants any more.
pub(super) fn drop_safely<V>(unwanted: V) {
    safely(|| drop(unwanted));
}

#[cold]
#[expect(clippy::boxed_local, reason = "it comes in a box")]
fn tell_all<T>(watchers: Watchers<T>, future: &Future<T>, done: Done) {
    for watcher in *watchers {
        watcher.tell(future, done);
    }
}

impl<T> Watcher<T> {
    pub(super) fn tell(self, future: &Future<T>, done: Done) {
        // A listener may wake a task, which is anybody's code, like a callback.
        safely(|| match self {
            Watcher::Call(callback) => callback(future),
            Watcher::Tell(listener, number) => listener.tell(number, done),
        });
    }
}

fn pool_of(word: u64) -> u32 {
    (word as u32) >> POOL_SHIFT
}

fn ident_of(word: u64) -> u32 {
    (word >> IDENT_SHIFT) as u32
}

/// A wait for a call depends on the thread that runs it; while it is pending in a pool, on any of the
/// pool's workers.
impl<T: Send> Subject for Core<T> {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.label.name(), pool_of(self.word.load(Ordering::Relaxed))) {
            (Some(name), _) => write!(f, "{name:?}"),
            (None, 0) => write!(f, "made at {}", self.label.site()),
            (None, _) => write!(f, "submitted at {}", self.label.site()),
        }
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        match self.prospect() {
            Prospect::Unknown => {}
            Prospect::RunBy(ident) => found(Owner::calls(ident)),
            Prospect::PendingIn(pool) => teams::of(pool, &mut |ident| found(Owner::any(1, ident, Bond::MayRun))),
        }
    }
}
