//! Values as bytes, and the descriptors that go with them.
//!
//! The bytes are `postcard`'s. A handle (of a channel, of shared memory) stands in them as the number of
//! its descriptor, which travels beside them; what is collected so, or handed out, is in a thread local
//! for the length of one encoding or decoding, because `serde` has no other way to it.

use super::why::Why;
use crate::thread::hook::text_of;
use postcard::de_flavors::Flavor;
use rustix::fd::OwnedFd;
use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A value as it travels.
#[derive(Default, Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<Arc<OwnedFd>>,
}

/// So many bytes of stack may be used for reading a value: bytes from outside can tell of a list of lists
/// of lists without end, and must not make their reader's stack overflow.
const DEEPEST: usize = 256 * 1024;

enum Attached {
    Collecting(Vec<Arc<OwnedFd>>),
    Giving(Vec<Option<OwnedFd>>),
}

thread_local! {
    static ATTACHED: RefCell<Option<Attached>> = const { RefCell::new(None) };
}

/// Puts back what was attached before, also when a user's code panics.
struct Restore(Option<Attached>);

impl Restore {
    fn set(attached: Attached) -> Restore {
        Restore(ATTACHED.replace(Some(attached)))
    }

    fn take(&self) -> Option<Attached> {
        ATTACHED.take()
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        ATTACHED.set(self.0.take());
    }
}

/// The value, appended to `bytes`; the error is `serde`'s.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T, bytes: Vec<u8>) -> Result<Encoded, String> {
    let restore = Restore::set(Attached::Collecting(Vec::new()));
    let bytes = match postcard::to_extend(value, bytes) {
        Ok(bytes) => bytes,
        // `postcard` has no room for a message.
        Err(error) => return Err(value.serialize(Why).err().map_or_else(|| error.to_string(), |why| why.to_string())),
    };
    let descriptors = match restore.take() {
        Some(Attached::Collecting(descriptors)) => descriptors,
        _ => Vec::new(),
    };
    Ok(Encoded { bytes, descriptors })
}

/// The value that these bytes and descriptors are; the error says what is wrong with them. A panic in a
/// user's `Deserialize` is one too: it may come from bytes that no `Serialize` has written.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<T, String> {
    let _restore = Restore::set(Attached::Giving(descriptors.into_iter().map(Some).collect()));
    let mut reader = postcard::Deserializer::from_flavor(Bytes { rest: bytes, floor: stack_pointer() });
    let value = catch_unwind(AssertUnwindSafe(|| T::deserialize(&mut reader)))
        .map_err(|payload| format!("its Deserialize panicked: {}", text_of(&*payload)))?
        .map_err(|error| match error {
            postcard::Error::SerdeDeCustom => "its Deserialize refused it".to_owned(),
            error => error.to_string(),
        })?;
    match reader.finalize() {
        Ok([]) => Ok(value),
        Ok(rest) => Err(format!("{} bytes are left over", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// Bytes that are read by who may not go deeper than [`DEEPEST`].
struct Bytes<'de> {
    rest: &'de [u8],
    floor: usize,
}

impl Bytes<'_> {
    #[inline(always)]
    fn look_down(&self) -> postcard::Result<()> {
        let deep = self.floor.abs_diff(stack_pointer()) > DEEPEST;
        if deep { Err(postcard::Error::SerdeDeCustom) } else { Ok(()) }
    }
}

/// Where the stack is, about.
#[inline(always)]
fn stack_pointer() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here).addr()
}

impl<'de> Flavor<'de> for Bytes<'de> {
    type Remainder = &'de [u8];
    type Source = &'de [u8];

    fn pop(&mut self) -> postcard::Result<u8> {
        let (&first, rest) = self.rest.split_first().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.look_down()?;
        self.rest = rest;
        Ok(first)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }

    // Whatever can be nested without end takes a byte for each nesting.
    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'de [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.look_down()?;
        self.rest = rest;
        Ok(taken)
    }

    fn finalize(self) -> postcard::Result<&'de [u8]> {
        Ok(self.rest)
    }
}

/// Stands for a descriptor in what is being encoded.
pub(super) fn serialize<S: Serializer>(descriptor: &Arc<OwnedFd>, serializer: S) -> Result<S::Ok, S::Error> {
    let number = ATTACHED.with_borrow_mut(|attached| match attached {
        Some(Attached::Collecting(all)) => {
            all.push(descriptor.clone());
            u32::try_from(all.len() - 1).ok()
        }
        _ => None,
    });
    match number {
        Some(number) => serializer.serialize_u32(number),
        None => Err(serde::ser::Error::custom(
            "a handle can be serialised only as part of what is sent to another process by lisle",
        )),
    }
}

/// Takes the descriptor that stands here in what is being decoded; each can be taken once.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OwnedFd, D::Error> {
    let number: u32 = serde::Deserialize::deserialize(deserializer)?;
    let taken = ATTACHED.with_borrow_mut(|attached| match attached {
        Some(Attached::Giving(all)) => all.get_mut(number as usize).and_then(Option::take),
        _ => None,
    });
    taken.ok_or_else(|| serde::de::Error::custom("a handle's descriptor did not come with it"))
}

/// A descriptor among other things to be sent.
pub(super) struct Handle(pub(super) Arc<OwnedFd>);

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
        deserialize(deserializer).map(|descriptor| Handle(Arc::new(descriptor)))
    }
}
