//! Which read locks a thread holds, so that a writer's wait has owners.
//!
//! A read–write lock only counts its readers. Who they are stands with each of them: a short list
//! that the thread itself writes without read-modify-writes and the detector scans. What does not
//! fit is not recorded; the detector then sees fewer owners. A forgotten guard stays recorded, also
//! when another lock is at its lock's place: who reads the list compares it with the lock's count.

use super::site::Spot;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

const SLOTS: usize = 8;

#[derive(Default)]
struct Slot {
    lock: AtomicUsize,
    site: AtomicU32,
}

#[derive(Default)]
pub(crate) struct Reads {
    /// The slot to try next: in nested use the one after the last taken.
    next: AtomicUsize,
    slots: [Slot; SLOTS],
}

impl Reads {
    pub(crate) fn new() -> Reads {
        Reads::default()
    }

    /// The calling thread has read-locked `lock`: the slot to give to [`Reads::remove`].
    #[inline]
    pub(crate) fn add(&self, lock: usize, site: Spot) -> u8 {
        let index = self.next.load(Relaxed) % SLOTS;
        let slot = &self.slots[index];
        if slot.lock.load(Relaxed) != 0 {
            return self.add_elsewhere(lock, site);
        }
        slot.site.store(site.encode(), Relaxed);
        slot.lock.store(lock, Relaxed);
        self.next.store(index + 1, Relaxed);
        index as u8
    }

    #[cold]
    fn add_elsewhere(&self, lock: usize, site: Spot) -> u8 {
        let Some(index) = self.slots.iter().position(|slot| slot.lock.load(Relaxed) == 0) else {
            return u8::MAX;
        };
        self.next.store(index, Relaxed);
        self.add(lock, site)
    }

    /// The calling thread is about to release what it had recorded in `slot`.
    #[inline]
    pub(crate) fn remove(&self, slot: u8) {
        if let Some(entry) = self.slots.get(usize::from(slot)) {
            entry.lock.store(0, Relaxed);
            self.next.store(usize::from(slot), Relaxed);
        }
    }

    /// Where the thread has read-locked `lock`, each time that it has.
    pub(crate) fn of(&self, lock: usize) -> impl Iterator<Item = Option<Spot>> {
        let slots = self.slots.iter().filter(move |slot| slot.lock.load(Relaxed) == lock);
        slots.map(|slot| Spot::decode(slot.site.load(Relaxed)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::Location;

    #[test]
    fn holds_what_was_added_in_any_order_of_removal() {
        let reads = Reads::new();
        let slots: Vec<u8> = (1..=SLOTS).map(|lock| reads.add(lock, Location::caller().into())).collect();
        assert_eq!(reads.add(99, Location::caller().into()), u8::MAX, "full: not recorded");
        assert!(reads.of(99).next().is_none());
        reads.remove(u8::MAX);
        reads.remove(slots[3]);
        assert!(reads.of(4).next().is_none());
        assert_eq!(reads.add(99, Location::caller().into()), slots[3]);
        assert_eq!((reads.of(99).count(), reads.of(1).count()), (1, 1));
    }
}
