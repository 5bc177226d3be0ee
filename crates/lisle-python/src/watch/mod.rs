//! Looking at the program: what Python adds to snapshots, and what is under `lisle.watch`.
//!
//! | file | what it knows |
//! |---|---|
//! | `command` | the program `lisle` |
//! | `frames` | where all threads are in their Python code |
//! | `service` | the threads of ours that call the interpreter for those who cannot wait for it |

mod command;
mod frames;
mod service;

use crate::kit::ffi::{Obj, new_none, new_ref, new_str, none, py, raise_text, unwinding};
use crate::kit::wait::{away, is_finalizing};
use crate::kit::{Once, place};
use frames::Frames;
use lisle::embed::{self, Waiting};
use lisle::watch::wire::{self, SnapshotRequest};
use lisle::watch::{self, Interpreter};
use lisle::{Kind, Report};
use service::{Post, Service};
use std::collections::VecDeque;
use std::ffi::{CStr, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Tells where all threads are: what it has told last, and the number of the question.
static FRAMES: Service<(u32, Arc<Frames>)> = Service::new("lisle frames");
static SERVE_FRAMES: Once = Once::new();

/// Calls the program's hook with reports: those that it has not been told yet.
static REPORTS: Service<VecDeque<String>> = Service::new("lisle reports");
static SERVE_REPORTS: Once = Once::new();
/// A hook that does not come back misses the older ones.
const MOST_PENDING: usize = 256;
/// Whether the program has a hook.
static HOOKED: AtomicBool = AtomicBool::new(false);

/// The functions, given to the module; false with an exception set if that fails.
pub(crate) unsafe fn add_to(module: Obj) -> bool {
    let functions = [
        function(
            c"_snapshot",
            snapshot,
            py::METH_O,
            c"A snapshot as JSON, with the frames of each thread if asked for.",
        ),
        function(c"_dump", dump, py::METH_NOARGS, c"A dump."),
        function(c"_start_agent", start_agent, py::METH_NOARGS, c"Starts the agent; returns its socket's path."),
        function(c"_start_agent_on_signal", agent_on_signal, py::METH_NOARGS, c"Has SIGUSR2 do so."),
        function(c"_dump_on_signal", dump_on_signal, py::METH_NOARGS, c"Has SIGQUIT print a dump."),
        py::PyMethodDef {
            ml_name: c"_command".as_ptr(),
            // SAFETY: the flags say which kind of function it is; that it may unwind changes nothing about how
            // it is called.
            ml_meth: unsafe {
                std::mem::transmute::<crate::kit::class::Fast, py::PyMethodDefPointer>(command::command)
            },
            ml_flags: py::METH_FASTCALL,
            ml_doc: c"The program lisle, with these arguments.".as_ptr(),
        },
        function(c"_look", look, py::METH_NOARGS, c"From now on others may ask for dumps: makes ready for that."),
        function(c"_hook", hook, py::METH_O, c"Has a function called with each report, as JSON; None: no more."),
        function(c"_serve_frames", serve_frames, py::METH_NOARGS, c"For a thread of ours."),
        function(c"_serve_reports", serve_reports, py::METH_O, c"For a thread of ours."),
        // SAFETY: all zeros is the entry that ends a table.
        unsafe { std::mem::zeroed() },
    ];
    // SAFETY: attached, and the module is being made. The table is kept for good.
    unsafe {
        if !service::set_up() || py::PyModule_AddFunctions(module, Box::leak(Box::new(functions)).as_mut_ptr()) < 0 {
            return false;
        }
        for (slot, name) in [(&SERVE_FRAMES, c"_serve_frames"), (&SERVE_REPORTS, c"_serve_reports")] {
            slot.set(py::PyObject_GetAttrString(module, name.as_ptr()));
        }
        let version = CStr::from_ptr(py::Py_GetVersion()).to_string_lossy();
        let kind = if cfg!(Py_GIL_DISABLED) { " free-threaded" } else { "" };
        let name = format!("CPython {}{kind}", version.split(' ').next().unwrap_or_default());
        watch::set_interpreter(Interpreter { name, frames: told_within });
    }
    true
}

fn function(name: &'static CStr, call: crate::kit::class::NoArgs, flags: c_int, doc: &'static CStr) -> py::PyMethodDef {
    py::PyMethodDef {
        ml_name: name.as_ptr(),
        // SAFETY: both kinds take an object and another; that it may unwind changes nothing about how it is called.
        ml_meth: unsafe { std::mem::transmute::<crate::kit::class::NoArgs, py::PyMethodDefPointer>(call) },
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

/// See [`Interpreter::frames`].
fn told_within(limit: Duration) -> Result<Vec<(u32, Vec<wire::Frame>)>, String> {
    let Some(post) = FRAMES.post() else {
        return Err("the program has not made ready for that: lisle.watch.start_agent() does".into());
    };
    let number = post.ask();
    // In the order of asking, which may come around.
    let is_told = || post.kept().0.wrapping_sub(number) as i32 >= 0;
    let deadline = Instant::now().checked_add(limit);
    let waiting = Waiting { deadline, interruptible: false, ..Waiting::new(Kind::Event) };
    while !is_told() {
        if embed::park(answers(post), &waiting, || !is_told()).is_err() && !is_told() {
            if is_finalizing() {
                return Err("the interpreter is ending".into());
            }
            return Err(format!(
                "the interpreter did not answer within {} ms; something that it calls may keep its lock",
                limit.as_millis()
            ));
        }
    }
    let frames = post.kept().1.clone();
    Ok((*frames).clone())
}

/// Where those wait who have asked.
fn answers<T>(post: &Post<T>) -> usize {
    post.key() + 1
}

unsafe extern "C-unwind" fn serve_frames(_: Obj, _: Obj) -> Obj {
    // SAFETY: attached, as the thread is that was started for this.
    unsafe {
        FRAMES.serve(&mut |post, number| {
            let frames = Box::from_raw(frames::all());
            *post.kept() = (number, Arc::new(*frames));
            embed::unpark(answers(post), usize::MAX);
        })
    }
}

/// Makes ready for others to ask; false with an exception set if that fails.
unsafe fn make_ready() -> bool {
    place::want();
    // SAFETY: attached.
    unsafe {
        let nothing = py::PyTuple_New(0);
        if nothing.is_null() {
            return false;
        }
        let started = FRAMES.start(SERVE_FRAMES.get(), nothing);
        py::Py_DECREF(nothing);
        started
    }
}

unsafe extern "C-unwind" fn look(_: Obj, _: Obj) -> Obj {
    // SAFETY: a function's arguments.
    unsafe { if make_ready() { new_none() } else { ptr::null_mut() } }
}

/// What `make` says, detached.
unsafe fn text(make: fn(bool) -> String, frames: bool) -> Obj {
    // SAFETY: attached. The text crosses the attaching as a pointer.
    unsafe {
        if frames && !make_ready() {
            return ptr::null_mut();
        }
        let text = Box::from_raw(away(|| Box::into_raw(Box::new(make(frames)))));
        new_str(&text)
    }
}

/// What came of a call for the agent: `None`, or what it says; null with an exception set if it failed.
unsafe fn of_agent(call: fn() -> io::Result<Option<PathBuf>>) -> Obj {
    // SAFETY: attached. What comes of the call crosses the attaching as a pointer.
    unsafe {
        if !make_ready() {
            return ptr::null_mut();
        }
        match *Box::from_raw(away(|| Box::into_raw(Box::new(call())))) {
            Ok(None) => new_none(),
            Ok(Some(path)) => {
                let path = path.as_os_str().as_bytes();
                py::PyUnicode_DecodeFSDefaultAndSize(path.as_ptr().cast(), path.len() as isize)
            }
            Err(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::TimedOut => py::PyExc_TimeoutError,
                    io::ErrorKind::PermissionDenied => py::PyExc_PermissionError,
                    _ => py::PyExc_OSError,
                };
                raise_text(kind, &error.to_string())
            }
        }
    }
}

unsafe extern "C-unwind" fn start_agent(_: Obj, _: Obj) -> Obj {
    // SAFETY: a function's arguments.
    unsafe { of_agent(|| watch::start_agent().map(Some)) }
}

unsafe extern "C-unwind" fn agent_on_signal(_: Obj, _: Obj) -> Obj {
    // SAFETY: a function's arguments.
    unsafe { of_agent(|| watch::start_agent_on_signal().map(|()| None)) }
}

unsafe extern "C-unwind" fn dump_on_signal(_: Obj, _: Obj) -> Obj {
    // SAFETY: a function's arguments.
    unsafe { of_agent(|| watch::dump_on_signal().map(|()| None)) }
}

unsafe extern "C-unwind" fn snapshot(_: Obj, frames: Obj) -> Obj {
    fn make(frames: bool) -> String {
        let snapshot = watch::snapshot_with(&SnapshotRequest { frames });
        serde_json::to_string(&snapshot).expect("a snapshot has nothing that JSON could not say")
    }
    // SAFETY: a function's arguments.
    unsafe {
        match unwinding::PyObject_IsTrue(frames) {
            -1 => ptr::null_mut(),
            frames => text(make, frames == 1),
        }
    }
}

unsafe extern "C-unwind" fn dump(_: Obj, _: Obj) -> Obj {
    // SAFETY: a function's arguments.
    unsafe { text(|_| watch::dump(), true) }
}

/// Takes a report for the program's hook; false if it has none.
pub(crate) fn tell(report: &Report) -> bool {
    let post = match REPORTS.post() {
        Some(post) if HOOKED.load(Ordering::Acquire) => post,
        _ => return false,
    };
    let Ok(text) = serde_json::to_string(&wire::Report::from(report)) else { return false };
    let mut pending = post.kept();
    if pending.len() == MOST_PENDING {
        pending.pop_front();
    }
    pending.push_back(text);
    drop(pending);
    post.ask();
    true
}

unsafe extern "C-unwind" fn serve_reports(_: Obj, call: Obj) -> Obj {
    // SAFETY: attached, as the thread is that was started for this; it keeps `call` for as long as this lasts.
    unsafe {
        REPORTS.serve(&mut |post, _| {
            loop {
                // A block of its own: the text and the lock are gone before the hook is called.
                let text = {
                    let next = post.kept().pop_front();
                    let Some(text) = next else { break };
                    new_str(&text)
                };
                let done = match text.is_null() {
                    true => ptr::null_mut(),
                    false => unwinding::PyObject_Vectorcall(call, [text].as_ptr(), 1, ptr::null_mut()),
                };
                if done.is_null() {
                    py::PyErr_WriteUnraisable(call);
                }
                py::Py_XDECREF(text);
                py::Py_XDECREF(done);
            }
        })
    }
}

unsafe extern "C-unwind" fn hook(_: Obj, call: Obj) -> Obj {
    // SAFETY: a function's arguments.
    unsafe {
        HOOKED.store(call != none(), Ordering::Release);
        if call == none() {
            return new_none();
        }
        let args = py::PyTuple_New(1);
        if args.is_null() {
            return args;
        }
        py::PyTuple_SET_ITEM(args, 0, new_ref(call));
        let started = REPORTS.start(SERVE_REPORTS.get(), args);
        py::Py_DECREF(args);
        if started { new_none() } else { ptr::null_mut() }
    }
}
