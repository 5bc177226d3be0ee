//! The state machine under `Mutex` and `ReentrantMutex`: 16 bytes that know their holder.

use crate::park::spin::{self, Pace};
use crate::park::sys::atomic::{AtomicU64, Ordering, fence};
use crate::park::sys::{self, const_fn};
use crate::park::{Choice, Kind, Label, Limit, Owner, Spot, Subject, Wait, WaitError};
use crate::park::{current, key_of, park_with, unpark};
use std::cell::Cell;
use std::fmt;
use std::time::Instant;

/// | `owner` | flags | state |
/// |---|---|---|
/// | 0 | – | free |
/// | ident, site << 32 | – | held by that thread, which took it there |
/// | any | `WAITERS` | threads wait in the lot, or are about to; the next release looks there |
/// | any | `WAITERS + WOKEN` | a thread that is awake tries to get it; releases leave the others alone |
/// | any | `WOKEN` | the same, and no others wait |
///
/// The flags change by read-modify-write only. They say too much rather than too little: a flag
/// without a waiter costs one look, a waiter without its flag would sleep for ever.
///
/// A release is a plain store, then a look at the flags. Between the two a processor may reorder;
/// a waiter therefore announces itself, has every running thread pass a barrier
/// ([`sys::heavy_barrier`]), and only then looks at the owner for the last time. Either it sees
/// the release, or the release sees the announcement.
pub(crate) struct RawMutex {
    owner: AtomicU64,
    label: Label,
}

const WAITERS: usize = 0b01;
const WOKEN: usize = 0b10;

/// Tokens of a granted wait: try again, or the lock is yours.
const RETRY: u32 = 0;
const HANDED: u32 = 1;

/// A holder in a lock's word: its ident, and where it took the lock.
#[inline(always)]
pub(super) fn word(ident: u32, site: Spot) -> u64 {
    u64::from(ident) | u64::from(site.encode()) << 32
}

impl RawMutex {
    const_fn! {
        pub(crate) const fn new(label: Label) -> RawMutex {
            RawMutex { owner: AtomicU64::new(0), label }
        }
    }

    /// Takes the lock if that takes no waiting.
    #[inline(always)]
    pub(crate) fn try_lock(&self, site: Spot) -> bool {
        let me = current::ident_if_known();
        if me == 0 {
            return self.try_lock_first(site);
        }
        self.acquire(word(me, site))
    }

    #[cold]
    fn try_lock_first(&self, site: Spot) -> bool {
        self.acquire(word(current::ident(), site))
    }

    #[inline(always)]
    fn acquire(&self, mine: u64) -> bool {
        self.owner.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock. Fails only on a proven deadlock.
    #[inline(always)]
    pub(crate) fn lock(&self, kind: Kind, site: Spot) -> Result<(), WaitError> {
        if self.try_lock(site) {
            Ok(())
        } else {
            self.lock_slow(Limit::Never, |wait| wait.interruptible = false, kind, site)
        }
    }

    /// Takes the lock within a time limit, unless the thread is interrupted.
    #[inline(always)]
    pub(crate) fn lock_within(&self, limit: Limit, kind: Kind, site: Spot) -> Result<(), WaitError> {
        if self.try_lock(site) { Ok(()) } else { self.lock_slow(limit, |_| {}, kind, site) }
    }

    /// Takes the lock, whatever happens: for a call that must come back with the lock held.
    #[inline]
    pub(crate) fn lock_unfailing(&self, kind: Kind, site: Spot) {
        if !self.try_lock(site) {
            let unfailing = |wait: &mut Wait<'_>| (wait.interruptible, wait.unfailing) = (false, true);
            self.lock_slow(Limit::Never, unfailing, kind, site).expect("nothing can fail this wait");
        }
    }

    #[cold]
    fn lock_slow(
        &self,
        limit: Limit,
        set_up: impl FnOnce(&mut Wait<'_>),
        kind: Kind,
        site: Spot,
    ) -> Result<(), WaitError> {
        let mine = word(current::ident(), site);
        let began = Instant::now();
        let mut wait = Wait::new(kind, self, site, limit.deadline());
        wait.spin = false; // we do it here, where spinning can take the lock
        set_up(&mut wait);
        // A thread that is awake and tries answers for those who sleep: while it does, a release
        // need not pay for waking one of them. It ends up with the lock or asleep, and either way
        // takes its `WOKEN` back first.
        let woken = Cell::new(false);
        let attempt = || {
            if self.owner.load(Ordering::Relaxed) == 0 && self.acquire(mine) {
                return Some(());
            }
            if !woken.get() && self.label.flags(Ordering::Relaxed) == WAITERS {
                let answer = |flags| (flags == WAITERS).then_some(WAITERS | WOKEN);
                woken.set(self.label.update(answer).is_ok());
            }
            None
        };
        // Those who are awake could go on like that for ever, so a wait that is due takes their
        // `WOKEN` back: the next release looks, and hands the lock over.
        let overdue = || {
            if self.label.flags(Ordering::Relaxed) & WOKEN == 0 {
                return false;
            }
            self.label.change(0, WOKEN);
            sys::heavy_barrier();
            self.owner.load(Ordering::Relaxed) == 0
        };
        wait.overdue = Some(&overdue);
        let late = wait.deadline.is_some_and(|at| at <= began);
        loop {
            let taken = if late { attempt() } else { spin::spin_at(Pace::Backoff, attempt) };
            if taken.is_some() {
                if woken.get() {
                    self.label.change(0, WOKEN);
                }
                return Ok(());
            }
            // Who goes to sleep also takes back its own `WOKEN`, or that of a thread that got lost
            // in a fork: from here on the next release wakes somebody.
            self.label.change(WAITERS, WOKEN);
            woken.set(false);
            sys::heavy_barrier();
            let must_wait =
                || self.owner.load(Ordering::Relaxed) != 0 && self.label.flags(Ordering::Relaxed) & WAITERS != 0;
            let on_leave = |left: bool| {
                if !left {
                    self.label.change(0, WAITERS);
                }
            };
            match park_with(key_of(self), &wait, must_wait, || {}, on_leave).settle()? {
                Some(HANDED) => return Ok(()),
                Some(_) => woken.set(true),
                None => {}
            }
            wait.since = Some(began);
        }
    }

    /// Releases the lock, which the calling thread holds.
    #[inline(always)]
    pub(crate) fn unlock(&self) {
        self.owner.store(0, Ordering::Release);
        sys::cheap_barrier();
        if self.label.flags(Ordering::Relaxed) == WAITERS {
            self.unlock_slow(false);
        }
    }

    /// Releases the lock and hands it to the thread that has waited longest, if one waits.
    pub(crate) fn unlock_fair(&self) {
        self.owner.store(0, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.label.flags(Ordering::Relaxed) & WAITERS != 0 {
            self.unlock_slow(true);
        }
    }

    #[cold]
    fn unlock_slow(&self, fair: bool) {
        let token = Cell::new(None);
        unpark(
            key_of(self),
            |oldest| {
                if token.get().is_some() {
                    return Choice::Stop;
                }
                // Handing over can fail: a third thread may have come first. Then the waiter tries.
                let handed = (fair || oldest.is_due()) && self.acquire(word(oldest.ident(), oldest.site()));
                if handed {
                    oldest.note_handover();
                }
                token.set(Some(if handed { HANDED } else { RETRY }));
                Choice::Grant(if handed { HANDED } else { RETRY })
            },
            |done| {
                let set = if token.get() == Some(RETRY) { WOKEN } else { 0 };
                let clear = if done.left { 0 } else { WAITERS };
                self.label.change(set, clear);
            },
        );
    }

    /// Whether any thread holds the lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.owner.load(Ordering::Relaxed) != 0
    }

    /// The holder's ident; 0 if there is none.
    #[inline(always)]
    pub(crate) fn holder(&self) -> u32 {
        self.owner.load(Ordering::Relaxed) as u32
    }

    /// Where the holder took it, as far as that is known.
    pub(crate) fn taken_at(&self) -> Option<Spot> {
        Spot::decode((self.owner.load(Ordering::Relaxed) >> 32) as u32)
    }

    pub(crate) fn label(&self) -> &Label {
        &self.label
    }
}

impl Subject for RawMutex {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }

    fn owners(&self, _kind: Kind, found: &mut dyn FnMut(Owner)) {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner != 0 {
            found(Owner::holds(owner as u32, Spot::decode((owner >> 32) as u32)));
        }
    }
}
