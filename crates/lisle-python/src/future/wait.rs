//! Waiting for one future, and what comes of it.

use super::done::key;
use super::state::*;
use super::{CANCELLED_ERROR, stock};
use crate::kit::ffi::{new_none, new_ref, none, py};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Names, Obj, arguments, body};
use crate::pool;
use lisle::Kind;
use lisle::embed::{self, Bond, Owner, Subject, Waiting};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A future's word, as those see it who ask what a thread waits for.
pub(super) struct Watched(pub(super) *const AtomicU64);

// SAFETY: an atomic, of an object that the waiting thread holds.
unsafe impl Sync for Watched {}

impl Watched {
    pub(super) fn word(&self) -> u64 {
        // SAFETY: see above.
        unsafe { (*self.0).load(Ordering::Acquire) }
    }
}

/// Names those on whom it depends that a future with this prospect will be done.
pub(super) fn name_owners(prospect: Prospect, group: u32, found: &mut dyn FnMut(Owner)) {
    match prospect {
        Prospect::Unknown => found(Owner::any(group, 0, Bond::Calls)),
        Prospect::RunBy(ident) => found(Owner::any(group, ident, Bond::Calls)),
        Prospect::PendingIn(number) => {
            pool::team::workers(number, &mut |ident| found(Owner::any(group, ident, Bond::MayRun)));
        }
    }
}

impl Subject for Watched {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of Python")
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        name_owners(prospect(self.word()), 1, found);
    }
}

fn describe(future: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "at {future:p}")
}

/// Waits until it is done, or exposed.
unsafe fn wait_for(future: Obj, limit: Limit) -> Waited {
    // SAFETY: attached; the caller holds the future.
    unsafe {
        let it = body::<Future>(future);
        it.latch.lock();
        let word = it.load();
        if word & EXPOSED == 0 && is_open(word) {
            it.store(word | WAITED);
        }
        it.latch.unlock();
        let subject = Watched(&raw const it.word);
        let pending = || {
            let word = subject.word();
            word & EXPOSED == 0 && is_open(word)
        };
        wait(Described { object: future, describe }, limit, &mut |deadline| {
            let waiting = Waiting { subject: &subject, deadline, ..Waiting::new(Kind::Future) };
            while pending() {
                embed::park(key(it), &waiting, pending)?;
            }
            Ok(())
        })
    }
}

/// What `result` and `exception` do; `name` is that of the two.
#[inline(always)]
unsafe fn outcome(future: Obj, args: *const Obj, count: isize, keywords: Obj, of_exception: bool) -> Obj {
    const TO: [Names<1>; 2] = [
        Names { function: "result", names: [c"timeout"], required: 0 },
        Names { function: "exception", names: [c"timeout"], required: 0 },
    ];
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let mut timeout = ptr::null_mut();
        if count != 0 || !keywords.is_null() {
            let Some([given]) = arguments(&TO[usize::from(of_exception)], args, count, keywords) else {
                return ptr::null_mut();
            };
            timeout = given;
        }
        let it = body::<Future>(future);
        it.latch.lock();
        if it.load() & (7 | EXPOSED) == FINISHED {
            return finished(it, of_exception);
        }
        it.latch.unlock();
        outcome_slow(future, timeout, of_exception)
    }
}

/// The outcome of one that is finished. Gives back the latch.
#[inline(always)]
unsafe fn finished(it: &Future, of_exception: bool) -> Obj {
    // SAFETY: attached; the latch is the caller's.
    unsafe {
        let exception = it.exception.get();
        if exception.is_null() {
            let result = if of_exception { ptr::null_mut() } else { it.result.get() };
            let result = if result.is_null() { new_none() } else { new_ref(result) };
            it.latch.unlock();
            return result;
        }
        new_ref(exception);
        it.latch.unlock();
        if !of_exception && exception != none() {
            raise_object(exception);
            py::Py_DECREF(exception);
            return ptr::null_mut();
        }
        exception
    }
}

#[cold]
unsafe fn outcome_slow(future: Obj, timeout: Obj, of_exception: bool) -> Obj {
    // SAFETY: attached; the caller holds what it gives.
    unsafe {
        let it = body::<Future>(future);
        let name = if of_exception { c"exception" } else { c"result" };
        let mut limit = None;
        loop {
            it.latch.lock();
            let word = it.load();
            if word & EXPOSED != 0 {
                it.latch.unlock();
                return stock_outcome(future, name, timeout, limit);
            }
            match phase(word) {
                FINISHED => return finished(it, of_exception),
                CANCELLED | NOTIFIED => {
                    it.latch.unlock();
                    py::PyErr_SetNone(CANCELLED_ERROR.get());
                    return ptr::null_mut();
                }
                _ => it.latch.unlock(),
            }
            if limit.is_none() {
                limit = time::of_wait(timeout);
                if limit.is_none() {
                    return ptr::null_mut();
                }
                match pool::help(future, pool(word)) {
                    pool::Helped::No => {}
                    pool::Helped::Yes => continue,
                    pool::Helped::Raised => return ptr::null_mut(),
                }
            }
            match wait_for(future, limit.unwrap_or(Limit::Now)) {
                Waited::Granted => {}
                Waited::TimedOut if is_open(it.load()) => {
                    py::PyErr_SetNone(py::PyExc_TimeoutError);
                    return ptr::null_mut();
                }
                Waited::TimedOut => {}
                Waited::Raised => return ptr::null_mut(),
            }
        }
    }
}

/// As the standard library does it, in the time that is left.
unsafe fn stock_outcome(future: Obj, name: &std::ffi::CStr, timeout: Obj, limit: Option<Limit>) -> Obj {
    // SAFETY: attached.
    unsafe {
        let left = match limit {
            None if timeout.is_null() => return stock(future, name, &[]),
            None => return stock(future, name, &[timeout]),
            Some(Limit::Never) => return stock(future, name, &[]),
            Some(Limit::Now) => 0.0,
            Some(Limit::Until(at)) => at.saturating_duration_since(Instant::now()).as_secs_f64(),
        };
        let seconds = py::PyFloat_FromDouble(left);
        if seconds.is_null() {
            return seconds;
        }
        let outcome = stock(future, name, &[seconds]);
        py::Py_DECREF(seconds);
        outcome
    }
}

/// `raise exception`, whatever that is.
unsafe fn raise_object(exception: Obj) {
    // SAFETY: attached; the caller holds it.
    unsafe {
        if py::PyExceptionInstance_Check(exception) != 0 {
            py::PyErr_SetObject(py::Py_TYPE(exception).cast(), exception);
        } else if py::PyExceptionClass_Check(exception) != 0 {
            py::PyErr_SetNone(exception);
        } else {
            crate::kit::ffi::raise(py::PyExc_TypeError, c"exceptions must derive from BaseException");
        }
    }
}

pub(super) unsafe extern "C-unwind" fn result(future: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    // SAFETY: arguments of a method with keywords.
    unsafe { outcome(future, args, count, keywords, false) }
}

pub(super) unsafe extern "C-unwind" fn exception(future: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    // SAFETY: arguments of a method with keywords.
    unsafe { outcome(future, args, count, keywords, true) }
}
