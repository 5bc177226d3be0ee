//! One thread asks the program, all pages have the answer.
//!
//! It asks as often as the most impatient page wants, and not at all while nobody looks.

use crate::source::{Gone, Source};
use bytes::Bytes;
use lisle::sync::{Condvar, Mutex};
use lisle::thread;
use lisle::watch::wire::Snapshot;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What is known last. A page that reads slowly misses some, and each has to be thrown away only once.
#[derive(Clone, Default, Debug)]
pub(super) struct Moment {
    /// How many snapshots there have been.
    pub(super) number: u64,
    /// The last one, as JSON. Empty before the first.
    pub(super) snapshot: Bytes,
    /// The same as a server-sent event: made once, sent to all.
    pub(super) event: Bytes,
    /// Why there will be no more, if that is so.
    pub(super) gone: Option<String>,
}

/// The snapshots of a program, for any number of readers.
#[derive(Clone)]
pub(super) struct Feed {
    latest: watch::Receiver<Moment>,
    audience: Arc<Audience>,
}

impl Feed {
    /// Starts the thread that asks. It ends when the source has no more.
    pub(super) fn start(source: Box<dyn Source>) -> io::Result<Feed> {
        let (sender, latest) = watch::channel(Moment::default());
        let audience =
            Arc::new(Audience { wanted: Mutex::named(Vec::new(), "audience"), more: Condvar::named("audience") });
        let asking = Arc::clone(&audience);
        thread::Builder::new().name("snapshots".into()).daemon(true).spawn(move || ask(source, &sender, &asking))?;
        Ok(Feed { latest, audience })
    }

    /// Who has this sees to it that there is a new snapshot this often.
    pub(super) fn watch(&self, every: Duration) -> Watching {
        let mut latest = self.latest.clone();
        // What was asked for some page long ago is not the present. The end of a program lasts.
        if latest.borrow().gone.is_none() {
            latest.mark_unchanged();
        } else {
            latest.mark_changed();
        }
        self.audience.wanted.lock().push(every);
        self.audience.more.notify_all();
        Watching { latest, every, audience: Arc::clone(&self.audience) }
    }
}

/// The thread's work.
fn ask(mut source: Box<dyn Source>, sender: &watch::Sender<Moment>, audience: &Audience) {
    let mut asked = None;
    loop {
        audience.wait_until_due(asked);
        asked = Some(Instant::now());
        let number = sender.borrow().number + 1;
        match source.snapshot().and_then(|snapshot| as_event(number, &snapshot)) {
            Ok((event, snapshot)) => {
                sender.send_replace(Moment { number, snapshot, event, gone: None });
            }
            Err(Gone(why)) => {
                sender.send_modify(|moment| moment.gone = Some(why));
                return;
            }
        }
    }
}

/// A snapshot as an event, and which part of that is the snapshot.
fn as_event(number: u64, snapshot: &Snapshot) -> Result<(Bytes, Bytes), Gone> {
    let mut event = format!("id: {number}\nevent: snapshot\ndata: ").into_bytes();
    let start = event.len();
    // One line: within texts, JSON has line breaks escaped.
    serde_json::to_writer(&mut event, snapshot)
        .map_err(|error| Gone(format!("a snapshot cannot be passed on: {error}")))?;
    let end = event.len();
    event.extend_from_slice(b"\n\n");
    let event = Bytes::from(event);
    Ok((event.clone(), event.slice(start..end)))
}

/// How often each of those who look wants a snapshot.
struct Audience {
    wanted: Mutex<Vec<Duration>>,
    more: Condvar,
}

impl Audience {
    /// Waits until somebody looks and has waited long enough since that moment.
    fn wait_until_due(&self, asked: Option<Instant>) {
        let mut wanted = self.wanted.lock();
        loop {
            let due = match (wanted.iter().min(), asked) {
                (Some(&every), Some(asked)) => Some(asked + every),
                (Some(_), None) => return,
                (None, _) => None,
            };
            // How it ended says nothing that the next look does not.
            let _ = match due {
                Some(due) if due <= Instant::now() => return,
                Some(due) => self.more.wait_until(&mut wanted, due),
                None => self.more.wait(&mut wanted),
            };
        }
    }
}

/// Somebody who looks.
pub(super) struct Watching {
    latest: watch::Receiver<Moment>,
    every: Duration,
    audience: Arc<Audience>,
}

impl Watching {
    /// The next moment that this has not been told yet; always the latest that there is. `None` if the thread that asks
    /// has ended and all has been told.
    pub(super) async fn next(&mut self) -> Option<Moment> {
        self.latest.changed().await.ok()?;
        Some(self.latest.borrow_and_update().clone())
    }

    /// How often this wants one.
    pub(super) fn every(&self) -> Duration {
        self.every
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut wanted = self.audience.wanted.lock();
        if let Some(at) = wanted.iter().position(|every| *every == self.every) {
            wanted.swap_remove(at);
        }
    }
}
