# SPDX-License-Identifier: BSD-3-Clause
#
# Captures about fragments, IPv6 extension headers and the addresses of mobile IPv6.
"""Fragments and IPv6 extension headers."""

from layers import (Authentication, Ether, Extension, Fragment, ICMP, Missing, Option, PAD1,
                    Routing, address, destination_options, home_option, hop_by_hop, padn)
from scene import (HOME, HOST6, PEER6, ROUTED, extension_kinds, fragments4, fragments6, ip4,
                   ip6, tcp, theme, udp)


@theme("fragments", """Fragments: no fragment has ports, the first included, so that a datagram stays
       together. Atomic IPv6 fragments are whole packets.""")
def fragments(add):
    places = ("first", "middle", "last")
    for name, upper in (("UDP", udp(bytes(40))), ("TCP", tcp(bytes(28))), ("ICMP", ICMP(4, bytes(40)))):
        for place, part in zip(places, fragments4(ip4(upper), 16)):
            add(Ether(part), "IPv4 %s, %s fragment" % (name, place), "IPv4")
    for place, part in zip(places, fragments4(ip4(tcp(bytes(100))), 48)):
        add(Ether(part), "IPv4 TCP, %s fragment, the first with a whole header" % place, "IPv4")
    for place, part in zip(places, fragments4(ip4(udp(bytes(40)), options=b"\x94\x04\0\0"), 16)):
        add(Ether(part), "IPv4 with an option, %s fragment" % place, "IPv4")
    add(Ether(ip4(tcp(), fragment=(0, True), flags=0x4000)), "IPv4, DF and MF", "IPv4")
    add(Ether(ip4(tcp(), fragment=(65528, False))), "IPv4, greatest offset", "IPv4")
    add(Ether(ip4(b"", protocol=6, fragment=(8, True))), "IPv4, a fragment without payload", "IPv4")
    for name, upper in (("UDP", udp(bytes(40))), ("TCP", tcp(bytes(28)))):
        for place, part in zip(places, fragments6(ip6(upper), 16)):
            add(Ether(part), "IPv6 %s, %s fragment" % (name, place), "IPv6_EX")
    for place, part in zip(places, fragments6(ip6(tcp(bytes(100))), 48)):
        add(Ether(part), "IPv6 TCP, %s fragment, the first with a whole header" % place, "IPv6_EX")
    for place, part in zip(places, fragments6(ip6(udp(bytes(40))), 16, hop_by_hop())):
        add(Ether(part), "IPv6, hop-by-hop header, %s fragment" % place, "IPv6_EX")
    for place, part in zip(places, fragments6(ip6(udp(bytes(40))), 16,
                                              destination_options(padn(2), home_option(HOME)))):
        add(Ether(part), "IPv6, home address in front of the fragment header, %s" % place,
            "IPv6_EX", covers=(HOME, PEER6))
    for more in (False, True):
        add(Ether(ip6(tcp(), Fragment(0, more), destination_options(home_option(HOME)))),
            "IPv6, %s fragment, home address behind the fragment header"
            % ("first" if more else "atomic"), "IPv6_EX" if more else "TCPv6_EX",
            covers=(HOST6, PEER6) if more else (HOME, PEER6))
    for name, upper, report in (("UDP", udp(), "UDPv6_EX"), ("TCP", tcp(), "TCPv6_EX"),
                                ("ICMPv6", ICMP(6), "IPv6_EX")):
        add(Ether(ip6(upper, Fragment())), "IPv6 %s, atomic fragment" % name, report)
        add(Ether(ip6(upper, Fragment(noise=True))), "IPv6 %s, atomic, reserved bits set" % name,
            report)
        add(Ether(ip6(upper, hop_by_hop(), Fragment())), "IPv6 %s, hop-by-hop, atomic" % name,
            report)
    add(Ether(ip6(tcp(), Fragment(0, True, noise=True))), "IPv6, first, reserved bits set",
        "IPv6_EX")
    add(Ether(ip6(tcp(), Fragment(65528, False))), "IPv6, greatest offset", "IPv6_EX")
    add(Ether(ip6(b"\x3c" * 32, Fragment(8, True), protocol=60)),
        "IPv6, middle fragment that looks like options", "IPv6_EX")
    add(Ether(ip6(tcp(), Fragment(), Fragment(0, True))), "IPv6, atomic, then a first fragment",
        "IPv6_EX")
    frame = Ether(ip6(tcp(), Fragment()))
    for length in (54, 55, 61, 62):
        add(frame.cut(length), "IPv6, fragment header cut to %d octets" % (length - 54), "IPv6_EX")


@theme("ipv6-extensions", """IPv6 extension headers: each kind that is walked, chains of them,
       lengths that lie, headers that end the walk (ESP, no next header), and payload length zero.""")
def ipv6_extensions(add):
    uppers = (("TCP", tcp(), "TCPv6_EX"), ("UDP", udp(), "UDPv6_EX"), ("ICMPv6", ICMP(6), "IPv6_EX"))
    add(Ether(ip6(tcp())), "no extension header, TCP", "TCPv6")
    add(Ether(ip6(udp())), "no extension header, UDP", "UDPv6")
    add(Ether(ip6(ICMP(6))), "no extension header, ICMPv6", "IPv6")
    for name, extension in extension_kinds():
        for upper_name, upper, report in uppers:
            add(Ether(ip6(upper, extension)), "%s, %s" % (name, upper_name), report)
    every = [extension for _, extension in extension_kinds()]
    for upper_name, upper, report in uppers:
        add(Ether(ip6(upper, *every)), "every kind in one packet, " + upper_name, report)
        add(Ether(ip6(upper, *reversed(every))), "the same backwards, " + upper_name, report)
    ipv6_lengths(add)
    ipv6_ends(add)
    ipv6_lies(add)


def ipv6_lengths(add):
    for icv in (-4, 0, 4, 12, 16, 32, 64):
        add(Ether(ip6(tcp(), Authentication(icv))), "AH of %d octets" % (12 + icv), "TCPv6_EX")
    add(Ether(ip6(udp(), hop_by_hop(padn(254)))), "hop-by-hop header of 256 octets", "UDPv6_EX")
    add(Ether(ip6(tcp(), *[hop_by_hop()] * 24)), "24 hop-by-hop headers", "TCPv6_EX")
    add(Ether(ip6(tcp(), destination_options(), hop_by_hop())), "hop-by-hop header not in front",
        "TCPv6_EX")
    for name, packet, report in (
            ("TCP", ip6(tcp(), announced=0), "TCPv6"),
            ("jumbo payload option, TCP", ip6(tcp(), hop_by_hop(Option(0xc2, b"\0\x01\0\0")),
                                              announced=0), "TCPv6_EX"),
            ("ICMPv6", ip6(ICMP(6), announced=0), "IPv6")):
        add(Ether(packet), "payload length 0, " + name, report)
    for announced, report in ((1, "IPv6"), (19, "IPv6"), (20, "TCPv6"), (1000, "TCPv6"),
                              (65535, "TCPv6")):
        add(Ether(ip6(tcp(), announced=announced)), "payload length %d, TCP" % announced, report)
    for announced, report in ((1, "IPv6_EX"), (7, "IPv6_EX"), (8, "IPv6_EX"), (15, "IPv6_EX"),
                              (16, "UDPv6_EX"), (1000, "UDPv6_EX")):
        add(Ether(ip6(udp(), hop_by_hop(), announced=announced)),
            "payload length %d, hop-by-hop, UDP" % announced, report)
    add(Ether(ip6(udp(b""), announced=7), trailer=bytes(30)), "7 octets of UDP, then padding",
        "IPv6")
    for version in (0, 4, 5, 7, 15):
        add(Ether(ip6(tcp(), version=version)), "version %d" % version, "NONE")
    whole = Ether(ip6(tcp()))
    add(whole.cut(53), "fixed header cut one octet before its end", "NONE")
    add(whole.cut(54), "fixed header and nothing else", "IPv6")


def ipv6_ends(add):
    esp = b"\0\0\x10\x01\0\0\0\1" + bytes(range(32))
    add(Ether(ip6(esp, protocol=50)), "ESP alone", "IPv6")
    add(Ether(ip6(esp, hop_by_hop(), protocol=50)), "hop-by-hop, ESP", "IPv6_EX")
    add(Ether(ip6(b"", protocol=59)), "no next header", "IPv6")
    add(Ether(ip6(b"", hop_by_hop(), protocol=59)), "hop-by-hop, no next header", "IPv6_EX")
    add(Ether(ip6(tcp().octets(), protocol=59)), "no next header, yet octets behind", "IPv6")
    add(Ether(ip6(tcp().octets(), destination_options(), protocol=59)),
        "destination options, no next header, octets behind", "IPv6_EX")
    add(Ether(ip6(b"", Extension(135, bytes(14)), protocol=59)), "mobility message", "IPv6_EX")
    for number in (41, 132, 136, 253, 254, 255):
        data = ip6(tcp()).octets() if number == 41 else bytes(24)
        add(Ether(ip6(data, hop_by_hop(), protocol=number)), "hop-by-hop, next header %d" % number,
            "IPv6_EX")


def ipv6_lies(add):
    for number in (0, 43, 44, 51, 60, 135, 139, 140):
        add(Ether(ip6(b"", Missing(number), protocol=6)), "header %d announced, none there" % number,
            "IPv6_EX")
        add(Ether(ip6(b"", hop_by_hop(), Missing(number), protocol=6)),
            "hop-by-hop, then header %d announced, none there" % number, "IPv6_EX")
    for name, extension in extension_kinds():
        if extension.number == 44:
            continue
        add(Ether(ip6(tcp(), extension.claiming(255))), name + " with length field 255", "IPv6_EX")
    add(Ether(ip6(tcp(b""), hop_by_hop().claiming(3))), "a header that ends behind the TCP header",
        "IPv6_EX")
    for announced in (2, 7):
        add(Ether(ip6(tcp(), destination_options(), announced=announced)),
            "destination options cut to %d octets by the payload length" % announced, "IPv6_EX")


@theme("ipv6-mobility", """Home address options and type 2 routing headers: which addresses the *_EX
       types cover. The note names them; the addresses of the fixed header are 2001:db8:1::7 and
       2001:db8:2::9, the home address is 2001:db8:c::5, the routing address 2001:db8:d::6.""")
def ipv6_mobility(add):
    def show(note, *extensions, source=HOST6, destination=PEER6):
        """The extension headers with UDP and ICMPv6."""
        for name, upper, report in (("UDP", udp(), "UDPv6_EX"), ("ICMPv6", ICMP(6), "IPv6_EX")):
            add(Ether(ip6(upper, *extensions)), "%s, %s: %s, %s" % (note, name, source, destination),
                report, covers=(source, destination))

    home = destination_options(padn(2), home_option(HOME))
    routed = Routing(2, 1, ROUTED)
    show("home address", home, source=HOME)
    show("routing address", routed, destination=ROUTED)
    show("both", routed, home, source=HOME, destination=ROUTED)
    show("both, home address first", home, routed, source=HOME, destination=ROUTED)
    show("both behind hop-by-hop, atomic fragment last", hop_by_hop(), routed, home, Fragment(),
         source=HOME, destination=ROUTED)
    mobility_options(show)
    mobility_routing(show)
    mobility_cuts(add, home, routed)


def mobility_options(show):
    """Where the option stands in its header, and options that only look like it."""
    address_octets = address(HOME)
    for note, options in (
            ("without padding in front", (home_option(HOME),)),
            ("behind one Pad1", (PAD1, home_option(HOME))),
            ("behind four Pad1", (PAD1,) * 4 + (home_option(HOME),)),
            ("behind PadN of 2", (padn(2), home_option(HOME))),
            ("behind PadN of 8", (padn(8), home_option(HOME))),
            ("behind Pad1 and PadN", (PAD1, padn(3), PAD1, home_option(HOME))),
            ("behind another option", (Option(4, b"\1"), home_option(HOME))),
            ("behind an unknown option", (Option(0x1e, b"abcd"), home_option(HOME))),
            ("in front of another option", (home_option(HOME), Option(4, b"\1"))),
            ("behind one of length 8", (Option(0xc9, bytes(8)), home_option(HOME))),
            ("behind padding that holds its octets",
             (Option(1, b"\xc9\x10" + bytes(16)), home_option(HOME)))):
        show("home address " + note, destination_options(*options), source=HOME)
    for length in (0, 4, 15, 17, 20):
        show("option 0xc9 of length %d" % length,
             destination_options(Option(0xc9, (address_octets + bytes(4))[:length])))
    show("option 0xc9 that runs past its header", destination_options(
        padn(4), Option(0xc9, address_octets[:8], length=16)))
    show("padding that runs past its header", destination_options(
        Option(1, b"\0\0", length=40), Option(0xc9, address_octets)))
    show("option 0x49 with an address", destination_options(Option(0x49, address_octets)))
    show("home address option in a hop-by-hop header", hop_by_hop(padn(2), home_option(HOME)))
    show("home address in the second destination options header", destination_options(),
         destination_options(padn(2), home_option(HOME)), source=HOME)
    show("home address in a destination options header of 264 octets", destination_options(
        padn(240), home_option(HOME)), source=HOME)


def mobility_routing(show):
    """Routing headers that only look like the one of mobile IPv6."""
    for left in (0, 2, 3, 255):
        show("type 2 with segments left %d" % left, Routing(2, left, ROUTED))
    show("type 2 with length field 0", Routing(2, 1))
    show("type 2 with length field 1", Routing(2, 1, extra=bytes(8)))
    show("type 2 with length field 3", Routing(2, 1, ROUTED, extra=bytes(8)))
    show("type 2 with length field 4", Routing(2, 1, ROUTED, HOME))
    for kind in (0, 1, 3, 4, 253):
        show("type %d with one address and segments left 1" % kind, Routing(kind, 1, ROUTED))
    show("segment routing with two segments", Routing(4, 1, ROUTED, HOME))
    show("type 2 behind type 4", Routing(4, 1, HOME), Routing(2, 1, ROUTED), destination=ROUTED)


def mobility_cuts(add, home, routed):
    """Truncated headers add nothing; those in front of them still count."""
    for note, extensions, source, destination in (
            ("home address in a header that is truncated", (home.claiming(30),), HOST6, PEER6),
            ("routing, then a truncated header with a home address", (routed, home.claiming(30)),
             HOST6, ROUTED),
            ("home address, then a truncated header", (home, hop_by_hop().claiming(200)), HOME,
             PEER6),
            ("home address, then a header that is not there", (home, Missing(43)), HOME, PEER6)):
        payload = b"" if isinstance(extensions[-1], Missing) else tcp()
        add(Ether(ip6(payload, *extensions, protocol=6)), "%s: %s, %s" % (note, source, destination),
            "IPv6_EX", covers=(source, destination))
    frame = Ether(ip6(tcp(), routed, home))
    for length, source, destination in ((54, HOST6, PEER6), (70, HOST6, PEER6), (77, HOST6, PEER6),
                                        (78, HOST6, ROUTED), (100, HOST6, ROUTED),
                                        (101, HOST6, ROUTED), (102, HOME, ROUTED),
                                        (121, HOME, ROUTED)):
        add(frame.cut(length), "routing and home address cut to %d octets: %s, %s"
            % (length, source, destination), "IPv6_EX", covers=(source, destination))
    add(frame.cut(122), "routing and home address cut behind the TCP header: %s, %s"
        % (HOME, ROUTED), "TCPv6_EX", covers=(HOME, ROUTED))
