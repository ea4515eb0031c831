# SPDX-License-Identifier: BSD-3-Clause
"""The cases about coming and going: of the driver, the guest, QEMU, the daemon."""
import os
import socket
import time

from cases import CYCLE, DIGEST, FUNCTIONS, OFFLOADS, Internet, on_off
from guest import GuestError
from suite import case
from vhost import generic_device

REBIND = """
vt_sync begin
for cycle in $(seq CYCLES); do
    if [ $((cycle % 4)) = 0 ]; then
        # With frames on their way.
        wget -q -O /dev/null http://10.0.2.2:WEB/file 2>/dev/null & download=$!
        usleep 30000
    else
        download=
    fi
    echo virtio0 >/sys/bus/virtio/drivers/virtio_net/unbind || vt_fail unbind "$cycle"
    echo virtio0 >/sys/bus/virtio/drivers/virtio_net/bind || vt_fail bind "$cycle"
    [ -z "$download" ] || { kill "$download"; wait "$download"; } 2>/dev/null
    ip link set eth0 up
    [ $((cycle % 20)) != 0 ] || vt_dhcp eth0 >/dev/null || vt_fail "DHCP" "cycle $cycle"
    [ "$cycle" != 5 ] || vt_sync warm
done
vt_dhcp eth0 >/dev/null
fetch last
vt_sync end
"""


# Frames without end; and connections that nobody ends, of which the backend is to keep none of a guest that is gone.
FLOOD = """
vt_pktgen flood eth0 0 60 "delay 100000" &
sleep 0.2
"""
CONNECTIONS = """
for _ in 1 2 3 4 5 6; do sleep 100 | nc 10.0.2.2 WEB & done
for _ in $(seq 100); do
    [ "$(netstat -tn | grep -c ':WEB *ESTABLISHED')" != 6 ] || break
    sleep 0.05
done
"""


def footprint(daemon):
    return daemon.descriptors(), daemon.resident()


# Kilobytes that the daemon's queues of frames may come to hold, each place the largest frame that it ever had: how
# far they fill depends on how busy the machine is. What leaks in each of many cycles is more than that.
POOLS = 8192


@case(kernels=("sid", "bookworm"))
def rebind(test):
    """The driver goes and comes back, with frames on their way; the daemon grows by nothing."""
    cycles = 500 if test.long else 20
    net = Internet()
    daemon = test.daemon(net.netdev, "queues=2,mq=on," + on_off(OFFLOADS))
    script = net.script(CYCLE + REBIND.replace("CYCLES", str(cycles)))
    with test.guest(daemon, script, cpus=2, timeout=1500 if test.long else 300) as guest:
        guest.reach("begin")
        guest.go("begin")
        guest.reach("warm")
        before = footprint(daemon)
        guest.go("warm")
        guest.reach("end")
        after = footprint(daemon)
        guest.go("end")
        result = test.said(guest.finish())
    test.note(f"{test.full('')} descriptors and own memory in kB after 5 cycles {before}, after {cycles} {after}")
    test.same("HTTP as before", result.values.get("sha.last"), DIGEST)
    test.ok(f"descriptors after {cycles} cycles", after[0] <= before[0] + 8, (before, after))
    test.ok(f"memory after {cycles} cycles", after[1] <= before[1] + POOLS, (before, after))


@case(inside=("sid",))
def reboot(test):
    """system_reset, with frames on their way: the next boot finds the device as new."""
    reboots = 50 if test.long else 1 if test.inside else 3
    net = Internet()
    daemon = test.daemon(net.netdev, "queues=2,mq=on," + on_off(OFFLOADS))
    script = net.script(CYCLE + FLOOD + """
vt_sync booted
""")
    with test.guest(daemon, script, cpus=2, timeout=1500 if test.long else 300) as guest:
        guest.qmp("set-action", reboot="reset")
        sizes = []
        for i in range(reboots + 1):
            guest.reach("booted", 120)
            good = guest.result.values.pop("sha.first", None) == DIGEST
            if not good or i in (0, reboots):
                test.ok(f"HTTP after {i} resets", good)
            sizes.append(footprint(daemon))
            if i < reboots:
                time.sleep(0.2)
                guest.qmp("system_reset")
        guest.go("booted")
        test.said(guest.finish())
    test.note(f"{test.full('')} descriptors and own memory in kB {sizes[0]}, at the end {sizes[-1]}")
    test.ok("descriptors and memory stay", sizes[-1][0] <= sizes[0][0] + 8 and
            sizes[-1][1] <= sizes[1][1] + POOLS, sizes)


@case()
def qemu_killed(test):
    """QEMU dies with frames on their way and connections open; the daemon serves the next one."""
    net = Internet()
    daemon = test.daemon(net.netdev, on_off(OFFLOADS))
    script = net.script(CYCLE + CONNECTIONS + FLOOD + """
vt_sync up
""")
    sizes = []
    for _ in range(10 if test.long else 3):
        with test.guest(daemon, script, cpus=2) as guest:
            guest.reach("up")
            test.same("HTTP", guest.result.values.get("sha.first"), DIGEST)
            time.sleep(0.2)
            guest.close()
        until = time.monotonic() + 10
        while "client has gone" not in "".join(daemon.log().splitlines()[-3:]) and time.monotonic() < until:
            time.sleep(0.05)
        sizes.append(footprint(daemon))
    with test.guest(daemon, script, cpus=2) as guest:
        guest.reach("up")
        open_now = daemon.descriptors()
        guest.go("up")
        result = test.said(guest.finish())
    test.same("HTTP with the last one", result.values.get("sha.first"), DIGEST)
    test.ok("connections were open", open_now >= sizes[-1][0] + 6, (open_now, sizes))
    test.ok("descriptors and memory stay", sizes[-1][0] <= sizes[0][0] + 2 and
            sizes[-1][1] <= sizes[1][1] + POOLS, sizes)


@case()
def daemon_killed(test):
    """The daemon dies: the guest lives on with a dead device, and QEMU answers."""
    net = Internet()
    daemon = test.daemon(net.netdev, on_off(OFFLOADS))
    script = net.script(CYCLE + """
vt_sync up
ping -c 1 -W 1 10.0.2.2 >/dev/null 2>&1 && vt_fail 'the device is dead' 'it answers' || vt_ok 'the device is dead'
vt alive "$(cat /proc/uptime)"
vt_sync dead
""")
    with test.guest(daemon, script) as guest:
        guest.reach("up")
        daemon.kill()
        status = guest.qmp("query-status")
        test.ok("QEMU answers, and the guest runs", status["running"], status)
        guest.go("up")
        try:
            guest.reach("dead", 60)
            test.ok("the guest lives on", "alive" in guest.result.values)
        except GuestError as why:
            test.ok("the guest lives on", False, str(why))
        for name in guest.result.passed:
            test.ok(name, True)
        for name, why in guest.result.failed:
            test.ok(name, False, why)
        status = guest.qmp("query-status")
        test.ok("QEMU still answers", "running" in status, status)
        test.note(f"{test.full('')} QEMU says: {guest.said().strip()[-300:]}")


@case(variants=("vfio-user", "vhost-user"))
def link(test):
    """The backend's peer goes and comes back: so does the guest's link, and traffic with it. Over vhost-user QEMU's
    generic device is told, and reads the configuration space."""
    path = os.path.join(test.directory, "wire.sock")
    daemon = test.daemon(f"stream,addr.type=unix,addr.path={path},reconnect-ms=50", "",
                         protocol="vhost-user" if test.variant == "vhost-user" else None)
    script = FUNCTIONS.replace("WEB", "0") + """
carrier() {
    for _ in $(seq 200); do
        [ "$(cat /sys/class/net/eth0/carrier)" != "$1" ] || return 0
        sleep 0.05
    done
    return 1
}
ip link set eth0 up
for i in 0 1 2; do
    vt_test "down $i" carrier 0
    vt_sync "down$i"
    vt_test "up $i" carrier 1
    ping -c 1 -W 1 -I eth0 10.9.9.9 >/dev/null 2>&1
    vt_sync "up$i"
done
"""
    devices = generic_device(daemon.path, 1) if test.variant == "vhost-user" else None
    with test.guest(daemon, script, devices=devices) as guest:
        for i in range(3):
            guest.reach(f"down{i}")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen(1)
                peer, _ = listener.accept()
            os.unlink(path)
            guest.go(f"down{i}")
            guest.reach(f"up{i}")
            test.ok(f"frames come, {i}", len(peer.recv(65536)) > 14)
            peer.close()
            guest.go(f"up{i}")
        test.said(guest.finish())
