//! What is pending in a pool: the `_work_queue` of an executor, to which its workers hold on.
//!
//! As in the standard library an item is a call, or None: that makes the worker which takes it look
//! whether it is to go.

use super::call::{self, Call, ITEM};
use super::team;
use crate::kit::class::instance;
use crate::kit::ffi::{new_bool, new_none, none, raise};
use crate::kit::latch::Latch;
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Body, Class, Names, Obj, Once, args, arguments, body, py};
use lisle::Kind;
use lisle::embed::{self, Bond, Owner, Subject, Waiting};
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(super) struct Queue {
    pub(super) latch: Latch,
    pub(super) number: u32,
    /// Whether workers make calls rather than wait for them.
    pub(super) help: bool,
    /// Null stands for None. Under the latch.
    items: UnsafeCell<VecDeque<*mut Call>>,
    /// How many items there are, for those who are detached. At its address workers sleep.
    length: AtomicUsize,
    /// Workers that have found nothing to do. Under the latch.
    pub(super) idle: Cell<usize>,
    /// Whether one of them is to come and did not yet: it will wake the next. Set under the latch; read
    /// also by who is about to sleep, for it may be the one.
    waking: AtomicBool,
    /// How many calls may be pending. At its address those sleep who wait until there are fewer.
    pub(super) most: usize,
    /// How many these are. Under the latch.
    awaited: Cell<usize>,
}

pub(super) static QUEUE: Once = Once::new();
/// `queue.Empty`.
pub(super) static EMPTY: Once = Once::new();

impl Body for Queue {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        // SAFETY: while the collector looks nobody changes the items.
        unsafe {
            for &call in &*self.items.get() {
                if !call.is_null() {
                    match Call::traverse(call, visit) {
                        0 => {}
                        stop => return stop,
                    }
                }
            }
        }
        0
    }

    unsafe fn clear(this: *mut Queue) {
        // SAFETY: alive; each is taken out before it is let go of.
        unsafe {
            while let Some(call) = (*this).pop() {
                if !call.is_null() {
                    Call::drop(call);
                }
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        team::remove(self.number);
    }
}

impl Queue {
    /// Under the latch or alone. The items' own: nothing of Python's is touched.
    #[expect(clippy::mut_from_ref, reason = "who has the latch is alone")]
    unsafe fn items(&self) -> &mut VecDeque<*mut Call> {
        // SAFETY: as the caller says, and the reference does not leave this impl.
        unsafe { &mut *self.items.get() }
    }

    pub(super) fn key(&self) -> usize {
        &raw const self.length as usize
    }

    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// Takes the first. Under the latch.
    #[inline(always)]
    unsafe fn shift(&self) -> Option<*mut Call> {
        // SAFETY: as the caller says.
        unsafe {
            let items = self.items();
            let first = items.pop_front()?;
            self.length.store(items.len(), Ordering::Release);
            Some(first)
        }
    }

    /// Takes the first, if there is one, and lets one in who waits for room.
    #[inline(always)]
    pub(super) unsafe fn pop(&self) -> Option<*mut Call> {
        // SAFETY: attached.
        unsafe {
            self.latch.lock();
            let first = self.shift();
            self.unlock_with_room();
            first
        }
    }

    /// Gives back the latch after an item was taken, and lets those in who wait for room.
    #[inline(always)]
    unsafe fn unlock_with_room(&self) {
        // SAFETY: the caller has the latch.
        unsafe {
            let awaited = self.awaited.get() != 0 && !self.is_full();
            self.latch.unlock();
            if awaited {
                self.let_in();
            }
        }
    }

    /// Whether so many calls are pending as may be.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// Wakes those who wait for room, to look again.
    pub(super) fn let_in(&self) {
        embed::unpark(self.room(), usize::MAX);
    }

    fn room(&self) -> usize {
        &raw const self.most as usize
    }

    /// Takes out the call of this future, if it is still here.
    pub(super) unsafe fn pick(&self, future: Obj) -> Option<*mut Call> {
        // SAFETY: attached; the calls are alive as long as they are in.
        unsafe {
            self.latch.lock();
            let items = self.items();
            let at = items.iter().position(|&call| !call.is_null() && (*call).future == future);
            let call = at.and_then(|at| items.remove(at));
            self.length.store(items.len(), Ordering::Release);
            self.unlock_with_room();
            call
        }
    }

    /// Puts an item in; wakes a worker for it, if one sleeps and none is on its way. Under the latch,
    /// which it gives back.
    #[inline(always)]
    pub(super) unsafe fn push_and_unlock(&self, call: *mut Call) {
        // SAFETY: as the caller says.
        unsafe {
            let items = self.items();
            items.push_back(call);
            self.length.store(items.len(), Ordering::Release);
            let wakes = self.idle.get() != 0 && !self.waking.swap(true, Ordering::Relaxed);
            self.latch.unlock();
            if wakes {
                embed::unpark(self.key(), 1);
            }
        }
    }

    /// Takes the next item, and waits for it if need be. `Err` if the time is over, or, if that is
    /// true, with an exception set.
    pub(super) unsafe fn next(&self, queue: Obj, limit: Limit) -> Result<*mut Call, bool> {
        // SAFETY: attached; `queue` is the object of `self`, which the caller holds.
        unsafe {
            loop {
                if let Some(first) = self.pop() {
                    return Ok(first);
                }
                if matches!(limit, Limit::Now) {
                    return Err(false);
                }
                self.latch.lock();
                self.idle.set(self.idle.get() + 1);
                self.latch.unlock();
                let ended = wait(Described { object: queue, describe }, limit, &mut |deadline| {
                    let length = || self.len();
                    let waiting = Waiting { deadline, length: Some(&length), ..Waiting::new(Kind::Idle) };
                    // Once: who was woken must say below that it has come, if only in vain. That may be this
                    // thread although it does not sleep yet, and the item gone to another: who looks for
                    // sleepers after `waking` was set either finds this one, or this one sees it.
                    let is_idle = || self.len() == 0 && !self.waking.load(Ordering::Relaxed);
                    if is_idle() {
                        embed::park(self.key(), &waiting, is_idle)?;
                    }
                    Ok(())
                });
                self.latch.lock();
                self.idle.set(self.idle.get() - 1);
                // One for this thread, and another for the next, who wakes in turn.
                let wakes = self.len() > 1 && self.idle.get() != 0;
                self.waking.store(wakes, Ordering::Relaxed);
                self.latch.unlock();
                if wakes {
                    embed::unpark(self.key(), 1);
                }
                match ended {
                    Waited::Granted => {}
                    Waited::TimedOut => return self.pop().ok_or(false),
                    Waited::Raised => return Err(true),
                }
            }
        }
    }

    /// Waits until there is room for another call, or `is_over`, which [`Queue::let_in`] follows. False with
    /// an exception set if that cannot be.
    pub(super) unsafe fn wait_for_room(&self, queue: Obj, is_over: &dyn Fn() -> bool) -> bool {
        // SAFETY: attached; `queue` is the object of `self`, which the caller holds.
        unsafe {
            self.latch.lock();
            self.awaited.set(self.awaited.get() + 1);
            self.latch.unlock();
            let workers = Workers(self.number);
            let is_full = || self.is_full() && !is_over();
            let ended = wait(Described { object: queue, describe }, Limit::Never, &mut |deadline| {
                let length = || self.len();
                let waiting =
                    Waiting { subject: &workers, deadline, length: Some(&length), ..Waiting::new(Kind::PoolFull) };
                if is_full() {
                    embed::park(self.room(), &waiting, is_full)?;
                }
                Ok(())
            });
            self.latch.lock();
            self.awaited.set(self.awaited.get() - 1);
            self.latch.unlock();
            ended != Waited::Raised
        }
    }
}

/// Those who can make room in the pool of this number.
struct Workers(u32);

impl Subject for Workers {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of Python")
    }

    fn owners(&self, _: Kind, found: &mut dyn FnMut(Owner)) {
        team::workers(self.0, &mut |ident| found(Owner::any(1, ident, Bond::MayRun)));
    }
}

fn describe(queue: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "at {queue:p}")
}

pub(super) fn class() -> Obj {
    let class = Class::of::<Queue>(
        c"lisle._lisle.WorkQueue",
        c"WorkQueue(max_pending, help)\n--\n\nWhat is pending in a pool.",
    )
    .with_slot(py::Py_tp_new, new as *mut c_void)
    .one_arg(c"put", put, c"Puts in a call, or None, which makes the workers look whether they are to go.")
    .keywords(c"get", get, c"Takes the next item.")
    .no_args(c"get_nowait", get_nowait, c"Takes the next item; queue.Empty if there is none.")
    .no_args(c"qsize", qsize, c"How many items there are.")
    .no_args(c"empty", empty, c"Whether there are none.")
    .no_args(c"_spare", spare, c"Whether a worker has nothing to do, and no item is there for it.")
    .no_args(c"_run", super::worker::run, c"Makes calls until None comes out.")
    .make(ptr::null_mut());
    QUEUE.set(class);
    class
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, given: Obj, kwargs: Obj) -> Obj {
    const TO: Names<2> = Names { function: "WorkQueue", names: [c"max_pending", c"help"], required: 2 };
    // SAFETY: attached; arguments as `tp_new` gets them.
    unsafe {
        let Some([most, help]) = args::unpack(&TO, given, kwargs) else { return ptr::null_mut() };
        let limit = match most == none() {
            true => usize::MAX,
            false => py::PyLong_AsSize_t(most),
        };
        if limit == usize::MAX && !py::PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let queue = Queue {
            latch: Latch::new(),
            number: team::enter(),
            help: help == py::Py_True(),
            items: UnsafeCell::new(VecDeque::new()),
            length: AtomicUsize::new(0),
            idle: Cell::new(0),
            waking: AtomicBool::new(false),
            most: limit,
            awaited: Cell::new(0),
        };
        instance(class, queue)
    }
}

unsafe extern "C-unwind" fn put(queue: Obj, item: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let it = body::<Queue>(queue);
        let mut call = ptr::null_mut();
        if item != none() {
            if py::Py_TYPE(item).cast() != ITEM.get() {
                return raise(py::PyExc_TypeError, c"a pool's queue takes calls, or None");
            }
            call = call::taken(item);
            if call.is_null() {
                return ptr::null_mut();
            }
        }
        it.latch.lock();
        it.push_and_unlock(call);
        new_none()
    }
}

unsafe fn next_item(queue: Obj, limit: Limit) -> Obj {
    // SAFETY: attached; the caller holds the queue.
    unsafe {
        match body::<Queue>(queue).next(queue, limit) {
            Ok(call) if call.is_null() => new_none(),
            Ok(call) => call::item(call),
            Err(true) => ptr::null_mut(),
            Err(false) => {
                py::PyErr_SetNone(EMPTY.get());
                ptr::null_mut()
            }
        }
    }
}

unsafe extern "C-unwind" fn get(queue: Obj, given: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<2> = Names { function: "get", names: [c"block", c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([block, timeout]) = arguments(&TO, given, count, keywords) else { return ptr::null_mut() };
        if block == py::Py_False() {
            return next_item(queue, Limit::Now);
        }
        match time::of_wait(timeout) {
            Some(limit) => next_item(queue, limit),
            None => ptr::null_mut(),
        }
    }
}

unsafe extern "C-unwind" fn get_nowait(queue: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { next_item(queue, Limit::Now) }
}

unsafe extern "C-unwind" fn qsize(queue: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { py::PyLong_FromSize_t(body::<Queue>(queue).len()) }
}

unsafe extern "C-unwind" fn empty(queue: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { new_bool(body::<Queue>(queue).len() == 0) }
}

unsafe extern "C-unwind" fn spare(queue: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let it = body::<Queue>(queue);
        new_bool(it.idle.get() >= it.len().max(1))
    }
}
