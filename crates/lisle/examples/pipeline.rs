//! A pipeline of three stages whose memory stays flat however far apart their speeds are.
//!
//! ```text
//! cargo run --release --example pipeline [BLOCKS]
//!
//!  main ──▶ ▯▯▯▯ make ──▶ ▯▯▯▯ pack ──▶ ▯▯▯▯ sum
//!          (pool of 1)   (pool of 2)   (a queue and a thread)
//! ```
//!
//! Between the stages there is room for four. Who finds none left waits, and with that the stage
//! before it: the slowest sets the pace for all. Each end is the end of the next: main closes the
//! first stage and waits until it has run dry, then the second, then the queue.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use lisle::executor::{OnFull, ThreadPoolExecutor};
use lisle::queue::{Queue, Shutdown};
use lisle::thread::{self, Builder};

/// The room before each stage.
const ROOM: usize = 4;
const MAKERS: usize = 1;
const PACKERS: usize = 2;

const BLOCK: usize = 64 * 1024;

/// All blocks that can be there at a time: being made (or waiting for room), waiting to be packed, being packed.
const BOUND: usize = MAKERS + ROOM + PACKERS;

/// How many blocks there are now, and how many there were at most.
#[derive(Default)]
struct Count {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// What goes from stage to stage.
struct Block {
    bytes: Vec<u8>,
    count: Arc<Count>,
}

impl Block {
    fn make(seed: u32, count: Arc<Count>) -> Block {
        let now = count.now.fetch_add(1, Ordering::Relaxed) + 1;
        count.most.fetch_max(now, Ordering::Relaxed);
        // Runs of equal bytes, of different lengths.
        let bytes = (0..BLOCK as u32).map(|at| ((at / (1 + seed % 7)) ^ seed) as u8 & 0xf8).collect();
        Block { bytes, count }
    }

    /// Runs of equal bytes, as pairs of byte and length.
    fn pack(self) -> Vec<(u8, u32)> {
        let runs = self.bytes.chunk_by(|a, b| a == b);
        runs.map(|run| (run[0], run.len() as u32)).collect()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.count.now.fetch_sub(1, Ordering::Relaxed);
    }
}

fn pool(name: &str, workers: usize) -> Arc<ThreadPoolExecutor> {
    let pool = ThreadPoolExecutor::builder().name(name).max_workers(workers).max_pending(ROOM, OnFull::Block).build();
    Arc::new(pool.expect("it has workers and room"))
}

fn main() -> ExitCode {
    let Ok(blocks) = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse::<u32>()) else {
        eprintln!("pipeline: the argument is the number of blocks to send through it, 20000 if there is none");
        return ExitCode::from(2);
    };
    let begin = Instant::now();
    let count = Arc::new(Count::default());
    let (make, pack) = (pool("make", MAKERS), pool("pack", PACKERS));
    let packed = Arc::new(Queue::<Vec<(u8, u32)>>::bounded(ROOM).with_name("packed"));

    let to_sum = packed.clone();
    let sum = move || {
        let mut sums = (0u64, 0u64);
        for runs in to_sum.iter() {
            sums.0 += runs.len() as u64;
            sums.1 += runs.iter().map(|&(_, length)| u64::from(length)).sum::<u64>();
        }
        sums
    };
    let sum = Builder::new().name("sum".into()).spawn(sum).expect("the system has room for one thread");

    for seed in 0..blocks {
        let (pack, packed, count) = (pack.clone(), packed.clone(), count.clone());
        let made = make.execute(move || {
            let block = Block::make(seed, count);
            let put = move || packed.put(block.pack()).expect("the queue is open as long as there are calls");
            pack.execute(put).expect("the pool is open as long as the one before it has calls");
        });
        made.expect("the pool is open");
    }

    // One after the other: what is before a stage must have ended when that ends.
    make.shutdown().expect("nobody interrupts");
    pack.shutdown().expect("nobody interrupts");
    packed.shutdown(Shutdown::Drain);
    let (runs, bytes) = sum.join().expect("it does not panic");

    let seconds = begin.elapsed().as_secs_f64();
    println!("{blocks} blocks, {:.1} MB in {seconds:.2} s: {runs} runs", bytes as f64 / 1e6);
    println!("at most {} blocks at a time (bound: {BOUND})", count.most.load(Ordering::Relaxed));
    for thread in [&thread::current(), sum.thread()] {
        for (kind, waits) in thread.wait_stats().iter() {
            let name = thread.name().unwrap_or_default();
            println!("{name} waited {:.2} s for: {kind} ({} times)", waits.total.as_secs_f64(), waits.count);
        }
    }
    let complete = bytes == u64::from(blocks) * BLOCK as u64 && count.now.load(Ordering::Relaxed) == 0;
    println!("{}", if complete { "all of them came out, and none is left" } else { "something was lost" });
    ExitCode::from(u8::from(!complete))
}
