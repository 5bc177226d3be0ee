//! The example `lua_threads`, run as a program: its threads answer and compute in one Lua state.

mod common;

use std::process::Command;

use common::{example, text};

#[test]
fn a_lua_state_answers_while_it_computes() {
    let arguments = ["--window", "200", "--threads", "0,2", "--figures", "lua", "bare"];
    let output = Command::new(example("lua_threads")).args(arguments).output().expect("it runs");
    let out = text(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for server in ["Lua, lisle", "bare loop, lisle"] {
        let rows: Vec<_> = out.lines().filter(|line| line.starts_with(server)).collect();
        let [idle, beside_two] = rows[..] else { panic!("{out}") };
        assert!(!idle.contains('%') && beside_two.ends_with('%'), "those who compute have come on: {out}");
    }
    for thread in ["echo", "compute-1", "compute-2"] {
        assert!(out.contains(&format!("  {thread}")), "{out}");
    }
}
