"""What is asked of the package by interpreters without a GIL only."""

import subprocess
import sys
import sysconfig

import pytest

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter has a GIL"
)


def test_the_import_leaves_the_gil_off():
    # An extension that does not say that it can do without switches it on, with a warning.
    program = "import lisle, lisle.threading, lisle.queue, lisle.futures, sys; lisle.install(); print(sys._is_gil_enabled())"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "False\n", "")
