//! Comparing what can be compared without running any of the program's code.

use crate::kit::{Obj, py};
use std::cmp::Ordering;

/// How one object relates to another, as far as `==` and `<` tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    Equal,
    Other,
}

impl From<Ordering> for Relation {
    fn from(ordering: Ordering) -> Relation {
        match ordering {
            Ordering::Less => Relation::Less,
            Ordering::Equal => Relation::Equal,
            Ordering::Greater => Relation::Other,
        }
    }
}

/// How deep in tuples this looks: a tuple can contain itself by way of other objects.
const DEPTH: u32 = 4;

/// Whether `a < b`, if both are ints, floats or strings, or tuples that these decide: for which no
/// code of the program runs, nothing is allocated and nothing can fail.
#[inline]
pub(super) unsafe fn less(a: Obj, b: Obj) -> Option<bool> {
    // SAFETY: attached, and both are alive.
    unsafe { relation(a, b, DEPTH) }.map(|relation| relation == Relation::Less)
}

unsafe fn relation(a: Obj, b: Obj, depth: u32) -> Option<Relation> {
    // SAFETY: attached, both are alive, and each is asked as what it is.
    unsafe {
        let class = py::Py_TYPE(a);
        if class != py::Py_TYPE(b) {
            return None;
        }
        if class == &raw mut py::PyLong_Type {
            let (mut a_over, mut b_over) = (0, 0);
            let a = py::PyLong_AsLongLongAndOverflow(a, &mut a_over);
            let b = py::PyLong_AsLongLongAndOverflow(b, &mut b_over);
            return match a_over == 0 && b_over == 0 {
                true => Some(a.cmp(&b).into()),
                false if a_over != b_over => Some(a_over.cmp(&b_over).into()),
                false => None,
            };
        }
        if class == &raw mut py::PyFloat_Type {
            let (a, b) = (py::PyFloat_AS_DOUBLE(a), py::PyFloat_AS_DOUBLE(b));
            return Some(a.partial_cmp(&b).map_or(Relation::Other, Relation::from));
        }
        if class == &raw mut py::PyUnicode_Type {
            return Some(py::PyUnicode_Compare(a, b).cmp(&0).into());
        }
        if class == &raw mut py::PyTuple_Type && depth > 0 {
            return tuples(a, b, depth - 1);
        }
        None
    }
}

/// Tuples: the first items that differ decide, where an item equals itself whatever it is.
unsafe fn tuples(a: Obj, b: Obj, depth: u32) -> Option<Relation> {
    // SAFETY: attached, and both are tuples.
    unsafe {
        let lengths = (py::PyTuple_GET_SIZE(a), py::PyTuple_GET_SIZE(b));
        for at in 0..lengths.0.min(lengths.1) {
            let (x, y) = (py::PyTuple_GET_ITEM(a, at), py::PyTuple_GET_ITEM(b, at));
            if x == y {
                continue;
            }
            match relation(x, y, depth)? {
                Relation::Equal => {}
                decided => return Some(decided),
            }
        }
        Some(lengths.0.cmp(&lengths.1).into())
    }
}
