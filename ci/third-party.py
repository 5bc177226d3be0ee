"""Runs the tests of other projects, unmodified, stock and under lisle, and compares each test's outcome.

    python ci/third-party.py                 all of third-party.toml
    python ci/third-party.py janus pebble    these
    python ci/third-party.py -p 3.13 …       with another interpreter

Each project comes from PyPI at the version and hash in third-party.toml, into target/third-party/, and has a
virtual environment of its own. Its tests run by `python -m pytest` and by `python -m lisle -m pytest`, with
the same selection. The exit status is 1 if any test ends otherwise under lisle than stock; but one
that stock skips may pass.
"""
import argparse
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as xml
from collections import Counter

import interpreters

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "third-party"
PINS = ROOT / "ci" / "third-party-requirements.txt"
LIST = ROOT / "ci" / "third-party.toml"
SIDES = {"stock": [], "lisle": ["-m", "lisle"]}
WORDS = ["passed", "failed", "skipped"]


def say(*words):
    print(*words, flush=True)


class Project:
    def __init__(self, entry, python):
        self.name, self.version, self.sha256 = entry["name"], entry["version"], entry["sha256"]
        self.about, self.tests, self.without = entry["about"], entry["tests"], entry["without"]
        self.home = OUT / python.tag / self.name
        self.source = self.home / "source"
        self.python = self.home / "venv" / "bin" / "python"
        self.base = python.path

    def install(self):
        """Once; again when the pins have changed."""
        wanted = hashlib.sha256(PINS.read_bytes() + f"{self.version} {self.sha256}".encode()).hexdigest()
        stamp = self.home / "stamp"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(self.home, ignore_errors=True)
        download = self.home / "download"
        download.mkdir(parents=True)
        subprocess.run([self.base, "-m", "venv", str(self.home / "venv")], check=True)
        self.pip("install", "--require-hashes", "--only-binary", ":all:", "-r", str(PINS))
        pin = download / "project.txt"
        pin.write_text(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
        # The source distribution, as only that has the tests. Built by what is pinned, too.
        own = ["--no-deps", "--no-build-isolation", "--no-binary", self.name]
        self.pip("download", "--require-hashes", *own, "-d", str(download), "-r", str(pin))
        shutil.unpack_archive(next(download.glob("*.tar.gz")), download)
        next(path for path in download.iterdir() if path.is_dir()).rename(self.source)
        self.pip("install", "--no-deps", "--no-build-isolation", str(self.source))
        site = next((self.home / "venv").glob("lib/python3.*/site-packages"))
        (site / "lisle.pth").write_text(f"{ROOT / 'python'}\n")
        stamp.write_text(wanted)

    def pip(self, command, *words):
        subprocess.run([self.python, "-m", "pip", command, "-q", "--disable-pip-version-check", *words], check=True)

    def run(self, side, timeout):
        """Outcomes by test, and why those failed."""
        report, log = self.home / f"{side}.xml", self.home / f"{side}.log"
        report.unlink(missing_ok=True)
        command = [str(self.python), *SIDES[side], "-m", "pytest", *self.tests, "-q", "-p", "no:cacheprovider",
                   # Options of the project ask for coverage and other plugins.
                   "-o", "addopts=", "--junit-xml", str(report)]
        for what, _ in self.without:
            command += ["--deselect", what] if "::" in what else ["--ignore", what]
        with open(log, "wb") as file:
            process = subprocess.Popen(command, cwd=self.source, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                       start_new_session=True)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                # pytest's faulthandler writes to the log where the threads are.
                process.send_signal(signal.SIGABRT)
            process.wait()
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not report.exists():
            return {"the whole run": f"failed: status {process.returncode}, see {log}"}
        outcomes = {}
        for case in xml.parse(report).iter("testcase"):
            test = f"{case.get('classname')}.{case.get('name')}"
            outcomes[test] = outcome(case)
        return outcomes


def outcome(case):
    for child in case:
        if child.tag in ("failure", "error"):
            return "failed: " + (child.get("message") or "").strip().split("\n")[0]
    return "skipped" if case.find("skipped") is not None else "passed"


def word(said):
    return said.split(":")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-p", "--python", help="path, name or version; default: this one")
    parser.add_argument("--timeout", type=int, default=600, help="seconds that a project's tests may take")
    parser.add_argument("project", nargs="*")
    options = parser.parse_args()
    entries = tomllib.loads(LIST.read_text())["project"]
    if unknown := set(options.project) - {entry["name"] for entry in entries}:
        sys.exit(f"not in {LIST.name}: {', '.join(unknown)}")
    [python] = interpreters.chosen([options.python or sys.executable])
    subprocess.run([ROOT / "ci" / "python-dev.sh", python.path], check=True)
    say(f"{python}\n")
    rows, different, more = [], [], Counter()
    for entry in entries:
        if options.project and entry["name"] not in options.project:
            continue
        project = Project(entry, python)
        say(f"  {project.name} {project.version}: {project.about}")
        project.install()
        sides = {}
        for side in SIDES:
            started = time.monotonic()
            sides[side] = project.run(side, options.timeout)
            count = Counter(map(word, sides[side].values()))
            say(f"      {side}: {', '.join(f'{count[w]} {w}' for w in WORDS)}, {time.monotonic() - started:.0f} s")
        rows.append((f"{project.name} {project.version}", [Counter(map(word, side.values())) for side in sides.values()]))
        stock, ours = sides.values()
        for test in {**stock, **ours}:
            was, now = stock.get(test, "absent"), ours.get(test, "absent")
            if word(was) == "skipped" and word(now) == "passed":
                # For what the running version has not, as Queue.shutdown, and lisle has.
                more[project.name] += 1
            elif word(was) != word(now):
                different.append(f"{project.name}: {test}\n    stock: {was}\n    lisle: {now}")
    head = "".join(f"{w:>9}" for w in WORDS)
    say(f"\n  {'':24}{'stock':>27} |{'lisle':>27}\n  {'':24}{head} |{head}")
    for name, counts in rows:
        say(f"  {name:24}" + " |".join("".join(f"{count[w]:9}" for w in WORDS) for count in counts))
    for name, count in more.items():
        say(f"\n  {name}: {count} tests that are skipped stock pass under lisle")
    if different:
        say("\nDifferent under lisle:")
        sys.exit("\n".join(different))
    say("\nevery test ends under lisle as it does stock")


if __name__ == "__main__":
    main()
