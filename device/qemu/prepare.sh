#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Fetches what the plugin is built against and runs in: QEMU of a Debian release, its source package, configured but
# not built, and its binary, unpacked and not installed. Needs no root; configuring takes a few seconds.
#
#   prepare.sh DIR SUITE [--source]
#                            makes, or completes, DIR (bookworm: QEMU 7.2, trixie: 10.0); quick and offline if all is
#                            there; with --source no binary
#
#   DIR/qemu-SUITE/source/   the source package, with Debian's patches
#   DIR/qemu-SUITE/build/    where it was configured, with its generated headers: for meson's -Dqemu=
#   DIR/qemu-SUITE/tree/     qemu-system-x86_64 and what it needs
#
# Exit status: 0 done; 77 something is missing that is not ours to bring, named in the one line on standard error;
# 1 any other failure; 2 usage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/debian.sh"
if [ "$#" -lt 2 ] || [ "$#" -gt 3 ] || [ "${3---source}" != --source ]; then
    echo "usage: prepare.sh DIR SUITE [--source]" >&2
    exit 2
fi
suite=$2
mkdir -p "$1/qemu-$suite"
dir=$(cd "$1/qemu-$suite" && pwd)
# Raised when what is there, or how, changes.
format=1

# is_there NAME; finish NAME: new/NAME, complete, becomes NAME.
is_there()
{
    [ "$(cat "$dir/$1/.done" 2>/dev/null)" = "$format" ]
}

finish()
{
    echo "$format" >"$new/$1/.done"
    rm -rf "${dir:?}/$1"
    mv "$new/$1" "$dir/$1"
}

fetch_source()
{
    say "fetching the source of QEMU of Debian $suite"
    (cd "$new" && apt-get "${apt[@]}" source --download-only qemu >"$log" 2>&1 </dev/null) ||
        missing "the source of QEMU of Debian $suite: $(complaint "$log")"
    # That release's own, as newer sources want it newer than older machines have it.
    (cd "$new" && apt-get "${apt[@]}" download meson >>"$log" 2>&1 </dev/null) ||
        missing "Meson of Debian $suite: $(complaint "$log")"
    # The keyring of Debian's developers is not needed for what apt has checked.
    dpkg-source --no-check -x "$new"/qemu_*.dsc "$new/source" >>"$log" 2>&1
    mkdir "$new/source/meson-of-$suite"
    unpack "$new"/meson_*.deb "$new/source/meson-of-$suite"
    finish source
}

# Headers alone: nothing of QEMU is compiled. Layouts that plugins see do not depend on what is switched off.
configure_source()
{
    local headers meson=$dir/source/meson-of-$suite/usr
    local options=(--target-list=x86_64-softmmu --without-default-features --enable-modules --disable-docs
        --disable-install-blobs)
    say "configuring QEMU of Debian $suite"
    rm -rf "$dir/build"
    mkdir "$dir/build"
    cd "$dir/build"
    # Older versions would take a Meson of their own, which Debian's source does not have.
    if grep -q -- '--meson=' "$dir/source/configure"; then options+=(--meson="$meson/bin/meson"); fi
    PYTHONPATH=$meson/lib/python3/dist-packages "$dir/source/configure" "${options[@]}" >"$log" 2>&1 </dev/null ||
        missing "QEMU of Debian $suite does not configure: $(grep -m 1 ERROR "$log" || tail -n 1 "$log")"
    mapfile -t headers < <(ninja -t targets all |
        sed -nE 's|^((qapi/)?[^/]*\.h): CUSTOM_COMMAND.*|\1|p')
    PYTHONPATH=$meson/lib/python3/dist-packages ninja "${headers[@]}" >>"$log" 2>&1
    echo "$format" >.done
    cd - >/dev/null
}

for tool in apt-get dpkg-deb dpkg-source python3 ninja gcc flock; do
    command -v "$tool" >/dev/null || missing "$tool is not installed"
done
for library in pixman-1 libfdt; do
    pkg-config --exists "$library" || [ -f "/usr/include/$library.h" ] || missing "$library is not installed"
done

exec 9>"$dir/.lock"
flock 9
wanted=(source)
[ "$#" -eq 3 ] || wanted+=(tree)
# What an interrupted run left.
new=$dir/.new
rm -rf "$new"
mkdir "$new"
log=$new/log
: >"$log"
trap 'rm -rf "$new"' EXIT
package_types=(deb deb-src)
for what in "${wanted[@]}"; do
    if is_there "$what"; then continue; fi
    [ -d "$new/apt-$suite" ] || open_suite "$suite"
    case "$what" in
    source) fetch_source ;;
    tree)
        fetch_packages "$suite" "$new/tree" qemu-system-x86 ipxe-qemu
        finish tree
        ;;
    esac
done
is_there build && [ "$dir/build/.done" -nt "$dir/source/.done" ] || configure_source
