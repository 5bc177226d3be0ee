//! Two threads that do nothing wrong until a line comes on stdin, and then wait for each other: with `timed` one of
//! the waits has a limit of an hour, so the deadlock stays; with anything else it is proven, and one of them is failed.
//! For who wants to see what `lisle top` and `lisle web` make of that.

use lisle::sync::{Barrier, Mutex};
use lisle::thread::Builder;
use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn main() -> io::Result<()> {
    lisle::watch::start_agent()?;
    let locks = Arc::new(["account a", "account b"].map(|name| Mutex::named((), name)));
    let both_hold = Arc::new(Barrier::new(2));
    let tell: Vec<_> = ["transfer", "audit"]
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let (say, hear) = channel();
            let (locks, both_hold) = (Arc::clone(&locks), Arc::clone(&both_hold));
            let run = move || close(at, &locks, &both_hold, &hear);
            Builder::new().name(String::from(*name)).daemon(true).spawn(run).map(|_| say)
        })
        .collect::<io::Result<_>>()?;
    println!("ready");
    io::stdout().flush()?;
    for line in io::stdin().lock().lines() {
        let timed = line? == "timed";
        for say in &tell {
            let _ = say.send(timed);
        }
    }
    Ok(())
}

fn close(at: usize, locks: &[Mutex<()>; 2], both_hold: &Barrier, hear: &Receiver<bool>) {
    while let Ok(timed) = hear.recv() {
        let _mine = locks[at].lock();
        both_hold.wait().expect("nobody breaks it");
        let limit = Duration::from_secs(3600);
        let other = &locks[1 - at];
        let _ = if timed && at == 0 { other.lock_for(limit) } else { other.lock_interruptible() }.map(drop);
    }
}
