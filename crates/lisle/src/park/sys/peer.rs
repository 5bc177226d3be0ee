//! Who is at the other end of a socket, on Linux.

use rustix::fd::{AsFd, AsRawFd};
use std::io;

/// The user whose process has made the other end of a Unix socket: who connected, or who listens.
///
/// # Errors
/// If it is no such socket.
pub fn peer_user(socket: impl AsFd) -> io::Result<u32> {
    // `rustix` has this call, but its type wants the number of a process, which is 0 when the other one is
    // in a container that ours does not see into.
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `peer` is a place of `length` bytes for what the kernel writes, and any bytes make one.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    match result {
        0 if length as usize == size_of::<libc::ucred>() => Ok(peer.uid),
        0 => Err(io::ErrorKind::InvalidData.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the process has more rights than who started it: then that one's environment is not to be believed.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: takes a number and gives one.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
