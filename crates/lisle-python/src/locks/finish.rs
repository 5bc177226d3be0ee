//! `Finish`: the end of a thread that Python made, for those who join it.

use crate::kit::class::instance;
use crate::kit::ffi::{new_bool, new_none};
use crate::kit::time;
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Body, Class, Obj, body, py};
use lisle::Kind;
use lisle::embed::{self, Owner, Subject, Waiting};
use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// | `thread` | `ended` | |
/// |---|---|---|
/// | 0 | false | the thread has not begun |
/// | its ident | false | it runs |
/// | its ident | true | it has ended, or is about to without calling any more Python code |
struct Finish {
    thread: AtomicU32,
    ended: AtomicBool,
}

impl Body for Finish {}

/// Who joins a thread waits for that thread.
impl Subject for Finish {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match embed::find(self.thread.load(Ordering::Relaxed)) {
            Some(thread) => write!(f, "of thread {:?}", thread.name().unwrap_or_default()),
            None => f.write_str("of a thread"),
        }
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        let thread = self.thread.load(Ordering::Relaxed);
        if thread != 0 {
            found(Owner::runs(thread));
        }
    }
}

pub(crate) fn class() -> Obj {
    Class::of::<Finish>(c"lisle._lisle.Finish", c"The end of a thread.")
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .no_args(c"begin", begin, c"Called by the thread when it begins.")
        .no_args(c"end", end, c"Called by the thread when it ends.")
        .one_arg(c"wait", wait_, c"Waits for the end, at most so many seconds; None is for ever. True if it has come.")
        .make(ptr::null_mut())
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: attached.
    unsafe { instance(class, Finish { thread: AtomicU32::new(0), ended: AtomicBool::new(false) }) }
}

unsafe extern "C-unwind" fn begin(finish: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        body::<Finish>(finish).thread.store(embed::ident(), Ordering::Release);
        new_none()
    }
}

unsafe extern "C-unwind" fn end(finish: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let it = body::<Finish>(finish);
        it.ended.store(true, Ordering::SeqCst);
        embed::unpark(ptr::from_ref(it).addr(), usize::MAX);
        new_none()
    }
}

fn describe(finish: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // SAFETY: it is alive while it is waited for.
    unsafe { body::<Finish>(finish) }.describe(f)
}

unsafe extern "C-unwind" fn wait_(finish: Obj, timeout: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let Some(limit) = time::of_wait(timeout) else { return ptr::null_mut() };
        let it = body::<Finish>(finish);
        let ended = || it.ended.load(Ordering::SeqCst);
        if ended() {
            return new_bool(true);
        }
        let waited = wait(Described { object: finish, describe }, limit, &mut |deadline| {
            let waiting = Waiting { subject: it, deadline, ..Waiting::new(Kind::Join) };
            while !ended() {
                embed::park(ptr::from_ref(it).addr(), &waiting, || !ended())?;
            }
            Ok(())
        });
        match waited {
            Waited::Raised => ptr::null_mut(),
            waited => new_bool(waited == Waited::Granted),
        }
    }
}
