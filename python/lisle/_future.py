"""`Future`, and waiting for several: the part of it that is seldom run. The rest is in Rust."""

import threading as _threading
import time as _time
from concurrent.futures import _base

from . import _lisle

# Before anybody can have put ours in its place.
_StockFuture = _base.Future

_PARTS = ("_condition", "_waiters", "_done_callbacks", "_state", "_result", "_exception")
_DONE = (_base.CANCELLED_AND_NOTIFIED, _base.FINISHED)


class Future(_lisle.FutureBase, _StockFuture):
    """The result of a call, once that is done."""

    __slots__ = ()

    def __repr__(self):
        state = self._state
        words = f"<{type(self).__name__} at {id(self):#x} state={_base._STATE_TO_DESCRIPTION_MAP[state]}"
        if state == _base.FINISHED:
            if (exception := self._exception) is not None:
                return f"{words} raised {type(exception).__name__}>"
            return f"{words} returned {type(self._result).__name__}>"
        return f"{words}>"

    def __getstate__(self):
        """For `copy.copy`: the copy shares the condition and the two lists, as in the standard library."""
        return self.__dict__ or None, {name: getattr(self, name) for name in _PARTS}


Future.__module__ = _StockFuture.__module__
Future.__qualname__ = "Future"


def _log(future, exception):
    _base.LOGGER.exception("exception calling callback for %r", future, exc_info=exception)


def _invalid(future):
    raise _base.InvalidStateError(f"{future._state}: {future!r}")


def _unexpected(future):
    _base.LOGGER.critical("Future %s in unexpected state: %s", id(future), future._state)
    raise RuntimeError("Future in unexpected state")


def _condition():
    return _threading.Condition()


_lisle._set_up_futures(
    {
        "Future": Future,
        "stock": _StockFuture,
        "CancelledError": _base.CancelledError,
        "log": _log,
        "invalid": _invalid,
        "unexpected": _unexpected,
        "condition": _condition,
    }
)


def _watch(waiter, future):
    """Has `future` tell `waiter` when it is done; True if it is done already."""
    done = waiter.watch(future)
    if done is not None:
        return done
    # Another library's, or one whose insides a program uses.
    with future._condition:
        if future._state in _DONE:
            return True
        future._waiters.append(waiter)
        return False


def _unwatch(waiter, future):
    if waiter.unwatch(future) is None:
        with future._condition:
            if waiter in future._waiters:
                future._waiters.remove(waiter)


def wait(fs, timeout=None, return_when=_base.ALL_COMPLETED):
    """Waits for futures, of whatever executors; returns the sets `(done, not_done)`.

    It is over when all are done, or as `return_when` says: FIRST_COMPLETED, when one is done or
    cancelled; FIRST_EXCEPTION, when one has failed. On timeout: returns what is done by then. On
    interrupt: ThreadInterrupted. Deadlock: DeadlockError, if only threads that wait for this one could
    do them.
    """
    pending = set(fs)
    done = {future for future in pending if future._state in _DONE}
    pending -= done
    if not pending or done and return_when == _base.FIRST_COMPLETED:
        return _base.DoneAndNotDoneFutures(done, pending)
    first = return_when == _base.FIRST_COMPLETED
    on_failure = return_when == _base.FIRST_EXCEPTION
    if on_failure and any(_has_failed(future) for future in done):
        return _base.DoneAndNotDoneFutures(done, pending)
    if not (first or on_failure or return_when == _base.ALL_COMPLETED):
        raise ValueError(f"Invalid return condition: {return_when!r}")
    waiter = _lisle.Waiter(1 if first else len(pending), on_failure)
    try:
        for future in pending:
            if _watch(waiter, future):
                # It is done since the look above.
                (waiter.add_exception if _has_failed(future) else waiter.add_result)(future)
        waiter.wait(timeout, tuple(pending), first or on_failure)
    finally:
        for future in pending:
            _unwatch(waiter, future)
    finished = waiter.take()
    done.update(finished)
    pending.difference_update(finished)
    return _base.DoneAndNotDoneFutures(done, pending)


def _has_failed(future):
    return not future.cancelled() and future.exception() is not None


def as_completed(fs, timeout=None):
    """Gives futures, of whatever executors, as they are done or cancelled; those first that are already.

    TimeoutError when it is asked for one that is not done `timeout` seconds after the first was asked
    for. On interrupt: ThreadInterrupted. Deadlock: DeadlockError, if only threads that wait for this
    one could do them.
    """
    end = None if timeout is None else timeout + _time.monotonic()
    pending = set(fs)
    del fs
    total = len(pending)
    waiter = _lisle.Waiter(1, False)
    finished = []
    try:
        for future in pending:
            if _watch(waiter, future):
                finished.append(future)
                del future  # nobody who got one is to find it kept here
        pending.difference_update(finished)
        finished.reverse()
        while finished:
            yield finished.pop()
        while pending:
            left = None
            if end is not None and (left := end - _time.monotonic()) < 0:
                raise _base.TimeoutError(f"{len(pending)} (of {total}) futures unfinished")
            _wait_for_some(waiter, left, pending)
            finished = waiter.take()
            pending.difference_update(finished)
            for future in finished:
                _unwatch(waiter, future)
                del future
            finished.reverse()
            while finished:
                yield finished.pop()
    finally:
        for future in pending:
            _unwatch(waiter, future)


# Deadlocks are looked for when a wait has lasted for some milliseconds. Until then nobody needs to know
# what it is for, and a list of many futures is not made for each of them.
_SOON = 0.002


def _wait_for_some(waiter, left, pending):
    if len(pending) > 32 and (left is None or left > _SOON):
        if waiter.wait(_SOON, (), False):
            return
        left = left and left - _SOON
    waiter.wait(left, tuple(pending), True)
