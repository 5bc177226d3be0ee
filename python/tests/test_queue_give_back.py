"""A call of `get_many` that fails midway: what it had taken is in the queue again."""

import signal
from collections import deque

import pytest

from lisle import queue


class Stop(Exception):
    """What a signal's handler may raise."""


class Item:
    """Compared by the program's code, in which `on_compare` runs."""

    on_compare = staticmethod(lambda: None)

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        Item.on_compare()
        return self.value < other.value


def after(count, act):
    """Acts once it has been called so many times."""

    def called():
        nonlocal count
        count -= 1
        if count == 0:
            act()

    return called


def throw(error):
    raise error


@pytest.fixture(autouse=True)
def quiet():
    yield
    Item.on_compare = staticmethod(lambda: None)


def interrupted_everywhere(fill, act, error, until):
    """A queue for each comparison that there is in `get_many`, which fails there by `act`."""
    for at in range(1, 1000):
        q, items = fill()
        Item.on_compare = staticmethod(after(at, lambda: act(q)))
        try:
            got = q.get_many(until)
        except error:
            pass
        else:
            assert [item.value for item in got] == sorted(item.value for item in items)[:until]
            assert at > 5, "it was to fail"
            return
        finally:
            Item.on_compare = staticmethod(lambda: None)
        assert q.unfinished_tasks >= len(items)
        yield q, items
    raise AssertionError("it always failed")


def taken(q):
    values = []
    while not q.empty():
        values.append(q.get(block=False).value)
    return values


def filled(maxsize=0):
    q = queue.PriorityQueue(maxsize)
    items = [Item(value) for value in (5, 3, 8, 1, 9, 2, 7, 7, 0, 4)]
    for item in items:
        q.put(item)
    return q, items


def filled_and_exposed():
    q, items = filled(10)
    assert len(q.queue) == 10
    return q, items


@pytest.mark.parametrize("fill", [filled, filled_and_exposed])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("most", [4, 10, 100])
def test_a_comparison_that_fails(fill, error, most):
    for q, items in interrupted_everywhere(fill, lambda q: throw(error), error, most):
        assert q.qsize() == q.unfinished_tasks == len(items)
        assert taken(q) == sorted(item.value for item in items)


@pytest.mark.parametrize("fill", [filled, filled_and_exposed])
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_a_handler_that_raises(fill, error):
    before = signal.signal(signal.SIGUSR1, lambda *_: throw(error))
    try:
        for q, items in interrupted_everywhere(fill, lambda q: signal.raise_signal(signal.SIGUSR1), error, 9):
            assert taken(q) == sorted(item.value for item in items)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_queue_that_is_exposed_by_the_comparison():
    def act(q):
        assert q.mutex
        raise Stop

    for q, items in interrupted_everywhere(filled, act, Stop, 9):
        assert len(q.queue) == len(items)
        assert taken(q) == sorted(item.value for item in items)


def test_what_others_put_meanwhile_comes_in_its_order():
    def act(q):
        Item.on_compare = staticmethod(lambda: None)
        for value in (-1, 6, 3):
            q.put(Item(value))
        raise Stop

    for q, items in interrupted_everywhere(filled, act, Stop, 9):
        assert taken(q) == sorted([-1, 6, 3, *(item.value for item in items)])


@pytest.mark.parametrize("fill", [filled, filled_and_exposed])
def test_comparisons_that_fail_from_then_on(fill):
    def act(q):
        Item.on_compare = staticmethod(lambda: throw(Stop))
        raise Stop

    for q, items in interrupted_everywhere(fill, act, Stop, 9):
        values = taken(q)
        assert sorted(values) == sorted(item.value for item in items)
        # What had been taken was the least that there is, and is that again.
        assert values[0] == 0


def test_who_was_full_and_filled_again():
    """There may be more than the limit for a while: the room that was made is taken."""
    def act(q):
        Item.on_compare = staticmethod(lambda: None)
        while not q.full():
            q.put(Item(100))
        raise Stop

    for q, items in interrupted_everywhere(lambda: filled(10), act, Stop, 9):
        assert q.full() and q.qsize() >= 10
        more = q.qsize() - len(items)
        assert taken(q) == sorted(item.value for item in items) + [100] * more


def test_a_getter_that_waits_gets_what_is_given_back(in_thread):
    q, items = filled()

    def act():
        waiter.append(in_thread(lambda: [q.get().value for _ in items]))
        raise Stop

    waiter = []
    Item.on_compare = staticmethod(after(20, act))
    with pytest.raises(Stop):
        q.get_many(9)
    assert sorted(waiter[0].outcome()) == sorted(item.value for item in items)


class Failing(deque):
    """Its `popleft` and `pop` fail after so many calls."""

    left = 3

    def _count(self):
        Failing.left -= 1
        if Failing.left == 0:
            raise Stop

    def popleft(self):
        self._count()
        return super().popleft()

    def pop(self):
        self._count()
        return super().pop()


@pytest.mark.parametrize("kind", [queue.Queue, queue.LifoQueue])
def test_the_order_of_other_queues(kind):
    q = kind()
    q.queue = Failing(range(6))
    Failing.left = 3
    with pytest.raises(Stop):
        q.get_many(6)
    order = list(range(6)) if kind is queue.Queue else list(range(5, -1, -1))
    assert q.get_many(6) == order


def test_a_queue_with_a_get_of_its_own():
    class Own(queue.Queue):
        left = 3

        def _get(self):
            self.left -= 1
            if self.left == 0:
                raise Stop
            return super()._get()

    q = Own()
    q.put_many(range(6))
    with pytest.raises(Stop):
        q.get_many(6)
    assert sorted(q.get_many(6)) == list(range(6))
