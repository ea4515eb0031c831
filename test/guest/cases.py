# SPDX-License-Identifier: BSD-3-Clause
"""The cases of the guest suite with Linux guests. Each boots as few guests as it can: a boot is 3 seconds of
processor time."""
import re
import socket
import struct
import subprocess
import time
import urllib.request

from guest import packet
from host import (CONTENT, DIGEST, EXPERIMENTAL, MAC, OTHER, Web, bits_of, free_port, interface_up, named_frame, names_in)
from suite import case

BOTH = ("sid", "bookworm")

# What every script begins with.
FUNCTIONS = """
vt kernel "$(uname -r)"
vt features "$(cat /sys/bus/virtio/devices/virtio0/features)"
# fetch NAME: the host's file, and its digest
fetch() {
    wget -q -T 60 -O /tmp/file "http://10.0.2.2:WEB/file"
    vt "sha.$1" "$(sha256sum </tmp/file | cut -d ' ' -f 1)"
}
serve() { mkdir -p /tmp/www && cp /tmp/file /tmp/www/file && httpd -p 80 -h /tmp/www; }
quiet() { sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1; ip link set eth0 up; vt_wait_link eth0; }
interrupts() { awk -v what="virtio0-$1" '$NF == what { for (i = 2; i <= 1 + CPUS; i++) n += $i } END { print n + 0 }' \\
    CPUS="$(nproc)" /proc/interrupts; }
# tell NAME: lets the host send, until it sends the frame that says END; the frames that came are NAME's text.
tell() {
    : >/tmp/seen  # the last one's is ready already
    rxhash -t 300 eth0 >/tmp/seen 2>&1 & watcher=$!
    until grep -q ready /tmp/seen; do sleep 0.02; done
    vt_sync "$1"
    for _ in $(seq 1200); do
        ! grep -q 454e442e /tmp/seen || break
        sleep 0.05
    done
    kill "$watcher"; wait "$watcher"
    vt_text "$1" </tmp/seen
}
"""


class Internet:
    """A web server here and ways in, for guests on the backend user."""

    def __init__(self):
        self.web, self.port, self.into = Web(), free_port(), free_port()
        self.netdev = (f"user,hostfwd=tcp:127.0.0.1:{self.port}-:80,"
                       f"hostfwd=tcp:127.0.0.1:{self.into}-:5001")
        self.url = f"http://127.0.0.1:{self.port}/file"

    def script(self, text):
        return (FUNCTIONS + text).replace("WEB", str(self.web.port))


def get(url):
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.read()


def on_off(names, value="on"):
    return ",".join(f"{name}={value}" for name in names)


# Everything that Linux knows and that is off by default; what the backend makes of it is its business.
OFFLOADS = ["csum", "guest_csum", "ctrl_guest_offloads", "host_tso4", "host_tso6", "host_ecn", "guest_tso4",
            "guest_tso6", "guest_ecn", "host_uso", "guest_uso4", "guest_uso6"]
OFFLOAD_BITS = {0, 1, 2, 7, 8, 9, 11, 12, 13}
USO_BITS = {54, 55, 56}
# Bits of the device's defaults that Linux knows: MAC, MRG_RXBUF, STATUS, CTRL_VQ, CTRL_RX, CTRL_VLAN,
# GUEST_ANNOUNCE, CTRL_MAC_ADDR, INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_RESET
DEFAULT_BITS = {5, 15, 16, 17, 18, 19, 21, 23, 28, 29, 32, 40}


def end_served(test, guest, net, name):
    """The guest serves a file, which is the point of that name, and ends; what it said."""
    guest.reach("served")
    test.ok(name, get(net.url) == CONTENT)
    guest.go("served")
    return test.said(guest.finish())


@case(kernels=BOTH, quick=True, inside=BOTH)
def basic(test):
    """Boots, negotiates what is offered, gets an address, HTTP out and in, ping."""
    net = Internet()
    daemon = test.daemon(net.netdev, on_off(OFFLOADS))
    with test.guest(daemon, net.script("""
vt_test "DHCP" vt_dhcp eth0
vt address "$(ip -o -4 address show eth0 | sed 's/.*inet \\([^ ]*\\).*/\\1/')"
vt mac "$(cat /sys/class/net/eth0/address)"
vt_test "ping" ping -c 3 10.0.2.2
fetch out
serve
vt_sync served
""")) as guest:
        result = end_served(test, guest, net, "HTTP in through hostfwd")
    test.note(f"{result.values['kernel']}: first line of the script after {result.cpu:.1f} s of processor time")
    test.same("the address that the backend gives", result.values.get("address"), "10.0.2.15/24")
    test.same("HTTP out", result.values.get("sha.out"), DIGEST)
    test.same("the device's MAC address", result.values.get("mac"), "52:54:00:12:34:56")
    expected = DEFAULT_BITS | OFFLOAD_BITS | (USO_BITS if test.kernel == "sid" else set())
    bits = bits_of(result.values["features"])
    test.ok("all features that it knows are negotiated", bits == expected,
            f"missing {test.program.feature_names(expected - bits)}\n"
            f"besides {test.program.feature_names(bits - expected)}")


@case(kernels=(), inside=("sid",), variants=("on", "off"))
def ioeventfd(test):
    """Notifications as ioeventfds, which there are none of under TCG unless told to, and as accesses: HTTP out and in."""
    net = Internet()
    daemon = test.daemon(net.netdev, f"ioeventfd={test.variant}")
    with test.guest(daemon, net.script("""
vt_test "DHCP" vt_dhcp eth0
fetch out
serve
vt_sync served
""")) as guest:
        result = end_served(test, guest, net, "HTTP in through hostfwd")
    test.same("HTTP out", result.values.get("sha.out"), DIGEST)


SAYS_2 = b"\xb8\x02\x00\x00\x00\xc3"  # mov $2, %eax; ret


@case(kernels=(), inside=("sid",))
def code_is_received(test):
    """The guest runs code that a frame overwrites, and asks the device nothing in between: TCG's translation of what was
    there is not to be run again."""
    wire = test.wire()
    daemon = test.daemon(wire.netdev)
    with test.guest(daemon, """
address=$(basename "$(readlink -f /sys/bus/virtio/devices/virtio0/..)")
echo "$address" >/sys/bus/pci/drivers/virtio-pci/unbind
codepage "$address" >/tmp/said 2>&1 &
until grep -q . /tmp/said && ! pidof codepage || grep -q ready /tmp/said; do sleep 0.05; done
vt_sync ready
wait
vt said "$(echo $(cat /tmp/said))"
""") as guest:
        guest.reach("ready")
        guest.go("ready")
        wire.send(packet(MAC, OTHER, EXPERIMENTAL, b"").ljust(64, b"\0") + SAYS_2)
        test.same("what the code says before and behind the frame", test.said(guest.finish()).values.get("said"), "1 ready 2")


# The settings of ethtool -K, one after the other; each is followed by a file in both directions.
TOGGLES = ["tx off", "tx on", "tso off", "tso on", "tx-udp-segmentation off", "tx-udp-segmentation on",
           "rx-gro-hw off", "rx-gro-hw on", "gso off", "gso on", "gro off", "gro on", "sg off", "sg on"]
TOGGLE = """
ethtool -K eth0 SETTING >/tmp/out 2>&1; vt "status.NAME" "$?: $(head -n 1 /tmp/out)"
vt "shown.NAME" "$(ethtool -k eth0 | sed -n 's/^[[:space:]]*FEATURE: //p' | head -n 1)"
fetch NAME
vt_sync NAME
"""
LONG_NAMES = {"tx": "tx-checksumming", "tso": "tcp-segmentation-offload", "gso": "generic-segmentation-offload",
              "gro": "generic-receive-offload", "sg": "scatter-gather"}


def toggle_script(toggles):
    text = ""
    for setting in toggles:
        feature = setting.split()[0]
        text += TOGGLE.replace("SETTING", setting).replace("NAME", setting.replace(" ", ".")).replace(
            "FEATURE", LONG_NAMES.get(feature, feature))
    return text


def toggles_for(test):
    # Linux 6.1 knows neither USO of virtio-net nor a way to switch it.
    return [setting for setting in TOGGLES if test.kernel == "sid" or "udp" not in setting]


def check_toggles(test, guest, url, toggles):
    """The host's part of toggle_script; the digests that the script sent are looked at afterwards."""
    for setting in toggles:
        name = setting.replace(" ", ".")
        guest.reach(name)
        test.ok(f"{setting}: a file from the guest", get(url) == CONTENT)
        guest.go(name)


def check_toggled(test, result, toggles):
    for setting in toggles:
        name = setting.replace(" ", ".")
        feature, value = setting.split()
        test.same(f"{setting}: a file to the guest", result.values.get(f"sha.{name}"), DIGEST)
        shown = result.values.get(f"shown.{name}", "")
        test.ok(f"{setting}: takes effect", shown.split(" ")[0] == value,
                f"{feature} is {shown!r}, {result.values.get(f'status.{name}')!r}")


@case(kernels=BOTH, inside=("sid",))
def offloads_user(test):
    """Every offload that ethtool sets, off and on, where the daemon segments for the backend."""
    net, toggles = Internet(), toggles_for(test)
    daemon = test.daemon(net.netdev, on_off(OFFLOADS))
    with test.guest(daemon, net.script("vt_dhcp eth0; fetch first; serve\n" + toggle_script(toggles))) as guest:
        check_toggles(test, guest, net.url, toggles)
        result = test.said(guest.finish())
    check_toggled(test, result, toggles)


@case(kernels=BOTH, needs_tap=True, inside=("sid",))
def offloads_tap(test):
    """The same through a TAP interface, which takes and gives unfinished frames; USO; jumbo frames."""
    toggles, name = toggles_for(test), "tap" + test.kernel[:1]
    net = "10.0.3" if test.kernel == "sid" else "10.0.4"
    features = OFFLOADS if test.kernel == "sid" else [f for f in OFFLOADS if "uso" not in f]
    daemon = test.daemon(f"tap,ifname={name},vnet_hdr=on", on_off(features) + ",host_mtu=9000")
    interface_up(name, f"{net}.2", mtu=9000)
    web = Web(f"{net}.2")
    script = """
ip link set eth0 up; vt_wait_link eth0
ip address add 10.0.2.15/24 dev eth0
vt mtu "$(cat /sys/class/net/eth0/mtu)"
fetch jumbo; serve
vt_sync jumbo
ip link set eth0 mtu 1500
""" + toggle_script(toggles) + """
traffic udp-listen 5003 4 >/tmp/udp &
until grep -q :138B /proc/net/udp; do sleep 0.05; done
vt_sync down
wait
vt segments.down "$(cut -d ' ' -f 1 /tmp/udp)"
ethtool -K eth0 rx-gro-hw off
traffic udp-listen 5003 4 >/tmp/udp &
until grep -q :138B /proc/net/udp; do sleep 0.05; done
vt_sync down-off
wait
vt segments.down-off "$(cut -d ' ' -f 1 /tmp/udp)"
traffic udp-segments 10.0.2.2 SINK 4 14000 1400
vt_sync up
ethtool -K eth0 tx-udp-segmentation off
traffic udp-segments 10.0.2.2 SINK 4 14000 1400
vt_sync up-off
"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((f"{net}.2", 0))
        sink.settimeout(10)
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        script = (FUNCTIONS + script).replace("WEB", str(web.port)).replace(
            "SINK", str(sink.getsockname()[1])).replace("10.0.2.", net + ".")

        # So few that the receiver's buffer holds them, should it be slow.
        def segments_down(guest, name):
            guest.reach(name)
            subprocess.run([f"{test.cache}/bin/traffic", "udp-segments", f"{net}.15", "5003", "4", "14000",
                            "1400"], check=True, stdout=subprocess.DEVNULL)
            guest.go(name)

        def segments_up(guest, name):
            guest.reach(name)
            guest.go(name)
            lengths = []
            try:
                while len(lengths) < 40:
                    lengths.append(len(sink.recv(65536)))
            except TimeoutError:
                pass
            test.same(f"segments of UDP from the guest, {name}", lengths, [1400] * 40)

        with test.guest(daemon, script) as guest:
            guest.reach("jumbo")
            test.ok("MTU 9000: a file from the guest", get(f"http://{net}.15/file") == CONTENT)
            guest.go("jumbo")
            check_toggles(test, guest, f"http://{net}.15/file", toggles)
            segments_down(guest, "down")
            segments_down(guest, "down-off")
            segments_up(guest, "up")
            segments_up(guest, "up-off")
            result = test.said(guest.finish())
    check_toggled(test, result, toggles)
    test.same("the MTU that the device tells", result.values.get("mtu"), "9000")
    test.same("MTU 9000: a file to the guest", result.values.get("sha.jumbo"), DIGEST)
    for name in ("down", "down-off"):
        test.same(f"segments of UDP to the guest, {name}", result.values.get(f"segments.{name}"), "40")


# Frames for the filter: name, destination, VLAN.
NEW_MAC, VLAN_MAC = "52:54:00:aa:bb:cc", "52:54:00:aa:bb:dd"
PROBES = [("own", MAC, None), ("foreign", "02:00:00:00:00:99", None), ("group", "01:00:5e:01:02:03", None),
          ("group2", "33:33:00:00:12:34", None), ("all", "ff:ff:ff:ff:ff:ff", None), ("new", NEW_MAC, None),
          ("second", VLAN_MAC, None), ("vlan5", MAC, 5), ("vlan6", MAC, 6)]


@case(kernels=BOTH, inside=("sid",))
def filter_frames(test):
    """Receive modes, MAC table, VLAN filter, the MAC address, jumbo frames, one by one."""
    steps = [
        ("at first", "", {"own", "all"}),
        ("a group joined", "ip maddr add 01:00:5e:01:02:03 dev eth0", {"own", "all", "group"}),
        ("allmulti", "ip link set eth0 allmulticast on", {"own", "all", "group", "group2"}),
        ("allmulti off", "ip link set eth0 allmulticast off; ip maddr del 01:00:5e:01:02:03 dev eth0",
         {"own", "all"}),
        ("VLAN 5", "modprobe 8021q; ip link add link eth0 name v5 type vlan id 5; "
         "sysctl -q -w net.ipv6.conf.v5.disable_ipv6=1; ip link set v5 up", {"own", "all", "vlan5"}),
        ("a second unicast address", f"ip link set v5 address {VLAN_MAC}", {"own", "all", "vlan5", "second"}),
        ("VLAN 5 removed", "ip link del v5", {"own", "all"}),
        ("promisc", "ip link set eth0 promisc on",
         {"own", "all", "foreign", "group", "group2", "new", "second", "vlan5", "vlan6"}),
        ("promisc off", "ip link set eth0 promisc off", {"own", "all"}),
        ("another MAC address", f"ip link set eth0 address {NEW_MAC}", {"new", "all"}),
    ]
    wire = test.wire()
    daemon = test.daemon(wire.netdev, "host_mtu=9000")
    script = FUNCTIONS + "quiet; vt mtu $(cat /sys/class/net/eth0/mtu)\n"
    for i, (_, command, _) in enumerate(steps):
        script += f"{command}\ntell step{i}\n"
    script += """
ip address add 10.0.2.15/24 dev eth0
ip neighbour add 10.0.2.2 lladdr 02:00:00:00:00:02 dev eth0
traffic udp-send 10.0.2.2 9 5 8972 >/dev/null
vt_sync jumbo
"""
    with test.guest(daemon, script) as guest:
        for i in range(len(steps)):
            guest.reach(f"step{i}")
            for probe in PROBES:
                wire.send(named_frame(*probe))
            wire.send(named_frame("jumbo", NEW_MAC if i == len(steps) - 1 else MAC, length=9014))
            wire.send(named_frame("END", "ff:ff:ff:ff:ff:ff"))
            guest.go(f"step{i}")
        wire.took()
        guest.reach("jumbo")
        guest.go("jumbo")
        frames = wire.wait(lambda frames: sum(len(frame) == 9014 for frame in frames) >= 5)
        result = test.said(guest.finish())
    for i, (name, _, expected) in enumerate(steps):
        lines = result.texts[f"step{i}"]
        test.same(name, sorted(names_in(lines)), sorted(expected | {"jumbo", "END"}))
    test.ok("a jumbo frame to the guest", any(line.split()[3:4] == ["9014"] for line in lines), lines[-5:])
    test.same("jumbo frames from the guest", sum(len(frame) == 9014 for frame in frames), 5)
    test.same("the MTU that the device tells", result.values.get("mtu"), "9000")


def paced(wire, count, seconds):
    """Sends count frames to the guest, evenly over a time that does not shrink on a busy machine."""
    frame, begun = named_frame("stream"), time.monotonic()
    for i in range(count):
        wire.send(frame)
        time.sleep(max(0.0, begun + (i + 1) * seconds / count - time.monotonic()))
    return time.monotonic() - begun


@case(inside=("sid",))
def coalescing(test):
    """ethtool -C changes how often the device interrupts: of all queues, of one, across a resize."""
    wire = test.wire()
    daemon = test.daemon(wire.netdev, "notf_coal=on,vq_notf_coal=on,queues=2,mq=on,ctrl_mac_addr=on")
    steps = [
        ("none", ""),
        ("usecs", "ethtool -C eth0 rx-usecs 100000 rx-frames 10000"),
        ("resized", "ethtool -G eth0 rx 128"),
        ("frames", "ethtool -C eth0 rx-usecs 1000000 rx-frames 10"),
        ("off", "ethtool -C eth0 rx-usecs 0 rx-frames 0"),
        ("other-queue", "ethtool --per-queue eth0 queue_mask 0x2 --coalesce rx-usecs 100000 rx-frames 10000"),
        ("this-queue", "ethtool --per-queue eth0 queue_mask 0x1 --coalesce rx-usecs 100000 rx-frames 10000"),
    ]
    script = FUNCTIONS + "quiet; ethtool -L eth0 combined 2\n"
    for name, command in steps:
        script += f"""
{command}
vt "status.{name}" "$?"
before=$(interrupts input.0)
vt_sync {name}
sleep 0.3
vt "count.{name}" "$(($(interrupts input.0) - before))"
"""
    script += """
ethtool -c eth0 | vt_text shown
ethtool --per-queue eth0 queue_mask 0x3 --show-coalesce | vt_text shown-each
for what in none usecs; do
    [ "$what" = none ] || ethtool -C eth0 tx-usecs 20000 tx-frames 64 || vt_fail tx-usecs refused
    before=$(interrupts output.0)
    vt_pktgen pktgen eth0 2000 60 "delay 200000"
    vt "sent.$what" "$(($(interrupts output.0) - before))"
done
"""
    sent = 1000
    with test.guest(daemon, script, cpus=2) as guest:
        seconds = {}
        for name, _ in steps:
            guest.reach(name)
            seconds[name] = paced(wire, sent, 1.0)
            guest.go(name)
        result = test.said(guest.finish())
    count = {name: int(result.values[f"count.{name}"]) for name, _ in steps}
    test.note("interrupts for %d frames: " % sent + ", ".join(f"{name} {n}" for name, n in count.items()) +
              "; for 2000 from pktgen: " + ", ".join(result.values[f"sent.{n}"] for n in ("none", "usecs")))
    for name, command in steps:
        test.ok(f"{name}: taken", result.values[f"status.{name}"] == "0", command)
    often = count["none"] / 4
    test.ok("an interrupt for a good part of the frames without", count["none"] > 150, count)
    for name in ("usecs", "resized", "this-queue"):
        limit = seconds[name] / 0.1 * 1.2 + 5
        test.ok(f"{name}: one in 100 ms at most", 3 <= count[name] <= limit, f"{count}, limit {limit}")
    test.ok("frames: one in 10 frames", sent / 10 * 0.3 <= count["frames"] <= sent / 10 * 1.3, count)
    for name in ("off", "other-queue"):
        test.ok(f"{name}: as without", count[name] > often, count)
    without, coalesced = int(result.values["sent.none"]), int(result.values["sent.usecs"])
    test.ok("transmitting: fewer interrupts", 0 < coalesced < without / 3, f"{without} without, {coalesced}")
    test.ok("ethtool -c shows it", "tx-usecs:\t20000" in result.text("shown-each") or
            "rx-usecs: 100000" in result.text("shown-each"), result.text("shown-each"))


@case(inside=("sid",))
def device_stats(test):
    """The device's own counters, by ethtool -S, are what was sent."""
    wire = test.wire()
    daemon = test.daemon(wire.netdev, "device_stats=on")
    script = FUNCTIONS + """
quiet
vt_pktgen pktgen eth0 1000 60 "burst 1"
tell rx
ethtool -S eth0 | vt_text stats
"""
    with test.guest(daemon, script) as guest:
        guest.reach("rx")
        for _ in range(300):
            wire.send(named_frame("stream", length=100))
        wire.send(named_frame("END"))
        guest.go("rx")
        result = test.said(guest.finish())
    stats = dict(re.findall(r"(\w+): (\d+)", result.text("stats")))
    test.ok("there are counters of the device", "rx0_hw_packets" in stats, result.text("stats"))
    for name, expected in (("rx0_hw_packets", 301), ("rx0_hw_bytes", 300 * 100 + 60),
                           ("tx0_hw_packets", 1000), ("tx0_hw_bytes", 60000)):
        test.same(name, stats.get(name), str(expected))
    test.ok("commands counted", int(stats.get("cq_hw_command_num", 0)) > 0 and
            stats.get("cq_hw_command_num") == stats.get("cq_hw_ok_num"), stats)


CYCLE = """
vt_dhcp eth0 >/dev/null && fetch first && serve
"""


@case(kernels=BOTH, inside=("sid",))
def ring_reset(test):
    """ethtool -G, at rest and with traffic."""
    net = Internet()
    daemon = test.daemon(net.netdev, on_off(OFFLOADS) + ",rx_queue_size=1024,tx_queue_size=1024")
    script = CYCLE
    sizes = [64, 1024, 128, 512, 256, 1024]
    for size in sizes:
        script += f"vt_test 'rings of {size}' ethtool -G eth0 rx {size} tx {size}; fetch {size}\n"
    script += """
vt shown "$(ethtool -g eth0 | grep '^[RT]X:' | tr -s '\t\n' ' ')"
wget -q -O /tmp/during http://10.0.2.2:WEB/file & download=$!
for size in 128 256 512 1024 128 256 512 1024; do ethtool -G eth0 rx $size tx $size || vt_fail during $size; done
wait $download
vt sha.during "$(sha256sum </tmp/during | cut -d ' ' -f 1)"
"""
    with test.guest(daemon, net.script(script)) as guest:
        result = test.said(guest.finish())
    for size in ["first", *sizes, "during"]:
        test.same(f"a file, {size}", result.values.get(f"sha.{size}"), DIGEST)
    test.same("ethtool -g", result.values.get("shown"), "RX: 1024 TX: 1024 RX: 1024 TX: 1024 ")


@case(variants=("in-order", "notification-data", "vectors-0", "vectors-2", "event-idx-off", "mrg-rxbuf-off",
                "indirect-off", "ctrl-vq-off", "all"), inside=("sid",))
def transport(test):
    """What the transport can be: files in both directions with each."""
    net = Internet()
    properties, bits = {
        "in-order": ("in_order=on", {35}),
        "notification-data": ("notification_data=on", {38}),
        "vectors-0": ("vectors=0", set()),
        "vectors-2": ("vectors=2", set()),
        "event-idx-off": ("event_idx=off", set()),
        "mrg-rxbuf-off": ("mrg_rxbuf=off," + on_off(OFFLOADS), set()),
        "indirect-off": ("indirect_desc=off", set()),
        "ctrl-vq-off": (on_off(["ctrl_vq", "ctrl_rx", "ctrl_vlan", "ctrl_rx_extra", "guest_announce",
                                "ctrl_mac_addr"], "off"), set()),
        "all": (on_off(OFFLOADS + ["in_order", "notification_data"]), {35, 38}),
    }[test.variant]
    daemon = test.daemon(net.netdev, properties)
    with test.guest(daemon, net.script("vt_test DHCP vt_dhcp eth0; fetch out; serve; vt_sync served\n"
                                       "grep virtio /proc/interrupts | vt_text interrupts")) as guest:
        result = end_served(test, guest, net, "a file from the guest")
    test.same("a file to the guest", result.values.get("sha.out"), DIGEST)
    found = bits_of(result.values["features"])
    test.ok("the feature is negotiated", bits <= found, found)
    interrupts = result.text("interrupts")
    lines = len(result.texts["interrupts"])
    if test.variant == "vectors-0":
        test.ok("one interrupt, INTx", "IO-APIC" in interrupts and "MSI" not in interrupts and lines == 1,
                interrupts)
    elif test.variant == "vectors-2":
        test.ok("two interrupts, MSI-X", "MSI" in interrupts and lines == 2, interrupts)


@case(kernels=BOTH, variants=("alone", "vectors-0", "mrg-rxbuf-off", "offloads", "transitional"), inside=("sid",),
      not_inside=("alone", "vectors-0", "mrg-rxbuf-off", "offloads"))
def legacy(test):
    """The legacy interface: files in both directions; and the modern one of the same function."""
    net = Internet()
    properties = {
        "alone": "disable-modern=on",
        "vectors-0": "disable-modern=on,vectors=0",
        "mrg-rxbuf-off": "disable-modern=on,mrg_rxbuf=off",  # a header of 10 octets
        "offloads": "disable-modern=on," + on_off(OFFLOADS),
        "transitional": "disable-modern=off",
    }[test.variant]
    daemon = test.daemon(net.netdev, "disable-legacy=off," + properties)
    with test.guest(daemon, net.script("""
vt ids "$(cat /sys/class/net/eth0/device/../device /sys/class/net/eth0/device/../revision | tr '\n' ' ')"
vt_test "DHCP" vt_dhcp eth0
vt_test "ping" ping -c 3 10.0.2.2
vt_test "a receive mode" ip link set eth0 allmulticast on
vt_test "the interface down and up" ip link set eth0 down
ip link set eth0 up; vt_test "DHCP again" vt_dhcp eth0
fetch out
serve
vt_sync served
""")) as guest:
        result = end_served(test, guest, net, "a file from the guest")
    test.same("a file to the guest", result.values.get("sha.out"), DIGEST)
    test.same("device and revision", result.values.get("ids"), "0x1000 0x00 ")
    expected = DEFAULT_BITS
    if test.variant != "transitional":
        expected = DEFAULT_BITS - {32, 40} | {27}
    if test.variant == "offloads":
        expected = expected | OFFLOAD_BITS
    elif test.variant == "mrg-rxbuf-off":
        expected = expected - {15}
    bits = bits_of(result.values["features"])
    test.ok("the features are negotiated", expected <= bits,
            f"missing {test.program.feature_names(expected - bits)}")
    test.same("features above bit 31", max(bits) > 31, test.variant == "transitional")


@case(kernels=BOTH, variants=("alone", "in-order", "event-idx-off", "indirect-off", "all"), inside=("sid",))
def packed(test):
    """Packed rings: files in both directions, twice, with rings of another size in between."""
    net = Internet()
    properties, bits = {
        "alone": ("", set()),
        "in-order": (",in_order=on", {35}),
        "event-idx-off": (",event_idx=off", set()),
        "indirect-off": (",indirect_desc=off", set()),
        "all": ("," + on_off(OFFLOADS + ["in_order", "notification_data", "mq"]) + ",queues=2", {35, 38}),
    }[test.variant]
    daemon = test.daemon(net.netdev, "packed=on" + properties)
    with test.guest(daemon, net.script("""
vt_test "DHCP" vt_dhcp eth0
fetch out
serve
vt_sync served
vt_test "rings of 64" ethtool -G eth0 rx 64 tx 64
fetch small
vt_sync small
""")) as guest:
        for step in ("served", "small"):
            guest.reach(step)
            test.ok(f"a file from the guest, {step}", get(net.url) == CONTENT)
            guest.go(step)
        result = test.said(guest.finish())
    for name in ("out", "small"):
        test.same(f"a file to the guest, {name}", result.values.get(f"sha.{name}"), DIGEST)
    # Linux 6.1 knows neither IN_ORDER nor NOTIFICATION_DATA.
    expected = {34} | (bits if test.kernel == "sid" else set())
    found = bits_of(result.values["features"])
    test.ok("the features are negotiated", expected <= found, found)


@case(variants=("loopback", "mq"), inside=("sid",), not_inside=("loopback",))
def queues(test):
    """Several queue pairs: ethtool -L, traffic with each number, frames in every queue."""
    if test.variant == "loopback":
        daemon = test.daemon("loopback", "queues=4,mq=on")
        script = FUNCTIONS + """
quiet
vt_run max ethtool -l eth0
for n in 1 2 3 4 2; do
    vt_test "ethtool -L combined $n" ethtool -L eth0 combined $n
    vt "now.$n" "$(ethtool -l eth0 | sed -n 's/^Combined:[[:space:]]*//p' | tail -n 1)"
    before=$(cat /sys/class/net/eth0/statistics/rx_packets)
    ip link set eth0 promisc on
    vt_pktgen "p$n" eth0 200 60 "burst 1" "delay 20000"
    sleep 0.2
    vt "came.$n" "$(($(cat /sys/class/net/eth0/statistics/rx_packets) - before))"
done
vt_test "ethtool -L combined 5 is refused" eval '! ethtool -L eth0 combined 5'
"""
        with test.guest(daemon, script, cpus=2) as guest:
            result = test.said(guest.finish())
        for n in (1, 2, 3, 4):
            test.same(f"{n} queue pairs in use", result.values.get(f"now.{n}"), str(n))
            test.ok(f"{n} queue pairs: frames come back", int(result.values.get(f"came.{n}", 0)) >= 200,
                    result.values.get(f"came.{n}"))
        return
    net = Internet()
    daemon = test.daemon(net.netdev, "queues=4,mq=on," + on_off(OFFLOADS))
    script = CYCLE
    for n in (4, 1, 3, 2):
        script += f"ethtool -L eth0 combined {n} || vt_fail {n} refused; fetch {n}; vt_sync {n}\n"
    with test.guest(daemon, net.script(script + "grep virtio /proc/interrupts | vt_text interrupts"),
                    cpus=2) as guest:
        for n in (4, 1, 3, 2):
            guest.reach(str(n))
            test.ok(f"{n} queue pairs: a file from the guest", get(net.url) == CONTENT)
            guest.go(str(n))
        result = test.said(guest.finish())
    for n in (4, 1, 3, 2):
        test.same(f"{n} queue pairs: a file to the guest", result.values.get(f"sha.{n}"), DIGEST)
    test.ok("MQ is negotiated", 22 in bits_of(result.values["features"]))
