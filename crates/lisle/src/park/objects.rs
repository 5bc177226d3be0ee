//! What threads have waited for, while somebody watches: how often and how long, by object.
//!
//! An object is a key and a kind of wait. What was at the same address before is told apart by its
//! identity, see [`Subject::identity`](super::Subject::identity), and gets a number and words of its own.

use super::kind::Kind;
use super::sys::{PlainGuard, PlainLock};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Who waits for different things seldom meets the others at a lock.
const SHARDS: usize = 64;
/// How many objects are kept, 64 Ki in all. One that comes when there is no room takes the place of one that
/// was not waited for lately; that one's counts go to [`OTHERS`].
const MOST: usize = 1024;
/// How many numbers of objects that have lost their place are remembered, for traces that name them.
const REMEMBERED: usize = 256;
/// Among how many the one to go is chosen.
const TRIED: usize = 16;

/// The number of all objects together that have lost their place, or are not listed.
pub(crate) const OTHERS: u32 = 0;

/// Which object it is.
pub(crate) struct Thing<'a> {
    pub(crate) key: usize,
    pub(crate) kind: Kind,
    pub(crate) identity: u64,
    /// The words for it. Called without a lock, when it is met for the first time.
    pub(crate) words: &'a dyn Fn() -> String,
}

/// What is known of an object.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its number, which no other object of the process gets.
    pub(crate) id: u32,
    pub(crate) key: usize,
    /// `None` for [`OTHERS`].
    pub(crate) kind: Option<Kind>,
    pub(crate) words: Arc<str>,
    /// How many waits have ended.
    pub(crate) waits: u64,
    pub(crate) total_ns: u64,
    pub(crate) longest_ns: u64,
    /// How many items or permits there were at the last look.
    pub(crate) length: Option<u64>,
}

struct Entry {
    id: u32,
    identity: u64,
    words: Arc<str>,
    counts: Counts,
    length: Option<u64>,
    /// The time of its shard's clock at which it was last asked for.
    used: u64,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    waits: u64,
    total_ns: u64,
    longest_ns: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.waits += other.waits;
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }
}

/// Mixes the one word and the one byte that a key is made of: these are no strangers' to choose, so it need
/// not withstand them.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}

type Entries = HashMap<(usize, Kind), Entry, BuildHasherDefault<Mix>>;

#[repr(align(64))]
struct Shard(PlainLock<Table>);

pub(super) struct Table {
    entries: Entries,
    /// How many numbers were given away here.
    numbers: u32,
    clock: u64,
    others: Counts,
    /// Words of those that have lost their place.
    gone: VecDeque<(u32, Kind, Arc<str>)>,
}

static TABLES: [Shard; SHARDS] = [const { Shard(PlainLock::new(Table::new())) }; SHARDS];

fn index_of(key: usize) -> usize {
    ((key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize % SHARDS
}

/// The object's number, given it if it is met for the first time.
pub(crate) fn meet(thing: &Thing<'_>) -> u32 {
    with_entry(thing, |entry| entry.id)
}

/// A wait for the object has ended after `lasted` nanoseconds; returns the object's number.
pub(super) fn note(thing: &Thing<'_>, lasted: u64, length: Option<u64>) -> u32 {
    with_entry(thing, |entry| {
        entry.counts.add(Counts { waits: 1, total_ns: lasted, longest_ns: lasted });
        entry.length = length.or(entry.length);
        entry.id
    })
}

fn with_entry<R>(thing: &Thing<'_>, call: impl Fn(&mut Entry) -> R) -> R {
    let shard = index_of(thing.key);
    let table = || TABLES[shard].0.lock();
    if let Some(entry) = table().find(thing) {
        return call(entry);
    }
    let words = (thing.words)().into();
    // Unless another thread was faster.
    let mut table = table();
    match table.find(thing) {
        Some(entry) => call(entry),
        None => call(table.enter(shard, thing, words)),
    }
}

impl Table {
    const fn new() -> Table {
        Table {
            entries: HashMap::with_hasher(BuildHasherDefault::new()),
            numbers: 0,
            clock: 0,
            others: Counts { waits: 0, total_ns: 0, longest_ns: 0 },
            gone: VecDeque::new(),
        }
    }

    #[inline]
    fn find(&mut self, thing: &Thing<'_>) -> Option<&mut Entry> {
        self.clock += 1;
        let entry = self.entries.get_mut(&(thing.key, thing.kind)).filter(|entry| entry.identity == thing.identity)?;
        entry.used = self.clock;
        Some(entry)
    }

    #[cold]
    fn enter(&mut self, shard: usize, thing: &Thing<'_>, words: Arc<str>) -> &mut Entry {
        let place = (thing.key, thing.kind);
        if self.entries.contains_key(&place) {
            self.give_up(place); // the address is another object's now
        } else if self.entries.len() >= MOST {
            let tried = self.entries.iter().take(TRIED);
            let oldest = tried.min_by_key(|(_, entry)| entry.used).map(|(&place, _)| place);
            oldest.into_iter().for_each(|place| self.give_up(place));
        }
        self.numbers += 1;
        // The shard is told from the number. After 2³² objects there are none left: all are others.
        let id = self.numbers.checked_mul(SHARDS as u32).map_or(OTHERS, |number| number + shard as u32);
        let entry =
            Entry { id, identity: thing.identity, words, counts: Counts::default(), length: None, used: self.clock };
        self.entries.entry(place).insert_entry(entry).into_mut()
    }

    fn give_up(&mut self, place: (usize, Kind)) {
        let Some(entry) = self.entries.remove(&place) else { return };
        self.others.add(entry.counts);
        if self.gone.len() == REMEMBERED {
            self.gone.pop_front();
        }
        self.gone.push_back((entry.id, place.1, entry.words));
    }
}

/// The `most` that have been waited for longest and those that `keep` names, in no order; all others as one.
pub(crate) fn read(most: usize, keep: impl Fn(usize, Kind) -> bool) -> Vec<Seen> {
    let (mut all, mut others) = (Vec::<Seen>::new(), Counts::default());
    for shard in &TABLES {
        let table = shard.0.lock();
        others.add(table.others);
        all.extend(table.entries.iter().map(|(&(key, kind), entry)| Seen {
            id: entry.id,
            key,
            kind: Some(kind),
            words: entry.words.clone(),
            waits: entry.counts.waits,
            total_ns: entry.counts.total_ns,
            longest_ns: entry.counts.longest_ns,
            length: entry.length,
        }));
    }
    if all.len() > most {
        all.select_nth_unstable_by_key(most, |seen| std::cmp::Reverse(seen.total_ns));
        let mut rest = all.split_off(most);
        rest.retain(|seen| {
            let kept = seen.kind.is_some_and(|kind| keep(seen.key, kind));
            if !kept {
                let &Seen { waits, total_ns, longest_ns, .. } = seen;
                others.add(Counts { waits, total_ns, longest_ns });
            }
            kept
        });
        all.append(&mut rest);
    }
    if others.waits > 0 {
        let Counts { waits, total_ns, longest_ns } = others;
        let words = "that are not listed".into();
        all.push(Seen { id: OTHERS, key: 0, kind: None, words, waits, total_ns, longest_ns, length: None });
    }
    all
}

/// The kind and the words of the objects of these numbers, as far as they are remembered.
pub(crate) fn words_of(ids: impl IntoIterator<Item = u32>) -> Vec<(u32, Kind, Arc<str>)> {
    let mut asked: [Vec<u32>; SHARDS] = [const { Vec::new() }; SHARDS];
    ids.into_iter().filter(|&id| id != OTHERS).for_each(|id| asked[id as usize % SHARDS].push(id));
    let mut found = Vec::new();
    for (shard, ids) in TABLES.iter().zip(&mut asked).filter(|(_, ids)| !ids.is_empty()) {
        ids.sort_unstable();
        let table = shard.0.lock();
        let kept = table.entries.iter().map(|(&(_, kind), entry)| (entry.id, kind, &entry.words));
        let gone = table.gone.iter().map(|(id, kind, words)| (*id, *kind, words));
        let wanted = kept.chain(gone).filter(|(id, ..)| ids.binary_search(id).is_ok());
        found.extend(wanted.map(|(id, kind, words)| (id, kind, words.clone())));
    }
    found
}

/// How often all has been forgotten: numbers of before mean nothing now.
pub(super) fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

static EPOCH: AtomicU32 = AtomicU32::new(1);

/// Begins to count from nothing. Numbers that were given away are not given again.
pub(super) fn clear() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
    lock_all().into_iter().for_each(|mut table| table.clear());
}

/// All tables, locked across a fork. Nothing else is locked under one, nor is one under another lock.
pub(super) fn lock_all() -> Vec<PlainGuard<'static, Table>> {
    TABLES.iter().map(|shard| shard.0.lock()).collect()
}

impl Table {
    pub(super) fn clear(&mut self) {
        *self = Table { numbers: self.numbers, ..Table::new() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that no other test uses. Its shard is 7.
    fn enter(table: &mut Table, key: usize, identity: u64) -> u32 {
        let thing = Thing { key, kind: Kind::Mutex, identity, words: &|| unreachable!() };
        match table.find(&thing) {
            Some(entry) => entry.id,
            None => table.enter(7, &thing, format!("{key}").into()).id,
        }
    }

    #[test]
    fn another_object_at_the_same_address_is_another() {
        let mut table = Table::new();
        let first = enter(&mut table, 8, 1);
        assert_eq!(enter(&mut table, 8, 1), first);
        let second = enter(&mut table, 8, 2);
        assert_ne!(second, first);
        assert_eq!((table.entries.len(), table.gone.len()), (1, 1));
        assert_eq!((first % SHARDS as u32, second % SHARDS as u32), (7, 7));
    }

    #[test]
    fn what_is_not_listed_is_in_the_sum() {
        // Other tests count nothing.
        let thing = |key| Thing { key, kind: Kind::Barrier, identity: 0, words: &|| "of a test".into() };
        for key in 1..=100 {
            note(&thing(key), key as u64, None);
        }
        let seen = read(10, |key, kind| kind == Kind::Barrier && key == 5);
        let mut keys: Vec<usize> = seen.iter().map(|seen| seen.key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [0, 5, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
        assert_eq!(seen.iter().map(|seen| seen.waits).sum::<u64>(), 100);
        assert_eq!(seen.iter().map(|seen| seen.total_ns).sum::<u64>(), 5050);
        let others = seen.iter().find(|seen| seen.kind.is_none()).expect("89 are not listed");
        assert_eq!((others.id, others.waits, others.longest_ns), (OTHERS, 89, 90));
        let id = note(&thing(7), 0, None);
        assert_eq!(words_of([id, OTHERS, id + SHARDS as u32 * 1000]).len(), 1);
        clear();
        assert!(words_of([id]).is_empty());
    }

    #[test]
    fn there_is_a_bound_and_nothing_goes_uncounted() {
        let mut table = Table::new();
        const ALL: usize = 3 * MOST;
        let mut ids = std::collections::HashSet::new();
        for key in 0..ALL {
            ids.insert(enter(&mut table, key, 1));
            let thing = Thing { key, kind: Kind::Mutex, identity: 1, words: &|| unreachable!() };
            let lasted = Counts { waits: 1, total_ns: key as u64, longest_ns: key as u64 };
            table.find(&thing).expect("just met").counts.add(lasted);
            enter(&mut table, 1 << 20, 1); // one that is waited for all the time
        }
        assert_eq!(ids.len(), ALL, "no number was given twice");
        assert_eq!((table.entries.len(), table.gone.len()), (MOST, REMEMBERED));
        assert!(table.entries.contains_key(&(1 << 20, Kind::Mutex)), "who is waited for keeps the place");
        let mut sum = table.others;
        table.entries.values().for_each(|entry| sum.add(entry.counts));
        assert_eq!((sum.waits, sum.total_ns), (ALL as u64, (ALL * (ALL - 1) / 2) as u64));
    }
}
