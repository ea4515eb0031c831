#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""compare.py [--runs N] [--kernel K] [--cpus N] [--device PROPERTIES] [--inside PLUGIN --qemu DIR]
           CACHE VIONET_DEVICE

vionet-device, or with --inside vionet-pci, beside virtio-net-pci of the same QEMU: the same guest and script, in
turn, N times (5); inside QEMU frames are sent by one guest that has both, 4 N times. Prints medians:
TCP through user-mode networking out and in, and frames that pktgen sends to datagram sockets, one and 32 at a
time. By hand, on a machine that does nothing else: a busy one slows the device in another process more."""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile

from guest import Guest, qemu_version
from host import Daemon, Program, free_port
from inside import Inside

TCP = """
vt_dhcp eth0
vt out "$(traffic tcp-send 10.0.2.2 SINK 3)"
traffic tcp-listen 5001 >/tmp/in &
until grep -q :1389 /proc/net/tcp; do sleep 0.05; done
vt_sync in
wait
vt in "$(cat /tmp/in)"
"""

FRAMES = """
sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1
ip link set eth0 up; vt_wait_link eth0
vt_pktgen warm eth0 20000 60 "burst 1"
vt_pktgen burst1 eth0 200000 60 "burst 1"
vt_pktgen burst32 eth0 400000 60 "burst 32"
"""

# One guest with both, which it knows by their addresses, and of which each begins in turn. (QEMU makes devices that are
# given as JSON after all others, so that their order says nothing.)
MACS = {"theirs": "52:54:00:00:00:01", "ours": "52:54:00:00:00:02"}
IN_TURN = """
sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
interface() { basename "$(dirname "$(grep -l "$1" /sys/class/net/*/address)")"; }
for whose in theirs=THEIRS ours=OURS; do
    i=$(interface "${whose#*=}"); eval "${whose%=*}=$i"
    ip link set $i up; vt_wait_link $i
    vt_pktgen warm.$i $i 10000 60 "burst 1"
done
order="theirs ours"
for run in $(seq RUNS); do
    for burst in 1 32; do
        for whose in $order; do
            eval "i=\$$whose"
            vt_pktgen $whose.$burst.$run $i $((20000 + 2000 * burst)) 60 "burst $burst"
        done
    done
    order="${order#* } ${order% *}"
done
""".replace("THEIRS", MACS["theirs"]).replace("OURS", MACS["ours"])


def megabits(text):
    octets, seconds = text.split()
    return int(octets) * 8 / float(seconds) / 1e6


class Compared:
    def __init__(self, options):
        self.options = options
        self.traffic = os.path.join(options.cache, "bin/traffic")
        self.program = Program(options.program)

    def guest(self, script, devices):
        inside = {"tree": self.options.qemu, "preload": self.options.inside} if self.options.inside else {}
        return Guest(self.options.cache, self.options.kernel, script, devices, timeout=300,
                     cpus=self.options.cpus, **inside)

    def behind(self, ours, directory, netdev):
        """QEMU's arguments for a device on a netdev, and the daemon that has it, if one has."""
        if not ours:
            kind, _, rest = netdev.partition(",")
            return ["-netdev", f"{kind},id=n0" + (f",{rest}" if rest else ""),
                    {"driver": "virtio-net-pci", "netdev": "n0", "mac": MACS["theirs"]}], None
        properties = ",".join(filter(None, [f"mac={MACS['ours']}", self.options.device]))
        daemon = (Inside(self.options.qemu, self.options.inside, netdev, properties) if self.options.inside
                  else Daemon(self.program, directory, netdev, properties))
        return daemon.arguments({}), daemon

    def tcp(self, ours, directory):
        sink, into = free_port(), free_port()
        devices, daemon = self.behind(ours, directory, f"user,hostfwd=tcp:127.0.0.1:{into}-:5001")
        with subprocess.Popen([self.traffic, "tcp-listen", str(sink)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as listener:
            try:
                with self.guest(TCP.replace("SINK", str(sink)), devices) as guest:
                    guest.reach("in")
                    subprocess.run([self.traffic, "tcp-send", "127.0.0.1", str(into), "3"], check=True,
                                   timeout=120, stdout=subprocess.DEVNULL)
                    guest.go("in")
                    values = guest.finish().values
            finally:
                listener.kill()
                if daemon:
                    daemon.stop()
        return {"TCP out, Mbit/s": megabits(values["out"]), "TCP in, Mbit/s": megabits(values["in"])}

    def frames(self, ours, directory, name, reader, netdev):
        """What reader, a command of traffic, gets of two bursts over a datagram socket."""
        with subprocess.Popen([self.traffic, *reader, "300"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as counter:
            try:
                counter.stderr.readline()
                devices, daemon = self.behind(ours, directory, netdev)
                try:
                    with self.guest(FRAMES, devices) as guest:
                        values = guest.finish().values
                finally:
                    if daemon:
                        daemon.stop()
            finally:
                counter.kill()
        return {f"{name}, {burst} at a time, frames/s": float(values[f"burst{burst}"]) for burst in (1, 32)}

    def frames_in_turn(self, name, ends):
        """The same by one guest: for each figure all of QEMU's and all of ours. Runs are short, and differ much."""
        runs = 4 * self.options.runs
        with contextlib.ExitStack() as stack:
            devices = []
            for ours, (reader, netdev) in zip((False, True), ends):
                counter = stack.enter_context(subprocess.Popen(
                    [self.traffic, *reader, "300"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
                stack.callback(counter.kill)
                counter.stderr.readline()
                devices += self.behind(ours, None, netdev)[0]
            with self.guest(IN_TURN.replace("RUNS", str(runs)), devices) as guest:
                values = guest.finish().values
        return {f"{name}, {burst} at a time, frames/s": tuple(
            [float(values[f"{whose}.{burst}.{run + 1}"]) for run in range(runs)]
            for whose in MACS) for burst in (1, 32)}

    def inet(self, _):
        local, remote = free_port(), free_port()
        return ["udp-listen", str(remote)], (f"dgram,local.type=inet,local.host=127.0.0.1,local.port={local},"
                                             f"remote.type=inet,remote.host=127.0.0.1,remote.port={remote}")

    def unix(self, directory):
        theirs, host = os.path.join(directory, "wire.device"), os.path.join(directory, "wire.host")
        return ["unix-listen", host], (f"dgram,local.type=unix,local.path={theirs},"
                                       f"remote.type=unix,remote.path={host}")

    def sockets(self):
        return ("UDP socket", self.inet), ("UNIX socket", self.unix)

    def once(self, figures):
        """A run of what takes a guest for each device."""
        kinds = [self.tcp]
        if not self.options.inside:
            kinds += [lambda ours, directory, name=name, end=end: self.frames(ours, directory, name, *end(directory))
                      for name, end in self.sockets()]
        for measure in kinds:
            for ours in (False, True):
                with tempfile.TemporaryDirectory(prefix="guest-") as directory:
                    for name, value in measure(ours, directory).items():
                        figures.setdefault(name, ([], []))[ours].append(value)

    def all_in_turn(self, figures):
        for name, end in self.sockets():
            with tempfile.TemporaryDirectory(prefix="guest-") as one, \
                    tempfile.TemporaryDirectory(prefix="guest-") as other:
                figures.update(self.frames_in_turn(name, [end(one), end(other)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kernel", default="sid")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--device", default="", help="properties of our device")
    parser.add_argument("--inside", type=os.path.abspath)
    parser.add_argument("--qemu")
    parser.add_argument("cache")
    parser.add_argument("program")
    options = parser.parse_args()
    compared = Compared(options)
    figures = {}
    for run in range(options.runs):
        compared.once(figures)
        print(f"run {run + 1} of {options.runs}", file=sys.stderr, flush=True)
    if options.inside:
        compared.all_in_turn(figures)
    print(f"Linux of {options.kernel}, {qemu_version(options.cache, options.qemu)}, {options.cpus} vCPU, medians of "
          f"{options.runs}\n")
    print(f"| {'':36} | {'QEMU':>10} | {'vionet':>10} | ratio |\n|{'-' * 38}|{'-' * 11}:|{'-' * 11}:|------:|")
    for name, (theirs, ours) in figures.items():
        theirs, ours = statistics.median(theirs), statistics.median(ours)
        print(f"| {name:36} | {theirs:10.0f} | {ours:10.0f} | {ours / theirs:5.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
