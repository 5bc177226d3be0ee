//! A table that can be sorted, filtered and walked through: what the panes have in common.
#![forbid(unsafe_code)]

use super::look::Look;
use super::picture::Picture;
use ratatui::style::Style;
use std::cmp::Ordering;

/// A column of a pane's table. [`ALL`](Self::ALL) has them in the order in which they stand.
pub(super) trait Column: Copy + PartialEq + 'static {
    /// What a line of the table is about.
    type Row;
    /// What tells two rows apart, also in different pictures.
    type Key: Clone + PartialEq;

    const ALL: &'static [Self];

    /// The rows of a picture.
    fn rows(picture: &Picture) -> &[Self::Row];
    fn key(row: &Self::Row) -> Self::Key;

    fn title(self) -> &'static str;
    /// The key that sorts by it.
    fn letter(self) -> Option<char>;
    fn shape(self) -> Shape;
    /// What goes up when one does not ask for the reverse comes first.
    fn compare(self, a: &Self::Row, b: &Self::Row) -> Ordering;
    /// Whether the largest are to be first: numbers, of which one looks for the most.
    fn falls(self) -> bool {
        self.shape().right
    }
    /// What stands in it, in so many columns of the terminal at most.
    fn cell(self, row: &Self::Row, picture: &Picture, width: usize) -> String;
    fn style(self, row: &Self::Row, look: Look) -> Style {
        let _ = (row, look);
        Style::new()
    }

    /// Whether the row is shown at all, without a filter.
    fn is_shown(row: &Self::Row, all: bool) -> bool {
        let _ = (row, all);
        true
    }
    /// The texts that a filter looks into.
    fn texts<'a>(row: &'a Self::Row, picture: &'a Picture) -> Vec<&'a str>;
}

/// How much room a column takes, and who goes first when there is not enough.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// With less it is not there.
    pub(super) min: u16,
    /// What it gets before an [extra](EXTRA) column is put beside it.
    pub(super) ease: u16,
    /// What it gets where there is room.
    pub(super) want: u16,
    /// Columns of a higher number are left out first.
    pub(super) rank: u8,
    /// Whether it stands at the right of its room: a number.
    pub(super) right: bool,
}

/// From this rank on, columns are there only where the others have room.
const EXTRA: u8 = 7;

/// The columns that fit into this width, in their order, and how wide each is. One blank is between them.
pub(super) fn columns<C: Column>(width: u16) -> Vec<(C, u16)> {
    let mut by_rank: Vec<C> = C::ALL.to_vec();
    by_rank.sort_by_key(|column| column.shape().rank);
    let (mut left, mut left_at_ease) = (width + 1, width + 1);
    let mut fitting: Vec<C> = Vec::new();
    for column in by_rank {
        let Shape { min, ease, rank, .. } = column.shape();
        // The first column is there however narrow it gets.
        let room = if rank < EXTRA { left } else { left_at_ease };
        if room <= min && !fitting.is_empty() {
            break;
        }
        left = left.saturating_sub(min + 1);
        left_at_ease = left_at_ease.saturating_sub(ease + 1);
        fitting.push(column);
    }
    let shown = C::ALL.iter().copied().filter(|column| fitting.contains(column));
    let mut widths: Vec<(C, u16)> = shown.map(|column| (column, column.shape().min.min(width))).collect();
    let used: u16 = widths.iter().map(|(_, width)| width + 1).sum();
    let mut left = (width + 1).saturating_sub(used);
    left = widen(&mut widths, left, |shape| shape.ease);
    widen(&mut widths, left, |shape| shape.want);
    widths
}

/// Shares what is left out among the columns that are narrower than this, by how much they are. Returns what is left.
fn widen<C: Column>(widths: &mut [(C, u16)], mut left: u16, to: impl Fn(Shape) -> u16) -> u16 {
    let lack = |(column, width): &(C, u16)| u32::from(to(column.shape()).saturating_sub(*width));
    let mut lacking: u32 = widths.iter().map(lack).sum();
    for column in widths {
        let lack = lack(column);
        let share = (u32::from(left) * lack).checked_div(lacking).unwrap_or(0).min(lack);
        column.1 += share as u16;
        left -= share as u16;
        lacking -= lack;
    }
    left
}

/// Where one is in a pane's table, how it is sorted, and which rows are shown.
pub(super) struct List<C: Column> {
    pub(super) sort: C,
    pub(super) reversed: bool,
    pub(super) filter: String,
    /// Whether rows are shown that usually are not.
    pub(super) all: bool,
    /// The rows that are shown, as indices into the picture's.
    pub(super) rows: Vec<usize>,
    /// The place of the marked row among them.
    pub(super) cursor: usize,
    /// The place of the first one on the screen.
    pub(super) offset: usize,
    /// What the mark stays at when rows change their places. None before one has moved it: then it stays on top,
    /// where the worst is.
    held: Option<C::Key>,
}

impl<C: Column> List<C> {
    pub(super) fn sorted_by(sort: C) -> List<C> {
        let (filter, rows, held) = (String::new(), Vec::new(), None);
        List { sort, reversed: false, filter, all: false, rows, cursor: 0, offset: 0, held }
    }

    /// Finds the rows to be shown and the marked one among them, after anything has changed. `height` of them are
    /// on the screen at once.
    pub(super) fn settle(&mut self, picture: Option<&Picture>, height: u16) {
        let Some(picture) = picture else { return };
        let all = C::rows(picture);
        let needle = self.filter.to_lowercase();
        let matches = |row: &C::Row| {
            let mut texts = C::texts(row, picture).into_iter();
            needle.is_empty() || texts.any(|text| text.to_lowercase().contains(&needle))
        };
        self.rows = (0..all.len()).filter(|&at| C::is_shown(&all[at], self.all) && matches(&all[at])).collect();
        let falls = self.sort.falls() != self.reversed;
        self.rows.sort_by(|&a, &b| match self.sort.compare(&all[a], &all[b]) {
            order if falls => order.reverse(),
            order => order,
        });
        if let Some(held) = &self.held {
            match self.rows.iter().position(|&at| C::key(&all[at]) == *held) {
                Some(at) => self.cursor = at,
                // It is gone: the mark goes to who has its place now.
                None => self.held = None,
            }
        }
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
        if self.held.is_none() && self.cursor > 0 {
            self.held = self.marked(picture).map(C::key);
        }
        let height = usize::from(height).max(1);
        self.offset = self.offset.min(self.rows.len().saturating_sub(height));
        self.offset = self.offset.clamp((self.cursor + 1).saturating_sub(height), self.cursor);
    }

    /// The marked row.
    pub(super) fn marked<'a>(&self, picture: &'a Picture) -> Option<&'a C::Row> {
        C::rows(picture).get(*self.rows.get(self.cursor)?)
    }
}

/// What keys do to a list, whatever it is of.
pub(super) trait Walk {
    /// Moves the mark by so many rows, as far as there are.
    fn step(&mut self, by: isize, picture: Option<&Picture>);
    /// Sorts by the column before or after the present one.
    fn sort_by_neighbour(&mut self, by: isize);
    /// Sorts by the column with this letter. Returns whether there is one.
    fn sort_by_letter(&mut self, letter: char) -> bool;
    fn reverse(&mut self);
    fn toggle_all(&mut self);
    fn filter(&mut self) -> &mut String;
}

impl<C: Column> Walk for List<C> {
    fn step(&mut self, by: isize, picture: Option<&Picture>) {
        let last = self.rows.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
        let marked = picture.and_then(|picture| self.marked(picture));
        self.held = marked.filter(|_| self.cursor > 0).map(C::key);
    }

    fn sort_by_neighbour(&mut self, by: isize) {
        let at = C::ALL.iter().position(|column| *column == self.sort).unwrap_or(0);
        self.sort = C::ALL[at.saturating_add_signed(by).min(C::ALL.len() - 1)];
        self.reversed = false;
    }

    fn sort_by_letter(&mut self, letter: char) -> bool {
        let column = C::ALL.iter().find(|column| column.letter() == Some(letter));
        if let Some(column) = column {
            self.sort = *column;
            self.reversed = false;
        }
        column.is_some()
    }

    fn reverse(&mut self) {
        self.reversed = !self.reversed;
    }

    fn toggle_all(&mut self) {
        self.all = !self.all;
    }

    fn filter(&mut self) -> &mut String {
        &mut self.filter
    }
}
