//! The rules of the file that Perfetto opens, as far as one program can check what another will say of it.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// A file that keeps the rules.
pub(crate) struct File {
    pub(crate) slices: Vec<Slice>,
    /// From which thread to which, and when.
    pub(crate) arrows: Vec<[(u64, u64); 2]>,
    /// The values of each counter, by time.
    pub(crate) counters: BTreeMap<String, Vec<(u64, u64)>>,
    pub(crate) threads: BTreeMap<u64, String>,
    /// The arguments of the last line.
    pub(crate) summary: Value,
}

/// Times are in nanoseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slice {
    pub(crate) thread: u64,
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) began: u64,
    pub(crate) length: u64,
    pub(crate) args: Value,
}

/// Reads a file, and panics over whatever Perfetto would refuse, drop or misread.
pub(crate) fn read(json: &str) -> File {
    let events: Vec<Value> = serde_json::from_str(json).expect("one array");
    let mut file = File {
        slices: Vec::new(),
        arrows: Vec::new(),
        counters: BTreeMap::new(),
        threads: BTreeMap::new(),
        summary: Value::Null,
    };
    let (mut begins, mut ends) = (HashMap::new(), HashMap::new());
    let pid = number(&events[0], "pid");
    for (line, event) in events.iter().enumerate() {
        assert_eq!(number(event, "pid"), pid, "{event}");
        let (thread, name) = (number(event, "tid"), string(event, "name"));
        match string(event, "ph").as_str() {
            "M" => {
                let args = &event["args"];
                match name.as_str() {
                    "process_name" => assert_eq!(line, 0),
                    "thread_name" => {
                        let before = file.threads.insert(thread, string(args, "name"));
                        assert!(before.is_none(), "named twice: {event}");
                    }
                    "thread_sort_index" => assert_eq!(number(args, "sort_index"), thread),
                    "lisle_trace" => {
                        assert_eq!(line, events.len() - 1);
                        file.summary = args.clone();
                    }
                    other => panic!("{other}"),
                }
            }
            "X" => file.slices.push(Slice {
                thread,
                name,
                category: string(event, "cat"),
                began: time(event, "ts"),
                length: time(event, "dur"),
                args: event["args"].clone(),
            }),
            "s" => {
                let before = begins.insert(string(event, "id"), (thread, time(event, "ts")));
                assert!(before.is_none(), "begins twice: {event}");
            }
            "f" => {
                assert_eq!(string(event, "bp"), "e", "else it is bound to the next slice");
                let before = ends.insert(string(event, "id"), (thread, time(event, "ts")));
                assert!(before.is_none(), "ends twice: {event}");
            }
            "C" => {
                let value = number(&event["args"], "items");
                file.counters.entry(name).or_default().push((time(event, "ts"), value));
            }
            "i" => {
                assert_eq!((name.as_str(), string(event, "s").as_str()), ("events lost", "p"));
                assert!(number(&event["args"], "events") > 0);
                time(event, "ts");
            }
            other => panic!("{other}: {event}"),
        }
    }
    for (id, from) in begins {
        let to = ends.remove(&id).expect("each arrow has an end");
        assert!(from.1 <= to.1, "an arrow back in time: {from:?} to {to:?}");
        file.arrows.push([from, to]);
    }
    assert!(ends.is_empty(), "without a beginning: {ends:?}");
    file.arrows.sort_unstable_by_key(|&[from, _]| from.1);
    assert!(file.summary.is_object(), "the last line is there");
    check_tracks(&file);
    file
}

/// Slices of one track lie within or beside each other, and arrows begin and end in slices.
fn check_tracks(file: &File) {
    let mut tracks: BTreeMap<u64, Vec<&Slice>> = BTreeMap::new();
    for slice in &file.slices {
        assert!(file.threads.contains_key(&slice.thread), "a thread without a name: {slice:?}");
        tracks.entry(slice.thread).or_default().push(slice);
    }
    for slices in tracks.values_mut() {
        // As Perfetto does: by time, and what has the same time as it stands in the file.
        slices.sort_by_key(|slice| slice.began);
        let mut open: Vec<&Slice> = Vec::new();
        for slice in slices {
            open.retain(|outer| outer.began + outer.length > slice.began);
            if let Some(outer) = open.last() {
                let ends = [slice, outer].map(|slice| slice.began + slice.length);
                assert!(ends[0] <= ends[1], "overlap:\n{outer:?}\n{slice:?}");
            }
            open.push(slice);
        }
    }
    for [from, to] in &file.arrows {
        for (end, category, name) in [(from, "wake", "wakes "), (to, "wake", "woken")] {
            let is_here = |slice: &&&Slice| (slice.began..=slice.began + slice.length).contains(&end.1);
            let mine = tracks[&end.0].iter().filter(is_here);
            let innermost = mine.min_by_key(|slice| slice.length).expect("an arrow is bound to a slice");
            assert_eq!(innermost.category, category, "{innermost:?}");
            assert!(innermost.name.starts_with(name), "{innermost:?}");
        }
    }
}

fn number(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_else(|| panic!("no {key} in {of}"))
}

fn string(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_else(|| panic!("no {key} in {of}")).to_owned()
}

fn time(of: &Value, key: &str) -> u64 {
    let micros = of[key].as_f64().unwrap_or_else(|| panic!("no {key} in {of}"));
    assert!(micros >= 0.0, "{of}");
    (micros * 1000.0).round() as u64
}
