"""OS threads with nothing hidden: drop-ins for threading, queue and concurrent.futures."""

from ._lisle import DeadlockError, ThreadInterrupted, _set_main_thread
import threading as _threading

_set_main_thread(_threading.main_thread().ident)

__all__ = ["DeadlockError", "ThreadInterrupted"]
