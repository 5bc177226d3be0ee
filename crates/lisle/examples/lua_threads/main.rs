//! One interpreter, many threads: a Lua state that threads share, as Python's do, and what that does to one
//! that answers while others compute.
//!
//!     cargo run --release --example lua_threads
//!
//! prints how long round trips of a UDP echo take beside 0, 1, 2 and 4 threads that compute, and how much of
//! their speed those keep: with a Lua state under a `lisle::gil::Gil`, with loops under one, and with each
//! CPython that is found. There, a thread that computes makes each round trip last a whole switch interval or
//! more: the convoy effect (bugs.python.org/issue7946). `--figures` tells what each Lua thread has had.

mod client;
mod lua;
mod server;

use std::error::Error;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, io};

use clap::Parser;

use client::Client;
use server::{SWITCH_INTERVAL, Server};

/// Round trips of a UDP echo beside threads that compute, all under one global lock.
#[derive(Parser)]
struct Arguments {
    /// How many threads compute, one number after the other
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,4")]
    threads: Vec<usize>,
    /// How long each is measured, in milliseconds: in turns with and without round trips
    #[arg(long, default_value_t = 2_000)]
    window: u64,
    /// The pause between two round trips, in microseconds
    #[arg(long, default_value_t = 1_000)]
    pause: u64,
    /// What is measured; none for all: lua, bare, or a Python's name or path
    servers: Vec<String>,
    /// What each Lua thread has had of the GIL
    #[arg(long)]
    figures: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut servers = arguments.servers.clone();
    if servers.is_empty() {
        servers = ["lua", "bare"].map(String::from).into();
        servers.extend(["python3.11", "python3.13"].into_iter().filter_map(find));
    }
    println!(
        "UDP round trips with {} µs between them, switch interval {} ms, {} cores; load {}",
        arguments.pause,
        SWITCH_INTERVAL.as_millis(),
        lisle::thread::available_parallelism()?,
        load(),
    );
    println!(
        "\n{:22} {:>7} {:>9} {:>9} {:>7} {:>9} {:>9} {:>10}",
        "", "compute", "trips", "median", "× idle", "99 %", "longest", "they keep"
    );
    let mut missed = Vec::new();
    for name in &servers {
        let mut idle = None;
        for &threads in &arguments.threads {
            let row = measure(name, threads, &arguments)?;
            let idle = *idle.get_or_insert(row.median);
            let ratio = row.median.as_secs_f64() / idle.as_secs_f64();
            println!(
                "{:22} {threads:>7} {:>9} {:>9} {ratio:>7.2} {:>9} {:>9} {:>10}",
                title(name),
                row.trips,
                micros(row.median),
                micros(row.most),
                micros(row.longest),
                row.kept.map_or(String::new(), |kept| format!("{:.0} %", kept * 100.0)),
            );
            if matches!(&**name, "lua" | "bare") && threads > 0 {
                let mut judge = |what: &str, met: bool| {
                    if !met {
                        missed.push(format!("{name} beside {threads}: {what}"));
                    }
                };
                judge("median at most 3 times the idle one", ratio <= 3.0);
                judge("99 % within a switch interval", row.most <= SWITCH_INTERVAL);
                judge("those who compute keep 90 %", row.kept.is_none_or(|kept| kept >= 0.9));
            }
        }
    }
    println!("\nload {}", load());
    if missed.is_empty() {
        println!("all goals met");
    } else {
        println!("missed: {}", missed.join("; "));
    }
    Ok(())
}

/// How often those who compute are left alone and are disturbed.
const TURNS: u32 = 8;

/// What came out for one server beside so many threads.
struct Row {
    trips: usize,
    median: Duration,
    /// That of a hundred trips 99 do not take longer than.
    most: Duration,
    longest: Duration,
    /// How fast the others were meanwhile, of what they are when nobody asks anything.
    kept: Option<f64>,
}

fn measure(name: &str, threads: usize, arguments: &Arguments) -> io::Result<Row> {
    let server = match name {
        "lua" => server::lua(threads)?,
        "bare" => server::bare(threads)?,
        python => server::python(python, threads)?,
    };
    let (window, pause) = (Duration::from_millis(arguments.window / 2), Duration::from_micros(arguments.pause));
    let client = Client::of(server.address)?;
    client.round_trips(window / 10, pause)?; // to warm up
    // In turns, so that the machine's mood counts for both.
    let (mut trips, mut alone, mut beside) = (Vec::new(), 0.0, 0.0);
    for _ in 0..TURNS {
        let rest = || {
            lisle::thread::sleep(window / TURNS);
            Ok(())
        };
        alone += client.speed(rest)?.0;
        let (speed, those) = client.speed(|| client.round_trips(window / TURNS, pause))?;
        beside += speed;
        trips.extend(those);
    }
    trips.sort_unstable();
    if arguments.figures && name == "lua" {
        print_figures(&server);
    }
    client.stop()?;
    server.join()?;
    let of_hundred = |hundredths: usize| trips[(trips.len() * hundredths / 100).min(trips.len() - 1)];
    Ok(Row {
        trips: trips.len(),
        median: of_hundred(50),
        most: of_hundred(99),
        longest: *trips.last().expect("there was one"),
        kept: (threads > 0).then(|| beside / alone),
    })
}

fn print_figures(server: &Server) {
    for (thread, figures) in server.figures() {
        println!(
            "  {:12} attached {:>7} ×, waited {:>6} × for {:>8.1?} and at most {:>8.1?}, had to hand over {:>5} ×",
            thread.name().unwrap_or_default(),
            figures.attached,
            figures.waited.count,
            figures.waited.total,
            figures.waited.longest,
            figures.forced,
        );
    }
}

/// The interpreter of that name, in the path or where pyenv has it.
fn find(name: &str) -> Option<String> {
    let works =
        |program: &str| Command::new(program).arg("-c").arg("").output().is_ok_and(|output| output.status.success());
    if works(name) {
        return Some(name.into());
    }
    let versions = env::home_dir()?.join(".pyenv/versions");
    let of_pyenv = fs::read_dir(versions).ok()?.flatten().map(|version| version.path().join("bin").join(name));
    of_pyenv.map(|path| path.to_string_lossy().into_owned()).find(|path| works(path))
}

fn title(name: &str) -> String {
    match name {
        "lua" => "Lua, lisle".into(),
        "bare" => "bare loop, lisle".into(),
        python => python.rsplit('/').next().unwrap_or(python).replace("python", "CPython "),
    }
}

fn micros(length: Duration) -> String {
    format!("{:.0} µs", length.as_secs_f64() * 1e6)
}

/// What the system says on how many threads wanted to run lately.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" and ")
}
