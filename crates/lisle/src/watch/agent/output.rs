//! What is on its way to a client, as far as it does not take it at once.
#![forbid(unsafe_code)]

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

/// How much memory all frames take that have not been taken.
#[derive(Clone, Default)]
pub(super) struct Scale(Rc<Cell<usize>>);

impl Scale {
    pub(super) fn weight(&self) -> usize {
        self.0.get()
    }
}

/// A frame, on the scale as long as it is there. Clients that get the same one share it.
pub(super) struct Parcel {
    bytes: Vec<u8>,
    scale: Scale,
}

impl Parcel {
    pub(super) fn new(bytes: Vec<u8>, scale: &Scale) -> Rc<Parcel> {
        let scale = scale.clone();
        scale.0.set(scale.0.get() + bytes.len());
        Rc::new(Parcel { bytes, scale })
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.scale.0.set(self.scale.0.get() - self.bytes.len());
    }
}

/// The frames for one client.
#[derive(Default)]
pub(super) struct Output {
    parcels: VecDeque<Rc<Parcel>>,
    /// How much of the first has been taken.
    taken: usize,
    pending: usize,
    /// When the client last took something, if there is more to take.
    since: Option<Instant>,
}

impl Output {
    pub(super) fn push(&mut self, parcel: Rc<Parcel>) {
        self.since.get_or_insert_with(Instant::now);
        self.pending += parcel.bytes.len();
        self.parcels.push_back(parcel);
    }

    /// How many bytes wait to be taken.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Since when nothing of what waits has been taken.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.since
    }

    /// Sends what the socket takes without waiting.
    pub(super) fn send(&mut self, socket: impl AsFd) -> Result<(), Errno> {
        while let Some(first) = self.parcels.front() {
            match send(&socket, &first.bytes[self.taken..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => {
                    self.taken += sent;
                    self.pending -= sent;
                    self.since = Some(Instant::now());
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.taken == first.bytes.len() {
                self.parcels.pop_front();
                self.taken = 0;
            }
        }
        self.since = None;
        Ok(())
    }
}
