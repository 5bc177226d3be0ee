//! The agent, and the program that asks it: how it is started, who is let in, and what becomes of those who cannot be.

mod common;

use common::*;
use lisle::watch::place::ProcessId;
use lisle::watch::wire::Reply;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn socket(session: &Session, pid: u32) -> std::path::PathBuf {
    session.sockets().join(ProcessId::of(pid).unwrap().socket())
}

#[test]
fn is_started_by_call_and_removed_at_the_end() {
    let session = Session::new();
    let mut program = session.watched(&["start"]);
    let socket = socket(&session, program.pid());
    assert_eq!(program.line(), format!("1 threads, the agent's false: {}", socket.display()));
    assert_eq!(mode(&session.sockets()), 0o700);
    let said = session.says(&["dump", &program.id()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("thread \"main\" (ident 1, "), "{said:?}");
    assert!(said.out.contains("thread \"lisle agent\" (ident 2, "), "{said:?}");
    assert_eq!(program.end(), "");
    assert_eq!(session.names(), [""; 0]);
}

#[test]
fn is_started_by_the_environment() {
    for (value, listens, warning) in [
        ("1", true, ""),
        ("0", false, ""),
        ("", false, ""),
        ("yes", false, "lisle: LISLE_AGENT=\"yes\" is neither 1 nor 0: it is taken as 0\n"),
    ] {
        let session = Session::new();
        let mut program = session.watched_with(&["plain"], |command| command.env("LISLE_AGENT", value));
        assert_eq!(program.line(), "1", "the program's threads are not more for it");
        assert_eq!(session.names().len(), usize::from(listens), "LISLE_AGENT={value}");
        assert_eq!(program.end(), warning);
    }
}

#[test]
fn makes_no_thread_unless_asked() {
    let session = Session::new();
    let mut program = session.watched(&["plain"]);
    program.line();
    assert_eq!(fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap().count(), 1);
    let why = session.says(&["dump", &program.id()]);
    why.assert_refused(&[
        "runs without the agent",
        "LISLE_AGENT=1",
        "lisle run -- ",
        "start_agent()",
        "python -m lisle",
    ]);
}

#[test]
fn is_started_by_a_signal_where_that_is_allowed() {
    let session = Session::new();
    let mut program = session.watched(&["allow"]);
    program.line();
    session.says(&["dump", &program.id()]).assert_refused(&["runs without the agent", "kill -USR2"]);
    program.signal(libc::SIGUSR2);
    until("listening", || session.names().len() == 1);
    assert_eq!(session.says(&["dump", &program.id()]).code, Some(0));
    assert_eq!(program.end(), "");
}

#[test]
fn what_goes_wrong_after_a_signal_is_told() {
    let session = Session::new();
    let mut program = session.watched(&["allow"]);
    program.line();
    fs::write(session.sockets(), "a file where the directory should be").unwrap();
    program.signal(libc::SIGUSR2);
    let told = program.errors_until(|text| text.contains("the agent cannot listen") && text.ends_with('\n'));
    assert!(told.contains("is no directory"), "{told}");
    fs::remove_file(session.sockets()).unwrap();
    program.signal(libc::SIGUSR2); // and again, now that it can
    until("listening", || session.names().len() == 1);
}

#[test]
fn a_signal_prints_a_dump_and_calls_who_was_there_before() {
    let session = Session::new();
    let mut program = session.watched(&["quit"]);
    program.line();
    for _ in 0..2 {
        program.signal(libc::SIGQUIT);
        let printed = program.errors_until(|text| {
            text.contains("\nFound no deadlock.\n") && text.contains("the handler that was there before\n")
        });
        assert!(printed.contains("thread \"main\" (ident 1, "), "{printed}");
    }
    assert_eq!(program.end(), "");
}

#[test]
fn is_told_to_whom_the_process_does_not_exist() {
    let session = Session::new();
    session.says(&["dump", "4194305"]).assert_refused(&["there is no process 4194305"]);
    let said = session.says(&["dump", "none"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    // A process that has ended and that nobody has waited for.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let id = child.id().to_string();
    until("a zombie", || fs::read_to_string(format!("/proc/{id}/stat")).unwrap().contains(") Z "));
    session.says(&["dump", &id]).assert_refused(&[&format!("process {id} has ended")]);
    child.wait().unwrap();
}

#[test]
fn a_thread_s_number_stands_for_its_process() {
    let session = Session::new();
    let mut program = session.watched(&["start"]);
    program.line();
    let threads = fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap();
    let numbers = threads.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let other = numbers.into_iter().find(|number| *number != program.id()).unwrap();
    let said = session.says(&["dump", &other]);
    assert!(said.out.starts_with(&format!("process {} (", program.pid())), "{said:?}");
}

#[test]
fn another_user_is_told_so() {
    if !is_root("another_user_is_told_so") {
        return;
    }
    let session = Session::new();
    let mut program = session.watched(&["start"]);
    program.line();
    let said = as_nobody(&mut session.lisle(&["dump", &program.id()])).output().unwrap();
    Said::of(said).assert_refused(&["is not yours: only user 0 and root may look"]);
}

#[test]
fn another_user_is_not_let_in() {
    if !is_root("another_user_is_not_let_in") {
        return;
    }
    let session = Session::new();
    let mut program = session.watched(&["start"]);
    let path = program.line().split_once(": ").unwrap().1.to_owned();
    let hear = || session.watched_with(&["hear", &path], as_nobody).line();
    // The directory keeps them out …
    assert!(hear().contains("PermissionDenied"));
    // … and if somebody has opened it, the agent looks who it is.
    for path in [session.path(), &session.sockets()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let heard = hear();
    assert!(heard.contains("this process is another user's: only its own user and root may look"), "{heard}");
    // Its own user is not led to a directory that others can change, either.
    session.says(&["dump", &program.id()]).assert_refused(&["is open to other users (mode 755): chmod 700"]);
    fs::set_permissions(session.sockets(), fs::Permissions::from_mode(0o700)).unwrap();
    Wire::assert_well(&session, program.pid());
}

#[test]
fn root_may_look_at_others_programs() {
    if !is_root("root_may_look_at_others_programs") {
        return;
    }
    let session = Session::new();
    std::os::unix::fs::chown(session.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut program = session.watched_with(&["start"], as_nobody);
    program.line();
    let said = session.says(&["dump", &program.id()]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_directory_that_is_not_private_is_not_used() {
    let other = Session::new();
    fs::create_dir(other.sockets()).unwrap();
    fs::set_permissions(other.sockets(), fs::Permissions::from_mode(0o700)).unwrap();
    type Spoil = fn(&Path, &Path);
    let cases: [(&str, Spoil); 4] = [
        ("is no directory, or a link to one", |path, other| symlink(other, path).unwrap()),
        ("is no directory, or a link to one", |path, _| fs::write(path, "").unwrap()),
        ("is open to other users (mode 770): chmod 700", |path, _| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o770)).unwrap();
        }),
        ("belongs to user 65534, not to user 0", |path, _| {
            fs::create_dir(path).unwrap();
            std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap();
        }),
    ];
    for (why, spoil) in cases {
        if why.starts_with("belongs") && !is_root("a directory of another user") {
            continue;
        }
        let session = Session::new();
        spoil(&session.sockets(), &other.sockets());
        let mut program = session.watched(&["start"]);
        let line = program.line();
        assert!(line.starts_with("not started: ") && line.contains(why), "{line}");
        assert_eq!(other.names(), [""; 0]);
        // Nor does who looks for sockets look there.
        session.says(&["dump", &program.id()]).assert_refused(&["cannot be asked: ", why]);
        let said = session.says(&["list"]);
        assert!(said.code == Some(0) && said.err.contains(why), "{said:?}");
        assert_eq!(program.end(), "", "who called has been told, and nobody else");
    }
}

#[test]
fn a_session_of_another_user_is_not_ours() {
    if !is_root("a_session_of_another_user_is_not_ours") {
        return;
    }
    let session = Session::new();
    std::os::unix::fs::chown(session.path(), Some(NOBODY), None).unwrap();
    let mut program = session.watched(&["start"]);
    assert!(program.line().contains(": /tmp/lisle-0/"));
    assert_eq!(session.says(&["dump", &program.id()]).code, Some(0));
}

#[test]
fn a_child_of_a_fork_has_no_agent_unless_the_environment_wants_one() {
    let session = Session::new();
    let mut parent = session.watched(&["fork"]);
    let numbers = [parent.line(), parent.line()];
    let child: u32 = numbers.iter().find(|number| **number != parent.id()).unwrap().parse().unwrap();
    session.says(&["dump", &child.to_string()]).assert_refused(&["runs without the agent"]);
    // The child holds nothing of the parent's connections: they end with it.
    let mut wire = Wire::greeted(&session, parent.pid());
    parent.signal(libc::SIGKILL);
    assert_eq!(wire.hear(), None);
    assert!(ProcessId::of(child).unwrap().is_alive());
    send(child, libc::SIGKILL);
    drop(parent);

    let session = Session::new();
    let mut parent = session.watched_with(&["fork"], |command| command.env("LISLE_AGENT", "1"));
    let numbers = [parent.line(), parent.line()];
    assert_eq!(session.names().len(), 2);
    for number in &numbers {
        let said = session.says(&["dump", number]);
        assert!(said.out.starts_with(&format!("process {number} (")), "{said:?}");
    }
    assert_eq!(parent.end(), "");
    until("both gone", || session.names().is_empty());
}

#[test]
fn a_child_of_a_fork_heeds_the_signal() {
    let session = Session::new();
    let mut parent = session.watched(&["fork"]);
    let numbers = [parent.line(), parent.line()];
    let child: u32 = numbers.iter().find(|number| **number != parent.id()).unwrap().parse().unwrap();
    send(child, libc::SIGQUIT);
    let printed = parent.errors_until(|text| text.contains("\nFound no deadlock.\n"));
    assert!(printed.contains(&format!("process {child} (")), "{printed}");
    assert_eq!(parent.end(), "");
}

#[test]
fn who_becomes_another_program_starts_anew() {
    let session = Session::new();
    let mut program = session.watched(&["become", "plain"]);
    program.line();
    assert_eq!(session.names().len(), 1, "left behind");
    session.says(&["dump", &program.id()]).assert_refused(&["runs without the agent"]);
    let mut program = session.watched(&["become", "start"]);
    program.line();
    assert_eq!(session.names().len(), 1, "what was left behind has been swept");
    Wire::assert_well(&session, program.pid());
}

#[test]
fn list_tells_who_can_be_looked_at_and_sweeps() {
    let session = Session::new();
    // This user may have others, elsewhere.
    let listed = |program: &Watched| {
        let said = session.says(&["list"]);
        assert_eq!((said.code, &*said.err), (Some(0), ""));
        let line = said.out.lines().find(|line| line.split_whitespace().next() == Some(&program.id()))?;
        Some(line.to_owned())
    };
    let mut dead = session.watched(&["start"]);
    let mut alive = session.watched(&["start"]);
    dead.line();
    alive.line();
    assert!(listed(&dead).is_some());
    dead.signal(libc::SIGKILL);
    until("gone", || listed(&dead).is_none());
    assert_eq!(session.names().len(), 1);
    let line = listed(&alive).unwrap();
    assert!(line.ends_with("watched start"), "{line:?}");
    assert_eq!(alive.end(), "");
}

#[test]
fn list_says_so_when_there_is_nobody() {
    if !is_root("list_says_so_when_there_is_nobody") {
        return;
    }
    let session = Session::new();
    std::os::unix::fs::chown(session.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let said = Said::of(as_nobody(&mut session.lisle(&["list"])).output().unwrap());
    assert_eq!(said.out, "No process of yours runs with the agent. `lisle run -- PROGRAM` starts one.\n", "{said:?}");
}

#[test]
fn run_starts_a_program_with_the_agent() {
    let session = Session::new();
    let program = example("watched");
    let mut child = session
        .lisle(&["run", "--", program.to_str().unwrap(), "plain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("listening", || session.names().len() == 1);
    Wire::assert_well(&session, child.id());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(session.says(&["run", "sh", "-c", "exit 7"]).code, Some(7));
    let missing = session.says(&["run", "--", "/does/not/exist"]);
    assert_eq!(missing.code, Some(127), "{missing:?}");
    let refused = session.says(&["run", "/"]);
    assert_eq!(refused.code, Some(126), "{refused:?}");
}

#[test]
fn a_program_that_is_stopped_does_not_answer() {
    let session = Session::new();
    let mut program = session.watched(&["start"]);
    program.line();
    program.signal(libc::SIGSTOP);
    until("stopped", || fs::read_to_string(format!("/proc/{}/stat", program.pid())).unwrap().contains(") T "));
    session.says(&["dump", &program.id()]).assert_refused(&["does not answer: it is stopped"]);
    program.signal(libc::SIGCONT);
    assert_eq!(session.says(&["dump", &program.id()]).code, Some(0));
}

#[test]
fn a_pipe_that_nobody_reads_is_no_error() {
    let session = Session::new();
    let mut program = session.watched(&["threads", "200", "many"]);
    program.line();
    for more in [&["--json"][..], &[]] {
        let mut child = session
            .lisle(&[&["dump", &program.id()], more].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let said = Said::of(child.wait_with_output().unwrap());
        assert_eq!((said.code, &*said.err), (Some(0), ""));
    }
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let session = Session::new();
    let name = "\u{1b}[31mred\u{9b}2J\u{202e}\n\r<script>";
    let mut program = session.watched(&["threads", "1", name]);
    program.line();
    for more in [&[][..], &["--json"]] {
        let said = session.says(&[&["dump", &program.id()], more].concat());
        let harmful = |char: char| lisle::watch::is_harmful(char) && char != '\n';
        assert!(!said.out.contains(harmful), "{said:?}");
        assert!(said.out.contains("<script>"), "{said:?}");
    }
    let json = session.says(&["dump", "--json", &program.id()]).out;
    let snapshot: lisle::watch::wire::Snapshot = serde_json::from_str(&json).unwrap();
    assert!(snapshot.threads.iter().any(|thread| thread.name == name), "the name itself is not lost");
}

#[test]
fn more_than_may_look_are_told_so() {
    let session = Session::new();
    let mut program = session.watched(&["start"]);
    program.line();
    let mut all: Vec<Wire> = (0..100).map(|_| Wire::greeted(&session, program.pid())).collect();
    assert!(matches!(Wire::to(&session, program.pid()).hear(), Some(Reply::Error(why)) if why.contains("no room")));
    let why = session.says(&["dump", &program.id()]);
    why.assert_refused(&["100 others look at this process"]);
    all.pop();
    until("room", || session.says(&["dump", &program.id()]).code == Some(0));
    assert!(all.iter_mut().all(|wire| wire.snapshot().process.pid == program.pid()));
}
