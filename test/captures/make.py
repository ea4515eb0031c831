#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# Writes the captures of this folder, the ndjson that vionet-replay has to print for each in four
# dialects, and README.md. The expectations come from the layers that the packets are built of
# (layers.py) and must agree with the words by hand beside each packet (themes_*.py). The output
# is the same octet for octet on every run; --check compares it with the files that are here.
"""Usage: make.py [--check | --list [NAME]... | --large FOLDER]"""

import functools
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "oracle")]
import themes_ip, themes_ipv6, themes_gre, themes_udp, themes_mixed     # noqa: E401,E402,F401
from layers import TUNNEL_TYPES, address                                # noqa: E402
from samples import SAMPLES                                             # noqa: E402
from scene import LARGE, THEMES                                         # noqa: E402
from toeplitz import MICROSOFT_KEY, toeplitz                            # noqa: E402

DIALECTS = ("off", "draft-v7", "draft-v10", "ratified")
QUEUES, TABLE_LENGTH, LONGEST_FRAME, SHORTEST_FRAME = 4, 128, 65550, 14
START = 1700000000                                                      # of all captures, in seconds


class Packet:
    """A frame of a capture, its note, and what is expected of it."""

    def __init__(self, microseconds, frame, note, words):
        self.microseconds, self.note, self.words = microseconds, note, words
        self.octets = frame.octets()
        self.known = frame.known()
        self.dropped = None
        if len(self.octets) < SHORTEST_FRAME:
            self.dropped = "runt"
        elif len(self.octets) > LONGEST_FRAME:
            self.dropped = "oversize"
        seen = self.dropped or self.known.summary()
        assert seen == words, "%s: the layers say %r, the author %r" % (note, seen, words)

    def line(self, number, dialect):
        """The ndjson line for this frame."""
        start = '{"packet": %d, "length": %d, ' % (number, len(self.octets))
        if self.dropped:
            return start + '"dropped": "%s"}\n' % self.dropped
        expected = self.known.expect(TUNNEL_TYPES[dialect])
        queue, value = queue_and_hash(expected)
        line = start + '"queue": %d, "hash": %s, "report": "%s"' % (queue, value, expected.report)
        if dialect == "draft-v7":
            line += ', "tunnel": "%s"' % expected.tunnel
        return line + "}\n"


@functools.lru_cache(maxsize=None)
def queue_and_hash(expected):
    """The queue, and the hash as ndjson has it."""
    if expected.report == "NONE":
        return 0, "null"
    value = toeplitz(MICROSOFT_KEY, expected.input)
    return value % TABLE_LENGTH % QUEUES, '"0x%08x"' % value


class Capture:
    """A capture in the making."""

    def __init__(self, name, text):
        self.name, self.text, self.packets = name, text, []

    def add(self, frame, note, words, covers=None):
        """Append a frame, a millisecond behind the last; `covers`: the addresses hashed."""
        packet = Packet(1000 * len(self.packets), frame, note, words)
        if covers:
            hashed = packet.known.expect(()).input[:32]
            assert hashed == b"".join(map(address, covers)), note + ": other addresses are hashed"
        self.packets.append(packet)

    def pcap(self):
        """The octets of the capture file."""
        result = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1)
        for packet in self.packets:
            seconds, microseconds = divmod(packet.microseconds, 1000000)
            length = len(packet.octets)
            result += struct.pack("<IIII", START + seconds, microseconds, length, length)
            result += packet.octets
        return result

    def ndjson(self, dialect):
        """The octets of the expectation."""
        return "".join(packet.line(number, dialect)
                       for number, packet in enumerate(self.packets, 1)).encode()


def theme_capture(name, text, fill):
    """The capture of one theme."""
    capture = Capture(name, text)
    fill(capture.add)
    return capture


def all_captures():
    """Every capture of this folder."""
    captures = [theme_capture(*theme) for theme in THEMES]
    for name, text, events in SAMPLES:
        capture = Capture(name, text)
        capture.packets = [Packet(time, frame, note, words) for time, frame, words, note in events()]
        check_sample(capture)
        captures.append(capture)
    return captures


def check_sample(capture):
    """A sample has to show something: one queue by the outer header, all by the inner one."""
    def load(dialect):
        used = [queue_and_hash(packet.known.expect(TUNNEL_TYPES[dialect]))[0]
                for packet in capture.packets]
        return [used.count(queue) for queue in range(QUEUES)]
    assert max(load("off")) == len(capture.packets)
    assert min(load("ratified")) > len(capture.packets) // (2 * QUEUES), load("ratified")


# ---- README -------------------------------------------------------------------------------------

README = """<!-- SPDX-License-Identifier: BSD-3-Clause -->
<!-- Written by make.py: change it there. -->
# Captures with known answers

Each `NAME.pcap` is a small classic pcap file (Ethernet, little-endian, microseconds) about one
theme. Beside it stand `NAME.off.ndjson`, `NAME.draft-v7.ndjson`, `NAME.draft-v10.ndjson` and
`NAME.ratified.ndjson`: what `vionet-replay --format ndjson --dialect D NAME.pcap` has to print with
its defaults, which are all hash types and all of the dialect's tunnel types, the 40-octet key of
Microsoft's RSS verification suite, 4 queues and a table of 128 entries.

The answers come neither from vionet nor from `test/oracle/oracle.py`. The `themes_*.py` build each
packet from the layers in `layers.py`, and say beside it, by hand, what a device sees in it; the layers
know which addresses and ports they hold and where they end. `make.py` stops if the two disagree. It writes every file of this folder, octet for octet the same each time;
`make.py --check` compares instead, and `test/oracle/test_oracle.py` holds the oracle against the same
expectations.

`make.py --large FOLDER` writes one more capture with its expectations, of frames around the limit of
65,550 octets, which is too big to be kept here.

`make.py --list` prints what every packet is, `make.py --list NAME` those of one capture, with what a
device sees in it: the report by the outer header, and for a recognised tunnel its types (a type
counts in the dialects that have it) and the report by the inner header. So
`UDPv4 > vxlan > TCPv4` is reported as TCPv4 where the type `vxlan` is enabled, else as UDPv4.

| capture | packets | what it shows |
|---|---|---|
"""


def readme(captures):
    """The octets of README.md."""
    text = README
    for capture in captures:
        text += "| `%s` | %d | %s |\n" % (capture.name, len(capture.packets), capture.text)
    return text.encode()


def print_list(names):
    """Say what each packet of the named captures is; of all of them if none is named."""
    for capture in all_captures():
        if names and capture.name not in names:
            continue
        print("%s: %s" % (capture.name, capture.text))
        for number, packet in enumerate(capture.packets, 1):
            print("%5d  %-60s  %s" % (number, packet.note, packet.words))
        print()


# ---- Files --------------------------------------------------------------------------------------

def capture_files(captures):
    """The name and the octets of each capture and of its expectations."""
    files = {}
    for capture in captures:
        files[capture.name + ".pcap"] = capture.pcap()
        for dialect in DIALECTS:
            files["%s.%s.ndjson" % (capture.name, dialect)] = capture.ndjson(dialect)
    return files


def all_files():
    """The name and the octets of every file of this folder that is made here."""
    captures = all_captures()
    return {"README.md": readme(captures), **capture_files(captures)}


def large_files():
    """The same of what is too big to be kept."""
    return capture_files(theme_capture(*theme) for theme in LARGE)


def write(files, folder):
    """Put the files into `folder`."""
    for name, octets in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(octets)


def differences(files, folder):
    """Complaints about what in `folder` is not as it should be."""
    for name, octets in sorted(files.items()):
        try:
            with open(os.path.join(folder, name), "rb") as file:
                if file.read() != octets:
                    yield name + " differs"
        except OSError as error:
            yield "%s: %s" % (name, error.strerror)
    for name in sorted(os.listdir(folder)):
        if name.endswith((".pcap", ".ndjson")) and name not in files:
            yield name + " is not made here"


def check():
    """Compare; the exit status."""
    complaints = list(differences(all_files(), HERE))
    for complaint in complaints:
        print("make.py: " + complaint, file=sys.stderr)
    return 1 if complaints else 0


def main(argv):
    """Write the files, or compare them, or say what is in them."""
    if argv == ["--check"]:
        return check()
    if argv[:1] == ["--list"]:
        print_list(argv[1:])
    elif argv[:1] == ["--large"] and len(argv) == 2:
        write(large_files(), argv[1])
    elif not argv:
        write(all_files(), HERE)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
