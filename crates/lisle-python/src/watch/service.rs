//! Threads of the interpreter that do something for lisle: whoever looks at a program has no business in its
//! interpreter, and may not be kept by it.

use crate::kit::Once;
use crate::kit::ffi::{Obj, new_none, py, unwinding};
use crate::kit::wait::{attach, leave, set_service_name};
use lisle::Kind;
use lisle::embed::{self, Subject, Waiting};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `_thread.start_new_thread`: what it starts is in none of `threading`'s lists and keeps nobody waiting.
static START: Once = Once::new();

/// To be called when the module is set up.
pub(super) unsafe fn set_up() -> bool {
    // SAFETY: attached, as all of the module's set-up.
    unsafe {
        let module = py::PyImport_ImportModule(c"_thread".as_ptr());
        if module.is_null() {
            return false;
        }
        let start = py::PyObject_GetAttrString(module, c"start_new_thread".as_ptr());
        py::Py_DECREF(module);
        START.set(start);
        !start.is_null()
    }
}

/// What there is at most one thread for in each process.
pub(super) struct Service<T: 'static> {
    name: &'static str,
    /// That of this process, or of the one that it was forked from.
    here: AtomicPtr<Post<T>>,
}

/// What its thread waits for.
struct Somebody;

impl Subject for Somebody {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("by who looks at the program")
    }
}

/// Where a service's thread waits for something to do, and what passes between it and those who ask. A child of a
/// fork gets another: this one's lock may have been somebody's.
pub(super) struct Post<T> {
    process: u32,
    /// How often it has been asked for something.
    asked: AtomicU32,
    kept: Mutex<T>,
}

impl<T: Default> Service<T> {
    pub(super) const fn new(name: &'static str) -> Service<T> {
        Service { name, here: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Where its thread waits, if this process has one.
    pub(super) fn post(&self) -> Option<&'static Post<T>> {
        // SAFETY: null or a leaked box.
        let post = unsafe { self.here.load(Ordering::Acquire).as_ref() };
        post.filter(|post| post.process == std::process::id())
    }

    /// Sees to it that this process has the thread, which is to call `function(*args)`, that is [`serve`]. False
    /// with an exception set if it cannot be made.
    ///
    /// # Safety
    /// Attached; `args` is a tuple.
    ///
    /// [`serve`]: Service::serve
    pub(super) unsafe fn start(&self, function: Obj, args: Obj) -> bool {
        let before = self.here.load(Ordering::Acquire);
        if self.post().is_some() {
            return true;
        }
        let kept = Mutex::new(T::default());
        let post = Box::into_raw(Box::new(Post { process: std::process::id(), asked: AtomicU32::new(0), kept }));
        if self.here.compare_exchange(before, post, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return true; // another thread does so
        }
        let all = [function, args];
        // SAFETY: attached.
        unsafe {
            let started = unwinding::PyObject_Vectorcall(START.get(), all.as_ptr(), 2, ptr::null_mut());
            if started.is_null() {
                self.here.store(ptr::null_mut(), Ordering::Release);
                return false;
            }
            py::Py_DECREF(started);
        }
        true
    }

    /// The thread's life: does `work`, attached, whenever it is asked, with the number of times that it has been.
    ///
    /// # Safety
    /// Attached.
    pub(super) unsafe fn serve(&self, work: &mut dyn FnMut(&'static Post<T>, u32)) -> Obj {
        let Some(post) = self.post() else {
            // SAFETY: attached.
            return unsafe { new_none() }; // nobody has started it
        };
        set_service_name(self.name);
        let mut done = 0;
        loop {
            // SAFETY: attached, as the caller says; nothing here has a destructor.
            unsafe {
                let state = leave();
                done = post.next(done);
                attach(state);
            }
            work(post, done);
        }
    }
}

impl<T> Post<T> {
    /// Asks for the service; returns how often that has been done.
    pub(super) fn ask(&self) -> u32 {
        let number = self.asked.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        embed::unpark(self.key(), 1);
        number
    }

    /// Waits until it has been asked more often than `done` times.
    fn next(&self, done: u32) -> u32 {
        let waiting = Waiting { subject: &Somebody, interruptible: false, ..Waiting::new(Kind::Idle) };
        loop {
            let asked = self.asked.load(Ordering::SeqCst);
            if asked != done {
                return asked;
            }
            // Nothing but `ask` ends it.
            let _ = embed::park(self.key(), &waiting, || self.asked.load(Ordering::SeqCst) == done);
        }
    }

    /// What passes between the two sides. Never held while Python code can run.
    pub(super) fn kept(&self) -> MutexGuard<'_, T> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn key(&self) -> usize {
        ptr::from_ref(&self.asked).addr()
    }
}
