"""Looking at the program while it runs: who waits for what, who holds it, since when, and is it a deadlock?

    from lisle import watch
    print(watch.dump())

A snapshot stops no thread but for the moment in which the interpreter tells where each of them is in its code, and
takes none of the program's locks. `lisle dump`, `top`, `web` and `trace` show the same from outside, if the program
lets them: `start_agent()`, `LISLE_AGENT=1` in the environment, `python -m lisle --watch program.py`.
"""

import os as _os
import sys as _sys

from . import _lisle

__all__ = ["dump", "dump_on_signal", "on_report", "snapshot", "start_agent", "start_agent_on_signal"]

_hook = None
# Whether others may ask for frames, and whether there is an agent: each is a thread.
_ready = False
_agent = False


def snapshot(*, frames=True):
    """A picture of all threads that lisle knows: what each waits for, and who holds that.

    It is what `lisle dump --json` prints: dicts and lists whose fields `docs/schema` explains. With `frames` each
    thread has the frames of its Python code; if the interpreter does not answer within a tenth of a second,
    `frames_missing` says why.

    Waits for nothing but the frames.
    """
    import json  # when it is needed: `python -m lisle` imports this module

    return json.loads(_lisle._snapshot(frames))


def dump():
    """A snapshot in words, several lines, with deadlocks, suspicions and orphaned locks at its end.

    For as long as `snapshot` may take.
    """
    return _lisle._dump()


def on_report(call):
    """Has `call` called with each report that fails nobody: deadlocks that end by themselves, suspicions, orphaned
    locks. Each is told once, as a dict: one of a snapshot's `reports`. Without that they go to stderr; `None`
    brings that back.

    It is called by a thread of its own, one report after the other, and may do anything. What it raises goes to
    `sys.unraisablehook`. What lasts while it does not come back is kept, up to 256 reports.
    """
    global _hook
    if call is not None and not callable(call):
        raise TypeError(f"a function is needed, not {call!r}")
    _hook = call
    _lisle._hook(None if call is None else _tell)


def start_agent():
    """Starts the agent, a thread that lets `lisle dump`, `top`, `web` and `trace` look at this process; returns the
    path of its socket. If it runs already, that is all.

    The agent answers this user and root alone. The socket goes with the process. A child of a fork has no agent
    until it starts one itself. `LISLE_AGENT=1` in the environment does the same when lisle is imported.

    Waits until the agent listens. OSError says why it cannot.
    """
    _make_ready(agent=True)
    return _lisle._start_agent()


def start_agent_on_signal():
    """Has SIGUSR2 start the agent: for programs that are to be looked at when there is need, and not before.

    A handler that the program had is called as before; one that it sets later takes the place of this one. It works
    also while the main thread waits, or another keeps the interpreter to itself. Makes the agent's thread, which
    waits for the signal.
    """
    _make_ready(agent=True)
    _lisle._start_agent_on_signal()


def dump_on_signal():
    """Has SIGQUIT (Ctrl-\\ in a terminal) print a dump to stderr, instead of ending the process.

    For handlers holds what `start_agent_on_signal` says. Under `python -m lisle` it is done for the program.
    """
    _make_ready(agent=True)
    _lisle._dump_on_signal()


def _tell(text):
    import json

    call = _hook
    if call is not None:
        call(json.loads(text))


def _make_ready(agent=False):
    global _ready, _agent
    if not _ready and _sys.version_info >= (3, 12):
        import warnings

        warnings.filters.insert(0, ("ignore", _OursAlone(), DeprecationWarning, None, 0))
    _ready = True
    _agent = _agent or agent
    _lisle._look()


class _OursAlone:
    """As the pattern of a warnings filter: that a process with several threads forks, where all but one are ours.
    They hold nothing that a child would miss, and a program that has made no thread is not to be told that it has.
    """

    def match(self, text):
        if not (text.startswith("This process (pid=") and "is multi-threaded" in text):
            return False
        try:
            threads = len(_os.listdir("/proc/self/task"))
        except OSError:
            return False
        return threads <= 1 + _ready + _agent + (_hook is not None)


def _after_fork():
    # The threads that did it are the parent's.
    if _ready:
        _lisle._look()
    if _hook is not None:
        _lisle._hook(_tell)


_os.register_at_fork(after_in_child=_after_fork)
