//! Making and starting threads.

use super::error::StartError;
use super::exit;
use super::handle::Thread;
use super::hook::{self, Panic};
use super::join_handle::JoinHandle;
use super::packet::{Mourner, Packet};
use super::run::{Run, target_of};
use super::scope::{Scope, ScopedJoinHandle};
use crate::park::record::{Origin, Shared, default_name};
use crate::park::{Record, current, registry};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What can be said of a thread before it is made.
///
/// # Examples
/// ```
/// use lisle::thread;
///
/// let handle = thread::Builder::new()
///     .name("indexer".into())
///     .stack_size(256 * 1024)
///     .daemon(true)
///     .spawn(|| thread::current().name().map(str::to_owned))
///     .unwrap();
/// assert_eq!(handle.join().unwrap().as_deref(), Some("indexer"));
/// ```
#[derive(Clone, Default, Debug)]
#[must_use = "a builder makes no thread until it is told to spawn or create one"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    daemon: Option<bool>,
    #[cfg(all(feature = "watch", not(loom)))]
    service: bool,
}

impl Builder {
    /// A thread with a default name and stack, a daemon if the creating thread is one.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the thread. Without this it is `Thread-N (function)`, or `Thread-N` when it runs
    /// something without a name.
    pub fn name(mut self, name: String) -> Builder {
        self.name = Some(name);
        self
    }

    /// The size of the thread's stack in bytes; without this what `std` uses, which is 2 MiB or
    /// `RUST_MIN_STACK`.
    pub fn stack_size(mut self, size: usize) -> Builder {
        self.stack_size = Some(size);
        self
    }

    /// Whether the process may end without waiting for the thread. Without this a thread is a
    /// daemon if the thread that makes it is one *and was made here*: what adopted threads make
    /// is not a daemon, although they themselves hold up nobody.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = Some(daemon);
        self
    }

    /// Makes it a daemon of ours, not one of the program's threads.
    #[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
    pub(crate) fn service(mut self) -> Builder {
        self.service = true;
        self.daemon(true)
    }

    /// Makes and starts a thread that calls `f`.
    ///
    /// # Errors
    /// If the system cannot make the thread, with its reason; nothing of the thread is left then.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: `f` and its value borrow nothing.
        unsafe { self.spawn_unchecked(f) }
    }

    /// [`spawn`](Builder::spawn) for a callable that borrows.
    ///
    /// # Safety
    /// What `f` and its value borrow must outlive the thread: it has to be joined before, whatever
    /// happens.
    ///
    /// # Errors
    /// As [`spawn`](Builder::spawn).
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        // SAFETY: the caller's duty is the same.
        unsafe { self.spawn_mourned(f, Mourner::Hook) }
    }

    /// Makes and starts a thread of a scope, see [`Scope::spawn`].
    ///
    /// # Errors
    /// As [`spawn`](Builder::spawn).
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        scope.adopt(|mourner| {
            // SAFETY: `f` and its value borrow for `'scope`, and `scope` does not return before
            // the threads that it knows by `adopt` have finished.
            unsafe { self.spawn_mourned(f, mourner) }
        })
    }

    /// Makes a thread that does `run` once [started](JoinHandle::start).
    pub fn create<R: Run>(self, run: R) -> JoinHandle<R::Output> {
        let packet = Packet::new(Some(Box::new(|| run.run())), self.stack_size, Mourner::Hook);
        JoinHandle::new(self.record(R::target()), Arc::new(packet))
    }

    /// # Safety
    /// As [`Builder::spawn_unchecked`].
    unsafe fn spawn_mourned<F, T>(self, f: F, mourner: Mourner) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let packet = Arc::new(Packet::new(None, self.stack_size, mourner));
        let record = self.record(target_of::<F>());
        // SAFETY: the caller's duty is the same.
        unsafe { launch(&record, &packet, f)? };
        Ok(JoinHandle::new(record, packet))
    }

    fn record(self, target: Option<&str>) -> Shared {
        let name = self.name.unwrap_or_else(|| default_name(target));
        let inherited = || current::with(|me| me.origin == Origin::Made && me.is_daemon());
        let daemon = self.daemon.unwrap_or_else(inherited);
        let record = Record::new(Origin::Made, name, daemon);
        #[cfg(all(feature = "watch", not(loom)))]
        if self.service {
            record.set_service();
        }
        Arc::new(record)
    }
}

/// Starts a thread that was made before.
pub(super) fn start<T: Send + 'static>(record: &Shared, packet: &Arc<Packet<T>>) -> Result<(), StartError> {
    let its_packet = packet.clone();
    // SAFETY: `'static` things borrow nothing.
    unsafe { launch(record, packet, move || its_packet.take_task()()) }
}

/// Has the system make the thread.
///
/// # Safety
/// What `f` and its value borrow must outlive the thread's life: until it is finished.
unsafe fn launch<F, T>(record: &Shared, packet: &Arc<Packet<T>>, f: F) -> Result<(), StartError>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if !registry::start(record, exit::handler) {
        return Err(StartError::AlreadyStarted);
    }
    let not_made = CallOff(record);
    hook::note_locations();
    // `std` prints this name with a panic, and takes no NUL.
    let mut builder = std::thread::Builder::new().name(record.name.get().replace('\0', " "));
    if let Some(size) = packet.stack_size {
        builder = builder.stack_size(size);
    }
    let (of_thread, its_packet) = (record.clone(), packet.clone());
    // SAFETY: the closure's borrows are those of `f` and its value, of which the caller takes care:
    // `live` is through with both before the thread is finished.
    let made = unsafe { builder.spawn_unchecked(move || live(of_thread, its_packet, f)) };
    let _detached = made.map_err(StartError::System)?;
    std::mem::forget(not_made);
    Ok(())
}

/// The start of a thread, which is called off when this is dropped: also when the destructor of
/// what the thread would have run panics.
struct CallOff<'a>(&'a Shared);

impl Drop for CallOff<'_> {
    fn drop(&mut self) {
        registry::call_off(self.0);
    }
}

/// A thread's life. It is finished when its thread locals have gone after this.
fn live<T>(record: Shared, packet: Arc<Packet<T>>, f: impl FnOnce() -> T) {
    current::begin(&record);
    let outcome = catch_unwind(AssertUnwindSafe(f)).map_err(Panic::caught);
    packet.leave(&Thread::of(record), outcome);
    drop(packet);
    current::end();
}
