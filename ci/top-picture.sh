#!/usr/bin/env bash
# Makes docs/images/top.png: `lisle top` on the example `knots`, as it is in a terminal of 100 by 26.
# Needs tmux, aha and chromium of Debian.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --package lisle --example knots
cargo build --quiet --package lisle-cli
work=$(mktemp -d)
tmux=(tmux -S "$work/tmux" -f /dev/null)
program=
trap '"${tmux[@]}" kill-server || true; kill "$program" || true; rm -r "$work"' EXIT

mkfifo "$work/stdin"
LISLE_AGENT=1 target/debug/examples/knots timed-two-locks <"$work/stdin" >"$work/out" 2>/dev/null &
program=$!
exec 3>"$work/stdin" # at whose end it ends
until grep -q ready "$work/out" 2>/dev/null; do sleep 0.1; done
"${tmux[@]}" new-session -d -x 100 -y 26 "target/debug/lisle top $program"
"${tmux[@]}" set-option -g status off
sleep 3
"${tmux[@]}" send-keys 3
sleep 1

# What aha calls dimgray is black.
{
    echo '<!doctype html><meta charset="utf-8"><style>
        body { margin: 0; padding: 12px; background: #111; color: #ddd; width: max-content; }
        pre { margin: 0; font: 14px/1.25 "DejaVu Sans Mono", monospace; }
        .bold { font-weight: bold; } .dimmed { color: #888; }
        .dimgray { color: #000; } .white { color: #fff; } .red { color: #f66; } .green { color: #5d5; }
        .yellow { color: #dd5; } .cyan { color: #5dd; }
        .bg-red { background: #c22; } .bg-green { background: #4a4; } .bg-cyan { background: #4bb; }
        .bg-yellow { background: #cc4; }</style><pre>'
    "${tmux[@]}" capture-pane -p -e -N | aha --no-header --stylesheet
    echo '</pre>'
} >"$work/top.html"
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=868,486 \
    --screenshot="$PWD/docs/images/top.png" "file://$work/top.html" 2>/dev/null
ls -l docs/images/top.png
