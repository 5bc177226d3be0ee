//! The agent: one daemon thread that answers for the process to those who look at it.
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | starting it |
//! | `server` | its thread: who is served when |
//! | `client` | one connection |
//! | `output` | what is on its way to a client |
//! | `listener` | the socket |
//!
//! It is told what to do through `park/order.rs`, as a signal's handler can do no more than leave an order and
//! ring. It waits in the parking lot like any thread, and opens, reads and writes only there and then.
#![forbid(unsafe_code)]

mod client;
mod listener;
mod output;
mod server;

use crate::park::latest::Latest;
use crate::park::{Kind, Subject, Wait, current, key_of, order, park, sys, unpark_all};
use crate::thread::exit::{self, After};
use crate::thread::{self, hook};
use std::fmt;
use std::fs;
use std::io;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long who starts the agent waits for it. It takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);
/// Likewise, who has not asked for it: the environment has.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// In which process the thread is; a child of a fork finds another number here.
static THREAD: AtomicU32 = AtomicU32::new(0);

/// How often the agent has been asked to listen, and what became of it.
static ASKED: AtomicU64 = AtomicU64::new(0);
static ANSWER: Latest<Answer> = Latest::none();

/// What came of the wish to listen.
struct Answer {
    process: u32,
    /// Up to which wish it is the answer.
    to: u64,
    socket: Result<PathBuf, (io::ErrorKind, String)>,
}

impl Answer {
    /// What there is of this process.
    fn here() -> Option<&'static Answer> {
        ANSWER.get().filter(|answer| answer.process == std::process::id())
    }

    fn socket() -> Option<PathBuf> {
        Answer::here()?.socket.clone().ok()
    }
}

/// Starts the agent, which lets `lisle dump`, `top`, `web` and `trace` look at this process, and returns the path
/// of its socket. If it has been started before, that is all this does.
///
/// The agent is a daemon thread named `lisle agent`. It appears in snapshots, but not in
/// [`enumerate`](thread::enumerate). Its socket is in a directory that only this process's user can enter:
/// `$XDG_RUNTIME_DIR/lisle`, or `/tmp/lisle-UID`; and it answers only that user and root. The socket is removed at
/// the end of the process, after the threads that this waits for. A child of a fork has no agent until
/// it starts one itself.
///
/// `LISLE_AGENT=1` in the environment does the same when the process first uses this crate, also in a child of
/// a fork; what goes wrong is told on stderr. A process with more rights than who started it takes no notice of that.
///
/// Blocks until the agent listens, or could not.
///
/// # On interrupt
/// The interrupt stays pending.
///
/// # Errors
/// If the thread or the socket cannot be made, with the reason; a directory that is there and belongs to another
/// user, or that others may enter, is not used. `TimedOut` if the thread does not come to it within
/// 10 seconds, which happens only in a child of a fork that came while another thread began or ended.
///
/// # Examples
/// ```
/// let socket = lisle::watch::start_agent()?;
/// assert!(socket.exists());
/// assert_eq!(lisle::watch::start_agent()?, socket);
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn start_agent() -> io::Result<PathBuf> {
    listen_within(PATIENCE)
}

#[track_caller]
fn listen_within(patience: Duration) -> io::Result<PathBuf> {
    if let Some(socket) = Answer::socket() {
        return Ok(socket);
    }
    have_thread()?;
    let number = ASKED.fetch_add(1, Ordering::SeqCst) + 1;
    order::give(order::LISTEN);
    let answer = || Answer::here().filter(|answer| answer.to >= number);
    let mut wait = Wait::new(Kind::Event, &Beginning, Location::caller(), Instant::now().checked_add(patience));
    (wait.interruptible, wait.unfailing) = (false, true);
    loop {
        if let Some(answer) = answer() {
            return answer.socket.clone().map_err(|(kind, text)| io::Error::new(kind, text));
        }
        if park(key_of(&ANSWER), &wait, || answer().is_none()).settle().is_err() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the thread of the agent does not begin"));
        }
    }
}

/// Has `SIGUSR2` start the agent, as [`start_agent`] does; what goes wrong is told on stderr. For programs that are
/// to be looked at when there is need and not before: `kill -USR2 PID`, then `lisle dump PID`.
///
/// Makes the agent's thread, which waits for the signal. A handler that the program had for `SIGUSR2` is called as
/// before. One that it sets later takes the place of this one, and a second call does not change that. A
/// child of a fork heeds the signal too, from its first wait on.
///
/// # Errors
/// If the thread cannot be made or the handler not be set.
///
/// # Examples
/// ```
/// lisle::watch::start_agent_on_signal()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn start_agent_on_signal() -> io::Result<()> {
    have_thread()?;
    order::USR2.give_orders()
}

/// Has `SIGQUIT` (Ctrl-\ in a terminal) print a [`dump`](super::dump) to stderr, instead of ending the process.
///
/// Makes the agent's thread, which prints; a program that gets stuck can be asked all the same. For handlers and
/// forks holds what [`start_agent_on_signal`] says.
///
/// # Errors
/// If the thread cannot be made or the handler not be set.
///
/// # Examples
/// ```
/// lisle::watch::dump_on_signal()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn dump_on_signal() -> io::Result<()> {
    have_thread()?;
    order::QUIT.give_orders()
}

/// The process calls in for the first time, or does so as the child of a fork.
pub(crate) fn first_use() {
    // Who is told where to look, and by whom the program was started, is to find it there.
    let failed = if is_wanted() {
        listen_within(SHORT_PATIENCE).err()
    } else if THREAD.load(Ordering::Relaxed) != 0 && (order::USR2.gives_orders() || order::QUIT.gives_orders()) {
        have_thread().err()
    } else {
        None
    };
    if let Some(error) = failed {
        hook::tell(format_args!("the agent cannot be started: {error}"));
    }
}

/// Whether the environment wants the agent.
fn is_wanted() -> bool {
    let Some(value) = std::env::var_os("LISLE_AGENT") else { return false };
    if sys::is_privileged() || value.is_empty() || value == "0" {
        return false;
    }
    if value != "1" {
        hook::tell(format_args!("LISLE_AGENT={value:?} is neither 1 nor 0: it is taken as 0"));
    }
    value == "1"
}

/// Makes the thread unless this process has it.
fn have_thread() -> io::Result<()> {
    current::ident(); // the program's thread comes first
    let me = std::process::id();
    let before = THREAD.swap(me, Ordering::SeqCst);
    if before == me {
        return Ok(());
    }
    let made = thread::Builder::new().name("lisle agent".into()).service().spawn(server::run);
    // Dropped if it cannot be: the next caller tries again.
    made.map(drop).inspect_err(|_| THREAD.store(before, Ordering::SeqCst))
}

/// The thread is at its end, which it comes to only by an error: the next who wants one makes another.
fn forget_thread() {
    if let Some(&Answer { process, to, socket: Ok(_) }) = Answer::here() {
        remove_socket();
        let gone = (io::ErrorKind::ConnectionAborted, "the agent has ended".to_owned());
        ANSWER.set(Answer { process, to, socket: Err(gone) });
    }
    THREAD.store(0, Ordering::SeqCst);
}

/// What the thread does on [`order::LISTEN`]: `listen` opens the socket, and its path is the answer.
fn answer(listen: impl FnOnce() -> io::Result<PathBuf>) {
    let to = ASKED.load(Ordering::SeqCst);
    let socket = listen().map_err(|error| (error.kind(), error.to_string()));
    // Who has called gets the error. Who has sent a signal is not there to get it.
    let is_for_nobody = ANSWER.get().map_or(0, |before| before.to) == to;
    if let (Err((_, reason)), true) = (&socket, is_for_nobody) {
        hook::tell(format_args!("the agent cannot listen: {reason}"));
    }
    exit::after_waiting(After::RemoveSocket, remove_socket);
    ANSWER.set(Answer { process: std::process::id(), to, socket });
    unpark_all(key_of(&ANSWER), 0, |_| {});
}

/// At the end of the process; not in that of a child of a fork, which has inherited the call.
fn remove_socket() {
    if let Some(socket) = Answer::socket() {
        let _ = fs::remove_file(socket);
    }
}

/// What who starts the agent waits for.
struct Beginning;

impl Subject for Beginning {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("that the agent listens")
    }
}
