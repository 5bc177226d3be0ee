"""Every way to wait for ever: a name, and a function that makes the wait ready and returns the call that blocks.
Nothing here is a deadlock: what is waited for just never comes. Under `python -m lisle` also lisle's own waits."""

import queue
import sys
import threading
from concurrent import futures

NEVER = 3600


def held(lock):
    """Has a daemon thread take the lock and keep it."""
    taken = threading.Event()

    def hold():
        lock.acquire()
        taken.set()
        threading.Event().wait()

    threading.Thread(target=hold, daemon=True).start()
    taken.wait()
    return lock


def entering(lock):
    def enter():
        with lock:
            pass

    return enter


def waiting(method, *arguments, **named):
    """A condition's wait, its lock taken by the thread that waits."""

    def wait(condition=threading.Condition()):
        with condition:
            getattr(condition, method)(*arguments, **named)

    return wait


def full(make):
    q = make(1)
    q.put(None)
    return q


def blocked_thread():
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    return thread


class Never(futures.Executor):
    """Promises results, and does nothing for them."""

    def submit(self, *arguments, **named):
        return futures.Future()


def completed(**named):
    def first():
        for _ in futures.as_completed([futures.Future(), futures.Future()], **named):
            pass

    return first


def mapped():
    results = Never().map(print, [1])
    return lambda: next(results)


WAITS = {
    "Lock.acquire()": lambda: held(threading.Lock()).acquire,
    "Lock.acquire(timeout)": lambda: lambda lock=held(threading.Lock()): lock.acquire(timeout=NEVER),
    "with Lock": lambda: entering(held(threading.Lock())),
    "RLock.acquire()": lambda: held(threading.RLock()).acquire,
    "RLock.acquire(timeout)": lambda: lambda lock=held(threading.RLock()): lock.acquire(timeout=NEVER),
    "with RLock": lambda: entering(held(threading.RLock())),
    "with Condition": lambda: entering(held(threading.Condition())),
    "Condition.wait()": lambda: waiting("wait"),
    "Condition.wait(timeout)": lambda: waiting("wait", NEVER),
    "Condition.wait_for()": lambda: waiting("wait_for", lambda: False),
    "Condition.wait_for(timeout)": lambda: waiting("wait_for", lambda: False, timeout=NEVER),
    "Semaphore.acquire()": lambda: threading.Semaphore(0).acquire,
    "Semaphore.acquire(timeout)": lambda: lambda: threading.Semaphore(0).acquire(timeout=NEVER),
    "with Semaphore": lambda: entering(threading.Semaphore(0)),
    "with BoundedSemaphore": lambda: entering(held(threading.BoundedSemaphore(1))),
    "Event.wait()": lambda: threading.Event().wait,
    "Event.wait(timeout)": lambda: lambda: threading.Event().wait(NEVER),
    "Barrier.wait()": lambda: threading.Barrier(2).wait,
    "Barrier.wait(timeout)": lambda: lambda: threading.Barrier(2).wait(NEVER),
    "Thread.join()": lambda: blocked_thread().join,
    "Thread.join(timeout)": lambda: lambda thread=blocked_thread(): thread.join(NEVER),
    "Queue.get()": lambda: queue.Queue().get,
    "Queue.get(timeout)": lambda: lambda: queue.Queue().get(timeout=NEVER),
    "Queue.put()": lambda: lambda: full(queue.Queue).put(None),
    "Queue.put(timeout)": lambda: lambda: full(queue.Queue).put(None, timeout=NEVER),
    "Queue.join()": lambda: full(queue.Queue).join,
    "LifoQueue.get()": lambda: queue.LifoQueue().get,
    "LifoQueue.put()": lambda: lambda: full(queue.LifoQueue).put(None),
    "PriorityQueue.get()": lambda: queue.PriorityQueue().get,
    "PriorityQueue.put()": lambda: lambda: full(queue.PriorityQueue).put(1),
    "SimpleQueue.get()": lambda: queue.SimpleQueue().get,
    "SimpleQueue.get(timeout)": lambda: lambda: queue.SimpleQueue().get(timeout=NEVER),
    "Future.result()": lambda: futures.Future().result,
    "Future.result(timeout)": lambda: lambda: futures.Future().result(NEVER),
    "Future.exception()": lambda: futures.Future().exception,
    "futures.wait()": lambda: lambda: futures.wait([futures.Future(), futures.Future()]),
    "futures.wait(timeout)": lambda: lambda: futures.wait([futures.Future()], timeout=NEVER),
    "as_completed()": lambda: completed(),
    "as_completed(timeout)": lambda: completed(timeout=NEVER),
    "map's next()": mapped,
}

if "lisle" in sys.modules:
    from lisle.threading import RWLock

    class Writing:
        """An RWLock's write side as a lock that can be held."""

        def __init__(self, lock):
            self.lock = lock

        def acquire(self):
            self.side = self.lock.write()
            self.side.__enter__()

    def locked(mode):
        """What enters an RWLock that another thread writes under."""
        lock = RWLock()
        held(Writing(lock))

        def enter():
            with getattr(lock, mode)():
                pass

        return enter

    def crowded():
        """The submit of a pool that takes no more calls: its worker is busy for ever, but does not hold up the end."""
        pool = futures.ThreadPoolExecutor(1, max_pending=1, daemon=True)
        begun = threading.Event()
        pool.submit(lambda: (begun.set(), threading.Event().wait()))
        begun.wait()
        pool.submit(print)
        return lambda: pool.submit(print)

    WAITS |= {
        "RWLock.read": lambda: locked("read"),
        "RWLock.write": lambda: locked("write"),
        "with Lock.within()": lambda: entering(held(threading.Lock()).within(NEVER)),
        "Queue.get_many()": lambda: lambda: queue.Queue().get_many(3),
        "Queue.put_many()": lambda: lambda: queue.Queue(2).put_many([1, 2, 3]),
        "Queue.join(timeout)": lambda: lambda: full(queue.Queue).join(NEVER),
        "submit to a full pool": crowded,
    }
