"""install, uninstall, and `python -m lisle`."""

import os
import sys
import zipfile

import pytest
from conftest import run

INSTALL = "import lisle; lisle.install()\n"


def test_it_does_not_import_what_a_program_may_want_to_import_itself():
    run(code=INSTALL + "import sys; assert not {'logging', 'concurrent.futures', 'asyncio'} & set(sys.modules), sys.modules")


def test_the_names_are_replaced_and_put_back():
    run(
        code="""
import threading, queue, _thread, concurrent.futures, concurrent.futures.thread, sys
spaces = [threading, queue, _thread, concurrent.futures, concurrent.futures._base, concurrent.futures.thread, threading.Thread]
before = [dict(vars(space)) for space in spaces]
path = list(sys.meta_path)
import lisle
lisle.install()
lisle.install()
assert threading.Lock is lisle.threading.Lock and _thread.allocate_lock is threading.Lock
assert queue.Queue is lisle.queue.Queue
assert concurrent.futures.ThreadPoolExecutor is lisle.futures.ThreadPoolExecutor is concurrent.futures.thread.ThreadPoolExecutor
assert concurrent.futures.Future is lisle.futures.Future is concurrent.futures._base.Future
assert type(threading.Condition()._lock) is type(threading.RLock()) is lisle.threading.RLock
assert type(threading.Thread()._started) is lisle.threading.Event
lisle.uninstall()
lisle.uninstall()
assert sys.meta_path == path
for space, was in zip(spaces, before):
    changed = {name for name in {**was, **vars(space)} if was.get(name) is not vars(space).get(name)}
    # Threads made without install() need these two as well.
    assert changed <= {"ThreadPoolExecutor"} - set(was) | {"_limbo", "_lisle_Event"}, (space, changed)
lisle.install()
assert threading.Lock is lisle.threading.Lock
"""
    )


@pytest.mark.parametrize("statement", [
    "import concurrent.futures",
    "from concurrent.futures import ThreadPoolExecutor",
    "import concurrent.futures.thread",
    "from concurrent.futures import _base",
    "import asyncio",
])
def test_futures_are_patched_when_they_are_imported(statement):
    run(
        code=INSTALL
        + statement
        + """
import concurrent.futures, concurrent.futures.thread, lisle.futures
assert concurrent.futures.ThreadPoolExecutor is lisle.futures.ThreadPoolExecutor
assert concurrent.futures.thread.ThreadPoolExecutor is lisle.futures.ThreadPoolExecutor
assert concurrent.futures._base.Future is concurrent.futures.Future is lisle.futures.Future
assert concurrent.futures.wait is lisle.futures.wait
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    assert type(pool.submit(int)) is lisle.futures.Future
"""
    )


def test_a_hook_that_a_program_sets_is_called():
    for module in ("threading", "lisle.threading as threading"):
        run(
            code=INSTALL
            + f"""
import {module}
seen = []
threading.excepthook = seen.append
t = threading.Thread(target=lambda: 1 / 0)
t.start(); t.join()
assert seen[0].exc_type is ZeroDivisionError and seen[0].thread is t
import threading
assert threading.excepthook.__self__ is seen
"""
        )


def test_a_start_that_fails_leaves_nothing_behind():
    run(
        code=INSTALL
        + """
import threading
def fail(*args, **kwargs): raise RuntimeError("can't start new thread")
name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
was = getattr(threading, name)
setattr(threading, name, fail)
t = threading.Thread(target=int)
try: t.start()
except RuntimeError as error: assert "can't start" in str(error)
else: assert False
assert not threading._limbo and not t.is_alive()
setattr(threading, name, was)
t = threading.Thread(target=int); t.start(); t.join()
"""
    )


def test_patched_names_are_seen():
    run(
        code=INSTALL
        + """
import threading, queue
calls = []
was = threading.Thread.start
def start(self): calls.append("start"); return was(self)
threading.Thread.start = start
t = threading.Thread(target=int); t.start(); t.join()
put = queue.Queue.put
def traced(self, item, *args, **kwargs): calls.append("put"); return put(self, item, *args, **kwargs)
queue.Queue.put = traced
q = queue.Queue(); q.put(1); assert q.get() == 1
assert calls == ["start", "put"], calls
"""
    )


def test_threads_that_were_there_are_the_same():
    run(
        code="""
import threading
stock = threading.Thread
before = threading.Event()
old = threading.Thread(target=before.wait); old.start()
active = threading._active
import lisle; lisle.install()
assert threading._active is active and threading.Thread is stock
assert isinstance(threading.main_thread(), threading.Thread) and isinstance(old, threading.Thread)
class Mine(lisle.threading.Thread): pass
mine = Mine(target=before.wait); mine.start()
assert isinstance(mine, threading.Thread) and set(threading.enumerate()) == {threading.main_thread(), old, mine}
before.set()
old.join(); mine.join()
assert threading.active_count() == 1
"""
    )


def test_multiprocessing_barriers_and_queues():
    run(
        code=INSTALL
        + """
import multiprocessing, threading
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(2), context.Queue()
    assert isinstance(barrier, threading.Barrier)
    def call(): queue.put(barrier.wait(60))
    child = context.Process(target=call); child.start()
    index = barrier.wait(60)
    assert {index, queue.get(timeout=60)} == {0, 1}
    child.join(60); assert child.exitcode == 0
"""
    )


def test_a_program_runs_as_it_would_by_itself(tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, beside, threading, os\n"
        "assert sys.modules['__main__'].__dict__ is globals()\n"
        "print(__name__, os.path.basename(__file__), sys.argv[1:], beside.VALUE, type(threading.Lock()).__name__, hasattr(threading.Lock(), 'within'))\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    done = run("-m", "lisle", str(program), "3", "-m", "x", check=False)
    assert done.returncode == 3
    assert done.stdout == "__main__ program.py ['3', '-m', 'x'] 7 lock True\n"
    done = run("-m", "lisle", "-m", "timeit", "-n", "1", "-r", "1", "pass")
    assert "loop" in done.stdout
    done = run("-m", "lisle", "-c", "import sys; print(sys.argv)", "a", "-c")
    assert done.stdout == "['-c', 'a', '-c']\n"
    done = run("-m", "lisle", "-", "a", input="import sys; print(sys.argv)")
    assert done.stdout == "['-', 'a']\n"


def test_files_folders_and_archives_know_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(os.path.abspath(at) for at in sys.path if at))
    monkeypatch.chdir(tmp_path)
    code = "import sys; print(__file__, sys.path[0], sys.argv, __spec__ and __spec__.name, __package__)"
    (tmp_path / "app").mkdir()
    for program in ("one.py", "app/__main__.py"):
        (tmp_path / program).write_text(code)
    (tmp_path / "link.py").symlink_to("app/__main__.py")
    with zipfile.ZipFile("app.zip", "w") as archive:
        archive.writestr("__main__.py", code)
    for program in ("one.py", "app", "app.zip", "link.py"):
        assert run("-m", "lisle", program, "x").stdout == run(program, "x").stdout


def test_what_cannot_be_run_is_told():
    done = run("-m", "lisle", "/nowhere/at/all.py", check=False)
    assert done.returncode != 0 and "can't open file '/nowhere/at/all.py'" in done.stderr
    for args in ((), ("-m",), ("-c",), ("--nonsense",)):
        done = run("-m", "lisle", *args, check=False)
        assert done.returncode == 2 and "usage: python -m lisle" in done.stderr
    assert "It reaches this process" in run("-m", "lisle", "--help").stdout


def test_an_exception_ends_the_program_with_its_traceback(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("def f():\n    raise KeyError('gone')\nf()\n")
    done = run("-m", "lisle", str(program), check=False)
    assert done.returncode == 1
    assert "raise KeyError('gone')" in done.stderr and str(program) in done.stderr


def test_every_public_name_is_there():
    import concurrent.futures
    import queue
    import threading

    import lisle

    for ours, theirs in (
        (lisle.threading, threading),
        (lisle.queue, queue),
        (lisle.futures, concurrent.futures),
    ):
        for name in theirs.__all__:
            assert hasattr(ours, name), (theirs, name)
        assert set(theirs.__all__) <= set(ours.__all__)
    for name in ("Queue", "ShutDown", "Empty", "Full", "SimpleQueue"):
        assert hasattr(lisle.queue, name)
    if sys.version_info >= (3, 13):
        assert lisle.queue.ShutDown is queue.ShutDown
    assert lisle.queue.Empty is queue.Empty and lisle.queue.Full is queue.Full


@pytest.mark.parametrize(
    "first", ["lisle.futures", "concurrent.futures", "concurrent.futures.thread", "lisle._cluster"]
)
def test_futures_may_be_imported_in_any_order(first):
    code = f"""import {first}
import concurrent.futures as standard, lisle.futures as ours
for name in ("Future", "ThreadPoolExecutor", "as_completed", "wait"):
    assert getattr(standard, name) is getattr(ours, name), name
"""
    run("-m", "lisle", "-c", code)


def test_a_module_that_is_about_to_be_patched_can_be_looked_at():
    run(
        code=INSTALL
        + """
import importlib.util, sys, threading
path = list(sys.meta_path)
class Look:
    # The finders behind ours see the path as it always is: other threads look there too.
    def find_spec(self, name, path=None, target=None):
        if name == "concurrent.futures": seen.append(list(sys.meta_path))
seen = []
look = Look()
sys.meta_path.insert(1, look)
spec = importlib.util.find_spec("concurrent.futures")
assert seen == [[path[0], look, *path[1:]]], seen
assert "Future" in spec.loader.get_source(spec.name)
"""
    )


def test_what_cannot_be_pickled_is_told_as_by_the_standard_library():
    program = """
import copy, pickle, queue, threading
for made in (queue.Queue(), queue.PriorityQueue(), queue.SimpleQueue(), threading.Lock(), threading.RLock()):
    for how in (copy.deepcopy, pickle.dumps):
        try:
            how(made)
        except TypeError as error:
            print(type(made).__name__, error)
"""
    assert run("-m", "lisle", "-c", program).stdout == run("-c", program).stdout
