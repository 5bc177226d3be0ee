"""A thread's start, end and join: methods of `lisle.threading.Thread`, and of the standard Thread when
the drop-ins are installed."""

import os as _os
import sys as _sys
import threading as _threading
from sys import is_finalizing as _is_finalizing

from ._lisle import Finish, _interrupt, _set_up_threads
from ._lisle import _bootstrap as bootstrap

_stock = _threading.Thread
_stock_start = _stock.start
_stock_join = _stock.join

# Since 3.13 the one who starts a thread knows its ident and can join it before it has begun.
_NEED_NOT_WAIT = _sys.version_info >= (3, 13)


class _Limbo(dict):
    """The threads on their way from `start` to `_active`. The starter or the thread makes the step for
    both, whoever comes first; the other finds it made."""

    def __delitem__(self, thread):
        self.pop(thread, None)


if _NEED_NOT_WAIT:
    with _threading._active_limbo_lock:
        _threading._limbo = _Limbo(_threading._limbo)


# The `Finish`es of threads that were started and have not begun; without a GIL only.
_on_their_way = {}


def _wait_for_those_on_their_way():
    if not _is_finalizing():  # then they never begin
        for finish in _on_their_way.copy():  # others come and go, and copying is one step
            finish.wait_begun()


# Without a GIL, a thread enters itself in a table of the interpreter's before anything could stop it
# (`_Py_brc_init_thread`): the child of a fork in just that moment crashes. So forks wait until it is past that.
_ARE_SEEN_BY_FORKS = _NEED_NOT_WAIT and "t" in _sys.abiflags
if _ARE_SEEN_BY_FORKS:
    _os.register_at_fork(before=_wait_for_those_on_their_way, after_in_child=_on_their_way.clear)

_set_up_threads(
    {
        "thread": _stock,
        "limbo": _threading._limbo,
        "bootstrap": _stock._bootstrap,
        "bootstrap_inner": _stock._bootstrap_inner,
        "on_their_way": _on_their_way,
    }
)


def start(self):
    """Starts the thread; RuntimeError if that was done before."""
    started = self._started if self._initialized else None
    if started is None or started.is_set():
        return _stock_start(self)  # which says what is wrong
    if _is_finalizing():  # up to 3.11 the standard library waits for ever
        raise RuntimeError("can't create new thread at interpreter shutdown")
    # Subclasses have attributes of all names that a thread might: hence the long one. Who comes in while another
    # starts the same thread, or after that failed, finds what there is.
    finish = getattr(self, "_lisle_finish", None)
    if finish is None:
        finish = self._lisle_finish = Finish()
    # Who has steps of their own for a new thread may count on the wait for its first ones.
    if not _NEED_NOT_WAIT or not finish.expect(self, started):
        return _stock_start(self)
    try:
        if _ARE_SEEN_BY_FORKS:
            _on_their_way[finish] = None
        _stock_start(self)
    except BaseException:
        # It may have begun all the same: a signal's handler can raise at any point.
        finish.give_up(started)
        _on_their_way.pop(finish, None)
        raise
    self._ident = ident = self._handle.ident
    # Who has started a thread finds it in `_active`, as the wait used to see to.
    with _threading._active_limbo_lock:
        if _threading._limbo.pop(self, None) is not None:
            _threading._active[ident] = self


def join(self, timeout=None):
    """Waits for the thread's end.

    On timeout: returns None, as without; ask is_alive(). On interrupt: ThreadInterrupted.
    DeadlockError if the wait closes a cycle.
    """
    finish = getattr(self, "_lisle_finish", None)
    # Not alive: also a thread whose start a signal has broken off, or that was left behind by a fork.
    ended = finish.wait(timeout) if finish is not None and self.is_alive() else None
    if ended is None:  # not started by us, or it is the caller itself
        _stock_join(self, timeout)
    elif ended:
        _join_ended(self)


# What is left of the standard join when the thread has ended.
if _NEED_NOT_WAIT:

    def _join_ended(self):
        self._handle.join()

else:

    def _join_ended(self):
        self._wait_for_tstate_lock()


def _native_id(self):
    """The kernel's id of the thread, or None if it has not been started."""
    assert self._initialized, "Thread.__init__() not called"
    # Not alive: also a thread that a fork has left behind before it began.
    if self._native_id is None and self.is_alive():
        finish = getattr(self, "_lisle_finish", None)
        if finish is not None:
            finish.wait_begun()
    return self._native_id


native_id = property(_native_id, doc=_native_id.__doc__)


def interrupt(self):
    """Makes the thread's present wait, or else its next one, raise ThreadInterrupted.

    True if the thread is one that can be told; a thread that has not waited yet, or that was not
    started as a Thread, may be none.
    """
    native_id = self.native_id
    return native_id is not None and self.is_alive() and _interrupt(native_id)
