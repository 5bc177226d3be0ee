//! The parking lot: the one room in which threads sleep.
//!
//! Every blocking call of every primitive ends up in [`park`](wait::park). So every one of them
//! can be timed, interrupted, checked for deadlock and looked at, and none of that costs anything
//! on a path that does not block. See `README.md` beside this file for the protocol.
//!
//! | file | what it knows |
//! |---|---|
//! | `sys/` | the system: futex, asymmetric barrier, ids |
//! | `parker` | how one thread sleeps |
//! | `spin` | how long it looks around before it does |
//! | `record`, `current`, `registry`, `name`, `stats` | the threads |
//! | `lot` | who waits where: nodes on stacks, in hashed buckets |
//! | `wait` | a wait from beginning to end, and how it can end |
//! | `told` | what an embedder adds: its own names and places, and that it minds signals |
//! | `watched`, `objects`, `trace`, `ring` | what is kept of waits while somebody watches: counts by object, events by thread |
//! | `outside` | waiting for what other processes do |
//! | `deadlock`, `graph`, `report` | who waits for whom, which of it can never end, and the words for it |
//! | `survey` | all threads and their waits at once, for those who look from outside |
//! | `label`, `names`, `latest`, `site`, `limit`, `kind` | names, what replaces what, places, time limits, kinds of wait |
//! | `order` | what the agent's thread is told to do, by anybody and by signals |
//! | `private` | descriptors that a child of a fork has no business with |
//! | `fork` | what becomes of all this in a child |

pub(crate) mod current;
pub(crate) mod deadlock;
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork;
pub(crate) mod graph;
pub(crate) mod kind;
pub(crate) mod label;
pub(crate) mod latest;
pub(crate) mod limit;
pub(crate) mod lot;
pub(crate) mod name;
pub(crate) mod names;
#[cfg(all(feature = "watch", not(loom)))]
pub(crate) mod objects;
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
pub(crate) mod order;
#[cfg(all(feature = "outside", target_os = "linux", not(loom)))]
pub(crate) mod outside;
pub(crate) mod parker;
#[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
pub(crate) mod private;
pub(crate) mod reads;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod report;
#[cfg(all(feature = "watch", any(test, not(loom))))]
mod ring;
pub(crate) mod site;
pub(crate) mod spin;
pub(crate) mod stats;
#[cfg(all(feature = "watch", not(loom)))]
pub(crate) mod survey;
pub(crate) mod sys;
pub(crate) mod told;
#[cfg(all(feature = "watch", not(loom)))]
pub(crate) mod trace;
pub(crate) mod wait;
#[cfg(not(all(feature = "watch", not(loom))))]
#[path = "unwatched.rs"]
mod watched;
#[cfg(all(feature = "watch", not(loom)))]
pub(crate) mod watched;

#[cfg(loom)]
pub(crate) mod model;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use kind::Kind;
pub(crate) use label::Label;
pub(crate) use limit::Limit;
pub(crate) use lot::{Choice, unpark, unpark_all, unpark_one};
pub(crate) use record::Record;
pub(crate) use site::{Site, Spot};
pub(crate) use stats::WaitStat;
pub(crate) use wait::{Alarm, Outcome, Owner, Subject, Then, Wait, WaitError, key_of, park, park_with};

/// Called when a thread begins to wait, and when one is adopted or started: in a process that has not
/// called in before, and in the child of a fork, the environment may ask for the agent.
#[inline]
fn first_use() {
    #[cfg(all(feature = "watch", target_os = "linux", not(loom)))]
    if order::IS_NEW.load(std::sync::atomic::Ordering::Relaxed) {
        order::first_use();
    }
}
