#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs a command in what prepare.sh made, with /proc, /sys and huge pages, all in a mount namespace of its
# own: nothing stays mounted. Needs root.
#
#   in_root.sh DIR COMMAND [ARGUMENT...]
set -euo pipefail

if [ "$#" -lt 2 ]; then
    echo "usage: in_root.sh DIR COMMAND [ARGUMENT...]" >&2
    exit 2
fi
root=$(cd "$1" && pwd)/tree
shift
# shellcheck disable=SC2016 # the inner shell's own
exec unshare --mount bash -euc '
    root=$1
    shift
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mkdir -p "$root/dev/hugepages"
    mount -t hugetlbfs -o pagesize=2M none "$root/dev/hugepages" 2>/dev/null || true
    exec chroot "$root" "$@"' in_root "$root" "$@"
