//! A wait from beginning to end.

use super::deadlock::Verdict;
use super::kind::Kind;
use super::lot::{self, Node, Queue};
use super::parker::Woke;
use super::record::Shared;
use super::report::Report;
use super::site::Spot;
use super::told::Told;
use super::{current, deadlock, watched};
use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

/// What a thread waits for, as far as others need to know.
pub trait Subject: Sync {
    /// Which one it is: `"name"`, or `made at file:line:column`.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// The threads that alone can end a wait of this kind. None if anybody could.
    ///
    /// Called under the lock of the wait's bucket, or of all buckets, by any thread: it must not wait,
    /// and of locks take only such as nobody holds while calling the lot.
    fn owners(&self, kind: Kind, found: &mut dyn FnMut(Owner)) {
        let _ = (kind, found);
    }

    /// Tells it from others that have been at its address before it: as good as a number of its own, the
    /// same as long as the words for it are. Called as [`describe`](Subject::describe) is.
    fn identity(&self) -> u64 {
        identity_of_words(Described(self))
    }
}

/// The words for what is waited for.
pub(crate) struct Described<'a, S: Subject + ?Sized>(pub(crate) &'a S);

impl<S: Subject + ?Sized> fmt::Display for Described<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}

/// A number that differs where words do (FNV-1a).
pub(crate) fn identity_of_words(words: impl fmt::Display) -> u64 {
    struct Sum(u64);

    impl fmt::Write for Sum {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            Ok(())
        }
    }

    let mut sum = Sum(0xcbf2_9ce4_8422_2325);
    let _ = fmt::write(&mut sum, format_args!("{words}"));
    sum.0
}

/// A thread that a wait depends on.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// 0 is anybody: what anybody can do will be done.
    pub(crate) ident: u32,
    pub(crate) bond: Bond,
    /// 0: the wait cannot end without this thread. Else one thread of each group is enough. The
    /// numbers mean nothing beyond this wait.
    pub(crate) group: u32,
}

/// How a wait depends on a thread.
#[derive(Clone, Copy, Debug)]
pub enum Bond {
    /// The thread owns the lock, taken there.
    Holds(Option<Spot>),
    /// The thread has taken the unowned lock, which others may release too.
    Took(Option<Spot>),
    /// The thread waits for the lock and comes first.
    Queues,
    /// The thread has to end.
    Runs,
    /// The thread runs the call whose end is waited for.
    Calls,
    /// The call is pending, and the thread may take it.
    MayRun,
}

impl Owner {
    /// The thread that owns the lock, taken there.
    pub fn holds(ident: u32, spot: Option<Spot>) -> Owner {
        Owner::alone(ident, Bond::Holds(spot))
    }

    /// The thread that has taken the unowned lock.
    pub fn took(ident: u32, spot: Option<Spot>) -> Owner {
        Owner::alone(ident, Bond::Took(spot))
    }

    /// The thread whose end is waited for.
    pub fn runs(ident: u32) -> Owner {
        Owner::alone(ident, Bond::Runs)
    }

    /// Who waits for a call that is running waits for the thread that runs it.
    pub fn calls(ident: u32) -> Owner {
        Owner::alone(ident, Bond::Calls)
    }

    pub(super) fn queues(ident: u32) -> Owner {
        Owner::alone(ident, Bond::Queues)
    }

    fn alone(ident: u32, bond: Bond) -> Owner {
        Owner { ident, bond, group: 0 }
    }

    /// One of the threads of `group`, of which any can do what the wait needs. Calls that are pending
    /// in one pool are one group, however many of them are waited for: they need the same threads.
    pub fn any(group: u32, ident: u32, bond: Bond) -> Owner {
        debug_assert_ne!(group, 0, "that is no group");
        Owner { ident, bond, group }
    }
}

/// A wait that is about to begin.
#[derive(Clone, Copy)]
pub(crate) struct Wait<'a> {
    pub(crate) kind: Kind,
    pub(crate) subject: &'a dyn Subject,
    /// Where the program called.
    pub(crate) site: Spot,
    pub(crate) deadline: Option<Instant>,
    pub(crate) interruptible: bool,
    /// Whether to look around a moment before sleeping. Not for a primitive that did so itself.
    pub(crate) spin: bool,
    /// Whether the call has no way to report a deadlock. If its wait closes a cycle, another of the
    /// cycle's waits is failed.
    pub(crate) unfailing: bool,
    /// When the call began to wait, if this is not its first attempt: keeps the thread's place.
    pub(crate) since: Option<Instant>,
    /// Called now and then by the waiting thread, first when the wait is due: true ends the wait as
    /// `Invalid`, so that the call looks again.
    pub(crate) overdue: Option<&'a dyn Fn() -> bool>,
    /// Called once by the waiting thread before it sleeps, if looking around has brought nothing; likewise.
    pub(crate) last_look: Option<&'a dyn Fn() -> bool>,
    /// Called by the waiting thread at a time of the primitive's choice.
    pub(crate) alarm: Option<Alarm<'a>>,
    /// What else can end the wait, as `Invalid`: something that is not done in this process.
    #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
    pub(crate) outside: Option<super::outside::Outside<'a>>,
    /// A number that means something to the primitive (how many permits are wanted).
    pub(crate) detail: u32,
    /// How many items a queue has, or permits a semaphore. Called by the waiting thread, without a lock, and
    /// only while somebody watches.
    pub(crate) length: Option<&'a dyn Fn() -> usize>,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(
        kind: Kind,
        subject: &'a dyn Subject,
        site: impl Into<Spot>,
        deadline: Option<Instant>,
    ) -> Wait<'a> {
        Wait {
            kind,
            subject,
            site: site.into(),
            deadline,
            interruptible: true,
            spin: true,
            unfailing: false,
            since: None,
            overdue: None,
            last_look: None,
            alarm: None,
            #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
            outside: None,
            detail: 0,
            length: None,
        }
    }
}

/// What a waiting thread does at a certain time.
#[derive(Clone, Copy)]
pub(crate) struct Alarm<'a> {
    /// When; never if `None`. Read before each sleep, so it may be set while the wait begins.
    pub(crate) at: &'a Cell<Option<Instant>>,
    /// Puts `at` off, or the call would come again at once.
    pub(crate) ring: &'a dyn Fn(Instant) -> Then,
}

/// What comes after an alarm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The thread goes on sleeping.
    Sleep,
    /// It looks around for a moment first: the grant will not be long.
    LookAround,
    /// The wait ends as `Invalid`: the call looks again.
    Leave,
}

/// How a wait can end.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Somebody took the thread out, with this token.
    Granted(u32),
    /// There was nothing to wait for when it came to it: look again.
    Invalid,
    TimedOut,
    Interrupted,
    Deadlocked(Box<Report>),
    /// A signal handler has run, and the thread asked to be told. See `Told`.
    Signalled,
}

impl Outcome {
    /// What a call makes of it: the token of a grant, or `None` if there is to be another look.
    pub(crate) fn settle(self) -> Result<Option<u32>, WaitError> {
        match self {
            Outcome::Granted(token) => Ok(Some(token)),
            Outcome::Invalid => Ok(None),
            Outcome::TimedOut => Err(WaitError::TimedOut),
            // `Told` knows the difference, for the few who asked.
            Outcome::Interrupted | Outcome::Signalled => Err(WaitError::Interrupted),
            Outcome::Deadlocked(report) => Err(WaitError::Deadlocked(report)),
        }
    }
}

/// Why a call that could have blocked came back without what it was called for.
#[derive(Debug)]
#[non_exhaustive]
pub enum WaitError {
    /// The time limit passed.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// The wait could never have ended: it closed a cycle of waits, which the report names.
    Deadlocked(Box<Report>),
}

impl WaitError {
    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, WaitError::TimedOut)
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, WaitError::Interrupted)
    }

    /// The report, if this was a deadlock.
    pub fn deadlock(&self) -> Option<&Report> {
        match self {
            WaitError::Deadlocked(report) => Some(report),
            _ => None,
        }
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::TimedOut => f.write_str("the time limit passed before the wait ended"),
            WaitError::Interrupted => f.write_str("the wait was interrupted by another thread"),
            WaitError::Deadlocked(report) => report.fmt(f),
        }
    }
}

impl std::error::Error for WaitError {}

/// The key of a wait for something at this address.
pub(crate) fn key_of<T: ?Sized>(at: &T) -> usize {
    std::ptr::from_ref(at).cast::<()>().addr()
}

/// A wait is looked at for deadlock when it has lasted this long. Whoever closes a cycle waits
/// too, so the last wait of a cycle always sees it whole.
pub(super) const DETECT_AFTER: Duration = Duration::from_millis(4);

/// Waits at `key` for a grant, unless `validate` finds, under the bucket's lock, that there is
/// nothing to wait for.
pub(crate) fn park(key: usize, wait: &Wait<'_>, validate: impl FnOnce() -> bool) -> Outcome {
    park_with(key, wait, validate, || {}, |_| {})
}

/// [`park`], with two calls on the way:
/// - `before_sleep` when the thread can be found by granters, outside of the bucket's lock;
/// - `on_leave(left)` under the bucket's lock when a valid wait ends by anything but a grant, even
///   before it began; `left` says whether others wait at the key.
pub(crate) fn park_with(
    key: usize,
    wait: &Wait<'_>,
    validate: impl FnOnce() -> bool,
    before_sleep: impl FnOnce(),
    on_leave: impl FnOnce(bool),
) -> Outcome {
    super::first_use();
    current::with(|me| {
        let began = Instant::now();
        let mut wait = *wait;
        if me.told().is_some_and(Told::is_deaf) {
            (wait.interruptible, wait.unfailing) = (false, true);
        }
        wait.since = wait.since.or_else(|| me.told()?.since(key));
        let wait = &wait;
        let node = Node::new(key, me, wait, wait.since.unwrap_or(began));
        me.parker.begin();
        {
            let queue = lot::lock_bucket(key);
            let refused = if !validate() {
                Some(Outcome::Invalid)
            } else if wait.interruptible && me.take_interrupt() {
                Some(Outcome::Interrupted)
            } else if wait.deadline.is_some_and(|at| at <= began) {
                Some(Outcome::TimedOut)
            } else {
                None
            };
            if let Some(outcome) = refused {
                if !matches!(outcome, Outcome::Invalid) {
                    on_leave(queue.of_key(key).next().is_some());
                }
                if let (Outcome::Interrupted, Some(told)) = (&outcome, me.told()) {
                    told.interrupted();
                }
                return outcome;
            }
            if wait.since.is_none() {
                me.epoch.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            me.next_turn();
            queue.insert(&node, wait.since.is_some());
        }
        let begun = watched::begin(me, key, wait, began);
        before_sleep();
        let outcome = sleep(me, &node, wait, on_leave);
        let ended = Instant::now();
        me.stats.note(wait.kind, ended.saturating_duration_since(began));
        watched::end(me, key, wait, [began, ended], &outcome, begun);
        outcome
    })
}

/// The sleeping part of a wait: until somebody takes the node out or the thread does so itself.
fn sleep(me: &Shared, node: &Node, wait: &Wait<'_>, on_leave: impl FnOnce(bool)) -> Outcome {
    let mut on_leave = Some(on_leave);
    let mut leave = |queue: &Queue| {
        queue.remove(node);
        if let Some(on_leave) = on_leave.take() {
            on_leave(queue.of_key(node.key).next().is_some());
        }
    };
    // Nobody is failed or reported for a wait without owners: it is not looked at.
    // Real time has no place in a model.
    let now = if cfg!(loom) { None } else { Some(Instant::now()) };
    let patience = me.told().filter(|_| wait.kind == Kind::Lock).map_or(DETECT_AFTER, |told| told.patience());
    let first_look = |now: Instant| (node.since + patience).max(now + DETECT_AFTER);
    let mut look_at = now.filter(|_| wait.kind.may_have_owner()).map(first_look);
    let breath = me.told().filter(|_| wait.interruptible).and_then(Told::breath);
    let breathe_at = now.zip(breath).map(|(now, breath)| now + breath);
    // What is overdue gets looked at ever more rarely: a long wait is not to cost for its length.
    let mut due = lot::FAIR_AFTER;
    let mut due_at = now.filter(|_| wait.overdue.is_some()).map(|now| now + due);
    let (mut spin, mut last_look) = (wait.spin, wait.last_look);
    let outcome = loop {
        // An interrupt that came before the parker could be poked.
        if wait.interruptible && me.is_interrupted() {
            break Outcome::Interrupted;
        }
        let alarm_at = wait.alarm.and_then(|alarm| alarm.at.get());
        let until = [wait.deadline, look_at, due_at, breathe_at, alarm_at].into_iter().flatten().min();
        if let Some(last_look) = last_look.take_if(|_| !spin || !me.parker.has_news_soon(until)) {
            spin = false;
            if last_look() {
                break Outcome::Invalid;
            }
        }
        let mut look = false;
        #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
        let woke = match wait.outside {
            Some(outside) => me.parker.wait_outside(until, outside),
            None => me.parker.wait(until, std::mem::take(&mut spin)),
        };
        #[cfg(not(all(feature = "outside", target_os = "linux", not(loom))))]
        let woke = me.parker.wait(until, std::mem::take(&mut spin));
        match woke {
            #[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
            Woke::Outside => break Outcome::Invalid,
            Woke::Granted => return Outcome::Granted(node.token.get()),
            Woke::Poked => look = me.take_look_again(),
            Woke::Signalled if wait.interruptible && me.told().is_some_and(|told| told.signalled()) => {
                break Outcome::Signalled;
            }
            Woke::Signalled => {}
            Woke::Expired => {
                let now = Instant::now();
                let passed = |at: Option<Instant>| at.is_some_and(|at| cfg!(loom) || at <= now);
                if passed(wait.deadline) {
                    break Outcome::TimedOut;
                }
                if passed(due_at) {
                    due *= 2;
                    due_at = Some(now + due);
                    if wait.overdue.is_some_and(|overdue| overdue()) {
                        break Outcome::Invalid;
                    }
                }
                if passed(alarm_at)
                    && let Some(alarm) = wait.alarm
                {
                    match (alarm.ring)(now) {
                        Then::Sleep => {}
                        Then::LookAround => spin = true,
                        Then::Leave => break Outcome::Invalid,
                    }
                    if cfg!(loom) {
                        alarm.at.set(None); // in a model all the time that there is has passed
                    }
                }
                if passed(look_at) {
                    look_at = None;
                    look = true;
                } else if passed(breathe_at)
                    && let Some(told) = me.told()
                {
                    told.break_off(node.key, node.since);
                    break Outcome::Signalled;
                }
            }
        }
        if look && me.told().is_none_or(Told::matters) {
            match deadlock::look(me, node, &mut leave) {
                Verdict::Nothing => {}
                Verdict::Failed(report) => {
                    deadlock::remember(&report, Some(me.ident()));
                    return Outcome::Deadlocked(report);
                }
                // Users' code must not run while the node is queued: it may wait itself, and panic.
                // The call that waits begins anew, at the place that its age gives it.
                Verdict::Told(report) => {
                    deadlock::remember(&report, None);
                    report.publish();
                    return Outcome::Invalid;
                }
            }
        }
    };
    {
        let queue = lot::lock_bucket(node.key);
        if node.queued.get() {
            leave(&queue);
            drop(queue);
            if matches!(outcome, Outcome::Interrupted) {
                me.take_interrupt();
                me.told().inspect(|told| told.interrupted());
            }
            return outcome;
        }
    }
    // Somebody has taken us out: the grant is on its way and counts, an interrupt stays pending.
    while me.parker.wait(None, true) != Woke::Granted {}
    Outcome::Granted(node.token.get())
}
