//! `Event`: a flag that can be waited for.

use crate::kit::class::{body_at, instance};
use crate::kit::ffi::{intern, new_bool, new_none, new_ref, new_str, raise, unwinding};
use crate::kit::name::{self, Name, Named};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Body, Class, Names, Obj, Once, arguments, body, py};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

pub(crate) struct Event {
    raw: lisle::sync::Event,
    name: Name,
    /// The condition that the standard library's Event has inside, made for who asks for it.
    cond: AtomicPtr<py::PyObject>,
    /// The next wait that would block sets the flag instead.
    set_by_wait: AtomicBool,
}

impl Named for Event {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Body for Event {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        visit(self.cond.load(Ordering::Relaxed))
    }

    unsafe fn clear(this: *mut Event) {
        // SAFETY: ours, and taken out before it is let go of.
        unsafe { py::Py_XDECREF((*this).cond.swap(ptr::null_mut(), Ordering::Relaxed)) };
    }
}

static CLASS: Once = Once::new();
static NOTIFY_ALL: Once = Once::new();
static ENTER: Once = Once::new();
static EXIT: Once = Once::new();

pub(crate) fn class() -> Obj {
    NOTIFY_ALL.set(intern(c"notify_all"));
    ENTER.set(intern(c"__enter__"));
    EXIT.set(intern(c"__exit__"));
    let wait = c"wait($self, /, timeout=None)\n--\n\n\
        Waits until the flag is set, and tells whether it is.\n\n\
        On timeout: False. On interrupt: ThreadInterrupted; a signal's handler runs, and the wait goes on.";
    let class = Class::of::<Event>(c"threading.Event", c"Event()\n--\n\nA flag that can be waited for.")
        .open::<Event>()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .with_slot(py::Py_tp_repr, repr as *mut c_void)
        .no_args(c"set", set, c"set($self, /)\n--\n\nSets the flag, and wakes all who wait.")
        .no_args(c"clear", clear, c"clear($self, /)\n--\n\nResets the flag: who waits from now on blocks.")
        .no_args(c"is_set", is_set, c"is_set($self, /)\n--\n\nWhether the flag is set.")
        .no_args(c"isSet", is_set_deprecated, c"Deprecated: is_set().")
        .keywords(c"wait", wait_, wait)
        .no_args(c"_at_fork_reinit", at_fork_reinit, c"Forgets who waited, in the child of a fork.")
        .getter(c"name", name::get::<Event>, Some(name::set::<Event>), c"Its name in reports, or None.")
        .getter(c"_flag", flag, Some(set_flag), c"The flag.")
        .getter(c"_cond", cond, None, c"A condition that is notified when the flag is set.")
        .make(ptr::null_mut());
    CLASS.set(class);
    class
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, args: Obj, kwargs: Obj) -> Obj {
    // SAFETY: attached; `args` and `kwargs` as `tp_new` gets them.
    unsafe {
        let given = py::PyTuple_GET_SIZE(args) != 0 || !kwargs.is_null() && py::PyDict_Size(kwargs) != 0;
        if given && class == CLASS.get().cast() {
            return raise(py::PyExc_TypeError, c"Event() takes no arguments");
        }
        let cond = AtomicPtr::new(ptr::null_mut());
        let set_by_wait = AtomicBool::new(false);
        instance(class, Event { raw: lisle::sync::Event::new(), name: Name::none(), cond, set_by_wait })
    }
}

unsafe extern "C-unwind" fn set(event: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let it = body::<Event>(event);
        it.raw.set();
        let cond = it.cond.load(Ordering::Acquire);
        if cond.is_null() { new_none() } else { notify(cond) }
    }
}

/// Somebody has asked for the condition, and may wait for it.
#[cold]
unsafe fn notify(cond: Obj) -> Obj {
    // SAFETY: attached; the event keeps the condition.
    unsafe {
        let cond_only = [cond];
        let entered = unwinding::PyObject_VectorcallMethod(ENTER.get(), cond_only.as_ptr(), 1, ptr::null_mut());
        if entered.is_null() {
            return entered;
        }
        py::Py_DECREF(entered);
        let done = unwinding::PyObject_VectorcallMethod(NOTIFY_ALL.get(), cond_only.as_ptr(), 1, ptr::null_mut());
        let none = crate::kit::ffi::none();
        let args = [cond, none, none, none];
        let left = unwinding::PyObject_VectorcallMethod(EXIT.get(), args.as_ptr(), 4, ptr::null_mut());
        if done.is_null() {
            py::Py_XDECREF(left);
            return done;
        }
        py::Py_DECREF(done);
        if left.is_null() {
            return left;
        }
        py::Py_DECREF(left);
        new_none()
    }
}

unsafe extern "C-unwind" fn clear(event: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        body::<Event>(event).raw.clear();
        new_none()
    }
}

unsafe extern "C-unwind" fn is_set(event: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { new_bool(body::<Event>(event).raw.is_set()) }
}

unsafe extern "C-unwind" fn is_set_deprecated(event: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let text = c"isSet() is deprecated, use is_set() instead";
        if py::PyErr_WarnEx(py::PyExc_DeprecationWarning, text.as_ptr(), 1) < 0 {
            return ptr::null_mut();
        }
        is_set(event, ptr::null_mut())
    }
}

unsafe extern "C-unwind" fn wait_(event: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<1> = Names { function: "wait", names: [c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let mut limit = Limit::Never;
        if count != 0 || !keywords.is_null() {
            let Some([timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
            let Some(given) = time::of_wait(timeout) else { return ptr::null_mut() };
            limit = given;
        }
        let it = body::<Event>(event);
        let raw = &it.raw;
        if raw.is_set() {
            return new_bool(true);
        }
        if it.set_by_wait.load(Ordering::Relaxed) && it.set_by_wait.swap(false, Ordering::AcqRel) {
            raw.set();
            return new_bool(true);
        }
        let waited =
            wait(
                Described { object: event, describe: name::describe::<Event> },
                limit,
                &mut |deadline| match deadline {
                    Some(at) => raw.wait_until(at),
                    None => raw.wait(),
                },
            );
        match waited {
            Waited::Raised => ptr::null_mut(),
            ended => new_bool(ended == Waited::Granted),
        }
    }
}

/// Whether it is an event, and of no derived class.
pub(super) unsafe fn is(object: Obj) -> bool {
    // SAFETY: the caller holds the object.
    unsafe { py::Py_TYPE(object) == CLASS.get().cast() }
}

/// Whether the next wait that would block sets the flag instead: for the event that a thread sets when it begins, if
/// who starts it need not wait for that.
pub(super) unsafe fn set_by_next_wait(event: Obj, does: bool) {
    // SAFETY: the caller has an event.
    unsafe { body::<Event>(event) }.set_by_wait.store(does, Ordering::Release);
}

unsafe extern "C-unwind" fn at_fork_reinit(event: Obj, _: Obj) -> Obj {
    // SAFETY: in the child of a fork there is no other thread.
    unsafe {
        let it = body_at::<Event>(event);
        let was_set = (*it).raw.is_set();
        ptr::write(&raw mut (*it).raw, lisle::sync::Event::new());
        if was_set {
            (*it).raw.set();
        }
        Event::clear(it);
        new_none()
    }
}

unsafe extern "C-unwind" fn flag(event: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { is_set(event, ptr::null_mut()) }
}

unsafe extern "C-unwind" fn set_flag(event: Obj, value: Obj, _: *mut c_void) -> c_int {
    // SAFETY: a setter's arguments; null is a deletion.
    unsafe {
        match if value.is_null() { 0 } else { py::PyObject_IsTrue(value) } {
            0 => body::<Event>(event).raw.clear(),
            1 => body::<Event>(event).raw.set(),
            _ => return -1,
        }
    }
    0
}

unsafe extern "C-unwind" fn cond(event: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe {
        let slot = &body::<Event>(event).cond;
        if slot.load(Ordering::Acquire).is_null() {
            let made = super::condition::over_a_lock();
            if made.is_null() {
                return made;
            }
            if slot.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire).is_err() {
                py::Py_DECREF(made);
            }
        }
        new_ref(slot.load(Ordering::Acquire))
    }
}

unsafe extern "C-unwind" fn repr(event: Obj) -> Obj {
    // SAFETY: a slot's argument.
    unsafe {
        let state = if body::<Event>(event).raw.is_set() { "set" } else { "unset" };
        new_str(&format!("<{} at {event:p}: {state}>", crate::kit::class::full_name(event)))
    }
}
