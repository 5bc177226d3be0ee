//! A first thread: a type of one's own with a `run`, made, started, joined.
//!
//! ```text
//! cargo run --release --example first_thread
//! ```

use std::time::Duration;

use lisle::thread::{self, Run};

/// What a thread does is the `run` of a type; what the thread needs are its fields.
struct MyThread<F> {
    work: F,
}

impl<F: FnOnce() + Send + 'static> Run for MyThread<F> {
    type Output = ();

    fn run(self) {
        print_current("sub thread start");
        (self.work)();
        print_current("sub thread end");
    }
}

/// Stands for a job that blocks.
fn worker() {
    thread::sleep(Duration::from_secs(1));
}

fn print_current(what: &str) {
    let me = thread::current();
    println!(
        "{what}, current thread name: {}, current thread ident: {}",
        me.name().unwrap_or("(none)"),
        thread::get_ident(),
    );
}

fn main() {
    let t = thread::create(MyThread { work: worker }); // made, not yet running
    println!("alive before start: {}", t.is_alive());
    t.start().expect("the system has room for one thread");
    println!("alive after start: {}", t.is_alive());
    t.join().expect("run does not panic"); // main waits here until run has ended
    println!("alive after join: {}", t.is_alive());

    println!("main end, current thread: {:?}", thread::current());
}
