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
//! | `outside` | waiting for what other processes do |
//! | `deadlock`, `graph`, `report` | who waits for whom, which of it can never end, and the words for it |
//! | `label`, `names`, `latest`, `site`, `limit`, `kind` | names, what replaces what, places, time limits, kinds of wait |
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
#[cfg(all(feature = "process", not(loom)))]
pub(crate) mod outside;
pub(crate) mod parker;
pub(crate) mod reads;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod site;
pub(crate) mod spin;
pub(crate) mod stats;
pub(crate) mod sys;
pub(crate) mod told;
pub(crate) mod wait;

#[cfg(loom)]
pub(crate) mod model;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use kind::Kind;
pub(crate) use label::Label;
pub(crate) use limit::Limit;
pub(crate) use lot::{Choice, unpark, unpark_all, unpark_one};
pub(crate) use record::Record;
pub(crate) use site::Site;
pub(crate) use stats::WaitStat;
pub(crate) use wait::{Alarm, Outcome, Owner, Subject, Then, Wait, WaitError, key_of, park, park_with};
