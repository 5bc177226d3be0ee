"""What the stubs say of a program: `ci/stubs.sh` checks this strictly, and runs it."""

from typing import assert_type

import lisle
from lisle import threading


class Counter(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="counter", daemon=True)
        self.lock = threading.Lock(name="the counter's")
        self.changed = threading.Condition(self.lock)
        self.count = 0

    def run(self) -> None:
        for _ in range(3):
            with self.changed:
                self.count += 1
                self.changed.notify_all()


counter = Counter()
counter.start()
with counter.changed:
    assert_type(counter.changed.wait_for(lambda: counter.count == 3, timeout=60), bool)
counter.join(60)
assert_type(counter.interrupt(), bool)
assert_type(counter.lock.name, str | None)
assert_type(counter.lock.taken_by, str | None)

with counter.lock.within(0.5):
    assert counter.lock.locked()
with threading.RLock() as locked:
    assert_type(locked, bool)
with threading.Semaphore(2), threading.BoundedSemaphore():
    pass

event = threading.Event()
threading.Timer(0.0, event.set).start()
assert_type(event.wait(60), bool)
assert issubclass(lisle.DeadlockError, RuntimeError)
assert_type(threading.Barrier(1).wait(), int)
assert_type(threading.current_thread().name, str)
