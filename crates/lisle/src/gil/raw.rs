//! The state machine under `Gil`: taking it, asking for it, handing it over, letting go of it.
#![forbid(unsafe_code)]

use super::books::{Books, Came, Next, Run};
use crate::park::lot::{Candidate, Unparked};
use crate::park::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::park::sys::{self, PlainGuard, PlainLock, const_fn};
use crate::park::{
    Alarm, Choice, Kind, Label, Limit, Outcome, Owner, Site, Spot, Subject, Then, Wait, WaitError, current, key_of,
    lot, park_with, unpark, unpark_all,
};
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::time::{Duration, Instant};

/// | `owner` | `state` | |
/// |---|---|---|
/// | 0 | – | free |
/// | ident, site << 32 | – | held by that thread, which attached there |
/// | held | `WAITERS` | threads wait in the lot; who lets go looks there |
/// | held | `WAITERS + ASKED` | one of them is due: who holds it hands it over at its next checkpoint, or when it lets go |
/// | any | `WOKEN` | a thread that was in the lot is awake and tries; who lets go leaves the others alone |
///
/// `owner` changes from 0 by compare-and-swap, to 0 by its holder's store. From one thread to another it
/// changes under the lock of the bucket, by a store of the holder's. `state` changes by
/// read-modify-write, and says too much rather than too little.
///
/// Who lets go stores 0 and then looks at `state`; the processor may do it the other way round. A thread
/// that has announced itself therefore has every running thread pass a barrier before it sleeps, and
/// looks at `owner` once more ([`Wait::last_look`]). A thread that was handed the GIL while it still looked
/// around is spared that.
pub(super) struct RawGil {
    owner: AtomicU64,
    state: AtomicU32,
    /// How often the holder has attached beyond once. It alone reads and writes these four.
    again: AtomicU32,
    /// How many references into cells there are.
    borrows: AtomicU32,
    /// Who took it last, and how often in a row, without waiting.
    run_of: AtomicU32,
    run: AtomicU64,
    label: Label,
    /// Locked under the lock of the bucket only, which a fork holds: so a child finds it free.
    books: PlainLock<Books>,
}

const ASKED: u32 = 0b001;
const WAITERS: u32 = 0b010;
const WOKEN: u32 = 0b100;

/// Tokens of a granted wait: look again, try to take it, or it is yours.
const LOOK: u32 = 0;
const RETRY: u32 = 1;
const HANDED: u32 = 2;

/// Why a holder looks in the lot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Because {
    /// It is asked to hand over, and will queue up behind.
    Asked,
    /// It leaves.
    Leaves,
    /// It has left.
    Left,
}

/// A holder in the word: its ident, and where it attached.
#[inline(always)]
pub(super) fn word(ident: u32, site: Site) -> u64 {
    u64::from(ident) | u64::from(Spot::from(site).encode()) << 32
}

impl RawGil {
    const_fn! {
        pub(super) const fn new(interval: Duration, label: Label) -> RawGil {
            RawGil {
                owner: AtomicU64::new(0),
                state: AtomicU32::new(0),
                again: AtomicU32::new(0),
                borrows: AtomicU32::new(0),
                run_of: AtomicU32::new(0),
                run: AtomicU64::new(0),
                label,
                books: PlainLock::new(Books::new(interval)),
            }
        }
    }

    /// The holder's ident, or 0.
    #[inline(always)]
    pub(super) fn holder(&self) -> u32 {
        self.owner.load(Ordering::Relaxed) as u32
    }

    /// The holder's word, or 0.
    #[inline(always)]
    pub(super) fn owner(&self) -> u64 {
        self.owner.load(Ordering::Relaxed)
    }

    /// Whether the calling thread holds it.
    #[inline(always)]
    pub(super) fn is_mine(&self) -> bool {
        // Only this thread writes its ident there; whatever else is read was written by others.
        let me = current::ident_if_known();
        me != 0 && self.holder() == me
    }

    /// Whether the holder shall hand it over.
    #[inline(always)]
    pub(super) fn is_asked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & ASKED != 0
    }

    /// Takes it if it is free.
    #[inline(always)]
    pub(super) fn take(&self, mine: u64) -> bool {
        self.owner.load(Ordering::Relaxed) == 0 && self.acquire(mine) && self.counted(mine as u32)
    }

    #[inline(always)]
    fn acquire(&self, mine: u64) -> bool {
        self.owner.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Counts that the calling thread, which holds it, did not wait for that. True, to be chained.
    #[inline(always)]
    fn counted(&self, me: u32) -> bool {
        if self.run_of.load(Ordering::Relaxed) == me {
            self.run.store(self.run.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        } else {
            self.begin_run(me);
        }
        true
    }

    #[cold]
    fn begin_run(&self, me: u32) {
        self.with_books(|books| {
            let (before, times) = self.run();
            if before != 0 {
                books.count(before, times);
            }
            self.run_of.store(me, Ordering::Relaxed);
            self.run.store(1, Ordering::Relaxed);
        });
    }

    /// Takes it once more, or takes that back. To be called by the holder.
    pub(super) fn nest(&self) {
        let again = self.again.load(Ordering::Relaxed).checked_add(1);
        self.again
            .store(again.expect("a thread has attached 2³² times: some tokens are never dropped"), Ordering::Relaxed);
    }

    /// Takes back one attach; false if it was the last. To be called by the holder.
    #[inline(always)]
    pub(super) fn unnest(&self) -> bool {
        match self.again.load(Ordering::Relaxed) {
            0 => false,
            again => {
                self.again.store(again - 1, Ordering::Relaxed);
                true
            }
        }
    }

    /// Sets how often the holder has attached beyond once; returns how often it had.
    pub(super) fn swap_again(&self, again: u32) -> u32 {
        let before = self.again.load(Ordering::Relaxed);
        self.again.store(again, Ordering::Relaxed);
        before
    }

    /// The number of references into cells, which the holder may change.
    pub(super) fn borrows(&self) -> &AtomicU32 {
        &self.borrows
    }

    /// Takes it, waiting as long as `limit` says.
    #[cold]
    pub(super) fn attach_slow(
        &self,
        mine: u64,
        limit: Limit,
        set_up: impl FnOnce(&mut Wait<'_>),
        site: Site,
    ) -> Result<(), WaitError> {
        let began = Instant::now();
        let mut wait = Wait::new(Kind::Gil, self, site, limit.deadline());
        set_up(&mut wait);
        let place = self.with_books(|books| books.arrive(mine, Came::Back, began));
        self.wait(mine, place, wait, began)
    }

    /// Waits at a place until it is this thread's turn.
    fn wait(&self, mine: u64, place: u64, wait: Wait<'_>, began: Instant) -> Result<(), WaitError> {
        let look_at = Cell::new(None);
        let ring = |now: Instant| {
            self.with_books(|books| {
                #[cfg(loom)]
                books.time_is_over();
                match self.ask(books, place, &look_at, now) {
                    _ if self.owner() == 0 => Then::Leave,
                    true => Then::LookAround,
                    false => Then::Sleep,
                }
            })
        };
        let last_look = || {
            sys::heavy_barrier();
            self.owner() == 0
        };
        let alarm = Some(Alarm { at: &look_at, ring: &ring });
        let mut wait = Wait { last_look: Some(&last_look), alarm, ..wait };
        let mut woken = false;
        loop {
            if self.owner() == 0 && self.acquire(mine) {
                self.with_books(|books| books.grant(place, self.run(), Instant::now()));
                if woken {
                    self.state.fetch_and(!WOKEN, Ordering::Relaxed);
                }
                return Ok(());
            }
            let must_wait = || {
                // Who goes to sleep also takes back a `WOKEN` of a thread that got lost in a fork: from here on
                // who lets go wakes somebody.
                self.change(WAITERS, WOKEN);
                let holder = self.holder();
                if holder == 0 {
                    return false;
                }
                let (mut books, now) = (self.books(), Instant::now());
                books.park(place, holder, self.run(), now);
                self.ask(&books, place, &look_at, now);
                true
            };
            let on_leave = |left: bool| {
                self.books().unpark(place);
                if !left {
                    self.change(0, WAITERS | ASKED);
                }
            };
            if std::mem::take(&mut woken) {
                // It has answered for those who sleep. It may give up before its last look, so from here on
                // whoever lets go must see that it does so no longer, or have let go where it can see it.
                self.change(0, WOKEN);
                sys::heavy_barrier();
            }
            match park_with(key_of(self), &wait, must_wait, || {}, on_leave) {
                Outcome::Granted(HANDED) => return Ok(()),
                Outcome::Granted(token) => woken = token == RETRY,
                Outcome::Invalid => {}
                ended => {
                    self.with_books(|books| books.leave(place));
                    return ended.settle().map(|_| unreachable!("it was neither granted nor called off"));
                }
            }
            wait.since = Some(began);
        }
    }

    /// Asks the holder to hand over if the waiter at `place` is due, and says when to look again. Returns
    /// whether the waiter may expect to get it at once.
    fn ask(&self, books: &Books, place: u64, look_at: &Cell<Option<Instant>>, now: Instant) -> bool {
        look_at.set(books.look_at(place, now));
        let due = books.is_due(place, now);
        if due {
            self.change(ASKED, 0);
        }
        due && books.is_first(place)
    }

    fn change(&self, set: u32, clear: u32) {
        let change = |state| Some(state & !clear | set);
        self.state.fetch_update(Ordering::SeqCst, Ordering::Relaxed, change).expect("it is always changed");
    }

    /// Hands it over if it is time to, and comes back with it.
    #[cold]
    pub(super) fn hand_over(&self, site: Site) {
        let (mine, again) = (self.owner(), self.swap_again(0));
        if let Some((place, soon)) = self.pass_on(mine, Because::Asked) {
            let mut wait = self.unfailing(site);
            wait.spin = soon;
            self.wait(mine, place, wait, Instant::now()).expect("nothing can fail this wait");
        }
        self.again.store(again, Ordering::Relaxed);
    }

    /// A wait of a thread that had it: that cannot fail.
    fn unfailing(&self, site: Site) -> Wait<'_> {
        Wait { interruptible: false, unfailing: true, ..Wait::new(Kind::Gil, self, site, None) }
    }

    /// Takes it as a thread that had it, and had attached `again` times beyond once.
    #[inline]
    pub(super) fn come_back(&self, mine: u64, again: u32, site: Site) {
        if !self.take(mine) {
            self.come_back_slow(mine, again, site);
        } else if again != 0 {
            self.again.store(again, Ordering::Relaxed);
        }
    }

    #[cold]
    fn come_back_slow(&self, mine: u64, again: u32, site: Site) {
        if self.is_mine() {
            // It has attached meanwhile, and kept the token.
            self.again.store(self.again.load(Ordering::Relaxed) + again + 1, Ordering::Relaxed);
            return;
        }
        let began = Instant::now();
        let place = self.with_books(|books| books.arrive(mine, Came::Back, began));
        self.wait(mine, place, self.unfailing(site), began).expect("nothing can fail this wait");
        self.again.store(again, Ordering::Relaxed);
    }

    /// Lets go of it. To be called by the holder, when it has taken it once only.
    #[inline(always)]
    pub(super) fn release(&self) {
        // Who is due gets it before anybody else can come.
        if self.is_asked() {
            self.leave();
            return;
        }
        self.owner.store(0, Ordering::Release);
        sys::cheap_barrier();
        if self.state.load(Ordering::Relaxed) != 0 {
            self.left();
        }
    }

    #[cold]
    fn leave(&self) {
        self.pass_on(self.owner(), Because::Leaves);
    }

    #[cold]
    fn left(&self) {
        let state = self.state.load(Ordering::Relaxed);
        if state & ASKED != 0 || state & (WAITERS | WOKEN) == WAITERS {
            self.pass_on(u64::from(current::ident_if_known()), Because::Left);
        }
    }

    /// Finds out who is next. Hands it over to a thread that is due; if the holder leaves anyway, sends
    /// the next one to try. A holder that had to hand over is told its place, and whether it will have it
    /// back soon.
    fn pass_on(&self, mine: u64, because: Because) -> Option<(u64, bool)> {
        let (me, now) = (mine as u32, Instant::now());
        let place = Cell::new(None);
        // Who is next, once that has been decided; and what became of it.
        let next = OnceCell::new();
        let granted = Cell::new(None);
        let choose = |waiter: &Candidate<'_>| match next.get_or_init(|| self.next(me, because, now)) {
            None => Choice::Stop,
            Some(next) if next.ident == waiter.ident() => {
                let handed = next.due && self.hand_to(*next, because);
                granted.set(Some(handed));
                Choice::Grant(if handed { HANDED } else { RETRY })
            }
            Some(_) => Choice::Skip,
        };
        let finish = |done: Unparked| {
            let next = next.get().copied().flatten();
            place.set(self.settle(mine, because, next.zip(granted.get()), done.left, now));
        };
        unpark(key_of(self), choose, finish);
        place.get()
    }

    /// Who is to be granted something now. Called under the bucket's lock.
    fn next(&self, me: u32, because: Because, now: Instant) -> Option<Next> {
        let mut books = self.books();
        if because == Because::Left && self.owner() != 0 {
            return None; // somebody came first, and will look when it lets go
        }
        books.charge(me, self.run(), now);
        books.next(now).filter(|next| next.due || because != Because::Asked)
    }

    fn hand_to(&self, next: Next, because: Because) -> bool {
        if because == Because::Left {
            return self.acquire(next.mine);
        }
        self.owner.store(next.mine, Ordering::Release);
        true
    }

    /// Sets all right for what was decided: who was granted something, and whether that was the GIL.
    /// Called under the bucket's lock.
    fn settle(
        &self,
        mine: u64,
        because: Because,
        granted: Option<(Next, bool)>,
        left: bool,
        now: Instant,
    ) -> Option<(u64, bool)> {
        let handed = granted.is_some_and(|(_, handed)| handed);
        let mut books = self.books();
        if because != Because::Asked {
            books.let_go(mine as u32);
        }
        let mut set = 0;
        match granted {
            Some((next, true)) => books.grant(next.place, self.run(), now),
            Some((next, false)) => {
                books.unpark(next.place);
                set = WOKEN;
            }
            None => {}
        }
        if because == Because::Leaves && !handed {
            self.owner.store(0, Ordering::Release);
        }
        // Somebody came first after we had left: that one is asked. And with an interval of nothing the
        // next is due as soon as one has got it.
        let asked = match because {
            Because::Left if granted.is_none() => true,
            _ => handed && books.next(now).is_some_and(|next| next.due),
        };
        let clear = if left { 0 } else { WAITERS };
        self.change(set, clear | if left && asked { 0 } else { ASKED });
        // Queues up in the same step, so that nobody comes between.
        (because == Because::Asked && handed).then(|| {
            let place = books.arrive(mine, Came::Forced, now);
            (place, !books.is_last(place))
        })
    }

    /// Changes the switch interval, and has those who wait look at the clock anew.
    pub(super) fn set_interval(&self, interval: Duration) {
        self.with_books(|books| books.set_interval(interval));
        unpark_all(key_of(self), LOOK, |_| {
            self.books().unpark_all();
            self.change(0, WAITERS | ASKED);
        });
    }

    /// What the books say; under the lock under which they change.
    pub(super) fn with_books<R>(&self, look: impl FnOnce(&mut Books) -> R) -> R {
        lot::exclusively(key_of(self), || look(&mut self.books()))
    }

    /// The same, where the bucket is locked already. In the child of a fork they know no more of the parent's threads.
    fn books(&self) -> PlainGuard<'_, Books> {
        let mut books = self.books.lock();
        books.heed_forks();
        books
    }

    /// Who took it last without waiting, and how often in a row: not in the books' figures yet.
    pub(super) fn run(&self) -> Run {
        (self.run_of.load(Ordering::Relaxed), self.run.load(Ordering::Relaxed))
    }

    pub(super) fn label(&self) -> &Label {
        &self.label
    }
}

impl Subject for RawGil {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn owners(&self, _kind: Kind, found: &mut dyn FnMut(Owner)) {
        let owner = self.owner();
        if owner != 0 {
            found(Owner::holds(owner as u32, Spot::decode((owner >> 32) as u32)));
        }
    }
}
