#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Hashing and dissection beside DPDK's (peer_hashing.c): builds vionet as for a release, fetches Debian's
# DPDK, and prints both sides' figures and their ratio. Needs root, and a processor with GFNI and AVX-512.
#
#   hashing.sh DIR       DIR is where everything is kept, outside the tree; the first time takes minutes
#
# Runs on the last core that it may use. Exit status as prepare.sh's.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "$#" -ne 1 ]; then
    echo "usage: hashing.sh DIR" >&2
    exit 2
fi
"$here/prepare.sh" "$1"
dir=$(cd "$1" && pwd)

if ! [ -f "$dir/build/build.ninja" ]; then
    meson setup "$dir/build" "$here/../.." --buildtype=release --prefix=/opt/vionet --libdir=lib \
        --auto-features=disabled >"$dir/log" 2>&1
fi
ninja -C "$dir/build" >"$dir/log" 2>&1 || {
    tail -n 20 "$dir/log" >&2
    exit 1
}
meson install -C "$dir/build" --destdir "$dir/tree" >"$dir/log" 2>&1
cp "$here/peer_hashing.c" "$dir/tree/opt/vionet/"

# For this machine, and after DPDK's own flags: else its GFNI functions are stubs.
# shellcheck disable=SC2016 # the inner shell's own
"$here/in_root.sh" "$dir" sh -euc '
    cd /opt/vionet
    gcc -O3 -Wall -Wextra $(pkg-config --cflags libdpdk) -march=native -Iinclude -o peer_hashing \
        peer_hashing.c -Llib -lvionet -Wl,-rpath,/opt/vionet/lib $(pkg-config --libs libdpdk)'

memory=--no-huge
if [ "$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)" -ge 64 ]; then memory=--in-memory; fi
core=$(taskset -pc $$ | sed 's/.*[ ,-]//')
sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sed -n 1p
sed -n 's/^dpdk /DPDK /p' "$dir/versions"
exec "$here/in_root.sh" "$dir" /opt/vionet/peer_hashing --lcores "0@$core" --no-pci "$memory" -m 128 \
    --log-level error
