//! Pages that lie over a table: one thing in full, or help.
#![forbid(unsafe_code)]

use super::list::Column;
use super::model::{Model, Pane};
use super::objects::{ObjectColumn, ObjectKey};
use super::picture::Picture;
use super::reports::{ReportColumn, ReportKey};
use super::threads::{ThreadColumn, ThreadKey};
use super::{details, help};
use crate::harmless::harmless;
use crate::top::writing::Writing;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// A page, and how far down one has read.
pub(super) struct Page {
    about: About,
    /// What it is about, in words, also when that is not there any more.
    pub(super) title: String,
    pub(super) scroll: usize,
    /// How many lines it has, and how many are seen at once.
    lines: usize,
    seen: usize,
}

/// What a page tells of.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum About {
    Help,
    Thread(ThreadKey),
    Object(ObjectKey),
    Report(ReportKey),
}

impl Page {
    fn new(about: About, title: String) -> Page {
        Page { about, title, scroll: 0, lines: 0, seen: 1 }
    }

    pub(super) fn help() -> Page {
        Page::new(About::Help, "Keys".to_owned())
    }

    /// The page on the marked row.
    pub(super) fn of_marked(model: &Model) -> Option<Page> {
        let picture = model.picture.as_ref()?;
        Some(match model.pane {
            Pane::Threads => {
                let row = model.threads.marked(picture)?;
                let title = format!("Thread \"{}\"", harmless(&row.thread.name));
                Page::new(About::Thread(ThreadColumn::key(row)), title)
            }
            Pane::Objects => {
                let row = model.objects.marked(picture)?;
                let title = format!("{} {}", harmless(&row.object.kind), harmless(&row.object.object));
                Page::new(About::Object(ObjectColumn::key(row)), title)
            }
            Pane::Reports => {
                let row = model.reports.marked(picture)?;
                Page::new(About::Report(ReportColumn::key(row)), "Report".to_owned())
            }
        })
    }

    pub(super) fn is_help(&self) -> bool {
        self.about == About::Help
    }

    /// Whether it shows an interpreter's frames.
    pub(super) fn has_frames(&self) -> bool {
        matches!(self.about, About::Thread(_))
    }

    /// Its text, in lines of this width.
    pub(super) fn text(&self, model: &Model, width: u16) -> Vec<Line<'static>> {
        let mut out = Writing::new(width, model.look);
        let is_there = match (&self.about, &model.picture) {
            (About::Help, _) => {
                help::write(&mut out);
                true
            }
            (_, None) => false,
            (about, Some(picture)) => write_details(about, picture, &mut out),
        };
        if !is_there {
            out.say("", &format!("{} is not there any more.", self.title));
        }
        out.lines
    }

    /// Reads on by so many lines.
    pub(super) fn step(&mut self, by: isize) {
        self.scroll = self.scroll.saturating_add_signed(by).min(self.lines.saturating_sub(self.seen));
    }

    /// How many lines are seen at once.
    pub(super) fn height(&self) -> usize {
        self.seen
    }

    pub(super) fn settle(&mut self, model: &Model, body: Rect) {
        self.lines = self.text(model, body.width).len();
        self.seen = usize::from(body.height).max(1);
        self.step(0);
    }
}

/// Returns whether it is there.
fn write_details(about: &About, picture: &Picture, out: &mut Writing) -> bool {
    fn find<'a, C: Column>(picture: &'a Picture, key: &C::Key) -> Option<&'a C::Row> {
        C::rows(picture).iter().find(|row| C::key(row) == *key)
    }
    match about {
        About::Help => true,
        About::Thread(key) => {
            find::<ThreadColumn>(picture, key).map(|row| details::thread(row, picture, out)).is_some()
        }
        About::Object(key) => {
            find::<ObjectColumn>(picture, key).map(|row| details::object(row, picture, out)).is_some()
        }
        About::Report(key) => {
            find::<ReportColumn>(picture, key).map(|row| details::report(row, picture, out)).is_some()
        }
    }
}
