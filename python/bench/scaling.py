"""How operations of several threads add up, on builds without a GIL: all threads on one object, or each on its own.
Run by `sides.py` like `cases.py`; an operation's time is the wall's, so half of it is twice as many per second."""

from itertools import repeat
from time import perf_counter_ns as clock

CASES = {}
THREADS = (1, 2, 4)


def together(make, work, threads, shared):
    def run(n):
        objects = [make()] * threads if shared else [make() for _ in range(threads)]
        ready = threading.Barrier(threads + 1)

        def body(thing):
            ready.wait()
            work(thing, n // threads)

        many = [threading.Thread(target=body, args=[thing]) for thing in objects]
        for thread in many:
            thread.start()
        start = clock()
        ready.wait()
        for thread in many:
            thread.join()
        return clock() - start

    return run


def enter(lock, n):
    for _ in repeat(None, n):
        with lock:
            pass


def put_get(q, n):
    for _ in repeat(None, n):
        q.put(1)
        q.get()


def look(event, n):
    for _ in repeat(None, n):
        event.is_set()


def turn(event, n):
    for _ in repeat(None, n):
        event.set()
        event.clear()


OPERATIONS = {
    "with Lock": (lambda: threading.Lock(), enter),
    "with RLock": (lambda: threading.RLock(), enter),
    "with Semaphore": (lambda: threading.Semaphore(), enter),
    "Event is_set": (lambda: threading.Event(), look),
    "Event set, clear": (lambda: threading.Event(), turn),
    "Queue put + get": (lambda: queue.Queue(), put_get),
    "SimpleQueue put + get": (lambda: queue.SimpleQueue(), put_get),
}

for operation, (make, work) in OPERATIONS.items():
    for threads in THREADS:
        for shared in (True, False):
            CASES[f"{operation}, {threads} on {'one' if shared else 'private'}"] = {
                "run": together(make, work, threads, shared),
                "goal": 0.95 if operation == "with Lock" else 1.0,
                "count": 120_000,
                "scaling": {"operation": operation, "threads": threads, "shared": shared},
            }
