//! Made-up snapshots for the tests of the views, and a source that plays them.
//!
//! Each situation is a function (`healthy`, `deadlock`, …). A test that needs something else changes what
//! one of them returns, or builds it: `snapshot([thread(7, "writer").waits(wait("mutex", "\"log\"").ms(20))])`.

#![allow(dead_code)] // each view needs some of it

use crate::source::{Gone, Source};
use lisle::watch::wire::{
    Confidence, Frame, Object, Origin, Owner, PROTOCOL, Process, Report, Snapshot, State, Stranger, Thread, Wait,
    Waited,
};
use std::collections::VecDeque;

/// When the first snapshot of each situation is taken: 2026-01-02 03:04:05 UTC.
pub(crate) const TAKEN_AT_US: u64 = 1_767_323_045_000_000;

/// A snapshot of these threads and nothing else.
pub(crate) fn snapshot(threads: impl Into<Vec<Thread>>) -> Snapshot {
    Snapshot {
        schema: PROTOCOL,
        process: Process {
            pid: 4242,
            command: ["/usr/local/bin/bank", "--serve"].map(String::from).into(),
            age_us: 182_000_000,
            lisle: "0.1.0".into(),
            interpreter: None,
        },
        taken_at_us: TAKEN_AT_US,
        took_us: 85,
        threads: threads.into(),
        ..Snapshot::default()
    }
}

/// A thread that runs and has used 10 ms of a processor.
pub(crate) fn thread(ident: u32, name: &str) -> Thread {
    Thread {
        ident,
        native_id: 4241 + ident,
        name: name.into(),
        origin: if ident == 1 { Origin::Main } else { Origin::Made },
        state: State::Running,
        cpu_us: Some(10_000),
        ..Thread::default()
    }
}

/// A wait for this kind of thing and this one, see [`Wait::object`]. Its key follows from both.
pub(crate) fn wait(kind: &str, object: &str) -> Wait {
    Wait {
        kind: kind.into(),
        object: object.into(),
        key: key(kind, object),
        called_at: "src/main.rs:10:5".into(),
        interruptible: true,
        ..Wait::default()
    }
}

/// The object of [`wait`]s for this kind of thing and this one, for which nobody has waited yet.
pub(crate) fn object(id: u32, kind: &str, object: &str) -> Object {
    Object { id, key: key(kind, object), kind: kind.into(), object: object.into(), ..Object::default() }
}

/// The same number for the same thing, as if it were an address.
fn key(kind: &str, object: &str) -> u64 {
    let digits = kind.bytes().chain(object.bytes());
    0x7f00_0000_0000 | digits.fold(0, |sum: u64, byte| (sum * 31 + u64::from(byte)) % 0xffff_fff0) & !7
}

/// What can be said of a thread.
pub(crate) trait BuildThread {
    fn daemon(self) -> Self;
    /// How much of a processor it has used.
    fn cpu_ms(self, ms: u64) -> Self;
    fn state(self, state: State) -> Self;
    fn waits(self, wait: Wait) -> Self;
    /// So many ended waits of this kind, lasting so long together, and so long the longest.
    fn waited(self, kind: &str, count: u64, total_ms: u64, longest_ms: u64) -> Self;
    /// The interpreter's next outer frame.
    fn frame(self, file: &str, line: u32, function: &str) -> Self;
}

impl BuildThread for Thread {
    fn daemon(self) -> Thread {
        Thread { daemon: true, ..self }
    }

    fn cpu_ms(self, ms: u64) -> Thread {
        Thread { cpu_us: Some(ms * 1000), ..self }
    }

    fn state(self, state: State) -> Thread {
        Thread { state, ..self }
    }

    fn waits(self, wait: Wait) -> Thread {
        Thread { state: State::Waiting, wait: Some(wait), ..self }
    }

    fn waited(mut self, kind: &str, count: u64, total_ms: u64, longest_ms: u64) -> Thread {
        let (total_us, longest_us) = (total_ms * 1000, longest_ms * 1000);
        self.waited.push(Waited { kind: kind.into(), count, total_us, longest_us });
        self
    }

    fn frame(mut self, file: &str, line: u32, function: &str) -> Thread {
        self.frames.push(Frame { file: file.into(), line, function: function.into() });
        self
    }
}

/// What can be said of a wait.
pub(crate) trait BuildWait {
    /// How long it has lasted.
    fn ms(self, ms: u64) -> Self;
    fn called_at(self, site: &str) -> Self;
    fn ends_in_ms(self, ms: u64) -> Self;
    /// The executor's call in which it waits.
    fn running(self, call: &str) -> Self;
    /// Depends on this thread, which has taken the object there.
    fn held_by(self, ident: u32, name: &str, taken_at: &str) -> Self;
    /// Depends on this thread, in these words.
    fn owed_by(self, bond: &str, ident: u32, name: &str) -> Self;
    /// Depends on a thread that has ended and has taken the object there.
    fn left_by(self, ident: u32, name: &str, taken_at: &str) -> Self;
}

impl BuildWait for Wait {
    fn ms(self, ms: u64) -> Wait {
        Wait { waited_us: ms * 1000, ..self }
    }

    fn called_at(self, site: &str) -> Wait {
        Wait { called_at: site.into(), ..self }
    }

    fn ends_in_ms(self, ms: u64) -> Wait {
        Wait { ends_in_us: Some(ms * 1000), ..self }
    }

    fn running(self, call: &str) -> Wait {
        Wait { running: Some(call.into()), ..self }
    }

    fn held_by(self, ident: u32, name: &str, taken_at: &str) -> Wait {
        let mut wait = self.owed_by("held by", ident, name);
        wait.owners.last_mut().expect("was put there").taken_at = Some(taken_at.into());
        wait
    }

    fn owed_by(mut self, bond: &str, ident: u32, name: &str) -> Wait {
        self.owners.push(Owner { ident, name: name.into(), bond: bond.into(), ..Owner::default() });
        self
    }

    fn left_by(self, ident: u32, name: &str, taken_at: &str) -> Wait {
        let mut wait = self.held_by(ident, name, taken_at);
        wait.owners.last_mut().expect("was put there").ended = true;
        wait
    }
}

/// What can be said of an object.
pub(crate) trait BuildObject {
    /// So many ended waits, lasting so long together, and so long the longest.
    fn waits(self, count: u64, total_ms: u64, longest_ms: u64) -> Self;
    /// So many threads wait now, and these hold it.
    fn now(self, waiting: u32, holders: &[u32]) -> Self;
    fn length(self, length: u64) -> Self;
}

impl BuildObject for Object {
    fn waits(self, count: u64, total_ms: u64, longest_ms: u64) -> Object {
        Object { waits: count, total_us: total_ms * 1000, longest_us: longest_ms * 1000, ..self }
    }

    fn now(self, waiting: u32, holders: &[u32]) -> Object {
        Object { waiting, holders: holders.into(), ..self }
    }

    fn length(self, length: u64) -> Object {
        Object { length: Some(length), ..self }
    }
}

/// The same program so much later: it has aged, and every wait that is in it too. Counters stay.
pub(crate) fn later(mut snapshot: Snapshot, ms: u64) -> Snapshot {
    let us = ms * 1000;
    snapshot.taken_at_us += us;
    snapshot.process.age_us += us;
    for wait in snapshot.threads.iter_mut().filter_map(|thread| thread.wait.as_mut()) {
        wait.waited_us += us;
        wait.ends_in_us = wait.ends_in_us.map(|left| left.saturating_sub(us));
    }
    for report in snapshot.reports.iter_mut().chain(&mut snapshot.past_reports) {
        report.age_us += us;
    }
    snapshot
}

/// A program of which lisle knows no thread.
pub(crate) fn empty() -> Snapshot {
    snapshot([])
}

/// A program in good health: workers, a queue between them, a timer, a pool at rest, foreign threads.
pub(crate) fn healthy() -> Snapshot {
    let queue = "\"orders\"";
    let mut picture = snapshot([
        thread(1, "MainThread")
            .cpu_ms(420)
            .waits(
                wait("join", "\"listener\"")
                    .ms(181_400)
                    .called_at("src/main.rs:52:14")
                    .owed_by("run by", 2, "listener"),
            )
            .waited("join", 1, 12, 12),
        thread(2, "listener").cpu_ms(6_210).state(State::Blocked).waited("queue full", 12, 480, 96),
        thread(3, "worker-0").cpu_ms(41_870).waited("queue empty", 9_120, 71_300, 420).waited("mutex", 211, 96, 4),
        thread(4, "worker-1").cpu_ms(40_030).waits(wait("queue empty", queue).ms(3).called_at("src/serve.rs:61:30")),
        thread(5, "statistics")
            .daemon()
            .cpu_ms(35)
            .waits(wait("timer", "\"statistics\"").ms(4_200).ends_in_ms(5_800).called_at("src/serve.rs:30:9")),
        thread(6, "thumbnails_0").daemon().cpu_ms(9_400).waits(wait("a call", "\"thumbnails\"").ms(62_000)),
        thread(7, "thumbnails_1").daemon().cpu_ms(9_150).waits(wait("a call", "\"thumbnails\"").ms(12_500)),
        thread(8, "late").cpu_ms(0).state(State::Started),
    ]);
    picture.threads[7].native_id = 0;
    picture.threads.push(Thread { service: true, ..thread(9, "lisle agent").daemon() });
    picture.strangers = vec![Stranger { native_id: 4301, name: "gmain".into() }];
    picture.objects = vec![
        object(1, "queue empty", queue).waits(18_240, 142_600, 420).now(1, &[]).length(0),
        object(2, "a call", "\"thumbnails\"").waits(310, 98_000, 12_000).now(2, &[]),
        object(3, "queue full", queue).waits(12, 480, 96).length(64),
        object(4, "mutex", "made at src/serve.rs:24:17").waits(422, 190, 4),
    ];
    picture
}

/// Two threads that hold a lock each and wait for the other's: a deadlock, found 4.2 s ago. In Python the wait
/// of neither is failed; a third thread waits behind them. There was another report before.
pub(crate) fn deadlock() -> Snapshot {
    let (a, b) = ("\"account a\"", "\"account b\"");
    let mut picture = snapshot([
        thread(1, "MainThread")
            .waits(
                wait("join", "\"transfer\"")
                    .ms(4_310)
                    .called_at("bank.py:71 in <module>")
                    .owed_by("run by", 2, "transfer"),
            )
            .frame("bank.py", 71, "<module>"),
        thread(2, "transfer")
            .waits(wait("lock", b).ms(4_200).called_at("bank.py:31 in transfer").held_by(
                3,
                "audit",
                "bank.py:43 in audit",
            ))
            .waited("lock", 40, 12, 3)
            .frame("bank.py", 31, "transfer")
            .frame("bank.py", 60, "run"),
        thread(3, "audit")
            .waits(wait("lock", a).ms(4_205).called_at("bank.py:44 in audit").held_by(
                2,
                "transfer",
                "bank.py:30 in transfer",
            ))
            .frame("bank.py", 44, "audit"),
        thread(4, "report")
            .daemon()
            .waits(wait("lock", a).ms(2_000).called_at("bank.py:52 in report").held_by(
                2,
                "transfer",
                "bank.py:30 in transfer",
            ))
            .frame("bank.py", 52, "report"),
        thread(5, "ticker")
            .daemon()
            .cpu_ms(310)
            .waits(wait("sleep", "\"ticker\"").ms(320).ends_in_ms(680).called_at("bank.py:12 in tick")),
    ]);
    picture.process.command = ["python", "-m", "lisle", "bank.py"].map(String::from).into();
    picture.process.interpreter = Some("CPython 3.13.0".into());
    picture.objects = vec![
        object(1, "lock", a).waits(25, 14, 3).now(2, &[2]),
        object(2, "lock", b).waits(15, 9, 2).now(1, &[3]),
        object(3, "sleep", "\"ticker\"").waits(180, 180_000, 1_001).now(1, &[]),
    ];
    picture.reports = vec![Report {
        confidence: Confidence::Suspected,
        text: "suspected deadlock: 2 threads wait for each other, if nobody else releases the lock\n  \
               thread \"transfer\" (ident 2) has waited 500 ms for lock \"account b\"\n    \
               in a call at bank.py:31 in transfer\n    \
               last taken by thread \"audit\" (ident 3), taken at bank.py:43 in audit\n  \
               thread \"audit\" (ident 3) has waited 505 ms for lock \"account a\"\n    \
               in a call at bank.py:44 in audit\n    \
               last taken by thread \"transfer\" (ident 2), taken at bank.py:30 in transfer"
            .into(),
        threads: vec![2, 3],
        cycle: 2,
        age_us: 4_200_000,
        failed: None,
        told: true,
    }];
    picture.past_reports = vec![Report {
        confidence: Confidence::Proven,
        text: "deadlock: 1 thread waits for itself\n  \
               thread \"pool_0\" (ident 9), running call \"outer\", has waited 4 ms for future \"inner\"\n    \
               in a call at bank.py:20 in outer\n    \
               to be run by thread \"pool_0\" (ident 9)"
            .into(),
        threads: vec![9],
        cycle: 1,
        age_us: 93_000_000,
        failed: Some(9),
        told: true,
    }];
    picture
}

/// One lock that everybody wants, and no deadlock: seven threads wait for the eighth.
pub(crate) fn contention() -> Snapshot {
    let (table, log) = ("\"sessions\"", "made at src/log.rs:8:22");
    let mut threads = vec![thread(1, "MainThread").waits(
        wait("join", "\"client-0\"").ms(181_000).called_at("src/main.rs:90:12").owed_by("run by", 2, "client-0"),
    )];
    threads.extend((2..=9).map(|ident| {
        let client = thread(ident, &format!("client-{}", ident - 2)).cpu_ms(2_000 + u64::from(ident) * 10);
        let client = client.waited("mutex", 4_000 + u64::from(ident), 9_000, 35);
        match ident {
            2 => client,
            9 => client.waits(wait("mutex", log).ms(1).called_at("src/log.rs:31:14").held_by(
                2,
                "client-0",
                "src/log.rs:31:14",
            )),
            _ => client.waits(wait("mutex", table).ms(u64::from(ident)).called_at("src/sessions.rs:77:20").held_by(
                2,
                "client-0",
                "src/sessions.rs:77:20",
            )),
        }
    }));
    let mut picture = snapshot(threads);
    picture.objects = vec![
        object(1, "mutex", table).waits(31_800, 64_250, 35).now(6, &[2]),
        object(2, "mutex", log).waits(2_110, 830, 6).now(1, &[2]),
        object(3, "write lock", "\"routes\"").waits(12, 45, 11),
        object(4, "semaphore", "\"uploads\"").waits(9, 7_200, 2_100).length(0),
    ];
    picture
}

/// The same after one second in which a lock was waited for 2,000 times, and `client-0` ran all the time.
pub(crate) fn contention_later() -> Snapshot {
    let mut picture = contention();
    picture.taken_at_us += 1_000_000;
    picture.process.age_us += 1_000_000;
    let sessions = &mut picture.objects[0];
    sessions.waits += 2_000;
    sessions.total_us += 4_100_000;
    let used = |thread: &mut Thread, us: u64| thread.cpu_us = thread.cpu_us.map(|before| before + us);
    used(&mut picture.threads[1], 1_000_000);
    picture.threads[2..].iter_mut().for_each(|thread| used(thread, 20_000));
    picture
}

/// A pool that starves itself: all its workers wait for calls that only they could run.
pub(crate) fn pool() -> Snapshot {
    let call = |n: u32| format!("\"inner {n}\"");
    let mut picture = snapshot([
        thread(1, "MainThread").waits(
            wait("future", "\"outer 0\"").ms(1_310).called_at("src/main.rs:20:9").owed_by("run by", 2, "pool_0"),
        ),
        thread(2, "pool_0").waits(
            wait("future", &call(0))
                .ms(1_300)
                .called_at("src/main.rs:12:44")
                .running("call \"outer 0\"")
                .owed_by("to be run by", 2, "pool_0")
                .owed_by("to be run by", 3, "pool_1"),
        ),
        thread(3, "pool_1").waits(
            wait("future", &call(1))
                .ms(1_299)
                .called_at("src/main.rs:12:44")
                .running("call \"outer 1\"")
                .owed_by("to be run by", 2, "pool_0")
                .owed_by("to be run by", 3, "pool_1"),
        ),
    ]);
    picture.objects =
        vec![object(1, "future", &call(0)).now(1, &[2, 3]), object(2, "future", &call(1)).now(1, &[2, 3])];
    picture.reports = vec![Report {
        confidence: Confidence::Proven,
        text: "deadlock: 2 threads wait for each other\n  \
               thread \"pool_0\" (ident 2), running call \"outer 0\", has waited 4 ms for future \"inner 0\"\n    \
               in a call at src/main.rs:12:44\n    \
               to be run by thread \"pool_1\" (ident 3) or another thread, which waits too\n  \
               thread \"pool_1\" (ident 3), running call \"outer 1\", has waited 3 ms for future \"inner 1\"\n    \
               in a call at src/main.rs:12:44\n    \
               to be run by thread \"pool_0\" (ident 2) or another thread, which waits too"
            .into(),
        threads: vec![2, 3],
        cycle: 2,
        age_us: 1_299_000,
        failed: None,
        told: true,
    }];
    picture
}

/// A lock whose holder has ended without releasing it, and a thread that waits for it.
pub(crate) fn orphan() -> Snapshot {
    let mut picture = snapshot([
        thread(1, "MainThread"),
        thread(3, "reader").waits(wait("mutex", "\"ledger\"").ms(61_000).called_at("src/bank.rs:80:16").left_by(
            2,
            "writer",
            "src/bank.rs:66:24",
        )),
    ]);
    picture.objects = vec![object(1, "mutex", "\"ledger\"").now(1, &[2])];
    picture.reports = vec![Report {
        confidence: Confidence::Orphaned,
        text: "orphaned lock: its holder has ended without releasing it\n  \
               thread \"reader\" (ident 3) has waited 100 ms for mutex \"ledger\"\n    \
               in a call at src/bank.rs:80:16\n    \
               held by thread \"writer\" (ident 2), taken at src/bank.rs:66:24"
            .into(),
        threads: vec![3],
        cycle: 0,
        age_us: 61_000_000,
        failed: None,
        told: true,
    }];
    picture
}

/// Names that try to harm a terminal or a page.
pub(crate) fn hostile() -> Snapshot {
    let mut picture = snapshot([
        thread(1, "\u{1b}[2J\u{1b}]0;owned\u{7}clear"),
        thread(2, "<script>alert(1)</script>"),
        thread(3, "line\nbreak\r\ttab\0nul\u{9b}31m"),
        thread(4, "right \u{202e}tfel ot\u{2066}"),
        thread(5, "שלום עולם"),
        thread(6, "線程線程線程線程線程線程線程線程線程線程"),
        thread(7, "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}"),
        thread(8, "zero\u{200b}width\u{feff}"),
        thread(9, "👩‍👩‍👧 family 👍🏽"),
        thread(10, &"long ".repeat(200))
            .waits(wait("mutex", "\"</td>\u{1b}[31m\"").ms(5).called_at("a\u{1b}[31mb.rs:1:1")),
    ]);
    picture.process.command = vec!["\u{1b}[5mbank".into(), "&lt;\u{202e}".into()];
    picture
}

/// A program of so many threads, of which every third waits.
pub(crate) fn many(count: u32) -> Snapshot {
    let threads = (1..=count).map(|ident| match ident % 3 {
        0 => thread(ident, &format!("worker-{ident}"))
            .waits(wait("queue empty", "\"jobs\"").ms(u64::from(ident)).called_at("src/jobs.rs:14:22")),
        _ => thread(ident, &format!("worker-{ident}")).cpu_ms(u64::from(ident % 100)),
    });
    let mut picture = snapshot(threads.collect::<Vec<_>>());
    picture.objects =
        vec![object(1, "queue empty", "\"jobs\"").waits(1_000_000, 9_000_000, 10_000).now(count / 3, &[])];
    picture
}

/// A source that plays these snapshots one after the other, and then says that the program has ended.
pub(crate) struct Played(VecDeque<Snapshot>);

impl Played {
    pub(crate) fn new(snapshots: impl IntoIterator<Item = Snapshot>) -> Played {
        Played(snapshots.into_iter().collect())
    }
}

impl Source for Played {
    fn snapshot(&mut self) -> Result<Snapshot, Gone> {
        self.0.pop_front().ok_or_else(|| Gone("The program has ended.".into()))
    }
}
