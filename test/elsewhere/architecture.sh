#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Makes what vionet is built with for another architecture, and run with by qemu-user: the libraries of this machine's
# Debian release for that architecture, unpacked into a directory, and Meson's cross file. Nothing is installed and
# no root needed; the cross compiler and qemu-user are the machine's.
#
#   architecture.sh DIR ARCHITECTURE    makes DIR/ARCHITECTURE, or leaves it as it is if it is complete
#
#   DIR/ARCHITECTURE/tree/       libraries and headers
#   DIR/ARCHITECTURE/cross.ini   for meson setup --cross-file
#   DIR/ARCHITECTURE/run         runs a program of that architecture: run PROGRAM ARGUMENT...
#
# ARCHITECTURE is Debian's name of one in the table below. To have newer libraries, remove DIR. Exit status: 0 done; 77
# something is missing that is not ours to bring, named in the one line on standard error; 1 any other failure; 2
# usage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../.ci/debian.sh"

# Debian's name, the GNU one in the names of the compiler and of its package, QEMU's, the order of octets.
architectures="
    arm64 aarch64-linux-gnu   aarch64 little
    i386  i686-linux-gnu      i386    little
    s390x s390x-linux-gnu     s390x   big
"
if [ "$#" -eq 2 ]; then
    read -r architecture gnu cpu order < <(grep -w "^ *$2" <<<"$architectures") || architecture=
fi
if [ -z "${order-}" ]; then
    echo "usage: architecture.sh DIR $(awk 'NF { printf "%s%s", bar, $1; bar = "|" }' <<<"$architectures")" >&2
    exit 2
fi

mkdir -p "$1/$architecture"
dir=$(cd "$1/$architecture" && pwd)
case "$dir" in
*[[:space:]\"\'\;,]*)
    echo "architecture.sh: a path that neither apt nor Meson takes: $dir" >&2
    exit 1
    ;;
esac
packages=(libc6-dev libglib2.0-dev libjson-glib-dev libpcap-dev libseccomp-dev libslirp-dev)

qemu=
for name in "qemu-$cpu-static" "qemu-$cpu"; do
    if [ -z "$qemu" ]; then qemu=$(command -v "$name") || true; fi
done
[ -n "$qemu" ] || missing "qemu-$cpu (Debian: qemu-user-static) is not installed"
command -v "$gnu-gcc" >/dev/null || missing "$gnu-gcc (Debian: gcc-${gnu//_/-}) is not installed"
for tool in apt-get dpkg-deb flock; do
    command -v "$tool" >/dev/null || missing "$tool is not installed"
done
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "${VERSION_CODENAME-sid}")

exec 9>"$dir/.lock"
flock 9
# What these files say, and the tree holds.
wanted="1 $suite $qemu ${packages[*]}"
if [ "$(cat "$dir/.done" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
new=$dir/.new
rm -rf "$new" "$dir/.done"
mkdir "$new"
log=$new/log
: >"$log"
trap 'rm -rf "$new"' EXIT
open_suite "$suite"
fetch_packages "$suite" "$new/tree" "${packages[@]}"
rm -rf "$dir/tree"
mv "$new/tree" "$dir/tree"

# A program that starts itself again by the name that it was given gets a script's, which comes back here: the kernel
# itself would not know what to do with it.
cat >"$dir/run" <<EOF
#!/bin/sh
# Made by architecture.sh.
program=\$1
shift
again=\$program.$architecture
if ! [ -x "\$again" ]; then
    printf '#!/bin/sh\nexec %s "%s" "\$@"\n' '$dir/run' "\$program" >"\$again.\$\$"
    chmod +x "\$again.\$\$"
    mv "\$again.\$\$" "\$again"
fi
exec $qemu -L $dir/tree -0 "\$again" "\$program" "\$@"
EOF
chmod +x "$dir/run"
pkgconfig=$dir/tree/usr/lib/$("$gnu-gcc" -print-multiarch)/pkgconfig:$dir/tree/usr/share/pkgconfig
cat >"$dir/cross.ini" <<EOF
# Made by architecture.sh.
[binaries]
c = ['$gnu-gcc', '--sysroot=$dir/tree']
ar = '$gnu-ar'
nm = '$gnu-nm'
strip = '$gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = '$dir/run'

[properties]
needs_exe_wrapper = true
sys_root = '$dir/tree'
pkg_config_libdir = '$pkgconfig'

[host_machine]
system = 'linux'
cpu_family = '$([ "$cpu" = i386 ] && echo x86 || echo "$cpu")'
cpu = '$([ "$cpu" = i386 ] && echo i686 || echo "$cpu")'
endian = '$order'
EOF
echo "$wanted" >"$dir/.done"
