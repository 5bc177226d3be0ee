//! `Condition`: waiting, under a lock, until another thread says that something has changed.
//!
//! A waiter is a node in the condition's list, put there while the lock is held; `notify` takes nodes
//! out, from the front, and wakes their threads. Who leaves by itself takes its node out; if it is
//! not there any more, the thread has been notified.

use super::any_lock::{self, AnyLock, NAMES};
use super::{lock, rlock};
use crate::kit::class::{body_at, instance};
use crate::kit::ffi::{intern, new_bool, new_none, new_ref, none, raise, unwinding};
use crate::kit::name::{self, Name, Named};
use crate::kit::time::{self, Limit};
use crate::kit::wait::{Described, Waited, wait};
use crate::kit::{Body, Class, Names, Obj, Once, args, arguments, body, py};
use lisle::Kind;
use lisle::embed::{self, Waiting};
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(crate) struct Condition {
    /// Referred to.
    lock: AnyLock,
    waiters: Mutex<VecDeque<Arc<Node>>>,
    name: Name,
}

/// Whether its thread has been notified. Its address is where the thread waits.
struct Node(AtomicBool);

impl Named for Condition {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Body for Condition {
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        visit(self.lock.object)
    }

    unsafe fn clear(this: *mut Condition) {
        // SAFETY: ours, and taken out before it is let go of.
        unsafe { py::Py_XDECREF(ptr::replace(&raw mut (*this).lock, AnyLock::none()).object) };
    }
}

impl Condition {
    fn over(lock: AnyLock) -> Condition {
        Condition { lock, waiters: Mutex::new(VecDeque::new()), name: Name::none() }
    }

    /// Never held while Python code can run.
    fn waiters(&self) -> MutexGuard<'_, VecDeque<Arc<Node>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies at most `most` of those who wait.
    fn notify(&self, most: usize) {
        for _ in 0..most {
            let Some(node) = self.waiters().pop_front() else { return };
            node.0.store(true, Ordering::SeqCst);
            embed::unpark(Arc::as_ptr(&node).addr(), 1);
        }
    }

    /// Takes out a node; false if `notify` has done so.
    fn forget(&self, node: *const Node) -> bool {
        let mut waiters = self.waiters();
        let at = waiters.iter().position(|one| ptr::eq(Arc::as_ptr(one), node));
        at.and_then(|at| waiters.remove(at)).is_some()
    }
}

static CLASS: Once = Once::new();
static WAIT: Once = Once::new();

pub(crate) fn class() -> Obj {
    any_lock::set_up();
    WAIT.set(intern(c"wait"));
    let wait = c"wait($self, /, timeout=None)\n--\n\n\
        Releases the lock, waits to be notified, and locks the lock again. True if it was notified.\n\n\
        On timeout: False. On interrupt: ThreadInterrupted. In both cases the lock is held again.\n\
        Fairness: who has waited longest is notified first.";
    let wait_for = c"wait_for($self, /, predicate, timeout=None)\n--\n\n\
        Waits until the predicate, called under the lock, is true, and returns what it returned last.";
    let notify_all = c"notify_all($self, /)\n--\n\nWakes all threads that wait. The lock must be held.";
    let doc = c"Condition(lock=None)\n--\n\nA place to wait, under a lock, for another thread's notify.";
    let class = Class::of::<Condition>(c"threading.Condition", doc)
        .open::<Condition>()
        .with_slot(py::Py_tp_new, new as *mut c_void)
        .with_slot(py::Py_tp_init, init as *mut c_void)
        .with_slot(py::Py_tp_repr, repr as *mut c_void)
        .no_args(c"__enter__", enter, c"Locks the lock.")
        .fast(c"__exit__", exit, c"Releases the lock.")
        .keywords(c"wait", wait_, wait)
        .keywords(c"wait_for", wait_for_, wait_for)
        .keywords(
            c"notify",
            notify,
            c"notify($self, /, n=1)\n--\n\nWakes at most n of the threads that wait. The lock must be held.",
        )
        .no_args(c"notify_all", notify_all_, notify_all)
        .no_args(c"notifyAll", notify_all_deprecated, c"Deprecated: notify_all().")
        .no_args(c"_is_owned", is_owned_, c"Whether the calling thread holds the lock, as far as can be told.")
        .no_args(c"_release_save", release_save_, c"Releases the lock; returns what _acquire_restore needs.")
        .one_arg(c"_acquire_restore", acquire_restore_, c"Locks the lock as it was.")
        .no_args(c"_at_fork_reinit", at_fork_reinit, c"Forgets who waited, in the child of a fork.")
        .getter(c"acquire", acquire, None, c"The lock's acquire.")
        .getter(c"release", release, None, c"The lock's release.")
        .getter(c"_lock", lock_, None, c"The lock.")
        .getter(c"_waiters", waiters, None, c"A list as long as there are threads that wait.")
        .getter(c"name", name::get::<Condition>, Some(name::set::<Condition>), c"Its name in reports, or None.")
        .make(ptr::null_mut());
    CLASS.set(class);
    class
}

/// A condition over a new `Lock`.
pub(crate) unsafe fn over_a_lock() -> Obj {
    // SAFETY: attached.
    unsafe {
        let lock = lock::make();
        if lock.is_null() { lock } else { instance(CLASS.get().cast(), Condition::over(AnyLock::own_lock(lock))) }
    }
}

unsafe extern "C-unwind" fn new(class: *mut py::PyTypeObject, _: Obj, _: Obj) -> Obj {
    // SAFETY: attached. What a subclass takes is for its `__init__` to say.
    unsafe { instance(class, Condition::over(AnyLock::none())) }
}

unsafe extern "C-unwind" fn init(cond: Obj, given: Obj, kwargs: Obj) -> c_int {
    const TO: Names<1> = Names { function: "Condition", names: [c"lock"], required: 0 };
    // SAFETY: attached; nobody else knows the instance yet.
    unsafe {
        let Some([lock]) = args::unpack(&TO, given, kwargs) else { return -1 };
        let given = !lock.is_null() && lock != none();
        let lock = if given { AnyLock::of(lock) } else { AnyLock::own_rlock(rlock::make()) };
        if lock.object.is_null() {
            return -1;
        }
        if given {
            new_ref(lock.object);
        }
        let old = ptr::replace(&raw mut (*body_at::<Condition>(cond)).lock, lock);
        py::Py_XDECREF(old.object);
    }
    0
}

/// The condition's lock; `None` with an exception set if `__init__` was not called.
unsafe fn lock_of(cond: Obj) -> Option<AnyLock> {
    // SAFETY: attached, with an instance of ours.
    unsafe {
        let lock = body::<Condition>(cond).lock;
        if lock.object.is_null() {
            raise(py::PyExc_RuntimeError, c"Condition.__init__() not called");
            return None;
        }
        Some(lock)
    }
}

unsafe extern "C-unwind" fn enter(cond: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { lock_of(cond).map_or(ptr::null_mut(), |lock| lock.enter()) }
}

unsafe extern "C-unwind" fn exit(cond: Obj, args: *const Obj, count: isize) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { lock_of(cond).map_or(ptr::null_mut(), |lock| lock.exit(args, count)) }
}

/// The whole of `wait`.
unsafe fn wait_within(cond: Obj, limit: Limit) -> Waited {
    // SAFETY: attached, with an instance of ours that the caller holds a reference to. The node is
    // given back by hand: see the rule of the frames.
    unsafe {
        let Some(lock) = lock_of(cond) else { return Waited::Raised };
        match lock.is_owned() {
            0 => {
                raise(py::PyExc_RuntimeError, c"cannot wait on un-acquired lock");
                return Waited::Raised;
            }
            1 => {}
            _ => return Waited::Raised,
        }
        let it = body::<Condition>(cond);
        let node = Arc::into_raw(Arc::new(Node(AtomicBool::new(false))));
        Arc::increment_strong_count(node);
        it.waiters().push_back(Arc::from_raw(node));
        new_ref(lock.object); // `__init__` may give the condition another one meanwhile
        let saved = lock.release_save();
        let mut waited = Waited::Raised;
        if !saved.is_null() {
            waited = wait(Described { object: cond, describe: name::describe::<Condition> }, limit, &mut |deadline| {
                wait_at(&*node, deadline)
            });
        }
        if waited != Waited::Granted && !it.forget(node) {
            match waited {
                Waited::Raised => it.notify(1), // it goes to somebody who can do something about it
                _ => waited = Waited::Granted,
            }
        }
        drop(Arc::from_raw(node));
        if !saved.is_null() && !lock.restore(saved) {
            waited = Waited::Raised;
        }
        py::Py_DECREF(lock.object);
        waited
    }
}

fn wait_at(node: &Node, deadline: Option<Instant>) -> Result<(), lisle::WaitError> {
    let notified = || node.0.load(Ordering::SeqCst);
    let waiting = Waiting { deadline, ..Waiting::new(Kind::Condvar) };
    while !notified() {
        embed::park(ptr::from_ref(node).addr(), &waiting, || !notified())?;
    }
    Ok(())
}

unsafe extern "C-unwind" fn wait_(cond: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<1> = Names { function: "wait", names: [c"timeout"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let Some(limit) = time::of_wait(timeout) else { return ptr::null_mut() };
        match wait_within(cond, limit) {
            Waited::Raised => ptr::null_mut(),
            ended => new_bool(ended == Waited::Granted),
        }
    }
}

/// Calls `self.wait`, which a subclass may have its own of.
unsafe extern "C-unwind" fn wait_for_(cond: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<2> = Names { function: "wait_for", names: [c"predicate", c"timeout"], required: 1 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([predicate, timeout]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let Some(limit) = time::of_wait(timeout) else { return ptr::null_mut() };
        loop {
            let result = unwinding::PyObject_Vectorcall(predicate, ptr::null(), 0, ptr::null_mut());
            if result.is_null() {
                return result;
            }
            let truth = unwinding::PyObject_IsTrue(result);
            let left = match limit {
                Limit::Never => f64::INFINITY,
                Limit::Now => 0.0,
                Limit::Until(at) => at.saturating_duration_since(Instant::now()).as_secs_f64(),
            };
            if truth == 1 || truth == 0 && left == 0.0 {
                return result;
            }
            py::Py_DECREF(result);
            if truth < 0 {
                return ptr::null_mut();
            }
            let left = if left.is_infinite() { new_none() } else { py::PyFloat_FromDouble(left) };
            if left.is_null() {
                return left;
            }
            let args = [cond, left];
            let waited = unwinding::PyObject_VectorcallMethod(WAIT.get(), args.as_ptr(), 2, ptr::null_mut());
            py::Py_DECREF(left);
            if waited.is_null() {
                return waited;
            }
            py::Py_DECREF(waited);
        }
    }
}

unsafe fn notify_at_most(cond: Obj, most: usize) -> Obj {
    // SAFETY: attached, with an instance of ours.
    unsafe {
        match lock_of(cond).map_or(-1, |lock| lock.is_owned()) {
            1 => {
                body::<Condition>(cond).notify(most);
                new_none()
            }
            0 => raise(py::PyExc_RuntimeError, c"cannot notify on un-acquired lock"),
            _ => ptr::null_mut(),
        }
    }
}

unsafe extern "C-unwind" fn notify(cond: Obj, args: *const Obj, count: isize, keywords: Obj) -> Obj {
    const TO: Names<1> = Names { function: "notify", names: [c"n"], required: 0 };
    // SAFETY: arguments of a method with keywords.
    unsafe {
        let Some([n]) = arguments(&TO, args, count, keywords) else { return ptr::null_mut() };
        let mut most = 1;
        if !n.is_null() {
            most = py::PyLong_AsSsize_t(n);
            if most == -1 && !py::PyErr_Occurred().is_null() {
                return ptr::null_mut();
            }
        }
        notify_at_most(cond, most.max(0) as usize)
    }
}

unsafe extern "C-unwind" fn notify_all_(cond: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { notify_at_most(cond, usize::MAX) }
}

unsafe extern "C-unwind" fn notify_all_deprecated(cond: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        let text = c"notifyAll() is deprecated, use notify_all() instead";
        if py::PyErr_WarnEx(py::PyExc_DeprecationWarning, text.as_ptr(), 1) < 0 {
            return ptr::null_mut();
        }
        notify_at_most(cond, usize::MAX)
    }
}

unsafe extern "C-unwind" fn is_owned_(cond: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        match lock_of(cond).map_or(-1, |lock| lock.is_owned()) {
            -1 => ptr::null_mut(),
            owned => new_bool(owned == 1),
        }
    }
}

unsafe extern "C-unwind" fn release_save_(cond: Obj, _: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe { lock_of(cond).map_or(ptr::null_mut(), |lock| lock.release_save()) }
}

unsafe extern "C-unwind" fn acquire_restore_(cond: Obj, saved: Obj) -> Obj {
    // SAFETY: a method's arguments.
    unsafe {
        match lock_of(cond) {
            Some(lock) if lock.restore(new_ref(saved)) => new_none(),
            _ => ptr::null_mut(),
        }
    }
}

unsafe extern "C-unwind" fn at_fork_reinit(cond: Obj, _: Obj) -> Obj {
    // SAFETY: in the child of a fork there is no other thread: nobody has the list's lock for good.
    unsafe {
        let it = body_at::<Condition>(cond);
        // What it held stays allocated: its lock may have been somebody's when the process forked.
        ptr::write(&raw mut (*it).waiters, Mutex::new(VecDeque::new()));
        lock_of(cond).map_or(ptr::null_mut(), |lock| any_lock::call(lock.object, &NAMES.reinit))
    }
}

unsafe fn lock_s(cond: Obj, name: &Once) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { lock_of(cond).map_or(ptr::null_mut(), |lock| unwinding::PyObject_GetAttr(lock.object, name.get())) }
}

unsafe extern "C-unwind" fn acquire(cond: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { lock_s(cond, &NAMES.acquire) }
}

unsafe extern "C-unwind" fn release(cond: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { lock_s(cond, &NAMES.release) }
}

unsafe extern "C-unwind" fn lock_(cond: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe { lock_of(cond).map_or(ptr::null_mut(), |lock| new_ref(lock.object)) }
}

unsafe extern "C-unwind" fn waiters(cond: Obj, _: *mut c_void) -> Obj {
    // SAFETY: a getter's arguments.
    unsafe {
        let count = body::<Condition>(cond).waiters().len() as isize;
        let list = py::PyList_New(count);
        for at in 0..if list.is_null() { 0 } else { count } {
            py::PyList_SET_ITEM(list, at, new_none());
        }
        list
    }
}

unsafe extern "C-unwind" fn repr(cond: Obj) -> Obj {
    // SAFETY: a slot's argument.
    unsafe {
        let Some(lock) = lock_of(cond) else { return ptr::null_mut() };
        let count = body::<Condition>(cond).waiters().len();
        py::PyUnicode_FromFormat(c"<Condition(%R, %zd)>".as_ptr(), lock.object, count)
    }
}
