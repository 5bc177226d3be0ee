//! When the program is asked for its next snapshot.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The lengths of time between two snapshots that keys choose from.
const STEPS_MS: [u64; 9] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// How long an answer may take before one is told that there is none.
const PATIENCE: Duration = Duration::from_secs(2);

/// When to ask. All points of time are since the view began.
pub(super) struct Asking {
    pub(super) now: Duration,
    pub(super) interval: Duration,
    pub(super) paused: bool,
    /// When the last question was asked, and whether it has not been answered yet.
    asked: Option<Duration>,
    open: bool,
    answered: Option<Duration>,
    at_once: bool,
}

impl Asking {
    pub(super) fn every(interval: Duration) -> Asking {
        let (now, paused, open, at_once) = (Duration::ZERO, false, false, true);
        Asking { now, interval, paused, asked: None, open, answered: None, at_once }
    }

    /// Whether it is time to ask, and if so, that it is done. One question at a time: a slow program is asked less.
    pub(super) fn take_turn(&mut self) -> bool {
        let due = self.asked.is_none_or(|asked| self.now >= asked + self.interval);
        let ask = !self.open && (self.at_once || (due && !self.paused));
        if ask {
            (self.asked, self.open, self.at_once) = (Some(self.now), true, false);
        }
        ask
    }

    /// There is an answer.
    pub(super) fn answered(&mut self) {
        (self.answered, self.open) = (Some(self.now), false);
    }

    /// There will be no answer.
    pub(super) fn ended(&mut self) {
        self.open = false;
    }

    /// Asks soon, also if it is paused.
    pub(super) fn at_once(&mut self) {
        self.at_once = true;
    }

    /// For how long there has been no answer, if that is longer than one waits for.
    pub(super) fn overdue(&self) -> Option<Duration> {
        let since = self.asked.filter(|_| self.open)?;
        self.now.checked_sub(since).filter(|open| *open >= PATIENCE)
    }

    /// How old the last answer is.
    pub(super) fn age(&self) -> Option<Duration> {
        Some(self.now.saturating_sub(self.answered?))
    }

    pub(super) fn faster(&mut self) {
        let steps = STEPS_MS.into_iter().map(Duration::from_millis);
        self.interval = steps.rev().find(|step| *step < self.interval).unwrap_or(self.interval);
    }

    pub(super) fn slower(&mut self) {
        let mut steps = STEPS_MS.into_iter().map(Duration::from_millis);
        self.interval = steps.find(|step| *step > self.interval).unwrap_or(self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn asks_at_once_and_then_at_intervals() {
        let mut asking = Asking::every(SECOND);
        assert!(asking.take_turn());
        assert!(!asking.take_turn(), "one question at a time");
        asking.answered();
        assert!(!asking.take_turn(), "too early");
        asking.now = SECOND;
        assert!(asking.take_turn());
        asking.now = 3 * SECOND;
        assert!(!asking.take_turn(), "the last one is still open");
        assert_eq!(asking.overdue(), Some(2 * SECOND));
        asking.answered();
        assert_eq!(asking.overdue(), None);
        assert!(asking.take_turn());
    }

    #[test]
    fn a_pause_asks_only_when_told() {
        let mut asking = Asking::every(SECOND);
        asking.paused = true;
        assert!(asking.take_turn(), "there is nothing to look at before");
        asking.answered();
        asking.now = 9 * SECOND;
        assert!(!asking.take_turn());
        assert_eq!(asking.age(), Some(9 * SECOND));
        asking.at_once();
        assert!(asking.take_turn());
    }

    #[test]
    fn speeds_are_steps() {
        let mut asking = Asking::every(Duration::from_millis(700));
        asking.faster();
        assert_eq!(asking.interval, SECOND / 2);
        asking.slower();
        assert_eq!(asking.interval, SECOND);
        (0..20).for_each(|_| asking.faster());
        assert_eq!(asking.interval, SECOND / 10);
        (0..20).for_each(|_| asking.slower());
        assert_eq!(asking.interval, 60 * SECOND);
    }
}
