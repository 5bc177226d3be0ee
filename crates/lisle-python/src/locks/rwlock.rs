//! `RWLock`: many readers or one writer. `with lock.read():`, `with lock.write():`.

use crate::kit::class::{body_at, instance};
use crate::kit::ffi::{new_bool, new_none, new_ref, new_str, raise};
use crate::kit::name::{self, Name, Named};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Body, Class, Names, Obj, Once, args, arguments, body, place, py};
use lisle::embed;
use lisle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::ffi::{c_int, c_void};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

struct ReadWrite {
    raw: RwLock<()>,
    name: Name,
}

impl Named for ReadWrite {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Body for ReadWrite {}

/// What `read` and `write` return: it holds the lock during its `with`.
struct Side {
    /// The `ReadWrite`, which stays where it is as long as this refers to it.
    lock: Obj,
    writes: bool,
    limit: f64,
    /// The ident of the thread that is in the `with`, or about to be, or 0. That thread alone touches `held`.
    inside: AtomicU32,
    held: Held,
}

enum Held {
    Nothing,
    Reading(ManuallyDrop<RwLockReadGuard<'static, ()>>),
    Writing(ManuallyDrop<RwLockWriteGuard<'static, ()>>),
}

impl Body for Side {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        visit(self.lock)
    }

    unsafe fn clear(this: *mut Side) {
        // SAFETY: ours, and taken out before it is let go of. A side that is held keeps its lock
        // alive, as a lock that is never released stays held.
        unsafe {
            if (*this).inside.load(Ordering::Relaxed) == 0 {
                py::Py_XDECREF(ptr::replace(&raw mut (*this).lock, ptr::null_mut()));
            }
        }
    }
}

static SIDE: Once = Once::new();

pub(crate) fn class() -> Obj {
    let side = Class::of::<Side>(c"lisle.threading.RWLockSide", c"One side of an RWLock, for its with.")
        .no_args(c"__enter__", enter, c"Takes the lock; TimeoutError if that takes too long.")
        .fast(c"__exit__", exit, c"Releases the lock.")
        .no_args(
            c"downgrade",
            downgrade,
            c"downgrade($self, /)\n--\n\nIn the with of write(): goes on as a reader, and lets others read.",
        )
        .make(ptr::null_mut());
    SIDE.set(side);
    if side.is_null() {
        return side;
    }
    let read = c"read($self, /, timeout=None)\n--\n\n\
        For `with lock.read():`. Waits while another thread writes, or waits to.\n\n\
        On timeout: TimeoutError. On interrupt: ThreadInterrupted. Deadlock: DeadlockError.\n\
        Fairness: readers do not pass a writer that waits.";
    let write = c"write($self, /, timeout=None)\n--\n\n\
        For `with lock.write():`. Waits while another thread reads or writes.\n\n\
        On timeout: TimeoutError. On interrupt: ThreadInterrupted. Deadlock: DeadlockError.";
    Class::of::<ReadWrite>(
        c"lisle.threading.RWLock",
        c"RWLock(*, name=None)\n--\n\nA lock for many readers or one writer.",
    )
    .with_slot(py::Py_tp_new, new as *mut c_void)
    .with_slot(py::Py_tp_repr, repr as *mut c_void)
    .keywords(c"read", read_, read)
    .keywords(c"write", write_, write)
    .no_args(c"locked", locked, c"locked($self, /)\n--\n\nWhether any thread reads or writes at this moment.")
    .no_args(c"_at_fork_reinit", at_fork_reinit, c"Makes it free and new, in the child of a fork.")
    .getter(c"name", name::get::<ReadWrite>, Some(name::set::<ReadWrite>), c"Its name in reports, or None.")
    .make(ptr::null_mut())
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, given: Obj, kwargs: Obj) -> Obj {
    const TO: Names<1> = Names { function: "RWLock", names: [c"name"], required: 0 };
    // SAFETY: attached; `given` and `kwargs` as `tp_new` gets them.
    unsafe {
        if py::PyTuple_GET_SIZE(given) != 0 {
            return raise(py::PyExc_TypeError, c"RWLock() takes no positional arguments");
        }
        let Some([name]) = args::unpack(&TO, given, kwargs) else { return ptr::null_mut() };
        let made = instance(class, ReadWrite { raw: RwLock::new(()), name: Name::none() });
        if !made.is_null() && !name.is_null() && body::<ReadWrite>(made).name.write(name) < 0 {
            py::Py_DECREF(made);
            return ptr::null_mut();
        }
        made
    }
}

unsafe fn side(lock: Obj, writes: bool, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    let to: Names<1> = Names { function: if writes { "write" } else { "read" }, names: [c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([timeout]) = arguments(&to, args, count, keywords) else { return ptr::null_mut() };
        let mut limit = f64::INFINITY;
        if !timeout.is_null() && timeout != crate::kit::ffi::none() {
            let Some(seconds) = time::seconds(timeout) else { return ptr::null_mut() };
            limit = seconds;
        }
        let lock = new_ref(lock);
        instance(SIDE.get().cast(), Side { lock, writes, limit, inside: AtomicU32::new(0), held: Held::Nothing })
    }
}

unsafe extern "C-unwind" fn read_(lock: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    // SAFETY: passed on.
    unsafe { side(lock, false, args, count, keywords) }
}

unsafe extern "C-unwind" fn write_(lock: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    // SAFETY: passed on.
    unsafe { side(lock, true, args, count, keywords) }
}

fn describe(side: Obj, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // SAFETY: both are alive while the lock is waited for.
    unsafe {
        let lock = body::<Side>(side).lock;
        name::describe::<ReadWrite>(lock, f)
    }
}

unsafe extern "C-unwind" fn enter(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments. The guards' lifetime is that of the lock, to which the side
    // refers for as long as it holds one.
    unsafe {
        let this = body::<Side>(it);
        let claim = |from, to| this.inside.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if this.lock.is_null() || !claim(0, embed::ident()) {
            return raise(py::PyExc_RuntimeError, c"each with needs a read() or write() of its own");
        }
        let raw: &'static RwLock<()> = &body::<ReadWrite>(this.lock).raw;
        let at = place::of_take();
        let mut held = match this.writes {
            true => embed::try_write(raw, at).map(ManuallyDrop::new).map(Held::Writing),
            false => embed::try_read(raw, at).map(ManuallyDrop::new).map(Held::Reading),
        };
        if held.is_none() {
            let limit = if this.limit.is_infinite() { Limit::Never } else { time::after(this.limit) };
            let waited = wait(Described { object: it, describe }, limit, &mut |deadline| {
                held = Some(match this.writes {
                    true => Held::Writing(ManuallyDrop::new(embed::write(raw, deadline, at)?)),
                    false => Held::Reading(ManuallyDrop::new(embed::read(raw, deadline, at)?)),
                });
                Ok(())
            });
            if waited != Waited::Granted {
                this.inside.store(0, Ordering::Release);
            }
            if waited == Waited::TimedOut {
                return raise(py::PyExc_TimeoutError, c"the lock could not be acquired in time");
            }
        }
        let Some(held) = held else { return ptr::null_mut() };
        ptr::write(&raw mut (*body_at::<Side>(it)).held, held);
        new_ref(it)
    }
}

/// Takes out what the calling thread holds; raises if that is nothing.
unsafe fn take_out(it: Obj) -> Option<Held> {
    // SAFETY: attached, with an instance of ours; the holding thread alone gets to `held`.
    unsafe {
        if body::<Side>(it).inside.load(Ordering::Acquire) != embed::ident() {
            raise(py::PyExc_RuntimeError, c"only the thread that is in the with may do that");
            return None;
        }
        Some(ptr::replace(&raw mut (*body_at::<Side>(it)).held, Held::Nothing))
    }
}

unsafe extern "C-unwind" fn exit(it: Obj, _: *const Obj, _: isize) -> Obj {
    // SAFETY: a method's arguments; each guard is dropped once, by the thread that got it.
    unsafe {
        let Some(held) = take_out(it) else { return ptr::null_mut() };
        body::<Side>(it).inside.store(0, Ordering::Release);
        match held {
            Held::Nothing => {}
            Held::Reading(mut guard) => ManuallyDrop::drop(&mut guard),
            Held::Writing(mut guard) => ManuallyDrop::drop(&mut guard),
        }
        new_none()
    }
}

unsafe extern "C-unwind" fn downgrade(it: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments; what was taken out is put back as what it has become.
    unsafe {
        let held = match take_out(it) {
            None => return ptr::null_mut(),
            Some(Held::Writing(guard)) => {
                let guard = RwLockWriteGuard::downgrade(ManuallyDrop::into_inner(guard));
                Held::Reading(ManuallyDrop::new(guard))
            }
            Some(other) => other,
        };
        ptr::write(&raw mut (*body_at::<Side>(it)).held, held);
        new_none()
    }
}

unsafe extern "C-unwind" fn locked(lock: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { new_bool(body::<ReadWrite>(lock).raw.is_locked()) }
}

unsafe extern "C-unwind" fn at_fork_reinit(lock: Obj, _: Obj) -> Obj {
    // SAFETY: in the child of a fork there is no other thread.
    unsafe {
        ptr::write(&raw mut (*body_at::<ReadWrite>(lock)).raw, RwLock::new(()));
        new_none()
    }
}

unsafe extern "C-unwind" fn repr(lock: Obj) -> Obj {
    // SAFETY: a slot's argument.
    unsafe {
        let raw = &body::<ReadWrite>(lock).raw;
        let state = match (raw.is_write_locked(), raw.is_locked()) {
            (true, _) => "writing",
            (_, true) => "reading",
            _ => "free",
        };
        new_str(&format!("<lisle.threading.RWLock at {lock:p}: {state}>"))
    }
}
