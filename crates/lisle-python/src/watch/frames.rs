//! The frames of all threads, read at a moment when none of them runs Python code.
//!
//! | interpreter | how |
//! |---|---|
//! | with a GIL | who has it reads the frames where they are: nobody else changes them |
//! | free-threaded | likewise while the collector has stopped all threads: it does so for who wants to see all objects, and is told to stop at the first |
//! | one whose frames cannot be read | by `sys._current_frames()`; without a GIL then only the innermost frame of each, since a running thread changes the others while they are walked |
//!
//! What is read is the code object, which is kept, and the instruction. The words for them are looked up
//! afterwards.

use crate::kit::ffi::{Obj, new_ref, py, unwinding};
use crate::kit::layout::{self, PyFrame_GetLasti};
use crate::kit::place::names_of;
use crate::kit::wait::ACTIVE;
use lisle::watch::wire::Frame;
use std::collections::HashMap;
use std::ffi::c_int;
#[cfg(Py_GIL_DISABLED)]
use std::ffi::c_void;
use std::ptr;

unsafe extern "C" {
    fn PyCode_Addr2Line(code: *mut py::PyCodeObject, instruction: c_int) -> c_int;
    #[cfg(Py_GIL_DISABLED)]
    fn PyUnstable_GC_VisitObjects(visit: unsafe extern "C" fn(Obj, *mut c_void) -> c_int, arg: *mut c_void);
}

/// Of how many frames of a thread it is told. A program that recurses without end has a million.
const MOST: usize = 256;

/// A thread's frames, the innermost first: each code object, kept, with its instruction.
struct Thread {
    native_id: u32,
    frames: Vec<(*mut py::PyCodeObject, c_int)>,
    /// How many more there are.
    left_out: usize,
}

/// The frames of each thread, by the system's number of the thread.
///
/// # Safety
/// Attached. Python code may run.
pub(super) unsafe fn all() -> *mut Frames {
    // By hand: see the rule of the frames.
    let threads = Box::into_raw(Box::new(Vec::new()));
    // SAFETY: attached; the box is taken back once.
    unsafe {
        match layout::holds() {
            true => read(&mut *threads),
            false => ask(&mut *threads),
        }
        let words = Box::into_raw(Box::new(in_words(&*threads)));
        // Now, not one by one: until here no other code object could come to be at the address of one of these.
        let mut codes: Vec<_> = (*threads).iter().flat_map(|thread| &thread.frames).map(|&(code, _)| code).collect();
        drop(Box::from_raw(threads));
        codes.sort_unstable();
        let (codes, count) = (codes.as_mut_ptr(), std::mem::ManuallyDrop::new(codes).len());
        for at in 0..count {
            py::Py_DECREF((*codes.add(at)).cast());
        }
        drop(Vec::from_raw_parts(codes, count, count));
        words
    }
}

/// As [`lisle::watch::Interpreter`] wants them.
pub(super) type Frames = Vec<(u32, Vec<Frame>)>;

unsafe fn in_words(threads: &[Thread]) -> Frames {
    let mut names = HashMap::new();
    let mut words = |thread: &Thread| {
        let mut frames: Vec<Frame> = thread.frames.iter().map(|&frame| in_word(frame, &mut names)).collect();
        if thread.left_out > 0 {
            frames.push(Frame { file: "…".into(), line: 0, function: format!("{} more frames", thread.left_out) });
        }
        (thread.native_id, frames)
    };
    threads.iter().map(&mut words).collect()
}

fn in_word((code, instruction): (*mut py::PyCodeObject, c_int), names: &mut HashMap<Obj, (String, String)>) -> Frame {
    // SAFETY: attached, as `all` is, with a code object that is kept.
    unsafe {
        let (file, function) = names.entry(code.cast()).or_insert_with(|| {
            let names = names_of(code.cast());
            names.map(|(file, function)| (file.into_owned(), function.into_owned())).unwrap_or_default()
        });
        let line = PyCode_Addr2Line(code, instruction).max(0) as u32;
        Frame { file: file.clone(), line, function: function.clone() }
    }
}

/// Reads the frames where they are.
unsafe fn read(threads: &mut Vec<Thread>) {
    #[cfg(not(Py_GIL_DISABLED))]
    // SAFETY: attached: no other thread is.
    unsafe {
        read_at_rest(threads);
    }
    #[cfg(Py_GIL_DISABLED)]
    // SAFETY: attached; the vector outlives the call.
    unsafe {
        PyUnstable_GC_VisitObjects(at_first_object, ptr::from_mut(threads).cast());
    }
}

/// All threads are stopped, with nothing of the interpreter's half done. Nothing may be asked of it here.
#[cfg(Py_GIL_DISABLED)]
unsafe extern "C" fn at_first_object(_: Obj, threads: *mut c_void) -> c_int {
    // SAFETY: the vector of `read`.
    unsafe { read_at_rest(&mut *threads.cast()) };
    0 // no more
}

/// # Safety
/// No other thread runs Python code or comes to.
unsafe fn read_at_rest(threads: &mut Vec<Thread>) {
    // SAFETY: as the caller says. Threads begin and end attached.
    unsafe {
        let mut state = py::PyInterpreterState_ThreadHead(py::PyInterpreterState_Main());
        while !state.is_null() {
            let mut thread = Thread { native_id: layout::native_id(state), frames: Vec::new(), left_out: 0 };
            let mut next = layout::top(state);
            while let Some(frame) = next {
                if let Some(at) = frame.at() {
                    thread.add(at.code.cast_mut().cast(), layout::instruction(at));
                }
                next = frame.caller();
            }
            threads.push(thread);
            state = py::PyThreadState_Next(state);
        }
    }
}

impl Thread {
    unsafe fn add(&mut self, code: *mut py::PyCodeObject, instruction: c_int) {
        if self.frames.len() == MOST {
            self.left_out += 1;
            return;
        }
        // SAFETY: the frame keeps the code; `all` releases it.
        unsafe { py::Py_INCREF(code.cast()) };
        self.frames.push((code, instruction));
    }
}

/// Asks the interpreter.
unsafe fn ask(threads: &mut Vec<Thread>) {
    // SAFETY: attached. A dict of idents and frames, which is ours, and `threading._active`, which is a dict for
    // good; what is borrowed from that is used before anything else runs.
    unsafe {
        let function = py::PySys_GetObject(c"_current_frames".as_ptr());
        let all = match function.is_null() {
            true => ptr::null_mut(),
            false => unwinding::PyObject_Vectorcall(function, ptr::null(), 0, ptr::null_mut()),
        };
        let (mut position, mut ident, mut frame) = (0, ptr::null_mut(), ptr::null_mut());
        while !all.is_null() && py::PyDict_Next(all, &mut position, &mut ident, &mut frame) != 0 {
            let known = py::PyDict_GetItemWithError(ACTIVE.get(), ident);
            let native_id = match known.is_null() {
                true => ptr::null_mut(),
                false => py::PyObject_GetAttrString(known, c"_native_id".as_ptr()),
            };
            let number = if native_id.is_null() { 0 } else { py::PyLong_AsUnsignedLong(native_id) };
            py::Py_XDECREF(native_id);
            py::PyErr_Clear();
            let mut thread = Thread { native_id: number as u32, frames: Vec::new(), left_out: 0 };
            let mut frame = new_ref(frame).cast::<py::PyFrameObject>();
            while !frame.is_null() {
                let code = py::PyFrame_GetCode(frame);
                thread.add(code, PyFrame_GetLasti(frame));
                py::Py_DECREF(code.cast());
                let caller = if cfg!(Py_GIL_DISABLED) { ptr::null_mut() } else { py::PyFrame_GetBack(frame) };
                py::Py_DECREF(frame.cast());
                frame = caller;
            }
            threads.push(thread);
        }
        py::Py_XDECREF(all);
        py::PyErr_Clear();
    }
}
