//! A million calls through pools of 1, 2 and 8 workers, with cancels, interrupts, time-outs and panics
//! at random, counted: every future ends once, every closure is run or dropped once, every value is
//! dropped once, no interrupt reaches another call than its own, and no thread is left.
//!
//! A debug build makes an eighth of that. `LISLE_SOAK=n` makes it n times as long.

mod dice;

use dice::{Dice, soak};
use lisle::executor::{
    Builder, Future, FutureError, OnFull, State, SubmitError, ThreadPoolExecutor, Until, as_completed_for, wait_for,
};
use lisle::sync::Mutex;
use lisle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SUBMITTERS: usize = 3;

/// Futures that all submitters reach.
const SHARED: usize = 16;

/// How many calls go through one pool.
fn calls() -> usize {
    let few = if cfg!(debug_assertions) { 8 } else { 1 };
    1_000_000 / 3 / few * soak()
}

#[derive(Default)]
struct Counts {
    closures: AtomicUsize,
    run: AtomicUsize,
    /// Closures that were dropped, run or not.
    dropped: AtomicUsize,
    values: AtomicUsize,
    values_dropped: AtomicUsize,
    taken: AtomicUsize,
    submitted: AtomicUsize,
    finished: AtomicUsize,
    cancelled: AtomicUsize,
    refused: AtomicUsize,
    executed: AtomicUsize,
    strays: AtomicUsize,
}

fn one_more(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Goes along with a closure.
struct Ticket(Arc<Counts>);

impl Ticket {
    fn new(counts: &Arc<Counts>) -> Ticket {
        one_more(&counts.closures);
        Ticket(counts.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        one_more(&self.0.dropped);
    }
}

/// What a call returns.
struct Value(Arc<Counts>);

impl Drop for Value {
    fn drop(&mut self) {
        one_more(&self.0.values_dropped);
    }
}

/// A panic that says nothing.
fn give_up() -> ! {
    std::panic::resume_unwind(Box::new("given up"))
}

/// What a call does.
fn run(ticket: Ticket, what: u64, length: Duration) -> Value {
    let counts = &ticket.0;
    one_more(&counts.run);
    match what {
        1 => give_up(),
        2 => drop(thread::sleep_interruptible(length)),
        3 => thread::yield_now(),
        _ => {}
    }
    one_more(&counts.values);
    Value(counts.clone())
}

struct Stress {
    pool: ThreadPoolExecutor,
    counts: Arc<Counts>,
    shared: [Mutex<Option<Future<Value>>>; SHARED],
}

impl Stress {
    fn submit(&self, dice: &mut Dice) {
        let (ticket, what, length) = (Ticket::new(&self.counts), dice.roll(12), dice.limit());
        if dice.roll(8) == 0 {
            // Nobody interrupts such a call: an interrupt that is there was another one's.
            let look = |counts: &Counts| thread::interrupted().then(|| one_more(&counts.strays));
            let call = move || {
                look(&ticket.0);
                let value = run(ticket, what.max(2), length);
                look(&value.0);
            };
            match self.pool.execute(call) {
                Ok(()) => one_more(&self.counts.executed),
                Err(SubmitError::Full) => self.be_refused(),
                Err(other) => panic!("{other}"),
            }
            return;
        }
        let call = self.pool.call().priority(dice.roll(3) as i32).limit(dice.limit() * 10);
        match call.submit(move || run(ticket, what, length)) {
            Ok(future) => self.watch(future, dice),
            Err(SubmitError::Full | SubmitError::TimedOut) => self.be_refused(),
            Err(other) => panic!("{other}"),
        }
    }

    fn be_refused(&self) {
        one_more(&self.counts.refused);
        thread::yield_now(); // else there would be little but refusals
    }

    fn watch(&self, future: Future<Value>, dice: &mut Dice) {
        one_more(&self.counts.submitted);
        let counts = self.counts.clone();
        future.add_done_callback(move |future| match future.state() {
            State::Finished => one_more(&counts.finished),
            State::Cancelled => one_more(&counts.cancelled),
            other => panic!("told while {other:?}"),
        });
        let before = self.shared[dice.roll(SHARED as u64) as usize].lock().replace(future);
        drop(before);
    }

    /// Mostly too short for a call that has just been submitted, now and then long enough for any.
    fn patience(&self, dice: &mut Dice) -> Duration {
        if dice.roll(64) == 0 { Duration::from_secs(60) } else { dice.limit() }
    }

    fn meddle(&self, dice: &mut Dice) {
        let pick = |dice: &mut Dice| self.shared[dice.roll(SHARED as u64) as usize].lock().clone();
        let Some(future) = pick(dice) else { return };
        match dice.roll(8) {
            0 => drop(future.cancel()),
            1 | 2 => drop(future.interrupt()),
            3 => match future.result_for(self.patience(dice)) {
                Ok(_) => one_more(&self.counts.taken),
                Err(FutureError::Interrupted) => one_more(&self.counts.strays),
                Err(FutureError::Deadlocked(report)) => panic!("{report}"),
                Err(_) => {}
            },
            4 if future.wait_for(dice.limit()).is_ok() => {
                assert!(future.is_done() && future.try_exception().is_ok() != future.is_cancelled());
            }
            5 => {
                let others: Vec<_> = (0..3).filter_map(|_| pick(dice)).chain([future]).collect();
                let until = [Until::AllCompleted, Until::FirstCompleted, Until::FirstError][dice.roll(3) as usize];
                let waited = wait_for(&others, until, dice.limit()).unwrap();
                assert_eq!(waited.done.len() + waited.pending.len(), others.len());
                assert!(waited.done.iter().all(|&place| others[place].is_done()));
            }
            6 => {
                let others: Vec<_> = (0..3).filter_map(|_| pick(dice)).chain([future]).collect();
                for next in as_completed_for(others, dice.limit()) {
                    assert!(next.map_or_else(|error| error.is_timed_out(), |future| future.is_done()));
                }
            }
            _ => {}
        }
        // What is left of an interrupt that was for a call that this thread ran would show here.
        if thread::interrupted() {
            one_more(&self.counts.strays);
        }
    }
}

fn stress(builder: Builder, name: &str) {
    let stress = Stress {
        pool: builder.name(name).build().unwrap(),
        counts: Arc::default(),
        shared: std::array::from_fn(|_| Mutex::new(None)),
    };
    thread::scope(|scope| {
        for seed in 1..=SUBMITTERS {
            let stress = &stress;
            scope.spawn(move || {
                let mut dice = Dice(seed as u64 * 0x9E37_79B9);
                for _ in 0..calls() / SUBMITTERS {
                    stress.submit(&mut dice);
                    if dice.roll(2) == 0 {
                        stress.meddle(&mut dice);
                    }
                }
            });
        }
    });
    let Stress { pool, counts, shared } = stress;
    pool.join().unwrap();
    assert_eq!(pool.pending(), 0);
    assert!(pool.running().is_empty());
    drop(pool);
    drop(shared);

    let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "{name}: {} calls, {} finished, {} cancelled, {} refused, {} values taken",
        of(&counts.closures),
        of(&counts.finished),
        of(&counts.cancelled),
        of(&counts.refused),
        of(&counts.taken)
    );
    assert_eq!(of(&counts.submitted), of(&counts.finished) + of(&counts.cancelled), "each future ends once");
    assert_eq!(of(&counts.closures), of(&counts.submitted) + of(&counts.refused) + of(&counts.executed));
    assert_eq!(of(&counts.closures), of(&counts.dropped), "each closure is gone, once");
    assert_eq!(of(&counts.values), of(&counts.values_dropped), "each value is gone, once");
    assert!(of(&counts.run) >= of(&counts.finished) + of(&counts.executed), "what has finished was run");
    assert!(of(&counts.run) <= of(&counts.submitted) + of(&counts.executed), "and no more than once");
    assert!(of(&counts.cancelled) > 0 && of(&counts.taken) > 0, "there was something to count");
    assert_eq!(of(&counts.strays), 0, "an interrupt is for the call that it was sent for");
    let left: Vec<_> =
        thread::enumerate().into_iter().filter(|one| one.name().unwrap_or("").starts_with(name)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn one_worker() {
    stress(ThreadPoolExecutor::builder().max_workers(1), "stress-1");
}

#[test]
fn two_workers() {
    stress(ThreadPoolExecutor::builder().max_workers(2), "stress-2");
}

#[test]
fn eight_workers() {
    stress(ThreadPoolExecutor::builder().max_workers(8).keep_alive(Duration::from_micros(50)), "stress-8");
}

#[test]
fn room_for_few_and_the_others_are_refused() {
    stress(ThreadPoolExecutor::builder().max_workers(2).max_pending(4, OnFull::Reject), "stress-reject");
}

#[test]
fn room_for_few_and_the_others_wait() {
    let builder = ThreadPoolExecutor::builder().max_workers(2).priorities(true);
    stress(builder.max_pending(4, OnFull::Block), "stress-block");
}

#[test]
fn room_for_few_and_who_submits_runs_it() {
    stress(ThreadPoolExecutor::builder().max_workers(2).max_pending(4, OnFull::RunInCaller), "stress-lend");
}
