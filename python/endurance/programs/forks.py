"""Forks in a busy threaded program, from every kind of thread; each child proves that threads and locks work in it.

    forks.py TIMES main|worker|foreign|dummy
"""

import _thread
import os
import queue
import sys
import threading
import time
import traceback
import warnings
from concurrent import futures

times, forker = int(sys.argv[1]), sys.argv[2]
# Newer versions warn of just what is tested here.
warnings.simplefilter("ignore", DeprecationWarning)

stop = threading.Event()
lock, rlock, condition, semaphore = threading.Lock(), threading.RLock(), threading.Condition(), threading.Semaphore(2)
q, simple, bounded = queue.Queue(), queue.SimpleQueue(), queue.Queue(4)
mine = threading.RLock()


def locks():
    while not stop.is_set():
        with lock, rlock, semaphore, condition:
            condition.notify()


def queues():
    while not stop.is_set():
        q.put(1)
        simple.put(1)
        q.get()
        simple.get()


def feed():
    while not stop.is_set():
        try:
            bounded.put(1, timeout=0.01)
        except queue.Full:
            pass


def eat():
    while not stop.is_set():
        try:
            bounded.get(timeout=0.01)
        except queue.Empty:
            pass


def work(pool):
    while not stop.is_set():
        pool.submit(int).result()


def child():
    """What a child expects; an AssertionError says what it did not find."""
    me = threading.current_thread()
    assert threading.main_thread() is me, (threading.main_thread(), me)
    assert threading.enumerate() == [me], threading.enumerate()
    assert threading.active_count() == 1 and me.is_alive() and me.ident == threading.get_ident()
    # What this thread held across the fork is still its own.
    assert mine._is_owned()
    mine.release()
    assert mine.acquire(timeout=5)
    for made in (threading.Lock(), threading.RLock(), threading.Condition(), threading.Semaphore()):
        with made:
            pass
    got, done = queue.Queue(1), threading.Event()

    def produce():
        for number in range(10):
            got.put(number)
        done.set()

    threads = [threading.Thread(target=produce) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert sum(got.get(timeout=5) for _ in range(20)) == 90
    assert done.wait(5)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    with futures.ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(int, "12345", timeout=5)) == 15
    assert not threading.Event().wait(0.001)
    # An event of before.
    stop.set()
    assert stop.wait(5)
    assert threading.enumerate() == [me], threading.enumerate()


def fork():
    for number in range(times):
        with mine:
            process = os.fork()
            if process == 0:
                code = 1
                try:
                    child()
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
        limit = time.monotonic() + 30
        while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
            if time.monotonic() > limit:
                os.kill(process, 6)
                sys.exit(f"child {number} hangs")
            time.sleep(0.001)
        if ended[1]:
            sys.exit(f"child {number} ended with status {ended[1]}")


def guarded(done):
    def body():
        try:
            if forker == "dummy":
                assert isinstance(threading.current_thread(), threading._DummyThread)
            fork()
            failed.clear()
        except SystemExit as error:
            failed[:] = [str(error)]
        finally:
            done.release()

    return body


pool = futures.ThreadPoolExecutor(2)
threads = [threading.Thread(target=body) for body in (locks, locks, queues, feed, eat)]
threads.append(threading.Thread(target=work, args=[pool]))
for thread in threads:
    thread.start()
failed = ["the forking thread did not come to its end"]
done = threading.Semaphore(0)
if forker == "main":
    guarded(done)()
elif forker == "worker":
    threading.Thread(target=guarded(done)).start()
else:
    _thread.start_new_thread(guarded(done), ())
done.acquire()
stop.set()
for thread in threads:
    thread.join()
pool.shutdown()
if failed:
    sys.exit(failed[0])
