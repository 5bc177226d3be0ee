"""Nine small programs to look at: `python -m lisle examples/knots.py two-locks`.

Each gets into the state that its name says, prints `ready` to stdout, and stays in it until it is killed: for
Ctrl-\\ and `lisle dump`, `top` and `web` to be tried on. With --dump or --json it prints its own dump and ends. Those
in Rust are in crates/lisle/examples/knots.
"""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import lisle
from lisle import watch
from lisle.threading import RWLock

HOUR = 3600


def for_ever():
    threading.Event().wait()


def start(*calls):
    for call, *args in calls:
        name = args.pop(0)
        threading.Thread(target=call, args=args, name=name, daemon=True).start()


def named(kind, *names):
    locks = [kind() for _ in names]
    for lock, name in zip(locks, names):
        lock.name = name
    return locks


# The scenes: each starts its threads, and returns how to see whether it has come to what it is to show.


def two_locks():
    """two threads take two locks in different order, each of them in a way of its own"""
    a, b = named(threading.Lock, "account a", "account b")
    both_hold = threading.Barrier(2)

    def transfer():
        with a:
            both_hold.wait()
            with b:
                pass

    def audit():
        b.acquire()
        both_hold.wait()
        a.acquire()

    start((transfer, "transfer"), (audit, "audit"))
    return lambda now: is_told(now, "suspected")


def three_locks():
    """the same with three locks that have an owner: one thread is failed, and keeps its lock"""
    locks = named(threading.RLock, "lock 1", "lock 2", "lock 3")
    all_hold = threading.Barrier(3)

    def call(number):
        with locks[number]:
            all_hold.wait()
            try:
                with locks[(number + 1) % 3]:
                    pass
            except lisle.DeadlockError as error:
                print(error, file=sys.stderr)
                for_ever()

    start((call, "red", 0), (call, "green", 1), (call, "blue", 2))
    return lambda now: was_failed(now) and waiting(now, "reentrant mutex") == 2 and waiting(now, "event") == 1


def timed_two_locks():
    """two locks, and one of the waits has a limit: a deadlock that ends by itself"""
    first, second = named(threading.RLock, "first", "second")
    both_hold = threading.Barrier(2)

    def patient():
        with first:
            both_hold.wait()
            second.acquire()

    def hasty():
        with second:
            both_hold.wait()
            first.acquire(timeout=HOUR)

    start((patient, "patient"), (hasty, "hasty"))
    return lambda now: is_told(now, "timed")


def orphan():
    """a thread has ended with a lock"""
    (lock,) = named(threading.RLock, "left behind")
    gone = threading.Thread(target=lock.acquire, name="gone", daemon=True)

    def heir():
        gone.join()
        lock.acquire()

    gone.start()
    start((heir, "heir"))
    return lambda now: is_told(now, "orphaned")


def join_while_holding():
    """a thread joins another, which waits for its lock"""
    (ledger,) = named(threading.RLock, "ledger")

    def until_failed(call):
        try:
            call()
        except lisle.DeadlockError as error:
            print(error, file=sys.stderr)
            for_ever()

    def boss():
        with ledger:
            clerk = threading.Thread(target=until_failed, args=(ledger.acquire,), name="clerk", daemon=True)
            clerk.start()
            until_failed(clerk.join)

    start((boss, "boss"))
    return lambda now: was_failed(now) and waiting(now, "event") == 1


def no_producer():
    """a queue whose last producer has ended"""
    jobs = Queue()

    def consumer():
        while jobs.get():
            pass

    start((jobs.put, "producer", 1), (consumer, "consumer"))
    return lambda now: waiting(now, "queue empty") == 1 and "producer" not in names(now)


def starved_pool():
    """a call waits for another of its pool, which has one thread"""
    pool = ThreadPoolExecutor(1, thread_name_prefix="pool")

    def outer():
        try:
            pool.submit(int).result()
        except lisle.DeadlockError as error:
            print(error, file=sys.stderr)
            for_ever()

    start((lambda: pool.submit(outer).result(), "client"))
    return lambda now: was_failed(now) and waiting(now, "event") == 1


def contention():
    """four threads that want the same lock all the time: nothing is wrong"""
    hot = threading.Lock()
    hot.name = "hot"

    def busy():
        while True:
            with hot:
                time.sleep(0.0001)

    start(*((busy, f"busy-{n}") for n in range(4)))
    return lambda now: waiting(now, "lock") >= 2


def reader_reader_writer():
    """a thread that reads wants to read again, behind a writer that waits for it"""
    table = RWLock(name="table")
    reading = threading.Event()

    def reader():
        with table.read():
            reading.set()
            # Each wait is looked at once, when it is some milliseconds old. So it is our own that is failed.
            while not any(wait["kind"] == "write lock" and wait["waited_us"] > 50_000 for wait in waits(watch.snapshot(frames=False))):
                time.sleep(0.001)
            try:
                with table.read():
                    pass
            except lisle.DeadlockError as error:
                print(error, file=sys.stderr)
                for_ever()

    def writer():
        reading.wait()
        with table.write():
            pass

    start((reader, "reader"), (writer, "writer"))
    return lambda now: was_failed(now) and waiting(now, "write lock") == 1 and waiting(now, "event") == 1


SCENES = {
    scene.__name__.replace("_", "-"): scene
    for scene in (
        two_locks,
        three_locks,
        timed_two_locks,
        orphan,
        join_while_holding,
        no_producer,
        starved_pool,
        contention,
        reader_reader_writer,
    )
}


def waits(now):
    return [thread["wait"] for thread in now["threads"] if thread["wait"]]


def waiting(now, kind):
    return sum(wait["kind"] == kind for wait in waits(now))


def names(now):
    return [thread["name"] for thread in now["threads"]]


def was_failed(now):
    return any(report["failed"] for report in now["past_reports"])


def is_told(now, confidence):
    """Whether there is such a report, and is there to stay: the thread that tells it lets go of its wait for that."""
    return any(report["confidence"] == confidence and report["told"] for report in now["reports"])


def main():
    name, show = (sys.argv[1:] + ["", ""])[:2]
    if name not in SCENES or show not in ("", "--dump", "--json"):
        scenes = "\n".join(f"  {name:22} {scene.__doc__}" for name, scene in SCENES.items())
        sys.exit(f"usage: python -m lisle {sys.argv[0]} SCENE [--dump | --json]; the scenes are:\n{scenes}")
    is_ready = SCENES[name]()
    while not is_ready(watch.snapshot(frames=False)):
        time.sleep(0.001)
    if show:
        import json

        while (now := watch.snapshot())["frames_missing"]:
            pass  # a busy machine
        print(watch.dump() if show == "--dump" else json.dumps(now), flush=True)
        os._exit(0)
    print("ready", flush=True)
    for_ever()


if __name__ == "__main__":
    lisle.install()
    main()
