"""Prints the nanoseconds of a round trip through multiprocessing.Pool: workers, bytes, seconds, how."""

import sys
import time
from functools import cache
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory

workers, size, seconds, how = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
MESSAGE = bytes(index % 251 for index in range(size))


def checked(message):
    assert message == MESSAGE, "a message has changed on its way"
    return message


@cache
def attached(name):
    return SharedMemory(name)


def checked_in_place(name):
    # A copy compares faster than a view.
    checked(bytes(attached(name).buf[:size]))


def by_value(pool):
    checked(pool.apply(checked, (MESSAGE,)))


def shared(pool):
    memory.buf[:size] = MESSAGE
    pool.apply(checked_in_place, (memory.name,))
    checked(bytes(memory.buf[:size]))


memory = SharedMemory(create=True, size=size)
try:
    # Forked workers have this script's functions, though it is in no file.
    with get_context("fork").Pool(workers) as pool:
        trip = shared if how == "shared" else by_value
        for _ in range(10):
            trip(pool)
        trips, begin = 0, time.perf_counter_ns()
        while (took := time.perf_counter_ns() - begin) < seconds * 1e9:
            trip(pool)
            trips += 1
        print(took / trips)
finally:
    memory.close()
    memory.unlink()
