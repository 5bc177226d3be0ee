//! Text of the watched program, made harmless for a terminal's columns, and cut to fit.
//!
//! A thread may have any name: with escapes that clear the terminal or set its title, with characters that turn
//! the direction of a line, that hide, or that stack up. [`lisle::watch::Harmless`] sees to those that act; here
//! all is written as its escape that has no place of its own in a line of columns.
#![forbid(unsafe_code)]

use lisle::watch::is_harmful;
use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// How many marks may sit on a letter. More than languages need would climb into the lines above.
const MARKS: usize = 2;

/// The text with everything that a terminal could take for something else than letters written as an escape:
/// `\u{1b}`, `\n`, `\u{202e}`. Scripts that run from right to left stay as they are; characters that *make* text
/// run so do not.
///
/// Characters that choose between a picture and plain text (U+FE00 to U+FE0F) are left out, since terminals
/// disagree about how wide they make what is before them.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut room = 0;
    for c in text.chars().filter(|c| !('\u{fe00}'..='\u{fe0f}').contains(c)) {
        let is_plain = !is_harmful(c) && (matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1);
        match c.width() {
            Some(1..) if is_plain => {
                out.push(c);
                room = MARKS;
            }
            Some(0) if room > 0 && (is_plain || continues_a_letter(c)) => {
                out.push(c);
                room -= 1;
            }
            _ if is_plain => out.extend(c.escape_unicode()),
            _ => out.extend(c.escape_debug()),
        }
    }
    Cow::Owned(out)
}

/// Whether it is a mark that sits on the letter before it. Rust escapes those where they stand alone, and
/// characters that only have an effect everywhere.
fn continues_a_letter(c: char) -> bool {
    String::from_iter(['a', c]).escape_debug().nth(1) == Some(c)
}

/// How many columns of a terminal the text takes. It has to be [`harmless`].
pub(crate) fn width(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// The text, [`harmless`], in at most so many columns: what does not fit is cut off and told by an ellipsis.
pub(crate) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    // A name may be of any length, and most of it may be seen by nobody: each column takes an escape of a
    // character at least, or a letter with its marks.
    let text = harmless(prefix(text, (columns + 1) * (1 + MARKS)));
    if width(&text) <= columns {
        return text;
    }
    let mut left = columns.saturating_sub(1);
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            let width = c.width().unwrap_or(0);
            let fits = width <= left;
            left = if fits { left - width } else { 0 };
            fits
        })
        .collect();
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// [`fit`] that keeps the end of what is too long: of a place in a source file the line.
pub(crate) fn fit_end(text: &str, columns: usize) -> Cow<'_, str> {
    let text = harmless(text);
    if width(&text) <= columns {
        return text;
    }
    let mut left = columns.saturating_sub(1);
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
        left = rest;
        // Marks stay with the letter that they are on, and are left out without it.
        if c.width() != Some(0) {
            start = at;
        }
    }
    match columns {
        0 => Cow::Borrowed(""),
        _ => Cow::Owned(format!("…{}", &text[start..])),
    }
}

/// The first so many characters, not counting those that [`harmless`] leaves out.
fn prefix(text: &str, chars: usize) -> &str {
    let seen = |&(_, c): &(usize, char)| !('\u{fe00}'..='\u{fe0f}').contains(&c);
    text.char_indices().filter(seen).nth(chars).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay() {
        for text in
            ["", "worker-1", "it's \"one\" \\ two", "größe", "線程", "שלום", "e\u{301}", "ไทย กำลัง", "हिन्दी", "👍🏽"]
        {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_written_as_its_escape() {
        for (text, expected) in [
            ("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}"),
            ("a\nb\tc\rd\0", "a\\nb\\tc\\rd\\0"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}evil\u{2066}\u{200f}\u{61c}", "\\u{202e}evil\\u{2066}\\u{200f}\\u{61c}"),
            ("zero\u{200b}width\u{200d}\u{feff}", "zero\\u{200b}width\\u{200d}\\u{feff}"),
            ("line\u{2028}\u{e0041}", "line\\u{2028}\\u{e0041}"),
            ("\u{301}alone", "\\u{301}alone"),
            ("e\u{301}\u{301}\u{301}", "e\u{301}\u{301}\\u{301}"),
            ("❤\u{fe0f}", "❤"),
        ] {
            assert_eq!(harmless(text), expected);
        }
    }

    /// Whatever the text is, no character of the result does anything but be seen.
    #[test]
    fn no_character_is_left_that_acts() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let text = String::from_iter(['a', c]);
            for kept in harmless(&text).chars() {
                assert!(!is_harmful(kept), "{c:?} leaves {kept:?}");
                assert!(kept.escape_debug().len() == 1 || continues_a_letter(kept) || "'\"\\".contains(kept), "{c:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_says_so_and_never_takes_more_than_its_columns() {
        assert_eq!(fit("worker", 6), "worker");
        assert_eq!(fit("worker", 5), "work…");
        assert_eq!(fit("worker", 1), "…");
        assert_eq!(fit("worker", 0), "");
        assert_eq!(fit("線程線程", 8), "線程線程");
        assert_eq!(fit("線程線程", 7), "線程線…");
        assert_eq!(fit("線程線程", 6), "線程…");
        assert_eq!(fit("a\u{1b}b", 5), "a\\u{…");
        assert_eq!(fit_end("src/bank.rs:31:20", 12), "…nk.rs:31:20");
        assert_eq!(fit_end("src/線.rs:1", 8), "…線.rs:1");
        assert_eq!(fit_end("src/線.rs:1", 7), "….rs:1");
        assert_eq!(fit_end("xe\u{301}\u{301}", 1), "…");
        assert_eq!(fit_end("xxe\u{301}\u{301}", 2), "…e\u{301}\u{301}");
        for columns in 0..40 {
            for text in
                [&"long ".repeat(50), "\u{1b}[2J線\u{301}\u{301}\u{301}程שלום", &"e\u{301}\u{301}\u{301}".repeat(30)]
            {
                let fitting = fit(text, columns);
                assert!(width(&fitting) <= columns, "{fitting:?} takes more than {columns}");
                assert_eq!(fitting.ends_with('…'), columns > 0 && width(&harmless(text)) > columns, "{fitting:?}");
                let fitting = fit_end(text, columns);
                assert!(width(&fitting) <= columns, "{fitting:?} takes more than {columns}");
                assert_eq!(fitting.starts_with('…'), columns > 0 && width(&harmless(text)) > columns, "{fitting:?}");
            }
        }
    }
}
