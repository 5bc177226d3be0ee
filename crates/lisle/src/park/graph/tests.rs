//! Searches among random waits, compared with a definition that is too slow for anything else.

use super::super::deadlock::testing::{Thing, Worker};
use super::super::{Kind, Limit, deadlock};
use super::*;
use std::collections::HashSet;

const THREADS: usize = 6;

/// Thread numbers of each need of each thread's wait; a number from `THREADS` on does not wait.
type Needs = [Vec<Vec<usize>>; THREADS];

/// Which threads are dead.
fn dead(needs: &Needs) -> [bool; THREADS] {
    let mut dead = [true; THREADS];
    loop {
        let before = dead;
        for i in 0..THREADS {
            dead[i] &= needs[i].iter().any(|need| is_unmet(need, &dead));
        }
        if dead == before {
            return dead;
        }
    }
}

fn is_unmet(need: &[usize], dead: &[bool; THREADS]) -> bool {
    need.iter().all(|&thread| dead.get(thread).is_some_and(|&dead| dead))
}

/// Where ways by unmet needs lead from a thread.
fn reached_from(start: usize, needs: &Needs, dead: &[bool; THREADS]) -> HashSet<usize> {
    let mut reached = HashSet::new();
    let mut next = vec![start];
    while let Some(thread) = next.pop() {
        for &to in needs[thread].iter().filter(|need| is_unmet(need, dead)).flatten() {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}

fn is_on_cycle(start: usize, needs: &Needs, dead: &[bool; THREADS]) -> bool {
    reached_from(start, needs, dead).contains(&start)
}

/// Needs of which every third is met by many, so that both answers are frequent.
fn random_needs(random: &mut impl FnMut(usize) -> usize) -> Needs {
    std::array::from_fn(|_| {
        let needs = if random(8) == 0 { 0 } else { 1 + random(2) };
        (0..needs).map(|_| (0..1 + random(3)).map(|_| random(THREADS + 1)).collect()).collect()
    })
}

fn check(deadlock: &Deadlock, start: usize, needs: &Needs, dead: &[bool; THREADS], number: impl Fn(u32) -> usize) {
    let Deadlock { steps, cycle } = deadlock;
    assert!(*cycle > 0);
    assert_eq!(number(steps[0].record.ident()), start);
    let threads: HashSet<usize> = steps.iter().map(|step| number(step.record.ident())).collect();
    assert_eq!(threads.len(), steps.len(), "each once");
    for (i, step) in steps.iter().enumerate() {
        if i < *cycle {
            assert_eq!(step.owner.ident, steps[(i + 1) % cycle].record.ident());
        }
        // The step names one whole need, whose threads are all dead and among those that are told.
        let mut named: Vec<usize> = step.others.iter().chain([&step.owner]).map(|owner| number(owner.ident)).collect();
        assert!(named.iter().all(|&thread| dead[thread] && threads.contains(&thread)));
        named.sort();
        let mut whole = needs[number(step.record.ident())].iter().map(|need| {
            let mut need = need.clone();
            need.sort();
            need.dedup();
            need
        });
        assert!(whole.any(|need| need == named), "{named:?}");
    }
}

/// Wherever there are cycles that hang together, one of them is told, and none twice.
#[cfg(feature = "watch")]
fn check_survey(found: &[Deadlock], needs: &Needs, dead: &[bool; THREADS], number: impl Fn(u32) -> usize + Copy) {
    let mut told = HashSet::new();
    for deadlock in found {
        let thread = |step: &Step| number(step.record.ident());
        check(deadlock, thread(&deadlock.steps[0]), needs, dead, number);
        assert!(!deadlock.steps[..deadlock.cycle].iter().any(|step| told.contains(&thread(step))));
        told.extend(deadlock.steps.iter().map(thread));
    }
    for start in (0..THREADS).filter(|&start| is_on_cycle(start, needs, dead)) {
        let mut together = reached_from(start, needs, dead).into_iter();
        assert!(
            together.any(|other| told.contains(&other) && reached_from(other, needs, dead).contains(&start)),
            "{start} of {needs:?}"
        );
    }
}

#[test]
fn finds_what_the_definition_says() {
    // Nobody grants and nobody looks: waits of this kind have no owners but for these tests.
    let things: [_; THREADS] = std::array::from_fn(|_| Thing::of(Kind::Event, "random"));
    let threads = things.map(|thing| {
        let worker = Worker::new("random");
        worker.wait_in("random", thing, Limit::Never);
        worker
    });
    let idents: Vec<u32> = threads.iter().map(Worker::ident).collect();
    #[cfg(feature = "watch")]
    let records: Vec<Shared> = threads.iter().map(|worker| worker.record.clone()).collect();
    let number = |ident| idents.iter().position(|&other| other == ident).expect("one of the threads");
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    let (mut deadlocks, mut alive, mut elsewhere) = (0, 0, 0);
    for round in 0..3_000 {
        let needs = random_needs(&mut random);
        for (thing, needs) in things.iter().zip(&needs) {
            let owners = needs.iter().enumerate().flat_map(|(i, need)| {
                let idents = need.iter().map(|&thread| idents.get(thread).copied().unwrap_or(0));
                // A need of one thread can be told in two ways.
                let alone = need.len() == 1 && round % 2 == 0;
                idents.map(move |ident| match alone {
                    true => Owner::calls(ident),
                    false => Owner::any(i as u32 + 1, ident, Bond::MayRun),
                })
            });
            thing.set_owners(owners.collect::<Vec<_>>());
        }
        let dead = dead(&needs);
        for (start, thread) in threads.iter().enumerate() {
            match search(&thread.record, &deadlock::waiting) {
                Found::Deadlock(deadlock) => {
                    assert!(dead[start] && is_on_cycle(start, &needs, &dead), "{start} of {needs:?}");
                    check(&deadlock, start, &needs, &dead, number);
                    deadlocks += 1;
                }
                Found::Nothing if dead[start] => {
                    assert!(!is_on_cycle(start, &needs, &dead), "{start} of {needs:?}");
                    elsewhere += 1;
                }
                Found::Nothing => alive += 1,
                Found::Orphan(_) => panic!("nothing is held"),
            }
        }
        #[cfg(feature = "watch")]
        check_survey(&survey(&records, &deadlock::waiting), &needs, &dead, number);
    }
    assert!(deadlocks > 500 && alive > 500 && elsewhere > 500, "{deadlocks}, {alive}, {elsewhere}");
    for thing in things {
        thing.finish();
    }
}
