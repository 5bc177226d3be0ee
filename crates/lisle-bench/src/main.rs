//! Runs lisle and its peers side by side in one process and holds the results against the goals.

mod backlog;
mod barrier;
mod child;
mod cores;
mod deadlock;
mod end;
mod event;
mod executor;
mod floor;
mod gil;
mod growth;
mod harness;
mod load;
mod mutex;
mod pools;
mod process;
mod queue;
mod report;
mod roundtrip;
mod rwlock;
mod semaphore;
mod snapshot;
mod threads;
mod tracing;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, thread};

use indicatif::{ProgressBar, ProgressStyle};
use lexopt::{Arg, Parser, ValueExt};

use harness::{Case, Plan};
use load::Load;

const HELP: &str = "\
Runs lisle and its peers side by side and holds the results against the goals.

Usage: lisle-bench [OPTIONS] [FILTER]...

  FILTER        run the cases whose `group · case` contains one of these

  --quick       a short run: less exact, and no more than 1,000 waiting threads
  --rounds N    at most N rounds of each case
  --list        name the cases, and run none
  --out DIR     where rust.json and rust.html go [default: target/bench]
  --help        this text
";

/// What the command line asks for.
struct Options {
    plan: Plan,
    filters: Vec<String>,
    list: bool,
    out: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    lisle::process::init(&[&process::VALUE, &process::SHARED, &process::ATTACH, &process::IN_PLACE]);
    procspawn::init();
    // SAFETY: the first thread has started none.
    unsafe { pools::limit_blocking(executor::WORKERS) };
    let Some(options) = options()? else { return Ok(()) };
    // Cycles of timed waits are part of what is measured; their reports would be in the way.
    lisle::on_report(|_| ());
    let mut cases = cases(&options.plan);
    let wanted = |case: &Case| {
        let names = || case.figures.iter().map(|figure| format!("{} · {}", case.group, figure.name));
        options.filters.is_empty() || names().any(|name| options.filters.iter().any(|filter| name.contains(filter)))
    };
    cases.retain(wanted);
    if options.list {
        for case in &cases {
            case.figures.iter().for_each(|figure| println!("{} · {}", case.group, figure.name));
        }
        return Ok(());
    }
    run(cases, &options)
}

/// All cases of all groups.
fn cases(plan: &Plan) -> Vec<Case> {
    let mut cases = Vec::new();
    for group in [
        mutex::cases,
        rwlock::cases,
        semaphore::cases,
        event::cases,
        roundtrip::cases,
        barrier::cases,
        queue::cases,
        executor::cases,
        backlog::cases,
        process::cases,
        threads::cases,
        deadlock::cases,
        end::cases,
        tracing::cases,
        gil::cases,
    ] {
        cases.extend(group());
    }
    cases.extend(growth::cases(plan));
    cases.extend(snapshot::cases(plan));
    cases
}

fn run(mut cases: Vec<Case>, options: &Options) -> Result<(), Box<dyn Error>> {
    let conditions = conditions(&options.plan);
    println!("{conditions}\n");
    let (begin, load) = (Instant::now(), Load::now());
    let ticks: usize = cases.iter().map(|case| case.ticks(&options.plan)).sum();
    let bar = ProgressBar::new(ticks as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {elapsed} of {duration}  {msg}")?);
    let mut outcomes = Vec::new();
    for case in &mut cases {
        bar.set_message(format!("{} · {}", case.group, case.figures[0].name));
        let before = Load::now();
        let samples = case.run(&options.plan, || bar.inc(1));
        let those = report::outcomes(case, &samples, Load::now().since(before));
        bar.suspend(|| those.iter().for_each(|outcome| println!("{}", outcome.table())));
        outcomes.extend(those);
    }
    bar.finish_and_clear();
    println!("{}", report::summary(&outcomes));

    fs::create_dir_all(&options.out)?;
    let [data, page] = ["rust.json", "rust.html"].map(|name| options.out.join(name));
    fs::write(&data, serde_json::to_string_pretty(&report::list(&outcomes))?)?;
    fs::write(&page, report::page(&outcomes, &conditions))?;
    println!("{:.0} s; {}", begin.elapsed().as_secs_f64(), Load::now().since(load));
    println!("written: {} and {}", data.display(), page.display());
    Ok(())
}

/// What the command line asks for, or nothing where that was done at once.
fn options() -> Result<Option<Options>, Box<dyn Error>> {
    let mut options =
        Options { plan: Plan::FULL, filters: Vec::new(), list: false, out: workspace().join("target/bench") };
    let mut rounds = None;
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("quick") => options.plan = Plan::QUICK,
            Arg::Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
            Arg::Long("list") => options.list = true,
            Arg::Long("out") => options.out = parser.value()?.into(),
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            // What this program asks of a second process of its own.
            Arg::Long("memory") => {
                let (group, make) = (parser.value()?, parser.value()?.string()?);
                let (scene, crowd) = (parser.value()?.parse()?, parser.value()?.parse()?);
                let memory = if group == "growth" { growth::memory } else { backlog::memory };
                println!("{}", memory(&make, scene, crowd)?);
                return Ok(None);
            }
            Arg::Value(filter) => options.filters.push(filter.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    options.plan.rounds = rounds.unwrap_or(options.plan.rounds);
    Ok(Some(options))
}

fn workspace() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("the package lies two folders below the workspace")
}

/// Where and with what the numbers were taken.
fn conditions(plan: &Plan) -> String {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let processors = read(Path::new("/proc/cpuinfo"));
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = read(Path::new("/proc/sys/kernel/osrelease"));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let locked = read(&workspace().join("Cargo.lock"));
    let version = |peer: &str| {
        let (_, after) = locked.split_once(&format!("name = \"{peer}\"\nversion = \""))?;
        Some(format!("{peer} {}", after.split('"').next()?))
    };
    let peers: Vec<String> = [
        "parking_lot",
        "crossbeam-channel",
        "kanal",
        "flume",
        "event-listener",
        "tokio",
        "rayon",
        "threadpool",
        "rusty_pool",
        "futures",
        "blocking",
        "procspawn",
    ]
    .into_iter()
    .filter_map(version)
    .collect();
    format!(
        "{}, {cores} cores, Linux {}\n{}\n{} rounds, batches of {} ms, threads compete for {} ms",
        model.map_or("unknown processor", |(_, name)| name),
        kernel.trim(),
        peers.join(", "),
        plan.rounds,
        plan.batch.as_millis(),
        plan.window.as_millis(),
    )
}
