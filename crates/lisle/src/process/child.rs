//! The child's side: what `init` does in a process that was started by another one.

use super::packet::{Packet, SendFault, Socket, Tag, Waiting};
use super::registered::{self, Trouble};
use super::wire::{self, Encoded};
use crate::park::outside::Outside;
use crate::park::{Kind, Limit, Subject, Wait, key_of, park};
use crate::thread::{self, hook};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::SocketType;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// In the environment of a child: the token of its setup. Who merely inherits it has no such packet
/// waiting in a socket at its stdin, and is no child.
pub(super) const VARIABLE: &str = "LISLE_PROCESS";

/// What a child is told first.
pub(super) struct Setup {
    pub(super) token: u128,
    pub(super) name: String,
    /// Whether it ends with its parent.
    pub(super) daemon: bool,
    /// Whether it takes calls until its parent closes the channel, and not one only.
    pub(super) resident: bool,
}

impl Setup {
    pub(super) fn encode(&self) -> Encoded {
        wire::encode(&(self.token, &self.name, self.daemon, self.resident), Vec::new())
            .expect("numbers and text can be serialised")
    }

    fn decode(packet: Packet<'_>) -> Option<Setup> {
        let (token, name, daemon, resident) = wire::decode(packet.payload, Vec::new()).ok()?;
        (packet.tag == Tag::Setup).then_some(Setup { token, name, daemon, resident })
    }
}

/// Name and argument of a call, as one payload. What is in `argument` is its bytes; there is room for the
/// name in front of it, see [`call_room`].
pub(super) fn call_room(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    write_name(&mut bytes, name);
    bytes
}

/// [`call_room`], in place of what is in `bytes`.
pub(super) fn write_name(bytes: &mut Vec<u8>, name: &str) {
    let length = u16::try_from(name.len()).expect("a function's name has less than 65,536 bytes");
    bytes.clear();
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(name.as_bytes());
}

fn read_call(payload: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = payload.split_first_chunk::<2>()?;
    let (name, argument) = rest.split_at_checked(usize::from(u16::from_ne_bytes(*length)))?;
    Some((str::from_utf8(name).ok()?, argument))
}

/// The child's end of the channel, and what it was told; `None` in a process that is not a child.
pub(super) fn arrived() -> Option<(Socket, Setup)> {
    let token = u128::from_str_radix(&std::env::var(VARIABLE).ok()?, 16).ok()?;
    let stdin = rustix::stdio::stdin();
    if rustix::net::sockopt::socket_type(stdin).ok()? != SocketType::SEQPACKET {
        return None;
    }
    // Above the three that have names, and not for programs that this one starts.
    let socket = Socket::of(Arc::new(fcntl_dupfd_cloexec(stdin, 3).ok()?));
    let setup = socket.try_receive(Setup::decode).ok().flatten().filter(|setup| setup.token == token)?;
    // Only now is it sure that stdin is not the program's own.
    if let Ok(null) = rustix::fs::open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdin(null);
    }
    Some((socket, setup))
}

/// Does what the process is there for, then ends it.
pub(super) fn serve((socket, setup): (Socket, Setup)) -> ! {
    hook::note_locations();
    thread::current().set_name(setup.name.clone()); // and the thread is known from here on
    let parent = Parent { socket, site: Location::caller() };
    if setup.daemon {
        parent.end_with_it();
    }
    if parent.answer(Tag::Hello, 0, &Encoded::default()).is_err() && setup.daemon {
        thread::exit(0); // the parent is gone already; else the call is still made, for what it does
    }
    let mut room = Vec::new();
    loop {
        let made = parent.socket.receive(&parent.waiting(), |packet| {
            let number = packet.number;
            make(packet, std::mem::take(&mut room)).map(|made| (number, made))
        });
        let Ok(Ok(Some((number, Made { tag, mut what })))) = made else {
            thread::exit(0); // the parent is gone, or wants no more
        };
        let sent = parent.answer(tag, number, &what);
        if let Err(fault @ (SendFault::TooLong | SendFault::System(_))) = &sent {
            // The parent waits for an answer, be it this one.
            let _ = parent.answer(Tag::Failure, number, &text_of(&format!("the value cannot be sent back: {fault}")));
        }
        if !setup.resident || matches!(sent, Err(SendFault::Closed)) {
            thread::exit(if tag == Tag::Panic { PANICKED } else { 0 });
        }
        what.bytes.clear();
        // A buffer that one large value has made large is not kept.
        room = if what.bytes.capacity() <= 1 << 16 { what.bytes } else { Vec::new() };
    }
}

/// The exit code of a process whose function has panicked, as `std` has it for `main`.
const PANICKED: i32 = 101;

/// What a call came to, as it is told to the parent.
struct Made {
    tag: Tag,
    what: Encoded,
}

/// Makes the call that a packet asks for; `None` if it asks for something else.
fn make(packet: Packet<'_>, mut room: Vec<u8>) -> Option<Made> {
    let (name, argument) = read_call(packet.payload).filter(|_| packet.tag == Tag::Call)?;
    let made = match registered::by_name(name) {
        None => Err(Trouble::Wire(format!(
            "no function {name:?} is registered in the other process: it must call `lisle::process::init` with the \
             same functions"
        ))),
        Some(function) => {
            room.clear();
            function.run(argument, packet.descriptors, room)
        }
    };
    Some(match made {
        Ok(what) => Made { tag: Tag::Value, what },
        Err(Trouble::Panicked(panic)) => {
            let told = (hook::text_of(&*panic.payload), &panic.location);
            let what = wire::encode(&told, Vec::new()).expect("text can be serialised");
            panic.forget_safely();
            Made { tag: Tag::Panic, what }
        }
        Err(Trouble::Wire(text)) => Made { tag: Tag::Failure, what: text_of(&text) },
    })
}

fn text_of(text: &str) -> Encoded {
    wire::encode(text, Vec::new()).expect("text can be serialised")
}

/// The process that started this one.
struct Parent {
    socket: Socket,
    site: &'static Location<'static>,
}

impl Parent {
    fn waiting(&self) -> Waiting<'_> {
        Waiting { kind: Kind::Process, subject: self, site: self.site, limit: Limit::Never, interruptible: false }
    }

    fn answer(&self, tag: Tag, number: u32, what: &Encoded) -> Result<(), SendFault> {
        self.socket.send(tag, number, what, &self.waiting()).unwrap_or(Err(SendFault::Closed))
    }

    /// Has this process end when its parent does, however that ends: the system closes its end of the
    /// channel. `PR_SET_PDEATHSIG` would fire as soon as the thread ends that started us.
    fn end_with_it(&self) {
        let socket: Arc<OwnedFd> = self.socket.descriptor().clone();
        let watch = move || {
            let parent = Parent { socket: Socket::of(socket), site: Location::caller() };
            let watched = [(parent.socket.descriptor().as_fd(), PollFlags::empty())];
            let mut wait = Wait::new(Kind::Process, &parent, parent.site, None);
            (wait.interruptible, wait.outside) = (false, Some(Outside::Ready(&watched)));
            park(key_of(&parent), &wait, || true);
            // SAFETY: `_exit` has no preconditions. The process ends as a daemon thread does: at once.
            unsafe { libc::_exit(0) }
        };
        let named = thread::Builder::new().name("parent".into()).daemon(true).stack_size(64 * 1024);
        if let Err(error) = named.spawn(watch) {
            hook::tell(format_args!("cannot watch for the end of the parent process, and ends: {error}"));
            thread::exit(1);
        }
    }
}

impl Subject for Parent {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("that started this one")
    }
}
