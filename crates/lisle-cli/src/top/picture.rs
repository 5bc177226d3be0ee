//! A snapshot as the panes show it: its rows, and what only the difference to the one before tells.
#![forbid(unsafe_code)]

use lisle::watch::wire::{Confidence, Object, Owner, Report, Snapshot, State, Stranger, Thread};
use std::collections::HashMap;

/// A snapshot, taken apart into rows.
pub(super) struct Picture {
    /// What is left of it: the threads, objects and reports are in the rows.
    pub(super) snapshot: Snapshot,
    pub(super) threads: Vec<ThreadRow>,
    pub(super) objects: Vec<ObjectRow>,
    pub(super) reports: Vec<ReportRow>,
    by_ident: HashMap<u32, usize>,
}

/// A thread.
pub(super) struct ThreadRow {
    pub(super) thread: Thread,
    pub(super) standing: Standing,
    /// How much of one processor it has used since the picture before, in percent.
    pub(super) cpu: Option<f64>,
}

/// What a thread does and how serious that is, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Standing {
    Deadlock,
    Suspect,
    Orphaned,
    Running,
    Blocked,
    Waiting,
    Started,
    /// It works for lisle, not for the program.
    Service,
    /// It has never called lisle.
    Foreign,
    Other,
}

/// Something that threads wait for.
pub(super) struct ObjectRow {
    /// With the waits that go on counted among the times, but not among the waits.
    pub(super) object: Object,
    /// How many waits have ended per second, since the picture before.
    pub(super) rate: Option<f64>,
    /// The counter that [`rate`](Self::rate) is taken from.
    ended: u64,
    /// The threads that wait for it, as indices of [`Picture::threads`].
    pub(super) waiters: Vec<usize>,
}

/// A deadlock, a suspicion or an orphaned lock.
pub(super) struct ReportRow {
    pub(super) report: Report,
    pub(super) now: bool,
    /// The names of its threads, as far as they were ever seen.
    pub(super) names: Vec<Option<String>>,
    /// How many reports on the same threads are before it.
    pub(super) nth: usize,
}

impl Standing {
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Deadlock => "deadlock",
            Standing::Suspect => "suspect",
            Standing::Orphaned => "orphaned",
            Standing::Running => "running",
            Standing::Blocked => "blocked",
            Standing::Waiting => "waiting",
            Standing::Started => "started",
            Standing::Service => "service",
            Standing::Foreign => "foreign",
            Standing::Other => "?",
        }
    }

    fn of(thread: &Thread) -> Standing {
        match thread.state {
            _ if thread.service => Standing::Service,
            State::Started => Standing::Started,
            State::Running => Standing::Running,
            State::Blocked => Standing::Blocked,
            State::Waiting => Standing::Waiting,
            _ => Standing::Other,
        }
    }

    fn in_report(confidence: Confidence) -> Standing {
        match confidence {
            Confidence::Proven | Confidence::Timed => Standing::Deadlock,
            Confidence::Orphaned => Standing::Orphaned,
            _ => Standing::Suspect,
        }
    }
}

impl Picture {
    pub(super) fn new(mut snapshot: Snapshot, before: Option<&Picture>) -> Picture {
        let since = before
            .map(|before| Difference { before, us: snapshot.taken_at_us.saturating_sub(before.snapshot.taken_at_us) });
        let reports = report_rows(&mut snapshot);
        let threads = thread_rows(&mut snapshot, &reports, since.as_ref());
        let objects = object_rows(&mut snapshot, &threads, since.as_ref());
        let by_ident = threads.iter().enumerate().map(|(at, row)| (row.thread.ident, at)).collect();
        let mut picture = Picture { snapshot, threads, objects, reports, by_ident };
        picture.name_reports(before);
        picture
    }

    /// The thread with this ident, if it is there.
    pub(super) fn thread(&self, ident: u32) -> Option<&ThreadRow> {
        self.by_ident.get(&ident).map(|&at| &self.threads[at]).filter(|row| row.standing != Standing::Foreign)
    }

    /// The object that this thread waits for.
    pub(super) fn object_of(&self, row: &ThreadRow) -> Option<&ObjectRow> {
        let wait = row.thread.wait.as_ref()?;
        self.objects.iter().find(|row| row.object.key == wait.key && row.object.kind == wait.kind)
    }

    /// Who owns it, as those who wait for it say, each once.
    pub(super) fn owners(&self, row: &ObjectRow) -> Vec<&Owner> {
        let mut owners: Vec<&Owner> = Vec::new();
        let waits = row.waiters.iter().filter_map(|&at| self.threads[at].thread.wait.as_ref());
        for owner in waits.flat_map(|wait| &wait.owners).filter(|owner| owner.ident != 0) {
            if !owners.iter().any(|known| known.ident == owner.ident) {
                owners.push(owner);
            }
        }
        owners
    }

    /// How much of a processor all threads together have used, in percent.
    pub(super) fn cpu(&self) -> Option<f64> {
        self.threads.iter().filter_map(|row| row.cpu).reduce(|sum, cpu| sum + cpu)
    }

    /// How many of these reports there are: deadlocks, suspicions, orphaned locks.
    pub(super) fn count(&self, which: impl Fn(&ReportRow) -> bool) -> [usize; 3] {
        let of = |standing| {
            let of = |row: &&ReportRow| Standing::in_report(row.report.confidence) == standing;
            self.reports.iter().filter(of).filter(|row| which(row)).count()
        };
        [Standing::Deadlock, Standing::Suspect, Standing::Orphaned].map(of)
    }

    /// Threads have names only while they are there, and reports outlive them.
    fn name_reports(&mut self, before: Option<&Picture>) {
        let name = |ident| match self.thread(ident) {
            Some(row) => Some(row.thread.name.clone()),
            None => {
                let known = before.iter().flat_map(|before| &before.reports);
                known
                    .flat_map(|row| row.report.threads.iter().zip(&row.names))
                    .find(|(known, _)| **known == ident)?
                    .1
                    .clone()
            }
        };
        let names = self.reports.iter().map(|row| row.report.threads.iter().map(|&ident| name(ident)).collect());
        let names: Vec<_> = names.collect();
        for (row, names) in self.reports.iter_mut().zip(names) {
            row.names = names;
        }
    }
}

/// What is compared with, and how much earlier it was taken.
struct Difference<'a> {
    before: &'a Picture,
    us: u64,
}

impl Difference<'_> {
    /// How many of it came in a second. None if there are fewer than before: then it is another one's counter.
    fn per_second(&self, now: u64, before: u64) -> Option<f64> {
        (self.us > 0).then_some(())?;
        Some(now.checked_sub(before)? as f64 * 1e6 / self.us as f64)
    }
}

fn thread_rows(snapshot: &mut Snapshot, reports: &[ReportRow], since: Option<&Difference>) -> Vec<ThreadRow> {
    let mut alarms: HashMap<u32, Standing> = HashMap::new();
    for row in reports.iter().filter(|row| row.now) {
        let standing = Standing::in_report(row.report.confidence);
        for &ident in &row.report.threads {
            let worst = alarms.entry(ident).or_insert(standing);
            *worst = standing.min(*worst);
        }
    }
    let cpu = |thread: &Thread| {
        let since = since?;
        let before = &since.before.thread(thread.ident)?.thread;
        (before.native_id == thread.native_id).then_some(())?;
        Some(since.per_second(thread.cpu_us?, before.cpu_us?)? / 1e4)
    };
    let known = std::mem::take(&mut snapshot.threads).into_iter().map(|thread| ThreadRow {
        standing: alarms.get(&thread.ident).copied().unwrap_or_else(|| Standing::of(&thread)),
        cpu: cpu(&thread),
        thread,
    });
    let foreign =
        std::mem::take(&mut snapshot.strangers).into_iter().map(|Stranger { native_id, name, .. }| ThreadRow {
            thread: Thread { native_id, name, state: State::Other, ..Thread::default() },
            standing: Standing::Foreign,
            cpu: None,
        });
    known.chain(foreign).collect()
}

fn object_rows(snapshot: &mut Snapshot, threads: &[ThreadRow], since: Option<&Difference>) -> Vec<ObjectRow> {
    let objects = std::mem::take(&mut snapshot.objects).into_iter();
    let mut rows: Vec<ObjectRow> =
        objects.map(|object| ObjectRow { ended: object.waits, rate: None, waiters: Vec::new(), object }).collect();
    let mut places: HashMap<(u64, String), usize> =
        rows.iter().enumerate().map(|(at, row)| ((row.object.key, row.object.kind.clone()), at)).collect();
    for (thread, row) in threads.iter().enumerate() {
        let Some(wait) = &row.thread.wait else { continue };
        // The list has a bound, and a wait can be newer than it.
        let at = *places.entry((wait.key, wait.kind.clone())).or_insert_with(|| {
            let (key, kind, object) = (wait.key, wait.kind.clone(), wait.object.clone());
            let object = Object { key, kind, object, ..Object::default() };
            rows.push(ObjectRow { object, rate: None, ended: 0, waiters: Vec::new() });
            rows.len() - 1
        });
        let ObjectRow { object, waiters, .. } = &mut rows[at];
        object.total_us = object.total_us.saturating_add(wait.waited_us);
        object.longest_us = object.longest_us.max(wait.waited_us);
        waiters.push(thread);
    }
    if let Some(since) = since {
        let before = since.before.objects.iter().map(|row| ((row.object.key, &*row.object.kind), row));
        let before: HashMap<_, _> = before.collect();
        for row in &mut rows {
            let known =
                before.get(&(row.object.key, &*row.object.kind)).filter(|known| known.object.id == row.object.id);
            row.rate = since.per_second(row.ended, known.map_or(0, |known| known.ended));
        }
    }
    for row in &mut rows {
        row.object.waiting = row.object.waiting.max(row.waiters.len() as u32);
    }
    rows
}

fn report_rows(snapshot: &mut Snapshot) -> Vec<ReportRow> {
    let now = std::mem::take(&mut snapshot.reports).into_iter().map(|report| (report, true));
    let past = std::mem::take(&mut snapshot.past_reports).into_iter().map(|report| (report, false));
    let mut rows: Vec<ReportRow> = Vec::new();
    for (report, now) in now.chain(past) {
        let nth = rows.iter().filter(|row| row.now == now && row.report.threads == report.threads).count();
        rows.push(ReportRow { report, now, names: Vec::new(), nth });
    }
    rows
}
