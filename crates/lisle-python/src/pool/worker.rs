//! A worker's loop, and what a worker does while it waits for its own pool.

use super::call::Call;
use super::queue::Queue;
use super::submit::BREATHE;
use super::team;
use crate::kit::ffi::{new_none, unwinding};
use crate::kit::time::Limit;
use crate::kit::wait::INTERRUPTED;
use crate::kit::{Obj, body, py};
use lisle::embed;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The queue of the pool that the thread works for, which its frame holds, or null.
    static EMPLOYER: Cell<Obj> = const { Cell::new(ptr::null_mut()) };
}

/// Makes calls until None comes out of the queue.
pub(super) unsafe extern "C-unwind" fn run(queue: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let it = body::<Queue>(queue);
        let ident = embed::ident();
        team::join(it.number, ident);
        let before = EMPLOYER.replace(queue);
        let mut end = ptr::null_mut();
        loop {
            match it.next(queue, Limit::Never) {
                Ok(call) if call.is_null() => {
                    end = new_none();
                    break;
                }
                Ok(call) if Call::run(call, ident) && breathe() => {}
                // An interrupt that was for an earlier call, or for nobody.
                Err(_) if py::PyErr_ExceptionMatches(INTERRUPTED.get()) != 0 => py::PyErr_Clear(),
                _ => break,
            }
        }
        EMPLOYER.set(before);
        team::leave(it.number, ident);
        end
    }
}

/// Runs a Python function that does nothing: at its beginning the interpreter gives the GIL to who has waited
/// for long, collects garbage, lets go of what others have given back. Calls of functions that are not Python
/// give it no other occasion. False with an exception set if another thread has raised one here.
unsafe fn breathe() -> bool {
    // SAFETY: attached.
    unsafe {
        let done = unwinding::PyObject_Vectorcall(BREATHE.get(), ptr::null(), 0, ptr::null_mut());
        py::Py_XDECREF(done);
        !done.is_null()
    }
}

/// Whether a worker has made a call rather than wait for it.
pub(crate) enum Helped {
    No,
    Yes,
    /// An exception is set.
    Raised,
}

/// Makes the call of this future here and now, if it is pending in the pool of this number, and the
/// calling thread is a worker of that which helps.
pub(crate) unsafe fn help(future: Obj, number: u32) -> Helped {
    // SAFETY: attached; a worker's frame holds its queue.
    unsafe {
        let queue = EMPLOYER.get();
        if number == 0 || queue.is_null() {
            return Helped::No;
        }
        let it = body::<Queue>(queue);
        if it.number != number || !it.help {
            return Helped::No;
        }
        match it.pick(future) {
            None => Helped::No,
            Some(call) if Call::run(call, embed::ident()) => Helped::Yes,
            Some(_) => Helped::Raised,
        }
    }
}

/// Makes the next call of the pool here and now, if the calling thread is a worker of it which helps:
/// for who waits for room.
pub(super) unsafe fn help_out(it: &Queue) -> Helped {
    // SAFETY: attached; a worker's frame holds its queue.
    unsafe {
        let queue = EMPLOYER.get();
        if queue.is_null() || !it.help || body::<Queue>(queue).number != it.number {
            return Helped::No;
        }
        match it.pop() {
            None => Helped::Yes,
            Some(call) if call.is_null() => {
                // For a worker that is at its loop.
                it.latch.lock();
                it.push_and_unlock(call);
                Helped::No
            }
            Some(call) if Call::run(call, embed::ident()) => Helped::Yes,
            Some(_) => Helped::Raised,
        }
    }
}
