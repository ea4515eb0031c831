# SPDX-License-Identifier: BSD-3-Clause
"""The cases in which a guest with the device inside QEMU goes from one QEMU to another."""
import hashlib
import os
import socket
import struct
import time

from cases import FUNCTIONS
from guest import GuestError
from host import MAC, named_frame, names_in
from suite import case
from vhost import Stream, Switch

MEMORY = "262072K"  # no multiple of 256 KiB, which QEMU 7.2 under TCG loses pages of (NOTES.md)
UNREAD = 40000  # octets, which fit any window
FLOWS = range(40000, 40024)  # ports of the host, a flow each


def send_flows(net):
    """A datagram of each flow, slowly: a UNIX socket has room for ten."""
    for port in FLOWS:
        time.sleep(0.01)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((f"{net}.2", port))
            s.sendto(b"flow", (f"{net}.15", 9))
    time.sleep(0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"END.", (f"{net}.15", 9))


def flows_in(lines):
    """{port: (hash, queue)} of the flows among rxhash's lines."""
    found = {}
    for line in lines:
        fields = line.split()
        if len(fields) == 5 and fields[0].isdigit():
            frame = bytes.fromhex(fields[4])
            if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == b"\0\x09":
                found[int.from_bytes(frame[34:36], "big")] = fields[1:3]
    return {port: value for port, value in found.items() if port in FLOWS}


def unread(net):
    """Octets that the guest acknowledges and does not read yet: they are nowhere but in the buffers that the device
    wrote. Their digest."""
    digest = hashlib.sha256()
    with socket.create_connection((f"{net}.15", 5005), 30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(UNREAD // 1000):
            block = hashlib.shake_128(struct.pack("<I", i)).digest(1000)
            s.sendall(block)
            digest.update(block)
            time.sleep(0.05)
    return digest.hexdigest()


def move(test, source, daemon, script, path, cpus, meanwhile=None):
    """Moves a guest to another QEMU, which it returns, slowly until meanwhile() is done."""
    target = test.guest(daemon, script, cpus=cpus, memory=MEMORY,
                        more_arguments=["-incoming", f"unix:{path}"])
    begun = time.monotonic()
    source.qmp("migrate-set-parameters", **{"max-bandwidth": (16 << 20) if meanwhile else (1 << 30)})
    source.qmp("migrate", uri=f"unix:{path}")
    if meanwhile:
        time.sleep(1)
        meanwhile()
        test.same("it is still under way then", source.qmp("query-migrate")["status"], "active")
        source.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 30})
    while (state := source.qmp("query-migrate"))["status"] not in ("completed", "failed", "cancelled"):
        if time.monotonic() > begun + 120:
            raise GuestError(f"the migration does not end: {state}")
        time.sleep(0.05)
    if state["status"] != "completed":
        raise GuestError(f"the migration {state}\n{daemon.log()}")
    return target, state, time.monotonic() - begun


@case(kernels=(), needs_tap=True, variants=("", "packed"), inside=("sid",))
def migration(test):
    """There and back, with a download and pings on their way: not an octet is wrong, no ping lost for good, and each
    flow has the hash and the queue that it had."""
    net = "10.0.8" if test.variant else "10.0.9"
    switch = Switch(test.directory, "tapq" if test.variant else "tapm", f"{net}.2")
    times = 20 if test.long else 2
    properties = "queues=4,rss=on,hash=on" + (",packed=on" if test.variant else "")
    daemons = [test.daemon(switch.port(), properties) for _ in range(times + 1)]
    switch.start()
    stream = Stream(f"{net}.2")
    script = FUNCTIONS.replace("WEB", "0") + f"""
ip link set eth0 up; vt_wait_link eth0
ip address add {net}.15/24 dev eth0
ethtool -L eth0 combined 4; ethtool -K eth0 rxhash on
ping -c 1 {net}.2 >/dev/null
ethtool -x eth0 | vt_text before.config
tell before
wget -q -T 60 -O - http://{net}.2:{stream.port}/ | sha256sum | cut -d ' ' -f 1 >/tmp/sum & download=$!
ping -i 0.02 {net}.2 >/tmp/pings & pings=$!
nc -l -p 5005 </dev/null >/tmp/unread & reader=$!
until grep -q :138D /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done
kill -STOP $reader
vt_sync going
wait $download
kill -INT $pings; wait $pings
ethtool -x eth0 | vt_text after.config
tell after
kill -CONT $reader
for _ in $(seq 100); do [ "$(wc -c </tmp/unread)" = {UNREAD} ] && break; sleep 0.05; done
vt sha.unread "$(sha256sum </tmp/unread | cut -d ' ' -f 1)"
vt sha.stream "$(cat /tmp/sum)"
tail -n 2 /tmp/pings | vt_text pings
"""
    cpus, digests = 2, []
    try:
        guest = test.guest(daemons[0], script, cpus=cpus, memory=MEMORY)
        guest.reach("before")
        send_flows(net)
        guest.go("before")
        guest.reach("going")
        time.sleep(1)
        for i in range(times):
            before = stream.sent
            guest_before = guest
            guest, state, seconds = move(test, guest, daemons[i + 1], script,
                                         os.path.join(test.directory, f"migration{i}"), cpus,
                                         (lambda: digests.append(unread(net))) if i == 0 else None)
            test.ok(f"migration {i + 1}", True)
            test.note(f"{test.full('')} migration {i + 1}: {seconds:.1f} s, down for {state.get('downtime')} ms, "
                      f"{(stream.sent - before) >> 10} KiB went meanwhile")
            guest.result.texts.update(guest_before.result.texts)
            guest_before.close()
            time.sleep(1.0)
        stream.enough = True
        guest.go("going")
        guest.reach("after")
        send_flows(net)
        guest.go("after")
        result = test.said(guest.finish())
    finally:
        stream.enough = True
        switch.close()
    test.note(f"{test.full('')} {stream.sent >> 10} KiB, {result.text('pings')!r}")
    test.ok("there was traffic", stream.sent > 1 << 20, stream.sent)
    test.same("what waited unread in the device's buffers", result.values.get("sha.unread"), digests[0])
    test.same("every octet", result.values.get("sha.stream"), stream.digest.hexdigest())
    test.same("the driver's configuration", result.texts["after.config"], result.texts["before.config"])
    before, after = flows_in(result.texts["before"]), flows_in(result.texts["after"])
    test.same("all flows came", (len(before), len(after)), (len(FLOWS), len(FLOWS)))
    test.ok("in several queues, with hashes", len({tuple(flow) for flow in before.values()}) > 8, before)
    test.same("hash and queue of each flow", after, before)


@case(kernels=(), inside=("sid",))
def migration_fails(test):
    """To a device that is another one, and to a QEMU that dies in the middle: the guest goes on where it was."""
    wire = test.wire()
    daemon = test.daemon(wire.netdev, "queues=2,rss=on,ctrl_vlan=on")
    script = FUNCTIONS.replace("WEB", "0") + """
quiet
vt_sync going
tell after
"""
    with test.guest(daemon, script, cpus=2) as guest:
        guest.reach("going")
        guest.qmp("migrate-set-capabilities", capabilities=[{"capability": "return-path", "state": True}])
        for name, properties in (("another device", "queues=4,rss=on"), ("a QEMU that dies", "queues=2,rss=on")):
            path = os.path.join(test.directory, name[:5].strip())
            elsewhere = test.daemon(wire.netdev.replace("wire.", "other."), properties)
            target = test.guest(elsewhere, script, cpus=2, more_arguments=["-incoming", f"unix:{path}"])
            if "dies" in name:
                guest.qmp("migrate-set-parameters", **{"max-bandwidth": 4 << 20})
            guest.qmp("migrate", uri=f"unix:{path}")
            if "dies" in name:
                time.sleep(1)
                test.same(f"{name}: under way", guest.qmp("query-migrate")["status"], "active")
                target.process.kill()
            until = time.monotonic() + 60
            while (state := guest.qmp("query-migrate")["status"]) not in ("completed", "failed") and \
                    time.monotonic() < until:
                time.sleep(0.05)
            test.same(f"{name}: the migration", state, "failed")
            if "dies" not in name:
                test.ok(f"{name}: QEMU says why", "made with another max_pairs" in elsewhere.log(),
                        elsewhere.log())
            target.close()
            test.daemons.remove(elsewhere)
            test.same(f"{name}: the guest runs", guest.qmp("query-status")["status"], "running")
        guest.go("going")
        guest.reach("after")
        wire.send(named_frame("one"))
        wire.send(named_frame("END"))
        guest.go("after")
        result = test.said(guest.finish())
    test.ok("frames come after that", "one" in names_in(result.texts["after"]), result.texts["after"])


@case(kernels=(), inside=("sid",))
def plugged(test):
    """What only a device inside QEMU has: plugged in and out while the guest runs, its link switched, the driver asked
    to announce itself."""
    wire = test.wire()
    daemon = test.daemon(wire.netdev, "queues=2,mq=on")
    script = FUNCTIONS.replace("WEB", "0") + """
carrier() { for _ in $(seq 100); do [ "$(cat /sys/class/net/eth0/carrier)" = "$1" ] && return; sleep 0.05; done; false; }
there() { for _ in $(seq 200); do [ -e /sys/class/net/eth0 ] && return; sleep 0.05; done; false; }
gone() { for _ in $(seq 200); do [ -e /sys/class/net/eth0 ] || return 0; sleep 0.05; done; false; }
quiet
sysctl -q -w net.ipv4.conf.eth0.arp_notify=1
ip address add 10.0.2.15/24 dev eth0
vt_sync up
ip link set eth0 promisc on; ip link set eth0 address 52:54:00:00:00:99
vt_sync changed
vt_test "link down" carrier 0
vt_sync down
vt_test "link up again" carrier 1
vt_sync announce
vt_sync unplug
vt_test "unplugged" gone
vt_sync unplugged
vt_test "plugged in again" there
quiet
tell frames
"""
    port = ["-device", "pcie-root-port,id=port0,chassis=1"]
    with test.guest(daemon, script, properties={"bus": "port0"}, more_arguments=port) as guest:
        guest.reach("up")
        filters = guest.qmp("query-rx-filter", name="nic0")[0]
        test.same("query-rx-filter", (filters["promiscuous"], filters["unicast"], filters["main-mac"]),
                  (False, "normal", MAC))
        test.ok("its table of groups", "01:00:5e:00:00:01" in filters["multicast-table"], filters)
        guest.go("up")
        guest.reach("changed")
        guest.wait_event("NIC_RX_FILTER_CHANGED")
        filters = guest.qmp("query-rx-filter", name="nic0")[0]
        test.same("query-rx-filter, after changes", (filters["promiscuous"], filters["main-mac"]),
                  (True, "52:54:00:00:00:99"))
        guest.qmp("set_link", name="nic0", up=False)
        guest.go("changed")
        guest.reach("down")
        guest.qmp("set_link", name="nic0", up=True)
        guest.go("down")
        guest.reach("announce")
        wire.took()
        guest.qmp("announce-self", initial=50, max=100, rounds=2, step=50)
        arp = wire.wait(lambda frames: any(frame[12:14] == b"\x08\x06" for frame in frames), 20)
        test.ok("the driver announces itself", any(frame[12:14] == b"\x08\x06" for frame in arp), len(arp))
        guest.go("announce")
        guest.reach("unplug")
        guest.qmp("device_del", id="nic0")
        guest.go("unplug")
        guest.reach("unplugged")
        guest.wait_event("DEVICE_DELETED")
        guest.qmp("device_add", driver="vionet-pci", id="nic0", netdev="net0", bus="port0", mq=True, queues="2",
                  romfile="")
        guest.go("unplugged")
        guest.reach("frames")
        wire.send(named_frame("one"))
        wire.send(named_frame("END"))
        guest.go("frames")
        result = test.said(guest.finish())
    test.ok("frames come after that", "one" in names_in(result.texts["frames"]), result.texts["frames"])
