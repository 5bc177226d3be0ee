//! Frames out of bytes, and back: what both ends of an agent's connection do with what they read and write.
//! Nothing here reads, writes or waits, and no length that somebody claims is believed.
#![forbid(unsafe_code)]

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::fmt;

/// The length before each frame.
const HEAD: usize = 4;

/// Takes bytes as they come, in pieces of any length, and gives whole frames.
///
/// ```
/// use lisle::watch::frame::{Frames, encode};
/// use lisle::watch::wire::{MAX_REQUEST, Request};
///
/// let bytes = encode(&Request::StopTrace, MAX_REQUEST)?;
/// let mut frames = Frames::new(MAX_REQUEST);
/// frames.add(&bytes[..6]);
/// assert_eq!(frames.next()?, None);
/// frames.add(&bytes[6..]);
/// assert_eq!(frames.next()?, Some(&b"\"stop_trace\""[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Frames {
    limit: usize,
    bytes: Vec<u8>,
    /// How many of them have been given out.
    used: usize,
}

impl Frames {
    /// For frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Frames {
        Frames { limit, bytes: Vec::new(), used: 0 }
    }

    /// Takes bytes that have come. They are kept until [`next`](Frames::next) has given them out: who is sent
    /// more than that looks at each frame before reading on.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
            // One long frame is no reason to keep so much memory for short ones.
            self.bytes.shrink_to(1 << 16);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame's content, if it is there whole.
    ///
    /// # Errors
    /// If the frame is longer than it may be. Nothing after that can be read: the same error comes again.
    #[allow(clippy::should_implement_trait)] // it lends, which an iterator cannot
    pub fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let Some(length) = self.whole()? else { return Ok(None) };
        let begin = self.used + HEAD;
        self.used = begin + length;
        Ok(Some(&self.bytes[begin..self.used]))
    }

    /// Whether [`next`](Frames::next) has something to say: a frame, or that there can be none.
    pub fn is_ready(&self) -> bool {
        !matches!(self.whole(), Ok(None))
    }

    /// The length of the next frame if it is there whole.
    fn whole(&self) -> Result<Option<usize>, TooLong> {
        let rest = &self.bytes[self.used..];
        let Some((head, content)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        match length <= self.limit {
            true => Ok((length <= content.len()).then_some(length)),
            false => Err(TooLong { length, limit: self.limit }),
        }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.used < self.bytes.len()
    }
}

/// A frame with this in it.
///
/// # Errors
/// If it is longer than the other end takes.
pub fn encode(what: &impl Serialize, limit: usize) -> Result<Vec<u8>, TooLong> {
    let mut bytes = vec![0; HEAD];
    serde_json::to_writer(&mut bytes, what).expect("the types of `wire` have texts for keys, and a vector takes all");
    let length = bytes.len() - HEAD;
    match u32::try_from(length) {
        Ok(head) if length <= limit => bytes[..HEAD].copy_from_slice(&head.to_le_bytes()),
        _ => return Err(TooLong { length, limit }),
    }
    Ok(bytes)
}

/// What is in a frame.
///
/// # Errors
/// See [`ReadError`].
pub fn decode<T: DeserializeOwned>(content: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(content).map_err(|error| {
        // The error alone does not tell: JSON of which the type does not know what to make is given up in the
        // middle, and some of it is called a mistake.
        let is_json = |text| serde_json::from_str::<IgnoredAny>(text).is_ok();
        match str::from_utf8(content).is_ok_and(is_json) {
            true => ReadError::Unknown(error.to_string()),
            false => ReadError::Malformed(error.to_string()),
        }
    })
}

/// A frame that is longer than it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong {
    /// How long it is or claims to be, in bytes.
    pub length: usize,
    /// How long it may be.
    pub limit: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame of {} bytes, where at most {} are taken", self.length, self.limit)
    }
}

impl std::error::Error for TooLong {}

/// Why nothing was made of a frame, with what the reader of JSON says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// It is no JSON. Whoever sends such a thing does not speak this protocol.
    Malformed(String),
    /// It is none of the things that this version knows; a newer one may.
    Unknown(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Malformed(reason) => write!(f, "a frame that is no JSON: {reason}"),
            ReadError::Unknown(reason) => write!(f, "a frame that this version does not know: {reason}"),
        }
    }
}

impl std::error::Error for ReadError {}
