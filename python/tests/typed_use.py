"""What the stubs say of a program: `ci/stubs.sh` checks this strictly, and runs it."""

import concurrent.futures
import contextvars
from collections.abc import Callable, Iterator
from typing import assert_type

import lisle
from lisle import futures, queue, threading, watch


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
assert_type(counter.lock.taken_at, str | None)

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
assert_type(threading.Thread(context=contextvars.Context()).native_id, int | None)

table = threading.RWLock(name="the table")
with table.read(timeout=1):
    pass
with table.write() as side:
    side.downgrade()

jobs = queue.Queue[int](maxsize=4)
jobs.put_many([1, 2, 3], timeout=60)
assert_type(jobs.get_many(2), list[int])
assert_type(jobs.get(timeout=60), int)
for _ in range(3):
    jobs.task_done()
assert_type(jobs.join(timeout=60), bool)
assert_type(jobs.not_empty, threading.Condition)
jobs.shutdown()
try:
    jobs.put(4)
except queue.ShutDown:
    pass
assert_type(queue.SimpleQueue[str]().qsize(), int)
assert_type(queue.PriorityQueue[tuple[int, str]]().empty(), bool)


class Unique(queue.Queue[str]):
    """A subclass that does it its own way."""

    def _init(self, maxsize: int) -> None:
        self.items: set[str] = set()

    def _qsize(self) -> int:
        return len(self.items)

    def _put(self, item: str) -> None:
        self.items.add(item)

    def _get(self) -> str:
        return self.items.pop()


unique = Unique()
unique.put("a")
assert_type(unique.get(), str)

with futures.ThreadPoolExecutor(2, max_pending=10, daemon=True, help=True) as pool:
    future = pool.submit(divmod, 7, 2)
    assert_type(future, futures.Future[tuple[int, int]])
    assert_type(future.result(timeout=60), tuple[int, int])
    assert_type(pool.map(str, [1, 2], buffersize=1), Iterator[str])
    done, waiting = futures.wait([future, pool.submit(divmod, 7, 3)], timeout=60)
    for one in futures.as_completed(done):
        assert_type(one.result(), tuple[int, int])
    standard: concurrent.futures.Future[tuple[int, int]] = future
    pool.shutdown(timeout=60)

as_before: Callable[[str], futures.ClusterExecutor] = futures.connect
executor: concurrent.futures.Executor = pool

for seen in watch.snapshot(frames=True)["threads"]:
    if (wait := seen["wait"]) is not None:
        assert_type([owner["taken_at"] for owner in wait["owners"]], list[str | None])
assert_type(watch.dump(), str)
watch.on_report(lambda report: print(report["text"]))
watch.on_report(None)
