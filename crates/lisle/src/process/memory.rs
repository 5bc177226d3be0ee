//! Memory that processes share.

use super::wire;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, io, ptr, slice};

/// A memory file in this process's memory.
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping is an address and a length; what may be done at the address is for who uses it.
unsafe impl Send for Mapping {}
// SAFETY: likewise.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a file whose length nobody can change any more.
    fn new(file: &OwnedFd, length: usize, access: ProtFlags, flags: MapFlags) -> io::Result<Mapping> {
        if length == 0 {
            return Ok(Mapping { start: NonNull::dangling(), length });
        }
        // SAFETY: a new mapping, at a place that the system chooses, touches nothing that is there.
        let start = unsafe { mmap(ptr::null_mut(), length, access, flags, file, 0)? };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        Ok(Mapping { start, length })
    }

    /// Nothing can be written through this mapping any more.
    fn forbid_writing(&self) -> io::Result<()> {
        if self.length > 0 {
            // SAFETY: it is our mapping, and nobody has a `&mut` into it.
            unsafe { mprotect(self.start.as_ptr().cast(), self.length, MprotectFlags::READ)? };
        }
        Ok(())
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping that `new` made; who borrowed from it is gone.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        }
    }
}

/// A memory file of that length, which stays so, with its mapping.
pub(super) fn fixed(name: &std::ffi::CStr, length: usize, flags: MapFlags) -> io::Result<(OwnedFd, Mapping)> {
    if isize::try_from(length).is_err() {
        return Err(io::Error::from(io::ErrorKind::OutOfMemory));
    }
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, length as u64)?;
    fcntl_add_seals(&file, LENGTH_STAYS)?;
    let mapping = Mapping::new(&file, length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | flags)?;
    Ok((file, mapping))
}

/// Without these, whoever else has the file could cut it off under a mapping, and each look at that would
/// be a `SIGBUS`.
const LENGTH_STAYS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);
/// Nobody can begin to write any more.
const CONTENT_STAYS: SealFlags = LENGTH_STAYS.union(SealFlags::FUTURE_WRITE);
const NO_WRITING: SealFlags = SealFlags::WRITE.union(SealFlags::FUTURE_WRITE);

/// The mapping of a memory file that somebody has sent, who could have sent anything.
pub(super) fn received(file: &OwnedFd, seals: SealFlags) -> Result<Mapping, String> {
    let has = fcntl_get_seals(file).map_err(|_| "the descriptor that came is no shared memory")?;
    if !has.contains(seals) {
        return Err("the shared memory that came can be changed where it must not".into());
    }
    let stat = fstat(file).map_err(|error| error.to_string())?;
    let length = stat.st_size;
    // A hole takes memory as soon as somebody looks at it: who sends what is only read has spent it.
    if has.intersects(NO_WRITING) && stat.st_blocks.saturating_mul(512) < length {
        return Err("the shared memory that came is not all there".into());
    }
    let length = usize::try_from(length).map_err(|_| "the shared memory that came has no length")?;
    let (access, flags) = match has.intersects(NO_WRITING) {
        false => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
        // What was written is there, and is going to be read.
        true => (ProtFlags::READ, MapFlags::SHARED | MapFlags::POPULATE),
    };
    Mapping::new(file, length, access, flags)
        .map_err(|error| format!("the shared memory that came cannot be mapped: {error}"))
}

/// Bytes that processes read in one place: made once, then the same for ever, for everybody.
///
/// Sending it, as an argument, a value or an item of a channel, sends a handle; nothing is copied. The
/// system itself sees to it that no process can begin to change them, so they can be borrowed as a slice.
///
/// The processes of a program trust each other in one thing: none sends a buffer that it has made by other
/// means than this type, or that a process can still write to which it forked while it was filled.
///
/// # Examples
/// ```
/// use lisle::process::SharedBuffer;
///
/// let squares = SharedBuffer::filled(256, |bytes| {
///     bytes.iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * n) as u8);
/// })
/// .unwrap();
/// assert_eq!(squares[15], 225);
/// ```
#[derive(Clone)]
pub struct SharedBuffer {
    file: Arc<OwnedFd>,
    mapping: Arc<Mapping>,
}

impl SharedBuffer {
    /// A buffer of `length` bytes that `fill` writes; they are zero before.
    ///
    /// # Errors
    /// If the system has not that much memory, or no descriptor left.
    pub fn filled(length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<SharedBuffer> {
        let (file, mapping) = fixed(c"lisle-buffer", length, MapFlags::POPULATE)?;
        // SAFETY: the mapping is that long, writable, and nobody else knows of the file yet.
        fill(unsafe { slice::from_raw_parts_mut(mapping.start.as_ptr(), length) });
        mapping.forbid_writing()?;
        // `WRITE` would say more, but has the system wait for milliseconds until nobody looks at a page.
        fcntl_add_seals(&file, CONTENT_STAYS | SealFlags::SEAL)?;
        Ok(SharedBuffer { file: Arc::new(file), mapping: Arc::new(mapping) })
    }

    /// A copy of `bytes`.
    ///
    /// # Errors
    /// As [`filled`](SharedBuffer::filled).
    pub fn copy_of(bytes: &[u8]) -> io::Result<SharedBuffer> {
        SharedBuffer::filled(bytes.len(), |place| place.copy_from_slice(bytes))
    }
}

impl Deref for SharedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is that long and lives as long as `self`. The seals, which were set or looked
        // for before, keep every process from changing the length, and from beginning to write; who has
        // begun before is `filled` alone, which has ended.
        unsafe { slice::from_raw_parts(self.mapping.start.as_ptr(), self.mapping.length) }
    }
}

impl Serialize for SharedBuffer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::serialize(&self.file, serializer)
    }
}

impl<'de> Deserialize<'de> for SharedBuffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedBuffer, D::Error> {
        let file = wire::deserialize(deserializer)?;
        let mapping = received(&file, CONTENT_STAYS).map_err(serde::de::Error::custom)?;
        Ok(SharedBuffer { file: Arc::new(file), mapping: Arc::new(mapping) })
    }
}

impl fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBuffer").field("length", &self.len()).finish_non_exhaustive()
    }
}

/// Memory that processes read and write in one place, of a length that stays.
///
/// Sending it, as an argument, a value or an item of a channel, sends a handle; nothing is copied.
/// [`read`](SharedMemory::read) and [`write`](SharedMemory::write) copy bytes in and out. Who reads while
/// another writes gets some of the old and some of the new bytes; a [`SharedLock`](super::SharedLock)
/// beside it, or a message that says when, keeps the two apart.
///
/// # Examples
/// ```
/// use lisle::process::SharedMemory;
///
/// let memory = SharedMemory::new(1 << 20).unwrap();
/// memory.write(1000, b"far away").unwrap();
/// let mut bytes = [0; 4];
/// memory.read(1004, &mut bytes).unwrap();
/// assert_eq!(&bytes, b"away");
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    file: Arc<OwnedFd>,
    mapping: Arc<Mapping>,
}

impl SharedMemory {
    /// Memory of `length` bytes, all zero. The system provides it where it is written to.
    ///
    /// # Errors
    /// If the system has no room for the mapping, or no descriptor left.
    pub fn new(length: usize) -> io::Result<SharedMemory> {
        let (file, mapping) = fixed(c"lisle-memory", length, MapFlags::empty())?;
        Ok(SharedMemory { file: Arc::new(file), mapping: Arc::new(mapping) })
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.mapping.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the bytes are in this process. They may change at any time, by other processes' doing: it is
    /// for who uses this to keep them from it, or to use atomic operations.
    pub fn as_ptr(&self) -> *mut u8 {
        self.mapping.start.as_ptr()
    }

    /// The bytes, in place.
    ///
    /// # Safety
    /// Nobody, in no process, writes to them as long as the slice lives.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the mapping is that long and lives as long as `self`; nobody writes, says the caller.
        unsafe { slice::from_raw_parts(self.mapping.start.as_ptr(), self.mapping.length) }
    }

    /// The bytes, in place, to be changed.
    ///
    /// # Safety
    /// Nobody else, in no process, reads or writes them as long as the slice lives.
    #[allow(clippy::mut_from_ref, reason = "that there is one at a time is what the caller answers for")]
    pub unsafe fn as_mut_slice(&self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and there is no other, says the caller.
        unsafe { slice::from_raw_parts_mut(self.mapping.start.as_ptr(), self.mapping.length) }
    }

    /// Copies bytes from `offset` on into `bytes`.
    ///
    /// # Errors
    /// If there are not that many.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfRange> {
        let (words, skip) = self.words(offset, bytes.len())?;
        let (head, rest) = bytes.split_at_mut(first_part(skip, bytes.len()));
        let mut words = words.iter();
        if !head.is_empty() {
            let word = words.next().expect("there is one for each part").load(Ordering::Relaxed).to_ne_bytes();
            head.copy_from_slice(&word[skip..skip + head.len()]);
        }
        let (whole, tail) = rest.as_chunks_mut::<WORD>();
        for (part, word) in whole.iter_mut().zip(&mut words) {
            *part = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        if !tail.is_empty() {
            let word = words.next().expect("there is one for each part").load(Ordering::Relaxed).to_ne_bytes();
            tail.copy_from_slice(&word[..tail.len()]);
        }
        Ok(())
    }

    /// Copies `bytes` to where `offset` is.
    ///
    /// # Errors
    /// If they do not all have a place there; nothing is written then.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        let (words, skip) = self.words(offset, bytes.len())?;
        let (head, rest) = bytes.split_at(first_part(skip, bytes.len()));
        let mut words = words.iter();
        if !head.is_empty() {
            put_in(words.next().expect("there is one for each part"), skip, head);
        }
        let (whole, tail) = rest.as_chunks::<WORD>();
        for (part, word) in whole.iter().zip(&mut words) {
            word.store(u64::from_ne_bytes(*part), Ordering::Relaxed);
        }
        if !tail.is_empty() {
            put_in(words.next().expect("there is one for each part"), 0, tail);
        }
        Ok(())
    }

    /// The words in which the bytes are, and how many bytes of the first come before them.
    ///
    /// All that is safe reaches the memory by these words only, so that threads of one process that use
    /// the same bytes at the same time do not race.
    fn words(&self, offset: usize, count: usize) -> Result<(&[AtomicU64], usize), OutOfRange> {
        let length = self.len();
        let end = offset.checked_add(count).filter(|&end| end <= length);
        let end = end.ok_or(OutOfRange { offset, count, length })?;
        if count == 0 {
            return Ok((&[], 0));
        }
        let (first, behind) = (offset / WORD, end.div_ceil(WORD));
        // SAFETY: a mapping begins at a page and is whole pages, so the words are aligned and in it; it
        // lives as long as `self`. Nobody has a `&mut` to the bytes: who uses `as_mut_slice` answers for it.
        let words = unsafe {
            let start = self.mapping.start.as_ptr().cast::<AtomicU64>().add(first);
            slice::from_raw_parts(start, behind - first)
        };
        Ok((words, offset % WORD))
    }
}

const WORD: usize = size_of::<u64>();

/// How many of `count` bytes are in the first word, if that is not theirs from its beginning on.
fn first_part(skip: usize, count: usize) -> usize {
    if skip == 0 { 0 } else { count.min(WORD - skip) }
}

/// Changes some bytes of a word and leaves the others, whoever changes those.
fn put_in(word: &AtomicU64, skip: usize, bytes: &[u8]) {
    let change = |word: u64| {
        let mut changed = word.to_ne_bytes();
        changed[skip..skip + bytes.len()].copy_from_slice(bytes);
        u64::from_ne_bytes(changed)
    };
    let (Ok(_) | Err(_)) = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(change(word)));
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::serialize(&self.file, serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedMemory, D::Error> {
        let file = wire::deserialize(deserializer)?;
        if fcntl_get_seals(&file).is_ok_and(|has| has.intersects(NO_WRITING)) {
            return Err(serde::de::Error::custom("the shared memory that came cannot be written to"));
        }
        let mapping = received(&file, LENGTH_STAYS).map_err(serde::de::Error::custom)?;
        Ok(SharedMemory { file: Arc::new(file), mapping: Arc::new(mapping) })
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").field("length", &self.len()).finish_non_exhaustive()
    }
}

/// More bytes were asked for than there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OutOfRange {
    /// From where on.
    pub offset: usize,
    /// How many.
    pub count: usize,
    /// How many there are in all.
    pub length: usize,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutOfRange { offset, count, length } = self;
        write!(f, "{count} bytes from {offset} on are not all in a shared memory of {length}: make it larger")
    }
}

impl std::error::Error for OutOfRange {}

/// A file with a structure of type `T` at its start, which processes share.
pub(super) struct Placed<T> {
    pub(super) file: Arc<OwnedFd>,
    mapping: Mapping,
    at: std::marker::PhantomData<T>,
}

impl<T> Placed<T> {
    /// A new one of `length` bytes in all, zero, in which `set_up` makes the structure.
    pub(super) fn new(length: usize, set_up: impl FnOnce(*mut T) -> io::Result<()>) -> io::Result<Placed<T>> {
        let length = length.max(size_of::<T>());
        let (file, mapping) = fixed(c"lisle-shared", length, MapFlags::empty())?;
        set_up(mapping.start.as_ptr().cast())?;
        Ok(Placed { file: Arc::new(file), mapping, at: std::marker::PhantomData })
    }

    /// One that was made in another process of this program.
    pub(super) fn received(file: OwnedFd) -> Result<Placed<T>, String> {
        let mapping = received(&file, LENGTH_STAYS)?;
        if mapping.length < size_of::<T>() || fcntl_get_seals(file.as_fd()).is_ok_and(|has| has.intersects(NO_WRITING))
        {
            return Err("the shared memory that came is of another kind".into());
        }
        Ok(Placed { file: Arc::new(file), mapping, at: std::marker::PhantomData })
    }

    /// The structure. Other processes see it too: it is made of atomics and the like.
    pub(super) fn get(&self) -> NonNull<T> {
        self.mapping.start().cast()
    }

    pub(super) fn length(&self) -> usize {
        self.mapping.length()
    }

    /// Keeps the mapping for ever.
    pub(super) fn leak(&mut self) {
        self.mapping.length = 0; // there is nothing left to unmap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_holes_is_refused() {
        // A quarter of a gigabyte that nobody has spent.
        let file = memfd_create(c"holes", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&file, 1 << 28).unwrap();
        fcntl_add_seals(&file, CONTENT_STAYS).unwrap();
        assert!(received(&file, CONTENT_STAYS).is_err());
        for length in [0, 1, 4095, 4097, 3 << 20] {
            let buffer = SharedBuffer::filled(length, |_| ()).unwrap();
            assert_eq!(received(&buffer.file, CONTENT_STAYS).unwrap().length(), length);
        }
    }

    #[test]
    fn every_piece_is_written_and_read_where_it_is() {
        const LENGTH: usize = 40;
        let memory = SharedMemory::new(LENGTH).unwrap();
        let mut model = [0u8; LENGTH];
        for offset in 0..=LENGTH {
            for count in 0..=LENGTH - offset {
                let bytes: Vec<u8> = (0..count).map(|n| (offset * 7 + count * 3 + n) as u8).collect();
                memory.write(offset, &bytes).unwrap();
                model[offset..offset + count].copy_from_slice(&bytes);
                let (mut all, mut part) = ([0; LENGTH], vec![0; count]);
                memory.read(0, &mut all).unwrap();
                memory.read(offset, &mut part).unwrap();
                assert_eq!((all, part), (model, bytes));
            }
        }
        assert!(memory.write(LENGTH, &[1]).is_err() && memory.read(usize::MAX, &mut [0]).is_err());
    }

    #[test]
    fn threads_that_write_beside_each_other_leave_each_other_alone() {
        let memory = SharedMemory::new(16).unwrap();
        std::thread::scope(|scope| {
            for place in 0..4 {
                let memory = &memory;
                scope.spawn(move || {
                    for n in 0..10_000u32 {
                        let mine = [n as u8, place as u8, (n >> 8) as u8];
                        memory.write(3 * place, &mine).unwrap();
                        let mut back = [0; 3];
                        memory.read(3 * place, &mut back).unwrap();
                        assert_eq!(back, mine);
                    }
                });
            }
        });
    }
}
