//! One thing in full: a thread, an object, a report.
#![forbid(unsafe_code)]

use super::cells;
use super::picture::{ObjectRow, Picture, ReportRow, ThreadRow};
use super::reports::what;
use super::writing::Writing;
use crate::human::{self, time};
use lisle::watch::wire::{Origin, Owner, Wait};

/// How many links of a chain of waits are followed.
const CHAIN: usize = 16;

/// How many threads of a cycle are drawn. The text of the report has all of them.
const DRAWN: usize = 24;

/// A thread: what it waits for, whose turn it is to end that, how it got there, and its waits until now.
pub(super) fn thread(row: &ThreadRow, picture: &Picture, out: &mut Writing) {
    let thread = &row.thread;
    let mut facts = vec![format!("ident {}", thread.ident), format!("native id {}", thread.native_id)];
    match thread.origin {
        Origin::Main => facts.push("the main thread".to_owned()),
        Origin::Adopted => facts.push("not made by lisle".to_owned()),
        _ => {}
    }
    facts.extend(thread.daemon.then(|| "daemon".to_owned()));
    facts.extend(thread.interrupted.then(|| "interrupted, and has not noticed yet".to_owned()));
    out.say("", &facts.join(", "));
    let used = thread.cpu_us.map(|us| format!("; has used {} of a processor", time(us))).unwrap_or_default();
    let share = row.cpu.map(|_| format!(", {} % lately", cells::rate(row.cpu))).unwrap_or_default();
    out.say("", &format!("{}{used}{share}", row.standing.word()));
    if picture.snapshot.unread.contains(&thread.ident) {
        out.say("", "Its wait kept changing and could not be read in one piece.");
    }
    if let Some(wait) = &thread.wait {
        out.head(&format!("Waits for {} {}", wait.kind, wait.object));
        write_wait(wait, out);
        if let Some(ObjectRow { object, .. }) = picture.object_of(row) {
            let (waits, total) = (human::number(object.waits), time(object.total_us));
            out.say(
                "  ",
                &format!(
                    "all threads together have waited {total} for it, in {waits} waits that ended and those that go on"
                ),
            );
        }
        write_chain(row, picture, out);
    }
    if !thread.frames.is_empty() {
        out.head("Frames, innermost first");
        for frame in &thread.frames {
            let line = if frame.line == 0 { "?".to_owned() } else { frame.line.to_string() };
            out.say("  ", &format!("{}:{line} in {}", frame.file, frame.function));
        }
    } else if let (Some(why), true) = (&picture.snapshot.frames_missing, picture.snapshot.process.interpreter.is_some())
    {
        out.head("Frames");
        out.say("  ", &format!("missing: {why}"));
    }
    if !thread.waited.is_empty() {
        out.head("Waits that have ended");
        out.say("  ", &format!("{:>8} {:>11} {:>11} {:>11}  kind", "number", "total", "longest", "mean"));
        let mut waited: Vec<_> = thread.waited.iter().collect();
        waited.sort_by_key(|waited| std::cmp::Reverse(waited.total_us));
        for waited in waited {
            let mean = waited.total_us.checked_div(waited.count).map(time).unwrap_or_default();
            let (count, total, longest) = (human::number(waited.count), time(waited.total_us), time(waited.longest_us));
            out.say("  ", &format!("{count:>8} {total:>11} {longest:>11} {mean:>11}  {}", waited.kind));
        }
    }
}

fn write_wait(wait: &Wait, out: &mut Writing) {
    let ends = match wait.ends_in_us {
        Some(us) => format!(", ends by itself in {}", time(us)),
        None => String::new(),
    };
    let interrupt = if wait.interruptible { "an interrupt ends it" } else { "no interrupt ends it" };
    out.say("  ", &format!("for {}{ends}; {interrupt}", time(wait.waited_us)));
    out.say("  ", &format!("in a call at {}", wait.called_at));
    if let Some(call) = &wait.running {
        out.say("  ", &format!("running {call}"));
    }
    for owner in wait.owners.iter().filter(|owner| owner.ident != 0) {
        out.say("  ", &format!("{} {}", owner.bond, owner_in_words(owner)));
    }
    out.say("  ", &format!("at address {:#x}", wait.key));
}

fn owner_in_words(owner: &Owner) -> String {
    let ended = if owner.ended { ", which has ended" } else { "" };
    let taken_at = owner.taken_at.as_ref().map(|site| format!(", taken at {site}")).unwrap_or_default();
    format!("\"{}\" (ident {}){ended}{taken_at}", owner.name, owner.ident)
}

/// Who has to do something first, and who before that: along the first owner of each wait, to a thread that does
/// not wait for another, or around a cycle.
fn write_chain(row: &ThreadRow, picture: &Picture, out: &mut Writing) {
    let mut seen = vec![row.thread.ident];
    let mut next = first_owner(row);
    if next.is_none() {
        return;
    }
    out.head("What that depends on");
    while let Some(owner) = next {
        let indent = "  ".repeat(seen.len().min(CHAIN));
        let name = format!("\"{}\" (ident {})", owner.name, owner.ident);
        if seen.contains(&owner.ident) {
            let itself = if owner.ident == row.thread.ident { ": this thread" } else { "" };
            out.say(&indent, &format!("↺ {name}{itself}. They wait for each other."));
            return;
        }
        if seen.len() == CHAIN {
            out.say(&indent, "… and so on");
            return;
        }
        seen.push(owner.ident);
        let there = picture.thread(owner.ident);
        next = there.and_then(first_owner);
        let does = match there {
            None => "has ended".to_owned(),
            Some(row) => match &row.thread.wait {
                Some(wait) => format!("waits {} for {} {}", time(wait.waited_us), wait.kind, wait.object),
                None => format!("is {}", row.standing.word()),
            },
        };
        out.say(&indent, &format!("→ {name} {does}"));
    }
}

fn first_owner(row: &ThreadRow) -> Option<&Owner> {
    row.thread.wait.as_ref()?.owners.iter().find(|owner| owner.ident != 0)
}

/// An object: what it cost until now, who owns it, and who waits for it.
pub(super) fn object(row: &ObjectRow, picture: &Picture, out: &mut Writing) {
    let object = &row.object;
    let rate = row.rate.map(|rate| format!(", {} of them per second lately", cells::rate(Some(rate))));
    out.say("", &format!("{} waits have ended{}", human::number(object.waits), rate.unwrap_or_default()));
    out.say(
        "",
        &format!(
            "{} waited in total, {} the longest; waits that go on included",
            time(object.total_us),
            time(object.longest_us)
        ),
    );
    if let Some(length) = object.length {
        out.say("", &format!("length {length} when a thread last waited for it"));
    }
    out.say("", &format!("at address {:#x}", object.key));
    let owners = picture.owners(row);
    if !owners.is_empty() {
        out.head("Who can end the waits");
        for owner in owners {
            let does = match picture.thread(owner.ident) {
                None if owner.ended => String::new(),
                None => "; it is not there any more".to_owned(),
                Some(row) => match &row.thread.wait {
                    Some(wait) => format!("; it waits {} for {} {}", time(wait.waited_us), wait.kind, wait.object),
                    None => format!("; it is {}", row.standing.word()),
                },
            };
            out.say("  ", &format!("{} {}{does}", owner.bond, owner_in_words(owner)));
        }
    }
    match row.waiters.len() {
        0 => out.head("Nobody waits for it now"),
        1 => out.head("1 thread waits for it now"),
        n => out.head(&format!("{n} threads wait for it now")),
    }
    let mut waiters: Vec<_> = row.waiters.iter().map(|&at| &picture.threads[at].thread).collect();
    waiters.sort_by_key(|thread| std::cmp::Reverse(thread.wait.as_ref().map(|wait| wait.waited_us)));
    for thread in waiters {
        let Some(wait) = &thread.wait else { continue };
        out.say(
            "  ",
            &format!(
                "{:>11}  \"{}\" (ident {}), in a call at {}",
                time(wait.waited_us),
                thread.name,
                thread.ident,
                wait.called_at
            ),
        );
    }
}

/// A report: the cycle as a drawing, and its text.
pub(super) fn report(row: &ReportRow, picture: &Picture, out: &mut Writing) {
    let report = &row.report;
    let when = if row.now { "there now, for" } else { "over; found" };
    let ago = if row.now { "" } else { " ago" };
    out.put("", "", &format!("{}: {when} {}{ago}", what(report.confidence), time(report.age_us)), out.look.bold());
    if let Some(ident) = report.failed {
        out.say("", &format!("The wait of the thread with ident {ident} was failed for it."));
    }
    let cycle = (report.cycle as usize).min(report.threads.len());
    if cycle > 0 {
        out.lines.push(Default::default());
        draw_cycle(row, cycle, picture, out);
    }
    out.head("As it was told");
    for line in report.text.lines() {
        let text = line.trim_start_matches(' ');
        out.say(&line[..line.len() - text.len()], text);
    }
}

/// Each thread of the cycle, what it waits for, and an arrow to who has that; from the last one back to the first.
fn draw_cycle(row: &ReportRow, cycle: usize, picture: &Picture, out: &mut Writing) {
    let threads = &row.report.threads;
    let drawn = cycle.min(DRAWN);
    for at in 0..drawn {
        let first = if at == 0 { "┌─▶ " } else { "│   " };
        out.put(first, "│     ", &row.thread(at), out.look.bold());
        let next = threads[(at + 1) % cycle];
        // What they wait for is there as long as they do.
        let wait = picture.thread(threads[at]).filter(|_| row.now).and_then(|row| row.thread.wait.as_ref());
        let mut owner = None;
        if let Some(wait) = wait {
            let text = format!(
                "waits {} for {} {}, in a call at {}",
                time(wait.waited_us),
                wait.kind,
                wait.object,
                wait.called_at
            );
            out.put("│   │ ", "│   │   ", &text, Default::default());
            owner = wait.owners.iter().find(|owner| owner.ident == next);
        }
        if let Some(owner) = owner {
            let site = owner.taken_at.as_ref().map(|site| format!(", taken at {site}")).unwrap_or_default();
            let text = format!("{} \"{}\"{site}", owner.bond, owner.name);
            out.put("│   │ ", "│   │   ", &text, Default::default());
        }
        if at + 1 < drawn {
            out.say("", "│   ▼");
        }
    }
    if cycle > drawn {
        out.say("", &format!("│   ▼ … {} more", cycle - drawn));
    }
    out.say("", "└───┘");
    for at in cycle..threads.len().min(cycle + DRAWN) {
        out.say("", &format!("also {}", row.thread(at)));
    }
}
