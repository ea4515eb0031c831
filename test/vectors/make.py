#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# Writes the vector set: toeplitz.txt, frames.txt and frames.pcapng. README.md has the formats. What
# is expected of a frame comes from the layers that it is built of (../captures/layers.py), hashed
# with the bitwise function of ../oracle/toeplitz.py. The output is the same octet for octet on every
# run; --check compares it with the files that are here.
"""Usage: make.py [--check]"""

import functools
import os
import struct
import sys
from ipaddress import ip_address

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "captures"), os.path.join(HERE, "..", "oracle")]
from frames import frames                                               # noqa: E402
from layers import TUNNEL_TYPES, TYPE_ORDER, Dice                       # noqa: E402
from toeplitz import MICROSOFT_KEY, toeplitz                            # noqa: E402

DIALECTS = ("off", "draft-v7", "draft-v10", "ratified")


# ---- toeplitz.txt -------------------------------------------------------------------------------

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

TOEPLITZ_HEADER = """# SPDX-License-Identifier: BSD-3-Clause
# Toeplitz vectors; README.md says more. Written by make.py. Fields, separated by one space:
# key source source-port destination destination-port hash-of-addresses hash-of-addresses-and-ports
"""


def toeplitz_line(key, source, sport, destination, dport):
    """One line; addresses are octets."""
    addresses = source + destination
    return "%s %s %d %s %d 0x%08x 0x%08x\n" % (
        key.hex(), ip_address(source), sport, ip_address(destination), dport,
        toeplitz(key, addresses), toeplitz(key, addresses + struct.pack(">HH", sport, dport)))


def split_tuple(octets):
    """(source, source port, destination, destination port) from the octets that are hashed."""
    size = (len(octets) - 4) // 2
    sport, dport = struct.unpack(">HH", octets[-4:])
    return octets[:size], sport, octets[size:2 * size], dport


def one_bit_tuples(length):
    """Every input of `length` octets that has one bit set: they show the key window by window."""
    for bit in range(8 * length):
        yield split_tuple((1 << 8 * length - 1 - bit).to_bytes(length, "big"))


def special_keys(dice):
    """(words, key) of keys that show something."""
    yield "all zeros", bytes(40)
    yield "all ones", b"\xff" * 40
    yield "the first bit alone", b"\x80" + bytes(39)
    yield "the last bit alone", bytes(39) + b"\x01"
    yield "6d5a repeated: both directions of a connection have one hash", b"\x6d\x5a" * 20
    yield "longer than any input needs", dice.octets(52)


def toeplitz_text():
    """The octets of toeplitz.txt."""
    dice = Dice("toeplitz")
    text = TOEPLITZ_HEADER + "\n# Microsoft's RSS verification suite\n"
    for source, sport, destination, dport in MICROSOFT_SUITE:
        text += toeplitz_line(MICROSOFT_KEY, ip_address(source).packed, sport,
                              ip_address(destination).packed, dport)
    text += "\n# One bit set, under the same key: the hash is the key from that bit on\n"
    for length in (12, 36):
        for parts in one_bit_tuples(length):
            text += toeplitz_line(MICROSOFT_KEY, *parts)
    for words, key in special_keys(dice):
        text += "\n# Key: %s\n" % words
        for length in (12, 36) * 5:
            text += toeplitz_line(key, *split_tuple(dice.octets(length)))
    for size in range(1, 41):
        text += "\n# Keys of %d octets\n" % size
        for number in range(40):
            key = dice.octets(size)
            text += toeplitz_line(key, *split_tuple(dice.octets(36 if number % 2 else 12)))
    return text.encode()


# ---- frames.txt and frames.pcapng ---------------------------------------------------------------

FRAMES_HEADER = """# SPDX-License-Identifier: BSD-3-Clause
# Frame vectors; README.md says more. Written by make.py. Fields, separated by one space:
# name off-report off-hash v7-report v7-hash v7-tunnel v10-report v10-hash ratified-report
#     ratified-hash tunnel-types frame
"""


class Vector:
    """A frame and what is expected of it in each dialect."""

    def __init__(self, name, frame):
        self.name, self.octets, self.known = name, frame.octets(), frame.known()
        self.expected = {dialect: self.known.expect(TUNNEL_TYPES[dialect]) for dialect in DIALECTS}

    def line(self):
        """The line of frames.txt."""
        fields = [self.name]
        for dialect in DIALECTS:
            expected = self.expected[dialect]
            value = hash_of(expected)
            fields += [expected.report, "-" if value is None else "0x%08x" % value]
            if dialect == "draft-v7":
                fields.append(expected.tunnel)
        types = self.known.tunnel.types if self.known.tunnel else ()
        fields.append(",".join(name for name in TYPE_ORDER if name in types) or "-")
        return " ".join(fields + [self.octets.hex()]) + "\n"


@functools.lru_cache(maxsize=None)
def hash_of(expected):
    """The hash under Microsoft's key, or None."""
    return None if expected.report == "NONE" else toeplitz(MICROSOFT_KEY, expected.input)


@functools.lru_cache(maxsize=None)
def vectors():
    """Every Vector."""
    result = [Vector(name, frame) for name, frame in frames()]
    assert len({vector.name for vector in result}) == len(result), "a name repeats"
    return result


def frames_text():
    """The octets of frames.txt."""
    return (FRAMES_HEADER + "".join(vector.line() for vector in vectors())).encode()


def padding(octets):
    """Zeros up to a multiple of four octets."""
    return bytes(-len(octets) % 4)


def block(kind, body):
    """A pcapng block."""
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def option(code, octets):
    """A pcapng option."""
    return struct.pack("<HH", code, len(octets)) + octets + padding(octets)


def enhanced_packet(number, vector):
    """The block of a frame, with its name as a comment and its hash, if it has one."""
    microseconds = 1700000000000000 + 1000 * number
    length = len(vector.octets)
    body = struct.pack("<IIIII", 0, microseconds >> 32, microseconds & 0xffffffff, length, length)
    body += vector.octets + padding(vector.octets) + option(1, vector.name.encode())
    value = hash_of(vector.expected["ratified"])
    if value is not None:
        body += option(3, struct.pack("<BI", 5, value))                 # epb_hash, Toeplitz
    return block(6, body + option(0, b""))


def frames_pcapng():
    """The octets of frames.pcapng."""
    section = struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)
    interface = struct.pack("<HHI", 1, 0, 262144)
    return (block(0x0a0d0d0a, section) + block(1, interface)
            + b"".join(enhanced_packet(*item) for item in enumerate(vectors())))


# ---- Files --------------------------------------------------------------------------------------

def all_files():
    """The name and the octets of every file that this program writes."""
    return {"toeplitz.txt": toeplitz_text(), "frames.txt": frames_text(),
            "frames.pcapng": frames_pcapng()}


def same(name, octets):
    """Whether the file called `name` has these octets."""
    try:
        with open(os.path.join(HERE, name), "rb") as file:
            return file.read() == octets
    except OSError:
        return False


def main(argv):
    """Write the files, or compare them."""
    if argv not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    wrong = 0
    for name, octets in all_files().items():
        if not argv:
            with open(os.path.join(HERE, name), "wb") as file:
                file.write(octets)
        elif not same(name, octets):
            print("make.py: %s differs" % name, file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
