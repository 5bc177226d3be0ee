//! Time limits.

use std::time::{Duration, Instant};

/// How long a call may block, as the caller said it. The clock is read only when the call really
/// blocks, see [`Limit::deadline`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// For ever.
    Never,
    /// From now; too long to be told as an instant (`Duration::MAX`) is for ever.
    For(Duration),
    /// Until then; the past means not at all.
    Until(Instant),
}

impl Limit {
    /// The instant at which the wait ends by itself, if it does.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Limit::Never => None,
            Limit::For(length) => Instant::now().checked_add(length),
            Limit::Until(at) => Some(at),
        }
    }
}
