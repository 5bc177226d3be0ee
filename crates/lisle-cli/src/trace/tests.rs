//! Recording, from parts that are made up and from this process itself.

use super::*;
use lisle::watch::Reader;
use lisle::watch::wire::{Event, Outcome, TraceObject, TraceThread, What};
use serde_json::Value;
use std::collections::VecDeque;

/// Parts as they were given, then the reason why there are no more.
struct Given {
    parts: VecDeque<Trace>,
    stopped: bool,
}

impl Parts for Given {
    fn next(&mut self) -> Result<Trace, Gone> {
        self.parts.pop_front().ok_or(Gone("process 7 (demo) has ended".into()))
    }

    fn stop(&mut self) -> Result<(), Gone> {
        self.stopped = true;
        Ok(())
    }
}

impl Parts for Reader {
    fn next(&mut self) -> Result<Trace, Gone> {
        Ok(Reader::next(self))
    }

    fn stop(&mut self) -> Result<(), Gone> {
        Reader::stop(self);
        Ok(())
    }
}

fn part(at_ns: u64) -> Trace {
    Trace {
        until_ns: at_ns,
        threads: vec![TraceThread { ident: 2, native_id: 9, name: "worker".into() }],
        objects: vec![TraceObject { id: 64, kind: "mutex".into(), object: "\"a\"".into() }],
        events: vec![Event {
            at_ns,
            thread: 2,
            what: What::End { object: 64, outcome: Outcome::Granted, wait: 1, waited_ns: 10 },
        }],
        ..Trace::default()
    }
}

fn writer(json: &mut Vec<u8>) -> Writer<&mut Vec<u8>> {
    Writer::new(json, 7, "demo").unwrap()
}

fn slices(json: &[u8]) -> Vec<Value> {
    let events: Vec<Value> = serde_json::from_slice(json).expect("the file is whole");
    assert_eq!(events.last().unwrap()["name"], "lisle_trace");
    events.into_iter().filter(|event| event["cat"] == "wait").collect()
}

#[test]
fn a_program_that_ends_leaves_a_whole_file() {
    let mut given = Given { parts: [part(100)].into(), stopped: false };
    let mut json = Vec::new();
    let never = AtomicBool::new(false);
    let hour = Duration::from_secs(3600);
    let recorded = record(&mut given, writer(&mut json), hour, &never, |_, _| {}).unwrap();
    assert_eq!(recorded.why, Some(Gone("process 7 (demo) has ended".into())));
    assert_eq!((recorded.written.events, given.stopped, slices(&json).len()), (1, false, 1));
}

#[test]
fn ctrl_c_ends_it_with_what_is_still_on_its_way() {
    let mut rest = part(200);
    rest.last = true;
    (rest.threads, rest.objects) = Default::default();
    let mut given = Given { parts: [part(100), rest, part(300)].into(), stopped: false };
    let mut json = Vec::new();
    let enough = AtomicBool::new(true);
    let hour = Duration::from_secs(3600);
    let recorded = record(&mut given, writer(&mut json), hour, &enough, |_, _| {}).unwrap();
    assert_eq!(recorded.why, None);
    assert_eq!((recorded.written.events, given.stopped, slices(&json).len()), (2, true, 2));
}

#[test]
fn the_time_ends_it() {
    let mut reader = Reader::start();
    let mut json = Vec::new();
    let never = AtomicBool::new(false);
    let mut ticks = 0;
    let limit = Duration::from_millis(20);
    let recorded = record(&mut reader, writer(&mut json), limit, &never, |_, elapsed| {
        ticks += 1;
        assert!(elapsed <= limit);
    });
    let recorded = recorded.unwrap();
    assert!(recorded.why.is_none() && recorded.took >= limit && ticks > 0);
    assert_eq!(recorded.written.bytes, json.len() as u64);
    slices(&json);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    /// Takes the head of the file, and no more.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut given = Given { parts: [part(100)].into(), stopped: false };
    let writer = Writer::new(Full(200), 7, "demo").unwrap();
    let never = AtomicBool::new(false);
    let error = record(&mut given, writer, Duration::from_secs(3600), &never, |_, _| {}).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn the_closing_line_says_how_to_go_on() {
    let mut json = Vec::new();
    let mut given = Given { parts: [Trace { dropped: 1234, last: true, ..part(100) }].into(), stopped: false };
    let never = AtomicBool::new(false);
    let recorded = record(&mut given, writer(&mut json), Duration::ZERO, &never, |_, _| {}).unwrap();
    let text = closing(Path::new("out.json"), recorded.written, Duration::from_millis(1250));
    let first = text.lines().next().unwrap();
    let size = HumanBytes(json.len() as u64);
    assert_eq!(
        first,
        format!("out.json: 1 events of 1 thread in 1.2 s, 1,234 lost: the program makes more than can be read; {size}")
    );
    assert!(text.contains("ui.perfetto.dev"));
}

#[test]
fn seconds_are_numbers() {
    assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
    assert!(seconds("soon").is_err() && seconds("-1").is_err() && seconds("NaN").is_err());
}
