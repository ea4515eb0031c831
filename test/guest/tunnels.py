# SPDX-License-Identifier: BSD-3-Clause
"""The cases about UDP tunnels: two guests with VXLAN and GENEVE between them, whose segments the device, the host's
kernel or nobody but the guests make."""
import hashlib
import os
import re

from cases import FUNCTIONS, OFFLOADS, on_off
from host import bits_of, forward, interface_up
from suite import case

TUNNEL_OFFLOADS = ["host_tunnel", "host_tunnel_csum", "guest_tunnel", "guest_tunnel_csum"]
TUNNEL_BITS = {65, 66, 67, 68}
LINES = 400000
DIGEST = hashlib.sha256("".join(f"{i}\n" for i in range(1, LINES + 1)).encode()).hexdigest()

# The guest makes the file itself, and has the other's: both at the same time, so that each tunnel is busy both ways.
SCRIPT = """
ADDRESSES
modprobe vxlan; modprobe geneve
ip link add vxlan7 type vxlan id 7 remote PEER dstport 4789 noudpcsum
ip address add 192.168.7.ME/24 dev vxlan7
ip link add geneve8 type geneve id 8 remote GENEVE
ip address add fd08::ME/64 dev geneve8 nodad
ip link set vxlan7 up; ip link set geneve8 up
mkdir -p /tmp/www; seq LINES >/tmp/www/file; httpd -p 80 -h /tmp/www
# step NAME: a file through each tunnel; the other's has come too when it ends
step() {
    for tunnel in vxlan geneve; do
        [ "$tunnel" = vxlan ] && host=192.168.7.OTHER || host=[fd08::OTHER]
        vt_sync "$1.$tunnel"
        : >/tmp/file
        timeout 100 wget -q -T 20 -O /tmp/file "http://$host/file"
        vt "sha.$1.$tunnel" "$(sha256sum </tmp/file | cut -d ' ' -f 1)"
    done
    vt_sync "$1.end"
}
segments() { ethtool -K eth0 tx-udp_tnl-segmentation "$1" tx-udp_tnl-csum-segmentation "$1"; }
ethtool -k eth0 | grep udp_tnl | vt_text features
STEPS
# Packets with wrong lengths or checksums: TCP would have sent them again, whole.
vt errors "$(echo $(for table in snmp netstat; do
    awk '$1 in names { n = split(names[$1], name, " ")
                       for (i = 2; i <= n; i++) if (name[i] ~ /^In(HdrErrors|Errors|Errs|CsumErrors|TruncatedPkts)$/ && $i)
                           print name[i], $i
                       next }
         { names[$1] = $0 }' "/proc/net/$table"
done; awk '/In(HdrErrors|Errors|CsumErrors|TruncatedPkts)/ && $2' /proc/net/snmp6))"
""".replace("LINES", str(LINES))
# What is changed before a step, and whether the guests still give their device segments to make, and take packets
# of several.
STEPS = [("on", "", True, True),
         ("transmit-off", "vt_test 'segments by the guest' segments off", False, True),
         ("receive-off", "vt_test 'segments by the device' segments on\n"
          "vt_test 'no packets of several' ethtool -K eth0 rx-gro-hw off", True, False)]


def kernel_takes_tunnels():
    """Whether the host's TAP interfaces pass on packets to be segmented in tunnels: Linux 6.17 and later do."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(version[1]), int(version[2])) >= (6, 17)


def segmented(daemon):
    """Packets to be segmented that the device has had from the guest, and given it."""
    counts = {"transmit": 0, "receive": 0, "control": 0}
    for queue in daemon.status()["device"]["queues"]:
        counts[queue["kind"]] += queue.get("gso-packets", 0)
    return counts["transmit"], counts["receive"]


def script_for(me, net, steps):
    """Through TAP interfaces the host routes between two networks; a stream is one wire."""
    other = 3 - me
    if net:
        addresses = (f"quiet; ip address add 10.0.{net + me}.15/24 dev eth0\n"
                     f"ip route add default via 10.0.{net + me}.2\n")
        peer = f"10.0.{net + other}.15"
        geneve = f"{peer} udpcsum"
    else:
        addresses = ("ip link set eth0 up; vt_wait_link eth0\n"
                     f"ip address add 10.0.7.{me}/24 dev eth0; ip address add fd07::{me}/64 dev eth0 nodad\n")
        peer, geneve = f"10.0.7.{other}", f"fd07::{other}"
    text = SCRIPT
    for name, value in (("ADDRESSES", addresses), ("PEER", peer), ("GENEVE", geneve), ("ME", str(me)),
                        ("OTHER", str(other)),
                        ("STEPS", "\n".join(f"{command}\nstep {step}" for step, command, _, _ in steps))):
        text = text.replace(name, value)
    return FUNCTIONS + text


@case(variants=("tap", "tap-without", "stream"), needs_tap=True)
def udp_tunnels(test):
    """Files both ways inside VXLAN and GENEVE. Through TAP interfaces packets of several segments pass, if the
    host's kernel takes them; for a stream the device makes the segments; without the features the guests do."""
    net = {"tap": 20, "tap-without": 30, "stream": None}[test.variant]
    offered = test.variant != "tap-without"
    steps = STEPS if offered else STEPS[:1]
    if net:
        names = [f"tun{net + me}" for me in (1, 2)]
        netdevs = [f"tap,ifname={name},vnet_hdr=on" for name in names]
    else:
        path = os.path.join(test.directory, "wire")
        netdevs = [f"stream,server={value},addr.type=unix,addr.path={path}" for value in ("on", "off")]
    properties = on_off(OFFLOADS + (TUNNEL_OFFLOADS if offered else []))
    daemons = [test.daemon(netdev, f"{properties},mac=52:54:00:00:00:0{me}")
               for me, netdev in enumerate(netdevs, 1)]
    for me, name in enumerate(names if net else [], 1):
        interface_up(name, f"10.0.{net + me}.2")
    if net and not forward():
        test.skip("all of it", "forwarding in the host's network namespace")
        return
    counts = []
    with test.guest(daemons[0], script_for(1, net, steps)) as first, \
            test.guest(daemons[1], script_for(2, net, steps)) as second:
        for name in [f"{step}.{at}" for step, *_ in steps for at in ("vxlan", "geneve", "end")]:
            for guest in (first, second):
                guest.reach(name)
            counts.append([segmented(daemon) for daemon in daemons])
            refused = {verdict: count for daemon in daemons for verdict, count in
                       daemon.status()["device"]["verdicts"].items() if verdict in ("offload", "malformed")}
            test.same(f"before {name}: no frame was refused for its offloads", refused, {})
            for guest in (first, second):
                guest.go(name)
        results = [test.said(guest.finish()) for guest in (first, second)]
    if net and not kernel_takes_tunnels():
        test.skip("packets of several segments through TAP interfaces", "Linux 6.17 or later on the host")
    for me, result in enumerate(results):
        check_guest(test, f"guest {me + 1}", result, steps, [count[me] for count in counts])


def check_guest(test, who, result, steps, counts):
    offered = test.variant != "tap-without"
    through = test.variant == "tap" and kernel_takes_tunnels()
    bits = bits_of(result.values["features"])
    test.same(f"{who}: the features of tunnels", bits & TUNNEL_BITS, TUNNEL_BITS if offered else set())
    for feature in ("tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"):
        test.ok(f"{who}: ethtool has {feature}",
                f"{feature}: {'on' if offered else 'off [fixed]'}" in result.text("features"), result.text("features"))
    test.same(f"{who}: packets that are wrong", result.values.get("errors"), "")
    transfers = [(f"{step}, {tunnel}", f"sha.{step}.{tunnel}", sends, takes, 3 * i + k)
                 for i, (step, _, sends, takes) in enumerate(steps) for k, tunnel in enumerate(("vxlan", "geneve"))]
    for name, digest, sends, takes, at in transfers:
        before, after = counts[at:at + 2]
        sent, taken = after[0] - before[0], after[1] - before[1]
        test.same(f"{who}: {name}: the other's file", result.values.get(digest), DIGEST)
        test.ok(f"{who}: {name}: the device {'has' if offered and sends else 'has no'} segments to make",
                (sent > 0) == (offered and sends), f"{sent} packets")
        if sends or not takes:
            test.ok(f"{who}: {name}: packets of several segments {'come' if through and takes else 'do not come'}",
                    (taken > 0) == (through and takes), f"{taken} packets")
