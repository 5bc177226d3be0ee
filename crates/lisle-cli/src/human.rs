//! Times and numbers as people say them.
#![forbid(unsafe_code)]

/// A length of time, with the digits that matter: `85 µs`, `120 ms`, `4.2 s`, `3 min 2 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn time(us: u64) -> String {
    let s = us / 1_000_000;
    let pair = |big: u64, unit: &str, small: u64, of: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {of}"),
    };
    match s {
        0 if us < 1_000 => format!("{us} µs"),
        0 => format!("{} ms", us / 1_000),
        1..60 => format!("{}.{} s", s, us / 100_000 % 10),
        60..3_600 => pair(s / 60, "min", s % 60, "s"),
        3_600..86_400 => pair(s / 3_600, "h", s / 60 % 60, "min"),
        _ => pair(s / 86_400, "d", s / 3_600 % 24, "h"),
    }
}

/// A number in at most five digits: `9120`, `64.2 k`, `1.2 M`.
pub(crate) fn number(n: u64) -> String {
    let (unit, name) = match n {
        0..10_000 => return n.to_string(),
        10_000..1_000_000 => (1_000, 'k'),
        1_000_000..1_000_000_000 => (1_000_000, 'M'),
        1_000_000_000..1_000_000_000_000 => (1_000_000_000, 'G'),
        _ => (1_000_000_000_000, 'T'),
    };
    match n / unit {
        whole @ 0..100 => format!("{whole}.{} {name}", n / (unit / 10) % 10),
        whole => format!("{whole} {name}"),
    }
}

/// `1 thread`, `2 threads`.
pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_matter() {
        for (us, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1 ms"),
            (999_999, "999 ms"),
            (1_000_000, "1.0 s"),
            (4_299_999, "4.2 s"),
            (59_999_999, "59.9 s"),
            (60_000_000, "1 min"),
            (182_000_000, "3 min 2 s"),
            (3_599_999_999, "59 min 59 s"),
            (7_500_000_000, "2 h 5 min"),
            (86_400_000_000, "1 d"),
            (273_600_000_000, "3 d 4 h"),
            (u64::MAX, "213503982 d 8 h"),
        ] {
            assert_eq!(time(us), expected);
        }
    }

    #[test]
    fn numbers_are_short() {
        for (n, expected) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0 k"),
            (64_250, "64.2 k"),
            (123_456, "123 k"),
            (999_999, "999 k"),
            (1_250_000, "1.2 M"),
            (250_000_000, "250 M"),
            (3_100_000_000, "3.1 G"),
            (u64::MAX, "18446744 T"),
        ] {
            assert_eq!(number(n), expected);
        }
    }
}
