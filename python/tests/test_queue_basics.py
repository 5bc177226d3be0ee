"""What one thread sees of the queues."""

import copy
import gc
import inspect
import itertools
import pickle
import queue as stock
import random
import sys
import sysconfig
import weakref
from heapq import heapify, heappop, heappush

import pytest

from lisle import queue

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]
# Without a GIL, 3.13 keeps every class for good once a thread was started.
KEEPS_CLASSES = sys.version_info < (3, 14) and bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.fixture(params=KINDS)
def kind(request):
    return getattr(queue, request.param)


@pytest.fixture(params=["plain", "exposed"])
def made(request):
    """Makes queues of both modes."""

    def make(kind, *args):
        q = kind(*args)
        if request.param == "exposed":
            assert q.mutex
        return q

    return make


def test_names():
    for name in KINDS:
        ours = getattr(queue, name)
        assert (ours.__module__, ours.__qualname__) == ("queue", name)
        assert repr(ours()).startswith(f"<queue.{name} object at 0x")
        assert issubclass(ours, queue.Queue)
        assert ours[int].__origin__ is ours
        for method in ["__init__", "put", "get", "task_done", "qsize", "empty", "full", "put_nowait", "get_nowait"]:
            assert str(inspect.signature(getattr(ours(), method))) == str(
                inspect.signature(getattr(getattr(stock, name)(), method))
            ) or method == "__init__"
    assert queue.SimpleQueue.__module__ == "_queue"
    assert queue.SimpleQueue[int].__origin__ is queue.SimpleQueue
    assert queue.Empty is stock.Empty and queue.Full is stock.Full
    assert queue.ShutDown.__module__ == "queue"
    assert set(stock.__all__) <= set(queue.__all__)
    if sys.version_info >= (3, 13):
        assert queue.ShutDown is stock.ShutDown


def test_order():
    items = [3, 1, 2]
    for name, order in zip(KINDS, ([3, 1, 2], [2, 1, 3], [1, 2, 3])):
        q = getattr(queue, name)()
        for item in items:
            q.put(item)
        assert [q.get() for _ in items] == order


def test_the_same_as_stock_step_by_step(made):
    """Whatever one does, it ends as with the standard queue: result, kind of error and its text."""
    dice = random.Random(1)
    shut_down = hasattr(stock.Queue, "shutdown")
    for name in KINDS:
        for size in (0, 1, 3, -1, 2.5):
            ours, theirs = made(getattr(queue, name), size), getattr(stock, name)(size)
            for step in range(400):
                item = dice.randrange(5)
                calls = [
                    lambda q: q.put(item, False),
                    lambda q: q.put(item, timeout=0),
                    lambda q: q.put(item, timeout=-1),
                    lambda q: q.put(item, False, -1),
                    lambda q: q.put(item, True, "soon"),
                    lambda q: q.put_nowait(item),
                    lambda q: q.get(False),
                    lambda q: q.get(timeout=0),
                    lambda q: q.get(timeout=-1),
                    lambda q: q.get(False, -1),
                    lambda q: q.get(True, "soon"),
                    lambda q: q.get_nowait(),
                    lambda q: q.task_done(),
                ]
                if shut_down and step > 380:
                    calls.append(lambda q: q.shutdown(immediate=item > 2))
                call = dice.choice(calls)
                assert _outcome(call, ours) == _outcome(call, theirs)
                for ask in ("qsize", "empty", "full"):
                    assert getattr(ours, ask)() == getattr(theirs, ask)()
                assert ours.unfinished_tasks == theirs.unfinished_tasks
                assert ours.maxsize == theirs.maxsize


def _outcome(call, *args):
    try:
        return call(*args)
    except Exception as error:
        return type(error), str(error)


def test_wrong_arguments(kind):
    q = kind()
    for wrong in [
        lambda: q.put(),
        lambda: q.put(1, 2, 3, 4),
        lambda: q.put(1, item=2),
        lambda: q.get(soon=1),
        lambda: q.get_nowait(1),
        lambda: kind(1, 2),
        lambda: kind(size=1),
        lambda: queue.SimpleQueue(1),
        lambda: queue.SimpleQueue().put(),
        lambda: queue.SimpleQueue().get(timeout="soon"),
    ]:
        with pytest.raises(TypeError):
            wrong()
    for simple in (queue.SimpleQueue(), stock.SimpleQueue()):
        with pytest.raises(ValueError, match="^'timeout' must be a non-negative number$"):
            simple.get(timeout=-1)
        with pytest.raises(OverflowError):
            simple.get(timeout=1e100)
        with pytest.raises(queue.Empty):
            simple.get(False, timeout=-1)
    with pytest.raises(OverflowError):
        q.get(timeout=1e100)
    with pytest.raises(ValueError):
        q.get(timeout=float("nan"))


def test_block_is_asked_for_its_truth(kind):
    class Sulky:
        def __bool__(self):
            raise KeyError("not now")

    with pytest.raises(KeyError):
        kind(1).put(1, Sulky())
    with pytest.raises(KeyError):
        kind().get(Sulky())


def test_maxsize_counts_when_it_is_used(kind, made):
    q = made(kind)
    assert q.maxsize == 0
    q.put(1)
    q.maxsize = 1
    assert q.full()
    with pytest.raises(queue.Full):
        q.put_nowait(2)
    q.maxsize = 2
    q.put_nowait(2)
    q.maxsize = True
    assert q.maxsize is True and q.full()
    q.maxsize = float("inf")
    q.put_nowait(3)
    assert not q.full() and q.qsize() == 3


def test_a_maxsize_that_is_no_number(kind):
    class Two:
        def __le__(self, other):
            return 2 <= other

        def __gt__(self, other):
            return 2 > other

    q = kind(Two())
    q.put(1)
    q.put(2)
    assert q.full()
    with pytest.raises(queue.Full):
        q.put_nowait(3)
    with pytest.raises(TypeError):
        kind("two").put(1)


def test_init_again_begins_again(kind, made):
    q = made(kind, 1)
    q.put(1)
    q.shutdown()
    q.__init__(2)
    assert (q.qsize(), q.maxsize, q.unfinished_tasks) == (0, 2, 0)
    q.put(2)
    assert q.get() == 2


def test_shutdown_on_every_version(kind, made):
    q = made(kind)
    q.put(1)
    q.put(2)
    assert not q.is_shutdown
    q.shutdown()
    assert q.is_shutdown
    for put in (q.put, q.put_nowait, lambda item: q.put_many([item])):
        with pytest.raises(queue.ShutDown):
            put(3)
    assert sorted([q.get(), q.get()]) == [1, 2]
    for get in (q.get, q.get_nowait, lambda: q.get_many(1)):
        with pytest.raises(queue.ShutDown):
            get()
    assert q.unfinished_tasks == 2

    q = made(kind)
    q.put(1)
    q.put(2)
    q.shutdown(immediate=True)
    assert q.empty() and q.unfinished_tasks == 0
    q.join()
    with pytest.raises(queue.ShutDown):
        q.get(timeout=-1)


def test_many(kind, made):
    q = made(kind, 5)
    q.put_many(iter([1, 2, 3]))
    q.put_many([])
    with pytest.raises(queue.Full) as caught:
        q.put_many([4, 5, 6, 7], block=False)
    assert caught.value.args == (2,)
    with pytest.raises(queue.Full) as caught:
        q.put_many((6,), timeout=0.001)
    assert caught.value.args == (0,)
    assert q.unfinished_tasks == 5
    got = q.get_many(3)
    assert type(got) is list and len(got) == 3
    got += q.get_many(10, timeout=5)
    assert sorted(got) == [1, 2, 3, 4, 5]
    with pytest.raises(queue.Empty):
        q.get_many(1, block=False)
    with pytest.raises(queue.Empty):
        q.get_many(1, timeout=0.001)
    for wrong in (0, -1):
        with pytest.raises(ValueError):
            q.get_many(wrong)
    with pytest.raises(TypeError):
        q.get_many("1")
    with pytest.raises(TypeError):
        q.put_many(1)


def test_join_with_a_limit(kind, made):
    q = made(kind)
    assert q.join() is None and q.join(None) is None and q.join(1) is True and q.join(0) is True
    q.put(1)
    assert q.join(0) is False and q.join(timeout=0.001) is False
    with pytest.raises(ValueError, match="non-negative"):
        q.join(-1)
    q.get()
    q.task_done()
    assert q.join(1) is True
    with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
        q.task_done()


@pytest.mark.parametrize("name", [*KINDS, "SimpleQueue"])
def test_they_cannot_be_pickled(name):
    q = getattr(queue, name)()
    for how in (pickle.dumps, copy.deepcopy):
        # Not installed, our class is not what stands under its name.
        with pytest.raises((TypeError, pickle.PicklingError), match="(?i)can(not|'t) pickle"):
            how(q)


@pytest.mark.parametrize("module", [queue, stock], ids=["lisle", "stock"])
def test_a_copy_shares_what_is_in_it(kind, module):
    class Own(getattr(module, kind.__name__)):
        pass

    q = Own(3)
    q.put(1)
    q.attribute = []
    twin = copy.copy(q)
    assert type(twin) is Own and twin.attribute is q.attribute and twin.maxsize == 3
    assert twin.mutex is q.mutex and twin.not_full is q.not_full and twin.queue is q.queue
    assert twin.get() == 1 and q.empty()
    q.put(2)
    assert twin.get(timeout=5) == 2
    # What is not an object of its own is counted by each.
    twin.task_done()
    assert (q.unfinished_tasks, twin.unfinished_tasks) == (2, 0)


@pytest.mark.parametrize("name", [*KINDS, "SimpleQueue"])
def test_cycles_are_collected(name):
    class Item:
        def __lt__(self, other):
            return False

    alive = []
    for exposed in (False, True):
        q, item = getattr(queue, name)(), Item()
        item.queue = q
        q.put(item)
        q.put(Item())
        if exposed and name != "SimpleQueue":
            assert len(q.queue) == 2
        alive.append(weakref.ref(item))
        if name != "SimpleQueue":
            q.itself = q
        alive.append(weakref.ref(q))
    del q, item
    gc.collect()
    assert [ref() for ref in alive] == [None] * 4


@pytest.mark.parametrize("name", [*KINDS, "SimpleQueue"])
def test_queues_in_queues_in_queues(name):
    """So deep that a call for each would be too many."""
    kind = getattr(queue, name)
    for exposed in (False, True):
        outer, alive = kind(), []
        for _ in range(100_000 if not exposed else 100):
            inner, outer = outer, kind()
            alive.append(weakref.ref(inner))
            outer.put(inner)
            if exposed and name != "SimpleQueue":
                assert outer.queue
        del inner, outer
        assert not any(ref() for ref in alive)


@pytest.mark.parametrize("name", [*KINDS, "SimpleQueue"])
def test_subclasses_go_when_they_are_not_needed(name):
    alive = []
    for _ in range(10):
        cls = type("Sub", (getattr(queue, name),), {})
        q = cls()
        q.itself = q
        q.put(1)
        alive.append(weakref.ref(q))
        if not KEEPS_CLASSES:
            alive.append(weakref.ref(cls))
    del cls, q
    gc.collect()
    assert not any(ref() for ref in alive)


def test_references(kind):
    """A queue has one reference to an item, and none when it has given it away or is gone."""
    class Item:
        def __lt__(self, other):
            return False

    item = Item()
    before = sys.getrefcount(item)
    q = kind()
    q.put(item)
    q.put_many([item])
    q.put_nowait(item)
    assert sys.getrefcount(item) == before + 3
    q.get(), q.get_nowait(), q.get_many(1)
    assert sys.getrefcount(item) == before
    q.put(item)
    q.shutdown(immediate=True)
    assert sys.getrefcount(item) == before
    for leave in (lambda q: None, lambda q: q.mutex, lambda q: q.__init__(), lambda q: q.queue.clear()):
        q = kind()
        q.put(item)
        leave(q)
        del q
        assert sys.getrefcount(item) == before


class TestPriority:
    def test_as_heapq_even_among_equals(self):
        """Tuples whose first items are equal show that the heap is the same, step by step."""
        dice = random.Random(2)

        class Mine(float):
            """Compared by Python code, as far as the queue can know."""

        for make in (int, float, str, lambda n: (n,), lambda n: (n % 2, str(n)), Mine, lambda n: (Mine(n), n), lambda n: -n * 2**70):
            ours, heap = queue.PriorityQueue(), []
            for _ in range(2000):
                if not heap or dice.random() < 0.53:
                    item = make(dice.randrange(30))
                    ours.put(item)
                    heappush(heap, item)
                else:
                    assert ours.get() is heappop(heap)
            assert all(a is b for a, b in zip(ours.queue, heap, strict=True))

    def test_what_can_be_compared_quickly_is_compared_right(self):
        nan = float("nan")
        pool = [0, 1, -1, 2**62, 2**63, 2**64, -(2**80), 2**80, 0.0, -0.0, 1.5, nan, float("inf"), True, "", "a", "ä", "\U0001f600"]
        pool += [(), (1,), (1, 2), (nan,), (nan, 1), (1.0, "a"), ((1,), 2), ((((((1,),),),),),), None, (None,), (None, 1), b"a"]
        for a, b in itertools.product(pool, repeat=2):
            ours, heap = queue.PriorityQueue(), []
            assert _outcome(lambda: [ours.put(a), ours.put(b), ours.get() is a]) == _outcome(
                lambda: [heappush(heap, a), heappush(heap, b), heappop(heap) is a]
            ), (a, b)

    def test_a_failing_comparison_loses_nothing(self):
        class Item:
            angry = False

            def __init__(self, value):
                self.value = value

            def __lt__(self, other):
                if Item.angry:
                    raise ArithmeticError("incomparable")
                return self.value < other.value

        q = queue.PriorityQueue()
        dice = random.Random(3)
        values = [dice.randrange(100) for _ in range(50)]
        for value in values:
            q.put(Item(value))
        Item.angry = True
        for _ in range(3):
            with pytest.raises(ArithmeticError):
                q.put(Item(-1))
            with pytest.raises(ArithmeticError):
                q.get()
        assert q.qsize() == q.unfinished_tasks == 50
        with pytest.raises(ArithmeticError):
            q.put_many([Item(-1)])
        Item.angry = False
        assert [q.get().value for _ in values] == sorted(values)

    def test_a_comparison_may_use_the_queue(self):
        """Stock, it would wait for ever."""
        q = queue.PriorityQueue()
        to_do, got = [], []

        class Item:
            def __init__(self, value):
                self.value = value

            def __lt__(self, other):
                if to_do:
                    to_do.pop()()
                return self.value < other.value

        for value in range(10, 20):
            q.put(Item(value))
        for call in (q.put, q.get):
            to_do.append(lambda: q.put(Item(0)))
            to_do.append(lambda: got.append(q.get()))
            to_do.append(lambda: got.append(q.qsize()))
            got.append(q.put(Item(5)) if call == q.put else q.get())
            assert not to_do
        got += q.get_many(100)
        values = [item.value for item in got if isinstance(item, Item)]
        assert sorted(values) == sorted([0, 0, 5, *range(10, 20)])
        assert q.empty()

    def test_the_insides_are_a_heap(self):
        q = queue.PriorityQueue()
        items = random.Random(4).sample(range(1000), 200)
        for item in items:
            q.put(item)
        heap = list(q.queue)
        heapify(heap)
        assert heap == q.queue
        assert [q.get() for _ in items] == sorted(items)
