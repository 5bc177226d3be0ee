//! What becomes of the lot in the child of a `fork`: it starts empty, with one thread.

use super::latest::Latest;
use super::lot::WholeLot;
use super::names::{self, Names};
#[cfg(all(feature = "watch", target_os = "linux"))]
use super::private::{self, Private};
use super::record::Shared;
use super::registry::{self, Registry};
use super::site::{self, Places};
use super::sys::{self, PlainGuard};
use super::{current, deadlock, watched};
use std::any::Any;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};

/// The library's locks, held across the fork so that the child finds nothing half done. They are
/// taken, and given back, in the order of the fields.
struct Held {
    lot: WholeLot,
    registry: PlainGuard<'static, Registry>,
    _names: PlainGuard<'static, Names>,
    _places: PlainGuard<'static, Places>,
    _reported: Box<dyn Any>,
    _also: Option<Box<dyn Any>>,
    watched: watched::Held,
    _closed: sys::Closed,
    #[cfg(all(feature = "watch", target_os = "linux"))]
    private: PlainGuard<'static, Private>,
}

thread_local! {
    // Without a destructor, so that it can be reached when the thread's other locals are gone.
    static HELD: Cell<Option<ManuallyDrop<Held>>> = const { Cell::new(None) };
}

static ALSO: Latest<fn() -> Box<dyn Any>> = Latest::none();

/// Has the lock that this takes held across forks, too. No other may be taken under it. There is room for one: the
/// pools' table of their workers, of which nothing in here knows.
pub(crate) fn hold_also(lock: fn() -> Box<dyn Any>) {
    if ALSO.get().is_none() {
        watch();
        let _registry = registry::lock(); // a fork that has begun is over before the lock is first taken
        ALSO.set(lock);
    }
}

/// Asks the system to tell us of forks. Two go unnoticed, and their children may use nothing of this
/// library: one made by a bare system call, and one that has begun when the process calls in for
/// the first time, on another thread.
pub(super) fn watch() {
    // Not a `Once`: a fork of which we are not told yet could leave it begun for ever.
    static ASKED: AtomicBool = AtomicBool::new(false);
    if !ASKED.load(Ordering::Relaxed) && !ASKED.swap(true, Ordering::Relaxed) {
        // SAFETY: the three are plain functions without arguments that live as long as the image.
        unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    }
}

extern "C" fn prepare() {
    current::with(|_| ()); // adopts the thread while that can still take locks
    let held = Held {
        lot: WholeLot::lock(),
        registry: registry::lock(),
        _names: names::lock(),
        _places: site::lock(),
        _reported: Box::new(deadlock::lock_reported()),
        _also: ALSO.get().map(|lock| lock()),
        watched: watched::Held::lock(),
        _closed: sys::close(),
        #[cfg(all(feature = "watch", target_os = "linux"))]
        private: private::lock(),
    };
    HELD.set(Some(ManuallyDrop::new(held)));
}

fn take() -> Option<Held> {
    HELD.take().map(ManuallyDrop::into_inner)
}

extern "C" fn in_parent() {
    drop(take());
}

extern "C" fn in_child() {
    let Some(mut held) = take() else { return };
    held.lot.clear();
    held.watched.clear();
    #[cfg(all(feature = "watch", target_os = "linux"))]
    {
        held.private.close();
        super::order::forget();
    }
    let gone: Vec<Shared> = current::with(|me| {
        me.meet_system();
        #[cfg(all(feature = "outside", target_os = "linux"))]
        me.parker.forget_bell();
        me.set_daemon(false); // it is the main thread now
        held.registry.retain_only(me)
    });
    for record in gone {
        // Nobody runs them here: whoever joins one shall not wait for ever. Nobody waits yet, so
        // nobody has to be woken.
        record.vanish();
    }
    drop(held);
}
