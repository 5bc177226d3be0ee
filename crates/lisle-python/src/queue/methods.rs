//! The methods of `Queue`, `LifoQueue` and `PriorityQueue`.

use super::exposed::{self, Call, call, expose};
use super::items::{self, Tried};
use super::limits::{Next, Patience, refuse_negative};
use super::line::{Line, wait_in};
use super::plain::{self, find_out, is_plain};
use super::state::{Queue, let_go};
use super::{EMPTY, FULL, SHUT_DOWN};
use crate::kit::ffi::{new_bool, new_none, none, raise, unwinding};
use crate::kit::wait::Waited;
use crate::kit::{Names, Obj, Once, arguments, body, py};
use lisle::Kind;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

pub(super) static BLOCK: Once = Once::new();

/// Raises an exception of that kind without a word, and returns what a function then returns.
#[cold]
pub(super) unsafe fn raise_bare(kind: &Once) -> Obj {
    // SAFETY: attached.
    unsafe { py::PyErr_SetNone(kind.get()) };
    ptr::null_mut()
}

pub(super) unsafe extern "C-unwind" fn put(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<3> = Names { function: "Queue.put", names: [c"item", c"block", c"timeout"], required: 1 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        if count == 1 && keywords.is_null() && is_plain(it) {
            match items::put(it, *args) {
                Tried::Done(()) => return new_none(),
                Tried::Raised => return ptr::null_mut(),
                _ => {}
            }
        }
        let Some([item, block, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let Some(mut patience) = Patience::of(block, timeout) else { return ptr::null_mut() };
        put_patiently(it, item, &mut patience)
    }
}

pub(super) unsafe extern "C-unwind" fn put_nowait(it: Obj, item: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        match find_out(it) {
            None => return ptr::null_mut(),
            Some(_) if plain::is_replaced(it, plain::PUT) => {
                return plain::call_replaced(plain::PUT, [it, item, py::Py_False()], BLOCK.get());
            }
            Some(true) => match items::put(it, item) {
                Tried::Done(()) => return new_none(),
                Tried::Raised => return ptr::null_mut(),
                _ => {}
            },
            Some(false) => {}
        }
        put_patiently(it, item, &mut Patience::none())
    }
}

/// `put`, step by step.
#[inline(never)]
pub(super) unsafe fn put_patiently(it: Obj, item: Obj, patience: &mut Patience) -> Obj {
    // SAFETY: as the caller says.
    unsafe { patiently(&PUT, it, item, patience) }
}

pub(super) unsafe extern "C-unwind" fn get(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<2> = Names { function: "Queue.get", names: [c"block", c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        if count == 0 && keywords.is_null() && is_plain(it) {
            match items::get(it) {
                Tried::Done(item) => return item,
                Tried::Raised => return ptr::null_mut(),
                _ => {}
            }
        }
        let Some([block, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let Some(mut patience) = Patience::of(block, timeout) else { return ptr::null_mut() };
        get_patiently(it, &mut patience)
    }
}

pub(super) unsafe extern "C-unwind" fn get_nowait(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        match find_out(it) {
            None => return ptr::null_mut(),
            Some(_) if plain::is_replaced(it, plain::GET) => {
                return plain::call_replaced(plain::GET, [it, py::Py_False()], BLOCK.get());
            }
            Some(true) => match items::get(it) {
                Tried::Done(item) => return item,
                Tried::Raised => return ptr::null_mut(),
                _ => {}
            },
            Some(false) => {}
        }
        get_patiently(it, &mut Patience::none())
    }
}

/// `get`, step by step.
#[inline(never)]
pub(super) unsafe fn get_patiently(it: Obj, patience: &mut Patience) -> Obj {
    // SAFETY: as the caller says.
    unsafe { patiently(&GET, it, ptr::null_mut(), patience) }
}

/// What `put` and `get` differ in.
struct End {
    /// Tries it; the item is null for `get`.
    attempt: unsafe fn(Obj, Obj) -> Tried<Obj>,
    /// Whether one could have to wait, as the queue is: then a limit that cannot be is minded.
    may_wait: fn(&Queue) -> bool,
    is_idle: fn(&Queue) -> bool,
    line: fn(&Queue) -> &Line,
    kind: Kind,
    /// What is raised once the time is over.
    in_vain: &'static Once,
    exposed: Call,
}

static PUT: End = End {
    // SAFETY: as the caller says.
    attempt: |it, item| unsafe { items::put(it, item).map(|()| new_none()) },
    may_wait: |queue| queue.limit.load(Relaxed) != usize::MAX && !queue.is_shutdown.load(Relaxed),
    is_idle: Queue::is_idle_for_putters,
    line: |queue| &queue.putters,
    kind: Kind::QueuePut,
    in_vain: &FULL,
    exposed: Call::Put,
};

static GET: End = End {
    // SAFETY: as the caller says.
    attempt: |it, _| unsafe { items::get(it) },
    may_wait: |queue| queue.len.load(Relaxed) > 0 || !queue.is_shutdown.load(Relaxed),
    is_idle: Queue::is_idle_for_getters,
    line: |queue| &queue.getters,
    kind: Kind::QueueGet,
    in_vain: &EMPTY,
    exposed: Call::Get,
};

#[inline(always)]
unsafe fn patiently(end: &'static End, it: Obj, item: Obj, patience: &mut Patience) -> Obj {
    // SAFETY: attached; the caller holds references.
    unsafe {
        let queue = body::<Queue>(it);
        let mut is_over = false;
        match find_out(it) {
            None => return ptr::null_mut(),
            Some(true) if (end.may_wait)(queue) => match patience.is_negative() {
                None => return ptr::null_mut(),
                Some(true) => return refuse_negative(),
                Some(false) => {}
            },
            Some(_) => {}
        }
        loop {
            match find_out(it) {
                None => return ptr::null_mut(),
                Some(false) => return go_on_exposed(end.exposed, it, item, patience),
                Some(true) => {}
            }
            match (end.attempt)(it, item) {
                Tried::Done(result) => return result,
                Tried::ShutDown => return raise_bare(&SHUT_DOWN),
                Tried::Raised => return ptr::null_mut(),
                Tried::Exposed => continue,
                Tried::Idle => {}
            }
            if is_over || !patience.blocks {
                return raise_bare(end.in_vain);
            }
            let limit = match patience.next() {
                Next::Wait(limit) => limit,
                Next::Raised => return ptr::null_mut(),
                Next::Expose if expose(it) => continue,
                Next::Expose => return ptr::null_mut(),
            };
            let idle = || (end.is_idle)(queue);
            match wait_in((end.line)(queue), &queue.state, it, end.kind, limit, &idle, &queue.len) {
                Waited::Granted => {}
                Waited::TimedOut => is_over = true,
                Waited::Raised => return ptr::null_mut(),
            }
        }
    }
}

/// True or False, borrowed.
fn truth(value: bool) -> Obj {
    // SAFETY: statics of the interpreter.
    unsafe { if value { py::Py_True() } else { py::Py_False() } }
}

/// Leaves the rest of a call to exposed mode. `argument` is null where there is none.
pub(super) unsafe fn go_on_exposed(which: Call, it: Obj, argument: Obj, patience: &Patience) -> Obj {
    // SAFETY: attached; the caller holds references.
    unsafe {
        let (block, timeout) = (truth(patience.blocks), patience.left());
        if timeout.is_null() {
            return timeout;
        }
        let result = match argument.is_null() {
            true => call(which, [it, block, timeout]),
            false => call(which, [it, argument, block, timeout]),
        };
        py::Py_DECREF(timeout);
        result
    }
}

pub(super) unsafe extern "C-unwind" fn task_done(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        match find_out(it) {
            None => return ptr::null_mut(),
            Some(false) => return call(Call::TaskDone, [it]),
            Some(true) => {}
        }
        let queue = body::<Queue>(it);
        let (exposed, unfinished, awaited) = queue.state.with(|_| {
            let exposed = queue.is_exposed.load(Relaxed);
            let unfinished = queue.unfinished.load(Relaxed) - 1;
            if unfinished >= 0 && !exposed {
                queue.unfinished.store(unfinished, Relaxed);
            }
            (exposed, unfinished, queue.joiners.is_awaited())
        });
        if exposed {
            return call(Call::TaskDone, [it]);
        }
        if unfinished < 0 {
            return raise(py::PyExc_ValueError, c"task_done() called too many times");
        }
        if unfinished == 0 && awaited {
            queue.joiners.wake(usize::MAX);
        }
        new_none()
    }
}

pub(super) unsafe extern "C-unwind" fn join(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<1> = Names { function: "Queue.join", names: [c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let is_timed = !timeout.is_null() && timeout != none();
        let answer = |done| if is_timed { new_bool(done) } else { new_none() };
        let queue = body::<Queue>(it);
        let Some(mut patience) = Patience::of(ptr::null_mut(), timeout) else { return ptr::null_mut() };
        match patience.is_negative() {
            None => return ptr::null_mut(),
            Some(true) => return refuse_negative(),
            Some(false) => {}
        }
        loop {
            match find_out(it) {
                None => return ptr::null_mut(),
                Some(false) => {
                    let timeout = patience.left();
                    if timeout.is_null() {
                        return timeout;
                    }
                    let result = call(Call::Join, [it, timeout]);
                    py::Py_DECREF(timeout);
                    return result;
                }
                Some(true) if queue.unfinished.load(Relaxed) <= 0 => return answer(true),
                Some(true) => {}
            }
            let limit = match patience.next() {
                Next::Wait(limit) => limit,
                Next::Raised => return ptr::null_mut(),
                Next::Expose if expose(it) => continue,
                Next::Expose => return ptr::null_mut(),
            };
            let idle = || queue.is_idle_for_joiners();
            match wait_in(&queue.joiners, &queue.state, it, Kind::QueueJoin, limit, &idle, &queue.len) {
                Waited::Granted => {}
                Waited::TimedOut => return answer(false),
                Waited::Raised => return ptr::null_mut(),
            }
        }
    }
}

/// `qsize`, `empty` and `full` of the two modes.
unsafe fn ask(it: Obj, which: Call, answer: impl FnOnce(usize, usize) -> Obj) -> Obj {
    // SAFETY: attached; `it` is a queue.
    unsafe {
        let Some(plain) = find_out(it) else { return ptr::null_mut() };
        let queue = body::<Queue>(it);
        let sizes = queue.state.with(|_| {
            let exposed = queue.is_exposed.load(Relaxed);
            (plain && !exposed).then(|| (queue.len.load(Relaxed), queue.limit.load(Relaxed)))
        });
        match sizes {
            Some((len, limit)) => answer(len, limit),
            None => call(which, [it]),
        }
    }
}

pub(super) unsafe extern "C-unwind" fn qsize(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { ask(it, Call::Qsize, |len, _| py::PyLong_FromSize_t(len)) }
}

pub(super) unsafe extern "C-unwind" fn empty(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { ask(it, Call::Empty, |len, _| new_bool(len == 0)) }
}

pub(super) unsafe extern "C-unwind" fn full(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { ask(it, Call::Full, |len, limit| new_bool(len >= limit)) }
}

pub(super) unsafe extern "C-unwind" fn shutdown(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<1> = Names { function: "Queue.shutdown", names: [c"immediate"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([immediate]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let at_once = if immediate.is_null() { 0 } else { unwinding::PyObject_IsTrue(immediate) };
        if at_once < 0 {
            return ptr::null_mut();
        }
        match find_out(it) {
            None => return ptr::null_mut(),
            Some(false) => return call(Call::Shutdown, [it, truth(at_once == 1)]),
            Some(true) => {}
        }
        let queue = body::<Queue>(it);
        let items = queue.state.with(|state| {
            if queue.is_exposed.load(Relaxed) {
                return None;
            }
            queue.is_shutdown.store(true, Relaxed);
            if at_once == 0 {
                return Some(ManuallyDrop::new(Default::default()));
            }
            let items = std::mem::take(&mut state.items);
            let left = queue.unfinished.load(Relaxed) - items.len() as i64;
            queue.unfinished.store(left.max(0), Relaxed);
            queue.note_got(state);
            Some(ManuallyDrop::new(items))
        });
        let Some(items) = items else { return call(Call::Shutdown, [it, truth(at_once == 1)]) };
        queue.wake_all();
        let_go(ManuallyDrop::into_inner(items));
        new_none()
    }
}

/// `__init__`.
pub(super) unsafe extern "C-unwind" fn init(it: Obj, args: Obj, kwargs: Obj) -> std::ffi::c_int {
    const TO: Names<1> = Names { function: "Queue.__init__", names: [c"maxsize"], required: 0 };
    // SAFETY: a slot's arguments.
    unsafe {
        let Some([given]) = crate::kit::args::unpack(&TO, args, kwargs) else { return -1 };
        let zero = py::PyLong_FromLong(0);
        let maxsize = if given.is_null() { zero } else { given };
        let limit = super::attributes::limit_of(maxsize);
        let plain = plain::can_be_plain(it).map(|can| can && !body::<Queue>(it).is_exposed.load(Relaxed));
        let done = match (limit, plain) {
            (None, _) | (_, None) => -1,
            (Some(Some(limit)), Some(true)) => {
                super::attributes::begin(it, maxsize, limit);
                0
            }
            _ => exposed::init(it, maxsize),
        };
        py::Py_DECREF(zero);
        done
    }
}
