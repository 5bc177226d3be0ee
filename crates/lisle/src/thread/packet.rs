//! What passes between a thread and who joins it.
#![forbid(unsafe_code)]

use super::error::JoinError;
use super::handle::Thread;
use super::hook::{self, Panic};
use crate::park::sys::atomic::{AtomicU32, Ordering};
use crate::sync::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A thread's value, or the panic that ended it.
pub(super) type Ended<T> = Result<T, Panic>;

/// What a thread that was made but not started shall do.
pub(super) type Task<T> = Box<dyn FnOnce() -> T + Send>;

/// Who hears of a panic that nobody took.
pub(super) enum Mourner {
    /// The `excepthook`.
    Hook,
    /// The scope, which panics in turn.
    Scope(Arc<AtomicBool>),
}

/// Shared by a thread and its one `JoinHandle`.
///
/// | `flags` | the outcome |
/// |---|---|
/// | 0 | is not there yet |
/// | `LEFT` | is there and belongs to nobody |
/// | `LEFT + CLAIMED` | belongs to who set the second of the two |
/// | `CLAIMED` | is not there yet, and the handle is gone: belongs to the thread |
///
/// The mutexes are cells that need no `unsafe`: the flags give what is in them to one thread, so
/// they are only tried, never waited for. Nobody can find one held by a thread lost in a fork.
pub(super) struct Packet<T> {
    flags: AtomicU32,
    outcome: Mutex<Option<Ended<T>>>,
    task: Mutex<Option<Task<T>>>,
    pub(super) stack_size: Option<usize>,
    mourner: Mourner,
}

const LEFT: u32 = 0b01;
const CLAIMED: u32 = 0b10;

impl<T> Packet<T> {
    pub(super) fn new(task: Option<Task<T>>, stack_size: Option<usize>, mourner: Mourner) -> Packet<T> {
        let (flags, outcome, task) = (AtomicU32::new(0), Mutex::new(None), Mutex::new(task));
        Packet { flags, outcome, task, stack_size, mourner }
    }

    /// What the thread shall do; called by the thread itself, once.
    pub(super) fn take_task(&self) -> Task<T> {
        let task = self.task.try_lock().and_then(|mut task| task.take());
        task.expect("a thread begins once")
    }

    /// The thread leaves its outcome, the last it does with the packet.
    pub(super) fn leave(&self, thread: &Thread, outcome: Ended<T>) {
        *self.outcome.try_lock().expect("nobody looks before LEFT is set") = Some(outcome);
        if self.flags.fetch_or(LEFT, Ordering::AcqRel) & CLAIMED != 0 {
            self.dispose(thread);
        }
    }

    /// Takes the outcome of a thread that has ended.
    pub(super) fn claim(&self) -> Result<T, JoinError> {
        if self.flags.load(Ordering::Acquire) & LEFT == 0 {
            return Err(JoinError::Lost);
        }
        if self.flags.fetch_or(CLAIMED, Ordering::AcqRel) & CLAIMED != 0 {
            return Err(JoinError::Taken);
        }
        match self.take() {
            Ok(value) => Ok(value),
            Err(panic) => Err(JoinError::Panicked(panic.payload)),
        }
    }

    /// The handle goes: nobody can take the outcome any more.
    pub(super) fn abandon(&self, thread: &Thread) {
        if self.flags.fetch_or(CLAIMED, Ordering::AcqRel) == LEFT {
            self.dispose(thread);
        }
    }

    fn take(&self) -> Ended<T> {
        let outcome = self.outcome.try_lock().and_then(|mut outcome| outcome.take());
        outcome.expect("the flags give it to one thread")
    }

    fn dispose(&self, thread: &Thread) {
        // The thread must get to its end whatever a destructor does.
        let panic = match self.take() {
            Ok(value) => match catch_unwind(AssertUnwindSafe(|| drop(value))) {
                Ok(()) => return,
                Err(payload) => Panic::caught(payload),
            },
            Err(panic) => panic,
        };
        match &self.mourner {
            Mourner::Hook => hook::mourn(thread, panic),
            Mourner::Scope(panicked) => {
                panicked.store(true, Ordering::Relaxed);
                panic.forget_safely();
            }
        }
    }
}
