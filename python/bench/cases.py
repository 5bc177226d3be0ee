"""What is measured. `sides.py` runs this file once for each case and each side, with `threading`, `queue` and
`futures` given: so each has code of its own, and the interpreter may specialise it to the one kind of object it meets.

A case's function takes how many operations to do and returns how many nanoseconds they took. Attributes are looked
up in the loop, as programs do; what is not the operation itself stays outside. `clock` is the thread's own time, which
other programs do not disturb; where several threads take part it must be the `wall`'s.
"""

import _thread
from itertools import repeat
from time import perf_counter_ns as wall
from time import thread_time_ns as clock

CASES = {}
WORKERS = 2


def case(name, goal=1.0, *, floor=None, free_threaded=None, count=None):
    """`goal`: the least stock/lisle on 3.13. `floor`: the least on versions with a smaller goal, 1 unless told.
    `free_threaded`: the goal there, else a share of `goal`. `count`: operations of a round, the same for both sides,
    where several threads take part: enough of them that the GIL changes hands many times."""

    def add(run):
        CASES[name] = {"run": run, "goal": goal, "floor": floor, "free_threaded": free_threaded, "count": count}
        return run

    return add


def beside(work, n):
    """Runs `work(n)` in a second thread, which waits at a gate until the returned function opens it."""
    gate = _thread.allocate_lock()
    gate.acquire()

    def body():
        gate.acquire()
        work(n)

    thread = threading.Thread(target=body)
    thread.start()
    return gate.release, thread.join


# Queues


def put_get(kind):
    def run(n):
        q = kind()
        start = clock()
        for _ in repeat(None, n):
            q.put(1)
            q.get()
        return clock() - start

    return run


case("Queue put + get, one thread", 12)(put_get(queue.Queue))
case("LifoQueue put + get, one thread", 12)(put_get(queue.LifoQueue))
case("PriorityQueue put + get, one thread", 8)(put_get(queue.PriorityQueue))
case("SimpleQueue put + get, one thread", 0.8, free_threaded=1.5)(put_get(queue.SimpleQueue))


def handed_over(make):
    """One producer, one consumer; an operation is an item put and got."""

    def run(n):
        q = make()

        def consume(n):
            for _ in repeat(None, n):
                q.get()

        go, join = beside(consume, n)
        start = wall()
        go()
        for _ in repeat(None, n):
            q.put(1)
        join()
        return wall() - start

    return run


case("Queue, 1 producer 1 consumer, unbounded", 8, count=100_000)(handed_over(lambda: queue.Queue()))
case("Queue, 1 producer 1 consumer, bounded 64", 4, count=100_000)(handed_over(lambda: queue.Queue(64)))
case("SimpleQueue, 1 producer 1 consumer", 0.8, count=200_000)(handed_over(lambda: queue.SimpleQueue()))


@case("Queue put, get, task_done; join at the end")
def queue_tasks(n):
    q = queue.Queue()
    start = clock()
    for _ in repeat(None, n):
        q.put(1)
        q.get()
        q.task_done()
    q.join()
    return clock() - start


@case("Queue put_nowait + get_nowait")
def queue_nowait(n):
    q = queue.Queue()
    start = clock()
    for _ in repeat(None, n):
        q.put_nowait(1)
        q.get_nowait()
    return clock() - start


@case("Queue put + get with a timeout")
def queue_timeout(n):
    q = queue.Queue(8)
    start = clock()
    for _ in repeat(None, n):
        q.put(1, timeout=1)
        q.get(timeout=1)
    return clock() - start


@case("Queue()", 6)
def queue_made(n):
    make = queue.Queue
    start = clock()
    for _ in repeat(None, n):
        make()
    return clock() - start


# Locks


def entered(make):
    def run(n):
        lock = make()
        start = clock()
        for _ in repeat(None, n):
            with lock:
                pass
        return clock() - start

    return run


case("with Lock", 0.95, floor=0.95)(entered(lambda: threading.Lock()))
case("with RLock")(entered(lambda: threading.RLock()))
case("with Semaphore", 7)(entered(lambda: threading.Semaphore()))
case("with BoundedSemaphore")(entered(lambda: threading.BoundedSemaphore()))
case("with Condition")(entered(lambda: threading.Condition()))


def called(make):
    def run(n):
        lock = make()
        start = clock()
        for _ in repeat(None, n):
            lock.acquire()
            lock.release()
        return clock() - start

    return run


case("Lock acquire + release", 0.95, floor=0.95)(called(lambda: threading.Lock()))
case("RLock acquire + release")(called(lambda: threading.RLock()))


@case("RLock, again by its holder")
def rlock_again(n):
    lock = threading.RLock()
    with lock:
        start = clock()
        for _ in repeat(None, n):
            with lock:
                pass
        return clock() - start


def contended(make):
    """Two threads take turns as they come; an operation is one of the two's."""

    def run(n):
        lock = make()

        def work(n):
            for _ in repeat(None, n):
                with lock:
                    pass

        go, join = beside(work, n - n // 2)
        start = wall()
        go()
        work(n // 2)
        join()
        return wall() - start

    return run


case("with Lock, two threads", 0.95, floor=0.95, count=100_000)(contended(lambda: threading.Lock()))
case("with RLock, two threads", count=100_000)(contended(lambda: threading.RLock()))
case("with Semaphore, two threads", count=20_000)(contended(lambda: threading.Semaphore()))


@case("Condition: with + notify, nobody waits", 2.5)
def condition_notify(n):
    condition = threading.Condition()
    start = clock()
    for _ in repeat(None, n):
        with condition:
            condition.notify()
    return clock() - start


# Events and barriers


@case("Event set, is_set, clear", 8)
def event_turned(n):
    event = threading.Event()
    start = clock()
    for _ in repeat(None, n):
        event.set()
        event.is_set()
        event.clear()
    return clock() - start


@case("Event wait when set", 6)
def event_wait(n):
    event = threading.Event()
    event.set()
    start = clock()
    for _ in repeat(None, n):
        event.wait()
    return clock() - start


@case("Event()", 5)
def event_made(n):
    make = threading.Event
    start = clock()
    for _ in repeat(None, n):
        make()
    return clock() - start


@case("Event, round trip of two threads", 1.5, count=2000)
def event_round_trip(n):
    there, back = threading.Event(), threading.Event()

    def answer(n):
        for _ in repeat(None, n):
            there.wait()
            there.clear()
            back.set()

    go, join = beside(answer, n)
    start = wall()
    go()
    for _ in repeat(None, n):
        there.set()
        back.wait()
        back.clear()
    took = wall() - start
    join()
    return took


@case("Condition, round trip of two threads", count=2000)
def condition_round_trip(n):
    condition = threading.Condition()
    ball = [0]

    def play(n, mine):
        for _ in repeat(None, n):
            with condition:
                while ball[0] != mine:
                    condition.wait()
                ball[0] = 1 - mine
                condition.notify()

    go, join = beside(lambda n: play(n, 1), n)
    start = wall()
    go()
    play(n, 0)
    took = wall() - start
    join()
    return took


@case("Barrier(2), one round", 1.5, count=2000)
def barrier_round(n):
    barrier = threading.Barrier(2)

    def work(n):
        for _ in repeat(None, n):
            barrier.wait()

    go, join = beside(work, n)
    start = wall()
    go()
    work(n)
    took = wall() - start
    join()
    return took


# What is made


def made(make):
    def run(n):
        start = clock()
        for _ in repeat(None, n):
            make()
        return clock() - start

    return run


case("Lock()", 0.95, floor=0.95)(made(threading.Lock))
case("RLock()")(made(threading.RLock))
case("Condition()")(made(threading.Condition))
case("Semaphore()")(made(threading.Semaphore))
case("SimpleQueue()", 0.8)(made(queue.SimpleQueue))

# Futures and pools


@case("Future made, set, read", 8)
def future(n):
    make = futures.Future
    start = clock()
    for _ in repeat(None, n):
        f = make()
        f.set_result(1)
        f.result()
    return clock() - start


def nothing(argument=None):
    return argument


@case("pool: submit 1,000, then their results", 6, count=4000)
def pool_many(n):
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        warm(pool)
        start = wall()
        for _ in repeat(None, n // 1000):
            pending = [pool.submit(nothing) for _ in repeat(None, 1000)]
            for f in pending:
                f.result()
        return wall() - start


@case("pool: map over 1,000", 6, count=4000)
def pool_map(n):
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        warm(pool)
        start = wall()
        for _ in repeat(None, n // 1000):
            for _ in pool.map(nothing, range(1000)):
                pass
        return wall() - start


@case("pool: submit and wait, one by one", 1.5, count=1000)
def pool_one_by_one(n):
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        warm(pool)
        start = wall()
        for _ in repeat(None, n):
            pool.submit(nothing).result()
        return wall() - start


@case("pool: submit 1,000, as_completed", count=4000)
def pool_as_completed(n):
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        warm(pool)
        start = wall()
        for _ in repeat(None, n // 1000):
            for f in futures.as_completed([pool.submit(nothing) for _ in repeat(None, 1000)]):
                f.result()
        return wall() - start


@case("pool: submit 1,000, wait", count=4000)
def pool_wait(n):
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        warm(pool)
        start = wall()
        for _ in repeat(None, n // 1000):
            futures.wait([pool.submit(nothing) for _ in repeat(None, 1000)])
        return wall() - start


def warm(pool):
    """Has the pool start all its workers: each takes one call and keeps it until all have one."""
    meet = threading.Barrier(WORKERS)
    for f in [pool.submit(meet.wait) for _ in range(WORKERS)]:
        f.result()


# Threads


@case("Thread start + join", 1.3, count=300)
def thread(n):
    start = wall()
    for _ in repeat(None, n):
        t = threading.Thread(target=nothing)
        t.start()
        t.join()
    return wall() - start


@case("Thread start + join, 16 at once", count=320)
def threads(n):
    start = wall()
    for _ in repeat(None, n // 16):
        many = [threading.Thread(target=nothing) for _ in range(16)]
        for t in many:
            t.start()
        for t in many:
            t.join()
    return wall() - start
