//! The life of a process: start, join, kill, exit codes, panics, output, daemons.

mod process_support;

use lisle::executor::Function;
use lisle::process::{self, Builder, JoinError, Output, Process, StartError};
use lisle::thread;
use process_support::{LONG, children, descriptors, run, runs, signal, until};
use serde::{Serialize, Serializer};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

const SUM: Function<Vec<u64>, u64> = Function::new("sum", |all| all.iter().sum());
const SLEEP: Function<(), ()> = Function::new("sleep", |()| thread::sleep(Duration::from_secs(600)));
const PANIC: Function<String, ()> = Function::new("panic", |text| panic!("{text}"));
const EXIT: Function<i32, ()> = Function::new("exit", |code| std::process::exit(code));
const TALK: Function<(), ()> = Function::new("talk", |()| {
    print!("to stdout");
    eprint!("to stderr");
});
const ENV: Function<String, Option<String>> = Function::new("env", |key| std::env::var(key).ok());
const STDIN: Function<(), usize> =
    Function::new("stdin", |()| std::io::stdin().read_to_string(&mut String::new()).unwrap());
const LATE_THREAD: Function<(), u32> = Function::new("late thread", |()| {
    drop(thread::spawn(|| {
        thread::sleep(Duration::from_millis(200));
        println!("finished");
    }));
    7
});
const BIG: Function<Vec<u8>, Vec<u8>> = Function::new("big", |mut bytes| {
    bytes.reverse();
    bytes
});
const OPEN: Function<(), Vec<String>> = Function::new("open", |()| {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string())).collect()
});
const ODD: Function<Unserialisable, ()> = Function::new("odd", |_| ());
const ODD_VALUE: Function<(), Unserialisable> = Function::new("odd value", |()| Unserialisable);
const UNKNOWN: Function<(), ()> = Function::new("unknown", |()| ());
const SUM_OTHERWISE: Function<Vec<u32>, u32> = Function::new("sum", |all| all.iter().sum());
/// Starts a process that sleeps, tells its number, and waits.
const MIDDLE: Function<bool, ()> = Function::new("middle", |daemon| {
    let sleeper = Builder::new().daemon(daemon).spawn(SLEEP, ()).unwrap();
    println!("{}", sleeper.pid().unwrap());
    thread::sleep(Duration::from_secs(600));
});
const MIDDLE_RETURNS: Function<bool, ()> = Function::new("middle returns", |daemon| {
    let sleeper = Builder::new().daemon(daemon).spawn(SLEEP, ()).unwrap();
    println!("{}", sleeper.pid().unwrap());
});

/// Ignores the ends of children, as a program may that was started so; then has two.
const CARELESS: Function<(), (u64, Option<i32>)> = Function::new("careless", |()| {
    // SAFETY: nothing is run when the signal comes.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let sum = process::spawn(SUM, vec![1, 2]).unwrap().join_for(LONG).unwrap();
    let sleeper = process::spawn(SLEEP, ()).unwrap();
    sleeper.kill();
    assert!(matches!(sleeper.join_for(LONG), Err(JoinError::Ended(_) | JoinError::NoInit(_))));
    (sum, sleeper.exit_status().and_then(|status| status.code()))
});

#[derive(serde::Deserialize)]
struct Unserialisable;

impl Serialize for Unserialisable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it is made of glass"))
    }
}

fn main() {
    if std::env::var_os("TEST_BEFORE_INIT").is_some_and(|what| what == "return") {
        return;
    }
    if std::env::var_os("TEST_BEFORE_INIT").is_some_and(|what| what == "sleep") {
        std::thread::sleep(Duration::from_secs(600));
    }
    if std::env::var_os(process_variable()).is_none() {
        // In the parent only, to see what happens without `init`.
        assert!(matches!(process::spawn(SUM, vec![1]), Err(StartError::NotInitialised)));
    }
    process::init(&[
        &SUM,
        &SLEEP,
        &PANIC,
        &EXIT,
        &TALK,
        &ENV,
        &STDIN,
        &LATE_THREAD,
        &BIG,
        &OPEN,
        &ODD,
        &ODD_VALUE,
        &MIDDLE,
        &MIDDLE_RETURNS,
        &CARELESS,
    ]);
    run(&[
        ("a_value_comes_out_once", a_value_comes_out_once),
        ("made_now_started_later", made_now_started_later),
        ("joins_with_limits_and_interrupts", joins_with_limits_and_interrupts),
        ("any_number_join", any_number_join),
        ("terminate_and_kill", terminate_and_kill),
        ("exit_codes", exit_codes),
        ("a_panic_comes_back", a_panic_comes_back),
        ("output", output),
        ("stdin_is_empty_and_the_environment_is_passed", stdin_is_empty_and_the_environment_is_passed),
        ("its_threads_finish_first", its_threads_finish_first),
        ("large_arguments_and_values", large_arguments_and_values),
        ("what_cannot_be_started", what_cannot_be_started),
        ("a_child_without_init", a_child_without_init),
        ("daemons_end_with_a_killed_parent", daemons_end_with_a_killed_parent),
        ("the_end_of_the_starting_thread_ends_nobody", the_end_of_the_starting_thread_ends_nobody),
        ("the_end_of_a_process_waits_for_its_processes", the_end_of_a_process_waits_for_its_processes),
        ("ends_are_seen_that_the_system_does_not_keep", ends_are_seen_that_the_system_does_not_keep),
        ("a_child_inherits_nothing", a_child_inherits_nothing),
        ("nothing_is_left_behind", nothing_is_left_behind),
    ]);
}

fn process_variable() -> &'static str {
    "LISLE_PROCESS"
}

fn a_value_comes_out_once() {
    let sum = process::spawn(SUM, vec![1, 2, 3]).unwrap();
    assert!(sum.pid().is_some_and(|pid| pid != std::process::id()));
    assert!(sum.name().starts_with("Process-") && sum.name().ends_with(" (sum)"), "{}", sum.name());
    assert_eq!(sum.join().unwrap(), 6);
    assert!(!sum.is_alive() && sum.is_finished());
    assert_eq!(sum.exit_status().unwrap().code(), Some(0));
    assert!(matches!(sum.join(), Err(JoinError::Taken)));
    assert!(matches!(sum.start(), Err(StartError::AlreadyStarted)));
    assert!(!sum.kill() && !sum.terminate());
}

fn made_now_started_later() {
    let sum = Builder::new().name("adder").create(SUM, vec![40, 2]).unwrap();
    assert!(!sum.is_alive() && !sum.is_finished() && sum.pid().is_none() && sum.exit_status().is_none());
    assert!(matches!(sum.join(), Err(JoinError::NotStarted)));
    assert!(!sum.kill());
    sum.start().unwrap();
    assert!(matches!(sum.start(), Err(StartError::AlreadyStarted)));
    assert_eq!(sum.join_for(LONG).unwrap(), 42);
    assert_eq!(sum.name(), "adder");
}

fn joins_with_limits_and_interrupts() {
    let sleeper = process::spawn(SLEEP, ()).unwrap();
    assert!(sleeper.is_alive());
    assert!(sleeper.try_join().unwrap_err().is_timed_out());
    assert!(sleeper.join_for(Duration::from_millis(5)).unwrap_err().is_timed_out());
    thread::scope(|scope| {
        let joiner = scope.spawn(|| sleeper.join());
        joiner.thread().interrupt();
        assert!(joiner.join().unwrap().unwrap_err().is_interrupted());
    });
    sleeper.kill();
    assert_eq!(sleeper.join().unwrap_err().signal(), Some(libc::SIGKILL));
}

fn any_number_join() {
    let sum = Builder::new().create(SUM, vec![5]).unwrap();
    sum.start().unwrap();
    thread::scope(|scope| {
        let joiners = [(); 4].map(|()| scope.spawn(|| sum.join_for(LONG)));
        let results = joiners.map(|joiner| joiner.join().unwrap());
        assert_eq!(results.iter().filter(|result| matches!(result, Ok(5))).count(), 1);
        assert_eq!(results.iter().filter(|result| matches!(result, Err(JoinError::Taken))).count(), 3);
    });
}

fn terminate_and_kill() {
    for (how, number) in
        [(Process::terminate as fn(&Process<()>) -> bool, libc::SIGTERM), (Process::kill, libc::SIGKILL)]
    {
        let sleeper = process::spawn(SLEEP, ()).unwrap();
        assert!(how(&sleeper));
        // It may not have got to `init` when the signal came.
        let error = sleeper.join_for(LONG).unwrap_err();
        assert_eq!(error.signal(), Some(number), "{error}");
        assert_eq!(sleeper.exit_status().unwrap().signal(), Some(number));
        assert!(error.to_string().contains(if number == libc::SIGKILL { "SIGKILL" } else { "SIGTERM" }), "{error}");
    }
}

fn exit_codes() {
    for code in [0, 3, 255] {
        let exits = process::spawn(EXIT, code).unwrap();
        let error = exits.join_for(LONG).unwrap_err();
        assert!(matches!(&error, JoinError::Ended(status) if status.code() == Some(code)), "{error}");
        assert_eq!(exits.exit_status().unwrap().code(), Some(code));
        assert_eq!(error.to_string(), format!("the process ended with exit code {code} before its function returned"));
    }
}

fn a_panic_comes_back() {
    let panics = Builder::new().stderr(Output::Capture).spawn(PANIC, "no more paper".into()).unwrap();
    let mut told = String::new();
    panics.stderr().unwrap().read_to_string(&mut told).unwrap();
    let error = panics.join_for(LONG).unwrap_err();
    let panic = error.panic().unwrap();
    assert_eq!(panic.message, "no more paper");
    assert!(panic.location.as_ref().unwrap().contains("process_life.rs:"), "{panic}");
    assert!(told.contains("no more paper"), "{told}");
    assert_eq!(panics.exit_status().unwrap().code(), Some(101));
}

fn output() {
    let talks = Builder::new().stdout(Output::Capture).stderr(Output::Capture).spawn(TALK, ()).unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    talks.stdout().unwrap().read_to_string(&mut out).unwrap();
    talks.stderr().unwrap().read_to_string(&mut err).unwrap();
    assert!(talks.stdout().is_none(), "it comes out once");
    assert_eq!((out.as_str(), err.as_str()), ("to stdout", "to stderr"));
    talks.join_for(LONG).unwrap();
    let silent = Builder::new().stdout(Output::Null).stderr(Output::Null).spawn(TALK, ()).unwrap();
    silent.join_for(LONG).unwrap();
}

fn stdin_is_empty_and_the_environment_is_passed() {
    assert_eq!(process::spawn(STDIN, ()).unwrap().join_for(LONG).unwrap(), 0);
    let told = Builder::new().env("TEST_COLOUR", "blue").spawn(ENV, "TEST_COLOUR".into()).unwrap();
    assert_eq!(told.join_for(LONG).unwrap().as_deref(), Some("blue"));
}

fn its_threads_finish_first() {
    let late = Builder::new().stdout(Output::Capture).spawn(LATE_THREAD, ()).unwrap();
    let mut out = String::new();
    late.stdout().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(out, "finished\n");
    assert_eq!(late.join_for(LONG).unwrap(), 7);
}

fn large_arguments_and_values() {
    for size in [0, 65_000, 65_536, 70_000, 3 << 20] {
        let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let mut back = process::spawn(BIG, bytes.clone()).unwrap().join_for(LONG).unwrap();
        back.reverse();
        assert_eq!(back, bytes);
    }
}

fn what_cannot_be_started() {
    let error = process::spawn(UNKNOWN, ()).unwrap_err();
    assert!(matches!(error, StartError::NotRegistered("unknown")));
    assert!(error.to_string().contains("give it to `lisle::process::init`"), "{error}");
    assert!(matches!(process::spawn(SUM_OTHERWISE, vec![1]), Err(StartError::NotRegistered("sum"))));
    let error = process::spawn(ODD, Unserialisable).unwrap_err();
    assert_eq!(error.to_string(), "the argument of \"odd\" cannot be sent to another process: it is made of glass");
    let odd = process::spawn(ODD_VALUE, ()).unwrap();
    let error = odd.join_for(LONG).map(drop).unwrap_err();
    assert!(matches!(error, JoinError::NotSerialisable(_)));
    assert_eq!(error.to_string(), "the value of \"odd value\" cannot be sent back: it is made of glass");
}

fn a_child_without_init() {
    let error = Builder::new()
        .env("TEST_BEFORE_INIT", "sleep")
        .answer_within(Duration::from_millis(200))
        .spawn(SUM, vec![])
        .unwrap()
        .join_for(LONG)
        .unwrap_err();
    assert!(matches!(error, JoinError::NoAnswer(_)));
    assert!(error.to_string().contains("within 200ms"), "{error}");
    let error =
        Builder::new().env("TEST_BEFORE_INIT", "return").spawn(SUM, vec![]).unwrap().join_for(LONG).unwrap_err();
    assert!(matches!(error, JoinError::NoInit(status) if status.success()), "{error}");
    assert!(error.to_string().contains("call it first thing in `main`"), "{error}");
}

/// The number of the process that the one in the middle has started.
fn number_told(middle: &Process<()>) -> u32 {
    let mut line = String::new();
    BufReader::new(middle.stdout().unwrap()).read_line(&mut line).unwrap();
    line.trim().parse().unwrap()
}

fn daemons_end_with_a_killed_parent() {
    for daemon in [true, false] {
        let middle = Builder::new().stdout(Output::Capture).spawn(MIDDLE, daemon).unwrap();
        let sleeper = number_told(&middle);
        assert!(runs(sleeper));
        middle.kill();
        assert_eq!(middle.join_for(LONG).unwrap_err().signal(), Some(libc::SIGKILL));
        if daemon {
            until("the daemon has ended", || !runs(sleeper));
        } else {
            thread::sleep(Duration::from_millis(100));
            assert!(runs(sleeper), "a process that is not a daemon goes on");
            signal(sleeper, libc::SIGKILL);
        }
    }
}

fn the_end_of_the_starting_thread_ends_nobody() {
    let sleeper = thread::spawn(|| Builder::new().daemon(true).spawn(SLEEP, ()).unwrap()).join().unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(sleeper.is_alive() && runs(sleeper.pid().unwrap()));
    sleeper.kill();
    assert!(sleeper.join_for(LONG).is_err());
}

fn the_end_of_a_process_waits_for_its_processes() {
    for daemon in [true, false] {
        let middle = Builder::new()
            .env("LISLE_EXIT_REPORT", "0.1")
            .stdout(Output::Capture)
            .stderr(Output::Capture)
            .spawn(MIDDLE_RETURNS, daemon)
            .unwrap();
        let sleeper = number_told(&middle);
        if !daemon {
            let mut lines = BufReader::new(middle.stderr().unwrap()).lines();
            let report = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()].concat();
            assert!(report.contains(&format!("(sleep)\" (pid {sleeper})")), "{report}");
            assert!(middle.is_alive() && runs(sleeper));
            signal(sleeper, libc::SIGKILL);
        }
        middle.join_for(LONG).unwrap();
        until("the inner process has ended", || !runs(sleeper));
    }
}

fn ends_are_seen_that_the_system_does_not_keep() {
    let careless = process::spawn(CARELESS, ()).unwrap();
    let told = careless.join_for(LONG / 2);
    careless.kill();
    assert_eq!(told.unwrap(), (3, Some(255)));
}

fn a_child_inherits_nothing() {
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let other = process::spawn(SLEEP, ()).unwrap();
    let open = process::spawn(OPEN, ()).unwrap().join_for(LONG).unwrap();
    // The channel; stdin; the directory that is being listed. The bell of the waiting thread is an extra.
    assert_eq!(open.iter().filter(|name| name.starts_with("socket:")).count(), 1, "{open:?}");
    assert_eq!(open.iter().filter(|name| name.contains("pidfd")).count(), 0, "{open:?}");
    assert!(!open.iter().any(|name| name.contains("process_life")), "{open:?}");
    drop(file);
    other.kill();
    assert!(other.join_for(LONG).is_err());
}

fn nothing_is_left_behind() {
    let before = descriptors();
    for _ in 0..5 {
        assert_eq!(process::spawn(SUM, vec![1]).unwrap().join_for(LONG).unwrap(), 1);
    }
    drop(Builder::new().create(SUM, vec![]).unwrap());
    drop(process::spawn(SUM, vec![]).unwrap());
    until("all children are reaped", || children().is_empty());
    until("all descriptors are closed", || descriptors() <= before);
}
