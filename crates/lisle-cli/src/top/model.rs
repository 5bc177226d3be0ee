//! What the view is a view of: the picture, where one is in it, and how one wants to see it.
#![forbid(unsafe_code)]

use super::asking::Asking;
use super::list::{List, Walk};
use super::look::Look;
use super::objects::ObjectColumn;
use super::page::Page;
use super::picture::Picture;
use super::reports::ReportColumn;
use super::threads::ThreadColumn;
use super::view::Areas;
use crate::source::Gone;
use lisle::watch::wire::Snapshot;
use ratatui::layout::Size;
use std::time::Duration;

/// One of the three tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pane {
    Threads,
    Objects,
    Reports,
}

impl Pane {
    pub(super) const ALL: [Pane; 3] = [Pane::Threads, Pane::Objects, Pane::Reports];

    /// The one so many places on, around the end.
    pub(super) fn next(self, by: usize) -> Pane {
        Pane::ALL[(self as usize + by) % Pane::ALL.len()]
    }
}

/// All that the view shows and keys change.
pub(super) struct Model {
    pub(super) pid: u32,
    /// How its source calls the program, at length. The view says whom it is about in its first line.
    pub(super) program: String,
    pub(super) look: Look,
    pub(super) size: Size,
    pub(super) asking: Asking,
    /// What there is to say of the versions of the program and this one.
    pub(super) note: Option<String>,
    /// Why there are no more pictures, once there are none.
    pub(super) gone: Option<String>,
    pub(super) picture: Option<Picture>,
    pub(super) pane: Pane,
    pub(super) threads: List<ThreadColumn>,
    pub(super) objects: List<ObjectColumn>,
    pub(super) reports: List<ReportColumn>,
    /// The page that lies over the table, if one does.
    pub(super) page: Option<Page>,
    /// Whether keys go to the filter.
    pub(super) typing: bool,
}

impl Model {
    pub(super) fn new(pid: u32, interval: Duration, color: bool) -> Model {
        Model {
            pid,
            program: format!("process {pid}"),
            look: Look { color },
            size: Size::new(80, 24),
            asking: Asking::every(interval),
            note: None,
            gone: None,
            picture: None,
            pane: Pane::Threads,
            threads: List::sorted_by(ThreadColumn::State),
            objects: List::sorted_by(ObjectColumn::Total),
            reports: List::sorted_by(ReportColumn::When),
            page: None,
            typing: false,
        }
    }

    /// The program has answered.
    pub(super) fn take(&mut self, answer: Result<Snapshot, Gone>) {
        match answer {
            Ok(snapshot) => {
                self.asking.answered();
                self.picture = Some(Picture::new(snapshot, self.picture.as_ref()));
            }
            Err(Gone(why)) => {
                self.asking.ended();
                self.gone = Some(why.replacen(&self.program, "the program", 1));
            }
        }
        self.settle();
    }

    pub(super) fn resize(&mut self, size: Size) {
        if self.size != size {
            self.size = size;
            self.settle();
        }
    }

    /// Whether the program has to be asked now; the caller does it then.
    pub(super) fn wants_to_ask(&mut self) -> bool {
        self.gone.is_none() && self.asking.take_turn()
    }

    /// Whether the next snapshot has to have an interpreter's frames: they cost the program more than the rest.
    pub(super) fn wants_frames(&self) -> bool {
        self.page.as_ref().is_some_and(Page::has_frames)
    }

    /// Puts everything that depends on something else in its place. To be called after each change.
    pub(super) fn settle(&mut self) {
        let areas = Areas::of(self, self.size);
        let picture = self.picture.as_ref();
        self.threads.settle(picture, areas.rows());
        self.objects.settle(picture, areas.rows());
        self.reports.settle(picture, areas.rows());
        if let Some(mut page) = self.page.take() {
            page.settle(self, areas.body);
            self.page = Some(page);
        }
    }

    /// The table that one is in.
    pub(super) fn list(&mut self) -> &mut dyn Walk {
        match self.pane {
            Pane::Threads => &mut self.threads,
            Pane::Objects => &mut self.objects,
            Pane::Reports => &mut self.reports,
        }
    }

    /// Moves the mark of the table that one is in.
    pub(super) fn step(&mut self, by: isize) {
        let picture = self.picture.as_ref();
        match self.pane {
            Pane::Threads => self.threads.step(by, picture),
            Pane::Objects => self.objects.step(by, picture),
            Pane::Reports => self.reports.step(by, picture),
        }
    }
}
