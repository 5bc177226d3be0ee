//! What the agent makes of clients that are mad, slow, silent, many, or of another version; and what the program
//! `lisle` makes of such agents.

mod common;

use common::*;
use lisle::watch::frame::encode;
use lisle::watch::place::ProcessId;
use lisle::watch::wire::{Hello, MAX_FRAME, MAX_REQUEST, PROTOCOL, Reply, Request, Snapshot, SnapshotRequest};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;
use std::{fs, thread};

fn started() -> (Session, Watched) {
    let session = Session::new();
    let mut program = session.watched(&["start"]);
    program.line();
    (session, program)
}

#[test]
fn a_mad_client_is_cut_off_and_nobody_else() {
    let (session, program) = started();
    let mut witness = Wire::greeted(&session, program.pid());
    let huge = u32::MAX.to_le_bytes();
    let long = (MAX_REQUEST as u32 + 1).to_le_bytes();
    type Mad<'a> = (&'a str, &'a dyn Fn(&mut Wire));
    let cases: [Mad<'_>; 8] = [
        ("no JSON", &|wire| wire.send_frame(b"what?")),
        ("an empty frame", &|wire| wire.send_frame(b"")),
        ("half of a text", &|wire| wire.send_frame(b"\"hel")),
        ("bytes that are no text", &|wire| wire.send_frame(b"\"\xff\xfe\"")),
        ("a huge frame", &|wire| wire.send(&huge)),
        ("a frame that is one too long", &|wire| wire.send(&long)),
        ("a web browser", &|wire| wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("JSON and more", &|wire| wire.send_frame(b"\"stop_trace\" \"stop_trace\"")),
    ];
    for (what, go_mad) in cases {
        for greeted in [false, true] {
            let mut wire = match greeted {
                true => Wire::greeted(&session, program.pid()),
                false => Wire::to(&session, program.pid()),
            };
            go_mad(&mut wire);
            assert_eq!(wire.hear(), None, "{what}, greeted: {greeted}");
            assert_eq!(witness.snapshot().process.pid, program.pid());
        }
    }
    assert_eq!(program.end(), "");
}

#[test]
fn the_longest_request_is_taken() {
    let (session, program) = started();
    let mut wire = Wire::to(&session, program.pid());
    let hello = |length| Request::Hello(Hello { protocol: PROTOCOL, software: "x".repeat(length) });
    let empty = encode(&hello(0), MAX_REQUEST).unwrap().len() - 4;
    wire.ask(&hello(MAX_REQUEST - empty));
    assert!(matches!(wire.hear(), Some(Reply::Hello(_))));
    assert!(encode(&hello(MAX_REQUEST - empty + 1), MAX_REQUEST).is_err());
}

#[test]
fn the_first_word_is_a_hello() {
    let (session, program) = started();
    let mut wire = Wire::to(&session, program.pid());
    wire.ask(&Request::Snapshot(SnapshotRequest::default()));
    assert!(matches!(wire.hear(), Some(Reply::Error(why)) if why == "the first word has to be a hello"));
    assert_eq!(wire.hear(), None);
}

#[test]
fn what_the_agent_does_not_know_is_said_and_the_rest_goes_on() {
    let (session, program) = started();
    let mut wire = Wire::to(&session, program.pid());
    // A client of a future with other words, and more of them.
    wire.send_frame(br#"{"hello":{"protocol":[9,4],"software":"lisle 9","colour":"blue"}}"#);
    assert!(matches!(wire.hear(), Some(Reply::Hello(hello)) if hello.protocol == PROTOCOL));
    let deep = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
    for unknown in
        [&deep[..], br#"{"stop_the_world":{"for_ms":10}}"#, br#""sing""#, br#"{"snapshot":7}"#, b"null", b"[]"]
    {
        wire.send_frame(unknown);
        let heard = wire.hear();
        assert!(matches!(&heard, Some(Reply::Error(why)) if why.contains("does not know")), "{heard:?}");
    }
    wire.send_frame(br#"{"snapshot":{"frames":false,"smell":true}}"#);
    assert!(matches!(wire.hear(), Some(Reply::Snapshot(snapshot)) if snapshot.process.pid == program.pid()));
}

#[test]
fn a_frame_may_come_in_pieces_and_many_at_once() {
    let (session, program) = started();
    let mut wire = Wire::greeted(&session, program.pid());
    let ask = encode(&Request::Snapshot(SnapshotRequest::default()), MAX_REQUEST).unwrap();
    for byte in &ask {
        wire.send(&[*byte]);
    }
    assert!(matches!(wire.hear(), Some(Reply::Snapshot(_))));
    wire.send(&ask.repeat(20));
    for _ in 0..20 {
        assert!(matches!(wire.hear(), Some(Reply::Snapshot(_))));
    }
    // One that has asked and says no more gets its answer, and then the end.
    wire.send(&ask.repeat(3));
    wire.stream.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert!(matches!(wire.hear(), Some(Reply::Snapshot(_))));
    }
    assert_eq!(wire.hear(), None);
    // One that ends in the middle of a frame, and one that ends without a word.
    let mut wire = Wire::greeted(&session, program.pid());
    wire.send(&ask[..7]);
    wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wire.hear(), None);
    drop(Wire::to(&session, program.pid()));
    Wire::assert_well(&session, program.pid());
}

/// The memory of a process, in bytes.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn who_reads_nothing_costs_nobody_anything() {
    let session = Session::new();
    let mut program = session.watched(&["threads", "500", &"x".repeat(1000)]);
    program.line();
    let mut witness = Wire::greeted(&session, program.pid());
    let length = serde_json::to_string(&witness.snapshot()).unwrap().len();
    assert!(length > 500_000, "more than a socket takes at once: {length}");
    // Each asks for a gigabyte, and takes nothing of it.
    let ask = encode(&Request::Snapshot(SnapshotRequest::default()), MAX_REQUEST).unwrap();
    let mut silent: Vec<Wire> = (0..40).map(|_| Wire::greeted(&session, program.pid())).collect();
    for wire in &mut silent {
        wire.stream.set_nonblocking(true).unwrap();
        for _ in 0..1000 {
            if wire.stream.write_all(&ask).is_err() {
                break; // it is not asked for more than it takes
            }
        }
    }
    for _ in 0..20 {
        assert_eq!(witness.snapshot().threads.len(), 502);
    }
    let memory = memory(program.pid());
    assert!(memory < 250 << 20, "{memory}");
    // Who was slow and begins to read gets all of it, whole.
    for wire in silent.iter_mut().step_by(7) {
        wire.stream.set_nonblocking(false).unwrap();
        for _ in 0..3 {
            assert!(matches!(wire.hear(), Some(Reply::Snapshot(snapshot)) if snapshot.threads.len() == 502));
        }
    }
}

#[test]
fn who_asks_and_leaves_costs_nobody_anything() {
    let session = Session::new();
    let mut program = session.watched(&["threads", "300", &"x".repeat(1000)]);
    program.line();
    let ask = encode(&Request::Snapshot(SnapshotRequest::default()), MAX_REQUEST).unwrap();
    for _ in 0..300 {
        let mut wire = Wire::greeted(&session, program.pid());
        wire.send(&ask);
    }
    Wire::assert_well(&session, program.pid());
    until("closed", || fs::read_dir(format!("/proc/{}/fd", program.pid())).unwrap().count() < 15);
}

#[test]
fn fifty_look_at_once() {
    let session = Session::new();
    let mut program = session.watched(&["contend", "300000"]);
    assert_eq!(program.line(), "begins");
    let pid = program.pid();
    let looks: usize = thread::scope(|scope| {
        let looking = (0..50).map(|_| {
            scope.spawn(|| {
                let mut wire = Wire::greeted(&session, pid);
                for _ in 0..20 {
                    assert!(wire.snapshot().threads.iter().any(|thread| thread.name == "main"));
                }
                20
            })
        });
        looking.collect::<Vec<_>>().into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(looks, 1000);
    let took = Duration::from_micros(program.line().parse().unwrap());
    println!("600,000 turns of a contended lock took {took:?} with 50 that look");
}

#[test]
fn a_program_that_runs_out_of_descriptors_lets_others_in_later() {
    let session = Session::new();
    // Three of its own, the agent's, and a few more.
    let mut program = session.watched_with(&["start"], |command| {
        use std::os::unix::process::CommandExt;
        let limit = libc::rlimit { rlim_cur: 16, rlim_max: 16 };
        // SAFETY: one system call, with a limit that outlives it.
        unsafe {
            command.pre_exec(move || {
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
                Ok(())
            })
        }
    });
    program.line();
    let mut all: Vec<Wire> = (0..20).map(|_| Wire::to(&session, program.pid())).collect();
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", program.pid())).unwrap().count();
    until("at the limit", || descriptors() >= 16);
    all.drain(..15);
    for mut wire in all {
        wire.ask(&Request::Hello(Hello::default()));
        assert!(matches!(wire.hear(), Some(Reply::Hello(_))));
    }
}

/// An agent that is none: this process, with a thread that says `frames` one after the other, each when it has heard
/// one.
fn posing(session: &Session, frames: Vec<Vec<u8>>) {
    fs::create_dir(session.sockets()).unwrap();
    fs::set_permissions(session.sockets(), fs::Permissions::from_mode(0o700)).unwrap();
    let name = ProcessId::of(std::process::id()).unwrap().socket();
    let listener = UnixListener::bind(session.sockets().join(name)).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for frame in frames {
            let mut head = [0; 4];
            stream.read_exact(&mut head).unwrap();
            stream.read_exact(&mut vec![0; u32::from_le_bytes(head) as usize]).unwrap();
            let _ = stream.write_all(&frame);
        }
    });
}

fn frame(content: &str) -> Vec<u8> {
    [&(content.len() as u32).to_le_bytes(), content.as_bytes()].concat()
}

fn dumped(frames: Vec<Vec<u8>>) -> (Said, String) {
    let session = Session::new();
    posing(&session, frames);
    let me = std::process::id().to_string();
    (session.says(&["dump", "--json", &me]), me)
}

#[test]
fn an_agent_of_a_newer_version_is_understood_as_far_as_that_goes() {
    let (said, me) = dumped(vec![
        frame(r#"{"hello":{"protocol":[2,3],"software":"lisle 7.0.0 \u001b[31m","mood":"good"}}"#),
        frame(
            r#"{"snapshot":{"schema":[2,3],"process":{"pid":7,"planet":"Mars"},"threads":[{"ident":3,"name":"one",
            "state":"teleported","origin":"cloned","wait":{"kind":"quantum lock","object":"\"q\"","colour":1}}],
            "moons":[1,2]}}"#,
        ),
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        said.err,
        format!(
            "lisle: process {me} has lisle 7.0.0 \\u{{1b}}[31m with version 2.3 of the protocol, and this is lisle 0.1.0 \
             with version 1.0 of the protocol: only what both know is shown\n"
        )
    );
    let snapshot: Snapshot = serde_json::from_str(&said.out).unwrap();
    let thread = &snapshot.threads[0];
    assert_eq!((thread.ident, &*thread.name, &*thread.wait.as_ref().unwrap().kind), (3, "one", "quantum lock"));
}

#[test]
fn a_newer_minor_version_is_nothing_to_speak_of() {
    let (said, _) = dumped(vec![
        frame(r#"{"hello":{"protocol":[1,9],"software":"lisle 1.9"}}"#),
        frame(r#"{"snapshot":{"process":{"pid":7},"more":[]}}"#),
    ]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{said:?}");
}

#[test]
fn an_agent_of_an_older_version_leaves_out_what_it_does_not_know() {
    let (said, me) = dumped(vec![
        frame(r#"{"hello":{"protocol":[0,1],"software":"lisle 0.0.1"}}"#),
        frame(r#"{"snapshot":{"threads":[{"name":"old"}]}}"#),
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains(&format!("process {me} has lisle 0.0.1 with version 0.1 of the protocol")), "{said:?}");
    let snapshot: Snapshot = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&*snapshot.threads[0].name, snapshot.process.pid), ("old", 0));
}

#[test]
fn an_agent_that_talks_nonsense_is_named() {
    let hello = || frame(r#"{"hello":{"protocol":[3,0],"software":"lisle 9"}}"#);
    let cases: [(Vec<Vec<u8>>, &[&str]); 7] = [
        (vec![b"SSH-2.0-OpenSSH\r\n".to_vec()], &["does not speak lisle's protocol", "a frame of"]),
        (vec![frame("{]")], &["does not speak lisle's protocol", "no JSON"]),
        (vec![frame(r#"{"error":"go away \u001b[2J"}"#)], &["says: go away \\u{1b}[2J"]),
        (vec![frame(r#"{"snapshot":{}}"#)], &["something else than a greeting"]),
        (vec![hello(), frame(r#"{"holograms":[]}"#)], &["lisle 9 with version 3.0", "this version does not know"]),
        (vec![hello(), frame(r#"{"snapshot":{"threads":7}}"#)], &["lisle 9 with version 3.0", "does not know"]),
        (vec![hello(), (MAX_FRAME as u32 + 1).to_le_bytes().to_vec()], &["version 3.0", "a frame of 67108865 bytes"]),
    ];
    for (frames, words) in cases {
        let (said, _) = dumped(frames);
        assert_eq!((said.code, &*said.out), (Some(1), ""), "{said:?}");
        assert!(words.iter().all(|words| said.err.contains(words)), "{words:?} in {said:?}");
        let controls = |char: char| lisle::watch::is_harmful(char) && char != '\n';
        assert!(!said.err.contains(controls), "{said:?}");
    }
}

#[test]
fn an_agent_that_hangs_up_is_named() {
    let (said, me) = dumped(vec![frame(r#"{"hello":{"protocol":[1,0],"software":"lisle 1"}}"#), Vec::new()]);
    said.assert_refused(&[&format!("process {me} ("), "has closed the connection"]);
}
