//! Bells between processes: event descriptors, which ring until they are silenced.
#![forbid(unsafe_code)]

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::io;
use std::sync::Arc;

pub(super) fn bell() -> io::Result<Arc<OwnedFd>> {
    Ok(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
}

pub(super) fn ring(bell: &OwnedFd) {
    // Refused only if it has been rung 2⁶⁴ times.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

pub(super) fn silence(bell: &OwnedFd) {
    let _ = rustix::io::read(bell, &mut [0; 8]); // refused if it does not ring
}
