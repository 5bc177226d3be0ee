//! Which threads can run what is pending in which pool: for who waits for that.

use super::pool::Inner;
use crate::park::sys::PlainLock;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// The workers of a pool, as a wait for one of its calls depends on them.
struct Team {
    idents: Vec<u32>,
    /// With those that were hired and have not begun.
    size: usize,
    most: usize,
    pool: Weak<Inner>,
    /// The process that it was made in: the child of a fork has no threads of it, and locks that they may hold.
    process: u32,
}

/// All pools by number. No other lock is taken under this one; it is taken under those of buckets.
static TEAMS: PlainLock<(u32, BTreeMap<u32, Team>)> = PlainLock::new((0, BTreeMap::new()));

/// Numbers have 24 bits, and 0 is for none.
const MOST_POOLS: u32 = 1 << 24;

/// Enters a pool, which is made with its number.
pub(super) fn enter(most: usize, make: impl FnOnce(u32) -> Arc<Inner>) -> Arc<Inner> {
    #[cfg(all(unix, not(loom)))]
    crate::park::fork::hold_also(|| Box::new(TEAMS.lock()));
    let id = {
        let (last, teams) = &mut *TEAMS.lock();
        loop {
            *last = (*last + 1) % MOST_POOLS;
            if *last != 0 && !teams.contains_key(last) {
                break;
            }
        }
        teams.insert(*last, Team { idents: Vec::new(), size: 0, most, pool: Weak::new(), process: std::process::id() });
        *last
    };
    let pool = make(id);
    change(id, |team| team.pool = Arc::downgrade(&pool));
    pool
}

/// The pool is no more.
pub(super) fn remove(id: u32) {
    let removed = TEAMS.lock().1.remove(&id);
    drop(removed);
}

/// A worker was hired.
pub(super) fn hire(id: u32) {
    change(id, |team| team.size += 1);
}

/// A worker that was hired could not be made.
pub(super) fn call_off(id: u32) {
    change(id, |team| team.size -= 1);
}

/// A worker that was hired has begun.
pub(super) fn join(id: u32, ident: u32) {
    change(id, |team| team.idents.push(ident));
}

/// A worker goes.
pub(super) fn leave(id: u32, ident: u32) {
    change(id, |team| {
        team.idents.retain(|&other| other != ident);
        team.size -= 1;
    });
}

fn change(id: u32, change: impl FnOnce(&mut Team)) {
    if let Some(team) = TEAMS.lock().1.get_mut(&id) {
        change(team);
    }
}

/// The idents of those who alone can run a call that is pending in the pool; 0 stands for one who is
/// not here yet.
pub(super) fn of(id: u32, found: &mut dyn FnMut(u32)) {
    let teams = TEAMS.lock();
    match teams.1.get(&id) {
        Some(team) if team.size == team.most && team.idents.len() == team.size => {
            team.idents.iter().for_each(|&ident| found(ident));
        }
        _ => found(0),
    }
}

/// The idents of all workers that have begun.
pub(super) fn members(id: u32, found: &mut dyn FnMut(u32)) {
    if let Some(team) = TEAMS.lock().1.get(&id) {
        team.idents.iter().for_each(|&ident| found(ident));
    }
}

/// All pools of this process.
pub(super) fn all() -> Vec<Arc<Inner>> {
    let here = std::process::id();
    let pools: Vec<_> =
        TEAMS.lock().1.values().filter(|team| team.process == here).map(|team| team.pool.clone()).collect();
    pools.iter().filter_map(Weak::upgrade).collect()
}
