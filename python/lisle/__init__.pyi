from . import futures as futures, queue as queue, threading as threading
from ._lisle import DeadlockError as DeadlockError, ThreadInterrupted as ThreadInterrupted

__all__ = ["DeadlockError", "ThreadInterrupted", "futures", "install", "queue", "threading", "uninstall"]

def install() -> None: ...
def uninstall() -> None: ...
