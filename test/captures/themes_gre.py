# SPDX-License-Identifier: BSD-3-Clause
#
# Captures about GRE and GRE in UDP, and about IP in IP.
"""Tunnels that stand right on IP."""

from layers import (ARP, Ether, ICMP, IP4, Option, TCP, UDP, destination_options, home_option,
                    padded, padn)
from scene import (HOME, HOST4, OUTERS, PEER4, fragments4, gre, in_udp, inner, inner_arp, ip4,
                   ip6, outer4, outer6, tcp, theme, udp)

# The types that a GRE header is, besides "gre": by its words, and by outer header / payload.
GRE_TABLE = """
    words  v4/IPv4  v4/IPv6    v4/Ethernet  v6/IPv4    v6/IPv6    v6/Ethernet
    -      2784     2784,7676  2784         7676       7676       7676
    C      2784     2784,7676  2784         7676       7676       7676
    K      2890     2890,7676  2890,nvgre   2890,7676  2890,7676  2890,7676,nvgre
    S      2890     2890,7676  2890         2890,7676  2890,7676  2890,7676
    CK     2890     2890,7676  2890         2890,7676  2890,7676  2890,7676
    CS     2890     2890,7676  2890         2890,7676  2890,7676  2890,7676
    KS     2890     2890,7676  2890         2890,7676  2890,7676  2890,7676
    CKS    2890     2890,7676  2890         2890,7676  2890,7676  2890,7676
"""


def gre_payloads():
    """Payloads by the names of GRE_TABLE, with the report by each."""
    return {"IPv4": (ip4(tcp()), "TCPv4"), "IPv6": (ip6(udp()), "UDPv6"),
            "Ethernet": (inner(ip4(udp())), "UDPv4")}


@theme("gre", """GRE: every combination of checksum, key and sequence number over both IP versions
       with IPv4, IPv6 and Ethernet inside, and which types each is: RFC 2784, 2890, 7676, NVGRE.""")
def gre_combinations(add):
    rows = [line.split() for line in GRE_TABLE.strip().splitlines()]
    outers = {"v4": outer4, "v6": outer6}
    for words, *cells in rows[1:]:
        for column, types in zip(rows[0][1:], cells):
            outer, payload = column.split("/")
            packet, report = gre_payloads()[payload]
            types = "gre," + types.replace("2", "gre-2").replace("7676", "gre-7676")
            add(Ether(outers[outer](gre(packet, words))), "GRE %s, %s" % (words, column),
                "IP%s > %s > %s" % (outer, types, report))


@theme("gre-payloads", """What GRE can carry, over IPv4 and IPv6: packets that get an inner hash and
       payloads that get none (ARP, MPLS, ERSPAN, versions that disagree with the protocol type).""")
def gre_payload_kinds(add):
    for name, outer, version in OUTERS:
        start = "IPv4 > gre,gre-2784 > " if version == "v4" else "IPv6 > gre,gre-7676 > "
        start6 = "IPv4 > gre,gre-2784,gre-7676 > " if version == "v4" else start
        for what, packet, report in (("TCP", ip4(tcp()), "TCPv4"), ("UDP", ip4(udp()), "UDPv4"),
                                     ("ICMP", ip4(ICMP(4)), "IPv4")):
            add(Ether(outer(gre(packet))), "%s GRE, IPv4 %s" % (name, what), start + report)
            add(Ether(outer(gre(inner(packet)))), "%s GRE, Ethernet, IPv4 %s" % (name, what),
                start + report)
        for what, packet, report in (("TCP", ip6(tcp()), "TCPv6"), ("UDP", ip6(udp()), "UDPv6"),
                                     ("ICMPv6", ip6(ICMP(6)), "IPv6"),
                                     ("home address", ip6(tcp(), destination_options(
                                         padn(2), home_option(HOME))), "TCPv6_EX")):
            add(Ether(outer(gre(packet))), "%s GRE, IPv6 %s" % (name, what), start6 + report)
            add(Ether(outer(gre(inner(packet)))), "%s GRE, Ethernet, IPv6 %s" % (name, what),
                start + report)
        packet4, packet6 = ip4(tcp()), ip6(tcp())
        for what, tunnel in (
                ("Ethernet, ARP", gre(inner_arp())),
                ("ARP", gre(ARP(HOST4, PEER4))),
                ("MPLS with IPv4", gre(b"\0\x01\x01\x40" + packet4.octets(), announced=0x8847)),
                ("ERSPAN type I", gre(inner(packet4).octets(), announced=0x88be)),
                ("NSH", gre(b"\x0f\xc6\x01\x01" + bytes(20), announced=0x894f)),
                ("a VLAN tag as protocol type", gre(b"\0\x64\x08\0" + packet4.octets(),
                                                    announced=0x8100)),
                ("protocol type 0", gre(packet4.octets(), announced=0)),
                ("protocol type 1", gre(packet4.octets(), announced=1)),
                ("keepalive: no payload", gre(b"", announced=0)),
                ("type IPv4, version 6", gre(packet6.octets(), announced=0x0800)),
                ("type IPv4, no payload", gre(b"", announced=0x0800)),
                ("type Ethernet, no payload", gre(b"", announced=0x6558))):
            add(Ether(outer(tunnel)), "%s GRE, %s" % (name, what), start + "NONE")
        for what, tunnel in (
                ("type IPv6, version 4", gre(packet4.octets(), announced=0x86dd)),
                ("type IPv6, no payload", gre(b"", announced=0x86dd))):
            add(Ether(outer(tunnel)), "%s GRE, %s" % (name, what), start6 + "NONE")
        nvgre = "IPv4 > gre,gre-2890,nvgre > " if version == "v4" else \
            "IPv6 > gre,gre-2890,gre-7676,nvgre > "
        add(Ether(outer(gre(inner_arp(), "K"))), name + " NVGRE, ARP", nvgre + "NONE")
        add(Ether(outer(gre(inner(ip6(tcp())), "K"))), name + " NVGRE, IPv6 TCP", nvgre + "TCPv6")
        erspan = gre(b"\x10\x64\0\x01\0\0\0\0" + inner(packet4).octets(), "S", announced=0x88be)
        add(Ether(outer(erspan)), name + " GRE, ERSPAN type II", "IPv4 > gre,gre-2890 > NONE"
            if version == "v4" else "IPv6 > gre,gre-2890,gre-7676 > NONE")


@theme("gre-malformed", """GRE headers that are not recognised and leave the packet to its outer header
       (routing bit, bits 4 and 5, versions, missing words), and reserved bits that do not matter.""")
def gre_malformed(add):
    for name, outer, version in OUTERS:
        bare = "IPv4" if version == "v4" else "IPv6"
        good = "IPv4 > gre,gre-2784 > TCPv4" if version == "v4" else "IPv6 > gre,gre-7676 > TCPv4"
        for bit in range(16):
            if bit in (0, 2, 3):                            # they announce words
                continue
            expect = good if 6 <= bit <= 12 else bare
            add(Ether(outer(gre(ip4(tcp()), flags=0x8000 >> bit))), "%s GRE, bit %d set"
                % (name, bit), expect)
        for number in (1, 2, 7):
            add(Ether(outer(gre(ip4(tcp()), "K", flags=number))), "%s GRE, version %d with a key"
                % (name, number), bare)
        pptp = b"\xff\x03\x00\x21" + ip4(tcp()).octets()
        add(Ether(outer(gre(pptp, "KS", announced=0x880b, flags=0x0001))), name + " PPTP", bare)
        add(Ether(outer(gre(ip4(tcp()), flags=0x03f8))), name + " GRE, all reserved bits", good)
        add(Ether(outer(b"", protocol=47)), name + " GRE, no octet of it", bare)
        for words in ("", "C", "K", "S", "CKS"):
            length = 4 + 4 * len(words)
            whole = gre(ip4(tcp()), words)
            if not words:
                types = "gre,gre-2784" if version == "v4" else "gre,gre-7676"
            elif words == "C":
                types = "gre,gre-2784" if version == "v4" else "gre,gre-7676"
            else:
                types = "gre,gre-2890" if version == "v4" else "gre,gre-2890,gre-7676"
            for cut in sorted({1, 2, 3, 4, length - 1, length}):
                expect = "%s > %s > NONE" % (bare, types) if cut == length else bare
                add(Ether(outer(whole.cut(cut))), "%s GRE %s, cut to %d of %d octets"
                    % (name, words or "-", cut, length), expect)


@theme("gre-in-udp", """GRE in UDP to port 4754 (RFC 8086): a tunnel for the ratified text only. Port
       4755 carries DTLS and is none.""")
def gre_in_udp(add):
    for name, outer, version in OUTERS:
        bare, good = "UDP" + version, "UDP%s > gre-udp > " % version
        for words in ("", "K", "CKS"):
            for what, (packet, report) in gre_payloads().items():
                add(Ether(outer(in_udp(gre(packet, words)))), "%s, GRE %s in UDP, %s"
                    % (name, words or "-", what), good + report)
        add(Ether(outer(in_udp(gre(inner_arp(), "K")))), name + ", NVGRE shape in UDP, ARP",
            good + "NONE")
        add(Ether(outer(in_udp(gre(b"", announced=0x8847)))), name + ", MPLS in GRE in UDP",
            good + "NONE")
        for what, flags in (("routing bit", 0x4000), ("bit 4", 0x0800), ("bit 5", 0x0400),
                            ("version 1", 1)):
            add(Ether(outer(in_udp(gre(ip4(tcp()), flags=flags)))), "%s, GRE in UDP, %s"
                % (name, what), bare)
        for length in (1, 3, 4, 7):
            add(Ether(outer(in_udp(gre(ip4(tcp()), "K").cut(length)))),
                "%s, GRE with a key in UDP, cut to %d octets" % (name, length), bare)
        add(Ether(outer(in_udp(gre(ip4(tcp()), "K").cut(8)))),
            name + ", GRE with a key in UDP, nothing behind it", good + "NONE")
        add(Ether(outer(UDP(60000, 4755, gre(ip4(tcp()))))), name + ", port 4755", bare)
        add(Ether(outer(UDP(4754, 60000, gre(ip4(tcp()))))), name + ", from port 4754", bare)
        add(Ether(outer(TCP(60000, 4754, gre(ip4(tcp())).octets()))), name + ", TCP to port 4754",
            "TCP" + version)
        add(Ether(outer(UDP(60000, 4754, b""))), name + ", port 4754, empty datagram", bare)


@theme("ip-in-ip", """IP in IP: only IPv4 in IPv4 is the IPIP of RFC 2003; 6in4, 4in6 and 6in6 are
       hashed by the outer header.""")
def ip_in_ip(add):
    good = "IPv4 > ipip > "
    for name, packet, report in (
            ("TCP", ip4(tcp()), "TCPv4"), ("UDP", ip4(udp()), "UDPv4"), ("ICMP", ip4(ICMP(4)), "IPv4"),
            ("TCP with options", ip4(tcp(), options=bytes(12)), "TCPv4"),
            ("first fragment", ip4(tcp(), fragment=(0, True)), "IPv4"),
            ("last fragment", ip4(bytes(24), protocol=17, fragment=(64, False)), "IPv4"),
            ("total length 0", ip4(tcp(), total=0), "TCPv4"),
            ("total length beyond the outer packet", ip4(udp(), total=900), "UDPv4"),
            ("IHL 4", ip4(tcp(), ihl=4), "NONE"),
            ("version 6", ip4(tcp(), version=6), "NONE"),
            ("an IPv6 packet", ip6(tcp()), "NONE"),
            ("version 5", ip4(tcp(), version=5), "NONE"),
            ("IPIP again", ip4(IP4("10.0.0.1", "10.0.0.2", tcp())), "IPv4")):
        add(Ether(outer4(packet, protocol=4)), "IPv4 in IPv4, inner " + name, good + report)
    for length, report in ((1, "NONE"), (19, "NONE"), (20, "IPv4"), (39, "IPv4"), (40, "TCPv4")):
        add(Ether(outer4(ip4(tcp()).cut(length))), "IPv4 in IPv4, %d octets of the inner packet"
            % length, good + report)
    add(Ether(outer4(b"", protocol=4)), "IPv4 in IPv4, nothing inside", good + "NONE")
    add(Ether(outer4(ip4(tcp()), total=20)), "IPv4 in IPv4, outer total length 20", good + "NONE")
    add(Ether(outer4(ip4(tcp()), total=10)), "IPv4 in IPv4, outer total length 10", good + "NONE")
    add(Ether(outer4(ip4(tcp()), total=50)), "IPv4 in IPv4, outer total length 50", good + "IPv4")
    add(Ether(outer4(ip4(tcp()), total=0)), "IPv4 in IPv4, outer total length 0", good + "TCPv4")
    add(padded(Ether(outer4(ip4(udp(b""))))), "IPv4 in IPv4, padded", good + "UDPv4")
    add(Ether(outer4(ip4(tcp()), options=b"\x94\x04\0\0")), "IPv4 in IPv4, outer option",
        good + "TCPv4")
    for name, upper in (("TCP", tcp()), ("UDP", udp())):
        add(Ether(outer4(ip6(upper))), "IPv6 in IPv4, " + name, "IPv4")
        add(Ether(outer6(ip4(upper))), "IPv4 in IPv6, " + name, "IPv6")
        add(Ether(outer6(ip6(upper))), "IPv6 in IPv6, " + name, "IPv6")
    limit = destination_options(Option(4, b"\x04"))
    add(Ether(outer6(ip4(tcp()), limit)), "IPv4 in IPv6, encapsulation limit", "IPv6_EX")
    add(Ether(outer6(ip6(tcp()), limit)), "IPv6 in IPv6, encapsulation limit", "IPv6_EX")
    add(Ether(outer4(ip4(tcp()).octets(), protocol=41)), "IPv4 under protocol 41", "IPv4")
    add(Ether(outer4(b"\x45" + bytes(30), protocol=94)), "IPv4, protocol 94", "IPv4")
    for place, part in zip(("first", "last"), fragments4(outer4(ip4(tcp())), 32)):
        add(Ether(part), "IPv4 in IPv4, %s outer fragment" % place, "IPv4")
