//! Text in lines of a width.
#![forbid(unsafe_code)]

use super::look::Look;
use crate::harmless::{harmless, width};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

/// Lines of a page. Whatever is written is made harmless first.
pub(super) struct Writing {
    pub(super) lines: Vec<Line<'static>>,
    pub(super) look: Look,
    width: usize,
}

impl Writing {
    pub(super) fn new(width: u16, look: Look) -> Writing {
        Writing { lines: Vec::new(), look, width: usize::from(width) }
    }

    /// Whether there is no room for one thing beside another.
    pub(super) fn is_narrow(&self) -> bool {
        self.width < 40
    }

    /// The head of a part, with an empty line before it.
    pub(super) fn head(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        self.put("", "", text, self.look.head());
    }

    /// A text, and where its lines begin.
    pub(super) fn say(&mut self, indent: &str, text: &str) {
        self.put(indent, &format!("{indent}  "), text, Style::new());
    }

    /// A text of which the first line begins with `first` and the others with `rest`. Lines break between words
    /// where they can.
    pub(super) fn put(&mut self, first: &str, rest: &str, text: &str, style: Style) {
        let text = harmless(text);
        let mut left: &str = &text;
        let mut prefix = first;
        loop {
            // However narrow it is, each line takes a letter.
            let room = self.width.saturating_sub(width(prefix)).max(2);
            let (line, more) = cut(left, room);
            self.lines.push(Line::from(vec![Span::raw(prefix.to_owned()), Span::styled(line.to_owned(), style)]));
            if more.is_empty() {
                return;
            }
            (left, prefix) = (more, rest);
        }
    }
}

/// The text up to where it fills a line of this width, and what comes after it.
fn cut(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    let mut blank = None;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if c == ' ' {
            blank = Some(at);
        }
        if used > columns {
            return match blank.filter(|blank| *blank > 0) {
                Some(blank) => (&text[..blank], text[blank..].trim_start_matches(' ')),
                None => text.split_at(at),
            };
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(width: u16, text: &str) -> Vec<String> {
        let mut out = Writing::new(width, Look { color: false });
        out.put("> ", "  ", text, Style::new());
        out.lines.iter().map(Line::to_string).collect()
    }

    #[test]
    fn lines_break_between_words_or_where_they_must() {
        assert_eq!(lines(12, "one two three"), ["> one two", "  three"]);
        assert_eq!(lines(9, "one two three"), ["> one two", "  three"]);
        assert_eq!(lines(6, "threefold"), ["> thre", "  efol", "  d"]);
        assert_eq!(lines(7, "線程線程"), ["> 線程", "  線程"]);
        assert_eq!(lines(0, "線線"), ["> 線", "  線"]);
        assert_eq!(lines(9, ""), ["> "]);
        assert_eq!(lines(30, "a\u{1b}[31m\nb"), ["> a\\u{1b}[31m\\nb"]);
    }
}
