"""What is asked of the package by interpreters without a GIL only."""

import subprocess
import sys
import sysconfig

import pytest

from conftest import run

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter has a GIL"
)


def test_the_import_leaves_the_gil_off():
    # An extension that does not say that it can do without switches it on, with a warning.
    program = "import lisle, lisle.threading, lisle.queue, lisle.futures, sys; lisle.install(); print(sys._is_gil_enabled())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_a_fork_waits_until_threads_that_were_started_have_begun():
    """One that has not is a danger to the child, see `_thread_life.py`."""
    run(
        code="""
import os, warnings
warnings.simplefilter("ignore")
threads, seen = [], []
# The last to be registered is called first.
os.register_at_fork(before=lambda: seen.append([thread._native_id for thread in threads]))
import lisle; lisle.install()
import threading
for _ in range(100):
    threads[:] = [threading.Thread(target=int) for _ in range(3)]
    for thread in threads:
        thread.start()
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert None not in seen[-1], seen[-1]
    for thread in threads:
        thread.join()
from lisle._thread_life import _on_their_way
assert not _on_their_way
"""
    )


def test_a_fork_does_not_wait_for_a_thread_that_could_not_be_started():
    run(
        code="""
import os, warnings
warnings.simplefilter("ignore")
import lisle; lisle.install()
import threading
def fail(*args, **kwargs):
    raise RuntimeError("can't start new thread")
threading._start_joinable_thread = fail
try: threading.Thread(target=int).start()
except RuntimeError: pass
else: raise AssertionError("it was to fail")
child = os.fork()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    )
