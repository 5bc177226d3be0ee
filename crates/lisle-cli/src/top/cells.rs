//! How single things are written in a table.
#![forbid(unsafe_code)]

use crate::harmless::{fit, fit_end, harmless, width};
use lisle::watch::wire::Owner;

/// Which object: its kind, and its name or where it was made. There, the line is told rather than the directory.
pub(super) fn object(kind: &str, object: &str, columns: usize) -> String {
    let whole = format!("{kind} {object}");
    let whole = fit(&whole, columns);
    match object.strip_prefix("made at ") {
        Some(site) if whole.ends_with('…') => {
            let kind = fit(kind, columns);
            match columns.checked_sub(width(&kind) + 1) {
                Some(left @ 4..) => format!("{kind} {}", fit_end(site, left)),
                _ => kind.into_owned(),
            }
        }
        _ => whole.into_owned(),
    }
}

/// Who owns what is waited for: the first one and how many others there are.
pub(super) fn owners<'a>(owners: impl IntoIterator<Item = &'a Owner>, columns: usize) -> String {
    let mut owners = owners.into_iter().filter(|owner| owner.ident != 0);
    let Some(first) = owners.next() else { return String::new() };
    let more = match (first.ended, owners.count()) {
        (true, _) => " (ended)".to_owned(),
        (false, 0) => String::new(),
        (false, n) => format!(" +{n}"),
    };
    let name = fit(&first.name, columns.saturating_sub(more.len()));
    fit(&format!("{name}{more}"), columns).into_owned()
}

/// A place in a source file. What is told last is its directory, and its line first: of `file:line in function` the
/// end is worth less than the middle.
pub(super) fn site(site: &str, columns: usize) -> String {
    let Some((place, function)) = site.rsplit_once(" in ") else { return fit_end(site, columns).into_owned() };
    let file = place.rsplit_once('/').map_or(place, |(_, file)| file);
    let short = format!("{file} in {function}");
    match width(&harmless(&short)) < columns {
        true => fit_end(site, columns).into_owned(),
        false => fit(&short, columns).into_owned(),
    }
}

/// Where one of them took it.
pub(super) fn taken_at<'a>(owners: impl IntoIterator<Item = &'a Owner>) -> Option<&'a str> {
    owners.into_iter().find_map(|owner| owner.taken_at.as_deref())
}

/// A share of one processor in percent, or a number per second.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate < 999.95 => format!("{rate:.1}"),
        Some(rate) => crate::human::number(rate.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_place_the_line_is_kept() {
        for (columns, rust, python) in [
            (40, "src/bank.rs:31:20", "/srv/bank/main.py:31 in Bank.transfer"),
            (30, "src/bank.rs:31:20", "…k/main.py:31 in Bank.transfer"),
            (27, "src/bank.rs:31:20", "main.py:31 in Bank.transfer"),
            (20, "src/bank.rs:31:20", "main.py:31 in Bank.…"),
            (12, "…nk.rs:31:20", "main.py:31 …"),
        ] {
            assert_eq!(site("src/bank.rs:31:20", columns), rust);
            assert_eq!(site("/srv/bank/main.py:31 in Bank.transfer", columns), python);
        }
    }
}
