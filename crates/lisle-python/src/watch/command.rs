//! The program `lisle`, which the package brings: `lisle dump PID`.

use crate::kit::ffi::{Obj, py};
use crate::kit::wait::away;
use std::ffi::{OsString, c_char};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::ptr;

/// The program, called with these arguments, which are bytes; returns its exit status.
pub(super) unsafe extern "C-unwind" fn command(_: Obj, args: *const Obj, count: isize) -> Obj {
    let arguments = Box::into_raw(Box::new(Vec::<OsString>::new()));
    // SAFETY: a function's arguments. The box is taken back once; it crosses the attaching as a pointer.
    unsafe {
        for at in 0..count {
            let (mut text, mut length): (*mut c_char, isize) = (ptr::null_mut(), 0);
            if py::PyBytes_AsStringAndSize(*args.offset(at), &mut text, &mut length) < 0 {
                drop(Box::from_raw(arguments));
                return ptr::null_mut();
            }
            let text = std::slice::from_raw_parts(text.cast::<u8>(), length as usize);
            (*arguments).push(OsString::from_vec(text.to_vec()));
        }
        let status = away(|| number(lisle_cli::main(std::mem::take(&mut *arguments))));
        drop(Box::from_raw(arguments));
        py::PyLong_FromLong(status.into())
    }
}

/// What the standard library keeps to itself.
fn number(code: ExitCode) -> u8 {
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == code).unwrap_or(1)
}
