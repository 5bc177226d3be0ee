//! Screens, compared with those in `screens/` to the letter, and what keys change.
//!
//! `LISLE_SCREENS=write cargo test -p lisle-cli top` writes them; what has changed is then seen in `git diff`.

use super::keys::{self, Then};
use super::list::{Column, columns};
use super::model::{Model, Pane};
use super::threads::ThreadColumn;
use super::view;
use crate::source::{Gone, Source};
use crate::testing::{self, BuildObject, BuildThread, BuildWait, Played, object, thread, wait};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lisle::watch::wire::Snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};
use std::path::Path;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (20, 5)];

/// A view that has got these snapshots, a second apart.
fn model(snapshots: impl IntoIterator<Item = Snapshot>) -> Model {
    let mut model = Model::new(4242, Duration::from_secs(1), true);
    for snapshot in snapshots {
        assert!(model.wants_to_ask());
        model.take(Ok(snapshot));
        model.asking.now += Duration::from_secs(1);
    }
    model
}

fn press(model: &mut Model, code: KeyCode) -> Then {
    keys::press(model, KeyEvent::new(code, KeyModifiers::NONE))
}

fn type_in(model: &mut Model, text: &str) {
    text.chars().for_each(|c| assert_eq!(press(model, KeyCode::Char(c)), Then::Nothing));
}

fn draw(model: &mut Model, (width, height): (u16, u16)) -> Buffer {
    model.resize(Size { width, height });
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(model, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of a screen as a terminal shows them.
fn lines(buffer: &Buffer) -> Vec<String> {
    let line = |y| {
        let (mut line, mut x) = (String::new(), 0);
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line += symbol;
            x += symbol.width().max(1) as u16;
        }
        line.trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect()
}

fn text(model: &mut Model, size: (u16, u16)) -> String {
    lines(&draw(model, size)).join("\n") + "\n"
}

/// Compares the screens of all three sizes with what is checked in.
fn expect(name: &str, model: &mut Model) {
    let mut wrong = String::new();
    for size @ (width, height) in SIZES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/top/screens/{name}-{width}x{height}.txt"));
        let screen = text(model, size);
        if std::env::var_os("LISLE_SCREENS").is_some_and(|value| value == "write") {
            std::fs::write(&path, &screen).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if screen != expected {
            wrong += &format!("\n{} is not what is expected:\n{screen}\n", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn screens_of_threads() {
    expect("healthy", &mut model([testing::healthy(), testing::later(testing::healthy(), 1_000)]));
    expect("contention", &mut model([testing::contention(), testing::contention_later()]));
    expect("deadlock", &mut model([testing::deadlock()]));
    expect("pool", &mut model([testing::pool()]));
    expect("orphan", &mut model([testing::orphan()]));
    expect("empty", &mut model([testing::empty()]));
    expect("many", &mut model([testing::many(10_000), testing::later(testing::many(10_000), 1_000)]));
    expect("hostile", &mut model([testing::hostile()]));
    expect("nothing-yet", &mut model([]));
}

#[test]
fn screens_of_locks_and_queues() {
    for (name, mut model) in [
        ("healthy", model([testing::healthy(), testing::later(testing::healthy(), 1_000)])),
        ("contention", model([testing::contention(), testing::contention_later()])),
        ("deadlock", model([testing::deadlock()])),
        ("empty", model([testing::empty()])),
    ] {
        press(&mut model, KeyCode::Char('2'));
        expect(&format!("{name}-objects"), &mut model);
    }
}

#[test]
fn screens_of_deadlocks() {
    for (name, snapshot) in [
        ("deadlock", testing::deadlock()),
        ("pool", testing::pool()),
        ("orphan", testing::orphan()),
        ("healthy", testing::healthy()),
    ] {
        let mut model = model([snapshot]);
        press(&mut model, KeyCode::Char('3'));
        expect(&format!("{name}-reports"), &mut model);
    }
}

#[test]
fn screens_of_single_things() {
    let mut thread = model([testing::deadlock(), testing::later(testing::deadlock(), 1_000)]);
    type_in(&mut thread, "/audit");
    press(&mut thread, KeyCode::Enter);
    press(&mut thread, KeyCode::Enter);
    expect("thread", &mut thread);

    let mut object = model([testing::contention(), testing::contention_later()]);
    type_in(&mut object, "2");
    press(&mut object, KeyCode::Enter);
    expect("object", &mut object);

    let mut report = model([testing::deadlock()]);
    type_in(&mut report, "3");
    press(&mut report, KeyCode::End);
    press(&mut report, KeyCode::Enter);
    expect("past-report", &mut report);
}

#[test]
fn screens_of_help_and_of_the_filter() {
    let mut help = model([testing::healthy()]);
    press(&mut help, KeyCode::F(1));
    expect("help", &mut help);

    let mut typing = model([testing::healthy()]);
    type_in(&mut typing, "/worker");
    expect("typing", &mut typing);
    type_in(&mut typing, "-9");
    press(&mut typing, KeyCode::Enter);
    expect("no-match", &mut typing);
}

#[test]
fn screens_of_what_is_old() {
    let mut ended = model([testing::deadlock()]);
    ended.program = "process 4242 (bank.py)".into();
    ended.take(Err(Gone("process 4242 (bank.py) has ended".into())));
    ended.asking.now += Duration::from_secs(12);
    expect("ended", &mut ended);

    let mut never = model([]);
    never.program = "process 4242 (bank.py)".into();
    never.take(Err(Gone("process 4242 (bank.py) has ended".into())));
    expect("ended-before", &mut never);

    let mut paused = model([testing::healthy()]);
    press(&mut paused, KeyCode::Char(' '));
    paused.asking.now += Duration::from_secs(41);
    expect("paused", &mut paused);

    let mut silent = model([testing::healthy()]);
    assert!(silent.wants_to_ask());
    silent.asking.now += Duration::from_millis(5_200);
    expect("no-answer", &mut silent);
}

#[test]
fn one_is_reminded_of_a_deadlock_that_was_ended_at_once() {
    let mut snapshot = testing::healthy();
    snapshot.past_reports = testing::deadlock().past_reports;
    snapshot.past_reports[0].age_us = 3_200_000;
    let mut model = model([snapshot.clone()]);
    let screen = text(&mut model, (80, 24));
    assert!(screen.contains("\n 1 deadlock found 3.2 s ago, and over: key 3 shows more\n"), "{screen}");
    snapshot.past_reports[0].age_us = 61_000_000;
    model.take(Ok(snapshot));
    assert!(!text(&mut model, (80, 24)).contains("1 deadlock"));
}

#[test]
fn versions_that_differ_are_named() {
    let mut model = model([testing::healthy()]);
    model.note = Some("process 4242 has lisle 9.0".into());
    let screen = text(&mut model, (80, 24));
    assert!(screen.contains("\n Process 4242 has lisle 9.0.\n"), "{screen}");
}

/// The banner is there, counts, and is red; without colours it is reversed.
#[test]
fn a_deadlock_is_red() {
    for (pane, color) in [('1', true), ('2', true), ('3', true), ('1', false)] {
        let mut model = model([testing::deadlock()]);
        model.look.color = color;
        type_in(&mut model, &pane.to_string());
        for size in SIZES {
            let buffer = draw(&mut model, size);
            let y = lines(&buffer).iter().position(|line| line.starts_with(" 1 suspected")).expect("a banner") as u16;
            for x in 0..size.0 {
                let style = buffer[(x, y)].style();
                let expected = if color { Some(Color::Red) } else { Some(Color::Reset) };
                assert_eq!(style.bg, expected, "{x}");
                assert!(style.add_modifier.contains(Modifier::BOLD));
                assert_eq!(style.add_modifier.contains(Modifier::REVERSED), !color);
            }
        }
    }
    let buffer = draw(&mut model([testing::healthy()]), (80, 24));
    assert!(buffer.content.iter().all(|cell| cell.bg != Color::Red && cell.fg != Color::Red));
}

#[test]
fn without_colours_there_are_none() {
    for snapshot in [testing::deadlock(), testing::healthy(), testing::hostile()] {
        let mut model = model([snapshot]);
        model.look.color = false;
        for key in ['1', '2', '3', 'h'] {
            type_in(&mut model, &key.to_string());
            let buffer = draw(&mut model, (120, 40));
            assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset), "{key}");
        }
    }
}

/// Whatever the size, nothing panics and nothing is written outside.
#[test]
fn every_size_is_drawn() {
    let situations = [testing::empty(), testing::healthy(), testing::deadlock(), testing::hostile(), testing::pool()];
    for snapshot in situations {
        for keys in ["1", "2", "3", "h", "/x", "3\n", "1\n"] {
            let mut model = model([snapshot.clone()]);
            for key in keys.chars() {
                press(&mut model, if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) });
            }
            for width in [0, 1, 2, 3, 7, 8, 9, 15, 21, 40, 79, 400] {
                for height in (0..12).chain([60]) {
                    draw(&mut model, (width, height));
                }
            }
        }
    }
}

/// No cell of any screen has what a terminal would act on.
#[test]
fn hostile_names_reach_no_terminal() {
    let mut model = model([testing::hostile()]);
    for key in [KeyCode::Char('1'), KeyCode::Enter, KeyCode::Esc, KeyCode::Char('2'), KeyCode::Enter] {
        press(&mut model, key);
        for size in [(80, 24), (250, 60), (20, 5)] {
            let screen = text(&mut model, size);
            for c in screen.chars().filter(|c| *c != '\n') {
                let acts = c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
                assert!(!acts, "{c:?} in\n{screen}");
            }
        }
    }
}

#[test]
fn all_keys_of_the_help_do_something() {
    let mut model = model([testing::contention(), testing::contention_later()]);
    let sorted = |model: &Model| (model.threads.sort, model.threads.reversed);
    for (key, column) in [
        ('P', ThreadColumn::Cpu),
        ('M', ThreadColumn::Wait),
        ('T', ThreadColumn::CpuTime),
        ('N', ThreadColumn::Ident),
        ('A', ThreadColumn::Name),
        ('S', ThreadColumn::State),
        ('>', ThreadColumn::Wait),
        ('<', ThreadColumn::State),
    ] {
        press(&mut model, KeyCode::Char(key));
        assert_eq!(sorted(&model), (column, false));
    }
    press(&mut model, KeyCode::Char('r'));
    assert_eq!(sorted(&model), (ThreadColumn::State, true));
    press(&mut model, KeyCode::F(6));
    assert_eq!(sorted(&model), (ThreadColumn::Wait, false));

    for (key, pane) in [
        (KeyCode::Tab, Pane::Objects),
        (KeyCode::Tab, Pane::Reports),
        (KeyCode::Tab, Pane::Threads),
        (KeyCode::BackTab, Pane::Reports),
        (KeyCode::Char('2'), Pane::Objects),
        (KeyCode::Char('3'), Pane::Reports),
        (KeyCode::Char('1'), Pane::Threads),
    ] {
        press(&mut model, key);
        assert_eq!(model.pane, pane);
    }

    assert!(!model.asking.paused);
    press(&mut model, KeyCode::Char(' '));
    assert!(model.asking.paused);
    press(&mut model, KeyCode::Char(' '));
    press(&mut model, KeyCode::Char('-'));
    assert_eq!(model.asking.interval, Duration::from_secs(2));
    press(&mut model, KeyCode::Char('+'));
    press(&mut model, KeyCode::Char('+'));
    assert_eq!(model.asking.interval, Duration::from_millis(500));

    for key in [KeyCode::F(1), KeyCode::Char('?'), KeyCode::Char('h')] {
        press(&mut model, key);
        assert!(model.page.as_ref().is_some_and(|page| page.is_help()));
        press(&mut model, key);
        assert!(model.page.is_none());
    }
    for key in [KeyCode::Esc, KeyCode::Enter, KeyCode::Char('q')] {
        press(&mut model, KeyCode::Enter);
        assert!(model.page.is_some());
        assert_eq!(press(&mut model, key), Then::Nothing);
        assert!(model.page.is_none());
    }

    assert_eq!(press(&mut model, KeyCode::Char('q')), Then::Quit);
    assert_eq!(press(&mut model, KeyCode::F(10)), Then::Quit);
    let control = |model: &mut Model, c| keys::press(model, KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    for typing in [false, true] {
        model.typing = typing;
        assert_eq!(control(&mut model, 'c'), Then::Quit);
        assert_eq!(control(&mut model, 'z'), Then::Suspend);
        assert_eq!(control(&mut model, 'l'), Then::Redraw);
    }
}

#[test]
fn the_filter_takes_all_letters() {
    let mut model = model([testing::contention()]);
    let names = |model: &Model| model.threads.rows.len();
    assert_eq!(names(&model), 9);
    press(&mut model, KeyCode::Char('/'));
    type_in(&mut model, "qQ 1?");
    assert_eq!((names(&model), &*model.threads.filter), (0, "qQ 1?"));
    (0..5).for_each(|_| _ = press(&mut model, KeyCode::Backspace));
    assert_eq!(names(&model), 9);
    type_in(&mut model, "SESSIONS");
    assert_eq!(names(&model), 6, "by what they wait for, in any case");
    press(&mut model, KeyCode::Enter);
    assert!(!model.typing);
    press(&mut model, KeyCode::Esc);
    assert_eq!(names(&model), 9);
    press(&mut model, KeyCode::F(3));
    type_in(&mut model, "x");
    press(&mut model, KeyCode::Esc);
    assert_eq!((model.typing, names(&model)), (false, 9));
    press(&mut model, KeyCode::Char('/'));
    press(&mut model, KeyCode::Backspace);
    assert!(!model.typing, "there is nothing left to take back");
}

/// The name of the marked thread.
fn marked(model: &Model) -> &str {
    &model.threads.marked(model.picture.as_ref().unwrap()).unwrap().thread.name
}

#[test]
fn the_mark_stays_at_its_thread_unless_it_is_on_top() {
    let mut model = model([testing::contention()]);
    press(&mut model, KeyCode::Char('P'));
    assert_eq!(marked(&model), "MainThread", "the order of idents as long as nobody knows");
    model.take(Ok(testing::contention_later()));
    assert_eq!(marked(&model), "client-0", "the mark stays on top");
    press(&mut model, KeyCode::Char('j'));
    let second = marked(&model).to_owned();
    press(&mut model, KeyCode::Char('r'));
    assert_eq!(marked(&model), second, "the mark goes along");
    press(&mut model, KeyCode::Char('N'));
    assert_eq!(marked(&model), second);

    let mut without = testing::contention_later();
    let at = without.threads.iter().position(|thread| thread.name == second).unwrap();
    without.threads.remove(at);
    let after = without.threads[at].name.clone();
    model.take(Ok(without));
    assert_eq!(marked(&model), after, "who comes after it has its place");
}

#[test]
fn one_walks_through_what_does_not_fit() {
    let mut model = model([testing::many(100)]);
    press(&mut model, KeyCode::Char('N'));
    model.resize(Size::new(80, 24));
    let seen = |model: &Model| (model.threads.offset, model.threads.cursor);
    assert_eq!(seen(&model), (0, 0));
    press(&mut model, KeyCode::PageDown);
    assert_eq!(seen(&model), (1, 19), "a page are 19 rows");
    press(&mut model, KeyCode::Up);
    assert_eq!(seen(&model), (1, 18), "only as far as needed");
    press(&mut model, KeyCode::End);
    assert_eq!(seen(&model), (81, 99));
    press(&mut model, KeyCode::Down);
    assert_eq!(seen(&model), (81, 99));
    model.resize(Size::new(80, 60));
    assert_eq!(seen(&model), (59, 99), "no room is left empty, but for the marked one in full");
    press(&mut model, KeyCode::Home);
    assert_eq!(seen(&model), (0, 0));
    press(&mut model, KeyCode::Char('G'));
    press(&mut model, KeyCode::Char('g'));
    assert_eq!(seen(&model), (0, 0));
}

#[test]
fn a_page_is_read_to_its_end_and_no_further() {
    let mut model = model([testing::healthy()]);
    model.resize(Size::new(80, 24));
    press(&mut model, KeyCode::Char('h'));
    press(&mut model, KeyCode::End);
    let end = model.page.as_ref().unwrap().scroll;
    assert!(end > 0);
    press(&mut model, KeyCode::Down);
    assert_eq!(model.page.as_ref().unwrap().scroll, end);
    model.resize(Size::new(80, 200));
    assert_eq!(model.page.as_ref().unwrap().scroll, 0, "all of it is seen");
}

#[test]
fn a_page_outlives_what_it_is_about() {
    let mut model = model([testing::deadlock()]);
    type_in(&mut model, "/audit");
    press(&mut model, KeyCode::Enter);
    press(&mut model, KeyCode::Enter);
    assert!(model.wants_frames() && model.wants_to_ask(), "the frames are wanted at once");
    model.take(Ok(testing::empty()));
    let screen = text(&mut model, (80, 24));
    assert!(screen.contains("Thread \"audit\" is not there any more."), "{screen}");
}

#[test]
fn rates_are_differences() {
    let model = model([testing::contention(), testing::contention_later()]);
    let picture = model.picture.as_ref().unwrap();
    assert_eq!(picture.thread(2).unwrap().cpu, Some(100.0));
    assert_eq!(picture.thread(3).unwrap().cpu, Some(2.0));
    assert_eq!(picture.cpu(), Some(114.0));
    assert_eq!(picture.objects[0].rate, Some(2_000.0));
    assert_eq!(picture.objects[1].rate, Some(0.0));
    assert_eq!(picture.objects[0].object.total_us, 68_350_000 + (3 + 4 + 5 + 6 + 7 + 8) * 1_000);
}

#[test]
fn what_is_new_or_another_has_no_rate() {
    let before = testing::snapshot([thread(1, "one"), thread(2, "two").cpu_ms(50)]);
    let mut after =
        testing::later(testing::snapshot([thread(1, "one").cpu_ms(5), thread(2, "two"), thread(3, "three")]), 1_000);
    after.threads[1].native_id += 1;
    let model = model([before, after]);
    let picture = model.picture.as_ref().unwrap();
    let rates: Vec<_> = picture.threads.iter().map(|row| row.cpu).collect();
    assert_eq!(rates, [None, None, None], "its clock went back; it is another thread; it is new");
}

/// The agent keeps a bounded number of objects, and a wait may be newer than the list.
#[test]
fn objects_that_only_waits_know_are_there() {
    let waiting = wait("mutex", "\"m\"").ms(7).held_by(1, "one", "a.rs:1:1");
    let mut snapshot = testing::snapshot([thread(1, "one"), thread(2, "two").waits(waiting)]);
    snapshot.objects = vec![object(1, "mutex", "\"other\"").waits(1, 1, 1)];
    let model = model([snapshot]);
    let picture = model.picture.as_ref().unwrap();
    assert_eq!(picture.objects.len(), 2);
    assert_eq!((picture.objects[1].object.waiting, picture.objects[1].object.total_us), (1, 7_000));
}

#[test]
fn what_is_no_lock_and_no_queue_is_shown_on_demand() {
    let mut model = model([testing::healthy()]);
    press(&mut model, KeyCode::Char('2'));
    let shown = model.objects.rows.len();
    press(&mut model, KeyCode::Char('a'));
    assert!(model.objects.rows.len() > shown);
}

#[test]
fn columns_fill_what_there_is() {
    for width in 0..400 {
        let columns = columns::<ThreadColumn>(width);
        assert!(!columns.is_empty());
        let used: u16 = columns.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
        assert!(used <= width, "{used} of {width}");
        let wanted = ThreadColumn::ALL.iter().map(|column| column.shape().want + 1).sum::<u16>() - 1;
        assert!(width < wanted || used == wanted, "{used} of {width}");
    }
    let narrow: Vec<_> = columns::<ThreadColumn>(20).into_iter().map(|(column, _)| column).collect();
    assert_eq!(narrow, [ThreadColumn::Name, ThreadColumn::State]);
}

#[test]
fn a_name_in_a_report_is_remembered_after_its_thread() {
    let mut with = testing::deadlock();
    let mut without = testing::later(testing::deadlock(), 1_000);
    without.threads.retain(|thread| thread.ident == 1);
    without.past_reports.insert(0, without.reports.remove(0));
    with.past_reports.clear();
    let mut model = model([with, without.clone(), without]);
    press(&mut model, KeyCode::Char('3'));
    let screen = text(&mut model, (80, 24));
    assert!(screen.contains("transfer → audit → transfer"), "{screen}");
    assert!(screen.contains("ident 9 → itself"), "{screen}");
}

#[test]
fn a_source_that_is_played_ends() {
    let mut played = Played::new([testing::empty()]);
    assert!(played.snapshot().is_ok());
    assert!(played.snapshot().is_err());
}
