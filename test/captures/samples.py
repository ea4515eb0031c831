# SPDX-License-Identifier: BSD-3-Clause
#
# The two sample captures: what the network card of a tunnel end point receives while several dozen
# connections run through one tunnel whose outer header never changes. By the outer header all of
# it goes to one queue, by the inner one it spreads. For demonstrations of vionet-replay --compare.
"""sample-vxlan.pcap and sample-gre.pcap."""

import struct

from layers import ARP, Dice, Ether, GRE, IP4, IP6, TCP, UDP, VXLAN, mac, padded

SAMPLES = []
SYN, ACK, PUSH_ACK, FIN_ACK = 0x02, 0x10, 0x18, 0x11
TCP_SERVICES = (443, 443, 443, 8443, 22, 9000)


def sample(name, text):
    """Enter a function that yields (time in microseconds, frame, expectation, words)."""
    def enter(function):
        SAMPLES.append((name, " ".join(text.split()), function))
        return function
    return enter


def dns_query(dice):
    """A query for the IPv4 address of some host."""
    labels = (b"host%d" % dice.below(1000), b"example", b"net")
    name = b"".join(bytes((len(label),)) + label for label in labels)
    return struct.pack(">HHHHHH", dice.below(0x10000), 0x0100, 1, 0, 0, 0) + name + b"\0\0\1\0\1"


def log_message(dice):
    """A message in the old format of syslog."""
    return b"<134>Nov 14 22:13:20 web%d app[%d]: request served in %d ms" % (
        dice.below(10), dice.between(300, 9000), dice.below(500))


def metric(dice):
    """A counter for statsd."""
    return b"web.requests:%d|c|#site:%d" % (dice.below(500), dice.below(10))


UDP_SERVICES = {53: dns_query, 514: log_message, 8125: metric}


class Connection:
    """One direction of a TCP connection or of an exchange over UDP."""

    def __init__(self, dice, number):
        self.dice = dice
        self.is_tcp = number % 4 != 3
        self.is_v6 = number % 6 == 5
        self.client, self.server = dice.between(10, 60), dice.between(10, 30)
        self.port = dice.between(32768, 60999)
        self.service = dice.choice(TCP_SERVICES if self.is_tcp else tuple(UDP_SERVICES))

    def packet(self, upper):
        """`upper` in the IP version of this connection."""
        if self.is_v6:
            return IP6("2001:db8:10::%x" % self.client, "2001:db8:20::%x" % self.server, upper)
        return IP4("10.10.0.%d" % self.client, "10.20.0.%d" % self.server, upper, flags=0x4000)

    def uppers(self):
        """The TCP segments or UDP datagrams that are sent."""
        dice = self.dice
        if not self.is_tcp:
            for _ in range(dice.between(2, 6)):
                yield UDP(self.port, self.service, UDP_SERVICES[self.service](dice))
            return
        seq, ack = dice.below(1 << 31), dice.below(1 << 31)
        yield TCP(self.port, self.service, flags=SYN, seq=seq, ack=0)
        seq += 1
        yield TCP(self.port, self.service, flags=ACK, seq=seq, ack=ack)
        for _ in range(dice.between(1, 5)):
            data = dice.octets(dice.between(20, 200))
            yield TCP(self.port, self.service, data, flags=PUSH_ACK, seq=seq, ack=ack)
            seq, ack = seq + len(data), ack + dice.between(100, 4000)
        yield TCP(self.port, self.service, flags=FIN_ACK, seq=seq, ack=ack)

    @property
    def report(self):
        """The report by the inner header."""
        return ("TCPv%d" if self.is_tcp else "UDPv%d") % (6 if self.is_v6 else 4)

    def events(self):
        """(time, packet, report) of everything sent."""
        time = self.dice.below(1500000)
        for upper in self.uppers():
            yield time, self.packet(upper), self.report
            time += self.dice.between(200, 90000)


def traffic(seed, connections):
    """(time, packet, report) of all connections in the order of time."""
    dice = Dice(seed)
    events = []
    for number in range(connections):
        events += Connection(dice, number).events()
    return sorted(events, key=lambda event: event[0])


@sample("sample-vxlan", """What the receiving one of two VXLAN tunnel end points gets from the other:
        44 TCP and UDP connections in one VNI, every packet with the same outer addresses and, as
        some encapsulators do, the same outer source port.""")
def sample_vxlan():
    def encapsulate(frame):
        return Ether(IP4("192.0.2.10", "192.0.2.20", UDP(49152, 4789, VXLAN(frame, vni=7001))))

    arp = padded(Ether(ARP("10.10.0.11", "10.10.0.1", mac(0x51)), source=mac(0x51),
                       destination=b"\xff" * 6))
    yield 0, encapsulate(arp), "UDPv4 > vxlan > NONE", "ARP in VXLAN"
    for time, packet, report in traffic("sample vxlan 52", 44):
        frame = Ether(packet, source=mac(0x51), destination=mac(0x52))
        yield time + 1000, encapsulate(frame), "UDPv4 > vxlan > " + report, "VXLAN"


@sample("sample-gre", """What the receiving end of a plain GRE tunnel between two sites gets: 42 TCP
        and UDP connections, IPv4 and IPv6. GRE has no ports, so every network card that only
        knows the outer header puts such a tunnel on one queue.""")
def sample_gre():
    for time, packet, report in traffic("sample gre 12", 42):
        types = "gre,gre-2784,gre-7676" if isinstance(packet, IP6) else "gre,gre-2784"
        yield (time, Ether(IP4("198.51.100.1", "203.0.113.1", GRE(packet), flags=0x4000)),
               "IPv4 > %s > %s" % (types, report), "GRE")
