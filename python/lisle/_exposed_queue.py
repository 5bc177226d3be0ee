"""Queues whose insides a program has looked at, or that have a `_put` or `_get` of the program's own.

From then on the attributes `mutex`, `not_empty`, `not_full`, `all_tasks_done`, `queue` and the methods
`_init`, `_qsize`, `_put`, `_get` are what the documentation of the standard `queue` says they are, and
this is what is done with them. The methods of the types in `lisle._lisle` call these functions.
"""
import queue as _standard
import sys
import threading
from collections import deque
from heapq import heappop, heappush
from queue import Empty, Full
from time import monotonic

from . import _lisle

ShutDown = None  # given by lisle.queue


# The hooks, as methods of our three classes.

def _init_fifo(self, maxsize):
    self.queue = deque()


def _init_list(self, maxsize):
    self.queue = []


def _qsize(self):
    return len(self.queue)


def _append(self, item):
    self.queue.append(item)


def _take_first(self):
    return self.queue.popleft()


def _take_last(self):
    return self.queue.pop()


def _push(self, item):
    heappush(self.queue, item)


def _pop(self):
    heap = self.queue
    length, first, last = len(heap), heap[0], heap[-1]
    try:
        return heappop(heap)
    except BaseException:
        if len(heap) < length:
            _undo_pop(heap, first, last)
        raise


def _undo_pop(heap, first, last):
    """A comparison was broken off. By then the first item is gone, and the last one somewhere on a way down along
    which the others have moved up."""
    at = next((at for at, item in enumerate(heap) if item is last), 0)
    heap.append(last)
    while at:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[0] = first


def _put_first(heap, item):
    """Puts what comes before all else, without comparing."""
    heap.append(item)
    at = len(heap) - 1
    while at:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[0] = item


_PARTS = ("mutex", "not_empty", "not_full", "all_tasks_done", "queue", "maxsize", "unfinished_tasks", "is_shutdown")


def _getstate(self):
    """For `copy.copy`: the copy shares the mutex, the conditions and the items, as in the standard library."""
    return self.__dict__ or None, {name: getattr(self, name) for name in _PARTS}


def give_hooks(fifo, lifo, priority):
    fifo.__getstate__ = _getstate
    for cls, init, put, get in (
        (fifo, _init_fifo, _append, _take_first),
        (lifo, _init_list, _append, _take_last),
        (priority, _init_list, _push, _pop),
    ):
        cls._init, cls._qsize, cls._put, cls._get = init, _qsize, put, get


def _meeting_points():
    mutex = _lisle.lock()
    condition = getattr(_lisle, "Condition", threading.Condition)
    return mutex, condition(mutex), condition(mutex), condition(mutex)


def insides(queue):
    """What the queue shows from now on, with the mutex locked and no items yet."""
    points = _meeting_points()
    points[0].acquire()
    is_list = isinstance(queue, (_lisle.LifoQueue, _lisle.PriorityQueue))
    return *points, [] if is_list else deque()


def init(queue, maxsize):
    queue.maxsize = maxsize
    queue._init(maxsize)
    queue.mutex, queue.not_empty, queue.not_full, queue.all_tasks_done = _meeting_points()


# The methods.

def _now():
    """By the clock of the program, if it has put one into either module."""
    ours = sys.modules["lisle.queue"].time
    return (_standard.time if ours is monotonic else ours)()


def _wait_until(condition, timeout):
    """Ways to wait for the condition to be notified: each call tells whether there was time left."""
    if timeout is None:
        return lambda: condition.wait() or True
    if timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    end = _now() + timeout

    def wait():
        left = end - _now()
        if left <= 0.0:
            return False
        condition.wait(left)
        return True

    return wait


def _wait_for_room(queue, block, timeout):
    """With the mutex held."""
    if queue.is_shutdown:
        raise ShutDown
    if queue.maxsize <= 0:
        return
    wait = _wait_until(queue.not_full, timeout) if block else bool
    while queue._qsize() >= queue.maxsize:
        if not wait():
            raise Full
        if queue.is_shutdown:
            raise ShutDown


def _wait_for_item(queue, block, timeout):
    """With the mutex held."""
    def check():
        if queue.is_shutdown and not queue._qsize():
            raise ShutDown

    check()
    wait = _wait_until(queue.not_empty, timeout) if block else bool
    while not queue._qsize():
        if not wait():
            raise Empty
        check()


def _put_here(queue, item):
    queue._put(item)
    queue.unfinished_tasks += 1
    queue.not_empty.notify()


def _get_here(queue):
    item = queue._get()
    queue.not_full.notify()
    return item


def put(queue, item, block, timeout):
    with queue.not_full:
        _wait_for_room(queue, block, timeout)
        _put_here(queue, item)


def get(queue, block, timeout):
    with queue.not_empty:
        _wait_for_item(queue, block, timeout)
        return _get_here(queue)


def put_many(queue, items_and_done, block, timeout):
    """Puts all items; `done` have been put before, by the same call of the program."""
    items, done = items_and_done
    if block and timeout is not None:
        end = _now() + timeout
    for item in items:
        if block and timeout is not None and done:
            timeout = max(0.0, end - _now())
        try:
            put(queue, item, block, timeout)
        except Full:
            raise Full(done) from None
        done += 1


def get_many(queue, items_and_most, block, timeout):
    """Gets items until `items` are `most`, or there are no more; some may have been got before, by the same call
    of the program. What fails is for the caller to see."""
    items, most = items_and_most
    with queue.not_empty:
        if not items:
            _wait_for_item(queue, block, timeout)
        try:
            while len(items) < most and queue._qsize():
                items.append(_get_here(queue))
        except BaseException:
            _give_back_here(queue, items)
            raise


def _give_back_here(queue, items):
    """With the mutex held: each is the next item again, as far as the hooks are ours."""
    get = getattr(queue._get, "__func__", None)
    while items:
        item = items.pop()
        if get is _take_first:
            queue.queue.appendleft(item)
        elif get is _pop:
            _put_first(queue.queue, item)
        else:
            queue._put(item)
        queue.not_empty.notify()


def give_back(queue, items):
    with queue.mutex:
        _give_back_here(queue, items)


def task_done(queue):
    with queue.all_tasks_done:
        left = queue.unfinished_tasks - 1
        if left < 0:
            raise ValueError("task_done() called too many times")
        queue.unfinished_tasks = left
        if left == 0:
            queue.all_tasks_done.notify_all()


def join(queue, timeout):
    with queue.all_tasks_done:
        wait = _wait_until(queue.all_tasks_done, timeout)
        while queue.unfinished_tasks:
            if not wait():
                return False
    return None if timeout is None else True


def qsize(queue):
    with queue.mutex:
        return queue._qsize()


def empty(queue):
    with queue.mutex:
        return not queue._qsize()


def full(queue):
    with queue.mutex:
        return 0 < queue.maxsize <= queue._qsize()


def shutdown(queue, immediate):
    with queue.mutex:
        queue.is_shutdown = True
        if immediate:
            while queue._qsize():
                queue._get()
                if queue.unfinished_tasks > 0:
                    queue.unfinished_tasks -= 1
            queue.all_tasks_done.notify_all()
        queue.not_empty.notify_all()
        queue.not_full.notify_all()
