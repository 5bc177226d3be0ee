//! Where a lock was taken, in 32 bits.
//!
//! A lock's word has room for its holder and 32 bits more. Source locations are statics of the
//! program's image, so the distance from a location of our own fits; one that lies further away
//! (another shared object) is not recorded. An embedder's program has lines of its own: each is a
//! text, kept once and for good, with a number.
//!
//! | code | what it is |
//! |---|---|
//! | 0 | unknown |
//! | bits 30 and 31 alike | the distance to a source location |
//! | bits 30 and 31 different | bit 30 flipped, shifted by three: the number of a place |
//!
//! The three lowest bits are always free: primitives have flags there.

use super::sys::{PlainGuard, PlainLock};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;

/// A source location.
pub(crate) type Site = &'static Location<'static>;

static BASE: Site = Location::caller();

/// A place in an embedder's program: `program.py:12 in transfer`. Costs nothing to pass on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Place(u32);

/// What a place is told from a distance by.
const PLACE: u32 = 1 << 30;
const SHIFT: u32 = 3;
/// There is no room for more than 2²⁸; and a program that makes up names without end is not to fill the
/// memory with them.
const MOST: usize = 1 << 20;

pub(super) struct Places {
    /// The text with number `n` is in place `n - 1`.
    texts: Vec<&'static str>,
    numbers: BTreeMap<&'static str, u32>,
}

static PLACES: PlainLock<Places> = PlainLock::new(Places { texts: Vec::new(), numbers: BTreeMap::new() });

impl Place {
    /// A place that is not known.
    pub const UNKNOWN: Place = Place(0);

    /// The place that goes by this text, which is kept for good. After a million different ones:
    /// [`UNKNOWN`](Place::UNKNOWN).
    pub fn new(text: &str) -> Place {
        let mut places = PLACES.lock();
        if let Some(&number) = places.numbers.get(text) {
            return Place(number);
        }
        if places.texts.len() == MOST {
            return Place::UNKNOWN;
        }
        let text: &'static str = String::from(text).leak();
        places.texts.push(text);
        let number = places.texts.len() as u32;
        places.numbers.insert(text, number);
        Place(number)
    }

    /// A number that stands for it, less than 2²⁴; 0 if it is unknown.
    #[inline(always)]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The place that has given this [`number`](Place::number).
    #[inline(always)]
    pub fn of_number(number: u32) -> Place {
        Place(number)
    }

    /// Its text, if it is known.
    pub fn text(self) -> Option<&'static str> {
        PLACES.lock().texts.get((self.0 as usize).checked_sub(1)?).copied()
    }
}

/// All places, locked across a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> PlainGuard<'static, Places> {
    PLACES.lock()
}

/// Where a call came from, or a lock was taken.
#[derive(Clone, Copy, Debug)]
pub enum Spot {
    /// In Rust.
    Here(&'static Location<'static>),
    /// In the program of an embedder.
    There(Place),
}

impl From<Site> for Spot {
    #[inline(always)]
    fn from(site: Site) -> Spot {
        Spot::Here(site)
    }
}

impl From<Place> for Spot {
    #[inline(always)]
    fn from(place: Place) -> Spot {
        Spot::There(place)
    }
}

impl Spot {
    /// The location, if it is one.
    pub(crate) fn here(self) -> Option<Site> {
        match self {
            Spot::Here(site) => Some(site),
            Spot::There(_) => None,
        }
    }

    /// The code for it; 0 when it cannot be told.
    #[inline(always)]
    pub(crate) fn encode(self) -> u32 {
        match self {
            Spot::Here(site) => {
                let site = std::ptr::from_ref(site).expose_provenance();
                let distance = site.wrapping_sub(std::ptr::from_ref(BASE).addr()) as isize;
                // Shifts that change nothing are the range check; it compiles to a conditional move.
                const TOP: u32 = isize::BITS - 31;
                if distance << TOP >> TOP == distance { distance as i32 as u32 } else { 0 }
            }
            Spot::There(Place(0)) => 0,
            Spot::There(Place(number)) => (number << SHIFT).wrapping_add(PLACE),
        }
    }

    /// What [`encode`](Spot::encode) made `code` of.
    pub(crate) fn decode(code: u32) -> Option<Spot> {
        if code == 0 {
            return None;
        }
        if (code >> 31) != (code >> 30 & 1) {
            return Some(Spot::There(Place(code.wrapping_sub(PLACE) >> SHIFT)));
        }
        let address = std::ptr::from_ref(BASE).addr().wrapping_add_signed(code as i32 as isize);
        // SAFETY: codes of this kind that are not zero come from `encode` alone, which exposed the
        // provenance of a `&'static Location` at exactly this distance from BASE.
        Some(Spot::Here(unsafe { &*std::ptr::with_exposed_provenance(address) }))
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spot::Here(site) => site.fmt(f),
            Spot::There(place) => f.write_str(place.text().unwrap_or("an unknown place")),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_site_survives_its_code() {
        let here = Location::caller();
        let decoded = Spot::decode(Spot::from(here).encode()).and_then(Spot::here);
        let decoded = decoded.expect("a location of this image is near BASE");
        assert_eq!((decoded.file(), decoded.line()), (here.file(), here.line()));
        assert!(Spot::decode(0).is_none());
    }

    #[test]
    fn a_site_far_away_is_not_recorded() {
        let far: Box<Location<'static>> = Box::new(*Location::caller());
        let far: Site = Box::leak(far);
        let code = Spot::from(far).encode();
        // The heap may or may not be near; either way nothing wrong comes out.
        if let Some(decoded) = Spot::decode(code) {
            assert!(std::ptr::eq(decoded.here().expect("no place"), far));
        }
    }

    #[test]
    fn a_place_survives_its_code_and_its_number() {
        let place = Place::new("program.py:12 in transfer");
        assert_eq!(place, Place::new("program.py:12 in transfer"));
        assert_ne!(place, Place::new("program.py:13 in transfer"));
        let code = Spot::from(place).encode();
        assert_eq!(code & 0b111, 0);
        assert_eq!(Spot::decode(code).expect("known").to_string(), "program.py:12 in transfer");
        assert_eq!(Place::of_number(place.number()).text(), Some("program.py:12 in transfer"));
        assert_eq!((Spot::from(Place::UNKNOWN).encode(), Place::UNKNOWN.text()), (0, None));
        for number in [1, 7, MOST as u32, (1 << 28) - 1] {
            let back = Spot::decode(Spot::There(Place(number)).encode());
            assert!(matches!(back, Some(Spot::There(Place(same))) if same == number), "{number}");
        }
    }
}
