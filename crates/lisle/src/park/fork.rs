//! What becomes of the lot in the child of a `fork`: it starts empty, with one thread.

use super::lot::WholeLot;
use super::names::{self, Names};
use super::record::{Life, Shared};
use super::registry::{self, Registry};
use super::sys::PlainGuard;
use super::{current, report};
use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

/// The library's locks, held across the fork so that the child finds nothing half done.
struct Held {
    lot: WholeLot,
    registry: PlainGuard<'static, Registry>,
    names: PlainGuard<'static, Names>,
    hooks: Vec<Box<dyn Any>>,
}

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Asks the system to tell us of forks. A child made by a bare system call goes unnoticed; it may
/// use nothing of this library.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the three are plain functions without arguments that live as long as the image.
        unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    });
}

extern "C" fn prepare() {
    current::with(|_| ()); // adopts the thread while that can still take locks
    let hooks: Vec<Box<dyn Any>> = vec![Box::new(report::lock_hook())];
    let held = Held { hooks, lot: WholeLot::lock(), registry: registry::lock(), names: names::lock() };
    HELD.with(|slot| *slot.borrow_mut() = Some(held));
}

fn take() -> Option<Held> {
    HELD.with(|slot| slot.borrow_mut().take())
}

extern "C" fn in_parent() {
    drop(take());
}

extern "C" fn in_child() {
    let Some(mut held) = take() else { return };
    held.lot.clear();
    let gone: Vec<Shared> = current::with(|me| {
        me.meet_system();
        held.registry.retain_only(me)
    });
    for record in gone {
        // Nobody runs them here: whoever joins one shall not wait for ever. Nobody waits yet, so
        // nobody has to be woken.
        record.mark(Life::Finished);
    }
    drop(held.names);
    drop(held.registry);
    drop(held.lot);
    drop(held.hooks);
}
