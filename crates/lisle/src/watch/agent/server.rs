//! The agent's thread. Nobody can make it wait but the parking lot, and nobody who is slow, silent or mad
//! keeps it from the others:
//!
//! - what a client does not take at once is kept for it, up to a bound; meanwhile it is asked nothing more;
//! - if all that is kept takes too much memory, who has taken nothing for longest is cut off, and so is who takes
//!   nothing for long;
//! - all who ask for a snapshot at a time get the same one, and after it the agent rests for as long as it took. So
//!   however many ask how often, it takes half of one processor.
#![forbid(unsafe_code)]

use super::client::{Client, Over};
use super::listener::{Guest, Listener};
use super::output::{Parcel, Scale};
use super::{answer, forget_thread, hook};
use crate::park::private::PrivateFd;
use crate::park::{Kind, Subject, Wait, key_of, order, outside::Outside, park};
use crate::watch::frame::encode;
use crate::watch::wire::{MAX_FRAME, Reply, SnapshotRequest};
use crate::watch::{Counting, dump, snapshot_with};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFlags, Timespec, epoll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::time::{Duration, Instant};

/// How many are served at a time. Others are told that there is no room.
const MOST_CLIENTS: usize = 100;
/// What all together may have waiting: more than the longest frame.
const MOST_PENDING: usize = MAX_FRAME + (MAX_FRAME >> 1);
/// Who takes nothing of what it asked for is cut off after this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// When nobody else can be let in for want of descriptors, how long until the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// What the poll says is ready: a client's number, or one of these.
const BELL: u64 = 0;
const LISTENER: u64 = 1;
const FIRST_CLIENT: u64 = 2;

/// The thread's life.
pub(super) fn run() {
    /// Its drop is the end of the thread, also by a panic.
    struct Alive;

    impl Drop for Alive {
        fn drop(&mut self) {
            forget_thread();
        }
    }

    let _alive = Alive;
    match Server::new() {
        Ok(mut server) => {
            server.obey(); // what was ordered before there was a bell
            while server.turn().is_ok() {}
            // The program has closed our poll. It may have given its number to a file of its own, which we must
            // not wait for: nobody can look any more.
        }
        Err(error) => answer(|| Err(error)),
    }
}

struct Server {
    poll: PrivateFd,
    bell: BorrowedFd<'static>,
    listener: Option<Listener>,
    /// Until when nobody is let in.
    pause: Option<Instant>,
    clients: BTreeMap<u64, Client>,
    next: u64,
    scale: Scale,
    /// Waits are counted from the first client on.
    counting: Option<Counting>,
    /// Until when there are no more snapshots.
    rest: Instant,
}

impl Server {
    fn new() -> io::Result<Server> {
        let poll = PrivateFd::new(|| epoll::create(epoll::CreateFlags::CLOEXEC))?;
        let bell = order::bell()?;
        epoll::add(&poll, bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        Ok(Server {
            poll,
            bell,
            listener: None,
            pause: None,
            clients: BTreeMap::new(),
            next: FIRST_CLIENT,
            scale: Scale::default(),
            counting: None,
            rest: Instant::now(),
        })
    }

    /// Fails if there is nothing left to wait with.
    fn turn(&mut self) -> io::Result<()> {
        for event in self.wait()? {
            match event.data.u64() {
                BELL => self.obey(),
                LISTENER => self.let_in(),
                // Nobody is there to take an answer. Nor can the poll be told not to say so again.
                client if is_over(event.flags) => {
                    self.clients.remove(&client);
                }
                client => self.with(client, Client::read),
            }
        }
        let now = Instant::now();
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
            self.let_in();
        }
        let scale = self.scale.clone();
        self.with_all(|client| client.serve(&scale));
        // From the first who really looks: others only see whether anybody is there.
        if self.clients.values().any(Client::has_greeted) {
            self.counting.get_or_insert_with(Counting::start);
        }
        self.give_snapshots();
        self.clients.values_mut().for_each(|client| client.trace(&scale));
        self.lighten();
        self.with_all(Client::write);
        self.with_all(|client| match client.stuck_since() {
            Some(since) if since + PATIENCE <= now => Err(Over),
            _ => Ok(()),
        });
        self.set_interests();
        Ok(())
    }

    /// Waits until there is something to do; returns what is ready.
    fn wait(&mut self) -> io::Result<Vec<epoll::Event>> {
        let watched = [(self.poll.as_fd(), PollFlags::IN)];
        let mut wait = Wait::new(Kind::Client, &Clients, Location::caller(), self.deadline());
        (wait.interruptible, wait.spin, wait.outside) = (false, false, Some(Outside::Ready(&watched)));
        park(key_of(self), &wait, || true);
        let mut ready = Vec::with_capacity(MOST_CLIENTS + 2);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.poll, spare_capacity(&mut ready), Some(&at_once)) {
            Err(error @ (Errno::BADF | Errno::INVAL)) => Err(error.into()),
            // Nothing is lost by another error: what is ready stays so.
            _ => Ok(ready),
        }
    }

    /// When there is something to do even if nobody says so.
    fn deadline(&self) -> Option<Instant> {
        if self.clients.values().any(Client::has_work) {
            return Some(Instant::now());
        }
        let asked = self.clients.values().any(|client| client.asked().is_some());
        let stuck = self.clients.values().filter_map(Client::stuck_since).min();
        let trace = self.clients.values().filter_map(Client::trace_due).min();
        [asked.then_some(self.rest), stuck.map(|since| since + PATIENCE), self.pause, trace].into_iter().flatten().min()
    }

    fn obey(&mut self) {
        let orders = order::take(self.bell);
        if orders & order::LISTEN != 0 {
            answer(|| {
                if self.listener.is_none() {
                    let listener = Listener::open()?;
                    let data = epoll::EventData::new_u64(LISTENER);
                    epoll::add(&self.poll, &listener, data, epoll::EventFlags::IN)?;
                    self.listener = Some(listener);
                }
                Ok(self.listener.as_ref().expect("just opened").path.clone())
            });
        }
        if orders & order::DUMP != 0
            && let Ok(text) = catch_unwind(dump)
        {
            // Nobody may read it; that is no reason to end.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    fn let_in(&mut self) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.pause.is_none()) else { return };
        loop {
            let client = match listener.accept() {
                Ok(None) => break,
                Ok(Some(Guest::Welcome(socket))) if self.clients.len() < MOST_CLIENTS => Client::new(socket),
                Ok(Some(Guest::Welcome(socket))) => {
                    let text = format!("{MOST_CLIENTS} others look at this process, and there is no room for more");
                    // One word, which the socket takes at once or never.
                    let _ = Client::dismissed(socket, &text, &self.scale).write();
                    continue;
                }
                Ok(Some(Guest::Stranger(socket))) => {
                    let text = "this process is another user's: only its own user and root may look";
                    let _ = Client::dismissed(socket, text, &self.scale).write();
                    continue;
                }
                Err(_) => {
                    // No descriptor is left, most likely.
                    self.pause = Some(Instant::now() + PAUSE);
                    break;
                }
            };
            if epoll::add(&self.poll, &client, epoll::EventData::new_u64(self.next), client.interest).is_ok() {
                self.clients.insert(self.next, client);
                self.next += 1;
            }
        }
        let interest = if self.pause.is_some() { epoll::EventFlags::empty() } else { epoll::EventFlags::IN };
        let _ = epoll::modify(&self.poll, listener, epoll::EventData::new_u64(LISTENER), interest);
    }

    /// Gives all who wait for one a snapshot, unless it is time to rest.
    fn give_snapshots(&mut self) {
        let began = Instant::now();
        if began < self.rest {
            return;
        }
        for frames in [false, true] {
            let what = SnapshotRequest { frames };
            if self.clients.values().all(|client| client.asked() != Some(&what)) {
                continue;
            }
            let parcel = Parcel::new(taken(&what), &self.scale);
            for client in self.clients.values_mut().filter(|client| client.asked() == Some(&what)) {
                client.give(parcel.clone());
            }
            drop(parcel);
            self.rest = Instant::now() + began.elapsed();
        }
    }

    /// Cuts off who has taken nothing for longest, until what waits is not too much.
    fn lighten(&mut self) {
        while self.scale.weight() > MOST_PENDING {
            let slowest =
                self.clients.iter().filter_map(|(&number, client)| Some((client.stuck_since()?, number))).min();
            let Some((_, number)) = slowest else { return };
            self.clients.remove(&number);
        }
    }

    /// Calls with one client, and closes it if it is over.
    fn with(&mut self, number: u64, call: impl FnOnce(&mut Client) -> Result<(), Over>) {
        if let Some(client) = self.clients.get_mut(&number)
            && call(client).is_err()
        {
            self.clients.remove(&number);
        }
    }

    fn with_all(&mut self, mut call: impl FnMut(&mut Client) -> Result<(), Over>) {
        self.clients.retain(|_, client| call(client).is_ok());
    }

    /// Tells the poll what to look for.
    fn set_interests(&mut self) {
        for (&number, client) in &mut self.clients {
            let wants = client.wants();
            let data = epoll::EventData::new_u64(number);
            if wants != client.interest && epoll::modify(&self.poll, &*client, data, wants).is_ok() {
                client.interest = wants;
            }
        }
    }
}

/// A snapshot, as a frame. Whatever goes wrong with it is no reason not to answer the next.
fn taken(what: &SnapshotRequest) -> Vec<u8> {
    let reply = match catch_unwind(AssertUnwindSafe(|| snapshot_with(what))) {
        Ok(snapshot) => Reply::Snapshot(Box::new(snapshot)),
        Err(panic) => Reply::Error(format!("taking the snapshot panicked: {}", hook::text_of(&*panic))),
    };
    encode(&reply, MAX_FRAME).unwrap_or_else(|error| {
        let text = format!("the snapshot cannot be sent: it would be {error}");
        encode(&Reply::Error(text), MAX_FRAME).expect("a sentence is short")
    })
}

/// What the thread waits for.
struct Clients;

impl Subject for Clients {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of the agent")
    }
}

/// Whether the other end of a connection is closed.
fn is_over(flags: epoll::EventFlags) -> bool {
    flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR)
}
