"""Putting the drop-ins in place of the standard library's, and back."""

import sys
import threading as _threading
from importlib.abc import Loader, MetaPathFinder

from . import _thread_life as _life

_MISSING = object()
# (object, attribute, what was there), in the order in which they were replaced.
_replaced = []


def _put(target, name, value):
    _replaced.append((target, name, target.__dict__.get(name, _MISSING)))
    setattr(target, name, value)


def _put_where_it_is(target, name, value):
    if hasattr(target, name):
        _put(target, name, value)


def install():
    """Makes `threading`, `queue` and `concurrent.futures` lisle's, for all who look names up in them.

    Objects that exist already stay what they are, and both kinds go together. Calling it again does
    nothing. Reaches this process, and those that it forks.
    """
    if _replaced:
        return
    import _thread
    import queue

    from . import threading as threads

    for name in ("Lock", "_allocate_lock"):
        _put(_threading, name, threads.Lock)
    for name in ("Condition", "Semaphore", "BoundedSemaphore", "Event"):
        _put(_threading, name, getattr(threads, name))
    _put(_threading, "_CRLock", threads.RLock)
    if isinstance(_threading.RLock, type):
        _put(_threading, "RLock", threads.RLock)
    for name in ("allocate_lock", "allocate", "LockType", "lock"):
        _put_where_it_is(_thread, name, threads.Lock)
    _put(_thread, "RLock", threads.RLock)
    for name, value in (
        ("start", _life.start),
        ("join", _life.join),
        ("interrupt", _life.interrupt),
        ("native_id", _life.native_id),
        ("_bootstrap", _life.bootstrap),
        ("_lisle_finish", None),
    ):
        _put(_threading.Thread, name, value)
    _patch_queue(queue)
    # `concurrent.futures` is not imported here: it pulls in logging, and the program may have to be
    # first there.
    sys.meta_path.insert(0, _finder)
    futures = sys.modules.get("concurrent.futures")
    if futures is not None:
        _patch_futures(futures)


def uninstall():
    """Takes back what `install` did. Objects made in between stay what they are."""
    while _replaced:
        target, name, was = _replaced.pop()
        if was is _MISSING:
            delattr(target, name)
        else:
            setattr(target, name, was)
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def _patch_queue(module):
    from . import queue as ours

    # The exceptions are the standard ones, which a second copy of the module has its own of.
    for name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "_PySimpleQueue", "Empty", "Full", "ShutDown"):
        _put(module, name, getattr(ours, "SimpleQueue" if name == "_PySimpleQueue" else name))


def _patch_futures(module):
    from concurrent.futures import _base, thread

    # From where they are made: lisle.futures may be what is imported just now, and imports this module.
    from . import _future, _pool

    for name in ("Future", "wait", "as_completed"):
        _put(module, name, getattr(_future, name))
        _put(_base, name, getattr(_future, name))
    for space in (module, thread):
        _put(space, "ThreadPoolExecutor", _pool.ThreadPoolExecutor)


# What is patched when it is imported; `queue` because tests import second copies of it.
_PATCHES = {"queue": _patch_queue, "concurrent.futures": _patch_futures}


class _Finder(MetaPathFinder):
    """Patches modules when somebody imports them."""

    def find_spec(self, name, path=None, target=None):
        if name not in _PATCHES:
            return None
        # The others in turn: taking this one out meanwhile would take it from other threads' imports.
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Patching(spec.loader)
                return spec
        return None


class _Patching(Loader):
    """A module's loader, and then the patch."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        module.__loader__ = module.__spec__.loader = self._loader
        if _replaced:
            _PATCHES[module.__name__](module)


_finder = _Finder()
