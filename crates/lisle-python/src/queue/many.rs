//! `put_many` and `get_many`: several items for the price of one call.

use super::FULL;
use super::exposed::{Call, call};
use super::items::{self, Tried};
use super::limits::Patience;
use super::methods::{get_patiently, go_on_exposed, put_patiently};
use super::plain::find_out;
use super::state::{Order, Queue, push};
use crate::kit::ffi::{new_none, raise};
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
        let done = py::PyLong_FromSsize_t(from);
        if rest.is_null() || done.is_null() {
            py::Py_XDECREF(rest);
            return ptr::null_mut();
        }
        let pair = py::PyTuple_Pack(2, rest, done);
        py::Py_DECREF(rest);
        py::Py_DECREF(done);
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
        match find_out(it) {
            None => return ptr::null_mut(),
            Some(false) => return go_on_exposed(Call::GetMany, it, n, &patience),
            Some(true) => {}
        }
        let first = get_patiently(it, &mut patience);
        if first.is_null() {
            return first;
        }
        let list = py::PyList_New(0);
        let mut left = most;
        let mut next = Tried::Done(first);
        while let Tried::Done(item) = next {
            let failed = list.is_null() || py::PyList_Append(list, item) < 0;
            py::Py_DECREF(item);
            if failed {
                py::Py_XDECREF(list);
                return ptr::null_mut();
            }
            left -= 1;
            next = if left > 0 { items::get(it) } else { Tried::Idle };
        }
        match next {
            // No failure to compare but a Ctrl-C, say, that nobody will say again.
            Tried::Raised if py::PyErr_ExceptionMatches(py::PyExc_Exception) == 0 => {
                py::Py_DECREF(list);
                return ptr::null_mut();
            }
            // There is something to show for it already: what is wrong will be said by the next call.
            Tried::Raised => py::PyErr_Clear(),
            Tried::Exposed => return go_on(it, list, left),
            _ => {}
        }
        list
    }
}

/// The queue has changed into exposed mode after the first items.
unsafe fn go_on(it: Obj, list: Obj, left: isize) -> Obj {
    // SAFETY: attached; `list` is a list of ours.
    unsafe {
        let count = py::PyLong_FromSsize_t(left);
        let rest = call(Call::GetMany, [it, count, py::Py_False(), crate::kit::ffi::none()]);
        py::Py_XDECREF(count);
        if rest.is_null() {
            py::PyErr_Clear();
            return list;
        }
        let end = py::PyList_GET_SIZE(list);
        py::PyList_SetSlice(list, end, end, rest);
        py::Py_DECREF(rest);
        list
    }
}
