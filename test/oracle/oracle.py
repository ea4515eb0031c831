#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# An independent oracle for vionet-replay: reads captures, decides from the texts alone which
# octets of each packet are hashed, and prints the ndjson that vionet-replay has to print. It shares
# nothing with the C library, and with the generators of the test material only the bitwise
# Toeplitz function. Every rule stands beside the number of the decision (docs: "Decisions
# where the texts are silent or disagree") that it implements.
"""Usage: oracle.py [OPTION]... CAPTURE...   (--help lists the options)"""

import argparse
import json
import os
import struct
import sys
from typing import FrozenSet, Iterator, NamedTuple, Optional, Tuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from toeplitz import MICROSOFT_KEY, toeplitz  # noqa: E402

TUNNEL_TYPES = {
    "off": (),
    "draft-v7": ("gre", "vxlan", "geneve"),
    "draft-v10": ("gre", "vxlan", "geneve", "ipip", "nvgre"),
    "ratified": ("gre-2784", "gre-2890", "gre-7676", "gre-udp", "vxlan", "vxlan-gpe", "geneve",
                 "ipip", "nvgre"),
}
HASH_TYPES = ("ipv4", "tcpv4", "udpv4", "ipv6", "tcpv6", "udpv6", "ipv6-ex", "tcpv6-ex",
              "udpv6-ex")

IPV4, IPV6, ETHERNET = 0x0800, 0x86dd, 0x6558
VLAN_TPIDS = (0x8100, 0x88a8)
SHORTEST_FRAME = 14

HOP_BY_HOP, IPIP, TCP, UDP, ROUTING, FRAGMENT, GRE, AH, DESTINATION = 0, 4, 6, 17, 43, 44, 47, 51, 60
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION, 135, 139, 140)      # decision 3
HOME_ADDRESS_OPTION = 0xc9


class InputError(Exception):
    """The command line or a capture is unusable; the text is the one line to print."""


# ---- Headers ------------------------------------------------------------------------------------

class Packet(NamedTuple):
    """An IP packet, as far as the hash and the search for a tunnel need it."""
    version: int
    source: bytes
    destination: bytes
    protocol: Optional[int]             # None: a fragment, or a truncated extension header
    payload: bytes                      # what follows all IP headers, inside the IP length
    extended: bool = False              # IPv6 with at least one extension header
    home: Optional[bytes] = None        # replaces the source in the *_EX types
    routed: Optional[bytes] = None      # replaces the destination in the *_EX types


def be16(octets: bytes, offset: int) -> int:
    """The 16-bit number in network order at `offset`."""
    return octets[offset] << 8 | octets[offset + 1]


def parse_ethernet(frame: bytes) -> Optional[Packet]:
    """The IP packet in an Ethernet frame, behind up to two VLAN tags; None if non-IP (decision 1)."""
    if len(frame) < 14:
        return None
    offset = 12
    for _ in range(2):
        if be16(frame, offset) not in VLAN_TPIDS:
            break
        offset += 4
        if len(frame) < offset + 2:
            return None
    return parse_ip(be16(frame, offset), frame[offset + 2:])


def parse_ip(ethertype: int, octets: bytes) -> Optional[Packet]:
    """The IP packet that `ethertype` announces; None if it is something else."""
    if ethertype == IPV4:
        return parse_ipv4(octets)
    if ethertype == IPV6:
        return parse_ipv6(octets)
    return None


def parse_ipv4(octets: bytes) -> Optional[Packet]:
    """Decisions 2 and 4."""
    if len(octets) < 20 or octets[0] >> 4 != 4:
        return None
    header_length = 4 * (octets[0] & 0x0f)
    if header_length < 20 or header_length > len(octets):
        return None
    total_length = be16(octets, 2)
    end = len(octets) if total_length == 0 else min(total_length, len(octets))
    is_fragment = be16(octets, 6) & 0x3fff != 0             # MF or a non-zero offset
    protocol = None if is_fragment else octets[9]
    return Packet(4, octets[12:16], octets[16:20], protocol, octets[header_length:end])


def parse_ipv6(octets: bytes) -> Optional[Packet]:
    """Decisions 3, 4 and 6."""
    if len(octets) < 40 or octets[0] >> 4 != 6:
        return None
    payload_length = be16(octets, 4)
    end = len(octets) if payload_length == 0 else min(40 + payload_length, len(octets))
    rest = octets[40:end]
    protocol: Optional[int] = octets[6]
    extended, home, routed = False, None, None
    while protocol in EXTENSIONS:
        extended = True
        size = extension_size(protocol, rest)
        if size is None:
            protocol, rest = None, b""
            break
        header, rest = rest[:size], rest[size:]
        if protocol == FRAGMENT and be16(header, 2) & 0xfff9 != 0:    # an offset, or M
            protocol, rest = None, b""
            break
        if protocol == DESTINATION:
            home = home_address(header) or home             # each one replaces the address
        if protocol == ROUTING:
            routed = routing_address(header) or routed
        protocol = header[0]
    return Packet(6, octets[8:24], octets[24:40], protocol, rest, extended, home, routed)


def extension_size(kind: int, octets: bytes) -> Optional[int]:
    """Length of the extension header that `octets` begin with; None if it is truncated."""
    if len(octets) < 8:
        return None
    if kind == FRAGMENT:
        size = 8
    elif kind == AH:
        size = 4 * (octets[1] + 2)
    else:
        size = 8 * (octets[1] + 1)
    return size if size <= len(octets) else None


def home_address(header: bytes) -> Optional[bytes]:
    """The address in the last home address option of a destination options header, if any."""
    found = None
    offset = 2
    while offset < len(header):
        if header[offset] == 0:                             # Pad1 is one octet, without a length
            offset += 1
            continue
        if offset + 2 > len(header):
            break
        end = offset + 2 + header[offset + 1]
        if end > len(header):
            break
        if header[offset] == HOME_ADDRESS_OPTION and end - offset == 18:
            found = header[offset + 2:end]
        offset = end
    return found


def routing_address(header: bytes) -> Optional[bytes]:
    """The address in a type 2 routing header that has one segment left."""
    _, length_field, kind, segments_left = header[:4]
    if kind == 2 and length_field == 2 and segments_left == 1:
        return header[8:24]
    return None


# ---- Tunnels ------------------------------------------------------------------------------------

class Tunnel(NamedTuple):
    """A recognised encapsulation."""
    names: FrozenSet[str]               # the types that it is, over all dialects (decision 10)
    report: str                         # what draft-v7 calls it
    content: Optional[int]              # IPV4, IPV6, ETHERNET, or None: something else
    octets: bytes                       # the encapsulated packet


def find_tunnel(outer: Packet) -> Optional[Tunnel]:
    """What `outer` encapsulates (decisions 9 and 10)."""
    if outer.protocol == GRE:
        return find_gre(outer)
    if outer.protocol == IPIP and outer.version == 4:
        return Tunnel(frozenset({"ipip"}), "NONE", IPV4, outer.payload)
    if outer.protocol == UDP and len(outer.payload) >= 8:
        search = UDP_TUNNELS.get(be16(outer.payload, 2))
        return search(outer.payload[8:]) if search else None
    return None


class GreHeader(NamedTuple):
    """A well-formed GRE header."""
    has_checksum: bool
    has_key: bool
    has_sequence: bool
    protocol_type: int
    payload: bytes


def parse_gre(octets: bytes) -> Optional[GreHeader]:
    """RFC 2784 with RFC 2890: version 0, no routing, bits 4 and 5 clear, all words there."""
    if len(octets) < 4:
        return None
    flags = be16(octets, 0)
    if flags & 0x4c07:                                      # R, bits 4 and 5, version
        return None
    checksum, key, sequence = bool(flags & 0x8000), bool(flags & 0x2000), bool(flags & 0x1000)
    header_length = 4 + 4 * (checksum + key + sequence)
    if len(octets) < header_length:
        return None
    return GreHeader(checksum, key, sequence, be16(octets, 2), octets[header_length:])


def content_of(protocol_type: int) -> Optional[int]:
    """What a GRE or GENEVE protocol type announces (decision 11)."""
    return protocol_type if protocol_type in (IPV4, IPV6, ETHERNET) else None


def find_gre(outer: Packet) -> Optional[Tunnel]:
    """GRE right on IP, with all the types that one header can be."""
    gre = parse_gre(outer.payload)
    if gre is None:
        return None
    names = {"gre"}
    if gre.has_key or gre.has_sequence:
        names.add("gre-2890")
    elif outer.version == 4:
        names.add("gre-2784")
    if outer.version == 6 or gre.protocol_type == IPV6:
        names.add("gre-7676")
    if gre.has_key and not gre.has_checksum and not gre.has_sequence \
            and gre.protocol_type == ETHERNET:
        names.add("nvgre")
    return Tunnel(frozenset(names), "GRE", content_of(gre.protocol_type), gre.payload)


def find_gre_udp(octets: bytes) -> Optional[Tunnel]:
    """GRE in UDP (RFC 8086)."""
    gre = parse_gre(octets)
    if gre is None:
        return None
    return Tunnel(frozenset({"gre-udp"}), "NONE", content_of(gre.protocol_type), gre.payload)


def find_vxlan(octets: bytes) -> Optional[Tunnel]:
    """VXLAN (RFC 7348)."""
    if len(octets) < 8 or not octets[0] & 0x08:
        return None
    return Tunnel(frozenset({"vxlan"}), "VXLAN", ETHERNET, octets[8:])


def find_vxlan_gpe(octets: bytes) -> Optional[Tunnel]:
    """VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe)."""
    if len(octets) < 8 or not octets[0] & 0x08 or octets[0] & 0x30:
        return None
    content: Optional[int] = ETHERNET
    if octets[0] & 0x04:                                    # P: octet 3 is the next protocol
        content = {1: IPV4, 2: IPV6, 3: ETHERNET}.get(octets[3])
    return Tunnel(frozenset({"vxlan-gpe"}), "NONE", content, octets[8:])


def find_geneve(octets: bytes) -> Optional[Tunnel]:
    """GENEVE (RFC 8926)."""
    if len(octets) < 8 or octets[0] >> 6 != 0:
        return None
    header_length = 8 + 4 * (octets[0] & 0x3f)
    if len(octets) < header_length:
        return None
    content = content_of(be16(octets, 2))
    return Tunnel(frozenset({"geneve"}), "GENEVE", content, octets[header_length:])


UDP_TUNNELS = {4754: find_gre_udp, 4789: find_vxlan, 4790: find_vxlan_gpe, 6081: find_geneve}


def parse_content(tunnel: Tunnel) -> Optional[Packet]:
    """The inner packet; None if it is not IP (decisions 11 and 12)."""
    if tunnel.content is None:
        return None
    if tunnel.content == ETHERNET:
        return parse_ethernet(tunnel.octets)
    return parse_ip(tunnel.content, tunnel.octets)


# ---- Hash ---------------------------------------------------------------------------------------

class Settings(NamedTuple):
    """What a driver would have configured."""
    dialect: str = "ratified"
    tunnel_types: FrozenSet[str] = frozenset(TUNNEL_TYPES["ratified"])
    hash_types: FrozenSet[str] = frozenset(HASH_TYPES)
    key: bytes = MICROSOFT_KEY
    queues: int = 4
    indirection: int = 128
    max_frame: int = 65550


class Result(NamedTuple):
    """What the device reports for one frame."""
    hash: Optional[int]
    report: str
    tunnel: str


def hash_input(packet: Packet, types: FrozenSet[str]) -> Tuple[str, bytes]:
    """The report and the octets hashed for an IP packet (decisions 5, 7 and 8)."""
    upper, ports = None, b""
    if packet.protocol == TCP and len(packet.payload) >= 20:
        upper, ports = "TCP", packet.payload[:4]
    elif packet.protocol == UDP and len(packet.payload) >= 8:
        upper, ports = "UDP", packet.payload[:4]
    version = "v%d" % packet.version
    if packet.extended:
        addresses = (packet.home or packet.source) + (packet.routed or packet.destination)
        if upper and (upper + version + "-ex").lower() in types:
            return upper + version + "_EX", addresses + ports
        if "ipv6-ex" in types:
            return "IPv6_EX", addresses
    addresses = packet.source + packet.destination
    if upper and (upper + version).lower() in types:
        return upper + version, addresses + ports
    if "ip" + version in types:
        return "IP" + version, addresses
    return "NONE", b""


def hash_frame(frame: bytes, settings: Settings) -> Result:
    """Hash of a frame, by the inner header where an enabled tunnel type matches (decision 12)."""
    packet, tunnel_report = parse_ethernet(frame), "NONE"
    tunnel = find_tunnel(packet) if packet else None
    if tunnel and tunnel.names & settings.tunnel_types:
        packet, tunnel_report = parse_content(tunnel), tunnel.report
    if packet is None:
        return Result(None, "NONE", "NONE")
    report, octets = hash_input(packet, settings.hash_types)
    if report == "NONE":
        return Result(None, "NONE", "NONE")
    return Result(toeplitz(settings.key, octets), report, tunnel_report)


def describe(number: int, frame: bytes, settings: Settings) -> str:
    """The ndjson line of a frame, without the capture's name."""
    start = '{"packet": %d, "length": %d' % (number, len(frame))
    if len(frame) < SHORTEST_FRAME:                                             # decision 17
        return start + ', "dropped": "runt"}'
    if len(frame) > settings.max_frame:
        return start + ', "dropped": "oversize"}'
    result = hash_frame(frame, settings)
    queue, value = 0, "null"                                # 0 is the unclassified queue too
    if result.hash is not None:
        queue = (result.hash & settings.indirection - 1) % settings.queues
        value = '"0x%08x"' % result.hash
    tunnel = ', "tunnel": "%s"' % result.tunnel if settings.dialect == "draft-v7" else ""
    return start + ', "queue": %d, "hash": %s, "report": "%s"%s}' % (queue, value, result.report,
                                                                     tunnel)


# ---- Captures -----------------------------------------------------------------------------------

ETHERNET_LINK = 1
PCAP_MAGICS = {
    b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">",     # microseconds
    b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">",     # nanoseconds
}
SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0a0d0d0a, 1, 2, 3, 6


def read_capture(data: bytes) -> Iterator[bytes]:
    """Yield the frames of a capture; InputError comes only after those in front of the defect."""
    if data[:4] in PCAP_MAGICS:
        return read_pcap(data, PCAP_MAGICS[data[:4]])
    if data[:4] == b"\n\r\r\n":
        return read_pcapng(data)
    raise InputError("neither a pcap nor a pcapng file")


def check_link(link: int) -> None:
    """Refuse a link type other than Ethernet."""
    if link != ETHERNET_LINK:
        raise InputError("link type %d is not Ethernet" % link)


def read_pcap(data: bytes, order: str) -> Iterator[bytes]:
    """The frames of a classic pcap file."""
    if len(data) < 24:
        raise InputError("truncated file header")
    check_link(struct.unpack_from(order + "I", data, 20)[0] & 0x03ffffff)   # above: FCS length
    offset = 24
    while offset < len(data):
        if len(data) - offset < 16:
            raise InputError("truncated packet header at offset %d" % offset)
        length = struct.unpack_from(order + "I", data, offset + 8)[0]
        offset += 16
        if len(data) - offset < length:
            raise InputError("truncated packet at offset %d" % offset)
        yield data[offset:offset + length]
        offset += length


def read_pcapng(data: bytes) -> Iterator[bytes]:
    """The frames of a pcapng file: enhanced, simple and the obsolete packet blocks."""
    interfaces: list = []
    order = "<"
    for kind, block_order, body in pcapng_blocks(data):
        order = block_order
        if kind == SECTION:
            interfaces = []
        elif kind == INTERFACE:
            need(body, 8)
            interfaces.append(struct.unpack_from(order + "HxxI", body))         # link type, snaplen
        elif kind == ENHANCED_PACKET:
            need(body, 20)
            number, length = struct.unpack_from(order + "I8xI", body)
            yield pcapng_packet(interfaces, number, body[20:], length)
        elif kind == OLD_PACKET:
            need(body, 20)
            number, length = struct.unpack_from(order + "Hxx8xI", body)
            yield pcapng_packet(interfaces, number, body[20:], length)
        elif kind == SIMPLE_PACKET:
            need(body, 4)
            length = struct.unpack_from(order + "I", body)[0]
            snaplen = interfaces[0][1] if interfaces else 0
            yield pcapng_packet(interfaces, 0, body[4:], min(length, snaplen) if snaplen else length)


def pcapng_blocks(data: bytes) -> Iterator[Tuple[int, str, bytes]]:
    """Yield (type, byte order, body) of each block of a pcapng file."""
    offset, order = 0, "<"
    while offset < len(data):
        if len(data) - offset < 12:
            raise InputError("truncated block at offset %d" % offset)
        if data[offset:offset + 4] == b"\n\r\r\n":
            magic = data[offset + 8:offset + 12]
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise InputError("bad byte-order magic at offset %d" % offset)
            order = "<" if magic[0] == 0x4d else ">"
        kind, length = struct.unpack_from(order + "II", data, offset)
        if length < 12 or length % 4:
            raise InputError("bad block length at offset %d" % offset)
        if len(data) - offset < length:
            raise InputError("truncated block at offset %d" % offset)
        if struct.unpack_from(order + "I", data, offset + length - 4)[0] != length:
            raise InputError("block lengths disagree at offset %d" % offset)
        yield kind, order, data[offset + 8:offset + length - 4]
        offset += length


def need(body: bytes, length: int) -> None:
    """Refuse a block shorter than its fixed part."""
    if len(body) < length:
        raise InputError("block too short")


def pcapng_packet(interfaces: list, number: int, octets: bytes, length: int) -> bytes:
    """The frame in a packet block, after checks on interface and length."""
    if number >= len(interfaces):
        raise InputError("packet of unknown interface %d" % number)
    check_link(interfaces[number][0])
    if length > len(octets):
        raise InputError("packet longer than its block")
    return octets[:length]


# ---- Command line -------------------------------------------------------------------------------

class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message):
        raise InputError(message)


def name_list(text: str, names: Tuple[str, ...], what: str) -> FrozenSet[str]:
    """A comma list of `names`, or "all", or "none"."""
    if text == "all":
        return frozenset(names)
    if text == "none":
        return frozenset()
    chosen = text.split(",")
    for name in chosen:
        if name not in names:
            raise InputError("unknown %s '%s'" % (what, name))
    return frozenset(chosen)


def parse_key(text: str) -> bytes:
    """A key of 1 to 255 octets in hexadecimal."""
    digits = set("0123456789abcdefABCDEF")
    if not text or len(text) % 2 or len(text) > 510 or set(text) - digits:
        raise InputError("--key: expected 1 to 255 octets in hexadecimal")
    return bytes.fromhex(text)


def parse_arguments(argv: list) -> Tuple[Settings, list]:
    """The settings and the names of the captures."""
    parser = Parser(prog="oracle.py", allow_abbrev=False,
                    description="Print the ndjson that vionet-replay must print.")
    parser.add_argument("--dialect", choices=list(TUNNEL_TYPES), default="ratified")
    parser.add_argument("--tunnel-types", metavar="LIST", default="all",
                        help="comma list of the dialect's types, all, or none")
    parser.add_argument("--hash-types", metavar="LIST", default="all",
                        help="comma list of %s, all, or none" % " ".join(HASH_TYPES))
    parser.add_argument("--key", metavar="HEX", default=MICROSOFT_KEY.hex())
    parser.add_argument("--queues", metavar="N", type=int, default=4)
    parser.add_argument("--indirection", metavar="LENGTH", type=int, default=128)
    parser.add_argument("--max-frame", metavar="OCTETS", type=int, default=65550)
    parser.add_argument("captures", metavar="CAPTURE", nargs="+")
    options = parser.parse_args(argv)
    if not 1 <= options.queues <= 32768:
        raise InputError("--queues: expected 1 to 32768")
    if not 1 <= options.indirection <= 65536 or options.indirection & options.indirection - 1:
        raise InputError("--indirection: expected a power of two up to 65536")
    settings = Settings(
        options.dialect,
        name_list(options.tunnel_types, TUNNEL_TYPES[options.dialect], "tunnel type"),
        name_list(options.hash_types, HASH_TYPES, "hash type"),
        parse_key(options.key), options.queues, options.indirection, options.max_frame)
    return settings, options.captures


def print_capture(name: str, settings: Settings, prefix: str, output) -> None:
    """Print a line for each frame of the capture called `name`."""
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError("%s: %s" % (name, error.strerror)) from error
    try:
        for number, frame in enumerate(read_capture(data), 1):
            output.write("{" + prefix + describe(number, frame, settings)[1:] + "\n")
    except InputError as error:
        raise InputError("%s: %s" % (name, error)) from error


def main(argv: list, output=sys.stdout, errors=sys.stderr) -> int:
    """Run the oracle; return its exit status."""
    try:
        settings, captures = parse_arguments(argv)
        for name in captures:
            several = len(captures) > 1
            prefix = '"capture": %s, ' % json.dumps(name, ensure_ascii=False) if several else ""
            print_capture(name, settings, prefix, output)
    except InputError as error:
        output.flush()
        errors.write("oracle.py: %s\n" % error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
