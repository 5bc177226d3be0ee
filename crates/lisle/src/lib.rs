//! OS threads with nothing hidden.
pub(crate) mod park;
pub use park::kind::Kind;
pub use park::report::{Confidence, Link, Report, on_report};
pub use park::stats::{WaitStat, WaitStats};
pub use park::wait::WaitError;
pub mod queue;
pub mod sync;
pub mod thread;
