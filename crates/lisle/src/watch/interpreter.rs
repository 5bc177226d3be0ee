//! What an embedder adds to a snapshot: its interpreter's name, and each thread's frames.
#![forbid(unsafe_code)]

use super::wire::Frame;
use crate::park::latest::Latest;
use std::time::Duration;

/// An interpreter that runs in this process.
pub struct Interpreter {
    /// Its name and version: `CPython 3.13.0`.
    pub name: String,
    /// The frames of its threads, the innermost first, by the system's number of the thread. Called on the thread
    /// that takes the snapshot. It has to come back within the limit, also if the interpreter is busy and
    /// cannot be asked: then the error says so, as half a sentence.
    pub frames: Frames,
}

/// See [`Interpreter::frames`].
pub type Frames = fn(limit: Duration) -> Result<Vec<(u32, Vec<Frame>)>, String>;

static INTERPRETER: Latest<Interpreter> = Latest::none();

/// Says that an interpreter runs in this process. The last one counts.
pub fn set_interpreter(interpreter: Interpreter) {
    INTERPRETER.set(interpreter);
}

/// The interpreter, if there is one.
pub(super) fn get() -> Option<&'static Interpreter> {
    INTERPRETER.get()
}
