#!/usr/bin/env bash
# Runs the package's tests on one interpreter: `ci/test-python.sh python3.13 -k queue`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(ci/python-env.sh "${1:-python3}" | tail -1)
shift || true
# Not from the root: what is to be tested is what was installed.
cd python/tests
exec "$python" -m pytest -q -p no:cacheprovider "$@" .
