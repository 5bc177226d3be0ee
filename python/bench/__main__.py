"""Runs lisle's and the standard modules side by side and holds the ratios against the goals.

    PYTHONPATH=python python python/bench --quick queue
"""

import argparse
import json
import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import measure
import report
import sides


@dataclass
class Plan:
    rounds: int
    # Nanoseconds of a side in a round.
    budget: float
    # Seconds for a case.
    most: float


def arguments():
    parser = argparse.ArgumentParser(prog="bench-python", description=__doc__.splitlines()[0])
    parser.add_argument("filter", nargs="*", help="run the cases whose name contains one of these, in any case")
    parser.add_argument("--quick", action="store_true", help="a short run: less exact")
    parser.add_argument("--rounds", type=int, help="how often each side has its turn [40; quick: 7]")
    parser.add_argument("--list", action="store_true", help="name the cases, and run none")
    parser.add_argument("--noise", action="store_true", help="stock beside itself: what this machine makes of a 1.0")
    parser.add_argument("--out", type=Path, default=Path("target/bench"), help="where the JSON goes [%(default)s]")
    return parser.parse_args()


def main():
    options = arguments()
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    if sysconfig.get_config_var("Py_GIL_DISABLED") and not free_threaded:
        sys.exit("this interpreter can do without the GIL, but something has switched it on")
    sources = ["cases.py", "scaling.py"] if free_threaded else ["cases.py"]
    names = {name: source for source in sources for name in sides.load(source, "stock")}
    wanted = [word.lower() for word in options.filter]
    names = {name: source for name, source in names.items() if not wanted or any(w in name.lower() for w in wanted)}
    if options.list:
        return print(*names, sep="\n")
    if not names:
        sys.exit(f"no case has {' or '.join(map(repr, options.filter))} in its name; --list names them")
    plan = Plan(7, 5e6, 2) if options.quick else Plan(40, 15e6, 12)
    plan.rounds = options.rounds or plan.rounds
    rows = run(names, plan, "stock" if options.noise else "lisle", free_threaded)
    print(report.scaling([row for row in rows if "scaling" in row]))
    if options.noise:
        return
    version = f"{sys.version_info.major}.{sys.version_info.minor}{'t' if free_threaded else ''}"
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"python-{version}.json"
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    print(report.closing(rows, path))


def run(names, plan, other, free_threaded):
    python = f"{platform.python_version()}{' free-threaded' if free_threaded else ''}"
    print(f"CPython {python}, {os.cpu_count()} cores; medians of {plan.rounds} rounds\n{report.head()}")
    bar, rows = report.Bar(len(names)), []
    for name, source in names.items():
        stock, lisle = sides.load(source, "stock")[name], sides.load(source, other)[name]
        figures = measure.compare(stock, lisle, plan, lambda share: bar.show(name, share))
        wanted = report.goal(stock, sys.version_info[:2], free_threaded)
        row = {"case": name, **figures, "goal": wanted, "met": figures["ratio"] >= wanted, "python": python}
        if "scaling" in stock:
            row["scaling"] = stock["scaling"]
        rows.append(row)
        bar.over()
        print(report.line(row), flush=True)
    return rows


main()
