//! Waiting for several futures.

use super::core::{Done, Listener, Prospect, Watcher};
use super::future::Future;
use super::teams;
use crate::park::sys::{InnerLock, cheap_barrier};
use crate::park::wait::{Bond, Subject};
use crate::park::{Kind, Limit, Owner, Site, Wait, WaitError};
use crate::queue::gate::Gate;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What can be waited for together with others: futures, of whatever types if behind `&dyn Waitable`.
/// Not to be implemented elsewhere.
pub trait Waitable: Watch {}

impl<T: Send> Waitable for Future<T> {}

/// What the waits need of a future.
pub trait Watch {
    /// How it is done; `None` while it is not.
    fn how_done(&self) -> Option<Done>;

    /// Has `listener` told when it is done; here and now if it is.
    fn watch_as(&self, listener: &Arc<dyn Listener>, number: usize);

    /// The listener need not be told any more.
    fn unwatch(&self, listener: &Arc<dyn Listener>);

    /// Runs the call here if that is better than to wait for it.
    fn help(&self);

    /// On whom it depends that it will be done.
    fn prospect(&self) -> Prospect;
}

impl<T: Send> Watch for Future<T> {
    fn how_done(&self) -> Option<Done> {
        self.core().how_done()
    }

    fn watch_as(&self, listener: &Arc<dyn Listener>, number: usize) {
        self.watch(Watcher::Tell(listener.clone(), number));
    }

    fn unwatch(&self, listener: &Arc<dyn Listener>) {
        self.core().unwatch(listener);
    }

    fn help(&self) {
        Future::help(self);
    }

    fn prospect(&self) -> Prospect {
        self.core().prospect()
    }
}

/// When a wait for several futures is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// When all are done.
    AllCompleted,
    /// When one is done, also by being cancelled.
    FirstCompleted,
    /// When one has failed, or all are done. One that was cancelled has not failed.
    FirstError,
}

/// Which of the futures that were waited for were done, by their places in what was given.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Waited {
    /// Those that are done.
    pub done: Vec<usize>,
    /// Those that are not.
    pub pending: Vec<usize>,
}

/// Waits for several futures. Without any, the wait is over at once.
///
/// # On interrupt
/// `Interrupted`; the calls go on.
///
/// # Errors
/// `Interrupted`, or `Deadlocked` as [`Future::wait`].
///
/// # Examples
/// ```
/// use lisle::executor::{ThreadPoolExecutor, Until, wait};
///
/// let pool = ThreadPoolExecutor::new();
/// let futures: Vec<_> = (0..3).map(|n| pool.submit(move || n * n).unwrap()).collect();
/// assert_eq!(wait(&futures, Until::AllCompleted).unwrap().done, [0, 1, 2]);
/// ```
#[track_caller]
pub fn wait<'a, W: Waitable + ?Sized + 'a>(
    futures: impl IntoIterator<Item = &'a W>,
    until: Until,
) -> Result<Waited, WaitError> {
    wait_within(futures.into_iter().collect(), until, Limit::Never, Location::caller())
}

/// [`wait`] for at most `limit`; `Duration::MAX` is for ever.
///
/// # On timeout
/// Not an error: tells which are done by then.
///
/// # Errors
/// As [`wait`].
#[track_caller]
pub fn wait_for<'a, W: Waitable + ?Sized + 'a>(
    futures: impl IntoIterator<Item = &'a W>,
    until: Until,
    limit: Duration,
) -> Result<Waited, WaitError> {
    wait_within(futures.into_iter().collect(), until, Limit::For(limit), Location::caller())
}

/// [`wait_for`], with the limit as a point in time; one in the past means not to wait at all.
#[track_caller]
pub fn wait_until<'a, W: Waitable + ?Sized + 'a>(
    futures: impl IntoIterator<Item = &'a W>,
    until: Until,
    limit: Instant,
) -> Result<Waited, WaitError> {
    wait_within(futures.into_iter().collect(), until, Limit::Until(limit), Location::caller())
}

fn wait_within<W: Waitable + ?Sized>(
    futures: Vec<&W>,
    until: Until,
    limit: Limit,
    site: Site,
) -> Result<Waited, WaitError> {
    let tally = || {
        let (mut waited, mut failed) = (Waited { done: Vec::new(), pending: Vec::new() }, false);
        for (place, future) in futures.iter().enumerate() {
            match future.how_done() {
                Some(done) => {
                    failed |= done == Done::Failed;
                    waited.done.push(place);
                }
                None => waited.pending.push(place),
            }
        }
        let over = waited.pending.is_empty()
            || match until {
                Until::AllCompleted => false,
                Until::FirstCompleted => !waited.done.is_empty(),
                Until::FirstError => failed,
            };
        (over, waited)
    };
    let (mut over, mut waited) = tally();
    for &place in &waited.pending.clone() {
        if over {
            break;
        }
        futures[place].help();
        if futures[place].how_done().is_some() {
            (over, waited) = tally();
        }
    }
    if over {
        return Ok(waited);
    }
    let bell = Bell::new();
    let watched = Watched::new(&bell, waited.pending.iter().map(|&place| futures[place]).collect());
    let mut left = waited.pending.len();
    let enough = |left: usize, done: Done| match until {
        _ if left == 0 => true,
        Until::AllCompleted => false,
        Until::FirstCompleted => true,
        Until::FirstError => done == Done::Failed,
    };
    let deadline = limit.deadline();
    loop {
        let set = WaitSet { site, any: until != Until::AllCompleted, left, futures: &watched.futures };
        match bell.next(&set, deadline) {
            Ok((_, done)) => {
                left -= 1;
                if enough(left, done) {
                    return Ok(tally().1);
                }
            }
            Err(WaitError::TimedOut) => return Ok(tally().1),
            Err(error) => return Err(error),
        }
    }
}

/// Gives the futures as they are done, those first that are so already. It waits for the next when it
/// is asked for it. An error ends the iteration; what is left can be had by
/// [`into_remaining`](AsCompleted::into_remaining).
///
/// # Examples
/// ```
/// use lisle::executor::{ThreadPoolExecutor, as_completed};
///
/// let pool = ThreadPoolExecutor::new();
/// let futures: Vec<_> = (0..3).map(|n| pool.submit(move || n * n).unwrap()).collect();
/// let mut squares: Vec<u32> = as_completed(futures).map(|future| future.unwrap().result().unwrap()).collect();
/// squares.sort();
/// assert_eq!(squares, [0, 1, 4]);
/// ```
#[track_caller]
pub fn as_completed<T: Send>(futures: impl IntoIterator<Item = Future<T>>) -> AsCompleted<T> {
    AsCompleted::new(futures.into_iter().collect(), Limit::Never, Location::caller())
}

/// [`as_completed`] for at most `limit`, counted from this call; `Duration::MAX` is for ever.
///
/// # On timeout
/// The iterator gives `TimedOut`, and then no more.
#[track_caller]
pub fn as_completed_for<T: Send>(futures: impl IntoIterator<Item = Future<T>>, limit: Duration) -> AsCompleted<T> {
    AsCompleted::new(futures.into_iter().collect(), Limit::For(limit), Location::caller())
}

/// [`as_completed_for`], with the limit as a point in time.
#[track_caller]
pub fn as_completed_until<T: Send>(futures: impl IntoIterator<Item = Future<T>>, limit: Instant) -> AsCompleted<T> {
    AsCompleted::new(futures.into_iter().collect(), Limit::Until(limit), Location::caller())
}

/// Futures in the order in which they are done, see [`as_completed`].
///
/// # On interrupt
/// `Interrupted` comes out of the iterator, and then no more.
pub struct AsCompleted<T: Send> {
    bell: Arc<Bell>,
    listener: Arc<dyn Listener>,
    /// By number; those that have come out are gone.
    left: HashMap<usize, Future<T>>,
    deadline: Option<Instant>,
    site: Site,
    ended: bool,
}

impl<T: Send> AsCompleted<T> {
    fn new(futures: Vec<Future<T>>, limit: Limit, site: Site) -> AsCompleted<T> {
        let bell = Bell::new();
        let listener: Arc<dyn Listener> = bell.clone();
        for (number, future) in futures.iter().enumerate() {
            future.watch_as(&listener, number);
        }
        let left = futures.into_iter().enumerate().collect();
        AsCompleted { bell, listener, left, deadline: limit.deadline(), site, ended: false }
    }

    /// The futures that have not come out.
    pub fn into_remaining(mut self) -> Vec<Future<T>> {
        self.unwatch();
        let mut left: Vec<_> = self.left.drain().collect();
        left.sort_unstable_by_key(|(number, _)| *number);
        left.into_iter().map(|(_, future)| future).collect()
    }

    fn unwatch(&self) {
        self.left.values().for_each(|future| Watch::unwatch(future, &self.listener));
    }
}

impl<T: Send> Iterator for AsCompleted<T> {
    type Item = Result<Future<T>, WaitError>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.left.is_empty() {
            return None;
        }
        if self.bell.is_silent() {
            self.left.values().find(|future| {
                future.help();
                future.is_done()
            });
        }
        let futures: Vec<&Future<T>> = if self.bell.is_silent() { self.left.values().collect() } else { Vec::new() };
        let set = WaitSet { site: self.site, any: true, left: futures.len(), futures: &futures };
        match self.bell.next(&set, self.deadline) {
            Ok((number, _)) => {
                let future = self.left.remove(&number);
                Some(Ok(future.expect("each is told of once")))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left.len() + 1))
    }
}

impl<T: Send> Drop for AsCompleted<T> {
    fn drop(&mut self) {
        self.unwatch();
    }
}

impl<T: Send> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.left.len()).finish_non_exhaustive()
    }
}

/// Where futures that are done say so, and one thread waits for that.
struct Bell {
    rung: InnerLock<VecDeque<(usize, Done)>>,
    gate: Gate,
}

impl Bell {
    fn new() -> Arc<Bell> {
        Arc::new(Bell { rung: InnerLock::new(VecDeque::new()), gate: Gate::new() })
    }

    fn is_silent(&self) -> bool {
        self.rung.lock().is_empty()
    }

    /// Waits for the next that is done.
    fn next<W: Watch + ?Sized>(
        &self,
        set: &WaitSet<'_, W>,
        deadline: Option<Instant>,
    ) -> Result<(usize, Done), WaitError> {
        let attempt = || self.rung.lock().pop_front();
        match attempt() {
            Some(next) => Ok(next),
            None => {
                let wait = Wait::new(Kind::Future, set, set.site, deadline);
                self.gate.wait(wait, |_| attempt(), || self.is_silent())
            }
        }
    }
}

impl Listener for Bell {
    fn tell(&self, number: usize, done: Done) {
        self.rung.lock().push_back((number, done));
        cheap_barrier();
        if self.gate.is_awaited() {
            self.gate.admit(1);
        }
    }
}

/// Futures that tell a bell, for as long as this lives.
struct Watched<'a, W: Watch + ?Sized> {
    listener: Arc<dyn Listener>,
    futures: Vec<&'a W>,
}

impl<'a, W: Watch + ?Sized> Watched<'a, W> {
    fn new(bell: &Arc<Bell>, futures: Vec<&'a W>) -> Watched<'a, W> {
        let listener: Arc<dyn Listener> = bell.clone();
        for (number, future) in futures.iter().enumerate() {
            future.watch_as(&listener, number);
        }
        Watched { listener, futures }
    }
}

impl<W: Watch + ?Sized> Drop for Watched<'_, W> {
    fn drop(&mut self) {
        self.futures.iter().for_each(|future| future.unwatch(&self.listener));
    }
}

/// What a thread waits for that waits for several futures.
struct WaitSet<'a, W: ?Sized> {
    site: Site,
    /// Whether one is enough.
    any: bool,
    /// How many have not been told of.
    left: usize,
    futures: &'a [&'a W],
}

// SAFETY: `Subject` asks for it since other threads read what a wait is for, while it lasts. Of the
// futures they read the words only, by `how_done` and `prospect`, which are atomics.
unsafe impl<W: ?Sized> Sync for WaitSet<'_, W> {}

impl<W: Watch + ?Sized> Subject for WaitSet<'_, W> {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.futures.iter().filter(|future| future.how_done().is_none()).count();
        write!(f, "one of {pending} that are not done")
    }

    fn identity(&self) -> u64 {
        0 // the words change while it is waited for
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        let pending: Vec<_> = self.futures.iter().filter(|future| future.how_done().is_none()).collect();
        if self.any && pending.len() < self.left {
            // One is done, and will be told of when the callbacks before ours have been called.
            found(Owner::any(1, 0, Bond::Calls));
        }
        // Each prospect once: of a hundred thousand that wait in one pool, all depend on the same workers.
        let mut told = HashSet::new();
        for prospect in pending.into_iter().map(|future| future.prospect()) {
            if !told.insert(prospect) {
                continue;
            }
            let group = if self.any { 1 } else { told.len() as u32 };
            match prospect {
                Prospect::Unknown => found(Owner::any(group, 0, Bond::Calls)),
                Prospect::RunBy(ident) => found(Owner::any(group, ident, Bond::Calls)),
                Prospect::PendingIn(pool) => {
                    teams::of(pool, &mut |ident| found(Owner::any(group, ident, Bond::MayRun)))
                }
            }
        }
    }
}
