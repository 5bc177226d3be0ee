//! Where the interpreter has its frames, which differs between versions.
//!
//! Read where they are, frames cost nothing: the C API makes an object of each, which takes longer than to take
//! a lock. The offsets are those of the headers; all are compared with what the C API says when the module is set
//! up. On a version that is not known here, or where the comparison fails, nothing is read.

use super::ffi::py;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    pub(crate) fn PyFrame_GetLasti(frame: *mut py::PyFrameObject) -> c_int;
}

static HOLDS: AtomicBool = AtomicBool::new(false);

/// An instruction of some code object, which the frame keeps.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) code: *const u8,
    /// Bytes from the code object to the instruction.
    pub(crate) distance: usize,
}

/// To be called when the module is set up, from Python. Whether frames can be read.
pub(crate) unsafe fn set_up() -> bool {
    // SAFETY: attached, as all of the module's set-up.
    HOLDS.store(unsafe { known::holds() }, Ordering::Relaxed);
    holds()
}

/// As on a version that is not known here: for tests.
pub(crate) fn forget() {
    HOLDS.store(false, Ordering::Relaxed);
}

/// Whether frames can be read.
pub(crate) fn holds() -> bool {
    HOLDS.load(Ordering::Relaxed)
}

pub(crate) use known::{here, instruction, native_id, top};

#[cfg(not(Py_3_14))]
mod known {
    use super::{At, PyFrame_GetLasti};
    use crate::kit::ffi::py;

    unsafe extern "C" {
        #[cfg(Py_3_13)]
        #[link_name = "PyThreadState_GetUnchecked"]
        fn thread_state() -> *mut py::PyThreadState;
        #[cfg(not(Py_3_13))]
        #[link_name = "_PyThreadState_UncheckedGet"]
        fn thread_state() -> *mut py::PyThreadState;
    }

    /// In `PyThreadState`: `current_frame`, before 3.13 `cframe`; `native_thread_id`.
    const FRAME: usize = if cfg!(Py_3_13) { 72 } else { 56 };
    const NATIVE_ID: usize = if cfg!(all(Py_3_12, not(Py_3_13))) { 144 } else { 160 };
    /// In what `cframe` points to: `current_frame`.
    #[cfg(not(Py_3_13))]
    const IN_CFRAME: usize = if cfg!(Py_3_12) { 0 } else { 8 };
    /// In `_PyInterpreterFrame`: `f_code` or `f_executable`; `previous`; `prev_instr` or `instr_ptr`; `owner`.
    const CODE: usize = if cfg!(Py_3_12) { 0 } else { 32 };
    const PREVIOUS: usize = if cfg!(Py_3_12) { 8 } else { 48 };
    const INSTRUCTION: usize = 56;
    #[cfg(Py_3_12)]
    const OWNER: usize = 70;
    /// The owner of a frame that only calls Python from C.
    #[cfg(Py_3_12)]
    const OWNED_BY_C: u8 = 3;
    /// In `PyCodeObject`: `co_code_adaptive`.
    const INSTRUCTIONS: usize = match (cfg!(Py_3_13), cfg!(Py_3_12), cfg!(Py_GIL_DISABLED)) {
        (true, _, true) => 216,
        (true, _, false) => 200,
        (false, true, _) => 192,
        (false, false, _) => 184,
    };

    unsafe fn word(at: *const u8, offset: usize) -> *const u8 {
        // SAFETY: there is a pointer there, as the caller knows.
        unsafe { at.add(offset).cast::<*const u8>().read() }
    }

    /// A frame of a thread that does not run Python code at the moment, or is the calling one.
    #[derive(Clone, Copy)]
    pub(crate) struct Frame(*const u8);

    impl Frame {
        fn of(at: *const u8) -> Option<Frame> {
            (!at.is_null()).then_some(Frame(at))
        }

        /// Who has called it.
        ///
        /// # Safety
        /// As of the frame.
        pub(crate) unsafe fn caller(self) -> Option<Frame> {
            // SAFETY: `holds` has found it to be there.
            Frame::of(unsafe { word(self.0, PREVIOUS) })
        }

        /// Where it is; `None` if it is none of Python code.
        ///
        /// # Safety
        /// As of the frame.
        #[inline(always)]
        pub(crate) unsafe fn at(self) -> Option<At> {
            // SAFETY: `holds` has found both to be there. A frame keeps its code.
            unsafe {
                #[cfg(Py_3_12)]
                if self.0.add(OWNER).read() == OWNED_BY_C {
                    return None;
                }
                let (code, instruction) = (word(self.0, CODE), word(self.0, INSTRUCTION));
                Some(At { code, distance: instruction.addr().wrapping_sub(code.addr()) })
            }
        }
    }

    /// The thread's innermost frame.
    ///
    /// # Safety
    /// The thread lives, and is the calling one or does not run Python code as long as the frame is used.
    #[inline(always)]
    pub(crate) unsafe fn top(state: *mut py::PyThreadState) -> Option<Frame> {
        // SAFETY: the first pointer is one of a public structure; `holds` has found the rest.
        unsafe {
            let frame = word(state.cast_const().cast(), FRAME);
            // 3.11 shows a state to others before it is complete, also to who has the GIL.
            #[cfg(not(Py_3_13))]
            let frame = if frame.is_null() { frame } else { word(frame, IN_CFRAME) };
            Frame::of(frame)
        }
    }

    /// The system's number for the thread.
    ///
    /// # Safety
    /// The thread lives.
    pub(crate) unsafe fn native_id(state: *mut py::PyThreadState) -> u32 {
        // SAFETY: a number in a public structure.
        unsafe { state.cast_const().cast::<u8>().add(NATIVE_ID).cast::<u64>().read() as u32 }
    }

    /// The instruction at which the calling thread is, if it is in Python code.
    ///
    /// # Safety
    /// Attached, and [`holds`](super::holds).
    #[inline(always)]
    pub(crate) unsafe fn here() -> Option<At> {
        // SAFETY: attached, so that there is a thread state.
        unsafe { top(thread_state())?.at() }
    }

    /// The number by which the C API calls the instruction.
    pub(crate) fn instruction(at: At) -> i32 {
        at.distance as i32 - INSTRUCTIONS as i32
    }

    /// Whether that is what the interpreter says too.
    pub(super) unsafe fn holds() -> bool {
        // SAFETY: attached. The first pointers are at these offsets of public structures in each version
        // that this is compiled for; the rest was compared before by those who have released it.
        unsafe {
            let (state, mut frame) = (thread_state(), py::PyEval_GetFrame());
            let mut read = top(state);
            py::Py_XINCREF(frame.cast());
            let mut seen = 0;
            while !frame.is_null() {
                while let Some(inner) = read
                    && inner.at().is_none()
                {
                    read = inner.caller();
                }
                let code = py::PyFrame_GetCode(frame);
                let same = read.and_then(|frame| frame.at()).is_some_and(|at| {
                    at.code == code.cast_const().cast() && instruction(at) == PyFrame_GetLasti(frame)
                });
                let caller = py::PyFrame_GetBack(frame);
                py::Py_DECREF(code.cast());
                py::Py_DECREF(frame.cast());
                if !same {
                    py::Py_XDECREF(caller.cast());
                    return false;
                }
                seen += 1;
                (frame, read) = (caller, read.and_then(|frame| frame.caller()));
            }
            seen > 0 && native_id(state) == libc::gettid() as u32
        }
    }
}

#[cfg(Py_3_14)]
mod known {
    use super::At;
    use crate::kit::ffi::py;

    #[derive(Clone, Copy)]
    pub(crate) enum Frame {}

    impl Frame {
        pub(crate) unsafe fn caller(self) -> Option<Frame> {
            match self {}
        }

        pub(crate) unsafe fn at(self) -> Option<At> {
            match self {}
        }
    }

    pub(crate) unsafe fn top(_: *mut py::PyThreadState) -> Option<Frame> {
        None
    }

    pub(crate) unsafe fn native_id(_: *mut py::PyThreadState) -> u32 {
        0
    }

    pub(crate) unsafe fn here() -> Option<At> {
        None
    }

    pub(crate) fn instruction(at: At) -> i32 {
        at.distance as i32
    }

    pub(super) unsafe fn holds() -> bool {
        false
    }
}
