//! The example `first_thread`, run as a program: what it says about its threads, and in which order.

mod common;

use std::process::Command;

use common::example;

#[test]
fn prints_the_life_of_a_thread() {
    let output = Command::new(example("first_thread")).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    assert!(output.status.success(), "{text}");

    // Main goes on at once after `start`, so its line and the thread's first come in either order.
    let mut lines: Vec<_> = text.lines().collect();
    lines[1..3].sort_unstable();
    let [before, started, sub_start, sub_end, joined, end] = lines[..] else { panic!("{text}") };

    assert_eq!(before, "alive before start: false");
    assert_eq!(started, "alive after start: true");
    assert_eq!(joined, "alive after join: false");

    let me = sub_start.strip_prefix("sub thread start, ").expect(&text);
    assert_eq!(sub_end, format!("sub thread end, {me}"), "name and ident stay the same");
    let (name, ident) = me
        .strip_prefix("current thread name: ")
        .and_then(|rest| rest.split_once(", current thread ident: "))
        .expect(&text);
    assert!(name.starts_with("Thread-1"), "the first thread made: {name}");
    assert_ne!(ident.parse::<u32>().expect("a number"), 0);

    assert!(end.starts_with("main end, current thread: ") && end.contains("main"), "{end}");
}
