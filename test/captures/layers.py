# SPDX-License-Identifier: BSD-3-Clause
#
# Packets built from layers that know what they are. captures/make.py and vectors/make.py put
# frames together from these classes and ask them what the device has to report: the answer comes
# from the layers' own attributes and sizes, never from reading octets back. Nothing here is
# shared with oracle/oracle.py, which reads octets and knows no layers; the two must agree.
"""Layers of packets, and what a device hashes of them.

Every layer has octets() and can be cut short with cut(n). What is known of a layer depends on its
*room*: how many of its octets exist, after all truncation and inside all IP lengths around it.
"""

import copy
import hashlib
import struct
from ipaddress import ip_address
from typing import FrozenSet, NamedTuple, Optional

HASH_TYPES = ("ipv4", "tcpv4", "udpv4", "ipv6", "tcpv6", "udpv6", "ipv6-ex", "tcpv6-ex",
              "udpv6-ex")
TUNNEL_TYPES = {
    "off": "",
    "draft-v7": "gre vxlan geneve",
    "draft-v10": "gre vxlan geneve ipip nvgre",
    "ratified": "gre-2784 gre-2890 gre-7676 gre-udp vxlan vxlan-gpe geneve ipip nvgre",
}
TUNNEL_TYPES = {dialect: tuple(names.split()) for dialect, names in TUNNEL_TYPES.items()}
TYPE_ORDER = ("gre",) + TUNNEL_TYPES["ratified"]            # for printing

ETHERTYPE_IP4, ETHERTYPE_IP6, ETHERTYPE_ETHERNET = 0x0800, 0x86dd, 0x6558
C_TAG, S_TAG = 0x8100, 0x88a8
TUNNEL_PORTS = (4754, 4789, 4790, 6081)


def address(text):
    """The octets of an address in text."""
    return ip_address(text).packed


def mac(last):
    """A locally administered MAC address that ends in `last`."""
    return bytes((2, 0, 0, 0, 0, last))


def checksum(octets, carried=0):
    """The Internet checksum of `octets`, starting from the sum `carried`."""
    if len(octets) % 2:
        octets += b"\0"
    total = carried + sum(struct.unpack(">%dH" % (len(octets) // 2), octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff - total


class Dice:
    """Random numbers that are the same for every version of Python."""

    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def octets(self, length):
        """`length` random octets."""
        result = b""
        while len(result) < length:
            self.count += 1
            result += hashlib.sha256(b"%s %d" % (self.seed.encode(), self.count)).digest()
        return result[:length]

    def below(self, limit):
        """A number from 0 to `limit` - 1."""
        return int.from_bytes(self.octets(8), "big") % limit

    def between(self, low, high):
        """A number from `low` to `high`."""
        return low + self.below(high - low + 1)

    def choice(self, things):
        """One of `things`."""
        return things[self.below(len(things))]


# ---- What is known ------------------------------------------------------------------------------

class Flow(NamedTuple):
    """What of an IP packet can enter the hash."""
    version: int
    source: bytes
    destination: bytes
    upper: Optional[str] = None             # "TCP" or "UDP" if the whole header is there
    ports: bytes = b""
    extended: bool = False
    home: Optional[bytes] = None
    routed: Optional[bytes] = None

    def candidates(self):
        """(hash type, report, input) in the order of preference."""
        plain = self.source + self.destination
        replaced = (self.home or self.source) + (self.routed or self.destination)
        suffix = "v%d" % self.version
        if self.extended and self.upper:
            yield self.upper.lower() + "v6-ex", self.upper + "v6_EX", replaced + self.ports
        if self.extended:
            yield "ipv6-ex", "IPv6_EX", replaced
        if self.upper:
            yield self.upper.lower() + suffix, self.upper + suffix, plain + self.ports
        yield "ip" + suffix, "IP" + suffix, plain


class Tunnel(NamedTuple):
    """What a recognised tunnel holds."""
    types: FrozenSet[str]
    inner: Optional[Flow]
    v7_report: str = "NONE"


class Expected(NamedTuple):
    """What the device reports for a frame."""
    report: str = "NONE"
    input: bytes = b""                      # what is hashed
    tunnel: str = "NONE"                    # hash_report_tunnel of draft-v7


class Known(NamedTuple):
    """Everything that matters in a frame."""
    outer: Optional[Flow]
    tunnel: Optional[Tunnel]

    def expect(self, tunnel_types, hash_types=HASH_TYPES):
        """What a device with these types enabled reports."""
        flow, tunnel_report = self.outer, "NONE"
        if self.tunnel and self.tunnel.types.intersection(tunnel_types):
            flow, tunnel_report = self.tunnel.inner, self.tunnel.v7_report
        for name, report, octets in flow.candidates() if flow else ():
            if name in hash_types:
                return Expected(report, octets, tunnel_report)
        return Expected()

    def summary(self):
        """For people: "UDPv4 > vxlan > TCPv4"."""
        outer = self.expect(()).report
        if not self.tunnel:
            return outer
        types = ",".join(name for name in TYPE_ORDER if name in self.tunnel.types)
        return "%s > %s > %s" % (outer, types, self.expect(TYPE_ORDER).report)


# ---- Layers -------------------------------------------------------------------------------------

class Layer:
    """A part of a packet, with everything behind it."""
    number = None                           # as an IP protocol
    ethertype = None                        # as the payload of Ethernet, GRE or GENEVE
    port = None                             # as the payload of UDP
    length = None                           # of its octets, if it was cut

    def pack(self, addresses):
        """The octets; `addresses` (source + destination) are for checksums."""
        raise NotImplementedError

    def octets(self, addresses=b""):
        """The octets that exist."""
        return self.pack(addresses)[:self.length]

    def cut(self, length):
        """The same, without what is behind the first `length` octets."""
        short = copy.copy(self)
        short.length = length
        return short

    def known_room(self, room):
        """`room`, which must not reach past the end of a layer that was cut."""
        assert self.length is None or room <= self.length, "something stands behind a cut layer"
        return room

    def upper(self, room):
        """("TCP" or "UDP", ports) if this is such a header and complete."""

    def inside(self, room, outer):
        """The Tunnel if this is one; `outer` is what it stands on: 4, 6, or "udp"."""

    def flow(self, room):
        """The Flow if this is an IP packet, or an Ethernet frame that holds one."""


class Raw(Layer):
    """Octets without a meaning of their own."""

    def __init__(self, data=b""):
        self.data = bytes(data)

    def pack(self, addresses):
        return self.data


def layer(payload):
    """Let plain octets stand where a layer is expected."""
    return payload if isinstance(payload, Layer) else Raw(payload)


class Ether(Layer):
    """An Ethernet frame with any number of VLAN tags: TPIDs, or (TPID, TCI) pairs."""
    ethertype = ETHERTYPE_ETHERNET

    def __init__(self, payload, tags=(), ethertype=None, trailer=b"", source=mac(1),
                 destination=mac(2)):
        self.payload = layer(payload)
        self.tags = [tag if isinstance(tag, tuple) else (tag, 100 + i)
                     for i, tag in enumerate(tags)]
        self.announced = self.payload.ethertype if ethertype is None else ethertype
        self.trailer = trailer
        self.addresses = destination + source
        assert destination[0] >> 4 not in (4, 6), "would look like an IP header"

    def pack(self, addresses):
        tags = b"".join(struct.pack(">HH", *tag) for tag in self.tags)
        return (self.addresses + tags + struct.pack(">H", self.announced) + self.payload.octets()
                + self.trailer)

    def packet(self, room):
        """(IP layer, its room) if the frame counts as IP so far, else None."""
        room = self.known_room(room) - 14 - 4 * len(self.tags)
        if room < 0 or len(self.tags) > 2 or not isinstance(self.payload, IP):
            return None
        return (self.payload, room) if self.announced == self.payload.ethertype else None

    def flow(self, room):
        packet = self.packet(room)
        return packet[0].flow(packet[1]) if packet else None

    def known(self):
        """What is known of this frame as the device gets it."""
        packet = self.packet(len(self.octets()))
        if not packet:
            return Known(None, None)
        ip, room = packet
        return Known(ip.flow(room), ip.tunnel(room))


def padded(frame, length=60):
    """`frame` with a trailer of zeros up to the shortest length that Ethernet transmits."""
    frame = copy.copy(frame)
    frame.trailer = bytes(max(0, length - len(frame.octets())))
    return frame


class Walk(NamedTuple):
    """How far the headers of an IP packet can be followed."""
    room: Optional[int]                     # of the payload; None: it cannot be reached
    extended: bool = False
    home: Optional[bytes] = None
    routed: Optional[bytes] = None


class IP(Layer):
    """What both versions have in common."""

    def walk(self, room):
        """The Walk, or None if this does not count as IP."""
        raise NotImplementedError

    def flow(self, room):
        walk = self.walk(self.known_room(room))
        if walk is None:
            return None
        upper = self.payload.upper(walk.room) if walk.room is not None else None
        name, ports = upper or (None, b"")
        return Flow(self.version, self.source, self.destination, name, ports, walk.extended,
                    walk.home, walk.routed)

    def tunnel(self, room):
        """The Tunnel that this packet is the outer packet of."""
        walk = self.walk(self.known_room(room))
        if walk is None or walk.room is None:
            return None
        if self.version == 4 and self.protocol == 4:
            inner = self.payload.flow(walk.room) if isinstance(self.payload, IP4) else None
            return Tunnel(frozenset({"ipip"}), inner)
        return self.payload.inside(walk.room, self.version)


class IP4(IP):
    """IPv4. `fragment` is (offset in octets, more fragments)."""
    number = 4
    ethertype = ETHERTYPE_IP4

    def __init__(self, source, destination, payload=b"", protocol=None, options=b"", total=None,
                 fragment=(0, False), flags=0, version=4, ihl=None, ident=0, ttl=64):
        self.payload = layer(payload)
        self.source, self.destination = address(source), address(destination)
        self.protocol = self.payload.number if protocol is None else protocol
        self.options = options + bytes(-len(options) % 4)
        self.total, self.fragment, self.flags = total, fragment, flags
        self.version, self.ident, self.ttl = version, ident, ttl
        self.ihl = 5 + len(self.options) // 4 if ihl is None else ihl

    def total_length(self, payload):
        """The total length field."""
        if self.total is not None:
            return self.total
        return min(20 + len(self.options) + len(payload), 65535)

    def pack(self, addresses):
        payload = self.payload.octets(self.source + self.destination)
        offset, more = self.fragment
        header = struct.pack(
            ">BBHHHBBH", self.version << 4 | self.ihl, 0, self.total_length(payload), self.ident,
            self.flags | more << 13 | offset // 8, self.ttl, self.protocol, 0)
        header += self.source + self.destination + self.options
        header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
        return header + payload

    def walk(self, room):
        header = 4 * self.ihl
        if self.version != 4 or self.ihl < 5 or room < header:
            return None
        assert header == 20 + len(self.options), "an IHL that lies must be outside the frame"
        if self.fragment != (0, False):
            return Walk(None)
        total = self.total_length(self.payload.octets())
        end = min(room, total) if total else room
        return Walk(max(0, end - header))


class IP6(IP):
    """IPv6 with extension headers. `announced` replaces the payload length."""
    number = 41
    ethertype = ETHERTYPE_IP6

    def __init__(self, source, destination, payload=b"", protocol=None, extensions=(),
                 announced=None, version=6, hops=64, label=0):
        self.payload = layer(payload)
        self.source, self.destination = address(source), address(destination)
        self.protocol = self.payload.number if protocol is None else protocol
        self.extensions = list(extensions)
        self.announced, self.version, self.hops, self.label = announced, version, hops, label

    def end_points(self):
        """The addresses that the upper layer's checksum covers (RFC 6275)."""
        home = routed = None
        for extension in self.extensions:
            home, routed = home or extension.home, routed or extension.routed
        return (home or self.source) + (routed or self.destination)

    def behind_header(self):
        """(next header, octets) behind the fixed header."""
        rest, kind = self.payload.octets(self.end_points()), self.protocol
        for extension in reversed(self.extensions):
            rest, kind = extension.octets(kind) + rest, extension.number
        return kind, rest

    def payload_length(self, rest):
        """The payload length field."""
        return min(len(rest), 65535) if self.announced is None else self.announced

    def pack(self, addresses):
        kind, rest = self.behind_header()
        return struct.pack(">IHBB", self.version << 28 | self.label, self.payload_length(rest),
                           kind, self.hops) + self.source + self.destination + rest

    def walk(self, room):
        if self.version != 6 or room < 40:
            return None
        limit = self.payload_length(self.behind_header()[1])
        room = min(room - 40, limit) if limit else room - 40
        home = routed = None
        for extension in self.extensions:
            room -= extension.size
            if room < 0 or extension.splits:
                return Walk(None, True, home, routed)
            assert extension.size == len(extension.octets(0)), "a length that lies must go too far"
            assert not (home and extension.home) and not (routed and extension.routed)
            home, routed = home or extension.home, routed or extension.routed
        return Walk(room, bool(self.extensions), home, routed)


# ---- IPv6 extension headers ---------------------------------------------------------------------

class Extension:
    """An extension header: next header, length, and `body`."""
    home = None                             # the home address it has
    routed = None                           # the routing address it has
    splits = False                          # a fragment header of a real fragment

    def __init__(self, number, body=bytes(6)):
        assert (2 + len(body)) % 8 == 0
        self.number, self.body = number, body
        self.units = (2 + len(body)) // 8 - 1

    def claiming(self, units):
        """The same with another length field, which must reach past the packet's end."""
        liar = copy.copy(self)
        liar.units = units
        return liar

    @property
    def size(self):
        """Length as its own length field has it."""
        return 8 * (self.units + 1)

    def octets(self, following):
        """The header, in front of one of type `following`."""
        return bytes((following, self.units)) + self.body


class Missing(Extension):
    """A header that is announced by the one in front, and not there at all."""

    def octets(self, following):
        return b""


class Authentication(Extension):
    """AH with a check value of `icv` octets; its length counts in units of four octets.

    With `icv` -4 the sequence number is missing too: the length field is zero.
    """

    def __init__(self, icv=12):
        self.number = 51
        self.body = (struct.pack(">HII", 0, 0x1001, 1) + bytes(max(icv, 0)))[:10 + icv]
        self.units = (2 + len(self.body)) // 4 - 2

    @property
    def size(self):
        return 4 * (self.units + 2)


class Fragment(Extension):
    """A fragment header; `noise` sets the reserved octet and bits."""

    def __init__(self, offset=0, more=False, ident=0x1234, noise=False):
        self.number, self.units = 44, 0xff if noise else 0
        self.body = struct.pack(">HI", offset | more | (6 if noise else 0), ident)
        self.splits = bool(offset or more)

    @property
    def size(self):
        return 8


class Option(NamedTuple):
    """An option of a hop-by-hop or destination options header; `length` replaces the field."""
    kind: int
    data: bytes = b""
    length: Optional[int] = None

    def octets(self):
        """As in the header. Option 0 is a single octet."""
        if self.kind == 0:
            return b"\0"
        return bytes((self.kind, len(self.data) if self.length is None else self.length)) + self.data


PAD1 = Option(0)


def padn(length):
    """Padding of `length` octets, two at least."""
    return Option(1, bytes(length - 2))


def home_option(text):
    """The home address option."""
    return Option(0xc9, address(text))


class Options(Extension):
    """A header with options, padded at the end to a multiple of eight octets."""

    def __init__(self, number, *options):
        self.options = options
        body = b"".join(option.octets() for option in options)
        gap = -(2 + len(body)) % 8
        filler = padn(gap).octets() if gap > 1 else bytes(gap)
        super().__init__(number, body + filler)
        self.home = self.find_home() if number == 60 else None

    def find_home(self):
        """The address in a home address option of the right length, none of which repeat."""
        found, position = None, 2
        for option in self.options:
            if option.length is not None:               # only ever to run past the header's end
                assert position + 2 + option.length > self.size
                return found
            position += len(option.octets())
            if option.kind == 0xc9 and len(option.data) == 16:
                assert found is None
                found = option.data
        return found


def hop_by_hop(*options):
    """A hop-by-hop options header."""
    return Options(0, *options)


def destination_options(*options):
    """A destination options header."""
    return Options(60, *options)


class Routing(Extension):
    """A routing header with the given addresses, and `extra` octets behind them."""

    def __init__(self, kind, segments_left, *addresses, extra=b""):
        body = struct.pack(">BBI", kind, segments_left, 0)
        body += b"".join(address(text) for text in addresses) + extra
        super().__init__(43, body)
        if kind == 2 and segments_left == 1 and self.units == 2:
            self.routed = address(addresses[0])


# ---- Upper layers -------------------------------------------------------------------------------

class TCP(Layer):
    """A TCP segment."""
    number = 6

    def __init__(self, source, destination, data=b"", flags=0x10, seq=1, ack=1, offset=5,
                 window=64240):
        self.source, self.destination, self.data = source, destination, bytes(data)
        self.flags, self.seq, self.ack, self.offset, self.window = flags, seq, ack, offset, window

    def pack(self, addresses):
        segment = struct.pack(">HHIIBBHHH", self.source, self.destination, self.seq, self.ack,
                              self.offset << 4, self.flags, self.window, 0, 0) + self.data
        value = checksum(addresses + segment, self.number + len(segment))
        return segment[:16] + struct.pack(">H", value) + segment[18:]

    def upper(self, room):
        if self.known_room(room) < 20:
            return None
        return "TCP", struct.pack(">HH", self.source, self.destination)


class UDP(Layer):
    """A UDP datagram. Without a destination it goes to the port of the tunnel that it carries."""
    number = 17

    def __init__(self, source, destination=None, payload=b"", udp_length=None):
        self.source, self.payload, self.udp_length = source, layer(payload), udp_length
        self.destination = self.payload.port if destination is None else destination

    def pack(self, addresses):
        payload = self.payload.octets()
        length = 8 + len(payload) if self.udp_length is None else self.udp_length
        datagram = struct.pack(">HHHH", self.source, self.destination, length & 0xffff, 0) + payload
        value = checksum(addresses + datagram, self.number + len(datagram)) or 0xffff
        if self.payload.port:                           # tunnels send a zero checksum
            value = 0
        return datagram[:6] + struct.pack(">H", value) + datagram[8:]

    def upper(self, room):
        if self.known_room(room) < 8:
            return None
        return "UDP", struct.pack(">HH", self.source, self.destination)

    def inside(self, room, outer):
        if self.known_room(room) < 8:
            return None
        if self.destination == self.payload.port:
            return self.payload.inside(room - 8, "udp")
        assert self.destination not in TUNNEL_PORTS or len(self.payload.octets()) < 4
        return None


class ICMP(Layer):
    """An echo request of either version."""

    def __init__(self, version, data=b"ping", ident=1, seq=1):
        self.number = 1 if version == 4 else 58
        self.kind = 8 if version == 4 else 128
        self.rest = struct.pack(">HH", ident, seq) + data

    def pack(self, addresses):
        message = bytes((self.kind, 0, 0, 0)) + self.rest
        pseudo = addresses if self.number == 58 else b""
        carried = self.number + len(message) if self.number == 58 else 0
        value = checksum(pseudo + message, carried)
        return message[:2] + struct.pack(">H", value) + message[4:]


class ARP(Layer):
    """An ARP request."""
    ethertype = 0x0806

    def __init__(self, source="192.0.2.1", target="192.0.2.2", sender=mac(1)):
        self.source, self.target, self.sender = address(source), address(target), sender

    def pack(self, addresses):
        return (struct.pack(">HHBBH", 1, ETHERTYPE_IP4, 6, 4, 1) + self.sender + self.source
                + bytes(6) + self.target)


# ---- Tunnels ------------------------------------------------------------------------------------

def content(announced, payload, room):
    """The Flow of a tunnel's payload that was announced by an EtherType."""
    if announced == payload.ethertype and isinstance(payload, (IP, Ether)):
        return payload.flow(room)
    first = payload.octets()[:1]
    assert not first or (announced, first[0] >> 4) not in ((ETHERTYPE_IP4, 4), (ETHERTYPE_IP6, 6))
    assert announced != ETHERTYPE_ETHERNET or isinstance(payload, Raw) and len(first) == 0
    return None


class GRE(Layer):
    """GRE with any of its optional words; `flags` are or-ed into the first 16 bits."""
    number = 47
    port = 4754

    def __init__(self, payload, announced=None, checked=False, key=None, sequence=None, flags=0):
        self.payload = layer(payload)
        self.announced = self.payload.ethertype if announced is None else announced
        self.checked, self.key, self.sequence, self.flags = checked, key, sequence, flags

    @property
    def header_length(self):
        """With the words that the flags announce."""
        return 4 + 4 * (self.checked + (self.key is not None) + (self.sequence is not None))

    def pack(self, addresses):
        flags = self.flags | 0x8000 * self.checked
        flags |= 0x2000 * (self.key is not None) | 0x1000 * (self.sequence is not None)
        words = b"".join(struct.pack(">I", word) for word in (self.key, self.sequence)
                         if word is not None)
        start, payload = struct.pack(">HH", flags, self.announced), self.payload.octets()
        if self.checked:
            value = checksum(start + bytes(4) + words + payload)
            start += struct.pack(">HH", value, 0)
        return start + words + payload

    def types(self, outer):
        """The types that this header is, on `outer`."""
        if outer == "udp":
            return {"gre-udp"}
        found = {"gre"}
        if self.key is None and self.sequence is None:
            found |= {"gre-2784"} if outer == 4 else set()
        else:
            found |= {"gre-2890"}
        if 6 in (outer, 6 if self.announced == ETHERTYPE_IP6 else None):
            found |= {"gre-7676"}
        keyed_only = self.key is not None and self.sequence is None and not self.checked
        if keyed_only and self.announced == ETHERTYPE_ETHERNET:
            found |= {"nvgre"}
        return found

    def inside(self, room, outer):
        malformed = self.flags & (0x4000 | 0x0800 | 0x0400 | 0x0007)
        if malformed or self.known_room(room) < self.header_length:
            return None
        inner = content(self.announced, self.payload, room - self.header_length)
        return Tunnel(frozenset(self.types(outer)), inner, "NONE" if outer == "udp" else "GRE")


class VXLAN(Layer):
    """VXLAN; flags 0x08 is a valid VNI."""
    port = 4789

    def __init__(self, payload, vni=5000, flags=0x08, reserved=0):
        self.payload, self.vni, self.flags = layer(payload), vni, flags
        self.reserved = reserved

    def pack(self, addresses):
        return struct.pack(">II", self.flags << 24 | self.reserved,
                           self.vni << 8) + self.payload.octets()

    def inside(self, room, outer):
        if self.known_room(room) < 8 or not self.flags & 0x08:
            return None
        inner = content(ETHERTYPE_ETHERNET, self.payload, room - 8)
        return Tunnel(frozenset({"vxlan"}), inner, "VXLAN")


class GPE(Layer):
    """VXLAN-GPE; flags 0x08 is I, 0x04 P, 0x02 B, 0x01 O, 0x30 the version."""
    port = 4790
    announces = {1: ETHERTYPE_IP4, 2: ETHERTYPE_IP6, 3: ETHERTYPE_ETHERNET}

    def __init__(self, payload, following=0, flags=0x0c, vni=5000):
        self.payload, self.following = layer(payload), following
        self.flags, self.vni = flags, vni

    def pack(self, addresses):
        return struct.pack(">BBBBI", self.flags, 0, 0, self.following,
                           self.vni << 8) + self.payload.octets()

    def inside(self, room, outer):
        if self.known_room(room) < 8 or not self.flags & 0x08 or self.flags & 0x30:
            return None
        announced = ETHERTYPE_ETHERNET
        if self.flags & 0x04:
            announced = self.announces.get(self.following)
        return Tunnel(frozenset({"vxlan-gpe"}), content(announced, self.payload, room - 8))


def geneve_options(words, kind=0x01):
    """`words` 32-bit words of GENEVE options, in options of at most 32 words."""
    octets = b""
    while words:
        here = min(words, 32)
        octets += struct.pack(">HBB", 0x0102, kind, here - 1) + bytes(4 * (here - 1))
        words -= here
    return octets


class Geneve(Layer):
    """GENEVE; `words` replaces the option length and has to reach past the packet's end."""
    port = 6081

    def __init__(self, payload, announced=None, options=b"", version=0, flags=0, words=None,
                 vni=5000):
        self.payload = layer(payload)
        self.announced = self.payload.ethertype if announced is None else announced
        self.options, self.version, self.flags, self.vni = options, version, flags, vni
        self.words = len(options) // 4 if words is None else words

    def pack(self, addresses):
        return struct.pack(">BBHI", self.version << 6 | self.words, self.flags, self.announced,
                           self.vni << 8) + self.options + self.payload.octets()

    def inside(self, room, outer):
        header = 8 + 4 * self.words
        if self.known_room(room) < header or self.version:
            return None
        assert 4 * self.words == len(self.options)
        inner = content(self.announced, self.payload, room - header)
        return Tunnel(frozenset({"geneve"}), inner, "GENEVE")
