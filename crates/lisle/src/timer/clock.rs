//! When a timer's next call is due, and who has changed that.
#![forbid(unsafe_code)]

use crate::park::{Kind, Limit, Site, WaitError};
use crate::sync::{Condvar, Mutex};
use crate::thread::StartError;
use std::fmt;
use std::time::{Duration, Instant};

/// A point in time at which a repeating timer calls.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    number: u64,
    missed: u64,
    due: Instant,
}

impl Beat {
    /// The number of this beat, from 1 on. Those that were missed have numbers too.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many beats were missed between the call before and this one: their time came before
    /// that call had returned, because it took long or began late.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The time of this beat. The call comes a little later.
    pub fn due(&self) -> Instant {
        self.due
    }
}

/// How the time of a call follows from those before.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    Once,
    /// At a fixed rate.
    Every(Duration),
    /// At a fixed distance.
    WithDelay(Duration),
}

impl Pace {
    /// When the call after one that was due at `due` and has returned `now` is due itself, and how
    /// many it leaves out.
    fn next(self, due: Instant, now: Instant) -> (Option<Instant>, u64) {
        match self {
            Pace::Once => (None, 0),
            Pace::WithDelay(pause) => (now.checked_add(pause), 0),
            Pace::Every(Duration::ZERO) => (Some(now), 0),
            Pace::Every(period) => {
                let late = now.saturating_duration_since(due);
                if late < period {
                    return (due.checked_add(period), 0);
                }
                // From the last beat that has come, so that no rounding adds up.
                let since_beat = Duration::from_nanos((late.as_nanos() % period.as_nanos()) as u64);
                let missed = late.as_nanos() / period.as_nanos();
                ((now - since_beat).checked_add(period), missed as u64)
            }
        }
    }
}

/// What the timer's thread and those who hold the timer tell each other.
pub(super) struct Clock {
    state: Mutex<State>,
    /// What the thread is told by while it waits for its time.
    changed: Condvar,
    pace: Pace,
    /// Where the timer was made.
    site: Site,
}

#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    /// In the first two phases: no further call is to be made. While a call runs: that is the last.
    /// In the end: that this is what ended it.
    cancelled: bool,
    /// The number of the beat that comes next or is now, and how many were left out before it.
    number: u64,
    missed: u64,
}

/// | phase | who leaves it, and to what |
/// |---|---|
/// | `Initial` | who starts the timer, to `Waiting` |
/// | `Waiting` | the thread, to `Calling` when it is time, to `Ended` when cancelled |
/// | `Calling` | the thread, to `Waiting` if there is a next call, to `Ended` if not or by a panic |
/// | `Ended` | nobody |
#[derive(Clone, Copy)]
enum Phase {
    Initial { delay: Duration },
    Waiting { due: Option<Instant> },
    Calling,
    Ended,
}

impl Clock {
    pub(super) fn new(delay: Duration, pace: Pace, site: Site) -> Clock {
        let state = State { phase: Phase::Initial { delay }, cancelled: false, number: 1, missed: 0 };
        Clock { state: Mutex::new(state), changed: Condvar::made_at(site), pace, site }
    }

    /// Starts the thread and its time.
    pub(super) fn start(&self, start_thread: impl FnOnce() -> Result<(), StartError>) -> Result<(), StartError> {
        // The thread, once it runs, waits here until its time is known.
        let mut state = self.state.lock();
        let now = Instant::now();
        start_thread()?;
        if let Phase::Initial { delay } = state.phase {
            state.phase = Phase::Waiting { due: now.checked_add(delay) };
        }
        Ok(())
    }

    /// See [`Timer::cancel`](super::Timer::cancel). `running` is called, and answers, if a call is
    /// running, which does not end before that.
    pub(super) fn cancel(&self, running: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        if let Phase::Ended = state.phase {
            return state.cancelled;
        }
        state.cancelled = true;
        self.changed.notify_one();
        match state.phase {
            Phase::Calling => running(),
            _ => true,
        }
    }

    /// See [`Timer::reset`](super::Timer::reset).
    pub(super) fn reset(&self, new: Duration) -> bool {
        let mut state = self.state.lock();
        if state.cancelled {
            return false;
        }
        match &mut state.phase {
            Phase::Initial { delay } => *delay = new,
            Phase::Waiting { due } => *due = Instant::now().checked_add(new),
            Phase::Calling | Phase::Ended => return false,
        }
        self.changed.notify_one();
        true
    }

    /// For the timer's thread.
    pub(super) fn turns(&self) -> Turns<'_> {
        Turns(self)
    }
}

/// `waiting`, `calling` …
impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(state) = self.state.try_lock() else { return f.write_str("about to change") };
        let left = |due: Instant| due.saturating_duration_since(Instant::now());
        match state.phase {
            _ if state.cancelled => f.write_str("cancelled"),
            Phase::Initial { delay } => write!(f, "not started, delay {delay:?}"),
            Phase::Waiting { due: Some(due) } => write!(f, "due in {:?}", left(due)),
            Phase::Waiting { due: None } => f.write_str("never due"),
            Phase::Calling => f.write_str("calling"),
            Phase::Ended => f.write_str("ended"),
        }
    }
}

/// A clock as seen by the timer's thread. However that comes to its end, the clock hears of it.
pub(super) struct Turns<'a>(&'a Clock);

impl Turns<'_> {
    /// Waits for the time of the next call, which begins with that. `None` if there will be none.
    pub(super) fn next(&self) -> Option<Beat> {
        let clock = self.0;
        let mut state = clock.state.lock();
        loop {
            let Phase::Waiting { due } = state.phase else { unreachable!("it was started and its call has ended") };
            if state.cancelled {
                return None;
            }
            if let Some(due) = due.filter(|&due| due <= Instant::now()) {
                state.phase = Phase::Calling;
                return Some(Beat { number: state.number, missed: state.missed, due });
            }
            let limit = due.map_or(Limit::Never, Limit::Until);
            match clock.changed.wait_as(Kind::Timer, &mut state, limit, clock.site) {
                Ok(()) | Err(WaitError::TimedOut) => {}
                Err(_) => state.cancelled = true, // interrupted: asked to leave this very wait
            }
        }
    }

    /// The call that began with `beat` has returned, and there is to be another.
    pub(super) fn over(&self, beat: &Beat) {
        let mut state = self.0.state.lock();
        let (due, missed) = self.0.pace.next(beat.due, Instant::now());
        state.phase = Phase::Waiting { due };
        state.missed = missed;
        state.number += 1 + missed;
    }
}

impl Drop for Turns<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        // A call that was the last one anyway, or panicked, was ended by nobody else.
        state.cancelled &= matches!(state.phase, Phase::Waiting { .. });
        state.phase = Phase::Ended;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn next(pace: Pace, ends_after: Duration) -> (Option<Duration>, u64) {
        let due = Instant::now();
        let (next, missed) = pace.next(due, due + ends_after);
        (next.map(|next| next - due), missed)
    }

    #[test]
    fn a_fixed_rate_keeps_to_its_beats() {
        let every = Pace::Every(SECOND);
        let nano = Duration::from_nanos(1);
        assert_eq!(next(every, Duration::ZERO), (Some(SECOND), 0));
        assert_eq!(next(every, SECOND - nano), (Some(SECOND), 0));
        assert_eq!(next(every, SECOND), (Some(2 * SECOND), 1));
        assert_eq!(next(every, SECOND + nano), (Some(2 * SECOND), 1));
        assert_eq!(next(every, SECOND * 7 / 2), (Some(4 * SECOND), 3));
        let third = Pace::Every(SECOND / 3);
        assert_eq!(next(third, 1_000_000 * SECOND), (Some(3_000_001 * (SECOND / 3)), 3_000_000));
    }

    #[test]
    fn a_fixed_delay_counts_from_the_end() {
        let pace = Pace::WithDelay(SECOND);
        assert_eq!(next(pace, SECOND * 7 / 2), (Some(SECOND * 9 / 2), 0));
    }

    #[test]
    fn odd_paces() {
        assert_eq!(next(Pace::Every(Duration::ZERO), SECOND), (Some(SECOND), 0));
        assert_eq!(next(Pace::Every(Duration::MAX), SECOND), (None, 0));
        assert_eq!(next(Pace::WithDelay(Duration::MAX), SECOND), (None, 0));
        assert_eq!(
            next(Pace::Every(Duration::from_nanos(1)), SECOND),
            (Some(SECOND + Duration::from_nanos(1)), 1_000_000_000)
        );
    }
}
