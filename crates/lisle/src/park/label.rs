//! A primitive's label: its name or the place where it was made, and three flag bits, in one word.

use super::site::Site;
use super::sys::{atomic::AtomicPtr, atomic::Ordering, const_fn};
use super::wait::{Subject, identity_of_words};
use std::fmt;
use std::panic::Location;

/// | bits | meaning |
/// |---|---|
/// | 0, 1 | the primitive's own flags, see there |
/// | 2 | the pointer is a `Box<Named>` of ours; else a `&'static Location` |
/// | rest | the pointer |
pub(crate) struct Label(AtomicPtr<()>);

#[repr(align(8))]
struct Named {
    name: Box<str>,
    site: Site,
}

const NAMED: usize = 0b100;
const FLAGS: usize = 0b011;

// Three bits are free only where pointers are 64 bits wide; 32-bit systems are not supported.
const _: () = assert!(align_of::<Location<'static>>() >= 8);

impl Label {
    const_fn! {
        /// The label of a primitive without a name, with all flags clear.
        pub(crate) const fn new(site: Site) -> Label {
            Label(AtomicPtr::new(std::ptr::from_ref(site).cast_mut().cast()))
        }
    }

    /// The label of a primitive with a name, with all flags clear.
    pub(crate) fn named(name: String, site: Site) -> Label {
        let named = Box::into_raw(Box::new(Named { name: name.into_boxed_str(), site }));
        Label(AtomicPtr::new(named.cast::<()>().map_addr(|addr| addr | NAMED)))
    }

    /// The flags as they are now.
    #[inline(always)]
    pub(crate) fn flags(&self, order: Ordering) -> usize {
        self.0.load(order).addr() & FLAGS
    }

    /// Sets the flags to what `change` makes of them, or leaves them when it says `None`; tells
    /// what they were, as `Ok` if changed. Either way the caller sees what was done before the flags
    /// became so.
    #[inline]
    pub(crate) fn update(&self, mut change: impl FnMut(usize) -> Option<usize>) -> Result<usize, usize> {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let flags = now.addr() & FLAGS;
            let Some(new) = change(flags) else { return Err(flags) };
            debug_assert_eq!(new & !FLAGS, 0);
            let new = now.map_addr(|addr| addr & !FLAGS | new);
            match self.0.compare_exchange_weak(now, new, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => return Ok(flags),
                Err(seen) => now = seen,
            }
        }
    }

    /// Sets the flags in `set` and clears those in `clear`.
    #[inline]
    pub(crate) fn change(&self, set: usize, clear: usize) -> usize {
        let (Ok(flags) | Err(flags)) = self.update(|flags| Some(flags & !clear | set));
        flags
    }

    /// Sets the flags in `set`, in one instruction since it does not ask what they were.
    #[inline(always)]
    pub(crate) fn set(&self, set: usize) {
        #[cfg(not(loom))]
        self.0.fetch_or(set, Ordering::SeqCst);
        #[cfg(loom)] // which has no such instruction
        self.change(set, 0);
    }

    /// Clears the flags in `clear`, likewise.
    #[inline(always)]
    pub(crate) fn clear(&self, clear: usize) {
        #[cfg(not(loom))]
        self.0.fetch_and(!clear, Ordering::SeqCst);
        #[cfg(loom)]
        self.change(0, clear);
    }

    fn get(&self) -> Result<&Named, Site> {
        let word = self.0.load(Ordering::Relaxed);
        let pointer = word.map_addr(|addr| addr & !(NAMED | FLAGS));
        if word.addr() & NAMED != 0 {
            // SAFETY: the bit says that this is the box made in `named`, freed only by our `drop`.
            Ok(unsafe { &*pointer.cast::<Named>() })
        } else {
            // SAFETY: the bit says that this is the reference given to `new`.
            Err(unsafe { &*pointer.cast::<Location<'static>>() })
        }
    }

    /// The name, if it was given one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.get().ok().map(|named| &*named.name)
    }

    /// Tells the primitive from those that have been at its address before.
    pub(crate) fn identity(&self) -> u64 {
        match self.get() {
            // Not the address of the name: what was freed with the old primitive comes back for the new one.
            Ok(named) => identity_of_words(format_args!("{}", named.name)),
            Err(site) => std::ptr::from_ref(site).addr() as u64,
        }
    }

    /// Where the primitive was made.
    pub(crate) fn site(&self) -> Site {
        match self.get() {
            Ok(named) => named.site,
            Err(site) => site,
        }
    }
}

impl Drop for Label {
    fn drop(&mut self) {
        let word = self.0.load(Ordering::Relaxed);
        if word.addr() & NAMED != 0 {
            let named = word.map_addr(|addr| addr & !(NAMED | FLAGS)).cast::<Named>();
            // SAFETY: the box of `named`, which nobody else frees; `&mut self` says nobody reads it.
            drop(unsafe { Box::from_raw(named) });
        }
    }
}

/// `"name"`, or `made at file:line:column`.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Ok(named) => write!(f, "{:?}", named.name),
            Err(site) => write!(f, "made at {site}"),
        }
    }
}

/// What has no owners needs no more than this to be waited for.
impl Subject for Label {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn identity(&self) -> u64 {
        Label::identity(self)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn flags_do_not_disturb_the_name() {
        let label = Label::named("accounts".into(), Location::caller());
        assert_eq!(label.change(0b11, 0), 0);
        assert_eq!(label.flags(Ordering::Relaxed), 0b11);
        assert_eq!(label.name(), Some("accounts"));
        assert_eq!(label.change(0, 0b01), 0b11);
        assert_eq!(label.flags(Ordering::Relaxed), 0b10);
        assert_eq!(label.to_string(), "\"accounts\"");
        assert_eq!(label.update(|_| None), Err(0b10));
    }

    #[test]
    fn without_a_name_the_site_tells() {
        static LABEL: Label = Label::new(Location::caller());
        assert_eq!(LABEL.name(), None);
        assert!(LABEL.to_string().starts_with("made at "), "{LABEL}");
        assert!(LABEL.site().file().ends_with("label.rs"));
    }
}
