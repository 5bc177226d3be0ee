//! Which waits can never end, and why.
//!
//! A wait *needs* what each of its owners alone can do, and what one thread of each group can do. A
//! need is *met* as long as there is somebody for it who may go on. A thread is *dead* if it waits and
//! a need of its wait is not met: everybody who could meet it is dead. The dead are what is left
//! when all others have been found alive, beginning with those who do not wait.
//!
//! What a dead thread waits for can be dead for a reason elsewhere, which is not this thread's to
//! resolve. Only who is on a cycle through itself, by needs that are not met, closes a deadlock.

use super::deadlock::Waiting;
use super::record::{Record, Shared};
use super::registry;
use super::wait::{Bond, Owner};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// A thread's wait, and the owner by which the way goes on.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) record: Shared,
    pub(super) waiting: Waiting,
    pub(super) owner: Owner,
    /// Who could do it in the owner's place.
    pub(super) others: Vec<Owner>,
}

pub(super) enum Found {
    Nothing,
    Deadlock(Deadlock),
    /// The thread waits for one that has ended.
    Orphan(Box<Step>),
}

pub(super) struct Deadlock {
    /// All waits that must be as they are for this to be a deadlock, each thread once: the cycle
    /// first, from the thread from which it was looked for.
    pub(super) steps: Vec<Step>,
    /// How many of them are the cycle.
    pub(super) cycle: usize,
}

type LookUp<'a> = &'a dyn Fn(&Record) -> Option<Waiting>;

/// Searches for a deadlock that `start`'s wait is part of, among the waits that `look_up` tells.
/// Without recursion: a chain of waits can be as long as there are threads.
pub(super) fn search(start: &Shared, look_up: LookUp<'_>) -> Found {
    let mut graph = Graph { nodes: Vec::new(), places: HashMap::new(), orphan: None };
    if graph.enter(start, look_up(start)).is_none() {
        return Found::Nothing;
    }
    // The first place is the start's. Others are found while those before them are expanded.
    let mut next = 0;
    while next < graph.nodes.len() && graph.nodes[0].is_dead() {
        if graph.nodes[next].is_dead() {
            graph.expand(next, look_up);
        }
        next += 1;
    }
    if let Some(way) = graph.cycle() {
        return Found::Deadlock(graph.in_steps(&graph.proof(way.clone()), way.len()));
    }
    match (graph.orphan, graph.nodes.into_iter().next()) {
        (Some(owner), Some(node)) => {
            Found::Orphan(Box::new(Step { record: node.record, waiting: node.waiting, owner, others: Vec::new() }))
        }
        _ => Found::Nothing,
    }
}

/// Every deadlock among these threads' waits, each once. The work grows with the number of waits and of their
/// owners, however they hang together.
#[cfg(all(feature = "watch", not(loom)))]
pub(super) fn survey(threads: &[Shared], look_up: LookUp<'_>) -> Vec<Deadlock> {
    let mut graph = Graph { nodes: Vec::new(), places: HashMap::new(), orphan: None };
    for record in threads {
        if !graph.places.contains_key(&record.ident()) {
            graph.enter(record, look_up(record));
        }
    }
    let mut next = 0;
    while next < graph.nodes.len() {
        if graph.nodes[next].is_dead() {
            graph.expand(next, look_up);
        }
        next += 1;
    }
    graph.deadlocks()
}

struct Graph {
    nodes: Vec<Node>,
    /// Where each thread that was seen to wait has its node; `None` if it depends on nobody.
    places: HashMap<u32, Option<usize>>,
    /// An owner of the first wait that has ended.
    orphan: Option<Owner>,
}

/// A thread that waits for certain others.
struct Node {
    record: Shared,
    waiting: Waiting,
    /// Which of the wait's needs are met.
    met: Vec<bool>,
    unmet: usize,
    /// To those owners that were not alive when they were looked at.
    edges: Vec<Edge>,
    /// The nodes with an edge to this one, and the need that it is for.
    needed_by: Vec<(usize, usize)>,
}

#[derive(Clone, Copy)]
struct Edge {
    need: usize,
    owner: Owner,
    to: usize,
}

impl Node {
    fn is_dead(&self) -> bool {
        self.unmet > 0
    }

    /// The edges for one need.
    fn of_need(&self, need: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.need == need)
    }
}

impl Graph {
    /// Gives a thread with its wait a place, if it has one and that depends on anybody.
    fn enter(&mut self, record: &Shared, waiting: Option<Waiting>) -> Option<usize> {
        let node = waiting.filter(|waiting| waiting.needs > 0).map(|waiting| {
            let (unmet, edges, needed_by) = (waiting.needs, Vec::new(), Vec::new());
            Node { record: record.clone(), waiting, met: vec![false; unmet], unmet, edges, needed_by }
        });
        let place = node.is_some().then_some(self.nodes.len());
        self.nodes.extend(node);
        self.places.insert(record.ident(), place);
        place
    }

    /// Follows a wait to its owners.
    fn expand(&mut self, place: usize, look_up: LookUp<'_>) {
        let owners = std::mem::take(&mut self.nodes[place].waiting.owners);
        let found: Vec<Option<Shared>> = {
            let registry = registry::lock();
            owners.iter().map(|(_, owner)| registry.get(owner.ident).cloned()).collect()
        };
        // Who does not wait is soon told: a pool with a thread at work costs this much and no more.
        let start = self.nodes[0].record.ident(); // which waits, and may be too late for the registry
        for ((need, owner), found) in owners.iter().zip(&found).filter(|((_, owner), _)| owner.ident != start) {
            if found.as_ref().is_none_or(|record| record.waiting_on.load(Ordering::Acquire) == 0) {
                self.meet(place, *need);
            }
            if place == 0 && found.is_none() && matches!(owner.bond, Bond::Holds(_) | Bond::Took(_)) {
                self.orphan = Some(*owner);
            }
        }
        for (&(need, owner), found) in owners.iter().zip(&found) {
            if self.nodes[place].met[need] {
                continue;
            }
            let to = match (self.places.get(&owner.ident), found) {
                (Some(&to), _) => to,
                (None, Some(record)) => self.enter(record, look_up(record)),
                (None, None) => None,
            };
            match to.filter(|&to| self.nodes[to].is_dead()) {
                Some(to) => {
                    self.nodes[place].edges.push(Edge { need, owner, to });
                    self.nodes[to].needed_by.push((place, need));
                }
                None => self.meet(place, need),
            }
        }
        self.nodes[place].waiting.owners = owners;
    }

    /// There is somebody for this need. Whoever turns out to be alive by that is there for others.
    fn meet(&mut self, place: usize, need: usize) {
        let mut met = vec![(place, need)];
        while let Some((place, need)) = met.pop() {
            let node = &mut self.nodes[place];
            if !std::mem::replace(&mut node.met[need], true) {
                node.unmet -= 1;
                if node.unmet == 0 {
                    met.append(&mut node.needed_by);
                }
            }
        }
    }

    /// The way from the first thread back to it, as places and the numbers of their edges.
    fn cycle(&self) -> Option<Vec<(usize, usize)>> {
        let mut seen = vec![false; self.nodes.len()];
        let mut way = vec![(0, 0)];
        while let Some((place, next)) = way.last_mut() {
            let node = &self.nodes[*place];
            let Some(edge) = node.edges.get(*next) else {
                way.pop();
                if let Some((_, next)) = way.last_mut() {
                    *next += 1;
                }
                continue;
            };
            if node.met[edge.need] {
                *next += 1;
            } else if edge.to == 0 {
                return Some(way);
            } else if std::mem::replace(&mut seen[edge.to], true) {
                // Leads nowhere, or we would have found it.
                *next += 1;
            } else {
                way.push((edge.to, 0));
            }
        }
        None
    }

    /// All cycles, without those that have a part in a deadlock that was found before.
    #[cfg(all(feature = "watch", not(loom)))]
    fn deadlocks(&self) -> Vec<Deadlock> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            OnTheWay,
            Done,
        }
        let mut seen = vec![Seen::No; self.nodes.len()];
        let mut told = vec![false; self.nodes.len()];
        let mut found = Vec::new();
        for root in 0..self.nodes.len() {
            if seen[root] != Seen::No || !self.nodes[root].is_dead() {
                continue;
            }
            let mut way = vec![(root, 0)];
            seen[root] = Seen::OnTheWay;
            while let Some(&(place, by)) = way.last() {
                let node = &self.nodes[place];
                let step = match node.edges.get(by) {
                    None => {
                        seen[place] = Seen::Done;
                        way.pop();
                        true
                    }
                    Some(edge) if node.met[edge.need] || seen[edge.to] == Seen::Done => true,
                    Some(edge) if seen[edge.to] == Seen::No => {
                        seen[edge.to] = Seen::OnTheWay;
                        way.push((edge.to, 0));
                        false
                    }
                    Some(edge) => {
                        let from = way.iter().rposition(|&(place, _)| place == edge.to).expect("it is on the way");
                        let cycle = &way[from..];
                        if !cycle.iter().any(|&(place, _)| told[place]) {
                            let proof = self.proof(cycle.to_vec());
                            proof.iter().for_each(|&(place, _)| told[place] = true);
                            found.push(self.in_steps(&proof, cycle.len()));
                        }
                        true
                    }
                };
                if step && let Some((_, by)) = way.last_mut() {
                    *by += 1;
                }
            }
        }
        found
    }

    /// What a cycle rests on, itself first. Each of its waits needs the next one's thread, or another of the
    /// same group; those are dead for a reason too.
    fn proof(&self, mut way: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
        let mut seen = vec![false; self.nodes.len()];
        for &(place, _) in &way {
            seen[place] = true;
        }
        let mut next = 0;
        while let Some(&(place, by)) = way.get(next) {
            let node = &self.nodes[place];
            for edge in node.of_need(node.edges[by].need) {
                if !std::mem::replace(&mut seen[edge.to], true) {
                    let node = &self.nodes[edge.to];
                    let unmet = node.edges.iter().position(|edge| !node.met[edge.need]);
                    way.push((edge.to, unmet.expect("the dead have a need that is not met")));
                }
            }
            next += 1;
        }
        way
    }

    /// A proof as others read it.
    fn in_steps(&self, proof: &[(usize, usize)], cycle: usize) -> Deadlock {
        let steps = proof.iter().map(|&(place, by)| {
            let node = &self.nodes[place];
            let by = node.edges[by];
            let others = node.of_need(by.need).filter(|edge| edge.to != by.to).map(|edge| edge.owner);
            Step {
                record: node.record.clone(),
                waiting: node.waiting.clone(),
                owner: by.owner,
                others: others.collect(),
            }
        });
        Deadlock { steps: steps.collect(), cycle }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
