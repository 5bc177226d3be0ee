//! Colours, or what takes their place.
#![forbid(unsafe_code)]

use super::picture::Standing;
use ratatui::style::{Color, Modifier, Style};

/// Whether there are colours. Without, all that they tell is told by words, bold and reverse.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) color: bool,
}

impl Look {
    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// There is a deadlock.
    pub(super) fn alarm(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
            false => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }

    /// The picture is not what one would take it for: it is old.
    pub(super) fn notice(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::Black).bg(Color::Yellow),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The line above a table.
    pub(super) fn header(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::Black).bg(Color::Green),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The column that a table is sorted by.
    pub(super) fn sorted(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::Black).bg(Color::Cyan),
            false => Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        }
    }

    /// The marked row.
    pub(super) fn marked(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::Black).bg(Color::Cyan),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// What is named: the present pane, a key's text.
    pub(super) fn label(self) -> Style {
        self.marked()
    }

    /// What a thread does.
    pub(super) fn standing(self, standing: Standing) -> Style {
        match standing {
            Standing::Deadlock => self.colored(Color::Red).add_modifier(Modifier::BOLD),
            Standing::Suspect | Standing::Orphaned => self.colored(Color::Red),
            Standing::Running => self.colored(Color::Green),
            Standing::Blocked => self.colored(Color::Yellow),
            Standing::Started | Standing::Service | Standing::Foreign | Standing::Other => self.quiet(),
            Standing::Waiting => Style::new(),
        }
    }

    /// The head of a part of a page.
    pub(super) fn head(self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}
