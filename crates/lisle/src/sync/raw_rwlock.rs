//! The state machine under `RwLock`: one holder that the word names, and readers beside it.

use super::raw_mutex::word;
use crate::park::sys::atomic::{AtomicU64, Ordering};
use crate::park::sys::{self, const_fn};
use crate::park::{Choice, Kind, Label, Limit, Owner, Spot, Subject, Wait, WaitError};
use crate::park::{current, key_of, park_with, registry, spin, unpark};
use std::cell::Cell;
use std::fmt;
use std::time::Instant;

/// | `owner` | readers in `state` | state |
/// |---|---|---|
/// | 0 | 0 | free |
/// | ident, site << 32 | 0 | held by that thread for writing |
/// | the same + `READ` | any | held by that thread for reading, and by so many others |
/// | 0 | some | held by so many for reading |
/// | ident, site << 32 | some | a writer that looks whether there are readers and goes away again; or readers that look whether there is a writer and go away |
///
/// | flags in `state` | state |
/// |---|---|
/// | `WAITERS` | threads wait in the lot, or are about to; the next release looks there |
/// | `WRITERS` | one of them, or the one sent to try, wants to write: readers that come do not pass it |
/// | `WOKEN` | some of them have been sent to try; releases leave the others alone |
///
/// The first reader takes the lock as a writer does, with one exchange, and releases it by a plain
/// store as a [`RawMutex`](super::raw_mutex::RawMutex) is released; the word says who it is and
/// where it came. Only readers that come while it is there are counted, and recorded with their
/// threads for the deadlock detector.
///
/// A reader counts itself in, then looks for a writer; a writer enters itself as the owner, then
/// looks for readers. Both are exchanges, so at least one sees the other and goes away.
///
/// A thread sleeps only while another holds the lock in a way that keeps it out; the release of
/// that one, or of the last of those, looks at the flags. They say too much rather than too little.
/// Two that release at the same time may each think that the other is still there; but each then
/// looks again under the bucket's lock, and who comes second there sees what the first did.
pub(super) struct RawRwLock {
    owner: AtomicU64,
    state: AtomicU64,
    label: Label,
}

/// Holds for reading. One of the bits of a site's code that are free, see `Lock`.
const READ: u64 = 1 << 32;

const WAITERS: u64 = 0b001;
const WRITERS: u64 = 0b010;
const WOKEN: u64 = 0b100;
const READER: u64 = 0b1000;

/// Tokens of a granted wait: try again, or the lock is yours.
const RETRY: u32 = 0;
const HANDED: u32 = 1;

/// How a thread holds the lock for reading.
#[derive(Clone, Copy)]
pub(super) enum Hold {
    /// As the owner.
    First,
    /// Counted in, and recorded there in the thread's [`reads`](crate::park::reads).
    Beside(u8),
}

#[inline(always)]
fn is_writer(owner: u64) -> bool {
    owner != 0 && owner & READ == 0
}

#[inline(always)]
fn must_look(state: u64) -> bool {
    state & (WAITERS | WRITERS) != 0 && state & WOKEN == 0
}

impl RawRwLock {
    const_fn! {
        pub(super) const fn new(label: Label) -> RawRwLock {
            RawRwLock { owner: AtomicU64::new(0), state: AtomicU64::new(0), label }
        }
    }

    /// Takes the lock for reading if that takes no waiting.
    #[inline(always)]
    pub(super) fn try_read(&self, site: Spot) -> Option<Hold> {
        self.enter_read(word(current::ident(), site), site, false)
    }

    /// Takes the lock for reading. Fails only on a proven deadlock.
    #[inline(always)]
    pub(super) fn read(&self, site: Spot) -> Result<Hold, WaitError> {
        match self.try_read(site) {
            Some(hold) => Ok(hold),
            None => self.read_slow(Limit::Never, false, site),
        }
    }

    /// Takes the lock for reading within a time limit, unless the thread is interrupted.
    #[inline(always)]
    pub(super) fn read_within(&self, limit: Limit, site: Spot) -> Result<Hold, WaitError> {
        match self.try_read(site) {
            Some(hold) => Ok(hold),
            None => self.read_slow(limit, true, site),
        }
    }

    /// Takes the lock for writing if that takes no waiting.
    #[inline(always)]
    pub(super) fn try_write(&self, site: Spot) -> bool {
        self.enter_write(word(current::ident(), site))
    }

    /// Takes the lock for writing. Fails only on a proven deadlock.
    #[inline(always)]
    pub(super) fn write(&self, site: Spot) -> Result<(), WaitError> {
        if self.try_write(site) { Ok(()) } else { self.write_slow(Limit::Never, false, site) }
    }

    /// Takes the lock for writing within a time limit, unless the thread is interrupted.
    #[inline(always)]
    pub(super) fn write_within(&self, limit: Limit, site: Spot) -> Result<(), WaitError> {
        if self.try_write(site) { Ok(()) } else { self.write_slow(limit, true, site) }
    }

    #[inline(always)]
    fn enter_read(&self, mine: u64, site: Spot, may_pass: bool) -> Option<Hold> {
        if self.state.load(Ordering::Relaxed) & WRITERS != 0 && !may_pass {
            return None;
        }
        match self.owner.load(Ordering::Relaxed) {
            0 => {
                let taken = self.owner.compare_exchange(0, mine | READ, Ordering::Acquire, Ordering::Relaxed);
                taken.is_ok().then_some(Hold::First)
            }
            owner if is_writer(owner) => None,
            _ => self.enter_beside(site),
        }
    }

    #[inline(never)]
    fn enter_beside(&self, site: Spot) -> Option<Hold> {
        // Recorded before it is true, and below as long as it was: that takes less time than after
        // the exchange, and the detector follows only threads that wait.
        let slot = current::with(|me| me.reads.add(key_of(self), site));
        if self.count_in() {
            return Some(Hold::Beside(slot));
        }
        self.leave(slot);
        None
    }

    /// Counts a reader in; false if a writer is there, and the reader must be counted out.
    #[inline(always)]
    fn count_in(&self) -> bool {
        self.state.fetch_add(READER, Ordering::SeqCst);
        sys::exchange_barrier();
        !is_writer(self.owner.load(Ordering::SeqCst))
    }

    #[inline(always)]
    fn count_out(&self) {
        let state = self.state.fetch_sub(READER, Ordering::AcqRel);
        if state < 2 * READER && must_look(state) {
            self.look(false);
        }
    }

    #[inline(always)]
    fn enter_write(&self, mine: u64) -> bool {
        if self.owner.compare_exchange(0, mine, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return false;
        }
        if self.has_counted() {
            self.release_owner();
            return false;
        }
        true
    }

    /// Whether there are readers beside the owner.
    #[inline(always)]
    fn has_counted(&self) -> bool {
        sys::exchange_barrier();
        self.state.load(Ordering::SeqCst) >= READER
    }

    #[cold]
    fn read_slow(&self, limit: Limit, interruptible: bool, site: Spot) -> Result<Hold, WaitError> {
        let mine = word(current::ident(), site);
        let mut wait = Wait::new(Kind::RwLockRead, self, site, limit.deadline());
        wait.interruptible = interruptible;
        let enter = |may_pass| self.enter_read(mine, site, may_pass);
        let kept_out = |may_pass: bool| {
            let barred = !may_pass && self.state.load(Ordering::SeqCst) & WRITERS != 0;
            is_writer(self.owner.load(Ordering::SeqCst)) || barred && !self.is_free()
        };
        self.wait(wait, WAITERS, enter, kept_out, || Hold::Beside(current::with(|me| me.reads.add(key_of(self), site))))
    }

    #[cold]
    fn write_slow(&self, limit: Limit, interruptible: bool, site: Spot) -> Result<(), WaitError> {
        let mine = word(current::ident(), site);
        let mut wait = Wait::new(Kind::RwLockWrite, self, site, limit.deadline());
        wait.interruptible = interruptible;
        let enter = |_| (self.is_free() && self.enter_write(mine)).then_some(());
        self.wait(wait, WAITERS | WRITERS, enter, |_| !self.is_free(), || ())
    }

    /// Waits until `enter` has taken the lock or it was handed over. `enter` and `kept_out` are
    /// told whether the thread may pass writers that wait: it has been sent to try, so they wait
    /// behind it, or it has found the lock free after its spin.
    fn wait<H>(
        &self,
        mut wait: Wait<'_>,
        flags: u64,
        enter: impl Fn(bool) -> Option<H>,
        kept_out: impl Fn(bool) -> bool,
        handed: impl FnOnce() -> H,
    ) -> Result<H, WaitError> {
        let began = Instant::now();
        wait.spin = false; // we do it here, where spinning can take the lock
        let late = wait.deadline.is_some_and(|at| at <= began);
        let mut may_pass = false;
        let mut woken = false;
        loop {
            let try_once = || enter(may_pass);
            if let Some(hold) = if late { try_once() } else { spin::spin_until(try_once) } {
                if woken {
                    self.state.fetch_and(!WOKEN, Ordering::Relaxed);
                }
                return Ok(hold);
            }
            // Who goes to sleep also takes back its own `WOKEN`, or that of a thread that got lost
            // in a fork: from here on the next release wakes somebody.
            self.change(flags, WOKEN);
            sys::heavy_barrier();
            let must_wait = || kept_out(may_pass) && self.state.load(Ordering::SeqCst) & flags == flags;
            let on_leave = |left: bool| {
                if !left {
                    self.change(0, WAITERS | WRITERS);
                }
            };
            match park_with(key_of(self), &wait, must_wait, || {}, on_leave).settle() {
                Ok(Some(HANDED)) => return Ok(handed()),
                Ok(token) => {
                    woken = token.is_some();
                    may_pass = true;
                }
                Err(error) => {
                    // Readers may have waited only because they were behind us.
                    if self.state.load(Ordering::SeqCst) & (WAITERS | WRITERS) != 0 {
                        self.look(false);
                    }
                    return Err(error);
                }
            }
            wait.since = Some(began);
        }
    }

    fn change(&self, set: u64, clear: u64) {
        let change = |state| Some(state & !clear | set);
        self.state.fetch_update(Ordering::SeqCst, Ordering::Relaxed, change).expect("it is always changed");
    }

    /// Releases what [`try_read`](RawRwLock::try_read) and others gave.
    #[inline(always)]
    pub(super) fn unlock_read(&self, hold: Hold) {
        match hold {
            Hold::First => self.release_owner(),
            Hold::Beside(slot) => self.leave(slot),
        }
    }

    #[inline(never)]
    fn leave(&self, slot: u8) {
        self.count_out();
        current::with(|me| me.reads.remove(slot));
    }

    /// Releases the lock, which the calling thread holds for writing.
    #[inline(always)]
    pub(super) fn unlock_write(&self) {
        self.release_owner();
    }

    #[inline(always)]
    fn release_owner(&self) {
        if must_look(self.state.load(Ordering::Relaxed)) {
            self.look(true);
        } else {
            self.set_owner(0);
        }
    }

    /// Lets other readers in beside the calling thread, which holds the lock for writing and from
    /// now on for reading.
    pub(super) fn downgrade(&self) -> Hold {
        self.set_owner(self.owner.load(Ordering::Relaxed) | READ);
        Hold::First
    }

    #[inline(always)]
    fn set_owner(&self, owner: u64) {
        self.owner.store(owner, Ordering::Release);
        sys::cheap_barrier();
        if must_look(self.state.load(Ordering::SeqCst)) {
            self.look(false);
        }
    }

    /// Looks for waiters: the oldest, if it wants to write; all up to the first that does, if they
    /// want to read. If the lock lets them in they are sent to try, or handed the lock if they are
    /// due. With `release` the calling thread is the owner and releases the lock here, so that
    /// nobody comes before who is due.
    #[cold]
    fn look(&self, release: bool) {
        let owns = Cell::new(release);
        let let_go = || {
            if owns.take() {
                self.owner.swap(0, Ordering::SeqCst);
            }
        };
        let sent = Cell::new(false);
        let grant = |handed: bool| {
            sent.set(sent.get() || !handed);
            Choice::Grant(if handed { HANDED } else { RETRY })
        };
        let first = Cell::new(None); // how the oldest was let in: its kind, and whether handed
        let keep = Cell::new(0);
        unpark(
            key_of(self),
            |oldest| {
                let writes = oldest.kind() == Kind::RwLockWrite;
                keep.set(if writes { WRITERS } else { keep.get() });
                let handed = match first.get() {
                    Some((Kind::RwLockRead, handed)) if !writes => {
                        if handed {
                            self.state.fetch_add(READER, Ordering::Relaxed); // no writer passes the first
                        }
                        return grant(handed);
                    }
                    Some(_) => return Choice::Stop,
                    None if !oldest.is_due() => false,
                    None if writes => self.hand_to_writer(word(oldest.ident(), oldest.site()), owns.take()),
                    None => self.hand_to_reader(owns.get()),
                };
                let_go();
                let may_try = if writes { self.is_free() } else { !self.is_write_locked() };
                if !handed && !may_try {
                    keep.set(WRITERS); // as far as we have seen
                    return Choice::Stop;
                }
                if handed {
                    oldest.note_handover();
                }
                first.set(Some((oldest.kind(), handed)));
                grant(handed)
            },
            |done| {
                let_go();
                let set = if sent.get() { WOKEN } else { 0 };
                let left = if done.left { WAITERS } else { 0 };
                self.change(set, (WAITERS | WRITERS) & !left & !keep.get());
            },
        );
    }

    /// Makes a waiting writer the owner in place of the calling thread, if that `owns`, or of
    /// nobody. If that cannot be, the calling thread owns nothing any more. Under the bucket's lock,
    /// hence without another look at the waiters: who missed something waits for the bucket.
    fn hand_to_writer(&self, theirs: u64, owns: bool) -> bool {
        if owns {
            self.owner.swap(theirs, Ordering::SeqCst);
        } else if self.owner.compare_exchange(0, theirs, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return false;
        }
        let alone = !self.has_counted();
        if !alone {
            self.owner.swap(0, Ordering::SeqCst);
        }
        alone
    }

    /// Counts a waiting reader in, unless there is a writer other than the calling thread, which
    /// is about to release what it `owns`. Under the bucket's lock, as above.
    fn hand_to_reader(&self, owns: bool) -> bool {
        let entered = self.count_in() || owns;
        if !entered {
            self.state.fetch_sub(READER, Ordering::SeqCst);
        }
        entered
    }

    fn is_free(&self) -> bool {
        self.owner.load(Ordering::SeqCst) == 0 && self.state.load(Ordering::SeqCst) < READER
    }

    /// Whether any thread holds the lock.
    pub(super) fn is_locked(&self) -> bool {
        !self.is_free()
    }

    /// Whether a thread holds the lock for writing.
    pub(super) fn is_write_locked(&self) -> bool {
        is_writer(self.owner.load(Ordering::SeqCst))
    }

    pub(super) fn label(&self) -> &Label {
        &self.label
    }
}

#[cfg(all(test, not(loom)))]
impl RawRwLock {
    /// Whether it is free and no flag is set.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_free() && self.state.load(Ordering::SeqCst) == 0
    }

    pub(super) fn set_stale_flags(&self) {
        self.change(WAITERS | WRITERS | WOKEN, 0);
    }
}

/// Who waits to write waits for all who hold it; who waits to read, for the writer. That readers
/// also wait for writers which wait before them, the detector knows from the lot.
impl Subject for RawRwLock {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }

    fn owners(&self, kind: Kind, found: &mut dyn FnMut(Owner)) {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner != 0 && (kind == Kind::RwLockWrite || is_writer(owner)) {
            found(Owner::holds(owner as u32, Spot::decode(((owner & !READ) >> 32) as u32)));
        }
        let counted = self.state.load(Ordering::Relaxed) / READER;
        if kind == Kind::RwLockWrite && counted > 0 {
            let mut recorded = Vec::new();
            for record in registry::lock().iter() {
                recorded.extend(record.reads.of(key_of(self)).map(|site| (record.ident(), site)));
            }
            // More than the lock has counted: some are of forgotten guards, and nothing is proven.
            let certain = recorded.len() as u64 <= counted;
            for (ident, site) in recorded {
                found(if certain { Owner::holds(ident, site) } else { Owner::took(ident, site) });
            }
        }
    }
}
