//! Where snapshots come from.

use lisle::watch::wire::Snapshot;
use std::fmt;

/// Something that can be asked for a snapshot: an agent's connection, or what a test makes up.
pub(crate) trait Source: Send {
    /// The threads as they are now.
    ///
    /// # Errors
    /// [`Gone`] when there will be no more. Any view keeps the last snapshot then, and says why.
    fn snapshot(&mut self) -> Result<Snapshot, Gone>;

    /// Whether the next snapshots are to have an interpreter's frames. They are not until this was called.
    fn want_frames(&mut self, wanted: bool) {
        let _ = wanted;
    }
}

/// Why a source has no more snapshots, as a sentence for people: the program has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Gone(pub(crate) String);

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
