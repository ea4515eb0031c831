# SPDX-License-Identifier: BSD-3-Clause
"""The cases over vhost-user: QEMU has the PCI function and, with its own virtio-net, the control queue; the daemon
has the data path. It is killed and started again under the guest, and guests migrate."""
import collections
import contextlib
import fcntl
import hashlib
import http.server
import os
import re
import select
import socket
import struct
import threading
import time

from cases import BOTH, CYCLE, FUNCTIONS, OFFLOADS, OFFLOAD_BITS, Internet, get, on_off
from guest import GuestError
from host import CONTENT, DIGEST, MAC, bits_of, interface_up
from suite import case

QUEUES = ",queues=2,mq=on"


def net_device(path, server=False, queues=2):
    """QEMU's virtio-net, its data path at the socket."""
    how = "server=on,wait=off" if server else "reconnect-ms=100"
    return ["-chardev", f"socket,id=vhost,path={path},{how}",
            "-netdev", f"vhost-user,id=net,chardev=vhost,queues={queues}",
            {"driver": "virtio-net-pci", "netdev": "net", "mq": True, "romfile": "", "mac": MAC}]


def generic_device(path, pairs):
    """QEMU's device that passes everything on: configuration space, all queues."""
    return ["-chardev", f"socket,id=vhost,path={path}",
            {"driver": "vhost-user-test-device-pci", "chardev": "vhost", "virtio-id": 1,
             "num_vqs": 2 * pairs + 1, "vq_size": 256, "config_size": 64}]


@case(kernels=BOTH, quick=True)
def vhost(test):
    """Boots, gets an address, HTTP out and in, over one pair of queues and over two."""
    net = Internet()
    daemon = test.daemon(net.netdev, on_off(OFFLOADS) + QUEUES, protocol="vhost-user")
    script = net.script("""
vt_test "DHCP" vt_dhcp eth0
vt_test "ping" ping -c 3 10.0.2.2
fetch one; serve
vt_sync one
vt_test "two pairs" ethtool -L eth0 combined 2
fetch two
vt_sync two
ip link set eth0 promisc on; ip link set eth0 address 52:54:00:00:00:77
vt_dhcp eth0 >/dev/null; fetch moved
""")
    with test.guest(daemon, script, cpus=2, devices=net_device(daemon.path)) as guest:
        for name in ("one", "two"):
            guest.reach(name)
            test.ok(f"HTTP in through hostfwd, {name}", get(net.url) == CONTENT)
            guest.go(name)
        result = test.said(guest.finish())
    for name in ("one", "two", "moved"):
        test.same(f"HTTP out, {name}", result.values.get(f"sha.{name}"), DIGEST)
    bits = bits_of(result.values["features"])
    test.ok("the device's offloads are negotiated, and several queues", OFFLOAD_BITS | {22} <= bits,
            test.program.feature_names((OFFLOAD_BITS | {22}) - bits))


@case(variants=("server", "client"))
def vhost_again(test):
    """The daemon is killed and started again with frames on their way: the guest's driver knows nothing of it but
    that the link was down, and all its transfers are right. Either side may be the one that connects. The download
    that is under way as the daemon dies may be left without a peer, and who only receives never notices: it ends by
    force."""
    cycles = 10 if test.long else 3
    net = Internet()
    client = test.variant == "client"
    options = {"protocol": "vhost-user", "client": client}
    # As a client it is there first, and tries: QEMU does not begin without it.
    path = os.path.join(test.directory, "vhost.sock")
    daemon = test.daemon(net.netdev, on_off(OFFLOADS) + QUEUES, path=path, **options)
    script = "\nvt_dhcp eth0 >/dev/null && fetch first && ethtool -L eth0 combined 2\n"
    for i in range(cycles):
        script += f"""
ping -i 0.01 10.0.2.2 >/dev/null 2>&1 & pings=$!
wget -q -O /dev/null http://10.0.2.2:WEB/file & download=$!
vt_sync up{i}
for n in $(seq 200); do ping -c 1 -W 1 10.0.2.2 >/dev/null 2>&1 && break; sleep 0.05; done
kill $pings $download 2>/dev/null; wait $pings $download
fetch again{i}; serve
vt_sync in{i}
"""
    with test.guest(daemon, net.script(script), cpus=2, timeout=600, devices=net_device(path, client)) as guest:
        for i in range(cycles):
            guest.reach(f"up{i}", 120)
            daemon.kill()
            time.sleep(0.1)
            daemon = test.daemon(net.netdev, on_off(OFFLOADS) + QUEUES, path=path, **options)
            guest.go(f"up{i}")
            guest.reach(f"in{i}", 120)
            test.ok(f"a file from the guest after {i + 1} deaths", get(net.url) == CONTENT)
            guest.go(f"in{i}")
        result = test.said(guest.finish())
    for i in range(cycles):
        test.same(f"a file to the guest after {i + 1} deaths", result.values.get(f"sha.again{i}"), DIGEST)


def received(daemon):
    """Frames that the guest got by each queue pair, as the daemon counts."""
    queues = {queue["queue"]: queue.get("packets", 0) for queue in daemon.status()["device"]["queues"]}
    return [queues.get(2 * pair, 0) for pair in range(4)]


@case(variants=("plain", "rss"))
def vhost_generic(test):
    """QEMU's generic device has no idea of networks: configuration space and control queue are the daemon's, and the
    guest sets its filters, channels and, where it has RSS, table and key there."""
    pairs = 4 if test.variant == "rss" else 1
    net = Internet()
    properties = on_off(OFFLOADS) + (",queues=4,mq=on,rss=on,hash=on" if test.variant == "rss" else "")
    daemon = test.daemon(net.netdev, properties, protocol="vhost-user")
    script = CYCLE + """
vt mac "$(cat /sys/class/net/eth0/address)"
vt_test "promiscuous" ip link set eth0 promisc on
vt_test "an address of its own" ip link set eth0 address 52:54:00:00:00:77
fetch moved
""" + ("""
vt_test "channels" ethtool -L eth0 combined 4
vt_test "table" ethtool -X eth0 weight 0 0 1 0
vt_sync before
fetch rss
""" if test.variant == "rss" else "") + "vt_sync in"
    with test.guest(daemon, net.script(script), cpus=2, devices=generic_device(daemon.path, pairs)) as guest:
        if test.variant == "rss":
            guest.reach("before")
            before = received(daemon)
            guest.go("before")
        guest.reach("in")
        status, after = daemon.status(), received(daemon)
        test.ok("a file from the guest", get(net.url) == CONTENT)
        guest.go("in")
        result = test.said(guest.finish())
    for name in ("first", "moved"):
        test.same(f"a file to the guest, {name}", result.values.get(f"sha.{name}"), DIGEST)
    test.same("the configuration space is the daemon's", result.values.get("mac"), "52:54:00:12:34:56")
    test.ok("the control queue is the daemon's", "CTRL_VQ" in str(status["device"]["negotiated"]), status)
    if test.variant == "rss":
        test.same("a file to the guest by RSS", result.values.get("sha.rss"), DIGEST)
        came = [after[queue] - before[queue] for queue in range(4)]
        test.ok("it came by the queue of the table", came[2] > 10 and came[2] > 9 * (sum(came) - came[2]), came)


class Switch:
    """A TAP interface, and behind it the backends dgram of several daemons: what a guest sends shows where it is."""

    def __init__(self, directory, name, address):
        self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF
        interface_up(name, address)
        self.directory, self.ports, self.where = directory, [], None
        self.waiting = collections.deque()  # for the guest
        self.reached = set()
        self.closed = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def port(self):
        """Another daemon's --netdev."""
        name = os.path.join(self.directory, f"port{len(self.ports)}")
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        ours.bind(name + ".switch")
        self.ports.append((ours, name + ".device"))
        return (f"dgram,local.type=unix,local.path={name}.device,"
                f"remote.type=unix,remote.path={name}.switch")

    def start(self):
        self.thread.start()

    def inject(self, frame):
        """A frame for the guest, from nobody."""
        self.waiting.append(frame)

    def _reach(self, ours, theirs):
        """Once connected it can be told when there is room: the queue of such a socket is ten long."""
        if ours not in self.reached:
            ours.connect(theirs)
            self.reached.add(ours)

    def _from_guest(self, port):
        """What waits for the guest at another port is lost when it moves, as in any switch."""
        frame = port.recv(1 << 17)
        if self.where != port:
            self._reach(port, dict(self.ports)[port])
            self.where = port
            self.waiting.clear()
        os.write(self.tap, frame)

    def _to_guest(self):
        self.waiting.append(os.read(self.tap, 1 << 17))
        if not self.where:
            for ours, theirs in self.ports:
                with contextlib.suppress(OSError):  # who is not there yet
                    self._reach(ours, theirs)
                    ours.send(self.waiting[0])
            self.waiting.clear()

    def _run(self):
        while not self.closed:
            full = len(self.waiting) >= 1000
            readable, writable, _ = select.select([*([] if full else [self.tap]), *(ours for ours, _ in self.ports)],
                                                  [self.where] if self.waiting else [], [], 0.2)
            try:
                for port in writable:
                    while self.waiting:
                        port.send(self.waiting[0])
                        self.waiting.popleft()
            except OSError:
                pass  # no room, or nobody there any more
            for what in readable:
                try:
                    if what == self.tap:
                        self._to_guest()
                    else:
                        self._from_guest(what)
                except OSError:
                    pass  # a frame is lost, as on any wire

    def close(self):
        self.closed = True
        self.thread.join(5)
        os.close(self.tap)
        for ours, _ in self.ports:
            ours.close()


class Stream:
    """A web server whose file has no end until it is told: then its digest is known."""

    def __init__(self, address):
        stream = self
        self.digest, self.sent, self.enough = hashlib.sha256(), 0, False

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                while not stream.enough:
                    block = hashlib.shake_128(struct.pack("<Q", stream.sent)).digest(16384)
                    self.wfile.write(block)
                    stream.digest.update(block)
                    stream.sent += len(block)
                    time.sleep(0.004)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@case(needs_tap=True)
def vhost_migration(test):
    """A guest goes from one QEMU and daemon to others and back again, while it reads from a server and is pinged by
    itself: not an octet is wrong, and nothing is lost but time."""
    net = "10.0.9"
    switch = Switch(test.directory, "tapm", f"{net}.2")
    daemons = [test.daemon(switch.port(), "queues=2,mq=on", protocol="vhost-user") for _ in range(3)]
    switch.start()
    stream = Stream(f"{net}.2")
    script = FUNCTIONS.replace("WEB", "0") + f"""
ip link set eth0 up; vt_wait_link eth0
ip address add {net}.15/24 dev eth0
ethtool -L eth0 combined 2
wget -q -T 60 -O - http://{net}.2:{stream.port}/ | sha256sum | cut -d ' ' -f 1 >/tmp/sum & download=$!
ping -i 0.02 {net}.2 >/tmp/pings & pings=$!
vt_sync going
wait $download
kill -INT $pings; wait $pings
vt sha.stream "$(cat /tmp/sum)"
tail -n 2 /tmp/pings | vt_text pings
"""
    guests = []
    downtime = []
    try:
        guests.append(test.guest(daemons[0], script, cpus=2, devices=net_device(daemons[0].path)))
        guests[0].reach("going")
        time.sleep(1)
        for i in (1, 2):
            path = os.path.join(test.directory, f"migration{i}")
            to = test.guest(daemons[i], script, cpus=2,
                            devices=net_device(daemons[i].path) + ["-incoming", f"unix:{path}"])
            guests.append(to)
            before, begun = stream.sent, time.monotonic()
            guests[i - 1].qmp("migrate", uri=f"unix:{path}")
            until = time.monotonic() + 120
            while (state := guests[i - 1].qmp("query-migrate"))["status"] not in ("completed", "failed", "cancelled"):
                if time.monotonic() > until:
                    raise GuestError(f"the migration does not end: {state}")
                time.sleep(0.05)
            test.same(f"migration {i}", state["status"], "completed")
            downtime.append(state.get("downtime"))
            test.note(f"{test.full('')} migration {i}: {time.monotonic() - begun:.1f} s, down for "
                      f"{state.get('downtime')} ms, {(stream.sent - before) >> 10} KiB went meanwhile")
            guests[i - 1].close()
            time.sleep(1.5)
        stream.enough = True
        guests[2].go("going")
        result = test.said(guests[2].finish())
    finally:
        stream.enough = True
        for guest in guests:
            guest.close()
        switch.close()
    test.note(f"{test.full('')} {stream.sent >> 10} KiB, {result.text('pings')!r}")
    sent, came = map(int, re.match(r"(\d+) packets transmitted, (\d+) ", result.text("pings")).groups())
    test.ok("no ping is lost, but those on their way as it moves", sent > 100 and sent - came <= 5 * len(downtime),
            f"{came} of {sent}")
    test.ok("there was traffic", stream.sent > 1 << 20, stream.sent)
    test.same("every octet", result.values.get("sha.stream"), stream.digest.hexdigest())
