//! Handlers of signals, on Linux.

use std::io;
use std::mem::{MaybeUninit, transmute};

/// What the system calls on a signal.
pub(crate) type FullHandler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// A handler of either kind.
pub(crate) enum Handler {
    Plain(extern "C" fn(libc::c_int)),
    Full(FullHandler),
}

impl Handler {
    /// What a `sigaction` says is called, if it is a function.
    fn of(action: &libc::sigaction) -> Option<Handler> {
        if matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) {
            return None;
        }
        // SAFETY: neither of the two numbers that stand for no function, so it is the address of one, of
        // the kind that the flag says. Who set it has promised that it stays.
        Some(unsafe {
            match action.sa_flags & libc::SA_SIGINFO {
                0 => Handler::Plain(transmute::<usize, extern "C" fn(libc::c_int)>(action.sa_sigaction)),
                _ => Handler::Full(transmute::<usize, FullHandler>(action.sa_sigaction)),
            }
        })
    }

    /// Calls it with what our own handler was called with.
    pub(crate) fn call(&self, number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        match self {
            Handler::Plain(handler) => handler(number),
            Handler::Full(handler) => handler(number, info, context),
        }
    }
}

/// Sets the process's handler of a signal, after `keep` was given the one before, if there was any: from its
/// first moment on ours knows it. System calls that the signal interrupts begin again.
pub(crate) fn handle_signal(number: libc::c_int, handler: FullHandler, keep: impl Fn(Handler)) -> io::Result<()> {
    let before = exchange(number, None)?;
    Handler::of(&before).map(&keep);
    // SAFETY: a `sigaction` of zeros has no handler, no flags and an empty mask.
    let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    ours.sa_sigaction = handler as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    let replaced = exchange(number, Some(&ours))?;
    if replaced.sa_sigaction != before.sa_sigaction {
        Handler::of(&replaced).map(&keep); // another thread was quicker
    }
    Ok(())
}

fn exchange(number: libc::c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut old = MaybeUninit::uninit();
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or a whole `sigaction`, and `old` has room for one.
    if unsafe { libc::sigaction(number, new, old.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, so it has filled it.
    Ok(unsafe { old.assume_init() })
}

/// The calling thread's number of the last error.
pub(crate) fn errno() -> libc::c_int {
    // SAFETY: points to a place of the calling thread's.
    unsafe { *libc::__errno_location() }
}

/// Puts it back.
pub(crate) fn set_errno(errno: libc::c_int) {
    // SAFETY: as above; nobody else uses the place.
    unsafe { *libc::__errno_location() = errno };
}
