//! Handing calls to a pool of two workers, and getting their results.

use std::hint::black_box;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use futures::channel::oneshot;
use lisle::executor::{Promise, ThreadPoolExecutor};
use rayon::prelude::*;

use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Unit, kept, repeat};
use crate::pools::{Alone, Blocking, ByHand, Futures, Pool, Rayon, RustyPool, Threadpool, add, tiny};

/// As many as the machine has cores on which the numbers are told.
pub(crate) const WORKERS: usize = 2;
const CALLS: u64 = 100_000;

pub(crate) fn cases() -> Vec<Case> {
    let of_peers = "100,000 calls from outside";
    let figures = [(of_peers.to_string(), 0.7), (format!("{of_peers}, by hand"), 1.0)];
    let figures = figures.map(|(name, goal)| Figure::new(name, Unit::Nanos, Goal::Best(goal)));
    // Those by hand are no pool, and lisle has a goal for each.
    let pool = |time| vec![time, f64::NAN];
    let calls = Case::of("executor", figures)
        .measured(Lisle, "lisle", each(<ThreadPoolExecutor as Pool>::run, |time| vec![time; 2]))
        .measured(Lisle, "lisle, scope", each(scoped, |time| vec![time; 2]))
        .measured(Peer, "rayon", each(Rayon::run, pool))
        .measured(Peer, "threadpool", each(Threadpool::run, pool))
        .measured(Peer, "rusty_pool", each(RustyPool::run, pool))
        .measured(Peer, "futures", each(Futures::run, pool))
        .measured(Peer, "blocking", each(Blocking::run, pool))
        .measured(Peer, "by hand", each(ByHand::run, |time| vec![f64::NAN, time]))
        .measured(Floor, "the closures alone", each(Alone::run, |time| vec![time; 2]));

    // Here those by hand are what is left without a pool's comforts, as other floors are.
    let one = |time| vec![time];
    let results = Case::new("executor", "100,000 futures from outside", Goal::Best(0.7))
        .measured(Lisle, "lisle", each(read_all::<ThreadPoolExecutor>, one))
        .measured(Peer, "rayon", each(read_all::<Rayon>, one))
        .measured(Peer, "threadpool", each(read_all::<Threadpool>, one))
        .measured(Peer, "rusty_pool", each(read_all::<RustyPool>, one))
        .measured(Peer, "futures", each(read_all::<Futures>, one))
        .measured(Peer, "blocking", each(read_all::<Blocking>, one))
        .measured(Floor, "by hand", each(read_all::<ByHand>, one));

    let trips = Case::new("executor", "submit one and wait for its result", Goal::Best(1.0))
        .longer(2)
        .timed(Lisle, "lisle", trips(ThreadPoolExecutor::trip))
        .timed(Peer, "rayon", trips(Rayon::trip))
        .timed(Peer, "rayon, install", trips(|pool: &Rayon, item| pool.pool.install(|| tiny(item))))
        .timed(Peer, "threadpool", trips(Threadpool::trip))
        .timed(Peer, "rusty_pool", trips(RustyPool::trip))
        .timed(Peer, "futures", trips(Futures::trip))
        .timed(Peer, "blocking", trips(Blocking::trip))
        .timed(Floor, "by hand", trips(ByHand::trip))
        .timed(
            Peer,
            "std, a thread",
            trips(|_: &Alone, item| thread::spawn(move || tiny(item)).join().expect("a call does not panic")),
        );
    vec![calls, results, trips, map(), future()]
}

/// A round of `CALLS` calls that `run` makes, and what its figures take from the time per call.
fn each<P: Pool>(run: impl Fn(&P, u64) + 'static, figures: fn(f64) -> Vec<f64>) -> impl FnMut(&Plan) -> Vec<f64> {
    let mut batch = batch(run);
    move |_| figures(batch(CALLS).as_nanos() as f64 / CALLS as f64)
}

fn batch<P: Pool>(run: impl Fn(&P, u64) + 'static) -> impl FnMut(u64) -> Duration {
    kept(|| P::new(WORKERS), run)
}

fn scoped(pool: &ThreadPoolExecutor, n: u64) {
    pool.scope(|scope| (0..n).for_each(|item| scope.execute(move || add(item)).expect("the pool is open")));
}

fn read_all<P: Pool>(pool: &P, n: u64) {
    let answers: Vec<P::Answer> = (0..n).map(|item| pool.submit(item)).collect();
    let sum: u64 = answers.into_iter().map(P::result).sum();
    assert_eq!(sum, n * (n - 1) / 2);
}

fn trips<P: Pool>(trip: impl Fn(&P, u64) -> u64 + 'static) -> impl FnMut(u64) -> Duration {
    batch(move |pool, n| (0..n).for_each(|item| assert_eq!(trip(pool, item), item)))
}

/// `map` over so many numbers; the time per number.
fn map() -> Case {
    static ITEMS: LazyLock<Vec<u64>> = LazyLock::new(|| (0..CALLS).collect());
    let step = |&item: &u64| item.wrapping_mul(6_364_136_223_846_793_005);
    // Whole lists, as many as the wanted number needs, and their time told for that number.
    fn lists<P: Pool>(list: impl Fn(&P) -> Vec<u64> + 'static) -> impl FnMut(u64) -> Duration {
        let mut lists = batch(move |pool, n| {
            (0..n).for_each(|_| assert_eq!(black_box(list(pool)).len(), ITEMS.len()));
        });
        move |n| {
            let times = n.div_ceil(CALLS);
            lists(times).mul_f64(n as f64 / (times * CALLS) as f64)
        }
    }
    Case::new("executor", "map over 100,000 numbers", Goal::Of("rayon", 3.0))
        .timed(
            Lisle,
            "lisle",
            lists(move |pool: &ThreadPoolExecutor| {
                pool.map(ITEMS.iter(), step).into_vec().expect("a call does not panic")
            }),
        )
        .timed(Peer, "rayon", lists(move |rayon: &Rayon| rayon.pool.install(|| ITEMS.par_iter().map(step).collect())))
        .timed(
            Peer,
            "std, two threads",
            lists(move |_: &Alone| {
                let mut list = vec![0; ITEMS.len()];
                let part = ITEMS.len().div_ceil(WORKERS);
                thread::scope(|scope| {
                    for (items, list) in ITEMS.chunks(part).zip(list.chunks_mut(part)) {
                        scope.spawn(move || list.iter_mut().zip(items).for_each(|(to, from)| *to = step(from)));
                    }
                });
                list
            }),
        )
        .timed(Floor, "one thread", lists(move |_: &Alone| ITEMS.iter().map(step).collect()))
}

/// A future and its promise in one thread.
fn future() -> Case {
    Case::new("executor", "a future made, set and read", Goal::Of("futures", 1.0))
        .timed(Lisle, "lisle", |n| {
            repeat(n, || {
                let promise = Promise::new();
                let future = promise.future();
                promise.set(black_box(1_u64)).expect("it is set once");
                black_box(future.result().expect("it has been set"));
            })
        })
        .timed(Peer, "futures", |n| {
            repeat(n, || {
                let (sender, mut receiver) = oneshot::channel();
                sender.send(black_box(1_u64)).expect("the receiver is here");
                black_box(receiver.try_recv().expect("the sender has sent"));
            })
        })
        .timed(Peer, "tokio", |n| {
            repeat(n, || {
                let (sender, mut receiver) = tokio::sync::oneshot::channel();
                sender.send(black_box(1_u64)).expect("the receiver is here");
                black_box(receiver.try_recv().expect("the sender has sent"));
            })
        })
}
