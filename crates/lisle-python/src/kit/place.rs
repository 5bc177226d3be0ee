//! Where the calling thread is in its Python program, as a number that outlives the code.
//!
//! Who takes a lock wants to know it each time, in a few nanoseconds. So the frame is read where the
//! interpreter has it, without making a frame object, and the line is looked up once for each instruction:
//! a table knows the place of each that has taken a lock.
//!
//! | | |
//! |---|---|
//! | which code | a number that no other code object has had: the interpreter's own from 3.12 on, else one of ours, kept with the code object |
//! | where in it | the distance from the code object to the instruction |
//! | the table's word | what of these two its index does not say, and the number of the [`Place`] |
//!
//! So the table refers to no object: nothing has to be kept, or to be told when code goes. Where frames
//! cannot be read ([`layout`]), the interpreter is asked instead: for waits, and for locks that are taken only
//! if somebody wants to know ([`want`]), since it makes a frame object each time.

use super::Once;
use super::ffi::{Obj, intern, py};
use super::layout::{self, PyFrame_GetLasti};
use lisle::embed::Place;
use std::borrow::Cow;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static FILENAME: Once = Once::new();
static QUALNAME: Once = Once::new();

/// Whether frames can be read, and code objects have numbers.
static READABLE: AtomicBool = AtomicBool::new(false);
/// Whether it is worth more to know where locks are taken.
static WANTED: AtomicBool = AtomicBool::new(false);

/// To be called when the module is set up.
pub(crate) fn set_up() {
    FILENAME.set(intern(c"co_filename"));
    QUALNAME.set(intern(c"co_qualname"));
    code_number::set_up();
    // SAFETY: attached, as all of the module's set-up.
    READABLE.store(unsafe { layout::set_up() && code_number::holds() }, Ordering::Relaxed);
}

/// As on a version whose frames cannot be read: for tests.
pub(crate) fn forget_layout() {
    layout::forget();
    READABLE.store(false, Ordering::Relaxed);
}

/// From now on it is known where locks are taken, whatever it costs.
pub(crate) fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// Where the calling thread takes a lock.
#[inline(always)]
pub(crate) unsafe fn of_take() -> Place {
    // SAFETY: attached.
    unsafe {
        match READABLE.load(Ordering::Relaxed) {
            true => read(),
            false if WANTED.load(Ordering::Relaxed) => ask(),
            false => Place::UNKNOWN,
        }
    }
}

/// Where the calling thread waits.
pub(crate) unsafe fn of_wait() -> Place {
    // SAFETY: attached.
    unsafe { if READABLE.load(Ordering::Relaxed) { read() } else { ask() } }
}

#[inline(always)]
unsafe fn read() -> Place {
    // SAFETY: attached, and frames are where they are expected.
    unsafe {
        let Some(at) = layout::here() else { return Place::UNKNOWN };
        let key = table::key(code_number::of(at.code), at.distance);
        table::find(key).unwrap_or_else(|| look_up(key))
    }
}

#[cold]
#[inline(never)]
unsafe fn ask() -> Place {
    // SAFETY: attached. The frame is borrowed from the thread.
    unsafe {
        let frame = py::PyEval_GetFrame();
        if frame.is_null() {
            return Place::UNKNOWN;
        }
        let code = py::PyFrame_GetCode(frame);
        let key = table::key(code_number::of(code.cast()), PyFrame_GetLasti(frame) as usize);
        py::Py_DECREF(code.cast());
        table::find(key).unwrap_or_else(|| look_up(key))
    }
}

/// The place as the interpreter says, for the table from now on.
#[cold]
#[inline(never)]
unsafe fn look_up(key: Option<u64>) -> Place {
    // SAFETY: attached. The frame is borrowed from the thread, which keeps its code.
    unsafe {
        let frame = py::PyEval_GetFrame();
        if frame.is_null() {
            return Place::UNKNOWN;
        }
        let line = py::PyFrame_GetLineNumber(frame);
        let code = py::PyFrame_GetCode(frame);
        let place = match names_of(code.cast()) {
            Some((file, function)) => Place::new(&format!("{file}:{line} in {function}")),
            None => Place::UNKNOWN,
        };
        py::Py_DECREF(code.cast());
        table::keep(key, place);
        place
    }
}

/// A code object's file and qualified name, which live as long as it does.
pub(crate) unsafe fn names_of<'a>(code: Obj) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    // SAFETY: attached, with a code object.
    unsafe {
        let (file, function) = (text_of(code, FILENAME.get()), text_of(code, QUALNAME.get()));
        if file.is_null() || function.is_null() {
            py::PyErr_Clear();
            return None;
        }
        let text = |at| CStr::from_ptr(at).to_string_lossy();
        Some((text(file), text(function)))
    }
}

/// The text of an attribute that `of` itself keeps alive, or null.
unsafe fn text_of(of: Obj, name: Obj) -> *const c_char {
    // SAFETY: attached; reading a code object's attribute runs no Python code.
    unsafe {
        let value = py::PyObject_GetAttr(of, name);
        if value.is_null() {
            return std::ptr::null();
        }
        let text = py::PyUnicode_AsUTF8(value);
        py::Py_DECREF(value);
        text
    }
}

/// A number for each code object that no other has or has had; 0 for one that has none.
#[cfg(all(Py_3_12, not(Py_3_14)))]
mod code_number {
    use super::py;

    /// In `PyCodeObject`: `co_version`.
    const VERSION: usize = if cfg!(Py_GIL_DISABLED) { 108 } else { 92 };

    pub(super) fn set_up() {}

    #[inline(always)]
    pub(super) unsafe fn of(code: *const u8) -> u32 {
        // SAFETY: a code object, whose number never changes.
        unsafe { code.add(VERSION).cast::<u32>().read() }
    }

    /// Whether it is what it seems: two that are made one after the other differ by little.
    pub(super) unsafe fn holds() -> bool {
        // SAFETY: attached; compiling nothing runs no Python code.
        unsafe {
            let number = || {
                let code = py::Py_CompileString(c"0".as_ptr(), c"lisle".as_ptr(), py::Py_eval_input);
                if code.is_null() {
                    py::PyErr_Clear();
                    return 0;
                }
                let number = of(code.cast_const().cast());
                py::Py_DECREF(code);
                number
            };
            let (first, second) = (number(), number());
            first != 0 && second.checked_sub(first).is_some_and(|more| (1..100_000).contains(&more))
        }
    }
}

#[cfg(not(all(Py_3_12, not(Py_3_14))))]
mod code_number {
    use super::py;
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::atomic::{AtomicIsize, AtomicU32, Ordering};

    #[cfg(Py_3_14)]
    unsafe extern "C" {
        #[link_name = "PyUnstable_Eval_RequestCodeExtraIndex"]
        fn request_index(free: Option<unsafe extern "C" fn(*mut c_void)>) -> isize;
        #[link_name = "PyUnstable_Code_GetExtra"]
        fn get_extra(code: *const u8, index: isize, extra: *mut *mut c_void) -> i32;
        #[link_name = "PyUnstable_Code_SetExtra"]
        fn set_extra(code: *const u8, index: isize, extra: *mut c_void) -> i32;
    }

    #[cfg(not(Py_3_14))]
    unsafe extern "C" {
        #[link_name = "_PyEval_RequestCodeExtraIndex"]
        fn request_index(free: Option<unsafe extern "C" fn(*mut c_void)>) -> isize;
        #[link_name = "_PyCode_GetExtra"]
        fn get_extra(code: *const u8, index: isize, extra: *mut *mut c_void) -> i32;
        #[link_name = "_PyCode_SetExtra"]
        fn set_extra(code: *const u8, index: isize, extra: *mut c_void) -> i32;
    }

    static INDEX: AtomicIsize = AtomicIsize::new(-1);
    static LAST: AtomicU32 = AtomicU32::new(0);

    pub(super) fn set_up() {
        // SAFETY: attached, as all of the module's set-up.
        INDEX.store(unsafe { request_index(None) }, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) unsafe fn of(code: *const u8) -> u32 {
        let mut number: *mut c_void = ptr::null_mut();
        // SAFETY: attached, with a code object.
        let got = unsafe { get_extra(code, INDEX.load(Ordering::Relaxed), &mut number) };
        if got == 0 && !number.is_null() {
            return number.addr() as u32;
        }
        // SAFETY: likewise.
        unsafe { give(code) }
    }

    /// Gives it the next number, where it stands instead of a pointer.
    #[cold]
    unsafe fn give(code: *const u8) -> u32 {
        let next = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1));
        let Ok(number) = next.map(|last| last + 1) else { return 0 };
        // SAFETY: attached, with a code object; there is nothing to be freed with it.
        unsafe {
            if set_extra(code, INDEX.load(Ordering::Relaxed), ptr::without_provenance_mut(number as usize)) < 0 {
                py::PyErr_Clear();
                return 0;
            }
        }
        number
    }

    pub(super) unsafe fn holds() -> bool {
        INDEX.load(Ordering::Relaxed) >= 0
    }
}

/// What is known of instructions.
mod table {
    use super::{AtomicU64, Ordering, Place};

    /// Of a key: the code's number, and the instruction's in it.
    const INSTRUCTION_BITS: u32 = 20;
    const KEY_BITS: u32 = 32 + INSTRUCTION_BITS;
    /// Of a place's number.
    const PLACE_BITS: u32 = 24;
    /// Of a key, those that say in which pair it is; the others fit into a word beside the place.
    const PAIR_BITS: u32 = 14;
    const _: () = assert!(KEY_BITS - PAIR_BITS + PLACE_BITS <= u64::BITS);

    /// An instruction can be in either word of its pair:
    ///
    /// | bits | meaning |
    /// |---|---|
    /// | 0–23 | the number of the place; 0: empty |
    /// | 24–61 | the low bits of the mixed key; the high ones are the number of the pair |
    static PAIRS: [[AtomicU64; 2]; 1 << PAIR_BITS] = [const { [const { AtomicU64::new(0) }; 2] }; 1 << PAIR_BITS];

    /// The key of an instruction, mixed so that any part of it is as good as random; no two instructions
    /// have the same. `None` if it is one that has none.
    #[inline(always)]
    pub(super) fn key(code: u32, distance: usize) -> Option<u64> {
        let instruction = distance as u64 / 2;
        if code == 0 || instruction >> INSTRUCTION_BITS != 0 {
            return None;
        }
        const MASK: u64 = (1 << KEY_BITS) - 1;
        // Each step can be undone.
        let key = (u64::from(code) << INSTRUCTION_BITS | instruction).wrapping_mul(0x9e37_79b9_7f4a_7c15) & MASK;
        let key = key ^ key >> (KEY_BITS / 2);
        Some(key.wrapping_mul(0xd6e8_feb8_6659_fd93) & MASK)
    }

    /// The key's pair, and what stands in a word beside the place.
    #[inline(always)]
    fn split(key: u64) -> (&'static [AtomicU64; 2], u64) {
        let low = KEY_BITS - PAIR_BITS;
        (&PAIRS[(key >> low) as usize], (key & ((1 << low) - 1)) << PLACE_BITS)
    }

    #[inline(always)]
    pub(super) fn find(key: Option<u64>) -> Option<Place> {
        let (pair, rest) = split(key?);
        for word in pair {
            // Right: the difference is a number of a place.
            let number = word.load(Ordering::Relaxed) ^ rest;
            if number != 0 && number >> PLACE_BITS == 0 {
                return Some(Place::of_number(number as u32));
            }
        }
        None
    }

    /// What throws out another instruction takes the first word, so that the two last found stay.
    pub(super) fn keep(key: Option<u64>, place: Place) {
        if let (Some(key), true) = (key, place != Place::UNKNOWN) {
            let (pair, rest) = split(key);
            pair[1].store(pair[0].load(Ordering::Relaxed), Ordering::Relaxed);
            pair[0].store(rest | u64::from(place.number()), Ordering::Relaxed);
        }
    }
}
