//! What a case is, and how its contenders are run: one after the other, round by round.

use std::hint::black_box;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::cores::{Cores, OneCore, spread};
use crate::load::thread_time;

/// How much of everything a run does.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds of a case that does not ask for fewer.
    pub(crate) rounds: usize,
    /// How long a batch of operations of one thread lasts.
    pub(crate) batch: Duration,
    /// How long threads compete; fairness is judged over this time.
    pub(crate) window: Duration,
    /// The largest number of threads that wait at once.
    pub(crate) crowd: usize,
}

impl Plan {
    pub(crate) const FULL: Plan =
        Plan { rounds: 31, batch: Duration::from_millis(15), window: Duration::from_secs(1), crowd: 10_000 };
    pub(crate) const QUICK: Plan =
        Plan { rounds: 3, batch: Duration::from_millis(5), window: Duration::from_millis(200), crowd: 1_000 };
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Nanos,
    Bytes,
    /// A plain number, such as a share.
    Plain,
}

/// What lisle's median is held against.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Shown only.
    None,
    /// At most this many times the best peer.
    Best(f64),
    /// At most this many times the named contender.
    Of(&'static str, f64),
    /// At most this value.
    AtMost(f64),
    /// At least this value.
    AtLeast(f64),
}

/// One number that every contender of a case yields in every round.
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: Unit, goal: Goal) -> Figure {
        Figure { name: name.into(), unit, goal }
    }
}

/// Whom a contender stands for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Role {
    Lisle,
    /// Somebody else's thing with the same meaning.
    Peer,
    /// What the machine itself charges; shown, and never the best peer.
    Floor,
}

/// One round of a contender: a value for each figure of its case.
type Measure = Box<dyn FnMut(&Plan) -> Vec<f64>>;

pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    measure: Measure,
}

/// One thing done by several contenders.
pub(crate) struct Case {
    pub(crate) group: &'static str,
    pub(crate) figures: Vec<Figure>,
    pub(crate) contenders: Vec<Contender>,
    /// The most rounds that are worth their time here, where they are long.
    at_most: Option<usize>,
    /// How many times the usual batch these operations need to settle.
    longer: u32,
    cores: Cores,
}

impl Case {
    /// A case that counts nanoseconds per operation.
    pub(crate) fn new(group: &'static str, name: impl Into<String>, goal: Goal) -> Case {
        Case::of(group, [Figure::new(name, Unit::Nanos, goal)])
    }

    /// A case with figures of its own.
    pub(crate) fn of(group: &'static str, figures: impl IntoIterator<Item = Figure>) -> Case {
        let figures = figures.into_iter().collect();
        Case { group, figures, contenders: Vec::new(), at_most: None, longer: 1, cores: Cores::All }
    }

    /// Limits the rounds of a case whose rounds are long, and need no other to warm up for them.
    pub(crate) fn at_most(mut self, rounds: usize) -> Case {
        self.at_most = Some(rounds);
        self
    }

    pub(crate) fn longer(mut self, times: u32) -> Case {
        self.longer = times;
        self
    }

    /// Adds a contender that does `n` operations and says how long they took.
    pub(crate) fn timed(self, role: Role, name: &'static str, batch: impl FnMut(u64) -> Duration + 'static) -> Case {
        self.measured(role, name, per_operation(batch))
    }

    /// Adds a contender that does a round by itself.
    pub(crate) fn measured(
        mut self,
        role: Role,
        name: &'static str,
        measure: impl FnMut(&Plan) -> Vec<f64> + 'static,
    ) -> Case {
        self.contenders.push(Contender { name, role, measure: Box::new(measure) });
        self
    }

    pub(crate) fn on(mut self, cores: Cores) -> Case {
        self.cores = cores;
        self
    }

    /// How many samples of each contender are kept, and how many are made.
    fn rounds(&self, plan: &Plan) -> (usize, usize) {
        match self.at_most {
            Some(most) => (plan.rounds.min(most), plan.rounds.min(most)),
            None => (plan.rounds, plan.rounds + 1),
        }
    }

    /// How often `run` calls `tick`.
    pub(crate) fn ticks(&self, plan: &Plan) -> usize {
        self.rounds(plan).1 * self.contenders.len()
    }

    /// Runs A B C, A B C, … and calls `tick` after each letter. Returns the samples of each figure
    /// of each contender: `samples[contender][figure][round]`.
    pub(crate) fn run(&mut self, plan: &Plan, mut tick: impl FnMut()) -> Vec<Vec<Vec<f64>>> {
        let _pinned = (self.cores == Cores::One).then(OneCore::pin);
        let (kept, made) = self.rounds(plan);
        let plan = Plan { batch: plan.batch * self.longer, ..*plan };
        let mut samples = vec![vec![Vec::new(); self.figures.len()]; self.contenders.len()];
        for round in (0..made).rev() {
            for (contender, samples) in self.contenders.iter_mut().zip(&mut samples) {
                let values = (contender.measure)(&plan);
                // The first round may have been made to warm up only.
                if round < kept {
                    samples.iter_mut().zip(values).for_each(|(samples, value)| samples.push(value));
                }
                tick();
            }
        }
        samples
    }
}

/// Turns "do `n` operations" into "nanoseconds per operation", with an `n` that fills a batch.
fn per_operation(mut batch: impl FnMut(u64) -> Duration) -> impl FnMut(&Plan) -> Vec<f64> {
    let mut n = 1;
    move |plan| {
        loop {
            let took = batch(n);
            let sample = took.as_nanos() as f64 / n as f64;
            // Some contenders are now fast and now slow by a hundred times. So `n` falls at once
            // and grows in steps, lest a slow batch that was cut for a fast one last for seconds.
            let fills = plan.batch.as_nanos() as f64 / sample.max(0.01);
            n = (fills as u64).clamp(1, n * 2);
            if took >= plan.batch / 8 {
                return vec![sample];
            }
        }
    }
}

/// The time that `n` operations take on something that is kept from round to round, and that the
/// first round makes.
pub(crate) fn kept<T>(make: impl Fn() -> T, run: impl Fn(&T, u64)) -> impl FnMut(u64) -> Duration {
    let mut thing = None;
    move |n| {
        let thing = thing.get_or_insert_with(&make);
        let start = Instant::now();
        run(thing, n);
        start.elapsed()
    }
}

/// The time that `n` calls of an operation take which never sleeps. It is the time of this thread:
/// what other programs do with the core meanwhile does not count.
pub(crate) fn repeat(n: u64, mut operation: impl FnMut()) -> Duration {
    let start = thread_time();
    for _ in 0..n {
        operation();
    }
    thread_time() - start
}

/// Where threads wait for each other without sleeping: one that has just been woken is tens of
/// microseconds behind, and a race does not begin like that.
struct Gate(CachePadded<AtomicUsize>);

impl Gate {
    fn new(threads: usize) -> Gate {
        Gate(CachePadded::new(AtomicUsize::new(threads)))
    }

    fn pass(&self) {
        self.0.fetch_sub(1, AcqRel);
        while self.0.load(Acquire) > 0 {
            thread::yield_now();
        }
    }
}

/// The time from the first start to the last end of `threads` threads that all run `body`.
pub(crate) fn together(threads: usize, body: impl Fn(usize) + Sync) -> Duration {
    let gate = Gate::new(threads);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let run = |index| {
            spread(index, threads);
            gate.pass();
            let start = Instant::now();
            body(index);
            (start, Instant::now())
        };
        let handles: Vec<_> = (0..threads).map(|i| scope.spawn(move || run(i))).collect();
        handles.into_iter().map(|handle| handle.join().expect("a contender panicked")).collect()
    });
    let start = spans.iter().map(|span| span.0).min().expect("at least one thread");
    let end = spans.iter().map(|span| span.1).max().expect("at least one thread");
    end - start
}

/// Lets `threads` threads repeat `operation` for the length of `window`. Returns the nanoseconds
/// per operation of all together, and the smallest thread's part of its fair share.
///
/// The time is fixed and not the number of operations, so that all threads compete to the end.
pub(crate) fn compete(threads: usize, window: Duration, operation: impl Fn() + Sync) -> (f64, f64) {
    let gate = Gate::new(threads + 1);
    let over = CachePadded::new(AtomicBool::new(false));
    let (counts, took) = thread::scope(|scope| {
        let run = |index| {
            spread(index, threads);
            let mut count = 0;
            gate.pass();
            while !over.load(Relaxed) {
                operation();
                count += 1;
            }
            count
        };
        let handles: Vec<_> = (0..threads).map(|i| scope.spawn(move || run(i))).collect();
        gate.pass();
        let start = Instant::now();
        thread::sleep(window);
        over.store(true, Relaxed);
        let took = start.elapsed();
        let counts: Vec<u64> = handles.into_iter().map(|handle| handle.join().expect("a contender panicked")).collect();
        (counts, took)
    });
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let least = *counts.iter().min().expect("at least one thread") as f64;
    (took.as_nanos() as f64 / total, least * threads as f64 / total)
}

/// Does about `nanos` nanoseconds of work that no compiler shortens.
#[inline]
pub(crate) fn work(nanos: f64) {
    fn steps(count: u64) {
        let mut x = black_box(1_u64);
        for _ in 0..count {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        black_box(x);
    }
    /// Steps in a nanosecond, measured once, so that all contenders do the same.
    static SPEED: LazyLock<f64> = LazyLock::new(|| {
        const STEPS: u64 = 1_000_000;
        let best = (0..9).map(|_| repeat(1, || steps(STEPS))).min().expect("nine tries");
        STEPS as f64 / best.as_nanos() as f64
    });
    if nanos > 0.0 {
        steps((nanos * *SPEED) as u64);
    }
}
