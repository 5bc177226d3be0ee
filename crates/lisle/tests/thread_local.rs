//! `Local`: values per thread and per instance, and when they go.

use lisle::thread::{self, Local};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};

/// Counts the living.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn local() -> (Local<Counted>, Arc<AtomicUsize>) {
        let living = Arc::new(AtomicUsize::new(0));
        let local = Local::new({
            let living = living.clone();
            move || {
                living.fetch_add(1, Ordering::Relaxed);
                Counted(living.clone())
            }
        });
        (local, living)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn each_thread_has_its_own() {
    let local = Arc::new(Local::new(|| RefCell::new(Vec::new())));
    local.with_borrow_mut(|values| values.push(0));
    let handles: Vec<_> = (1..=8)
        .map(|number| {
            let local = local.clone();
            thread::spawn(move || {
                for _ in 0..100 {
                    local.with_borrow_mut(|values| values.push(number));
                }
                local.take()
            })
        })
        .collect();
    for (handle, number) in handles.iter().zip(1..) {
        assert_eq!(handle.join().unwrap(), vec![number; 100]);
    }
    assert_eq!(local.with_borrow(Vec::clone), [0]);
}

#[test]
fn each_instance_has_its_own() {
    let locals: Vec<_> = (0..100).map(|number| Local::new(move || Cell::new(number))).collect();
    for (local, number) in locals.iter().zip(0..) {
        assert_eq!(local.replace(number * 2), number);
    }
    for (local, number) in locals.iter().zip(0..) {
        assert_eq!(local.get(), number * 2);
    }
}

#[test]
fn the_value_is_made_at_first_use_and_stays() {
    let (local, living) = Counted::local();
    assert_eq!(living.load(Ordering::Relaxed), 0);
    let first = local.with(|value| std::ptr::from_ref(value).addr());
    let again = local.with(|value| std::ptr::from_ref(value).addr());
    assert_eq!(first, again);
    assert_eq!(living.load(Ordering::Relaxed), 1);
}

#[test]
fn the_end_of_a_thread_drops_its_values() {
    let (local, living) = Counted::local();
    local.with(|_| ());
    thread::scope(|s| {
        s.spawn(|| {
            local.with(|_| ());
            assert_eq!(living.load(Ordering::Relaxed), 2);
        })
        .join()
        .unwrap();
        assert_eq!(living.load(Ordering::Relaxed), 1);
    });
    let (local, living) = Counted::local();
    std::thread::spawn(move || local.with(|_| ())).join().unwrap();
    assert_eq!(living.load(Ordering::Relaxed), 0);
}

#[test]
fn the_end_of_an_instance_drops_all_its_values() {
    let (local, living) = Counted::local();
    let local = Arc::new(local);
    let (release, released) = mpsc::channel::<()>();
    let together = Arc::new(Barrier::new(2));
    let handle = thread::spawn({
        let (local, together) = (local.clone(), together.clone());
        move || {
            local.with(|_| ());
            drop(local);
            together.wait();
            let _ = released.recv();
        }
    });
    together.wait();
    local.with(|_| ());
    assert_eq!(living.load(Ordering::Relaxed), 2);
    drop(Arc::into_inner(local).unwrap());
    assert_eq!(living.load(Ordering::Relaxed), 0, "also that of the thread that lives on");
    drop(release);
    handle.join().unwrap();
}

#[test]
fn instances_come_and_go() {
    let kept = Local::new(|| Cell::new(1));
    kept.set(5);
    let (_, living) = Counted::local();
    for _ in 0..10_000 {
        let (local, living) = Counted::local();
        local.with(|_| ());
        drop(local);
        assert_eq!(living.load(Ordering::Relaxed), 0);
    }
    assert_eq!(living.load(Ordering::Relaxed), 0);
    assert_eq!(kept.get(), 5);
}

#[test]
fn uses_nest() {
    let outer = Local::new(|| RefCell::new(1));
    let inner = Local::<Cell<i32>>::default();
    let sum = outer.with(|a| {
        inner.set(4);
        *a.borrow() + outer.with(|b| *b.borrow()) + inner.with(Cell::get)
    });
    assert_eq!(sum, 6);
    assert_eq!(format!("{outer:?}"), "Local(RefCell { value: 1 })");
}

#[test]
fn init_may_use_another_and_may_panic() {
    let tries = Arc::new(AtomicUsize::new(0));
    let local = Local::new({
        let tries = tries.clone();
        move || {
            assert!(tries.fetch_add(1, Ordering::Relaxed) > 0, "the first try fails");
            Cell::new(3)
        }
    });
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| local.get()));
    assert!(caught.is_err());
    assert_eq!(local.get(), 3);
}

#[test]
fn a_destructor_may_use_locals() {
    struct Last(Arc<Local<Cell<u32>>>, mpsc::Sender<u32>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.1.send(self.0.get()).unwrap();
        }
    }
    let number = Arc::new(Local::new(|| Cell::new(11)));
    let (sender, receiver) = mpsc::channel();
    let last = Local::new(move || Last(number.clone(), sender.clone()));
    thread::scope(|s| {
        s.spawn(|| last.with(|_| ()));
    });
    assert_eq!(receiver.recv().unwrap(), 11);
}

#[test]
fn threads_may_end_while_the_instance_goes() {
    for _ in 0..300 {
        let (local, living) = Counted::local();
        let local = Arc::new(local);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let local = local.clone();
                thread::spawn(move || local.with(|_| ()))
            })
            .collect();
        drop(local);
        threads.iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(living.load(Ordering::Relaxed), 0);
    }
}
