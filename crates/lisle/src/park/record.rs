//! What the lot knows of a thread.

use super::label::Label;
use super::lot::Candidate;
use super::lot::Node;
use super::name::Name;
use super::parker::Parker;
use super::stats::Stats;
use super::sys::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use super::sys::{self};
use super::told::Told;
use super::wait::{Owner, Subject};
use super::{Choice, Kind, unpark};
use std::fmt;
use std::num::NonZeroU64;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

/// Where a thread is in its life. The order of the numbers is the order of life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub(crate) enum Life {
    /// Made, not started.
    Initial = 0,
    /// `start` was called; the system is making the thread.
    Started = 1,
    /// Its `run` is running.
    Alive = 2,
    /// Its `run` has ended.
    Finished = 3,
}

/// How a thread came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Made by us.
    Made,
    /// The process's main thread.
    Main,
    /// Any other OS thread that called in.
    Adopted,
}

/// A thread, as everybody may see it.
pub(crate) struct Record {
    pub(crate) serial: NonZeroU64,
    pub(crate) origin: Origin,
    pub(crate) name: Name,
    pub(crate) parker: Parker,
    pub(crate) stats: Stats,
    /// The token of `unpark`, see `thread/idle.rs`.
    pub(crate) permit: AtomicU32,
    ident: std::sync::atomic::AtomicU32,
    native_id: std::sync::atomic::AtomicU32,
    life: AtomicU32,
    daemon: std::sync::atomic::AtomicBool,
    /// Whether it is one of the library's own threads, which do nothing for the program.
    service: std::sync::atomic::AtomicBool,
    /// Whether it is one that the program has made by way of an embedder.
    embedded: std::sync::atomic::AtomicBool,
    interrupt: AtomicBool,
    /// Set by who found a deadlock whose error must come out of this thread's wait.
    look_again: std::sync::atomic::AtomicBool,
    /// What the thread waits on: the key, and its node. Written under the lock of the key's
    /// bucket; 0 and null when it waits for nothing. Only who holds that lock may follow `node`.
    pub(super) waiting_on: AtomicUsize,
    pub(super) node: AtomicPtr<Node>,
    /// Counts the thread's waits, so that a report of one can be told from the next.
    pub(super) epoch: AtomicU64,
    /// Counts the times the thread has queued itself, also for the same wait. Written by the thread itself,
    /// under the lock of a bucket.
    turn: std::sync::atomic::AtomicU32,
    /// The label of the executor's call that the thread runs, or null. Written by the thread alone, see
    /// `current::doing`; to be followed only while the thread waits, which it does inside the call.
    pub(super) doing: AtomicPtr<Label>,
    /// What an embedder says of the thread's wait, or null; as `doing`.
    pub(super) told: AtomicPtr<Told<'static>>,
    /// The read locks that the thread holds.
    pub(crate) reads: super::reads::Reads,
    #[cfg(loom)]
    pub(super) expired: AtomicBool,
}

impl Record {
    pub(crate) fn new(origin: Origin, name: String, daemon: bool) -> Record {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        Record {
            serial: NonZeroU64::new(serial).expect("2⁶⁴ threads are more than there can have been"),
            origin,
            name: Name::new(name),
            parker: Parker::new(),
            stats: Stats::new(),
            permit: AtomicU32::new(0),
            ident: std::sync::atomic::AtomicU32::new(0),
            native_id: std::sync::atomic::AtomicU32::new(0),
            life: AtomicU32::new(Life::Initial as u32),
            daemon: std::sync::atomic::AtomicBool::new(daemon),
            service: std::sync::atomic::AtomicBool::new(false),
            embedded: std::sync::atomic::AtomicBool::new(false),
            interrupt: AtomicBool::new(false),
            look_again: std::sync::atomic::AtomicBool::new(false),
            waiting_on: AtomicUsize::new(0),
            node: AtomicPtr::new(ptr::null_mut()),
            epoch: AtomicU64::new(0),
            turn: std::sync::atomic::AtomicU32::new(0),
            doing: AtomicPtr::new(ptr::null_mut()),
            told: AtomicPtr::new(ptr::null_mut()),
            reads: super::reads::Reads::new(),
            #[cfg(loom)]
            expired: AtomicBool::new(false),
        }
    }

    /// What the calling thread, whose record this is, has to say of its wait.
    pub(super) fn told(&self) -> Option<&Told<'_>> {
        // SAFETY: null, or what `told::telling` was given, which is further up on this thread's stack.
        unsafe { self.told.load(Ordering::Relaxed).as_ref() }
    }

    /// The thread, whose record this is, is about to queue itself.
    pub(super) fn next_turn(&self) {
        self.turn.store(self.turn().wrapping_add(1), Ordering::Relaxed);
    }

    /// Its turn. Good for others from when they have found the thread queued until they have granted its wait.
    pub(super) fn turn(&self) -> u32 {
        self.turn.load(Ordering::Relaxed)
    }

    /// The thread's identifier; 0 before it is started.
    pub(crate) fn ident(&self) -> u32 {
        self.ident.load(Ordering::Acquire)
    }

    pub(super) fn set_ident(&self, ident: u32) {
        self.ident.store(ident, Ordering::Release);
    }

    /// The kernel's id; 0 before the thread runs.
    pub(crate) fn native_id(&self) -> u32 {
        self.native_id.load(Ordering::Acquire)
    }

    /// The calling thread is this one: tells the record the kernel's id, and the kernel the name.
    pub(super) fn meet_system(&self) {
        self.native_id.store(sys::native_id(), Ordering::Release);
    }

    pub(crate) fn life(&self) -> Life {
        match self.life.load(Ordering::Acquire) {
            0 => Life::Initial,
            1 => Life::Started,
            2 => Life::Alive,
            _ => Life::Finished,
        }
    }

    /// Moves on from `from` to `to`; false when the thread is somewhere else. Wakes nobody.
    pub(super) fn advance(&self, from: Life, to: Life) -> bool {
        self.life.compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Enters a stage of life and wakes who waits for that.
    pub(crate) fn enter(&self, life: Life) {
        self.mark(life);
        self.announce(life);
    }

    /// Enters a stage of life. Wakes nobody, see [`Record::announce`].
    pub(super) fn mark(&self, life: Life) {
        self.life.store(life as u32, Ordering::SeqCst);
    }

    /// Wakes who waits at [`Record::life_key`] for the thread to come as far as `reached`. Such a
    /// wait says in its `detail` how far that is: who waits for the end is not woken by the start.
    pub(crate) fn announce(&self, reached: Life) {
        let choose = |waiter: &Candidate<'_>| match waiter.detail() <= reached as u32 {
            true => Choice::Grant(0),
            false => Choice::Skip,
        };
        unpark(self.life_key(), choose, |_| {});
    }

    /// The thread was lost in a fork: it waits for nothing and has ended. Called under the locks of
    /// all buckets.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn vanish(&self) {
        self.waiting_on.store(0, std::sync::atomic::Ordering::Relaxed);
        self.node.store(ptr::null_mut(), std::sync::atomic::Ordering::Relaxed);
        self.mark(Life::Finished);
    }

    /// The key at which threads wait for this one to begin or to end.
    pub(crate) fn life_key(&self) -> usize {
        ptr::from_ref(&self.life).addr()
    }

    /// The key at which the thread waits when nobody shall end its wait: no one grants there.
    pub(crate) fn sleep_key(&self) -> usize {
        ptr::from_ref(&self.parker).addr()
    }

    pub(crate) fn is_daemon(&self) -> bool {
        self.daemon.load(Ordering::Relaxed)
    }

    /// Whether the process must not end before the thread has.
    pub(crate) fn keeps_process(&self) -> bool {
        let runs = (Life::Started..Life::Finished).contains(&self.life());
        runs && self.origin == Origin::Made && !self.is_daemon()
    }

    pub(crate) fn set_daemon(&self, daemon: bool) {
        self.daemon.store(daemon, Ordering::Relaxed);
    }

    /// Whether it is one of the library's own threads: it is not counted with the program's, and what it waits
    /// for says nothing of them.
    pub(crate) fn is_service(&self) -> bool {
        self.service.load(Ordering::Relaxed)
    }

    /// The thread is one of the library's own, or of an embedder's.
    #[cfg(all(feature = "watch", not(loom)))]
    pub(crate) fn set_service(&self) {
        self.service.store(true, Ordering::Relaxed);
    }

    /// Whether it was adopted, but is one that the program has made: by way of an embedder.
    #[cfg(all(feature = "watch", not(loom)))]
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.load(Ordering::Relaxed)
    }

    /// An embedder says that its program has made the thread, and whether as a daemon.
    pub(crate) fn set_embedded(&self, daemon: bool) {
        self.embedded.store(true, Ordering::Relaxed);
        self.set_daemon(daemon);
    }

    /// Asks the thread to leave its present or next interruptible wait.
    pub(crate) fn interrupt(&self) {
        // The waiting thread does the reverse: says that it waits, then reads the flag. One of
        // the two sees the other, because both have a full fence in between.
        self.interrupt.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        self.parker.poke();
    }

    /// Makes the thread look for a deadlock again.
    pub(super) fn look_again(&self) {
        self.look_again.store(true, Ordering::Release);
        fence(Ordering::SeqCst); // as in `interrupt`
        self.parker.poke();
    }

    pub(super) fn take_look_again(&self) -> bool {
        self.look_again.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Acquire)
    }

    /// Reads and clears the flag.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.is_interrupted() && self.interrupt.swap(false, Ordering::AcqRel)
    }
}

/// A wait for a thread's end is owned by that thread; nobody owns its sleep or its token.
impl Subject for Record {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of thread {:?}", self.name.get())
    }

    fn owners(&self, kind: Kind, found: &mut dyn FnMut(Owner)) {
        if kind == Kind::Join && self.life() != Life::Finished {
            found(Owner::runs(self.ident()));
        }
    }

    fn identity(&self) -> u64 {
        self.serial.get()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("name", &self.name.get())
            .field("ident", &self.ident())
            .field("life", &self.life())
            .field("daemon", &self.is_daemon())
            .finish_non_exhaustive()
    }
}

/// The default name of the `number`th thread that has none: `Thread-7 (target)`, `Thread-7`.
pub(crate) fn default_name(target: Option<&str>) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    match target {
        Some(target) => format!("Thread-{number} ({target})"),
        None => format!("Thread-{number}"),
    }
}

/// What is kept of a record as a shared pointer.
pub(crate) type Shared = Arc<Record>;
