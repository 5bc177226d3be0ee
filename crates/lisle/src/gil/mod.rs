//! A global lock as interpreters have it: one thread at a time, handed round fairly.
//!
//! Who embeds an interpreter, or wraps a library that must not be used by two threads at once, puts a
//! [`Gil`] around it. A thread [attaches](Gil::attach) and gets a token; it gives the others their turn at
//! [checkpoints](GilToken::checkpoint), and [detaches](GilToken::detach) around calls that block.
//!
//! ```
//! use lisle::gil::{Gil, GilCell};
//! use std::cell::RefCell;
//! use std::time::Duration;
//!
//! struct Interpreter; // not Sync: one thread at a time may use it
//! impl Interpreter {
//!     fn step(&mut self) {}
//! }
//!
//! let gil = Gil::named(Duration::from_millis(5), "interpreter");
//! let interpreter = GilCell::new(&gil, RefCell::new(Interpreter));
//! std::thread::scope(|scope| {
//!     for _ in 0..2 {
//!         scope.spawn(|| {
//!             let mut token = gil.attach();
//!             for _ in 0..1_000 {
//!                 interpreter.get(&token).borrow_mut().step();
//!                 token.checkpoint(); // one load, unless another thread is due
//!             }
//!             token.detach(|| std::fs::metadata("/").is_ok()); // others run meanwhile
//!         });
//!     }
//! });
//! ```
//!
//! # Who gets it
//! Each thread has a *slice*, as long as the switch interval, in each *turn*. A turn is over when everybody
//! who was in the line at its beginning has had a slice. A thread takes its slice in one piece or in many:
//!
//! - Who has used it up must hand over at its next checkpoint, if somebody waits, and queues up at the end
//!   of the *line*.
//! - Who lets go before, by a `detach` or for good, and comes back, goes *ahead* of the line, and asks for
//!   the GIL at once: whoever of the line has it lets that thread pass at its next checkpoint, and goes on
//!   when it is through. So a thread that is mostly waiting for other things has its answer at once, however
//!   many others compute.
//!
//! # Two bounds
//! With `n` threads that use the GIL meanwhile, checkpoints every `c`, and a switch interval `i`:
//!
//! - **In the line**, a thread waits at most for the slices of the others, `(n - 1) · (i + c)`, if nobody goes
//!   ahead. Those ahead have one slice each and turn, and together no more than one for each slice of the
//!   line; with them it is at most twice as long.
//! - **Ahead of it**, a thread that has not used up its slice waits for `c`, and for each other thread that has
//!   come ahead of it for at most `i / 10 + c`. Only when those ahead have together used a whole interval
//!   does one thread of the line come between, for at most `i`.
//!
//! They are promises about the order, kept by counting; to them comes the time that the system takes to wake
//! a thread. `c` is the embedder's: who computes for long without a checkpoint keeps everybody waiting.
//!
//! # What is seen
//! A wait for the GIL is an edge of the wait-for graph like one for a mutex: a thread that waits for a lock
//! while it holds the GIL, and another that holds the lock and attaches, are a
//! [deadlock](crate::Report) that names both. [`Gil::holder`] and [`Gil::waiters`] tell who has it and who
//! wants it, [`Gil::figures`] what each thread has had of it.

mod books;
mod cell;
mod figures;
#[cfg(all(test, loom))]
mod model;
mod raw;
#[cfg(all(test, not(loom)))]
mod tests;
mod token;

pub use cell::{GilCell, GilRef};
pub use figures::Figures;
pub use token::GilToken;

use crate::park::sys::const_fn;
use crate::park::{Label, Limit, Site, Spot, Wait, WaitError, current, registry};
use crate::thread::Thread;
use raw::{RawGil, word};
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One thread at a time: see [the module](self).
///
/// # Fairness
/// [Two bounds](self#two-bounds), and to somebody else: a thread that has to hand over does not get it back
/// before another has had it.
///
/// # Fork
/// In the child of a fork the GIL stays with the thread that forked, if that held it. One that another thread
/// held stays held, and who attaches is told that it is orphaned.
pub struct Gil {
    raw: RawGil,
    /// Tells it from all others, see [`GilCell`]; 0 until somebody asks.
    number: AtomicU64,
}

/// Who holds a [`Gil`], see [`Gil::holder`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Holder {
    /// The thread's ident.
    pub ident: u32,
    /// The thread, unless it has ended without letting go.
    pub thread: Option<Thread>,
    /// Where it attached; `None` if that was in a shared object of its own.
    pub attached_at: Option<&'static Location<'static>>,
}

impl Gil {
    const_fn! {
        /// A GIL that nobody holds. Reports call it by the place of this call.
        ///
        /// A thread that others wait for has it for `switch_interval` at a stretch. CPython's is 5 ms; shorter
        /// ones cost throughput (a switch takes a microsecond or two), longer ones make threads that compute
        /// wait longer for each other. Zero means to hand over at every checkpoint, `Duration::MAX` never to
        /// be forced to.
        #[track_caller]
        pub const fn new(switch_interval: Duration) -> Gil {
            Gil { raw: RawGil::new(switch_interval, Label::new(Location::caller())), number: AtomicU64::new(0) }
        }
    }

    /// A GIL that reports call by `name`.
    #[track_caller]
    pub fn named(switch_interval: Duration, name: impl Into<String>) -> Gil {
        let label = Label::named(name.into(), Location::caller());
        Gil { raw: RawGil::new(switch_interval, label), number: AtomicU64::new(0) }
    }

    /// Attaches the calling thread, waiting as long as it takes. A thread that is attached already gets
    /// another token at once; the GIL is free again when all of them are gone. An interrupt does not end
    /// the wait and stays pending.
    ///
    /// # Panics
    /// In a deadlock, with the [`Report`](crate::Report) as the message.
    #[inline]
    #[track_caller]
    pub fn attach(&self) -> GilToken<'_> {
        let site = Location::caller();
        if !self.try_take(site)
            && let Err(error) = self.wait(Limit::Never, |wait| wait.interruptible = false, site)
        {
            fail(&error);
        }
        GilToken::new(self)
    }

    /// Attaches if that takes no waiting.
    #[inline]
    #[track_caller]
    pub fn try_attach(&self) -> Option<GilToken<'_>> {
        self.try_take(Location::caller()).then(|| GilToken::new(self))
    }

    /// Attaches, waiting for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; it is as if the thread had not asked.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise. If the GIL was handed over at the same moment, that counts and the
    /// interrupt stays pending.
    ///
    /// # Errors
    /// The two, and `Deadlocked`, which a wait with a real limit never is.
    #[inline]
    #[track_caller]
    pub fn attach_for(&self, limit: Duration) -> Result<GilToken<'_>, WaitError> {
        self.attach_within(Limit::For(limit), Location::caller())
    }

    /// [`attach_for`](Gil::attach_for), with the limit as a point in time; one in the past means not to
    /// wait at all.
    ///
    /// # On timeout
    /// `TimedOut`; it is as if the thread had not asked.
    ///
    /// # On interrupt
    /// `Interrupted`, likewise.
    ///
    /// # Errors
    /// As [`attach_for`](Gil::attach_for).
    #[inline]
    #[track_caller]
    pub fn attach_until(&self, limit: Instant) -> Result<GilToken<'_>, WaitError> {
        self.attach_within(Limit::Until(limit), Location::caller())
    }

    /// Attaches without a limit, but with an error where [`attach`](Gil::attach) panics, and an ear for
    /// interrupts.
    ///
    /// # On interrupt
    /// `Interrupted`; it is as if the thread had not asked.
    ///
    /// # Errors
    /// `Interrupted`, or `Deadlocked`.
    #[inline]
    #[track_caller]
    pub fn attach_interruptible(&self) -> Result<GilToken<'_>, WaitError> {
        self.attach_within(Limit::Never, Location::caller())
    }

    #[inline]
    fn attach_within(&self, limit: Limit, site: Site) -> Result<GilToken<'_>, WaitError> {
        if !self.try_take(site) {
            self.wait(limit, |_| {}, site)?;
        }
        Ok(GilToken::new(self))
    }

    #[inline(always)]
    fn try_take(&self, site: Site) -> bool {
        let me = current::ident_if_known();
        if me != 0 && self.raw.take(word(me, site)) {
            return true;
        }
        self.try_take_otherwise(site)
    }

    /// By a thread that has not called in yet, or is attached already.
    #[inline(never)]
    fn try_take_otherwise(&self, site: Site) -> bool {
        let mine = word(current::ident(), site);
        if self.raw.is_mine() {
            self.raw.nest();
            return true;
        }
        self.raw.take(mine)
    }

    #[cold]
    fn wait(&self, limit: Limit, set_up: impl FnOnce(&mut Wait<'_>), site: Site) -> Result<(), WaitError> {
        self.raw.attach_slow(word(current::ident(), site), limit, set_up, site)
    }

    /// Whether the calling thread is attached.
    #[inline]
    pub fn is_attached(&self) -> bool {
        self.raw.is_mine()
    }

    /// How long a thread may have the GIL at a stretch when others wait.
    pub fn switch_interval(&self) -> Duration {
        self.raw.with_books(|books| books.interval())
    }

    /// Changes the switch interval, also for those who wait at the moment.
    pub fn set_switch_interval(&self, switch_interval: Duration) {
        self.raw.set_interval(switch_interval);
    }

    /// Who holds it at this moment, which may be over when the caller looks.
    pub fn holder(&self) -> Option<Holder> {
        let owner = self.raw.owner();
        let (ident, place) = (owner as u32, (owner >> 32) as u32);
        (owner != 0).then(|| Holder {
            ident,
            thread: registry::find(ident).map(Thread::of),
            attached_at: Spot::decode(place).and_then(Spot::here),
        })
    }

    /// Who waits for it at this moment, in the order in which they are to get it.
    pub fn waiters(&self) -> Vec<Thread> {
        let waiters: Vec<u32> = self.raw.with_books(|books| books.waiters().collect());
        waiters.into_iter().filter_map(registry::find).map(Thread::of).collect()
    }

    /// What each thread that lives has had of it. Threads that have ended are dropped from the list now and
    /// then, and all of those are [together](Gil::figures_of_ended).
    pub fn figures(&self) -> Vec<(Thread, Figures)> {
        let mut figures: Vec<(u32, Figures)> = self.raw.with_books(|books| books.figures().collect());
        let (last, times) = self.raw.run();
        match figures.iter_mut().find(|(ident, _)| *ident == last) {
            Some((_, figures)) => figures.attached += times,
            None => figures.push((last, Figures { attached: times, ..Figures::default() })),
        }
        figures.into_iter().filter_map(|(ident, figures)| Some((Thread::of(registry::find(ident)?), figures))).collect()
    }

    /// What threads have had of it that have ended and are not in [`figures`](Gil::figures) any more.
    pub fn figures_of_ended(&self) -> Figures {
        self.raw.with_books(|books| books.ended)
    }

    fn raw(&self) -> &RawGil {
        &self.raw
    }

    /// Its number, which no other GIL has.
    fn number(&self) -> NonZeroU64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = match self.number.load(Ordering::Relaxed) {
            0 => {
                let new = NEXT.fetch_add(1, Ordering::Relaxed);
                match self.number.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => new,
                    Err(number) => number,
                }
            }
            number => number,
        };
        NonZeroU64::new(number).expect("2⁶⁴ are more than there can have been")
    }

    #[inline(always)]
    fn is(&self, number: NonZeroU64) -> bool {
        self.number.load(Ordering::Relaxed) == number.get()
    }
}

/// What becomes of an error in a call that has no `Result`.
#[cold]
#[track_caller]
fn fail(error: &WaitError) -> ! {
    panic!("{error}")
}

impl fmt::Debug for Gil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gil")
            .field("label", &format_args!("{}", self.raw.label()))
            .field("switch_interval", &self.switch_interval())
            .field("holder", &self.holder())
            .field("waiters", &self.waiters())
            .finish()
    }
}
