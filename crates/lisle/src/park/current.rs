//! The calling thread's record.

use super::label::Label;
use super::record::{Life, Origin, Record, Shared};
use super::{registry, sys, watched};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
        /// Whether the thread's end is a real one, see `Leave`.
        static ENDS: Cell<bool> = const { Cell::new(false) };
    }

    /// Its destructor is the thread's end. `std` runs the destructors of thread locals in the
    /// reverse order of their first use, and a thread that we make uses this one first: all other
    /// thread locals are gone when the thread is reported as finished.
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            let record = RECORD.get();
            // `exit` runs these destructors too, on the thread that calls it. That thread has not
            // ended: it goes on, through what is registered with `atexit`, and stays who it is.
            if record.is_null() || !ENDS.get() {
                return;
            }
            RECORD.set(std::ptr::null());
            // SAFETY: `enter` got the pointer from `Arc::into_raw`, and we just took it out.
            registry::finish(&unsafe { Arc::from_raw(record) });
            IDENT.set(0);
            watched::leave(); // it has woken who waited for its end
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
            adopt(None);
            record = RECORD.get();
        }
        // SAFETY: a non-null pointer is the one `enter` got from `Arc::into_raw`; only the
        // thread's end takes it out, which cannot come while `use_it` runs. `ManuallyDrop` leaves
        // the count as it is.
        let record = ManuallyDrop::new(unsafe { Arc::from_raw(record) });
        use_it(&record)
    }

    /// Calls `use_it` with the calling thread's record, unless it has not called in yet or has ended.
    #[cfg(feature = "watch")]
    pub(crate) fn if_known<R>(use_it: impl FnOnce(&Record) -> R) -> Option<R> {
        // SAFETY: as in `with`.
        unsafe { RECORD.get().as_ref() }.map(use_it)
    }

    /// Whether the thread is past the point where its end could be noticed: in the destructor of a
    /// thread local that outlives ours, or in a handler of `atexit`.
    pub(crate) fn is_late() -> bool {
        LEAVE.try_with(|_| ()).is_err()
    }

    /// Makes `record` the calling thread's; its end will be noticed unless [`is_late`].
    pub(crate) fn enter(record: Shared) {
        ENDS.set(record.origin == Origin::Adopted);
        IDENT.set(record.ident());
        RECORD.set(Arc::into_raw(record));
    }

    /// What the thread was made for is over.
    pub(crate) fn end() {
        ENDS.set(true);
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
            adopt(None);
        }
        let record = RECORD.with(|record| record.borrow().clone().expect("adopted"));
        use_it(&record)
    }

    pub(crate) fn is_late() -> bool {
        false
    }

    pub(crate) fn enter(record: Shared) {
        RECORD.with(|mine| *mine.borrow_mut() = Some(record));
    }

    pub(crate) fn end() {}
}

#[cfg(all(feature = "watch", not(loom)))]
pub(crate) use store::if_known;
pub(crate) use store::{end, ident_if_known, with};

/// The calling thread's ident.
#[inline]
pub(crate) fn ident() -> u32 {
    match ident_if_known() {
        0 => first_ident(),
        ident => ident,
    }
}

#[cold]
fn first_ident() -> u32 {
    with(|me| me.ident())
}

/// The calling thread's record, shared.
pub(crate) fn get() -> Shared {
    with(Arc::clone)
}

/// Calls `call`, which goes by `label` where the thread's waits are told. Calls may be nested: the
/// innermost counts. Costs two plain stores.
pub(crate) fn doing<R>(label: &Label, call: impl FnOnce() -> R) -> R {
    /// Its drop is the end of the call, also of one that panics.
    struct Doing<'a>(&'a Record, *mut Label);

    impl Drop for Doing<'_> {
        fn drop(&mut self) {
            self.0.doing.store(self.1, Ordering::Relaxed);
        }
    }

    with(|me| {
        // Relaxed, since it is read by who holds the lock of a bucket in which this thread has
        // queued itself since.
        let _doing = Doing(me, me.doing.load(Ordering::Relaxed));
        me.doing.store(ptr::from_ref(label).cast_mut(), Ordering::Relaxed);
        call()
    })
}

/// A thread that we made begins to run. To be its first act: see `Leave`.
pub(crate) fn begin(record: &Shared) {
    let _ = store::is_late(); // uses the thread local whose destructor has to come last
    record.meet_system();
    let name = record.name.get();
    // `std` has given the kernel as much of the head as it takes; better if some of the tail is in.
    if name.len() > sys::NATIVE_NAME {
        sys::set_native_name(name);
    }
    store::enter(record.clone());
    record.enter(Life::Alive);
}

/// What has to be there before the first thread is.
pub(super) fn set_up_process() {
    sys::register_barrier();
    #[cfg(all(unix, not(loom)))]
    super::fork::watch();
}

/// The calling thread goes by that name from now on, and is adopted by it if this is its first call.
pub(crate) fn introduce(name: &str) -> Shared {
    if ident_if_known() == 0 {
        adopt(Some(name));
    }
    get()
}

/// The main thread or another OS thread calls in for the first time.
#[cold]
fn adopt(name: Option<&str>) {
    set_up_process();
    let late = store::is_late();
    let main = !registry::lock().main_is_in() && sys::is_main_thread(late) && registry::lock().let_main_in();
    let record = if main { main_record() } else { adopted_record(name, late) };
    record.meet_system();
    store::enter(record.clone());
    if late && !main {
        // Nobody will tell us of the thread's end, so it must not stay in the registry.
        registry::lock().remove(&record);
    }
    if !late {
        super::first_use();
    }
}

fn adopted_record(name: Option<&str>, late: bool) -> Shared {
    let record = Arc::new(Record::new(Origin::Adopted, String::new(), true));
    // A thread's own locals are where `std` keeps its name.
    let name = name.map(str::to_owned);
    let name = name.or_else(|| if late { None } else { std::thread::current().name().map(str::to_owned) });
    record.name.set(name.unwrap_or_else(|| format!("Adopted-{}", record.serial)));
    record.mark(Life::Alive);
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
    record.mark(Life::Alive);
    registry.add(&record);
    record
}
