//! The agent's socket.
#![forbid(unsafe_code)]

use super::super::place::{Directory, ProcessId, own_directory, peer_user};
use crate::park::private::PrivateFd;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, renameat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};
use rustix::process::{Uid, geteuid};
use std::io;
use std::path::PathBuf;

/// How many may wait to be let in.
const BACKLOG: i32 = 128;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// The socket, listening.
pub(super) struct Listener {
    socket: PrivateFd,
    user: Uid,
    pub(super) path: PathBuf,
}

/// Who knocked.
pub(super) enum Guest {
    /// Somebody who may look.
    Welcome(PrivateFd),
    /// Another user.
    Stranger(PrivateFd),
}

impl Listener {
    /// Begins to listen, where this process's user can find it.
    pub(super) fn open() -> io::Result<Listener> {
        let user = geteuid();
        let directory = Directory::make(&own_directory(user.as_raw()), user.as_raw())?;
        let _ = directory.sweep(user.as_raw()); // what others have left is not our trouble
        let name = ProcessId::of(std::process::id())?.socket();
        let socket = PrivateFd::new(|| socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None))?;
        // It gets its name when it listens: who finds the name and nobody there may remove it. What has the
        // name already is of the program that this process was before an `exec`.
        let new = format!(".{name}.new");
        let _ = unlinkat(&directory, &new, AtFlags::empty());
        bind(&socket, &SocketAddrUnix::new(directory.through(&new))?)?;
        listen(&socket, BACKLOG)?;
        renameat(&directory, &new, &directory, &name)?;
        Ok(Listener { socket, user, path: directory.path().join(name) })
    }

    /// The next of those who wait to be let in; `None` if there is none.
    pub(super) fn accept(&self) -> io::Result<Option<Guest>> {
        let socket = match PrivateFd::new(|| accept_with(&self.socket, FLAGS)) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::CONNABORTED | Errno::INTR) => return self.accept(),
            Err(error) => return Err(error.into()),
        };
        // The directory keeps others out. This is for the day when somebody has opened it.
        let is_welcome = peer_user(&socket).is_ok_and(|user| user == 0 || user == self.user.as_raw());
        Ok(Some(if is_welcome { Guest::Welcome(socket) } else { Guest::Stranger(socket) }))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
