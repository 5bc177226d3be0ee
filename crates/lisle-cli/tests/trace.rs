//! `lisle trace` and `LISLE_TRACE`, with real programs: the files are as Perfetto wants them, and say what happened.

#[path = "../../lisle/tests/trace/rules.rs"]
mod rules;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// The example `traced`, working.
struct Traced {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Traced {
    fn start(arguments: &[&str], variable: &str, value: impl AsRef<std::ffi::OsStr>) -> Traced {
        let test = std::env::current_exe().expect("a running test has a path");
        let program = test.ancestors().nth(2).expect("tests lie in PROFILE/deps").join("examples/traced");
        let mut command = Command::new(program);
        command.args(arguments).env(variable, value).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the example is built with the tests");
        let mut traced = Traced { out: BufReader::new(child.stdout.take().unwrap()), child };
        assert_eq!(traced.line(), "ready\n");
        traced
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Ends it in order; how often its threads have waited for the lock, and how long.
    fn end(mut self) -> (u64, u64) {
        drop(self.child.stdin.take());
        let line = self.line();
        assert!(self.child.wait().unwrap().success());
        let (count, total) = line.trim().split_once(' ').expect("two numbers");
        (count.parse().unwrap(), total.parse().unwrap())
    }

    fn lisle(&self, more: &[&str], output: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lisle"));
        command.arg("trace").arg(self.child.id().to_string()).args(more).arg("-o").arg(output);
        command
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of the test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trace {name}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    /// The files in it, by name.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> rules::File {
    rules::read(&std::fs::read_to_string(path).unwrap())
}

/// What must be in any trace of the example.
fn assert_tells_of_the_example(file: &rules::File) {
    for name in ["buyer 1", "buyer 2", "seller 1", "seller 2"] {
        assert!(file.threads.values().any(|thread| thread == name), "{:?}", file.threads);
    }
    assert!(file.slices.iter().any(|slice| slice.name == "mutex \"ledger\"" && slice.length > 0));
    assert!(!file.arrows.is_empty());
    // If anybody had to wait for the queue.
    assert!(file.counters.iter().all(|(name, items)| name == "\"orders\"" && items.iter().all(|&(_, n)| n <= 4)));
}

/// Whether what has been written so far is a whole file with this word in it.
fn is_whole_with(path: &Path, word: &str) -> bool {
    let json = std::fs::read_to_string(path).unwrap_or_default();
    json.ends_with("\n]\n") && json.contains(word)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_running_program_is_recorded_for_the_time_that_is_wanted() {
    let (folder, program) = (Folder::new("running"), Traced::start(&[], "LISLE_AGENT", "1"));
    let path = folder.0.join("out.json");
    let Output { status, stdout, stderr } = program.lisle(&["--seconds", "0.3"], &path).output().unwrap();
    assert!(status.success(), "{}", text(&stderr));
    let first = text(&stdout).lines().next().unwrap();
    let file = read(&path);
    assert_tells_of_the_example(&file);
    assert!(first.starts_with(&format!("{}: ", path.display())), "{first}");
    assert!(first.contains(" events of ") && first.contains(" lost"), "{first}");
    assert!(text(&stdout).contains("https://ui.perfetto.dev"));
    // Once more: a trace that was stopped is over, and the program goes on.
    let again = program.lisle(&["-s", "0.1"], &path).output().unwrap();
    assert!(again.status.success());
    assert_tells_of_the_example(&read(&path));
    program.end();
}

#[test]
fn ctrl_c_leaves_a_whole_file() {
    let (folder, program) = (Folder::new("ctrl c"), Traced::start(&[], "LISLE_AGENT", "1"));
    let path = folder.0.join("out.json");
    let mut command = program.lisle(&["--seconds", "3600"], &path);
    let recording = command.stdout(Stdio::piped()).spawn().unwrap();
    // It records when it has written something.
    while std::fs::metadata(&path).map_or(0, |file| file.len()) < 10_000 {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(recording.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = recording.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stdout).contains(" events of "));
    assert_tells_of_the_example(&read(&path));
    program.end();
}

#[test]
fn a_program_that_ends_meanwhile_leaves_a_whole_file() {
    let (folder, program) = (Folder::new("ends"), Traced::start(&[], "LISLE_AGENT", "1"));
    let path = folder.0.join("out.json");
    let mut command = program.lisle(&["--seconds", "3600"], &path);
    let recording = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while std::fs::metadata(&path).map_or(0, |file| file.len()) < 10_000 {
        std::thread::yield_now();
    }
    program.end();
    let output = recording.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("has ended"), "{}", text(&output.stderr));
    assert_tells_of_the_example(&read(&path));
}

#[test]
fn what_cannot_be_written_or_traced_is_said_in_a_sentence() {
    let (folder, program) = (Folder::new("cannot"), Traced::start(&[], "LISLE_AGENT", "1"));
    let refused = program.lisle(&[], &folder.0.join("not/there.json")).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("not/there.json cannot be written: No such file"), "{refused:?}");
    let full = program.lisle(&["-s", "0.1"], Path::new("/dev/full")).output().unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(text(&full.stderr).contains("/dev/full cannot be written: No space"), "{full:?}");
    let without = Traced::start(&[], "LISLE_AGENT", "0");
    let refused = without.lisle(&[], &folder.0.join("out.json")).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("runs without the agent"), "{refused:?}");
    assert!(folder.files().is_empty(), "nothing is left behind");
    let wrong = program.lisle(&["--seconds", "soon"], &folder.0.join("out.json")).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_program_traces_itself_and_its_slices_add_up() {
    let folder = Folder::new("itself");
    let path = folder.0.join("out.json");
    let program = Traced::start(&[], "LISLE_TRACE", &path);
    while !is_whole_with(&path, "ledger") {
        std::thread::yield_now();
    }
    let (count, total) = program.end();
    let file = read(&path);
    assert_tells_of_the_example(&file);
    assert_eq!(file.summary["lost"], 0);
    let slices = file.slices.iter().filter(|slice| slice.name == "mutex \"ledger\"");
    let (slices, length) = slices.fold((0, 0), |(count, sum), slice| (count + 1, sum + slice.length));
    assert_eq!(slices, count);
    assert!(length.abs_diff(total) <= total / 100, "{length} ns in slices, {total} ns counted");
    assert!(!file.threads.values().any(|name| name.starts_with("lisle")), "the library's own threads are not in it");
}

#[test]
fn each_process_has_a_file_of_its_own() {
    for how in ["again", "fork"] {
        let folder = Folder::new(how);
        let program = Traced::start(&[how], "LISLE_TRACE", folder.0.join("out.json"));
        let pid = program.child.id();
        program.end();
        let files = folder.files();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(names[1], "out.json");
        let child: u32 =
            names[0].strip_prefix("out.").and_then(|name| name.strip_suffix(".json")).unwrap().parse().unwrap();
        assert_ne!(child, pid);
        files.iter().for_each(|file| assert_tells_of_the_example(&read(file)));
    }
}

#[test]
fn a_program_that_is_killed_leaves_a_whole_file() {
    let folder = Folder::new("killed");
    let path = folder.0.join("out.json");
    let mut program = Traced::start(&[], "LISLE_TRACE", &path);
    while !is_whole_with(&path, "ledger") {
        std::thread::yield_now();
    }
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let mut json = String::new();
    std::fs::File::open(&path).unwrap().read_to_string(&mut json).unwrap();
    let events: Vec<serde_json::Value> = match serde_json::from_str(&json) {
        Ok(events) => events,
        // It was killed while it wrote: then what is missing is the end of an event, and no more.
        Err(error) => return assert!(error.is_eof(), "{error}"),
    };
    assert!(events.iter().any(|event| event["ph"] == "X"));
}

#[test]
fn a_file_that_cannot_be_is_told_of_and_the_program_runs() {
    let program = Traced::start(&[], "LISLE_TRACE", "/not/there.json");
    program.end();
}
