# SPDX-License-Identifier: BSD-3-Clause
#
# Captures of packets outside of any tunnel, except those about IPv6 extension headers.
"""Plain packets: what is IP, what has ports, VLAN tags, IPv4 headers, sizes."""

from layers import (ARP, C_TAG, Ether, GRE, Geneve, ICMP, IP4, IP6, S_TAG, TCP, UDP, VXLAN,
                    address, padded)
from scene import (HOST4, NEAR4, PEER4, TAG_STACKS, TAG_STACKS_TOO_HIGH, in_udp, inner, ip4,
                   ip6, large, outer4, outer6, tag_names, tcp, theme, udp)

MICROSOFT_SUITE = (
    ("66.9.149.187", 2794, "161.142.100.80", 1766),
    ("199.92.111.2", 14230, "65.69.140.83", 4739),
    ("24.19.198.95", 12898, "12.22.207.184", 38024),
    ("38.27.205.30", 48228, "209.142.163.6", 2217),
    ("153.39.163.191", 44251, "202.188.127.2", 1303),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739),
    ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024),
)


@theme("microsoft-rss", """The connections of Microsoft's RSS verification suite, each as TCP, UDP
       and ICMP: the hashes with and without ports are the published ones.""")
def microsoft_rss(add):
    for source, sport, destination, dport in MICROSOFT_SUITE:
        version, ip = (6, IP6) if ":" in source else (4, IP4)
        for name, upper, report in (("TCP", TCP(sport, dport), "TCPv%d"),
                                    ("UDP", UDP(sport, dport), "UDPv%d"),
                                    ("ICMP", ICMP(version), "IPv%d")):
            add(Ether(ip(source, destination, upper)), "%s %s to %s" % (name, source, destination),
                report % version)


@theme("non-ip", """Frames that are not IP and get no hash: other EtherTypes, lengths instead of an
       EtherType, IP behind headers that are not followed (MPLS, PPPoE, SNAP), and an EtherType that
       disagrees with the version nibble.""")
def non_ip(add):
    packet4, packet6 = ip4(tcp()).octets(), ip6(tcp()).octets()
    llc = b"\x42\x42\x03" + bytes(35)
    snap4 = b"\xaa\xaa\x03\0\0\0\x08\x00" + packet4
    add(padded(Ether(ARP())), "ARP request", "NONE")
    add(padded(Ether(bytes(28), ethertype=0x8035)), "RARP", "NONE")
    add(padded(Ether(llc, ethertype=len(llc))), "802.3 length and LLC (spanning tree)", "NONE")
    add(Ether(snap4, ethertype=len(snap4)), "802.3 length, LLC/SNAP with IPv4", "NONE")
    add(Ether(packet4, ethertype=len(packet4)), "802.3 length and IPv4 without LLC", "NONE")
    add(Ether(packet4, ethertype=1500), "length 1500 and IPv4", "NONE")
    add(Ether(b"\0\x01\x01\x40" + packet4, ethertype=0x8847), "MPLS with IPv4", "NONE")
    add(Ether(b"\0\x01\x01\x40" + packet6, ethertype=0x8848), "MPLS multicast with IPv6", "NONE")
    add(Ether(b"\x11\0\0\x01\0\x32\0\x21" + packet4, ethertype=0x8864), "PPPoE session with IPv4",
        "NONE")
    add(padded(Ether(b"\x11\x09\0\0\0\0", ethertype=0x8863)), "PPPoE discovery", "NONE")
    add(padded(Ether(b"\x02\x07\x04\x02\0\0\0\0\x01", ethertype=0x88cc)), "LLDP", "NONE")
    add(padded(Ether(b"\x01\x01\0\0", ethertype=0x888e)), "EAPOL start", "NONE")
    add(padded(Ether(bytes(46), ethertype=0x9000)), "Ethernet loopback", "NONE")
    add(Ether(b"\0\x64\x08\x00" + packet4, ethertype=0x9100), "TPID 0x9100 in front of IPv4", "NONE")
    add(Ether(b"\0\x64\x08\x00" + packet4, ethertype=0x9200), "TPID 0x9200 in front of IPv4", "NONE")
    add(Ether(b"\x2c" + bytes(13) + packet4, ethertype=0x88e5), "MACsec", "NONE")
    add(Ether(packet6, ethertype=0x0800), "EtherType IPv4, version 6", "NONE")
    add(Ether(packet4, ethertype=0x86dd), "EtherType IPv6, version 4", "NONE")
    add(Ether(b"", ethertype=0x0800), "EtherType IPv4 and nothing behind it", "NONE")
    add(Ether(b"", ethertype=0x86dd), "EtherType IPv6 and nothing behind it", "NONE")
    add(Ether(bytes(46), ethertype=0x0800), "EtherType IPv4 and zeros", "NONE")
    add(Ether(bytes(46), ethertype=0x86dd), "EtherType IPv6 and zeros", "NONE")
    add(Ether(bytes(46), ethertype=0), "EtherType 0", "NONE")
    add(Ether(b"\xff" * 46, ethertype=0xffff), "EtherType 0xffff", "NONE")


@theme("vlan", """VLAN stacks of 0 to 3 tags, 0x8100 and 0x88a8 mixed, on plain frames, around
       tunnels and inside VXLAN and GRE. Two tags are skipped; a third makes the frame non-IP.""")
def vlan(add):
    vlan_plain(add)
    vlan_tunnels(add)


def vlan_plain(add):
    for tags in TAG_STACKS:
        add(Ether(ip4(tcp()), tags), tag_names(tags) + ", IPv4 TCP", "TCPv4")
        add(Ether(ip6(udp()), tags), tag_names(tags) + ", IPv6 UDP", "UDPv6")
    for tags in TAG_STACKS_TOO_HIGH:
        add(Ether(ip4(tcp()), tags), tag_names(tags) + ", IPv4 TCP", "NONE")
        add(Ether(ip6(udp()), tags), tag_names(tags) + ", IPv6 UDP", "NONE")
    add(Ether(ip4(tcp()), ((C_TAG, 0),)), "priority tag (VID 0)", "TCPv4")
    add(Ether(ip4(tcp()), ((C_TAG, 0xffff),)), "all bits of the TCI set", "TCPv4")
    add(Ether(ip4(tcp()), ((S_TAG, 0x8100), (C_TAG, 0x0800))), "TCIs that look like EtherTypes",
        "TCPv4")
    add(padded(Ether(ARP(), (C_TAG,))), "tagged ARP", "NONE")
    add(Ether(ip4(tcp()), (C_TAG,), ethertype=0x8847), "tag, then MPLS", "NONE")
    for tags in ((C_TAG,), (S_TAG, C_TAG)):
        whole = Ether(ip4(tcp()), tags)
        for length in range(14, 19 + 4 * (len(tags) - 1)):
            add(whole.cut(length), "%s, cut to %d octets" % (tag_names(tags), length), "NONE")


def vlan_tunnels(add):
    for tags in TAG_STACKS + TAG_STACKS_TOO_HIGH:
        seen, too_high = tag_names(tags), len(tags) > 2
        add(Ether(outer4(in_udp(VXLAN(inner(ip4(tcp()))))), tags), "VXLAN, outer " + seen,
            "NONE" if too_high else "UDPv4 > vxlan > TCPv4")
        add(Ether(outer4(in_udp(VXLAN(inner(ip6(tcp()), tags=tags))))), "VXLAN, inner " + seen,
            "UDPv4 > vxlan > NONE" if too_high else "UDPv4 > vxlan > TCPv6")
        add(Ether(outer6(GRE(inner(ip4(udp()), tags=tags)))), "GRE, inner " + seen,
            "IPv6 > gre,gre-7676 > NONE" if too_high else "IPv6 > gre,gre-7676 > UDPv4")
    add(Ether(outer6(in_udp(Geneve(inner(ip6(udp()), tags=(S_TAG, C_TAG))))), (S_TAG, C_TAG)),
        "GENEVE, two tags outside and two inside", "UDPv6 > geneve > UDPv6")


@theme("ipv4-header", """IPv4 headers: options of every size, header lengths below 5 and beyond the
       frame, wrong versions, total length zero, too small, and beyond the frame, padding, and flag
       bits that do not make a fragment.""")
def ipv4_header(add):
    ipv4_options(add)
    ipv4_lengths(add)


def ipv4_options(add):
    router_alert, record_route = b"\x94\x04\0\0", b"\x07\x07\x04" + address(NEAR4)
    source_route = b"\x83\x07\x04" + address(PEER4)
    timestamp = b"\x44\x0c\x05\0" + bytes(8)
    for name, options in (("no-operation", b"\x01"), ("end of list", b"\0"),
                          ("router alert", router_alert), ("record route", record_route),
                          ("loose source route", source_route), ("timestamp", timestamp),
                          ("security", b"\x82\x0b" + bytes(9)),
                          ("an option of length 0", b"\x07\0\0\0"),
                          ("an option longer than the header", b"\x07\xff\x04\0")):
        add(Ether(ip4(tcp(), options=options)), "option " + name, "TCPv4")
    for words in range(11):
        options = b"\x01" * (4 * words)
        for kind, upper, report in (("UDP", udp(), "UDPv4"), ("ICMP", ICMP(4), "IPv4")):
            add(Ether(ip4(upper, options=options)), "IHL %d, %s" % (5 + words, kind), report)
    for ihl in range(5):
        add(Ether(ip4(tcp(), ihl=ihl)), "IHL %d" % ihl, "NONE")
    for ihl in (6, 15):
        whole = Ether(ip4(tcp(), options=bytes(4 * (ihl - 5))))
        add(whole.cut(14 + 4 * ihl - 1), "IHL %d, cut one octet before its end" % ihl, "NONE")
        add(whole.cut(14 + 4 * ihl), "IHL %d, cut at its end" % ihl, "IPv4")
    add(Ether(ip4(b"", protocol=6, ihl=15)), "IHL 15 in a packet of 20 octets", "NONE")
    for version in (0, 1, 3, 5, 6, 7, 15):
        add(Ether(ip4(tcp(), version=version)), "version %d" % version, "NONE")


def ipv4_lengths(add):
    for name, upper, report in (("TCP", tcp(), "TCPv4"), ("UDP", udp(), "UDPv4"),
                                ("ICMP", ICMP(4), "IPv4")):
        add(Ether(ip4(upper, total=0)), name + ", total length 0 (large send)", report)
        for total in (1, 19, 20):
            add(Ether(ip4(upper, total=total)), "%s, total length %d" % (name, total), "IPv4")
        for total in (500, 65535):
            add(Ether(ip4(upper, total=total)), "%s, total length %d, beyond the frame"
                % (name, total), report)
    for total, report in ((27, "IPv4"), (39, "IPv4"), (40, "TCPv4"), (41, "TCPv4")):
        add(Ether(ip4(tcp(), total=total)), "TCP, total length %d" % total, report)
    for total, report in ((27, "IPv4"), (28, "UDPv4")):
        add(Ether(ip4(udp(), total=total)), "UDP, total length %d" % total, report)
    add(Ether(ip4(tcp(), options=bytes(8), total=20)), "IHL 7, total length 20", "IPv4")
    add(Ether(ip4(tcp(), options=bytes(8), total=47)), "IHL 7, total length 47", "IPv4")
    add(Ether(ip4(tcp(), options=bytes(8), total=48)), "IHL 7, total length 48", "TCPv4")
    add(padded(Ether(ip4(tcp(b"")))), "TCP without data, padded to 60 octets", "TCPv4")
    add(padded(Ether(ip4(udp(b"")))), "UDP without data, padded to 60 octets", "UDPv4")
    add(padded(Ether(ip4(tcp(), total=30))), "half a TCP header by total length, then padding",
        "IPv4")
    add(Ether(ip4(udp(), total=24), trailer=b"\xff" * 40), "half a UDP header, long trailer", "IPv4")
    add(padded(Ether(ip4(tcp(b""), total=0))), "TCP, total length 0, padding", "TCPv4")
    add(padded(Ether(ip4(b"", protocol=6))), "TCP without any header, padded", "IPv4")
    add(Ether(ip4(tcp(), flags=0x4000)), "DF set", "TCPv4")
    add(Ether(ip4(tcp(), flags=0x8000)), "reserved flag set", "TCPv4")
    add(Ether(ip4(tcp(), flags=0xc000, ident=0xffff, ttl=0)), "DF and reserved flag, TTL 0", "TCPv4")
    add(Ether(IP4("0.0.0.0", "255.255.255.255", UDP(68, 67, bytes(48)))), "DHCP discover", "UDPv4")
    add(Ether(IP4(HOST4, "224.0.0.251", UDP(5353, 5353, b"mdns")), destination=b"\1\0\x5e\0\0\xfb"),
        "multicast", "UDPv4")


@theme("upper-headers", """TCP headers of fewer than 20 octets and UDP headers of fewer than 8,
       nonsense inside whole ones, and protocols that are hashed by addresses alone.""")
def upper_headers(add):
    for name, ip, version in (("IPv4", ip4, 4), ("IPv6", ip6, 6)):
        for length in (0, 1, 3, 4, 7, 8, 12, 19, 20):
            report = "TCPv%d" if length == 20 else "IPv%d"
            payload = tcp().cut(length) if length else b""
            frame = Ether(ip(payload, protocol=6))
            add(padded(frame) if version == 4 else frame, "%s, %d octets of TCP" % (name, length),
                report % version)
        for length in (0, 1, 4, 7, 8):
            report = "UDPv%d" if length == 8 else "IPv%d"
            payload = udp().cut(length) if length else b""
            frame = Ether(ip(payload, protocol=17))
            add(padded(frame) if version == 4 else frame, "%s, %d octets of UDP" % (name, length),
                report % version)
        add(Ether(ip(tcp(offset=0))), name + ", TCP data offset 0", "TCPv%d" % version)
        add(Ether(ip(tcp(offset=15))), name + ", TCP data offset beyond the packet",
            "TCPv%d" % version)
        add(Ether(ip(TCP(0, 0, flags=0))), name + ", TCP ports and flags 0", "TCPv%d" % version)
        add(Ether(ip(UDP(65535, 65535, b"x"))), name + ", UDP ports 65535", "UDPv%d" % version)
        for length in (0, 1, 7, 8, 9, 65535):
            add(Ether(ip(udp(udp_length=length))), "%s, UDP length field %d" % (name, length),
                "UDPv%d" % version)
        for number, what in ((2, "IGMP"), (33, "DCCP"), (50, "ESP"), (59, "no next header"),
                             (89, "OSPF"), (112, "VRRP"), (132, "SCTP"), (136, "UDP-Lite"),
                             (255, "reserved")):
            add(Ether(ip(bytes(range(1, 41)), protocol=number)), "%s, protocol %d (%s)"
                % (name, number, what), "IPv%d" % version)
    for number in (0, 43, 44, 51, 60, 135, 139, 140):
        add(Ether(ip4(bytes(4) + tcp().octets(), protocol=number)),
            "IPv4, protocol %d, a header that is walked only in IPv6" % number, "IPv4")


@theme("frame-sizes", "Frames of 0 to 16 octets (shorter than 14 is a runt) and of 1,514 octets.")
def frame_sizes(add):
    whole = Ether(ip4(udp()))
    for length in range(17):
        add(whole.cut(length), "%d octets" % length, "runt" if length < 14 else "NONE")
    add(Ether(ip4(udp(bytes(1472)))), "1,514 octets", "UDPv4")


@large("frame-limits", """The longest frame that is taken, 65,550 octets, and frames that are longer.
       Too big to be kept: written by make.py --large FOLDER.""")
def frame_limits(add):
    packet = ip4(udp(bytes(65535 - 28)))
    add(Ether(packet, trailer=bytes(1)), "65,550 octets", "UDPv4")
    add(Ether(packet, trailer=bytes(2)), "65,551 octets", "oversize")
    add(Ether(packet, (S_TAG, C_TAG), trailer=bytes(100)), "65,657 octets", "oversize")
    add(Ether(outer4(in_udp(VXLAN(inner(ip4(tcp(bytes(65445))))))), trailer=bytes(1)),
        "65,550 octets of VXLAN", "UDPv4 > vxlan > TCPv4")
