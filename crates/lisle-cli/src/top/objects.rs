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
}

use ObjectColumn as O;

/// What tells objects apart.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ObjectKey {
    kind: String,
    key: u64,
}

/// Kinds of waits that are nobody's fault: the thread has nothing to do, or waits for a time to come.
const IDLE: &[&str] = &["a call", "join", "park", "process", "sleep", "timer"];

impl Column for ObjectColumn {
    type Row = ObjectRow;
    type Key = ObjectKey;

    const ALL: &'static [O] = &[O::Object, O::Waits, O::Rate, O::Total, O::Longest, O::Waiting, O::Length, O::Held];

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
            O::Held => None,
        }
    }

    fn shape(self) -> Shape {
        let (min, want, rank, right) = match self {
            O::Object => (14, 72, 0, false),
            O::Waiting => (4, 5, 1, true),
            O::Total => (11, 11, 2, true),
            O::Longest => (11, 11, 3, true),
            O::Waits => (6, 8, 4, true),
            O::Held => (10, 40, 5, false),
            O::Rate => (8, 8, 6, true),
            O::Length => (7, 7, 7, true),
        };
        Shape { min, want, rank, right }
    }

    fn compare(self, a: &ObjectRow, b: &ObjectRow) -> Ordering {
        let (a_object, b_object) = (&a.object, &b.object);
        match self {
            O::Object => (&a_object.kind, &a_object.object).cmp(&(&b_object.kind, &b_object.object)),
            O::Waits => a_object.waits.cmp(&b_object.waits),
            O::Rate => a.rate.unwrap_or(-1.0).total_cmp(&b.rate.unwrap_or(-1.0)),
            O::Total => a_object.total_us.cmp(&b_object.total_us),
            O::Longest => a_object.longest_us.cmp(&b_object.longest_us),
            O::Waiting => a_object.waiting.cmp(&b_object.waiting),
            O::Length => a_object.length.cmp(&b_object.length),
            O::Held => {
                (a_object.holders.is_empty(), &a_object.holders).cmp(&(b_object.holders.is_empty(), &b_object.holders))
            }
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
        }
    }

    fn style(self, row: &ObjectRow, look: Look) -> Style {
        match self {
            O::Waiting if row.object.waiting > 0 => look.standing(Standing::Blocked),
            _ => Style::new(),
        }
    }

    fn is_shown(row: &ObjectRow, all: bool) -> bool {
        all || !IDLE.contains(&&*row.object.kind)
    }

    fn texts<'a>(row: &'a ObjectRow, picture: &'a Picture) -> Vec<&'a str> {
        let mut texts = vec![&*row.object.kind, &row.object.object];
        texts.extend(picture.owners(row).into_iter().map(|owner| &*owner.name));
        texts
    }
}
