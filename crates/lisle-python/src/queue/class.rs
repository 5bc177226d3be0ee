//! The types `Queue`, `LifoQueue` and `PriorityQueue`.

use super::attributes as at;
use super::exposed::{inside, set_inside};
use super::state::{Inside, Order, Queue};
use super::{many, methods};
use crate::kit::class::instance;
use crate::kit::{Class, Obj, py};
use std::ffi::c_void;
use std::ptr;

const MUTEX: usize = Inside::Mutex as usize;
const NOT_EMPTY: usize = Inside::NotEmpty as usize;
const NOT_FULL: usize = Inside::NotFull as usize;
const ALL_TASKS_DONE: usize = Inside::AllTasksDone as usize;
const QUEUE: usize = Inside::Queue as usize;

/// The base of the others.
pub(super) fn queue() -> Obj {
    Class::of::<Queue>(
        c"queue.Queue",
        c"Queue(maxsize=0)\n--\n\nA first-in, first-out queue for threads; of at most `maxsize` items, if that is positive.",
    )
    .open::<Queue>()
    .generic()
    .with_slot(py::Py_tp_new, new_queue as *mut c_void)
    .with_slot(py::Py_tp_init, methods::init as *mut c_void)
    .keywords(
        c"put",
        methods::put,
        c"put($self, /, item, block=True, timeout=None)\n--\n\n\
        Puts an item. Waits while the queue is full: `timeout` seconds at most, not at all unless `block`.\n\n\
        On timeout: Full. After shutdown: ShutDown. On interrupt: ThreadInterrupted; a signal's handler runs, \
        and the wait goes on.",
    )
    .keywords(
        c"get",
        methods::get,
        c"get($self, /, block=True, timeout=None)\n--\n\n\
        Takes out the next item. Waits while there is none: `timeout` seconds at most, not at all unless `block`.\n\n\
        On timeout: Empty. After shutdown: ShutDown, once the queue is empty. On interrupt: ThreadInterrupted; a \
        signal's handler runs, and the wait goes on.",
    )
    .one_arg(
        c"put_nowait",
        methods::put_nowait,
        c"put_nowait($self, item)\n--\n\nPuts an item if there is room for it, else raises Full.",
    )
    .no_args(
        c"get_nowait",
        methods::get_nowait,
        c"get_nowait($self)\n--\n\nTakes out the next item if there is one, else raises Empty.",
    )
    .keywords(
        c"put_many",
        many::put_many,
        c"put_many($self, /, items, block=True, timeout=None)\n--\n\n\
        Puts all items of an iterable, waiting for room as `put` does; `timeout` is for all of them together.\n\n\
        On timeout: Full(n), where n of them have been put.",
    )
    .keywords(
        c"get_many",
        many::get_many,
        c"get_many($self, /, n, block=True, timeout=None)\n--\n\n\
        A list of the next items: those that there are, n at most. Waits for the first one as `get` does. If it \
        fails midway (a comparison, a signal's handler), the queue has them all again.",
    )
    .no_args(
        c"task_done",
        methods::task_done,
        c"task_done($self)\n--\n\nSays that an item that was taken out has been dealt with, for those who `join`.",
    )
    .keywords(
        c"join",
        methods::join,
        c"join($self, /, timeout=None)\n--\n\n\
        Waits until `task_done` has been called for every item that was put.\n\n\
        With a timeout, tells whether that was so in time. On interrupt: ThreadInterrupted.",
    )
    .no_args(c"qsize", methods::qsize, c"qsize($self)\n--\n\nHow many items there are, at this moment.")
    .no_args(c"empty", methods::empty, c"empty($self)\n--\n\nWhether there are no items, at this moment.")
    .no_args(c"full", methods::full, c"full($self)\n--\n\nWhether there is no room, at this moment.")
    .keywords(
        c"shutdown",
        methods::shutdown,
        c"shutdown($self, /, immediate=False)\n--\n\n\
        Ends the queue: `put` raises ShutDown from now on, and `get` does once the queue is empty. With `immediate` \
        it is emptied at once, and its items count as done.",
    )
    .getter(c"maxsize", at::maxsize, Some(at::set_maxsize), c"How many items there may be; any number if it is not positive.")
    .getter(c"unfinished_tasks", at::unfinished, Some(at::set_unfinished), c"How many items are not done yet.")
    .getter(c"is_shutdown", at::is_shutdown, Some(at::set_is_shutdown), c"Whether the queue was shut down.")
    .getter(c"mutex", inside::<MUTEX>, Some(set_inside::<MUTEX>), c"The lock that guards `queue`.")
    .getter(c"not_empty", inside::<NOT_EMPTY>, Some(set_inside::<NOT_EMPTY>), c"Notified of items.")
    .getter(c"not_full", inside::<NOT_FULL>, Some(set_inside::<NOT_FULL>), c"Notified of room.")
    .getter(
        c"all_tasks_done",
        inside::<ALL_TASKS_DONE>,
        Some(set_inside::<ALL_TASKS_DONE>),
        c"Notified when all items are done.",
    )
    .getter(c"queue", inside::<QUEUE>, Some(set_inside::<QUEUE>), c"The items.")
    .make(ptr::null_mut())
}

pub(super) fn lifo(queue: Obj) -> Obj {
    let doc = c"LifoQueue(maxsize=0)\n--\n\nA queue whose next item is the one that was put last.";
    Class::of::<Queue>(c"queue.LifoQueue", doc)
        .derivable()
        .with_slot(py::Py_tp_new, new_lifo as *mut c_void)
        .make(queue)
}

pub(super) fn priority(queue: Obj) -> Obj {
    let doc = c"PriorityQueue(maxsize=0)\n--\n\nA queue whose next item is the least one.";
    Class::of::<Queue>(c"queue.PriorityQueue", doc)
        .derivable()
        .with_slot(py::Py_tp_new, new_priority as *mut c_void)
        .make(queue)
}

// `__init__` is for the arguments: those of subclasses are none of our business.

unsafe extern "C-unwind" fn new_queue(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: a slot's arguments.
    unsafe { instance(class, Queue::new(Order::Fifo)) }
}

unsafe extern "C-unwind" fn new_lifo(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: a slot's arguments.
    unsafe { instance(class, Queue::new(Order::Lifo)) }
}

unsafe extern "C-unwind" fn new_priority(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: a slot's arguments.
    unsafe { instance(class, Queue::new(Order::Priority)) }
}
