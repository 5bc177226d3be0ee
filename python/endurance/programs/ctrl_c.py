"""Blocks in every way there is, in the main thread, and says when Ctrl-C ended each: the name before, the time after.
Whoever runs this sends SIGINT once the process sleeps."""

import os
import sys
import threading
import time
from concurrent import futures

from waits import WAITS


def busy():
    """A pool that will not be done with its call."""
    pool = futures.ThreadPoolExecutor(1)
    pool.submit(threading.Event().wait)
    return pool


# Pools wait for their workers at an interpreter's end: these are only for a program that ends as this one does.
POOLS = {
    "pool.submit().result()": lambda: busy().submit(print).result,
    "pool.map()": lambda: lambda results=busy().map(print, [1]): next(results),
    "pool.shutdown()": lambda: busy().shutdown,
}

for name, make in {**WAITS, **POOLS}.items():
    for _ in range(int(sys.argv[1])):
        blocks = make()
        try:
            os.write(1, f"{name}\n".encode())
            blocks()
        except KeyboardInterrupt:
            os.write(1, b"%d\n" % time.monotonic_ns())
        else:
            os.write(1, b"returned\n")
# What holds the locks are daemons; an ordinary end would do, but is measured elsewhere.
os._exit(0)
