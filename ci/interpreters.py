"""Which CPythons are on this machine, one of each version that lisle supports.

    python ci/interpreters.py        lists them
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 11), (3, 14)
HERE = pathlib.Path(__file__).resolve().parent

_ASK = """
import json, platform, sys, sysconfig
free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([sys.executable, platform.python_implementation(), list(sys.version_info[:3]), free]))
"""


class Interpreter:
    def __init__(self, path, version, free_threaded):
        self.path = path
        self.version = tuple(version)
        self.tag = f"{version[0]}.{version[1]}" + ("t" if free_threaded else "")
        self.name = ".".join(map(str, version)) + ("t" if free_threaded else "")

    def __str__(self):
        return f"CPython {self.name}, {self.path}"


def ask(path):
    """The interpreter at `path`, or None where there is none that lisle supports."""
    try:
        answer = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, timeout=60, check=True).stdout
        executable, kind, version, free_threaded = json.loads(answer)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if kind != "CPython" or not OLDEST <= tuple(version[:2]) <= NEWEST:
        return None
    return Interpreter(executable, version, free_threaded)


def _candidates():
    yield sys.executable
    names = [f"python3.{minor}{t}" for minor in range(OLDEST[1], NEWEST[1] + 1) for t in ("", "t")]
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True).stdout.strip()
        # A newer release of a version stands in for an older one.
        for home in sorted(pathlib.Path(root, "versions").glob("3.*"), key=_release, reverse=True):
            yield home / "bin" / "python"
    built = subprocess.run([HERE / "free-threaded.sh", "--find"], capture_output=True, text=True)
    if built.returncode == 0:
        yield built.stdout.strip()
    yield from filter(None, map(shutil.which, names))


def _release(home):
    return [int(part) if part.isdigit() else -1 for part in home.name.rstrip("t").split(".")]


def find():
    """The interpreter this runs in first, then one of each other version, oldest first."""
    found = {}
    for path in _candidates():
        if os.path.exists(path) and (one := ask(path)):
            found.setdefault(one.tag, one)
    default, *others = found.values()
    return [default, *sorted(others, key=lambda one: (one.version, one.tag))]


def chosen(words):
    """What the user asked for: paths, names on PATH, or versions of what `find` finds; all by default."""
    if not words:
        return find()
    here = None
    result = []
    for word in words:
        one = ask(shutil.which(word) or word)
        if one is None:
            here = here or {one.tag: one for one in find()}
            one = here.get(word)
        if one is None:
            sys.exit(f"no CPython {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} at or called '{word}'")
        result.append(one)
    return result


if __name__ == "__main__":
    print(*find(), sep="\n")
