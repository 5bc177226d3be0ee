#!/usr/bin/env bash
# Builds the extension module for one interpreter (`ci/python-dev.sh python3.13`) and puts it into
# python/lisle/, so that `PYTHONPATH=python` is all that a trial needs.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-python3}")
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
export PYO3_PYTHON=$python
# A directory for each interpreter: what is built for one is not thrown away by the next.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/python$suffix
cargo build --quiet --release --package lisle-python
cp "$CARGO_TARGET_DIR/release/lib_lisle.so" "python/lisle/_lisle$suffix.new"
# Not over the file: a program may be running from it.
mv "python/lisle/_lisle$suffix.new" "python/lisle/_lisle$suffix"
