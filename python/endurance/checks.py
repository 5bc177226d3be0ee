"""The checks: each takes whether it is the long form and how to run a program, and yields what it found as
(what, figure, whether that is fine)."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

PROGRAMS = Path(__file__).parent / "programs"
# Where `make wheel` leaves what it makes; nothing is measured where there is none.
WHEELS = Path(__file__).parents[2] / "target" / "wheels"
# How many times as long anything may take in the short form: it runs beside whatever else a machine does, and is to
# find what hangs.
SLACK = 10
# An exit takes at most this many seconds, Ctrl-C this many to end a wait, an import this many more than stock's.
EXIT, CTRL_C, IMPORT = 0.5, 0.05, 0.010
# Bytes of a wheel.
WHEEL = 5_000_000
# Bytes that a process may grow by over all objects of a kind: what the allocator keeps, and no more.
GROWTH = 2 << 20
# A program of the short form that takes longer than this hangs.
HANGS = 120


def command(how, program, *arguments):
    return [sys.executable, *how, str(PROGRAMS / program), *map(str, arguments)]


def run(how, program, *arguments, limit=HANGS):
    """What a program printed, and how it ended where that was not well."""
    try:
        ended = subprocess.run(
            command(how, program, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return "", f"hangs: not done after {limit} s"
    if ended.returncode or ended.stderr:
        last = ended.stderr.strip().splitlines()[-1:] or [""]
        return ended.stdout, f"status {ended.returncode}: {last[0]}"
    return ended.stdout, None


def exits(long, how):
    for manner in ("calm", "woken", "timed"):
        times, problems = [], Counter()
        count = (400 if manner == "calm" else 300) if long else 5
        for _ in range(count):
            out, problem = run(how, "exits.py", manner, limit=30)
            end = time.monotonic_ns()
            if problem:
                problems[problem] += 1
            else:
                times.append((end - int(out)) / 1e9)
        what = f"{count} exits with 50 daemon threads, {manner}"
        for problem, often in problems.items():
            yield what, f"{often} times {problem}", False
        if times:
            figure = f"median {median(times) * 1e3:.0f} ms, at most {max(times) * 1e3:.0f}"
            yield what, figure, max(times) <= EXIT * (1 if long else SLACK)


def sigint(long, how):
    for kind, beside, handler in (
        ("Lock", "alone", "default"),
        ("Lock", "alone", "handler"),
        ("RLock", "alone", "handler"),
        ("Lock", "contended", "handler"),
        ("RLock", "contended", "handler"),
        ("Condition", "alone", "handler"),
        ("Semaphore", "alone", "handler"),
    ):
        times = 100_000 if long else 2_000
        if beside == "contended":
            times //= 10
        _, problem = run(how, "sigint.py", kind, times, handler, beside, limit=1200 if long else HANGS)
        yield f"{times:,} SIGINTs in `with {kind}`, {beside}, {handler}", problem or "free at the end", not problem


def asleep(process):
    """Waits until the process's first thread sleeps, five looks in a row; False when it ended instead."""
    looks = 0
    while looks < 5:
        try:
            stat = Path(f"/proc/{process.pid}/task/{process.pid}/stat").read_text()
        except OSError:
            return False
        state = stat.rpartition(")")[2].split()[0]
        if state in "ZX":
            return False
        looks = looks + 1 if state == "S" else 0
        time.sleep(0.001)
    return True


def ctrl_c(long, how):
    turns, most = (20, CTRL_C) if long else (3, CTRL_C * SLACK)
    process = subprocess.Popen(
        command(how, "ctrl_c.py", turns), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    watchdog = subprocess.Popen(["sh", "-c", f"sleep {HANGS}; kill -9 {process.pid}"], stdout=subprocess.DEVNULL)
    times = {}
    try:
        while name := process.stdout.readline().decode().strip():
            if not asleep(process):
                break
            sent = time.monotonic_ns()
            process.send_signal(2)
            said = process.stdout.readline().decode().strip()
            if not said.isdigit():
                yield f"Ctrl-C in {name}", said or "the process ended", False
                continue
            times.setdefault(name, []).append((int(said) - sent) / 1e9)
    finally:
        watchdog.kill()
        watchdog.wait()
        errors = process.communicate()[1].decode()
    # The median of a wait's turns: one of them may meet a busy machine.
    slow = {name: median(took) for name, took in times.items() if median(took) > most}
    for name, took in slow.items():
        yield f"Ctrl-C in {name}", f"{took * 1e3:.0f} ms", False
    if times:
        worst = max(median(took) for took in times.values())
        yield f"Ctrl-C ends {len(times)} kinds of wait", f"the slowest in {worst * 1e3:.1f} ms", not slow
    if process.returncode or errors:
        yield "Ctrl-C", f"status {process.returncode}: {errors.strip()[-500:]}", False


def forks(long, how):
    for forker in ("main", "worker", "foreign", "dummy"):
        times = 300 if long else 15
        _, problem = run(how, "forks.py", times, forker, limit=900 if long else HANGS)
        yield f"{times} forks, {forker} thread", problem or "all children work", not problem


def garbage(long, how):
    out, problem = run(how, "garbage.py", "cycles")
    yield "cycles", problem or out.strip().replace("\n", "; ") or "all collected", not problem and not out
    times = 1_000_000 if long else 50_000
    out, problem = run(how, "garbage.py", "growth", times, limit=3600 if long else HANGS)
    grown = {name: int(size) for name, size in (line.split(":") for line in out.splitlines())}
    for name, size in grown.items():
        if size > GROWTH:
            yield f"{times:,} × {name}", f"{size >> 10:,} KiB", False
    worst = max(grown, key=grown.get, default="none")
    figure = f"{worst} the most with {grown.get(worst, 0) >> 10} KiB"
    yield f"{times:,} of each of {len(grown)} kinds", problem or figure, not problem and bool(grown)


def costs(long, how):
    # Without the pool, which the standard package only imports at its first use, and with it.
    pairs = {
        "lisle": "threading, queue, concurrent.futures",
        "lisle.threading, lisle.queue, lisle.futures": "threading, queue, concurrent.futures.thread",
    }
    timed = "import time; s = time.perf_counter(); import {}; print(time.perf_counter() - s)"
    times = {what: [] for pair in pairs.items() for what in pair}
    with tempfile.TemporaryDirectory() as compiled:
        # Both sides compiled, as an installed package is; the first turn does that.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        for turn in range(101 if long else 16):
            for what, took in times.items():
                call = [sys.executable, "-c", timed.format(what)]
                out = subprocess.run(call, env=environment, stdout=subprocess.PIPE, check=True).stdout
                took += [float(out)] if turn else []
    for ours, stock in pairs.items():
        here, there = median(times[ours]), median(times[stock])
        yield f"import {ours}", f"{here * 1e3:.1f} ms, {(here - there) * 1e3:+.1f} to {stock}", here - there <= IMPORT
    for wheel in WHEELS.glob("*.whl"):
        size = wheel.stat().st_size
        yield wheel.name, f"{size / 1e6:.1f} MB", size <= WHEEL


CHECKS = {
    "exits": exits,
    "sigint": sigint,
    "ctrl-c": ctrl_c,
    "forks": forks,
    "garbage": garbage,
    "costs": costs,
}
