//! The last events of one thread: it writes, others read beside it, and nobody waits.
//!
//! A slot is three words that are stored one by one, so a reader may find some of one event and some of
//! the next. It looks at `head` once more after it has read a slot: if that has not come round to the slot,
//! what was read is whole; else the event was overwritten, and is counted as lost.

use super::sys::atomic::{AtomicU64, Ordering, fence};

/// An event, as far as a ring knows.
pub(super) type Words = [u64; 3];

pub(super) struct Ring {
    slots: Box<[[AtomicU64; 3]]>,
    /// How many events have been written. The next goes into the slot of this number, and until it is
    /// whole `head` still says so.
    head: AtomicU64,
}

/// How far [`Ring::read`] came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Read {
    /// The number of the next event to read.
    pub(super) next: u64,
    /// How many were overwritten before they could be read.
    pub(super) lost: u64,
}

impl Ring {
    /// What an event takes.
    pub(super) const SLOT: usize = size_of::<[AtomicU64; 3]>();

    /// A ring that keeps `capacity` events, or one less while another is being written.
    pub(super) fn new(capacity: usize) -> Ring {
        assert!(capacity.is_power_of_two(), "a slot's place is found without a division");
        Ring { slots: (0..capacity).map(|_| Default::default()).collect(), head: AtomicU64::new(0) }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// How many events have been written so far.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    fn slot(&self, number: u64) -> &[AtomicU64; 3] {
        &self.slots[number as usize & (self.slots.len() - 1)]
    }

    /// Writes an event. To be called by one thread only.
    #[inline]
    pub(super) fn write(&self, event: Words) {
        self.write_at(self.head.load(Ordering::Relaxed), event);
    }

    /// [`write`](Ring::write) by a thread that knows how many events there are.
    #[inline]
    fn write_at(&self, head: u64, event: Words) {
        // With the reader's fence: who finds a word of this event finds `head` to say that the slot is
        // being written again.
        fence(Ordering::Release);
        for (word, value) in self.slot(head).iter().zip(event) {
            word.store(value, Ordering::Relaxed);
        }
        self.head.store(head + 1, Ordering::Release);
    }

    /// Reads at most `most` events from the number `from` on, in their order.
    pub(super) fn read(&self, from: u64, most: u64, mut found: impl FnMut(Words)) -> Read {
        let mut read = Read { next: from, lost: 0 };
        let (capacity, end) = (self.capacity(), self.head().min(from.saturating_add(most)));
        while read.next < end {
            let event = std::array::from_fn(|word| self.slot(read.next)[word].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            let head = self.head.load(Ordering::Relaxed);
            if read.next + capacity > head {
                found(event);
                read.next += 1;
            } else {
                let oldest = head + 1 - capacity;
                read.lost += oldest - read.next;
                read.next = oldest;
            }
        }
        read
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// An event of which each word tells the others.
    fn event(number: u64) -> Words {
        [number, number.wrapping_mul(0x9E37_79B9_7F4A_7C15), !number]
    }

    #[test]
    fn what_fits_is_read_in_order_and_once() {
        let ring = Ring::new(8);
        (0..5).for_each(|number| ring.write(event(number)));
        let mut seen = Vec::new();
        let read = ring.read(0, 3, |event| seen.push(event));
        assert_eq!(read, Read { next: 3, lost: 0 });
        let read = ring.read(read.next, u64::MAX, |event| seen.push(event));
        assert_eq!(read, Read { next: 5, lost: 0 });
        assert_eq!(seen, (0..5).map(event).collect::<Vec<_>>());
        assert_eq!(ring.read(5, 9, |_| unreachable!()), Read { next: 5, lost: 0 });
    }

    #[test]
    fn what_was_overwritten_is_counted() {
        let ring = Ring::new(4);
        (0..11).for_each(|number| ring.write(event(number)));
        let mut seen = Vec::new();
        let read = ring.read(2, u64::MAX, |event| seen.push(event));
        // The slot that comes next may be being written: that of 7.
        assert_eq!((read, seen), (Read { next: 11, lost: 6 }, (8..11).map(event).collect()));
    }

    #[test]
    fn beside_the_writer_nothing_is_torn_and_nothing_uncounted() {
        let events = if cfg!(debug_assertions) { 400_000 } else { 20_000_000 };
        for capacity in [2, 64, 4096] {
            let (ring, over) = (Ring::new(capacity), AtomicBool::new(false));
            let read_all = || {
                let (mut at, mut lost, mut seen, mut last) = (0, 0, 0, None);
                loop {
                    let ends = over.load(Ordering::Acquire);
                    let read = ring.read(at, 1000, |words| {
                        assert_eq!(words, event(words[0]), "torn");
                        assert!(last < Some(words[0]), "{last:?}, then {}", words[0]);
                        last = Some(words[0]);
                        seen += 1;
                    });
                    (at, lost) = (read.next, lost + read.lost);
                    if ends && at == events {
                        return (seen, lost);
                    }
                    std::hint::spin_loop();
                }
            };
            std::thread::scope(|scope| {
                let readers = [(); 2].map(|()| scope.spawn(read_all));
                (0..events).for_each(|number| ring.write(event(number)));
                over.store(true, Ordering::Release);
                for reader in readers {
                    let (seen, lost) = reader.join().unwrap();
                    assert_eq!(seen + lost, events);
                    assert!(seen > 0);
                }
            });
        }
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn model_an_event_is_read_whole_or_counted_as_lost() {
        loom::model(|| {
            let ring = Arc::new(Ring::new(2));
            let written = ring.clone();
            // Its own look at `head` would hide the reader's from loom, which remembers one access.
            let write = move |number: u64| written.write_at(number, [number + 1; 3]);
            let writer = loom::thread::spawn(move || (0..3).for_each(write));
            let mut seen = 0;
            let first = check(&ring, 0, &mut seen);
            writer.join().unwrap();
            let rest = check(&ring, first.next, &mut seen);
            assert_eq!((rest.next, seen + first.lost + rest.lost), (3, 3));
        });
    }

    fn check(ring: &Ring, from: u64, seen: &mut u64) -> Read {
        let mut last = from;
        ring.read(from, u64::MAX, |words| {
            assert!(words[0] > last && words == [words[0]; 3], "{words:?} after {last}");
            last = words[0];
            *seen += 1;
        })
    }
}
