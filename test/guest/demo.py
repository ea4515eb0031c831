#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""demo.py DIR: what the rig does, and what QEMU's own virtio-net-pci does in it: the yardstick. DIR is
prepare.sh's. Prints everything; exit status 1 if something failed."""
import argparse
import ctypes
import fcntl
import hashlib
import http.server
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib

from guest import Guest, GuestError, Qemu, packet

CONTENT = bytes(range(256)) * 4096


# The last ones put this process into another network namespace.
PARTS = ["network", "pktgen", "firmware", "tap", "hashes"]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sums:
    passed = failed = 0


def check(name, good, why=""):
    if good:
        Sums.passed += 1
    else:
        Sums.failed += 1
    print(f"{'ok' if good else 'NOT OK'} {name}{'' if good else ': ' + str(why)}", flush=True)


def rate(text):
    amount, seconds = text.split()
    return int(amount) / float(seconds)


NETWORK = """
for device in /sys/bus/virtio/devices/*; do
    vt "$(basename $device).driver" "$(basename $(readlink $device/driver))"
    vt "$(basename $device).features" "$(cat $device/features)"
    vt "$(basename $device).status" "$(cat $device/status)"
done
vt_test dhcp vt_dhcp eth0
vt address "$(ip -o -4 address show eth0 | sed 's/.*inet \\([^ ]*\\).*/\\1/')"
for option in -k -l -i -S -x -c; do vt_run "ethtool$option" ethtool $option eth0; done
vt_run link ip -d link show eth0
vt_test http-out wget -q -O /tmp/file http://10.0.2.2:HTTP/file
vt sha "$(sha256sum /tmp/file | cut -d ' ' -f 1)"
mkdir -p /tmp/www && cp /tmp/file /tmp/www/file && httpd -p 80 -h /tmp/www
vt_sync served
vt up "$(traffic tcp-send 10.0.2.2 SINK 3)"
traffic tcp-listen 5001 >/tmp/down &
sleep 0.3
vt_sync sink
wait
vt down "$(cat /tmp/down)"
grep -E 'virtio' /proc/interrupts | vt_text interrupts
"""


def network(cache, kernel, device, echo, cpus):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink, web, into = free_port(), free_port(), free_port()
    traffic = os.path.join(cache, "bin/traffic")
    script = NETWORK.replace("HTTP", str(server.server_port)).replace("SINK", str(sink))
    netdev = f"user,id=n0,hostfwd=tcp:127.0.0.1:{web}-:80,hostfwd=tcp:127.0.0.1:{into}-:5001"
    with subprocess.Popen([traffic, "tcp-listen", str(sink)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as listener:
        try:
            with Guest(cache, kernel, script, ["-netdev", netdev, device], timeout=90, echo=echo,
                       cpus=cpus) as guest:
                guest.reach("served")
                with urllib.request.urlopen(f"http://127.0.0.1:{web}/file", timeout=30) as answer:
                    got = answer.read()
                guest.go("served")
                guest.reach("sink")
                subprocess.run([traffic, "tcp-send", "127.0.0.1", str(into), "3"], check=True, timeout=40,
                               stdout=subprocess.DEVNULL)
                guest.go("sink")
                result = guest.finish()
        finally:
            listener.kill()
            server.shutdown()
    name = f"{kernel}: "
    for good in result.passed:
        check(name + good, True)
    for bad, why in result.failed:
        check(name + bad, False, why)
    check(name + "address 10.0.2.15/24", result.values.get("address") == "10.0.2.15/24", result.values)
    check(name + "the file by HTTP from the host",
          result.values.get("sha") == hashlib.sha256(CONTENT).hexdigest())
    check(name + "the file by HTTP from the guest (hostfwd)", got == CONTENT)
    check(name + "script's first line within 4 s of processor time", result.cpu <= 4, result.cpu)
    print(f"{name}first line of the script after {result.started:.2f} s ({result.cpu:.2f} s of processor time)")
    print(f"{name}TCP guest->host {rate(result.values['up']) / 1e6:.0f} MB/s, "
          f"host->guest {rate(result.values['down']) / 1e6:.0f} MB/s")
    for key, value in result.values.items():
        if key.startswith("virtio"):
            print(f"{name}{key} {value}")
        if key.endswith(".features"):
            print(f"{name}{key} bits {[i for i, bit in enumerate(value) if bit == '1']}")
    for text in result.texts:
        print(f"{kernel}: {text}\n    " + "\n    ".join(result.texts[text]))


PKTGEN = """
ip link set eth0 up; vt_wait_link eth0
sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1
vt_pktgen burst1 eth0 COUNT 60 "burst 1"
vt_pktgen burst32 eth0 COUNT 60 "burst 32"
vt_pktgen clone1000 eth0 COUNT 60 "clone_skb 1000"
"""


def dgram(directory):
    """Arguments of a netdev that is two Unix sockets in a directory, and their paths: QEMU's, ours."""
    theirs, ours = os.path.join(directory, "qemu"), os.path.join(directory, "host")
    return (f"dgram,id=n0,local.type=unix,local.path={theirs},remote.type=unix,remote.path={ours}",
            theirs, ours)


def pktgen(cache, kernel, device, echo, cpus, count):
    name = f"{kernel}: "
    with tempfile.TemporaryDirectory(prefix="guest-") as directory:
        netdev, _, ours = dgram(directory)
        with subprocess.Popen([os.path.join(cache, "bin/traffic"), "unix-listen", ours, "120"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as counter:
            try:
                while not os.path.exists(ours) and counter.poll() is None:
                    time.sleep(0.01)
                with Guest(cache, kernel, PKTGEN.replace("COUNT", str(count)), ["-netdev", netdev, device],
                           timeout=120, echo=echo, cpus=cpus) as guest:
                    result = guest.finish()
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                    end.sendto(b"", ours)
                came = int(counter.communicate(timeout=20)[0].split()[0])
            finally:
                counter.kill()
    for key in ("burst1", "burst32", "clone1000"):
        if key in result.values:
            print(f"{name}pktgen {key}: {result.values[key]} packets/s, "
                  f"errors: {result.text(key).rsplit('errors: ', 1)[-1].strip()}")
    for bad, why in result.failed:
        print(f"{name}pktgen {bad}: {why}")
    runs = sum(key in result.values for key in ("burst1", "burst32", "clone1000"))
    print(f"{name}{came} frames of {runs * count} came to the host's socket")
    # A few more: the guest's own. The last burst may be lost with the power.
    check(name + "pktgen", runs == 3 and came >= runs * count - 300, result.values)
    print("    " + "\n    ".join(result.texts.get("burst1", [])[-4:]))


def toeplitz(key, data):
    value, word = 0, int.from_bytes(key, "big")
    for i in range(len(data) * 8):
        if data[i // 8] >> (7 - i % 8) & 1:
            value ^= word >> (len(key) * 8 - 32 - i) & 0xFFFFFFFF
    return value


def checksum(data):
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def ipv4(protocol, source, destination, data):
    head = bytes.fromhex("4500") + (20 + len(data)).to_bytes(2, "big")
    head += bytes([0, 0, 0, 0, 64, protocol, 0, 0]) + source + destination
    return head[:10] + checksum(head) + head[12:] + data


HASH = """
vt_sync up
ip link set eth0 up; vt_wait_link eth0
ethtool -L eth0 combined 2
sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1
vt_run rxhash-on ethtool -K eth0 rxhash on
vt_run indirection ethtool -x eth0
rxhash OPTIONS -n 30 -t 5 eth0 >/tmp/hashes &
until grep -q ready /tmp/hashes; do sleep 0.02; done
vt_sync ready
wait
vt_text hashes </tmp/hashes
"""


def own_network():
    """Puts this process into a network namespace of its own, where a tap device disturbs nobody."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        return False
    return ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET


def interface_up(name, address=None):
    """Sets an address, and IFF_UP after IPv6 of the host, which would speak unasked, is off there."""
    with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if address:
            for request, value in ((0x8916, address), (0x891C, "255.255.255.0")):  # SIOCSIFADDR, ...NETMASK
                fcntl.ioctl(s, request, struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0,
                                                    socket.inet_aton(value)))
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", name.encode(), 1))  # SIOCSIFFLAGS


def hashes(cache, kernel, device, echo, options):
    """10 TCP flows, 10 UDP flows, 10 packets of another protocol: what the guest's kernel has for them."""
    name = f"{kernel}, rxhash {options}: "
    source, destination = bytes([10, 0, 2, 98]), bytes([10, 0, 2, 15])
    frames, right = [], []
    for i in range(30):
        ports = (1000 + i).to_bytes(2, "big") + (80).to_bytes(2, "big")
        if i < 10:
            inner, words = ipv4(6, source, destination, ports + bytes(8) + b"\x50\x10" + bytes(6)), ports
        elif i < 20:
            inner, words = ipv4(17, source, destination, ports + b"\x00\x10\0\0" + bytes(8)), ports
        else:
            inner, words = ipv4(253, source, destination, bytes([i]) * 20), b""
        frames.append(packet("52:54:00:12:34:56", "02:00:00:00:00:02", 0x0800, inner).ljust(60, b"\0"))
        right.append(source + destination + words)
    # Of QEMU's netdevs tap alone has the header in which a hash is reported (IFF_VNET_HDR).
    netdev = "tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off,queues=2"
    device = {**device, "mac": "52:54:00:12:34:56", "vectors": 6}
    with Guest(cache, kernel, HASH.replace("OPTIONS", options), ["-netdev", netdev, device], timeout=60,
               echo=echo, cpus=2) as guest, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as end:
        guest.reach("up")
        interface_up("tap0")
        end.bind(("tap0", 0))
        guest.go("up")
        guest.reach("ready")
        guest.go("ready")
        for frame in frames:
            end.send(frame)
        result = guest.finish()
    # Two queues: packets of one come in order, but not of both.
    lines = {line.split()[4]: line.split() for line in result.texts["hashes"] if line[0].isdigit()}
    check(name + "30 packets", set(lines) == {frame.hex()[:192] for frame in frames},
          result.texts["hashes"][-3:])
    got = [lines[frame.hex()[:192]] for frame in frames]
    table = [int(queue) for line in result.texts["indirection"] if line.strip()[:1].isdigit() and
             line.count(":") == 1 for queue in line.split(":")[1].split()]
    keys = [line.strip() for line in result.texts["indirection"] if line.count(":") > 30]
    check(name + "a key and a table", keys and table, result.text("indirection") + result.text("rxhash-on"))
    key = bytes.fromhex(keys[0].replace(":", ""))
    values = [toeplitz(key, data) for data in right]
    same = [int(line[1], 16) == value for line, value in zip(got, values)]
    print(f"{name}the device's hash came out for {sum(same[:10])} of 10 TCP, {sum(same[10:20])} of 10 "
          f"UDP, {sum(same[20:])} of 10 other IPv4 packets")
    if options == "":
        check(name + "every hash is the device's", all(same), got)
        check(name + "every packet is in its queue", all(
            int(line[2]) == table[value % len(table)] for line, value in zip(got, values)), got)
    else:
        check(name + "hashes over ports are the device's, others are not",
              all(same[:20]) and not any(same[20:]), got)
    print(f"{name}e.g. " + "; ".join(" ".join(got[i][:4]) for i in (0, 10, 20)))


TAP = """
vt_sync up
ip link set eth0 up; vt_wait_link eth0
ip address add 10.0.2.15/24 dev eth0
vt features "$(cat /sys/bus/virtio/devices/virtio0/features)"
vt_run ethtool-k ethtool -k eth0
traffic tcp-listen 5001 >/tmp/down &
until grep -q :1389 /proc/net/tcp; do sleep 0.05; done
vt_sync sink
wait
vt down "$(cat /tmp/down)"
vt up "$(traffic tcp-send 10.0.2.2 5002 3)"
sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1
vt_pktgen burst1 eth0 COUNT 60 "burst 1"
vt_pktgen burst32 eth0 COUNT 60 "burst 32"
traffic udp-listen 5003 1 >/tmp/udp &
until grep -q :138B /proc/net/udp; do sleep 0.05; done
vt_sync udp
wait
vt udp "$(cat /tmp/udp)"
"""


def tap(cache, kernel, device, echo, cpus, count):
    """What QEMU's device does with a netdev that takes checksum and segmentation offloads."""
    name = f"{kernel}, tap: "
    traffic = os.path.join(cache, "bin/traffic")
    netdev = "tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off"
    with subprocess.Popen([traffic, "tcp-listen", "5002"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as listener:
        try:
            with Guest(cache, kernel, TAP.replace("COUNT", str(count)), ["-netdev", netdev, device],
                       timeout=90, echo=echo, cpus=cpus) as guest:
                guest.reach("up")
                interface_up("tap0", "10.0.2.2")
                guest.go("up")
                guest.reach("sink")
                guest.go("sink")
                subprocess.run([traffic, "tcp-send", "10.0.2.15", "5001", "3"], check=True, timeout=40,
                               stdout=subprocess.DEVNULL)
                guest.reach("udp")
                guest.go("udp")
                sent = subprocess.run([traffic, "udp-send", "10.0.2.15", "5003", str(count), "18"],
                                      check=True, timeout=40, stdout=subprocess.PIPE, text=True).stdout
                result = guest.finish()
        finally:
            listener.kill()
    print(f"{name}features bits {[i for i, bit in enumerate(result.values['features']) if bit == '1']}")
    print(f"{name}TCP guest->host {rate(result.values['up']) / 1e6:.0f} MB/s, "
          f"host->guest {rate(result.values['down']) / 1e6:.0f} MB/s")
    print(f"{name}pktgen burst 1 {result.values.get('burst1')}, burst 32 {result.values.get('burst32')} "
          "packets/s")
    got = result.values["udp"].split()
    print(f"{name}UDP host->guest: {sent.split()[0]} sent, {rate(sent):.0f}/s; "
          f"{got[0]} came, {rate(result.values['udp']):.0f}/s")
    check(name + "traffic both ways", rate(result.values["up"]) > 0 and rate(result.values["down"]) > 0)


def firmware(cache, device, echo):
    """DHCP and a file of 1 MiB by TFTP: iPXE out of the ROM, OVMF's own driver, U-Boot's."""
    root = os.path.join(cache, "tree/usr")
    with tempfile.TemporaryDirectory(prefix="guest-") as directory:
        content = os.urandom(1 << 20)
        with open(os.path.join(directory, "file"), "wb") as file:
            file.write(content)
        with open(os.path.join(directory, "boot.ipxe"), "w", encoding="ascii") as file:
            file.write("#!ipxe\nimgfetch tftp://10.0.2.2/file && echo VT-OK || echo VT-FAIL\n"
                       "imgstat\npoweroff\n")
        user = f"user,id=n0,tftp={directory},bootfile="

        rom = {"romfile": os.path.join(root, "share/qemu/pxe-virtio.rom"), "bootindex": 1}
        with Qemu(cache, ["-netdev", user + "boot.ipxe", "-device", json.dumps({**device, **rom})],
                  machine=",graphics=off", echo=echo) as qemu:
            qemu.wait_console("file : 1048576 byte")
            check("iPXE: DHCP, a script and a file by TFTP", "VT-OK" in qemu.console_text())
            qemu.wait_end(10)
            print(f"iPXE took {time.monotonic() - qemu.begun:.1f} s")

        no_rom = {"romfile": "", "bootindex": 1}
        variables = os.path.join(directory, "variables")
        shutil.copy(os.path.join(root, "share/OVMF/OVMF_VARS_4M.fd"), variables)
        code = os.path.join(root, "share/OVMF/OVMF_CODE_4M.fd")
        with Qemu(cache, ["-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                          "-drive", f"if=pflash,format=raw,file={variables}",
                          "-netdev", user + "file", "-device", json.dumps({**device, **no_rom})],
                  memory=512, echo=echo) as qemu:
            qemu.wait_console("NBP file downloaded successfully")
            check("OVMF: DHCP and a file by TFTP", "NBP filesize is 1048576 Bytes" in qemu.console_text())
            print(f"OVMF took {time.monotonic() - qemu.begun:.1f} s")

        # U-Boot's device tree has another machine's south bridge in slot 1; a device there gets its driver.
        slot = {"romfile": "", "addr": "04"}
        with Qemu(cache, ["-bios", os.path.join(root, "lib/u-boot/qemu-x86_64/u-boot.rom"),
                          "-netdev", user + "file", "-device", json.dumps({**device, **slot})],
                  memory=512, echo=echo) as qemu:
            qemu.wait_console("stop autoboot")
            qemu.type("\r")
            qemu.wait_console("=> ")
            qemu.type("virtio scan; setenv autoload no; dhcp; setenv serverip 10.0.2.2; "
                      "tftpboot 0x2000000 file; crc32 0x2000000 0x100000\r")
            qemu.wait_console("==> ")
            qemu.wait_console(f"==> {zlib.crc32(content):08x}", 2)
            check("U-Boot: DHCP and a file by TFTP", True)
            print(f"U-Boot took {time.monotonic() - qemu.begun:.1f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cache")
    parser.add_argument("--kernel", action="append", choices=["sid", "bookworm"])
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--count", type=int, default=300000)
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--only", action="append", choices=PARTS)
    arguments = parser.parse_args()
    echo = sys.stdout if arguments.echo else None
    plain = {"driver": "virtio-net-pci", "netdev": "n0"}
    hashing = {**plain, "rss": True, "hash": True, "mq": True}
    kernels = arguments.kernel or ["sid", "bookworm"]
    cache, cpus = arguments.cache, arguments.cpus

    def part(name, kernel):
        if name == "network":
            network(cache, kernel, plain, echo, cpus)
        elif name == "pktgen":
            pktgen(cache, kernel, plain, echo, cpus, arguments.count)
        elif name == "firmware":
            firmware(cache, {**plain, "disable-legacy": "on"}, echo)
        elif not own_network():
            print(f"{kernel}, {name}: not run: no tap device without root and /dev/net/tun")
        elif name == "tap":
            tap(cache, kernel, plain, echo, cpus, arguments.count)
        else:
            for options in ("", "-s"):
                hashes(cache, kernel, hashing, echo, options)

    for name in arguments.only or PARTS:
        for kernel in kernels if name != "firmware" else [""]:
            try:
                part(name, kernel)
            except GuestError as why:
                check(f"{name} {kernel}", False, why)
    print(f"{Sums.passed} passed, {Sums.failed} failed")
    return 1 if Sums.failed else 0


if __name__ == "__main__":
    begun = time.monotonic()
    status = main()
    print(f"{time.monotonic() - begun:.0f} s")
    sys.exit(status)
