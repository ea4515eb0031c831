#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of vionet-replay from outside: command line in, text out. Reports in TAP.

Parts: captures (every capture, several settings, both rings, twice: no crash, the same answers), oracle
(test/oracle/oracle.py says the same, with defaults and with random settings), expected (the answers that
stand beside the captures in test/captures), files (--write, --expect, --report and other formats),
unusable (what has to end with exit status 2 and one line that says why).

Captures come from test/captures and, where that exists beside the source tree, ../shared/captures.
"""

import argparse
import concurrent.futures
import difflib
import itertools
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from typing import NamedTuple

import tap

TUNNEL_TYPES = {
    'off': [],
    'draft-v7': ['gre', 'vxlan', 'geneve'],
    'draft-v10': ['gre', 'vxlan', 'geneve', 'ipip', 'nvgre'],
    'ratified': ['gre-2784', 'gre-2890', 'gre-7676', 'gre-udp', 'vxlan', 'vxlan-gpe', 'geneve', 'ipip',
                 'nvgre'],
}
DIALECTS = list(TUNNEL_TYPES)
HASH_TYPES = ['ipv4', 'tcpv4', 'udpv4', 'ipv6', 'tcpv6', 'udpv6', 'ipv6-ex', 'tcpv6-ex', 'udpv6-ex']
NDJSON = ['--format', 'ndjson']
SECONDS = 300  # the longest that one run may take, under Valgrind


class Run(NamedTuple):
    status: int
    output: str
    errors: str

    def describe(self):
        return [f'exit status {self.status}'] + self.errors.splitlines()[:15]


def run(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors='backslashreplace', timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Run(-1, '', f'still running after {SECONDS} seconds')
    return Run(done.returncode, done.stdout, done.stderr)


def difference(expected, found):
    """The first few lines in which two outputs differ, or nothing."""
    lines = difflib.unified_diff(expected.splitlines(), found.splitlines(), 'expected', 'found',
                                 lineterm='', n=0)
    return list(itertools.islice(lines, 12))


def one_line(text):
    return text.endswith('\n') and text.count('\n') == 1 and bool(text.strip())


class Checks:
    """What all parts share. A check is a function that returns what is wrong: lines, none if all is well."""

    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.root = options.root.resolve()
        self.command = shlex.split(options.wrapper) + [str(options.replay.resolve())]
        self.own = sorted((self.root / 'test' / 'captures').glob('*.pcap*'))
        shared = self.root.parent / 'shared' / 'captures'
        self.shared = sorted(path for path in shared.glob('*.pcap*')) if shared.is_dir() else []
        self.sample = self.root / 'test' / 'captures' / 'sample-vxlan.pcap'

    def replay(self, *arguments):
        return run(self.command + [str(argument) for argument in arguments])

    def label(self, capture):
        return f'{"shared/" if capture in self.shared else ""}{capture.name}'

    # ---- captures ----

    def settings(self):
        for dialect in DIALECTS:
            yield ['--dialect', dialect, *NDJSON]
        if not self.options.quick:
            yield ['--hash-types', 'none', *NDJSON]
            yield ['--tunnel-types', 'none', '--queues', '1', *NDJSON]
            yield ['--queues', '3', '--indirection', '1', '--key', '00', *NDJSON]
            yield ['--format', 'table']
            yield ['--compare']

    def steady(self, capture):
        """A capture goes through in every setting, whatever is in it, with the same answer again."""
        problems = []
        for setting in self.settings():
            split, packed = ([*setting, '--ring', ring, capture] for ring in ('split', 'packed'))
            first = self.replay(*split)
            said = ' '.join(setting)
            if first.status not in (0, 2):
                problems += [f'{said}:', *first.describe()]
            elif first.status == 2 and not one_line(first.errors):
                problems += [f'{said}: not one line on standard error:', *first.describe()]
            elif self.replay(*split) != first:
                problems += [f'{said}: another answer the second time']
            else:
                other = self.replay(*packed)
                # The table may say which ring it was.
                if other.status != first.status or 'ndjson' in setting and other != first:
                    problems += [f'{said}: another answer from a packed ring:', *other.describe(),
                                 *difference(first.output, other.output)]
        return problems

    def captures(self):
        for capture in self.own + self.shared:
            yield f'{self.label(capture)}: no crash, and the same answer again and from either ring', \
                lambda capture=capture: self.steady(capture)

    # ---- oracle ----

    def as_oracle(self, arguments):
        """vionet-replay and the oracle, given the same command line, say the same."""
        expected = run([sys.executable, self.root / 'test' / 'oracle' / 'oracle.py', *arguments])
        found = self.replay(*NDJSON, *arguments)
        if expected.status not in (0, 2):
            return ['the oracle failed:', *expected.describe()]
        if expected.status != found.status:
            return [f'the oracle ends with exit status {expected.status}: {expected.errors}',
                    *found.describe()]
        return difference(expected.output, found.output)

    def random_settings(self, chance):
        dialect = chance.choice(DIALECTS)
        settings = ['--dialect', dialect]
        for option, names in (('--tunnel-types', TUNNEL_TYPES[dialect]), ('--hash-types', HASH_TYPES)):
            chosen = [name for name in names if chance.random() < 0.6]
            settings += [option, ','.join(chosen) or 'none']
        length = chance.choice([40, 40, chance.randint(1, 40)])
        settings += ['--key', chance.randbytes(length).hex()]
        settings += ['--queues', str(chance.randint(1, 16))]
        settings += ['--indirection', str(1 << chance.randint(0, 7))]
        return settings

    def several_dialects(self, capture):
        problems = []
        for dialect in DIALECTS:
            lines = self.as_oracle(['--dialect', dialect, capture])
            problems += [f'--dialect {dialect}:', *lines] if lines else []
        return problems

    def oracle(self):
        for capture in self.own + self.shared:
            yield f'{self.label(capture)}: as the oracle, in every dialect', \
                lambda capture=capture: self.several_dialects(capture)
        # An unusable capture would end a run over all of them.
        usable = [path for path in self.own + self.shared if self.replay(*NDJSON, path).status == 0]
        yield f'seed {self.options.seed}: {len(usable)} captures for random settings', \
            lambda: [] if usable else ['no capture can be read']
        chance = random.Random(self.options.seed)
        for number in range(3 if self.options.quick else 30):
            settings = self.random_settings(chance)
            yield f'random settings {number + 1}: {" ".join(settings)}: as the oracle over all captures', \
                lambda settings=settings: self.as_oracle([*settings, *usable])

    # ---- expected ----

    def as_expected(self, capture, dialect, expected):
        found = self.replay('--dialect', dialect, *NDJSON, capture)
        if found.status not in (0, 2):
            return found.describe()
        return difference(expected.read_text(encoding='utf-8'), found.output)

    def expected(self):
        folder = self.root / 'test' / 'captures'
        answers = set(folder.glob('*.ndjson'))
        yield 'there are captures in test/captures', \
            lambda: [] if self.own else [f'none in {folder}']
        for capture in self.own:
            for dialect in DIALECTS:
                answer = folder / f'{capture.stem}.{dialect}.ndjson'
                answers.discard(answer)
                yield f'{answer.name}: what is printed', \
                    lambda capture=capture, dialect=dialect, answer=answer: (
                        self.as_expected(capture, dialect, answer) if answer.exists() else
                        ['there is no such file'])
        yield 'every expected answer has its capture', \
            lambda: [path.name for path in sorted(answers)]

    # ---- files ----

    def written_hashes(self, dialect):
        """--write leaves every packet as it was, with the hash and queue that were printed."""
        copy = self.scratch / f'{dialect}.pcapng'
        done = self.replay('--dialect', dialect, *NDJSON, '--write', copy, self.sample)
        if done.status != 0:
            return done.describe()
        packets = read_pcapng(copy.read_bytes())
        lines = [json.loads(line) for line in done.output.splitlines()]
        if [packet.octets for packet in packets] != read_pcap(self.sample.read_bytes()):
            return ['the packets are not those of the input']
        problems = []
        for line, packet in zip(lines, packets):
            if packet.queue != line['queue']:
                problems.append(f'packet {line["packet"]}: epb_queue {packet.queue}, not {line["queue"]}')
            if (packet.hash is None) != (line['hash'] is None):
                problems.append(f'packet {line["packet"]}: epb_hash {packet.hash}, not {line["hash"]}')
        # The format does not say in which order the octets stand; in all packets alike.
        pairs = [(line['hash'], packet.hash) for line, packet in zip(lines, packets) if packet.hash]
        if not any(all(printed == f'0x{octets[::step].hex()}' for printed, octets in pairs)
                   for step in (1, -1)):
            problems.append(f'epb_hash differs from what was printed, such as {pairs[0]}')
        return problems

    def tshark_reads(self, dialect):
        copy = self.scratch / f'{dialect}-tshark.pcapng'
        done = self.replay('--dialect', dialect, *NDJSON, '--write', copy, self.sample)
        if done.status != 0:
            return done.describe()
        read = run(['tshark', '-r', copy, '-T', 'fields', '-e', 'frame.number', '-e', 'frame.cap_len',
                    '-e', 'frame.interface_queue'])
        if read.status != 0:
            return read.describe()
        lines = (json.loads(line) for line in done.output.splitlines())
        return difference(''.join(f'{line["packet"]}\t{line["length"]}\t{line["queue"]}\n' for line in lines),
                          read.output)

    def taken_back(self, suffix):
        """What was written is what --expect accepts, and a device with another key is told apart."""
        answer = self.scratch / f'expect.{suffix}'
        if suffix == 'pcapng':
            made = self.replay('--write', answer, self.sample)
        else:
            made = self.replay(*NDJSON, self.sample)
            answer.write_text(made.output, encoding='utf-8')
        if made.status != 0:
            return made.describe()
        same = self.replay('--expect', answer, self.sample)
        other = self.replay('--expect', answer, '--key', '55' * 40, self.sample)
        problems = []
        if same.status != 0:
            problems += ['not accepted:', *same.describe(), *same.output.splitlines()[-5:]]
        if other.status != 1:
            problems += ['another key, and not exit status 1:', *other.describe()]
        return problems

    def mismatch_named(self):
        """One altered hash is one mismatch: packet, field, expected and found are named."""
        made = self.replay(*NDJSON, self.sample)
        if made.status != 0:
            return made.describe()
        lines = made.output.splitlines()
        number, line = next((i, line) for i, line in enumerate(lines) if '"hash": "0x' in line)
        right = json.loads(line)['hash']
        wrong = f'0x{int(right, 16) ^ 1:08x}'
        lines[number] = line.replace(right, wrong)
        answer = self.scratch / 'altered.ndjson'
        answer.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        done = self.replay('--expect', answer, self.sample)
        if done.status != 1:
            return done.describe()
        said = [line for line in (done.output + done.errors).splitlines() if wrong in line]
        if len(said) == 1 and right in said[0] and 'hash' in said[0] and \
                re.search(rf'\b{number + 1}\b', said[0]):
            return []
        return [f'packet {number + 1}, hash, {wrong}, {right} are not on one line:', *said]

    def report_page(self):
        page = self.scratch / 'report.html'
        done = self.replay('--report', page, self.sample)
        if done.status != 0:
            return done.describe()
        text = page.read_text(encoding='utf-8')
        if '<html' not in text or '</html>' not in text:
            return ['not a page of HTML']
        outside = re.findall(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//[^"\'>\s]*|@import|url\(\s*["\']?http',
                             text)
        return [f'not self-contained: {reference}' for reference in outside]

    def several_captures(self):
        first, second = self.sample, self.root / 'test' / 'captures' / 'sample-gre.pcap'
        alone = self.replay(*NDJSON, first), self.replay(*NDJSON, second)
        together = self.replay(*NDJSON, first, second)
        if together.status != 0:
            return together.describe()
        expected = ''.join('{' + f'"capture": {json.dumps(str(path), ensure_ascii=False)}, {line[1:]}\n'
                           for path, done in zip((first, second), alone)
                           for line in done.output.splitlines())
        return difference(expected, together.output)

    def long_key(self):
        """Octets past the 40th have no influence; a device may also have no room for them."""
        short = self.replay('--key', '5a' * 40, *NDJSON, self.sample)
        long = self.replay('--key', '5a' * 40 + 'c3' * 215, *NDJSON, self.sample)
        if long.status == 2:
            return [] if one_line(long.errors) else long.describe()
        return long.describe() if long.status != 0 else difference(short.output, long.output)

    def as_pcapng(self):
        copy = self.scratch / 'sample.pcapng'
        made = run(['editcap', '-F', 'pcapng', self.sample, copy])
        if made.status != 0:
            return made.describe()
        return difference(self.replay(*NDJSON, self.sample).output, self.replay(*NDJSON, copy).output)

    def files(self):
        for dialect in DIALECTS:
            yield f'--write, {dialect}: the packets with hash and queue', \
                lambda dialect=dialect: self.written_hashes(dialect)
        for dialect in DIALECTS:
            yield f'--write, {dialect}: tshark reads the file and the queues', \
                needs('tshark', lambda dialect=dialect: self.tshark_reads(dialect))
        yield '--expect: takes back what --write wrote', lambda: self.taken_back('pcapng')
        yield '--expect: takes back ndjson', lambda: self.taken_back('ndjson')
        yield '--expect: a mismatch is named', self.mismatch_named
        yield '--report: one self-contained page', self.report_page
        yield '--key: 255 octets', self.long_key
        yield 'several captures: each line names its own', self.several_captures
        yield 'the same capture as pcapng: the same answer', needs('editcap', self.as_pcapng)

    # ---- unusable ----

    def refused(self, arguments, output=''):
        done = self.replay(*arguments)
        problems = []
        if done.status != 2:
            problems += done.describe()
        if not one_line(done.errors):
            problems += ['not one line on standard error:', *done.errors.splitlines()[:10]]
        return problems + difference(output, done.output)

    def damaged(self, name, octets):
        path = self.scratch / name
        path.write_bytes(octets)
        return path

    def unusable(self):
        sample = self.sample.read_bytes() if self.sample.exists() else bytes(24)
        whole = self.replay(*NDJSON, self.sample).output.splitlines(keepends=True)
        all_but_last = ''.join(whole[:-1])
        folder = self.scratch / 'no-such-folder'
        wrong = {
            'no capture named': [],
            'a capture that does not exist': [self.scratch / 'missing.pcap'],
            'a folder for a capture': [self.scratch],
            'an empty capture': [self.damaged('empty.pcap', b'')],
            'a capture that is text': [self.damaged('text.pcap', b'no capture at all\n' * 9)],
            'a capture cut in its header': [self.damaged('header.pcap', sample[:20])],
            'a capture of another link type': [
                self.damaged('raw.pcap', sample[:20] + struct.pack('<I', 101) + sample[24:])],
            'an unknown option': ['--no-such-option', self.sample],
            'an unknown dialect': ['--dialect', 'draft-v8', self.sample],
            'an unknown tunnel type': ['--tunnel-types', 'vxlan,l2tp', self.sample],
            'a tunnel type of another dialect': ['--dialect', 'draft-v7', '--tunnel-types', 'ipip',
                                                 self.sample],
            'an unknown hash type': ['--hash-types', 'tcpv5', self.sample],
            'a key of odd digits': ['--key', '123', self.sample],
            'a key that is not hexadecimal': ['--key', '12zz', self.sample],
            'an empty key': ['--key', '', self.sample],
            'a key of 256 octets': ['--key', '00' * 256, self.sample],
            'no queue': ['--queues', '0', self.sample],
            'a negative number of queues': ['--queues', '-1', self.sample],
            'too many queues': ['--queues', '4294967297', self.sample],
            'queues that are no number': ['--queues', 'many', self.sample],
            'queues with something behind': ['--queues', '4x', self.sample],
            'a table of no entry': ['--indirection', '0', self.sample],
            'a table of three entries': ['--indirection', '3', self.sample],
            'a table too long': ['--indirection', '8589934592', self.sample],
            'an unknown ring': ['--ring', 'round', self.sample],
            'an unknown format': ['--format', 'xml', self.sample],
            'an option without its value': [self.sample, '--dialect'],
            'an expectation that does not exist': ['--expect', self.scratch / 'missing.ndjson', self.sample],
            'a place that cannot be written to': ['--write', folder / 'copy.pcapng', self.sample],
            'a place for the report that is not there': ['--report', folder / 'page.html', self.sample],
        }
        for name, arguments in wrong.items():
            yield f'{name}: exit status 2 and one line', \
                lambda arguments=arguments: self.refused([*NDJSON, *arguments])
        for name, octets in (('its last packet', sample[:-3]), ('a packet header', sample + bytes(7))):
            path = self.damaged(f'cut-in-{name.split()[-1]}.pcap', octets)
            before = all_but_last if octets == sample[:-3] else ''.join(whole)
            yield f'a capture cut in {name}: what comes before is printed', \
                lambda path=path, before=before: self.refused([*NDJSON, path], before)


# ---- Capture files, as far as the checks look into them ----

def read_pcap(data):
    """The packets of a classic capture file in little-endian order."""
    packets, offset = [], 24
    while offset + 16 <= len(data):
        length = struct.unpack_from('<I', data, offset + 8)[0]
        packets.append(data[offset + 16:offset + 16 + length])
        offset += 16 + length
    return packets


class Packet(NamedTuple):
    octets: bytes
    hash: bytes  # the octets of a Toeplitz hash, None if there is none
    queue: int   # None if there is none


def read_pcapng(data):
    """The packets of a pcapng file: enhanced packet blocks with their options."""
    packets, offset, order = [], 0, '<'
    while offset + 12 <= len(data):
        kind = struct.unpack_from('<I', data, offset)[0]
        if kind == 0x0a0d0d0a:  # the same in either order; the magic tells
            order = '<' if data[offset + 8:offset + 12] == b'\x4d\x3c\x2b\x1a' else '>'
        kind, length = struct.unpack_from(order + 'II', data, offset)
        if length < 12:
            raise ValueError(f'a block of {length} octets')
        if kind == 6:
            packets.append(read_packet_block(data[offset + 8:offset + length - 4], order))
        offset += length
    return packets


def read_packet_block(body, order):
    captured = struct.unpack_from(order + 'I', body, 12)[0]
    hash_octets = queue = None
    offset = 20 + (captured + 3) // 4 * 4
    while offset + 4 <= len(body):
        code, length = struct.unpack_from(order + 'HH', body, offset)
        value = body[offset + 4:offset + 4 + length]
        if code == 0:
            break
        if code == 3 and value[:1] == b'\x05':
            hash_octets = value[1:]
        elif code == 6:
            queue = struct.unpack(order + 'I', value)[0]
        offset += 4 + (length + 3) // 4 * 4
    return Packet(body[20:20 + captured], hash_octets, queue)


# ---- Running ----

class Missing(Exception):
    """Something that a check needs is not here."""


def needs(program, check):
    def checked():
        if not shutil.which(program):
            raise Missing(f'{program} is not installed')
        return check()
    return checked


def outcome(check):
    """(what is wrong, what is missing)"""
    try:
        return check(), None
    except Missing as missing:
        return [], str(missing)
    except (OSError, ValueError, KeyError, IndexError, StopIteration, struct.error) as error:
        return [f'{type(error).__name__}: {error}'], None


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='fewer settings, 3 random ones instead of 30')
    parser.add_argument('--only', metavar='PARTS', default=','.join(PARTS), help=f'of {",".join(PARTS)}')
    parser.add_argument('--seed', type=int, default=2023, help='of the random settings')
    parser.add_argument('--wrapper', metavar='COMMAND', default='', help='to run vionet-replay under')
    parser.add_argument('replay', type=pathlib.Path, help='the vionet-replay to check')
    parser.add_argument('root', type=pathlib.Path, help='root of the source tree')
    options = parser.parse_args()
    options.only = options.only.split(',')
    unknown = set(options.only) - set(PARTS)
    if unknown:
        parser.error(f'no such part: {", ".join(sorted(unknown))}')
    if not options.replay.is_file():
        parser.error(f'{options.replay} is not there')
    return options


PARTS = ['captures', 'oracle', 'expected', 'files', 'unusable']


def main():
    options = parse_arguments()
    report = tap.Tap()
    with tempfile.TemporaryDirectory(prefix='vionet-replay-') as folder:
        checks = Checks(options, pathlib.Path(folder))
        parts = [part for part in PARTS if part in options.only]
        if not checks.shared and {'captures', 'oracle'} & set(parts):
            report.skip('captures from outside', 'there is no ../shared/captures')
        if 'oracle' in parts and not (checks.root / 'test' / 'oracle' / 'oracle.py').exists():
            report.skip('comparison with the oracle', 'there is no test/oracle/oracle.py')
            parts.remove('oracle')
        named = [(name, check) for part in parts for name, check in getattr(checks, part)()]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = pool.map(outcome, [check for _, check in named])
            for (name, _), (problems, missing) in zip(named, outcomes):
                if missing:
                    report.skip(name, missing)
                else:
                    report.ok(name, not problems, problems)
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
