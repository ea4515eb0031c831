#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Fetches CBMC of Debian trixie (bookworm has none), unpacked into a directory and not installed, from the mirror
# that apt on this machine uses, or $GUEST_MIRROR. Needs no root.
#
#   prepare.sh DIR       makes, or completes, DIR; quick and offline if all is there
#
#   DIR/cbmc             runs it
#
# Exit status: 0 done; 77 something is missing that is not ours to bring, named in the one line on standard
# error; 1 any other failure; 2 usage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/debian.sh"
if [ "$#" -ne 1 ]; then
    echo "usage: prepare.sh DIR" >&2
    exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
# Raised when what is unpacked, or how, changes.
format=1

if [ "$(cat "$dir/.done" 2>/dev/null)" = "$format" ]; then
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || missing "the proofs need an x86_64 machine"
for tool in apt-get dpkg-deb flock; do
    command -v "$tool" >/dev/null || missing "$tool is not installed"
done
exec 9>"$dir/.lock"
flock 9
# What an interrupted run left.
new=$dir/.new
rm -rf "$new" "$dir/tree"
mkdir "$new"
log=$new/log
: >"$log"
trap 'rm -rf "$new"' EXIT
open_suite trixie
fetch_packages trixie "$new/tree" cbmc
mv "$new/tree" "$dir/tree"
cat >"$dir/cbmc" <<'END'
#!/bin/sh
# With the C library that it was built with.
tree=$(dirname "$0")/tree
exec "$tree/lib64/ld-linux-x86-64.so.2" --library-path "$tree/usr/lib/x86_64-linux-gnu:$tree/usr/lib" \
    "$tree/usr/bin/cbmc" "$@"
END
chmod +x "$dir/cbmc"
echo "$format" >"$dir/.done"
