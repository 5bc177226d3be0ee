//! What comes over a connection, at both of its ends: bytes of anybody's, in any pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lisle::watch::frame::{Frames, ReadError, decode, encode};
use lisle::watch::wire::{MAX_FRAME, MAX_REQUEST, Reply, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

fuzz_target!(|input: &[u8]| {
    // The first byte says how long the pieces are, the second from when on they are twice as long.
    let Some(([length, change], bytes)) = input.split_first_chunk::<2>() else { return };
    end::<Request>(bytes, *length, *change, MAX_REQUEST);
    end::<Reply>(bytes, *length, *change, MAX_FRAME);
    // And what is in one frame, without having to guess its length.
    content::<Request>(bytes, MAX_REQUEST);
    content::<Reply>(bytes, MAX_FRAME);
});

/// One end: reads all frames, in pieces and at once.
fn end<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8], length: u8, change: u8, limit: usize) {
    let whole = all(&[bytes], limit);
    let (first, second) = bytes.split_at(bytes.len().min(change.into()));
    let length = usize::from(length).max(1);
    let pieces: Vec<&[u8]> = first.chunks(length).chain(second.chunks(2 * length)).collect();
    assert_eq!(all(&pieces, limit), whole);
    for frame in whole.0 {
        content::<T>(&frame, limit);
    }
}

fn all(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut frames, mut found) = (Frames::new(limit), Vec::new());
    for piece in pieces {
        frames.add(piece);
        loop {
            let is_ready = frames.is_ready();
            match frames.next() {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= limit);
                    found.push(frame.to_vec());
                }
                Ok(None) => {
                    assert!(!is_ready);
                    break;
                }
                Err(error) => {
                    assert!(error.length > limit);
                    return (found, true);
                }
            }
            assert!(is_ready);
        }
    }
    (found, false)
}

/// What can be read can be sent again, and arrives as the same.
fn content<T: Serialize + DeserializeOwned + PartialEq + Debug>(content: &[u8], limit: usize) {
    match decode::<T>(content) {
        Ok(read) => {
            // Defaults may make it longer than it came.
            let Ok(bytes) = encode(&read, limit) else { return };
            let mut frames = Frames::new(limit);
            frames.add(&bytes);
            let again = frames.next().unwrap().unwrap();
            assert_eq!(decode::<T>(again).unwrap(), read);
            assert!(!frames.is_within());
        }
        Err(ReadError::Malformed(why) | ReadError::Unknown(why)) => assert!(!why.is_empty()),
    }
}
