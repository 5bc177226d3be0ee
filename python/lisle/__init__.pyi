from . import futures as futures, queue as queue, threading as threading, watch as watch
from ._lisle import DeadlockError as DeadlockError, ThreadInterrupted as ThreadInterrupted

__all__ = ["DeadlockError", "ThreadInterrupted", "futures", "install", "queue", "threading", "uninstall", "watch"]

def install() -> None: ...
def uninstall() -> None: ...
