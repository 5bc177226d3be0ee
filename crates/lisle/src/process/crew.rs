//! The processes of a pool, and how a call is made by one of them.
#![forbid(unsafe_code)]

use super::error::Ending;
use super::launch::{Handle, Live, News, Plan};
use super::packet::SendFault;
use super::wire::{self, Encoded};
use crate::executor::{Breaker, Failure};
use crate::park::sys::PlainLock;
use crate::thread::hook::Panic;
use rustix::fd::OwnedFd;
use serde::de::DeserializeOwned;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{error, fmt};

/// A process of a pool ended in the middle of a call, or could not be brought to make one.
///
/// It is the [error](Failure::error) of the call's [failure](crate::executor::FutureError::Failed), and of
/// all that are pending if the pool is broken by it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrokenProcessPool {
    /// The name of the function that was being called.
    pub call: &'static str,
    /// The process, if there was one.
    pub pid: Option<u32>,
    /// Its exit code, or the signal that ended it, if it has ended by itself.
    pub status: Option<ExitStatus>,
    reason: String,
}

impl BrokenProcessPool {
    /// The signal that ended the process, if one did.
    pub fn signal(&self) -> Option<i32> {
        std::os::unix::process::ExitStatusExt::signal(self.status.as_ref()?)
    }

    fn ended(call: &'static str, pid: u32, status: ExitStatus) -> BrokenProcessPool {
        let reason = format!("the process {pid} {}", Ending(status));
        BrokenProcessPool { call, pid: Some(pid), status: Some(status), reason }
    }

    fn because(call: &'static str, pid: Option<u32>, reason: impl fmt::Display) -> BrokenProcessPool {
        BrokenProcessPool { call, pid, status: None, reason: reason.to_string() }
    }
}

impl fmt::Display for BrokenProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken process pool: {}, in the call {:?}", self.reason, self.call)
    }
}

impl error::Error for BrokenProcessPool {}

/// Why a call has no value.
pub(super) struct Trouble {
    pub(super) failure: Failure,
    /// Whether it is the end of the pool.
    pub(super) breaks_pool: bool,
}

impl Trouble {
    /// The call failed, and that is all.
    fn of_call(failure: Failure) -> Trouble {
        Trouble { failure, breaks_pool: false }
    }
}

/// What a child made of a call.
enum Asked {
    Value(Vec<u8>, Vec<OwnedFd>),
    Failed(Failure),
    /// The caller was interrupted.
    Interrupted,
    /// The child cannot be asked again.
    Broken(BrokenProcessPool),
    /// So it was before it could know of the call.
    Gone,
}

/// The processes of a pool.
pub(super) struct Crew {
    plan: Plan,
    initializer: Option<Encoded>,
    replace: bool,
    retries: u32,
    breaker: Breaker,
    /// Those that wait for a call. The last one to come back goes first: what it needs is in the caches.
    idle: PlainLock<Vec<Live>>,
    all: PlainLock<Vec<Arc<Handle>>>,
    started: AtomicU64,
    calls: AtomicU32,
}

/// So often in a row a process that waits for its first call may be found dead.
const BAD_LUCK: u32 = 100;

/// How long processes that have nothing to do may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

impl Crew {
    pub(super) fn new(plan: Plan, initializer: Option<Encoded>, replace: bool, retries: u32, breaker: Breaker) -> Crew {
        Crew {
            plan,
            initializer,
            replace,
            retries,
            breaker,
            idle: PlainLock::default(),
            all: PlainLock::default(),
            started: AtomicU64::new(0),
            calls: AtomicU32::new(1),
        }
    }

    /// Has a process make the call, on the thread that answers for it.
    pub(super) fn run<R: DeserializeOwned>(&self, name: &'static str, call: &Encoded) -> Result<R, Trouble> {
        let (mut retries, mut luck) = (self.retries, BAD_LUCK);
        loop {
            let mut live = self.hire(name)?;
            let asked = self.ask(&mut live, name, call);
            match asked {
                Asked::Value(..) | Asked::Failed(_) => self.idle.lock().push(live),
                _ => self.part_with(live),
            }
            match asked {
                Asked::Value(bytes, descriptors) => {
                    return wire::decode(&bytes, descriptors).map_err(|reason| {
                        Trouble::of_call(Failure::new(format!("the value of {name:?} cannot be read: {reason}")))
                    });
                }
                Asked::Failed(failure) => return Err(Trouble::of_call(failure)),
                Asked::Interrupted => return Err(Trouble::of_call(Failure::new("the call was interrupted"))),
                Asked::Gone if luck > 0 => luck -= 1,
                Asked::Broken(_) if retries > 0 => retries -= 1,
                Asked::Broken(broken) => {
                    return Err(Trouble { failure: Failure::new(broken), breaks_pool: !self.replace });
                }
                Asked::Gone => {
                    let broken = BrokenProcessPool::because(name, None, "no process lives long enough");
                    return Err(Trouble { failure: Failure::new(broken), breaks_pool: true });
                }
            }
        }
    }

    pub(super) fn break_down(&self, failure: &Failure) {
        self.breaker.break_down(failure.clone());
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.all.lock().iter().map(|handle| handle.pid).collect()
    }

    /// A process that waits for a call, or a new one.
    fn hire(&self, name: &'static str) -> Result<Live, Trouble> {
        loop {
            let Some(mut live) = self.idle.lock().pop() else { break };
            if live.is_idle() {
                return Ok(live);
            }
            self.part_with(live); // nothing is lost with it
        }
        let broken = |failure| Trouble { failure, breaks_pool: true };
        let mut plan = self.plan.clone();
        plan.name = format!("{}-{}", plan.name, self.started.fetch_add(1, Ordering::Relaxed));
        for _ in 0..=BAD_LUCK {
            let mut live = Live::start(&plan, None).map_err(|error| {
                let reason = format!("the system makes no process: {error}");
                broken(Failure::new(BrokenProcessPool::because(name, None, reason)))
            })?;
            self.all.lock().push(live.handle.clone());
            let Some(initializer) = &self.initializer else { return Ok(live) };
            match self.ask(&mut live, name, initializer) {
                Asked::Value(..) => return Ok(live),
                Asked::Failed(failure) => {
                    self.part_with(live);
                    return Err(broken(Failure::new(format!("the initializer of a process failed: {failure}"))));
                }
                Asked::Broken(_) | Asked::Gone if self.replace => self.part_with(live),
                Asked::Broken(reason) => {
                    self.part_with(live);
                    return Err(broken(Failure::new(reason)));
                }
                Asked::Gone | Asked::Interrupted => {
                    self.part_with(live);
                    return Err(Trouble::of_call(Failure::new("the call was interrupted")));
                }
            }
        }
        Err(broken(Failure::new(BrokenProcessPool::because(name, None, "no process gets through its initializer"))))
    }

    /// Has the child make a call.
    fn ask(&self, live: &mut Live, name: &'static str, call: &Encoded) -> Asked {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let pid = live.handle.pid;
        match live.call(number, call) {
            Ok(()) => {}
            Err(SendFault::Closed | SendFault::Full) if live.has_answered() => return Asked::Gone,
            // It did not live to see `init`; how it ended says why.
            Err(SendFault::Closed | SendFault::Full) => {}
            Err(fault) => return Asked::Failed(Failure::new(format!("the call {name:?} cannot be sent: {fault}"))),
        }
        loop {
            let news = match live.next(self.replace) {
                Ok(news) => news,
                Err(_) => return Asked::Interrupted,
            };
            return match news {
                News::Value { number: of, bytes, descriptors } if of == number => Asked::Value(bytes, descriptors),
                News::Panic { number: of, message, location } if of == number => {
                    Asked::Failed(Failure::panicked(Panic { payload: Box::new(message), location }))
                }
                News::Failure { number: of, text } if of == number => Asked::Failed(Failure::new(text)),
                News::Ended(status) if live.has_answered() => {
                    Asked::Broken(BrokenProcessPool::ended(name, pid, status))
                }
                News::Ended(status) => {
                    let reason =
                        format!("the process {pid} {} without having called `lisle::process::init`", Ending(status));
                    Asked::Broken(BrokenProcessPool { reason, ..BrokenProcessPool::ended(name, pid, status) })
                }
                News::NoAnswer(limit) => Asked::Broken(BrokenProcessPool::because(
                    name,
                    Some(pid),
                    format!("the process {pid} did not call `lisle::process::init` within {limit:?} and was killed"),
                )),
                News::Garbage(reason) => Asked::Broken(BrokenProcessPool::because(
                    name,
                    Some(pid),
                    format!("the process {pid} sent what no process of lisle sends, and was killed: {reason}"),
                )),
                // An answer to another call is none of ours.
                News::Value { .. } | News::Panic { .. } | News::Failure { .. } => continue,
            };
        }
    }

    /// Ends a process that is of no more use, if it has not ended.
    fn part_with(&self, live: Live) {
        self.all.lock().retain(|handle| !Arc::ptr_eq(handle, &live.handle));
        drop(live);
    }

    /// Ends the processes that have nothing to do. One that has not gone by `limit` is killed.
    pub(super) fn dismiss(&self, limit: Option<Instant>) {
        let idle = std::mem::take(&mut *self.idle.lock());
        idle.iter().for_each(Live::dismiss);
        let until = Instant::now() + FAREWELL;
        let until = limit.map_or(until, |limit| limit.min(until));
        for live in idle {
            self.all.lock().retain(|handle| !Arc::ptr_eq(handle, &live.handle));
            live.see_off(until);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.dismiss(None);
    }
}
