//! What a timer's thread does.
#![forbid(unsafe_code)]

use super::clock::{Beat, Clock};
use crate::thread::{Run, target_of};
use std::ops::ControlFlow;
use std::sync::Arc;

/// What the call of a repeating timer returns: nothing, to be called again at the next beat, or a
/// [`ControlFlow`], of which `Break` ends the timer with a value.
pub trait Repeat {
    /// What a [`join`](super::Timer::join) of the timer returns.
    type Value: Send + 'static;

    /// Whether to go on.
    fn repeat(self) -> ControlFlow<Self::Value>;
}

/// Goes on until the timer is cancelled.
impl Repeat for () {
    type Value = ();

    fn repeat(self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<T: Send + 'static> Repeat for ControlFlow<T> {
    type Value = T;

    fn repeat(self) -> ControlFlow<T> {
        self
    }
}

/// The name of a timer's thread speaks of the call, or else says what the thread is.
fn target<F>() -> Option<&'static str> {
    target_of::<F>().or(Some("timer"))
}

/// One call.
pub(super) struct Once<F> {
    pub(super) clock: Arc<Clock>,
    pub(super) call: F,
}

impl<F, T> Run for Once<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Option<T>;

    fn run(self) -> Option<T> {
        let turns = self.clock.turns();
        turns.next().map(|_| (self.call)())
    }

    fn target() -> Option<&'static str> {
        target::<F>()
    }
}

/// One call after the other.
pub(super) struct Repeated<F> {
    pub(super) clock: Arc<Clock>,
    pub(super) call: F,
}

impl<F, R> Run for Repeated<F>
where
    F: FnMut(&Beat) -> R + Send + 'static,
    R: Repeat,
{
    type Output = Option<R::Value>;

    fn run(mut self) -> Option<R::Value> {
        let turns = self.clock.turns();
        while let Some(beat) = turns.next() {
            if let ControlFlow::Break(value) = (self.call)(&beat).repeat() {
                return Some(value);
            }
            turns.over(&beat);
        }
        None
    }

    fn target() -> Option<&'static str> {
        target::<F>()
    }
}
