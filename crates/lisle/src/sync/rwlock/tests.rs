use super::*;
use crate::park::lot::FAIR_AFTER;
use crate::sync::testing::{Worker, spawn};
use crate::sync::{Barrier, Event};
use std::sync::Arc;

/// A thread that locks for writing and adds to the value, asleep.
fn writer(lock: &Arc<RwLock<u32>>, limit: Duration) -> Worker<Result<(), WaitError>> {
    let lock = lock.clone();
    let writer = spawn(move || lock.write_for(limit).map(|mut value| *value += 1));
    writer.falls_asleep();
    writer
}

/// A thread that locks for reading, asleep.
fn reader(lock: &Arc<RwLock<u32>>) -> Worker<u32> {
    let lock = lock.clone();
    let reader = spawn(move || *lock.read());
    reader.falls_asleep();
    reader
}

fn let_them_become_due() {
    let asleep = Instant::now();
    while asleep.elapsed() < 2 * FAIR_AFTER {
        std::hint::spin_loop();
    }
}

#[test]
fn many_read_or_one_writes() {
    let mut lock = RwLock::new(1);
    let first = lock.read();
    let second = lock.try_read().unwrap();
    assert!(lock.is_locked() && !lock.is_write_locked());
    assert!(lock.try_write().is_none());
    drop(first);
    assert!(lock.try_write().is_none(), "the second reader is still there");
    let third = lock.read_for(Duration::ZERO).unwrap();
    drop(second);
    assert!(lock.write_for(Duration::ZERO).unwrap_err().is_timed_out());
    drop(third);
    let mut writing = lock.try_write().unwrap();
    *writing += 1;
    assert!(lock.is_write_locked());
    assert!(lock.try_read().is_none() && lock.try_write().is_none());
    assert!(lock.read_until(Instant::now()).unwrap_err().is_timed_out());
    drop(writing);
    assert!(!lock.is_locked() && lock.raw.is_at_rest());
    assert_eq!(*lock.get_mut(), 2);
}

#[test]
fn readers_are_released_together() {
    for due in [false, true] {
        let lock = Arc::new(RwLock::new(()));
        let inside = Arc::new(Barrier::new(4));
        let guard = lock.write();
        let readers = [(); 4].map(|()| {
            let (lock, inside) = (lock.clone(), inside.clone());
            let reader = spawn(move || {
                let _guard = lock.read();
                inside.wait().unwrap(); // passed only if all four hold the lock
            });
            reader.falls_asleep();
            reader
        });
        if due {
            let_them_become_due();
        }
        drop(guard);
        for reader in readers {
            reader.join();
        }
        assert!(lock.raw.is_at_rest());
    }
}

#[test]
fn who_waits_is_served_in_order() {
    for due in [false, true] {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.write();
        let before = reader(&lock);
        let writer = writer(&lock, Duration::MAX);
        let after = reader(&lock);
        if due {
            let_them_become_due();
        }
        drop(guard);
        assert_eq!(before.join(), 0);
        writer.join().unwrap();
        assert_eq!(after.join(), 1);
        assert!(lock.raw.is_at_rest());
    }
}

#[test]
fn a_writer_that_waits_keeps_readers_out_until_it_gives_up() {
    for interrupted in [false, true] {
        let lock = Arc::new(RwLock::new(0));
        let guards = (lock.read(), lock.read());
        let limit = if interrupted { Duration::MAX } else { Duration::from_millis(100) };
        let writer = writer(&lock, limit);
        assert!(lock.try_read().is_none());
        let reader = reader(&lock);
        if interrupted {
            writer.record.interrupt();
            assert!(writer.join().unwrap_err().is_interrupted());
        } else {
            assert!(writer.join().unwrap_err().is_timed_out());
        }
        assert_eq!(reader.join(), 0, "the first readers are still there");
        drop(guards);
        assert!(lock.raw.is_at_rest());
    }
}

#[test]
fn who_has_waited_long_is_handed_the_lock() {
    let lock = Arc::new(RwLock::new(0));
    for held_by_reader in [false, true] {
        let (reading, writing) = if held_by_reader { (Some(lock.read()), None) } else { (None, Some(lock.write())) };
        let (entered, leave) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (tell, told, other) = (entered.clone(), leave.clone(), lock.clone());
        let writer = spawn(move || {
            let _guard = other.write();
            tell.set();
            told.wait().unwrap();
        });
        writer.falls_asleep();
        let_them_become_due();
        drop(reading);
        drop(writing);
        assert!(lock.is_write_locked(), "it was never free");
        entered.wait().unwrap();
        leave.set();
        writer.join();
    }
    assert!(lock.raw.is_at_rest());
}

#[test]
fn downgrading_lets_readers_in_but_no_writers() {
    let lock = Arc::new(RwLock::new(0));
    let mut writing = lock.write();
    let reader = reader(&lock);
    let writer = writer(&lock, Duration::MAX);
    *writing = 7;
    let reading = RwLockWriteGuard::downgrade(writing);
    assert_eq!(reader.join(), 7);
    assert!(writer.is_asleep());
    assert_eq!(*reading, 7);
    drop(reading);
    writer.join().unwrap();
    assert_eq!(*lock.read(), 8);
    assert!(lock.raw.is_at_rest());
}

#[test]
fn flags_that_nobody_looks_after_keep_nobody_out() {
    let lock = RwLock::new(());
    lock.raw.set_stale_flags(); // as a fork may leave them
    drop(lock.read_for(Duration::from_secs(60)).unwrap());
    assert!(lock.raw.is_at_rest());
    lock.raw.set_stale_flags();
    drop(lock.write_for(Duration::from_secs(60)).unwrap());
    drop(lock.read());
    assert!(lock.raw.is_at_rest());
}
