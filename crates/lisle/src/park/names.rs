//! Names of primitives whose word has no room for a pointer: a number stands for the name.

use super::sys::{PlainGuard, PlainLock};
use std::fmt;

/// As many as a number may have for a primitive's word to have room for it.
pub(crate) const NUMBER_BITS: u32 = 29;

pub(crate) struct Names {
    /// The name with number `n` is in place `n - 1`.
    places: Vec<Option<Box<str>>>,
    free: Vec<u32>,
}

static NAMES: PlainLock<Names> = PlainLock::new(Names { places: Vec::new(), free: Vec::new() });

/// The number of a new name, from 1 on.
pub(crate) fn add(name: String) -> u32 {
    let mut names = NAMES.lock();
    let name = Some(name.into_boxed_str());
    if let Some(number) = names.free.pop() {
        names.places[number as usize - 1] = name;
        return number;
    }
    names.places.push(name);
    assert!(names.places.len() < 1 << NUMBER_BITS, "half a billion named primitives are more than can be told apart");
    names.places.len() as u32
}

/// Forgets a name, whose number may then stand for another.
pub(crate) fn remove(number: u32) {
    let mut names = NAMES.lock();
    names.places[number as usize - 1] = None;
    names.free.push(number);
}

/// Prints a name, as a [`Label`](super::Label) does.
pub(crate) fn describe(number: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match &NAMES.lock().places[number as usize - 1] {
        Some(name) => write!(f, "{name:?}"),
        None => f.write_str("whose name was forgotten"),
    }
}

/// All names, locked across a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> PlainGuard<'static, Names> {
    NAMES.lock()
}
