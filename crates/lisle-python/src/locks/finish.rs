//! `Finish`: the end of a thread that Python made, for those who join it.
//!
//! The thread tells who it is when it begins, and that it has ended from the destructor of a thread
//! local, after the last of its Python code: who waits for that finds the interpreter free, and the
//! standard library's own join over at once.

use crate::kit::args::text_of;
use crate::kit::class::instance;
use crate::kit::ffi::{new_bool, new_none};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, set_name, wait};
use crate::kit::{Body, Class, Obj, body, py};
use lisle::Kind;
use lisle::embed::{self, Owner, Subject, Waiting};
use lisle::thread::Thread;
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

struct Finish {
    life: Arc<Life>,
}

impl Body for Finish {}

/// | `thread` | `ended` | |
/// |---|---|---|
/// | none | false | the thread has not begun |
/// | some | false | it runs, unless it was left behind by a fork |
/// | some | true | it has ended |
///
/// Joiners wait at its address, those who want to see it begin one byte further.
struct Life {
    /// Whether it is certain that the thread says so when it begins, if it has not yet.
    comes: AtomicBool,
    thread: OnceLock<Thread>,
    ended: AtomicBool,
}

thread_local! {
    /// The calling thread's, which its destructor ends.
    static MINE: RefCell<Option<Ending>> = const { RefCell::new(None) };
}

struct Ending(Arc<Life>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
        embed::unpark(self.0.end_key(), usize::MAX);
    }
}

impl Life {
    fn end_key(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    fn begin_key(&self) -> usize {
        self.end_key() + 1
    }

    fn has_begun(&self) -> bool {
        self.thread.get().is_some()
    }

    fn comes(&self) -> bool {
        self.comes.load(Ordering::SeqCst) || self.has_begun()
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst) || self.thread.get().is_some_and(Thread::is_finished)
    }
}

/// Who joins a thread waits for that thread.
impl Subject for Life {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.thread.get() {
            Some(thread) => write!(f, "of thread {:?}", thread.name().unwrap_or_default()),
            None => f.write_str("of a thread that has not begun"),
        }
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        if let Some(ident) = self.thread.get().and_then(Thread::ident) {
            found(Owner::runs(ident.get()));
        }
    }
}

pub(crate) fn class() -> Obj {
    Class::of::<Finish>(c"lisle._lisle.Finish", c"The end of a thread.")
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .one_arg(c"begin", begin, c"Called by the thread when it begins, with its name.")
        .getter(c"comes", comes, Some(set_comes), c"Whether the thread has begun, or is certain to.")
        .no_args(
            c"wait_begun",
            wait_begun,
            c"Waits until the thread has begun, or it is no longer certain that it will.",
        )
        .one_arg(c"wait", wait_, c"Waits for the end, at most so many seconds; None is for ever. True if it has come.")
        .make(ptr::null_mut())
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    let life = Life { comes: AtomicBool::new(false), thread: OnceLock::new(), ended: AtomicBool::new(false) };
    // SAFETY: attached.
    unsafe { instance(class, Finish { life: Arc::new(life) }) }
}

unsafe extern "C-unwind" fn begin(finish: Obj, name: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        if py::PyUnicode_Check(name) != 0 {
            set_name(&text_of(name));
        }
        let life = &body::<Finish>(finish).life;
        // Once only: a thread does not begin again.
        if life.thread.set(lisle::thread::current()).is_ok() {
            MINE.set(Some(Ending(life.clone())));
            embed::unpark(life.begin_key(), usize::MAX);
        }
        new_none()
    }
}

unsafe extern "C-unwind" fn comes(finish: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { new_bool(body::<Finish>(finish).life.comes()) }
}

unsafe extern "C-unwind" fn set_comes(finish: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        let life = &body::<Finish>(finish).life;
        let comes = value == py::Py_True();
        life.comes.store(comes, Ordering::SeqCst);
        if !comes {
            embed::unpark(life.begin_key(), usize::MAX);
        }
    }
    0
}

fn describe(finish: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // SAFETY: it is alive while it is waited for.
    unsafe { body::<Finish>(finish) }.life.describe(f)
}

/// Waits at `key` until `done`.
unsafe fn wait_at(finish: Obj, key: usize, limit: Limit, done: impl Fn(&Life) -> bool) -> Obj {
    // SAFETY: attached, with an instance of ours.
    unsafe {
        let life: &Life = &body::<Finish>(finish).life;
        if done(life) {
            return new_bool(true);
        }
        let waited = wait(Described { object: finish, describe }, limit, &mut |deadline| {
            let waiting = Waiting { subject: life, deadline, ..Waiting::new(Kind::Join) };
            while !done(life) {
                embed::park(key, &waiting, || !done(life))?;
            }
            Ok(())
        });
        match waited {
            Waited::Raised => ptr::null_mut(),
            waited => new_bool(waited == Waited::Granted),
        }
    }
}

unsafe extern "C-unwind" fn wait_begun(finish: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        wait_at(finish, body::<Finish>(finish).life.begin_key(), Limit::Never, |life| life.has_begun() || !life.comes())
    }
}

unsafe extern "C-unwind" fn wait_(finish: Obj, timeout: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let Some(limit) = time::of_wait(timeout) else { return ptr::null_mut() };
        wait_at(finish, body::<Finish>(finish).life.end_key(), limit, Life::has_ended)
    }
}
