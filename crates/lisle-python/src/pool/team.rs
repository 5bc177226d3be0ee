//! Which threads can run what is pending in which pool, for who waits for that. Asked without the
//! interpreter, under locks of the parking lot.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Team {
    /// The workers that have begun.
    idents: Vec<u32>,
    /// How many there may be.
    most: usize,
}

/// All pools by number. No other lock is taken under this one, and no Python code runs.
static TEAMS: Mutex<(u32, BTreeMap<u32, Team>)> = Mutex::new((0, BTreeMap::new()));

/// Numbers have 24 bits, and 0 is for none.
const MOST_POOLS: u32 = 1 << 24;

fn teams() -> MutexGuard<'static, (u32, BTreeMap<u32, Team>)> {
    TEAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enters a pool, and gives it its number.
pub(super) fn enter() -> u32 {
    let (last, teams) = &mut *teams();
    loop {
        *last = (*last + 1) % MOST_POOLS;
        if *last != 0 && !teams.contains_key(last) {
            teams.insert(*last, Team { idents: Vec::new(), most: usize::MAX });
            return *last;
        }
    }
}

/// The pool is no more.
pub(super) fn remove(number: u32) {
    teams().1.remove(&number);
}

/// There may be so many workers.
pub(super) fn limit(number: u32, most: usize) {
    change(number, |team| team.most = most);
}

pub(super) fn join(number: u32, ident: u32) {
    change(number, |team| team.idents.push(ident));
}

pub(super) fn leave(number: u32, ident: u32) {
    change(number, |team| team.idents.retain(|&other| other != ident));
}

fn change(number: u32, change: impl FnOnce(&mut Team)) {
    if let Some(team) = teams().1.get_mut(&number) {
        change(team);
    }
}

/// The idents of those who alone can run a call that is pending in the pool; 0 stands for one who is
/// not here yet, or of whom nothing is known.
pub(crate) fn workers(number: u32, found: &mut dyn FnMut(u32)) {
    match teams().1.get(&number) {
        Some(team) if team.idents.len() >= team.most => team.idents.iter().for_each(|&ident| found(ident)),
        _ => found(0),
    }
}
