#!/usr/bin/env bash
# Unpacks the upstream part of a Debian source package:
#
#     ci/debian-source.sh trixie python3.13 DIRECTORY
#
# By an apt with lists and a cache of its own, so that the machine's are left alone and need no deb-src
# line, and so that the archive's signature is checked as ever.
set -euo pipefail

(($# == 3)) || { echo "usage: $0 SUITE PACKAGE DIRECTORY" >&2; exit 2; }
readonly suite=$1 package=$2 into=$3
readonly mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
readonly keys=/usr/share/keyrings/debian-archive-keyring.gpg

command -v apt-get >/dev/null || { echo "this needs apt, so Debian or Ubuntu" >&2; exit 1; }
[[ -f $keys ]] || { echo "$keys is missing; the package debian-archive-keyring brings it" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{state/lists/partial,cache/archives/partial,source}
echo "deb-src [signed-by=$keys] $mirror $suite main" >"$work/sources.list"
own=(
    -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State=$work/state" -o Dir::State::status=/var/lib/dpkg/status
    -o "Dir::Cache=$work/cache" -o Acquire::Languages=none
    # apt's own user could not write to a directory of ours.
    -o "APT::Sandbox::User=$(id -un)"
)
cd "$work/source"
apt-get -qq "${own[@]}" update >&2
apt-get -qq "${own[@]}" source --download-only "$package" >&2
tarball=$(find . -name "${package}_*.orig.tar.*" ! -name '*.asc')
cd - >/dev/null
mkdir -p "$into"
tar -xf "$work/source/$tarball" -C "$into" --strip-components=1
echo "$(basename "$tarball") from Debian $suite" >&2
