# SPDX-License-Identifier: BSD-3-Clause
#
# The scene that the captures are set in: who talks to whom, and short names for the packets that
# they exchange. Also the register of captures: a theme is a function that fills one capture by
# add(frame, note, seen). `seen` is written by hand for every packet: the report by the outer header,
# and for a recognised tunnel the types that it is and the report by the inner header ("UDPv4 > vxlan >
# TCPv4"); make.py compares those words with what the layers know.
"""Addresses, packets and the register of themes."""

from layers import (ARP, Authentication, C_TAG, Ether, Extension, Fragment, GRE, ICMP, IP4, IP6,
                    Option, Routing, S_TAG, TCP, UDP, destination_options, home_option,
                    hop_by_hop, mac, padded, padn)

THEMES, LARGE = [], []

# Hosts, tunnel end points, and the addresses of mobile hosts.
HOST4, PEER4 = "198.51.100.7", "203.0.113.9"
HOST6, PEER6 = "2001:db8:1::7", "2001:db8:2::9"
NEAR4, FAR4 = "192.0.2.1", "192.0.2.2"
NEAR6, FAR6 = "2001:db8:f::1", "2001:db8:f::2"
HOME, ROUTED = "2001:db8:c::5", "2001:db8:d::6"


def theme(name, text, themes=THEMES):
    """Enter a function that fills the capture `name`; `text` says what the capture shows."""
    def enter(function):
        themes.append((name, " ".join(text.split()), function))
        return function
    return enter


def large(name, text):
    """The same for a capture that is too big to be kept in this folder."""
    return theme(name, text, LARGE)


# ---- Building blocks ----------------------------------------------------------------------------

def tcp(data=b"tcp data", **rest):
    """A TCP segment to a web server."""
    return TCP(51000, 443, data, **rest)


def udp(data=b"udp data", **rest):
    """A UDP datagram to an echo server."""
    return UDP(52000, 7, data, **rest)


def ip4(payload, **rest):
    """IPv4 between the hosts."""
    return IP4(HOST4, PEER4, payload, **rest)


def ip6(payload, *extensions, **rest):
    """IPv6 between the hosts."""
    return IP6(HOST6, PEER6, payload, extensions=extensions, **rest)


def outer4(payload, **rest):
    """IPv4 between the tunnel end points."""
    return IP4(NEAR4, FAR4, payload, **rest)


def outer6(payload, *extensions, **rest):
    """IPv6 between the tunnel end points."""
    return IP6(NEAR6, FAR6, payload, extensions=extensions, **rest)


def inner(packet, **rest):
    """An inner Ethernet frame."""
    return Ether(packet, source=mac(0x11), destination=mac(0x22), **rest)


def inner_arp():
    """An inner ARP request, padded as on the wire."""
    return padded(inner(ARP(HOST4, PEER4, mac(0x11))))


def in_udp(tunnel, source=60000):
    """A tunnel header in UDP, sent to its port."""
    return UDP(source, None, tunnel)


OUTERS = (("IPv4", outer4, "v4"), ("IPv6", outer6, "v6"))
TAG_STACKS = ((), (C_TAG,), (S_TAG,), (S_TAG, C_TAG), (C_TAG, C_TAG), (S_TAG, S_TAG),
              (C_TAG, S_TAG))
TAG_STACKS_TOO_HIGH = ((C_TAG, C_TAG, C_TAG), (S_TAG, S_TAG, C_TAG), (S_TAG, C_TAG, C_TAG),
                       (S_TAG, S_TAG, S_TAG))


def tag_names(tags):
    """A stack of tags in words."""
    return " ".join("%#06x" % tag for tag in tags) or "untagged"


def fragments4(packet, size):
    """The fragments, of `size` octets of payload each, of an IPv4 packet."""
    source, destination = packet.source, packet.destination
    payload = packet.payload.octets(source + destination)
    for start in range(0, len(payload), size):
        more = start + size < len(payload)
        yield IP4(source, destination, payload[start:start + size], protocol=packet.protocol,
                  fragment=(start, more), ident=0x4242, options=packet.options)


def fragments6(packet, size, *first):
    """The fragments of an IPv6 packet; the headers `first` stand in front of the fragment header."""
    payload = packet.payload.octets(packet.source + packet.destination)
    for start in range(0, len(payload), size):
        more = start + size < len(payload)
        yield IP6(packet.source, packet.destination, payload[start:start + size],
                  protocol=packet.protocol, extensions=first + (Fragment(start, more),))


def extension_kinds():
    """(name, header) for each kind of extension header that is walked."""
    yield "hop-by-hop (0)", hop_by_hop(Option(5, b"\0\0"))
    yield "routing (43)", Routing(4, 0, PEER6)
    yield "fragment (44), atomic", Fragment()
    yield "authentication (51)", Authentication()
    yield "destination options (60)", destination_options(padn(6))
    yield "mobility (135)", Extension(135, bytes(14))
    yield "HIP (139)", Extension(139, bytes(38))
    yield "Shim6 (140)", Extension(140, bytes(6))


def gre(payload, words="", **rest):
    """GRE with the optional words named by the letters C, K and S."""
    return GRE(payload, checked="C" in words, key=0x00123456 if "K" in words else None,
               sequence=7 if "S" in words else None, **rest)


def inner_frames():
    """(name, inner frame, report) of the usual contents of an Ethernet tunnel."""
    for name, packet, report in (("IPv4 TCP", ip4(tcp()), "TCPv4"), ("IPv4 UDP", ip4(udp()), "UDPv4"),
                                 ("IPv4 ICMP", ip4(ICMP(4)), "IPv4"), ("IPv6 TCP", ip6(tcp()), "TCPv6"),
                                 ("IPv6 UDP", ip6(udp()), "UDPv6"),
                                 ("IPv6 ICMPv6", ip6(ICMP(6)), "IPv6"),
                                 ("IPv6 home address, UDP", ip6(udp(), destination_options(
                                     padn(2), home_option(HOME))), "UDPv6_EX")):
        yield name, inner(packet), report
    yield "ARP", inner_arp(), "NONE"
    yield "LLC", padded(inner(b"\x42\x42\x03" + bytes(35), ethertype=38)), "NONE"
    yield "IPv4 TCP, padded", padded(inner(ip4(tcp(b"")))), "TCPv4"
