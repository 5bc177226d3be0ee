#!/usr/bin/env bash
# The stubs against the package, by mypy's stubtest, and a program that uses the types, checked strictly
# and run: `ci/stubs.sh python3.13`. Without an argument for every CPython found, but for free-threaded
# ones, whose names are the same and for which mypy is not made.
set -euo pipefail
cd "$(dirname "$0")/.."

find='import interpreters; print(*(one.path for one in interpreters.find() if not one.tag.endswith("t")), sep="\n")'
pythons=("$@")
[ ${#pythons[@]} -gt 0 ] || mapfile -t pythons < <(PYTHONPATH=ci python3 -c "$find")

for python in "${pythons[@]}"; do
    ci/python-dev.sh "$python"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    venv=${CARGO_TARGET_DIR:-target}/stubs/$version
    # Made anew when the pins have changed.
    if ! cmp -s ci/requirements-stubs.txt "$venv/requirements.txt"; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --no-deps --requirement ci/requirements-stubs.txt
        cp ci/requirements-stubs.txt "$venv/requirements.txt"
    fi
    export PYTHONPATH=python
    echo "stubs on $version"
    "$venv/bin/python" -m mypy.stubtest lisle --mypy-config-file ci/mypy.ini \
        --allowlist ci/stubtest-allowlist.txt --ignore-unused-allowlist
    "$venv/bin/python" -m mypy --config-file ci/mypy.ini python/lisle/_cluster.py python/tests/typed_use.py
    "$venv/bin/python" python/tests/typed_use.py
done
