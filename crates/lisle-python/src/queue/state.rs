//! What a queue is made of.

use super::guard::Guarded;
use super::line::Line;
use crate::kit::{Body, Obj, py};
use std::collections::VecDeque;
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicIsize, AtomicU8, AtomicU32, AtomicUsize};

/// Which item is the next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Fifo,
    Lifo,
    Priority,
}

/// What a program gets to see of a queue in exposed mode.
#[derive(Clone, Copy)]
pub(super) enum Inside {
    Mutex,
    NotEmpty,
    NotFull,
    AllTasksDone,
    Queue,
}

/// How many [`Inside`]s there are.
pub(super) const INSIDES: usize = 5;

/// No version of any type.
pub(super) const NEVER: u32 = u32::MAX;

/// A queue, in one of two modes:
///
/// - *plain*: the items are in `state`, and no Python code is needed to put or get one;
/// - *exposed*, for good: the program has looked at the insides, or has its own `_put`, `_get`,
///   `_qsize` or `_init`. The items are in the object `queue`, guarded by the object `mutex`, and
///   `lisle._exposed_queue` does the work.
///
/// What is atomic changes under the guard, and may be read by who waits, detached.
pub(super) struct Queue {
    pub(super) order: Order,
    /// The version of the instance's type, and how many attributes of its own it had, when `replaced`
    /// was found out: as long as they are the same, so is that.
    pub(super) looked_at: AtomicU32,
    pub(super) attributes: AtomicIsize,
    /// Which methods the program has replaced by its own, see `plain`.
    pub(super) replaced: AtomicU8,
    pub(super) is_exposed: AtomicBool,
    pub(super) is_shutdown: AtomicBool,
    pub(super) len: AtomicUsize,
    /// How many items there may be; `usize::MAX` for any number.
    pub(super) limit: AtomicUsize,
    pub(super) unfinished: AtomicI64,
    pub(super) getters: Line,
    pub(super) putters: Line,
    pub(super) joiners: Line,
    pub(super) state: Guarded<State>,
}

pub(super) struct State {
    pub(super) items: VecDeque<Obj>,
    /// Counts the changes of `items`, for who has to let go of the guard in between.
    pub(super) version: u64,
    /// `maxsize` as it was given.
    pub(super) maxsize: Obj,
    pub(super) insides: [Obj; INSIDES],
}

impl Queue {
    pub(super) fn new(order: Order) -> Queue {
        Queue {
            order,
            looked_at: AtomicU32::new(NEVER),
            attributes: AtomicIsize::new(0),
            replaced: AtomicU8::new(0),
            is_exposed: AtomicBool::new(false),
            is_shutdown: AtomicBool::new(false),
            len: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
            unfinished: AtomicI64::new(0),
            getters: Line::new(),
            putters: Line::new(),
            joiners: Line::new(),
            state: Guarded::new(State {
                items: VecDeque::new(),
                version: 0,
                maxsize: ptr::null_mut(),
                insides: [ptr::null_mut(); INSIDES],
            }),
        }
    }

    /// Whether a getter has to wait. As the other two, also for who is not attached.
    pub(super) fn is_idle_for_getters(&self) -> bool {
        self.len.load(Relaxed) == 0 && !self.is_over()
    }

    pub(super) fn is_idle_for_putters(&self) -> bool {
        self.len.load(Relaxed) >= self.limit.load(Relaxed) && !self.is_over()
    }

    pub(super) fn is_idle_for_joiners(&self) -> bool {
        self.unfinished.load(Relaxed) > 0 && !self.is_exposed.load(Relaxed)
    }

    fn is_over(&self) -> bool {
        self.is_shutdown.load(Relaxed) || self.is_exposed.load(Relaxed)
    }

    /// Wakes all who wait, to look at what has become of the queue.
    pub(super) fn wake_all(&self) {
        for line in [&self.getters, &self.putters, &self.joiners] {
            line.wake(usize::MAX);
        }
    }
}

/// What an empty queue may keep of the memory for items, in items.
const ROOM_TO_KEEP: usize = 4096;
/// What a queue begins with: some lines of a processor's cache, so that two do not share one.
const ROOM_AT_FIRST: usize = 32;

/// Puts an item at the end.
#[inline(always)]
pub(super) fn push(items: &mut VecDeque<Obj>, item: Obj) {
    if items.capacity() == 0 {
        items.reserve(ROOM_AT_FIRST);
    }
    items.push_back(item);
}

/// Gives back the memory of many items that have gone.
#[inline(always)]
pub(super) fn tidy(items: &mut VecDeque<Obj>) {
    if items.is_empty() && items.capacity() > ROOM_TO_KEEP {
        items.shrink_to(ROOM_AT_FIRST);
    }
}

/// Lets go of items.
///
/// # Safety
/// Attached; the references are owned.
pub(super) unsafe fn let_go(items: VecDeque<Obj>) {
    // Python code runs here, which can unwind: then the rest stays where it is.
    let mut items = ManuallyDrop::new(items);
    while let Some(item) = items.pop_front() {
        // SAFETY: as the caller says.
        unsafe { py::Py_DECREF(item) };
    }
    // SAFETY: dropped once, here.
    unsafe { ManuallyDrop::drop(&mut items) };
}

/// Shows the collector all items.
pub(super) fn traverse(items: &VecDeque<Obj>, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
    items.iter().map(|item| visit(*item)).find(|seen| *seen != 0).unwrap_or(0)
}

impl Body for Queue {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        // SAFETY: it is the collector who asks.
        let state = unsafe { self.state.seen_by_collector() };
        for object in state.insides.iter().chain([&state.maxsize]) {
            let seen = visit(*object);
            if seen != 0 {
                return seen;
            }
        }
        traverse(&state.items, visit)
    }

    unsafe fn clear(this: *mut Queue) {
        // SAFETY: attached, and the instance is alive. All is taken out before any of it goes.
        unsafe {
            let queue = &*this;
            let (items, objects) = queue.state.with(|state| {
                queue.len.store(0, Relaxed);
                state.version += 1;
                let mut objects = [ptr::null_mut(); INSIDES + 1];
                objects[..INSIDES].copy_from_slice(&std::mem::replace(&mut state.insides, [ptr::null_mut(); INSIDES]));
                objects[INSIDES] = std::mem::replace(&mut state.maxsize, ptr::null_mut());
                (ManuallyDrop::new(std::mem::take(&mut state.items)), objects)
            });
            for object in objects {
                py::Py_XDECREF(object);
            }
            let_go(ManuallyDrop::into_inner(items));
        }
    }
}
