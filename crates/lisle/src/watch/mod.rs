//! Looking at the threads of a program while it runs: who waits for what, who holds it, since when, and is it
//! a deadlock?
//!
//! Nothing here stops the program or takes a lock of its. What is read is what the parking lot writes down
//! anyway.
//!
//! ```
//! use lisle::sync::Event;
//! use lisle::{thread, watch};
//!
//! let ready = Event::named("ready");
//! thread::scope(|scope| {
//!     let waiter = scope.spawn(|| ready.wait());
//!     let wait = loop {
//!         let snapshot = watch::snapshot();
//!         let ident = waiter.thread().ident().unwrap().get();
//!         match snapshot.threads.iter().find(|thread| thread.ident == ident).and_then(|thread| thread.wait.clone()) {
//!             Some(wait) => break wait,
//!             None => thread::yield_now(),
//!         }
//!     };
//!     assert_eq!((&*wait.kind, &*wait.object), ("event", "\"ready\""));
//!     ready.set();
//! });
//! ```
//!
//! What can be proven is in [`Snapshot::reports`](wire::Snapshot::reports), and in words at the end of a
//! [`dump`]; [`on_report`] tells a program as soon as it is found.

// | file | what it knows |
// |---|---|
// | `wire` | what goes between a program and those who look at it |
// | `frame` | how it goes: frames of bytes |
// | `place` | where they meet: sockets, and the directories that they are in |
// | `agent` | who answers for this process |
// | `snapshot` | all threads, made into such a picture |
// | `system` | what the system tells of them |
// | `interpreter` | what an embedder adds |
// | `text` | such a picture in words |
// | `trace` | what threads did, event by event |
// | `perfetto` | such events as a file that Perfetto opens |
// | `trace_file` | such a file of a whole run |

#[cfg(target_os = "linux")]
pub(crate) mod agent;
pub mod frame;
mod interpreter;
pub mod perfetto;
#[cfg(target_os = "linux")]
pub mod place;
mod snapshot;
mod system;
mod text;
mod trace;
#[cfg(target_os = "linux")]
pub(crate) mod trace_file;
pub mod wire;

pub use crate::park::report::on_report;
#[cfg(target_os = "linux")]
pub use agent::{dump_on_signal, start_agent, start_agent_on_signal};
pub use interpreter::{Frames, Interpreter, set_interpreter};
pub use snapshot::{snapshot, snapshot_with};
pub use text::{Harmless, dump, is_harmful};
pub use trace::{Counting, Reader};
