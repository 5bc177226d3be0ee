#!/usr/bin/env bash
# Every wait of the library is in one room, crates/lisle/src/park/: that is why each can be timed,
# interrupted and checked for deadlock. Fails if anything outside it sleeps by other means, and warns of
# files that have grown too long to be read at a sitting.
set -euo pipefail
cd "$(dirname "$0")/.."

src=crates/lisle/src
too_long=600

# The code outside the room, as FILE:LINE:TEXT. Comments may speak of anything, and tests (a module
# `tests` at the end of a file, or a file of these names) may wait for each other as they like.
tests='/(tests|testing|model)\.rs$'
code=$(find "$src" -name '*.rs' -not -path "$src/park/*" | grep -vE "$tests" | sort | while read -r file; do
    grep -nH '' "$file" | sed -E '/:mod tests? \{/,$d; /^[^:]+:[0-9]+:[[:space:]]*\/\//d'
done)

failed=0
forbid() { # REASON PATTERN
    if found=$(grep -E "$2" <<<"$code"); then
        printf '%s\n    %s\n' "$found" "$1" >&2
        failed=1
    fi
}

elsewhere='waits outside the parking lot'
forbid "$elsewhere" '\bstd::thread::(\{[^}]*)?\b(sleep|park)'
forbid "$elsewhere" '\bstd::sync::(\{[^}]*)?\b(Condvar|Mutex|RwLock|Barrier|mpsc)\b'
forbid "$elsewhere" '\b(SYS_futex|nanosleep|libc::poll|pthread_mutex_(lock|timedlock|clocklock)|pthread_cond_\w+)\b *\('
forbid "$elsewhere" '\bSYS_futex\b'
forbid 'threads cannot share it soundly' '\bstatic mut\b'

# `thread::sleep` is fine where `thread` is our own.
for file in $(grep -E ':use std::thread;' <<<"$code" | cut -d: -f1); do
    forbid "$elsewhere" "^$file:.*[^:]\bthread::(sleep|park)"
done

find crates -name '*.rs' -exec wc -l {} + |
    awk -v limit="$too_long" '$2 != "total" && $1 > limit { print "warning: " $2 " has " $1 " lines (over " limit ")" }'

[ "$failed" = 1 ] || echo "nothing waits outside $src/park/"
exit "$failed"
