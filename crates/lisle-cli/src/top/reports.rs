//! The table of deadlocks, suspicions and orphaned locks.
#![forbid(unsafe_code)]

use super::list::{Column, Shape};
use super::look::Look;
use super::picture::{Picture, ReportRow, Standing};
use crate::harmless::{fit, harmless};
use crate::human;
use lisle::watch::wire::Confidence;
use ratatui::style::Style;
use std::cmp::Ordering;

/// A column of the table of reports.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum ReportColumn {
    When,
    What,
    Age,
    Threads,
    End,
}

use ReportColumn as R;

/// What tells reports apart: whether it holds now, its threads, and which of the reports on these it is.
pub(super) type ReportKey = (bool, Vec<u32>, usize);

/// What a report says there is, in two words.
pub(super) fn what(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Proven => "deadlock",
        Confidence::Timed => "timed deadlock",
        Confidence::Suspected => "suspected",
        Confidence::Orphaned => "orphaned lock",
        _ => "?",
    }
}

impl ReportRow {
    /// The name of the thread at this place, or its ident if it was never seen.
    pub(super) fn name(&self, at: usize) -> String {
        match &self.names[at] {
            Some(name) => harmless(name).into_owned(),
            None => format!("ident {}", self.report.threads[at]),
        }
    }

    /// The thread at this place, as pages say it.
    pub(super) fn thread(&self, at: usize) -> String {
        let ident = self.report.threads[at];
        match &self.names[at] {
            Some(name) => format!("\"{}\" (ident {ident})", harmless(name)),
            None => format!("a thread with ident {ident}"),
        }
    }

    /// Its threads in one line: the cycle comes back to the first.
    fn in_a_line(&self) -> String {
        /// How many threads are named.
        const NAMED: usize = 8;
        let threads = self.report.threads.len();
        let cycle = (self.report.cycle as usize).min(threads);
        let named = if cycle == 0 { threads } else { cycle }.min(NAMED);
        let mut line =
            (0..named).map(|at| self.name(at)).collect::<Vec<_>>().join(if cycle == 0 { ", " } else { " → " });
        match cycle {
            0 => {}
            1 => line += " → itself",
            _ if named < cycle => line += " → …",
            _ => line += &format!(" → {}", self.name(0)),
        }
        match threads - named {
            0 => line,
            more => format!("{line}, {more} more"),
        }
    }

    /// How it ended, if it did.
    fn end(&self) -> String {
        let failed = self.report.failed.and_then(|ident| {
            let at = self.report.threads.iter().position(|&thread| thread == ident)?;
            Some(format!("failed {}", self.name(at)))
        });
        match (failed, self.now, self.report.failed) {
            (Some(failed), ..) => failed,
            (None, _, Some(ident)) => format!("failed ident {ident}"),
            (None, false, None) => "by itself".to_owned(),
            (None, true, None) => String::new(),
        }
    }
}

impl Column for ReportColumn {
    type Row = ReportRow;
    type Key = ReportKey;

    const ALL: &'static [R] = &[R::When, R::What, R::Age, R::Threads, R::End];

    fn rows(picture: &Picture) -> &[ReportRow] {
        &picture.reports
    }

    fn key(row: &ReportRow) -> ReportKey {
        (row.now, row.report.threads.clone(), row.nth)
    }

    fn title(self) -> &'static str {
        match self {
            R::When => "WHEN",
            R::What => "WHAT",
            R::Age => "AGE",
            R::Threads => "THREADS",
            R::End => "ENDED",
        }
    }

    fn letter(self) -> Option<char> {
        match self {
            R::When => Some('S'),
            R::What => Some('A'),
            R::Age => Some('T'),
            _ => None,
        }
    }

    fn shape(self) -> Shape {
        let (min, ease, want, rank, right) = match self {
            R::When => (5, 5, 5, 1, false),
            R::What => (9, 14, 14, 0, false),
            R::Age => (11, 11, 11, 3, true),
            R::Threads => (12, 24, 80, 2, false),
            R::End => (10, 16, 24, 4, false),
        };
        Shape { min, ease, want, rank, right }
    }

    fn falls(self) -> bool {
        false
    }

    fn compare(self, a: &ReportRow, b: &ReportRow) -> Ordering {
        match self {
            R::When => (!a.now, a.report.age_us).cmp(&(!b.now, b.report.age_us)),
            R::What => (a.report.confidence, !a.now).cmp(&(b.report.confidence, !b.now)),
            R::Age => a.report.age_us.cmp(&b.report.age_us),
            R::Threads => a.in_a_line().cmp(&b.in_a_line()),
            R::End => a.end().cmp(&b.end()),
        }
    }

    fn cell(self, row: &ReportRow, _: &Picture, width: usize) -> String {
        match self {
            R::When if row.now => "now".to_owned(),
            R::When => "past".to_owned(),
            R::What => fit(what(row.report.confidence), width).into_owned(),
            R::Age => human::time(row.report.age_us),
            R::Threads => fit(&row.in_a_line(), width).into_owned(),
            R::End => fit(&row.end(), width).into_owned(),
        }
    }

    fn style(self, row: &ReportRow, look: Look) -> Style {
        if row.now { look.standing(Standing::Deadlock) } else { Style::new() }
    }

    fn texts<'a>(row: &'a ReportRow, _: &'a Picture) -> Vec<&'a str> {
        let mut texts = vec![what(row.report.confidence), &row.report.text];
        texts.extend(row.names.iter().flatten().map(|name| &**name));
        texts
    }
}
