//! A pool of processes that survives `kill -9` of its workers every 50 ms, with every result right.
//!
//! ```text
//! process_pool [--seconds N] [--workers N]
//! ```
//!
//! The calls are many and short; one that loses its worker is made again by another one. Exit status: 0
//! if every result was right; 1 if one was not; 2 if the pool did not work.

use clap::Parser;
use lisle::executor::Function;
use lisle::process::{self, ProcessPoolExecutor};
use lisle::sync::Event;
use lisle::thread;
use std::collections::BTreeSet;
use std::num::NonZero;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How often the number can be halved, or tripled and made one more, until it is 1.
const STEPS: Function<(u64, u64), u64> = Function::new("steps", |(from, to)| (from..to).map(steps).sum());

fn steps(mut n: u64) -> u64 {
    let mut count = 0;
    while n > 1 {
        n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        count += 1;
    }
    count
}

/// So many numbers make a call, which takes about a millisecond.
const CHUNK: u64 = 10_000;

#[derive(Parser)]
#[command(about = "A pool of processes that survives kill -9 of its workers")]
struct Arguments {
    /// For how long workers are killed
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many workers there are [default: two, or one per processor if that is more]
    #[arg(long)]
    workers: Option<NonZero<usize>>,
}

fn main() -> ExitCode {
    process::init(&[&STEPS]);
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("process_pool: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let workers = match arguments.workers {
        Some(workers) => workers.get(),
        None => thread::available_parallelism().map_or(2, |processors| processors.get().max(2)),
    };
    let pool = ProcessPoolExecutor::builder().max_workers(workers).replace_workers(true).retries(100).build()?;
    let (end, over) = (Instant::now() + Duration::from_secs(arguments.seconds), Event::named("killed enough"));
    let (mut results, mut wrong, mut seen) = (0_u64, 0_u64, BTreeSet::new());
    let killed = thread::scope(|scope| {
        let killer = scope.spawn(|| kill_until(&over, &pool));
        let calls =
            (0..).take_while(|_| Instant::now() < end).map(|n| (1 + n % 100 * CHUNK, 1 + (n % 100 + 1) * CHUNK));
        let right: Vec<u64> = (0..100).map(|n| (1 + n * CHUNK..1 + (n + 1) * CHUNK).map(steps).sum()).collect();
        let mut failed = None;
        for (n, result) in pool.map(STEPS, calls).enumerate() {
            match result {
                Ok(sum) => {
                    results += 1;
                    wrong += u64::from(sum != right[n % 100]);
                }
                Err(error) => failed = Some(error),
            }
            seen.extend(pool.pids());
        }
        over.set();
        let killed = killer.join().expect("killing does not panic");
        failed.map_or(Ok(killed), Err)
    })?;
    pool.shutdown()?;
    println!("{results} results, {wrong} wrong; {killed} workers killed, {} seen, {workers} at a time", seen.len());
    Ok(wrong == 0)
}

/// Kills one worker every 50 ms, each in its turn, as a user would.
fn kill_until(over: &Event, pool: &ProcessPoolExecutor) -> u64 {
    let mut killed = 0;
    while over.wait_for(Duration::from_millis(50)).is_err() {
        let pids = pool.pids();
        if let Some(pid) = pids.get(killed as usize % pids.len().max(1)) {
            let kill = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
            killed += u64::from(kill.is_ok_and(|status| status.success()));
        }
    }
    killed
}
