//! What stands in a pool's queue: a call of whatever kind, without an allocation of its own if it is
//! small.

use super::failure::Failure;
use crate::park::Label;
use std::mem::{ManuallyDrop, MaybeUninit};

/// What is to be done once, and by one of these: it is run, or it fails, or it is cancelled. None of
/// them panics.
pub(super) trait Work: Send {
    fn run(self);
    fn fail(self, failure: &Failure);
    fn cancel(self);
    /// What reports call it by.
    fn label(&self) -> &Label;
}

/// Work of whatever type: in place if it takes no more than two words, else in a box. Where threads
/// hand each other many small calls, making and freeing boxes would be most of what they do.
///
/// Dropped without being run, it is cancelled.
pub(super) struct Task {
    table: &'static Table,
    place: Place,
}

type Place = [MaybeUninit<*mut ()>; 2];

/// The methods of a type of work, of which all but the last take it out of its place.
struct Table {
    run: unsafe fn(Place),
    fail: unsafe fn(Place, &Failure),
    cancel: unsafe fn(Place),
    label: unsafe fn(&Place) -> *const Label,
}

trait HasTable {
    const FITS: bool;
    const TABLE: Table;
}

impl<W: Work> HasTable for W {
    const FITS: bool = size_of::<W>() <= size_of::<Place>() && align_of::<W>() <= align_of::<Place>();
    const TABLE: Table = Table { run: run::<W>, fail: fail::<W>, cancel: cancel::<W>, label: label::<W> };
}

// SAFETY: what is in place is `Work`, hence `Send`.
unsafe impl Send for Task {}

impl Task {
    #[inline(always)]
    pub(super) fn new<W: Work + 'static>(work: W) -> Task {
        // SAFETY: the work borrows nothing.
        unsafe { Task::borrowing(work) }
    }

    /// # Safety
    /// What the work borrows must outlive the task.
    #[inline(always)]
    pub(super) unsafe fn borrowing<W: Work>(work: W) -> Task {
        let mut place: Place = [MaybeUninit::uninit(); 2];
        if W::FITS {
            // SAFETY: it fits, in size and alignment.
            unsafe { place.as_mut_ptr().cast::<W>().write(work) };
        } else {
            place[0].write(Box::into_raw(Box::new(work)).cast());
        }
        Task { table: const { &W::TABLE }, place }
    }

    #[inline(always)]
    pub(super) fn run(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: the table is that of what is in place, which nobody uses after this.
        unsafe { (this.table.run)(this.place) }
    }

    pub(super) fn fail(self, failure: &Failure) {
        let this = ManuallyDrop::new(self);
        // SAFETY: likewise.
        unsafe { (this.table.fail)(this.place, failure) }
    }

    /// What reports call it by.
    #[inline(always)]
    pub(super) fn label(&self) -> &Label {
        // SAFETY: the table is that of what is in place, and the label a part of that.
        unsafe { &*(self.table.label)(&self.place) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: the table is that of what is in place, which nobody uses after this.
        unsafe { (self.table.cancel)(self.place) }
    }
}

/// # Safety
/// A `W` is in place, and nobody uses it after this.
#[inline(always)]
unsafe fn take<W: Work>(place: &Place) -> W {
    // SAFETY: as the caller says, and as `borrowing` has put it there.
    unsafe {
        match W::FITS {
            true => place.as_ptr().cast::<W>().read(),
            false => *Box::from_raw(place[0].assume_init().cast::<W>()),
        }
    }
}

/// # Safety
/// As for [`take`].
unsafe fn run<W: Work>(place: Place) {
    // SAFETY: the caller's duty is the same.
    unsafe { take::<W>(&place) }.run();
}

/// # Safety
/// As for [`take`].
unsafe fn fail<W: Work>(place: Place, failure: &Failure) {
    // SAFETY: the caller's duty is the same.
    unsafe { take::<W>(&place) }.fail(failure);
}

/// # Safety
/// As for [`take`].
unsafe fn cancel<W: Work>(place: Place) {
    // SAFETY: the caller's duty is the same.
    unsafe { take::<W>(&place) }.cancel();
}

/// # Safety
/// A `W` is in place.
unsafe fn label<W: Work>(place: &Place) -> *const Label {
    // SAFETY: as the caller says, and as `borrowing` has put it there.
    let work = unsafe {
        match W::FITS {
            true => &*place.as_ptr().cast::<W>(),
            false => &*place[0].assume_init().cast::<W>(),
        }
    };
    work.label()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::Location;
    use std::sync::{Arc, Mutex};

    struct Noted<const WORDS: usize> {
        notes: Arc<(Label, Mutex<Vec<String>>)>,
        ballast: [usize; WORDS],
    }

    impl<const WORDS: usize> Work for Noted<WORDS> {
        fn run(self) {
            assert_eq!(self.ballast, [7; WORDS]);
            self.notes.1.lock().unwrap().push("run".into());
        }

        fn fail(self, failure: &Failure) {
            self.notes.1.lock().unwrap().push(failure.message());
        }

        fn cancel(self) {
            self.notes.1.lock().unwrap().push("cancelled".into());
        }

        fn label(&self) -> &Label {
            &self.notes.0
        }
    }

    fn each_is_done_once<const WORDS: usize>() {
        let notes = Arc::new((Label::named("work".into(), Location::caller()), Mutex::new(Vec::new())));
        let task = || Task::new(Noted { notes: notes.clone(), ballast: [7; WORDS] });
        assert_eq!(task().label().name(), Some("work"));
        task().run();
        task().fail(&Failure::new("failed"));
        drop(task());
        assert_eq!(*notes.1.lock().unwrap(), ["cancelled", "run", "failed", "cancelled"]);
        assert_eq!(Arc::strong_count(&notes), 1);
    }

    #[test]
    fn small_and_large_work_is_done_once() {
        each_is_done_once::<0>();
        each_is_done_once::<1>();
        each_is_done_once::<2>();
        each_is_done_once::<100>();
        const { assert!(<Noted<1> as HasTable>::FITS && !<Noted<2> as HasTable>::FITS) };
    }
}
