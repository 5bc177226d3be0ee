//! A snapshot in words.
#![forbid(unsafe_code)]

use super::snapshot::snapshot_with;
use super::wire::{Confidence, Origin, Owner, Report, Snapshot, SnapshotRequest, State, Thread, Wait};
use crate::park::report::Age;
use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

/// All threads of this process in words: what each does, what it waits for and who holds that, an interpreter's
/// frames, and at the end deadlocks, suspicions and orphaned locks. See [`snapshot`](super::snapshot()).
///
/// ```
/// let dump = lisle::watch::dump();
/// assert!(dump.contains("thread \"main\" (ident "), "{dump}");
/// ```
pub fn dump() -> String {
    snapshot_with(&SnapshotRequest { frames: true }).to_string()
}

/// A text that is not ours, made harmless to terminals: control characters and those that turn the direction of
/// writing are written as escapes (`\u{1b}`). Line breaks stay if it is made by [`lines`](Self::lines).
#[derive(Clone, Copy, Debug)]
pub struct Harmless<'a>(&'a str, bool);

impl<'a> Harmless<'a> {
    /// Of one line.
    pub fn new(text: &'a str) -> Harmless<'a> {
        Harmless(text, false)
    }

    /// Of any number of lines.
    pub fn lines(text: &'a str) -> Harmless<'a> {
        Harmless(text, true)
    }
}

/// Whether a character does more to a terminal than to stand there: controls, breaks of lines, and those that turn
/// the direction of writing.
pub fn is_harmful(char: char) -> bool {
    let turns = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || matches!(char, '\u{2028}' | '\u{2029}') || char.is_control()
}

impl Display for Harmless<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            if is_harmful(char) && !(char == '\n' && self.1) {
                write!(f, "{}", char.escape_default())?;
            } else {
                f.write_char(char)?;
            }
        }
        Ok(())
    }
}

fn age(us: u64) -> Age {
    Age(Duration::from_micros(us))
}

/// `1 thread`, `2 threads`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// As [`dump`] has it.
impl Display for Snapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let process = &self.process;
        let command = process.command.join(" ");
        write!(f, "process {} ({}), up {}", process.pid, Harmless::new(&command), age(process.age_us))?;
        let software = [Some(format!("lisle {}", process.lisle)), process.interpreter.clone()];
        for software in software.iter().flatten() {
            write!(f, ", {}", Harmless::new(software))?;
        }
        let waiting = self.threads.iter().filter(|thread| thread.state == State::Waiting).count();
        writeln!(f, ": {}, {waiting} waiting\n", count(self.threads.len(), "thread"))?;
        for thread in &self.threads {
            write!(f, "{thread}")?;
            if self.unread.contains(&thread.ident) {
                writeln!(f, "  in waits too short to be read")?;
            }
        }
        for stranger in &self.strangers {
            writeln!(f, "other thread {:?} (native id {})", stranger.name, stranger.native_id)?;
        }
        if let Some(why) = &self.frames_missing {
            writeln!(f, "\nno frames: {}", Harmless::new(why))?;
        }
        self.write_reports(f)
    }
}

impl Snapshot {
    fn write_reports(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let deadlock = |report: &&Report| matches!(report.confidence, Confidence::Proven | Confidence::Timed);
        let of = |confidence| self.reports.iter().filter(move |report| report.confidence == confidence).count();
        let parts = [
            (self.reports.iter().filter(deadlock).count(), "deadlock"),
            (of(Confidence::Suspected), "suspected deadlock"),
            (of(Confidence::Orphaned), "orphaned lock"),
        ];
        let found: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
        match found.is_empty() {
            true => writeln!(f, "\nFound no deadlock.")?,
            false => writeln!(f, "\nFound {}:", found.join(", "))?,
        }
        for report in &self.reports {
            writeln!(f, "\n{}", Harmless::lines(&report.text))?;
        }
        for report in &self.past_reports {
            write!(f, "\nOver, told {} ago", age(report.age_us))?;
            match report.failed {
                Some(ident) => writeln!(f, ", and ended by failing the wait of the thread with ident {ident}:")?,
                None => writeln!(f, ":")?,
            }
            writeln!(f, "{}", Harmless::lines(&report.text))?;
        }
        Ok(())
    }
}

/// A line on the thread itself, one on what it waits for, one for each owner of that, one for each frame.
impl Display for Thread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "thread {:?} (ident {}, native id {})", self.name, self.ident, self.native_id)?;
        match self.origin {
            Origin::Main => f.write_str(", main")?,
            _ if self.service => f.write_str(", of lisle itself")?,
            Origin::Adopted => f.write_str(", adopted")?,
            _ if self.daemon => f.write_str(", daemon")?,
            _ => {}
        }
        let state = match self.state {
            State::Started => "is about to begin",
            State::Running => "is running",
            State::Blocked => "is blocked outside of lisle",
            State::Waiting => "waits",
            State::Other => "does what this version has no word for",
        };
        write!(f, " {state}")?;
        if self.interrupted {
            f.write_str(", interrupted")?;
        }
        if let Some(cpu) = self.cpu_us {
            write!(f, "; {} of CPU", age(cpu))?;
        }
        writeln!(f)?;
        if let Some(wait) = &self.wait {
            write!(f, "{wait}")?;
        }
        for frame in &self.frames {
            let line: &dyn Display = if frame.line == 0 { &"?" } else { &frame.line };
            writeln!(f, "    at {}:{line} in {}", Harmless::new(&frame.file), Harmless::new(&frame.function))?;
        }
        Ok(())
    }
}

impl Display for Wait {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (kind, object) = (Harmless::new(&self.kind), Harmless::new(&self.object));
        write!(f, "  for {kind} {object} ({:#x}), {} so far", self.key, age(self.waited_us))?;
        if let Some(ends_in) = self.ends_in_us {
            write!(f, ", {} to go", age(ends_in))?;
        }
        writeln!(f, ", in a call at {}", Harmless::new(&self.called_at))?;
        if let Some(call) = &self.running {
            writeln!(f, "  running {}", Harmless::new(call))?;
        }
        self.write_owners(f)
    }
}

impl Wait {
    /// A line for each need: one of those who can meet it, and how many others could.
    fn write_owners(&self, f: &mut Formatter<'_>) -> fmt::Result {
        /// Of how many needs there is a line.
        const TOLD: usize = 8;
        let mut needs: Vec<(&Owner, usize)> = Vec::new();
        for owner in self.owners.iter().filter(|owner| owner.ident != 0) {
            match needs.iter_mut().find(|(first, _)| first.need == owner.need) {
                Some((_, others)) => *others += 1,
                None => needs.push((owner, 0)),
            }
        }
        for (owner, others) in needs.iter().take(TOLD) {
            write!(f, "  {} thread {:?} (ident {})", Harmless::new(&owner.bond), owner.name, owner.ident)?;
            if owner.ended {
                f.write_str(", which has ended")?;
            }
            if let Some(taken_at) = &owner.taken_at {
                write!(f, ", taken at {}", Harmless::new(taken_at))?;
            }
            match others {
                0 => writeln!(f)?,
                1 => writeln!(f, " or another thread")?,
                n => writeln!(f, " or one of {n} other threads")?,
            }
        }
        match needs.len().checked_sub(TOLD) {
            None | Some(0) => Ok(()),
            Some(more) => writeln!(f, "  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_do_not_reach_a_terminal() {
        let text = "a\x1b[31m\u{202e}b\u{61c}\n\u{9b}c ü 线";
        assert_eq!(Harmless::new(text).to_string(), "a\\u{1b}[31m\\u{202e}b\\u{61c}\\n\\u{9b}c ü 线");
        assert_eq!(Harmless::lines("a\nb\t").to_string(), "a\nb\\t");
        let thread = Thread { name: text.into(), ..Thread::default() };
        assert!(!thread.to_string().contains('\x1b'), "{thread}");
    }

    #[test]
    fn a_wait_tells_of_each_need_once() {
        let owner =
            |ident, need, bond: &str| Owner { ident, need, name: "w".into(), bond: bond.into(), ..Owner::default() };
        let owners = vec![owner(1, 0, "held by"), owner(2, 1, "to be run by"), owner(3, 1, "to be run by")];
        let wait = Wait { kind: "future".into(), object: "\"f\"".into(), key: 16, owners, ..Wait::default() };
        assert_eq!(
            wait.to_string(),
            "  for future \"f\" (0x10), 0 ms so far, in a call at \n  held by thread \"w\" (ident 1)\n  \
             to be run by thread \"w\" (ident 2) or another thread\n"
        );
    }
}
