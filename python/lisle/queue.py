"""Drop-in for the standard `queue`, several times as fast: see its documentation for what is in here.

More than there: `ShutDown` and `Queue.shutdown` on every version, `Queue.join(timeout)`,
`Queue.put_many` and `Queue.get_many`; waits that another thread can interrupt.
"""
import queue as _standard
import sys as _sys
from queue import Empty, Full
from time import monotonic as time  # a program may put a clock of its own here

from . import _exposed_queue, _lisle
from ._lisle import LifoQueue, PriorityQueue, Queue, SimpleQueue

try:
    from queue import ShutDown
except ImportError:  # before 3.13
    class ShutDown(Exception):
        """A queue was shut down, and there is nothing more to put or get."""

    ShutDown.__module__ = "queue"

__all__ = ["Empty", "Full", "ShutDown", "Queue", "PriorityQueue", "LifoQueue", "SimpleQueue"]

_PySimpleQueue = _standard._PySimpleQueue
_exposed_queue.ShutDown = ShutDown
_exposed_queue.give_hooks(Queue, LifoQueue, PriorityQueue)
_lisle._queue_set_up(_standard, _sys.modules[__name__], _exposed_queue, ShutDown)
