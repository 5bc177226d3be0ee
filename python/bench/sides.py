"""The two sides: the standard modules and lisle's, side by side in one process, nothing installed."""

import importlib
from pathlib import Path

HERE = Path(__file__).parent
MODULES = {
    "stock": {"threading": "threading", "queue": "queue", "futures": "concurrent.futures"},
    "lisle": {"threading": "lisle.threading", "queue": "lisle.queue", "futures": "lisle.futures"},
}


def load(source, names):
    """The cases of a file of this folder with the modules of a side: functions that no other load shares."""
    scope = {name: importlib.import_module(module) for name, module in MODULES[names].items()}
    exec(compile((HERE / source).read_text(), source, "exec"), scope)
    return scope["CASES"]
