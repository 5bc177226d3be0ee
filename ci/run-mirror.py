#!/usr/bin/env python3
"""Runs examples/mirror.py by plain Python and by `python -m lisle`, in turns, and prints both times and their ratio.

    ci/run-mirror.py [SOURCE]

Without SOURCE it makes a tree of many small files below target/mirror, the same everywhere. Each turn mirrors it
four times: first everything is new, then nothing. The copies go to memory where the
system offers a folder there, so that it is the program that is measured and not a disk.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "mirror"
MEMORY = Path("/dev/shm")
FOLDERS, FILES = 50, 100
TURNS = 5
WAYS = {"python": [], "python -m lisle": ["-m", "lisle"]}
# How often in a turn.
PASSES = {"everything new": 1, "nothing new": 3}


def tree():
    """A tree like that of a mail program: 5,000 files of up to 4 KiB."""
    source, chance = WORK / "source", random.Random(1)
    if not (source / "complete").exists():
        shutil.rmtree(source, ignore_errors=True)
        for folder in range(FOLDERS):
            place = source / f"{folder % 10}" / f"{folder:03}"
            place.mkdir(parents=True)
            for file in range(FILES):
                (place / f"{file:04}.txt").write_bytes(chance.randbytes(chance.randrange(4096)))
        (source / "complete").touch()
    return source


def turn(way, source, target):
    """One run; its result and the seconds it says it took."""
    command = [sys.executable, *way, str(ROOT / "examples" / "mirror.py"), str(source), str(target)]
    path = os.pathsep.join(filter(None, [str(ROOT / "python"), os.environ.get("PYTHONPATH")]))
    said = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True)
    result, seconds = re.fullmatch(r"(.*) in ([0-9.]+) s\n", said.stdout).groups()
    return result, float(seconds)


def main():
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else tree()
    times = {(way, how): [] for how in PASSES for way in WAYS}
    results = {how: set() for how in PASSES}
    for number in range(TURNS):
        for way in list(WAYS) if number % 2 == 0 else reversed(WAYS):
            with tempfile.TemporaryDirectory(prefix="mirror-", dir=MEMORY if MEMORY.is_dir() else None) as target:
                for how in [how for how, often in PASSES.items() for _ in range(often)]:
                    result, seconds = turn(WAYS[way], source, target)
                    results[how].add(result)
                    times[way, how].append(seconds)
    print(f"examples/mirror.py, medians of {TURNS} runs by each, in turns")
    for how in PASSES:
        if len(results[how]) != 1:
            sys.exit(f"{how}: the results differ: {results[how]}")
        print(f"  {results[how].pop()}")
        stock, lisle = (median(times[way, how]) for way in WAYS)
        for way in WAYS:
            print(f"    {way:16} {median(times[way, how]):7.3f} s")
        print(f"    ratio            {stock / lisle:7.2f}")


main()
