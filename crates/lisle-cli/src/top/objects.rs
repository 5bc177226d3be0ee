//! The table of what threads wait for.
#![forbid(unsafe_code)]

use super::cells;
use super::list::{Column, Shape};
use super::look::Look;
use super::picture::{ObjectRow, Picture, Standing};
use crate::human;
use ratatui::style::Style;
use std::cmp::Ordering;

/// A column of the table of objects.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum ObjectColumn {
    Object,
    Waits,
    Rate,
    Total,
    Longest,
    Waiting,
    Length,
    Held,
    Taken,
}

use ObjectColumn as O;

/// What tells objects apart.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ObjectKey {
    kind: String,
    key: u64,
}

/// What is neither a lock nor a queue, and often waited for by threads that have nothing to do.
const OTHERS: &[&str] =
    &["a call", "barrier", "condvar", "event", "future", "join", "park", "pool join", "process", "sleep", "timer"];

impl Column for ObjectColumn {
    type Row = ObjectRow;
    type Key = ObjectKey;

    const ALL: &'static [O] =
        &[O::Object, O::Waits, O::Rate, O::Total, O::Longest, O::Waiting, O::Length, O::Held, O::Taken];

    fn rows(picture: &Picture) -> &[ObjectRow] {
        &picture.objects
    }

    fn key(row: &ObjectRow) -> ObjectKey {
        ObjectKey { kind: row.object.kind.clone(), key: row.object.key }
    }

    fn title(self) -> &'static str {
        match self {
            O::Object => "LOCK OR QUEUE",
            O::Waits => "WAITS",
            O::Rate => "WAITS/S",
            O::Total => "TOTAL",
            O::Longest => "LONGEST",
            O::Waiting => "NOW",
            O::Length => "LENGTH",
            O::Held => "HELD BY",
            O::Taken => "TAKEN AT",
        }
    }

    fn letter(self) -> Option<char> {
        match self {
            O::Object => Some('A'),
            O::Waits => Some('N'),
            O::Rate => Some('P'),
            O::Total => Some('T'),
            O::Longest => Some('M'),
            O::Waiting => Some('S'),
            O::Length => Some('L'),
            O::Held | O::Taken => None,
        }
    }

    fn shape(self) -> Shape {
        let (min, ease, want, rank, right) = match self {
            O::Object => (12, 20, 60, 0, false),
            O::Waiting => (4, 4, 5, 1, true),
            O::Total => (11, 11, 11, 2, true),
            O::Longest => (11, 11, 11, 3, true),
            O::Waits => (6, 6, 8, 4, true),
            O::Held => (8, 8, 32, 5, false),
            O::Rate => (7, 7, 8, 6, true),
            O::Length => (6, 6, 7, 7, true),
            O::Taken => (14, 30, 48, 8, false),
        };
        Shape { min, ease, want, rank, right }
    }

    fn compare(self, a: &ObjectRow, b: &ObjectRow) -> Ordering {
        // Those of which somebody knows who holds them come first.
        let holders = |row: &ObjectRow| (row.object.holders.is_empty(), row.object.holders.first().copied());
        let name = |row: &ObjectRow| (row.object.kind.clone(), row.object.object.clone());
        match self {
            O::Object => name(a).cmp(&name(b)),
            O::Waits => a.object.waits.cmp(&b.object.waits),
            O::Rate => a.rate.unwrap_or(-1.0).total_cmp(&b.rate.unwrap_or(-1.0)),
            O::Total => a.object.total_us.cmp(&b.object.total_us),
            O::Longest => a.object.longest_us.cmp(&b.object.longest_us),
            O::Waiting => a.object.waiting.cmp(&b.object.waiting),
            O::Length => a.object.length.cmp(&b.object.length),
            O::Held | O::Taken => holders(a).cmp(&holders(b)),
        }
    }

    fn cell(self, row: &ObjectRow, picture: &Picture, width: usize) -> String {
        let object = &row.object;
        match self {
            O::Object => cells::object(&object.kind, &object.object, width),
            O::Waits => human::number(object.waits),
            O::Rate => cells::rate(row.rate),
            O::Total => human::time(object.total_us),
            O::Longest => human::time(object.longest_us),
            O::Waiting => object.waiting.to_string(),
            O::Length => object.length.map(human::number).unwrap_or_default(),
            O::Held => cells::owners(picture.owners(row), width),
            O::Taken => cells::site(cells::taken_at(picture.owners(row)).unwrap_or_default(), width),
        }
    }

    fn style(self, row: &ObjectRow, look: Look) -> Style {
        match self {
            O::Waiting if row.object.waiting > 0 => look.standing(Standing::Blocked),
            _ => Style::new(),
        }
    }

    fn is_shown(row: &ObjectRow, all: bool) -> bool {
        all || !OTHERS.contains(&&*row.object.kind)
    }

    fn texts<'a>(row: &'a ObjectRow, picture: &'a Picture) -> Vec<&'a str> {
        let mut texts = vec![&*row.object.kind, &row.object.object];
        texts.extend(picture.owners(row).into_iter().map(|owner| &*owner.name));
        texts
    }
}
