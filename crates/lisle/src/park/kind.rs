//! What a thread can wait for.

use std::fmt;

impl Kind {
    /// Whether a wait of this kind can depend on certain threads.
    pub(crate) fn may_have_owner(self) -> bool {
        matches!(
            self,
            Kind::Mutex
                | Kind::ReentrantMutex
                | Kind::Lock
                | Kind::RwLockRead
                | Kind::RwLockWrite
                | Kind::Join
                | Kind::Future
                | Kind::PoolFull
                | Kind::PoolJoin
                | Kind::QueueLock
                | Kind::SharedLock
                | Kind::Gil
        )
    }
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident => $text:literal,)*) => {
        /// What kind of thing a thread waits for. Prints as a few words (`queue empty`).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Kind { $($(#[$meta])* $name,)* }

        impl Kind {
            /// All kinds, in the order of their declaration.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            pub(crate) const COUNT: usize = Kind::ALL.len();
        }

        impl fmt::Display for Kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Kind::$name => $text,)* })
            }
        }
    };
}

kinds! {
    /// A [`Mutex`](crate::sync::Mutex) that another thread holds.
    Mutex => "mutex",
    /// A [`ReentrantMutex`](crate::sync::ReentrantMutex) that another thread holds.
    ReentrantMutex => "reentrant mutex",
    /// A [`Lock`](crate::sync::Lock) that is taken.
    Lock => "lock",
    /// A [`RwLock`](crate::sync::RwLock), for reading.
    RwLockRead => "read lock",
    /// A [`RwLock`](crate::sync::RwLock), for writing.
    RwLockWrite => "write lock",
    /// A notification of a [`Condvar`](crate::sync::Condvar).
    Condvar => "condvar",
    /// A permit of a [`Semaphore`](crate::sync::Semaphore).
    Semaphore => "semaphore",
    /// An [`Event`](crate::sync::Event) to be set.
    Event => "event",
    /// The other parties of a [`Barrier`](crate::sync::Barrier).
    Barrier => "barrier",
    /// The end of a thread.
    Join => "join",
    /// The end of a call that was handed to an executor, or of one of several.
    Future => "future",
    /// An item of a queue that is empty.
    QueueGet => "queue empty",
    /// A place in a queue that is full.
    QueuePut => "queue full",
    /// The last `task_done` of a queue.
    QueueJoin => "queue join",
    /// A queue's own lock, which is held for the length of one operation.
    QueueLock => "queue lock",
    /// A [`Gil`](crate::gil::Gil) that another thread holds.
    Gil => "gil",
    /// A token from [`unpark`](crate::thread::Thread::unpark).
    Park => "park",
    /// Another process: its end, or its answer.
    Process => "process",
    /// A message of a channel between processes.
    ChannelReceive => "channel empty",
    /// Room for a message in a channel between processes.
    ChannelSend => "channel full",
    /// A lock that processes share.
    SharedLock => "shared lock",
    /// The end of a sleep.
    Sleep => "sleep",
    /// The time of a [`Timer`](crate::timer::Timer)'s next call.
    Timer => "timer",
    /// Room for a call in a pool that has as many pending as it may.
    PoolFull => "pool full",
    /// The end of all calls of a pool.
    PoolJoin => "pool join",
    /// Somebody who looks at the program: what the agent waits for.
    Client => "a client",
    /// A call to run, by a worker of a pool that has none.
    Idle => "a call",
}
