//! Putting and getting one item in plain mode, without waiting.

use super::compare;
use super::heap;
use super::state::{Order, Queue, State, push, tidy};
use crate::kit::ffi::unwinding;
use crate::kit::{Obj, body, py};
use std::sync::atomic::Ordering::Relaxed;

/// What became of it.
pub(super) enum Tried<T> {
    Done(T),
    /// There is no room, or no item.
    Idle,
    ShutDown,
    /// The queue is in exposed mode by now.
    Exposed,
    Raised,
}

/// What puts an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    /// The program: it is one more that is to be done.
    New,
    /// A call that had taken it.
    Back,
}

/// Why a place in the heap was not found.
enum Stop {
    /// The heap is another by now.
    Changed,
    Raised,
}

impl Queue {
    /// What stands in the way of putting, if anything.
    #[inline(always)]
    fn refuse_put<T>(&self) -> Option<Tried<T>> {
        if self.len.load(Relaxed) >= self.limit.load(Relaxed) || self.is_shutdown.load(Relaxed) {
            return Some(if self.is_shutdown.load(Relaxed) { Tried::ShutDown } else { Tried::Idle });
        }
        self.is_exposed.load(Relaxed).then_some(Tried::Exposed)
    }

    /// What stands in the way of getting, if anything.
    #[inline(always)]
    fn refuse_get<T>(&self) -> Option<Tried<T>> {
        if self.len.load(Relaxed) == 0 {
            let (exposed, shut_down) = (self.is_exposed.load(Relaxed), self.is_shutdown.load(Relaxed));
            return Some(if exposed { Tried::Exposed } else { Tried::idle(shut_down) });
        }
        None
    }

    /// Notes that there are `more` items.
    #[inline(always)]
    pub(super) fn note_put(&self, state: &mut State, more: usize) {
        self.len.store(state.items.len(), Relaxed);
        self.unfinished.store(self.unfinished.load(Relaxed) + more as i64, Relaxed);
        state.version = state.version.wrapping_add(1);
    }

    /// Notes that items have gone.
    #[inline(always)]
    pub(super) fn note_got(&self, state: &mut State) {
        self.len.store(state.items.len(), Relaxed);
        state.version = state.version.wrapping_add(1);
        tidy(&mut state.items);
    }
}

impl<T> Tried<T> {
    #[inline(always)]
    pub(super) fn map<R>(self, change: impl FnOnce(T) -> R) -> Tried<R> {
        match self {
            Tried::Done(it) => Tried::Done(change(it)),
            Tried::Idle => Tried::Idle,
            Tried::ShutDown => Tried::ShutDown,
            Tried::Exposed => Tried::Exposed,
            Tried::Raised => Tried::Raised,
        }
    }

    fn idle(shut_down: bool) -> Tried<T> {
        if shut_down { Tried::ShutDown } else { Tried::Idle }
    }
}

/// Puts an item, of which it takes a reference of its own.
#[inline(always)]
pub(super) unsafe fn put(it: Obj, item: Obj) -> Tried<()> {
    // SAFETY: attached; `it` is a queue and `item` alive.
    unsafe {
        let queue = body::<Queue>(it);
        if queue.order == Order::Priority {
            return put_sorted(queue, item, Put::New);
        }
        let tried = queue.state.with(|state| {
            if let Some(refused) = queue.refuse_put() {
                return refused;
            }
            py::Py_INCREF(item);
            push(&mut state.items, item);
            queue.note_put(state, 1);
            Tried::Done(queue.getters.is_awaited())
        });
        tried.wake(|| queue.getters.wake(1))
    }
}

impl Tried<bool> {
    /// Wakes somebody if that is to be done.
    #[inline(always)]
    fn wake(self, wake: impl FnOnce()) -> Tried<()> {
        self.map(|awaited| {
            if awaited {
                wake();
            }
        })
    }
}

/// Puts back an item that was the next one until it was taken: also where there is no room any more. Takes a
/// reference of its own. False if the queue is in exposed mode by now.
#[cold]
pub(super) unsafe fn give_back(it: Obj, item: Obj) -> bool {
    // SAFETY: attached; `it` is a queue and `item` alive.
    unsafe {
        let queue = body::<Queue>(it);
        if queue.order == Order::Priority {
            match put_sorted(queue, item, Put::Back) {
                Tried::Raised => py::PyErr_Clear(),
                tried => return matches!(tried, Tried::Done(())),
            }
        }
        let tried = queue.state.with(|state| {
            if queue.is_exposed.load(Relaxed) {
                return Tried::Exposed;
            }
            py::Py_INCREF(item);
            match queue.order {
                Order::Fifo => state.items.push_front(item),
                Order::Lifo => push(&mut state.items, item),
                // What it comes before cannot be found out: it stood at the head.
                Order::Priority => heap::insert(&mut state.items, item, 0),
            }
            queue.note_put(state, 0);
            Tried::Done(queue.getters.is_awaited())
        });
        matches!(tried.wake(|| queue.getters.wake(1)), Tried::Done(()))
    }
}

/// Gets an item: the reference is the caller's.
#[inline(always)]
pub(super) unsafe fn get(it: Obj) -> Tried<Obj> {
    // SAFETY: attached, and `it` is a queue.
    unsafe {
        let queue = body::<Queue>(it);
        if queue.order == Order::Priority {
            return get_sorted(queue);
        }
        let (tried, awaited) = queue.state.with(|state| {
            if let Some(refused) = queue.refuse_get() {
                return (refused, false);
            }
            let item = match queue.order {
                Order::Fifo => state.items.pop_front(),
                _ => state.items.pop_back(),
            };
            queue.note_got(state);
            (item.map_or(Tried::Idle, Tried::Done), queue.putters.is_awaited())
        });
        if awaited {
            queue.putters.wake(1);
        }
        tried
    }
}

fn put_sorted(queue: &Queue, item: Obj, which: Put) -> Tried<()> {
    // SAFETY: attached, and `item` is alive, as the caller says. Under the guard only what runs no
    // Python code is compared.
    unsafe {
        let refuse = || match which {
            Put::New => queue.refuse_put(),
            Put::Back => queue.is_exposed.load(Relaxed).then_some(Tried::Exposed),
        };
        let insert = |state: &mut State, place| {
            py::Py_INCREF(item);
            heap::insert(&mut state.items, item, place);
            queue.note_put(state, usize::from(which == Put::New));
            Tried::Done(queue.getters.is_awaited())
        };
        loop {
            let tried = queue.state.with(|state| {
                if let Some(refused) = refuse() {
                    return Ok(refused);
                }
                let len = state.items.len();
                let quick = |at: usize| compare::less(item, state.items[at]).ok_or((state.version, len));
                heap::place_of_new(len, quick).map(|place| insert(state, place))
            });
            let (version, len) = match tried {
                Ok(tried) => return tried.wake(|| queue.getters.wake(1)),
                Err(seen) => seen,
            };
            // The program's own comparisons run with no guard; what they found out counts if the
            // heap is still the same.
            let place = heap::place_of_new(len, |at| less(queue, version, None, at, item));
            let done = match place {
                Ok(place) => queue.state.with(|state| match refuse() {
                    _ if state.version != version => Err(Stop::Changed),
                    Some(refused) => Ok(refused),
                    None => Ok(insert(state, place)),
                }),
                Err(stop) => Err(stop),
            };
            match done {
                Ok(tried) => return tried.wake(|| queue.getters.wake(1)),
                Err(Stop::Raised) => {
                    // The room that this thread may have been woken for is still there.
                    if !queue.is_idle_for_putters() {
                        queue.putters.wake(1);
                    }
                    return Tried::Raised;
                }
                Err(_) => {}
            }
        }
    }
}

fn get_sorted(queue: &Queue) -> Tried<Obj> {
    // SAFETY: as `put_sorted`.
    unsafe {
        let take = |state: &mut State, place| {
            let item = heap::take_first(&mut state.items, place);
            queue.note_got(state);
            (item.map_or(Tried::Idle, Tried::Done), queue.putters.is_awaited())
        };
        loop {
            let tried = queue.state.with(|state| {
                if let Some(refused) = queue.refuse_get() {
                    return Ok((refused, false));
                }
                let len = state.items.len();
                let quick =
                    |a: usize, b: usize| compare::less(state.items[a], state.items[b]).ok_or((state.version, len));
                heap::place_of_last(len, quick).map(|place| take(state, place))
            });
            let done = match tried {
                Ok(tried) => Ok(tried),
                Err((version, len)) => {
                    let place = heap::place_of_last(len, |a, b| less(queue, version, Some(a), b, std::ptr::null_mut()));
                    place.and_then(|place| {
                        queue.state.with(|state| match state.version == version {
                            true => Ok(take(state, place)),
                            false => Err(Stop::Changed),
                        })
                    })
                }
            };
            match done {
                Ok((tried, awaited)) => {
                    if awaited {
                        queue.putters.wake(1);
                    }
                    return tried;
                }
                Err(Stop::Raised) => {
                    // The item that this thread may have been woken for is still there.
                    if !queue.is_idle_for_getters() {
                        queue.getters.wake(1);
                    }
                    return Tried::Raised;
                }
                Err(_) => {}
            }
        }
    }
}

/// Two items that are to be compared.
enum Pair {
    /// The heap is another by now.
    Changed,
    Known(bool),
    /// By the program's code. They are kept alive.
    Foreign(Obj, Obj),
}

/// Whether the item at `a`, or else `item`, comes before the one at `b`, as long as the heap is of
/// that version.
unsafe fn less(queue: &Queue, version: u64, a: Option<usize>, b: usize, item: Obj) -> Result<bool, Stop> {
    // SAFETY: attached; the two items are kept alive for the comparison, by which the program's code
    // can run.
    unsafe {
        let seen = queue.state.with(|state| {
            if state.version != version {
                return Pair::Changed;
            }
            let (first, second) = (a.map_or(item, |a| state.items[a]), state.items[b]);
            match compare::less(first, second) {
                Some(known) => Pair::Known(known),
                None => {
                    py::Py_INCREF(first);
                    py::Py_INCREF(second);
                    Pair::Foreign(first, second)
                }
            }
        });
        let (first, second) = match seen {
            Pair::Changed => return Err(Stop::Changed),
            Pair::Known(known) => return Ok(known),
            Pair::Foreign(first, second) => (first, second),
        };
        let result = unwinding::PyObject_RichCompareBool(first, second, py::Py_LT);
        py::Py_DECREF(first);
        py::Py_DECREF(second);
        if result < 0 { Err(Stop::Raised) } else { Ok(result == 1) }
    }
}
