"""`wait` and `as_completed`, over futures of lisle, of the standard library, and both together."""

import concurrent.futures as stock
import gc
import random
import threading
import weakref

import pytest
from conftest import LONG, Waiter

import lisle
from lisle import futures

# The standard library's own functions take ours, too.
WAITS = [futures.wait, stock._base.wait]
ALL_COMPLETED = [futures.as_completed, stock._base.as_completed]
KINDS = {
    "ours": [futures.Future],
    "stock": [stock._base.Future],
    "mixed": [futures.Future, stock._base.Future],
}


def exposed():
    future = futures.Future()
    future._condition  # noqa: B018
    return future


KINDS["exposed"] = [exposed, futures.Future]


@pytest.fixture(params=KINDS)
def make(request):
    kinds = KINDS[request.param]
    return lambda count: [kinds[n % len(kinds)]() for n in range(count)]


@pytest.fixture(params=WAITS, ids=["ours", "stock"])
def wait(request):
    return request.param


@pytest.fixture(params=ALL_COMPLETED, ids=["ours", "stock"])
def as_completed(request):
    return request.param


def test_all(make, wait, in_thread):
    some = make(5)
    some[1].set_result(1)
    waiter = in_thread(wait, some + some)
    for future in some[:1] + some[2:4]:
        future.set_exception(KeyError())
    assert waiter.is_alive()
    some[4].set_result(4)
    done, not_done = outcome = waiter.outcome()
    assert (done, not_done) == (set(some), set()) and outcome.done is done and outcome.not_done is not_done
    assert wait(some) == (set(some), set()) == wait(iter(some), 0)
    assert wait([]) == (set(), set())


def test_the_first(make, wait, in_thread):
    some = make(4)
    waiter = in_thread(wait, some, return_when=futures.FIRST_COMPLETED)
    some[2].set_exception(KeyError())
    assert waiter.outcome() == ({some[2]}, {some[0], some[1], some[3]})
    assert wait(some, LONG, futures.FIRST_COMPLETED).done == {some[2]}


def test_the_first_that_fails(make, wait, in_thread):
    some = make(4)
    waiter = in_thread(wait, some, return_when=futures.FIRST_EXCEPTION)
    some[0].set_result(1)
    some[1].cancel()
    some[1].set_running_or_notify_cancel()
    assert waiter.is_alive()
    some[3].set_exception(KeyError())
    assert waiter.outcome() == ({some[0], some[1], some[3]}, {some[2]})
    assert wait(some, LONG, futures.FIRST_EXCEPTION).not_done == {some[2]}
    some = make(2)
    waiter = in_thread(wait, some, return_when=futures.FIRST_EXCEPTION)
    for future in some:
        future.set_result(1)
    assert waiter.outcome().done == set(some)


def test_who_is_cancelled_counts_when_that_was_noticed(make, wait, in_thread):
    some = make(2)
    some[0].cancel()
    assert wait(some, 0.001).done == set()
    waiter = in_thread(wait, some, return_when=futures.FIRST_COMPLETED)
    some[0].set_running_or_notify_cancel()
    assert waiter.outcome().done == {some[0]}


def test_limits(make, wait, as_completed):
    some = make(3)
    some[0].set_result(1)
    assert wait(some, 0.01) == ({some[0]}, {some[1], some[2]})
    assert wait(some, timeout=0) == wait(some, timeout=-1) == ({some[0]}, {some[1], some[2]})
    results = as_completed(some, timeout=0.01)
    assert next(results) is some[0]
    with pytest.raises(TimeoutError, match=r"^2 \(of 3\) futures unfinished$"):
        next(results)
    with pytest.raises(ValueError, match="^Invalid return condition: 'SOME'$"):
        wait(some, return_when="SOME")
    # Nobody is left who would have to be told.
    assert all(future._waiters == [] for future in some)


def test_as_completed_gives_them_as_they_are_done(make, as_completed):
    some = make(60)
    some[7].set_result(7)
    order = [n for n in range(60) if n != 7]
    random.Random(5).shuffle(order)
    results = as_completed(some + some)
    seen = [next(results)]
    assert seen == [some[7]]

    def finish():
        for n in order:
            some[n].set_result(n)

    finisher = Waiter(finish)
    finisher.start()
    seen += results
    finisher.outcome()
    assert [some.index(future) for future in seen] == [7, *order]
    assert all(future._waiters == [] for future in some)


def test_as_completed_keeps_none_that_it_gave(make):
    some = make(3)
    for future in some:
        future.set_result(1)
    del future
    results = futures.as_completed(some)
    first = next(results)
    gone = weakref.ref(first)
    some.remove(first)
    del first
    gc.collect()
    assert gone() is None and len(list(results)) == 2


def test_a_wait_that_is_left_leaves_nothing_behind(make, in_thread):
    some = make(3)
    waiter = in_thread(futures.wait, some)
    assert lisle.threading.Thread.interrupt(waiter)
    with pytest.raises(lisle.ThreadInterrupted):
        waiter.outcome()
    results = futures.as_completed(some)
    some[0].set_result(1)
    assert next(results) is some[0]
    results.close()
    assert all(future._waiters == [] for future in some)


def test_a_future_is_exposed_while_it_is_waited_for(in_thread):
    some = [futures.Future() for _ in range(3)]
    waiters = [in_thread(futures.wait, some), in_thread(list, futures.as_completed(some))]
    assert len(some[0]._waiters) == 2
    for future in some:
        future.set_result(1)
    assert waiters[0].outcome().done == set(some) == set(waiters[1].outcome())


def test_many_waits_over_calls_of_two_pools():
    with futures.ThreadPoolExecutor(2) as ours, stock.thread.ThreadPoolExecutor(2) as theirs:
        for _ in range(50):
            some = [pool.submit(pow, n, 2) for n in range(20) for pool in (ours, theirs)]
            assert sum(future.result() for future in futures.as_completed(some)) == 2 * sum(n * n for n in range(20))
            some = {pool.submit(int, n) for n in range(10) for pool in (ours, theirs)}
            done = set()
            while some:
                finished, some = futures.wait(some, return_when=futures.FIRST_COMPLETED)
                assert finished
                done |= finished
            assert len(done) == 20


def test_every_future_is_told_of_once_under_stress():
    """Many threads set, cancel and wait for the same futures; what comes out is counted."""
    count, rounds = 40, 30
    for number in range(rounds):
        some = [futures.Future() for _ in range(count)]
        called = []
        for future in some:
            future.add_done_callback(called.append)

        def finish(part, some=some, number=number):
            for n, future in enumerate(some):
                if n % 3 != part:
                    continue
                if n % 5 == 0 and future.cancel():
                    future.set_running_or_notify_cancel()
                    continue
                if number % 2 and n % 7 == 0:
                    future._condition  # noqa: B018
                future.set_result(n)

        waits = [Waiter(lambda some=some: list(futures.as_completed(some))) for _ in range(3)]
        waits += [Waiter(lambda some=some: list(futures.wait(some).done)) for _ in range(2)]
        waits += [Waiter(lambda some=some: [n for n, future in enumerate(some) if n % 5 if future.result(LONG) == n])]
        finishers = [Waiter(finish, part) for part in range(3)]
        for thread in waits + finishers:
            thread.start()
        for thread in finishers:
            thread.outcome()
        for thread in waits[:5]:
            seen = thread.outcome()
            assert len(seen) == count and set(seen) == set(some)
        assert waits[5].outcome() == [n for n in range(count) if n % 5]
        assert len(called) == count and set(called) == set(some)
        assert sum(future.cancelled() for future in some) == len(range(0, count, 5))


def test_a_burst_of_submits_from_many_threads():
    """Every call is made once, whoever submits, and while others wait for some and cancel some."""
    made = []
    with futures.ThreadPoolExecutor(4) as pool:

        def submit(first):
            some = [pool.submit(made.append, n) for n in range(first, first + 500)]
            cancelled = {first + n for n, future in enumerate(some) if n % 10 == 0 and future.cancel()}
            futures.wait(some)
            return cancelled

        waiters = [Waiter(submit, n * 500) for n in range(4)]
        for waiter in waiters:
            waiter.start()
        cancelled = set().union(*(waiter.outcome() for waiter in waiters))
    assert sorted(made) == [n for n in range(2000) if n not in cancelled]


def test_idle_workers_are_woken_for_calls_that_block():
    """A call that blocks keeps no other one waiting while there are workers."""
    with futures.ThreadPoolExecutor(4) as pool:
        for _ in range(100):
            meet = threading.Barrier(4)
            some = [pool.submit(meet.wait, LONG) for _ in range(4)]
            assert sorted(future.result(LONG) for future in some) == [0, 1, 2, 3]
