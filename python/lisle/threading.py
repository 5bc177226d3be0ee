"""A drop-in for `threading`, with every name of the running version.

Locks, conditions, semaphores and events are Rust: faster, interruptible, and checked for deadlock.
What is Python in the standard library and not slow (the table of threads, `local`, `Timer`, hooks …)
is the standard library's own, so that both worlds know the same threads.
"""

import sys as _sys
import threading as _threading
import types as _types

from . import _thread_life as _life
from ._lisle import BoundedSemaphore, Condition, Event, RLock, RWLock, Semaphore
from ._lisle import lock as Lock

__all__ = [*_threading.__all__, "RWLock"]

_allocate_lock = Lock
_CRLock = RLock
# From 3.14 on the standard Thread runs in the context itself.
_HAS_CONTEXT = _sys.version_info >= (3, 14)


def _with_our_event(init):
    """The standard `__init__`, but for the Event that it makes: the standard one is a quarter of its cost. Itself if it is
    not as we know it."""
    code = getattr(init, "__code__", None)
    if code is None or code.co_freevars or "Event" not in code.co_names or init.__globals__ is not vars(_threading):
        return init
    _threading._lisle_Event = Event
    names = tuple("_lisle_Event" if name == "Event" else name for name in code.co_names)
    ours = _types.FunctionType(code.replace(co_names=names), init.__globals__, init.__name__, init.__defaults__)
    ours.__kwdefaults__ = init.__kwdefaults__
    return ours


_stock_init = _threading.Thread.__init__
_stock_init_with_our_event = _with_our_event(_stock_init)


class Thread(_threading.Thread):
    """`threading.Thread`, whose join can be interrupted and is checked for deadlock.

    `context` is what 3.14 has it to be, on every version: a `contextvars.Context` in which the thread
    runs.
    """

    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, *, daemon=None, context=None):
        init = super().__init__
        if getattr(init, "__func__", None) is _stock_init:  # else it is a program's own, which has to be called
            init = _stock_init_with_our_event.__get__(self)
        if _HAS_CONTEXT:
            init(group, target, name, args, kwargs, daemon=daemon, context=context)
        else:
            init(group, target, name, args, kwargs, daemon=daemon)
            self._context = context
        if type(getattr(self, "_started", None)) is not Event:
            self._started = Event()

    if not _HAS_CONTEXT:

        def run(self):
            """Makes the call that the thread was made for, in its context."""
            if self._context is None:
                super().run()
            else:
                self._context.run(super().run)

    start = _life.start
    join = _life.join
    interrupt = _life.interrupt
    native_id = _life.native_id
    _bootstrap = _life.bootstrap
    _lisle_finish = None


class Timer(_threading.Timer, Thread):
    """`threading.Timer`: calls a function after a number of seconds, unless cancelled."""

    def __init__(self, interval, function, args=None, kwargs=None):
        super().__init__(interval, function, args, kwargs)
        self._started = Event()
        self.finished = Event()


class Barrier(_threading.Barrier):
    """`threading.Barrier`: a number of threads wait here for each other."""

    def __init__(self, parties, action=None, timeout=None):
        super().__init__(parties, action, timeout)
        self._cond = Condition(Lock())


class _Module(_types.ModuleType):
    """What is not ours is the standard module's, also when it is assigned to."""

    def __getattr__(self, name):
        return getattr(_threading, name)

    def __setattr__(self, name, value):
        if name in self.__dict__ or name.startswith("__") or not hasattr(_threading, name):
            super().__setattr__(name, value)
        else:
            setattr(_threading, name, value)

    def __delattr__(self, name):
        if name in self.__dict__:
            super().__delattr__(name)
        else:
            delattr(_threading, name)

    def __dir__(self):
        return sorted({*self.__dict__, *dir(_threading)})


# Reprs and pickles name them as the standard library's.
for _class in (Thread, Timer, Barrier):
    _class.__module__ = "threading"
del _class

_sys.modules[__name__].__class__ = _Module
