# SPDX-License-Identifier: BSD-3-Clause
"""The cases about hashes: what the guest's kernel has for each packet of the captures, and in which queue, is
what vionet-replay says."""
import collections
import glob
import json
import os
import struct
import subprocess

from cases import FUNCTIONS
from host import bits_of
from suite import case

KEY = ("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
KEY2 = "".join(f"{(i * 37 + 11) & 255:02x}" for i in range(40))
# Linux asks for no hashes over addresses in IPv6 extension headers.
TYPES = ["ipv4", "tcpv4", "udpv4", "ipv6", "tcpv6", "udpv6"]
QUICK = ["microsoft-rss", "ipv4-header", "ipv6-extensions", "fragments", "vlan", "upper-headers", "sample-vxlan",
         "sample-gre", "vxlan", "geneve", "gre", "ip-in-ip", "nested", "tunnel-outer", "frame-sizes"]


def frames_of(path):
    """The packets of a classic pcap file."""
    with open(path, "rb") as file:
        data = file.read()
    frames, at = [], 24
    while at < len(data):
        length = struct.unpack_from("<IIII", data, at)[2]
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


def as_linux_shows(frame):
    """How long Linux's packet sockets see a frame: it takes a VLAN tag off. None if it shows none so short."""
    if len(frame) < 14:
        return None
    if frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
        return len(frame) - 4 if len(frame) >= 20 else None
    return len(frame)


def replayed(test, captures, dialect, key, types):
    """What vionet-replay has for each packet."""
    found = []
    for path in captures:
        lines = subprocess.run([test.suite.replay, "--dialect", dialect, "--key", key, "--hash-types",
                                ",".join(types), "--format", "ndjson", path],
                               check=True, capture_output=True, text=True).stdout
        found += [json.loads(line) for line in lines.splitlines()]
    return found


STEP = """
COMMANDS
ethtool -x eth0 | vt_text "table.NAME"
for flow in tcp4 udp4 tcp6 udp6; do
    vt "flow.NAME.$flow" "$(ethtool -n eth0 rx-flow-hash $flow | grep -c 'L4 bytes')"
done
: >/tmp/hashes
rxhash -n COUNT -t 10 eth0 >/tmp/hashes & watcher=$!
until grep -q ready /tmp/hashes; do sleep 0.02; done
vt_sync NAME
wait "$watcher"
cut -d ' ' -f 2-4 /tmp/hashes | vt_text "hashes.NAME"
"""


@case(variants=("off", "draft-v7", "draft-v10", "ratified", "queues-1", "packed"), inside=("sid",))
def rss(test):
    """Key, table and types of ethtool -X and -N; hash and queue of every packet of the captures. Linux knows no
    hashes of inner headers, so the ratified device gives it those of outer ones. The drafts are another matter:
    their feature bit, 52, is VQ_NOTF_COAL to Linux since 6.6, which so negotiates it unawares. It asks for all
    types of hashes that the device offers, with draft 7 for those of inner headers too, and gets them. To draft
    10 its commands are malformed, and it goes on without RSS."""
    check_hashes(test)


@case(kernels=("bookworm",), variants=("ratified", "draft-v7", "draft-v10", "queues-1", "packed"))
def rss_old(test):
    """The same with Linux 6.1, which sends the configuration in another way, and does not know bit 52. Today's
    ethtool cannot set its key and table (EINVAL by the kernel), so they are what the driver chose. It asks for all
    types that supported_hash_types shows; those of tunnels, which draft 7 has there, only a driver that accepted
    their feature sees. So with both drafts hashes are those of outer headers."""
    check_hashes(test)


def check_refused(test):
    """The device of draft 10 and a driver that took its feature for another."""
    test.expected_complaints = r"command 0x401 .*wrong length"
    daemon = test.daemon(test.wire().netdev, "queues=4,mq=on,rss=on,hash=on,hash-tunnel=draft-v10")
    with test.guest(daemon, FUNCTIONS + "vt_run features ethtool -k eth0; quiet\n"
                    "vt_test 'four queue pairs' ethtool -L eth0 combined 4\n") as guest:
        result = test.said(guest.finish())
    test.ok("Linux goes without hashes", "receive-hashing: off [fixed]" in result.text("features"),
            result.text("features"))


def check_hashes(test):
    dialect = test.variant if test.variant not in ("queues-1", "packed") else "off"
    old = test.kernel != "sid"
    if dialect == "draft-v10" and not old:
        check_refused(test)
        return
    names = sorted(os.path.basename(path)[:-5] for path in
                   glob.glob(os.path.join(test.root, "test/captures/*.pcap")))
    names = names if test.long or dialect == "ratified" and not old else QUICK
    captures = [os.path.join(test.root, "test/captures", name + ".pcap") for name in names]
    frames = [frame for path in captures for frame in frames_of(path)]
    shown = [as_linux_shows(frame) for frame in frames]
    count = sum(length is not None for length in shown)

    def colons(key):
        return ":".join(key[i:i + 2] for i in range(0, len(key), 2))

    if test.variant == "queues-1":
        properties, queues = "hash=on,ctrl_vlan=off", 1
        steps = [("default", "", None, TYPES, None)]
    else:
        properties, queues = f"queues=4,mq=on,rss=on,hash=on,ctrl_vlan=off,hash-tunnel={dialect}", 4
        steps = [
            ("default", "", None, TYPES, None),
            ("types", "ethtool -N eth0 rx-flow-hash udp4 sd; ethtool -N eth0 rx-flow-hash tcp6 sd", None,
             ["ipv4", "tcpv4", "ipv6", "udpv6"], None),
        ] if old else [
            ("key", f"ethtool -X eth0 hkey {colons(KEY)} equal 4", KEY, TYPES, 4),
            ("other-key", f"ethtool -X eth0 hkey {colons(KEY2)} equal 3", KEY2, TYPES, 3),
            ("types", "ethtool -N eth0 rx-flow-hash udp4 sd; ethtool -N eth0 rx-flow-hash tcp6 sd; "
             "ethtool -X eth0 weight 1 2 3 4", KEY2, ["ipv4", "tcpv4", "ipv6", "udpv6"], None),
        ]
    script = FUNCTIONS + f"""
quiet
ip link set eth0 promisc on
[ {queues} = 1 ] || ethtool -L eth0 combined {queues} || vt_fail queues refused
# Linux 6.1 tells the device of key and table now, not before.
ethtool -K eth0 gro off rxhash on || vt_fail rxhash refused
"""
    for name, commands, _, _, _ in steps:
        script += STEP.replace("COMMANDS", commands).replace("NAME", name).replace("COUNT", str(count))
    wire = test.wire()
    packed = ",packed=on" if test.variant == "packed" else ""
    daemon = test.daemon(wire.netdev, properties + packed)
    with test.guest(daemon, script, cpus=2) as guest:
        for name, *_ in steps:
            guest.reach(name)
            for frame in frames:
                if frame or not test.inside:  # QEMU takes an empty datagram for the end
                    wire.send(frame)
            guest.go(name)
        result = test.said(guest.finish())
    found = bits_of(result.values["features"])
    test.ok("HASH_REPORT is negotiated, and RSS", 57 in found and (queues == 1 or 60 in found), found)
    test.ok("RING_PACKED is negotiated if offered", (34 in found) == bool(packed), found)
    mistaken = not old and dialect == "draft-v7"
    test.ok("no feature of tunnels is negotiated, but for the one mistaken for another",
            found & {51, 52} == ({52} if mistaken else set()), found)
    for name, _, key, types, table_queues in steps:
        check_step(test, result, name, key, types, table_queues,
                   replayed(test, captures, "draft-v7" if mistaken else "off", key or shown_key(result, name),
                            types), shown)


def shown_key(result, name):
    return [line.strip().replace(":", "") for line in result.texts[f"table.{name}"] if line.count(":") > 30][0]


def check_step(test, result, name, key, types, table_queues, packets, shown):
    lines = result.texts[f"table.{name}"]
    table = [int(queue) for line in lines if line.count(":") == 1 and line.strip()[:1].isdigit()
             for queue in line.split(":")[1].split()]
    if key:
        test.same(f"{name}: ethtool -x shows the key", shown_key(result, name), key)
    if not table:  # one queue
        table = [0]
    if key is None:
        test.note(f"{test.full(name)}: the driver's own table, of queues {sorted(set(table))}")
    elif table_queues:
        test.same(f"{name}: ethtool -x shows the table", table, [i % table_queues for i in range(len(table))])
    else:
        test.ok(f"{name}: ethtool -x shows the table", set(table) == {0, 1, 2, 3}, table)
    for flow, kind in (("tcp4", "tcpv4"), ("udp4", "udpv4"), ("tcp6", "tcpv6"), ("udp6", "udpv6")):
        test.same(f"{name}: ethtool -n {flow}", result.values[f"flow.{name}.{flow}"] != "0", kind in types)
    expected = collections.defaultdict(list)
    for length, packet in zip(shown, packets):
        if length is not None:
            value = int(packet["hash"], 16) if packet["hash"] else 0
            queue = table[value % len(table)] if packet["hash"] else 0
            expected[queue].append(f"{value:08x} {queue} {length}")
    found = collections.defaultdict(list)
    for line in result.texts[f"hashes.{name}"]:
        fields = line.split()
        if len(fields) == 3 and len(fields[0]) == 8:
            found[fields[1] if fields[1] == "-" else int(fields[1])].append(line)
    n = sum(map(len, expected.values()))
    for queue in sorted(set(expected) | set(found), key=str):
        want, got = collections.Counter(expected[queue]), collections.Counter(found[queue])
        test.ok(f"{name}: hash and queue of {len(expected[queue])} of {n} packets, queue {queue}", want == got,
                f"{len(found[queue])} packets; hash, queue, length: vionet-replay "
                f"{list((want - got).elements())[:5]}, the guest {list((got - want).elements())[:5]}")
        # Order is promised within a flow, and what has no hash is none.
        flows = [collections.defaultdict(list) for _ in range(2)]
        for lines, by_hash in zip((expected[queue], found[queue]), flows):
            for line in lines:
                if not line.startswith("00000000 "):
                    by_hash[line.split()[0]].append(line)
        test.ok(f"{name}: the order in each flow of queue {queue}", flows[0] == flows[1],
                [(w, flows[1][h]) for h, w in flows[0].items() if flows[1][h] != w][:1])
