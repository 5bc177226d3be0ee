//! The model as a picture on the terminal.
#![forbid(unsafe_code)]

use super::list::{Column, List, columns};
use super::model::{Model, Pane};
use super::page::Page;
use super::picture::{ReportRow, Standing};
use super::writing::Writing;
use crate::harmless::{fit, fit_end, harmless, width};
use crate::human::{self, time};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::Style;
use std::time::Duration;

/// Terminals lower than this have room for the table alone, and for what is wrong.
const LOW: u16 = 10;

/// How long one is reminded of what is over.
const LATELY: Duration = Duration::from_secs(60);

/// Where everything is.
pub(super) struct Areas {
    /// Whose threads these are.
    head: Rect,
    /// What is wrong.
    notices: Rect,
    /// Which tables there are.
    tabs: Rect,
    /// The table, or the page that lies over it.
    pub(super) body: Rect,
    /// What is marked in full, below the table.
    preview: Option<Rect>,
    /// Keys, or the filter that one types.
    foot: Rect,
}

impl Areas {
    pub(super) fn of(model: &Model, size: Size) -> Areas {
        let low = size.height < LOW;
        let notices = notices(model).len() as u16;
        let mut top = 0;
        let mut take = |height: u16| {
            let area = Rect::new(0, top, size.width, height.min(size.height - top));
            top += area.height;
            area
        };
        let head = take(if low { 0 } else { 2 });
        let notices = take(if low { notices.min(size.height.saturating_sub(3)) } else { notices });
        let tabs = take(if low && notices.height > 0 { 0 } else { 1 });
        let foot = if low && !model.typing { 0 } else { 1 };
        let mut body = take(size.height.saturating_sub(head.height + notices.height + tabs.height + foot));
        let foot = take(foot);
        // A report is told by its text, so that comes first; of the others there is enough in the table.
        let reports = model.picture.as_ref().map_or(0, |picture| picture.reports.len()) as u16;
        let list = match model.pane {
            Pane::Reports if body.height >= 8 && reports > 0 => (reports + 2).min(body.height / 3),
            Pane::Threads | Pane::Objects if body.height >= 30 => body.height - 14,
            _ => body.height,
        };
        let has_preview = list < body.height && model.page.is_none();
        let preview = has_preview.then(|| Rect { y: body.y + list, height: body.height - list, ..body });
        if has_preview {
            body.height = list;
        }
        Areas { head, notices, tabs, body, preview, foot }
    }

    /// How many rows of a table there are at once.
    pub(super) fn rows(&self) -> u16 {
        self.body.height.saturating_sub(1)
    }
}

/// Draws all of it. Where the cursor is, if one types, is told too.
pub(super) fn draw(model: &Model, frame: &mut Frame) {
    let areas = Areas::of(model, frame.area().as_size());
    let buffer = frame.buffer_mut();
    draw_head(model, areas.head, buffer);
    for (row, notice) in areas.notices.rows().zip(notices(model)) {
        buffer.set_style(row, notice.style);
        let fitting = notice.texts.iter().find(|text| width(text) < usize::from(row.width));
        if let Some(text) = fitting.or(notice.texts.last()) {
            put(buffer, row, &format!(" {text}"), notice.style);
        }
    }
    match &model.page {
        Some(page) => draw_page(model, page, &areas, buffer),
        None => {
            draw_tabs(model, areas.tabs, buffer);
            match model.pane {
                Pane::Threads => draw_table(model, &model.threads, areas.body, buffer),
                Pane::Objects => draw_table(model, &model.objects, areas.body, buffer),
                Pane::Reports => draw_table(model, &model.reports, areas.body, buffer),
            }
            if let Some(area) = areas.preview {
                draw_preview(model, area, buffer);
            }
        }
    }
    match model.typing {
        false => draw_keys(model, areas.foot, buffer),
        true => {
            let text = format!("/{}", model_filter(model));
            // Of what is too long, one sees the end that one types at. The last column is the cursor's.
            let text = fit_end(&text, usize::from(areas.foot.width).saturating_sub(1));
            put(buffer, areas.foot, &text, Style::new());
            let x = (width(&text) as u16).min(areas.foot.width.saturating_sub(1));
            frame.set_cursor_position(Position::new(x, areas.foot.y));
        }
    }
}

/// Writes into a line, as much of it as there is room for.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if area.height > 0 {
        buffer.set_stringn(area.x, area.y, fit(text, usize::from(area.width)), usize::from(area.width), style);
    }
}

/// Writes into a line at its right. Returns what is left of the line.
fn put_right(buffer: &mut Buffer, area: Rect, text: &str, style: Style) -> Rect {
    let width = (width(text) as u16).min(area.width);
    put(buffer, Rect { x: area.right() - width, width, ..area }, text, style);
    Rect { width: (area.width - width).saturating_sub(1), ..area }
}

fn model_filter(model: &Model) -> &str {
    match model.pane {
        Pane::Threads => &model.threads.filter,
        Pane::Objects => &model.objects.filter,
        Pane::Reports => &model.reports.filter,
    }
}

/// Something that one must not miss.
struct Notice {
    style: Style,
    /// What it says, in more words and in fewer.
    texts: Vec<String>,
}

/// What is wrong, the worst first.
fn notices(model: &Model) -> Vec<Notice> {
    let alarm = match alarm(model) {
        Some(texts) => Some(Notice { style: model.look.alarm(), texts }),
        None => lately(model).map(|texts| Notice { style: model.look.notice(), texts }),
    };
    let state = state(model).map(|texts| Notice { style: model.look.notice(), texts });
    let note = model.note.iter().map(|note| Notice { style: model.look.quiet(), texts: vec![sentence(note)] });
    alarm.into_iter().chain(state).chain(note).collect()
}

/// What is wrong with the program.
fn alarm(model: &Model) -> Option<Vec<String>> {
    let text = counted(model.picture.as_ref()?.count(|row| row.now))?;
    Some(vec![format!("{text}{}", hint(model)), text])
}

/// What was wrong with it a moment ago: a deadlock is over as soon as a wait is failed for it.
fn lately(model: &Model) -> Option<Vec<String>> {
    let picture = model.picture.as_ref()?;
    let is_late = |row: &ReportRow| !row.now && row.report.age_us < LATELY.as_micros() as u64;
    let text = counted(picture.count(is_late))?;
    let ages = picture.reports.iter().filter(|row| is_late(row)).map(|row| row.report.age_us);
    let ago = time(ages.min()?);
    Some(vec![format!("{text} found {ago} ago, and over{}", hint(model)), format!("{text} {ago} ago")])
}

/// `1 deadlock, 2 orphaned locks`; none if there is none.
fn counted(reports: [usize; 3]) -> Option<String> {
    let words = ["deadlock", "suspected deadlock", "orphaned lock"];
    let found = reports.into_iter().zip(words).filter(|(n, _)| *n > 0);
    let found: Vec<String> = found.map(|(n, what)| human::count(n, what)).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

fn hint(model: &Model) -> &'static str {
    if model.pane == Pane::Reports { "" } else { ": key 3 shows more" }
}

/// Why one does not see the program as it is now.
fn state(model: &Model) -> Option<Vec<String>> {
    let in_words = |length: Duration| time(length.as_micros() as u64);
    let age = model.asking.age().map(in_words);
    if let Some(why) = &model.gone {
        let picture = age.map(|age| format!(" This is the last picture, {age} old.")).unwrap_or_default();
        let why = sentence(why);
        return Some(vec![
            format!("{why}{picture} q quits."),
            format!("{why} q quits."),
            format!("There is no more to come.{picture} q quits."),
            "no more; q quits".to_owned(),
        ]);
    }
    if let Some(overdue) = model.asking.overdue().map(in_words) {
        return Some(vec![format!("The program has not answered for {overdue}."), format!("no answer: {overdue}")]);
    }
    let age = age.filter(|_| model.asking.paused)?;
    Some(vec![format!("Paused: this is {age} old. Space goes on."), format!("paused: {age}")])
}

/// What somebody else said, with a great letter and a full stop.
fn sentence(text: &str) -> String {
    let text = harmless(text.trim_end_matches('.'));
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn draw_head(model: &Model, area: Rect, buffer: &mut Buffer) {
    let [first, second] = [0, 1].map(|line| Rect { y: area.y + line, height: 1.min(area.height), ..area });
    let Some(picture) = &model.picture else {
        return put(buffer, first, &format!("lisle top {}", model.pid), model.look.bold());
    };
    let process = &picture.snapshot.process;
    let interval = format!("every {}", time(model.asking.interval.as_micros() as u64));
    let mut facts = vec![format!("up {}", time(process.age_us)), interval, format!("lisle {}", process.lisle)];
    facts.extend(process.interpreter.clone());
    // Which directory the program lies in tells least.
    let command = process.command.join(" ");
    let directory = process.command.first().and_then(|program| Some(program.rfind('/')? + 1)).unwrap_or(0);
    let command = harmless(&command[directory..]);
    let left = format!("lisle top {}  {command}", model.pid);
    // The command is worth more than the versions.
    let room = usize::from(area.width).saturating_sub(width(&left).min(50) + 2);
    while facts.len() > 1 && width(&facts.join(", ")) > room {
        facts.pop();
    }
    let rest = put_right(buffer, first, &harmless(&facts.join(", ")), Style::new());
    put(buffer, rest, &left, model.look.bold());

    let of = |standing| picture.threads.iter().filter(|row| row.standing == standing).count();
    let known = picture.threads.len() - of(Standing::Foreign);
    let states = [
        Standing::Deadlock,
        Standing::Suspect,
        Standing::Orphaned,
        Standing::Running,
        Standing::Blocked,
        Standing::Waiting,
        Standing::Started,
        Standing::Service,
        Standing::Foreign,
    ];
    let states = states.into_iter().map(|standing| (of(standing), standing.word())).filter(|(n, _)| *n > 0);
    let states: Vec<String> = states.map(|(n, word)| format!("{n} {word}")).collect();
    let cpu = picture.cpu().map(|cpu| format!("CPU {cpu:.1} %")).unwrap_or_default();
    let rest = put_right(buffer, second, &cpu, Style::new());
    let (threads, states) = (human::count(known, "thread"), states.join(", "));
    // Their sum is what one can do without.
    let whole = if states.is_empty() { threads } else { format!("{threads}: {states}") };
    put(buffer, rest, if width(&whole) <= usize::from(rest.width) { &whole } else { &states }, Style::new());
}

fn draw_tabs(model: &Model, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let none = (0, 0, 0);
    let (shown, all, at) = match (&model.picture, model.pane) {
        (None, _) => none,
        (Some(picture), Pane::Threads) => (model.threads.rows.len(), picture.threads.len(), model.threads.cursor),
        (Some(picture), Pane::Objects) => (model.objects.rows.len(), picture.objects.len(), model.objects.cursor),
        (Some(picture), Pane::Reports) => (model.reports.rows.len(), picture.reports.len(), model.reports.cursor),
    };
    let mut where_one_is = match shown {
        0 => String::new(),
        _ => format!("{} of {shown}", at + 1),
    };
    let filter = model_filter(model);
    if !filter.is_empty() {
        where_one_is = format!("{where_one_is} with \"{}\"", fit(filter, 20));
    } else if model.pane == Pane::Objects && shown < all {
        where_one_is = format!("{where_one_is}, a: {} more", all - shown);
    }
    let (now, past) = match &model.picture {
        None => (0, 0),
        Some(picture) => {
            let now = picture.reports.iter().filter(|row| row.now).count();
            (now, picture.reports.len() - now)
        }
    };
    let reports = match (now, past) {
        (0, 0) => "Deadlocks".to_owned(),
        (now, past) => format!("Deadlocks {now} now, {past} past"),
    };
    let titles = ["Threads".to_owned(), "Locks and queues".to_owned(), reports];
    let wide = titles.iter().map(|title| title.len() + 5).sum::<usize>() + where_one_is.len() < usize::from(area.width);
    let mut left = area;
    if wide || left.width >= 40 {
        left = put_right(buffer, left, &where_one_is, Style::new());
    }
    for (pane, title) in Pane::ALL.into_iter().zip(titles) {
        let is_here = pane == model.pane;
        let number = pane as usize + 1;
        let text = match (wide, is_here) {
            (true, _) | (_, true) => format!(" {number} {title} "),
            (false, false) => format!(" {number} "),
        };
        let style = if is_here { model.look.label() } else { Style::new() };
        put(buffer, left, &text, style);
        let used = (width(&text) as u16).min(left.width);
        left = Rect { x: left.x + used, width: left.width - used, ..left };
    }
}

fn draw_table<C: Column>(model: &Model, list: &List<C>, area: Rect, buffer: &mut Buffer) {
    let Some(picture) = &model.picture else {
        let text = if model.gone.is_some() { String::new() } else { format!("Asking process {} …", model.pid) };
        return put(buffer, area, &text, Style::new());
    };
    if area.height == 0 {
        return;
    }
    let look = model.look;
    let columns = columns::<C>(area.width);
    let header = Rect { height: 1, ..area };
    buffer.set_style(header, look.header());
    draw_cells(header, &columns, buffer, |column, width| {
        let is_sorted = column == list.sort;
        let arrow = match (is_sorted, column.falls() != list.reversed) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        // The arrow is there however narrow the column is.
        let title = fit(column.title(), width - arrow.chars().count().min(width));
        (format!("{title}{arrow}"), if is_sorted { look.sorted() } else { look.header() })
    });
    let rows = area.rows().skip(1).zip(list.offset..).zip(list.rows.iter().skip(list.offset));
    for ((line, at), &row) in rows {
        let row = &C::rows(picture)[row];
        draw_cells(line, &columns, buffer, |column, width| (column.cell(row, picture, width), column.style(row, look)));
        if at == list.cursor {
            buffer.set_style(line, look.marked());
        }
    }
    if list.rows.is_empty() && area.height > 1 {
        let text = match (list.filter.is_empty(), model.pane) {
            (false, _) => "Nothing has this text. Esc shows all.",
            (true, Pane::Threads) => "The program has no threads that lisle knows.",
            (true, Pane::Objects) => "No thread has waited for a lock or a queue since somebody began to look.",
            (true, Pane::Reports) => "No deadlock, no suspicion, no orphaned lock: neither now nor lately.",
        };
        let mut out = Writing::new(area.width, look);
        out.put("", "", text, Style::new());
        for (line, row) in out.lines.iter().zip(area.rows().skip(1)) {
            buffer.set_line(row.x, row.y, line, row.width);
        }
    }
}

/// Writes a cell of each column into a line. `cell` gets the column and its width, and returns a text of at most
/// that width.
fn draw_cells<C: Column>(
    line: Rect,
    columns: &[(C, u16)],
    buffer: &mut Buffer,
    cell: impl Fn(C, usize) -> (String, Style),
) {
    let mut x = line.x;
    for &(column, columns) in columns {
        let (text, style) = cell(column, usize::from(columns));
        let blank = if column.shape().right { columns.saturating_sub(width(&text) as u16) } else { 0 };
        let area = Rect { x: x + blank, width: columns - blank, ..line };
        put(buffer, area.intersection(line), &text, style);
        x += columns + 1;
    }
}

/// What is marked in full, as far as there is room.
fn draw_preview(model: &Model, mut area: Rect, buffer: &mut Buffer) {
    let Some(page) = Page::of_marked(model) else { return };
    let text = page.text(model, area.width);
    let title = Rect { height: 1, ..area };
    buffer.set_style(title, model.look.header());
    put(buffer, title, &format!(" {}", page.title), model.look.header());
    (area.y, area.height) = (area.y + 1, area.height - 1);
    for (line, row) in text.iter().zip(area.rows()) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
    if text.len() > usize::from(area.height) && area.height > 0 {
        let last = Rect { y: area.bottom() - 1, height: 1, ..area };
        put_right(buffer, last, " Enter: the rest ", model.look.label());
    }
}

fn draw_page(model: &Model, page: &Page, areas: &Areas, buffer: &mut Buffer) {
    let title = areas.tabs;
    let text = page.text(model, areas.body.width);
    if title.height > 0 {
        buffer.set_style(title, model.look.header());
        let seen = (page.scroll + page.height()).min(text.len());
        let place = if text.len() > page.height() { format!("{seen} of {} lines ", text.len()) } else { String::new() };
        let rest = put_right(buffer, title, &place, model.look.header());
        put(buffer, rest, &format!(" {}", page.title), model.look.header());
    }
    for (line, row) in text.iter().skip(page.scroll).zip(areas.body.rows()) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
}

fn draw_keys(model: &Model, mut area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let page: &[(&str, &str)] = &[("Esc", "Back"), ("↑↓", "Read on"), ("Space", "Pause"), ("F10", "Quit")];
    let pause = if model.asking.paused { "Go on" } else { "Pause" };
    let table: &[(&str, &str)] = &[
        ("F1", "Help"),
        ("/", "Filter"),
        ("<>", "Sort"),
        ("r", "Reverse"),
        ("Tab", "Pane"),
        ("Enter", "More"),
        ("Space", pause),
        ("+-", "Speed"),
        ("q", "Quit"),
    ];
    for (key, does) in if model.page.is_some() { page } else { table } {
        let needed = (width(key) + width(does) + 1) as u16;
        if needed > area.width {
            return;
        }
        put(buffer, area, key, model.look.bold());
        let label = Rect { x: area.x + width(key) as u16, width: width(does) as u16, ..area };
        put(buffer, label, does, model.look.label());
        area = Rect { x: area.x + needed, width: area.width - needed, ..area };
    }
}
