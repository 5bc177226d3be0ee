//! The example `digest`, run as a program on trees that have everything a file system can have.

#![cfg(unix)]

mod common;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use common::{Running, example, text};

/// A folder for one test, and the digest of it.
struct Room(common::Room);

impl Room {
    fn new(test: &str) -> Self {
        Room(common::Room::new(&format!("digest-{test}")))
    }

    fn command(&self, threads: usize) -> Command {
        let mut command = Command::new(example("digest"));
        command.current_dir(self.path("")).args(["--threads", &threads.to_string(), "--out", "manifest", "tree"]);
        command
    }

    fn run(&self, threads: usize) -> Output {
        self.command(threads).output().unwrap()
    }

    fn start(&self, threads: usize) -> Running<'_> {
        self.spawn(&mut self.command(threads))
    }

    fn manifest(&self) -> Vec<u8> {
        fs::read(self.path("manifest")).unwrap_or_default()
    }

    /// The names in the manifest, for trees without odd ones.
    fn names(&self) -> Vec<String> {
        let text = String::from_utf8(self.manifest()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut: {text:?}");
        let name = |line: &str| {
            let (digest, name) = line.split_once("  tree/").expect(line);
            assert!(digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()), "{line}");
            name.to_owned()
        };
        text.lines().map(name).collect()
    }

    #[track_caller]
    fn check_with_sha256sum(&self) {
        let check = Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "manifest"])
            .current_dir(self.path(""))
            .output()
            .unwrap();
        assert!(check.status.success(), "{check:?}");
    }
}

impl Deref for Room {
    type Target = common::Room;

    fn deref(&self) -> &common::Room {
        &self.0
    }
}

/// What `sha256sum` itself says of the files below `tree`.
fn sha256sum_of(room: &Room) -> Vec<u8> {
    let all = "find tree -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum --";
    let output = Command::new("sh").args(["-c", all]).current_dir(room.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn the_manifest_is_what_sha256sum_writes() {
    let room = Room::new("odd-names");
    room.file("plain", "plain");
    room.file("empty", "");
    room.file(" spaces  in front", "1");
    room.file("line\nbreak", "2");
    room.file("back\\slash", "3");
    room.file("back\\nslash", "4");
    room.file("\\", "5");
    room.file("tab\tand \u{1b}[31m", "6");
    room.file("*star", "7");
    room.file("-", "8");
    room.file("größe/✓", "9");
    room.file(OsStr::from_bytes(b"not \xff utf-8"), "10");
    room.file(OsStr::from_bytes(b"dir\xfe\n/in it\\"), "11");
    room.file("large", vec![b'x'; 9_000_001]);
    for at in 0..300 {
        room.file(format!("many/{at}"), at.to_string());
    }
    // Sorted by whole paths, `a-b` comes before `a/b`, and that before `a0`.
    for name in ["a/b", "a-b", "a0", "a/b0", "a/a/a"] {
        room.file(name, name);
    }

    let output = room.run(3);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&room.manifest()), text(&sha256sum_of(&room)));
    assert_eq!(room.manifest(), sha256sum_of(&room));
    room.check_with_sha256sum();

    assert_eq!(text(&output.stderr), "", "no bar where there is no terminal");
    let figures = text(&output.stdout);
    for part in ["319 files, 9.00 MB in ", "/s", "queue empty", "queue full", "lock", "hash-3", "walker"] {
        assert!(figures.contains(part), "no {part:?} in:\n{figures}");
    }
}

#[test]
fn a_carriage_return_is_escaped_where_sha256sum_does() {
    let room = Room::new("carriage-return");
    room.file("a\rb", "");
    assert!(room.run(1).status.success());
    let theirs = sha256sum_of(&room);
    if theirs.starts_with(b"\\") {
        assert_eq!(text(&room.manifest()), text(&theirs));
        room.check_with_sha256sum();
    } // else it is older than 9.0, and cannot read what its successors write
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let room = Room::new("threads");
    for at in 0..2_000 {
        room.file(format!("{}/{at}", at % 7), at.to_string().repeat(at % 50));
    }
    assert!(room.run(1).status.success());
    let alone = room.manifest();
    assert!(room.run(8).status.success());
    assert_eq!(text(&alone), text(&room.manifest()));
    let names = room.names();
    assert_eq!(names.len(), 2_000);
    assert!(names.is_sorted());
}

#[test]
fn what_cannot_be_read_is_named_and_counted() {
    let room = Room::new("not-files");
    room.file("file", "content");
    room.file("folder/other", "");
    room.pipe("pipe");
    let _listener = UnixListener::bind(room.tree("socket")).unwrap();
    symlink("nowhere", room.tree("dangling")).unwrap();
    symlink("loop", room.tree("loop")).unwrap();
    symlink("pipe", room.tree("to-pipe")).unwrap();
    symlink("/dev/null", room.tree("device")).unwrap();
    symlink("pipe\nline", room.tree("odd\nname")).unwrap();
    symlink("file", room.tree("to-file")).unwrap();
    symlink("folder", room.tree("to-folder")).unwrap();
    symlink(".", room.tree("to-itself")).unwrap();

    let output = room.run(2);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(room.names(), ["file", "folder/other", "to-file"]);
    room.check_with_sha256sum();

    let mut complaints: Vec<_> = text(&output.stderr).lines().map(str::to_owned).collect();
    complaints.sort();
    assert_eq!(
        complaints,
        [
            "digest: \"tree/odd\\nname\": dangling link",
            "digest: tree/dangling: dangling link",
            "digest: tree/device: a character device, not read",
            "digest: tree/loop: Too many levels of symbolic links",
            "digest: tree/pipe: a pipe, not read",
            "digest: tree/socket: a socket, not read",
            "digest: tree/to-pipe: a pipe, not read",
        ]
    );
    let figures = text(&output.stdout);
    assert!(figures.contains("7 not read"), "{figures}");
    assert!(figures.contains("2 directory links not followed"), "{figures}");
}

#[test]
fn a_file_without_permission_is_named_and_counted() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new("permission");
    room.file("closed", "");
    room.file("folder/inside", "");
    room.file("open", "");
    fs::set_permissions(room.tree("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(room.tree("folder"), fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(room.tree("closed")).is_err() {
        let output = room.run(1);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(room.names(), ["open"]);
        let complaints = text(&output.stderr);
        assert!(complaints.contains("tree/closed: Permission denied"), "{complaints}");
        assert!(complaints.contains("tree/folder: Permission denied"), "{complaints}");
    } // else we are root, whom nothing is closed to
    fs::set_permissions(room.tree("folder"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_file_that_vanishes_is_named_and_counted() {
    let room = Room::new("vanished");
    room.file("a", "");
    room.endless_file("b");
    room.file("c", "");
    room.file("d", "");
    // One thread, which hangs on `b`: when the line of `a` is there, `c` has been seen and is not
    // yet open.
    let mut running = room.start(1);
    running.until("manifest", "tree/a\n");
    fs::remove_file(room.tree("c")).unwrap();
    room.end_file("b");
    assert_eq!(running.wait().code(), Some(1));
    assert_eq!(room.names(), ["a", "b", "d"]);
    assert_eq!(fs::read_to_string(room.path("stderr")).unwrap(), "digest: tree/c: has vanished\n");
}

#[test]
fn a_pipe_in_the_place_of_a_file_does_not_block() {
    let room = Room::new("replaced");
    room.file("a", "");
    room.endless_file("b");
    room.file("c", "");
    let mut running = room.start(1);
    running.until("manifest", "tree/a\n");
    fs::remove_file(room.tree("c")).unwrap();
    room.pipe("c");
    room.end_file("b");
    assert_eq!(running.wait().code(), Some(1));
    assert_eq!(fs::read_to_string(room.path("stderr")).unwrap(), "digest: tree/c: no longer a file\n");
}

#[test]
fn the_manifest_leaves_itself_out() {
    let room = Room::new("itself");
    room.file("a", "");
    room.file("manifest", "from an earlier run");
    fs::hard_link(room.tree("manifest"), room.tree("another name")).unwrap();
    symlink("manifest", room.tree("link")).unwrap();
    let output = Command::new(example("digest"))
        .args(["--threads", "2", "--out", "tree/manifest", "tree"])
        .current_dir(room.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::copy(room.tree("manifest"), room.path("manifest")).unwrap();
    assert_eq!(room.names(), ["a"]);
}

#[test]
fn ctrl_c_ends_it_soon_and_keeps_every_finished_line() {
    let room = Room::new("ctrl-c");
    for at in 100..400 {
        room.file(format!("a{at}"), at.to_string());
    }
    room.endless_file("m1");
    room.endless_file("m2");
    for at in 1000..3000 {
        room.file(format!("n{at}"), at.to_string());
    }
    room.pipe("z");
    // Two threads hang on the endless files, the third does all the rest, whose lines wait for
    // the endless ones. The walker has met the pipe at the end when all files but those in the
    // queue have been taken.
    let mut running = room.start(3);
    running.until("stderr", "tree/z: a pipe");
    assert_eq!(running.end_by(libc::SIGINT).code(), Some(130));

    let names = room.names();
    assert!(names.len() > 1_500, "only {} lines: those that waited are lost", names.len());
    assert!(names.is_sorted());
    assert!(!names.iter().any(|name| name.starts_with('m')), "no line of a file half read");
    room.check_with_sha256sum();
    let complaints = fs::read_to_string(room.path("stderr")).unwrap();
    assert!(complaints.contains("stopped by a signal"), "{complaints}");
    assert!(fs::read_to_string(room.path("stdout")).unwrap().contains("hash-3"));
}

#[test]
fn ctrl_c_ends_it_soon_when_everybody_waits() {
    // One thread hangs on the first file, the walker on a queue that is full, main on one that is
    // empty. And more threads than processors, all busy, must not make it late.
    for threads in [1, 8] {
        let room = Room::new(&format!("ctrl-c-{threads}"));
        room.file("a", "");
        for at in 0..threads {
            room.endless_file(&format!("m{at}"));
        }
        for at in 0..1_000 {
            room.file(format!("n{at}"), "");
        }
        let mut running = room.start(threads);
        running.until("manifest", "tree/a\n");
        assert_eq!(running.end_by(libc::SIGINT).code(), Some(130));
        assert_eq!(room.names(), ["a"]);
    }
}

#[test]
fn a_polite_kill_is_like_ctrl_c() {
    let room = Room::new("sigterm");
    room.file("a", "");
    room.endless_file("b");
    let mut running = room.start(2);
    running.until("manifest", "tree/a\n");
    assert_eq!(running.end_by(libc::SIGTERM).code(), Some(143));
    assert_eq!(room.names(), ["a"]);
}

#[test]
fn a_terminal_gets_a_bar_with_rate_and_time_left() {
    let room = Room::new("bar");
    room.file("a", "");
    room.endless_file("b");
    symlink("nowhere", room.tree("dangling")).unwrap();
    // `script` (of the package bsdutils, which no Debian is without) makes a terminal.
    let mut command = Command::new("script");
    let digest = format!("stty cols 100; exec {:?} --threads 1 --out manifest tree", example("digest"));
    command.args(["--quiet", "--return", "--command", &digest, "/dev/null"]);
    command.current_dir(room.path("")).env("TERM", "xterm");
    let mut running = room.spawn(&mut command);
    running.until("stdout", "/1.10 TB in 1 file"); // without the "+" that there is while it counts
    running.until("stdout", "B/s");
    running.until("stdout", " left");
    room.end_file("b");
    assert_eq!(running.wait().code(), Some(1));
    let screen = fs::read_to_string(room.path("stdout")).unwrap();
    assert!(screen.contains("digest: tree/dangling: dangling link\r\n"), "{screen}");
    assert!(screen.contains("manifest: manifest (2 lines)"), "{screen}");
}

#[test]
fn bad_arguments_are_answered_with_a_sentence() {
    let room = Room::new("arguments");
    room.file("file", "");
    let cases: &[(&[&str], &str)] = &[
        (&["nowhere"], "digest: cannot read nowhere: No such file or directory"),
        (&["tree/file"], "digest: cannot read tree/file: Not a directory"),
        (&["--out", "nowhere/x", "tree"], "digest: cannot write nowhere/x: No such file or directory"),
        (&["--out", "tree", "tree"], "digest: cannot write tree: Is a directory"),
        (&["--out", "/dev/full", "tree"], "digest: cannot write /dev/full: No space left on device"),
        (&["--threads", "0", "tree"], "at least one thread must do the work"),
        (&["--threads", "-1", "tree"], "not a number of threads"),
        (&["--threads", "many", "tree"], "not a number of threads"),
        (&["--fast"], "unexpected argument '--fast'"),
        (&["tree", "tree"], "unexpected argument 'tree'"),
    ];
    for (arguments, answer) in cases {
        let output = Command::new(example("digest")).args(*arguments).current_dir(room.path("")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(answer), "{arguments:?}: {}", text(&output.stderr));
    }
    assert!(!room.path("manifest.sha256").exists(), "an output for an input that is not there");
}

#[test]
fn an_empty_directory_gives_an_empty_manifest() {
    let room = Room::new("empty");
    let output = room.run(2);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&room.manifest()), "");
    assert!(text(&output.stdout).starts_with("0 files"), "{output:?}");
}
