"""What takes many turns to go wrong: exits, signals, forks and garbage; and what an import costs.

    PYTHONPATH=python python python/endurance          in half a minute or so
    PYTHONPATH=python python python/endurance --long   as often as it takes

Each program in `programs/` is an ordinary one over the standard modules, and is run here by `python -m lisle`; with
--stock by plain Python, to see what is the interpreter's own.
"""

import argparse
import sys
import sysconfig
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from checks import CHECKS  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="endurance", description=__doc__.splitlines()[0])
    parser.add_argument("check", nargs="*", help=f"of: {', '.join(CHECKS)} [all]")
    parser.add_argument("--long", action="store_true", help="1,000 exits, 100,000 signals, 1,000,000 objects of a kind")
    parser.add_argument("--stock", action="store_true", help="the same of the standard modules")
    options = parser.parse_args()
    if unknown := set(options.check) - set(CHECKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    kind = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    print(f"CPython {sys.version.split()[0]}{kind}, {'the standard modules' if options.stock else 'lisle'}")
    failed = 0
    for name, check in CHECKS.items():
        if options.check and name not in options.check:
            continue
        start = time.monotonic()
        for what, figure, fine in check(options.long, [] if options.stock else ["-m", "lisle"]):
            failed += not fine
            print(f"  {'ok    ' if fine else 'FAILED'} {name}: {what}: {figure}", flush=True)
        print(f"         {time.monotonic() - start:.0f} s")
    if failed:
        sys.exit(f"{failed} failed")


main()
