//! The examples `pool_deadlock` and `pipeline`, run as programs.

mod common;

use std::process::{Command, Output};

use common::{example, text};

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(example(name)).args(arguments).output().expect("it runs")
}

#[test]
fn pool_deadlocks_are_errors() {
    let output = run("pool_deadlock", &[]);
    assert!(output.status.success(), "{output:?}");
    let out = text(&output.stdout);
    let parts: Vec<_> = out.split("== ").skip(1).collect();
    let [each_other, own_pool, helped] = parts[..] else { panic!("{out}") };

    assert_eq!(each_other.matches("deadlock: 2 threads wait for each other").count(), 1, "{each_other}");
    // The one that failed counts the other as 0.
    let ends = ["a = Ok(5), b = Ok(11)\n", "a = Ok(11), b = Ok(6)\n"];
    assert!(ends.iter().any(|end| each_other.contains(end)), "{each_other}");

    assert_eq!(own_pool.matches("deadlock: 1 thread waits for itself").count(), 1, "{own_pool}");
    assert!(own_pool.contains("5 to the power of 2"), "{own_pool}");
    assert!(own_pool.contains("result: Ok(0)\n"), "{own_pool}");

    assert!(!helped.contains("deadlock"), "{helped}");
    assert!(helped.contains("result: Ok(25)\n"), "{helped}");
}

#[test]
fn a_pipeline_keeps_within_its_bounds() {
    let output = run("pipeline", &["500"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}");
    assert!(out.starts_with("500 blocks, 32.8 MB in "), "{out}");
    assert!(out.ends_with("all of them came out, and none is left\n"), "{out}");
    let (most, bound) = out
        .lines()
        .find_map(|line| line.strip_prefix("at most ")?.strip_suffix(')')?.split_once(" blocks at a time (bound: "))
        .unwrap_or_else(|| panic!("{out}"));
    assert!(most.parse::<usize>().unwrap() <= bound.parse().unwrap(), "{out}");

    let output = run("pipeline", &["many"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("pipeline: the argument is the number of blocks"), "{output:?}");
}
