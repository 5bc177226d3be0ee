//! The example `words`, run as a program: by threads and by processes it finds what a simple count
//! finds.

#![cfg(unix)]

mod common;

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use common::{Room, example, send, text};

const EXECUTORS: &[&str] = &["threads", "processes"];

fn words(room: &Room, executor: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(example("words"));
    command.current_dir(room.path("")).args(["--executor", executor]).args(arguments);
    command
}

fn run(room: &Room, executor: &str, arguments: &[&str]) -> Output {
    words(room, executor, arguments).output().unwrap()
}

/// The same by the shortest way: the words of files that are known to be text.
#[derive(Default)]
struct Reference(HashMap<String, u64>);

impl Reference {
    fn add(&mut self, text: &str) {
        let text = text.replace('’', "'");
        for run in text.split(|c: char| !c.is_alphabetic() && c != '\'') {
            for word in run.split("''").map(|word| word.trim_matches('\'')) {
                if (1..=100).contains(&word.chars().count()) {
                    *self.0.entry(word.to_lowercase()).or_default() += 1;
                }
            }
        }
    }

    fn lines(&self) -> String {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|&(word, &count)| (std::cmp::Reverse(count), word));
        all.iter().take(20).fold(String::new(), |mut lines, (word, count)| {
            writeln!(lines, "{count} {word}").unwrap();
            lines
        })
    }
}

/// A text of the given length in bytes, different for each seed.
fn prose(mut seed: u64, length: usize) -> String {
    const WORDS: &[&str] = &[
        "the",
        "The",
        "THE",
        "a",
        "thread",
        "don't",
        "don’t",
        "Größe",
        "GRÖSSE",
        "ΟΔΟΣ",
        "οδός",
        "漢字",
        "naïve",
        "x",
        "'tis",
        "dogs'",
        "a''b",
        "rock'n'roll",
        "l’été",
        "ǅ",
        "snake_case",
        "42nd",
        "e\u{301}",
        "😀",
        "--",
        "…",
        "\u{feff}",
    ];
    let mut text = String::new();
    while text.len() < length {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let word = WORDS[(seed >> 33) as usize % WORDS.len()];
        text += word;
        text += [" ", "\n", ", ", ".\t"][(seed >> 60) as usize % 4];
    }
    text
}

/// A tree with all there can be in one, and what there is to find in it.
fn odd_tree(room: &Room) -> Reference {
    let mut reference = Reference::default();
    let mut texts = 0;
    let mut put = |name: &str, content: &str| {
        room.file(name, content);
        reference.add(content);
        texts += 1;
    };
    put("empty", "");
    put("one", "word");
    put("no newline at the end", "word word's 'word'' ''word");
    for at in 0..700 {
        put(&format!("{}/{at}", at % 9), &prose(at, at as usize % 3000));
    }
    // Around the size in which files are read, so that words and characters are cut anywhere.
    for at in 0..12 {
        put(&format!("large/{at}"), &prose(at, 128 * 1024 - 6 + at as usize));
        put(&format!("large/shifted {at}"), &format!("{}{}", "x".repeat(at as usize), prose(5, 300_000)));
    }
    put("long/100", &"y".repeat(100));
    put("long/101", &"y".repeat(101));
    put("long/many", &"y".repeat(300_000));
    put("long/apostrophes", &"y'".repeat(200_000));
    put("greek", "Σ ΑΣ ΣΑ ΣΑΣ'Σ");
    put("ties", "tie-a tie-b tie-c");
    fs::write(room.tree(std::ffi::OsStr::from_bytes(b"not \xff utf-8")), "strange name").unwrap();
    reference.add("strange name");

    // Not text, or not to the end.
    room.file("binary/nul", "the the the \0 the");
    room.file("binary/latin-1", b"the the caf\xe9 the");
    room.file("binary/cut", &"the é".as_bytes()[..5]);
    room.file("binary/late nul", prose(1, 400_000) + "\0");
    room.file("binary/late end", [prose(2, 400_000).as_bytes(), b"\xe2\x82"].concat());
    room.file("binary/surrogate", b"the \xed\xa0\x80 the");

    symlink("one", room.tree("link to a file")).unwrap();
    reference.add("word");
    symlink(".", room.tree("link to itself")).unwrap();
    symlink("nowhere", room.tree("dangling")).unwrap();
    symlink("loop 2", room.tree("loop 1")).unwrap();
    symlink("loop 1", room.tree("loop 2")).unwrap();
    room.pipe("pipe");
    reference
}

#[test]
fn threads_and_processes_count_as_one_does() {
    let room = Room::new("words-odd");
    let reference = odd_tree(&room).lines();
    assert_eq!(reference.lines().count(), 20);
    for executor in EXECUTORS {
        for workers in ["1", "3"] {
            let output = run(&room, executor, &["--workers", workers, "tree"]);
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert_eq!(out, reference, "{executor}: {err}");
            assert_eq!(output.status.code(), Some(1), "{err}");
            let mut complaints: Vec<_> = err.lines().filter(|line| line.starts_with("words: ")).collect();
            complaints.sort_unstable();
            assert_eq!(
                complaints,
                [
                    "words: tree/dangling: dangling link",
                    "words: tree/loop 1: Too many levels of symbolic links",
                    "words: tree/loop 2: Too many levels of symbolic links",
                    "words: tree/pipe: a pipe, not read",
                ]
            );
            for part in [
                "735 text files, ",
                "6 binary files skipped",
                "1 directory link not followed",
                "4 not read (named above)",
                &format!(" of {workers} "),
            ] {
                assert!(err.contains(part), "no {part:?} in:\n{err}");
            }
        }
    }
}

#[test]
fn a_file_without_permission_is_named_and_counted() {
    let room = Room::new("words-permission");
    room.file("closed", "closed");
    room.file("open", "open");
    fs::set_permissions(room.tree("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(room.tree("closed")).is_err() {
        for executor in EXECUTORS {
            let output = run(&room, executor, &["tree"]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert_eq!(text(&output.stdout), "1 open\n");
            assert!(text(&output.stderr).starts_with("words: tree/closed: Permission denied\n"), "{output:?}");
        }
    } // else we are root, whom nothing is closed to
}

#[test]
fn nothing_gives_nothing() {
    let room = Room::new("words-nothing");
    for executor in EXECUTORS {
        let output = run(&room, executor, &["tree"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(text(&output.stderr).starts_with("0 text files, 0 B in "), "{output:?}");
    }
}

#[test]
fn who_reads_only_the_head_gets_it() {
    let room = Room::new("words-head");
    room.file("file", "b a b a c");
    for executor in EXECUTORS {
        // The reader has gone before the first line comes.
        let mut child =
            words(&room, executor, &["tree"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(text(&output.stderr).starts_with("1 text file, 9 B in "), "{output:?}");

        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = words(&room, executor, &["tree"]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            text(&output.stderr).ends_with("words: cannot write the words: No space left on device\n"),
            "{output:?}"
        );
    }
}

#[test]
fn bad_arguments_are_answered_with_a_sentence() {
    let room = Room::new("words-arguments");
    room.file("file", "");
    let cases: &[(&[&str], &str)] = &[
        (&["nowhere"], "words: cannot read nowhere: No such file or directory"),
        (&["tree/file"], "words: cannot read tree/file: Not a directory"),
        (&["--executor", "wishes"], "[possible values: threads, processes]"),
        (&["--workers", "0", "tree"], "at least one worker must do the work"),
        (&["--workers", "-1", "tree"], "not a number of workers"),
        (&["--fast"], "unexpected argument '--fast'"),
        (&["tree", "tree"], "unexpected argument 'tree'"),
    ];
    for (arguments, answer) in cases {
        let output = Command::new(example("words")).args(*arguments).current_dir(room.path("")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(answer), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    let help = Command::new(example("words")).arg("--help").output().unwrap();
    assert!(text(&help.stdout).contains("A word is a run of letters"), "{help:?}");
}

/// More to read than anybody waits for: one file, by many names. One that cannot be read comes when
/// the work is under way.
fn much(room: &Room) {
    room.file("a", prose(3, 200_000));
    for at in 0..20_000 {
        symlink("a", room.tree(format!("b{at:05}"))).unwrap();
    }
    symlink("nowhere", room.tree("b00100x")).unwrap();
}

#[test]
fn ctrl_c_ends_it_soon_with_what_was_counted() {
    let room = Room::new("words-ctrl-c");
    much(&room);
    for executor in EXECUTORS {
        for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
            let mut running = room.spawn(&mut words(&room, executor, &["--workers", "3", "tree"]));
            running.until("stderr", "b00100x: dangling link");
            assert_eq!(running.end_by(signal).code(), Some(code));
            let complaints = fs::read_to_string(room.path("stderr")).unwrap();
            assert!(complaints.contains("words: stopped by a signal"), "{executor}: {complaints}");
            let lines = fs::read_to_string(room.path("stdout")).unwrap();
            assert_eq!(lines.lines().count(), 20, "{executor}: {lines}");
        }
    }
}

#[test]
fn ctrl_c_at_a_terminal_reaches_the_processes_too() {
    let room = Room::new("words-job");
    much(&room);
    let mut command = words(&room, "processes", &["--workers", "3", "tree"]);
    let mut running = room.spawn(command.process_group(0));
    running.until("stderr", "b00100x: dangling link");
    assert_eq!(running.end_all_by(libc::SIGINT).code(), Some(130));
    let complaints = fs::read_to_string(room.path("stderr")).unwrap();
    assert!(complaints.contains("words: stopped by a signal"), "{complaints}");
    assert!(!complaints.contains("not counted"), "{complaints}");
    assert_eq!(fs::read_to_string(room.path("stdout")).unwrap().lines().count(), 20);
}

#[test]
fn a_process_that_is_killed_is_replaced_and_nothing_is_lost() {
    const FILES: u64 = 200;
    let room = Room::new("words-killed");
    let content = prose(3, 200_000);
    let mut reference = Reference::default();
    reference.add(&content);
    reference.0.values_mut().for_each(|count| *count *= FILES + 1);
    room.file("a", content);
    for at in 0..FILES {
        symlink("a", room.tree(format!("b{at:05}"))).unwrap();
    }
    symlink("nowhere", room.tree("b00100x")).unwrap();

    let mut running = room.spawn(&mut words(&room, "processes", &["--workers", "3", "tree"]));
    running.until("stderr", "b00100x: dangling link");
    let children = running.children();
    assert_eq!(children.len(), 3);
    children.iter().for_each(|&child| send(child, libc::SIGKILL));
    assert_eq!(running.wait().code(), Some(1), "for the dangling link");
    assert_eq!(fs::read_to_string(room.path("stdout")).unwrap(), reference.lines());
    let complaints = fs::read_to_string(room.path("stderr")).unwrap();
    assert!(complaints.contains(&format!("{} text files", FILES + 1)), "{complaints}");
}

#[test]
fn a_terminal_gets_a_bar_with_rate_and_time_left() {
    let room = Room::new("words-bar");
    much(&room);
    for executor in EXECUTORS {
        // `script` (of the package bsdutils, which no Debian is without) makes a terminal.
        let mut command = Command::new("script");
        let program = format!("stty cols 100; exec {:?} --executor {executor} tree", example("words"));
        command.args(["--quiet", "--return", "--command", &program, "/dev/null"]);
        command.current_dir(room.path("")).env("TERM", "xterm");
        let mut running = room.spawn(&mut command);
        for part in ["words: tree/b00100x: dangling link\r\n", "/4.00 GB", " files", "B/s", " left"] {
            running.until("stdout", part);
        }
    }
}
