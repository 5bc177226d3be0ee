//! All threads that live, by ident.

use super::record::{Life, Origin, Shared};
use super::sys::{self, PlainGuard, PlainLock};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many ended threads are remembered by name, for locks they may have left behind.
const REMEMBERED: usize = 1024;

/// The table behind the lock.
pub(crate) struct Registry {
    threads: BTreeMap<u32, Shared>,
    main: Option<Shared>,
    /// Whether a thread has called in as the main one.
    main_is_in: bool,
    /// Whether the system has been told what to call at the process's end.
    has_end: bool,
    last_ident: u32,
    ended: VecDeque<(u32, Box<str>)>,
}

static REGISTRY: PlainLock<Registry> = PlainLock::new(Registry {
    threads: BTreeMap::new(),
    main: None,
    main_is_in: false,
    has_end: false,
    last_ident: 0,
    ended: VecDeque::new(),
});

/// The registry, locked. Taken after bucket locks, if any; no other lock is taken under it.
pub(crate) fn lock() -> PlainGuard<'static, Registry> {
    REGISTRY.lock()
}

/// How often the table was left with one thread, see [`Registry::retain_only`].
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Changes in the child of a fork: for who keeps books of threads that are not there any more.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// The thread of this ident, if it lives.
pub(crate) fn find(ident: u32) -> Option<Shared> {
    #[cfg(loom)]
    return model::THREADS.lock().get(&ident).cloned();
    #[cfg(not(loom))]
    lock().get(ident).cloned()
}

/// The threads of one iteration.
#[cfg(loom)]
mod model {
    use super::{BTreeMap, PlainLock, Shared};

    loom::lazy_static! {
        pub(super) static ref THREADS: PlainLock<BTreeMap<u32, Shared>> = PlainLock::default();
    }
}

// The three ways through the registry change a thread's life under its lock: a fork, which holds
// that lock, finds every thread that has started and not finished in the table.

/// `start` was called: enters the thread; false if that was so before. The first that keeps the
/// process has `at_exit` called at its end.
pub(crate) fn start(record: &Shared, at_exit: extern "C" fn()) -> bool {
    super::current::set_up_process();
    super::first_use();
    let mut registry = lock();
    if !record.advance(Life::Initial, Life::Started) {
        return false;
    }
    if !record.is_daemon() {
        registry.have_end(at_exit);
    }
    registry.add(record);
    true
}

/// Has `at_exit`, which is one and the same for all, called at the end of the process.
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
pub(crate) fn have_end(at_exit: extern "C" fn()) {
    lock().have_end(at_exit);
}

/// The system could not make the thread: it is as if `start` had not been called.
pub(crate) fn call_off(record: &Shared) {
    {
        let mut registry = lock();
        registry.threads.remove(&record.ident());
        record.set_ident(0);
        record.mark(Life::Initial);
    }
    record.announce(Life::Finished); // none of what anybody waits for will come
}

/// The thread has ended: takes it out and wakes who waits for that.
pub(crate) fn finish(record: &Shared) {
    {
        let mut registry = lock();
        record.mark(Life::Finished);
        registry.remove(record);
    }
    record.announce(Life::Finished);
}

impl Registry {
    /// Gives the thread an ident and enters it.
    pub(super) fn add(&mut self, record: &Shared) -> u32 {
        let ident = loop {
            self.last_ident = self.last_ident.wrapping_add(1);
            // After 2³² threads numbers come again; those of living threads are left out.
            if self.last_ident != 0 && !self.threads.contains_key(&self.last_ident) {
                break self.last_ident;
            }
        };
        record.set_ident(ident);
        if record.origin == Origin::Main {
            self.main = Some(record.clone());
        }
        // The model's records must not outlive an iteration.
        #[cfg(loom)]
        model::THREADS.lock().insert(ident, record.clone());
        #[cfg(not(loom))]
        self.threads.insert(ident, record.clone());
        ident
    }

    fn have_end(&mut self, at_exit: extern "C" fn()) {
        if !std::mem::replace(&mut self.has_end, true) {
            sys::at_exit(at_exit);
        }
    }

    /// Takes a thread out that has ended, or whose end nobody will tell.
    pub(super) fn remove(&mut self, record: &Shared) {
        if self.threads.remove(&record.ident()).is_some() {
            self.remember(record);
        }
    }

    fn remember(&mut self, ended: &Shared) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((ended.ident(), ended.name.get().into()));
    }

    pub(crate) fn get(&self, ident: u32) -> Option<&Shared> {
        self.threads.get(&ident)
    }

    /// The name of a thread that has ended, if that was not too long ago.
    pub(crate) fn ended_name(&self, ident: u32) -> Option<&str> {
        self.ended.iter().rev().find(|(ended, _)| *ended == ident).map(|(_, name)| &**name)
    }

    pub(crate) fn main(&self) -> Option<&Shared> {
        self.main.as_ref()
    }

    /// Whether the main thread has called in: nobody else can be taken for it then, and two threads must not have
    /// one record.
    pub(super) fn main_is_in(&self) -> bool {
        self.main_is_in
    }

    /// Lets it in, see [`main_is_in`](Registry::main_is_in); false if it was.
    pub(super) fn let_main_in(&mut self) -> bool {
        !std::mem::replace(&mut self.main_is_in, true)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shared> {
        self.threads.values()
    }

    /// The threads that the process must wait for before it ends, but for `me`.
    pub(crate) fn keep_process<'a>(&'a self, me: &'a Shared) -> impl Iterator<Item = &'a Shared> {
        self.iter().filter(|record| record.keeps_process() && record.ident() != me.ident())
    }

    /// In the child of a fork: only `me` is left, and it is the main thread now. Returns those
    /// who are not here any more.
    pub(crate) fn retain_only(&mut self, me: &Shared) -> Vec<Shared> {
        FORKS.fetch_add(1, Ordering::Relaxed);
        let gone = std::mem::take(&mut self.threads).into_values();
        let gone = gone.filter(|record| record.ident() != me.ident()).collect::<Vec<_>>();
        for record in &gone {
            self.remember(record);
        }
        self.threads.insert(me.ident(), me.clone());
        self.main = Some(me.clone());
        self.main_is_in = true;
        gone
    }
}
