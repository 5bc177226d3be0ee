"""Queues between threads: waits and what ends them, signals, finalizers, forks."""

import gc
import os
import signal
import sys
import threading as stock_threading
import time

import pytest

from conftest import LONG, Waiter, asleep, run, until
from lisle import ThreadInterrupted, queue, threading

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]
ALL = [*KINDS, "SimpleQueue"]


@pytest.fixture(params=KINDS)
def kind(request):
    return getattr(queue, request.param)


@pytest.fixture(params=ALL)
def any_kind(request):
    return getattr(queue, request.param)


@pytest.fixture(params=["plain", "exposed"])
def made(request):
    def make(kind, *args):
        q = kind(*args)
        if request.param == "exposed" and kind is not queue.SimpleQueue:
            assert q.mutex
        return q

    return make


@pytest.fixture
def on_alarm():
    """Runs a function in the handler of a signal: call it with what to do, then `send`."""
    was = signal.getsignal(signal.SIGALRM)

    def prepare(handler):
        signal.signal(signal.SIGALRM, lambda *_: handler())

    yield prepare
    signal.signal(signal.SIGALRM, was)


def alarm_when(condition):
    """Sends this thread a signal, as soon as the condition holds."""
    main = stock_threading.get_ident()

    def send():
        until(condition)
        signal.pthread_kill(main, signal.SIGALRM)

    thread = stock_threading.Thread(target=send)
    thread.start()
    return thread


def main_sleeps():
    with open(f"/proc/self/task/{os.getpid()}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def test_get_waits_for_put(any_kind, made, in_thread):
    q = made(any_kind)
    for get in (q.get, lambda: q.get(True, 50), lambda: q.get(timeout=50)):
        getter = in_thread(get)
        q.put(1)
        assert getter.outcome() == 1


def test_put_waits_for_get(kind, made, in_thread):
    q = made(kind, 1)
    q.put(1)
    for put in (lambda: q.put(2), lambda: q.put(2, timeout=50), lambda: q.put_many([2])):
        putter = in_thread(put)
        q.get()
        putter.outcome()


def test_each_item_wakes_one(any_kind, made, in_thread):
    q = made(any_kind)
    getters = [in_thread(q.get) for _ in range(4)]
    for item in range(2):
        q.put(item)
    until(lambda: sum(getter.is_alive() for getter in getters) == 2)
    if hasattr(q, "put_many"):
        q.put_many([2, 3])
    else:
        q.put(2), q.put(3)
    assert sorted(getter.outcome() for getter in getters) == [0, 1, 2, 3]


def test_a_larger_maxsize_lets_putters_in(kind, in_thread):
    q = kind(1)
    q.put(1)
    putter = in_thread(q.put, 2)
    q.maxsize = 2
    putter.outcome()


def test_timeouts(any_kind, made):
    q = made(any_kind)
    begun = time.monotonic()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.05)
    assert 0.05 <= time.monotonic() - begun < LONG
    if any_kind is not queue.SimpleQueue:
        q.maxsize = 1
        q.put(1)
        begun = time.monotonic()
        with pytest.raises(queue.Full):
            q.put(2, timeout=0.05)
        assert 0.05 <= time.monotonic() - begun < LONG


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_ends_waits(kind, made, in_thread, immediate):
    q = made(kind)
    getters = [in_thread(q.get), in_thread(q.get_many, 3, timeout=50)]
    full = made(kind, 1)
    full.put(1)
    putters = [in_thread(full.put, 2), in_thread(full.put_many, [2, 3])]
    joiner = in_thread(full.join, 50)
    q.shutdown(immediate)
    full.shutdown(immediate)
    for waiter in getters + putters:
        with pytest.raises(queue.ShutDown):
            waiter.outcome()
    if not immediate:
        assert full.get() == 1
        full.task_done()
    assert joiner.outcome() is True


def test_interrupt(any_kind, made):
    """It ends each wait, and takes no wake-up from those who go on waiting."""
    q = made(any_kind)
    calls = [q.get, lambda: q.get(timeout=50)]
    if any_kind is not queue.SimpleQueue:
        full = made(any_kind, 1)
        full.put(1)
        calls += [lambda: full.put(2), full.join, lambda: q.get_many(2), lambda: full.put_many([2])]
    for call in calls:
        outcome = []

        def run():
            try:
                outcome.append(call())
            except ThreadInterrupted as error:
                outcome.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until(thread.interrupt)
        thread.join(LONG)
        assert isinstance(outcome[0], ThreadInterrupted)
    q.put(1)
    assert q.get() == 1


def test_a_handler_runs_and_the_wait_goes_on(any_kind, made, on_alarm):
    q, handled = made(any_kind), []
    on_alarm(lambda: handled.append(1))
    sender = alarm_when(main_sleeps)
    putter = stock_threading.Thread(target=lambda: (until(lambda: handled), q.put(5)))
    putter.start()
    assert q.get(timeout=LONG) == 5 and handled == [1]
    sender.join(), putter.join()


def test_a_handler_may_raise(any_kind, made, on_alarm):
    class Enough(Exception):
        pass

    def stop():
        raise Enough

    on_alarm(stop)
    q = made(any_kind)
    waits = [q.get, lambda: q.get(timeout=LONG)]
    if any_kind is not queue.SimpleQueue:
        full = made(any_kind, 1)
        full.put(1)
        waits += [lambda: full.put(2), full.join]
    for wait in waits:
        sender = alarm_when(main_sleeps)
        with pytest.raises(Enough):
            wait()
        sender.join()
    # Nobody is counted as waiting who does not wait any more.
    q.put(1)
    assert q.get() == 1


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(),
                    reason="it is the GIL that keeps the woken thread from looking before the signal is sent")
def test_a_handler_that_raises_takes_no_item_with_it(any_kind, made, on_alarm):
    """The signal comes when the thread has been woken for an item, and is not back yet."""
    class Enough(Exception):
        pass

    def stop():
        raise Enough

    on_alarm(stop)
    q, main, begun = made(any_kind), stock_threading.get_ident(), []

    def send():
        until(lambda: begun and main_sleeps())
        q.put(1)
        signal.pthread_kill(main, signal.SIGALRM)

    interval = sys.getswitchinterval()
    sender = stock_threading.Thread(target=send)
    sys.setswitchinterval(LONG)
    try:
        sender.start()
        with pytest.raises(Enough):
            begun.append(True)
            q.get()
    finally:
        sys.setswitchinterval(interval)
    sender.join()
    assert q.get_nowait() == 1


def test_a_handler_may_put(any_kind, on_alarm):
    """What stock can only do with SimpleQueue: the handler puts what the wait that it interrupts is for."""
    q = any_kind()
    on_alarm(lambda: q.put(1))
    for get in (q.get, lambda: q.get(timeout=LONG)):
        sender = alarm_when(main_sleeps)
        assert get() == 1
        sender.join()


def test_a_handler_may_come_at_any_time(any_kind, on_alarm):
    """Handlers, and handlers of handlers, that put and get while the program does: all items are there."""
    q, put, got = any_kind(), [], []
    numbers = iter(range(10**9))

    def step():
        number = next(numbers)
        put.append(number)
        q.put(number)
        try:
            got.append(q.get_nowait())
        except queue.Empty:
            pass

    on_alarm(step)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            q.put(-1)
            got.append(q.get())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    while not q.empty():
        got.append(q.get())
    assert sorted(item for item in got if item >= 0) == sorted(put) and len(put) > 10


def test_finalizers_may_use_the_queue_that_is_left(any_kind):
    """Items that go with the queue, or by it, and come back to it while they go."""
    for leave in ("delete", "init", "collect"):
        done = []

        class Item:
            def __init__(self, q):
                self.q = q

            def __lt__(self, other):
                return False

            __gt__ = __lt__

            def __del__(self):
                self.q.put(1)
                self.q.get()
                done.append(1)

        q = any_kind()
        for _ in range(3):
            q.put(Item(q))
        if leave == "init" and any_kind is not queue.SimpleQueue:
            q.__init__()
        elif leave == "delete":
            while not q.empty():
                q.get()
        del q
        gc.collect()
        assert done == [1, 1, 1]


@pytest.mark.parametrize("exposed", [False, True])
def test_finalizers_at_shutdown(kind, exposed):
    q, done = kind(), []

    class Item:
        def __lt__(self, other):
            return False

        def __del__(self):
            done.append((q.qsize(), q.is_shutdown))

    for _ in range(3):
        q.put(Item())
    if exposed:
        # Under the mutex, as stock: its finalizers had better not ask.
        Item.__del__ = lambda self: done.append((0, q.is_shutdown))
        assert q.mutex
    q.shutdown(immediate=True)
    gc.collect()
    assert done == [(0, True)] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are of POSIX")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork(any_kind, in_thread):
    """In the child the queue works, whoever waited for it in the parent."""
    q = any_kind()
    getters = [in_thread(q.get, timeout=LONG) for _ in range(3)]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            q.put(1)
            q.put(2)
            good = sorted([q.get(), q.get_nowait()]) == [1, 2]
            thread = Waiter(q.get)
            thread.start()
            q.put(3)
            good &= thread.outcome() == 3
            if any_kind is not queue.SimpleQueue:
                for _ in range(3):
                    q.task_done()
                good &= q.join(5) and len(q.queue) == 0
            status = 0 if good else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for item in range(3):
        q.put(item)
    assert sorted(getter.outcome() for getter in getters) == [0, 1, 2]


def test_exit_with_threads_that_wait():
    """Daemon threads in every wait of a queue do not keep the process from ending."""
    done = run(
        code="""
from lisle import queue, threading
import time
q, full, simple = queue.Queue(), queue.PriorityQueue(1), queue.SimpleQueue()
full.put(1)
exposed = queue.LifoQueue()
exposed.mutex
calls = [q.get, lambda: q.get(timeout=50), lambda: full.put(2), full.join, simple.get, exposed.get, lambda: q.get_many(2)]
for call in calls * 5:
    threading.Thread(target=call, daemon=True).start()
end = time.monotonic() + 0.1
while time.monotonic() < end:
    full.put_many([], False)
print("ends")
"""
    )
    assert done.stdout == "ends\n" and not done.stderr


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no switch interval without a GIL")
def test_a_comparison_that_switches_threads(made):
    """Threads whose comparisons interleave all the time keep the heap a heap."""
    class Item:
        def __init__(self, value):
            self.value = value

        def __lt__(self, other):
            time.sleep(0)
            return self.value < other.value

    q = made(queue.PriorityQueue)
    was = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [Waiter(lambda n=n: [q.put(Item(value)) for value in range(n, 120, 3)]) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.outcome()
        takers = [Waiter(lambda: [q.get().value for _ in range(40)]) for _ in range(3)]
        for thread in takers:
            thread.start()
        taken = [thread.outcome() for thread in takers]
    finally:
        sys.setswitchinterval(was)
    assert sorted(sum(taken, [])) == list(range(120))
    # Of what one thread takes while nobody puts, each is no less than the one before.
    assert all(values == sorted(values) for values in taken)


def test_who_fails_to_compare_passes_the_item_on(in_thread):
    """Of four who get, one is woken for an item and leaves without: the item is another's."""
    class Item:
        failures = []

        def __lt__(self, other):
            if stock_threading.current_thread() in getters:
                try:
                    failure = Item.failures.pop()
                except IndexError:
                    return False
                raise failure
            return False

    # It takes three items at once for a comparison, and the getters may be quicker than the third.
    for _ in range(500):
        q = queue.PriorityQueue()
        getters = [Waiter(q.get) for _ in range(4)]
        for getter in getters:
            getter.start()
        until(lambda: all(map(asleep, getters)))
        Item.failures = [ArithmeticError()]
        q.put_many([Item(), Item(), Item()])
        until(lambda: sum(getter.is_alive() for getter in getters) == (1 if Item.failures else 0))
        if not Item.failures:
            break
        q.put(Item())
        for getter in getters:
            getter.outcome()
    assert not Item.failures
    errors = [getter.error for getter in getters if getter.error]
    assert q.empty() and [type(error) for error in errors] == [ArithmeticError]
