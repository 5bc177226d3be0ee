"""A thread's start, end and join: methods of `lisle.threading.Thread`, and of the standard Thread when
the drop-ins are installed."""

import threading as _threading

from ._lisle import Finish, _interrupt, _set_name

_stock_start = _threading.Thread.start
_stock_join = _threading.Thread.join
_stock_bootstrap_inner = _threading.Thread._bootstrap_inner


def start(self):
    """Starts the thread; RuntimeError if that was done before."""
    if not hasattr(self, "_finish"):
        self._finish = Finish()
    _stock_start(self)


def bootstrap_inner(self):
    finish = getattr(self, "_finish", None)
    if finish is None:  # somebody else has started it
        return _stock_bootstrap_inner(self)
    finish.begin()
    _set_name(self._name)
    try:
        _stock_bootstrap_inner(self)
    finally:
        finish.end()


def join(self, timeout=None):
    """Waits for the thread's end.

    On timeout: returns None, as without; ask is_alive(). On interrupt: ThreadInterrupted.
    DeadlockError if the wait closes a cycle.
    """
    finish = getattr(self, "_finish", None)
    # Not alive: also a thread that was left behind by a fork, whose end nobody has told.
    if finish is None or not self.is_alive() or self is _threading.current_thread():
        return _stock_join(self, timeout)
    # What comes after the end of its Python code is waited for without a limit of the wait's own: it
    # is short.
    if finish.wait(timeout):
        _stock_join(self)


def interrupt(self):
    """Makes the thread's present wait, or else its next one, raise ThreadInterrupted.

    True if the thread is one that can be told; a thread that has not waited yet, or that was not
    started as a Thread, may be none.
    """
    native_id = self.native_id
    return native_id is not None and self.is_alive() and _interrupt(native_id)
