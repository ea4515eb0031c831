#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Makes what the benchmarks that stand beside DPDK run in: a root directory of Debian sid with DPDK and a
# compiler, by debootstrap, from the mirror that apt on this machine uses or $BENCH_MIRROR. Needs root.
#
#   prepare.sh DIR       makes DIR, or leaves it as it is if it is complete
#
#   DIR/tree/            Debian sid
#   DIR/versions         what came: a name and a version a line
#
# To have newer versions, remove DIR. Exit status: 0 done; 77 something is missing that is not ours to
# bring, named in the one line on standard error; 1 any other failure; 2 usage.
set -euo pipefail

if [ "$#" -ne 1 ]; then
    echo "usage: prepare.sh DIR" >&2
    exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)

packages=(dpdk dpdk-dev libdpdk-dev libglib2.0-0t64 libslirp0 libpcap0.8t64 gcc libc6-dev pkgconf valgrind)

missing()
{
    printf 'bench: %s\n' "$*" >&2
    exit 77
}

# The mirror that apt on this machine takes Debian itself from.
mirror()
{
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 2>&1 |
        awk '$2 !~ /security|-updates|-backports|-proposed/ && $1 ~ /\/debian\/?$/ { print $1 }' | sort -u |
        sed -n 1p
}

if [ "$(cat "$dir/.done" 2>/dev/null)" = "${packages[*]}" ]; then
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || missing "the benchmarks beside DPDK need an x86_64 machine"
[ "$(id -u)" -eq 0 ] || missing "needs root, for debootstrap and chroot"
for tool in debootstrap unshare chroot; do
    command -v "$tool" >/dev/null || missing "$tool is not installed"
done
uri=${BENCH_MIRROR-$(mirror)}
[ -n "$uri" ] || missing "no Debian mirror among apt's sources; BENCH_MIRROR=URI names one"

rm -rf "$dir/tree"
echo "bench: Debian sid with ${packages[*]}, from $uri"
# A mirror that has stopped at some day is as good: what is wanted is one DPDK, not the last.
mkdir -p "$dir/tree/etc/apt/apt.conf.d"
echo 'Acquire::Check-Valid-Until "false";' >"$dir/tree/etc/apt/apt.conf.d/bench"
debootstrap --variant=minbase --include="$(
    IFS=,
    echo "${packages[*]}"
)" sid "$dir/tree" "$uri" >"$dir/log" 2>&1 </dev/null ||
    missing "debootstrap: $(grep -E '^E: ' "$dir/log" | tail -n 1)"
# shellcheck disable=SC2016 # dpkg-query's own
chroot "$dir/tree" dpkg-query -W -f '${Package} ${Version}\n' "${packages[@]}" >"$dir/versions"
echo "${packages[*]}" >"$dir/.done"
