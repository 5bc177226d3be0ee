"""Lock, RLock and what they have in common."""

import _thread
import gc
import inspect
import threading as stock
import weakref

import pytest

from lisle import threading


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_the_limits_of_an_acquire(make, in_thread):
    lock = make()
    with pytest.raises(ValueError, match="can't specify a timeout for a non-blocking call"):
        lock.acquire(False, 1)
    with pytest.raises(ValueError, match="timeout value must be"):
        lock.acquire(timeout=-2)
    with pytest.raises(ValueError):
        lock.acquire(timeout=float("nan"))
    with pytest.raises(OverflowError, match="timeout value is too large"):
        lock.acquire(timeout=threading.TIMEOUT_MAX * 2)
    with pytest.raises(TypeError):
        lock.acquire(timeout="soon")
    with pytest.raises(TypeError):
        lock.acquire(True, 1, 2)
    with pytest.raises(TypeError):
        lock.acquire(nonsense=1)
    assert lock.acquire(timeout=threading.TIMEOUT_MAX)
    assert in_thread(lambda: None).outcome() is None
    results = []
    other = stock.Thread(target=lambda: results.extend([lock.acquire(False), lock.acquire(timeout=0.01)]))
    other.start()
    other.join()
    assert results == [False, False]
    lock.release()


def test_what_is_not_held_cannot_be_released(in_thread):
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        threading.Lock().release()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        threading.RLock().release()
    lock = threading.RLock()
    with lock:
        other = stock.Thread(target=lambda: pytest.raises(RuntimeError, lock.release))
        other.start()
        other.join()


def test_names_of_the_types():
    assert type(threading.RLock()).__module__ == "_thread"
    assert type(threading.RLock()).__name__ == type(threading.RLock()).__qualname__ == "RLock"
    assert type(threading.Lock()).__module__ == "_thread"
    assert type(threading.Lock()).__qualname__ == "lock"
    for made in (threading.Event(), threading.Condition(), threading.Semaphore(), threading.BoundedSemaphore()):
        assert type(made).__module__ == "threading"
        assert type(made).__qualname__ == type(made).__name__
    for cls in (threading.Thread, threading.Timer, threading.Barrier):
        assert cls.__module__ == "threading"


def test_a_lock_cannot_be_derived_from_an_rlock_can():
    with pytest.raises(TypeError):
        type("Sub", (type(threading.Lock()),), {})

    class Sub(type(threading.RLock())):
        def acquire(self, *args, **kwargs):
            self.calls = getattr(self, "calls", 0) + 1
            return super().acquire(*args, **kwargs)

    lock = Sub()
    lock.acquire()
    assert lock.calls == 1
    cond = threading.Condition(lock)
    with pytest.raises(RuntimeError):
        threading.Condition(threading.RLock()).notify()
    cond.notify()
    lock.release()
    assert threading.Lock | None == (None | threading.Lock)


def test_old_names():
    lock = threading.Lock()
    assert lock.acquire_lock()
    assert lock.locked_lock()
    lock.release_lock()
    assert not lock.locked()


def test_reprs():
    lock, rlock = threading.Lock(), threading.RLock()
    assert repr(lock) == f"<unlocked _thread.lock object at {id(lock):#x}>"
    with lock:
        assert repr(lock).startswith("<locked _thread.lock object at ")
    assert repr(rlock) == f"<unlocked _thread.RLock object owner=0 count=0 at {id(rlock):#x}>"
    with rlock, rlock:
        assert repr(rlock).startswith(f"<locked _thread.RLock object owner={stock.get_ident()} count=2 at ")


def test_what_conditions_need_of_an_rlock():
    lock = threading.RLock()
    assert not lock._is_owned()
    with pytest.raises(RuntimeError):
        lock._release_save()
    with lock, lock:
        assert lock._is_owned()
        assert lock._recursion_count() == 2
        state = lock._release_save()
        assert state == (2, stock.get_ident())
        assert not lock._is_owned()
        lock._acquire_restore(state)
        assert lock._recursion_count() == 2
    assert lock._recursion_count() == 0


def test_weak_references_and_the_collector():
    for make in (threading.Lock, threading.RLock, threading.Event, threading.Condition, threading.Semaphore):
        made = make()
        gone = weakref.ref(made)
        assert gc.is_tracked(made) == (make is not threading.Lock)  # which refers to nothing
        del made
        assert gone() is None


def test_a_cycle_through_an_instance_is_collected():
    for make in (threading.Event, threading.Condition, threading.Semaphore):
        made = make()
        made.itself = made
        gone = weakref.ref(made)
        del made
        gc.collect()
        assert gone() is None


def test_a_name_and_who_took_it():
    lock = threading.Lock(name="accounts")
    assert (lock.name, lock.taken_by) == ("accounts", None)
    with lock:
        assert lock.taken_by == "MainThread"
    lock.name = None
    assert lock.name is None
    with pytest.raises(TypeError, match="a name is a str"):
        lock.name = 7
    with pytest.raises(TypeError):
        threading.Lock("accounts")
    rlock = threading.RLock()
    rlock.name = "ledger"
    assert rlock.name == "ledger"


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_with_that_has_a_limit(make, in_thread):
    lock = make()
    with lock.within(0.5) as same:
        assert same is lock
        assert lock.locked()

        def too_late():
            with lock.within(0.01):
                raise AssertionError("it is held")

        with pytest.raises(TimeoutError, match="could not be acquired in time"):
            in_thread(too_late).outcome()
    assert not lock.locked()


def test_a_held_lock_becomes_free_in_the_child_of_a_fork():
    for lock in (threading.Lock(), threading.RLock()):
        lock.acquire()
        lock._at_fork_reinit()
        assert not lock.locked()
        assert lock.acquire(False)


def test_signatures_can_be_read():
    assert str(inspect.signature(threading.Lock().acquire)) == "(blocking=True, timeout=-1)"
    assert str(inspect.signature(threading.Event().wait)) == "(timeout=None)"


def test_methods_can_be_replaced():
    class Event(threading.Event):
        pass

    event = Event()
    event.wait = lambda timeout=None: "mine"
    assert event.wait() == "mine"
    was = threading.Event.is_set
    try:
        threading.Event.is_set = lambda self: "patched"
        assert threading.Event().is_set() == "patched"
    finally:
        threading.Event.is_set = was


def test_thread_module_is_the_owner_of_local():
    assert threading.local is stock.local is _thread._local
