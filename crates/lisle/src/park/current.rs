//! The calling thread's record.

use super::record::{Life, Origin, Record, Shared};
use super::{registry, sys};
use std::sync::Arc;

#[cfg(not(loom))]
mod store {
    use super::*;
    use std::cell::Cell;
    use std::mem::ManuallyDrop;

    thread_local! {
        // Without destructors: they cost nothing to reach and can be reached to the thread's end.
        static IDENT: Cell<u32> = const { Cell::new(0) };
        static RECORD: Cell<*const Record> = const { Cell::new(std::ptr::null()) };
        static LEAVE: Leave = const { Leave };
    }

    /// Its destructor is the thread's end. `std` runs the destructors of thread locals in the
    /// reverse order of their first use, and a thread that we make uses this one first: all other
    /// thread locals are gone when the thread is reported as finished.
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            let record = RECORD.replace(std::ptr::null());
            IDENT.set(0);
            if !record.is_null() {
                // SAFETY: `enter` got the pointer from `Arc::into_raw`, and we just took it out.
                leave(&unsafe { Arc::from_raw(record) });
            }
        }
    }

    /// The calling thread's ident, or 0 if it has not called in yet.
    #[inline(always)]
    pub(crate) fn ident_if_known() -> u32 {
        IDENT.get()
    }

    /// Calls `use_it` with the calling thread's record, adopting the thread if need be.
    #[inline]
    pub(crate) fn with<R>(use_it: impl FnOnce(&Shared) -> R) -> R {
        let mut record = RECORD.get();
        if record.is_null() {
            adopt();
            record = RECORD.get();
        }
        // SAFETY: a non-null pointer is the one `enter` got from `Arc::into_raw`; only the
        // thread's end takes it out, which cannot come while `use_it` runs. `ManuallyDrop` leaves
        // the count as it is.
        let record = ManuallyDrop::new(unsafe { Arc::from_raw(record) });
        use_it(&record)
    }

    /// Makes `record` the calling thread's; false if the thread is past the point where its end
    /// could be noticed.
    pub(crate) fn enter(record: Shared) -> bool {
        let noticed = LEAVE.try_with(|_| ()).is_ok();
        IDENT.set(record.ident());
        RECORD.set(Arc::into_raw(record));
        noticed
    }
}

#[cfg(loom)]
mod store {
    use super::*;
    use std::cell::RefCell;

    loom::thread_local! {
        static RECORD: RefCell<Option<Shared>> = RefCell::new(None);
    }

    pub(crate) fn ident_if_known() -> u32 {
        RECORD.with(|record| record.borrow().as_ref().map_or(0, |record| record.ident()))
    }

    pub(crate) fn with<R>(use_it: impl FnOnce(&Shared) -> R) -> R {
        if ident_if_known() == 0 {
            adopt();
        }
        let record = RECORD.with(|record| record.borrow().clone().expect("adopted"));
        use_it(&record)
    }

    pub(crate) fn enter(record: Shared) -> bool {
        RECORD.with(|mine| *mine.borrow_mut() = Some(record));
        true
    }
}

pub(crate) use store::{ident_if_known, with};

/// The calling thread's ident.
#[inline]
pub(crate) fn ident() -> u32 {
    match ident_if_known() {
        0 => with(|me| me.ident()),
        ident => ident,
    }
}

/// The calling thread's record, shared.
pub(crate) fn get() -> Shared {
    with(Arc::clone)
}

/// A thread that we made begins to run.
pub(crate) fn begin(record: Shared) {
    record.meet_system();
    sys::set_native_name(record.name.get());
    store::enter(record.clone());
    record.enter(Life::Alive);
}

/// The main thread or another OS thread calls in for the first time.
#[cold]
fn adopt() {
    sys::register_barrier();
    #[cfg(all(unix, not(loom)))]
    super::fork::watch();
    let main = sys::is_main_thread();
    let record = if main { main_record() } else { adopted_record() };
    record.meet_system();
    if !store::enter(record.clone()) && !main {
        // Called from a thread local's destructor after our own has run: nobody will tell us of
        // the thread's end, so it must not stay in the registry.
        registry::lock().remove(&record);
    }
}

fn adopted_record() -> Shared {
    let record = Arc::new(Record::new(Origin::Adopted, String::new(), true));
    record.name.set(match std::thread::current().name() {
        Some(name) => name.to_owned(),
        None => format!("Adopted-{}", record.serial),
    });
    record.advance(Life::Initial, Life::Alive);
    registry::lock().add(&record);
    record
}

/// The main thread's record, made at first need: also when another thread asks for it.
pub(crate) fn main_record() -> Shared {
    let mut registry = registry::lock();
    if let Some(main) = registry.main() {
        return main.clone();
    }
    let record = Arc::new(Record::new(Origin::Main, "main".into(), false));
    record.advance(Life::Initial, Life::Alive);
    registry.add(&record);
    record
}

/// The calling thread ends.
#[cfg(not(loom))]
fn leave(record: &Shared) {
    if record.origin == Origin::Main {
        return; // the process goes with it, or lives on without: either way it stays on the list
    }
    registry::lock().remove(record);
    record.enter(Life::Finished);
}
