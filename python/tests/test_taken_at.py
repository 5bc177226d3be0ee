"""A lock says where it was taken; the place outlives the code."""

import _thread
import gc
import sys
import threading as stock
from itertools import count

import pytest
from conftest import LONG, Waiter, until

from lisle import threading

KINDS = [threading.Lock, threading.RLock]


def line():
    """That of the caller."""
    return sys._getframe(1).f_lineno


def here(number, function):
    return f"{__file__}:{number} in {function}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_to_take_it(kind):
    lock, me = kind(), "test_each_way_to_take_it"
    assert lock.taken_at is None
    with lock:
        assert lock.taken_at == here(line() - 1, me)
    assert lock.taken_at is None
    lock.acquire()
    assert lock.taken_at == here(line() - 1, me)
    lock.release()
    assert lock.acquire(timeout=LONG) and lock.taken_at == here(line(), me)
    lock.release()
    assert lock.acquire(blocking=False) and lock.taken_at == here(line(), me)
    lock.release()
    with lock.within(LONG):
        assert lock.taken_at == here(line() - 1, me)
    with threading.Condition(lock):
        assert lock.taken_at == here(line() - 1, me)
    for _ in range(2):
        with lock: first = lock.taken_at  # noqa: E701
        with lock: second = lock.taken_at  # noqa: E701
        assert (first, second) == (here(line() - 2, me), here(line() - 1, me))


def test_what_is_taken_again_keeps_its_place():
    lock = threading.RLock()
    with lock:
        first = lock.taken_at
        with lock:
            assert lock.taken_at == first
        assert lock.taken_at == first


@pytest.mark.parametrize("kind", KINDS)
def test_a_condition_that_comes_back_from_its_wait(kind):
    lock = kind()
    condition = threading.Condition(lock)
    with condition:
        condition.wait(0.001)
        assert lock.taken_at == here(line() - 1, "test_a_condition_that_comes_back_from_its_wait")


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_waited_for_it(kind):
    lock = kind()
    lock.acquire()
    release = stock.Event()

    def call():
        with lock:
            release.wait(LONG)
        return True

    waiter = Waiter(call)
    waiter.start()
    waiter.begun.wait(LONG)
    at = here(call.__code__.co_firstlineno + 1, call.__qualname__)
    lock.release()
    until(lambda: lock.taken_at == at)
    release.set()
    assert waiter.outcome()


def test_generators_and_coroutines():
    lock = threading.Lock()

    def generator():
        with lock:
            yield lock.taken_at, line() - 1

    async def coroutine():
        lock.acquire()
        return lock.taken_at, line() - 1

    running = generator()
    at, number = next(running)
    assert at == here(number, generator.__qualname__)
    # The frame sleeps, and the lock is held.
    assert lock.taken_at == at
    running.close()
    with pytest.raises(StopIteration) as stopped:
        coroutine().send(None)
    at, number = stopped.value.value
    assert lock.taken_at == at == here(number, coroutine.__qualname__)


def test_the_place_outlives_the_code():
    lock = threading.Lock()
    for number in range(300):
        # Alike in size, so that one's memory is the next one's.
        name, before = f"made-up-{number:03}.py", number % 7
        scope = {"lock": lock}
        exec(compile("\n" * before + "lock.acquire()", name, "exec"), scope)
        del scope
        gc.collect(0)
        assert lock.taken_at == f"{name}:{before + 1} in <module>"
        lock.release()


def test_code_without_python():
    lock = threading.Lock()
    _thread.start_new_thread(lock.acquire, ())
    until(lock.locked)
    assert lock.taken_at is None
    lock.release()


def test_long_functions():
    lock = threading.Lock()
    lines = 30_000
    scope = {"lock": lock, "seen": []}
    body = "    x = 1\n" * lines
    exec(compile(f"def call():\n{body}    lock.acquire(); seen.append(lock.taken_at); lock.release()\n", "long.py", "exec"), scope)
    scope["call"]()
    assert scope["seen"] == [f"long.py:{lines + 2} in call"]


def test_many_threads_and_places():
    """Functions of different code at once, on all threads: each sees its own."""
    functions = []
    for number in range(200):
        scope = {"count": count}
        source = f"def f{number}(lock):\n" + "    pass\n" * (number % 5) + "    with lock: return lock.taken_at\n"
        exec(compile(source, f"many-{number}.py", "exec"), scope)
        functions.append((scope[f"f{number}"], f"many-{number}.py:{number % 5 + 2} in f{number}"))

    def call(offset):
        lock, wrong = threading.Lock(), []
        for round in range(2000):
            function, expected = functions[(offset + round * 7) % len(functions)]
            if (at := function(lock)) != expected:
                wrong.append((at, expected))
        return wrong

    waiters = [Waiter(call, n * 31) for n in range(4)]
    for waiter in waiters:
        waiter.start()
    for waiter in waiters:
        assert waiter.outcome() == []


def test_it_cannot_be_set():
    for kind in KINDS:
        with pytest.raises(AttributeError):
            kind().taken_at = "here"
