#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Holds the library's interface against that of the last release: both libraries are built, and abidiff (Debian:
# abigail-tools) compares functions and the structures of the public headers. What is added is allowed, what is
# changed or gone is not.
#
#   abi.sh DIR       DIR: a folder for the builds. The tree is the one that this script belongs to
#
# The last release is the last tag that HEAD descends from. Exit status: 0 compatible; 77 there is no tag, or
# something is missing, named in the one line on standard error; 1 incompatible, or any other failure; 2 usage.
set -euo pipefail

missing()
{
    printf 'abi: %s\n' "$*" >&2
    exit 77
}

if [ "$#" -ne 1 ]; then
    echo "usage: abi.sh DIR" >&2
    exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
git=(git -c "safe.directory=*" -C "$root")

tag=$("${git[@]}" describe --tags --abbrev=0 2>/dev/null) || missing "no tag yet: nothing was released"
command -v abidiff >/dev/null || missing "abidiff (Debian: abigail-tools) is not installed"

rm -rf "$dir/source" "$dir/old" "$dir/new"
mkdir "$dir/source"
"${git[@]}" archive "$tag" | tar -x -C "$dir/source"
for which in old new; do
    [ "$which" = old ] && source=$dir/source || source=$root
    meson setup "$dir/$which" "$source" --auto-features=disabled -Ddefault_library=shared
    ninja -C "$dir/$which"
done

# A structure that begins with its size may grow at its end. abidiff tells of that too, and somebody has to look.
echo "since $tag:"
abidiff --no-added-syms --headers-dir1 "$dir/source/include" --headers-dir2 "$root/include" \
    "$dir/old/lib/libvionet.so" "$dir/new/lib/libvionet.so" || exit 1
