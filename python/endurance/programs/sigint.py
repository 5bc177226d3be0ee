"""Takes SIGINTs in `with lock:` loops; whatever the moment, the lock is free when the exception has left the block.

    sigint.py KIND TIMES default|handler alone|contended
"""

import mmap
import os
import random
import signal
import sys
import threading
import time

kind, times, how, beside = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
lock = getattr(threading, kind)()
# Where the main thread says how many it has had; the sender sends the next one when it has seen that.
had = memoryview(mmap.mmap(-1, 8)).cast("q")
had[0] = -1


class Interrupted(Exception):
    pass


def handler(number, frame):
    raise Interrupted


def send(process):
    chance = random.Random(1)
    for number in range(times):
        while had[0] != number:
            if os.getppid() != process:
                return
        # Somewhere in the loop, and not always right behind its start.
        for _ in range(chance.randrange(200)):
            pass
        os.kill(process, signal.SIGINT)


def free():
    """Whether the lock is: only another thread can tell, as its holder may take an RLock again."""
    found = []

    def look():
        # The other thread of a contended run has it now and then.
        if lock.acquire(timeout=20):
            lock.release()
            found.append(True)

    looker = threading.Thread(target=look)
    looker.start()
    looker.join()
    return bool(found)


def count():
    number = 0
    while number < times:
        try:
            had[0] = number
            while True:
                with lock:
                    pass
        except (KeyboardInterrupt, Interrupted):
            number += 1
            if beside == "alone" and number % 100 == 0 and not free():
                sys.exit(f"not free after {number}")
    return number


me = os.getpid()
if how == "handler":
    signal.signal(signal.SIGINT, handler)
sender = os.fork()
if sender == 0:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        send(me)
    finally:
        os._exit(0)
stop = False


def contend():
    while not stop:
        with lock:
            pass
        time.sleep(0)


if beside == "contended":
    sys.setswitchinterval(1e-5)
    other = threading.Thread(target=contend)
    other.start()
count()
signal.signal(signal.SIGINT, signal.SIG_IGN)
stop = True
if beside == "contended":
    other.join()
os.waitpid(sender, 0)
if not free():
    sys.exit("not free at the end")
