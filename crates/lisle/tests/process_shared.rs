//! Channels, memory and locks that processes share.

mod process_support;

use lisle::executor::Function;
use lisle::process::{
    self, Process, ReceiveError, Receiver, SendError, Sender, SharedBuffer, SharedLock, SharedMemory, channel,
};
use lisle::thread;
use process_support::{LONG, children, descriptors, run, until};
use std::time::Duration;

type Ends<T> = (Receiver<T>, Sender<T>);

const ECHO: Function<Ends<Vec<u8>>, usize> = Function::new("echo", |(items, back)| {
    let mut count = 0;
    while let Ok(item) = items.recv() {
        back.send(&item).unwrap();
        count += 1;
    }
    count
});
const PRODUCE: Function<(Sender<(u32, u32)>, u32), ()> = Function::new("produce", |(items, who)| {
    for number in 0..500 {
        items.send(&(who, number)).unwrap();
    }
});
const BLOCKED: Function<(Sender<u32>, Receiver<u32>), ()> = Function::new("blocked", |(ready, never)| {
    ready.send(&0).unwrap();
    let _ = never.recv();
});
const SUM_OF: Function<SharedBuffer, (u64, SharedBuffer)> = Function::new("sum of", |bytes| {
    let sum = bytes.iter().map(|&byte| u64::from(byte)).sum();
    (sum, SharedBuffer::filled(bytes.len(), |copy| copy.copy_from_slice(&bytes)).unwrap())
});
const MARK: Function<SharedMemory, ()> =
    Function::new("mark", |memory| memory.write(memory.len() - 4, b"here").unwrap());
const COUNT_UP: Function<(SharedLock, SharedMemory, u32), ()> = Function::new("count up", |(lock, memory, times)| {
    for _ in 0..times {
        let _held = lock.lock().unwrap();
        let mut count = [0; 8];
        memory.read(0, &mut count).unwrap();
        memory.write(0, &(u64::from_ne_bytes(count) + 1).to_ne_bytes()).unwrap();
    }
});
const HOLD: Function<(SharedLock, Sender<()>), ()> = Function::new("hold", |(lock, ready)| {
    let _held = lock.lock().unwrap();
    ready.send(&()).unwrap();
    thread::sleep(Duration::from_secs(600));
});
/// Takes and gives back as fast as it can, until it is killed.
const FLICKER: Function<(SharedLock, Sender<()>), ()> = Function::new("flicker", |(lock, ready)| {
    drop(lock.lock().unwrap());
    ready.send(&()).unwrap();
    loop {
        drop(lock.lock().unwrap());
    }
});
/// Writes to every socket that it has, which are its channels.
const BABBLE: Function<Vec<Vec<u8>>, ()> = Function::new("babble", |all| {
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if std::fs::read_link(entry.path()).is_ok_and(|name| name.display().to_string().starts_with("socket:")) {
            let fd: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
            for bytes in &all {
                // SAFETY: the bytes are as long as it says.
                unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
            }
        }
    }
});

fn main() {
    process::init(&[&ECHO, &PRODUCE, &BLOCKED, &SUM_OF, &MARK, &COUNT_UP, &HOLD, &FLICKER, &BABBLE]);
    run(&[
        ("items_go_there_and_back", items_go_there_and_back),
        ("many_senders", many_senders),
        ("a_channel_in_one_process", a_channel_in_one_process),
        ("waits_of_channels_end", waits_of_channels_end),
        ("a_killed_receiver_disconnects", a_killed_receiver_disconnects),
        ("buffers_are_not_copied", buffers_are_not_copied),
        ("memory_is_one", memory_is_one),
        ("handles_go_nowhere_else", handles_go_nowhere_else),
        ("a_lock_excludes", a_lock_excludes),
        ("a_lock_survives_its_holder", a_lock_survives_its_holder),
        ("a_lock_survives_killed_waiters", a_lock_survives_killed_waiters),
        ("waits_for_a_lock_end", waits_for_a_lock_end),
        ("a_lock_knows_deadlock", a_lock_knows_deadlock),
        ("a_forgotten_guard_harms_nobody", a_forgotten_guard_harms_nobody),
        ("babble_is_told", babble_is_told),
        ("nothing_is_left_behind", nothing_is_left_behind),
    ]);
}

fn items_go_there_and_back() {
    let (sender, items) = channel().unwrap();
    let (back, receiver) = channel().unwrap();
    let echo = process::spawn(ECHO, (items, back)).unwrap();
    for size in [0, 1, 100, 65_000, 65_536, 1 << 20] {
        let item: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        sender.send(&item).unwrap();
        assert_eq!(receiver.recv_for(LONG).unwrap(), item);
    }
    drop(sender);
    assert_eq!(echo.join_for(LONG).unwrap(), 6);
    assert!(receiver.recv_for(LONG).unwrap_err().is_disconnected());
}

fn many_senders() {
    let (sender, receiver) = channel::<(u32, u32)>().unwrap();
    let all: Vec<Process<()>> = (0..4).map(|who| process::spawn(PRODUCE, (sender.clone(), who)).unwrap()).collect();
    drop(sender);
    let mut next = [0; 4];
    while let Ok((who, number)) = receiver.recv_for(LONG) {
        assert_eq!(next[who as usize], number, "in the order of each sender");
        next[who as usize] += 1;
    }
    assert_eq!(next, [500; 4]);
    all.iter().for_each(|one| one.join_for(LONG).unwrap());
}

fn a_channel_in_one_process() {
    let (sender, receiver) = channel::<u32>().unwrap();
    assert!(matches!(receiver.try_recv(), Err(ReceiveError::Empty)));
    let mut held = 0;
    while sender.try_send(&held).is_ok() {
        held += 1;
    }
    assert!(held > 50, "{held}");
    assert!(matches!(sender.try_send(&0), Err(SendError::Full)));
    for number in 0..held {
        assert_eq!(receiver.try_recv().unwrap(), number);
    }
    drop(receiver);
    assert!(matches!(sender.send(&1), Err(SendError::Disconnected)));
}

fn waits_of_channels_end() {
    let (sender, receiver) = channel::<u32>().unwrap();
    assert!(receiver.recv_for(Duration::from_millis(5)).unwrap_err().is_timed_out());
    assert!(receiver.recv_for(Duration::ZERO).unwrap_err().is_timed_out());
    while sender.try_send(&0).is_ok() {}
    assert!(sender.send_for(&1, Duration::from_millis(5)).unwrap_err().is_timed_out());
    thread::scope(|scope| {
        let sends = scope.spawn(|| sender.send(&1));
        until("it waits", || sends.thread().waits_for() == Some(lisle::Kind::ChannelSend));
        sends.thread().interrupt();
        assert!(sends.join().unwrap().unwrap_err().is_interrupted());
        while receiver.try_recv().is_ok() {}
        let receives = scope.spawn(|| receiver.recv());
        until("it waits", || receives.thread().waits_for() == Some(lisle::Kind::ChannelReceive));
        receives.thread().interrupt();
        assert!(receives.join().unwrap().unwrap_err().is_interrupted());
        let receives = scope.spawn(|| receiver.recv());
        sender.send(&7).unwrap();
        assert_eq!(receives.join().unwrap().unwrap(), 7);
    });
}

fn a_killed_receiver_disconnects() {
    let (ready, is_ready) = channel().unwrap();
    let (sender, never) = channel::<u32>().unwrap();
    let blocked = process::spawn(BLOCKED, (ready, never)).unwrap();
    is_ready.recv_for(LONG).unwrap();
    blocked.kill();
    assert!(blocked.join_for(LONG).is_err());
    assert!(matches!(sender.send(&1), Err(SendError::Disconnected)));
    assert!(is_ready.recv().unwrap_err().is_disconnected());
}

fn buffers_are_not_copied() {
    for size in [0, 1, 4096, 1 << 20] {
        let buffer = SharedBuffer::filled(size, |bytes| bytes.fill(3)).unwrap();
        let (sum, copy) = process::spawn(SUM_OF, buffer.clone()).unwrap().join_for(LONG).unwrap();
        assert_eq!((sum, &*copy), (3 * size as u64, &*buffer));
    }
}

fn memory_is_one() {
    let memory = SharedMemory::new(10_000).unwrap();
    process::spawn(MARK, memory.clone()).unwrap().join_for(LONG).unwrap();
    let mut bytes = [0; 4];
    memory.read(9_996, &mut bytes).unwrap();
    assert_eq!(&bytes, b"here");
    let error = memory.read(9_997, &mut bytes).unwrap_err();
    assert_eq!(error.to_string(), "4 bytes from 9997 on are not all in a shared memory of 10000: make it larger");
    assert!(memory.write(usize::MAX, &bytes).is_err());
    assert!(SharedMemory::new(usize::MAX).is_err());
}

fn handles_go_nowhere_else() {
    let memory = SharedMemory::new(1).unwrap();
    let error = serde_json::to_string(&memory).unwrap_err();
    assert!(error.to_string().contains("only as part of what is sent to another process"), "{error}");
    assert!(serde_json::from_str::<SharedMemory>("0").is_err());
}

fn a_lock_excludes() {
    let (lock, memory) = (SharedLock::new().unwrap(), SharedMemory::new(8).unwrap());
    // A lock's handle goes along as often as one likes.
    let (sender, receiver) = channel::<SharedLock>().unwrap();
    let all: Vec<_> = (0..3)
        .map(|_| {
            sender.send(&lock).unwrap();
            process::spawn(COUNT_UP, (receiver.recv().unwrap(), memory.clone(), 2_000)).unwrap()
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let _held = lock.lock_for(LONG).unwrap();
                    let mut count = [0; 8];
                    memory.read(0, &mut count).unwrap();
                    memory.write(0, &(u64::from_ne_bytes(count) + 1).to_ne_bytes()).unwrap();
                }
            });
        }
    });
    all.iter().for_each(|one| one.join_for(LONG).unwrap());
    let mut count = [0; 8];
    memory.read(0, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 10_000);
}

/// The same lock once more, as another process gets it.
fn again(lock: &SharedLock) -> SharedLock {
    let (sender, receiver) = channel().unwrap();
    sender.send(lock).unwrap();
    receiver.recv().unwrap()
}

fn a_lock_survives_its_holder() {
    let lock = SharedLock::new().unwrap();
    for waits_already in [false, true] {
        let (ready, is_ready) = channel().unwrap();
        let holder = process::spawn(HOLD, (again(&lock), ready)).unwrap();
        is_ready.recv_for(LONG).unwrap();
        assert!(lock.try_lock().is_none());
        thread::scope(|scope| {
            let taker = waits_already.then(|| {
                let taker = scope.spawn(|| lock.lock_for(LONG).unwrap().recovered());
                until("it waits", || taker.thread().waits_for() == Some(lisle::Kind::SharedLock));
                taker
            });
            holder.kill();
            assert!(holder.join_for(LONG).is_err());
            let recovered = match taker {
                Some(taker) => taker.join().unwrap(),
                None => lock.lock_for(LONG).unwrap().recovered(),
            };
            assert_eq!(recovered.unwrap().pid, holder.pid().unwrap());
        });
        assert!(lock.lock_for(LONG).unwrap().recovered().is_none(), "it is told once");
    }
}

fn a_lock_survives_killed_waiters() {
    let lock = SharedLock::new().unwrap();
    for round in 0..10 {
        let all: Vec<_> = (0..3)
            .map(|_| {
                let (ready, is_ready) = channel().unwrap();
                let one = process::spawn(FLICKER, (again(&lock), ready)).unwrap();
                is_ready.recv_for(LONG).unwrap();
                one
            })
            .collect();
        thread::sleep(Duration::from_micros(300 * round));
        for one in &all {
            one.kill();
            drop(lock.lock_for(LONG).unwrap());
        }
        all.iter().for_each(|one| assert!(one.join_for(LONG).is_err()));
        drop(lock.lock_for(LONG).unwrap());
    }
}

fn waits_for_a_lock_end() {
    let lock = SharedLock::new().unwrap();
    let held = lock.lock().unwrap();
    thread::scope(|scope| {
        let timed = scope.spawn(|| lock.lock_for(Duration::from_millis(5)).map(drop));
        assert!(timed.join().unwrap().unwrap_err().is_timed_out());
        let waits = scope.spawn(|| lock.lock().map(drop));
        until("it waits", || waits.thread().waits_for() == Some(lisle::Kind::SharedLock));
        waits.thread().interrupt();
        assert!(waits.join().unwrap().unwrap_err().is_interrupted());
        let waits = scope.spawn(|| lock.lock().map(drop));
        until("it waits", || waits.thread().waits_for() == Some(lisle::Kind::SharedLock));
        drop(held);
        waits.join().unwrap().unwrap();
    });
}

fn a_lock_knows_deadlock() {
    let lock = SharedLock::new().unwrap();
    let _held = lock.lock().unwrap();
    let error = lock.lock().unwrap_err();
    assert!(error.to_string().starts_with("deadlock: 1 thread waits for itself"), "{error}");
}

fn a_forgotten_guard_harms_nobody() {
    let lock = SharedLock::new().unwrap();
    thread::scope(|scope| {
        let lock = again(&lock);
        scope.spawn(move || std::mem::forget(lock.lock().unwrap()));
    });
    // The kernel has given back what the thread left.
    assert_eq!(lock.lock_for(LONG).unwrap().recovered().unwrap().pid, std::process::id());
    let other = SharedLock::new().unwrap();
    drop(other.lock().unwrap());
}

fn babble_is_told() {
    let long = vec![0xff; 70_000];
    for bytes in [vec![0xff; 300], vec![3], vec![4, 1, 0, 0, 0, 0, 0, 0], vec![4, 0, 9, 0, 0, 0, 0, 0], long] {
        let error = process::spawn(BABBLE, vec![bytes]).unwrap().join_for(LONG).unwrap_err();
        assert!(matches!(error, process::JoinError::Garbage(_)), "{error}");
    }
    // What is right in form is believed, and then not readable.
    let error = process::spawn(BABBLE, vec![vec![5, 0, 0, 0, 0, 0, 0, 0, 0xff]]).unwrap().join_for(LONG).unwrap_err();
    assert!(matches!(error, process::JoinError::Garbage(_)), "{error}");
}

fn nothing_is_left_behind() {
    let before = descriptors();
    {
        let (sender, items) = channel().unwrap();
        let (back, receiver) = channel().unwrap();
        let echo = process::spawn(ECHO, (items, back)).unwrap();
        sender.send(&vec![1]).unwrap();
        receiver.recv_for(LONG).unwrap();
        drop(sender);
        echo.join_for(LONG).unwrap();
    }
    until("all children are reaped", || children().is_empty());
    until("all descriptors are closed", || descriptors() <= before);
}
