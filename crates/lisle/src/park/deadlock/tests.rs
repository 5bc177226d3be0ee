//! Waits with alternatives, on things whose owners the tests make up.

use super::super::current;
use super::super::{Label, Limit, Outcome};
use super::testing::{SITE, Thing, Waited, Worker, until};
use super::*;
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

fn may_run<'a>(group: u32, workers: impl IntoIterator<Item = &'a Worker>) -> Vec<Owner> {
    workers.into_iter().map(|worker| Owner::any(group, worker.ident(), Bond::MayRun)).collect()
}

#[track_caller]
fn report_of(waited: &mpsc::Receiver<Waited>) -> Report {
    match waited.recv_timeout(Duration::from_secs(20)) {
        Ok(Err(Outcome::Deadlocked(report))) => *report,
        other => panic!("expected a deadlock: {other:?}"),
    }
}

#[track_caller]
fn granted(waited: &mpsc::Receiver<Waited>) {
    assert!(matches!(waited.recv_timeout(Duration::from_secs(20)), Ok(Ok(()))));
}

/// The report's text with all lengths of time as `N ms`, since nobody knows them.
fn text_of(report: &Report) -> String {
    let mut text = String::new();
    for (i, line) in report.to_string().lines().enumerate() {
        let line = line.split_inclusive(' ').collect::<Vec<_>>();
        let is_unit =
            |i: usize| line.get(i).is_some_and(|word| matches!(word.trim_end_matches([' ', ':']), "ms" | "s"));
        text += if i > 0 { "\n" } else { "" };
        for (i, word) in line.iter().enumerate() {
            text += match () {
                () if is_unit(i + 1) => "N ",
                () if is_unit(i) => {
                    if word.ends_with(": ") {
                        "ms: "
                    } else {
                        "ms "
                    }
                }
                () => word,
            };
        }
    }
    text
}

/// A thread's wait as the report has it.
fn waits_text(worker: &Worker, call: &str, thing: &str, by: &Worker, rest: &str) -> String {
    let name = |worker: &Worker| format!("thread {:?} (ident {})", worker.record.name.get(), worker.ident());
    format!(
        "\n  {}, running call {call:?}, has waited N ms for join {thing:?}\n    in a call at {SITE}\n    {} {}{rest}",
        name(worker),
        if rest.contains("run by") { "" } else { "to be run by" },
        name(by),
    )
}

static PUBLISHED: Mutex<Vec<Report>> = Mutex::new(Vec::new());

fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| report::on_report(|report| PUBLISHED.lock().unwrap().push(report.clone())));
}

/// What was published about a thing of this name.
fn published(name: &str) -> Vec<Report> {
    let object = format!("{name:?}");
    let published = PUBLISHED.lock().unwrap();
    published.iter().filter(|report| report.links.iter().any(|link| link.object == object)).cloned().collect()
}

#[test]
fn a_pool_whose_threads_all_wait_for_what_only_they_could_run() {
    let workers = [Worker::new("dead-0"), Worker::new("dead-1")];
    let [first, second] = ["first", "second"].map(Thing::new);
    first.set_owners(may_run(1, &workers));
    second.set_owners(may_run(1, &workers));
    let early = workers[0].wait_in("outer 0", first, Limit::Never);
    workers[0].waits_on_for(first); // the other thread has nothing to do
    let late = workers[1].wait_in("outer 1", second, Limit::Never);
    let report = report_of(&late);
    assert_eq!(report.confidence, Confidence::Proven);
    let expected = "deadlock: 2 threads wait for each other".to_owned()
        + &waits_text(&workers[1], "outer 1", "second", &workers[0], " or another thread, which waits too")
        + &waits_text(&workers[0], "outer 0", "first", &workers[1], " or another thread, which waits too");
    assert_eq!(text_of(&report), expected);
    assert_eq!(report.links[0].others, [workers[1].ident()]);
    // The one that was failed could run what the other waits for.
    workers[0].looks_again(first);
    first.finish();
    granted(&early);
}

#[test]
fn a_pool_of_one() {
    let worker = Worker::new("alone");
    let thing = Thing::of(Kind::Future, "its own");
    thing.set_owners(may_run(1, [&worker]));
    let report = report_of(&worker.run(|| {
        let label = Label::new(SITE);
        current::doing(&label, || thing.wait(Limit::Never))
    }));
    let expected = format!(
        "deadlock: 1 thread waits for itself\n  \
         thread \"alone\" (ident {ident}), running the call submitted at {SITE}, has waited N ms for future \"its own\"\n    \
         in a call at {SITE}\n    to be run by thread \"alone\" (ident {ident})",
        ident = worker.ident(),
    );
    assert_eq!(text_of(&report), expected);
    assert_eq!(report.links[0].running, Some(format!("the call submitted at {SITE}")));
}

#[test]
fn one_that_is_at_work_is_enough_until_it_waits() {
    let workers = [Worker::new("live-0"), Worker::new("live-1"), Worker::new("live-2")];
    let things = ["live a", "live b", "live c"].map(Thing::new);
    for thing in things {
        thing.set_owners(may_run(7, &workers));
    }
    let early = workers[0].wait_in("a", things[0], Limit::Never);
    // Waits for a thing that anybody may finish, as an idle thread of a pool does.
    let free = Thing::new("live free");
    let idle = workers[1].wait_in("free", free, Limit::Never);
    let last = workers[2].wait_in("c", things[2], Limit::Never);
    workers[0].waits_on_for(things[0]);
    workers[1].waits_on_for(free);
    workers[2].waits_on_for(things[2]);
    free.finish();
    granted(&idle);
    workers[2].looks_again(things[2]);
    let report = report_of(&workers[1].wait_in("b", things[1], Limit::Never));
    assert!(text_of(&report).starts_with("deadlock: 3 threads wait for each other\n"), "{report}");
    // The way goes from each to the first of the others; all are named once, each with its call.
    let mut links: Vec<_> = report.links.iter().map(|link| (link.ident, link.object.as_str())).collect();
    assert_eq!(links[0].0, workers[1].ident());
    links.sort();
    let expected =
        [(0, "\"live a\""), (1, "\"live b\""), (2, "\"live c\"")].map(|(i, name)| (workers[i].ident(), name));
    assert_eq!(links, expected);
    let text = report.to_string();
    assert_eq!(text.matches(" or one of 2 other threads, which wait too").count(), 3, "{text}");
    for (waited, thing) in [(early, things[0]), (last, things[2])] {
        thing.finish();
        granted(&waited);
    }
}

#[test]
fn what_anybody_may_do_is_never_a_deadlock() {
    let workers = [Worker::new("any-0"), Worker::new("any-1")];
    let things = ["any a", "any b"].map(Thing::new);
    let waits: Vec<_> = (0..2)
        .map(|i| {
            let mut owners = may_run(1, &workers);
            owners.insert(i, Owner::any(1, 0, Bond::MayRun));
            things[i].set_owners(owners);
            workers[i].wait_in("any", things[i], Limit::Never)
        })
        .collect();
    for i in 0..2 {
        workers[i].looks_again(things[i]);
        things[i].finish();
        granted(&waits[i]);
    }
}

#[test]
fn all_groups_are_needed() {
    let (dead, busy) = (Worker::new("and-dead"), Worker::new("and-busy"));
    // What `busy` does meets the first need only.
    let thing = Thing::new("both pools");
    thing.set_owners([may_run(1, [&dead, &busy]), may_run(2, [&dead])].concat());
    let report = report_of(&dead.wait_in("two pools", thing, Limit::Never));
    let expected =
        "deadlock: 1 thread waits for itself".to_owned() + &waits_text(&dead, "two pools", "both pools", &dead, "");
    assert_eq!(text_of(&report), expected);
    assert!(report.links[0].others.is_empty());

    // Both needs met: no deadlock.
    let other = Worker::new("and-other");
    thing.set_owners([may_run(1, [&dead, &busy]), may_run(2, [&dead, &other])].concat());
    let waited = dead.wait_in("two pools", thing, Limit::Never);
    dead.waits_on_for(thing);
    thing.finish();
    granted(&waited);
}

#[test]
fn an_owner_of_its_own_beside_a_group() {
    // `caller` waits for a call that `runner` runs, and for another that is pending.
    let (caller, runner) = (Worker::new("mixed-caller"), Worker::new("mixed-runner"));
    let (both, back) = (Thing::new("both calls"), Thing::new("back"));
    both.set_owners([vec![Owner::calls(runner.ident())], may_run(1, [&caller, &runner])].concat());
    back.set_owners([Owner::calls(caller.ident())]);
    let waited = caller.wait_in("calls", both, Limit::Never);
    caller.waits_on_for(both);
    let report = report_of(&runner.wait_in("is called", back, Limit::Never));
    let text = text_of(&report);
    assert!(text.starts_with("deadlock: 2 threads wait for each other\n"), "{text}");
    assert!(text.contains(&format!("\n    run by thread \"mixed-caller\" (ident {})\n", caller.ident())), "{text}");
    assert!(text.ends_with(&format!("\n    run by thread \"mixed-runner\" (ident {})", runner.ident())), "{text}");
    both.finish();
    granted(&waited);
}

#[test]
fn an_alternative_with_a_time_limit_ends_it() {
    listen();
    let workers = [Worker::new("timed-0"), Worker::new("timed-1"), Worker::new("timed-2")];
    // The cycle is of the first two; that the third one is dead too is what it rests on.
    let things = ["timed a", "timed b", "timed c"].map(Thing::new);
    things[0].set_owners(may_run(1, &workers[1..]));
    things[1].set_owners([Owner::calls(workers[0].ident())]);
    things[2].set_owners([Owner::calls(workers[0].ident())]);
    let limited = workers[2].wait_in("c", things[2], Limit::For(Duration::from_secs(3600)));
    let waits = [0, 1].map(|i| workers[i].wait_in("ab", things[i], Limit::Never));
    until(|| !published("timed c").is_empty());
    workers.iter().for_each(Worker::falls_asleep); // who has told it left its wait for that moment
    for (worker, thing) in workers.iter().zip(things) {
        worker.looks_again(thing);
    }
    let reports = published("timed c");
    assert_eq!(reports.len(), 1, "once, not by each thread: {reports:?}");
    assert_eq!(reports[0].confidence, Confidence::Timed);
    let text = text_of(&reports[0]);
    assert!(text.starts_with("deadlock that ends by itself in N ms: 3 threads wait for each other\n"), "{text}");
    for (waited, thing) in waits.iter().chain([&limited]).zip(things) {
        thing.finish();
        granted(waited);
    }
}

#[test]
fn who_only_waits_for_a_deadlock_is_not_failed() {
    // The pool of two is dead as a whole; `outside` waits for it, and is asked first and last.
    let workers = [Worker::new("elsewhere-0"), Worker::new("elsewhere-1")];
    let (outside, things) = (Worker::new("outside"), ["else a", "else b", "else out"].map(Thing::new));
    for thing in things {
        thing.set_owners(may_run(1, &workers));
    }
    let waited = outside.wait_in("outside", things[2], Limit::Never);
    let early = workers[0].wait_in("a", things[0], Limit::Never);
    outside.waits_on_for(things[2]);
    workers[0].waits_on_for(things[0]);
    let late = workers[1].wait_in("b", things[1], Limit::Never);
    outside.record.look_again(); // may see the deadlock before the next line does
    let report = report_of(&late);
    assert!(report.links.iter().all(|link| link.ident != outside.ident()), "{report}");
    assert_eq!(report.links.len(), 2);
    outside.looks_again(things[2]);
    for (waited, thing) in [(early, things[0]), (waited, things[2])] {
        thing.finish();
        granted(&waited);
    }
}

#[test]
fn a_thread_that_leaves_the_pool_has_the_others_look_again() {
    let mut workers = [Worker::new("stays"), Worker::new("leaves")];
    let thing = Thing::of(Kind::QueueLock, "deserted");
    thing.set_owners(may_run(1, &workers));
    let waited = workers[0].wait_in("deserted", thing, Limit::Never);
    workers[0].waits_on_for(thing);
    thing.set_owners(may_run(1, &workers[..1]));
    workers[1].end();
    look_again(Kind::Future); // for which it does not wait
    thread::sleep(Duration::from_millis(20));
    assert!(workers[0].is_waiting());
    look_again(Kind::QueueLock);
    assert!(report_of(&waited).to_string().starts_with("deadlock: 1 thread waits for itself\n"));
}

#[test]
fn a_pool_and_a_lock() {
    // `holder` owns what one thread of the pool wants and waits for the pool, whose other thread
    // waits for `holder`'s call.
    let (workers, holder) = ([Worker::new("wants"), Worker::new("asks")], Worker::new("holder"));
    let [lock, call, pending] = ["the lock", "the call", "the pending"].map(Thing::new);
    lock.set_owners([Owner::holds(holder.ident(), Some(SITE.into()))]);
    call.set_owners([Owner::calls(holder.ident())]);
    pending.set_owners(may_run(1, &workers));
    let waits = [workers[0].wait_in("w", lock, Limit::Never), workers[1].wait_in("a", call, Limit::Never)];
    workers[0].waits_on_for(lock);
    workers[1].waits_on_for(call);
    let report = report_of(&holder.wait_in("h", pending, Limit::Never));
    let text = text_of(&report);
    assert!(text.starts_with("deadlock: 3 threads wait for each other\n"), "{text}");
    assert!(
        text.contains(&format!("    held by thread \"holder\" (ident {}), taken at {SITE}\n", holder.ident())),
        "{text}"
    );
    // The cycle, then the alternative.
    let idents: Vec<_> = report.links.iter().map(|link| (link.ident, link.holder_ident)).collect();
    let [wants, asks] = [workers[0].ident(), workers[1].ident()];
    assert_eq!(idents, [(holder.ident(), wants), (wants, holder.ident()), (asks, holder.ident())]);
    for (waited, thing) in waits.iter().zip([lock, call]) {
        thing.finish();
        granted(waited);
    }
}

#[test]
fn calls_nest_and_end_with_a_panic() {
    let worker = Worker::new("nested");
    let (free, ident) = (Thing::new("free"), worker.ident());
    let waited = worker.run(move || {
        let [outer, inner] = ["outer", "inner"].map(|name| Label::named(name.into(), SITE));
        current::doing(&outer, || {
            let panicked =
                std::panic::catch_unwind(|| current::doing(&inner, || std::panic::resume_unwind(Box::new(()))));
            assert!(panicked.is_err());
            free.wait(Limit::Never)
        })
    });
    worker.falls_asleep();
    let line = describe_wait(&worker.record);
    assert!(
        line.starts_with(&format!("thread \"nested\" (ident {ident}), running call \"outer\", has waited ")),
        "{line}"
    );
    free.finish();
    granted(&waited);
    let waited = worker.run(|| Thing::new("no call").wait(Limit::For(Duration::from_millis(50))));
    worker.falls_asleep();
    let line = describe_wait(&worker.record);
    assert!(line.starts_with(&format!("thread \"nested\" (ident {ident}) has waited ")), "{line}");
    assert!(matches!(waited.recv().unwrap(), Err(Outcome::TimedOut)));
}

#[test]
fn who_could_end_a_wait_is_told_at_exit() {
    let workers = [Worker::new("told-0"), Worker::new("told-1"), Worker::new("told-2")];
    let thing = Thing::new("told");
    let owners = [vec![Owner::calls(workers[2].ident())], may_run(1, &workers), may_run(1, &workers)].concat();
    thing.set_owners(owners);
    let waited = workers[0].wait_in("teller", thing, Limit::Never);
    let line = describe_wait(&workers[0].record);
    let expected = format!(
        " for join \"told\", in a call at {SITE}, run by thread \"told-2\" (ident {}), \
         to be run by thread \"told-0\" (ident {}) or one of 2 other threads",
        workers[2].ident(),
        workers[0].ident(),
    );
    assert!(line.ends_with(&expected), "{line}");
    thing.finish();
    granted(&waited);
}
