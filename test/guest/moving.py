# SPDX-License-Identifier: BSD-3-Clause
"""The cases in which a guest with the device inside QEMU goes from one QEMU to another."""
import contextlib
import hashlib
import os
import socket
import struct
import threading
import time

from cases import FUNCTIONS
from guest import GuestError, packet
from host import MAC, OTHER, named_frame, names_in
from suite import case
from vhost import Stream, Switch

MEMORY = "262072K"  # no multiple of 256 KiB, which QEMU 7.2 under TCG loses pages of (NOTES.md)
UNREAD = 40000  # octets, which fit any window
SOURCE = bytes([192, 0, 2, 1])  # of the flows, which are for nobody: they are looked at as they come
HELD = 50  # milliseconds that coalescing holds an interrupt back


def ip_frame(number, protocol, payload):
    """A frame whose number is the packet's identification."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), number, 0, 64, protocol, 0)
    return packet(MAC, OTHER, 0x0800, header + SOURCE + bytes([192, 0, 2, 2]) + payload)


def udp(number, source, destination, payload=b"flow"):
    return ip_frame(number, 17, struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload)


def tcp(number, source):
    return ip_frame(number, 6, struct.pack("!HHIIBBHHH", source, 9, 0, 0, 0x50, 0x10, 0, 0, 0))


def vxlan(number, source):
    return udp(number, 50000, 4789, struct.pack("!II", 0x08000000, 7 << 8) + udp(0, source, 9))


# What a driver's hash types tell apart: 24 flows of UDP, which the script has hashed with ports; of TCP, without; of
# UDP in one tunnel, which only a hash of inner headers does.
FLOWS = {kind: range(first, first + 24) for kind, first in (("udp", 100), ("tcp", 200), ("vxlan", 300))}


def send_flows(switch):
    """Twice: on a loaded machine who looks at them may not be there at once, or fall behind."""
    for _ in range(2):
        for number in FLOWS["udp"]:
            switch.inject(udp(number, 40000 + number, 9))
        for number in FLOWS["tcp"]:
            switch.inject(tcp(number, 40000 + number))
        for number in FLOWS["vxlan"]:
            switch.inject(vxlan(number, 40000 + number))
        time.sleep(0.5)
    switch.inject(named_frame("END"))


def flows_in(lines):
    """{kind: {number: (hash, queue)}} of the flows among rxhash's lines."""
    found = {kind: {} for kind in FLOWS}
    for line in lines:
        fields = line.split()
        frame = bytes.fromhex(fields[4]) if len(fields) == 5 and fields[0].isdigit() else b""
        if frame[12:14] == b"\x08\x00" and frame[26:30] == SOURCE:
            number = int.from_bytes(frame[18:20], "big")
            for kind, numbers in FLOWS.items():
                if number in numbers:
                    found[kind][number] = tuple(fields[1:3])
    return found


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


def properties_for(variant):
    """Linux takes draft 7's bit of hashes of inner headers for coalescing of single queues (NOTES.md)."""
    return "queues=4,rss=on,hash=on," + ("packed=on,hash-tunnel=draft-v7" if variant == "packed" else "notf_coal=on")


@case(kernels=(), needs_tap=True, variants=("", "packed"), inside=("sid",), only_long=("packed",))
def migration(test):
    """There and back, with a download and pings on their way: not an octet is wrong, no ping lost for good; each flow
    has the hash and the queue that it had, by the same table, types and tunnels; interrupts are held back as long."""
    net = "10.0.8" if test.variant else "10.0.9"
    switch = Switch(test.directory, "tapq" if test.variant else "tapm", f"{net}.2")
    times = 20 if test.long else 2
    properties, coalesces = properties_for(test.variant), not test.variant
    daemons = [test.daemon(switch.port(), properties) for _ in range(times + 1)]
    switch.start()
    stream = Stream(f"{net}.2")
    functions = f"""
# rtt NAME: of a few pings, min/avg/max
rtt() {{ vt "rtt.$1" "$(ping -i 0.1 -c 10 {net}.2 | sed -n 's/^round-trip.*= \\(.*\\) ms/\\1/p')"; }}
config() {{ {{ ethtool -x eth0; ethtool -n eth0 rx-flow-hash tcp4; ethtool -n eth0 rx-flow-hash udp4; ethtool -c eth0
    }} 2>&1 | vt_text "$1.config"; }}
"""
    script = FUNCTIONS.replace("WEB", "0") + functions + f"""
ip link set eth0 up; vt_wait_link eth0
ip address add {net}.15/24 dev eth0
ethtool -L eth0 combined 4; ethtool -K eth0 rxhash on
ethtool -X eth0 weight 1 2 3 4; ethtool -N eth0 rx-flow-hash tcp4 sd
{f"ethtool -C eth0 rx-usecs {HELD * 1000} rx-frames 16" if coalesces else ""}
ping -c 1 {net}.2 >/dev/null
config before
tell before
rtt before
wget -q -T 60 -O - http://{net}.2:{stream.port}/ | sha256sum | cut -d ' ' -f 1 >/tmp/sum & download=$!
ping -i 0.02 {net}.2 >/tmp/pings & pings=$!
nc -l -p 5005 </dev/null >/tmp/unread & reader=$!
until grep -q :138D /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done
kill -STOP $reader
vt_sync going
wait $download
kill -INT $pings; wait $pings
config after
tell after
rtt after
{"ethtool -C eth0 rx-usecs 0 rx-frames 0" if coalesces else ""}
rtt off
kill -CONT $reader
for _ in $(seq 100); do [ "$(wc -c </tmp/unread)" = {UNREAD} ] && break; sleep 0.05; done
vt sha.unread "$(sha256sum </tmp/unread | cut -d ' ' -f 1)"
vt sha.stream "$(cat /tmp/sum)"
tail -n 2 /tmp/pings | vt_text pings
"""
    cpus, digests = 2, []

    try:
        guest = test.guest(daemons[0], script, cpus=cpus, memory=MEMORY, timeout=900 if test.long else 300)
        guest.reach("before")
        send_flows(switch)
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
            guest.result.values.update(guest_before.result.values)
            guest_before.close()
            time.sleep(1.0)
        stream.enough = True
        guest.go("going")
        guest.reach("after")
        send_flows(switch)
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
    check_flows(test, flows_in(result.texts["before"]), flows_in(result.texts["after"]))
    rtt = {name: [float(value) for value in result.values[f"rtt.{name}"].split("/")]
           for name in ("before", "after", "off")}
    test.note(f"{test.full('')} pings, min, avg, max in ms: {rtt}")
    if coalesces:
        test.ok("coalescing, before and after", min(rtt["before"][1], rtt["after"][1]) > 0.8 * HELD, rtt)
        test.ok("none when it is switched off", rtt["off"][0] < 0.8 * HELD, rtt)


def check_flows(test, before, after):
    for kind in FLOWS:
        test.same(f"{kind}: all flows came, before", sorted(before[kind]), list(FLOWS[kind]))
        kinds = len(set(before[kind].values()))
        if kind == "udp" or kind == "vxlan" and test.variant == "packed":
            test.ok(f"{kind}: by hash in several queues", kinds > 8, before[kind])
        else:
            test.same(f"{kind}: one hash for all", kinds, 1)
        test.same(f"{kind}: hash and queue of each flow", after[kind], before[kind])


class Relay:
    """Between the source of a migration and its target: passes on what they send, and nothing more from the source
    once it has sent certain octets, or as many."""

    def __init__(self, path, target, until):
        self.reached = threading.Event()
        self.until, self.target = until, target
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.ends = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _back(self):
        with contextlib.suppress(OSError):
            while data := self.ends[1].recv(1 << 16):
                self.ends[0].sendall(data)

    def _run(self):
        self.ends.append(self.listener.accept()[0])
        self.ends.append(socket.socket(socket.AF_UNIX))
        with contextlib.suppress(OSError):
            self.ends[1].connect(self.target)
            threading.Thread(target=self._back, daemon=True).start()
            seen, count = b"", 0
            while data := self.ends[0].recv(1 << 16):
                before = seen[-16:]
                seen = before + data
                at = self.until - count if isinstance(self.until, int) else seen.find(self.until) - len(before)
                found = at <= len(data) if isinstance(self.until, int) else at >= -len(before)
                if found:
                    at += 0 if isinstance(self.until, int) else len(self.until)
                    self.ends[1].sendall(data[:max(at, 0)])
                    self.reached.set()
                    return
                self.ends[1].sendall(data)
                count += len(data)

    def close(self):
        self.listener.close()
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


# Where a migration is when one of the two dies: the octets of its stream that the target has got.
STAGES = {"setup": b"QEVM", "pre-copy": 1 << 20, "device state": b"VIONETST"}


class Journey:
    """A guest, and the QEMUs that it is to go to, all with what stands beside the device."""

    def __init__(self, test, properties, script, driver="vionet-pci", place=None, beside=()):
        self.test, self.properties, self.script = test, properties, script
        self.driver, self.place, self.beside = driver, place or {}, list(beside)
        self.daemons, self.wires = [], []
        self.guest = self.machine()

    def machine(self, *more, properties=None):
        """One more QEMU, at a wire of its own."""
        self.wires.append(self.test.wire())
        self.daemons.append(self.test.daemon(self.wires[-1].netdev, properties or self.properties))
        self.daemons[-1].driver = self.driver
        guest = self.test.guest(self.daemons[-1], self.script, properties=self.place, cpus=2, memory=MEMORY,
                                more_arguments=[*self.beside, *more])
        guest.wire, guest.daemon = self.wires[-1], self.daemons[-1]
        return guest

    def target(self, name, *more, **options):
        path = os.path.join(self.test.directory, name.replace(" ", "-"))
        target = self.machine("-incoming", f"unix:{path}", *more, **options)
        target.path = path
        return target

    def leave(self, path):
        self.guest.qmp("migrate-set-capabilities", capabilities=[{"capability": "return-path", "state": True}])
        self.guest.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 30})
        self.guest.qmp("migrate", uri=f"unix:{path}")

    def state(self):
        """How the migration ended."""
        until = time.monotonic() + 60
        while (state := self.guest.qmp("query-migrate")["status"]) not in ("completed", "failed") and \
                time.monotonic() < until:
            time.sleep(0.05)
        return state

    def goes(self, name):
        """The guest goes to a QEMU, and where it was is no more."""
        source, target = self.guest, self.target(name)
        source.wait("'frames' of the script", lambda: source.reached, 60)  # which it says to nobody else
        self.leave(target.path)
        self.test.same(f"{name}: the migration", self.state(), "completed")
        target.reached = source.reached
        source.close()
        self.guest = target

    def bury(self, target):
        """What a target that is to die says is no complaint."""
        target.close()
        self.test.daemons.remove(target.daemon)

    def hears(self, name):
        """The guest runs, and frames come to it."""
        test, guest = self.test, self.guest
        test.same(f"{name}: the guest runs", guest.qmp("query-status")["status"], "running")
        guest.reach("frames", 60)
        guest.wire.send(named_frame(name))
        guest.wire.send(named_frame("END"))
        guest.go("frames")
        guest.reach("heard", 60)
        test.ok(f"{name}: frames come", name in names_in(guest.result.texts["frames"]), guest.result.texts["frames"])
        guest.result.texts["frames"].clear()
        guest.go("heard")

    def relayed(self, name, target, stage):
        """A migration to a target that has got as far as a stage."""
        relay = Relay(target.path + ".relay", target.path, STAGES[stage])
        self.leave(target.path + ".relay")
        self.test.ok(f"{name}: it is as far as that", relay.reached.wait(60))
        return relay

    def target_dies(self, name, stage):
        target = self.target(name)
        relay = self.relayed(name, target, stage)
        target.process.kill()
        relay.close()
        self.test.same(f"{name}: the migration", self.state(), "failed")
        self.bury(target)
        self.hears(name)


JOURNEY = FUNCTIONS.replace("WEB", "0") + """
quiet
sysctl -q -w net.ipv4.conf.eth0.arp_notify=1
ip address add 10.0.2.15/24 dev eth0
ethtool -L eth0 combined 2
while :; do tell frames; vt_sync heard; done
"""


@case(kernels=(), inside=("sid",))
def migration_target_dies(test):
    """At every stage, and with one that has another device: the guest goes on where it was, and goes when it can. The
    source dies once it is there: the guest runs. And the same on the way back."""
    journey = Journey(test, "queues=2,rss=on,ctrl_vlan=on", JOURNEY)
    journey.hears("at first")
    for stage in STAGES:
        journey.target_dies(f"target dies, {stage}", stage)
    other = journey.target("another device", properties="queues=4,rss=on")
    journey.leave(other.path)
    test.same("another device: the migration", journey.state(), "failed")
    test.ok("another device: QEMU says why", "made with another max_pairs" in other.daemon.log(), other.daemon.log())
    journey.bury(other)
    journey.hears("another device")
    # All of it is there, and nobody has told it to run.
    target = journey.target("target dies, completed", "-S")
    journey.leave(target.path)
    test.same("target dies, completed: the migration", journey.state(), "completed")
    test.same("target dies, completed: the source stands", journey.guest.qmp("query-status")["status"], "postmigrate")
    journey.bury(target)
    journey.guest.qmp("cont")
    journey.hears("target dies, completed")
    journey.guest.wait("'frames' of the script", lambda: journey.guest.reached, 60)
    filters = journey.guest.qmp("query-rx-filter", name="nic0")
    journey.goes("source dies, completed")
    target = journey.guest
    arp = target.wire.wait(lambda frames: any(frame[12:14] == b"\x08\x06" for frame in frames), 20)
    test.ok("the driver announces itself where it is now", any(frame[12:14] == b"\x08\x06" for frame in arp), len(arp))
    test.same("query-rx-filter says there what it said", target.qmp("query-rx-filter", name="nic0"), filters)
    journey.hears("source dies, completed")
    for stage in STAGES:
        journey.target_dies(f"target dies on the way back, {stage}", stage)
    target.close()


@case(kernels=(), variants=("pre-copy", "device-state"), inside=("sid",), only_long=("pre-copy",))
def migration_source_dies(test):
    """The guest is gone with it; its target ends, and says why."""
    stage = test.variant.replace("device-", "device ")
    journey = Journey(test, "queues=2,rss=on", JOURNEY)
    journey.hears("at first")
    target = journey.target("target")
    relay = journey.relayed("the migration", target, stage)
    journey.guest.close()
    relay.close()
    target.wait_end(30)
    said = target.said()
    test.same("the target ends", target.process.returncode, 1)
    test.ok("and says why", "load of migration failed" in said, said)
    if stage == "device state":
        test.ok("in the device's words", "vionet: the state was cut off" in said, said)
    journey.bury(target)


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
