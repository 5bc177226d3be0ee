//! Whose turn it is: what a [`Gil`](super::Gil) knows while threads wait for it.
//!
//! Nothing here waits, wakes, or looks at a clock. All of it is read and changed under the lock of the
//! GIL's bucket, so a decision and what is done about it are one step.
#![forbid(unsafe_code)]

use super::figures::Figures;
use crate::park::registry;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A holder that came ahead of the line keeps others of its kind waiting for at most this part of the
/// switch interval.
const BURST: u32 = 10;

/// Bit of a place that is in the line; the rest of it is a ticket. Those without it come first.
const LINE: u64 = 1 << 63;

/// Who took the GIL last without waiting, and how often in a row.
pub(super) type Run = (u32, u64);

/// How a thread comes to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// For the first time, or back from where it did not hold the GIL.
    Back,
    /// It had to hand over.
    Forced,
}

/// What is kept of a thread from one wait to the next.
#[derive(Default)]
struct Account {
    /// The turn of which `used` tells.
    turn: u64,
    /// How much of its slice it has used in that turn.
    used: Duration,
    /// Its place in the line, from when it first had to hand over until it lets go by itself.
    line: Option<u64>,
    figures: Figures,
}

/// A thread that waits.
struct Entry {
    ident: u32,
    /// What it writes into the word when it gets the GIL.
    mine: u64,
    since: Instant,
    /// Whether it can be found in the lot. Else it is on its way in or out, and tries by itself.
    parked: bool,
    /// Whether it has been there.
    again: bool,
}

/// Who holds the GIL, as far as the waiting threads know.
struct Hold {
    ident: u32,
    /// When it got the GIL or, if nobody waited then, when somebody first did.
    began: Instant,
    /// Up to when it has been charged for that.
    charged: Instant,
    /// Whether it goes ahead of the line.
    ahead: bool,
    /// What was known then of those who took the GIL without waiting. If that has changed, the thread has
    /// let go of it since, and has taken it again.
    run: Run,
    /// In a model its time is over whenever the clock strikes.
    #[cfg(loom)]
    over: bool,
}

/// Who is next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) place: u64,
    pub(super) ident: u32,
    pub(super) mine: u64,
    /// Whether the holder's time is over for it: it is to be handed the GIL.
    pub(super) due: bool,
}

pub(super) struct Books {
    interval: Duration,
    accounts: BTreeMap<u32, Account>,
    /// Accounts are looked through for threads that have ended when there are this many.
    sweep_at: usize,
    /// Who waits, by place.
    queue: BTreeMap<u64, Entry>,
    hold: Option<Hold>,
    next_ticket: u64,
    /// Counts the times that the line has gone round: each time everybody has a slice again.
    turn: u64,
    /// Whoever has this ticket or a later one was not in the line when the turn began.
    turn_ends: u64,
    /// How long threads ahead of the line have had the GIL since a thread of the line used its slice up.
    ahead: Duration,
    /// What is left of threads that have ended.
    pub(super) ended: Figures,
    /// In which child of forks this was last looked at.
    forks: u32,
}

impl Books {
    pub(super) const fn new(interval: Duration) -> Books {
        Books {
            interval,
            accounts: BTreeMap::new(),
            sweep_at: 64,
            queue: BTreeMap::new(),
            hold: None,
            next_ticket: 0,
            turn: 0,
            turn_ends: 0,
            ahead: Duration::ZERO,
            ended: Figures::NONE,
            forks: 0,
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// The thread's account, in this turn.
    fn account(&mut self, ident: u32) -> &mut Account {
        if self.accounts.len() >= self.sweep_at && !self.accounts.contains_key(&ident) {
            self.sweep();
        }
        let account = self.accounts.entry(ident).or_default();
        if account.turn != self.turn {
            (account.turn, account.used) = (self.turn, Duration::ZERO);
        }
        account
    }

    /// Closes the accounts of threads that have ended.
    fn sweep(&mut self) {
        let ended = &mut self.ended;
        self.accounts.retain(|&ident, account| {
            let lives = registry::find(ident).is_some();
            if !lives {
                ended.add(&account.figures);
            }
            lives
        });
        self.sweep_at = (self.accounts.len() * 2).max(64);
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket - 1
    }

    /// A thread begins to wait. Returns its place: who has some of its slice left and was not forced
    /// out of it goes ahead of the line.
    pub(super) fn arrive(&mut self, mine: u64, came: Came, now: Instant) -> u64 {
        let (ident, interval) = (mine as u32, self.interval);
        let account = self.account(ident);
        account.figures.forced += u64::from(came == Came::Forced);
        let (used_up, line) = (account.used >= interval, account.line);
        let place = match (came, line) {
            (Came::Back, _) if !used_up => self.ticket(),
            // It had to let one pass that goes ahead, and continues where it was.
            (Came::Forced, Some(ticket)) if !used_up => ticket | LINE,
            (Came::Forced, Some(_)) => {
                self.ahead = Duration::ZERO; // its slice is over: from here on those ahead have another
                self.ticket() | LINE
            }
            _ => self.ticket() | LINE,
        };
        self.account(ident).line = (place & LINE != 0).then_some(place & !LINE);
        self.queue.insert(place, Entry { ident, mine, since: now, parked: false, again: false });
        place
    }

    /// In the child of a fork, forgets those who waited in the parent.
    pub(super) fn heed_forks(&mut self) {
        let forks = registry::forks();
        if std::mem::replace(&mut self.forks, forks) != forks {
            self.queue.retain(|_, entry| registry::find(entry.ident).is_some());
        }
    }

    /// The thread at this place, which sees that thread hold the GIL, is about to sleep.
    pub(super) fn park(&mut self, place: u64, holder: u32, run: Run, now: Instant) {
        let entry = self.queue.get_mut(&place).expect("it has arrived");
        entry.parked = true;
        let nobody_waited = !std::mem::replace(&mut entry.again, true) && self.queue.len() == 1;
        self.observe(holder, run, nobody_waited, now);
    }

    /// That thread holds the GIL. If it took it by itself nobody knows when: its slice begins now. But who
    /// lets go only for as long as others take to wake up goes on with its slice.
    fn observe(&mut self, holder: u32, run: Run, nobody_waited: bool, now: Instant) {
        match &mut self.hold {
            Some(hold) if hold.ident == holder && (hold.run == run || !nobody_waited) => hold.run = run,
            _ => {
                let ahead = self.account(holder).line.is_none();
                self.begin(holder, run, ahead, now);
            }
        }
    }

    fn begin(&mut self, ident: u32, run: Run, ahead: bool, now: Instant) {
        self.hold = Some(Hold {
            ident,
            began: now,
            charged: now,
            ahead,
            run,
            #[cfg(loom)]
            over: false,
        });
    }

    /// The thread at this place has left the lot, and goes on trying or gives up.
    pub(super) fn unpark(&mut self, place: u64) {
        if let Some(entry) = self.queue.get_mut(&place) {
            entry.parked = false;
        }
    }

    /// All threads have left the lot.
    pub(super) fn unpark_all(&mut self) {
        self.queue.values_mut().for_each(|entry| entry.parked = false);
    }

    /// Whether nobody is to get it before the thread at this place.
    pub(super) fn is_first(&self, place: u64) -> bool {
        self.queue.range(..place).next().is_none()
    }

    /// Whether the thread at this place has come last of all.
    pub(super) fn is_last(&self, place: u64) -> bool {
        place & !LINE == self.next_ticket - 1
    }

    /// The thread at this place gives up, or is not there any more.
    pub(super) fn leave(&mut self, place: u64) {
        self.queue.remove(&place);
    }

    /// When the holder's time is over for a thread at this place; `None` is never.
    fn due_at(&self, place: u64) -> Option<Instant> {
        let hold = self.hold.as_ref()?;
        let used = self.accounts.get(&hold.ident).map_or(Duration::ZERO, |account| account.used);
        #[cfg(loom)]
        if hold.over {
            return Some(hold.began);
        }
        let slice = hold.charged.checked_add(self.interval.saturating_sub(used));
        let other = match (place & LINE == 0, hold.ahead) {
            (true, false) if self.line_is_first() => None,
            (true, false) => Some(hold.began),
            (true, true) => hold.began.checked_add(self.interval / BURST),
            (false, true) => hold.charged.checked_add(self.interval.saturating_sub(self.ahead)),
            (false, false) => None,
        };
        [slice, other].into_iter().flatten().min()
    }

    /// Whether the holder's time is over for a thread at this place.
    pub(super) fn is_due(&self, place: u64, now: Instant) -> bool {
        self.hold.is_none() || self.due_at(place).is_some_and(|at| at <= now)
    }

    /// When a thread at this place is to look whether it is due. That the first is, is seen to the
    /// moment; the others look about when those before them should have had their turns.
    pub(super) fn look_at(&self, place: u64, now: Instant) -> Option<Instant> {
        let before = u32::try_from(self.queue.range(..place).count()).unwrap_or(u32::MAX);
        let (step, before) = match place & LINE {
            0 => (self.interval / BURST, before),
            // The second looks with the first, who may leave.
            _ => (self.interval, before.saturating_sub(1)),
        };
        let due = self.due_at(place)?;
        if due > now {
            return due.checked_add(step.saturating_mul(before));
        }
        // Has been asked for; only if the answer is no is there another time to look.
        now.checked_add(step.saturating_mul(before.saturating_add(1)).max(Duration::from_millis(1)))
    }

    /// In a model: the holder's time is over.
    #[cfg(loom)]
    pub(super) fn time_is_over(&mut self) {
        if let Some(hold) = &mut self.hold {
            hold.over = true;
        }
    }

    /// Who of those in the lot is next.
    pub(super) fn next(&self, now: Instant) -> Option<Next> {
        let parked = || self.queue.iter().filter(|(_, entry)| entry.parked);
        let of_line = || parked().find(|(place, _)| **place & LINE != 0);
        let first = if self.line_is_first() { of_line() } else { None };
        let (&place, entry) = first.or_else(|| parked().next())?;
        Some(Next { place, ident: entry.ident, mine: entry.mine, due: self.is_due(place, now) })
    }

    /// Whether those ahead have had so much that a thread of the line has its slice before they go on.
    fn line_is_first(&self) -> bool {
        self.ahead >= self.interval
    }

    /// Charges the holder for the time that it has had the GIL.
    pub(super) fn charge(&mut self, holder: u32, run: Run, now: Instant) {
        self.observe(holder, run, self.queue.is_empty(), now);
        let Some(hold) = &mut self.hold else { return };
        let length = now.saturating_duration_since(hold.charged);
        hold.charged = now;
        if hold.ahead {
            self.ahead += length;
        }
        let account = self.account(holder);
        account.used += length;
        account.figures.held += length;
    }

    /// The holder lets go of it by itself.
    pub(super) fn let_go(&mut self, holder: u32) {
        self.account(holder).line = None;
    }

    /// The thread at this place gets the GIL.
    pub(super) fn grant(&mut self, place: u64, run: Run, now: Instant) {
        let entry = self.queue.remove(&place).expect("it waits");
        let (ticket, interval) = (place & !LINE, self.interval);
        if place & LINE != 0 && ticket >= self.turn_ends {
            (self.turn, self.turn_ends) = (self.turn + 1, self.next_ticket);
        }
        let account = self.account(entry.ident);
        account.figures.attached += 1;
        account.figures.waited(now.saturating_duration_since(entry.since));
        if place & LINE != 0 && account.used >= interval {
            account.used = Duration::ZERO;
        }
        self.begin(entry.ident, run, place & LINE == 0, now);
    }

    /// A thread took the GIL so often without waiting.
    pub(super) fn count(&mut self, ident: u32, attached: u64) {
        self.account(ident).figures.attached += attached;
    }

    /// Who waits, in the order in which they are to get it.
    pub(super) fn waiters(&self) -> impl Iterator<Item = u32> {
        self.queue.values().map(|entry| entry.ident)
    }

    /// The figures of the threads that live, by ident.
    pub(super) fn figures(&self) -> impl Iterator<Item = (u32, Figures)> {
        self.accounts.iter().map(|(&ident, account)| (ident, account.figures))
    }
}
