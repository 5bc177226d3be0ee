//! `SimpleQueue`: first in, first out, without limit and without ends.

use super::EMPTY;
use super::guard::Guarded;
use super::limits::refuse_negative;
use super::line::{Line, wait_in};
use super::methods::raise_bare;
use super::state::{let_go, push, tidy, traverse};
use crate::kit::class::instance;
use crate::kit::ffi::{new_bool, new_none, none, raise, unwinding};
use crate::kit::time::{self, Limit};
use crate::kit::wait::Waited;
use crate::kit::{Body, Class, Names, Obj, Once, arguments, body, py};
use lisle::Kind;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

struct Simple {
    /// The length of `items`, for who is not attached.
    len: AtomicUsize,
    getters: Line,
    items: Guarded<VecDeque<Obj>>,
}

impl Body for Simple {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        // SAFETY: it is the collector who asks.
        traverse(unsafe { self.items.seen_by_collector() }, visit)
    }

    unsafe fn clear(this: *mut Simple) {
        // SAFETY: attached, and the instance is alive. All is taken out before any of it goes.
        unsafe {
            let queue = &*this;
            let items = queue.items.with(|items| {
                queue.len.store(0, Relaxed);
                ManuallyDrop::new(std::mem::take(items))
            });
            let_go(ManuallyDrop::into_inner(items));
        }
    }
}

static CLASS: Once = Once::new();

pub(super) fn class() -> Obj {
    let class = Class::of::<Simple>(
        c"_queue.SimpleQueue",
        c"SimpleQueue()\n--\n\nA first-in, first-out queue without limit, which signal handlers and finalizers may use too.",
    )
    .derivable()
    .generic()
    .with_slot(py::Py_tp_new, new as *mut c_void)
    .keywords(
        c"put",
        put,
        c"put($self, /, item, block=True, timeout=None)\n--\n\nPuts an item. It never waits: the other arguments \
        are there because those of Queue are.",
    )
    .keywords(
        c"put_nowait",
        put_nowait,
        c"put_nowait($self, /, item)\n--\n\nPuts an item: the same as `put(item)`.",
    )
    .keywords(
        c"get",
        get,
        c"get($self, /, block=True, timeout=None)\n--\n\n\
        Takes out the next item. Waits while there is none: `timeout` seconds at most, not at all unless `block`.\n\n\
        On timeout: Empty. On interrupt: ThreadInterrupted; a signal's handler runs, and the wait goes on.",
    )
    .no_args(
        c"get_nowait",
        get_nowait,
        c"get_nowait($self, /)\n--\n\nTakes out the next item if there is one, else raises Empty.",
    )
    .no_args(c"empty", empty, c"empty($self, /)\n--\n\nWhether there are no items, at this moment.")
    .no_args(c"qsize", qsize, c"qsize($self, /)\n--\n\nHow many items there are, at this moment.")
    .make(ptr::null_mut());
    CLASS.set(class);
    class
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, args: Obj, kwargs: Obj) -> Obj {
    // SAFETY: a slot's arguments; our type is there before its first instance.
    unsafe {
        let ours = CLASS.get().cast::<py::PyTypeObject>();
        let init = |of: *mut py::PyTypeObject| (*of).tp_init.map(|init| init as usize);
        let is_plain = class == ours || init(class) == init(ours);
        if is_plain && (py::PyTuple_GET_SIZE(args) != 0 || (!kwargs.is_null() && py::PyDict_Size(kwargs) != 0)) {
            return raise(py::PyExc_TypeError, c"SimpleQueue() takes no arguments");
        }
        let items = Guarded::new(VecDeque::new());
        instance(class, Simple { len: AtomicUsize::new(0), getters: Line::new(), items })
    }
}

#[inline(always)]
unsafe fn add(it: Obj, item: Obj) -> Obj {
    // SAFETY: attached; `it` is a SimpleQueue.
    unsafe {
        let queue = body::<Simple>(it);
        let awaited = queue.items.with(|items| {
            py::Py_INCREF(item);
            push(items, item);
            queue.len.store(items.len(), Relaxed);
            queue.getters.is_awaited()
        });
        if awaited {
            queue.getters.wake(1);
        }
        new_none()
    }
}

#[inline(always)]
unsafe fn take(it: Obj) -> Obj {
    // SAFETY: attached; `it` is a SimpleQueue.
    unsafe {
        let queue = body::<Simple>(it);
        queue.items.with(|items| {
            let Some(item) = items.pop_front() else { return ptr::null_mut() };
            queue.len.store(items.len(), Relaxed);
            tidy(items);
            item
        })
    }
}

unsafe extern "C-unwind" fn put(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<3> = Names { function: "put", names: [c"item", c"block", c"timeout"], required: 1 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([item, block, _]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        if !block.is_null() && unwinding::PyObject_IsTrue(block) < 0 {
            return ptr::null_mut();
        }
        add(it, item)
    }
}

unsafe extern "C-unwind" fn put_nowait(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<1> = Names { function: "put_nowait", names: [c"item"], required: 1 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([item]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        add(it, item)
    }
}

unsafe extern "C-unwind" fn get(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    // SAFETY: arguments of a method with keywords.
    unsafe {
        if count == 0 && keywords.is_null() {
            let item = take(it);
            return if item.is_null() { get_patiently(it, Limit::Never) } else { item };
        }
        get_as_told(it, args, count, keywords)
    }
}

#[inline(never)]
unsafe fn get_as_told(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<2> = Names { function: "get", names: [c"block", c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([block, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let blocks = if block.is_null() { 1 } else { unwinding::PyObject_IsTrue(block) };
        if blocks < 0 {
            return ptr::null_mut();
        }
        let mut limit = if blocks == 1 { Limit::Never } else { Limit::Now };
        if blocks == 1 && !timeout.is_null() && timeout != none() {
            let Some(seconds) = time::seconds(timeout) else { return ptr::null_mut() };
            if seconds < 0.0 {
                return refuse_negative();
            }
            limit = time::after(seconds);
        }
        let item = take(it);
        if item.is_null() { get_patiently(it, limit) } else { item }
    }
}

/// Waits for an item where there is none.
#[inline(never)]
unsafe fn get_patiently(it: Obj, limit: Limit) -> Obj {
    // SAFETY: attached; `it` is a SimpleQueue.
    unsafe {
        let queue = body::<Simple>(it);
        let idle = || queue.len.load(Relaxed) == 0;
        loop {
            let ended = wait_in(&queue.getters, &queue.items, it, Kind::QueueGet, limit, &idle, &queue.len);
            if ended == Waited::Raised {
                return ptr::null_mut();
            }
            let item = take(it);
            if !item.is_null() {
                return item;
            }
            if ended == Waited::TimedOut {
                return raise_bare(&EMPTY);
            }
        }
    }
}

unsafe extern "C-unwind" fn get_nowait(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let item = take(it);
        if item.is_null() { raise_bare(&EMPTY) } else { item }
    }
}

unsafe extern "C-unwind" fn empty(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { new_bool(body::<Simple>(it).len.load(Relaxed) == 0) }
}

unsafe extern "C-unwind" fn qsize(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { py::PyLong_FromSize_t(body::<Simple>(it).len.load(Relaxed)) }
}
