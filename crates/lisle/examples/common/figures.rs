//! Numbers as people read them.

use indicatif::HumanCount;

/// `1 file`, `1,234 files`.
pub(crate) fn number_of(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}
