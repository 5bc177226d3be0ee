//! What goes between a program and those who look at it: snapshots, traces, and the few words of the
//! protocol that carries them. The library fills these types, its agent sends them, the program `lisle`
//! shows them; `docs/schema` has them as a JSON schema.
//!
//! Each frame is a length of four bytes, lowest first, and that many bytes of JSON: a [`Request`] on the way
//! to the agent, a [`Reply`] on the way back. The first of each side is its [`Hello`].
//!
//! Both sides may be of different versions. Within a major version of the protocol fields are only added: who
//! reads ignores what it does not know, and takes what is missing for empty. Lengths of time are in
//! microseconds (`_us`) or nanoseconds (`_ns`) and say so; texts are the program's own, so who shows them has
//! to make them harmless first.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// The version of the protocol and of the schema: `[major, minor]`.
pub const PROTOCOL: [u32; 2] = [1, 0];

/// The longest frame that either side takes. Ten thousand threads with Python frames need less.
pub const MAX_FRAME: usize = 64 << 20;

/// The longest frame that the agent takes of a client: a request is short.
pub const MAX_REQUEST: usize = 64 << 10;

/// What the sides tell each other first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hello {
    /// The version of the protocol that it speaks, see [`PROTOCOL`].
    pub protocol: [u32; 2],
    /// Who speaks, for people: `lisle 0.1.0`.
    pub software: String,
}

/// What a client can ask of the agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// The first word. Answered with the agent's.
    Hello(Hello),
    /// A snapshot, answered with [`Reply::Snapshot`].
    Snapshot(SnapshotRequest),
    /// Events as they happen, from now on: answered with [`Reply::Trace`] again and again, until
    /// [`Request::StopTrace`] or the end of the connection.
    StartTrace,
    /// Ends that. Answered with the last [`Reply::Trace`], which is marked so.
    StopTrace,
}

/// What is to be in a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SnapshotRequest {
    /// Whether to have the interpreter's frames of each thread, where there is an interpreter.
    pub frames: bool,
}

/// What the agent says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// The first word.
    Hello(Hello),
    /// What was asked for.
    Snapshot(Box<Snapshot>),
    /// What has happened since the last one.
    Trace(Box<Trace>),
    /// Why a request was not answered, as a sentence. The connection goes on.
    Error(String),
}

/// All threads of a process, what they wait for, and who owns that: a picture of one moment.
///
/// Each thread's wait is consistent in itself. Between two threads' waits some microseconds may have
/// passed; the reports have been checked against that.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Snapshot {
    /// The version of the schema, see [`PROTOCOL`].
    pub schema: [u32; 2],
    /// Whose threads these are.
    pub process: Process,
    /// When it was taken, in microseconds since 1970.
    pub taken_at_us: u64,
    /// How long taking it took.
    pub took_us: u64,
    /// The threads that lisle knows, by ident.
    pub threads: Vec<Thread>,
    /// Threads of the process that have never called lisle.
    pub strangers: Vec<Stranger>,
    /// What threads have waited for since somebody began to look, most time waited first: the first thousand, and
    /// whatever is waited for now. All others are one, of kind `others` and with the number 0. See [`Object`].
    pub objects: Vec<Object>,
    /// Deadlocks, suspicions and orphaned locks that are there now.
    pub reports: Vec<Report>,
    /// The last of those that are over: the wait that closed them was failed, or they ended by themselves.
    pub past_reports: Vec<Report>,
    /// Of which threads the wait could not be read in one piece, because it kept changing. They are
    /// listed as running.
    pub unread: Vec<u32>,
    /// Why there are no frames though they were asked for: the interpreter did not answer in time.
    pub frames_missing: Option<String>,
}

/// A process.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Process {
    /// The system's number for it.
    pub pid: u32,
    /// The command line.
    pub command: Vec<String>,
    /// For how long it has run.
    pub age_us: u64,
    /// The library's version.
    pub lisle: String,
    /// The interpreter: `CPython 3.13.0`.
    pub interpreter: Option<String>,
}

/// What a thread is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// `start` was called, and it has not begun.
    Started,
    /// It runs, or would if it had a processor.
    #[default]
    Running,
    /// The system says that it sleeps, and it is in no wait of lisle's: in a read, a foreign lock …
    Blocked,
    /// It is in a wait, see [`Thread::wait`].
    Waiting,
    /// What a newer version may say.
    #[serde(other)]
    Other,
}

/// How a thread came to lisle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// It was made by lisle, or by an interpreter that uses lisle.
    #[default]
    Made,
    /// The process's main thread.
    Main,
    /// Another thread that has called lisle.
    Adopted,
    /// What a newer version may say.
    #[serde(other)]
    Other,
}

/// A thread.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Thread {
    /// Its identifier among the threads of lisle.
    pub ident: u32,
    /// The system's number for it; 0 before it runs.
    pub native_id: u32,
    /// Its name, whole.
    pub name: String,
    /// How it came to lisle.
    pub origin: Origin,
    /// Whether the process may end without it.
    pub daemon: bool,
    /// Whether it is one of lisle's own, or of the interpreter's for it: the agent. It does nothing for the
    /// program.
    pub service: bool,
    /// What it does.
    pub state: State,
    /// How much time of a processor it has used, if the system tells.
    pub cpu_us: Option<u64>,
    /// Whether it was interrupted and has not yet noticed.
    pub interrupted: bool,
    /// What it waits for, if it is [waiting](State::Waiting).
    pub wait: Option<Wait>,
    /// How often and how long it has waited, by kind of wait.
    pub waited: Vec<Waited>,
    /// The interpreter's frames, the innermost first; none if it has none or they were not asked for.
    pub frames: Vec<Frame>,
}

/// A thread of which lisle knows what the system tells.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Stranger {
    /// The system's number for it.
    pub native_id: u32,
    /// The system's name for it.
    pub name: String,
}

/// A wait.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Wait {
    /// What kind of thing is waited for, in words: `mutex`, `queue empty`.
    pub kind: String,
    /// Which one, in words: its name in quotes, or where it was made.
    pub object: String,
    /// Which one: a number that is the object's while it lives, and the same for all who wait for it.
    pub key: u64,
    /// Where the program has called: `file:line:column`, or `file:line in function`.
    pub called_at: String,
    /// How long the wait has lasted.
    pub waited_us: u64,
    /// When it ends by itself, from now.
    pub ends_in_us: Option<u64>,
    /// Whether an interrupt ends it.
    pub interruptible: bool,
    /// The executor's call in which it waits, in words.
    pub running: Option<String>,
    /// The threads that alone can end it. None if anybody could.
    pub owners: Vec<Owner>,
}

/// A thread that a wait depends on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Owner {
    /// The thread; it may have ended. 0 is anybody.
    pub ident: u32,
    /// Its name, also after its end.
    pub name: String,
    /// Whether it has ended.
    pub ended: bool,
    /// How the wait depends on it, in words that go before its name: `held by`, `to be run by`.
    pub bond: String,
    /// Where it took what is waited for.
    pub taken_at: Option<String>,
    /// Which of the wait's needs it is for. All of them have to be met, each by one of its threads.
    pub need: u32,
}

/// Waits of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Waited {
    /// The kind, in words, as in [`Wait::kind`].
    pub kind: String,
    /// How many have ended.
    pub count: u64,
    /// How long they lasted together.
    pub total_us: u64,
    /// How long the longest lasted.
    pub longest_us: u64,
}

/// Something that threads have waited for since the first client came; a wait that ended before is not counted,
/// nor is one that ended without a sleep. There is a bound to how many are kept, see [`Snapshot::objects`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Object {
    /// Its number in traces of this process.
    pub id: u32,
    /// As in [`Wait::key`].
    pub key: u64,
    /// As in [`Wait::kind`].
    pub kind: String,
    /// As in [`Wait::object`].
    pub object: String,
    /// How many waits have ended.
    pub waits: u64,
    /// How long they lasted together.
    pub total_us: u64,
    /// How long the longest lasted.
    pub longest_us: u64,
    /// How many threads wait for it now.
    pub waiting: u32,
    /// The idents of who holds it now, if somebody waits for it and it has owners.
    pub holders: Vec<u32>,
    /// How many items a queue had when a thread last waited for it, or how many permits a semaphore.
    pub length: Option<u64>,
}

/// A frame of an interpreter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Frame {
    /// The source file.
    pub file: String,
    /// The line that it is at; 0 if that is not known.
    pub line: u32,
    /// The function.
    pub function: String,
}

/// How sure a report is, and of what. As [`Confidence`](crate::Confidence).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Confidence {
    /// A deadlock.
    Proven,
    /// A deadlock that ends by itself.
    Timed,
    /// What is a deadlock if nobody else does what others could do; or a program all of whose threads wait.
    #[default]
    Suspected,
    /// A lock whose holder has ended.
    Orphaned,
    /// What a newer version may say.
    #[serde(other)]
    Other,
}

/// A deadlock, a suspicion or an orphaned lock.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Report {
    /// How sure it is.
    pub confidence: Confidence,
    /// The whole report in words, several lines.
    pub text: String,
    /// The idents of its threads. The first [`cycle`](Self::cycle) ones wait for each other, each for the
    /// next and the last for the first.
    pub threads: Vec<u32>,
    /// How many of the threads are the cycle; 0 if it is none (an orphaned lock, a program at rest).
    pub cycle: u32,
    /// How long ago it was found; for those that are there now, how long ago its youngest wait began.
    pub age_us: u64,
    /// The thread whose wait was failed for it.
    pub failed: Option<u32>,
    /// Whether the program has been told: the waits that see it for the first time report it, once. A thread
    /// that tells waits for nothing meanwhile, so a report of now is not to be seen for that moment.
    pub told: bool,
}

/// What happened in a stretch of time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Trace {
    /// From when on this trace has been recorded, on the events' clock: the same in all of its parts.
    pub since_ns: u64,
    /// When this was read, on the events' clock. An event of shortly before may come in the next part.
    pub until_ns: u64,
    /// The threads that its events name and that no earlier part of this trace has named. The name of one
    /// that ended long ago is empty.
    pub threads: Vec<TraceThread>,
    /// The objects likewise.
    pub objects: Vec<TraceObject>,
    /// The events of each thread in their order; those of different threads are not sorted.
    pub events: Vec<Event>,
    /// How many events were lost: overwritten before they could be read, or there was no memory for them.
    pub dropped: u64,
    /// Whether this is the last part.
    pub last: bool,
}

/// A thread in a trace.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TraceThread {
    /// As in [`Thread::ident`].
    pub ident: u32,
    /// As in [`Thread::native_id`].
    pub native_id: u32,
    /// As in [`Thread::name`].
    pub name: String,
}

/// An object in a trace.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TraceObject {
    /// As in [`Object::id`].
    pub id: u32,
    /// As in [`Wait::kind`].
    pub kind: String,
    /// As in [`Wait::object`].
    pub object: String,
}

/// Something that a thread did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// When, in nanoseconds of a clock that never goes back and begins with the process's first trace. A wait
    /// that began before that, or before this trace, may be told too.
    pub at_ns: u64,
    /// The ident of the thread.
    pub thread: u32,
    /// What it did.
    pub what: What,
}

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "did", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// It began to wait for this object.
    Wait {
        /// See [`TraceObject::id`].
        object: u32,
    },
    /// Its wait ended.
    End {
        /// What it had waited for.
        object: u32,
        /// How it ended.
        outcome: Outcome,
        /// A number of the wait that no other of its thread's has for a long time: the same as in the other thread's [`What::Wake`].
        wait: u32,
        /// How long it had lasted.
        waited_ns: u64,
    },
    /// It ended another thread's wait.
    Wake {
        /// The other thread's ident.
        thread: u32,
        /// The number of its wait.
        wait: u32,
    },
    /// How many items a queue had, or permits a semaphore, when the thread began or ended a wait for it.
    Length {
        /// See [`TraceObject::id`].
        object: u32,
        /// How many.
        length: u64,
    },
    /// What a newer version may say. Needs the tag to stand within, or its fields would not be skipped.
    #[serde(other)]
    Other,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Another thread ended it.
    Granted,
    /// There was nothing to wait for any more, or it is to look again and may wait once more.
    #[default]
    Again,
    /// Its time was over.
    TimedOut,
    /// It was interrupted, or a signal had to be handled.
    Interrupted,
    /// It could never have ended.
    Deadlocked,
    /// What a newer version may say.
    #[serde(other)]
    Other,
}
