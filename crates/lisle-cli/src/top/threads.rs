//! The table of threads.
#![forbid(unsafe_code)]

use super::cells;
use super::list::{Column, Shape};
use super::look::Look;
use super::picture::{Picture, Standing, ThreadRow};
use crate::harmless::{fit, fit_end};
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
        let (min, want, rank, right) = match self {
            T::Name => (8, 28, 0, false),
            T::State => (8, 8, 1, false),
            T::Wait => (11, 11, 2, true),
            T::Ident => (5, 6, 3, true),
            T::For => (14, 46, 4, false),
            T::Cpu => (5, 6, 5, true),
            T::Held => (9, 24, 6, false),
            T::Called => (14, 44, 7, false),
            T::Taken => (14, 44, 8, false),
            T::CpuTime => (11, 11, 9, true),
            T::Native => (7, 7, 10, true),
        };
        Shape { min, want, rank, right }
    }

    fn falls(self) -> bool {
        matches!(self, T::Wait | T::Cpu | T::CpuTime)
    }

    fn compare(self, a: &ThreadRow, b: &ThreadRow) -> Ordering {
        let wait = |row: &ThreadRow| row.thread.wait.as_ref().map(|wait| (wait.kind.clone(), wait.object.clone()));
        let owner = |row: &ThreadRow| Some(row.thread.wait.as_ref()?.owners.first()?.name.to_lowercase());
        // Who waits comes before who does not, though nothing is less than something.
        let last = |none: bool| u8::from(none);
        match self {
            T::Ident => (last(a.thread.ident == 0), a.thread.ident).cmp(&(last(b.thread.ident == 0), b.thread.ident)),
            T::Native => a.thread.native_id.cmp(&b.thread.native_id),
            T::Name => a.thread.name.to_lowercase().cmp(&b.thread.name.to_lowercase()),
            T::State => a.standing.cmp(&b.standing).then(b.waited_us().cmp(&a.waited_us())),
            T::Wait => a.waited_us().cmp(&b.waited_us()),
            T::Cpu => a.cpu.unwrap_or(-1.0).total_cmp(&b.cpu.unwrap_or(-1.0)),
            T::CpuTime => a.thread.cpu_us.cmp(&b.thread.cpu_us),
            T::For => (last(wait(a).is_none()), wait(a)).cmp(&(last(wait(b).is_none()), wait(b))),
            T::Held => (last(owner(a).is_none()), owner(a)).cmp(&(last(owner(b).is_none()), owner(b))),
            T::Called | T::Taken => {
                let site = |row| self.cell_of_wait(row, usize::MAX);
                (last(site(a).is_empty()), site(a)).cmp(&(last(site(b).is_empty()), site(b)))
            }
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
            _ if row.standing == Standing::Foreign => look.quiet(),
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
    /// What a column says about the wait, if there is one.
    fn cell_of_wait(self, row: &ThreadRow, width: usize) -> String {
        let Some(wait) = &row.thread.wait else { return String::new() };
        match self {
            T::For => cells::object(&wait.kind, &wait.object, width),
            T::Held => cells::owners(&wait.owners, width),
            T::Called => fit_end(&wait.called_at, width).into_owned(),
            _ => cells::taken_at(wait, width),
        }
    }
}
