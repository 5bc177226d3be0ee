//! A program for the tests of `lisle`: it does what its arguments say, prints a line when it has, and ends with its
//! standard input.

use lisle::sync::Event;
use lisle::thread::{self, Builder};
use lisle::watch;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        // Uses lisle and nothing more.
        ["plain"] => say(format_args!("{}", thread::active_count())),
        ["start"] => match watch::start_agent() {
            Ok(socket) => {
                assert_eq!(watch::start_agent().unwrap(), socket);
                let listed = thread::enumerate().iter().any(|thread| thread.name() == Some("lisle agent"));
                say(format_args!("{} threads, the agent's {listed}: {}", thread::active_count(), socket.display()));
            }
            Err(error) => say(format_args!("not started: {error}")),
        },
        ["allow"] => {
            watch::start_agent_on_signal().unwrap();
            watch::start_agent_on_signal().unwrap();
            say(format_args!("kill -USR2"));
        }
        ["quit"] => {
            handle(libc::SIGQUIT, earlier);
            watch::dump_on_signal().unwrap();
            watch::dump_on_signal().unwrap();
            say(format_args!("kill -QUIT"));
        }
        ["threads", number, name] => {
            let end: &'static Event = Box::leak(Box::new(Event::named("the end")));
            for _ in 0..number.parse().unwrap() {
                let builder = Builder::new().name(name.to_owned()).daemon(true).stack_size(32 * 1024);
                builder.spawn(|| end.wait().unwrap()).unwrap();
            }
            say(format_args!("{}", watch::start_agent().unwrap().display()));
        }
        // A child that waits until the parent has gone, and then for the same as the parent.
        ["fork"] => {
            watch::dump_on_signal().unwrap();
            if std::env::var_os("LISLE_AGENT").is_none() {
                watch::start_agent().unwrap();
            }
            // SAFETY: the child does what lisle promises to work there, and prints.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let _ = Event::new().wait_for(std::time::Duration::from_millis(1)); // its first wait
            }
            say(format_args!("{}", std::process::id()));
        }
        // Another program in the place of this one, in the same process.
        ["become", next] => {
            watch::start_agent().unwrap();
            panic!("{}", Command::new(std::env::current_exe().unwrap()).arg(next).exec());
        }
        // What somebody who finds the socket hears.
        ["hear", socket] => {
            let mut text = Vec::new();
            let heard = UnixStream::connect(socket).and_then(|mut socket| socket.read_to_end(&mut text));
            return say(format_args!("{heard:?} {}", String::from_utf8_lossy(&text).replace(char::is_control, "")));
        }
        ["contend", times] => contend(times.parse().unwrap()),
        _ => panic!("not known: {words:?}"),
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn say(text: std::fmt::Arguments<'_>) {
    // One write: a child of a fork has the same stdout.
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: the handler only writes.
    unsafe { libc::signal(signal, handler as *const () as usize) };
}

extern "C" fn earlier(_: libc::c_int) {
    let text = b"the handler that was there before\n";
    // SAFETY: the text is as long as it says.
    unsafe { libc::write(std::io::stderr().as_raw_fd(), text.as_ptr().cast(), text.len()) };
}

/// Work that two threads do under one lock, so often: prints for how long.
fn contend(times: u64) {
    watch::start_agent().unwrap();
    say(format_args!("begins"));
    let total = lisle::sync::Mutex::named(0_u64, "total");
    let began = std::time::Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..times).for_each(|_| *total.lock() += 1));
        }
    });
    assert_eq!(*total.lock(), 2 * times);
    say(format_args!("{}", began.elapsed().as_micros()));
}
