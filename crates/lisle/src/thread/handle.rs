//! `Thread`: what everybody may know of a thread and do to it.
#![forbid(unsafe_code)]

use super::error::{DaemonError, JoinError};
use super::idle;
use crate::park::record::{Life, Origin, Shared};
use crate::park::stats::WaitStats;
use crate::park::{Kind, Limit, Record, Site, Wait, WaitError, current, deadlock, park, registry, sys};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::{NonZeroU32, NonZeroU64};
use std::panic::Location;
use std::time::{Duration, Instant};

/// A thread's number, never used again in the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ThreadId(NonZeroU64);

/// A handle on a thread: one that was made here, the main thread, or an adopted one. Handles are
/// cheap to clone and keep nothing but the thread's data alive.
///
/// # Life
/// A thread is *initial* when made, *started* by `start`, *alive* while it runs, and *finished*
/// when it has returned or panicked and its thread locals are gone. It cannot be killed, but asked
/// to end: see [the module](super#a-thread-cannot-be-killed).
///
/// # Examples
/// ```
/// use lisle::thread;
///
/// let handle = thread::Builder::new().name("worker-1".into()).spawn(|| thread::park()).unwrap();
/// let worker = handle.thread();
/// assert_eq!(worker.name(), Some("worker-1"));
/// assert!(worker.is_alive() && thread::enumerate().contains(worker));
/// worker.unpark();
/// worker.join().unwrap();
/// assert!(worker.is_finished());
/// ```
#[derive(Clone)]
pub struct Thread(Shared);

impl Thread {
    pub(crate) fn of(record: Shared) -> Thread {
        Thread(record)
    }

    pub(crate) fn record(&self) -> &Shared {
        &self.0
    }

    /// The thread's number.
    pub fn id(&self) -> ThreadId {
        ThreadId(self.0.serial)
    }

    /// The thread's name. Every thread has one, so this is never `None`; that it could be is how
    /// [`std::thread::Thread::name`] has it.
    pub fn name(&self) -> Option<&str> {
        Some(self.0.name.get())
    }

    /// Names the thread. Any length will do; the kernel is told what it takes, with the tail kept.
    /// Only the main thread's name is kept from it, because there it is the process's.
    ///
    /// Earlier names stay in memory as long as the thread's handles.
    pub fn set_name(&self, name: impl Into<String>) {
        self.0.name.set(name.into());
        let native = self.0.native_id();
        if native == 0 || self.0.life() == Life::Finished || self.0.origin == Origin::Main {
            return; // it will be told at the start, or it is too late, or better not
        }
        if native == super::get_native_id() {
            sys::set_native_name(self.0.name.get());
        } else {
            sys::set_native_name_of(native, self.0.name.get());
        }
    }

    /// The identifier that the thread has from its start on, unique among living threads. The
    /// number of a thread that has ended may be given to another, after four billion threads.
    pub fn ident(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0.ident())
    }

    /// The kernel's number for the thread, once it is started; the kernel may use it again for
    /// another. Waits for a moment if the thread has been started and does not run yet.
    #[track_caller]
    pub fn native_id(&self) -> Option<u32> {
        // Fails only if nothing can come of it either.
        let _ = wait_for(&self.0, Life::Alive, Limit::Never, Location::caller(), unfailing);
        Some(self.0.native_id()).filter(|&native| native != 0)
    }

    /// Whether the thread has been started and has not finished.
    pub fn is_alive(&self) -> bool {
        matches!(self.0.life(), Life::Started | Life::Alive)
    }

    /// Whether the thread has finished.
    pub fn is_finished(&self) -> bool {
        self.0.life() == Life::Finished
    }

    /// Whether the process may end without waiting for this thread. Adopted threads count as
    /// daemons: the process does not wait for them.
    pub fn is_daemon(&self) -> bool {
        self.0.is_daemon()
    }

    /// Makes the thread a daemon, or not one.
    ///
    /// # Errors
    /// If it has been started; that goes for the main thread and adopted ones too.
    pub fn set_daemon(&self, daemon: bool) -> Result<(), DaemonError> {
        let _no_start_meanwhile = registry::lock();
        if self.0.life() != Life::Initial {
            return Err(DaemonError(()));
        }
        self.0.set_daemon(daemon);
        Ok(())
    }

    /// Gives the thread the token that ends its present or next [`park`](super::park()).
    pub fn unpark(&self) {
        idle::unpark(&self.0);
    }

    /// Asks the thread to leave its present or next interruptible wait, which then fails with
    /// `Interrupted`. Nothing else happens to it: a thread that computes, or waits where it cannot
    /// be interrupted, goes on, and may look by [`interrupted`](super::interrupted).
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// Whether an interrupt is pending.
    pub fn is_interrupted(&self) -> bool {
        self.0.is_interrupted()
    }

    /// What kind of thing the thread waits for at the moment, or `None` if it does not wait. May be
    /// over when the caller looks. Never blocks for longer than it takes to copy one wait.
    pub fn waits_for(&self) -> Option<Kind> {
        deadlock::waiting(&self.0).map(|waiting| waiting.kind)
    }

    /// How often and how long the thread has waited, and for what.
    pub fn wait_stats(&self) -> WaitStats {
        self.0.stats.read()
    }

    /// Waits until the thread has finished. Its value, or its panic, is for the
    /// [`JoinHandle`](super::JoinHandle); all who wait are released together.
    ///
    /// # On interrupt
    /// `Interrupted`; the thread can be joined again.
    ///
    /// # Errors
    /// `Interrupted`, `NotStarted`, `Itself`, or `Deadlocked` if the thread waits for this one.
    #[track_caller]
    pub fn join(&self) -> Result<(), JoinError> {
        self.join_within(Limit::Never, Location::caller())
    }

    /// [`join`](Thread::join) for at most `limit`.
    ///
    /// # On timeout
    /// `TimedOut`; the thread can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`join`](Thread::join), and `TimedOut`.
    #[track_caller]
    pub fn join_for(&self, limit: Duration) -> Result<(), JoinError> {
        self.join_within(Limit::For(limit), Location::caller())
    }

    /// [`join_for`](Thread::join_for), with the limit as a point in time.
    ///
    /// # On timeout
    /// `TimedOut`; the thread can be joined again.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`join_for`](Thread::join_for).
    #[track_caller]
    pub fn join_until(&self, limit: Instant) -> Result<(), JoinError> {
        self.join_within(Limit::Until(limit), Location::caller())
    }

    pub(crate) fn join_within(&self, limit: Limit, site: Site) -> Result<(), JoinError> {
        if self.0.ident() == current::ident() && !self.is_finished() {
            return Err(JoinError::Itself);
        }
        wait_for(&self.0, Life::Finished, limit, site, |_| {})?;
        if self.is_finished() { Ok(()) } else { Err(JoinError::NotStarted) }
    }
}

/// Waits until `record`'s thread has come as far as `wanted`. One that is not started, or whose
/// start fails, is not waited for.
pub(super) fn wait_for(
    record: &Record,
    wanted: Life,
    limit: Limit,
    site: Site,
    set_up: impl FnOnce(&mut Wait<'_>),
) -> Result<(), WaitError> {
    let on_its_way = || (Life::Started..wanted).contains(&record.life());
    wait_while(on_its_way, record, wanted, limit, site, set_up)
}

/// Waits as long as `on_its_way` says so, of which `record`'s thread tells when it comes as far as
/// `wanted`.
pub(super) fn wait_while(
    on_its_way: impl Fn() -> bool,
    record: &Record,
    wanted: Life,
    limit: Limit,
    site: Site,
    set_up: impl FnOnce(&mut Wait<'_>),
) -> Result<(), WaitError> {
    if !on_its_way() {
        return Ok(());
    }
    let mut wait = Wait::new(Kind::Join, record, site, limit.deadline());
    wait.detail = wanted as u32;
    wait.spin = false; // a thread takes longer to begin or end than one would spin
    set_up(&mut wait);
    let began = Instant::now();
    while on_its_way() {
        park(record.life_key(), &wait, &on_its_way).settle()?;
        wait.since = Some(began);
    }
    Ok(())
}

/// For a wait in a call that has no way to fail.
pub(super) fn unfailing(wait: &mut Wait<'_>) {
    (wait.interruptible, wait.unfailing) = (false, true);
}

impl Thread {
    /// Waits until the thread has finished, whatever comes between.
    pub(crate) fn join_unfailing(&self, site: Site) {
        while wait_for(&self.0, Life::Finished, Limit::Never, site, unfailing).is_err() {}
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Thread) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Thread {}

impl Hash for Thread {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
