"""Waits for futures that can never end are errors: among them both examples of the documentation of
`concurrent.futures`."""

import threading

import pytest
from conftest import LONG, run

import lisle
from lisle import futures
from lisle.futures import ThreadPoolExecutor


def test_two_calls_that_wait_for_each_other():
    ready = threading.Event()
    some = []

    def call(other):
        ready.wait(LONG)
        return some[other].result()

    with ThreadPoolExecutor(2, "pair") as pool:
        some += [pool.submit(call, 1), pool.submit(call, 0)]
        ready.set()
        # One of the waits fails, with it its call, and so the other's wait, too.
        errors = [future.exception(LONG) for future in some]
    assert all(isinstance(error, lisle.DeadlockError) for error in errors) and errors[0] is errors[1]
    text = str(errors[0])
    assert text.startswith("deadlock: 2 threads wait for each other")
    for word in ('"pair_0"', '"pair_1"', "future at", f"{__file__}:", "in test_two_calls_that_wait_for_each_other.<locals>.call"):
        assert word in text, text


def test_a_call_that_waits_for_one_of_its_own_pool():
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(lisle.DeadlockError, match="deadlock: 1 thread waits for itself"):
            pool.submit(lambda: pool.submit(pow, 5, 2).result()).result(LONG)
        # The pool is none the worse for it.
        assert pool.submit(pow, 5, 2).result() == 25


@pytest.mark.parametrize("how", [
    lambda some: some[0].result(),
    lambda some: some[0].exception(),
    futures.wait,
    lambda some: futures.wait(some, return_when=futures.FIRST_COMPLETED),
    lambda some: list(futures.as_completed(some)),
])
def test_all_workers_wait_for_what_only_they_can_run(how):
    all_at_once = threading.Barrier(2)

    def call():
        all_at_once.wait(LONG)
        return how([pool.submit(int) for _ in range(3)])

    with ThreadPoolExecutor(2) as pool:
        # One fails and is free again, for what the other waits for.
        errors = [future.exception(LONG) for future in [pool.submit(call) for _ in range(2)]]
        assert sorted(isinstance(error, lisle.DeadlockError) for error in errors) == [False, True]


def test_a_worker_of_a_full_pool_that_waits_for_room():
    with ThreadPoolExecutor(1, max_pending=1) as pool:
        with pytest.raises(lisle.DeadlockError):
            pool.submit(lambda: [pool.submit(int) for _ in range(3)]).result(LONG)


def test_a_cycle_through_a_lock_and_a_future():
    lock = lisle.threading.RLock()
    with ThreadPoolExecutor(1) as pool:
        with lock:
            future = pool.submit(lock.acquire)
            with pytest.raises(lisle.DeadlockError):
                # Either of the two waits is failed.
                if isinstance(error := future.exception(), lisle.DeadlockError):
                    raise error


def test_a_wait_that_can_end_is_none():
    """Another worker is there, or comes, or the result is set by somebody else."""
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(lambda: pool.submit(pow, 5, 2).result()).result(LONG) == 25

    def nested(pool, depth):
        return depth and 1 + pool.submit(nested, pool, depth - 1).result()

    with ThreadPoolExecutor(20) as pool:
        assert pool.submit(nested, pool, 19).result(LONG) == 19
    outside = futures.Future()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(outside.result)
        timer = threading.Timer(0.05, outside.set_result, [7])
        timer.start()
        assert call.result(LONG) == 7


def test_two_examples_of_the_documentation_end():
    """As they stand there, in a program of their own."""
    done = run(
        "-m",
        "lisle",
        "-",
        input="""
import time
from concurrent.futures import ThreadPoolExecutor
def wait_on_b():
    time.sleep(0.05)
    print(b.result())
    return 5
def wait_on_a():
    time.sleep(0.05)
    print(a.result())
    return 6
executor = ThreadPoolExecutor(max_workers=2)
a = executor.submit(wait_on_b)
b = executor.submit(wait_on_a)
print(type(a.exception()).__name__, type(b.exception()).__name__)

def wait_on_future():
    f = executor.submit(pow, 5, 2)
    print(f.result())
executor = ThreadPoolExecutor(max_workers=1)
print(type(executor.submit(wait_on_future).exception()).__name__)
""",
    )
    assert done.stdout.split() == ["DeadlockError"] * 3
