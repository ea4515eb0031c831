#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# Holds oracle.py against everything that knows better: the published hashes, the captures and
# vectors of test/captures and test/vectors, whose generators know what they built, and hand-made
# files for its readers and its command line. Also checks that those generators still write
# what is there. Prints TAP; the exit status is 1 if a test failed.
"""Usage: test_oracle.py"""

import importlib.util
import io
import os
import struct
import subprocess
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import oracle                                                           # noqa: E402
from toeplitz import MICROSOFT_KEY, toeplitz                            # noqa: E402


def load(name, *path):
    """Import a file by its path, as the module `name`."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(HERE, "..", *path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


captures = load("captures_make", "captures", "make.py")
vectors = load("vectors_make", "vectors", "make.py")
CAPTURES = os.path.join(HERE, "..", "captures")
VECTORS = os.path.join(HERE, "..", "vectors")
DIALECTS = ("off", "draft-v7", "draft-v10", "ratified")
TESTS = []


def test(name):
    """Enter a function as a test."""
    def enter(function):
        TESTS.append((name, function))
        return function
    return enter


def equal(found, expected, what=""):
    """Complain about a difference."""
    assert found == expected, "%s: found %r, expected %r" % (what, found, expected)


def run(*arguments):
    """(exit status, output, errors) of the oracle."""
    output, errors = io.StringIO(), io.StringIO()
    status = oracle.main([str(argument) for argument in arguments], output, errors)
    return status, output.getvalue(), errors.getvalue()


def read(*path, mode="r"):
    """A whole file."""
    with open(os.path.join(*path), mode) as file:
        return file.read()


def same_lines(found, expected, what):
    """Complain about the first line that differs."""
    found, expected = found.splitlines(), expected.splitlines()
    for pair in zip(found, expected):
        equal(*pair, what)
    equal(len(found), len(expected), what + ", number of lines")


# ---- Hash ---------------------------------------------------------------------------------------

PUBLISHED = (                               # source, destination, addresses only, with ports
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323e8fc2, 0x51ccc178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718262a, 0xc626b0ea),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xd2d0a5de, 0x5c2b394a),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xafc7327f),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5d1809c5, 0x10e828a2),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2cc18cd5, 0x40207d3d),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0f0c461c, 0xdde51bbf),
    ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024,
     0x4b61e985, 0x02d1feef),
)


@test("Toeplitz: the published hashes")
def published_hashes():
    from ipaddress import ip_address
    for source, sport, destination, dport, plain, with_ports in PUBLISHED:
        octets = ip_address(source).packed + ip_address(destination).packed
        equal(toeplitz(MICROSOFT_KEY, octets), plain, source)
        octets += struct.pack(">HH", sport, dport)
        equal(toeplitz(MICROSOFT_KEY, octets), with_ports, source)


@test("Toeplitz: the published hashes, from packets")
def published_packets():
    lines = run(CAPTURES + "/microsoft-rss.pcap")[1].splitlines()
    expected = []
    for source, _, _, _, plain, with_ports in PUBLISHED:
        version = "v6" if ":" in source else "v4"
        expected += [(with_ports, "TCP" + version), (with_ports, "UDP" + version),
                     (plain, "IP" + version)]
    for line, (value, report) in zip(lines, expected):
        assert line.endswith('"hash": "0x%08x", "report": "%s"}' % (value, report)), line
    equal(len(lines), len(expected))


@test("Toeplitz: every line of toeplitz.txt")
def toeplitz_lines():
    from ipaddress import ip_address
    count = 0
    for line in read(VECTORS, "toeplitz.txt").splitlines():
        if not line or line[0] == "#":
            continue
        key, source, sport, destination, dport, plain, with_ports = line.split(" ")
        key = bytes.fromhex(key)
        octets = ip_address(source).packed + ip_address(destination).packed
        equal(toeplitz(key, octets), int(plain, 16), line)
        octets += struct.pack(">HH", int(sport), int(dport))
        equal(toeplitz(key, octets), int(with_ports, 16), line)
        count += 1
    assert count > 2000, count


# ---- Captures -----------------------------------------------------------------------------------

def capture_test(name):
    """A test of one capture in four dialects."""
    @test("capture %s in four dialects" % name)
    def compare():
        for dialect in DIALECTS:
            status, output, errors = run("--dialect", dialect, "%s/%s.pcap" % (CAPTURES, name))
            equal((status, errors), (0, ""), dialect)
            same_lines(output, read(CAPTURES, "%s.%s.ndjson" % (name, dialect)), dialect)


for file_name in sorted(os.listdir(CAPTURES)):
    if file_name.endswith(".pcap"):
        capture_test(file_name[:-5])


@test("frames around the greatest length")
def frame_limits():
    with tempfile.TemporaryDirectory() as folder:
        captures.write(captures.large_files(), folder)
        for dialect in DIALECTS:
            status, output, _ = run("--dialect", dialect, folder + "/frame-limits.pcap")
            equal(status, 0)
            same_lines(output, read(folder, "frame-limits.%s.ndjson" % dialect), dialect)


def some_settings():
    """(dialect, tunnel types, hash types) other than everything at once."""
    for dialect, names in captures.TUNNEL_TYPES.items():
        for chosen in [()] + [(name,) for name in names]:
            yield dialect, chosen, oracle.HASH_TYPES
    for hash_types in ((), ("ipv4",), ("ipv6",), ("tcpv4", "tcpv6"), ("udpv4", "udpv6"),
                       ("ipv6-ex", "tcpv6"), ("tcpv6-ex", "ipv6"), ("udpv6-ex", "udpv6"),
                       ("ipv4", "ipv6", "tcpv4", "tcpv6", "udpv4", "udpv6"),
                       ("tcpv6-ex", "udpv6-ex", "ipv6-ex"), ("ipv4", "ipv6", "ipv6-ex")):
        yield "ratified", captures.TUNNEL_TYPES["ratified"], hash_types
    yield "draft-v7", captures.TUNNEL_TYPES["draft-v7"], ("ipv6", "udpv4")
    yield "draft-v10", ("gre", "vxlan"), ("ipv4", "udpv6")
    yield "ratified", ("gre-2784", "gre-7676", "vxlan-gpe"), ("tcpv4", "ipv6")


@test("every capture with parts of the tunnel and hash types")
def partial_settings():
    packets = [packet for capture in captures.all_captures() for packet in capture.packets
               if not packet.dropped]
    settings = list(some_settings())
    assert len(settings) > 30
    for dialect, tunnels, hashes in settings:
        chosen = oracle.Settings(dialect, frozenset(tunnels), frozenset(hashes))
        for packet in packets:
            expected = packet.known.expect(tunnels, hashes)
            value = None if expected.report == "NONE" else cached(expected.input)
            found = oracle.hash_frame(packet.octets, chosen)
            equal((found.report, found.hash), (expected.report, value), packet.note)
            if dialect == "draft-v7":
                equal(found.tunnel, expected.tunnel, packet.note)


def cached(octets, known={}):
    """The hash of `octets` under the usual key."""
    if octets not in known:
        known[octets] = toeplitz(MICROSOFT_KEY, octets)
    return known[octets]


@test("captures: make.py writes what is there")
def captures_check():
    equal(list(captures.differences(captures.all_files(), CAPTURES)), [])


# ---- Vectors ------------------------------------------------------------------------------------

def frame_lines():
    """The fields of each line of frames.txt."""
    for line in read(VECTORS, "frames.txt").splitlines():
        if line and line[0] != "#":
            yield line.split(" ")


@test("vectors: every frame of frames.txt in four dialects")
def frame_vectors():
    settings = [oracle.Settings(dialect, frozenset(oracle.TUNNEL_TYPES[dialect]))
                for dialect in DIALECTS]
    count = 0
    for name, *expected, _, frame in frame_lines():
        frame = bytes.fromhex(frame)
        found = []
        for setting in settings:
            result = oracle.hash_frame(frame, setting)
            found += [result.report, "-" if result.hash is None else "0x%08x" % result.hash]
            if setting.dialect == "draft-v7":
                found.append(result.tunnel)
        equal(found, expected, name)
        count += 1
    assert count > 2000, count


@test("vectors: every tunnel type of frames.txt alone")
def frame_types():
    settings = [oracle.Settings(dialect, frozenset({name}))
                for dialect, names in oracle.TUNNEL_TYPES.items() for name in names]
    for name, off_report, off_hash, *_, report, value, types, frame in frame_lines():
        if types == "-":
            continue
        for setting in settings:
            result = oracle.hash_frame(bytes.fromhex(frame), setting)
            found = result.report, "-" if result.hash is None else "0x%08x" % result.hash
            matched = setting.tunnel_types.intersection(types.split(","))
            equal(found, (report, value) if matched else (off_report, off_hash), name)


@test("vectors: frames.pcapng has the frames and the ratified hashes")
def pcapng_vectors():
    data = read(VECTORS, "frames.pcapng", mode="rb")
    lines = list(frame_lines())
    equal([frame.hex() for frame in oracle.read_capture(data)], [line[-1] for line in lines])
    bodies = [body for kind, _, body in oracle.pcapng_blocks(data) if kind == 6]
    for body, line in zip(bodies, lines):
        options = body[20 + (len(body[20:]) and -(-struct.unpack_from("<I", body, 12)[0] // 4) * 4):]
        found = dict(pcapng_options(options))
        equal(found[1].decode(), line[0])
        value = struct.pack("<BI", 5, int(line[9], 16)) if line[9] != "-" else None
        equal(found.get(3), value, line[0])


def pcapng_options(octets):
    """(code, value) of each option of a block."""
    while True:
        code, length = struct.unpack_from("<HH", octets)
        if code == 0:
            return
        yield code, octets[4:4 + length]
        octets = octets[4 + length + -length % 4:]


@test("vectors: make.py writes what is there")
def vectors_check():
    for name, octets in vectors.all_files().items():
        assert vectors.same(name, octets), name


# ---- Capture formats ----------------------------------------------------------------------------

FRAMES = [packet.octets for packet in captures.theme_capture(*captures.THEMES[0]).packets[:5]]


def pcap(order="<", magic=0xa1b2c3d4, link=1, frames=FRAMES):
    """A classic pcap file."""
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for frame in frames:
        data += struct.pack(order + "IIII", 1, 2, len(frame), len(frame)) + frame
    return data


def block(order, kind, body):
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order, *links, snaplen=0):
    """The start of a pcapng section: its header and interfaces."""
    data = block(order, 0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1))
    for link in links:
        data += block(order, 1, struct.pack(order + "HHI", link, 0, snaplen))
    return data


def enhanced(order, frame, interface=0):
    """An enhanced packet block."""
    head = struct.pack(order + "IIIII", interface, 0, 1, len(frame), len(frame))
    return block(order, 6, head + frame)


def simple(order, frame, length=None):
    """A simple packet block."""
    return block(order, 3, struct.pack(order + "I", length or len(frame)) + frame)


def old(order, frame):
    """An obsolete packet block."""
    return block(order, 2, struct.pack(order + "HHIIII", 0, 0, 0, 1, len(frame), len(frame)) + frame)


def run_data(data, *arguments):
    """The oracle on a file with these octets."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "capture")
        with open(path, "wb") as file:
            file.write(data)
        status, output, errors = run(*arguments, path)
        return status, output, errors.replace(path, "capture")


def first_lines(count=len(FRAMES)):
    """What is expected of the first FRAMES."""
    return "".join(read(CAPTURES, "microsoft-rss.ratified.ndjson").splitlines(True)[:count])


@test("pcap: both byte orders, micro- and nanoseconds")
def pcap_formats():
    for order in "<>":
        for magic in (0xa1b2c3d4, 0xa1b23c4d):
            equal(run_data(pcap(order, magic)), (0, first_lines(), ""), order)


@test("pcap: FCS bits beside the link type do not matter; no packets are fine")
def pcap_variants():
    equal(run_data(pcap(link=0x44000001)), (0, first_lines(), ""))
    equal(run_data(pcap(frames=())), (0, "", ""))


@test("pcapng: enhanced, simple and obsolete packet blocks in both byte orders")
def pcapng_formats():
    for order in "<>":
        for packet in (enhanced, simple, old):
            data = section(order, 1) + b"".join(packet(order, frame) for frame in FRAMES)
            equal(run_data(data), (0, first_lines(), ""), packet.__name__)


@test("pcapng: several sections and interfaces, unknown blocks, an unused interface")
def pcapng_structure():
    unknown = block("<", 0x0bad, b"whatever")
    data = section("<", 113, 1) + unknown + enhanced("<", FRAMES[0], 1) + enhanced("<", FRAMES[1], 1)
    data += section(">", 1) + enhanced(">", FRAMES[2]) + simple(">", FRAMES[3])
    data += section("<", 1) + unknown + old("<", FRAMES[4])
    equal(run_data(data), (0, first_lines(), ""))


@test("pcapng: a simple packet block is cut at the interface's snapshot length")
def pcapng_snaplen():
    data = section("<", 1, snaplen=40) + simple("<", FRAMES[0][:40], len(FRAMES[0]))
    status, output, _ = run_data(data)
    equal((status, output), (0, '{"packet": 1, "length": 40, "queue": %d, "hash": "0x323e8fc2", '
                                '"report": "IPv4"}\n' % (0x323e8fc2 % 128 % 4)))


@test("a truncated tail: what is in front of it is printed, status 2")
def truncated_tail():
    data = pcap()
    for missing in (1, len(FRAMES[-1]), len(FRAMES[-1]) + 1, len(FRAMES[-1]) + 15):
        status, output, errors = run_data(data[:-missing])
        equal((status, output), (2, first_lines(4)), missing)
        assert errors.count("\n") == 1 and "truncated" in errors, errors
    data = section("<", 1) + b"".join(enhanced("<", frame) for frame in FRAMES)
    for missing in (1, 4, 50):
        status, output, errors = run_data(data[:-missing])
        equal((status, output), (2, first_lines(4)), missing)
        assert errors.count("\n") == 1 and "truncated" in errors, errors


@test("unusable captures: status 2 and one line")
def unusable_captures():
    bad_lengths = block("<", 6, bytes(20))[:-4] + bytes(4)
    for name, data in (
            ("empty", b""), ("text", b"no capture at all, but long enough for a header"),
            ("cut header", pcap()[:20]), ("loopback", pcap(link=0)), ("cooked", pcap(link=113)),
            ("pcapng link type", section("<", 113) + enhanced("<", FRAMES[0])),
            ("unknown interface", section("<", 1) + enhanced("<", FRAMES[0], 1)),
            ("no interface", section("<") + simple("<", FRAMES[0])),
            ("bad byte-order magic", section("<", 1).replace(b"\x4d\x3c\x2b\x1a", bytes(4))),
            ("length not a multiple of 4", section("<", 1) + struct.pack("<II", 6, 14) + bytes(8)),
            ("length 0", section("<", 1) + struct.pack("<II", 6, 0) + bytes(8)),
            ("lengths disagree", section("<", 1) + bad_lengths),
            ("packet beyond its block", section("<", 1) + block(
                "<", 6, struct.pack("<IIIII", 0, 0, 0, 100, 100) + bytes(60)))):
        status, output, errors = run_data(data)
        equal((status, output, errors.count("\n")), (2, "", 1), name)
        assert "capture" in errors, errors
    equal(run("/nowhere/at/all.pcap")[0], 2)


# ---- Command line -------------------------------------------------------------------------------

@test("unusable command lines: status 2 and one line")
def unusable_arguments():
    capture = CAPTURES + "/vlan.pcap"
    for arguments in (
            [], ["--dialect", "v7", capture], ["--tunnel-types", "gre", capture],
            ["--dialect", "draft-v7", "--tunnel-types", "ipip", capture],
            ["--dialect", "draft-v10", "--tunnel-types", "gre-2784", capture],
            ["--dialect", "off", "--tunnel-types", "vxlan", capture],
            ["--tunnel-types", "", capture], ["--tunnel-types", "vxlan,", capture],
            ["--tunnel-types", "all,vxlan", capture], ["--hash-types", "sctpv4", capture],
            ["--key", "", capture], ["--key", "6d5", capture], ["--key", "0x6d5a", capture],
            ["--key", "00" * 256, capture], ["--queues", "0", capture],
            ["--queues", "many", capture], ["--indirection", "100", capture],
            ["--indirection", "0", capture], ["--colour", capture]):
        status, output, errors = run(*arguments)
        equal((status, output, errors.count("\n")), (2, "", 1), arguments)


@test("several captures: each line names its own, numbers start again")
def several_captures():
    first, second = CAPTURES + "/microsoft-rss.pcap", CAPTURES + "/vlan.pcap"
    expected = ""
    for path in (first, second):
        for line in read(path.replace(".pcap", ".ratified.ndjson")).splitlines():
            expected += '{"capture": "%s", %s\n' % (path, line[1:])
    equal(run(first, second), (0, expected, ""))


@test("queues and table length")
def queues():
    for count, length in ((1, 128), (3, 128), (8, 1), (8, 4), (64, 1024), (4, 65536)):
        output = run("--queues", count, "--indirection", length, CAPTURES + "/microsoft-rss.pcap")[1]
        values = [value for row in PUBLISHED for value in (row[5], row[5], row[4])]
        for line, value in zip(output.splitlines(), values):
            assert '"queue": %d, "hash": "0x%08x"' % (value % length % count, value) in line, line


@test("keys: short ones end in zeros, long ones are taken")
def keys():
    path = CAPTURES + "/sample-gre.pcap"
    equal(run("--key", "6d5a56da", path), run("--key", "6d5a56da" + "00" * 36, path))
    equal(run("--key", MICROSOFT_KEY.hex().upper() + "ff" * 215, path), run(path))
    assert run("--key", "01", path)[1] != run("--key", "02", path)[1]


@test("--max-frame moves the limit")
def max_frame():
    data = pcap(frames=[FRAMES[0], FRAMES[0] + b"\0"])
    status, output, _ = run_data(data, "--max-frame", len(FRAMES[0]), "--dialect", "draft-v7")
    expected = first_lines(1)[:-2] + ', "tunnel": "NONE"}\n'
    expected += '{"packet": 2, "length": %d, "dropped": "oversize"}\n' % (len(FRAMES[0]) + 1)
    equal((status, output), (0, expected))


@test("none and comma lists of types")
def type_lists():
    path = CAPTURES + "/sample-vxlan.pcap"
    outer = read(CAPTURES, "sample-vxlan.off.ndjson")
    equal(run("--tunnel-types", "none", path)[1], outer)
    equal(run("--tunnel-types", "gre-2784,ipip", path)[1], outer)
    inner = read(CAPTURES, "sample-vxlan.ratified.ndjson")
    equal(run("--tunnel-types", "geneve,vxlan", path)[1], inner)
    equal(run("--dialect", "off", "--tunnel-types", "all", path)[1], outer)
    for line in run("--hash-types", "none", path)[1].splitlines():
        assert '"queue": 0, "hash": null, "report": "NONE"' in line, line


@test("as a program of its own")
def program():
    path = CAPTURES + "/gre.pcap"
    done = subprocess.run([sys.executable, HERE + "/oracle.py", "--dialect", "draft-v10", path],
                          capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ""))
    equal(done.stdout, read(CAPTURES, "gre.draft-v10.ndjson"))
    done = subprocess.run([sys.executable, HERE + "/oracle.py", path + "x"],
                          capture_output=True, text=True, check=False)
    equal((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1))


def main():
    """Run all tests; return the exit status."""
    print("1..%d" % len(TESTS))
    failed = 0
    for number, (name, function) in enumerate(TESTS, 1):
        try:
            function()
            print("ok %d - %s" % (number, name))
        except Exception:                                               # noqa: B902
            failed += 1
            print("not ok %d - %s" % (number, name))
            for line in traceback.format_exc().splitlines():
                print("# " + line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
