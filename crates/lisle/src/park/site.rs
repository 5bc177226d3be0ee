//! Where a lock was taken, in 32 bits.
//!
//! A lock's word has room for its holder and 32 bits more. Source locations are statics of the
//! program's image, so the distance from a location of our own fits; one that lies further away
//! (another shared object) is not recorded.

use std::panic::Location;

/// A source location.
pub(crate) type Site = &'static Location<'static>;

static BASE: Site = Location::caller();

/// The code for `site`; 0 when it cannot be told.
#[inline(always)]
pub(crate) fn encode(site: Site) -> u32 {
    let site = std::ptr::from_ref(site).expose_provenance();
    let distance = site.wrapping_sub(std::ptr::from_ref(BASE).addr()) as isize;
    // A cast back that changes nothing is the range check; it compiles to a conditional move.
    if distance as i32 as isize == distance { distance as i32 as u32 } else { 0 }
}

/// The location that [`encode`] made `code` of.
pub(crate) fn decode(code: u32) -> Option<Site> {
    if code == 0 {
        return None;
    }
    let address = std::ptr::from_ref(BASE).addr().wrapping_add_signed(code as i32 as isize);
    // SAFETY: non-zero codes come from `encode` alone, which exposed the provenance of a
    // `&'static Location` at exactly this distance from BASE.
    Some(unsafe { &*std::ptr::with_exposed_provenance(address) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_survives_its_code() {
        let here = Location::caller();
        let decoded = decode(encode(here)).expect("a location of this image is near BASE");
        assert_eq!((decoded.file(), decoded.line()), (here.file(), here.line()));
        assert!(decode(0).is_none());
    }

    #[test]
    fn a_site_far_away_is_not_recorded() {
        let far: Box<Location<'static>> = Box::new(*Location::caller());
        let far: Site = Box::leak(far);
        let code = encode(far);
        // The heap may or may not be near; either way nothing wrong comes out.
        if let Some(decoded) = decode(code) {
            assert!(std::ptr::eq(decoded, far));
        }
    }
}
