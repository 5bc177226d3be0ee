//! `PoolBase`: what a `ThreadPoolExecutor` has in Rust, `submit` above all.

use super::call::{self, Call};
use super::queue::{QUEUE, Queue};
use super::team;
use super::worker::{self, Helped};
use crate::future::{FUTURE, Future};
use crate::kit::class::instance;
use crate::kit::ffi::{intern, new_none, new_ref, none, raise, unwinding};
use crate::kit::latch::Latch;
use crate::kit::{Body, Class, Obj, Once, body, py};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The attributes that `submit` looks at.
pub(super) struct Pool {
    latch: Latch,
    /// The queue, null if the program has put one of its own in its place: then the standard library's
    /// `submit` is used.
    queue: Cell<Obj>,
    /// `_threads`, `_max_workers`, `_broken`: what they are is the program's business.
    threads: Cell<Obj>,
    most: Cell<Obj>,
    broken: Cell<Obj>,
    /// Whether `_broken` says that it is.
    is_broken: AtomicBool,
    shutdown: AtomicBool,
    /// Whether `_adjust_thread_count` is the program's, to be called for each call.
    adjusts: AtomicBool,
}

/// `concurrent.futures.thread.__dict__`, and the name of its flag for the interpreter's end.
static THREAD: Once = Once::new();
static SHUTDOWN: Once = Once::new();
/// Functions of `lisle._pool`: the standard `submit`, what refuses a call, what hires for one.
static STOCK_SUBMIT: Once = Once::new();
static REFUSE: Once = Once::new();
static HIRE: Once = Once::new();
/// One that does nothing.
pub(super) static BREATHE: Once = Once::new();

impl Pool {
    fn slots(&self) -> [&Cell<Obj>; 4] {
        [&self.queue, &self.threads, &self.most, &self.broken]
    }
}

impl Body for Pool {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        self.slots().into_iter().map(|slot| visit(slot.get())).find(|&stop| stop != 0).unwrap_or(0)
    }

    unsafe fn clear(this: *mut Pool) {
        // SAFETY: alive; each is taken out before it is let go of.
        unsafe {
            for slot in (*this).slots() {
                py::Py_XDECREF(slot.replace(ptr::null_mut()));
            }
        }
    }
}

pub(super) fn class() -> Obj {
    SHUTDOWN.set(intern(c"_shutdown"));
    let submit_ = c"submit($self, fn, /, *args, **kwargs)\n--\n\n\
        Has fn(*args, **kwargs) called by a worker, and returns its future.\n\n\
        With max_pending: waits while so many calls are pending. On interrupt: ThreadInterrupted.\n\
        Deadlock: DeadlockError, if only threads that wait for this one could make room.";
    Class::of::<Pool>(c"lisle._lisle.PoolBase", c"What a ThreadPoolExecutor has in Rust.")
        .open::<Pool>()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .keywords(c"submit", submit, submit_)
        .getter(c"_queue", queue, Some(set_queue), c"The queue, or None if it is not lisle's.")
        .getter(c"_threads", threads, Some(set_threads), c"The workers, a set.")
        .getter(c"_max_workers", most, Some(set_most), c"How many workers there may be.")
        .getter(c"_broken", broken, Some(set_broken), c"Why it takes no calls any more, or False.")
        .getter(c"_shutdown", shutdown, Some(set_shutdown), c"Whether it was shut down.")
        .getter(c"_adjusts", adjusts, Some(set_adjusts), c"Whether _adjust_thread_count is called for each call.")
        .make(ptr::null_mut())
}

/// Takes what `lisle._pool` has.
#[pyfunction]
#[pyo3(signature = (parts, /))]
pub(crate) fn _set_up_pools(parts: &Bound<'_, PyDict>) -> PyResult<()> {
    let slots = [
        ("thread", &THREAD),
        ("submit", &STOCK_SUBMIT),
        ("refuse", &REFUSE),
        ("hire", &HIRE),
        ("breathe", &BREATHE),
        ("Empty", &super::queue::EMPTY),
    ];
    Once::take(parts, &slots)
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    let empty = || Cell::new(ptr::null_mut());
    // SAFETY: attached.
    unsafe {
        let pool = Pool {
            latch: Latch::new(),
            queue: empty(),
            threads: empty(),
            most: empty(),
            broken: empty(),
            is_broken: AtomicBool::new(false),
            shutdown: AtomicBool::new(false),
            adjusts: AtomicBool::new(false),
        };
        instance(class, pool)
    }
}

/// Calls a function of `lisle._pool`.
unsafe fn call_python(function: &Once, args: &[Obj]) -> Obj {
    // SAFETY: attached; the caller holds what it gives.
    unsafe { unwinding::PyObject_Vectorcall(function.get(), args.as_ptr(), args.len(), ptr::null_mut()) }
}

unsafe extern "C-unwind" fn submit(pool: Obj, args: *const Obj, count: isize, names: Obj) -> Obj {
    // SAFETY: arguments of a method with keywords.
    unsafe {
        if count < 1 {
            return raise(
                py::PyExc_TypeError,
                c"ThreadPoolExecutor.submit() missing 1 required positional argument: 'fn'",
            );
        }
        let it = body::<Pool>(pool);
        it.latch.lock();
        let (queue, hires) = (it.queue.get(), it.may_hire());
        // A program may give the executor another queue at any time.
        py::Py_XINCREF(queue);
        it.latch.unlock();
        if queue.is_null() {
            return submit_stock(pool, args, count, names);
        }
        let future = enter(pool, queue, hires, args, count, names);
        py::Py_DECREF(queue);
        future
    }
}

#[inline(always)]
unsafe fn enter(pool: Obj, queue: Obj, hires: Hires, args: *const Obj, count: isize, names: Obj) -> Obj {
    // SAFETY: attached; the caller holds all of these.
    unsafe {
        let (it, to) = (body::<Pool>(pool), body::<Queue>(queue));
        if to.is_full() && !make_room(it, to, pool, queue) {
            return ptr::null_mut();
        }
        let future = instance(FUTURE.get().cast(), Future::pending_in(to.number));
        if future.is_null() {
            return future;
        }
        let call = Call::new(new_ref(future), args, count as usize - 1, names);
        if call.is_null() {
            py::Py_DECREF(future);
            return ptr::null_mut();
        }
        if hires != Hires::Always {
            to.latch.lock();
            // Under the latch: whoever sees the flag set then puts in None, behind all calls.
            if (to.idle.get() > to.len() || hires == Hires::Never) && !it.refuses() {
                to.push_and_unlock(call);
                return future;
            }
            to.latch.unlock();
        }
        // Another worker is needed, or the call is refused.
        let item = call::item(call);
        let hired = if item.is_null() { item } else { call_python(&HIRE, &[pool, item]) };
        py::Py_XDECREF(item);
        if hired.is_null() {
            py::Py_DECREF(future);
            return hired;
        }
        py::Py_DECREF(hired);
        future
    }
}

/// When a call is to go by way of `_adjust_thread_count`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hires {
    /// There are as many workers as there may be.
    Never,
    /// When no worker is free for it.
    AtNeed,
    Always,
}

impl Pool {
    /// Whether it takes no calls any more. Also for who is not attached.
    #[inline(always)]
    fn is_over(&self) -> bool {
        self.shutdown.load(Ordering::Relaxed) || self.is_broken.load(Ordering::Relaxed)
    }

    /// Those who wait for room are to look whether it is over.
    unsafe fn let_in(&self) {
        // SAFETY: attached.
        unsafe {
            self.latch.lock();
            let queue = self.queue.get();
            py::Py_XINCREF(queue);
            self.latch.unlock();
            if !queue.is_null() {
                body::<Queue>(queue).let_in();
                py::Py_DECREF(queue);
            }
        }
    }

    #[inline(always)]
    unsafe fn refuses(&self) -> bool {
        // SAFETY: attached; a module's dict.
        unsafe { self.is_over() || py::PyDict_GetItemWithError(THREAD.get(), SHUTDOWN.get()) != py::Py_False() }
    }

    /// Under the latch.
    #[inline(always)]
    unsafe fn may_hire(&self) -> Hires {
        // SAFETY: attached; the slots are this object's.
        unsafe {
            let (threads, most) = (self.threads.get(), self.most.get());
            if self.adjusts.load(Ordering::Relaxed) || threads.is_null() || most.is_null() {
                return Hires::Always;
            }
            if py::PySet_Check(threads) == 0 || py::PyLong_Check(most) == 0 {
                return Hires::Always;
            }
            let mut overflow = 0;
            let most = py::PyLong_AsLongAndOverflow(most, &mut overflow) as isize;
            if overflow != 0 || py::PySet_Size(threads) < most { Hires::AtNeed } else { Hires::Never }
        }
    }
}

/// Waits until there is room. False with an exception set if that cannot be, or the pool takes no more.
#[cold]
unsafe fn make_room(it: &Pool, to: &Queue, pool: Obj, queue: Obj) -> bool {
    // SAFETY: attached; the caller holds the pool and the queue.
    unsafe {
        while to.is_full() {
            if it.refuses() {
                let refused = call_python(&REFUSE, &[pool]);
                if refused.is_null() {
                    return false;
                }
                py::Py_DECREF(refused); // it was made whole in the meantime
            }
            match worker::help_out(to) {
                Helped::Yes => {}
                Helped::Raised => return false,
                Helped::No if to.wait_for_room(queue, &|| it.is_over()) => {}
                Helped::No => return false,
            }
        }
    }
    true
}

/// As the standard library does it.
#[cold]
unsafe fn submit_stock(pool: Obj, args: *const Obj, count: isize, names: Obj) -> Obj {
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let named = if names.is_null() { 0 } else { py::PyTuple_GET_SIZE(names) };
        let all = py::PyTuple_New(1 + count);
        if all.is_null() {
            return all;
        }
        py::PyTuple_SET_ITEM(all, 0, new_ref(pool));
        for at in 0..count {
            py::PyTuple_SET_ITEM(all, 1 + at, new_ref(*args.offset(at)));
        }
        let keywords = py::PyDict_New();
        let mut future = ptr::null_mut();
        let set = |at| py::PyDict_SetItem(keywords, py::PyTuple_GET_ITEM(names, at), *args.offset(count + at));
        if !keywords.is_null() && (0..named).all(|at| set(at) == 0) {
            future = unwinding::PyObject_Call(STOCK_SUBMIT.get(), all, keywords);
        }
        py::Py_DECREF(all);
        py::Py_XDECREF(keywords);
        future
    }
}

unsafe fn read(it: &Pool, slot: &Cell<Obj>) -> Obj {
    // SAFETY: attached.
    unsafe {
        it.latch.lock();
        let value = if slot.get().is_null() { new_none() } else { new_ref(slot.get()) };
        it.latch.unlock();
        value
    }
}

/// Puts a reference, or null, into a slot.
unsafe fn replace(it: &Pool, slot: &Cell<Obj>, value: Obj) {
    // SAFETY: attached.
    unsafe {
        it.latch.lock();
        let before = slot.replace(value);
        it.latch.unlock();
        py::Py_XDECREF(before);
    }
}

unsafe fn write(it: &Pool, slot: &Cell<Obj>, value: Obj) -> c_int {
    // SAFETY: attached; a setter's arguments.
    unsafe {
        if value.is_null() {
            raise(py::PyExc_AttributeError, c"cannot delete an attribute of an executor");
            return -1;
        }
        replace(it, slot, new_ref(value));
    }
    0
}

macro_rules! attribute {
    ($get:ident, $set:ident, $slot:ident) => {
        unsafe extern "C-unwind" fn $get(pool: Obj, _: *mut c_void) -> Obj {
            // SAFETY: a getter's arguments.
            unsafe { read(body::<Pool>(pool), &body::<Pool>(pool).$slot) }
        }

        unsafe extern "C-unwind" fn $set(pool: Obj, value: Obj, _: *mut c_void) -> c_int {
            // SAFETY: a setter's arguments.
            unsafe { write(body::<Pool>(pool), &body::<Pool>(pool).$slot, value) }
        }
    };
}

macro_rules! flag {
    ($get:ident, $set:ident, $slot:ident) => {
        unsafe extern "C-unwind" fn $get(pool: Obj, _: *mut c_void) -> Obj {
            // SAFETY: a getter's arguments.
            unsafe { crate::kit::ffi::new_bool(body::<Pool>(pool).$slot.load(Ordering::Relaxed)) }
        }

        unsafe extern "C-unwind" fn $set(pool: Obj, value: Obj, _: *mut c_void) -> c_int {
            // SAFETY: a setter's arguments.
            unsafe {
                let is = if value.is_null() { 0 } else { unwinding::PyObject_IsTrue(value) };
                if is < 0 {
                    return -1;
                }
                body::<Pool>(pool).$slot.store(is != 0, Ordering::Relaxed);
            }
            0
        }
    };
}

attribute!(threads, set_threads, threads);
attribute!(broken, write_broken, broken);
flag!(shutdown, write_shutdown, shutdown);
flag!(adjusts, set_adjusts, adjusts);

unsafe extern "C-unwind" fn set_broken(pool: Obj, value: Obj, closure: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        let is = if value.is_null() { 0 } else { unwinding::PyObject_IsTrue(value) };
        if is < 0 || write_broken(pool, value, closure) < 0 {
            return -1;
        }
        let it = body::<Pool>(pool);
        it.is_broken.store(is != 0, Ordering::Relaxed);
        it.let_in();
        0
    }
}

unsafe extern "C-unwind" fn set_shutdown(pool: Obj, value: Obj, closure: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        let written = write_shutdown(pool, value, closure);
        body::<Pool>(pool).let_in();
        written
    }
}

unsafe extern "C-unwind" fn most(pool: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { read(body::<Pool>(pool), &body::<Pool>(pool).most) }
}

unsafe extern "C-unwind" fn set_most(pool: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        let it = body::<Pool>(pool);
        let written = write(it, &it.most, value);
        it.tell_most();
        written
    }
}

impl Pool {
    /// Lets those know who look for deadlocks how many workers there may be.
    unsafe fn tell_most(&self) {
        // SAFETY: attached.
        unsafe {
            self.latch.lock();
            let (queue, most) = (self.queue.get(), self.most.get());
            if !queue.is_null() && !most.is_null() {
                let mut overflow = 1;
                let number = match py::PyLong_Check(most) {
                    0 => 0,
                    _ => py::PyLong_AsLongAndOverflow(most, &mut overflow),
                };
                let most = if overflow == 0 { usize::try_from(number).unwrap_or(0) } else { usize::MAX };
                team::limit(body::<Queue>(queue).number, most);
            }
            self.latch.unlock();
        }
    }
}

unsafe extern "C-unwind" fn queue(pool: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { read(body::<Pool>(pool), &body::<Pool>(pool).queue) }
}

unsafe extern "C-unwind" fn set_queue(pool: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments.
    unsafe {
        let value = if value.is_null() || value == none() { ptr::null_mut() } else { value };
        if !value.is_null() && py::Py_TYPE(value).cast() != QUEUE.get() {
            raise(py::PyExc_TypeError, c"only a WorkQueue can be in this place");
            return -1;
        }
        py::Py_XINCREF(value);
        let it = body::<Pool>(pool);
        replace(it, &it.queue, value);
        it.tell_most();
    }
    0
}
