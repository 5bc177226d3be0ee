//! Handing things over: queues within a thread and between threads.

use std::hint::black_box;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::harness::Role::{Floor, Lisle, Peer};
use crate::harness::{Case, Figure, Goal, Plan, Unit, repeat, together};

/// A queue of numbers; `None` is without bound.
trait Pipe: Sync {
    fn new(bound: Option<usize>) -> Self;
    fn put(&self, item: u64);
    fn get(&self) -> u64;
}

impl Pipe for lisle::queue::Queue<u64> {
    fn new(bound: Option<usize>) -> Self {
        bound.map_or_else(Self::unbounded, Self::bounded)
    }

    #[inline]
    fn put(&self, item: u64) {
        self.put(item).expect("nobody interrupts");
    }

    #[inline]
    fn get(&self) -> u64 {
        self.get().expect("nobody interrupts")
    }
}

macro_rules! pipe {
    ($name:ident, $peer:ident) => {
        struct $name($peer::Sender<u64>, $peer::Receiver<u64>);

        impl Pipe for $name {
            fn new(bound: Option<usize>) -> Self {
                let (sender, receiver) = bound.map_or_else($peer::unbounded, $peer::bounded);
                Self(sender, receiver)
            }

            #[inline]
            fn put(&self, item: u64) {
                self.0.send(item).expect("the receiver is here");
            }

            #[inline]
            fn get(&self) -> u64 {
                self.1.recv().expect("the sender is here")
            }
        }
    };
}
pipe!(Crossbeam, crossbeam_channel);
pipe!(Kanal, kanal);
pipe!(Flume, flume);

enum Sender {
    Bounded(mpsc::SyncSender<u64>),
    Unbounded(mpsc::Sender<u64>),
}

/// The standard channel. Only for cases where one thread gets.
struct Std(Sender, mpsc::Receiver<u64>);

// SAFETY: `Sender` is `Sync`, and the cases below that take part with `Std` call `get`, which is
// what the receiver is not made for, in one thread at a time.
unsafe impl Sync for Std {}

impl Pipe for Std {
    fn new(bound: Option<usize>) -> Self {
        match bound {
            None => {
                let (sender, receiver) = mpsc::channel();
                Self(Sender::Unbounded(sender), receiver)
            }
            Some(bound) => {
                let (sender, receiver) = mpsc::sync_channel(bound);
                Self(Sender::Bounded(sender), receiver)
            }
        }
    }

    #[inline]
    fn put(&self, item: u64) {
        match &self.0 {
            Sender::Bounded(sender) => sender.send(item),
            Sender::Unbounded(sender) => sender.send(item),
        }
        .expect("the receiver is here");
    }

    #[inline]
    fn get(&self) -> u64 {
        self.1.recv().expect("the sender is here")
    }
}

/// Adds all contenders; `Std` too where there is one getter.
macro_rules! each {
    ($case:expr, $add:ident, $run:ident ( $($argument:expr),* ), one_getter: $one:expr) => {{
        let case = $case
            .$add(Lisle, "lisle", $run::<lisle::queue::Queue<u64>>($($argument),*))
            .$add(Peer, "crossbeam", $run::<Crossbeam>($($argument),*))
            .$add(Peer, "kanal", $run::<Kanal>($($argument),*))
            .$add(Peer, "flume", $run::<Flume>($($argument),*));
        if $one { case.$add(Peer, "std", $run::<Std>($($argument),*)) } else { case }
    }};
}

pub(crate) fn cases() -> Vec<Case> {
    let bounds = [("unbounded", None), ("bounded 64", Some(64)), ("bounded 1", Some(1))];
    let mut cases = Vec::new();
    for (kind, bound) in bounds {
        let case = Case::new("queue", format!("{kind}, one thread"), Goal::Best(1.0));
        cases.push(each!(case, timed, alone(bound), one_getter: true));
    }
    for (kind, bound) in bounds {
        let goal = Goal::Best(if bound.is_none() { 1.05 } else { 1.1 });
        for each in [1, 2, 4] {
            let case = Case::new("queue", format!("{kind}, {each} to {each}"), goal).longer(2);
            cases.push(each!(case, timed, between(bound, each), one_getter: each == 1));
        }
    }
    for (kind, bound) in [bounds[0], bounds[2]] {
        let name = format!("{kind}, request and answer");
        let case = Case::new("queue", name, Goal::Best(1.1)).longer(2);
        cases.push(each!(case, timed, answered(bound), one_getter: true));
    }
    let busy = |name, goal| Figure::new(format!("send, busy: {name}"), Unit::Nanos, goal);
    let figures = [busy("median", Goal::None), busy("99.9 %", Goal::Of("crossbeam", 1.1)), busy("longest", Goal::None)];
    let case = each!(Case::of("queue", figures), measured, sends(), one_getter: true);
    cases.push(case.measured(Floor, "the clock alone", |_: &Plan| percentiles(sampled(|| ()))));
    cases
}

/// Puts and gets in one thread.
fn alone<P: Pipe + 'static>(bound: Option<usize>) -> impl FnMut(u64) -> Duration {
    let pipe = P::new(bound);
    move |n| {
        repeat(n, || {
            pipe.put(1);
            black_box(pipe.get());
        })
    }
}

/// `each` threads put and `each` others get; the time per item.
fn between<P: Pipe>(bound: Option<usize>, each: u64) -> impl FnMut(u64) -> Duration {
    move |n| {
        // The same number for everybody, and the whole of `n`.
        let part = n.div_ceil(each);
        let pipe = P::new(bound);
        let took = together(2 * each as usize, |index| {
            for item in 0..part {
                if index % 2 == 0 {
                    pipe.put(item);
                } else {
                    black_box(pipe.get());
                }
            }
        });
        // What `part * each` items took, told for `n`.
        took.mul_f64(n as f64 / (part * each) as f64)
    }
}

/// One thread asks and another answers, over two queues.
fn answered<P: Pipe>(bound: Option<usize>) -> impl FnMut(u64) -> Duration {
    move |n| {
        let (requests, answers) = (P::new(bound), P::new(bound));
        together(2, |index| {
            for item in 0..n {
                if index == 0 {
                    requests.put(item);
                    black_box(answers.get());
                } else {
                    answers.put(requests.get());
                }
            }
        })
    }
}

/// The time of each single put while another thread gets: median, 99.9 % and longest.
fn sends<P: Pipe>() -> impl FnMut(&Plan) -> Vec<f64> {
    move |_| {
        let pipe = P::new(None);
        let mut nanos = Vec::new();
        std::thread::scope(|scope| {
            // The last item says that it is the last.
            scope.spawn(|| while pipe.get() != 0 {});
            nanos = sampled(|| pipe.put(1));
            pipe.put(0);
        });
        percentiles(nanos)
    }
}

/// The nanoseconds of each of many calls.
fn sampled(operation: impl Fn()) -> Vec<u64> {
    // Filled, so that no page of it is first touched in between.
    let mut nanos = vec![u64::MAX; 500_000];
    for sample in &mut nanos {
        let start = Instant::now();
        operation();
        *sample = start.elapsed().as_nanos() as u64;
    }
    nanos
}

fn percentiles(mut nanos: Vec<u64>) -> Vec<f64> {
    nanos.sort_unstable();
    let at = |part: f64| nanos[((nanos.len() - 1) as f64 * part) as usize] as f64;
    vec![at(0.5), at(0.999), at(1.0)]
}
