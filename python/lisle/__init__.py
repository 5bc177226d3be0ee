"""OS threads with nothing hidden: drop-ins for `threading`, `queue` and `concurrent.futures`.

Three ways in: `from lisle import threading`, `lisle.install()`, or `python -m lisle program.py`.
"""

import os as _os
import threading as _threading

from ._lisle import DeadlockError, ThreadInterrupted, _set_main_thread, _set_name

__all__ = ["DeadlockError", "ThreadInterrupted", "futures", "install", "queue", "threading", "uninstall", "watch"]


_set_main_thread(_threading.main_thread().ident)
_set_name(_threading.current_thread().name)
# The standard module has settled who is the main thread before this is called.
_os.register_at_fork(after_in_child=lambda: _set_main_thread(_threading.get_ident()))


# The agent has been started with that; here it is made ready to be told where threads are in their code.
if _os.environ.get("LISLE_AGENT") == "1":
    from .watch import _make_ready

    _make_ready(agent=True)
    del _make_ready


def install():
    """Puts lisle in the place of the standard modules: see `lisle._install.install`."""
    from ._install import install

    install()


def uninstall():
    """Takes back what `install` did."""
    from ._install import uninstall

    uninstall()


def __getattr__(name):
    # Each is imported when it is needed: `import lisle` is to be quick.
    if name in ("futures", "queue", "threading", "watch"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
