//! Channels between processes.
#![forbid(unsafe_code)]

use super::packet::{ReceiveFault, SendFault, Socket, Tag, Waiting};
use super::wire;
use crate::park::{Kind, Label, Limit, Site, Subject, WaitError};
use rustix::fd::OwnedFd;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{error, fmt, io};

/// A channel for items of one type, between threads of any processes. Its ends can be part of the argument
/// or the value of a function that another process calls, and of an item of another channel.
///
/// The channel holds what fits into a socket's buffer, some hundred small items; a long one counts little,
/// it waits in memory of its own. When it is full, senders wait. There is no lock in it: a process that is
/// killed while it sends or receives leaves nothing behind, but takes along the item it was receiving.
///
/// # Errors
/// If the system has no room for another pair of sockets.
///
/// # Examples
/// ```
/// use lisle::process::{self, ReceiveError};
///
/// let (sender, receiver) = process::channel::<String>().unwrap();
/// sender.send(&"hello".into()).unwrap();
/// assert_eq!(receiver.recv().unwrap(), "hello");
/// drop(sender);
/// assert!(matches!(receiver.recv(), Err(ReceiveError::Disconnected)));
/// ```
#[track_caller]
pub fn channel<T>() -> io::Result<(Sender<T>, Receiver<T>)> {
    let (one, other) = Socket::pair()?;
    let site = Location::caller();
    Ok((Sender::of(one, site), Receiver::of(other, site)))
}

/// The end of a [`channel`] where items go in. Clone it, or share it by reference.
///
/// # Fairness
/// None: whoever finds room sends.
pub struct Sender<T> {
    socket: Socket,
    label: Arc<Label>,
    items: PhantomData<fn(T)>,
}

/// The end of a [`channel`] where items come out. Any number of threads may share it by reference; each
/// item goes to one of them.
///
/// # Fairness
/// None: whoever finds an item takes it. Items of one sender come in the order in which they were sent.
pub struct Receiver<T> {
    socket: Socket,
    label: Arc<Label>,
    items: PhantomData<fn() -> T>,
}

impl<T> Sender<T> {
    fn of(socket: Socket, site: Site) -> Sender<T> {
        Sender { socket, label: Arc::new(Label::new(site)), items: PhantomData }
    }
}

impl<T: Serialize> Sender<T> {
    /// Sends an item, as soon as there is room for it.
    ///
    /// # On interrupt
    /// `Interrupted`; nothing was sent.
    ///
    /// # Errors
    /// See [`SendError`].
    #[track_caller]
    pub fn send(&self, item: &T) -> Result<(), SendError> {
        self.send_within(item, Limit::Never, Location::caller())
    }

    /// [`send`](Sender::send) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; nothing was sent.
    ///
    /// # Errors
    /// See [`SendError`].
    #[track_caller]
    pub fn send_for(&self, item: &T, limit: Duration) -> Result<(), SendError> {
        self.send_within(item, Limit::For(limit), Location::caller())
    }

    /// [`send_for`](Sender::send_for), with the limit as a point in time.
    ///
    /// # Errors
    /// See [`SendError`].
    #[track_caller]
    pub fn send_until(&self, item: &T, limit: Instant) -> Result<(), SendError> {
        self.send_within(item, Limit::Until(limit), Location::caller())
    }

    /// Sends an item if there is room for it now.
    ///
    /// # Errors
    /// See [`SendError`]; `Full` if there is no room.
    pub fn try_send(&self, item: &T) -> Result<(), SendError> {
        let item = wire::encode(item, Vec::new()).map_err(SendError::NotSerialisable)?;
        self.socket.try_send(Tag::Item, 0, &item).map_err(SendError::of)
    }

    fn send_within(&self, item: &T, limit: Limit, site: Site) -> Result<(), SendError> {
        let item = wire::encode(item, Vec::new()).map_err(SendError::NotSerialisable)?;
        let how = Waiting { kind: Kind::ChannelSend, subject: self, site, limit, interruptible: true };
        self.socket.send(Tag::Item, 0, &item, &how)?.map_err(SendError::of)
    }
}

impl<T> Receiver<T> {
    fn of(socket: Socket, site: Site) -> Receiver<T> {
        Receiver { socket, label: Arc::new(Label::new(site)), items: PhantomData }
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Takes the next item, as soon as there is one.
    ///
    /// # On interrupt
    /// `Interrupted`; nothing was taken.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    #[track_caller]
    pub fn recv(&self) -> Result<T, ReceiveError> {
        self.receive_within(Limit::Never, Location::caller())
    }

    /// [`recv`](Receiver::recv) for at most `limit`; `Duration::MAX` is for ever.
    ///
    /// # On timeout
    /// `TimedOut`; nothing was taken.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    #[track_caller]
    pub fn recv_for(&self, limit: Duration) -> Result<T, ReceiveError> {
        self.receive_within(Limit::For(limit), Location::caller())
    }

    /// [`recv_for`](Receiver::recv_for), with the limit as a point in time.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    #[track_caller]
    pub fn recv_until(&self, limit: Instant) -> Result<T, ReceiveError> {
        self.receive_within(Limit::Until(limit), Location::caller())
    }

    /// Takes the next item if there is one now.
    ///
    /// # Errors
    /// See [`ReceiveError`]; `Empty` if there is none.
    pub fn try_recv(&self) -> Result<T, ReceiveError> {
        self.socket.try_receive(read).unwrap_or_else(|fault| Err(ReceiveError::of(fault)))
    }

    fn receive_within(&self, limit: Limit, site: Site) -> Result<T, ReceiveError> {
        let how = Waiting { kind: Kind::ChannelReceive, subject: self, site, limit, interruptible: true };
        self.socket.receive(&how, read)?.unwrap_or_else(|fault| Err(ReceiveError::of(fault)))
    }
}

fn read<T: DeserializeOwned>(packet: super::packet::Packet<'_>) -> Result<T, ReceiveError> {
    if packet.tag != Tag::Item {
        return Err(ReceiveError::Garbage("its tag is not that of an item".into()));
    }
    wire::decode(packet.payload, packet.descriptors).map_err(ReceiveError::Garbage)
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { socket: Socket::of(self.socket.descriptor().clone()), label: self.label.clone(), items: PhantomData }
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::serialize(self.socket.descriptor(), serializer)
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::serialize(self.socket.descriptor(), serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sender<T>, D::Error> {
        socket(wire::deserialize(deserializer)?).map(|socket| Sender::of(socket, Location::caller()))
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Receiver<T>, D::Error> {
        socket(wire::deserialize(deserializer)?).map(|socket| Receiver::of(socket, Location::caller()))
    }
}

/// An end of a channel; who sent it could have sent any descriptor.
fn socket<E: serde::de::Error>(descriptor: OwnedFd) -> Result<Socket, E> {
    Socket::checked(descriptor).ok_or_else(|| E::custom("the descriptor that came is no end of a channel"))
}

impl<T> Subject for Sender<T> {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }
}

impl<T> Subject for Receiver<T> {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }

    fn identity(&self) -> u64 {
        self.label.identity()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("label", &format_args!("{}", self.label)).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("label", &format_args!("{}", self.label)).finish_non_exhaustive()
    }
}

/// Why an item was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no room at the moment, and the call was not to wait.
    Full,
    /// There was no room until the time limit passed.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// There is no receiver any more, in any process.
    Disconnected,
    /// The item cannot be serialised, for the reason given by `serde`.
    NotSerialisable(String),
    /// The item takes more than a gigabyte, or has too many handles.
    TooLong,
    /// The system refuses, for the reason given.
    System(io::Error),
}

impl SendError {
    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, SendError::TimedOut)
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, SendError::Interrupted)
    }

    fn of(fault: SendFault) -> SendError {
        match fault {
            SendFault::Full => SendError::Full,
            SendFault::Closed => SendError::Disconnected,
            SendFault::TooLong => SendError::TooLong,
            SendFault::System(error) => SendError::System(error),
        }
    }
}

impl From<WaitError> for SendError {
    fn from(error: WaitError) -> SendError {
        match error {
            WaitError::TimedOut => SendError::TimedOut,
            WaitError::Interrupted => SendError::Interrupted,
            WaitError::Deadlocked(_) => unreachable!("a deadlock needs owners, and a channel has none"),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full => "the channel is full",
            SendError::TimedOut => "the channel was full until the time limit passed",
            SendError::Interrupted => "the wait for room in the channel was interrupted by another thread",
            SendError::Disconnected => "no process has the channel's receiver any more",
            SendError::NotSerialisable(reason) => return write!(f, "the item cannot be sent: {reason}"),
            SendError::TooLong => return write!(f, "the item cannot be sent: {}", SendFault::TooLong),
            SendError::System(reason) => return write!(f, "the system does not send the item: {reason}"),
        })
    }
}

impl error::Error for SendError {}

/// Why no item was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReceiveError {
    /// There is no item at the moment, and the call was not to wait.
    Empty,
    /// There was no item until the time limit passed.
    TimedOut,
    /// Another thread called [`interrupt`](crate::thread::Thread::interrupt) on this one.
    Interrupted,
    /// There is no sender any more, in any process, and everything has been received.
    Disconnected,
    /// What came is no item, for the reason given. It is thrown away; the next may be one.
    Garbage(String),
    /// The system refuses, for the reason given.
    System(io::Error),
}

impl ReceiveError {
    /// Whether the time limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, ReceiveError::TimedOut)
    }

    /// Whether the thread was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, ReceiveError::Interrupted)
    }

    /// Whether there is no sender any more.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, ReceiveError::Disconnected)
    }

    fn of(fault: ReceiveFault) -> ReceiveError {
        match fault {
            ReceiveFault::Empty => ReceiveError::Empty,
            ReceiveFault::Closed => ReceiveError::Disconnected,
            ReceiveFault::Garbage(reason) => ReceiveError::Garbage(reason.into()),
            ReceiveFault::System(error) => ReceiveError::System(error),
        }
    }
}

impl From<WaitError> for ReceiveError {
    fn from(error: WaitError) -> ReceiveError {
        match error {
            WaitError::TimedOut => ReceiveError::TimedOut,
            WaitError::Interrupted => ReceiveError::Interrupted,
            WaitError::Deadlocked(_) => unreachable!("a deadlock needs owners, and a channel has none"),
        }
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReceiveError::Empty => "the channel is empty",
            ReceiveError::TimedOut => "the channel was empty until the time limit passed",
            ReceiveError::Interrupted => "the wait for an item of the channel was interrupted by another thread",
            ReceiveError::Disconnected => "no process has a sender of the channel any more",
            ReceiveError::Garbage(reason) => {
                return write!(f, "what came over the channel is no item of its type, and is thrown away: {reason}");
            }
            ReceiveError::System(reason) => return write!(f, "the system does not receive the item: {reason}"),
        })
    }
}

impl error::Error for ReceiveError {}
