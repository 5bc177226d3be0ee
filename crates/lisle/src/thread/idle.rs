//! `park` and `sleep`: waiting for a token, and for nothing at all.
#![forbid(unsafe_code)]

use crate::park::lot::Candidate;
use crate::park::spin::spin_until;
use crate::park::sys::atomic::{AtomicU32, Ordering};
use crate::park::{Choice, Kind, Limit, Outcome, Record, Site, Wait, WaitError, current, key_of, unpark as grant};
use std::panic::Location;
use std::time::{Duration, Instant};

/// A thread's token for [`park`], in `Record::permit`.
///
/// | state | meaning | who leaves it, and to what |
/// |---|---|---|
/// | `NONE` | no token | the thread, to `ASLEEP`; who unparks, to `TOKEN` |
/// | `ASLEEP` | the thread waits in the lot, or is about to | who unparks, to `TOKEN`, and looks in the lot; the thread, to `NONE`, when the wait ends otherwise |
/// | `TOKEN` | the next `park` returns at once | the thread, to `NONE` |
const NONE: u32 = 0;
const ASLEEP: u32 = 1;
const TOKEN: u32 = 2;

/// Waits for the token that [`Thread::unpark`](super::Thread::unpark) gives, and takes it. Returns
/// at once if it is there already; there is one at most.
///
/// As with `std`, what one waits for should be looked at in a loop: the token may be from an
/// `unpark` that was meant for an earlier wait.
///
/// # On interrupt
/// Returns, and leaves the interrupt pending: `park` has no result that could tell of it, and until
/// somebody reads it with [`interrupted`](super::interrupted), `park` does not wait.
///
/// # Examples
/// ```
/// use lisle::thread;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static READY: AtomicBool = AtomicBool::new(false);
///
/// let waiter = thread::spawn(|| {
///     while !READY.load(Ordering::Acquire) {
///         thread::park();
///     }
/// });
/// READY.store(true, Ordering::Release);
/// waiter.thread().unpark();
/// waiter.join().unwrap();
/// ```
#[track_caller]
pub fn park() {
    park_within(Limit::Never, Location::caller());
}

/// [`park`] for at most `limit`.
///
/// # On timeout
/// Returns, without a token.
///
/// # On interrupt
/// As [`park`].
#[track_caller]
pub fn park_timeout(limit: Duration) {
    park_within(Limit::For(limit), Location::caller());
}

/// [`park_timeout`], with the limit as a point in time.
///
/// # On timeout
/// Returns, without a token.
///
/// # On interrupt
/// As [`park`].
#[track_caller]
pub fn park_until(limit: Instant) {
    park_within(Limit::Until(limit), Location::caller());
}

fn park_within(limit: Limit, site: Site) {
    current::with(|me| {
        if take(&me.permit) || me.is_interrupted() || spin_until(|| take(&me.permit).then_some(())).is_some() {
            return;
        }
        if me.permit.compare_exchange(NONE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let mut wait = Wait::new(Kind::Park, &**me, site, limit.deadline());
            wait.spin = false; // done
            let asleep = || me.permit.load(Ordering::Relaxed) == ASLEEP;
            if let Outcome::Interrupted = crate::park::park(key_of(&me.permit), &wait, asleep) {
                me.interrupt();
            }
        }
        // Whatever ended the wait: a token that is there by now is taken.
        me.permit.swap(NONE, Ordering::Acquire);
    });
}

#[inline]
fn take(permit: &AtomicU32) -> bool {
    // The swap, not the load, is what sees all that was written before the last `unpark`.
    permit.load(Ordering::Relaxed) == TOKEN && permit.swap(NONE, Ordering::Acquire) == TOKEN
}

pub(super) fn unpark(record: &Record) {
    if record.permit.swap(TOKEN, Ordering::Release) != ASLEEP {
        return;
    }
    // The wait that was seen may be over, and another begun, which this token is not for.
    let choose = |_: &Candidate<'_>| match record.permit.load(Ordering::Relaxed) {
        TOKEN => Choice::Grant(0),
        _ => Choice::Stop,
    };
    grant(key_of(&record.permit), choose, |_| {});
}

/// Sleeps for the whole of `length`; an interrupt does not end it and stays pending.
#[track_caller]
pub fn sleep(length: Duration) {
    sleep_out(Limit::For(length), Location::caller());
}

/// [`sleep`], with its end as a point in time; one in the past has it return at once.
#[track_caller]
pub fn sleep_until(end: Instant) {
    sleep_out(Limit::Until(end), Location::caller());
}

/// Sleeps for `length`, or until the thread is interrupted.
///
/// # On interrupt
/// `Interrupted`, whatever is left of the time.
///
/// # Errors
/// `Interrupted` is the only one.
///
/// # Examples
/// ```
/// use lisle::thread;
/// use std::time::Duration;
///
/// let sleeper = thread::spawn(|| thread::sleep_interruptible(Duration::MAX));
/// sleeper.thread().interrupt();
/// assert!(sleeper.join().unwrap().is_err_and(|error| error.is_interrupted()));
/// ```
#[track_caller]
pub fn sleep_interruptible(length: Duration) -> Result<(), WaitError> {
    match sleep_within(Limit::For(length), true, Location::caller()) {
        Outcome::Interrupted => Err(WaitError::Interrupted),
        _ => Ok(()),
    }
}

fn sleep_out(limit: Limit, site: Site) {
    sleep_within(limit, false, site);
}

fn sleep_within(limit: Limit, interruptible: bool, site: Site) -> Outcome {
    current::with(|me| {
        let mut wait = Wait::new(Kind::Sleep, &**me, site, limit.deadline());
        (wait.interruptible, wait.spin) = (interruptible, false);
        crate::park::park(me.sleep_key(), &wait, || true)
    })
}
