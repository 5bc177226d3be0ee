//! Plays a made-up program to the browser tests (`crates/lisle-cli/tests/web`): it looks like a real one, and does
//! what it is told on stdin, one word a line.
//!
//! It is a test so that it can use what is private here: `LISLE_PLAY=1 cargo test -p lisle-cli --lib -- --exact
//! web::play::play --nocapture`. Without the variable it does nothing.

use super::Web;
use crate::source::{Gone, Source};
use crate::testing::{self, BuildObject, BuildThread, BuildWait, object, snapshot, thread, wait};
use lisle::watch::wire::{Confidence, Owner, Report, Snapshot, State, Stranger, Thread};
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the program does, and since when.
struct Scene {
    name: String,
    since: Instant,
    asked: u64,
}

/// The names of the six who take a lock in turn. Of all scripts.
const TELLERS: [&str; 6] = ["teller-0", "teller-1", "teller-2", "线程-出纳", "خيط الصندوق", "касса-5"];
/// How long each of them has it.
const SLOT_MS: u64 = 340;

struct Play {
    scene: Arc<Mutex<Scene>>,
    began: Instant,
}

impl Source for Play {
    fn snapshot(&mut self) -> Result<Snapshot, Gone> {
        // A program that does not answer, until it is told to do something else.
        while self.scene.lock().unwrap().name == "hang" {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (name, since) = {
            let mut scene = self.scene.lock().unwrap();
            scene.asked += 1;
            (scene.name.clone(), scene.since.elapsed().as_micros() as u64)
        };
        let now = self.began.elapsed().as_micros() as u64;
        let (word, number) = name.split_once(' ').unwrap_or((&name, "0"));
        let number: u32 = number.parse().unwrap_or(0);
        let mut picture = match word {
            "end" => return Err(Gone("the process 4242 has ended".into())),
            "many" => many(number, now),
            "crowd" => crowd(number, now),
            "hostile" => hostile(),
            "pool" => testing::pool(),
            "orphan" => testing::orphan(),
            "suspect" => suspect(),
            "none" => testing::empty(),
            _ => bank(now),
        };
        match word {
            "deadlock" => deadlock(&mut picture, since),
            "failed" => failed(&mut picture, since),
            "three" => three(&mut picture, since),
            _ => {}
        }
        picture.taken_at_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        Ok(picture)
    }
}

/// Workers that take turns with a lock, a queue, a pool, timers: each does what it does at this time.
fn bank(now: u64) -> Snapshot {
    let ms = now / 1000 + 60_000;
    let slot = ms / SLOT_MS;
    let into = ms % SLOT_MS;
    let accounts = || wait("mutex", "\"accounts\"").called_at("src/bank.rs:88:24");
    let mut threads = vec![
        thread(1, "main")
            .waits(wait("join", "\"listener\"").ms(ms).called_at("src/main.rs:52:14").owed_by("run by", 2, "listener")),
        thread(2, "listener").cpu_ms(ms / 50).state(State::Blocked),
    ];
    let holder = (slot % 6) as usize;
    for (at, name) in TELLERS.iter().enumerate() {
        let ident = 3 + at as u32;
        let teller = thread(ident, name).cpu_ms(ms / 4 + at as u64 * 137);
        let teller = teller.waited("mutex", slot / 6, slot / 6 * 900, 1_020).waited("queue empty", 40, 9_000, 800);
        // How many slots until it is its turn.
        let until = (at + 6 - holder) % 6;
        threads.push(match until {
            1..=3 => {
                let waited = (3 - until as u64) * SLOT_MS + into;
                teller.waits(accounts().ms(waited).held_by(3 + holder as u32, TELLERS[holder], "src/bank.rs:71:24"))
            }
            5 => teller.waits(wait("queue empty", "\"orders\"").ms(into).called_at("src/bank.rs:60:19")),
            _ => teller,
        });
    }
    for n in 0..4 {
        let pooled = thread(20 + n, &format!("thumbnails_{n}")).daemon().cpu_ms(900 + u64::from(n) * 40);
        let busy = (ms / 700) % 5 == u64::from(n);
        threads.push(match (busy, n) {
            (true, _) => pooled,
            (false, 3) => pooled.waits(
                wait("future", "\"resize\"")
                    .ms(ms % 2_000)
                    .called_at("src/images.rs:40:31")
                    .running("call \"page\"")
                    .owed_by("to be run by", 20, "thumbnails_0"),
            ),
            (false, _) => pooled.waits(wait("a call", "\"thumbnails\"").ms(ms % 9_000 + u64::from(n) * 300)),
        });
    }
    let beat = ms % 1_000;
    threads.push(
        thread(30, "statistics")
            .daemon()
            .waits(wait("timer", "\"statistics\"").ms(beat).ends_in_ms(1_000 - beat).called_at("src/serve.rs:30:9")),
    );
    threads.push(thread(31, "reader-0").cpu_ms(800).state(State::Running));
    threads.push(
        thread(32, "writer").cpu_ms(210).waits(
            wait("write lock", "\"routes\"")
                .ms(ms % 1_700)
                .ends_in_ms(2_000 - ms % 1_700)
                .called_at("src/routes.rs:19:9")
                .held_by(31, "reader-0", "src/routes.rs:44:12"),
        ),
    );
    let mut picture = snapshot(threads);
    picture.process.age_us = ms * 1000;
    picture.strangers = vec![Stranger { native_id: 4301, name: "gmain".into() }];
    picture.objects = vec![
        object(1, "mutex", "\"accounts\"").waits(slot, slot * 905, 1_020).now(3, &[3 + holder as u32]),
        object(2, "queue empty", "\"orders\"").waits(ms / 120, ms * 2 / 5, 800).now(1, &[]).length(0),
        object(3, "write lock", "\"routes\"").waits(ms / 1_700, ms / 3, 1_690).now(1, &[31]),
        object(4, "future", "\"resize\"").waits(ms / 2_000, ms / 6, 1_400).now(1, &[20]),
        object(5, "mutex", "made at src/log.rs:8:22").waits(ms / 15, ms / 40, 6),
        object(6, "semaphore", "\"uploads\"").waits(9, 7_200, 2_100).length(4),
        object(7, "queue full", "\"orders\"").waits(12, 480, 96).length(64),
    ];
    picture.past_reports = vec![Report {
        confidence: Confidence::Proven,
        text: "deadlock: 1 thread waits for itself\n  \
               thread \"thumbnails_2\" (ident 22), running call \"outer\", has waited 4 ms for future \"inner\"\n    \
               in a call at src/images.rs:12:44\n    \
               to be run by thread \"thumbnails_2\" (ident 22)"
            .into(),
        threads: vec![22],
        cycle: 1,
        age_us: ms * 1000 - 30_000_000,
        failed: Some(22),
        told: true,
    }];
    picture
}

/// Two more threads that wait for each other's locks, one that waits behind them, and what is said about it.
fn deadlock(picture: &mut Snapshot, since: u64) {
    let ms = since / 1000;
    picture.threads.extend([
        thread(40, "transfer").waits(wait("mutex", "\"account b\"").ms(ms).called_at("src/bank.rs:31:20").held_by(
            41,
            "audit",
            "src/bank.rs:44:25",
        )),
        thread(41, "audit").waits(wait("mutex", "\"account a\"").ms(ms).called_at("src/bank.rs:45:25").held_by(
            40,
            "transfer",
            "src/bank.rs:30:20",
        )),
        thread(42, "statement").daemon().waits(
            wait("mutex", "\"account a\"").ms(ms).called_at("src/bank.rs:61:9").held_by(
                40,
                "transfer",
                "src/bank.rs:30:20",
            ),
        ),
    ]);
    let text = format!(
        "deadlock: 2 threads wait for each other\n  \
         thread \"transfer\" (ident 40) has waited {ms} ms for mutex \"account b\"\n    \
         in a call at src/bank.rs:31:20\n    \
         held by thread \"audit\" (ident 41), taken at src/bank.rs:44:25\n  \
         thread \"audit\" (ident 41) has waited {ms} ms for mutex \"account a\"\n    \
         in a call at src/bank.rs:45:25\n    \
         held by thread \"transfer\" (ident 40), taken at src/bank.rs:30:20"
    );
    let confidence = Confidence::Proven;
    picture.reports =
        vec![Report { confidence, text, threads: vec![40, 41], cycle: 2, age_us: since, failed: None, told: true }];
}

/// A suspicion, and a thread of lisle's own that waits, numbered as if it had come first.
fn suspect() -> Snapshot {
    let mut picture = testing::deadlock();
    let own = thread(0, "lisle frames").daemon().waits(wait("a call", "by who looks at the program").ms(250));
    picture.threads.insert(0, Thread { service: true, ..own });
    picture
}

/// A deadlock that was over as soon as it was found.
fn failed(picture: &mut Snapshot, since: u64) {
    deadlock(picture, since);
    let report = Report { failed: Some(41), ..picture.reports.remove(0) };
    picture.threads.truncate(picture.threads.len() - 3);
    picture.past_reports.push(Report { text: report.text.lines().take(1).collect(), ..report });
}

/// Three threads in a ring, and others who wait at each side of it.
fn three(picture: &mut Snapshot, since: u64) {
    let ms = since / 1000;
    let names = ["alpha", "beta", "gamma"];
    for n in 0..3_u32 {
        let next = (n + 1) % 3;
        let lock = format!("\"lock {}\"", names[next as usize]);
        let waits = |ident, name: &str| {
            thread(ident, name).waits(wait("mutex", &lock).ms(ms).held_by(
                50 + next,
                names[next as usize],
                "src/three.rs:9:9",
            ))
        };
        picture.threads.push(waits(50 + n, names[n as usize]));
        picture.threads.push(waits(60 + n, &format!("behind {}", names[next as usize])));
    }
    picture.reports = vec![Report {
        confidence: Confidence::Timed,
        text: "deadlock: 3 threads wait for each other".into(),
        threads: vec![50, 51, 52],
        cycle: 3,
        age_us: since,
        failed: None,
        told: true,
    }];
}

/// So many threads, all for one lock but a few.
fn many(number: u32, now: u64) -> Snapshot {
    let ms = now / 1000 + 5;
    let threads: Vec<_> = (1..=number)
        .map(|ident| {
            let thread = thread(ident, &format!("worker-{ident}")).cpu_ms(ms / 100);
            match ident % 10 {
                0 => thread,
                n => thread.waits(
                    wait("mutex", "\"the one\"").ms((ms + u64::from(ident)) % (700 * u64::from(n))).held_by(
                        10,
                        "worker-10",
                        "src/x.rs:1:1",
                    ),
                ),
            }
        })
        .collect();
    snapshot(threads)
}

/// So many threads in groups of five, of which one has what the four want: more groups than can be drawn.
fn crowd(number: u32, now: u64) -> Snapshot {
    let threads: Vec<_> = (1..=number)
        .map(|ident| {
            let holder = (ident - 1) / 5 * 5 + 1;
            let thread = thread(ident, &format!("cell-{ident}"));
            if ident == holder {
                return thread;
            }
            let lock = format!("\"lock {holder}\"");
            thread.waits(wait("mutex", &lock).ms(now / 1000).held_by(holder, &format!("cell-{holder}"), "src/y.rs:1:1"))
        })
        .collect();
    snapshot(threads)
}

/// Texts that would do harm in a page, a terminal or a line of text.
fn hostile() -> Snapshot {
    let script = "<script>window.harmed = 1</script>";
    let image = "\"><img src=x onerror=\"window.harmed = 2\">";
    let mut picture = snapshot([
        thread(1, script).frame("<b>bold</b>.py", 3, image),
        thread(2, image).waits(wait("mutex", script).ms(10).called_at(image).held_by(1, script, "javascript:alert(1)")),
        thread(3, "\u{1b}]0;title\u{7}\u{1b}[2J\r\nnext line\u{202e}drawkcab"),
        thread(4, &"very-long-".repeat(400)),
        thread(5, "__proto__").waits(wait("constructor", "toString").ms(1).owed_by(
            "hasOwnProperty",
            6,
            "</style></script>",
        )),
        thread(6, "</style></script><script>window.harmed = 3</script>"),
        thread(7, "data: x\n\nevent: gone\ndata: fooled\n\n"),
        thread(8, ""),
    ]);
    picture.threads[1].wait.as_mut().unwrap().owners.push(Owner { ident: 999, ended: true, ..Owner::default() });
    picture.process.command = vec![script.into(), image.into()];
    picture.process.interpreter = Some(script.into());
    picture.strangers = vec![Stranger { native_id: 9, name: image.into() }];
    picture.objects = vec![object(1, script, image).waits(1, 1, 1)];
    picture.frames_missing = Some(image.into());
    let text = format!("{script}\n{image}");
    let orphaned = Confidence::Orphaned;
    picture.reports = vec![Report { text, threads: vec![2], confidence: orphaned, ..Report::default() }];
    picture.past_reports = picture.reports.clone();
    picture
}

#[test]
fn play() {
    if std::env::var_os("LISLE_PLAY").is_none() {
        return;
    }
    let scene = Arc::new(Mutex::new(Scene { name: "bank".into(), since: Instant::now(), asked: 0 }));
    let web = Web::new(Box::new(Play { scene: Arc::clone(&scene), began: Instant::now() }), 0).unwrap();
    println!("\nurl {}", web.url());
    io::stdout().flush().unwrap();
    std::thread::spawn(move || web.serve().unwrap());
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut scene = scene.lock().unwrap();
        if line != "asked" {
            (scene.name, scene.since) = (line, Instant::now());
        }
        println!("asked {}", scene.asked);
        io::stdout().flush().unwrap();
    }
}
