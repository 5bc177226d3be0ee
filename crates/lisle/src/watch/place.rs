//! Where agents listen: a directory per user that nobody else can enter, and in it a socket per process. Who
//! looks for one checks the same things as who makes one, so that nobody is led to a stranger's socket.
#![forbid(unsafe_code)]

pub use crate::park::sys::peer_user;

use super::system::fields;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A process, told from a later one that has got the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessId {
    /// The system's number for it.
    pub pid: u32,
    /// When it was started, in the system's ticks since its own start.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now.
    ///
    /// # Errors
    /// `NotFound` if there is none, or what reading `/proc` came to.
    pub fn of(pid: u32) -> io::Result<ProcessId> {
        Ok(ProcessId::look(pid)?.0)
    }

    /// Whether it is still there; a process that has ended and that nobody has waited for is not.
    pub fn is_alive(self) -> bool {
        ProcessId::look(self.pid).is_ok_and(|(now, has_ended)| now == self && !has_ended)
    }

    /// The process that has this number, and whether all that is left of it is that nobody has waited for it.
    fn look(pid: u32) -> io::Result<(ProcessId, bool)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let has_ended = matches!(fields(&stat).next(), Some("Z" | "X"));
        let started = fields(&stat).nth(19).and_then(|ticks| ticks.parse().ok());
        let started =
            started.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat has no start"))?;
        Ok((ProcessId { pid, started }, has_ended))
    }

    /// The name of its socket.
    pub fn socket(self) -> String {
        format!("{}-{}.sock", self.pid, self.started)
    }

    /// Which process's socket has this name, if it is one.
    pub fn of_socket(name: &str) -> Option<ProcessId> {
        let (pid, started) = name.strip_suffix(".sock")?.split_once('-')?;
        let id = ProcessId { pid: pid.parse().ok()?, started: started.parse().ok()? };
        (id.socket() == name).then_some(id)
    }
}

/// The directories in which a user's agents may listen: that of the user's session, which
/// `XDG_RUNTIME_DIR` names, and `/tmp/lisle-UID` for programs that have none. `session` is what a
/// program's environment says of the former.
pub fn directories(user: u32, session: Option<&Path>) -> Vec<PathBuf> {
    let usual = PathBuf::from(format!("/run/user/{user}"));
    let session = session.filter(|path| path.is_absolute()).map(Path::to_owned);
    let mut all: Vec<PathBuf> = session.into_iter().chain([usual]).map(|path| path.join("lisle")).collect();
    all.push(PathBuf::from(format!("/tmp/lisle-{user}")));
    all.dedup();
    all
}

/// The directory in which an agent of this process listens.
pub(super) fn own_directory(user: u32) -> PathBuf {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // That of another user, after a `su`, is no place for us.
    let is_own =
        |path: &PathBuf| path.is_absolute() && fs::metadata(path).is_ok_and(|is| is.is_dir() && is.uid() == user);
    match session.filter(is_own) {
        Some(session) => session.join("lisle"),
        None => PathBuf::from(format!("/tmp/lisle-{user}")),
    }
}

/// A directory for sockets, open.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a user's directory.
    ///
    /// # Errors
    /// `NotFound` if it is not there; and with a sentence if it is not a directory itself, is another user's,
    /// or others may enter it: whoever made it could lead us anywhere.
    pub fn open(path: &Path, user: u32) -> io::Result<Directory> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let refused = |why: fmt::Arguments<'_>| {
            io::Error::new(io::ErrorKind::PermissionDenied, format!("{} {why}", path.display()))
        };
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => refused(format_args!("is no directory, or a link to one")),
            error => error.into(),
        })?;
        let is = fstat(&fd)?;
        if is.st_uid != user {
            return Err(refused(format_args!("belongs to user {}, not to user {user}", is.st_uid)));
        }
        if is.st_mode & 0o077 != 0 {
            return Err(refused(format_args!("is open to other users (mode {:03o}): chmod 700", is.st_mode & 0o777)));
        }
        Ok(Directory { fd, path: path.to_owned() })
    }

    /// Opens it, and makes it if need be.
    pub(super) fn make(path: &Path, user: u32) -> io::Result<Directory> {
        match mkdirat(CWD, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Directory::open(path, user),
            Err(error) => Err(error.into()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path to what has this name in it that is short enough for a socket's address, and that leads
    /// nowhere else whatever becomes of the directory's own.
    pub fn through(&self, name: &str) -> PathBuf {
        use rustix::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }

    /// The processes that have a socket in it.
    ///
    /// # Errors
    /// What reading it came to.
    pub fn list(&self) -> io::Result<Vec<ProcessId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.through("."))? {
            found.extend(entry?.file_name().to_str().and_then(ProcessId::of_socket));
        }
        found.sort();
        Ok(found)
    }

    /// Connects to the agent of a process, without waiting.
    ///
    /// # Errors
    /// `NotFound` if the process has no socket here; `ConnectionRefused` if there is one and nobody listens:
    /// the process was killed. `PermissionDenied` if another user listens; `WouldBlock` if more are waiting to
    /// be let in than may.
    pub fn connect(&self, process: ProcessId, user: u32) -> io::Result<OwnedFd> {
        let name = process.socket();
        let kind = rustix::fs::statat(&self.fd, &name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode;
        if FileType::from_raw_mode(kind) != FileType::Socket {
            let text = format!("{} is no socket", self.path.join(name).display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(self.through(&name))?)?;
        rustix::io::ioctl_fionbio(&socket, false)?;
        let other = peer_user(&socket)?;
        if other != user {
            let text = format!("{} is listened to by user {other}", self.path.join(name).display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(socket)
    }

    /// Removes the sockets that nobody listens to, of processes that were killed; returns of how many.
    ///
    /// # Errors
    /// What reading the directory came to.
    pub fn sweep(&self, user: u32) -> io::Result<usize> {
        let mut swept = 0;
        // A process that we do not see may live in another container, so it is not asked for: who listens
        // is there. An agent's socket has this name only once it listens.
        for process in self.list()? {
            let refused = self.connect(process, user).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
            if refused && unlinkat(&self.fd, process.socket(), AtFlags::empty()).is_ok() {
                swept += 1;
            }
        }
        Ok(swept)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
