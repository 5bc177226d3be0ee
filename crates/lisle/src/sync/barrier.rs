//! `Barrier`: threads that wait for each other.

use crate::park::sys::atomic::{AtomicU64, Ordering};
use crate::park::sys::const_fn;
use crate::park::{Choice, Kind, Label, Limit, Site, Subject, Wait, WaitError};
use crate::park::{key_of, park_with, unpark};
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A place where a number of threads, the *parties*, wait until all of them have come. Then all go
/// on, and it can be used for the next round.
///
/// A round of which a thread gives up, because its time is over or it was interrupted, can never
/// be complete. So that thread *breaks* the barrier: all who wait fail, and so does everybody who
/// comes, until it is [`reset`](Barrier::reset).
///
/// # Differences from [`std::sync::Barrier`]
/// - Waiting can be timed and interrupted, hence fail.
/// - It can be broken, and reset.
/// - An [action](Barrier::with_action) may run between the coming of the last thread and the
///   release of all.
/// - The leader is the thread that came last.
///
/// # Fairness
/// All parties go on together. More threads than parties may use it: who comes before a complete
/// round has gone on belongs to the next, and waits until the last one's action has ended.
///
/// # Examples
/// ```
/// use lisle::sync::Barrier;
///
/// let barrier = Barrier::new(2);
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().unwrap().is_leader());
///     let leads = barrier.wait().unwrap().is_leader();
///     assert_ne!(leads, other.join().unwrap());
/// });
/// ```
pub struct Barrier {
    /// | bits | meaning |
    /// |---|---|
    /// | 0–31 | how many threads have come |
    /// | `FULL` | all have; the last of them, who leads, runs the action and is about to release the others. Only the leader clears it |
    /// | `VOID` | with `FULL`: meanwhile the others were told that the round has failed |
    /// | `BROKEN` | who comes fails |
    ///
    /// Changes only under the bucket's lock.
    word: AtomicU64,
    parties: u32,
    action: Option<Box<dyn Fn() + Send + Sync>>,
    label: Label,
}

const FULL: u64 = 1 << 32;
const VOID: u64 = 1 << 33;
const BROKEN: u64 = 1 << 34;

/// Tokens of a granted wait: the round is complete, it has failed, or: try again.
const PASS: u32 = 0;
const FAIL: u32 = 1;
const RETRY: u32 = 2;

/// What a thread waits for, as its wait's detail: the others of its round, or the next round.
const OTHERS: u32 = 0;
const NEXT: u32 = 1;

#[inline(always)]
fn come(word: u64) -> u32 {
    word as u32
}

/// The word when the present round has failed.
fn without_round(word: u64) -> u64 {
    if word & FULL == 0 { 0 } else { FULL | VOID }
}

/// How a thread's coming was taken.
#[derive(Clone, Copy)]
enum Arrival {
    /// Others are to come; so many had come before.
    Waits(u32),
    /// It is the last.
    Leads,
    /// The last round has not gone on yet.
    Early,
    Broken,
}

impl Barrier {
    const_fn! {
        /// A barrier for that many parties. Reports call it by the place of this call.
        ///
        /// # Panics
        /// If `parties` is zero, or more than [`u32::MAX`].
        #[track_caller]
        pub const fn new(parties: usize) -> Barrier {
            Barrier::make(parties, None, Label::new(Location::caller()))
        }
    }

    /// A barrier that reports call by `name`.
    ///
    /// # Panics
    /// As [`new`](Barrier::new).
    #[track_caller]
    pub fn named(parties: usize, name: impl Into<String>) -> Barrier {
        Barrier::make(parties, None, Label::named(name.into(), Location::caller()))
    }

    /// A barrier with an action: when all parties have come, the last of them calls it before any
    /// goes on.
    ///
    /// If it panics the barrier breaks: the panic goes on in that thread, the others fail.
    ///
    /// # Panics
    /// As [`new`](Barrier::new).
    #[track_caller]
    pub fn with_action(parties: usize, action: impl Fn() + Send + Sync + 'static) -> Barrier {
        Barrier::make(parties, Some(Box::new(action)), Label::new(Location::caller()))
    }

    const_fn! {
        #[track_caller]
        const fn make(parties: usize, action: Option<Box<dyn Fn() + Send + Sync>>, label: Label) -> Barrier {
            assert!(parties > 0, "a Barrier for 0 parties could not be passed: say how many threads wait for each other");
            assert!(parties <= u32::MAX as usize, "a Barrier for more than u32::MAX parties could not be passed");
            Barrier { word: AtomicU64::new(0), parties: parties as u32, action, label }
        }
    }

    /// Waits until all parties have come.
    ///
    /// # On interrupt
    /// `Interrupted`, and the barrier is broken. If the round was complete at the same moment that
    /// counts, and the interrupt stays pending.
    ///
    /// # Errors
    /// `Interrupted`; `Broken` if the barrier is, or becomes so or is reset meanwhile.
    ///
    /// # Panics
    /// If the thread is the last to come and the action panics.
    #[track_caller]
    pub fn wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_within(Limit::Never, Location::caller())
    }

    /// [`wait`](Barrier::wait) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`, and the barrier is broken, also if the others have come but the action takes
    /// too long.
    #[track_caller]
    pub fn wait_for(&self, limit: Duration) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_within(Limit::For(limit), Location::caller())
    }

    /// [`wait_for`](Barrier::wait_for), with the limit as a point in time; one in the past means
    /// to pass only if all others have come.
    #[track_caller]
    pub fn wait_until(&self, limit: Instant) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_within(Limit::Until(limit), Location::caller())
    }

    fn wait_within(&self, limit: Limit, site: Site) -> Result<BarrierWaitResult, BarrierError> {
        let deadline = limit.deadline();
        loop {
            match self.arrive_and_wait(deadline, site)? {
                Arrival::Waits(index) => return Ok(BarrierWaitResult { index, leads: false }),
                Arrival::Leads => return self.lead(),
                Arrival::Broken => return Err(BarrierError::Broken),
                Arrival::Early => self.wait_for_next(deadline, site)?,
            }
        }
    }

    /// Comes to the present round and waits until it is complete, unless it has no reason to.
    fn arrive_and_wait(&self, deadline: Option<Instant>, site: Site) -> Result<Arrival, BarrierError> {
        let mut wait = Wait::new(Kind::Barrier, self, site, deadline);
        wait.detail = OTHERS;
        let mut arrival = Arrival::Broken;
        let must_wait = || {
            arrival = self.arrive();
            matches!(arrival, Arrival::Waits(_))
        };
        let on_leave = |_| self.set(without_round(self.word()) | BROKEN);
        match park_with(key_of(self), &wait, must_wait, || {}, on_leave).settle() {
            Ok(Some(FAIL)) => Ok(Arrival::Broken),
            Ok(_) => Ok(arrival),
            Err(error) => {
                self.tell_of_break();
                Err(error.into())
            }
        }
    }

    /// Waits until the last round has gone on.
    fn wait_for_next(&self, deadline: Option<Instant>, site: Site) -> Result<(), BarrierError> {
        let mut wait = Wait::new(Kind::Barrier, self, site, deadline);
        wait.detail = NEXT;
        let must_wait = || self.word() & (FULL | BROKEN) == FULL;
        let on_leave = |_| self.set(self.word() | BROKEN); // for the next; the last is complete
        park_with(key_of(self), &wait, must_wait, || {}, on_leave).settle().map(drop).map_err(|error| {
            self.release(None, |word| word);
            error.into()
        })
    }

    fn word(&self) -> u64 {
        self.word.load(Ordering::Relaxed)
    }

    /// To be called under the bucket's lock.
    fn set(&self, word: u64) {
        self.word.store(word, Ordering::Relaxed);
    }

    /// To be called under the bucket's lock.
    fn arrive(&self) -> Arrival {
        let word = self.word();
        if word & BROKEN != 0 {
            return Arrival::Broken;
        }
        if word & FULL != 0 {
            return Arrival::Early;
        }
        if come(word) + 1 == self.parties {
            self.set(FULL | u64::from(self.parties));
            return Arrival::Leads;
        }
        self.set(word + 1);
        Arrival::Waits(come(word))
    }

    /// Ends the round that is full.
    fn lead(&self) -> Result<BarrierWaitResult, BarrierError> {
        struct BreakOnPanic<'a>(&'a Barrier);
        impl Drop for BreakOnPanic<'_> {
            fn drop(&mut self) {
                self.0.release(Some(FAIL), |_| BROKEN);
            }
        }
        if let Some(action) = &self.action {
            let on_panic = BreakOnPanic(self);
            action();
            std::mem::forget(on_panic);
        }
        let mut void = false;
        self.release(Some(PASS), |word| {
            void = word & VOID != 0;
            word & BROKEN
        });
        if void { Err(BarrierError::Broken) } else { Ok(BarrierWaitResult { index: self.parties - 1, leads: true }) }
    }

    /// Ends the waits of all who wait for others, with that token, and sends those who wait for
    /// the next round to look.
    fn release(&self, others: Option<u32>, change: impl FnOnce(u64) -> u64) {
        unpark(
            key_of(self),
            |waiter| match others {
                _ if waiter.detail() == NEXT => Choice::Grant(RETRY),
                Some(token) => Choice::Grant(token),
                None => Choice::Skip,
            },
            |_| self.set(change(self.word())),
        );
    }

    /// Ends the waits that the calling thread has made hopeless by giving up. If the barrier is
    /// not broken any more it was reset, which has done so; those who wait now shall.
    fn tell_of_break(&self) {
        unpark(key_of(self), |_| if self.word() & BROKEN != 0 { Choice::Grant(FAIL) } else { Choice::Stop }, |_| {});
    }

    /// Breaks the barrier: all who wait, and all who come, fail with `Broken`.
    pub fn abort(&self) {
        self.release(Some(FAIL), |word| without_round(word) | BROKEN);
    }

    /// Makes a broken barrier whole. Threads that wait fail with `Broken`.
    pub fn reset(&self) {
        self.release(Some(FAIL), without_round);
    }

    /// How many threads it takes to pass.
    pub fn parties(&self) -> usize {
        self.parties as usize
    }

    /// How many threads wait for others to come, at this moment.
    pub fn n_waiting(&self) -> usize {
        let word = self.word();
        if word & FULL == 0 { come(word) as usize } else { 0 }
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.word() & BROKEN != 0
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("n_waiting", &self.n_waiting())
            .field("broken", &self.is_broken())
            .field("label", &format_args!("{}", self.label))
            .finish_non_exhaustive()
    }
}

/// Whoever comes may be the one that is missing: a barrier has no owner.
impl Subject for Barrier {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }
}

/// A thread has passed a [`Barrier`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BarrierWaitResult {
    index: u32,
    leads: bool,
}

impl BarrierWaitResult {
    /// How many of the parties had come before this thread: different for each of them.
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Whether this thread came last. One of the parties does.
    pub fn is_leader(&self) -> bool {
        self.leads
    }
}

/// Why a thread has not passed a [`Barrier`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BarrierError {
    /// The barrier is broken, or was reset while the thread waited.
    Broken,
    /// The time limit passed, and the barrier is broken therefore.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one, and the
    /// barrier is broken therefore.
    Interrupted,
}

impl From<WaitError> for BarrierError {
    fn from(error: WaitError) -> BarrierError {
        match error {
            WaitError::TimedOut => BarrierError::TimedOut,
            WaitError::Interrupted => BarrierError::Interrupted,
            WaitError::Deadlocked(_) => unreachable!("a barrier has no owner, hence no part in a cycle"),
        }
    }
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BarrierError::Broken => "the barrier is broken: a thread gave up waiting, or it was aborted or reset",
            BarrierError::TimedOut => "the time limit passed before all parties had come; the barrier is broken",
            BarrierError::Interrupted => "the wait was interrupted by another thread; the barrier is broken",
        })
    }
}

impl std::error::Error for BarrierError {}

#[cfg(all(test, not(loom)))]
mod tests;
