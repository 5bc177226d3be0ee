"""Garbage cycles through every kind of object are collected, and 10^6 short-lived ones leave nothing behind.

    garbage.py cycles          names what stays
    garbage.py growth TIMES    prints `KIND BYTES` for each, BYTES being what the process has grown by
"""

import _thread
import gc
import os
import queue
import sys
import threading
import weakref
from concurrent import futures
from itertools import repeat


class Node:
    """What a cycle is known by: a weak reference to it tells whether it went."""


def through_queue(make):
    def cycle(node):
        q = make()
        q.put(node)
        node.q = q

    return cycle


def through_priority(node):
    q = queue.PriorityQueue()
    q.put((1, node))
    node.q = q


def through_exposed(node):
    """A queue whose insides have been looked at."""
    q = queue.Queue()
    with q.mutex:
        q.queue.append(node)
    node.q = q


def through_result(node):
    node.future = futures.Future()
    node.future.set_result(node)


def through_error(node):
    node.future = futures.Future()
    error = ValueError()
    error.node = node
    node.future.set_exception(error)


def through_callback(node):
    node.future = futures.Future()
    node.future.add_done_callback(lambda future: node)


def through_local(node):
    node.local = threading.local()
    node.local.node = node


def through_attribute(make):
    def cycle(node):
        node.thing = make()
        node.thing.node = node

    return cycle


def through_condition(node):
    class Lock:
        acquire = release = staticmethod(lambda *_: True)

    lock = Lock()
    lock.condition = threading.Condition(lock)
    lock.node, node.lock = node, lock


def through_subclass(base):
    class Sub(base):
        pass

    def cycle(node):
        node.thing = Sub()
        node.thing.node = node

    return cycle


def through_thread(node):
    node.thread = threading.Thread(target=lambda: node)


def through_ended_thread(node):
    node.thread = threading.Thread(target=lambda: None)
    node.thread.node = node
    node.thread.start()
    node.thread.join()


def through_pool(node):
    node.pool = futures.ThreadPoolExecutor(1)
    node.future = node.pool.submit(lambda: node)
    node.future.result()
    node.pool.shutdown()


CYCLES = {
    "Queue": through_queue(queue.Queue),
    "LifoQueue": through_queue(queue.LifoQueue),
    "PriorityQueue": through_priority,
    "SimpleQueue": through_queue(queue.SimpleQueue),
    "Queue, exposed": through_exposed,
    "Future's result": through_result,
    "Future's exception": through_error,
    "Future's callback": through_callback,
    "local": through_local,
    "Event": through_attribute(threading.Event),
    "Condition": through_attribute(threading.Condition),
    "Condition's lock": through_condition,
    "Semaphore": through_attribute(threading.Semaphore),
    "Barrier": through_attribute(lambda: threading.Barrier(2)),
    "Queue's attribute": through_attribute(queue.Queue),
    "Event's subclass": through_subclass(threading.Event),
    "RLock's subclass": through_subclass(type(threading.RLock())),
    "Queue's subclass": through_subclass(queue.Queue),
    "SimpleQueue's subclass": through_subclass(queue.SimpleQueue),
    "Future's subclass": through_subclass(futures.Future),
    "Thread not started": through_thread,
    "Thread that ended": through_ended_thread,
    "ThreadPoolExecutor": through_pool,
}


def cycles():
    for name, cycle in CYCLES.items():
        nodes = []
        for _ in range(10):
            node = Node()
            cycle(node)
            nodes.append(weakref.ref(node))
            del node
        gc.collect()
        # A worker may hold its last call for a moment after the pool's shutdown.
        gc.collect()
        if left := sum(node() is not None for node in nodes):
            print(f"{name}: {left} of {len(nodes)} stay")


def used_queue(make):
    def use():
        q = make()
        q.put(None)
        q.get()

    return use


def waited():
    threading.Event().wait(0)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=1e-6)


def run_thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def foreign_thread():
    done = _thread.allocate_lock()
    done.acquire()

    def body():
        threading.current_thread()
        done.release()

    _thread.start_new_thread(body, ())
    done.acquire()


def run_pool():
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()


def named_local():
    local = threading.local()
    local.name = 1


kept_queue, kept_pool, kept_event = queue.Queue(), futures.ThreadPoolExecutor(2), threading.Event()


def through_kept_queue():
    kept_queue.put(None)
    kept_queue.get()


# How often of TIMES: where a thread is started or waited for, a part of it takes long enough.
GROWTH = {
    "Lock": (1, threading.Lock),
    "RLock": (1, threading.RLock),
    "Condition": (1, threading.Condition),
    "Semaphore": (1, threading.Semaphore),
    "BoundedSemaphore": (1, threading.BoundedSemaphore),
    "Event": (1, threading.Event),
    "Barrier": (1, lambda: threading.Barrier(2)),
    "local": (1, named_local),
    "Queue": (1, used_queue(queue.Queue)),
    "LifoQueue": (1, used_queue(queue.LifoQueue)),
    "PriorityQueue": (1, used_queue(queue.PriorityQueue)),
    "SimpleQueue": (1, used_queue(queue.SimpleQueue)),
    "Future": (1, lambda: futures.Future().set_result(None)),
    "Thread, not started": (0.1, lambda: threading.Thread(target=int)),
    "Timer, not started": (0.1, lambda: threading.Timer(1, int)),
    "an item of a queue": (1, through_kept_queue),
    "a call of a pool": (0.1, lambda: kept_pool.submit(int).result()),
    "a wait": (0.02, waited),
    "Thread": (0.02, run_thread),
    "a foreign thread": (0.02, foreign_thread),
    "ThreadPoolExecutor": (0.01, run_pool),
}


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(times):
    for name, (share, use) in GROWTH.items():
        count = max(int(times * share), 100)
        for _ in repeat(None, count // 5):
            use()
        gc.collect()
        before = resident()
        for _ in repeat(None, count):
            use()
        gc.collect()
        print(f"{name}:{resident() - before}", flush=True)


if sys.argv[1] == "cycles":
    cycles()
else:
    growth(int(sys.argv[2]))
