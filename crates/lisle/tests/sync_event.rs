//! Events among threads: each set ends the waits there are, and shows what was done before it.

use lisle::sync::Event;
use lisle::thread;
use std::cell::UnsafeCell;

struct Shared(UnsafeCell<u32>);

// SAFETY: the test hands the value from thread to thread by events.
unsafe impl Sync for Shared {}

#[test]
fn a_value_goes_back_and_forth() {
    const ROUNDS: u32 = 20_000;
    let value = Shared(UnsafeCell::new(0));
    let turns = [Event::new(), Event::named("pong")];
    turns[0].set();
    thread::scope(|scope| {
        for me in 0..2 {
            let (value, turns) = (&value, &turns);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    turns[me].wait().unwrap();
                    turns[me].clear();
                    // SAFETY: the other thread has set our event after its access, and waits for
                    // us to set its.
                    let value = unsafe { &mut *value.0.get() };
                    assert_eq!(*value, 2 * round + me as u32);
                    *value += 1;
                    turns[1 - me].set();
                }
            });
        }
    });
    assert_eq!(value.0.into_inner(), 2 * ROUNDS);
}

#[test]
fn a_set_releases_everybody() {
    const WAITERS: usize = 8;
    for _ in 0..200 {
        let start = Event::new();
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..WAITERS).map(|_| scope.spawn(|| start.wait())).collect();
            start.set();
            for waiter in waiters {
                waiter.join().unwrap().unwrap();
            }
        });
        assert!(start.is_set());
    }
}
