//! Every interleaving of a few threads on a GIL: taking it, asking for it, handing it over, letting go,
//! giving up. Time is a thread of the model, as everywhere (`park/model.rs`): besides deadlines it ends
//! the holder's slice at any moment. With an interval of nothing everybody is due at once.

use super::{Gil, GilToken};
use crate::park::current;
use crate::park::model::{clock, deadline, interrupter};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

struct Scene {
    gil: Gil,
    count: UnsafeCell<usize>,
}

// SAFETY: loom checks that nobody is at the cell who is not alone there.
unsafe impl Sync for Scene {}

fn scene(interval: Duration) -> Arc<Scene> {
    Arc::new(Scene { gil: Gil::new(interval), count: UnsafeCell::new(0) })
}

impl Scene {
    fn add_one(&self, _: &GilToken<'_>) {
        self.count.with_mut(|n| {
            // SAFETY: loom checks that nobody else is here.
            unsafe { *n += 1 }
        });
    }

    fn count(&self) -> usize {
        let _token = self.gil.try_attach().expect("nobody holds it any more");
        self.count.with(|n| {
            // SAFETY: loom checks that nobody writes.
            unsafe { *n }
        })
    }
}

const NOTHING: Duration = Duration::ZERO;
const ENDLESS: Duration = Duration::MAX;

#[test]
fn who_lets_go_is_followed() {
    for interval in [NOTHING, ENDLESS] {
        loom::model(move || {
            let scene = scene(interval);
            let others = [(); 2].map(|()| {
                let scene = scene.clone();
                thread::spawn(move || scene.add_one(&scene.gil.attach()))
            });
            scene.add_one(&scene.gil.attach());
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(scene.count(), 3);
        });
    }
}

#[test]
fn a_checkpoint_hands_over_and_comes_back() {
    loom::model(|| {
        let scene = scene(NOTHING);
        let other = scene.clone();
        let other = thread::spawn(move || {
            let mut token = other.gil.attach();
            other.add_one(&token);
            token.checkpoint();
            other.add_one(&token);
        });
        let mut token = scene.gil.attach();
        scene.add_one(&token);
        token.checkpoint();
        scene.add_one(&token);
        drop(token);
        other.join().unwrap();
        assert_eq!(scene.count(), 4);
    });
}

#[test]
fn a_holder_that_only_has_checkpoints_gives_two_their_turns() {
    loom::model(|| {
        let scene = scene(NOTHING);
        let mut token = scene.gil.attach();
        let others = [(); 2].map(|()| {
            let scene = scene.clone();
            thread::spawn(move || scene.add_one(&scene.gil.attach()))
        });
        token.checkpoint();
        scene.add_one(&token);
        token.checkpoint();
        drop(token);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(scene.count(), 3);
    });
}

#[test]
fn a_detach_lets_another_in_and_comes_back() {
    for interval in [NOTHING, ENDLESS] {
        loom::model(move || {
            let scene = scene(interval);
            let other = scene.clone();
            let other = thread::spawn(move || {
                let mut token = other.gil.attach();
                other.add_one(&token);
                token.detach(|| ());
                other.add_one(&token);
            });
            let mut token = scene.gil.attach();
            token.detach(|| ());
            scene.add_one(&token);
            drop(token);
            other.join().unwrap();
            assert_eq!(scene.count(), 3);
        });
    }
}

#[test]
fn the_slice_ends_at_any_moment() {
    loom::model(|| {
        // The waiter's alarm rings whenever the clock lets it; before, nobody is due.
        let scene = scene(ENDLESS);
        let other = scene.clone();
        let other = thread::spawn(move || {
            let clock = clock(current::get());
            scene_step(&other);
            clock.join().unwrap();
        });
        let mut token = scene.gil.attach();
        scene.add_one(&token);
        token.checkpoint();
        scene.add_one(&token);
        drop(token);
        other.join().unwrap();
        assert_eq!(scene.count(), 3);
    });
}

fn scene_step(scene: &Scene) {
    scene.add_one(&scene.gil.attach());
}

#[test]
fn an_attach_times_out_or_is_granted() {
    for interval in [NOTHING, ENDLESS] {
        loom::model(move || {
            let scene = scene(interval);
            let other = scene.clone();
            let holder = thread::spawn(move || {
                let mut token = other.gil.attach();
                token.checkpoint();
                other.add_one(&token);
            });
            let clock = clock(current::get());
            let granted = match scene.gil.attach_until(deadline()) {
                Ok(token) => {
                    scene.add_one(&token);
                    1
                }
                Err(error) => {
                    assert!(error.is_timed_out());
                    0
                }
            };
            holder.join().unwrap();
            clock.join().unwrap();
            assert_eq!(scene.count(), 1 + granted);
            assert!(!scene.gil.raw().is_asked(), "who gave up took its request back");
        });
    }
}

#[test]
fn a_hand_over_is_not_lost_to_a_timeout() {
    for interval in [NOTHING, ENDLESS] {
        loom::model(move || {
            // Two want it, one of them for a time only: whatever becomes of that one, the other gets it.
            let scene = scene(interval);
            let mut token = scene.gil.attach();
            let patient = scene.clone();
            let patient = thread::spawn(move || scene_step(&patient));
            let hasty = scene.clone();
            let hasty = thread::spawn(move || {
                crate::park::model::expire(&current::get());
                usize::from(hasty.gil.attach_until(deadline()).map(|token| hasty.add_one(&token)).is_ok())
            });
            token.checkpoint();
            drop(token);
            let granted = hasty.join().unwrap();
            patient.join().unwrap();
            assert_eq!(scene.count(), 1 + granted);
        });
    }
}

#[test]
fn who_was_sent_to_try_and_gives_up_leaves_nobody_asleep() {
    // One sleeps, one is sent to try and finds that somebody came first, who lets go while that one still
    // counts as awake. That it then gives up must not be the end of it.
    loom::model(|| {
        let scene = scene(ENDLESS);
        let token = scene.gil.attach();
        let (hasty, patient) = (scene.clone(), scene.clone());
        let (tell, told) = loom::sync::mpsc::channel();
        let hasty = thread::spawn(move || {
            tell.send(current::get()).unwrap();
            usize::from(hasty.gil.attach_interruptible().map(|token| hasty.add_one(&token)).is_ok())
        });
        let patient = thread::spawn(move || scene_step(&patient));
        drop(token);
        let barging = scene.gil.try_attach();
        let record = told.try_recv().ok();
        record.as_ref().inspect(|hasty| hasty.interrupt());
        drop(barging);
        let granted = hasty.join().unwrap();
        patient.join().unwrap();
        assert_eq!(scene.count(), 1 + granted);
    });
}

#[test]
fn an_attach_is_interrupted_or_granted() {
    loom::model(|| {
        let scene = scene(NOTHING);
        let other = scene.clone();
        let holder = thread::spawn(move || {
            let mut token = other.gil.attach();
            token.checkpoint();
            other.add_one(&token);
        });
        let me = current::get();
        let interrupter = interrupter(me.clone());
        let granted = match scene.gil.attach_interruptible() {
            Ok(token) => {
                scene.add_one(&token);
                1
            }
            Err(error) => {
                assert!(error.is_interrupted());
                0
            }
        };
        holder.join().unwrap();
        interrupter.join().unwrap();
        assert_eq!(me.take_interrupt(), granted == 1, "an interrupt ends one wait or stays pending");
        assert_eq!(scene.count(), 1 + granted);
    });
}

#[test]
fn a_changed_interval_finds_those_who_wait() {
    loom::model(|| {
        let scene = scene(ENDLESS);
        let mut token = scene.gil.attach();
        let other = scene.clone();
        let other = thread::spawn(move || scene_step(&other));
        let setter = scene.clone();
        let setter = thread::spawn(move || setter.gil.set_switch_interval(NOTHING));
        token.checkpoint();
        scene.add_one(&token);
        drop(token);
        other.join().unwrap();
        setter.join().unwrap();
        assert_eq!(scene.count(), 2);
    });
}
