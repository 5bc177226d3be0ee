"""What each interpreter of a conformance run does at its start, those that tests start among them.

A `.pth` file of the run's virtual environment imports this, also in children with -I. Set in the environment:

LISLE_CONFORMANCE_TESTS     a directory with a `test` package, for modules that this installation lacks
LISLE_CONFORMANCE_CHILDREN  install lisle behind the first import of `threading`; no earlier, so that tests
                            may look at that import
"""
import os
import sys
from importlib.machinery import PathFinder


def add_tests(directory):
    sys.path.append(directory)
    import test
    more = os.path.join(directory, "test")
    if more not in test.__path__:
        test.__path__.append(more)


class BehindThreading:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "concurrent.futures":
            # It imports `threading` itself, and would be half imported when lisle is installed.
            import threading
            return sys.meta_path[0].find_spec(name, path, target)
        if name != "threading":
            return None
        sys.meta_path.remove(cls)
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def load_and_install(module):
            del spec.loader.exec_module
            load(module)
            import lisle
            lisle.install()

        spec.loader.exec_module = load_and_install
        return spec


def main_interpreter():
    try:
        import _interpreters
    except ImportError:
        try:
            import _xxsubinterpreters as _interpreters
        except ImportError:
            return True
    # (id, whence) from 3.13 on.
    current = _interpreters.get_current()
    return int(current[0] if isinstance(current, tuple) else current) == 0


if os.environ.get("LISLE_CONFORMANCE_TESTS"):
    add_tests(os.environ["LISLE_CONFORMANCE_TESTS"])
# Subinterpreters keep the stock modules.
if os.environ.get("LISLE_CONFORMANCE_CHILDREN") and main_interpreter():
    sys.meta_path.insert(0, BehindThreading)
