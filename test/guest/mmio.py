# SPDX-License-Identifier: BSD-3-Clause
"""The cases with the device over MMIO: `vionet-mmio` inside QEMU, which an ACPI table tells Linux of."""
import os
import struct

from cases import DEFAULT_BITS, OFFLOADS, OFFLOAD_BITS, Internet, get, on_off
from host import CONTENT, DIGEST, MAC, bits_of
from moving import JOURNEY, Journey
from suite import case

WINDOW, OCTETS = 0xFED80000, 0x200  # where q35 has nothing
IRQ = 5  # which q35's tables have as level-triggered and active high


def package(*parts):
    """AML: what stands behind its own length."""
    octets = b"".join(parts)
    length = len(octets) + 1
    if length < 0x40:
        return bytes([length]) + octets
    length += 1
    return bytes([0x40 | length & 0xF, length >> 4]) + octets


def name(which, value):
    return b"\x08" + which + value


def table(window, irq):
    """The body of an SSDT: \\_SB.VNET, a virtio-mmio device (LNRO0005)."""
    resources = (struct.pack("<BHBII", 0x86, 9, 1, window, OCTETS) +  # Memory32Fixed, which can be written
                 struct.pack("<BHBBI", 0x89, 6, 1, 1, irq) +  # Interrupt: consumed, level, active high
                 b"\x79\0")
    buffer = b"\x11" + package(b"\x0a" + bytes([len(resources)]), resources)
    device = b"\x5b\x82" + package(b"VNET", name(b"_HID", b"\x0dLNRO0005\0"), name(b"_UID", b"\0"),
                                   name(b"_CRS", buffer))
    return b"\x10" + package(b"\\_SB_", device)


def told_of_it(test):
    """QEMU's arguments by which a guest is told of the window."""
    body = os.path.join(test.directory, "table")
    with open(body, "wb") as file:
        file.write(table(WINDOW, IRQ))
    return ["-acpitable", f"sig=SSDT,rev=2,oem_id=VIONET,oem_table_id=VIONET,data={body}"]


def place_of(version):
    return {"addr": hex(WINDOW), "irq": IRQ, "version": version}


@case(kernels=(), variants=("", "legacy", "packed", "rss"), inside=("sid",), only_long=("packed", "rss"))
def mmio(test):
    """Boots, gets an address, files both ways, the driver gone and there again; both versions of the window. Linux's
    driver of it knows no RING_RESET."""
    net = Internet()
    properties = on_off(OFFLOADS) + {
        "": "", "legacy": "", "packed": ",packed=on,in_order=on,notification_data=on",
        "rss": ",queues=4,mq=on,rss=on,hash=on"}[test.variant]
    daemon = test.daemon(net.netdev, properties)
    daemon.driver = "vionet-mmio"
    place = place_of(1 if test.variant == "legacy" else 2)
    script = "modprobe virtio_mmio\n" + net.script("""
vt driver "$(basename "$(readlink /sys/bus/virtio/devices/virtio0/../driver)")"
vt mac "$(cat /sys/class/net/eth0/address)"
vt_test "DHCP" vt_dhcp eth0
vt_test "ping" ping -c 3 10.0.2.2
vt_test "a receive mode" ip link set eth0 allmulticast on
fetch first
serve
vt_sync served
echo virtio0 >/sys/bus/virtio/drivers/virtio_net/unbind; echo virtio0 >/sys/bus/virtio/drivers/virtio_net/bind
vt_dhcp eth0 >/dev/null
CHANNELS
fetch again
vt_sync again
grep virtio /proc/interrupts | vt_text interrupts
""").replace("CHANNELS", 'vt_test "four pairs" ethtool -L eth0 combined 4' if test.variant == "rss" else "")
    with test.guest(daemon, script, properties=place, more_arguments=told_of_it(test), cpus=2) as guest:
        for step in ("served", "again"):
            guest.reach(step)
            test.ok(f"a file from the guest, {step}", get(net.url) == CONTENT)
            guest.go(step)
        result = test.said(guest.finish())
    for step in ("first", "again"):
        test.same(f"a file to the guest, {step}", result.values.get(f"sha.{step}"), DIGEST)
    test.same("the driver of the window", result.values.get("driver"), "virtio-mmio")
    test.same("the device's MAC address", result.values.get("mac"), MAC)
    test.ok("its interrupt", f"{IRQ}-fasteoi" in result.text("interrupts"), result.text("interrupts"))
    expected = DEFAULT_BITS - {40} | OFFLOAD_BITS
    expected = {"": expected, "legacy": expected - {32}, "packed": expected | {34, 35, 38},
                "rss": expected | {22, 57, 60}}[test.variant]
    found = bits_of(result.values["features"])
    test.ok("the features are negotiated", expected <= found,
            f"missing {test.program.feature_names(expected - found)}")
    test.same("features above bit 31", max(found) > 31, test.variant != "legacy")


@case(kernels=(), variants=("", "legacy"), inside=("sid",))
def mmio_migration(test):
    """There and back between two machines, both versions of the window; and not to one whose window is of the other."""
    version = 1 if test.variant == "legacy" else 2
    journey = Journey(test, "queues=2,mq=on", "modprobe virtio_mmio\n" + JOURNEY, driver="vionet-mmio",
                      place=place_of(version), beside=told_of_it(test))
    journey.hears("at first")
    journey.place = place_of(3 - version)
    other = journey.target("other version")
    journey.leave(other.path)
    test.same("other version: the migration", journey.state(), "failed")
    test.ok("other version: QEMU says why", "this window was made differently" in other.daemon.log(), other.daemon.log())
    journey.bury(other)
    journey.hears("other version")
    journey.place = place_of(version)
    for name in ("there", "back"):
        journey.goes(name)
        journey.hears(name)
