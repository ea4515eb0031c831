# SPDX-License-Identifier: BSD-3-Clause
#
# Captures about what stands around and inside tunnels of any type, and about frames cut short.
"""Nested tunnels, outer and inner packets, truncation."""

from layers import (C_TAG, Ether, Fragment, GPE, Geneve, IP4, IP6, Routing, VXLAN,
                    destination_options, geneve_options, home_option, hop_by_hop, padn)
from scene import (HOME, ROUTED, extension_kinds, fragments4, fragments6, gre, in_udp, inner,
                   ip4, ip6, outer4, outer6, tcp, theme, udp)


@theme("nested", """Tunnels in tunnels: one level is opened, and what is inside it is hashed as the
       plain packet that it is.""")
def nested(add):
    def level4(payload):
        return IP4("10.1.0.1", "10.1.0.2", payload)

    def level6(payload):
        return IP6("2001:db8:a::1", "2001:db8:a::2", payload)

    frame, packet = inner(ip4(tcp())), ip4(tcp())
    contents = (
        ("VXLAN", level4(in_udp(VXLAN(frame), 61000)), "UDPv4"),
        ("VXLAN over IPv6", level6(in_udp(VXLAN(frame), 61000)), "UDPv6"),
        ("GPE", level4(in_udp(GPE(packet, 1), 61000)), "UDPv4"),
        ("GENEVE", level6(in_udp(Geneve(frame), 61000)), "UDPv6"),
        ("GRE in UDP", level4(in_udp(gre(packet), 61000)), "UDPv4"),
        ("GRE", level4(gre(packet)), "IPv4"),
        ("GRE over IPv6", level6(gre(packet, "K")), "IPv6"),
        ("IPIP", level4(packet), "IPv4"),
        ("6in4", level4(ip6(tcp())), "IPv4"),
        ("6in6", level6(ip6(tcp())), "IPv6"))
    for name, content, report in contents:
        add(Ether(outer4(in_udp(VXLAN(inner(content))))), "VXLAN with " + name,
            "UDPv4 > vxlan > " + report)
        add(Ether(outer6(in_udp(Geneve(inner(content), options=geneve_options(3))))),
            "GENEVE with " + name, "UDPv6 > geneve > " + report)
        add(Ether(outer4(gre(inner(content), "K"))), "NVGRE with " + name,
            "IPv4 > gre,gre-2890,nvgre > " + report)
        if isinstance(content, IP4):
            add(Ether(outer4(gre(content))), "GRE with " + name, "IPv4 > gre,gre-2784 > " + report)
            add(Ether(outer4(content)), "IPIP with " + name, "IPv4 > ipip > " + report)
            add(Ether(outer6(content)), "4in6 with " + name, "IPv6")
        else:
            add(Ether(outer4(gre(content))), "GRE with " + name,
                "IPv4 > gre,gre-2784,gre-7676 > " + report)
            add(Ether(outer4(content)), "6in4 with " + name, "IPv4")
    deep = packet
    for _ in range(4):
        deep = level4(in_udp(VXLAN(inner(deep)), 61000))
    add(Ether(deep), "VXLAN four deep", "UDPv4 > vxlan > UDPv4")


@theme("tunnel-outer", """What the outer packet may have in front of the tunnel: IPv4 options, IPv6
       extension headers, and fragments, which are never recognised as tunnels.""")
def tunnel_outer(add):
    frame, packet = inner(ip4(tcp())), ip4(tcp())
    tunnels = (("VXLAN", in_udp(VXLAN(frame)), "vxlan", "vxlan"),
               ("GPE", in_udp(GPE(frame, 3)), "vxlan-gpe", "vxlan-gpe"),
               ("GENEVE", in_udp(Geneve(frame, options=geneve_options(1))), "geneve", "geneve"),
               ("GRE in UDP", in_udp(gre(packet)), "gre-udp", "gre-udp"),
               ("GRE", gre(packet), "gre,gre-2784", "gre,gre-7676"),
               ("NVGRE", gre(frame, "K"), "gre,gre-2890,nvgre", "gre,gre-2890,gre-7676,nvgre"))
    for name, tunnel, types4, types6 in tunnels:
        report = "UDPv%s" if tunnel.number == 17 else "IPv%s"
        for words in (1, 10):
            add(Ether(outer4(tunnel, options=b"\x01" * (4 * words))), "%s behind %d words of IPv4"
                " options" % (name, words), "%s > %s > TCPv4" % (report % 4, types4))
        for what, extension in extension_kinds():
            if name not in ("VXLAN", "GRE") and extension.number not in (0, 60):
                continue
            add(Ether(outer6(tunnel, extension)), "%s behind %s" % (name, what),
                "%s > %s > TCPv4" % (report % "6_EX", types6))
        add(Ether(outer6(tunnel, destination_options(padn(2), home_option(HOME)))),
            name + " behind a home address", "%s > %s > TCPv4" % (report % "6_EX", types6))
        add(Ether(outer4(tunnel, fragment=(0, True))), name + ", first outer fragment", "IPv4")
        add(Ether(outer4(tunnel, fragment=(64, False))), name + ", last outer fragment", "IPv4")
        add(Ether(outer6(tunnel, Fragment(0, True))), name + ", first outer IPv6 fragment",
            "IPv6_EX")
        add(Ether(outer6(tunnel, Fragment(64, False))), name + ", last outer IPv6 fragment",
            "IPv6_EX")
        add(Ether(outer4(tunnel, total=0)), name + ", outer total length 0",
            "%s > %s > TCPv4" % (report % 4, types4))
        add(Ether(outer6(tunnel, announced=0)), name + ", outer payload length 0",
            "%s > %s > TCPv4" % (report % 6, types6))
        add(Ether(outer4(tunnel), trailer=bytes(12)), name + ", outer trailer",
            "%s > %s > TCPv4" % (report % 4, types4))
    tunnel = in_udp(VXLAN(frame))
    for total, expect in ((28, "UDPv4"), (35, "UDPv4"), (36, "UDPv4 > vxlan > NONE"),
                          (69, "UDPv4 > vxlan > NONE"), (70, "UDPv4 > vxlan > IPv4"),
                          (89, "UDPv4 > vxlan > IPv4"), (90, "UDPv4 > vxlan > TCPv4")):
        add(Ether(outer4(tunnel, total=total)), "VXLAN, outer total length %d" % total, expect)


@theme("tunnel-inner", """What an inner packet may be: a fragment, with IPv4 options or IPv6 extension
       headers, with lengths that lie, or too short for its header.""")
def tunnel_inner(add):
    for name, packet, report in inner_contents():
        add(Ether(outer4(in_udp(VXLAN(inner(packet))))), "VXLAN, " + name,
            "UDPv4 > vxlan > " + report)
        add(Ether(outer6(in_udp(Geneve(packet, options=geneve_options(2))))), "GENEVE, " + name,
            "UDPv6 > geneve > " + report)
        add(Ether(outer4(gre(packet, "KS"))), "GRE, " + name,
            "IPv4 > gre,gre-2890%s > %s" % ("" if isinstance(packet, IP4) else ",gre-7676", report))


def inner_contents():
    """(name, packet, report) of inner packets out of the ordinary."""
    yield "IPv4 option", ip4(tcp(), options=b"\x94\x04\0\0"), "TCPv4"
    yield "IHL 15", ip4(udp(), options=b"\x01" * 40), "UDPv4"
    yield "IHL 3", ip4(udp(), ihl=3), "NONE"
    for place, part in zip(("first", "middle", "last"), fragments4(ip4(udp(bytes(40))), 16)):
        yield "IPv4, %s inner fragment" % place, part, "IPv4"
    for place, part in zip(("first", "middle", "last"), fragments6(ip6(udp(bytes(40))), 16)):
        yield "IPv6, %s inner fragment" % place, part, "IPv6_EX"
    yield "IPv4, total length 0", ip4(tcp(), total=0), "TCPv4"
    yield "IPv4, total length 12", ip4(tcp(), total=12), "IPv4"
    yield "IPv4, total length 39", ip4(tcp(), total=39), "IPv4"
    yield "IPv4, total length 2000", ip4(tcp(), total=2000), "TCPv4"
    yield "IPv4, 19 octets of TCP", ip4(tcp().cut(19)), "IPv4"
    yield "IPv4, 7 octets of UDP", ip4(udp().cut(7)), "IPv4"
    for name, extension in extension_kinds():
        yield "IPv6, " + name, ip6(tcp(), extension), "TCPv6_EX"
    yield "IPv6, home and routing address", ip6(udp(), Routing(2, 1, ROUTED), destination_options(
        padn(2), home_option(HOME))), "UDPv6_EX"
    yield "IPv6, header beyond the packet", ip6(udp(), hop_by_hop().claiming(90)), "IPv6_EX"
    yield "IPv6, ESP", ip6(bytes(24), protocol=50), "IPv6"
    yield "IPv6, payload length 0", ip6(tcp(), announced=0), "TCPv6"
    yield "IPv6, payload length 19", ip6(tcp(), announced=19), "IPv6"
    yield "IPv6, payload length 2000", ip6(tcp(), announced=2000), "TCPv6"


def add_cuts(add, frame, name, steps):
    """Every length of `frame`. `steps` has (from this length on, what the device sees)."""
    length = len(frame.octets())
    for octets in range(length + 1):
        expect = [words for start, words in steps if start <= octets][-1]
        add(frame.cut(octets), "%s, cut to %d of %d octets" % (name, octets, length), expect)


@theme("truncated-vxlan", "A VXLAN frame with IPv4 and TCP inside, cut to every length.")
def truncated_vxlan(add):
    frame = Ether(outer4(in_udp(VXLAN(inner(ip4(tcp(b"data")))))))
    add_cuts(add, frame, "VXLAN", (
        (0, "runt"), (14, "NONE"), (34, "IPv4"), (42, "UDPv4"), (50, "UDPv4 > vxlan > NONE"),
        (84, "UDPv4 > vxlan > IPv4"), (104, "UDPv4 > vxlan > TCPv4")))


@theme("truncated-ipv6", """A tagged IPv6 frame with a hop-by-hop, a type 2 routing and a destination
       options header with a home address in front of UDP, cut to every length.""")
def truncated_ipv6(add):
    frame = Ether(ip6(udp(b"data"), hop_by_hop(), Routing(2, 1, ROUTED),
                      destination_options(padn(2), home_option(HOME))), (C_TAG,))
    add_cuts(add, frame, "IPv6", ((0, "runt"), (14, "NONE"), (58, "IPv6_EX"), (122, "UDPv6_EX")))


@theme("truncated-geneve", """A GENEVE frame over IPv6 with three words of options and a tagged inner
       frame with IPv6 and UDP, cut to every length.""")
def truncated_geneve(add):
    frame = Ether(outer6(in_udp(Geneve(inner(ip6(udp(b"data")), tags=(C_TAG,)),
                                       options=geneve_options(3)))))
    add_cuts(add, frame, "GENEVE", (
        (0, "runt"), (14, "NONE"), (54, "IPv6"), (62, "UDPv6"), (82, "UDPv6 > geneve > NONE"),
        (140, "UDPv6 > geneve > IPv6"), (148, "UDPv6 > geneve > UDPv6")))
