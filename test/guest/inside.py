# SPDX-License-Identifier: BSD-3-Clause
"""The device inside QEMU (device/qemu/), where the suite has the daemon elsewhere: the same netdevs and properties,
for a QEMU that loads the plugin."""
import fcntl
import os
import re
import struct

TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
TAP_WITH_HEADER = 0x0002 | 0x1000 | 0x4000  # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR


def keep_tap(name, kept):
    """Makes a TAP interface that stays when nobody has it, or ends it."""
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14x", name.encode(), TAP_WITH_HEADER))
        fcntl.ioctl(tun, TUNSETPERSIST, kept)


class Inside:
    """Stands for a Daemon; there is a process only while a guest runs. driver: the plugin's device."""

    driver = "vionet-pci"

    def __init__(self, tree, plugin, netdev, device=""):
        kind, _, rest = netdev.partition(",")
        self.tap = None
        if kind == "tap":
            # The daemon makes its interface when it starts, before there is a guest.
            self.tap = re.search(r"ifname=(\w+)", rest).group(1)
            keep_tap(self.tap, 1)
            rest += ",script=no,downscript=no"
        self.netdev = ",".join(filter(None, [kind, "id=net0", rest]))
        self.properties = device
        self.options = {"tree": tree, "preload": plugin}
        self.command = ["", "", "", "-netdev", self.netdev, "-device", f"vionet-*,{device}"]
        self.guests = []

    def arguments(self, properties):
        """QEMU's, for the netdev and the device."""
        if self.driver == "vionet-pci":
            properties = {"romfile": ""} | properties
        device = ",".join([f"{self.driver},id=nic0,netdev=net0", *filter(None, [self.properties]),
                           *(f"{name}={value}" for name, value in properties.items())])
        return ["-netdev", self.netdev, "-device", device, "-d", "guest_errors"]

    def log(self):
        text = ""
        for guest in self.guests:
            guest.complaints.seek(0)
            text += guest.complaints.read().decode(errors="replace")
        return text

    def complaints(self):
        return [line for line in self.log().splitlines() if re.search(r"vionet|CRITICAL|assert", line, re.I)]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.guests[-1].process.pid}/fd"))

    def resident(self):
        """Nothing can be said of the device's memory: QEMU's has the guest's code in translation."""
        return 0

    def status(self):
        return None

    def negotiated(self):
        return None

    def stop(self):
        if self.tap:
            keep_tap(self.tap, 0)
        return 0

    def kill(self):
        pass

    def running(self):
        return True
