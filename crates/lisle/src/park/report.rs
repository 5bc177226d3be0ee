//! Deadlocks, suspicions and orphans in words.

use super::deadlock::Mark;
use super::kind::Kind;
use super::latest::Latest;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How sure a [`Report`] is, and of what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Confidence {
    /// A deadlock: every wait depends on an owned lock, a thread's end or an executor's call, and
    /// none has a time limit. One of the waits fails with this report.
    Proven,
    /// A deadlock in which a wait has a time limit: it ends by itself. Nobody is failed.
    Timed,
    /// A cycle through an unowned lock, which somebody outside may still release; or, in a snapshot, a program
    /// all of whose threads wait, for what only one of them could do. Nobody is failed.
    Suspected,
    /// A wait for a lock whose holder has ended without releasing it. Nobody is failed.
    Orphaned,
}

/// One thread's wait in a [`Report`], and whom it depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Link {
    /// The waiting thread's name.
    pub thread: String,
    /// The waiting thread's ident.
    pub ident: u32,
    /// The executor's call that it runs: `call "name"`, or `the call submitted at file:line:column`.
    pub running: Option<String>,
    /// What kind of thing it waits for.
    pub kind: Kind,
    /// Which one: its name or the place where it was made.
    pub object: String,
    /// Where the waiting thread called.
    pub called_at: String,
    /// How long it has waited.
    pub waited: Duration,
    /// When the wait ends by itself, from now.
    pub ends_in: Option<Duration>,
    /// The thread that it depends on: who holds the lock, runs the call, could run it. Empty if it depends on
    /// nobody in particular.
    pub holder: String,
    /// The ident of that thread, or 0.
    pub holder_ident: u32,
    /// The idents of other threads, each of which could end the wait as well if it did not wait
    /// itself: the pool's other threads, for a pending call. Each has a link of its own.
    pub others: Vec<u32>,
    /// How it depends on these threads: `held by`, `last taken by`, `to be run by` …
    pub bond: &'static str,
    /// Where that thread took it.
    pub taken_at: Option<String>,
}

/// A cycle of waits, or a lock whose holder is gone. Prints as several lines of text that name
/// the threads, what they wait for, who holds that, and where all of it was called.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How sure this is.
    pub confidence: Confidence,
    /// The waits, of each thread once. The first ones are a cycle: each depends on the thread of the
    /// next one, the last of them on that of the first. There are more only if a wait of these has
    /// alternatives ([`Link::others`]): then the waits of all those threads follow, and what they
    /// depend on. An orphaned lock's report has one.
    pub links: Vec<Link>,
    /// How many of the links are the cycle; 0 for an orphaned lock and for a program that is at rest.
    pub cycle: usize,
    pub(crate) mark: Mark,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = match self.links.len() {
            1 => "1 thread waits for itself".to_owned(),
            n => format!("{n} threads wait for each other"),
        };
        match self.confidence {
            Confidence::Proven => write!(f, "deadlock: {threads}")?,
            Confidence::Timed => {
                let ends = self.links.iter().filter_map(|link| link.ends_in).min().unwrap_or_default();
                write!(f, "deadlock that ends by itself in {}: {threads}", Age(ends))?;
            }
            Confidence::Suspected if self.is_of_rest() => match self.links.len() {
                1 => f.write_str("suspected deadlock: the only thread waits, and nobody is left to end that")?,
                n => write!(f, "suspected deadlock: all {n} threads wait, and nobody is left to end that")?,
            },
            Confidence::Suspected => write!(f, "suspected deadlock: {threads}, if nobody else releases the lock")?,
            Confidence::Orphaned => f.write_str("orphaned lock: its holder has ended without releasing it")?,
        }
        for link in &self.links {
            write!(
                f,
                "\n  {} has waited {} for {} {}\n    in a call at {}",
                Waiter { name: &link.thread, ident: link.ident, running: link.running.as_deref() },
                Age(link.waited),
                link.kind,
                link.object,
                link.called_at,
            )?;
            if link.holder_ident != 0 {
                write!(f, "\n    {} thread {:?} (ident {})", link.bond, link.holder, link.holder_ident)?;
            }
            if let Some(taken_at) = &link.taken_at {
                write!(f, ", taken at {taken_at}")?;
            }
            match link.others.len() {
                0 => {}
                1 => f.write_str(" or another thread, which waits too")?,
                n => write!(f, " or one of {n} other threads, which wait too")?,
            }
        }
        Ok(())
    }
}

/// A thread that waits, as the beginning of a sentence.
pub(crate) struct Waiter<'a> {
    pub(crate) name: &'a str,
    pub(crate) ident: u32,
    pub(crate) running: Option<&'a str>,
}

impl fmt::Display for Waiter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {:?} (ident {})", self.name, self.ident)?;
        match self.running {
            Some(call) => write!(f, ", running {call},"),
            None => Ok(()),
        }
    }
}

/// A length of time with as many digits as a reader wants.
pub(crate) struct Age(pub(crate) Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms @ 0..1000 => write!(f, "{ms} ms"),
            ms @ 1000..100_000 => write!(f, "{:.1} s", ms as f64 / 1000.0),
            ms => write!(f, "{} s", ms / 1000),
        }
    }
}

type Hook = Box<dyn Fn(&Report) + Send + Sync>;

static HOOK: Latest<Hook> = Latest::none();

/// Sets what is called with reports that fail nobody: deadlocks that end by themselves,
/// suspicions, orphaned locks. Each is reported once. By default they are printed to stderr.
///
/// The hook runs on a thread that has to wait, which therefore takes longer to notice what it waits
/// for. It may use anything of this library, and wait itself; a panic of its own ends with it.
///
/// ```
/// lisle::on_report(|report| eprintln!("{:?}: {report}", report.confidence));
/// ```
pub fn on_report(hook: impl Fn(&Report) + Send + Sync + 'static) {
    HOOK.set(Box::new(hook));
}

impl Report {
    /// Whether this is of a program that is at rest, not of waits that depend on each other.
    pub(crate) fn is_of_rest(&self) -> bool {
        self.confidence == Confidence::Suspected && self.cycle == 0
    }

    /// Tells the hook. To be called where a wait, a panic and any other code of the user's will do.
    pub(super) fn publish(&self) {
        let told = catch_unwind(AssertUnwindSafe(|| match HOOK.get() {
            Some(hook) => hook(self),
            None => to_stderr(format_args!("{self}")),
        }));
        if told.is_err() {
            to_stderr(format_args!("the hook set with lisle::on_report panicked over this report: {self}"));
        }
    }
}

/// Prints a line that begins with our name. That nobody reads stderr is no reason to panic.
pub(crate) fn to_stderr(text: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "lisle: {text}");
}
