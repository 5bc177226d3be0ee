//! Nine small programs to look at: `cargo run --example knots -- two-locks`.
//!
//! Each gets into the state that its name says, prints `ready` to stdout, and stays in it until its stdin ends: for
//! `LISLE_AGENT=1` and `lisle dump`, `top` and `web` to be tried on. With `--dump` it prints its own dump and ends.

mod scenes;

use lisle::thread::{self, Builder};
use lisle::watch;
use scenes::{SCENES, Scene};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, dump) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [name] => (name, false),
        [name, "--dump"] | ["--dump", name] => (name, true),
        _ => return usage("knots takes one name, and --dump"),
    };
    let Some(Scene { threads, is_ready, main_waits, .. }) = SCENES.iter().find(|scene| scene.name == name) else {
        return usage(&format!("there is no scene {name:?}"));
    };
    for (name, run) in threads() {
        Builder::new().name(name.into()).daemon(true).spawn(run).expect("a thread");
    }
    while !is_ready(&watch::snapshot()) {
        thread::sleep(Duration::from_millis(1));
    }
    if dump {
        print!("{}", watch::dump());
        return ExitCode::SUCCESS;
    }
    println!("ready");
    let _ = io::stdout().flush();
    if *main_waits {
        scenes::wait_for_ever();
    }
    // Out of lisle's sight: whoever is here could yet end what others wait for.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    ExitCode::SUCCESS
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("{problem}; the scenes are:");
    for scene in SCENES {
        eprintln!("  {:<22} {}", scene.name, scene.about);
    }
    ExitCode::from(2)
}
