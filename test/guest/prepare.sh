#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Fetches what the guest tests run: QEMU and guest tools of Debian sid, Linux of sid and of bookworm, all
# unpacked into a directory and nothing installed. Uses the mirror that apt on this machine uses, or
# $GUEST_MIRROR. Needs no root.
#
#   prepare.sh DIR       makes, or completes, DIR; quick and offline if all is there
#
#   DIR/tree/            sid's qemu-system-x86_64, firmware, busybox, ethtool, ip, tc
#   DIR/sid/             vmlinuz, modules/, version: the kernel of sid; vmlinux, the same unpacked
#   DIR/bookworm/        the same of bookworm, but for vmlinux
#   DIR/bin/             guest programs built here, static; they run on the host too
#   DIR/SUITE/initramfs  made by make_initramfs
#   DIR/versions         what came: a name and a version a line
#
# To have newer versions, remove DIR. Exit status: 0 done; 77 something is missing that is not ours to
# bring (mirror, tools), named in the one line on standard error; 1 any other failure; 2 usage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/debian.sh"
if [ "$#" -ne 1 ]; then
    echo "usage: prepare.sh DIR" >&2
    exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
case "$dir" in
*[[:space:]\"\'\;,]*)
    echo "prepare.sh: a path that neither apt nor QEMU takes: $dir" >&2
    exit 1
    ;;
esac

tree_packages=(qemu-system-x86 busybox-static ethtool iproute2 ipxe-qemu ovmf-generic u-boot-qemu)
suites=(sid bookworm)
# Raised when what is unpacked, or how, changes.
format=1

# fetched NAME...: are they there, as this script would make them?
fetched()
{
    local name
    for name in "$@"; do
        [ "$(cat "$dir/$name/.done" 2>/dev/null)" = "$(key "$name")" ] || return 1
    done
}

key()
{
    if [ "$1" = tree ]; then echo "$format ${tree_packages[*]}"; else echo "$format"; fi
}

# finish NAME: new/NAME, complete, becomes NAME.
finish()
{
    key "$1" >"$new/$1/.done"
    rm -rf "${dir:?}/$1"
    mv "$new/$1" "$dir/$1"
}

fetch_tree()
{
    fetch_packages sid "$new/tree" "${tree_packages[@]}"
    finish tree
}

# fetch_kernel SUITE. bookworm has one package of all, sid separate ones for kernel and modules.
fetch_kernel()
{
    local suite=$1 image version names=() name
    image=$(apt-cache "${apt[@]}" show linux-image-cloud-amd64 2>"$log" |
        sed -nE 's/^Depends:.*(linux-image-[^ ,]+-cloud-amd64).*/\1/p')
    # apt-cache shows the newest first.
    image=${image%%$'\n'*}
    [ -n "$image" ] || missing "linux-image-cloud-amd64 is not in Debian $suite"
    version=${image#linux-image-}
    for name in "linux-image-$version" "linux-binary-$version" "linux-modules-$version"; do
        if apt-cache "${apt[@]}" show "$name" >"$log" 2>&1; then names+=("$name"); fi
    done
    say "fetching from Debian $suite: Linux $version"
    mkdir -p "$new/debs-$suite" "$new/unpacked-$suite" "$new/$suite"
    (cd "$new/debs-$suite" && apt-get "${apt[@]}" download "${names[@]}" >"$log" 2>&1 </dev/null) ||
        missing "Linux $version of Debian $suite: $(complaint "$log")"
    for name in "$new/debs-$suite"/*.deb; do
        unpack "$name" "$new/unpacked-$suite"
    done
    find "$new/unpacked-$suite" -name "vmlinuz*" -type f -exec cp {} "$new/$suite/vmlinuz" \;
    find "$new/unpacked-$suite" -type d -path "*/modules/$version/kernel" -prune \
        -exec mv {} "$new/$suite/modules" \;
    if ! [ -s "$new/$suite/vmlinuz" ] || ! [ -d "$new/$suite/modules" ]; then
        echo "guest: linux-image-$version holds no kernel where it used to" >&2
        exit 1
    fi
    python3 "$here/unpack_kernel" "$dir/tree/usr/lib/x86_64-linux-gnu" "$new/$suite/vmlinuz" \
        "$new/$suite/vmlinux" 2>>"$log"
    echo "$version" >"$new/$suite/version"
    finish "$suite"
}

build_program()
{
    local program=$dir/bin/$1
    if ! [ "$program" -nt "$here/$1.c" ]; then
        gcc -std=gnu11 -O2 -Wall -Wextra -static -o "$program.new" "$here/$1.c"
        mv "$program.new" "$program"
    fi
}

[ "$(uname -m)" = x86_64 ] || missing "the guest tests need an x86_64 machine"
for tool in apt-get apt-cache dpkg-deb gcc python3 flock; do
    command -v "$tool" >/dev/null || missing "$tool is not installed"
done

exec 9>"$dir/.lock"
flock 9
# What an interrupted run left.
new=$dir/.new
rm -rf "$new"
if ! fetched tree "${suites[@]}"; then
    mkdir "$new"
    log=$new/log
    : >"$log"
    trap 'rm -rf "$new"' EXIT
    [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || missing "debian-archive-keyring is not installed"
    for suite in "${suites[@]}"; do
        what=("$suite")
        [ "$suite" != sid ] || what+=(tree)
        if fetched "${what[@]}"; then continue; fi
        open_suite "$suite"
        if [ "$suite" = sid ] && ! fetched tree; then fetch_tree; fi
        fetched "$suite" || fetch_kernel "$suite"
    done
fi

mkdir -p "$dir/bin"
for program in codepage rxhash traffic; do
    build_program "$program"
done
for suite in "${suites[@]}"; do
    python3 "$here/make_initramfs" "$dir" "$suite"
done
{
    grep -E '^(qemu-system-x86|ethtool|iproute2|busybox-static|libslirp0|ipxe-qemu|ovmf-generic|u-boot-qemu) ' \
        "$dir/tree/.packages"
    for suite in "${suites[@]}"; do
        echo "linux-$suite $(cat "$dir/$suite/version")"
    done
} >"$dir/versions"
