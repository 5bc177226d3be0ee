"""RWLock: many readers or one writer."""

import pytest
from conftest import LONG, until

import lisle
from lisle import threading


def test_readers_share_and_a_writer_does_not(in_thread):
    lock = threading.RWLock()
    with lock.read():
        with lock.read():
            assert repr(lock) == f"<lisle.threading.RWLock at {id(lock):#x}: reading>"

        def write():
            with lock.write():
                return "written"

        writer = in_thread(write)
    assert writer.outcome() == "written"
    with lock.write():
        assert repr(lock).endswith(": writing>")
        reader = in_thread(lambda: lock.read().__enter__().__exit__(None, None, None))
    reader.outcome()
    assert not lock.locked() and repr(lock).endswith(": free>")


@pytest.mark.parametrize("side", ["read", "write"])
def test_a_limit(side, in_thread):
    lock = threading.RWLock()

    def late():
        with getattr(lock, side)(timeout=0.01):
            raise AssertionError("it is held")

    with lock.write(), pytest.raises(TimeoutError):
        in_thread(late).outcome()
    with getattr(lock, side)(timeout=LONG):
        assert lock.locked()
    with pytest.raises(TypeError):
        getattr(lock, side)(timeout="soon")


def test_a_writer_goes_on_as_a_reader(in_thread):
    lock = threading.RWLock()

    def read():
        with lock.read():
            return "read"

    with lock.write() as held:
        reader = in_thread(read)
        held.downgrade()
        assert reader.outcome() == "read"
        held.downgrade()
    assert not lock.locked()


def test_who_is_not_inside_cannot_leave(in_thread):
    lock = threading.RWLock()
    side = lock.read()
    with pytest.raises(RuntimeError, match="only the thread that is in the with"):
        side.__exit__(None, None, None)
    with side:
        with pytest.raises(RuntimeError, match="of its own"):
            side.__enter__()
        with pytest.raises(RuntimeError, match="only the thread that is in the with"):
            in_thread(side.__exit__, None, None, None).outcome()
    with side:
        pass


def test_a_writer_that_reads_deadlocks():
    lock = threading.RWLock(name="ledger")
    with lock.write(), pytest.raises(lisle.DeadlockError, match='read lock "ledger"'):
        lock.read().__enter__()
    with lock.read(), pytest.raises(lisle.DeadlockError, match='write lock "ledger"'):
        lock.write().__enter__()
    with lock.write():
        pass


def test_a_side_that_is_forgotten_inside_stays_inside():
    lock = threading.RWLock()
    lock.write().__enter__()
    assert lock.locked()
    with pytest.raises(lisle.DeadlockError):
        lock.read().__enter__()


def test_threads_that_share_a_with_leave_nothing_behind(in_thread):
    lock = threading.RWLock()
    side = lock.read()
    begun = threading.Barrier(3)

    def read():
        begun.wait(LONG)
        try:
            with side:
                return "read"
        except RuntimeError as error:
            return str(error)

    with lock.write():
        readers = [in_thread(read) for _ in range(2)]
        begun.wait(LONG)
        # Both are on their way, so that one finds the other there, as a rule.
        until(lambda: not all(reader.is_alive() for reader in readers) or sleeping(readers))
    outcomes = {reader.outcome() for reader in readers}
    assert outcomes <= {"read", "each with needs a read() or write() of its own"}
    assert not lock.locked()


def sleeping(threads):
    try:
        for thread in threads:
            with open(f"/proc/self/task/{thread.native_id}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] != "S":
                    return False
    except (FileNotFoundError, ProcessLookupError):
        pass  # one has ended
    return True
