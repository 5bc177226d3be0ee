//! What an embedder says of a thread's waits: an interpreter knows the lines of the program that it
//! runs, and its objects' names, where this crate sees only the interpreter.

use super::{current, spin};
use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A signal that came just before the thread slept has not ended the sleep, and nothing will say so: the
/// wait is broken off after this long, and then ever more rarely, for the embedder to look.
const BREATH: Duration = Duration::from_millis(20);
const LONGEST_BREATH: Duration = Duration::from_secs(1);

/// The words for a wait. Called by any thread while the wait lasts, under a lock of the parking lot: it
/// must not wait.
pub trait Tell: Sync {
    /// What is waited for: its name, or whatever tells it from others.
    fn object(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Where the program has called.
    fn place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// What the object goes by: the same number for all who wait for it, while it lives. Where there is
    /// none, the key at which they sleep is taken.
    fn key(&self) -> Option<usize> {
        None
    }

    /// Whether it still matters to the program that the thread goes on. If not, it does not look for deadlocks any
    /// more. Asked by the waiting thread itself, without a lock.
    fn matters(&self) -> bool {
        true
    }
}

/// What is to be told of the calling thread's waits during [`telling`].
pub struct Told<'a> {
    tell: &'a dyn Tell,
    signals: bool,
    signalled: Cell<bool>,
    /// How long the next sleep may last with `signals`.
    pub(super) breath: Cell<Duration>,
    /// Where and since when the thread has waited that broke off to look for signals.
    broken_off: Cell<Option<(usize, Instant)>>,
    patience: Duration,
    deaf: bool,
}

impl<'a> Told<'a> {
    /// With `signals`, a signal handler that ran on the thread ends an interruptible wait as
    /// `Interrupted`; now and then the wait ends so without one, as nothing tells whether there was one just
    /// before the sleep. Waiting again under the same `Told` keeps the thread's place. A wait for an unowned
    /// lock is looked at for deadlock after `patience`: programs that use such a lock as a signal are not to
    /// be suspected each time.
    pub fn new(tell: &'a dyn Tell, signals: bool, patience: Duration) -> Told<'a> {
        Told {
            tell,
            signals,
            signalled: Cell::new(false),
            breath: Cell::new(BREATH),
            broken_off: Cell::new(None),
            patience,
            deaf: false,
        }
    }

    /// Nothing but what it waits for ends the wait: no interrupt, no signal, and of a deadlock another
    /// thread gets the error. For a lock that must be held again when a call returns.
    pub fn deaf(mut self) -> Told<'a> {
        self.deaf = true;
        self
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Whether a signal ends a wait.
    pub(super) fn minds_signals(&self) -> bool {
        self.signals
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether it was for signals that a wait ended, and not for another thread's interrupt. Asking clears it.
    pub fn take_signalled(&self) -> bool {
        self.signalled.take()
    }

    /// A signal handler has run: notes it if that is minded, and tells whether it is.
    pub(super) fn signalled(&self) -> bool {
        self.signalled.set(self.signals);
        self.signals
    }

    /// How long the thread may sleep before it has to look whether there was a signal. Not at all if a wait
    /// that was to end for one was granted in that moment, and the call waits again.
    pub(super) fn breath(&self) -> Option<Duration> {
        self.signals.then(|| if self.signalled.get() { Duration::ZERO } else { self.breath.get() })
    }

    /// A wait ends by another thread's interrupt, and by nothing else.
    pub(super) fn interrupted(&self) {
        self.signalled.set(false);
    }

    /// The wait at `key` breaks off to look for signals.
    pub(super) fn break_off(&self, key: usize, since: Instant) {
        self.signalled.set(true);
        self.breath.set((self.breath.get() * 2).min(LONGEST_BREATH));
        self.broken_off.set(Some((key, since)));
    }

    /// Since when the thread has waited at `key`, if it broke off there.
    pub(super) fn since(&self, key: usize) -> Option<Instant> {
        self.broken_off.get().filter(|&(at, _)| at == key).map(|(_, since)| since)
    }

    pub(super) fn matters(&self) -> bool {
        self.tell.matters()
    }

    pub(super) fn object(&self) -> String {
        Words(self.tell, <dyn Tell>::object).to_string()
    }

    /// See [`Tell::key`].
    #[cfg(all(feature = "watch", not(loom)))]
    pub(super) fn key(&self) -> Option<usize> {
        self.tell.key()
    }

    #[cfg(all(feature = "watch", not(loom)))]
    pub(super) fn identity(&self) -> u64 {
        super::wait::identity_of_words(Words(self.tell, <dyn Tell>::object))
    }

    pub(super) fn place(&self) -> String {
        Words(self.tell, <dyn Tell>::place).to_string()
    }
}

type Part<'a> = fn(&(dyn Tell + 'a), &mut fmt::Formatter<'_>) -> fmt::Result;

struct Words<'a>(&'a dyn Tell, Part<'a>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1(self.0, f)
    }
}

/// Makes `call`, with `told` in the place of what this crate would say of its waits.
pub fn telling<R>(told: &Told<'_>, call: impl FnOnce() -> R) -> R {
    /// Its drop is the end of the call, also of one that panics.
    struct Telling<'a>(&'a super::Record, *mut Told<'static>, bool);

    impl Drop for Telling<'_> {
        fn drop(&mut self) {
            self.0.told.store(self.1, Ordering::Relaxed);
            spin::heed_rushes(self.2);
        }
    }

    current::with(|me| {
        // Relaxed, as with `current::doing`: others read it under the lock of a bucket in which this
        // thread has queued itself since.
        let _telling = Telling(me, me.told.load(Ordering::Relaxed), spin::heed_rushes(true));
        // Only the lifetime changes: the pointer is taken back before `told` goes.
        me.told.store(ptr::from_ref(told).cast_mut().cast(), Ordering::Relaxed);
        call()
    })
}
