"""`ThreadPoolExecutor`: the options that the standard one has not."""

import concurrent.futures.thread as stock_thread
import threading

import pytest
from conftest import LONG, run

import lisle
from lisle import futures
from lisle.futures import ThreadPoolExecutor


def test_max_pending_holds_up_who_submits(held, in_thread):
    with ThreadPoolExecutor(1, max_pending=3) as pool:
        held.occupy(pool)
        pending = [pool.submit(int) for _ in range(3)]
        waiter = in_thread(pool.submit, pow, 2, 3)
        assert pool._work_queue.qsize() == 3
        held.go.set()
        assert waiter.outcome().result() == 8
        assert [future.result() for future in pending] == [0, 0, 0]


def test_many_who_wait_for_room_all_get_it():
    with ThreadPoolExecutor(2, max_pending=2) as pool:
        most, results = [], []

        def produce():
            for n in range(300):
                results.append(pool.submit(int, n))
                most.append(pool._work_queue.qsize())

        producers = [threading.Thread(target=produce) for _ in range(3)]
        for producer in producers:
            producer.start()
        for producer in producers:
            producer.join(LONG)
            assert not producer.is_alive()
        assert sum(future.result() for future in results) == 3 * sum(range(300))
        # Those who found room at one moment enter one after the other.
        assert max(most) <= 2 + 3


def test_who_waits_for_room_is_interrupted(held, in_thread):
    with ThreadPoolExecutor(1, max_pending=1) as pool:
        held.occupy(pool)
        pool.submit(int)
        waiter = in_thread(pool.submit, int)
        assert lisle.threading.Thread.interrupt(waiter)
        with pytest.raises(lisle.ThreadInterrupted):
            waiter.outcome()
        held.go.set()


def test_who_waits_for_room_is_refused_by_a_shutdown(held, in_thread):
    pool = ThreadPoolExecutor(1, max_pending=1)
    held.occupy(pool)
    pending = pool.submit(int)
    waiter = in_thread(pool.submit, int)
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="after shutdown"):
        waiter.outcome()
    assert not pending.done()  # there still is no room
    held.go.set()
    pool.shutdown()


def test_daemon_workers_do_not_keep_the_interpreter():
    done = run(
        code="""
import lisle.futures, threading
pool = lisle.futures.ThreadPoolExecutor(2, daemon=True)
begun = threading.Semaphore(0)
def call():
    begun.release()
    threading.Event().wait()
for _ in range(4):
    pool.submit(call)
begun.acquire(); begun.acquire()
assert all(thread.daemon for thread in pool._threads)
print("end")
"""
    )
    assert done.stdout == "end\n"


def test_with_help_a_worker_makes_the_call_that_it_waits_for():
    def fibonacci(pool, n):
        if n < 2:
            return n
        left, right = pool.submit(fibonacci, pool, n - 1), pool.submit(fibonacci, pool, n - 2)
        return left.result() + right.result()

    for workers in (1, 2):
        with ThreadPoolExecutor(workers, help=True) as pool:
            assert pool.submit(fibonacci, pool, 11).result() == 89

    def both(pool):
        pending = [pool.submit(int, n) for n in range(5)]
        done, not_done = futures.wait(pending)
        first = next(futures.as_completed([pool.submit(int, 7)]))
        return len(done), len(not_done), first.result()

    with ThreadPoolExecutor(1, help=True) as pool:
        assert pool.submit(both, pool).result() == (5, 0, 7)
    with ThreadPoolExecutor(1, max_pending=1, help=True) as pool:
        assert pool.submit(lambda: [pool.submit(int, n) for n in range(5)]).result()[4].result() == 4


def test_who_waits_for_room_is_refused_by_a_pool_that_breaks(in_thread):
    go = threading.Event()

    def begin():
        assert go.wait(LONG)
        raise KeyError

    pool = ThreadPoolExecutor(1, max_pending=1, initializer=begin)
    first = pool.submit(int)
    waiter = in_thread(pool.submit, int)
    go.set()
    with pytest.raises(stock_thread.BrokenThreadPool):
        first.result()
    # It may have found room before the pool was marked.
    try:
        waiter.outcome().exception(LONG)
    except stock_thread.BrokenThreadPool:
        pass
    pool.shutdown()
