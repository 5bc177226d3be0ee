//! `ProcessQueue`: a bounded queue that processes share.
//!
//! A ring of bytes in shared memory, under a lock that survives its holder. What makes it survive too:
//!
//! - **Each change is one store.** An item is written where nobody looks, and the store to `tail` puts it
//!   in; the store to `head` takes one out. Whoever is killed before that has done nothing, and the next to
//!   take the lock has nothing to repair.
//! - **A bell rings before the store**, under the lock, so that nobody can be killed between the two and
//!   leave others asleep. Who wakes up waits for the lock, and looks.
//! - **A bell keeps ringing** (it is an event descriptor, which stays readable) until somebody finds under
//!   the lock that there is nothing for him. So a wake-up is not lost with who was woken and killed.
//! - Who finds nothing first says that he wants something, then silences the bell, in this order: the next
//!   change rings again.

use super::bell::{bell, ring, silence};
use super::lock::RawLock;
use super::memory::Placed;
use super::queue_error::{QueueGetError, QueuePutError};
use super::wire;
use crate::park::outside::Outside;
use crate::park::{Kind, Label, Limit, Site, Wait, WaitError, key_of, park, spin};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, OwnedFd};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, io, ptr};

/// What stands at the start of the shared memory; behind it the places of the items, then the ring.
#[repr(C)]
struct Header {
    lock: RawLock,
    most: AtomicU64,
    ring: AtomicU64,
    /// How many items were ever put in and taken out. Changed under the lock.
    tail: AtomicU64,
    head: AtomicU64,
    closed: AtomicBool,
    /// Whether somebody waits for an item or for room, and is to be rung for.
    wants_item: AtomicBool,
    wants_room: AtomicBool,
}

/// Where an item is: from which byte ever written on, and how long.
#[repr(C)]
struct Place {
    start: AtomicU64,
    length: AtomicU64,
}

/// A queue for items of one type, between any number of threads of any processes at both ends.
///
/// It holds at most so many items, and at most so many bytes of them. Sending it, as an argument, a value
/// or an item of a channel, sends a handle on the same queue. Items are copied into it; they cannot hold
/// handles themselves, which a [channel](super::channel()) can carry.
///
/// A process that is killed while it puts or gets leaves the queue in order: the item is in, or it is
/// not; taken out, or not. An item that it had got is gone with it. Whoever has a handle can ruin the
/// queue for the others: it is for processes that trust each other.
///
/// # Fairness
/// None: whoever comes first when there is an item, or room, has it. Items come out in the order in which
/// they were put.
///
/// # Examples
/// ```
/// use lisle::process::{ProcessQueue, QueueGetError};
///
/// let jobs = ProcessQueue::<String>::new(10).unwrap();
/// jobs.put(&"sweep".into()).unwrap();
/// assert_eq!(jobs.get().unwrap(), "sweep");
/// jobs.shutdown();
/// assert!(matches!(jobs.get(), Err(QueueGetError::ShutDown)));
/// ```
pub struct ProcessQueue<T> {
    shared: Placed<Header>,
    /// As when the queue was made, whatever becomes of what is in the header.
    most: u64,
    ring: u64,
    item_bell: Arc<OwnedFd>,
    room_bell: Arc<OwnedFd>,
    label: Label,
    items: PhantomData<fn(T) -> T>,
}

// SAFETY: what is shared is under a lock that processes share, let alone threads, or atomic.
unsafe impl<T> Send for ProcessQueue<T> {}
// SAFETY: likewise; items are copied in and out as bytes.
unsafe impl<T> Sync for ProcessQueue<T> {}

/// How many bytes of items there may be, unless something else is said.
const RING: usize = 1 << 20;

impl<T> ProcessQueue<T> {
    /// A queue for at most so many items, which may take a megabyte together.
    ///
    /// # Errors
    /// If that is 0, or the system has no memory or no descriptor left.
    #[track_caller]
    pub fn new(max_items: usize) -> io::Result<ProcessQueue<T>> {
        ProcessQueue::with_bytes(max_items, RING)
    }

    /// A queue for at most so many items, which may take so many bytes together.
    ///
    /// # Errors
    /// As [`new`](ProcessQueue::new).
    #[track_caller]
    pub fn with_bytes(max_items: usize, max_bytes: usize) -> io::Result<ProcessQueue<T>> {
        let label = Label::new(Location::caller());
        if max_items == 0 || max_bytes == 0 {
            let text = "a queue with room for nothing could never take an item: allow at least one, and its bytes";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (most, ring) = (max_items as u64, max_bytes as u64);
        let length = length(most, ring).ok_or(io::ErrorKind::OutOfMemory)?;
        let shared = Placed::new(length, |place: *mut Header| {
            // SAFETY: `Placed` gives zeroed memory of the right size, at the start of a page; zero is
            // right for all that is not set here, and nobody else knows of it yet.
            unsafe {
                RawLock::set_up(&raw mut (*place).lock)?;
                (*place).most.store(most, Ordering::Relaxed);
                (*place).ring.store(ring, Ordering::Relaxed);
            }
            Ok(())
        })?;
        let (item_bell, room_bell) = (bell()?, bell()?);
        Ok(ProcessQueue { shared, most, ring, item_bell, room_bell, label, items: PhantomData })
    }

    fn header(&self) -> &Header {
        // SAFETY: made by `with_bytes`, here or in another process; it lives as long as `self`.
        unsafe { self.shared.get().as_ref() }
    }

    /// How many items are in. May be over when the caller looks.
    pub fn len(&self) -> usize {
        let header = self.header();
        let head = header.head.load(Ordering::Acquire);
        header.tail.load(Ordering::Acquire).saturating_sub(head).min(self.most) as usize
    }

    /// Whether there is none, likewise.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items there may be.
    pub fn max_items(&self) -> usize {
        self.most as usize
    }

    /// Whether it was shut down.
    pub fn is_shut_down(&self) -> bool {
        self.header().closed.load(Ordering::Acquire)
    }

    /// Ends the queue for all processes: what is put from now on is refused, and who gets finds what is
    /// in, and then the end. Waits for who is in the middle of a put or a get, which takes no time.
    #[track_caller]
    pub fn shutdown(&self) {
        let site = Location::caller();
        let lock = &self.header().lock;
        // Neither time nor an interrupt ends this wait.
        let held = lock.take(&self.label, Limit::Never, site, false).map(|_| Held(lock));
        ring(&self.item_bell);
        ring(&self.room_bell);
        self.header().closed.store(true, Ordering::Release);
        drop(held);
    }

    fn hold(&self, limit: Limit, site: Site) -> Result<Held<'_>, WaitError> {
        self.header().lock.take(&self.label, limit, site, true).map(|_| Held(&self.header().lock))
    }

    /// Where an item is that was, or will be, put in as number `number`.
    fn place(&self, number: u64) -> &Place {
        let index = usize::try_from(number % self.most).expect("a queue fits into memory");
        // SAFETY: the places stand behind the header, as many as there are; they are atomics.
        unsafe { &*self.shared.get().as_ptr().add(1).cast::<Place>().add(index) }
    }

    /// The one or two pieces of the ring in which a stretch is: where in the memory, and how long.
    fn pieces(&self, start: u64, length: u64) -> [(*mut u8, usize); 2] {
        let from = start % self.ring;
        let first = length.min(self.ring - from);
        let ring = size_of::<Header>() + self.most as usize * size_of::<Place>();
        // SAFETY: the ring is the rest of the memory behind the places, `self.ring` bytes long, and both
        // pieces are in it: `length` is at most that.
        unsafe {
            let ring = self.shared.get().as_ptr().cast::<u8>().add(ring);
            [(ring.add(from as usize), first as usize), (ring, (length - first) as usize)]
        }
    }

    /// Puts in an item, with the lock held; false if there is no room.
    fn push(&self, item: &[u8]) -> bool {
        let header = self.header();
        let (head, tail) = self.counts();
        let count = tail.wrapping_sub(head);
        if count >= self.most {
            return false;
        }
        let (mut start, mut used) = (0, 0);
        if count > 0 {
            let last = self.place(tail.wrapping_sub(1));
            start = last.start.load(Ordering::Relaxed).wrapping_add(last.length.load(Ordering::Relaxed));
            used = start.wrapping_sub(self.place(head).start.load(Ordering::Relaxed));
        }
        let length = item.len() as u64;
        if used > self.ring || length > self.ring - used {
            return false;
        }
        let mut rest = item;
        for (to, count) in self.pieces(start, length) {
            let (piece, after) = rest.split_at(count);
            // SAFETY: the piece is in the ring, where no item is; the lock keeps others from it.
            unsafe { ptr::copy_nonoverlapping(piece.as_ptr(), to, count) };
            rest = after;
        }
        let place = self.place(tail);
        place.start.store(start, Ordering::Relaxed);
        place.length.store(length, Ordering::Relaxed);
        if header.wants_item.load(Ordering::Relaxed) {
            ring(&self.item_bell);
            header.wants_item.store(false, Ordering::Relaxed);
        }
        header.tail.store(tail.wrapping_add(1), Ordering::Release);
        true
    }

    /// Takes out an item, with the lock held; `None` if there is none. What is in the memory may have been
    /// ruined by others: then the item is an error.
    fn pop(&self) -> Option<Result<Vec<u8>, QueueGetError>> {
        let header = self.header();
        let (head, tail) = self.counts();
        if tail == head {
            return None;
        }
        let place = self.place(head);
        let (start, length) = (place.start.load(Ordering::Relaxed), place.length.load(Ordering::Relaxed));
        let item = if length <= self.ring && tail.wrapping_sub(head) <= self.most {
            let mut item: Vec<u8> = Vec::with_capacity(length as usize);
            for (from, count) in self.pieces(start, length) {
                // SAFETY: the piece is in the ring and stays as it is while we have the lock; there is
                // room for both behind what is in, which is set as long as what was copied.
                unsafe {
                    ptr::copy_nonoverlapping(from, item.as_mut_ptr().add(item.len()), count);
                    item.set_len(item.len() + count);
                }
            }
            Ok(item)
        } else {
            Err(QueueGetError::Garbage("its place is not in the queue".into()))
        };
        if header.wants_room.load(Ordering::Relaxed) {
            ring(&self.room_bell);
            header.wants_room.store(false, Ordering::Relaxed);
        }
        // After a bad place, whatever else is there is not to be trusted either.
        header.head.store(if item.is_ok() { head.wrapping_add(1) } else { tail }, Ordering::Release);
        Some(item)
    }

    /// How many were ever taken out, and put in.
    fn counts(&self) -> (u64, u64) {
        let header = self.header();
        (header.head.load(Ordering::Relaxed), header.tail.load(Ordering::Relaxed))
    }

    /// Attempts with the lock held; waits for the bell between attempts, unless `limit` is none at all.
    fn repeat<R>(
        &self,
        side: Side,
        limit: Limit,
        site: Site,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        let deadline = limit.deadline();
        let limit = deadline.map_or(Limit::Never, Limit::Until);
        let header = self.header();
        let (kind, wanted, bell) = match side {
            Side::Get => (Kind::QueueGet, &header.wants_item, &self.item_bell),
            Side::Put => (Kind::QueuePut, &header.wants_room, &self.room_bell),
        };
        let watched = [(bell.as_fd(), PollFlags::IN)];
        let mut since = None;
        loop {
            let held = self.hold(limit, site)?;
            if let Some(done) = attempt() {
                return Ok(done);
            }
            wanted.store(true, Ordering::Relaxed);
            silence(bell);
            let seen = self.counts();
            drop(held);
            let changed = || self.counts() != seen;
            let late = deadline.is_some_and(|at| at <= Instant::now());
            if late || spin::spin_until(|| changed().then_some(())).is_none() {
                // Who needs more room than there is silences the bell for who needs less. So all look from
                // time to time.
                let mut wait = Wait::new(kind, &self.label, site, deadline);
                (wait.outside, wait.since) = (Some(Outside::Ready(&watched)), since);
                wait.overdue = Some(&changed);
                since.get_or_insert_with(Instant::now);
                park(key_of(self), &wait, || !changed() || late).settle()?;
            }
        }
    }
}

/// A call that is not to wait may be held up by another's for so long: it has the lock.
const MOMENT: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
enum Side {
    Put,
    Get,
}

/// The queue's lock, held.
struct Held<'a>(&'a RawLock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `hold` on this thread, which it does not leave.
        unsafe { self.0.give_back() };
    }
}

/// How much memory a queue takes.
fn length(most: u64, ring: u64) -> Option<usize> {
    let places = usize::try_from(most).ok()?.checked_mul(size_of::<Place>())?;
    size_of::<Header>().checked_add(places)?.checked_add(usize::try_from(ring).ok()?)
}

impl<T: Serialize> ProcessQueue<T> {
    /// Puts an item in, as soon as there is room for it.
    ///
    /// # On interrupt
    /// `Interrupted`; nothing was put.
    ///
    /// # Errors
    /// See [`QueuePutError`].
    #[track_caller]
    pub fn put(&self, item: &T) -> Result<(), QueuePutError> {
        self.put_within(item, Limit::Never, Location::caller())
    }

    /// [`put`](ProcessQueue::put) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; nothing was put.
    ///
    /// # Errors
    /// See [`QueuePutError`].
    #[track_caller]
    pub fn put_for(&self, item: &T, limit: Duration) -> Result<(), QueuePutError> {
        self.put_within(item, Limit::For(limit), Location::caller())
    }

    /// [`put_for`](ProcessQueue::put_for), with the limit as a point in time.
    ///
    /// # Errors
    /// See [`QueuePutError`].
    #[track_caller]
    pub fn put_until(&self, item: &T, limit: Instant) -> Result<(), QueuePutError> {
        self.put_within(item, Limit::Until(limit), Location::caller())
    }

    /// Puts an item in if there is room for it now.
    ///
    /// # Errors
    /// See [`QueuePutError`]; `Full` if there is no room.
    #[track_caller]
    pub fn try_put(&self, item: &T) -> Result<(), QueuePutError> {
        let item = self.encode(item)?;
        let held = self.hold(Limit::For(MOMENT), Location::caller());
        let put = held.is_ok().then(|| self.try_push(&item)).flatten();
        put.unwrap_or(Err(QueuePutError::Full))
    }

    fn encode(&self, item: &T) -> Result<Vec<u8>, QueuePutError> {
        let item = wire::encode(item, Vec::new()).map_err(QueuePutError::NotSerialisable)?;
        if !item.descriptors.is_empty() {
            let text = "it holds a handle, which a queue cannot carry: use a channel";
            return Err(QueuePutError::NotSerialisable(text.into()));
        }
        if item.bytes.len() as u64 > self.ring {
            return Err(QueuePutError::TooLong { length: item.bytes.len(), most: self.ring as usize });
        }
        Ok(item.bytes)
    }

    fn try_push(&self, item: &[u8]) -> Option<Result<(), QueuePutError>> {
        if self.is_shut_down() {
            return Some(Err(QueuePutError::ShutDown));
        }
        self.push(item).then_some(Ok(()))
    }

    fn put_within(&self, item: &T, limit: Limit, site: Site) -> Result<(), QueuePutError> {
        let item = self.encode(item)?;
        self.repeat(Side::Put, limit, site, || self.try_push(&item))?
    }
}

impl<T: DeserializeOwned> ProcessQueue<T> {
    /// Takes the next item, as soon as there is one.
    ///
    /// # On interrupt
    /// `Interrupted`; nothing was taken.
    ///
    /// # Errors
    /// See [`QueueGetError`].
    #[track_caller]
    pub fn get(&self) -> Result<T, QueueGetError> {
        self.get_within(Limit::Never, Location::caller())
    }

    /// [`get`](ProcessQueue::get) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; nothing was taken.
    ///
    /// # Errors
    /// See [`QueueGetError`].
    #[track_caller]
    pub fn get_for(&self, limit: Duration) -> Result<T, QueueGetError> {
        self.get_within(Limit::For(limit), Location::caller())
    }

    /// [`get_for`](ProcessQueue::get_for), with the limit as a point in time.
    ///
    /// # Errors
    /// See [`QueueGetError`].
    #[track_caller]
    pub fn get_until(&self, limit: Instant) -> Result<T, QueueGetError> {
        self.get_within(Limit::Until(limit), Location::caller())
    }

    /// Takes the next item if there is one now.
    ///
    /// # Errors
    /// See [`QueueGetError`]; `Empty` if there is none.
    #[track_caller]
    pub fn try_get(&self) -> Result<T, QueueGetError> {
        let got = {
            let held = self.hold(Limit::For(MOMENT), Location::caller());
            held.is_ok().then(|| self.try_pop()).flatten()
        };
        got.unwrap_or(Err(QueueGetError::Empty)).and_then(read)
    }

    fn try_pop(&self) -> Option<Result<Vec<u8>, QueueGetError>> {
        self.pop().or_else(|| self.is_shut_down().then_some(Err(QueueGetError::ShutDown)))
    }

    fn get_within(&self, limit: Limit, site: Site) -> Result<T, QueueGetError> {
        self.repeat(Side::Get, limit, site, || self.try_pop())?.and_then(read)
    }
}

fn read<T: DeserializeOwned>(item: Vec<u8>) -> Result<T, QueueGetError> {
    wire::decode(&item, Vec::new()).map_err(QueueGetError::Garbage)
}

impl<T> Serialize for ProcessQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bell = |bell: &Arc<OwnedFd>| wire::Handle(bell.clone());
        (bell(&self.shared.file), bell(&self.item_bell), bell(&self.room_bell)).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for ProcessQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ProcessQueue<T>, D::Error> {
        let (file, item_bell, room_bell) = <(wire::Handle, wire::Handle, wire::Handle)>::deserialize(deserializer)?;
        let file = Arc::into_inner(file.0).expect("it has just come");
        let shared = Placed::<Header>::received(file).map_err(serde::de::Error::custom)?;
        // SAFETY: the memory is at least as long as a header, which is made of atomics.
        let header = unsafe { shared.get().as_ref() };
        let (most, ring) = (header.most.load(Ordering::Relaxed), header.ring.load(Ordering::Relaxed));
        if most == 0 || ring == 0 || length(most, ring).is_none_or(|length| length > shared.length()) {
            return Err(serde::de::Error::custom("the shared memory that came is no queue"));
        }
        let label = Label::new(Location::caller());
        Ok(ProcessQueue {
            shared,
            most,
            ring,
            item_bell: item_bell.0,
            room_bell: room_bell.0,
            label,
            items: PhantomData,
        })
    }
}

impl<T> fmt::Debug for ProcessQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessQueue")
            .field("len", &self.len())
            .field("max_items", &self.most)
            .field("shut_down", &self.is_shut_down())
            .field("label", &format_args!("{}", self.label))
            .finish_non_exhaustive()
    }
}
