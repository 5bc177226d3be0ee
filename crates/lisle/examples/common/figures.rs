//! Numbers as people read them.

use indicatif::HumanCount;

/// `1 file`, `1,234 files`, `2 processes`.
pub(crate) fn number_of(count: u64, thing: &str) -> String {
    let plural = match count {
        1 => "",
        _ if thing.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {thing}{plural}", HumanCount(count))
}
