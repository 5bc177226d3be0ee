"""Runs the interpreters' own tests of threading, queue and concurrent.futures, stock and under lisle.

    python ci/conformance.py                        every CPython found, all modules
    python ci/conformance.py -p 3.13 -m threading   one interpreter, modules whose name has "threading"

Each module runs in a process of its own, once by `python` and once by `python -m lisle`, from the same files
and otherwise in the same way. A table shows both; then comes each test that passes stock and does not under
lisle. Those that conformance-exclusions.txt does not name make the exit status 1.

How far lisle reaches: everything runs in a virtual environment whose `.pth` file installs lisle also in
interpreters that tests start, those with -I among them, as soon as such a one imports `threading`.
Subinterpreters keep the stock modules, and so do children that run with -S.

Results, logs and notes of each run: target/conformance/.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

import interpreters

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "conformance"
EXCLUSIONS = ROOT / "ci" / "conformance-exclusions.txt"

# lock_tests has no tests of its own: test_threading and test_thread run it. concurrent.futures was one module
# up to 3.11.
MODULES = [
    "test.test_threading",
    "test.test_thread",
    "test.test_threading_local",
    "test.test_threadsignals",
    "test.test_queue",
    "test.test_concurrent_futures",
]
FUTURES = ["thread_pool", "future", "wait", "as_completed", "init", "shutdown"]
# Processes stay the standard library's, and some of their tests hang by turns with the stock modules, too.
PROCESSES = "ProcessPool"
SIDES = ["stock", "lisle"]


def say(*words):
    print(*words, flush=True)


class Run:
    """One module of one interpreter on one side: outcomes by test id."""

    def __init__(self, python, module, side, home, options):
        self.name = f"{module.removeprefix('test.')}.{side}"
        self.notes = home / f"{self.name}.notes"
        self.log = home / f"{self.name}.log"
        self.notes.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        self.words = {}
        self.why = {}
        under = ["-m", "lisle"] if side == "lisle" else []
        command = [str(python), *under, str(ROOT / "ci" / "conformance_child.py"), module, str(self.notes)]
        if not options.processes:
            command.append(PROCESSES)
        started = time.monotonic()
        while (what := self.go(command, home, options.timeout)) is not None:
            # It went down in a test: that one failed, and the others run in a fresh process.
            test = self.read()
            if test is None:
                self.words[module] = "failed"
                self.why[module] = f"{what} outside of a test, see {self.log}"
                break
            with open(self.notes, "a", encoding="utf-8") as notes:
                notes.write(f"failed\t{test}\t{what}\n")
        self.read()
        self.seconds = time.monotonic() - started

    def go(self, command, home, timeout):
        """None if the run came to its end, or what happened to it."""
        # Tests leave files where they are.
        work = home / "cwd"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        with open(self.log, "ab") as log:
            process = subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)
            size, since, what = -1, time.monotonic(), None
            while process.poll() is None:
                time.sleep(0.05)
                now = self.notes.stat().st_size if self.notes.exists() else 0
                if now != size:
                    size, since = now, time.monotonic()
                elif what is None and time.monotonic() - since > timeout:
                    # faulthandler writes to the log where its threads are.
                    what = f"no end within {timeout} s"
                    process.send_signal(signal.SIGABRT)
                    since = time.monotonic()
                elif what and time.monotonic() - since > 5:
                    process.kill()
            # Processes that its tests have left behind.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if what is None and process.returncode:
            code = process.returncode
            what = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        return what

    def read(self):
        """Takes up what the notes say; the test that was started and has not ended, if any."""
        planned, fixtures, running, ended = [], {}, None, False
        text = self.notes.read_text(encoding="utf-8") if self.notes.exists() else ""
        for line in text.splitlines():
            word, test, why = line.split("\t")
            if word == "planned":
                planned.append(test)
            elif word == "end":
                ended = True
            elif word == "start":
                running = test
            elif word.startswith("fixture-"):
                fixtures[test] = word.removeprefix("fixture-"), why
            else:
                self.words[test], self.why[test] = word, why
                running = None
        for test in planned:
            if test not in self.words and (ended or test == running):
                # Its class or module did not let it run.
                owner = next((f for f in fixtures if test.startswith(f + ".")), None)
                self.words[test], self.why[test] = fixtures.get(owner, ("failed", "did not run"))
        return running

    def counts(self):
        count = Counter(self.words.values())
        return [len(self.words), count["passed"], count["failed"], count["skipped"]]


class Exclusions:
    """Lines `versions | pattern of test ids | reason`."""

    def __init__(self, path):
        self.lines = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                parts = [part.strip() for part in line.split("|", 2)]
                if len(parts) != 3 or not all(parts):
                    sys.exit(f"{path}:{number}: not `versions | test | reason`")
                self.lines.append((parts[0].replace(",", " ").split(), parts[1], parts[2]))
        self.used = set()

    def reason(self, tag, test):
        for line in self.lines:
            versions, pattern, reason = line
            if (tag in versions or "all" in versions) and fnmatch.fnmatchcase(test, pattern):
                self.used.add((tag, pattern))
                return reason
        return None

    def idle(self, tag, ran):
        """Those that were meant for `tag`, whose tests ran, and that nothing needed."""
        for versions, pattern, _ in self.lines:
            if (tag in versions or "all" in versions) and (tag, pattern) not in self.used:
                if fnmatch.filter(ran, pattern):
                    yield pattern


FIND = """
import importlib.util, sys
def there(name):
    try:
        return bool(importlib.util.find_spec(name))
    except ImportError:
        return False
print(*filter(there, sys.argv[1:]), sep="\\n")
"""


def modules_of(python, wanted):
    """Each wanted module, and whether this installation has it."""
    futures = MODULES[-1]
    parts = [f"{futures}.test_{part}" for part in FUTURES]
    found = subprocess.run([python.path, "-c", FIND, *MODULES, *parts], capture_output=True, text=True, check=True)
    there = found.stdout.split()
    names = MODULES[:-1] + (parts if parts[0] in there else [futures])
    return {name: name in there for name in names if not wanted or any(word in name for word in wanted)}


def stand_in(python):
    """A directory with a `test` package from Debian, for modules that an installation was made without."""
    suite, package = ("bookworm", "python3.11") if python.version < (3, 13) else ("trixie", "python3.13")
    home = OUT / f"tests-of-{package}"
    if not (home / "lib").exists():
        with tempfile.TemporaryDirectory() as source:
            subprocess.run([ROOT / "ci" / "debian-source.sh", suite, package, source], check=True)
            shutil.copytree(pathlib.Path(source, "Lib", "test"), home / "part" / "test", dirs_exist_ok=True)
        (home / "part").rename(home / "lib")
    return home / "lib", package


def environment(python, home):
    """A virtual environment over this checkout's package, whose children get lisle where they shall."""
    venv = home / "venv"
    subprocess.run([python.path, "-m", "venv", "--clear", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python3.*/site-packages"))
    (site / "lisle-conformance.pth").write_text(f"{ROOT / 'python'}\nimport conformance_site\n")
    shutil.copy(ROOT / "ci" / "conformance_site.py", site)
    return venv / "bin" / "python"


def check(python, options, exclusions, report):
    """Runs one interpreter; the tests that lisle owes."""
    say(f"\n{python}")
    modules = modules_of(python, options.module)
    absent = [name for name, there in modules.items() if not there]
    if absent:
        tests, package = stand_in(python)
        os.environ["LISLE_CONFORMANCE_TESTS"] = str(tests)
        for name in absent:
            say(f"  {name} is not part of this installation; it is taken from Debian's source of {package}")
    else:
        os.environ.pop("LISLE_CONFORMANCE_TESTS", None)
    home = OUT / python.tag
    home.mkdir(parents=True, exist_ok=True)
    executable = environment(python, home)
    rows, worse, ran = [], [], []
    for module in modules:
        runs = {}
        for side in options.side:
            print(f"  {module:48} {side} …", end="", flush=True)
            runs[side] = run = Run(executable, module, side, home, options)
            say(" {} run, {} passed, {} failed, {} skipped, {:.0f} s".format(*run.counts(), run.seconds))
        rows.append((module, [runs[side].counts() if side in runs else None for side in SIDES]))
        if len(runs) < 2:
            continue
        stock, ours = runs["stock"], runs["lisle"]
        ran += stock.words
        for test in ours.words.keys() - stock.words.keys():
            worse.append((test, "new", ours.why[test]))
        for test, word in stock.words.items():
            if word == "passed" and ours.words.get(test) != "passed":
                worse.append((test, ours.words.get(test, "absent"), ours.why.get(test, "")))
    table(python, rows)
    owed = []
    for test, word, why in worse:
        reason = exclusions.reason(python.tag, test)
        say(f"  {'excluded' if reason else word}: {test}")
        if reason or why:
            say(f"      {reason or why.split(chr(92) + 'n')[-1]}")
        if not reason:
            owed.append(test)
    for pattern in exclusions.idle(python.tag, ran):
        say(f"  no longer needed on {python.tag} in {EXCLUSIONS.name}: {pattern}")
    report[python.tag] = {"python": python.name, "from Debian": absent, "modules": dict(rows),
                          "worse": [dict(zip(("test", "is", "why"), one)) for one in worse]}
    return owed


def table(python, rows):
    columns = ["run", "passed", "failed", "skipped"]
    head = "".join(f"{word:>8}" for word in columns)
    say(f"\n  {'CPython ' + python.name:44}{'stock':>32} |{'lisle':>32}\n  {'':44}{head} |{head}")
    for module, sides in rows + [("total", [total([row[1][i] for row in rows]) for i in range(2)])]:
        cells = ["".join(f"{n:8}" for n in side) if side else f"{'–':>32}" for side in sides]
        say(f"  {module.removeprefix('test.'):44}{cells[0]} |{cells[1]}")
    say()


def total(counts):
    return [sum(column) for column in zip(*filter(None, counts))] or None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-p", "--python", action="append", help="path, name or version; default: all that are found")
    parser.add_argument("-m", "--module", action="append", help="only modules with this in their name")
    parser.add_argument("-s", "--side", action="append", choices=SIDES, help="only this side; nothing is compared then")
    parser.add_argument("--processes", action="store_true", help="also the tests of process pools")
    parser.add_argument("--timeout", type=int, default=120, help="seconds that one test may take")
    options = parser.parse_args()
    options.side = options.side or SIDES
    exclusions, report, owed = Exclusions(EXCLUSIONS), {}, {}
    for python in interpreters.chosen(options.python):
        if "lisle" in options.side:
            subprocess.run([ROOT / "ci" / "python-dev.sh", python.path], check=True)
        owed[python] = check(python, options, exclusions, report)
    (OUT / "report.json").write_text(json.dumps(report, indent=1))
    for python, tests in owed.items():
        if tests:
            say(f"CPython {python.name}: {len(tests)} tests pass stock and do not under lisle")
    if any(owed.values()):
        sys.exit(1)
    if len(options.side) == 2:
        say("every test that passes stock passes under lisle, or is excluded")


if __name__ == "__main__":
    main()
