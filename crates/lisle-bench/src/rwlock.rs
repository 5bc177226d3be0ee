//! Readers and writers.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::harness::Role::{Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Unit, compete, repeat};

trait ReadWrite: Sync + 'static {
    fn new() -> Self;
    fn read(&self);
    fn write(&self);
}

macro_rules! read_write {
    ($type:ty, |$guard:ident| $locked:expr) => {
        impl ReadWrite for $type {
            fn new() -> Self {
                <$type>::new(0)
            }

            #[inline]
            fn read(&self) {
                let $guard = <$type>::read(self);
                black_box(*$locked);
            }

            #[inline]
            fn write(&self) {
                let $guard = <$type>::write(self);
                *{ $locked } += 1;
            }
        }
    };
}

read_write!(lisle::sync::RwLock<u64>, |guard| guard);
read_write!(parking_lot::RwLock<u64>, |guard| guard);
read_write!(std::sync::RwLock<u64>, |guard| guard.expect("no contender panics"));

/// One case with the three locks in it.
macro_rules! each {
    ($case:expr, $add:ident, $run:ident) => {
        $case
            .$add(Lisle, "lisle", $run::<lisle::sync::RwLock<u64>>())
            .$add(Peer, "parking_lot", $run::<parking_lot::RwLock<u64>>())
            .$add(Peer, "std", $run::<std::sync::RwLock<u64>>())
    };
}

pub(crate) fn cases() -> Vec<Case> {
    let alone = |name| Case::new("rwlock", name, Goal::Best(1.05));
    let two = |name| Case::of("rwlock", [Figure::new(name, Unit::Nanos, Goal::Best(1.05))]);
    vec![
        each!(alone("read and unlock, uncontended"), timed, read),
        each!(alone("write and unlock, uncontended"), timed, write),
        each!(two("2 threads, both read"), measured, readers),
        each!(two("2 threads, 1 write in 16"), measured, mixed),
    ]
}

fn read<L: ReadWrite>() -> impl FnMut(u64) -> Duration {
    let lock = L::new();
    move |n| repeat(n, || lock.read())
}

fn write<L: ReadWrite>() -> impl FnMut(u64) -> Duration {
    let lock = L::new();
    move |n| repeat(n, || lock.write())
}

fn readers<L: ReadWrite>() -> impl FnMut(&Plan) -> Vec<f64> {
    let lock = CachePadded::new(L::new());
    move |plan| vec![compete(2, plan.window / 5, || lock.read()).0]
}

fn mixed<L: ReadWrite>() -> impl FnMut(&Plan) -> Vec<f64> {
    thread_local!(static TURN: Cell<u8> = const { Cell::new(0) });
    let lock = CachePadded::new(L::new());
    move |plan| {
        let operation = || match TURN.replace(TURN.get().wrapping_add(1)) % 16 {
            0 => lock.write(),
            _ => lock.read(),
        };
        vec![compete(2, plan.window / 5, operation).0]
    }
}
