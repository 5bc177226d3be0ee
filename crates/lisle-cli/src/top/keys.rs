//! What the keys do.
#![forbid(unsafe_code)]

use super::model::{Model, Pane};
use super::page::Page;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What is to be done beyond the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    Nothing,
    /// The terminal has to be drawn from scratch.
    Redraw,
    /// The program `lisle` stops, until the shell continues it.
    Suspend,
    Quit,
}

/// Changes the model as the key says.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Then {
    if key.kind == KeyEventKind::Release {
        return Then::Nothing;
    }
    let then = match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => control(model, c.to_ascii_lowercase()),
        KeyCode::F(10) => Then::Quit,
        code if model.typing => {
            type_filter(model, code);
            Then::Nothing
        }
        code => anywhere(model, code),
    };
    model.settle();
    then
}

fn control(model: &mut Model, c: char) -> Then {
    match c {
        'c' => return Then::Quit,
        'z' => return Then::Suspend,
        'l' => return Then::Redraw,
        'u' if model.typing => model.list().filter().clear(),
        'f' => go(model, KeyCode::PageDown),
        'b' => go(model, KeyCode::PageUp),
        'n' => go(model, KeyCode::Down),
        'p' => go(model, KeyCode::Up),
        _ => {}
    }
    Then::Nothing
}

fn type_filter(model: &mut Model, code: KeyCode) {
    match code {
        KeyCode::Char(c) => model.list().filter().push(c),
        KeyCode::Backspace => match model.list().filter().pop() {
            Some(_) => {}
            None => model.typing = false,
        },
        KeyCode::Enter => model.typing = false,
        KeyCode::Esc => {
            model.list().filter().clear();
            model.typing = false;
        }
        code => go(model, code),
    }
}

/// Moves the mark, or the page.
fn go(model: &mut Model, code: KeyCode) {
    let height = match &model.page {
        Some(page) => page.height(),
        None => usize::from(super::view::Areas::of(model, model.size).rows()),
    };
    let by = match code {
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -(height.max(1) as isize),
        KeyCode::PageDown => height.max(1) as isize,
        KeyCode::Home | KeyCode::Char('g') => isize::MIN / 2,
        KeyCode::End | KeyCode::Char('G') => isize::MAX / 2,
        _ => return,
    };
    match &mut model.page {
        Some(page) => page.step(by),
        None => model.step(by),
    }
}

fn anywhere(model: &mut Model, code: KeyCode) -> Then {
    match code {
        KeyCode::F(1) | KeyCode::Char('?' | 'h') => {
            let is_help = model.page.as_ref().is_some_and(Page::is_help);
            model.page = (!is_help).then(Page::help);
        }
        KeyCode::Char(' ') => model.asking.paused = !model.asking.paused,
        KeyCode::Char('+' | '=') => model.asking.faster(),
        KeyCode::Char('-' | '_') => model.asking.slower(),
        KeyCode::F(5) => model.asking.at_once(),
        _ if model.page.is_some() => match code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Left | KeyCode::Char('q') => {
                model.page = None
            }
            code => go(model, code),
        },
        KeyCode::Char('q') => return Then::Quit,
        code => in_table(model, code),
    }
    Then::Nothing
}

fn in_table(model: &mut Model, code: KeyCode) {
    match code {
        KeyCode::Tab => model.pane = model.pane.next(1),
        KeyCode::BackTab => model.pane = model.pane.next(2),
        KeyCode::Char('1') => model.pane = Pane::Threads,
        KeyCode::Char('2') => model.pane = Pane::Objects,
        KeyCode::Char('3') => model.pane = Pane::Reports,
        KeyCode::Enter => {
            model.page = Page::of_marked(model);
            if model.wants_frames() {
                model.asking.at_once();
            }
        }
        KeyCode::Char('/' | '\\') | KeyCode::F(3 | 4) => model.typing = true,
        KeyCode::Esc => model.list().filter().clear(),
        KeyCode::Char('>' | '.') | KeyCode::F(6) => model.list().sort_by_neighbour(1),
        KeyCode::Char('<' | ',') => model.list().sort_by_neighbour(-1),
        KeyCode::Char('r' | 'I') => model.list().reverse(),
        KeyCode::Char('a') => model.list().toggle_all(),
        code @ KeyCode::Char('k' | 'j' | 'g' | 'G') => go(model, code),
        KeyCode::Char(letter) => _ = model.list().sort_by_letter(letter),
        code => go(model, code),
    }
}
