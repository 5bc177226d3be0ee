"""A drop-in for `concurrent.futures`, with visible, interruptible and deadlock-checked waits.

Beyond the standard module: `connect`, an executor over a cluster, and the keywords `max_pending`,
`daemon` and `help` of `ThreadPoolExecutor` and `timeout` of its `shutdown`.
"""

import sys as _sys
from concurrent.futures._base import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    InvalidStateError,
    TimeoutError,
)

from ._future import Future, as_completed, wait
from ._pool import ThreadPoolExecutor

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenCluster",
    "BrokenExecutor",
    "CancelledError",
    "ClusterExecutor",
    "Executor",
    "Future",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "connect",
    "wait",
]
if _sys.version_info >= (3, 14):
    __all__.append("InterpreterPoolExecutor")


def __getattr__(name):
    # What is heavy is imported when it is asked for.
    if name in ("BrokenCluster", "ClusterExecutor", "connect"):
        from . import _cluster

        value = getattr(_cluster, name)
    else:
        import concurrent.futures

        try:
            value = getattr(concurrent.futures, name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return globals().setdefault(name, value)
