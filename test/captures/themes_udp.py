# SPDX-License-Identifier: BSD-3-Clause
#
# Captures about VXLAN, VXLAN-GPE and GENEVE.
"""Tunnels in UDP."""

from layers import ARP, Ether, GPE, Geneve, TCP, UDP, VXLAN, geneve_options
from scene import HOST4, OUTERS, PEER4, in_udp, inner, inner_frames, ip4, ip6, tcp, theme, udp


def reserved_udp_lengths(add, name, outer, tunnel, expect):
    """The UDP length field is not looked at."""
    for length in (0, 8, 15, 65535):
        add(Ether(outer(UDP(60000, None, tunnel, udp_length=length))), "%s, UDP length field %d"
            % (name, length), expect)


@theme("vxlan", """VXLAN over IPv4 and IPv6 with everything usual inside; reserved bits, a clear I
       flag, other ports, headers and inner frames cut short.""")
def vxlan(add):
    for name, outer, version in OUTERS:
        name, bare, good = name + " VXLAN", "UDP" + version, "UDP%s > vxlan > " % version
        for what, frame, report in inner_frames():
            add(Ether(outer(in_udp(VXLAN(frame)))), "%s, %s" % (name, what), good + report)
        frame = inner(ip4(tcp()))
        for flags in (0x00, 0x04, 0xf7):
            add(Ether(outer(in_udp(VXLAN(frame, flags=flags)))), "%s, flags 0x%02x: I clear"
                % (name, flags), bare)
        for flags in (0x0c, 0x38, 0x88, 0xff):
            add(Ether(outer(in_udp(VXLAN(frame, flags=flags, reserved=0xffffff)))),
                "%s, flags 0x%02x, reserved octets set" % (name, flags), good + "TCPv4")
        add(Ether(outer(in_udp(VXLAN(frame, vni=0xffffff)))), name + ", greatest VNI", good + "TCPv4")
        reserved_udp_lengths(add, name, outer, VXLAN(frame), good + "TCPv4")
        for port in (8472, 4788, 4791):
            add(Ether(outer(UDP(60000, port, VXLAN(frame)))), "%s to port %d" % (name, port), bare)
        add(Ether(outer(UDP(4789, 60000, VXLAN(frame)))), name + " from port 4789", bare)
        add(Ether(outer(UDP(4789, 4789, VXLAN(frame)))), name + " from and to port 4789",
            good + "TCPv4")
        add(Ether(outer(TCP(60000, 4789, VXLAN(frame).octets()))), name + " in TCP",
            "TCP" + version)
        add(Ether(outer(UDP(60000, 4789, b""))), name + ", empty datagram", bare)
        for length in (1, 7):
            add(Ether(outer(in_udp(VXLAN(frame).cut(length)))), "%s, %d octets of its header"
                % (name, length), bare)
        for length in (8, 21, 22, 41):
            add(Ether(outer(in_udp(VXLAN(frame).cut(length)))), "%s and %d octets of the inner frame"
                % (name, length - 8), good + "NONE")
        for length, report in ((42, "IPv4"), (61, "IPv4"), (62, "TCPv4")):
            add(Ether(outer(in_udp(VXLAN(frame).cut(length)))), "%s and %d octets of the inner frame"
                % (name, length - 8), good + report)


@theme("vxlan-gpe", """VXLAN-GPE, which only the ratified text knows: every next protocol with and
       without the P flag, versions, the I, B and O flags.""")
def vxlan_gpe(add):
    for name, outer, version in OUTERS:
        name, bare, good = name + " GPE", "UDP" + version, "UDP%s > vxlan-gpe > " % version
        packet4, packet6 = ip4(tcp()), ip6(udp())
        add(Ether(outer(in_udp(GPE(packet4, 1)))), name + ", IPv4", good + "TCPv4")
        add(Ether(outer(in_udp(GPE(packet6, 2)))), name + ", IPv6", good + "UDPv6")
        for what, frame, report in inner_frames():
            add(Ether(outer(in_udp(GPE(frame, 3)))), "%s, Ethernet, %s" % (name, what), good + report)
        nsh = b"\x0f\xc6\x01\x01" + bytes(20) + packet4.octets()
        add(Ether(outer(in_udp(GPE(nsh, 4)))), name + ", NSH", good + "NONE")
        for following in (0, 5, 6, 7, 8, 0x80, 255):
            add(Ether(outer(in_udp(GPE(packet4.octets(), following)))), "%s, next protocol %d"
                % (name, following), good + "NONE")
        for following in (0, 4, 5):
            add(Ether(outer(in_udp(GPE(inner(packet4).octets(), following)))),
                "%s, next protocol %d and yet Ethernet" % (name, following), good + "NONE")
        add(Ether(outer(in_udp(GPE(packet6.octets(), 1)))), name + ", next protocol IPv4, version 6",
            good + "NONE")
        add(Ether(outer(in_udp(GPE(packet4.octets(), 2)))), name + ", next protocol IPv6, version 4",
            good + "NONE")
        for following in (0, 1, 2, 3, 4, 255):
            add(Ether(outer(in_udp(GPE(inner(packet4), following, flags=0x08)))),
                "%s, P clear, octet 3 is %d: Ethernet" % (name, following), good + "TCPv4")
        for flags in (0x10, 0x20, 0x30):
            add(Ether(outer(in_udp(GPE(packet4, 1, flags=0x0c | flags)))), "%s, version %d"
                % (name, flags >> 4), bare)
        add(Ether(outer(in_udp(GPE(packet4, 1, flags=0x04)))), name + ", I clear", bare)
        add(Ether(outer(in_udp(GPE(packet4, 1, flags=0x0d)))), name + ", O set", good + "TCPv4")
        add(Ether(outer(in_udp(GPE(packet4, 1, flags=0x0e)))), name + ", B set", good + "TCPv4")
        add(Ether(outer(in_udp(GPE(packet4, 1, flags=0xcc)))), name + ", reserved flags", good + "TCPv4")
        for length in (1, 7):
            add(Ether(outer(in_udp(GPE(packet4, 1).cut(length)))), "%s, %d octets of its header"
                % (name, length), bare)
        add(Ether(outer(in_udp(GPE(packet4, 1).cut(8)))), name + ", nothing behind its header",
            good + "NONE")
        add(Ether(outer(UDP(60000, 4790, b""))), name + ", empty datagram", bare)


@theme("geneve", """GENEVE: every length of options from 0 to 63 words, protocol types, versions,
       options that reach past the packet's end, the O and C bits.""")
def geneve(add):
    for words in range(64):
        name, outer, version = OUTERS[words % 2]
        add(Ether(outer(in_udp(Geneve(inner(ip4(tcp())), options=geneve_options(words))))),
            "%s GENEVE, %d words of options" % (name, words), "UDP%s > geneve > TCPv4" % version)
    for name, outer, version in OUTERS:
        name, bare, good = name + " GENEVE", "UDP" + version, "UDP%s > geneve > " % version
        packet4, packet6 = ip4(tcp()), ip6(udp())
        for what, frame, report in inner_frames():
            add(Ether(outer(in_udp(Geneve(frame, options=geneve_options(2))))), "%s, Ethernet, %s"
                % (name, what), good + report)
        for what, tunnel, report in (
                ("IPv4", Geneve(packet4), "TCPv4"), ("IPv6", Geneve(packet6), "UDPv6"),
                ("IPv6 behind options", Geneve(packet6, options=geneve_options(5)), "UDPv6"),
                ("ARP", Geneve(ARP(HOST4, PEER4)), "NONE"),
                ("MPLS", Geneve(b"\0\x01\x01\x40" + packet4.octets(), 0x8847), "NONE"),
                ("NSH", Geneve(bytes(24), 0x894f), "NONE"),
                ("protocol type 0", Geneve(packet4.octets(), 0), "NONE"),
                ("type IPv4, version 6", Geneve(packet6.octets(), 0x0800), "NONE"),
                ("type IPv6, version 4", Geneve(packet4.octets(), 0x86dd), "NONE"),
                ("O bit", Geneve(packet4, flags=0x80), "TCPv4"),
                ("C bit and a critical option", Geneve(
                    packet4, flags=0x40, options=geneve_options(3, kind=0x81)), "TCPv4"),
                ("reserved bits", Geneve(packet4, flags=0x3f), "TCPv4"),
                ("options that are no options", Geneve(packet4, options=b"\xff" * 16), "TCPv4"),
                ("nothing behind the header", Geneve(b"", 0x6558), "NONE"),
                ("nothing behind the options", Geneve(b"", 0x0800, options=geneve_options(4)),
                 "NONE")):
            add(Ether(outer(in_udp(tunnel))), "%s, %s" % (name, what), good + report)
        for number in (1, 2, 3):
            add(Ether(outer(in_udp(Geneve(packet4, version=number)))), "%s, version %d"
                % (name, number), bare)
        for words in (13, 14, 63):
            add(Ether(outer(in_udp(Geneve(packet4, words=words)))),
                "%s, %d words of options, more than there is" % (name, words), bare)
        options = Geneve(packet4, options=geneve_options(4))
        for length in (1, 7, 8, 23):
            add(Ether(outer(in_udp(options.cut(length)))), "%s with 4 words of options, cut to %d"
                " octets" % (name, length), bare)
        add(Ether(outer(in_udp(options.cut(24)))), name + " cut behind the options", good + "NONE")
        reserved_udp_lengths(add, name, outer, Geneve(packet6), good + "UDPv6")
        add(Ether(outer(UDP(6081, 60000, Geneve(packet4)))), name + " from port 6081", bare)
        add(Ether(outer(UDP(60000, 6081, b""))), name + ", empty datagram", bare)
