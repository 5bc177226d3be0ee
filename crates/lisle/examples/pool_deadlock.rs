//! Calls of a pool that wait for each other: the two examples of the documentation of Python's
//! `concurrent.futures`, which hang there for ever. Here one wait of each fails, with a report.
//!
//! ```text
//! cargo run --release --example pool_deadlock
//! ```

use std::sync::OnceLock;

use lisle::executor::{Future, FutureError, ThreadPoolExecutor};

/// Two calls, each of which waits for the other's result.
fn each_waits_for_the_other() {
    static A: OnceLock<Future<u32>> = OnceLock::new();
    static B: OnceLock<Future<u32>> = OnceLock::new();
    let wait_on_b = || 5 + or_else_0(B.wait().cloned());
    let wait_on_a = || 6 + or_else_0(A.wait().cloned());

    let pool = ThreadPoolExecutor::with_max_workers(2).expect("two are enough for a pool");
    let a = pool.call().name("wait on b").submit(wait_on_b).expect("the pool is open");
    let b = pool.call().name("wait on a").submit(wait_on_a).expect("the pool is open");
    let (a, b) = (A.get_or_init(|| a), B.get_or_init(|| b));
    // Whichever wait it was that failed: its call went on, and so could the other.
    println!("a = {:?}, b = {:?}", a.cloned(), b.cloned());
}

/// A call that waits for one that only its own thread could run.
fn one_waits_for_what_it_should_do_itself(pool: &ThreadPoolExecutor) {
    let square = pool.scope(|scope| {
        let outer = scope.submit(|| {
            let inner = pool.call().name("5 to the power of 2").submit(|| 5u32.pow(2)).expect("the pool is open");
            or_else_0(inner.result())
        });
        outer.expect("the pool is open").result()
    });
    println!("result: {square:?}");
}

fn or_else_0(result: Result<u32, FutureError>) -> u32 {
    result.unwrap_or_else(|error| {
        println!("{error}");
        0
    })
}

fn main() {
    println!("== two calls that wait for each other");
    each_waits_for_the_other();

    println!("\n== one worker, which waits for a call of its own pool");
    let pool = ThreadPoolExecutor::builder().max_workers(1).build().expect("one is enough for a pool");
    one_waits_for_what_it_should_do_itself(&pool);

    println!("\n== the same in a pool whose workers help: they run what they would wait for");
    let pool = ThreadPoolExecutor::builder().max_workers(1).help(true).build().expect("one is enough for a pool");
    one_waits_for_what_it_should_do_itself(&pool);
}
