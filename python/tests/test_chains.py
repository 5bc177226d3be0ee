"""Long chains of objects that are let go of: none of them takes more stack the longer it is."""

import pytest

from conftest import run

# On a stack of 256 KiB, which some thousand calls within each other fill.
LENGTH = 30_000

# What makes an object of ours that refers to `inner`.
KINDS = {
    "a queue": "made(queue.Queue, inner)",
    "a LIFO queue": "made(queue.LifoQueue, inner)",
    "a priority queue": "made(queue.PriorityQueue, inner)",
    "a simple queue": "made(queue.SimpleQueue, inner)",
    "an exposed queue": "exposed(queue.Queue, inner)",
    "an exposed priority queue": "exposed(queue.PriorityQueue, inner)",
    "a queue of a subclass": "made(OwnQueue, inner)",
    "a queue that has an attribute": "attribute(queue.Queue(), inner)",
    "a queue in a tuple": "made(queue.Queue, (inner,))",
    "an event's attribute": "attribute(threading.Event(), inner)",
    "a future": "future(futures.Future(), inner)",
    "an exposed future": "exposed_future(inner)",
    "a future of a subclass": "future(OwnFuture(), inner)",
    "a future's exception": "failed(inner)",
    "a future's callback": "called_back(inner)",
    "a call that is pending": "pending(inner)",
    "a way to take a lock": "made(queue.Queue, within(inner))",
    "all in turn": "[made, exposed][n % 2]([queue.Queue, queue.SimpleQueue][n // 2 % 2], inner) "
    "if n % 3 else future(futures.Future(), inner)",
}

PROGRAM = """
import gc, sys, threading as stock
from functools import partial
from lisle import futures, queue, threading

class OwnQueue(queue.Queue):
    pass

class OwnFuture(futures.Future):
    pass

def made(cls, inner):
    it = cls()
    it.put(inner)
    return it

def exposed(cls, inner):
    it = made(cls, inner)
    getattr(it, "mutex", None)
    return it

def attribute(it, inner):
    it.inner = inner
    return it

def future(it, inner):
    it.set_result(inner)
    return it

def exposed_future(inner):
    it = futures.Future()
    it._condition
    return future(it, inner)

def failed(inner):
    it, error = futures.Future(), ValueError()
    error.inner = inner
    it.set_exception(error)
    return it

def called_back(inner):
    it = futures.Future()
    it.add_done_callback(partial(print, inner))
    return it

def within(inner):
    lock = threading.Lock()
    made = lock.within(1)
    return made, inner

def pending(inner):
    pool = futures.ThreadPoolExecutor(1)
    pool._adjust_thread_count = lambda: None
    return pool.submit(print, inner), pool

def chain():
    inner = threading.Lock()
    for n in range(LENGTH):
        inner = KIND
    return inner
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_that_is_let_go_of(kind):
    run(
        code=PROGRAM.replace("LENGTH", str(LENGTH)).replace("KIND", KINDS[kind])
        + """
stock.stack_size(256 * 1024)
thread = stock.Thread(target=chain)
thread.start()
thread.join()
"""
    )


@pytest.mark.parametrize("kind", ["a queue", "an exposed queue", "a simple queue", "a future", "a queue of a subclass"])
def test_a_chain_that_is_garbage(kind):
    """At the end of a ring that the collector finds."""
    run(
        code=PROGRAM.replace("LENGTH", str(LENGTH)).replace("KIND", KINDS[kind])
        + """
import weakref
def collect():
    ring = OwnQueue()
    ring.put(chain()), ring.put(ring)
    alive = weakref.ref(ring)
    del ring
    gc.collect(), gc.collect()
    assert alive() is None
stock.stack_size(256 * 1024)
thread = stock.Thread(target=collect)
stock.excepthook = lambda args: failed.append(args)
failed = []
thread.start()
thread.join()
assert not failed, failed
"""
    )
