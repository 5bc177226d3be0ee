#!/usr/bin/env bash
# The page of `lisle web` in a headless Chromium, driven by Playwright: with a made-up program that does what the
# tests say, and with real ones. Chromium is Debian's (CHROMIUM=… is another); what is missing is installed.
#
#   ci/test-web.sh              all of it
#   ci/test-web.sh page.test.js only these
#   ci/test-web.sh --pictures   none; makes the pictures of the documentation again
set -euo pipefail
cd "$(dirname "$0")/.."

export CHROMIUM="${CHROMIUM:-/usr/bin/chromium}"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
missing=()
[ -x "$CHROMIUM" ] || missing+=(chromium)
command -v npm >/dev/null || missing+=(nodejs npm)
if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing ${missing[*]}" >&2
    as_root apt-get -qq update
    as_root apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

tests=crates/lisle-cli/tests/web
if ! cmp -s "$tests/package-lock.json" "$tests/node_modules/.installed"; then
    (cd "$tests" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund)
    cp "$tests/package-lock.json" "$tests/node_modules/.installed"
fi

# Where cargo puts a program: its messages say so.
built() { # KIND NAME ARGS…
    cargo build --quiet --message-format=json "${@:3}" | python3 -c '
import json, sys
kind, name = sys.argv[1:]
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and kind in message["target"]["kind"] and message["target"]["name"] == name:
        print(message["executable"])' "$1" "$2"
}
LISLE_PLAY_PROGRAM=$(built lib lisle_cli --package lisle-cli --lib --profile test --tests)
export LISLE_PLAY_PROGRAM
if [ "${1-}" = --pictures ]; then
    node "$tests/pictures.js" docs/images
    exit
fi
LISLE=$(built bin lisle --package lisle-cli --bin lisle)
LISLE_CLOSING=$(built example closing --package lisle-cli --example closing)
LISLE_KNOTS=$(built example knots --package lisle --example knots)
export LISLE LISLE_CLOSING LISLE_KNOTS

cd "$tests"
node --test --test-concurrency=1 --test-reporter=spec "${@:-.}"
