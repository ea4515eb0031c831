# SPDX-License-Identifier: BSD-3-Clause
#
# The frames of the vector set: a catalogue of IP packets out of the ordinary, put on the wire plainly and
# in every encapsulation, behind every kind of outer header, cut short at every octet. Names say
# how a frame is made. All addresses and ports are random, from a fixed seed.
"""frames(): (name, frame) of the whole set. The layers come from ../captures/layers.py."""

from layers import (ARP, C_TAG, Authentication, Dice, Ether, Extension, Fragment, GPE, GRE, Geneve,
                    ICMP, IP4, IP6, Missing, Option, PAD1, Raw, Routing, S_TAG, TCP, TUNNEL_PORTS,
                    UDP, VXLAN, destination_options, geneve_options, hop_by_hop, padded, padn)

TAG_STACKS = ((), (C_TAG,), (S_TAG,), (S_TAG, C_TAG), (C_TAG, C_TAG), (S_TAG, S_TAG),
              (C_TAG, S_TAG), (S_TAG, C_TAG, C_TAG), (C_TAG, C_TAG, C_TAG))
SHORTEST = 14                               # shorter frames are runts and no matter of hashing


class Cast:
    """Random hosts and what they send."""

    def __init__(self, seed):
        self.dice = Dice(seed)

    def port(self):
        """A port that no tunnel uses."""
        while True:
            port = self.dice.between(1, 65535)
            if port not in TUNNEL_PORTS:
                return port

    def mac(self):
        """A locally administered address."""
        return b"\x02" + self.dice.octets(5)

    def host6(self):
        """A global IPv6 address."""
        return b"\x20\x01\x0d\xb8" + self.dice.octets(12)

    def ether(self, payload, tags=(), **rest):
        """An Ethernet frame."""
        tags = [(tag, self.dice.below(0x10000)) for tag in tags]
        return Ether(payload, tags, source=self.mac(), destination=self.mac(), **rest)

    def ip4(self, payload, **rest):
        """An IPv4 packet."""
        return IP4(self.dice.octets(4), self.dice.octets(4), payload,
                   ident=self.dice.below(0x10000), **rest)

    def ip6(self, payload, *extensions, **rest):
        """An IPv6 packet."""
        return IP6(self.host6(), self.host6(), payload, extensions=extensions,
                   label=self.dice.below(1 << 20), **rest)

    def tcp(self):
        """A TCP segment."""
        return TCP(self.port(), self.port(), self.dice.octets(self.dice.below(12)),
                   seq=self.dice.below(1 << 32), ack=self.dice.below(1 << 32))

    def udp(self, payload=None, **rest):
        """A UDP datagram; with a tunnel as payload it goes to that tunnel's port."""
        if payload is not None and payload.port:
            return UDP(self.port(), None, payload, **rest)
        return UDP(self.port(), self.port(), self.dice.octets(self.dice.below(12)), **rest)

    def home(self, *before):
        """A destination options header with a home address behind the options `before`."""
        return destination_options(*before, Option(0xc9, self.host6()))

    def routing(self, segments_left=1, kind=2):
        """A routing header with one address."""
        return Routing(kind, segments_left, self.host6())

    def uppers(self, version):
        """A TCP, a UDP and an ICMP packet's upper part."""
        return ("tcp", self.tcp()), ("udp", self.udp()), ("icmp", ICMP(version))

    def extensions(self):
        """Each kind of extension header that is walked."""
        return (("hop", hop_by_hop(Option(5, b"\0\0"))), ("routing", self.routing(0, 4)),
                ("atomic", Fragment(ident=self.dice.below(1 << 32))), ("ah", Authentication()),
                ("dest", destination_options(padn(self.dice.between(2, 30)))),
                ("mobility", Extension(135, bytes(14))), ("hip", Extension(139, bytes(38))),
                ("shim6", Extension(140, bytes(6))))


# ---- The catalogue ------------------------------------------------------------------------------

def packets(cast):
    """(name, packet) of the whole catalogue."""
    yield from packets4(cast)
    yield from packets6(cast)
    yield from mobile_packets(cast)
    yield from liars(cast)


def packets4(cast):
    """IPv4."""
    for name, upper in cast.uppers(4):
        yield "v4-" + name, cast.ip4(upper)
        for words in (1, 5, 10):
            yield "v4-opt%d-%s" % (words, name), cast.ip4(upper, options=b"\1" * (4 * words))
        yield "v4-total-0-" + name, cast.ip4(upper, total=0)
        yield "v4-total-12-" + name, cast.ip4(upper, total=12)
        yield "v4-total-20-" + name, cast.ip4(upper, total=20)
        yield "v4-total-beyond-" + name, cast.ip4(upper, total=3000)
        yield "v4-frag-first-" + name, cast.ip4(upper, fragment=(0, True))
        yield "v4-frag-middle-" + name, cast.ip4(upper, fragment=(1480, True))
        yield "v4-frag-last-" + name, cast.ip4(upper, fragment=(2960, False))
    yield "v4-opt1-frag-first", cast.ip4(cast.udp(), options=b"\1" * 4, fragment=(0, True))
    yield "v4-df", cast.ip4(cast.tcp(), flags=0x4000)
    yield "v4-reserved-flag", cast.ip4(cast.udp(), flags=0x8000)
    yield "v4-tcp-total-39", cast.ip4(cast.tcp(), total=39)
    yield "v4-udp-total-27", cast.ip4(cast.udp(), total=27)
    yield "v4-tcp-19", cast.ip4(cast.tcp().cut(19))
    yield "v4-udp-7", cast.ip4(cast.udp().cut(7))
    yield "v4-tcp-0", cast.ip4(b"", protocol=6)
    yield "v4-sctp", cast.ip4(cast.dice.octets(24), protocol=132)
    yield "v4-ah", cast.ip4(cast.dice.octets(40), protocol=51)
    yield "v4-ihl-4", cast.ip4(cast.tcp(), ihl=4)
    yield "v4-version-5", cast.ip4(cast.tcp(), version=5)
    yield "v4-udp-length-0", cast.ip4(cast.udp(udp_length=0))


def packets6(cast):
    """IPv6."""
    for name, upper in cast.uppers(6):
        yield "v6-" + name, cast.ip6(upper)
        for kind, extension in cast.extensions():
            yield "v6-%s-%s" % (kind, name), cast.ip6(upper, extension)
        chain = [extension for _, extension in cast.extensions()]
        yield "v6-chain8-" + name, cast.ip6(upper, *chain)
        yield "v6-frag-first-" + name, cast.ip6(upper, Fragment(0, True))
        yield "v6-frag-middle-" + name, cast.ip6(upper, Fragment(1448, True))
        yield "v6-frag-last-" + name, cast.ip6(upper, Fragment(2896, False))
        yield "v6-hop-frag-first-" + name, cast.ip6(upper, hop_by_hop(), Fragment(0, True))
        yield "v6-payload-0-" + name, cast.ip6(upper, announced=0)
        yield "v6-hop-payload-0-" + name, cast.ip6(upper, hop_by_hop(), announced=0)
        yield "v6-payload-beyond-" + name, cast.ip6(upper, announced=3000)
    yield "v6-atomic-noise", cast.ip6(cast.tcp(), Fragment(noise=True))
    for icv in (-4, 0, 4, 16, 64):
        yield "v6-ah-%d" % (12 + icv), cast.ip6(cast.tcp(), Authentication(icv))
    yield "v6-tcp-19", cast.ip6(cast.tcp().cut(19))
    yield "v6-udp-7", cast.ip6(cast.udp().cut(7))
    yield "v6-hop-tcp-19", cast.ip6(cast.tcp().cut(19), hop_by_hop())
    yield "v6-tcp-payload-19", cast.ip6(cast.tcp(), announced=19)
    yield "v6-hop-tcp-payload-27", cast.ip6(cast.tcp(), hop_by_hop(), announced=27)
    yield "v6-hop-tcp-payload-28", cast.ip6(cast.tcp(), hop_by_hop(), announced=28)
    yield "v6-esp", cast.ip6(cast.dice.octets(32), protocol=50)
    yield "v6-hop-esp", cast.ip6(cast.dice.octets(32), hop_by_hop(), protocol=50)
    yield "v6-none", cast.ip6(cast.dice.octets(24), protocol=59)
    yield "v6-dest-none", cast.ip6(cast.dice.octets(24), destination_options(), protocol=59)
    yield "v6-253", cast.ip6(cast.dice.octets(24), protocol=253)
    yield "v6-version-4", cast.ip6(cast.tcp(), version=4)


def mobile_packets(cast):
    """Home address options and type 2 routing headers, and what only looks like them."""
    for name, upper in cast.uppers(6):
        yield "v6-home-" + name, cast.ip6(upper, cast.home(padn(2)))
        yield "v6-routing2-" + name, cast.ip6(upper, cast.routing())
        yield "v6-routing2-home-" + name, cast.ip6(upper, cast.routing(), cast.home(padn(2)))
    yield "v6-home-routing2-hop", cast.ip6(cast.tcp(), cast.home(), cast.routing(), hop_by_hop())
    yield "v6-home-no-padding", cast.ip6(cast.tcp(), cast.home())
    yield "v6-home-pad1", cast.ip6(cast.tcp(), cast.home(PAD1))
    yield "v6-home-pad1x5", cast.ip6(cast.tcp(), cast.home(*[PAD1] * 5))
    yield "v6-home-padn9", cast.ip6(cast.udp(), cast.home(padn(9)))
    yield "v6-home-option", cast.ip6(cast.udp(), cast.home(Option(4, b"\1"), PAD1))
    yield "v6-home-second-header", cast.ip6(cast.udp(), destination_options(), cast.home())
    yield "v6-home-frag-first", cast.ip6(cast.udp(), cast.home(), Fragment(0, True))
    yield "v6-home-frag-last", cast.ip6(cast.udp(), cast.home(), Fragment(1448))
    yield "v6-frag-first-home", cast.ip6(cast.udp(), Fragment(0, True), cast.home())
    yield "v6-atomic-home", cast.ip6(cast.udp(), Fragment(), cast.home())
    yield "v6-home-in-hop", cast.ip6(cast.tcp(), hop_by_hop(Option(0xc9, cast.host6())))
    for length in (0, 8, 15, 17):
        option = Option(0xc9, (cast.host6() + b"\0")[:length])
        yield "v6-home-length-%d" % length, cast.ip6(cast.tcp(), destination_options(option))
    overrun = destination_options(padn(4), Option(0xc9, cast.host6()[:8], length=16))
    yield "v6-home-overruns", cast.ip6(cast.tcp(), overrun)
    for left in (0, 2, 255):
        yield "v6-routing2-left-%d" % left, cast.ip6(cast.tcp(), cast.routing(left))
    for kind in (0, 3, 4):
        yield "v6-routing%d-left-1" % kind, cast.ip6(cast.tcp(), cast.routing(1, kind))
    yield "v6-routing2-length-1", cast.ip6(cast.udp(), Routing(2, 1, extra=bytes(8)))
    yield "v6-routing2-length-3", cast.ip6(
        cast.udp(), Routing(2, 1, cast.host6(), extra=bytes(8)))
    yield "v6-routing2-length-4", cast.ip6(cast.udp(), Routing(2, 1, cast.host6(), cast.host6()))


def liars(cast):
    """Extension headers that are longer than the packet, or not there."""
    for kind, extension in cast.extensions():
        if kind != "atomic":
            yield "v6-%s-too-long" % kind, cast.ip6(cast.tcp(), extension.claiming(255))
        missing = Missing(extension.number)
        yield "v6-%s-missing" % kind, cast.ip6(b"", missing, protocol=6)
        yield "v6-home-%s-missing" % kind, cast.ip6(b"", cast.home(), missing, protocol=6)
    yield "v6-home-too-long", cast.ip6(cast.tcp(), cast.home().claiming(200))
    yield "v6-routing2-home-too-long", cast.ip6(cast.tcp(), cast.routing(),
                                                cast.home().claiming(200))


def non_ip(cast):
    """(name, payload, EtherType) of frames that are not IP."""
    packet = cast.ip4(cast.tcp()).octets()
    yield "arp", ARP(cast.dice.octets(4), cast.dice.octets(4)), None
    yield "llc", b"\x42\x42\x03" + bytes(43), 46
    yield "snap", b"\xaa\xaa\x03\0\0\0\x08\0" + packet, 8 + len(packet)
    yield "mpls", b"\0\x01\x01\x40" + packet, 0x8847
    yield "pppoe", b"\x11\0\0\x01\0\x32\0\x21" + packet, 0x8864
    yield "tpid-9100", b"\0\x64\x08\0" + packet, 0x9100
    yield "v4-as-v6", packet, 0x86dd
    yield "v6-as-v4", cast.ip6(cast.udp()).octets(), 0x0800
    yield "v4-empty", b"", 0x0800
    yield "v6-empty", b"", 0x86dd


# ---- Encapsulations -----------------------------------------------------------------------------

def gre(cast, words, payload, **rest):
    """GRE with the words named by the letters C, K and S."""
    return GRE(payload, checked="C" in words,
               key=cast.dice.below(1 << 32) if "K" in words else None,
               sequence=cast.dice.below(1 << 32) if "S" in words else None, **rest)


def encapsulations(cast, packet):
    """(name, IP payload) of every way to put an IP packet into a tunnel."""
    tags = cast.dice.choice(TAG_STACKS[:7])
    frame = cast.ether(packet)
    for words in ("", "C", "K", "S", "CK", "CS", "KS", "CKS"):
        yield "gre%s-ip" % words, gre(cast, words, packet)
        yield "gre%s-ether" % words, gre(cast, words, frame)
    yield "nvgre-tagged", gre(cast, "K", cast.ether(packet, tags))
    yield "vxlan", cast.udp(VXLAN(frame, vni=cast.dice.below(1 << 24)))
    yield "vxlan-tagged", cast.udp(VXLAN(cast.ether(packet, tags), flags=0x88, reserved=0x64))
    following = 1 if packet.ethertype == 0x0800 else 2
    yield "gpe-ip", cast.udp(GPE(packet, following))
    yield "gpe-ether", cast.udp(GPE(frame, 3))
    yield "gpe-no-p", cast.udp(GPE(frame, following, flags=0x08))
    yield "gre-reserved-bits", gre(cast, "", packet, flags=0x03f8)
    yield "udp-gre-reserved-bits", cast.udp(gre(cast, "", packet, flags=0x03f8))
    yield "vxlan-udp-length-8", cast.udp(VXLAN(frame), udp_length=8)
    yield "geneve-udp-length-0", cast.udp(Geneve(packet), udp_length=0)
    yield "gpe-oam", cast.udp(GPE(packet, following, flags=0x0d))
    for words in (0, 1, 7, 63):
        yield "geneve%d-ether" % words, cast.udp(Geneve(frame, options=geneve_options(words)))
    for words in (0, 3):
        yield "geneve%d-ip" % words, cast.udp(Geneve(packet, options=geneve_options(words)))
    yield "geneve-critical", cast.udp(Geneve(frame, flags=0xc0, options=geneve_options(2, 0x81)))
    for words in ("", "K", "CKS"):
        yield "udp-gre%s-ip" % words, cast.udp(gre(cast, words, packet))
    yield "udp-greK-ether", cast.udp(gre(cast, "K", frame))
    yield "ip", packet                                  # IPIP if both are IPv4, else no tunnel


def few_encapsulations(cast, packet):
    """One of each sort."""
    wanted = ("gre-ip", "greK-ether", "vxlan", "gpe-ip", "geneve7-ether", "geneve0-ip",
              "udp-gre-ip", "ip")
    for name, payload in encapsulations(cast, packet):
        if name in wanted:
            yield name, payload


def unrecognised(cast, packet):
    """(name, IP payload) of what looks like a tunnel and is none."""
    frame = cast.ether(packet)
    for bit in (1, 4, 5, 13, 14, 15):
        yield "gre-bit%d" % bit, gre(cast, "", packet, flags=0x8000 >> bit)
    yield "pptp", gre(cast, "KS", cast.dice.octets(24), announced=0x880b, flags=1)
    yield "udp-gre-bit1", cast.udp(gre(cast, "", packet, flags=0x4000))
    yield "vxlan-no-i", cast.udp(VXLAN(frame, flags=0xf7))
    yield "gpe-no-i", cast.udp(GPE(frame, 3, flags=0x04))
    for version in (1, 2, 3):
        yield "gpe-version%d" % version, cast.udp(GPE(frame, 3, flags=0x0c | version << 4))
        yield "geneve-version%d" % version, cast.udp(Geneve(frame, version=version))
    yield "geneve-options-beyond", cast.udp(Geneve(frame, words=63))
    for port in (8472, 6080):
        yield "port-%d" % port, UDP(cast.port(), port, VXLAN(frame))
    yield "port-4755", UDP(cast.port(), 4755, gre(cast, "", packet))
    yield "from-4789", UDP(4789, cast.port(), VXLAN(frame))
    yield "tcp-4789", TCP(cast.port(), 4789, VXLAN(frame).octets())
    yield "vxlan-7", cast.udp(VXLAN(frame).cut(7))
    yield "greCKS-15", gre(cast, "CKS", packet).cut(15)


def without_inner(cast):
    """(name, IP payload) of tunnels that hold no IP packet."""
    packet4, packet6 = cast.ip4(cast.tcp()), cast.ip6(cast.udp())
    arp = padded(cast.ether(ARP(cast.dice.octets(4), cast.dice.octets(4))))
    tagged = cast.ether(packet4, (S_TAG, C_TAG, C_TAG))
    for name, frame in (("arp", arp), ("three-tags", tagged), ("inner-13", arp.cut(13)),
                        ("inner-33", cast.ether(packet4).cut(33)),
                        ("inner-0", arp.cut(0))):
        yield "greK-" + name, gre(cast, "K", frame)
        yield "vxlan-" + name, cast.udp(VXLAN(frame))
        yield "gpe-" + name, cast.udp(GPE(frame, 3))
        yield "geneve-" + name, cast.udp(Geneve(frame))
        yield "udp-gre-" + name, cast.udp(gre(cast, "", frame))
    for kind in (0x8847, 0x88be, 0x0806, 0):
        data = Raw(b"\0\1\1\x40" + packet4.octets())
        yield "gre-type-%04x" % kind, gre(cast, "", data, announced=kind)
        yield "geneve-type-%04x" % kind, cast.udp(Geneve(data, kind))
    for following in (0, 4, 255):
        yield "gpe-next-%d" % following, cast.udp(GPE(packet4.octets(), following))
        data = cast.ether(packet4).octets()
        yield "gpe-next-%d-ether" % following, cast.udp(GPE(data, following))
    yield "gre-v4-is-v6", gre(cast, "", packet6.octets(), announced=0x0800)
    yield "gre-v6-is-v4", gre(cast, "", packet4.octets(), announced=0x86dd)
    yield "geneve-v4-is-v6", cast.udp(Geneve(packet6.octets(), 0x0800))


def outers(cast, payload):
    """(name, IP packet) of every kind of outer header around a tunnel."""
    yield "v4", cast.ip4(payload)
    yield "v4opt", cast.ip4(payload, options=b"\1" * (4 * cast.dice.between(1, 10)))
    yield "v6", cast.ip6(payload)
    yield "v6dest", cast.ip6(payload, destination_options(Option(4, b"\4")))
    yield "v6home", cast.ip6(payload, hop_by_hop(), cast.home(padn(2)))


def fragmented_outers(cast, payload):
    """(name, IP packet): outer fragments."""
    yield "v4first", cast.ip4(payload, fragment=(0, True))
    yield "v4last", cast.ip4(payload, fragment=(184, False))
    yield "v6first", cast.ip6(payload, Fragment(0, True))
    yield "v6last", cast.ip6(payload, Fragment(184, False))


# ---- The set ------------------------------------------------------------------------------------

def plain_frames(cast):
    """Every packet without a tunnel: untagged, and behind one of the tag stacks."""
    for number, (name, packet) in enumerate(packets(cast)):
        yield "plain/" + name, cast.ether(packet)
        tags = TAG_STACKS[1 + number % (len(TAG_STACKS) - 1)]
        yield "tags%d/%s" % (len(tags), name), cast.ether(packet, tags)
    for name, payload, kind in non_ip(cast):
        yield "non-ip/" + name, padded(cast.ether(payload, ethertype=kind))
        yield "tags1/non-ip/" + name, padded(cast.ether(payload, (C_TAG,), ethertype=kind))
    for number, tags in enumerate(TAG_STACKS):
        yield "stack%d/v4" % number, padded(cast.ether(cast.ip4(cast.udp()), tags))
        yield "stack%d/v6" % number, padded(cast.ether(cast.ip6(cast.tcp()), tags))


def tunnel_frames(cast):
    """Everything in every tunnel behind every outer header, within reason."""
    for name, packet in (("v4-tcp", cast.ip4(cast.tcp())), ("v6-udp", cast.ip6(cast.udp()))):
        for tunnel, payload in encapsulations(cast, packet):
            for outer, whole in outers(cast, payload):
                yield "%s/%s/%s" % (outer, tunnel, name), cast.ether(whole)
    turn = 0
    for name, packet in packets(cast):
        choices = list(few_encapsulations(cast, packet))
        for step in (0, 3):                             # two tunnels for each packet, by turns
            tunnel, payload = choices[(turn + step) % len(choices)]
            choice = list(outers(cast, payload))
            outer, whole = choice[turn % len(choice)]
            yield "%s/%s/inner-%s" % (outer, tunnel, name), cast.ether(whole)
            turn += 1
    for name, payload in without_inner(cast):
        for outer, whole in list(outers(cast, payload))[::2]:
            yield "%s/%s" % (outer, name), cast.ether(whole)


def outer_frames(cast):
    """Tunnels that the outer header hides, and what is none."""
    for name, payload in encapsulations(cast, cast.ip4(cast.udp())):
        for outer, whole in list(fragmented_outers(cast, payload))[turn_of(name)::2]:
            yield "%s/%s" % (outer, name), cast.ether(whole)
    for name, payload in unrecognised(cast, cast.ip4(cast.tcp())):
        for outer, whole in list(outers(cast, payload))[::2]:
            yield "%s/not-%s" % (outer, name), cast.ether(whole)
    for name, payload in few_encapsulations(cast, cast.ip6(cast.tcp())):
        for number, tags in enumerate(TAG_STACKS):
            yield "stack%d/%s" % (number, name), cast.ether(cast.ip4(payload), tags)


def turn_of(name):
    """0 or 1, by a name."""
    return len(name) % 2


def cut_frames(cast):
    """Frames cut to every length from the shortest that is no runt."""
    tcp4, udp6 = cast.ip4(cast.tcp()), cast.ip6(cast.udp())
    option4 = cast.ip4(cast.tcp(), options=b"\1" * 8)
    mobile = cast.ip6(cast.udp(), hop_by_hop(), cast.routing(), cast.home(padn(2)))
    wholes = (
        ("v4opt-tcp", cast.ether(option4, (S_TAG, C_TAG))),
        ("v6-mobile-udp", cast.ether(mobile)),
        ("vxlan", cast.ether(cast.ip4(cast.udp(VXLAN(cast.ether(tcp4)))))),
        ("vxlan-mobile", cast.ether(cast.ip4(cast.udp(VXLAN(cast.ether(mobile, (C_TAG,))))))),
        ("geneve", cast.ether(cast.ip6(cast.udp(Geneve(cast.ether(udp6),
                                                       options=geneve_options(3)))))),
        ("gpe", cast.ether(cast.ip4(cast.udp(GPE(udp6, 2))), (C_TAG,))),
        ("greCKS", cast.ether(cast.ip4(gre(cast, "CKS", option4)))),
        ("nvgre", cast.ether(cast.ip6(gre(cast, "K", cast.ether(tcp4)), hop_by_hop()))),
        ("udp-gre", cast.ether(cast.ip4(cast.udp(gre(cast, "K", tcp4)), options=b"\1" * 4))),
        ("ipip", cast.ether(cast.ip4(option4))))
    for name, whole in wholes:
        for length in range(SHORTEST, len(whole.octets())):
            yield "cut/%s/%d" % (name, length), whole.cut(length)


def random_frames(cast, count):
    """Frames made by dice, some of them cut."""
    catalogue = list(packets(cast))
    for number in range(count):
        name, packet = cast.dice.choice(catalogue)
        tunnel, payload = cast.dice.choice(list(encapsulations(cast, packet)))
        outer, whole = cast.dice.choice(list(outers(cast, payload)))
        frame = cast.ether(whole, cast.dice.choice(TAG_STACKS[:7]))
        if cast.dice.below(3) == 0:
            frame = frame.cut(cast.dice.between(SHORTEST, len(frame.octets())))
        yield "random%d/%s/%s/%s" % (number, outer, tunnel, name), frame


def frames():
    """(name, frame) of the whole set; names do not repeat."""
    yield from plain_frames(Cast("plain"))
    yield from tunnel_frames(Cast("tunnels"))
    yield from outer_frames(Cast("outers"))
    yield from cut_frames(Cast("cuts"))
    yield from random_frames(Cast("random"), 200)
