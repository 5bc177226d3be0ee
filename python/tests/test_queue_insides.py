"""What programs do with the insides of queues, and with their classes."""

import collections
import heapq
import queue as stock
import threading as stock_threading
import time

import pytest

from conftest import Waiter, until
from lisle import queue

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


@pytest.fixture(params=KINDS)
def kind(request):
    return getattr(queue, request.param)


def test_the_items(kind):
    q = kind()
    for item in (1, 2, 3):
        q.put(item)
    with q.mutex:
        assert type(q.queue) is (collections.deque if kind is queue.Queue else list)
        assert list(q.queue) == [1, 2, 3]
        assert list(q.queue) == [1, 2, 3]
        q.queue.clear()
    assert q.empty() and q.qsize() == 0 and q.unfinished_tasks == 3
    q.queue.append(7)
    assert q.get() == 7


def test_the_mutex_is_the_one(kind, in_thread):
    """Who holds the mutex keeps everybody out, and the conditions are over it."""
    q = kind()
    q.put(1)
    for condition in (q.not_empty, q.not_full, q.all_tasks_done):
        with condition:
            assert q.mutex.locked()
    assert not q.mutex.locked()
    with q.mutex:
        calls = [in_thread(call) for call in (q.get, q.qsize, lambda: q.put(2), q.empty, q.full, q.task_done)]
        assert all(call.is_alive() for call in calls)
        assert list(q.queue) == [1]
    for call in calls:
        call.outcome()


def test_others_wait_on_the_conditions(kind, in_thread):
    q = kind(1)

    def wait(condition, until):
        with condition:
            condition.wait_for(until)

    waiter = in_thread(wait, q.not_empty, lambda: len(q.queue) == 1)
    q.put(1)
    waiter.outcome()
    waiter = in_thread(wait, q.not_full, lambda: not q.queue)
    q.get()
    waiter.outcome()
    waiter = in_thread(wait, q.all_tasks_done, lambda: not q.unfinished_tasks)
    q.task_done()
    waiter.outcome()


def test_a_replaced_wait_is_called(kind):
    q = kind(1)
    q.put(1)
    seen = []

    def wait(timeout=None):
        seen.append(timeout)
        q.queue.clear()

    q.not_full.wait = wait
    q.put(2)
    assert seen == [None] and q.get() == 2
    q.put(3)
    q.put(4, timeout=50)
    assert 0 < seen[1] <= 50


def test_a_replaced_mutex_is_taken(kind):
    class Lock:
        def __init__(self):
            self.lock, self.taken = stock_threading.Lock(), 0

        def acquire(self, *args):
            self.taken += 1
            return self.lock.acquire(*args)

        def release(self):
            self.lock.release()

        def _is_owned(self):
            return self.lock.locked()

        def __enter__(self):
            return self.acquire()

        def __exit__(self, *_):
            self.release()

    q = kind()
    q.mutex = Lock()
    q.not_full = q.not_empty = stock_threading.Condition(q.mutex)
    q.put(1)
    assert q.get() == 1 and q.qsize() == 0
    assert q.mutex.taken == 3


@pytest.mark.parametrize("touch", ["mutex", "queue", "not_empty", "not_full", "all_tasks_done"])
def test_waiters_go_on_when_the_queue_is_exposed(kind, touch, in_thread):
    """Those who sleep when it happens do so no less than those who come later."""
    q = kind(1)
    getter = in_thread(q.get, timeout=50)
    assert getattr(q, touch) is not None
    q.put(1)
    assert getter.outcome() == 1
    joiner = in_thread(q.join)
    q.task_done()
    joiner.outcome()

    q = kind(1)
    q.put(1)
    putters = in_thread(q.put, 2), in_thread(q.put_many, [3, 4]), in_thread(q.join, 50)
    assert getattr(q, touch) is not None
    got = [q.get() for _ in range(4)]
    assert sorted(got) == [1, 2, 3, 4]
    for _ in got:
        q.task_done()
    assert [putter.outcome() for putter in putters] == [None, None, True]


def test_a_timeout_is_not_begun_again_by_the_change(kind, in_thread):
    q = kind()
    begun = time.monotonic()
    getter = in_thread(q.get, timeout=0.5)
    assert q.mutex
    with pytest.raises(queue.Empty):
        getter.outcome()
    assert 0.5 <= time.monotonic() - begun


def test_exposing_while_others_put_and_get(kind):
    """Nothing is lost or doubled by the change, whoever makes it and whenever."""
    for attempt in range(30):
        q = kind(3)
        putters = [Waiter(lambda n=n: [q.put(item) for item in range(n, 200, 4)]) for n in range(4)]
        getters = [Waiter(lambda: [q.get() for _ in range(50)]) for _ in range(4)]
        exposers = [Waiter(lambda name=name: getattr(q, name)) for name in ("mutex", "queue")]
        for thread in (*putters, *getters):
            thread.start()
        until(lambda: getters[attempt % 4].is_alive() is False or q.unfinished_tasks > attempt * 4)
        for thread in exposers:
            thread.start()
        for thread in (*putters, *exposers):
            thread.outcome()
        assert sorted(sum((getter.outcome() for getter in getters), [])) == list(range(200))
        assert q.queue is q.queue and not q.queue


class TestSubclasses:
    def test_of_their_own_items(self, kind):
        class Unique(kind):
            def _init(self, maxsize):
                assert not hasattr(self, "mutex")
                self.all = set()
                self.size = maxsize

            def _qsize(self):
                return len(self.all)

            def _put(self, item):
                assert self.mutex.locked()
                self.all.add(item)

            def _get(self):
                assert self.mutex.locked()
                return self.all.pop()

        q = Unique(2)
        assert q.size == 2
        q.put(1)
        q.put(1)
        assert q.qsize() == 1 and q.unfinished_tasks == 2
        q.put_nowait(2)
        with pytest.raises(queue.Full):
            q.put(3, timeout=0.001)
        with pytest.raises(queue.Full):
            q.put_nowait(3)
        assert sorted(q.get_many(5)) == [1, 2]
        with pytest.raises(queue.Full) as caught:
            q.put_many([1, 1, 2, 3], block=False)
        assert caught.value.args == (3,)
        q.shutdown(immediate=True)
        assert q.all == set() and q.unfinished_tasks == 4

    def test_that_call_ours(self, kind):
        """One hook at a time, each passing the call on, as CPython's own tests have it."""
        for hook in ("_init", "_qsize", "_put", "_get"):
            calls = []

            def mine(self, *args):
                calls.append(args)
                return getattr(super(cls, self), hook)(*args)

            cls = type("Sub", (kind,), {hook: mine})
            q = cls(5)
            q.put(2)
            q.put(1)
            assert sorted([q.get(), q.get()]) == [1, 2]
            assert calls

    def test_of_no_hooks_stay_quick(self, kind):
        """They are plain: a lock of theirs would show."""
        class Sub(kind):
            def __init__(self, name, maxsize=0):
                super().__init__(maxsize)
                self.name = name

            def put(self, item, *args, **kwargs):
                super().put((self.name, item), *args, **kwargs)

            def get(self, *args, **kwargs):
                return super().get(*args, **kwargs)[1]

        q = Sub("a", maxsize=1)
        q.put(1)
        with pytest.raises(queue.Full):
            q.put_nowait(2)
        assert q.get_nowait() == 1
        q.put_nowait(3)
        assert q.get() == 3
        assert q.__dict__ == {"name": "a"}

    def test_slots(self, kind):
        class Sub(kind):
            __slots__ = ("extra",)

        q = Sub()
        q.extra = 1
        q.put(2)
        assert (q.extra, q.get()) == (1, 2)

    def test_hooks_of_another_class(self):
        class Stack(queue.Queue):
            _init = queue.LifoQueue._init
            _get = queue.LifoQueue._get

        q = Stack()
        q.put_many([1, 2, 3])
        assert q.get_many(3) == [3, 2, 1]

    def test_a_stock_subclass_that_overrides_all_works_alike(self):
        """The same class body, over both bases."""
        def make(base):
            class Ordered(base):
                def _init(self, maxsize):
                    self.queue = []

                def _put(self, item):
                    heapq.heappush(self.queue, -item)

                def _get(self):
                    return -heapq.heappop(self.queue)

            return Ordered()

        for base in (queue.Queue, stock.Queue):
            q = make(base)
            for item in (2, 3, 1):
                q.put(item)
            assert [q.get() for _ in range(3)] == [3, 2, 1]


class TestPatching:
    """What a program assigns to a class, an instance or the module is what counts from then on."""

    def test_hooks_of_a_class(self, kind, monkeypatch):
        early = kind()
        early.put(1)
        original = kind._put
        seen = []
        monkeypatch.setattr(kind, "_put", lambda self, item: (seen.append(item), original(self, item)))
        late = kind()
        for q in (early, late):
            q.put(2)
            q.put_nowait(3)
        assert seen == [2, 3, 2, 3]
        assert sorted(early.get_many(9)) == [1, 2, 3]
        monkeypatch.undo()
        fresh = kind()
        fresh.put(4)
        assert fresh.get() == 4 and len(seen) == 4

    def test_hooks_of_a_subclass(self, kind):
        class Sub(kind):
            pass

        q = Sub()
        q.put(1)
        Sub._get = lambda self: "mine"
        assert q.get() == "mine"

    def test_hooks_of_an_instance(self, kind):
        q = kind()
        q.put(1)
        q._qsize = lambda: 17
        assert q.qsize() == 17 and list(q.queue) == [1]

    def test_hooks_put_into_the_dict_of_an_instance(self, kind):
        q = kind()
        q.name = "mine"
        q.put(1)
        q.__dict__["_get"] = lambda: "other"
        assert q.get() == "other"

    def test_setattr_of_object(self, kind):
        class Sub(kind):
            def __setattr__(self, name, value):
                object.__setattr__(self, name, value)

        q = Sub()
        q._qsize = lambda: 3
        q.maxsize = 3
        assert q.full()

    def test_a_replaced_put_can_be_taken_back(self, kind):
        q = kind()
        q.put = None
        with pytest.raises(TypeError):
            q.put_nowait(1)
        del q.put
        q.put_nowait(1)
        assert q.get_nowait() == 1

    def test_put_and_get_of_the_base(self, monkeypatch):
        calls = []
        put, get = queue.Queue.put, queue.Queue.get

        def my_put(self, item, block=True, timeout=None):
            calls.append(("put", block))
            put(self, item, block, timeout)

        def my_get(self, block=True, timeout=None):
            calls.append(("get", block))
            return get(self, block, timeout)

        q = queue.LifoQueue()
        q.put_nowait(0)
        monkeypatch.setattr(queue.Queue, "put", my_put)
        monkeypatch.setattr(queue.Queue, "get", my_get)
        q.put(1)
        q.put_nowait(2)
        assert (q.get(), q.get_nowait(), q.get()) == (2, 1, 0)
        assert calls == [("put", True), ("put", False), ("get", True), ("get", False), ("get", True)]
        monkeypatch.undo()
        q.put_nowait(1)
        assert q.get_nowait() == 1 and len(calls) == 5

    def test_put_and_get_of_an_instance(self, kind):
        q = kind()
        q.put = lambda item, block=True: ("put", item, block)
        q.get = lambda block=True: ("get", block)
        assert q.put_nowait(1) == ("put", 1, False)
        assert q.get_nowait() == ("get", False)

    @pytest.mark.parametrize("module", [queue, stock])
    def test_the_clock(self, kind, module, monkeypatch):
        """An hour passes at each look."""
        hours = iter(range(0, 3_600_000, 3600))
        monkeypatch.setattr(module, "time", lambda: next(hours))
        q = kind(1)
        with pytest.raises(queue.Empty):
            q.get(timeout=3000)
        q.put(1)
        with pytest.raises(queue.Full):
            q.put(2, timeout=3000)
        assert next(hours) >= 4 * 3600


def test_unfinished_tasks_can_be_written(kind, in_thread):
    q = kind()
    q.put(1)
    joiner = in_thread(q.join)
    with q.mutex:
        q.unfinished_tasks = 0
        q.all_tasks_done.notify_all()
    joiner.outcome()
    q = kind()
    q.put(1)
    q.unfinished_tasks -= 1
    q.join()


def test_the_attributes_of_stock_are_there(kind):
    q, other = kind(), getattr(stock, kind.__name__)()
    for name in other.__dict__:
        assert hasattr(q, name)
        setattr(q, name, getattr(q, name))
