//! The table of threads.
#![forbid(unsafe_code)]

use super::cells;
use super::list::{Column, Shape};
use super::look::Look;
use super::picture::{Picture, Standing, ThreadRow};
use crate::harmless::fit;
use crate::human;
use ratatui::style::Style;
use std::cmp::Ordering;

/// A column of the table of threads.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum ThreadColumn {
    Ident,
    Native,
    Name,
    State,
    Wait,
    Cpu,
    CpuTime,
    For,
    Held,
    Called,
    Taken,
}

use ThreadColumn as T;

/// What tells threads apart: the ident, or the system's number for those that have none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct ThreadKey {
    pub(super) ident: u32,
    native_id: Option<u32>,
}

impl ThreadRow {
    fn waited_us(&self) -> Option<u64> {
        self.thread.wait.as_ref().map(|wait| wait.waited_us)
    }
}

impl Column for ThreadColumn {
    type Row = ThreadRow;
    type Key = ThreadKey;

    const ALL: &'static [T] =
        &[T::Ident, T::Native, T::Name, T::State, T::Wait, T::Cpu, T::CpuTime, T::For, T::Held, T::Called, T::Taken];

    fn rows(picture: &Picture) -> &[ThreadRow] {
        &picture.threads
    }

    fn key(row: &ThreadRow) -> ThreadKey {
        let ident = row.thread.ident;
        ThreadKey { ident, native_id: (ident == 0).then_some(row.thread.native_id) }
    }

    fn title(self) -> &'static str {
        match self {
            T::Ident => "IDENT",
            T::Native => "NATIVE",
            T::Name => "NAME",
            T::State => "STATE",
            T::Wait => "WAITED",
            T::Cpu => "CPU%",
            T::CpuTime => "CPU TIME",
            T::For => "WAITS FOR",
            T::Held => "HELD BY",
            T::Called => "CALLED AT",
            T::Taken => "TAKEN AT",
        }
    }

    fn letter(self) -> Option<char> {
        match self {
            T::Ident => Some('N'),
            T::Name => Some('A'),
            T::State => Some('S'),
            T::Wait => Some('M'),
            T::Cpu => Some('P'),
            T::CpuTime => Some('T'),
            _ => None,
        }
    }

    fn shape(self) -> Shape {
        let (min, ease, want, rank, right) = match self {
            T::Name => (8, 16, 28, 0, false),
            T::State => (8, 8, 8, 1, false),
            T::Wait => (11, 11, 11, 2, true),
            T::Ident => (5, 5, 6, 3, true),
            T::For => (14, 20, 46, 4, false),
            T::Cpu => (5, 5, 6, 5, true),
            T::Held => (9, 14, 24, 6, false),
            T::Called => (14, 30, 48, 7, false),
            T::Taken => (14, 30, 48, 8, false),
            T::CpuTime => (11, 11, 11, 9, true),
            T::Native => (7, 7, 7, 10, true),
        };
        Shape { min, ease, want, rank, right }
    }

    fn falls(self) -> bool {
        matches!(self, T::Wait | T::Cpu | T::CpuTime)
    }

    fn compare(self, a: &ThreadRow, b: &ThreadRow) -> Ordering {
        let [a_thread, b_thread] = [&a.thread, &b.thread];
        match self {
            T::Ident => none_last(Some(a_thread.ident).filter(|n| *n > 0), Some(b_thread.ident).filter(|n| *n > 0)),
            T::Native => a_thread.native_id.cmp(&b_thread.native_id),
            T::Name => in_any_case(&a_thread.name, &b_thread.name),
            T::State => a.standing.cmp(&b.standing).then(b.waited_us().cmp(&a.waited_us())),
            T::Wait => a.waited_us().cmp(&b.waited_us()),
            T::Cpu => a.cpu.unwrap_or(-1.0).total_cmp(&b.cpu.unwrap_or(-1.0)),
            T::CpuTime => a_thread.cpu_us.cmp(&b_thread.cpu_us),
            T::For | T::Held | T::Called | T::Taken => none_last(self.of_wait(a), self.of_wait(b)),
        }
    }

    fn cell(self, row: &ThreadRow, _: &Picture, width: usize) -> String {
        let thread = &row.thread;
        match self {
            T::Ident if thread.ident == 0 => "–".to_owned(),
            T::Ident => thread.ident.to_string(),
            T::Native if thread.native_id == 0 => "–".to_owned(),
            T::Native => thread.native_id.to_string(),
            T::Name => fit(&thread.name, width).into_owned(),
            T::State => row.standing.word().to_owned(),
            T::Wait => row.waited_us().map(human::time).unwrap_or_default(),
            T::Cpu => cells::rate(row.cpu),
            T::CpuTime => thread.cpu_us.map(human::time).unwrap_or_default(),
            T::For | T::Held | T::Called | T::Taken => self.cell_of_wait(row, width),
        }
    }

    fn style(self, row: &ThreadRow, look: Look) -> Style {
        match self {
            T::State => look.standing(row.standing),
            _ if matches!(row.standing, Standing::Service | Standing::Foreign) => look.quiet(),
            _ => Style::new(),
        }
    }

    fn texts<'a>(row: &'a ThreadRow, _: &'a Picture) -> Vec<&'a str> {
        let mut texts = vec![&*row.thread.name, row.standing.word()];
        if let Some(wait) = &row.thread.wait {
            texts.extend([&*wait.kind, &wait.object, &wait.called_at]);
            texts.extend(wait.owners.iter().map(|owner| &*owner.name));
        }
        texts
    }
}

impl ThreadColumn {
    /// What a column about the wait is sorted by.
    fn of_wait(self, row: &ThreadRow) -> Option<(&str, &str)> {
        let wait = row.thread.wait.as_ref()?;
        let site = match self {
            T::For => return Some((&wait.kind, &wait.object)),
            T::Held => &wait.owners.first()?.name,
            T::Called => &wait.called_at,
            _ => cells::taken_at(&wait.owners)?,
        };
        Some((site, ""))
    }

    /// What a column says about the wait, if there is one.
    fn cell_of_wait(self, row: &ThreadRow, width: usize) -> String {
        let Some(wait) = &row.thread.wait else { return String::new() };
        match self {
            T::For => cells::object(&wait.kind, &wait.object, width),
            T::Held => cells::owners(&wait.owners, width),
            T::Called => cells::site(&wait.called_at, width),
            _ => cells::site(cells::taken_at(&wait.owners).unwrap_or_default(), width),
        }
    }
}

/// What is there comes first, though nothing is less than something.
fn none_last<T: Ord>(a: Option<T>, b: Option<T>) -> Ordering {
    a.is_none().cmp(&b.is_none()).then(a.cmp(&b))
}

fn in_any_case(a: &str, b: &str) -> Ordering {
    a.chars().flat_map(char::to_lowercase).cmp(b.chars().flat_map(char::to_lowercase))
}
