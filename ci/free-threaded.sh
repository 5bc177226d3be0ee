#!/usr/bin/env bash
# Brings a free-threaded CPython 3.13 and prints the path of its interpreter as the last line.
#
# No distribution that we support packages one, so it is built here, from the source package of
# Debian trixie: apt checks it against Debian's keys, and the mirrors that a machine already uses for
# its packages have it. It takes some minutes once; what is there already is used again.
#
#     ci/free-threaded.sh            build it, or find it
#     ci/free-threaded.sh --find     only find it: no output and status 1 where it was not built yet
#
# It goes to $XDG_CACHE_HOME/lisle/cpython-3.13t (~/.cache without XDG_CACHE_HOME), outside the checkout.
set -euo pipefail

readonly series=3.13
here=$(cd "$(dirname "$0")" && pwd)
readonly here
readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/lisle"
readonly prefix="$cache/cpython-${series}t"
readonly python="$prefix/bin/python${series}t"
# What the modules of the standard library are built from that tests or pip need.
readonly packages=(build-essential pkg-config xz-utils debian-archive-keyring
    libssl-dev zlib1g-dev libffi-dev libbz2-dev liblzma-dev libsqlite3-dev)

say() { printf 'free-threaded: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

works() {
    [[ -x $python ]] && "$python" -I -c '
import sysconfig, ssl, zlib, ctypes, sqlite3, test.test_threading
raise SystemExit(not sysconfig.get_config_var("Py_GIL_DISABLED"))' >/dev/null 2>&1
}

# What a build has to find on this machine, by apt where something is missing.
install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    local as_root=()
    if ((EUID)); then
        command -v sudo >/dev/null || die "install these first, as root: ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >&2
}

build() {
    local work=$1
    say "the source of CPython $series"
    "$here/debian-source.sh" trixie "python$series" "$work/src"
    cd "$work/src"
    say "configure"
    ./configure --quiet --prefix="$prefix" --disable-gil --with-ensurepip=install >"$work/log" 2>&1
    say "make, about seven minutes on two cores"
    nice make -s -j"$(nproc)" >>"$work/log" 2>&1
    say "install into $prefix"
    rm -rf "$prefix"
    nice make -s altinstall >>"$work/log" 2>&1
}

main() {
    case ${1-} in
    --find) works || exit 1 ;;
    '')
        mkdir -p "$cache"
        # Two at once would build over each other: the second waits, and finds what the first made.
        exec 9>"$prefix.lock"
        flock 9
        if works; then
            say "there already: $("$python" -VV)"
        else
            command -v apt-get >/dev/null || die "this needs Debian or Ubuntu; build CPython $series" \
                "with --disable-gil and put it into $prefix by hand"
            install_packages
            work=$(mktemp -d "$cache/build.XXXXXX")
            # The log is what a failure is found out from, so only a success clears up.
            trap '[[ ! -f $work/log ]] || tail -n 30 "$work/log" >&2; say "failed; all of it stays in $work"' EXIT
            build "$work"
            trap - EXIT
            cd "$cache"
            rm -rf "$work"
            works || die "what was built does not work: $python"
            say "ready: $("$python" -VV)"
        fi
        ;;
    *) die "unknown argument '$1'" ;;
    esac
    echo "$python"
}

main "$@"
