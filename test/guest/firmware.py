# SPDX-License-Identifier: BSD-3-Clause
"""The cases with firmware that has a virtio-net driver: an address by DHCP and a file by TFTP out of the backend
user."""
import os
import shutil
import struct
import zlib

from guest import Qemu, device_arguments
from host import CONTENT
from suite import case


def served(test, bootfile, properties=""):
    """A daemon that serves a file, and boot.ipxe, a script."""
    directory = os.path.join(test.directory, "tftp")
    os.mkdir(directory)
    with open(os.path.join(directory, "file"), "wb") as file:
        file.write(CONTENT)
    with open(os.path.join(directory, "boot.ipxe"), "w", encoding="ascii") as file:
        file.write("#!ipxe\nimgfetch tftp://10.0.2.2/file && echo VT-OK || echo VT-FAIL\nimgstat\npoweroff\n")
    return test.daemon(f"user,tftp={directory},bootfile={bootfile}", properties)


def boot(test, daemon, arguments, properties, **options):
    qemu = Qemu(test.cache, [*arguments, *device_arguments(daemon.arguments(properties))], timeout=180, **options,
                **daemon.options)
    test.guests.append(qemu)
    daemon.guests.append(qemu)
    return qemu


def note_features(test, daemon, who):
    if test.inside:
        return  # nobody to ask
    names = daemon.negotiated()
    test.ok("negotiates features", names, daemon.status())
    test.note(f"{test.name}: {who} negotiated {' '.join(names or [])}")


def rom_for(test, path, device):
    """A copy of an expansion ROM that names another PCI device: firmware runs it for that one only."""
    with open(path, "rb") as file:
        octets = bytearray(file.read())
    at = struct.unpack_from("<H", octets, 0x18)[0] + 6
    before = sum(octets[at:at + 2])
    struct.pack_into("<H", octets, at, device)
    octets[6] = (octets[6] + before - sum(octets[at:at + 2])) % 256  # which is the checksum's, in iPXE's
    copy = os.path.join(test.directory, os.path.basename(path))
    with open(copy, "wb") as file:
        file.write(octets)
    return copy


@case(kernels=("",), quick=True, variants=("", "legacy"), inside=("",))
def ipxe(test):
    """Firmware may boot from what has a bootindex alone, which is this device, and one that has nothing to boot."""
    root = os.path.join(test.cache, "tree/usr")
    rom = os.path.join(root, "share/qemu/pxe-virtio.rom")
    properties = "packed=on,in_order=on"  # offered, and not taken
    if test.variant == "legacy":
        rom = rom_for(test, rom, 0x1000)
        properties = "disable-legacy=off,disable-modern=on"
    daemon = served(test, "boot.ipxe", properties)
    other = ["-device", "e1000,romfile=,bootindex=2", "-boot", "strict=on"]
    with boot(test, daemon, other, {"romfile": rom, "bootindex": 1},
              machine=",graphics=off") as qemu:
        qemu.wait_console("file : 1048576 byte")
        test.ok("DHCP, a script and a file by TFTP", "VT-OK" in qemu.console_text())
        note_features(test, daemon, "iPXE")
        test.note(f"iPXE: {qemu.processor_time()} s of processor time")
        qemu.wait_end(60)


@case(kernels=("",))
def ovmf(test):
    root = os.path.join(test.cache, "tree/usr")
    daemon = served(test, "file", "packed=on,in_order=on")
    variables = os.path.join(test.directory, "variables")
    shutil.copy(os.path.join(root, "share/OVMF/OVMF_VARS_4M.fd"), variables)
    code = os.path.join(root, "share/OVMF/OVMF_CODE_4M.fd")
    with boot(test, daemon, ["-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                             "-drive", f"if=pflash,format=raw,file={variables}"],
              {"romfile": "", "bootindex": 1}, memory=512) as qemu:
        qemu.wait_console("NBP filesize is")
        note_features(test, daemon, "OVMF")
        qemu.wait_console("NBP file downloaded successfully")
        test.ok("DHCP and a file by TFTP", "NBP filesize is 1048576 Bytes" in qemu.console_text())
        test.note(f"OVMF: {qemu.processor_time()} s of processor time")


@case(kernels=("",))
def u_boot(test):
    root = os.path.join(test.cache, "tree/usr")
    daemon = served(test, "file")
    # U-Boot's device tree has another machine's south bridge in slot 1; a device there gets its driver.
    with boot(test, daemon, ["-bios", os.path.join(root, "lib/u-boot/qemu-x86_64/u-boot.rom")],
              {"romfile": "", "addr": "04"}, memory=512) as qemu:
        qemu.wait_console("stop autoboot")
        qemu.type("\r")
        qemu.wait_console("=> ")
        qemu.type("virtio scan; setenv autoload no; dhcp; setenv serverip 10.0.2.2; "
                  "tftpboot 0x2000000 file; crc32 0x2000000 0x100000\r")
        qemu.wait_console("==> ")
        qemu.wait_console(f"==> {zlib.crc32(CONTENT):08x}", 30)
        test.ok("DHCP and a file by TFTP", True)
        note_features(test, daemon, "U-Boot")
        test.note(f"U-Boot: {qemu.processor_time()} s of processor time")
