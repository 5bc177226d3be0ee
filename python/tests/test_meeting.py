"""Condition, Event, Semaphore, Barrier, Timer: where threads meet."""

import enum
import sys
import threading as stock
import time
import weakref

import pytest
from conftest import LONG, run, until

from lisle import threading


class UserLock:
    """As little of a lock as a condition has to do with."""

    def __init__(self):
        self.inner = stock.Lock()
        self.acquire, self.release = self.inner.acquire, self.inner.release

    def __enter__(self):
        return self.inner.__enter__()

    def __exit__(self, *args):
        return self.inner.__exit__(*args)


LOCKS = [threading.Lock, threading.RLock, stock.Lock, stock.RLock, UserLock]


@pytest.mark.parametrize("make", LOCKS)
def test_a_condition_goes_over_any_lock(make, in_thread):
    cond = threading.Condition(make())
    with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
        cond.wait()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        cond.notify()
    there = []

    def call():
        with cond:
            return cond.wait_for(lambda: there, LONG)

    waiters = [in_thread(call) for _ in range(3)]
    with cond:
        assert len(cond._waiters) == 3
        there.append("news")
        cond.notify(2)
        assert len(cond._waiters) == 1
        cond.notify_all()
        assert cond._waiters == []
    assert [waiter.outcome() for waiter in waiters] == [there] * 3
    with cond:
        assert cond.wait(0.01) is False
        assert cond.wait(-1) is False
        assert cond.wait_for(lambda: 0, 0.01) == 0


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_standard_condition_goes_over_our_lock(make, in_thread):
    cond = stock.Condition(make())

    def call():
        with cond:
            return cond.wait(LONG)

    waiter = in_thread(call)
    with cond:
        cond.notify()
    assert waiter.outcome() is True


def test_the_first_to_wait_is_the_first_to_be_notified(in_thread):
    cond, order = threading.Condition(), []

    def call(name):
        with cond:
            cond.wait(LONG)
            order.append(name)

    waiters = [in_thread(call, name) for name in "abc"]
    for n in range(3):
        with cond:
            cond.notify()
        until(lambda: len(order) == n + 1)
    for waiter in waiters:
        waiter.outcome()
    assert order == ["a", "b", "c"]


def test_a_nested_rlock_is_given_up_whole_and_taken_back_so(in_thread):
    cond = threading.Condition()

    def call():
        with cond, cond:
            cond.wait(LONG)
            return cond._lock._recursion_count()

    waiter = in_thread(call)
    with cond:
        cond.notify()
    assert waiter.outcome() == 2


def test_a_predicate_that_raises_leaves_the_lock_held():
    cond = threading.Condition()
    with cond:
        with pytest.raises(ZeroDivisionError):
            cond.wait_for(lambda: 1 / 0)
        assert cond._is_owned()


def test_a_subclass_with_its_own_wait():
    class Counting(threading.Condition):
        waits = 0

        def wait(self, timeout=None):
            self.waits += 1
            return super().wait(0)

    cond = Counting()
    with cond:
        assert cond.wait_for(lambda: cond.waits == 3)


def test_a_condition_whose_init_was_not_called():
    class Lazy(threading.Condition):
        def __init__(self):
            pass

    with pytest.raises(RuntimeError, match="not called"):
        Lazy().acquire()


def test_what_is_no_lock_is_refused():
    with pytest.raises(AttributeError):
        threading.Condition(object())


def test_events_condition_hears_of_a_set(in_thread):
    event = threading.Event()
    cond = event._cond

    def call():
        with cond:
            return cond.wait(LONG)

    waiter = in_thread(call)
    event.set()
    assert waiter.outcome() is True
    assert event._cond is cond


def test_an_event(in_thread):
    event = threading.Event()
    assert repr(event) == f"<threading.Event at {id(event):#x}: unset>"
    assert event.wait(0.01) is False
    waiters = [in_thread(event.wait) for _ in range(3)]
    event.set()
    event.clear()
    assert [waiter.outcome() for waiter in waiters] == [True] * 3
    event._flag = True
    assert event.is_set()
    event._at_fork_reinit()
    assert event.is_set()
    with pytest.warns(DeprecationWarning, match="isSet"):
        event.isSet()
    with pytest.raises(TypeError):
        threading.Event(1)


def test_a_subclass_of_event_takes_what_its_init_takes():
    class Named(threading.Event):
        def __init__(self, name):
            super().__init__()
            self.label = name

    assert Named("ready").label == "ready"


def test_a_semaphore(in_thread):
    semaphore = threading.Semaphore(2)
    assert repr(semaphore) == f"<threading.Semaphore at {id(semaphore):#x}: value=2>"
    assert semaphore.acquire() and semaphore.acquire(False) and not semaphore.acquire(False)
    assert semaphore.acquire(timeout=0.01) is False
    with pytest.raises(ValueError, match="can't specify timeout"):
        semaphore.acquire(False, timeout=1)
    with pytest.raises(ValueError, match="initial value must be >= 0"):
        threading.Semaphore(-1)
    with pytest.raises(ValueError, match="one or more"):
        semaphore.release(0)
    waiters = [in_thread(semaphore.acquire) for _ in range(2)]
    semaphore.release(2)
    assert [waiter.outcome() for waiter in waiters] == [True, True]
    assert semaphore._value == 0


def test_a_bounded_semaphore():
    semaphore = threading.BoundedSemaphore(1)
    assert isinstance(semaphore, threading.Semaphore)
    with semaphore:
        assert semaphore._value == 0
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    assert repr(semaphore) == f"<threading.BoundedSemaphore at {id(semaphore):#x}: value=1/1>"
    assert semaphore._initial_value == 1


def test_a_barrier(in_thread):
    barrier = threading.Barrier(3, action=lambda: actions.append(1))
    actions = []
    waiters = [in_thread(barrier.wait) for _ in range(2)]
    indices = {barrier.wait(), *(waiter.outcome() for waiter in waiters)}
    assert indices == {0, 1, 2} and actions == [1]
    waiter = in_thread(barrier.wait)
    barrier.abort()
    with pytest.raises(stock.BrokenBarrierError):
        waiter.outcome()


def test_a_timer():
    called = threading.Event()
    timer = threading.Timer(0.001, called.set)
    assert isinstance(timer, stock.Timer)
    timer.start()
    assert called.wait(LONG)
    timer.join()
    never = threading.Timer(LONG, called.clear)
    never.start()
    never.cancel()
    never.join()
    assert called.is_set()


def test_a_wait_has_the_rest_of_its_limit_after_a_signal():
    run(
        code="""
import signal, time
from lisle import threading
seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
for wait in (threading.Event().wait, (lambda l: (l.acquire(), l)[1])(threading.Lock()).acquire):
    began = time.monotonic()
    assert wait(timeout=0.3) is False
    assert 0.3 <= time.monotonic() - began < 5
assert len(seen) > 2, seen
signal.setitimer(signal.ITIMER_REAL, 0)  # or it kills an interpreter that is about to end
"""
    )


def test_what_a_signal_handler_raises_comes_out_of_the_wait_and_the_lock_is_held():
    run(
        code="""
import signal
from lisle import threading
def handler(*_): raise KeyError
signal.signal(signal.SIGALRM, handler)
cond = threading.Condition()
with cond:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try: cond.wait()
    except KeyError: pass
    assert cond._is_owned() and not cond._waiters
assert not cond._lock.locked()
"""
    )


def test_ten_thousand_waiters_that_time_out():
    # Each takes itself out of the condition's list; none may be forgotten there.
    cond = threading.Condition()
    with cond:
        for _ in range(10_000):
            cond.wait(1e-9)
        assert cond._waiters == []
    assert time.monotonic() > 0


def test_a_subclass_may_call_anything_its_name():
    class Kind(str, enum.Enum):
        GO = "go"

    for make in (threading.Event, threading.Condition, threading.Semaphore, threading.BoundedSemaphore):
        named = type("Named", (make,), {})()
        for name in (5, "plain", Kind.GO, (1, 2), None, b"x"):
            named.name = name
            assert named.name is name or type(name) is str and named.name == name
        assert vars(named)["name"] == b"x"
        vars(named).clear()
        assert named.name is None
        named.name = 5
        named.name = "plain"
        assert "name" not in vars(named)
        assert make().name is None
    with pytest.raises(TypeError, match="a name is a str"):
        threading.Lock().name = 5


def test_semaphores_of_any_whole_number():
    assert threading.Semaphore(4.0)._value == 4
    for make in (threading.Semaphore, threading.BoundedSemaphore):
        for plenty in (sys.maxsize, 10**30, float("inf")):
            semaphore = make(plenty)
            assert semaphore.acquire(False) and semaphore._value > 10**9
            semaphore.release()
        for wrong in (-1, -1.0, -(10**30), float("-inf"), float("nan"), 1.5):
            with pytest.raises(ValueError, match="semaphore initial value must be"):
                make(wrong)
        with pytest.raises(TypeError):
            make("1")
    threading.Semaphore(sys.maxsize).release(5)


def test_a_condition_that_gets_another_lock_keeps_the_old_one_for_who_uses_it(in_thread):
    gone, restored = [], []

    class Seen(type(threading.RLock())):
        """Its end can be seen."""

        def _acquire_restore(self, state):
            restored.append(not gone)
            super()._acquire_restore(state)

    condition = threading.Condition(Seen())
    weakref.finalize(condition._lock, gone.append, True)

    def wait():
        condition.acquire()
        return condition.wait(LONG)

    waiter = in_thread(wait)
    until(lambda: condition._waiters)
    lock = condition._lock
    with lock:
        condition.notify()
        condition.__init__(threading.Lock())
    del lock
    assert waiter.outcome() is True
    assert restored == [True] and gone == [True]


def test_what_a_lock_lacks_is_asked_for_with_no_exception_set():
    class Bare:
        """Without what an RLock has on top, but for one."""

        def __init__(self):
            self.lock = threading.Lock()
            self.asked = 0

        def __getattr__(self, name):
            if name in ("_release_save", "_acquire_restore"):
                raise AttributeError(name)
            methods = {"acquire": self.lock.acquire, "release": self.lock.release, "_is_owned": self.is_owned}
            return dict.__getitem__(methods, name)

        def is_owned(self):
            self.asked += 1
            return True

    lock = Bare()
    threading.Condition(lock).notify()
    assert lock.asked == 1
