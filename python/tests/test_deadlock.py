"""A deadlock is an error; what may be one is told; any wait can be interrupted."""

import sys
import threading as stock

import pytest
from conftest import LONG, Program, run

import lisle
from lisle import threading


def test_a_cycle_of_two_rlocks_fails_one_of_the_waits():
    left, right = threading.RLock(), threading.RLock()
    left.name, right.name = "left", "right"
    both, errors, got = threading.Barrier(2), [], []

    def call(first, second):
        with first:
            both.wait(LONG)
            try:
                with second:
                    got.append(stock.current_thread().name)
            except lisle.DeadlockError as error:
                errors.append(str(error))

    threads = [
        threading.Thread(target=call, args=args, name=name)
        for name, *args in (("one", left, right), ("two", right, left))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    assert len(errors) == len(got) == 1
    text = errors[0]
    assert text.startswith("deadlock: 2 threads wait for each other")
    for word in ('thread "one"', 'thread "two"', 'reentrant mutex "left"', 'reentrant mutex "right"'):
        assert word in text
    assert f"{__file__}:" in text and "call" in text


def test_threads_that_join_each_other():
    ready, errors = threading.Barrier(2), []
    threads = []

    def call(other):
        ready.wait(LONG)
        try:
            threads[other].join()
        except lisle.DeadlockError as error:
            errors.append(str(error))

    threads += [threading.Thread(target=call, args=(1 - n,), name=f"joiner-{n}") for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    assert len(errors) == 1
    assert 'join of thread "joiner-' in errors[0]


def test_a_join_under_a_lock_that_the_thread_needs():
    lock, held = threading.RLock(), threading.Event()
    errors = []

    def call():
        held.wait(LONG)
        try:
            with lock:
                pass
        except lisle.DeadlockError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    with lock:
        thread.start()
        held.set()
        try:
            thread.join()
        except lisle.DeadlockError as error:
            errors.append(error)
    thread.join(LONG)
    assert len(errors) == 1


def test_a_cycle_of_plain_locks_is_told_once():
    done = run(
        code="""
import lisle, sys, os, time
from lisle import threading
a, b = threading.Lock(name="first"), threading.Lock(name="second")
both = threading.Barrier(2)
def call(x, y):
    with x:
        both.wait()
        y.acquire()
for name, args in (("one", (a, b)), ("two", (b, a))):
    threading.Thread(target=call, args=args, name=name, daemon=True).start()
end = time.monotonic() + 1.5
while time.monotonic() < end: time.sleep(0.01)
"""
    )
    assert done.stderr.count("suspected deadlock") == 1, done.stderr
    for word in ('thread "one"', 'thread "two"', 'lock "first"', 'lock "second"', "<string>:9 in call"):
        assert word in done.stderr


def test_the_standard_librarys_own_waits_are_not_suspected(tmp_path):
    # Made before install, a condition is the standard one, over our locks; so are the waits of imports.
    (tmp_path / "slow.py").write_text("import time; time.sleep(1.2)")
    done = run(
        code=f"""
import sys, threading, time
sys.path.insert(0, {str(tmp_path)!r})
condition, event = threading.Condition(), threading.Event()
import lisle; lisle.install()
def wait():
    with condition: condition.wait()
def load(): import slow
calls = [wait, event.wait, load, load]
threads = [threading.Thread(target=call) for call in calls]
for thread in threads: thread.start()
for thread in threads[2:]: thread.join()
with condition: condition.notify()
event.set()
for thread in threads[:2]: thread.join()
"""
    )
    assert done.stderr == ""


LEFT_HELD_AT_THE_END = """
import signal, sys, threading, time

signal.alarm(60)
lock, held = threading.RLock(), threading.Event()

def hold(sleep=time.sleep):  # a wait that is none of ours: the interpreter ends the thread there
    with lock:
        held.set()
        while True:
            sleep(0.0002)

def want():
    with lock:
        pass

class Late:
    def __del__(self, sleep=time.sleep, lock=lock):
        {late}

sys.modules["late"] = Late()
threading.Thread(target=hold, name="holder", daemon=True).start()
held.wait()
print("ready", flush=True)
threading.Thread(target=want, daemon=True).start()
"""


def test_what_daemons_hold_when_the_interpreter_ends_is_no_news(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(LEFT_HELD_AT_THE_END.format(late="sleep(0.05)"))
    for _ in range(5):
        ended = run("-m", "lisle", program)
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(sys.version_info >= (3, 14) or "t" in sys.abiflags, reason="daemon threads stay where they are")
def test_unless_it_holds_up_the_end(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(LEFT_HELD_AT_THE_END.format(late="sleep(0.05); lock.acquire()"))
    with Program("-m", "lisle", program) as hanging:
        assert "orphaned lock" in hanging.process.stderr.readline()


def test_a_lock_as_a_signal_is_not_suspected():
    done = run(
        code="""
import time
from lisle import threading
lock = threading.Lock()
lock.acquire()
threading.Timer(0.1, lock.release).start()
lock.acquire()
assert lock.acquire(timeout=0.6) is False
"""
    )
    assert done.stderr == ""


def waits():
    """Every wait there is, as (name, call)."""
    held = threading.Lock()
    held.acquire()
    taken = threading.RLock()
    taken_by = threading.Thread(target=lambda: (taken.acquire(), threading.Event().wait()), daemon=True)
    taken_by.start()
    cond = threading.Condition()

    def wait_for_cond():
        with cond:
            try:
                cond.wait()
            finally:
                assert cond._is_owned()

    yield "Lock.acquire", held.acquire
    yield "with Lock", held.__enter__
    yield "within", lambda: held.within(LONG).__enter__()
    yield "Lock.acquire with a limit", lambda: held.acquire(timeout=LONG)
    yield "RLock.acquire", lambda: taken.acquire()
    yield "Condition.wait", wait_for_cond
    yield "Semaphore.acquire", threading.Semaphore(0).acquire
    yield "Event.wait", threading.Event().wait
    yield "Event.wait with a limit", lambda: threading.Event().wait(LONG)
    yield "Barrier.wait", threading.Barrier(2).wait
    yield "Thread.join", taken_by.join
    yield "Thread.join with a limit", lambda: taken_by.join(LONG)


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in waits()])
def test_an_interrupt_ends_a_wait(call):
    errors, begun = [], threading.Event()

    def run():
        begun.set()
        try:
            call()
        except lisle.ThreadInterrupted as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    begun.wait(LONG)
    # One that comes before the wait ends it too.
    assert thread.interrupt()
    thread.join(LONG)
    assert not thread.is_alive() and len(errors) == 1


def test_what_is_interrupted_was_waiting(in_thread):
    with pytest.raises(lisle.ThreadInterrupted):
        waiter = in_thread(threading.Event().wait)
        assert lisle._lisle._interrupt(waiter.native_id)
        waiter.outcome()


def test_a_thread_that_is_no_more_cannot_be_interrupted():
    thread = threading.Thread(target=int)
    assert not thread.interrupt()
    thread.start()
    thread.join()
    assert not thread.interrupt()
