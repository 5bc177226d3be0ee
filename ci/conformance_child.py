"""Runs one module of an interpreter's own tests and notes what becomes of each, for ci/conformance.py.

    python [-m lisle] conformance_child.py MODULE NOTES [WITHOUT]

NOTES is a file of lines `word<TAB>test<TAB>more`; every line is written at once, so that a crash tells which
test it was in. Tests that NOTES names already are left out: started again after a crash, the run goes on
behind it. Tests with WITHOUT in their name are left out, too.
"""
import faulthandler
import importlib
import os
import re
import subprocess
import sys
import types
import unittest

# What a run under lisle has to find lisle's in each module that tests know, fresh copies of it included.
DROP_INS = {
    "threading": ["Lock", "Condition", "Semaphore", "BoundedSemaphore", "Event"],
    "queue": ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "Empty", "Full"],
    "concurrent.futures": ["Future", "ThreadPoolExecutor", "wait", "as_completed"],
}
CHILD = "import threading, lisle.threading; raise SystemExit(threading.Event is not lisle.threading.Event)"


class Notes:
    def __init__(self, path):
        self.seen = set()
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.seen = {line.split("\t")[1] for line in file if line.startswith("start\t")}
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.pid = os.getpid()

    def write(self, word, test, more=""):
        # A test that forks may come back here as the child, which has nothing to tell.
        if os.getpid() == self.pid:
            more = more.strip().replace("\n", "\\n").replace("\t", " ")
            os.write(self.fd, f"{word}\t{test}\t{more}\n".encode("utf-8", "backslashreplace"))


class Result(unittest.TextTestResult):
    """Prints as `unittest -v` does and notes the outcome of whole tests."""

    notes = None

    def startTest(self, test):
        self.notes.write("start", test.id())
        self.outcome = None
        super().startTest(test)

    def stopTest(self, test):
        # A test that is only a sum of subtests has none of its own.
        word, more = self.outcome or ("passed", "")
        self.notes.write(word, test.id(), more)
        self.outcome = None
        super().stopTest(test)

    def note(self, test, word, more=""):
        holder = re.fullmatch(r"(setUp|tearDown)\w+ \((.+)\)", test.id())
        if holder:
            # Fixtures of a class or module: their failure stands for the tests that they keep from running.
            self.notes.write("fixture-" + word, holder[2], more)
        elif self.outcome is None or word == "failed":
            self.outcome = (word, more)

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, "failed", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, "failed", self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        # A skipped subtest does not make the test a skipped one.
        if not isinstance(test, unittest.case._SubTest):
            self.note(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(test, "failed", (self.errors + self.failures)[-1][1])

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "failed", "unexpected success")


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def check_drop_ins(test_module):
    """Stock tested against stock would pass, too."""
    for copy in [m for m in vars(test_module).values() if isinstance(m, types.ModuleType)]:
        for name in DROP_INS.get(copy.__name__, ()):
            ours = importlib.import_module("lisle." + copy.__name__.rpartition(".")[2])
            if getattr(copy, name) is not getattr(ours, name):
                sys.exit(f"{test_module.__name__} would test the stock {copy.__name__}.{name}")
    if subprocess.run([sys.executable, "-I", "-c", CHILD]).returncode:
        sys.exit("interpreters that tests start would have the stock modules")


def main(module, path, without=None):
    if "lisle" in sys.modules:
        # Interpreters that tests start have lisle from their start (see conformance_site.py).
        os.environ["LISLE_CONFORMANCE_CHILDREN"] = "1"
        check_drop_ins(importlib.import_module(module))
    notes = Notes(path)
    Result.notes = notes
    faulthandler.enable()
    tests = tests_of(unittest.defaultTestLoader.loadTestsFromName(module))
    tests = [test for test in tests if not (without and without in test.id())]
    for test in tests:
        notes.write("planned", test.id())
    suite = unittest.TestSuite(test for test in tests if test.id() not in notes.seen)
    unittest.TextTestRunner(verbosity=2, resultclass=Result).run(suite)
    notes.write("end", module)


if __name__ == "__main__":
    main(*sys.argv[1:])
