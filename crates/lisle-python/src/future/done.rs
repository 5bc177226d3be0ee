//! How a future gets on: begun, done, cancelled, and who is told.

use super::state::*;
use super::waiter::{self, How};
use super::{LOG, call_python, expose, stock};
use crate::kit::ffi::{new_ref, none, unwinding};
use crate::kit::{Names, Obj, arguments, body, py};
use lisle::embed;
use std::ptr;

/// What a future is to be done with.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Result(Obj),
    Exception(Obj),
}

/// The address at which threads sleep until it is done.
pub(super) fn key(it: &Future) -> usize {
    &raw const it.word as usize
}

/// Wakes those who sleep for it, if `word`, as it was until now, says that there are any.
#[inline(always)]
pub(super) fn wake(it: &Future, word: u64) {
    if word & WAITED != 0 {
        embed::unpark(key(it), usize::MAX);
    }
}

/// Does the future, and takes over the reference in `outcome`. False with an exception set if that
/// fails, or a callback raised what callbacks may not.
pub(crate) unsafe fn finish(future: Obj, outcome: Outcome) -> bool {
    // SAFETY: attached; the caller holds the future.
    unsafe {
        let it = body::<Future>(future);
        it.latch.lock();
        let word = it.load();
        if word & EXPOSED != 0 || !is_open(word) {
            it.latch.unlock();
            return finish_slow(future, outcome, word & EXPOSED != 0);
        }
        let how = match outcome {
            Outcome::Result(result) => {
                it.result.set(result);
                How::Result
            }
            Outcome::Exception(exception) => {
                it.exception.set(exception);
                How::Exception
            }
        };
        it.store(turned(word, FINISHED));
        let waiters = it.waiters.replace(ptr::null_mut());
        if !waiters.is_null() {
            waiter::tell_all(waiters, future, how);
        }
        let calls = word & OVERRIDDEN != 0 || !it.callbacks.get().is_null();
        it.latch.unlock();
        wake(it, word);
        py::Py_XDECREF(waiters);
        !calls || invoke(future, word)
    }
}

#[cold]
unsafe fn finish_slow(future: Obj, outcome: Outcome, exposed: bool) -> bool {
    // SAFETY: as for `finish`.
    unsafe {
        let (name, value) = match outcome {
            Outcome::Result(value) => (c"set_result", value),
            Outcome::Exception(value) => (c"set_exception", value),
        };
        let done = if exposed { stock(future, name, &[value]) } else { call_python(&super::INVALID, future, &[]) };
        py::Py_DECREF(value);
        py::Py_XDECREF(done);
        !done.is_null()
    }
}

/// Calls the callbacks, as its class does that.
unsafe fn invoke(future: Obj, word: u64) -> bool {
    // SAFETY: attached; the caller holds the future.
    unsafe {
        if word & OVERRIDDEN == 0 {
            return call_back(future);
        }
        let done = unwinding::PyObject_VectorcallMethod(super::INVOKE.get(), [future].as_ptr(), 1, ptr::null_mut());
        py::Py_XDECREF(done);
        !done.is_null()
    }
}

/// Calls those who have asked for it, in their order. False with an exception set if one raised
/// something that is no `Exception`: then the others are not called.
pub(super) unsafe fn call_back(future: Obj) -> bool {
    // SAFETY: attached; the caller holds the future. Once it is exposed the list belongs to the program.
    unsafe {
        let it = body::<Future>(future);
        it.latch.lock();
        let list = it.callbacks.get();
        py::Py_XINCREF(list);
        it.latch.unlock();
        let fine = list.is_null() || py::PyList_Check(list) == 0 || call_all(future, list);
        py::Py_XDECREF(list);
        fine
    }
}

unsafe fn call_all(future: Obj, list: Obj) -> bool {
    // SAFETY: attached; the caller holds both.
    unsafe {
        let mut at = 0;
        while at < py::PyList_Size(list) {
            #[cfg(Py_3_13)]
            let callback = py::PyList_GetItemRef(list, at);
            #[cfg(not(Py_3_13))]
            let callback = new_ref(py::PyList_GetItem(list, at));
            if callback.is_null() {
                return false; // it was taken out in this moment
            }
            let going_on = call_one(future, callback);
            py::Py_DECREF(callback);
            if !going_on {
                return false;
            }
            at += 1;
        }
    }
    true
}

/// Calls one callback; its exceptions are logged.
pub(super) unsafe fn call_one(future: Obj, callback: Obj) -> bool {
    // SAFETY: attached; the caller holds both.
    unsafe {
        let done = unwinding::PyObject_Vectorcall(callback, [future].as_ptr(), 1, ptr::null_mut());
        if !done.is_null() {
            py::Py_DECREF(done);
            return true;
        }
        if py::PyErr_ExceptionMatches(py::PyExc_Exception) == 0 {
            return false;
        }
        let exception = raised();
        let logged = call_python(&LOG, future, &[exception]);
        py::Py_DECREF(exception);
        py::Py_XDECREF(logged);
        !logged.is_null()
    }
}

/// Takes the exception that is set, with its traceback in it.
pub(crate) unsafe fn raised() -> Obj {
    // SAFETY: attached, and an exception is set.
    unsafe {
        #[cfg(Py_3_12)]
        return py::PyErr_GetRaisedException();
        #[cfg(not(Py_3_12))]
        {
            let (mut kind, mut value, mut trace) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            py::PyErr_Fetch(&mut kind, &mut value, &mut trace);
            py::PyErr_NormalizeException(&mut kind, &mut value, &mut trace);
            if !trace.is_null() {
                py::PyException_SetTraceback(value, trace);
                py::Py_DECREF(trace);
            }
            py::Py_XDECREF(kind);
            value
        }
    }
}

/// Whether a call may begin.
#[derive(PartialEq, Eq)]
pub(crate) enum Begun {
    Yes,
    /// It was cancelled.
    No,
    /// An exception is set.
    Raised,
}

/// `PENDING` → `RUNNING`, by the thread of this ident (0: nobody knows); or takes notice that it was
/// cancelled.
pub(crate) unsafe fn begin(future: Obj, ident: u32) -> Begun {
    // SAFETY: attached; the caller holds the future.
    unsafe {
        let it = body::<Future>(future);
        it.latch.lock();
        let word = it.load();
        if word & EXPOSED == 0 && phase(word) == PENDING {
            it.store(run_by(word, ident));
            it.latch.unlock();
            return Begun::Yes;
        }
        if word & EXPOSED == 0 && phase(word) == CANCELLED {
            it.store(turned(word, NOTIFIED));
            let waiters = it.waiters.replace(ptr::null_mut());
            if !waiters.is_null() {
                waiter::tell_all(waiters, future, How::Cancelled);
            }
            it.latch.unlock();
            py::Py_XDECREF(waiters);
            return Begun::No;
        }
        it.latch.unlock();
        let answer = match word & EXPOSED {
            0 => call_python(&super::UNEXPECTED, future, &[]),
            _ => stock(future, c"set_running_or_notify_cancel", &[]),
        };
        if answer.is_null() {
            return Begun::Raised;
        }
        let yes = answer == py::Py_True();
        py::Py_DECREF(answer);
        if yes { Begun::Yes } else { Begun::No }
    }
}

/// Cancels it if nobody has begun it. Null with an exception set if a callback raised.
pub(super) unsafe extern "C-unwind" fn cancel(future: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let it = body::<Future>(future);
        it.latch.lock();
        let word = it.load();
        if word & EXPOSED != 0 {
            it.latch.unlock();
            return stock(future, c"cancel", &[]);
        }
        if phase(word) != PENDING {
            it.latch.unlock();
            return new_ref(if matches!(phase(word), CANCELLED | NOTIFIED) { py::Py_True() } else { py::Py_False() });
        }
        it.store(turned(word, CANCELLED));
        let calls = word & OVERRIDDEN != 0 || !it.callbacks.get().is_null();
        it.latch.unlock();
        wake(it, word);
        if calls && !invoke(future, word) {
            return ptr::null_mut();
        }
        new_ref(py::Py_True())
    }
}

/// Has `callback` called when it is done; here and now if it is.
pub(super) unsafe extern "C-unwind" fn add_done_callback(
    future: Obj,
    args: *const Obj,
    count: isize,
    keywords: Obj,
) -> Obj {
    const TO: Names<1> = Names { function: "add_done_callback", names: [c"fn"], required: 1 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([callback]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let it = body::<Future>(future);
        it.latch.lock();
        while is_open(it.load()) && it.callbacks.get().is_null() {
            it.latch.unlock();
            if !expose::list_in(it, &it.callbacks) {
                return ptr::null_mut();
            }
            it.latch.lock();
        }
        let word = it.load();
        if word & EXPOSED != 0 {
            it.latch.unlock();
            return stock(future, c"add_done_callback", &[callback]);
        }
        if is_open(word) {
            let added = py::PyList_Append(it.callbacks.get(), callback);
            it.latch.unlock();
            return if added < 0 { ptr::null_mut() } else { new_ref(none()) };
        }
        it.latch.unlock();
        if call_one(future, callback) { new_ref(none()) } else { ptr::null_mut() }
    }
}
