//! What `lisle dump` says of the nine programs of the example `knots`, in words and as JSON: the edges that must be
//! there, and no deadlock where there is none.

use lisle::watch::wire::{Confidence, Origin, Snapshot, State, Thread};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An example of the library, which `cargo test --workspace` builds into the same place.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let program = test.ancestors().nth(2).expect("tests lie in PROFILE/deps").join("examples").join(name);
    assert!(program.exists(), "{program:?} is not built: run `cargo build --example {name}`");
    program
}

/// One of the nine, in the state that it shows.
struct Knot(Child);

impl Knot {
    fn tie(name: &str) -> Knot {
        let mut child = Command::new(example("knots"))
            .arg(name)
            .env("LISLE_AGENT", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the example runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let knot = Knot(child);
        assert_eq!(line, "ready\n");
        knot
    }

    fn dump(&self, more: &[&str]) -> String {
        let pid = self.0.id().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_lisle")).arg("dump").args(more).arg(pid).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        serde_json::from_str(&self.dump(&["--json"])).expect("JSON of a snapshot")
    }

    /// The dump in words, and as data, once nothing changes any more: all threads but perhaps the main one wait,
    /// and have waited for so long that each has looked for deadlocks. One that tells of something begins its
    /// wait anew after that.
    fn dumps(&self) -> (String, Snapshot) {
        let is_settled = |thread: &Thread| match &thread.wait {
            Some(wait) => wait.waited_us > 100_000,
            None => thread.service || (thread.origin == Origin::Main && thread.state == State::Blocked),
        };
        loop {
            let snapshot = self.snapshot();
            if snapshot.threads.iter().all(is_settled) {
                return (self.dump(&[]), snapshot);
            }
        }
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn thread<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Thread {
    let thread = snapshot.threads.iter().find(|thread| thread.name == name);
    thread.unwrap_or_else(|| panic!("no thread {name:?} in {snapshot:#?}"))
}

/// That the thread waits for this object, which depends on that thread, in words.
#[track_caller]
fn assert_edge(snapshot: &Snapshot, name: &str, kind: &str, object: &str, bond: &str, owner: &str) {
    let thread = thread(snapshot, name);
    assert_eq!(thread.state, State::Waiting);
    let wait = thread.wait.as_ref().expect("who waits has a wait");
    assert_eq!((&*wait.kind, &*wait.object), (kind, object));
    assert!(wait.called_at.contains("examples/knots/scenes.rs:"), "{wait:?}");
    let found = wait.owners.iter().any(|one| one.bond == bond && one.name == owner);
    assert!(found, "{name} should wait for {kind} {object}, {bond} {owner}: {wait:#?}");
}

#[track_caller]
fn assert_nothing_now(text: &str, snapshot: &Snapshot) {
    assert!(snapshot.reports.is_empty(), "{:#?}", snapshot.reports);
    assert!(text.contains("\nFound no deadlock.\n"), "{text}");
}

/// The report of the deadlock that has been ended by failing a wait, by the names of its threads.
#[track_caller]
fn assert_ended<'a>(text: &str, snapshot: &'a Snapshot, threads: usize) -> &'a str {
    let [past] = &snapshot.past_reports[..] else { panic!("{:#?}", snapshot.past_reports) };
    assert_eq!((past.confidence, past.threads.len(), past.cycle as usize), (Confidence::Proven, threads, threads));
    assert!(past.failed.is_some_and(|failed| past.threads.contains(&failed)));
    assert!(text.contains(", and ended by failing the wait of the thread with ident "), "{text}");
    assert!(text.contains(&past.text), "{text}");
    &past.text
}

#[test]
fn two_locks() {
    let (text, now) = Knot::tie("two-locks").dumps();
    assert_nothing_now(&text, &now);
    let report = assert_ended(&text, &now, 2);
    for words in
        ["thread \"transfer\" (ident ", "thread \"audit\" (ident ", "mutex \"account a\"", "mutex \"account b\""]
    {
        assert!(report.contains(words), "{report}");
    }
    assert_eq!(report.matches(", taken at crates/lisle/examples/knots/scenes.rs:").count(), 2, "{report}");
    // One of the two was failed and keeps its lock; the other waits for that.
    let failed = now.past_reports[0].failed.unwrap();
    let (waits, lock, holds) = match thread(&now, "audit").ident == failed {
        true => ("transfer", "\"account b\"", "audit"),
        false => ("audit", "\"account a\"", "transfer"),
    };
    assert_edge(&now, waits, "mutex", lock, "held by", holds);
    let line =
        format!("\n  held by thread \"{holds}\" (ident {failed}), taken at crates/lisle/examples/knots/scenes.rs:");
    assert!(text.contains(&line), "{text}");
    let owner = &thread(&now, waits).wait.as_ref().unwrap().owners[0];
    assert!(owner.taken_at.as_ref().is_some_and(|site| site.contains("scenes.rs:")), "{owner:?}");
}

#[test]
fn three_locks() {
    let (text, now) = Knot::tie("three-locks").dumps();
    assert_nothing_now(&text, &now);
    assert_ended(&text, &now, 3);
    let failed = now.past_reports[0].failed.unwrap();
    let ring = [("red", "\"lock 2\"", "green"), ("green", "\"lock 3\"", "blue"), ("blue", "\"lock 1\"", "red")];
    for (waits, lock, holds) in ring {
        if thread(&now, waits).ident != failed {
            assert_edge(&now, waits, "mutex", lock, "held by", holds);
        }
    }
}

#[test]
fn timed_two_locks() {
    let (text, now) = Knot::tie("timed-two-locks").dumps();
    assert_edge(&now, "patient", "mutex", "\"second\"", "held by", "hasty");
    assert_edge(&now, "hasty", "mutex", "\"first\"", "held by", "patient");
    let ends_in = thread(&now, "hasty").wait.as_ref().unwrap().ends_in_us.expect("it has a limit");
    assert!(ends_in > 3_000_000_000, "{ends_in}");
    let [report] = &now.reports[..] else { panic!("{:#?}", now.reports) };
    assert_eq!((report.confidence, report.cycle), (Confidence::Timed, 2));
    assert!(text.contains("\nFound 1 deadlock:\n\ndeadlock that ends by itself in "), "{text}");
}

#[test]
fn orphan() {
    let (text, now) = Knot::tie("orphan").dumps();
    assert_edge(&now, "heir", "mutex", "\"left behind\"", "held by", "gone");
    assert!(thread(&now, "heir").wait.as_ref().unwrap().owners[0].ended);
    let [report] = &now.reports[..] else { panic!("{:#?}", now.reports) };
    assert_eq!((report.confidence, report.cycle), (Confidence::Orphaned, 0));
    assert!(
        text.contains("held by thread \"gone\" (ident ") && text.contains(", which has ended, taken at "),
        "{text}"
    );
    assert!(text.contains("\nFound 1 orphaned lock:\n"), "{text}");
}

#[test]
fn join_while_holding() {
    let (text, now) = Knot::tie("join-while-holding").dumps();
    assert_nothing_now(&text, &now);
    let report = assert_ended(&text, &now, 2);
    assert!(report.contains("for mutex \"ledger\"") && report.contains("for join of thread \"clerk\""), "{report}");
    match now.past_reports[0].failed == Some(thread(&now, "boss").ident) {
        true => assert_edge(&now, "clerk", "mutex", "\"ledger\"", "held by", "boss"),
        false => assert_edge(&now, "boss", "join", "of thread \"clerk\"", "which is", "clerk"),
    }
}

#[test]
fn a_queue_without_a_producer() {
    // Its main thread waits as well, a moment after it has said that it is ready.
    let knot = Knot::tie("no-producer");
    while thread(&knot.snapshot(), "main").wait.is_none() {}
    let (text, now) = knot.dumps();
    let wait = thread(&now, "consumer").wait.as_ref().expect("it waits");
    assert_eq!((&*wait.kind, &*wait.object, wait.owners.len()), ("queue empty", "\"jobs\"", 0));
    // Nobody owns a queue: that nobody is left is only suspected.
    let [report] = &now.reports[..] else { panic!("{:#?}", now.reports) };
    assert_eq!((report.confidence, report.cycle, report.threads.len()), (Confidence::Suspected, 0, 2));
    assert!(report.text.starts_with("suspected deadlock: all 2 threads wait, and nobody is left to end that\n"));
    assert!(text.contains("\nFound 1 suspected deadlock:\n"), "{text}");
}

#[test]
fn a_pool_that_starves_itself() {
    let (text, now) = Knot::tie("starved-pool").dumps();
    let report = assert_ended(&text, &now, 1);
    assert!(
        report.contains("running call \"outer\", has waited") && report.contains("for future \"inner\""),
        "{report}"
    );
    assert_edge(&now, "client", "future", "\"outer\"", "run by", "pool_0");
    assert_eq!(thread(&now, "pool_0").wait.as_ref().unwrap().running.as_deref(), Some("call \"outer\""));
}

#[test]
fn contention_is_no_deadlock() {
    let knot = Knot::tie("contention");
    let mut contended = false;
    for _ in 0..200 {
        let snapshot = knot.snapshot();
        assert!(snapshot.reports.is_empty() && snapshot.past_reports.is_empty(), "{snapshot:#?}");
        contended |= snapshot.threads.iter().any(|thread| {
            let on_hot = thread.wait.as_ref().filter(|wait| wait.object == "\"hot\"");
            on_hot.is_some_and(|wait| wait.owners.iter().any(|owner| owner.bond == "held by"))
        });
    }
    assert!(contended, "never was anybody seen to wait");
    assert!(knot.dump(&[]).contains("\nFound no deadlock.\n"));
}

#[test]
fn reader_reader_writer() {
    let (text, now) = Knot::tie("reader-reader-writer").dumps();
    assert_nothing_now(&text, &now);
    let report = assert_ended(&text, &now, 2);
    assert!(report.contains("behind the waiting writer, thread \"writer\""), "{report}");
    assert_eq!(now.past_reports[0].failed, Some(thread(&now, "reader").ident));
    assert_edge(&now, "writer", "write lock", "\"table\"", "held by", "reader");
}
