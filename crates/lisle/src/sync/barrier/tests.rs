use super::*;
use crate::sync::testing::{Worker, spawn};
use crate::sync::{Event, Lock};
use std::sync::Arc;

type Passed = Result<BarrierWaitResult, BarrierError>;

fn waiter(barrier: &Arc<Barrier>) -> Worker<Passed> {
    let barrier = barrier.clone();
    let waiter = spawn(move || barrier.wait());
    waiter.falls_asleep();
    waiter
}

/// A barrier whose action waits until it is told to end.
fn slow(parties: usize) -> (Arc<Barrier>, Arc<Event>, Arc<Event>) {
    let (begun, end) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (tell, told) = (begun.clone(), end.clone());
    let action = move || {
        tell.set();
        told.wait().unwrap();
    };
    (Arc::new(Barrier::with_action(parties, action)), begun, end)
}

#[test]
fn indices_are_the_order_of_coming() {
    let barrier = Arc::new(Barrier::new(3));
    for _round in 0..2 {
        let first = waiter(&barrier);
        let second = waiter(&barrier);
        assert_eq!(barrier.n_waiting(), 2);
        let third = barrier.wait().unwrap();
        assert_eq!((third.index(), third.is_leader()), (2, true));
        assert_eq!(first.join().unwrap(), BarrierWaitResult { index: 0, leads: false });
        assert_eq!(second.join().unwrap(), BarrierWaitResult { index: 1, leads: false });
        assert_eq!(barrier.n_waiting(), 0);
    }
}

#[test]
fn who_gives_up_breaks_it_for_all() {
    for interrupted in [false, true] {
        let barrier = Arc::new(Barrier::named(3, "start"));
        let patient = waiter(&barrier);
        if interrupted {
            let hasty = waiter(&barrier);
            hasty.record.interrupt();
            assert_eq!(hasty.join(), Err(BarrierError::Interrupted));
        } else {
            assert_eq!(barrier.wait_for(Duration::from_millis(1)), Err(BarrierError::TimedOut));
        }
        assert_eq!(patient.join(), Err(BarrierError::Broken));
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), Err(BarrierError::Broken));
        barrier.reset();
        let others = [waiter(&barrier), waiter(&barrier)];
        assert!(barrier.wait_for(Duration::ZERO).unwrap().is_leader(), "the last need not wait");
        for other in others {
            assert!(other.join().is_ok());
        }
    }
}

#[test]
fn a_limit_in_the_past_breaks_it_if_others_are_missing() {
    let barrier = Barrier::new(2);
    assert_eq!(barrier.wait_for(Duration::ZERO), Err(BarrierError::TimedOut));
    assert!(barrier.is_broken());
    assert_eq!(barrier.n_waiting(), 0);
}

#[test]
fn abort_and_reset_send_the_waiting_away() {
    let barrier = Arc::new(Barrier::new(2));
    let first = waiter(&barrier);
    barrier.abort();
    assert_eq!(first.join(), Err(BarrierError::Broken));
    barrier.reset();
    let second = waiter(&barrier);
    barrier.reset();
    assert_eq!(second.join(), Err(BarrierError::Broken));
    assert!(!barrier.is_broken());
    assert_eq!(barrier.n_waiting(), 0);
}

#[test]
fn the_action_runs_before_any_goes_on() {
    let lock = Arc::new(Lock::new());
    let taken = lock.clone();
    let barrier = Arc::new(Barrier::with_action(2, move || assert!(taken.try_acquire())));
    let other = barrier.clone();
    let seen = lock.clone();
    let waiter = spawn(move || other.wait().map(|_| seen.is_locked()));
    waiter.falls_asleep();
    assert!(barrier.wait().unwrap().is_leader());
    assert!(lock.is_locked());
    assert_eq!(waiter.join(), Ok(true));
}

#[test]
fn an_action_that_panics_breaks_it() {
    let barrier = Arc::new(Barrier::with_action(2, || panic!("no")));
    let first = waiter(&barrier);
    let other = barrier.clone();
    let last = std::thread::spawn(move || other.wait());
    assert_eq!(*last.join().unwrap_err().downcast::<&str>().unwrap(), "no");
    assert_eq!(first.join(), Err(BarrierError::Broken));
    assert!(barrier.is_broken());
}

#[test]
fn who_comes_during_the_action_belongs_to_the_next_round() {
    let (barrier, begun, end) = slow(2);
    let first = waiter(&barrier);
    let other = barrier.clone();
    let leader = spawn(move || other.wait());
    begun.wait().unwrap();
    let early = waiter(&barrier);
    assert_eq!(barrier.n_waiting(), 0);
    end.set();
    assert_eq!(first.join().unwrap().index(), 0);
    assert!(leader.join().unwrap().is_leader());
    let last = barrier.wait().unwrap();
    let early = early.join().unwrap();
    assert_eq!(last.index() + early.index(), 1);
}

#[test]
fn a_break_during_the_action_fails_the_round() {
    for reset in [false, true] {
        let (barrier, begun, end) = slow(2);
        let first = waiter(&barrier);
        let other = barrier.clone();
        let leader = spawn(move || other.wait());
        begun.wait().unwrap();
        if reset {
            barrier.reset()
        } else {
            barrier.abort()
        }
        assert_eq!(first.join(), Err(BarrierError::Broken));
        end.set();
        assert_eq!(leader.join(), Err(BarrierError::Broken));
        assert_eq!(barrier.is_broken(), !reset);
        assert_eq!(barrier.word(), if reset { 0 } else { BROKEN });
    }
}

#[test]
#[should_panic(expected = "say how many threads wait for each other")]
fn no_parties_make_no_barrier() {
    let _ = Barrier::new(0);
}
