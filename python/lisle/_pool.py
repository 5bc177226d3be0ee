"""`ThreadPoolExecutor`: the part of it that is not run for each call. The rest is in Rust."""

import itertools as _itertools
import threading as _threading
import time as _time
import weakref as _weakref
from collections import deque as _deque
from concurrent.futures import _base
from concurrent.futures import thread as _thread
from queue import Empty as _Empty

from . import _lisle

# Before anybody can have put ours in its place.
_StockPool = _thread.ThreadPoolExecutor


class _IdleSemaphore:
    """`_idle_semaphore`: it counts the workers for which there is nothing to do."""

    __slots__ = ("_queue",)

    def __init__(self, queue):
        self._queue = queue

    def acquire(self, blocking=True, timeout=None):
        return self._queue._spare()

    def release(self, n=1):
        """The queue itself knows who waits at it."""


class ThreadPoolExecutor(_lisle.PoolBase, _StockPool):
    """Runs calls on threads, of which it makes another when none is free for a call.

    `max_workers`: how many threads there may be. `thread_name_prefix`: what their names begin with.
    `initializer(*initargs)` is called by each before its first call; if that fails, the pool is broken.

    `max_pending`: `submit` waits while so many calls have not begun. `daemon`: its threads do not keep
    the interpreter from ending. `help`: a worker that waits for a future of this pool makes the call
    itself if nobody has begun it.
    """

    # Names for those who were not given one are counted with the standard library's.
    _counter = _StockPool._counter

    def __init__(
        self,
        max_workers=None,
        thread_name_prefix="",
        initializer=None,
        initargs=(),
        *,
        max_pending=None,
        daemon=False,
        help=False,
        **ctxkwargs,
    ):
        if max_pending is not None and max_pending <= 0:
            raise ValueError("max_pending must be greater than 0")
        self._daemon = daemon
        # Whatever the version does and checks here; it also sets all attributes.
        super().__init__(max_workers, thread_name_prefix, initializer, initargs, **ctxkwargs)
        self._initializer = initializer
        self._initargs = initargs
        if ctxkwargs or _has_own_context(type(self)):
            return  # its calls are made in ways that only the standard library knows
        del self.__dict__["_work_queue"]
        self._queue = _lisle.WorkQueue(max_pending, bool(help))
        self._idle_semaphore = _IdleSemaphore(self._queue)
        self._adjusts = type(self)._adjust_thread_count is not _adjust_thread_count

    @property
    def _work_queue(self):
        queue = self._queue
        return self.__dict__["_work_queue"] if queue is None else queue

    @_work_queue.setter
    def _work_queue(self, queue):
        self.__dict__["_work_queue"] = queue
        if self._queue is not None:
            # A program has another idea of what a queue is: from here on all goes the standard way.
            self._queue = None
            self._idle_semaphore = _threading.Semaphore(0)

    def _adjust_thread_count(self):
        queue = self._queue
        if queue is None:
            return _StockPool._adjust_thread_count(self)
        if self._idle_semaphore.acquire(timeout=0):
            return
        count = len(self._threads)
        if count >= self._max_workers:
            return

        # When the executor is gone, its workers are to notice.
        def gone(_, put=queue.put):
            put(None)

        thread = _threading.Thread(
            name=f"{self._thread_name_prefix or self}_{count}",
            target=_work,
            args=(_weakref.ref(self, gone), queue, self._initializer, self._initargs),
            daemon=True if self._daemon else None,
        )
        thread.start()
        self._threads.add(thread)
        if not self._daemon:
            _thread._threads_queues[thread] = queue

    def map(self, fn, *iterables, timeout=None, chunksize=1, buffersize=None):
        """Like map(fn, *iterables), with the calls made by the workers; results come in order.

        All is submitted at once, or with `buffersize` only so many calls ahead of what was taken.
        TimeoutError if a result is not there `timeout` seconds after this call. What was not taken is
        cancelled when the iterator goes.
        """
        end = None if timeout is None else timeout + _time.monotonic()
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        submit = self.submit
        arguments = zip(*iterables)
        ahead = arguments if buffersize is None else _itertools.islice(arguments, buffersize)
        if len(iterables) == 1:
            futures = _deque([submit(fn, one) for (one,) in ahead])
        else:
            futures = _deque([submit(fn, *each) for each in ahead])
        more = None if buffersize is None else _More(self, fn, arguments)
        return _results(futures, end, more)

    def shutdown(self, wait=True, *, cancel_futures=False, timeout=None):
        """Takes no more calls; with `wait`, returns when the workers have made the pending ones.

        `cancel_futures` cancels those that have not begun. On timeout: TimeoutError, which names the
        workers that are still at it; they go on.
        """
        if cancel_futures:
            # Workers that are on their way take the calls that they were started for: nobody expects the first
            # of many calls to be cancelled. To ask for the native id is to wait for a thread to begin.
            for thread in list(self._threads):
                thread.native_id
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        if not wait:
            return
        end = None if timeout is None else timeout + _time.monotonic()
        for thread in list(self._threads):
            thread.join(None if end is None else max(end - _time.monotonic(), 0))
        if end is not None and (left := [thread.name for thread in self._threads if thread.is_alive()]):
            raise TimeoutError(f"{len(left)} of {len(self._threads)} workers go on: {', '.join(sorted(left))}")


ThreadPoolExecutor.__module__ = _StockPool.__module__
ThreadPoolExecutor.__qualname__ = "ThreadPoolExecutor"
_adjust_thread_count = ThreadPoolExecutor._adjust_thread_count


def _has_own_context(pool):
    """Whether the class makes calls in a context of its own (from 3.14)."""
    return _of_class(pool, "prepare_context") is not _of_class(_StockPool, "prepare_context")


def _of_class(of, name):
    """An attribute as it stands in the class or one that it derives from. (`inspect` has this too, but takes longer to
    import than all the rest.)"""
    return next((base.__dict__[name] for base in of.__mro__ if name in base.__dict__), None)


class _More:
    """Submits another call of a `map` for each result that is taken, as long as the pool lives."""

    def __init__(self, pool, fn, arguments):
        self._pool = _weakref.ref(pool)
        self._fn = fn
        self._arguments = arguments

    def __call__(self, futures):
        pool = self._pool()
        if pool is not None:
            for each in self._arguments:
                futures.append(pool.submit(self._fn, *each))
                return


def _results(futures, end, more):
    try:
        while futures:
            if more is not None:
                more(futures)
            # The one that is waited for is kept in no variable: it goes when its result comes.
            yield _take(futures.popleft(), end)
    finally:
        for future in futures:
            future.cancel()


def _take(future, end):
    try:
        try:
            return future.result() if end is None else future.result(end - _time.monotonic())
        finally:
            future.cancel()
    finally:
        # Its exception refers to this frame, and would to itself.
        del future


def _work(pool_reference, queue, initializer, initargs):
    """What a worker's thread does."""
    if initializer is not None:
        try:
            initializer(*initargs)
        except BaseException:
            _base.LOGGER.critical("Exception in initializer:", exc_info=True)
            pool = pool_reference()
            if pool is not None:
                pool._initializer_failed()
            return
    try:
        while True:
            queue._run()  # until None comes out
            pool = pool_reference()
            if _thread._shutdown or pool is None or pool._shutdown:
                if pool is not None:
                    pool._shutdown = True
                queue.put(None)  # the others are to go too
                return
            del pool
    except BaseException:
        _base.LOGGER.critical("Exception in worker", exc_info=True)


def _refuse(pool):
    """Raises what keeps the pool from taking a call."""
    if pool._broken:
        raise _thread.BrokenThreadPool(pool._broken)
    if pool._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    if _thread._shutdown:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")


def _hire(pool, item):
    """Puts a call in for which another worker may be needed."""
    with pool._shutdown_lock, _thread._global_shutdown_lock:
        _refuse(pool)
        pool._work_queue.put(item)
        pool._adjust_thread_count()


def _breathe():
    """Run by a worker between two calls, which need not be of Python functions."""


_lisle._set_up_pools(
    {
        "thread": _thread.__dict__,
        "submit": _StockPool.submit,
        "refuse": _refuse,
        "hire": _hire,
        "breathe": _breathe,
        "Empty": _Empty,
    }
)
