#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A Linux guest whose network device is vionet, in a stock QEMU: README's three lines, with all that they
# need. Installs what is missing (Debian 12 or newer, as root or with sudo), builds vionet-device, takes QEMU
# and a kernel out of Debian's packages into build/guest (unpacked there, not installed), and starts a shell in
# the guest. It has an address by DHCP and reaches the Internet as far as this host does; `poweroff -f` ends it.
#
#   examples/qemu-guest.sh                        user-mode networking
#   examples/qemu-guest.sh DEVICE BACKEND         as vionet-device --device and --netdev take them
#   examples/qemu-guest.sh DEVICE BACKEND COMMAND a command of the guest's instead of the shell
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
device=${1-mac=52:54:00:12:34:56}
backend=${2-user,hostfwd=tcp:127.0.0.1:2222-:22}
command=${3-}
. .ci/packages.sh
. .ci/build.sh
mkdir -p build
install_packages build/install.log "${check_packages[@]}" >&2
if ! [ -f build/build.ninja ]; then
    meson setup build -Ddevice=enabled >build/run.log
fi
meson configure build -Ddevice=enabled
ninja -C build device/daemon/vionet-device >build/run.log || { tail -n 40 build/run.log >&2; exit 1; }
test/guest/prepare.sh build/guest >&2

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cat >"$work/script" <<EOF
vt_dhcp eth0 >/dev/null
exec <>/dev/console >&0 2>&0
${command:-setsid cttyhack sh}
EOF
python3 - "$work/script" >"$work/script.cpio" <<'EOF'
import sys
sys.path.insert(0, "test/guest")
from guest import archive
sys.stdout.buffer.write(archive({"script": (open(sys.argv[1], "rb").read(), 0o100755)}))
EOF
cat build/guest/sid/initramfs "$work/script.cpio" >"$work/initrd"
kernel=build/guest/sid/vmlinux
[ -f "$kernel" ] || kernel=build/guest/sid/vmlinuz

# One: the device.
build/device/daemon/vionet-device --socket "$work/net0" --device "$device" --netdev "$backend" >&2 &
server=$!
until [ -S "$work/net0" ]; do
    kill -0 "$server"
    sleep 0.05
done
# Two and three: QEMU, with memory that the device can share, and the device in it.
tree=$PWD/build/guest/tree
"$tree/lib64/ld-linux-x86-64.so.2" --library-path "$tree/usr/lib/x86_64-linux-gnu" \
    "$tree/usr/bin/qemu-system-x86_64" -L "$tree/usr/share/qemu" -L "$tree/usr/share/seabios" \
    -m 256M -object memory-backend-memfd,id=mem,size=256M,share=on -machine q35,memory-backend=mem \
    -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"'"$work/net0"'"}}' \
    -nodefaults -no-reboot -display none -serial stdio -serial null -kernel "$kernel" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 8250.nr_uarts=2"
