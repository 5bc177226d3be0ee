//! Handing messages to a pool of two processes, and getting them back.

use std::cell::RefCell;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use ipc_channel::ipc::IpcSharedMemory;
use lisle::executor::Function;
use lisle::process::{ProcessPoolExecutor, SharedBuffer, SharedMemory};

use crate::child::{number, or_nothing};
use crate::harness::Role::{Lisle, Peer};
use crate::harness::{Case, Goal, Plan, kept};

const WORKERS: usize = 2;
const SMALL: usize = 100;
const LARGE: usize = 1 << 20;

/// What every message begins with: both sides compare what they get with it.
static MESSAGE: LazyLock<Vec<u8>> = LazyLock::new(|| (0..LARGE).map(|index| (index % 251) as u8).collect());

fn checked<B: AsRef<[u8]>>(message: B) -> B {
    assert!(MESSAGE.starts_with(message.as_ref()), "a message has changed on its way");
    message
}

pub(crate) fn cases() -> Vec<Case> {
    let small = Case::new("process pool", "100 bytes there and back", Goal::Best(1.0))
        .timed(
            Lisle,
            "lisle",
            kept(own_pool, |pool, n| {
                (0..n).for_each(|_| {
                    let call = pool.call(VALUE, MESSAGE[..SMALL].to_vec()).expect("the pool is open");
                    checked(call.result().expect("the call ends"));
                })
            }),
        )
        .timed(
            Peer,
            "procspawn",
            kept(pool, |pool, n| {
                (0..n).for_each(|_| {
                    let call = pool.spawn(MESSAGE[..SMALL].to_vec(), checked);
                    checked(call.join().expect("the call ends"));
                })
            }),
        )
        .measured(Peer, "multiprocessing", python(SMALL, false));
    let large = Case::new("process pool", "1 MiB there and back, by shared memory", Goal::Best(1.0))
        .timed(
            Lisle,
            "lisle",
            kept(sharing_pool, |(pool, memory), n| {
                let mut answer = vec![0; LARGE];
                (0..n).for_each(|_| {
                    memory.write(0, &MESSAGE).expect("it is long enough");
                    let call = pool.call(IN_PLACE, ()).expect("the pool is open");
                    call.result().expect("the call ends");
                    memory.read(0, &mut answer).expect("it is long enough");
                    checked(&answer);
                })
            }),
        )
        .timed(
            Lisle,
            "lisle, a buffer each time",
            kept(own_pool, |pool, n| {
                (0..n).for_each(|_| {
                    let message = SharedBuffer::copy_of(&MESSAGE).expect("there is memory");
                    let call = pool.call(SHARED, message).expect("the pool is open");
                    checked(&*call.result().expect("the call ends"));
                })
            }),
        )
        .timed(
            Peer,
            "procspawn",
            kept(pool, |pool, n| {
                (0..n).for_each(|_| {
                    let call = pool.spawn(IpcSharedMemory::from_bytes(&MESSAGE), |message| {
                        checked(&*message);
                        message
                    });
                    checked(&*call.join().expect("the call ends"));
                })
            }),
        )
        .timed(
            Peer,
            "procspawn, by value",
            kept(pool, |pool, n| {
                (0..n).for_each(|_| {
                    let call = pool.spawn(MESSAGE.to_vec(), checked);
                    checked(call.join().expect("the call ends"));
                })
            }),
        )
        .measured(Peer, "multiprocessing", python(LARGE, true))
        .measured(Peer, "multiprocessing, by value", python(LARGE, false));
    [small, large].map(|case| case.longer(4).at_most(9)).into()
}

/// What the processes of lisle's pool are asked.
pub(crate) const VALUE: Function<Vec<u8>, Vec<u8>> = Function::new("a message", checked);
pub(crate) const SHARED: Function<SharedBuffer, SharedBuffer> = Function::new("a shared message", |message| {
    checked(&*message);
    message
});

/// The memory that both sides have, as a process of the pool knows it.
static MEMORY: OnceLock<SharedMemory> = OnceLock::new();

pub(crate) const ATTACH: Function<SharedMemory, ()> = Function::new("attach", |memory| drop(MEMORY.set(memory)));
pub(crate) const IN_PLACE: Function<(), ()> = Function::new("a message in place", |()| {
    thread_local!(static COPY: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGE]));
    COPY.with_borrow_mut(|copy| {
        MEMORY.get().expect("it was attached before").read(0, copy).expect("it is long enough");
        checked(copy);
    });
});

fn sharing_pool() -> (ProcessPoolExecutor, SharedMemory) {
    let memory = SharedMemory::new(LARGE).expect("there is memory");
    let pool = ProcessPoolExecutor::builder().max_workers(WORKERS).initializer(ATTACH, memory.clone()).build();
    (pool.expect("processes can be started"), memory)
}

fn own_pool() -> ProcessPoolExecutor {
    ProcessPoolExecutor::with_max_workers(WORKERS).expect("processes can be started")
}

fn pool() -> procspawn::Pool {
    procspawn::Pool::new(WORKERS).expect("processes can be started")
}

/// The round trips of Python's own pool, in a Python started for the round.
fn python(size: usize, shared: bool) -> impl FnMut(&Plan) -> Vec<f64> {
    let mut missing = false;
    move |plan| {
        if missing {
            return vec![f64::NAN];
        }
        let [workers, size] = [WORKERS, size].map(|number| number.to_string());
        let nanos = number(Command::new("python3").args([
            "-c",
            include_str!("process.py"),
            &workers,
            &size,
            &plan.batch.as_secs_f64().to_string(),
            if shared { "shared" } else { "value" },
        ]));
        // Told once.
        missing = nanos.is_err();
        vec![or_nothing(nanos)]
    }
}
