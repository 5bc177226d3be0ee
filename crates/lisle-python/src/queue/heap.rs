//! The heap of a `PriorityQueue`: the same steps as `heapq`'s, hence the same order among equals.
//!
//! Comparisons can run a program's code, so they come first, with the heap as it was: they only find
//! a place. Then it is taken, in one go in which nothing can fail.

use super::state::push;
use crate::kit::Obj;
use std::collections::VecDeque;

/// Where in a heap of `len` items a new one belongs. `less(at)`: the new item comes before the one
/// at `at`.
pub(super) fn place_of_new<E>(len: usize, mut less: impl FnMut(usize) -> Result<bool, E>) -> Result<usize, E> {
    let mut at = len;
    while at > 0 && less((at - 1) / 2)? {
        at = (at - 1) / 2;
    }
    Ok(at)
}

/// Where the last of `len` items belongs once the first has gone: on the path down along the
/// smaller children. `less(a, b)`: the item at `a` comes before the one at `b`.
pub(super) fn place_of_last<E>(len: usize, mut less: impl FnMut(usize, usize) -> Result<bool, E>) -> Result<usize, E> {
    let last = len - 1;
    let mut at = 0;
    let mut child = 1;
    while child < last {
        if child + 1 < last && !less(child, child + 1)? {
            child += 1;
        }
        at = child;
        child = 2 * at + 1;
    }
    // What is on the path will have moved up by one when the last is put there.
    while at > 0 && less(last, at)? {
        at = (at - 1) / 2;
    }
    Ok(at)
}

/// Puts a new item in its place.
pub(super) fn insert(items: &mut VecDeque<Obj>, item: Obj, place: usize) {
    push(items, item);
    let items = items.make_contiguous();
    let mut at = items.len() - 1;
    while at > place {
        items[at] = items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    items[place] = item;
}

/// Takes the first item out, and puts the last in its place.
pub(super) fn take_first(items: &mut VecDeque<Obj>, place: usize) -> Option<Obj> {
    let mut moved = items.pop_back()?;
    let items = items.make_contiguous();
    if items.is_empty() {
        return Some(moved);
    }
    let mut at = place;
    loop {
        std::mem::swap(&mut items[at], &mut moved);
        if at == 0 {
            return Some(moved);
        }
        at = (at - 1) / 2;
    }
}
