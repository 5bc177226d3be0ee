//! Whose turn it is, by made-up clocks; and what one thread can see of its own GIL.

use super::books::{Books, Came};
use super::{Gil, GilCell};
use crate::sync::testing::spawn;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SLICE: Duration = Duration::from_millis(10);

/// Threads that take turns as the books say, on a clock of their own.
struct Scene {
    books: Books,
    now: Instant,
    holder: u32,
    /// How often somebody has taken the GIL without waiting.
    taken: u64,
    places: Vec<(u32, u64)>,
}

impl Scene {
    /// The thread 1 has it, took it by itself, and the others come one after the other.
    fn new(others: impl IntoIterator<Item = u32>) -> Scene {
        let mut scene =
            Scene { books: Books::new(SLICE), now: Instant::now(), holder: 1, taken: 1, places: Vec::new() };
        others.into_iter().for_each(|ident| scene.comes(ident, Came::Back));
        scene
    }

    fn comes(&mut self, ident: u32, came: Came) {
        let place = self.books.arrive(u64::from(ident), came, self.now);
        self.books.park(place, self.holder, (self.holder, self.taken), self.now);
        self.places.push((ident, place));
    }

    fn place(&self, ident: u32) -> u64 {
        self.places.iter().rfind(|place| place.0 == ident).unwrap().1
    }

    fn passes(&mut self, micros: u64) -> &mut Scene {
        self.now += Duration::from_micros(micros);
        self
    }

    fn is_due(&self, ident: u32) -> bool {
        self.books.is_due(self.place(ident), self.now)
    }

    /// The holder comes to a checkpoint at which it was asked; returns who has it then.
    fn checkpoint(&mut self) -> u32 {
        self.books.charge(self.holder, (self.holder, self.taken), self.now);
        if let Some(next) = self.books.next(self.now)
            && next.due
        {
            self.books.grant(next.place, (next.ident, self.taken), self.now);
            let forced = std::mem::replace(&mut self.holder, next.ident);
            self.comes(forced, Came::Forced);
        }
        self.holder
    }

    /// The holder lets go, and who is next takes it; returns who that is.
    fn detach(&mut self) -> u32 {
        self.books.charge(self.holder, (self.holder, self.taken), self.now);
        let next = self.books.next(self.now).expect("somebody waits");
        self.books.let_go(self.holder);
        self.books.grant(next.place, (next.ident, self.taken), self.now);
        self.holder = next.ident;
        self.holder
    }
}

#[test]
fn threads_that_compute_take_turns() {
    let mut scene = Scene::new([2, 3]);
    // Nobody has used anything: for the first slice they all are ahead of the line, a tenth each.
    while scene.books.next(scene.now).is_some_and(|next| next.place < 1 << 63) {
        scene.passes(1_000).checkpoint();
    }
    scene.passes(10_000).checkpoint();
    let mut turns = Vec::new();
    for _ in 0..90 {
        turns.push(scene.holder);
        scene.passes(9_999);
        let before = scene.holder;
        assert_eq!(scene.checkpoint(), before, "the slice is not over");
        scene.passes(1);
        assert_ne!(scene.checkpoint(), before, "it must hand over, and to somebody else");
    }
    for three in turns.chunks(3) {
        let mut three = three.to_vec();
        three.sort_unstable();
        assert_eq!(three, [1, 2, 3]);
    }
}

/// One that computes has used a slice up and has the GIL as one of the line.
fn with_a_computing_thread() -> Scene {
    let mut scene = Scene::new([2]);
    scene.passes(1_000).checkpoint();
    assert_eq!(scene.detach(), 1, "thread 2 was ahead, and has gone");
    scene
}

#[test]
fn who_comes_back_from_a_detach_passes_the_line_at_once() {
    let mut scene = with_a_computing_thread();
    for _ in 0..400 {
        scene.passes(1_000);
        scene.comes(2, Came::Back);
        assert!(scene.is_due(2), "no time need pass");
        assert_eq!(scene.passes(2).checkpoint(), 2);
        assert_eq!(scene.passes(20).detach(), 1);
    }
    let figures: Vec<_> = scene.books.figures().collect();
    assert_eq!(figures[0].1.forced, 401, "once for the slice, then for each that passed");
    assert_eq!(figures[1].1.forced, 0);
}

#[test]
fn who_comes_back_too_often_waits_in_the_line() {
    let mut scene = with_a_computing_thread();
    scene.comes(3, Came::Forced); // as one that computes too
    let mut held = [0; 4];
    // Thread 2 has it for 0.9 ms of each ms, and always comes back.
    let mut away = true;
    for _ in 0..40_000 {
        held[scene.holder as usize] += 100;
        scene.passes(100);
        if away && scene.holder != 2 {
            scene.comes(2, Came::Back);
            away = false;
        }
        if scene.holder == 2 && held[2] % 900 == 0 {
            scene.detach();
            away = true;
        } else {
            scene.checkpoint();
        }
    }
    let all: u64 = held.iter().sum();
    for thread in 1..=3 {
        let share = held[thread] as f64 / all as f64;
        assert!((0.28..0.39).contains(&share), "a third each: {held:?}");
    }
}

#[test]
fn those_ahead_are_short_with_each_other() {
    let mut scene = with_a_computing_thread();
    scene.comes(2, Came::Back);
    assert_eq!(scene.checkpoint(), 2);
    scene.comes(3, Came::Back);
    assert!(!scene.is_due(3), "thread 2 may be through in a moment");
    scene.passes(999);
    assert_eq!(scene.checkpoint(), 2);
    scene.passes(1);
    assert_eq!(scene.checkpoint(), 3, "it was not: a tenth of the interval is over");
}

#[test]
fn a_crowd_ahead_leaves_the_line_half_of_the_time() {
    let mut scene = with_a_computing_thread();
    let mut held_by_the_line = Duration::ZERO;
    let began = scene.now;
    // Ever new threads come, each before the last one is gone.
    for ident in 10..3_000 {
        scene.comes(ident, Came::Back);
        while scene.holder == 1 {
            if scene.checkpoint() == 1 {
                scene.passes(100);
                held_by_the_line += Duration::from_micros(100);
            }
        }
        scene.passes(500);
        if scene.checkpoint() == scene.holder && scene.holder != 1 {
            scene.detach();
        }
    }
    let share = held_by_the_line.as_secs_f64() / (scene.now - began).as_secs_f64();
    assert!((0.45..0.8).contains(&share), "{share}");
}

#[test]
fn a_slice_that_nobody_waits_for_does_not_count() {
    let mut scene = Scene::new([]);
    scene.passes(1_000_000);
    scene.comes(2, Came::Back);
    assert!(!scene.is_due(2), "nobody knew since when thread 1 had it");
    assert_eq!(scene.passes(1_000).checkpoint(), 2);
    let left = SLICE - Duration::from_millis(1); // of the slice that those ahead have together
    assert_eq!(scene.books.look_at(scene.place(1), scene.now), Some(scene.now + left));
}

#[test]
fn a_slice_ends_when_its_thread_lets_go_and_nobody_waits() {
    let mut scene = with_a_computing_thread();
    scene.passes(500).comes(2, Came::Back);
    scene.checkpoint();
    assert_eq!(scene.detach(), 1);
    // Thread 1 lets go, is away for long, and has just taken it again, without a word to anybody.
    scene.taken += 1;
    scene.passes(1_000_000).comes(3, Came::Forced);
    assert!(!scene.is_due(3), "it has not had it all the time");
    let held = scene.books.figures().next().unwrap().1.held;
    assert!(held < SLICE, "nor is that counted: {held:?}");
    // But if it goes away and comes back while thread 3 still waits, its slice goes on.
    scene.passes(9_000);
    scene.taken += 1;
    assert_eq!(scene.passes(1_000).checkpoint(), 3);
}

#[test]
fn ended_threads_leave_their_figures_and_no_account() {
    let gil = Arc::new(Gil::new(SLICE));
    for _ in 0..200 {
        let gil = gil.clone();
        std::thread::spawn(move || drop(gil.attach())).join().unwrap();
    }
    drop(gil.attach());
    let living: u64 = gil.figures().iter().map(|(_, figures)| figures.attached).sum();
    assert!(gil.raw().with_books(|books| books.figures().count()) <= 65);
    assert!(gil.figures_of_ended().attached >= 100);
    assert!((1..100).contains(&living), "{living}");
}

#[test]
fn tokens_nest_and_the_last_one_lets_go() {
    let gil = Arc::new(Gil::new(SLICE));
    let is_free = || {
        let gil = gil.clone();
        spawn(move || gil.try_attach().is_some()).join()
    };
    let outer = gil.attach();
    let inner = gil.attach();
    drop(outer);
    assert!(!is_free());
    let third = gil.try_attach().unwrap();
    drop(inner);
    assert!(gil.is_attached() && !is_free());
    drop(third);
    assert!(!gil.is_attached() && is_free());
}

#[test]
fn a_detach_lets_go_of_all_tokens_and_takes_it_back() {
    let gil = Arc::new(Gil::new(SLICE));
    let outer = gil.attach();
    let mut inner = gil.attach();
    let other = gil.clone();
    inner.detach(|| {
        assert!(!gil.is_attached());
        spawn(move || drop(other.attach())).join();
        drop(gil.attach()); // as this thread may, too
    });
    assert!(gil.is_attached());
    drop(inner);
    assert!(gil.is_attached());
    drop(outer);
    assert!(!gil.is_attached());
}

#[test]
fn a_token_that_comes_out_of_a_detach_counts() {
    let gil = Gil::new(SLICE);
    let mut token = gil.attach();
    let second = token.detach(|| gil.attach());
    drop(token);
    assert!(gil.is_attached());
    drop(second);
    assert!(!gil.is_attached());
}

#[test]
fn a_panic_lets_go_and_one_in_a_detach_comes_back_first() {
    let gil = Arc::new(Gil::new(SLICE));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _token = gil.attach();
        panic!("expected");
    }));
    assert!(panicked.is_err() && gil.holder().is_none());
    let mut token = gil.attach();
    let panicked = catch_unwind(AssertUnwindSafe(|| token.detach(|| panic!("expected"))));
    assert!(panicked.is_err() && gil.is_attached());
}

/// What `call` panics with.
fn panic_of(call: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).expect_err("it must panic");
    payload.downcast_ref::<&str>().map(|text| text.to_string()).or_else(|| payload.downcast_ref().cloned()).unwrap()
}

#[test]
fn what_another_token_has_lent_cannot_be_given_away() {
    let gil = Gil::new(SLICE);
    let cell = GilCell::new(&gil, Cell::new(1));
    let outer = gil.attach();
    let lent = cell.get(&outer);
    let mut inner = gil.attach();
    assert!(panic_of(|| inner.detach(|| ())).contains("in use by way of another token"));
    if cfg!(debug_assertions) {
        assert!(panic_of(|| inner.checkpoint()).contains("in use by way of another token"));
    }
    lent.set(2);
    drop(lent);
    inner.detach(|| ());
    inner.checkpoint();
    drop((inner, outer));
    // A reference that was leaked keeps the GIL, as a token would that was leaked.
    let token = gil.attach();
    std::mem::forget(cell.get(&token));
    assert!(panic_of(|| drop(token)).contains("in use by way of another token"));
    assert!(gil.is_attached());
    assert!(panic_of(|| gil.attach().detach(|| ())).contains("in use by way of another token"));
    assert_eq!(cell.into_inner().get(), 2);
}

#[test]
fn what_a_suspended_token_has_lent_keeps_the_gil() {
    let gil = Gil::new(SLICE);
    let cell = GilCell::new(&gil, Cell::new(1));
    let outer = gil.attach();
    let mut inner = gil.attach();
    inner.detach(|| {
        let again = gil.attach();
        let lent = cell.get(&outer);
        // The last token of this hold goes, but the value that another one has lent is in use.
        assert!(panic_of(|| drop(again)).contains("in use by way of another token"));
        assert!(gil.is_attached());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| gil.attach_for(Duration::from_millis(1)).is_err());
            assert!(other.join().unwrap(), "nobody comes in beside it");
        });
        lent.set(2);
    });
    drop((inner, outer));
    assert_eq!(cell.into_inner().get(), 2);
}

#[test]
fn nothing_can_be_reached_inside_a_detach() {
    let (gil, another) = (Gil::new(SLICE), Gil::new(SLICE));
    let cell = GilCell::new(&gil, Cell::new(1));
    let mut outer = gil.attach();
    let mut inner = gil.attach();
    inner.detach(|| {
        assert!(panic_of(|| drop(cell.get(&outer))).contains("inside a detach"));
        assert!(panic_of(|| outer.detach(|| ())).contains("inside a detach"));
        let again = gil.attach();
        cell.get(&outer).set(cell.get(&again).get() + 1); // attached, by whatever token
    });
    assert!(panic_of(|| drop(cell.get(&another.attach()))).contains("with a token of another"));
    inner.detach(|| assert!(panic_of(|| drop(outer)).contains("dropped inside a detach")));
    assert_eq!(cell.get(&inner).get(), 2);
}

#[test]
fn a_new_interval_counts_for_those_who_wait() {
    let gil = Arc::new(Gil::new(Duration::MAX));
    let mut token = gil.attach();
    let other = gil.clone();
    let waiter = spawn(move || {
        drop(other.attach());
    });
    waiter.falls_asleep();
    assert!(!gil.raw().is_asked(), "an interval without end");
    gil.set_switch_interval(Duration::ZERO);
    while gil.figures().iter().map(|(_, figures)| figures.forced).sum::<u64>() == 0 {
        token.checkpoint();
    }
    drop(token);
    waiter.join();
    assert_eq!(gil.switch_interval(), Duration::ZERO);
}
