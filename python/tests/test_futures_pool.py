"""`ThreadPoolExecutor`: what it does, and what programs do with its insides."""

import concurrent.futures.thread as stock_thread
import gc
import itertools
import queue
import sys
import threading
import time
import weakref

import pytest
from conftest import LONG, Waiter, run, until

from lisle import futures
from lisle.futures import ThreadPoolExecutor


def test_it_is_an_executor_of_the_standard_library():
    assert issubclass(ThreadPoolExecutor, stock_thread.ThreadPoolExecutor)
    assert (ThreadPoolExecutor.__name__, ThreadPoolExecutor.__module__) == ("ThreadPoolExecutor", "concurrent.futures.thread")
    with ThreadPoolExecutor(2) as pool:
        assert type(pool.submit(int)) is futures.Future


def test_arguments_come_as_they_were_given():
    def call(*args, **kwargs):
        return args, kwargs

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(call).result() == ((), {})
        assert pool.submit(call, 1, 2, self=3, fn=4).result() == ((1, 2), {"self": 3, "fn": 4})
        assert pool.submit(call, *range(50), **{f"k{n}": n for n in range(50)}).result() == (
            tuple(range(50)),
            {f"k{n}": n for n in range(50)},
        )
        assert pool.submit(dict, a=1).result() == {"a": 1}
        assert pool.submit("x{}{y}".format, 1, y=2).result() == "x12"
        for wrong in (lambda: pool.submit(), lambda: pool.submit(fn=call)):
            with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
                wrong()
        with pytest.raises(TypeError, match="not callable"):
            pool.submit(5).result()


def test_wrong_options():
    for kwargs in ({"max_workers": 0}, {"max_workers": -1}, {"max_pending": 0}):
        with pytest.raises(ValueError):
            ThreadPoolExecutor(**kwargs)
    for kwargs in ({"initializer": 5}, {"no_such": 5}, {"max_workers": "x"}):
        with pytest.raises(TypeError):
            ThreadPoolExecutor(**kwargs)


def test_a_thread_is_made_when_none_is_free(held):
    with ThreadPoolExecutor(3, "named") as pool:
        assert pool._threads == set()
        for _ in range(5):
            pool.submit(int).result()
            until(pool._work_queue._spare)
        assert len(pool._threads) == 1
        waiting = [pool.submit(held) for _ in range(8)]
        assert sorted(thread.name for thread in pool._threads) == ["named_0", "named_1", "named_2"]
        assert all(type(thread) is threading.Thread and not thread.daemon for thread in pool._threads)
        held.go.set()
        futures.wait(waiting)
    assert not any(thread.is_alive() for thread in pool._threads)


def test_refusals_have_the_standard_words():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    pool.shutdown()
    with pytest.raises(RuntimeError, match="^cannot schedule new futures after shutdown$"):
        pool.submit(int)
    done = run(
        code="""
import atexit, threading, lisle.futures
pool = lisle.futures.ThreadPoolExecutor(1)
def late():
    try:
        pool.submit(int)
    except RuntimeError as error:
        print(error)
atexit.register(late)
"""
    )
    assert done.stdout == "cannot schedule new futures after interpreter shutdown\n"


def test_an_initializer(caplog):
    local = threading.local()

    def begin(value):
        local.value = value

    with ThreadPoolExecutor(2, initializer=begin, initargs=(7,)) as pool:
        assert list(pool.map(lambda _: local.value, range(20))) == [7] * 20
    pool = ThreadPoolExecutor(1, initializer=begin)
    first = pool.submit(int)
    with pytest.raises(stock_thread.BrokenThreadPool):
        first.result()
    until(lambda: pool._broken)
    with pytest.raises(stock_thread.BrokenThreadPool, match="a thread initializer failed|A thread initializer failed"):
        pool.submit(int)
    pool.shutdown()
    assert "Exception in initializer:" in caplog.messages


def test_shutdown(held):
    pool = ThreadPoolExecutor(1)
    (first,) = held.occupy(pool)
    second, third = pool.submit(int), pool.submit(int)
    pool.shutdown(wait=False)
    with pytest.raises(TimeoutError, match=r"^1 of 1 workers go on: ThreadPoolExecutor-\d+_0$"):
        pool.shutdown(timeout=0.01)
    pool.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled() and third.cancelled() and not first.done()
    held.go.set()
    pool.shutdown(timeout=LONG)
    assert first.result() == 0 and not any(thread.is_alive() for thread in pool._threads)


def test_what_was_pending_is_done_before_shutdown_returns():
    pool, seen = ThreadPoolExecutor(3), []
    for n in range(200):
        pool.submit(seen.append, n)
    pool.shutdown()
    assert sorted(seen) == list(range(200))


def test_a_pool_that_is_gone_takes_its_workers_along(held):
    pool = ThreadPoolExecutor(2)
    results = held.occupy(pool, 2) + [pool.submit(int)]
    threads = list(pool._threads)
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    held.go.set()
    assert [future.result(LONG) for future in results] == [0, 1, 0]
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


def test_nothing_that_a_call_was_given_or_gave_is_kept():
    class Thing:
        pass

    with ThreadPoolExecutor(1) as pool:
        thing = Thing()
        seen = [weakref.ref(thing)]
        future = pool.submit(lambda thing: Thing(), thing)
        seen.append(weakref.ref(future.result()))
        seen.append(weakref.ref(future))
        del thing, future

        def fail(thing):
            raise KeyError(thing)

        thing = Thing()
        future = pool.submit(fail, thing)
        with pytest.raises(KeyError) as error:
            future.result()
        seen += [weakref.ref(thing), weakref.ref(future)]
        del thing, future, error

        def collected():
            gc.collect()
            return all(one() is None for one in seen)

        until(collected)


def test_a_cancelled_call_is_not_made(held):
    with ThreadPoolExecutor(1) as pool:
        held.occupy(pool)
        seen = []
        pending = [pool.submit(seen.append, n) for n in range(4)]
        assert [future.cancel() for future in pending[::2]] == [True, True]
        assert pending[0].running() is False and pending[1]._state == "PENDING"
        held.go.set()
    assert seen == [1, 3]
    assert [future._state for future in pending] == ["CANCELLED_AND_NOTIFIED", "FINISHED"] * 2


def test_base_exceptions_are_results_and_the_worker_goes_on():
    def leave():
        raise SystemExit(3)

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(SystemExit):
            pool.submit(leave).result()
        assert pool.submit(int).result() == 0
        assert len(pool._threads) == 1


# map


def test_map():
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(pow, range(10), [2] * 7)) == [n * n for n in range(7)]
        assert list(pool.map(int, [])) == list(pool.map(int)) == []
        results = pool.map(divmod, [5, 5, 5], [2, 0, 3])
        assert next(results) == (2, 1)
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == []


def test_map_has_a_limit_and_cancels_the_rest(held):
    pool = ThreadPoolExecutor(1)
    held.occupy(pool)
    seen = []
    results = pool.map(seen.append, range(5), timeout=0.01)
    with pytest.raises(TimeoutError):
        next(results)
    results = pool.map(seen.append, range(5, 9))
    del results  # before the first was asked for: then nothing is cancelled, as in the standard library
    results = pool.map(held, range(3))
    held.go.set()
    assert next(results) == 0
    results.close()
    pool.shutdown()
    assert seen == [5, 6, 7, 8]


def test_map_with_a_buffer_takes_only_what_it_needs():
    taken = []

    def source():
        for n in itertools.count():
            taken.append(n)
            yield n

    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda n: n * n, source(), buffersize=4)
        assert taken == [0, 1, 2, 3]
        assert [next(results) for _ in range(3)] == [0, 1, 4]
        assert taken == list(range(7))
        results.close()
        for wrong, error in ((0, ValueError), (-1, ValueError), ("4", TypeError)):
            with pytest.raises(error):
                pool.map(int, [], buffersize=wrong)
        assert list(pool.map(int, range(3), buffersize=10)) == [0, 1, 2]


# The insides.


def test_insides_that_are_read(held):
    with ThreadPoolExecutor(2, "name", initializer=int, initargs=()) as pool:
        assert (pool._max_workers, pool._broken, pool._shutdown, pool._initializer) == (2, False, False, int)
        assert pool._thread_name_prefix == "name" and pool._initargs == ()
        with pool._shutdown_lock, stock_thread._global_shutdown_lock:
            pass
        held.occupy(pool, 2)
        pool.submit(pow, 2, 3)
        pool.submit(pow, 2, exp=3)
        assert pool._work_queue.qsize() == 2 and not pool._work_queue.empty()
        assert all(stock_thread._threads_queues[thread] is pool._work_queue for thread in pool._threads)
        items = [pool._work_queue.get_nowait(), pool._work_queue.get(timeout=1)]
        assert [(item.fn, item.args, item.kwargs) for item in items] == [(pow, (2, 3), {}), (pow, (2,), {"exp": 3})]
        for call in (pool._work_queue.get_nowait, lambda: pool._work_queue.get(timeout=0.01), lambda: pool._work_queue.get(False)):
            with pytest.raises(queue.Empty):
                call()
        future = items[0].future
        items[0].run()
        assert future.result() == 8
        with pytest.raises(RuntimeError):
            items[0].run()
        other = items[1].future
        pool._work_queue.put(items[1])
        with pytest.raises(TypeError):
            pool._work_queue.put(5)
        held.go.set()
        assert other.result() == 8


def test_more_workers_are_allowed_later(held):
    with ThreadPoolExecutor(1) as pool:
        held.occupy(pool)
        pool._max_workers = 3
        held.occupy(pool, 2)
        assert len(pool._threads) == 3
        held.go.set()


def test_adjust_thread_count_is_overridden_with_the_standard_worker():
    """As programs do it that want daemon threads."""

    class Daemons(ThreadPoolExecutor):
        adjusted = 0

        def _adjust_thread_count(self):
            type(self).adjusted += 1
            if self._idle_semaphore.acquire(timeout=0):
                return

            def gone(_, queue=self._work_queue):
                queue.put(None)

            if len(self._threads) < self._max_workers:
                rest = (self._work_queue, self._initializer, self._initargs)
                if sys.version_info >= (3, 14):
                    rest = (self._create_worker_context(), self._work_queue)
                thread = threading.Thread(target=stock_thread._worker, args=(weakref.ref(self, gone), *rest), daemon=True)
                thread.start()
                self._threads.add(thread)
                stock_thread._threads_queues[thread] = self._work_queue

    with Daemons(3) as pool:
        assert [pool.submit(pow, n, 2).result() for n in range(50)] == [n * n for n in range(50)]
        assert sorted(pool.map(abs, range(-50, 0))) == list(range(1, 51))
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()
        assert Daemons.adjusted == 101
        assert all(thread.daemon for thread in pool._threads) and 1 <= len(pool._threads) <= 3
    assert not any(thread.is_alive() for thread in pool._threads)


def test_adjust_thread_count_that_calls_up():
    class Counting(ThreadPoolExecutor):
        calls = 0

        def _adjust_thread_count(self):
            assert not self._shutdown_lock.acquire(blocking=False)
            self.calls += 1
            super()._adjust_thread_count()

    with Counting(2) as pool:
        assert list(pool.map(int, range(10))) == list(range(10))
        assert pool.calls == 10


def test_the_work_queue_is_replaced(held, in_thread):
    class Bounded(ThreadPoolExecutor):
        def __init__(self, *args, size):
            super().__init__(*args)
            self._work_queue = queue.Queue(size)

    with Bounded(1, size=2) as pool:
        assert isinstance(pool._work_queue, queue.Queue)
        held.occupy(pool)
        pending = [pool.submit(int, n) for n in range(2)]
        waiter = in_thread(pool.submit, pow, 2, b := 3)
        assert pool._work_queue.full()
        held.go.set()
        assert waiter.outcome().result() == 2**b
        assert [future.result() for future in pending] == [0, 1]
        assert list(pool.map(int, range(10))) == list(range(10))
        assert len(pool._threads) == 1


def test_submit_is_overridden_and_replaced(monkeypatch):
    class Logged(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            seen.append(fn)
            return super().submit(fn, *args, **kwargs)

    seen = []
    with Logged(1) as pool:
        assert pool.submit(int).result() == 0 and list(pool.map(abs, [1])) == [1]
    assert seen == [int, abs]
    inner = ThreadPoolExecutor.submit
    monkeypatch.setattr(ThreadPoolExecutor, "submit", lambda self, fn, *args: inner(self, fn, 10 + args[0]))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(int, 5).result() == 15 and list(pool.map(int, [6])) == [16]


def test_threads_are_those_that_threading_has_now(monkeypatch):
    made = []

    class Mine(threading.Thread):
        def __init__(self, *args, **kwargs):
            made.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(threading, "Thread", Mine)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
    assert set(made) == pool._threads


def test_a_thread_that_cannot_be_started(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    pool = ThreadPoolExecutor(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(int)
    assert pool._threads == set() and pool.submit(int, 3).result(LONG) == 3
    pool.shutdown()


def test_a_callback_that_ends_the_worker(caplog):
    pool = ThreadPoolExecutor(1)

    def leave(_):
        raise SystemExit

    release = threading.Event()
    future = pool.submit(release.wait, LONG)
    future.add_done_callback(leave)
    release.set()
    (thread,) = pool._threads
    thread.join(LONG)
    assert not thread.is_alive() and "Exception in worker" in caplog.messages


# Fork and exit.


def test_calls_that_are_pending_at_exit_are_made():
    done = run(
        code="""
import lisle.futures, sys, time
pool = lisle.futures.ThreadPoolExecutor(2)
for n in range(20):
    pool.submit(lambda n=n: (time.sleep(0.002), sys.stdout.write(f"{n}\\n")))
"""
    )
    assert sorted(map(int, done.stdout.split())) == list(range(20))


def test_a_child_of_a_fork_makes_its_own_pool():
    done = run(
        "-W",
        "ignore",
        code="""
import os, threading, lisle.futures
pool = lisle.futures.ThreadPoolExecutor(2)
print(pool.submit(int, 1).result(), flush=True)
def child():
    pid = os.fork()
    if not pid:
        with lisle.futures.ThreadPoolExecutor(2) as mine:
            ok = list(mine.map(int, range(20))) == list(range(20))
        os._exit(0 if ok else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(child(), pool.submit(child).result(), flush=True)
pool.shutdown()
""",
    )
    assert done.stdout == "1\n0 0\n"


def test_workers_end_when_the_process_is_told_to():
    began = time.monotonic()
    run(code="import lisle.futures, sys\nlisle.futures.ThreadPoolExecutor(8).map(int, range(100))\nsys.exit(0)")
    assert time.monotonic() - began < LONG / 2


def test_submit_and_shutdown_at_once():
    """What submit took is done; what it refused was not taken."""
    for _ in range(100):
        pool, made = ThreadPoolExecutor(2), []
        begun = threading.Event()

        def submit(pool=pool, made=made, begun=begun):
            taken = 0
            try:
                for n in range(100_000):
                    pool.submit(made.append, n)
                    taken += 1
                    begun.set()
            except RuntimeError:
                pass
            return taken

        waiters = [Waiter(submit) for _ in range(2)]
        for waiter in waiters:
            waiter.start()
        assert begun.wait(LONG)
        pool.shutdown()
        # A call that was let in before the end is made, if by now or in a moment.
        taken = sum(waiter.outcome() for waiter in waiters)
        until(lambda taken=taken, made=made: len(made) == taken)


def test_calls_of_builtins_leave_the_others_their_turn(held):
    """A worker that finds one call after the other, none of them Python code, does not keep the GIL."""
    with ThreadPoolExecutor(1) as pool:
        held.occupy(pool)
        pending = [pool.submit(sum, range(50_000)) for _ in range(1000)]
        held.go.set()
        pending[0].result()
        assert not pending[-1].done()
        pool.shutdown(cancel_futures=True)
