//! What goes between processes: packets over pairs of sockets.
//!
//! The sockets keep the bounds of packets (`SOCK_SEQPACKET`): a packet arrives whole or not at all, also
//! from a process that is killed while it sends, and one that is too long for its receiver is seen to
//! be so. There is no length to believe, no rest to wait for, and no lock for who sends.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | what kind of packet it is, see [`Tag`] |
//! | 1 | where the payload is: behind the head (0), or in a memory file that is sent along (1) |
//! | 2, 3 | how many descriptors belong to the payload |
//! | 4 … 7 | a number that means something to the two ends |
//! | 8 … | the payload |

use super::wire::Encoded;
use crate::park::outside::Outside;
use crate::park::{Kind, Limit, Site, Subject, Wait, WaitError, key_of, park, spin};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, fstat, memfd_create};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

/// What kind of packet it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Tag {
    /// Parent to child, first: what it is to be.
    Setup = 1,
    /// Child to parent, first: it is there.
    Hello = 2,
    /// Parent to child: call this function.
    Call = 3,
    /// Child to parent: the call's value.
    Value = 4,
    /// Child to parent: the call panicked.
    Panic = 5,
    /// Child to parent: the call could not be made, or its value not be sent.
    Failure = 6,
    /// An item of a channel.
    Item = 7,
}

impl Tag {
    fn of(byte: u8) -> Option<Tag> {
        use Tag::{Call, Failure, Hello, Item, Panic, Setup, Value};
        [Setup, Hello, Call, Value, Panic, Failure, Item].into_iter().find(|tag| *tag as u8 == byte)
    }
}

const HEAD: usize = 8;
/// A longer payload travels in a memory file: sockets take so much at once, and not much more.
const LONGEST_INLINE: usize = 64 * 1024;
/// What is longer is refused by who sends and by who receives.
pub(super) const LONGEST: usize = 1 << 30;
/// So many descriptors can go with one packet; one place is for a long payload.
pub(super) const MOST_DESCRIPTORS: usize = 32;

/// A packet that has arrived.
pub(super) struct Packet<'a> {
    pub(super) tag: Tag,
    pub(super) number: u32,
    pub(super) payload: &'a [u8],
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Why nothing was sent.
#[derive(Debug)]
pub(super) enum SendFault {
    /// There is no room at the moment.
    Full,
    /// The other end is gone.
    Closed,
    TooLong,
    System(io::Error),
}

impl fmt::Display for SendFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendFault::Full => f.write_str("there is no room for it at the moment"),
            SendFault::Closed => f.write_str("the other end is closed"),
            SendFault::TooLong => write!(
                f,
                "it takes more than {LONGEST} bytes or {MOST_DESCRIPTORS} handles: put what is large into shared memory"
            ),
            SendFault::System(reason) => reason.fmt(f),
        }
    }
}

/// Why nothing was received.
#[derive(Debug)]
pub(super) enum ReceiveFault {
    /// There is nothing at the moment.
    Empty,
    /// The other end is gone, and all it sent was received.
    Closed,
    /// What came is no packet; it is thrown away.
    Garbage(&'static str),
    System(io::Error),
}

thread_local! {
    /// Where packets arrive. Each thread has one, because a packet's length is known too late.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One end of a pair.
pub(super) struct Socket(Arc<OwnedFd>);

impl Socket {
    pub(super) fn pair() -> io::Result<(Socket, Socket)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Socket::of(Arc::new(one)), Socket::of(Arc::new(other))))
    }

    pub(super) fn of(descriptor: Arc<OwnedFd>) -> Socket {
        Socket(descriptor)
    }

    /// An end of a pair that somebody has sent, who could have sent anything.
    pub(super) fn checked(descriptor: OwnedFd) -> Option<Socket> {
        let right = rustix::net::sockopt::socket_domain(&descriptor) == Ok(AddressFamily::UNIX)
            && rustix::net::sockopt::socket_type(&descriptor) == Ok(SocketType::SEQPACKET);
        right.then(|| Socket::of(Arc::new(descriptor)))
    }

    pub(super) fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.0
    }

    /// The other end sees the end of it, whoever else has this one.
    pub(super) fn close(&self) {
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }

    /// The descriptor, if nobody else has it.
    pub(super) fn into_descriptor(self) -> io::Result<OwnedFd> {
        Arc::try_unwrap(self.0).or_else(|shared| shared.try_clone())
    }

    /// Sends a packet if there is room for it.
    pub(super) fn try_send(&self, tag: Tag, number: u32, what: &Encoded) -> Result<(), SendFault> {
        self.try_send_spilled(tag, number, what, &spill(what)?)
    }

    fn try_send_spilled(
        &self,
        tag: Tag,
        number: u32,
        what: &Encoded,
        spilled: &Option<OwnedFd>,
    ) -> Result<(), SendFault> {
        let mut head = [0; HEAD];
        head[0] = tag as u8;
        head[1] = u8::from(spilled.is_some());
        let count = u16::try_from(what.descriptors.len()).expect("few");
        head[2..4].copy_from_slice(&count.to_ne_bytes());
        head[4..8].copy_from_slice(&number.to_ne_bytes());
        let payload = if spilled.is_some() { &[][..] } else { &what.bytes };
        let parts = [IoSlice::new(&head), IoSlice::new(payload)];
        let descriptors: Vec<BorrowedFd<'_>> =
            spilled.iter().map(|file| file.as_fd()).chain(what.descriptors.iter().map(|fd| fd.as_fd())).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS + 1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            let pushed = control.push(SendAncillaryMessage::ScmRights(&descriptors));
            assert!(pushed, "there is space for all");
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            match sendmsg(&self.0, &parts, &mut control, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => return Err(SendFault::Full),
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(SendFault::Closed),
                Err(Errno::MSGSIZE) => return Err(SendFault::TooLong),
                Err(error) => return Err(SendFault::System(error.into())),
            }
        }
    }

    /// Hands the next packet to `use_it`, if there is one.
    pub(super) fn try_receive<R>(&self, use_it: impl FnOnce(Packet<'_>) -> R) -> Result<R, ReceiveFault> {
        // Taken out, since `use_it` may receive something in turn; the next finds it again.
        let mut buffer = BUFFER.try_with(RefCell::take).unwrap_or_default();
        buffer.resize(HEAD + LONGEST_INLINE, 0);
        let used = self.receive_into(&mut buffer).map(use_it);
        // One that a long payload has made long is not kept.
        if buffer.capacity() <= 2 * (HEAD + LONGEST_INLINE) {
            let _ = BUFFER.try_with(|place| place.replace(buffer));
        }
        used
    }

    fn receive_into<'a>(&self, buffer: &'a mut Vec<u8>) -> Result<Packet<'a>, ReceiveFault> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS + 1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let came = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                Ok(came) => break came,
                // The other end closed without having read all, which is told once, and before what it sent.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => return Err(ReceiveFault::Empty),
                Err(error) => return Err(ReceiveFault::System(error.into())),
            }
        };
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if came.bytes == 0 && descriptors.is_empty() {
            return Err(ReceiveFault::Closed); // no packet of ours is empty
        }
        if came.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(ReceiveFault::Garbage("it is longer than any packet"));
        }
        let Some((head, _)) = buffer[..came.bytes].split_at_checked(HEAD) else {
            return Err(ReceiveFault::Garbage("it is shorter than any packet"));
        };
        let Some(tag) = Tag::of(head[0]) else { return Err(ReceiveFault::Garbage("its tag is not known")) };
        let number = u32::from_ne_bytes(head[4..8].try_into().expect("four bytes"));
        let told = usize::from(u16::from_ne_bytes(head[2..4].try_into().expect("two bytes")));
        let spilled = match head[1] {
            0 => false,
            1 => true,
            _ => return Err(ReceiveFault::Garbage("it does not say where its payload is")),
        };
        if descriptors.len() != told + usize::from(spilled) {
            return Err(ReceiveFault::Garbage("it came with more or fewer descriptors than it tells of"));
        }
        let payload = if spilled {
            *buffer = unspill(descriptors.remove(0))?;
            &buffer[..]
        } else {
            &buffer[HEAD..came.bytes]
        };
        Ok(Packet { tag, number, payload, descriptors })
    }

    /// Sends a packet as soon as there is room for it.
    pub(super) fn send(
        &self,
        tag: Tag,
        number: u32,
        what: &Encoded,
        how: &Waiting<'_>,
    ) -> Result<Result<(), SendFault>, WaitError> {
        let spilled = match spill(what) {
            Ok(spilled) => spilled,
            Err(fault) => return Ok(Err(fault)),
        };
        self.repeat(PollFlags::OUT, how, || match self.try_send_spilled(tag, number, what, &spilled) {
            Err(SendFault::Full) => None,
            sent => Some(sent),
        })
    }

    /// Hands the next packet to `use_it` as soon as there is one.
    pub(super) fn receive<R>(
        &self,
        how: &Waiting<'_>,
        use_it: impl FnOnce(Packet<'_>) -> R,
    ) -> Result<Result<R, ReceiveFault>, WaitError> {
        let mut use_it = Some(use_it);
        self.repeat(PollFlags::IN, how, || match self.try_receive(|packet| use_it.take().expect("once")(packet)) {
            Err(ReceiveFault::Empty) => None,
            received => Some(received),
        })
    }

    /// Tries until `attempt` comes to something; waits for `readiness` in between.
    fn repeat<R>(
        &self,
        readiness: PollFlags,
        how: &Waiting<'_>,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        if let Some(done) = attempt() {
            return Ok(done);
        }
        let mut wait = Wait::new(how.kind, how.subject, how.site, how.limit.deadline());
        if wait.deadline.is_none_or(|at| at > Instant::now())
            && let Some(done) = spin::spin_at(spin::Pace::Backoff, &mut attempt)
        {
            return Ok(done);
        }
        let watched = [(self.0.as_fd(), readiness)];
        (wait.outside, wait.interruptible) = (Some(Outside::Ready(&watched)), how.interruptible);
        loop {
            // Nobody grants here; if somebody did, it would mean to look again.
            park(key_of(self), &wait, || true).settle()?;
            if let Some(done) = attempt() {
                return Ok(done);
            }
            wait.since.get_or_insert_with(Instant::now);
        }
    }
}

/// How to wait at a socket.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) kind: Kind,
    pub(super) subject: &'a dyn Subject,
    pub(super) site: Site,
    pub(super) limit: Limit,
    pub(super) interruptible: bool,
}

/// A memory file with a long payload.
fn spill(what: &Encoded) -> Result<Option<OwnedFd>, SendFault> {
    let bytes = &what.bytes;
    if bytes.len() > LONGEST || what.descriptors.len() > MOST_DESCRIPTORS {
        return Err(SendFault::TooLong);
    }
    if bytes.len() <= LONGEST_INLINE {
        return Ok(None);
    }
    let fill = || {
        let file = memfd_create(c"lisle-payload", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(file);
        file.write_all(bytes)?;
        Ok(Some(file.into()))
    };
    fill().map_err(SendFault::System)
}

/// A long payload, copied: whoever sent it may still change or shorten the file.
fn unspill(file: OwnedFd) -> Result<Vec<u8>, ReceiveFault> {
    let stat = fstat(&file).map_err(|error| ReceiveFault::System(error.into()))?;
    let Some(size) = usize::try_from(stat.st_size).ok().filter(|&size| size <= LONGEST) else {
        return Err(ReceiveFault::Garbage("its payload is longer than any"));
    };
    // Who sends it has to have spent the memory too; a file with holes is as long as one likes.
    if stat.st_blocks.saturating_mul(512) < stat.st_size {
        return Err(ReceiveFault::Garbage("its payload is not there"));
    }
    let mut bytes = vec![0; size];
    match File::from(file).read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(ReceiveFault::Garbage("its payload cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::decode;
    use super::*;
    use proptest::prelude::*;
    use rustix::net::send;
    use std::collections::BTreeMap;

    /// What a malicious or broken process may do to who reads from it.
    #[derive(Clone, Debug)]
    enum Nasty {
        Raw(Vec<u8>),
        Head { tag: u8, place: u8, count: u16, payload: Vec<u8> },
        File { size: u64 },
    }

    fn nasty() -> impl Strategy<Value = Nasty> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            bytes().prop_map(Nasty::Raw),
            (0..9_u8, 0..3_u8, 0..3_u16, bytes()).prop_map(|(tag, place, count, payload)| Nasty::Head {
                tag,
                place,
                count,
                payload
            }),
            prop_oneof![0..100_u64, (1 << 29)..u64::MAX / 4].prop_map(|size| Nasty::File { size }),
        ]
    }

    fn send_nasty(socket: &Socket, nasty: &Nasty) {
        let raw = match nasty {
            Nasty::Raw(bytes) => bytes.clone(),
            Nasty::Head { tag, place, count, payload } => {
                let [low, high] = count.to_ne_bytes();
                [&[*tag, *place, low, high, 0, 0, 0, 0][..], payload].concat()
            }
            Nasty::File { size } => {
                // A file that claims to be long, and is empty, takes the place of a payload.
                let file = memfd_create(c"nasty", MemfdFlags::CLOEXEC).unwrap();
                let _ = rustix::fs::ftruncate(&file, *size);
                let rights = [file.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(&rights));
                let head = [Tag::Item as u8, 1, 0, 0, 0, 0, 0, 0];
                sendmsg(&socket.0, &[IoSlice::new(&head)], &mut control, SendFlags::NOSIGNAL).unwrap();
                return;
            }
        };
        send(&socket.0, &raw, SendFlags::NOSIGNAL).unwrap();
    }

    #[derive(serde::Deserialize, Debug)]
    #[allow(dead_code, reason = "only its shape matters")]
    enum Shape {
        List(Vec<Shape>),
        Named(BTreeMap<String, Option<Shape>>),
        Inner(Box<Shape>),
        Leaf(f64, char),
    }

    proptest! {
        #[test]
        fn garbage_is_told_and_passed_over(all in proptest::collection::vec(nasty(), 1..8)) {
            let (ours, theirs) = Socket::pair().unwrap();
            for one in &all {
                send_nasty(&theirs, one);
                // Only what is right in form gets through, or nothing at all was sent.
                let _ = ours.try_receive(|packet| prop_assert_packet(&packet));
            }
            let what = Encoded { bytes: vec![7; 100], descriptors: Vec::new() };
            theirs.try_send(Tag::Item, 9, &what).unwrap();
            let length = ours.try_receive(|packet| (packet.number, packet.payload.len())).unwrap();
            prop_assert_eq!(length, (9, 100));
        }

        #[test]
        fn random_bytes_are_no_values(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode::<Shape>(&bytes, Vec::new());
            let _ = decode::<Vec<String>>(&bytes, Vec::new());
            let _ = decode::<(u64, Vec<Vec<u16>>, Option<char>)>(&bytes, Vec::new());
        }
    }

    fn prop_assert_packet(packet: &Packet<'_>) {
        assert!(packet.payload.len() <= LONGEST);
    }

    #[test]
    fn a_list_of_lists_without_end_is_refused() {
        // `Inner(Inner(Inner(…` and `List([List([…`, a million deep.
        for nested in [vec![2_u8; 1 << 20], [0_u8, 1].repeat(1 << 19)] {
            assert!(decode::<Shape>(&nested, Vec::new()).is_err());
        }
    }

    #[test]
    fn a_length_that_is_a_lie_allocates_nothing() {
        // 2⁶³ elements or bytes, of which none is there.
        let lie = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(decode::<Vec<u64>>(&lie, Vec::new()).is_err());
        assert!(decode::<String>(&lie, Vec::new()).is_err());
        assert!(decode::<BTreeMap<u8, u8>>(&lie, Vec::new()).is_err());
    }

    #[test]
    fn an_end_that_has_not_read_all_has_sent_what_it_sent() {
        let (ours, theirs) = Socket::pair().unwrap();
        ours.try_send(Tag::Item, 1, &Encoded::default()).unwrap();
        theirs.try_send(Tag::Item, 2, &Encoded::default()).unwrap();
        drop(theirs);
        assert_eq!(ours.try_receive(|packet| packet.number).unwrap(), 2);
        assert!(matches!(ours.try_receive(|_| ()), Err(ReceiveFault::Closed)));
    }

    #[test]
    fn a_long_payload_is_not_kept() {
        let (ours, theirs) = Socket::pair().unwrap();
        theirs.try_send(Tag::Item, 1, &Encoded { bytes: vec![7; 10 << 20], descriptors: Vec::new() }).unwrap();
        assert_eq!(ours.try_receive(|packet| packet.payload.len()).unwrap(), 10 << 20);
        assert!(BUFFER.with_borrow(Vec::capacity) < 1 << 20);
    }

    #[test]
    fn a_closed_end_is_no_packet() {
        let (ours, theirs) = Socket::pair().unwrap();
        assert!(matches!(ours.try_receive(|_| ()), Err(ReceiveFault::Empty)));
        theirs.try_send(Tag::Item, 1, &Encoded::default()).unwrap();
        drop(theirs);
        assert_eq!(ours.try_receive(|packet| packet.number).unwrap(), 1);
        assert!(matches!(ours.try_receive(|_| ()), Err(ReceiveFault::Closed)));
        assert!(matches!(ours.try_send(Tag::Item, 1, &Encoded::default()), Err(SendFault::Closed)));
    }
}
