"""Threads: their life, the ones that others made, and what programs reach into."""

import _thread
import contextvars
import ctypes
import sys
import threading as stock

import pytest
from conftest import LONG, run, until

from lisle import threading
from lisle._lisle import Finish


def test_who_has_started_a_thread_finds_it_listed_once():
    for _ in range(200):
        go = threading.Event()
        thread = threading.Thread(target=go.wait)
        thread.start()
        assert threading._active[thread.ident] is thread
        assert threading.enumerate().count(thread) == 1
        go.set()
        thread.join()
        assert thread not in threading.enumerate() and thread not in threading._limbo


def test_the_life_of_a_thread():
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="worker", daemon=True)
    assert repr(thread) == "<Thread(worker, initial daemon)>"
    with pytest.raises(RuntimeError, match="cannot join thread before it is started"):
        thread.join()
    assert thread.ident is None and not thread.is_alive()
    thread.start()
    assert thread.is_alive() and thread.ident and thread.native_id
    until(lambda: threading._active.get(thread.ident) is thread)  # it enters itself
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()
    assert thread.join(0.01) is None and thread.is_alive()
    assert thread.join(-1) is None
    go.set()
    thread.join()
    thread.join()
    assert not thread.is_alive() and thread not in threading.enumerate()
    with pytest.raises(RuntimeError, match="cannot join current thread"):
        threading.current_thread().join()


def test_a_type_with_run():
    class Sum(threading.Thread):
        def __init__(self, numbers):
            super().__init__()
            self.numbers = numbers

        def run(self):
            self.sum = sum(self.numbers)

    thread = Sum([1, 2, 3])
    thread.start()
    thread.join()
    assert thread.sum == 6
    assert isinstance(thread, stock.Thread)

    class Forgets(threading.Thread):
        def __init__(self):
            pass

    with pytest.raises(RuntimeError, match="not called"):
        Forgets().start()


def test_a_context_to_run_in():
    variable = contextvars.ContextVar("variable", default="none")
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    seen = []
    thread = threading.Thread(target=lambda: (seen.append(variable.get()), variable.set("changed")), context=context)
    thread.start()
    thread.join()
    assert seen == ["given"] and context[variable] == "changed" and variable.get() == "none"


def test_both_modules_know_the_same_threads():
    assert threading.current_thread is stock.current_thread
    assert threading._active is stock._active
    assert threading.main_thread() is stock.main_thread()
    assert threading.excepthook is stock.excepthook
    threading.nothing_of_the_kind = 1
    assert not hasattr(stock, "nothing_of_the_kind")
    del threading.nothing_of_the_kind
    with pytest.raises(AttributeError):
        threading.nothing_of_the_kind


def test_a_thread_made_below_threading_gets_a_dummy_that_goes():
    seen, go = [], threading.Event()
    before = _thread._count()

    def call():
        seen.append(stock.current_thread())
        go.wait(LONG)

    _thread.start_new_thread(call, ())
    until(lambda: seen)
    assert isinstance(seen[0], stock._DummyThread) and seen[0].ident in stock._active
    assert _thread._count() == before + 1
    go.set()
    until(lambda: _thread._count() == before)


def test_a_debugger_makes_a_thread_a_dummy():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(1))
    thread.__class__ = stock._DummyThread
    assert isinstance(thread, stock._DummyThread)

    class Mine(stock._DummyThread):
        pass

    assert issubclass(Mine, stock.Thread)


def test_bootstrap_inner_can_be_wrapped():
    calls = []

    class Traced(threading.Thread):
        def _bootstrap_inner(self):
            calls.append("before")
            try:
                return super()._bootstrap_inner()
            finally:
                calls.append("after")

    thread = Traced(target=lambda: calls.append("run"))
    thread.start()
    thread.join()
    until(lambda: len(calls) == 3)
    assert calls == ["before", "run", "after"]


def test_an_uncaught_exception_goes_to_the_hook_and_ends_the_thread(monkeypatch):
    seen = []
    monkeypatch.setattr(stock, "excepthook", seen.append)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert seen[0].exc_type is ZeroDivisionError and seen[0].thread is thread


def test_the_name_in_reports_follows_the_thread():
    names = []
    lock = threading.Lock()

    def call():
        with lock:
            names.append(lock.taken_by)

    thread = threading.Thread(target=call, name="teller")
    thread.start()
    thread.join()
    assert names == ["teller"]


@pytest.mark.parametrize("module", ["lisle.threading as threading", "threading"])
def test_the_end_of_the_interpreter(module):
    done = run(
        code=f"""
import lisle
lisle.install()
import {module}
order = []
def late(): order.append("atexit"); print(order)
threading._register_atexit(late)
def call():
    threading.Event().wait(0.05)
    order.append("thread")
    try: threading._register_atexit(print)
    except RuntimeError as error: order.append(str(error))
threading.Thread(target=call).start()
import atexit
atexit.register(lambda: print(order))
"""
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "['atexit']", "what was registered runs before threads are joined"
    assert lines[1] == "['atexit', 'thread', \"can't register atexit after shutdown\"]"


def test_a_thread_started_at_finalisation_is_refused():
    done = run(
        code="""
import lisle; lisle.install()
import threading
class Late:
    def __del__(self):
        try: threading.Thread(target=int).start()
        except RuntimeError as error: print(error)
        else: print("started")
late = Late()
"""
    )
    assert done.stdout == "can't create new thread at interpreter shutdown\n"


def test_subclasses_may_have_attributes_of_any_name():
    class Worker(threading.Thread):
        def run(self):
            self._finish()

        def _finish(self):
            self.finished = True

    worker = Worker()
    worker.start()
    worker.join()
    assert worker.finished


def test_a_first_step_of_the_instance_need_not_call_ours():
    thread = threading.Thread(target=int)
    done = threading.Event()

    def bootstrap_inner():
        stock.Thread._bootstrap_inner(thread)
        done.set()

    thread._bootstrap_inner = bootstrap_inner
    thread.start()
    thread.join()
    assert done.wait(LONG)


def test_a_thread_that_a_fork_leaves_behind_before_it_began():
    run(
        code="""
import os, signal, threading
import lisle; lisle.install()
import warnings; warnings.simplefilter("ignore")
end = threading.Event()
for _ in range(20):
    thread = threading.Thread(target=end.wait, daemon=True)
    thread.start()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        thread.native_id, thread.interrupt(), thread.join()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    )


def test_who_waits_for_a_thread_to_begin_is_told_if_it_does_not(in_thread):
    finish, begun = Finish(), threading.Event()
    finish.expect(threading.Thread(), begun)
    waiter = in_thread(finish.wait_begun)
    finish.give_up(begun)
    waiter.outcome()
    assert finish.wait(None) is None
    assert not begun.wait(0)


def test_who_joins_a_thread_whose_start_fails_is_told(in_thread):
    finish, begun = Finish(), threading.Event()
    assert not finish.expect(threading.Thread(), stock.Event())
    finish.expect(threading.Thread(), begun) or pytest.skip("it is waited for")
    joiner = in_thread(lambda: finish.wait(None))
    finish.give_up(begun)
    assert joiner.outcome() is None


def test_a_thread_that_a_signal_keeps_from_being_started_is_not_waited_for():
    thread = threading.Thread(target=int)
    finish = thread._lisle_finish = Finish()
    finish.expect(thread, thread._started)
    with pytest.raises(RuntimeError, match="cannot join thread before it is started"):
        thread.join()
    assert thread.native_id is None
    if sys.version_info >= (3, 13):  # before, who starts it waits for the event all the same
        thread.start()
        thread.join()
        assert thread.native_id


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_is_ended_before_its_first_line_has_ended():
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for _ in range(50):
        thread = threading.Thread(target=stock.Event().wait, args=(0.01,), daemon=True)
        thread.start()
        until(lambda: raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)) or not thread.is_alive())  # noqa: B023
        thread.join()
        assert not thread.is_alive() and thread not in threading.enumerate()


def test_threads_of_classes_with_attributes_of_their_own():
    class Odd(threading.Thread):
        def __getattribute__(self, name):
            return super().__getattribute__(name)

    class Own(threading.Thread):
        def _bootstrap(self):
            steps.append("mine")
            super()._bootstrap()

    steps = []
    for kind in (Odd, Own):
        thread = kind(target=steps.append, args=[kind])
        thread.start()
        thread.join()
        assert thread.native_id and not thread.is_alive()
    assert steps == [Odd, "mine", Own]


def test_a_program_may_have_its_own_init():
    run(
        code="""
import threading
from unittest import mock
def wrapped(init):
    def own(self, *args, **kwargs):
        calls.append(self)
        init(self, *args, **kwargs)
    return own
calls = []
threading.Thread.__init__ = wrapped(threading.Thread.__init__)
import lisle
from lisle import threading as ours
for _ in range(2):
    thread = ours.Thread(target=calls.append, args=[None])
    assert type(thread._started) is ours.Event
    thread.start()
    thread.join()
    assert calls == [thread, None]
    calls.clear()
    lisle.install()
threading.Thread.__init__ = wrapped(threading.Thread.__init__)
ours.Thread()
assert len(calls) == 2
with mock.patch.object(threading.Thread, "__init__", return_value=None):
    ours.Thread()
"""
    )


def test_a_join_that_is_kept_beyond_uninstall():
    run(
        code="""
import lisle, threading
lisle.install()
class Kept(threading.Thread):
    join = threading.Thread.join
lisle.uninstall()
thread = Kept(target=int)
thread.start()
thread.join()
"""
    )


@pytest.mark.parametrize("module", ["lisle.threading as threading", "threading"])
def test_a_start_that_a_signal_breaks_off_leaves_a_thread_that_runs(module):
    run(
        code=f"""
import lisle; lisle.install()
import {module}
class Stop(BaseException): pass
import threading as stock
start_stock = getattr(stock, "_start_joinable_thread", None)
if start_stock:
    def start_and_stop(*args, **kwargs):
        start_stock(*args, **kwargs)
        raise Stop  # as a signal's handler would that runs now
    stock._start_joinable_thread = start_and_stop
    thread = threading.Thread(target=int)
    try: thread.start()
    except Stop: pass
    else: raise AssertionError("it was to be broken off")
    assert thread._started.wait(20)
    thread.join()
    assert not thread.is_alive()
"""
    )
