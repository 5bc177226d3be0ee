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


def test_a_thread_has_begun_when_start_returns():
    """One that has not is a danger to forks, see `_thread_life.py`."""
    run(
        code="""
import lisle; lisle.install()
import threading
for _ in range(200):
    thread = threading.Thread(target=int)
    thread.start()
    assert thread._native_id is not None
"""
    )
