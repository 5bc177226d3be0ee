//! `put_many` and `get_many`: several items for the price of one call.

use super::FULL;
use super::exposed::{Call, call};
use super::items::{self, Tried};
use super::limits::Patience;
use super::methods::{get_patiently, go_on_exposed, put_patiently};
use super::plain::find_out;
use super::state::{Order, Queue, push};
use crate::kit::ffi::{new_none, put_back, raise, set_aside};
use crate::kit::{Names, Obj, arguments, body, py};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

pub(super) unsafe extern "C-unwind" fn put_many(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<3> = Names { function: "Queue.put_many", names: [c"items", c"block", c"timeout"], required: 1 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([given, block, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let Some(mut patience) = Patience::of(block, timeout) else { return ptr::null_mut() };
        // Ours: a list that the caller gave might change while this waits.
        let items = py::PySequence_Tuple(given);
        if items.is_null() {
            return items;
        }
        let result = put_all(it, items, &mut patience);
        py::Py_DECREF(items);
        result
    }
}

unsafe fn put_all(it: Obj, items: Obj, patience: &mut Patience) -> Obj {
    // SAFETY: attached; `it` is a queue and `items` a tuple, of which the caller has a reference.
    unsafe {
        let count = py::PyTuple_GET_SIZE(items);
        let mut done = 0;
        while done < count {
            match find_out(it) {
                None => return ptr::null_mut(),
                Some(false) => return put_rest(it, items, done, patience),
                Some(true) => done += put_some(it, items, done),
            }
            if done < count {
                // Waits, if that is what there is to do, and says what is wrong if it is that.
                let put = put_patiently(it, py::PyTuple_GET_ITEM(items, done), patience);
                if put.is_null() {
                    return say_how_many(done);
                }
                py::Py_DECREF(put);
                done += 1;
            }
        }
        new_none()
    }
}

/// Puts as many of the items from `from` on as there is room for; tells how many. None if anything
/// stands against it.
unsafe fn put_some(it: Obj, items: Obj, from: isize) -> isize {
    // SAFETY: as `put_all`.
    unsafe {
        let queue = body::<Queue>(it);
        if queue.order == Order::Priority {
            return 0;
        }
        let (put, awaited) = queue.state.with(|state| {
            if queue.is_shutdown.load(Relaxed) || queue.is_exposed.load(Relaxed) {
                return (0, false);
            }
            let room = queue.limit.load(Relaxed).saturating_sub(queue.len.load(Relaxed));
            let more = (py::PyTuple_GET_SIZE(items) - from).min(room.min(isize::MAX as usize) as isize);
            for at in from..from + more {
                let item = py::PyTuple_GET_ITEM(items, at);
                py::Py_INCREF(item);
                push(&mut state.items, item);
            }
            queue.note_put(state, more as usize);
            (more, queue.getters.is_awaited())
        });
        if put > 0 && awaited {
            queue.getters.wake(put as usize);
        }
        put
    }
}

/// Leaves the rest to exposed mode.
unsafe fn put_rest(it: Obj, items: Obj, from: isize, patience: &Patience) -> Obj {
    // SAFETY: as `put_all`.
    unsafe {
        let rest = py::PyTuple_GetSlice(items, from, py::PyTuple_GET_SIZE(items));
        if rest.is_null() {
            return rest;
        }
        let pair = py::Py_BuildValue(c"Nn".as_ptr(), rest, from);
        if pair.is_null() {
            return pair;
        }
        let result = go_on_exposed(Call::PutMany, it, pair, patience);
        py::Py_DECREF(pair);
        result
    }
}

/// `Full` says how many items were put before the time was over.
unsafe fn say_how_many(done: isize) -> Obj {
    // SAFETY: attached, with an exception set.
    unsafe {
        if py::PyErr_ExceptionMatches(FULL.get()) != 0 {
            py::PyErr_Clear();
            let count = py::PyLong_FromSsize_t(done);
            if !count.is_null() {
                py::PyErr_SetObject(FULL.get(), count);
                py::Py_DECREF(count);
            }
        }
        ptr::null_mut()
    }
}

pub(super) unsafe extern "C-unwind" fn get_many(it: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<3> = Names { function: "Queue.get_many", names: [c"n", c"block", c"timeout"], required: 1 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([n, block, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let most = py::PyNumber_AsSsize_t(n, ptr::null_mut());
        if most == -1 && !py::PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        if most < 1 {
            return raise(py::PyExc_ValueError, c"'n' must be a positive number");
        }
        let Some(mut patience) = Patience::of(block, timeout) else { return ptr::null_mut() };
        let list = py::PyList_New(0);
        if !list.is_null() && !get_some(it, list, most, &mut patience) {
            give_back(it, list);
            py::Py_DECREF(list);
            return ptr::null_mut();
        }
        list
    }
}

/// Gets items into `list` until these are `most`, or there are no more; waits for the first one. False
/// with an exception set if anything fails: then `list` has what was taken so far.
unsafe fn get_some(it: Obj, list: Obj, most: isize, patience: &mut Patience) -> bool {
    // SAFETY: attached; `it` is a queue and `list` a list of ours.
    unsafe {
        match find_out(it) {
            None => return false,
            Some(false) => return get_exposed(it, list, most, patience),
            Some(true) => {}
        }
        let first = get_patiently(it, patience);
        let mut next = if first.is_null() { Tried::Raised } else { Tried::Done(first) };
        while let Tried::Done(item) = next {
            let failed = py::PyList_Append(list, item) < 0;
            if failed {
                items::give_back(it, item);
            }
            py::Py_DECREF(item);
            next = match py::PyList_GET_SIZE(list) < most {
                _ if failed => Tried::Raised,
                true => items::get(it),
                false => Tried::Idle,
            };
        }
        match next {
            Tried::Raised => false,
            Tried::Exposed => get_exposed(it, list, most, patience),
            _ => true,
        }
    }
}

/// [`get_some`] in exposed mode, in which the queue may have got after the first items.
unsafe fn get_exposed(it: Obj, list: Obj, most: isize, patience: &Patience) -> bool {
    // SAFETY: as `get_some`.
    unsafe {
        let pair = py::Py_BuildValue(c"On".as_ptr(), list, most);
        if pair.is_null() {
            return false;
        }
        let done = go_on_exposed(Call::GetMany, it, pair, patience);
        py::Py_DECREF(pair);
        py::Py_XDECREF(done);
        !done.is_null()
    }
}

/// Puts back what is in `list`, which were the next items until a moment ago, since the call that took
/// them cannot return them. The exception that is set stays so.
#[cold]
unsafe fn give_back(it: Obj, list: Obj) {
    // SAFETY: as `get_some`.
    unsafe {
        let exception = set_aside();
        // The last first: each is the next item then.
        let mut left = py::PyList_GET_SIZE(list);
        while left > 0 && items::give_back(it, py::PyList_GET_ITEM(list, left - 1)) {
            left -= 1;
            py::PyList_SetSlice(list, left, left + 1, ptr::null_mut());
        }
        if left > 0 {
            let done = call(Call::GiveBack, [it, list]);
            if done.is_null() {
                py::PyErr_WriteUnraisable(it);
            }
            py::Py_XDECREF(done);
        }
        put_back(exception);
    }
}
