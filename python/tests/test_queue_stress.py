"""Many threads and everything at once; what counts is that the sums come out right."""

import os
import random
import signal
import sys
import threading as stock_threading
import time

import pytest

from conftest import LONG, Waiter, until
from lisle import ThreadInterrupted, queue, threading

# How many times as long as usual.
SOAK = int(os.environ.get("LISLE_SOAK", "1"))
KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


class Mine(int):
    """An int that is compared by Python code."""

    def __lt__(self, other):
        return int(self) < int(other)


class Count:
    """What became of the calls of one thread."""

    def __init__(self):
        self.put, self.got, self.interrupted = [], [], 0


def _produce(q, count, numbers, dice):
    for number in numbers:
        while True:
            try:
                how = dice.randrange(4)
                if how == 0:
                    q.put(number, timeout=0.001)
                elif how == 1:
                    q.put_nowait(number)
                elif how == 2:
                    q.put_many([number])
                else:
                    q.put(number)
            except queue.Full:
                continue
            except ThreadInterrupted:
                count.interrupted += 1
                continue
            count.put.append(number)
            break


def _consume(q, count, dice):
    while True:
        try:
            how = dice.randrange(4)
            if how == 0:
                items = [q.get(timeout=0.001)]
            elif how == 1:
                items = [q.get_nowait()]
            elif how == 2:
                items = q.get_many(3)
            else:
                items = [q.get()]
        except queue.Empty:
            continue
        except ThreadInterrupted:
            count.interrupted += 1
            continue
        except queue.ShutDown:
            return
        for item in items:
            count.got.append(item)
            _tell_done(q, count)


def _tell_done(q, count):
    # An exposed queue takes its mutex for that, which is a wait like any other.
    while True:
        try:
            return q.task_done()
        except ThreadInterrupted:
            count.interrupted += 1


@pytest.mark.parametrize("exposed", [False, True, "in between"])
@pytest.mark.parametrize("maxsize", [0, 1, 7])
@pytest.mark.parametrize("make", [int, Mine])
@pytest.mark.parametrize("name", KINDS)
def test_all_that_is_put_is_got(name, make, maxsize, exposed):
    q = getattr(queue, name)(maxsize)
    if exposed is True:
        assert q.mutex
    each, makers, takers = 150 * SOAK, 3, 3
    producers, consumers, threads = [], [], []
    for n in range(makers):
        producers.append(Count())
        numbers = [make(i) for i in range(n, each * makers, makers)]
        args = (q, producers[-1], numbers, random.Random(n))
        threads.append(threading.Thread(target=_produce, args=args, daemon=True))
    for n in range(takers):
        consumers.append(Count())
        args = (q, consumers[-1], random.Random(100 + n))
        threads.append(threading.Thread(target=_consume, args=args, daemon=True))
    for thread in threads:
        thread.start()
    dice = random.Random(7)
    while any(thread.is_alive() for thread in threads[:makers]):
        dice.choice(threads).interrupt()
        if exposed == "in between" and dice.random() < 0.2:
            assert q.not_empty
        time.sleep(0.0005)
    assert q.join(LONG), "an item was lost"
    q.shutdown()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive(), "a thread waits for ever"
    everything = list(range(each * makers))
    assert sorted(sum((count.put for count in producers), [])) == everything
    assert sorted(sum((count.got for count in consumers), [])) == everything
    assert q.unfinished_tasks == 0 and q.empty()


@pytest.mark.parametrize("name", [*KINDS, "SimpleQueue"])
def test_signals_whose_handlers_raise(name):
    """One of three who get has its waits broken off all the time: the others never miss an item by that."""

    class Stop(Exception):
        pass

    def stop(*_):
        nonlocal stops, armed
        if armed:
            armed = False
            stops += 1
            raise Stop

    def put():
        dice = random.Random(8)
        for number in range(300 * SOAK):
            q.put(number)
            time.sleep(dice.random() * 0.001)

    q, got = getattr(queue, name)(), []
    stops, armed, own = 0, False, 0
    end = 10**9
    others = [Waiter(lambda: [got.append(item) for item in iter(q.get, end)]) for _ in range(2)]
    producer = Waiter(put)
    for thread in (producer, *others):
        thread.start()
    was = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    try:
        while producer.is_alive():
            try:
                armed = True
                q.get()
                armed = False
                own += 1
            except Stop:
                pass
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, was)
    producer.outcome()
    # The main thread is gone from the queue: what is left is the others', who must not be asleep.
    until(q.empty)
    q.put(end), q.put(end)
    for other in others:
        other.outcome()
    assert stops > 0 and len(set(got)) == len(got)
    # An item that came in the moment of an exception is gone with it: as with any call.
    assert 300 * SOAK - stops <= len(got) + own <= 300 * SOAK


@pytest.mark.parametrize("name", [*KINDS, "SimpleQueue"])
def test_who_is_interrupted_passes_the_item_on(name):
    """Of two who wait one is interrupted in the moment in which an item comes: the other gets it."""
    for _ in range(200 * SOAK):
        q, ends = getattr(queue, name)(), queue.Queue()

        def wait():
            try:
                ends.put(q.get())
            except ThreadInterrupted:
                ends.put("interrupted")

        threads = [threading.Thread(target=wait, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        interrupter = stock_threading.Thread(target=threads[0].interrupt)
        interrupter.start()
        q.put("item")
        interrupter.join()
        first = ends.get(timeout=LONG)
        if first == "interrupted":
            assert ends.get(timeout=LONG) == "item"
        else:
            q.put("item")
            assert ends.get(timeout=LONG) in ("item", "interrupted")
        for thread in threads:
            thread.join(LONG)
            assert not thread.is_alive()


def test_shutdown_in_the_middle():
    """Each put either raised, or its item was got, or lies in the queue."""
    for attempt in range(20 * SOAK):
        q = queue.Queue(attempt % 3)

        def put():
            for number in range(10**9):
                try:
                    q.put(number)
                except queue.ShutDown:
                    return number

        def get():
            count = 0
            while True:
                try:
                    q.get()
                except queue.ShutDown:
                    return count
                count += 1

        putters = [Waiter(put) for _ in range(2)]
        getters = [Waiter(get) for _ in range(2)]
        for thread in putters + getters:
            thread.start()
        until(lambda: q.unfinished_tasks > 100)
        q.shutdown()
        assert sum(thread.outcome() for thread in putters) == sum(thread.outcome() for thread in getters)
        assert q.empty()


def test_memory_does_not_grow():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def work(rounds):
        for _ in range(rounds):
            for name in (*KINDS, "SimpleQueue"):
                q = getattr(queue, name)()
                q.put(_)
                q.put(_)
                q.get()

    work(2000)
    before = resident()
    work(20000)
    # One queue that was not let go of in a hundred would be more.
    assert resident() - before < 400_000, sys.version
    q = queue.Queue()
    for _ in range(2**22):
        q.put(None)
    # 32 MiB for the items, of which the queue keeps nothing once they have gone.
    held = resident()
    assert held - before > 20_000_000
    while not q.empty():
        q.get_many(1000)
    assert held - resident() > 20_000_000
