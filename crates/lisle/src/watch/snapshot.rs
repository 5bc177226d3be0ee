//! All threads at once.
#![forbid(unsafe_code)]

use super::wire::{self, Confidence, Object, Owner, Snapshot, SnapshotRequest, State, Wait, Waited};
use super::{interpreter, system};
use crate::park::deadlock::Waiting;
use crate::park::record::{Life, Origin, Record};
use crate::park::survey::{Seen, Survey, survey};
use crate::park::{current, deadlock, objects, sys};
use crate::{Kind, Report};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

/// How long the interpreter may take to tell its frames.
const FRAMES_WITHIN: Duration = Duration::from_millis(100);

/// A snapshot of this process, without an interpreter's frames.
///
/// Takes some microseconds for each thread. No thread is held up for longer than the lock of one bucket of the
/// parking lot is, which is the time that it takes to copy one wait. The calling thread is in it: running.
pub fn snapshot() -> Snapshot {
    snapshot_with(&SnapshotRequest::default())
}

/// [`snapshot`] with what was asked for. An interpreter has a tenth of a second to tell its frames.
pub fn snapshot_with(request: &SnapshotRequest) -> Snapshot {
    current::main_record();
    current::ident();
    let began = Instant::now();
    let taken_at_us = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let Survey { threads, mut reports, past, told } = survey();
    let strangers = system::strangers(&threads.iter().map(|seen| native_id_of(&seen.record)).collect());
    if !strangers.is_empty() {
        // They may yet call in, and do what all others wait for.
        reports.retain(|report| !report.is_of_rest());
    }
    let mut names = Names::new(&threads);
    let now = Instant::now();
    let objects = objects(&threads);
    let mut snapshot = Snapshot {
        schema: wire::PROTOCOL,
        process: system::process(),
        taken_at_us: taken_at_us.as_micros() as u64,
        took_us: 0,
        unread: threads.iter().filter(|seen| seen.unread).map(|seen| seen.record.ident()).collect(),
        threads: threads.iter().map(|seen| thread_of(seen, now, &mut names)).collect(),
        strangers,
        objects,
        reports: reports
            .iter()
            .map(|report| wire::Report { told: told.contains(&report.mark), ..report.into() })
            .collect(),
        past_reports: past_reports(past, &reports),
        frames_missing: None,
    };
    if let Some(interpreter) = interpreter::get() {
        snapshot.process.interpreter = Some(interpreter.name.clone());
    }
    if request.frames {
        add_frames(&mut snapshot);
    }
    snapshot.took_us = micros(began.elapsed());
    snapshot
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

/// The names of threads that waits depend on, each looked up once.
struct Names(HashMap<u32, (String, bool)>);

impl Names {
    fn new(threads: &[Seen]) -> Names {
        Names(threads.iter().map(|seen| (seen.record.ident(), (seen.record.name.get().to_owned(), false))).collect())
    }

    /// The name, and whether the thread has ended.
    fn get(&mut self, ident: u32) -> (String, bool) {
        // Who is not in the list has ended, or begun since the list was made.
        let look = || (deadlock::name_of(ident), crate::park::registry::find(ident).is_none());
        self.0.entry(ident).or_insert_with(look).clone()
    }
}

fn thread_of(seen: &Seen, now: Instant, names: &mut Names) -> wire::Thread {
    let record = &seen.record;
    let native_id = native_id_of(record);
    let stats = record.stats.read();
    wire::Thread {
        ident: record.ident(),
        native_id,
        name: record.name.get().to_owned(),
        origin: match record.origin {
            Origin::Made => wire::Origin::Made,
            Origin::Main => wire::Origin::Main,
            Origin::Adopted if record.is_embedded() => wire::Origin::Made,
            Origin::Adopted => wire::Origin::Adopted,
        },
        daemon: record.is_daemon(),
        service: record.is_service(),
        state: match seen.waiting {
            Some(_) => State::Waiting,
            None => state_of(record),
        },
        cpu_us: sys::cpu_time(native_id).map(micros),
        interrupted: record.is_interrupted(),
        wait: seen.waiting.as_ref().map(|waiting| wait_of(waiting, now, names)),
        waited: stats
            .iter()
            .map(|(kind, stat)| Waited {
                kind: kind.to_string(),
                count: stat.count,
                total_us: micros(stat.total),
                longest_us: micros(stat.longest),
            })
            .collect(),
        frames: Vec::new(),
    }
}

/// The system's number for the thread. The main thread may not have called in yet; on Linux its number is known.
fn native_id_of(record: &Record) -> u32 {
    match record.native_id() {
        0 if record.origin == Origin::Main && cfg!(target_os = "linux") => std::process::id(),
        native_id => native_id,
    }
}

fn state_of(record: &Record) -> State {
    match record.life() {
        Life::Initial | Life::Started => State::Started,
        _ if record.ident() == current::ident_if_known() => State::Running,
        _ => system::state(native_id_of(record)),
    }
}

fn wait_of(waiting: &Waiting, now: Instant, names: &mut Names) -> Wait {
    let owners = waiting.owners.iter().map(|(need, owner)| {
        let (bond, taken_at) = owner.bond.in_words();
        let (name, ended) = match owner.ident {
            0 => (String::new(), false),
            ident => names.get(ident),
        };
        Owner {
            ident: owner.ident,
            name,
            ended,
            bond: bond.trim_end_matches(',').to_owned(),
            taken_at: taken_at.filter(|spot| waiting.means(*spot)).map(|spot| spot.to_string()),
            need: *need as u32,
        }
    });
    Wait {
        kind: waiting.kind.to_string(),
        object: waiting.object.clone(),
        key: waiting.object_key as u64,
        called_at: waiting.called_at.clone(),
        waited_us: micros(now.saturating_duration_since(waiting.since)),
        ends_in_us: waiting.deadline.map(|at| micros(at.saturating_duration_since(now))),
        interruptible: waiting.interruptible,
        running: waiting.running.clone(),
        owners: owners.collect(),
    }
}

/// How many objects are listed, of those that nobody waits for now.
const MOST_OBJECTS: usize = 1_000;

/// What somebody waits for now, or has waited for since waits are counted.
fn objects(threads: &[Seen]) -> Vec<Object> {
    let program = threads.iter().filter(|seen| !seen.record.is_service());
    let waits: Vec<&Waiting> = program.filter_map(|seen| seen.waiting.as_ref()).collect();
    let wanted: HashSet<(usize, Kind)> = waits.iter().map(|waiting| (waiting.object_key, waiting.kind)).collect();
    let counted = objects::read(MOST_OBJECTS, |key, kind| wanted.contains(&(key, kind))).into_iter().map(|seen| {
        let object = Object {
            id: seen.id,
            key: seen.key as u64,
            kind: seen.kind.map_or_else(|| "others".to_owned(), |kind| kind.to_string()),
            object: seen.words.to_string(),
            waits: seen.waits,
            total_us: seen.total_ns / 1000,
            longest_us: seen.longest_ns / 1000,
            length: seen.length,
            ..Object::default()
        };
        ((seen.key, seen.kind), object)
    });
    let mut objects: HashMap<(usize, Option<Kind>), Object> = counted.collect();
    for waiting in waits {
        let object = objects.entry((waiting.object_key, Some(waiting.kind))).or_insert_with(|| Object {
            key: waiting.object_key as u64,
            kind: waiting.kind.to_string(),
            object: waiting.object.clone(),
            ..Object::default()
        });
        if object.waiting == 0 {
            // What was counted may have been another's, which was at the address before.
            object.object.clone_from(&waiting.object);
            object.holders = waiting.owners.iter().map(|(_, owner)| owner.ident).filter(|&ident| ident != 0).collect();
        }
        object.waiting += 1;
    }
    let mut objects: Vec<Object> = objects.into_values().collect();
    objects.sort_by_key(|object| (std::cmp::Reverse(object.total_us), object.key));
    objects
}

/// As the program's hook is told of it, while it is there.
impl From<&Report> for wire::Report {
    fn from(report: &Report) -> wire::Report {
        // It has been true since the youngest of its waits began.
        let age = report.links.iter().map(|link| link.waited).min().unwrap_or_default();
        wire::Report {
            confidence: match report.confidence {
                crate::Confidence::Proven => Confidence::Proven,
                crate::Confidence::Timed => Confidence::Timed,
                crate::Confidence::Suspected => Confidence::Suspected,
                crate::Confidence::Orphaned => Confidence::Orphaned,
            },
            text: report.to_string(),
            threads: report.links.iter().map(|link| link.ident).collect(),
            cycle: report.cycle as u32,
            age_us: micros(age),
            failed: None,
            told: true,
        }
    }
}

/// Those that are over: not there any more.
fn past_reports(past: Vec<deadlock::Past>, now: &[Report]) -> Vec<wire::Report> {
    let is_there = |past: &Report| now.iter().any(|report| report.mark == past.mark);
    past.into_iter()
        .filter(|past| past.failed.is_some() || !is_there(&past.report))
        .map(|past| wire::Report { age_us: micros(past.at.elapsed()), failed: past.failed, ..(&past.report).into() })
        .collect()
}

fn add_frames(snapshot: &mut Snapshot) {
    let Some(interpreter) = interpreter::get() else { return };
    match (interpreter.frames)(FRAMES_WITHIN) {
        Err(why) => snapshot.frames_missing = Some(why),
        Ok(all) => {
            let mut all: HashMap<u32, Vec<wire::Frame>> = all.into_iter().collect();
            for thread in &mut snapshot.threads {
                thread.frames = all.remove(&thread.native_id).unwrap_or_default();
            }
        }
    }
}
