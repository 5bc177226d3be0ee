//! One connection of the agent.
#![forbid(unsafe_code)]

use super::output::{Output, Parcel, Scale};
use crate::park::private::PrivateFd;
use crate::watch::Reader;
use crate::watch::frame::{Frames, ReadError, decode, encode};
use crate::watch::wire::{Hello, MAX_FRAME, MAX_REQUEST, PROTOCOL, Reply, Request, SnapshotRequest};
use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A client that has not taken so much of what it asked for is not asked for more.
const ENOUGH: usize = 256 << 10;

/// Somebody who looks at the process.
pub(super) struct Client {
    socket: PrivateFd,
    input: Frames,
    output: Output,
    has_greeted: bool,
    /// The snapshot that it waits for. What it asks after that waits, too.
    asked: Option<SnapshotRequest>,
    /// The trace that it is sent.
    trace: Option<Sent>,
    /// Whether it sends no more.
    has_ended: bool,
    /// Whether it gets what is on its way, and no more.
    is_dismissed: bool,
    /// What the poll has been told to look for.
    pub(super) interest: EventFlags,
}

/// How often the events of a trace are fetched, and how often a part is sent if there are none.
const FETCH_EVERY: Duration = Duration::from_millis(10);
const TELL_EVERY: Duration = Duration::from_millis(100);

/// A trace on its way.
struct Sent {
    reader: Reader,
    /// When the next part is due.
    next: Instant,
    /// When the last one was sent.
    told: Instant,
}

/// Why a connection is closed at once: it is over, or the client does not speak this protocol.
pub(super) struct Over;

impl Client {
    pub(super) fn new(socket: PrivateFd) -> Client {
        Client {
            socket,
            input: Frames::new(MAX_REQUEST),
            output: Output::default(),
            has_greeted: false,
            asked: None,
            trace: None,
            has_ended: false,
            is_dismissed: false,
            interest: EventFlags::IN,
        }
    }

    /// One that gets nothing but this sentence.
    pub(super) fn dismissed(socket: PrivateFd, why: &str, scale: &Scale) -> Client {
        let mut client = Client::new(socket);
        client.dismiss(why, scale);
        client
    }

    /// Whether it has said its first word.
    pub(super) fn has_greeted(&self) -> bool {
        self.has_greeted
    }

    fn dismiss(&mut self, why: &str, scale: &Scale) {
        self.say(&Reply::Error(why.into()), scale);
        self.is_dismissed = true;
    }

    /// Reads what has come, as far as the client's turn goes.
    pub(super) fn read(&mut self) -> Result<(), Over> {
        let mut bytes = [0; 8 << 10];
        while self.is_ready() && !self.has_ended {
            match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => self.has_ended = true,
                Ok((_, read)) => {
                    self.input.add(&bytes[..read]);
                    break;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Err(Over),
            }
        }
        Ok(())
    }

    /// Does what it asks, up to its next snapshot.
    pub(super) fn serve(&mut self, scale: &Scale) -> Result<(), Over> {
        while self.is_ready() {
            // A frame that may not be is the end of it: what comes after it cannot be told.
            let Some(frame) = self.input.next().map_err(|_| Over)? else { break };
            match decode(frame) {
                Ok(request) => self.answer(request, scale),
                Err(ReadError::Malformed(_)) => return Err(Over),
                Err(unknown) => self.say(&Reply::Error(format!("the agent got {unknown}")), scale),
            }
        }
        Ok(())
    }

    fn answer(&mut self, request: Request, scale: &Scale) {
        match request {
            // Of whatever version it is: it will find out what of it is understood.
            Request::Hello(_) => {
                self.has_greeted = true;
                self.say(&Reply::Hello(hello()), scale);
            }
            _ if !self.has_greeted => self.dismiss("the first word has to be a hello", scale),
            Request::Snapshot(what) => self.asked = Some(what),
            Request::StartTrace if self.trace.is_none() => {
                let now = Instant::now();
                self.trace = Some(Sent { reader: Reader::start(), next: now, told: now });
            }
            Request::StartTrace => self.say(&Reply::Error("a trace is on its way already".into()), scale),
            Request::StopTrace => match &mut self.trace {
                Some(sent) => {
                    sent.reader.stop();
                    sent.next = Instant::now();
                }
                None => self.say(&Reply::Error("there is no trace to stop".into()), scale),
            },
        }
    }

    fn say(&mut self, reply: &Reply, scale: &Scale) {
        let bytes = encode(reply, MAX_FRAME).expect("only snapshots are long");
        self.output.push(Parcel::new(bytes, scale));
    }

    /// The snapshot that it waits for.
    pub(super) fn asked(&self) -> Option<&SnapshotRequest> {
        self.asked.as_ref()
    }

    /// Here it is.
    pub(super) fn give(&mut self, snapshot: Rc<Parcel>) {
        self.asked = None;
        self.output.push(snapshot);
    }

    /// Sends what there is of its trace, as far as it takes it: what it does not take is overwritten one day,
    /// and counted.
    pub(super) fn trace(&mut self, scale: &Scale) {
        while let Some(sent) = self.trace.as_mut().filter(|_| self.output.pending() < ENOUGH) {
            let now = Instant::now();
            if now < sent.next {
                return;
            }
            let part = sent.reader.next();
            sent.next = if sent.reader.has_more() { now } else { now + FETCH_EVERY };
            let is_last = part.last;
            let is_news = is_last || !part.events.is_empty() || part.dropped > 0;
            if is_news || now >= sent.told + TELL_EVERY {
                sent.told = now;
                let bytes = encode(&Reply::Trace(Box::new(part)), MAX_FRAME);
                match bytes {
                    Ok(bytes) => self.output.push(Parcel::new(bytes, scale)),
                    // Names can be of any length.
                    Err(error) => {
                        self.trace = None;
                        self.say(&Reply::Error(format!("the trace cannot be sent: it would be {error}")), scale);
                        return;
                    }
                }
            }
            if is_last {
                self.trace = None;
            }
        }
    }

    /// When the next part of its trace is due, if it takes it.
    pub(super) fn trace_due(&self) -> Option<Instant> {
        self.trace.as_ref().filter(|_| self.output.pending() < ENOUGH).map(|sent| sent.next)
    }

    /// Whether it may ask for something.
    fn is_ready(&self) -> bool {
        self.asked.is_none() && !self.is_dismissed && self.output.pending() < ENOUGH
    }

    /// Whether it has asked for something before its turn, for which it has its turn now.
    pub(super) fn has_work(&self) -> bool {
        self.is_ready() && self.input.is_ready()
    }

    /// Sends what it takes.
    pub(super) fn write(&mut self) -> Result<(), Over> {
        self.output.send(&self.socket).map_err(|_| Over)?;
        let is_served = self.asked.is_none() && self.output.pending() == 0;
        match is_served && (self.is_dismissed || self.has_ended && !self.input.is_ready()) {
            true => Err(Over),
            false => Ok(()),
        }
    }

    /// What it is to be looked at for next.
    pub(super) fn wants(&self) -> EventFlags {
        let mut wants = EventFlags::empty();
        wants.set(EventFlags::IN, self.is_ready() && !self.has_ended);
        wants.set(EventFlags::OUT, self.output.pending() > 0);
        wants
    }

    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.output.stuck_since()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn hello() -> Hello {
    Hello { protocol: PROTOCOL, software: concat!("lisle ", env!("CARGO_PKG_VERSION")).into() }
}
