"""Ends with 50 daemon threads in every kind of wait, and an idle pool. The last thing it does is to write the time.

    exits.py calm    all threads stay asleep
    exits.py woken   all are woken just before the end, and come back while the interpreter goes
    exits.py timed   all wait again and again, a millisecond at a time
"""

import itertools
import os
import queue
import sys
import threading
import time
from concurrent import futures

from waits import WAITS, entering

THREADS = 50
manner = sys.argv[1]
wakes = []


def woken():
    """Waits that `wakes` end, each once: the thread comes back, and waits for what never comes."""
    event, gate = threading.Event(), threading.Condition()
    lock, rlock = threading.Lock(), threading.RLock()
    semaphore, barrier = threading.Semaphore(0), threading.Barrier(1000)
    q, full, simple, pending = queue.Queue(), queue.Queue(1), queue.SimpleQueue(), futures.Future()
    full.put(None)
    lock.acquire()
    rlock.acquire()

    def condition():
        with gate:
            gate.wait()

    def notify():
        with gate:
            gate.notify_all()

    wakes.extend([event.set, notify, lock.release, rlock.release, lambda: semaphore.release(50), barrier.abort])
    wakes.extend([lambda: q.put(None), lambda: full.get(), lambda: simple.put(None), lambda: pending.set_result(None)])
    return [
        event.wait, condition, entering(lock), entering(rlock), semaphore.acquire, barrier.wait,
        q.get, lambda: full.put(None), simple.get, pending.result, lambda: futures.wait([pending]),
    ]  # fmt: skip


def timed():
    """Waits that end by themselves."""
    lock, condition = threading.Lock(), threading.Condition()
    lock.acquire()
    pending, q = futures.Future(), queue.Queue()

    def wait():
        with condition:
            condition.wait(0.001)

    def get():
        try:
            q.get(timeout=0.001)
        except queue.Empty:
            pass

    def result():
        try:
            pending.result(0.001)
        except futures.TimeoutError:
            pass

    return [
        lambda: lock.acquire(timeout=0.001), lambda: threading.Event().wait(0.001), get, result, wait,
        lambda: threading.Semaphore(0).acquire(timeout=0.001), lambda: futures.wait([pending], timeout=0.001),
    ]  # fmt: skip


def once(wait):
    def body():
        try:
            wait()
        except threading.BrokenBarrierError:
            pass
        threading.Event().wait()

    return body


def again(wait):
    def body():
        while True:
            wait()

    return body


def asleep():
    """Whether all threads but this one sleep."""
    me = str(threading.get_native_id())
    for task in os.listdir("/proc/self/task"):
        if task != me:
            with open(f"/proc/self/task/{task}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] != "S":
                    return False
    return True


if manner == "calm":
    bodies = [make() for make in WAITS.values()]
elif manner == "woken":
    bodies = [once(wait) for wait in woken()]
else:
    bodies = [again(wait) for wait in timed()]
started = threading.Barrier(THREADS + 1)


def begin(body):
    started.wait()
    body()


for body in itertools.islice(itertools.cycle(bodies), THREADS):
    threading.Thread(target=begin, args=[body], daemon=True).start()
pool = futures.ThreadPoolExecutor(2)
for future in [pool.submit(print, end="") for _ in range(4)]:
    future.result()
started.wait()
if manner != "timed":
    # Some are asleep only for the moment, on their way to the wait: five looks in a row say more than one.
    looks = 0
    while looks < 5:
        looks = looks + 1 if asleep() else 0
        time.sleep(0.001)
for wake in wakes:
    wake()
os.write(1, b"%d\n" % time.monotonic_ns())
