#!/usr/bin/env bash
# Makes a virtual environment for one interpreter (`ci/python-env.sh python3.13`) with lisle in it, built
# from this checkout as `pip install .` does, and what the tests need. Its interpreter's path is the last
# line of the output.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-python3}") || { echo "there is no interpreter '${1:-python3}'" >&2; exit 2; }
tag=$("$python" -c 'import sys, sysconfig
print("%d.%d" % sys.version_info[:2] + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""))')
home=$PWD/target/python/$tag
if ! "$home/venv/bin/python" -c '' 2>/dev/null; then
    echo "making a virtual environment for Python $tag" >&2
    rm -rf "$home/venv"
    "$python" -m venv "$home/venv" || {
        echo "python's venv does not work; on Debian 'apt install python3-venv' brings it" >&2; exit 1; }
fi
pip=("$home/venv/bin/python" -m pip --disable-pip-version-check)
echo "getting what the tests need, from PyPI" >&2
needs=(--requirement python/tests/requirements.txt)
# Of what dask needs, not all is made for free-threaded interpreters; the tests that need it are skipped there.
[[ $tag = *t ]] || needs+=(--requirement python/tests/requirements-dask.txt)
"${pip[@]}" install --quiet "${needs[@]}"
echo "building lisle for Python $tag, with crates from crates.io and maturin from PyPI" >&2
# A directory for each interpreter: what is built for one is not thrown away by the next.
CARGO_TARGET_DIR=$home/cargo "${pip[@]}" install --quiet --no-deps --force-reinstall .
echo "$home/venv/bin/python"
