//! Who waits for several futures: it is entered with each of them, and they tell it.

use super::state::*;
use super::wait::{Watched, name_owners};
use super::{FUTURE_BASE, list_remove};
use crate::kit::class::{Keywords, instance};
use crate::kit::ffi::{new_bool, new_none, new_ref, raise};
use crate::kit::latch::Latch;
use crate::kit::time;
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Body, Class, Names, Obj, args, arguments, body, py};
use crate::pool;
use lisle::Kind;
use lisle::embed::{self, Bond, Owner, Subject, Waiting};
use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a future is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Result,
    Exception,
    Cancelled,
}

pub(super) struct Waiter {
    latch: Latch,
    /// 1 when the wait is over. At its address the waiting thread sleeps.
    rung: AtomicU32,
    /// How many more have to be done for that.
    left: Cell<isize>,
    /// Whether one that failed is enough.
    on_failure: bool,
    /// A list of those that have told.
    finished: Cell<Obj>,
}

impl Body for Waiter {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        visit(self.finished.get())
    }

    unsafe fn clear(this: *mut Waiter) {
        // SAFETY: alive, and taken out before it is let go of.
        unsafe { py::Py_XDECREF((*this).finished.replace(ptr::null_mut())) }
    }
}

pub(super) fn class() -> Obj {
    Class::of::<Waiter>(c"lisle._lisle.Waiter", c"Waits for several futures, which are entered by watch().")
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .one_arg(
            c"watch",
            watch,
            c"Enters a future: False, or True if it is done already; None if the caller has to do it.",
        )
        .one_arg(c"unwatch", unwatch, c"Takes back watch(): None if the caller has to do it.")
        .one_arg(c"add_result", add_result, c"The future has a result.")
        .one_arg(c"add_exception", add_exception, c"The future has failed.")
        .one_arg(c"add_cancelled", add_cancelled, c"The future was cancelled.")
        .keywords(c"wait", wait_ as Keywords, c"Waits for those futures, and tells whether it is over.")
        .no_args(c"take", take, c"Those that have told since the last time; begins anew.")
        .make(ptr::null_mut())
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, given: Obj, kwargs: Obj) -> Obj {
    const TO: Names<2> = Names { function: "Waiter", names: [c"count", c"on_failure"], required: 2 };
    // SAFETY: attached; arguments as `tp_new` gets them.
    unsafe {
        let Some([count, on_failure]) = args::unpack(&TO, given, kwargs) else { return ptr::null_mut() };
        let left = py::PyLong_AsSsize_t(count);
        if left == -1 && !py::PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let finished = py::PyList_New(0);
        if finished.is_null() {
            return finished;
        }
        let waiter = Waiter {
            latch: Latch::new(),
            rung: AtomicU32::new(0),
            left: Cell::new(left),
            on_failure: on_failure == py::Py_True(),
            finished: Cell::new(finished),
        };
        instance(class, waiter)
    }
}

/// Notes that a future is done. Runs no Python code.
unsafe fn tell(waiter: Obj, future: Obj, how: How) -> c_int {
    // SAFETY: attached; the caller holds both.
    unsafe {
        let it = body::<Waiter>(waiter);
        it.latch.lock();
        let finished = it.finished.get();
        let added = if finished.is_null() { 0 } else { py::PyList_Append(finished, future) };
        let left = it.left.get() - 1;
        it.left.set(left);
        if left <= 0 || it.on_failure && how == How::Exception {
            it.rung.store(1, Ordering::Release);
        }
        let rung = it.rung.load(Ordering::Relaxed) == 1;
        it.latch.unlock();
        if rung {
            embed::unpark(&raw const it.rung as usize, 1);
        }
        added
    }
}

/// Tells all waiters of the list, which are ours.
pub(super) unsafe fn tell_all(waiters: Obj, future: Obj, how: How) {
    // SAFETY: attached; nobody else can reach the list.
    unsafe {
        for at in 0..py::PyList_Size(waiters) {
            if tell(py::PyList_GetItem(waiters, at), future, how) < 0 {
                py::PyErr_Clear(); // no memory for a list of one more
            }
        }
    }
}

unsafe fn told(waiter: Obj, future: Obj, how: How) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { if tell(waiter, future, how) < 0 { ptr::null_mut() } else { new_none() } }
}

unsafe extern "C-unwind" fn add_result(waiter: Obj, future: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { told(waiter, future, How::Result) }
}

unsafe extern "C-unwind" fn add_exception(waiter: Obj, future: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { told(waiter, future, How::Exception) }
}

unsafe extern "C-unwind" fn add_cancelled(waiter: Obj, future: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { told(waiter, future, How::Cancelled) }
}

unsafe fn is_ours(future: Obj) -> bool {
    // SAFETY: attached.
    unsafe { py::PyObject_TypeCheck(future, FUTURE_BASE.get().cast()) != 0 }
}

unsafe extern "C-unwind" fn watch(waiter: Obj, future: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        if !is_ours(future) {
            return new_none();
        }
        let it = body::<Future>(future);
        it.latch.lock();
        while phase(it.load()) < NOTIFIED && it.waiters.get().is_null() {
            it.latch.unlock();
            if !super::expose::list_in(it, &it.waiters) {
                return ptr::null_mut();
            }
            it.latch.lock();
        }
        let word = it.load();
        let done = phase(word) >= NOTIFIED;
        let mut added = 0;
        if word & EXPOSED == 0 && !done {
            added = py::PyList_Append(it.waiters.get(), waiter);
        }
        it.latch.unlock();
        match added {
            0 if word & EXPOSED != 0 => new_none(),
            0 => new_bool(done),
            _ => ptr::null_mut(),
        }
    }
}

unsafe extern "C-unwind" fn unwatch(waiter: Obj, future: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        if !is_ours(future) {
            return new_none();
        }
        let it = body::<Future>(future);
        it.latch.lock();
        let exposed = it.load() & EXPOSED != 0;
        if !exposed && !it.waiters.get().is_null() {
            list_remove(it.waiters.get(), waiter);
        }
        it.latch.unlock();
        if exposed { new_none() } else { new_bool(true) }
    }
}

/// What the thread waits for.
struct Set {
    futures: Box<[Watched]>,
    /// Whether one is enough.
    any: bool,
    /// Whether there are others, of which nothing is known.
    foreign: bool,
}

impl Subject for Set {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of Python")
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        if self.foreign && self.any {
            return found(Owner::any(1, 0, Bond::Calls));
        }
        // Each prospect once: of a hundred thousand that wait in one pool, all depend on the same workers.
        let mut told = HashSet::new();
        for word in self.futures.iter().map(|future| future.word()) {
            let prospect = match phase(word) < NOTIFIED {
                true => prospect(word),
                // Done, and about to tell.
                false if self.any => Prospect::Unknown,
                false => continue,
            };
            if told.insert(prospect) {
                name_owners(prospect, if self.any { 1 } else { told.len() as u32 }, found);
            }
        }
    }
}

fn describe(_: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("of several")
}

/// `wait(timeout, futures, any)`: `futures` is a sequence that the caller keeps.
unsafe extern "C-unwind" fn wait_(waiter: Obj, given: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<3> = Names { function: "wait", names: [c"timeout", c"futures", c"any"], required: 3 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([timeout, futures, any]) = arguments(&TO, given, count, keywords) else { return ptr::null_mut() };
        let it = body::<Waiter>(waiter);
        let is_over = || it.rung.load(Ordering::Acquire) == 1;
        if is_over() {
            return new_bool(true);
        }
        if py::PyTuple_Check(futures) == 0 {
            return raise(py::PyExc_TypeError, c"the futures are a tuple");
        }
        let Some(limit) = time::of_wait(timeout) else { return ptr::null_mut() };
        let all = py::PyTuple_Size(futures);
        for at in 0..all {
            let future = py::PyTuple_GetItem(futures, at);
            if is_ours(future) {
                let word = body::<Future>(future).load();
                match pool::help(future, super::state::pool(word)) {
                    pool::Helped::Raised => return ptr::null_mut(),
                    pool::Helped::Yes if is_over() => return new_bool(true),
                    _ => {}
                }
            }
        }
        // A pointer, by the rule of the frames.
        let set = Box::into_raw(Box::new(set_of(futures, all, any == py::Py_True())));
        let ended = wait(Described { object: waiter, describe }, limit, &mut |deadline| {
            let waiting = Waiting { subject: &*set, deadline, ..Waiting::new(Kind::Future) };
            while !is_over() {
                embed::park(&raw const it.rung as usize, &waiting, || !is_over())?;
            }
            Ok(())
        });
        drop(Box::from_raw(set));
        match ended {
            Waited::Raised => ptr::null_mut(),
            _ => new_bool(is_over()),
        }
    }
}

/// Runs no Python code.
unsafe fn set_of(futures: Obj, count: isize, any: bool) -> Set {
    // SAFETY: attached; the caller keeps the tuple, and so the futures, for as long as the set lives.
    unsafe {
        let all = (0..count).map(|at| py::PyTuple_GetItem(futures, at));
        let ours: Box<[Watched]> =
            all.filter(|&one| is_ours(one)).map(|one| Watched(&raw const body::<Future>(one).word)).collect();
        let foreign = ours.len() < count as usize;
        Set { futures: ours, any, foreign }
    }
}

unsafe extern "C-unwind" fn take(waiter: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let list = py::PyList_New(0);
        if list.is_null() {
            return list;
        }
        let it = body::<Waiter>(waiter);
        it.latch.lock();
        let finished = it.finished.replace(list);
        it.rung.store(0, Ordering::Release);
        it.left.set(1);
        it.latch.unlock();
        if finished.is_null() { new_ref(list) } else { finished }
    }
}
