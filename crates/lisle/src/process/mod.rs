//! Processes (Linux only, with the feature `process`).
//!
//! A process has its own address space: it is told what to do by a registered function and an argument that
//! can be serialised, and shares only what goes over channels or shared memory. What ends or breaks it,
//! `kill -9` included, leaves this process as it was.
//!
//! # Functions have names
//! A process is this program, started again. What it can be told to do is what `main` gives to [`init`],
//! first thing: in the new process, that call does the work and does not return.
//!
//! ```no_run
//! use lisle::executor::Function;
//! use lisle::process;
//!
//! fn count(path: std::path::PathBuf) -> usize {
//!     std::fs::read_to_string(path).unwrap().lines().count()
//! }
//!
//! const COUNT: Function<std::path::PathBuf, usize> = Function::new("count", count);
//!
//! fn main() {
//!     process::init(&[&COUNT]);
//!     let counting = process::spawn(COUNT, "Cargo.toml".into()).unwrap();
//!     println!("{} lines", counting.join().unwrap());
//! }
//! ```
//!
//! # What a process is
//! - Its stdin is empty; its stdout and stderr are those of this process, unless its [`Builder`] says
//!   otherwise.
//! - A panic of its function ends it with exit code 101, and is told to who joins it, with its place.
//! - A process that is not a daemon keeps this one from ending, as a thread does. A daemon ends with this
//!   process, also when this one is killed: it sees its channel close. It does not matter whether the
//!   thread ends that has started it.
//! - When its function has returned, its threads that are not daemons finish before it ends.

//!
//! # Many calls
//! [`ProcessPoolExecutor`] keeps processes for calls to come, and is used as a pool of threads is. It can
//! go on when one of its processes is killed.
//!
//! # Talking
//! | type | what |
//! |---|---|
//! | [`channel()`] | items from many to one, with handles in them if need be |
//! | [`ProcessQueue`] | items from many to many, at most so many at a time, with an end |
//! | [`SharedBuffer`] | bytes that all may read, in one place |
//! | [`SharedMemory`] | bytes that all may read and write, in one place |
//! | [`SharedLock`] | one at a time, and the next is told if a holder has died |
//!
//! All of them can be part of arguments, values and items. Their waits can be timed and interrupted, and
//! show up like those of this process alone. None of them is left unusable by a process that is killed,
//! wherever it was.
//!
//! # Who is trusted
//! What comes over a channel, or from a process as its answer, is checked: bytes that are no packet, or no
//! value of the type, are an error, and cost no more than a packet may take. Shared locks, queues and
//! memory are for processes that mean well, which those of one program should.

// | file | what it knows |
// |---|---|
// | `registered` | the functions, and `init` |
// | `child` | what a child does |
// | `launch` | starting a child and hearing from it |
// | `handle` | `Process` and its builder |
// | `channel` | channels |
// | `memory`, `lock` | memory and locks that processes share |
// | `pool`, `map`, `crew` | `ProcessPoolExecutor` and its processes |
// | `queue`, `queue_error`, `bell` | a queue that processes share |
// | `packet` | packets over sockets |
// | `wire`, `why` | values as bytes |
// | `error` | what can go wrong |

mod bell;
mod channel;
mod child;
mod crew;
mod error;
mod handle;
mod launch;
mod lock;
mod map;
mod memory;
mod packet;
mod pool;
mod queue;
mod queue_error;
mod registered;
mod why;
mod wire;

pub use channel::{ReceiveError, Receiver, SendError, Sender, channel};
pub use crew::BrokenProcessPool;
pub use error::{ChildPanic, JoinError, StartError};
pub use handle::{Builder, Process, create, spawn};
pub use launch::Output;
pub use lock::{Recovered, SharedLock, SharedLockError, SharedLockGuard};
pub use map::ProcessMap;
pub use memory::{OutOfRange, SharedBuffer, SharedMemory};
pub use pool::{ProcessPoolBuilder, ProcessPoolError, ProcessPoolExecutor};
pub use queue::ProcessQueue;
pub use queue_error::{QueueGetError, QueuePutError};
pub use registered::{Registered, init};
