#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seed corpora of the fuzz targets, fuzz/corpus/TARGET/HASH: frames from test/captures, and
programs of actions in the octets that the targets read (the comments at their heads, and the tables of
actions in them, say which). The same files on every run. What fuzzing found and is worth keeping lies
beside them; see fuzz/README.md.

  make_corpus.py            write what is missing
  make_corpus.py --check    fail if something is missing, or a name is not the hash of its octets
  make_corpus.py --add TARGET FILE...    take files over under their names
  make_corpus.py --recorded TARGET FILE...    take recordings of record_messages.py over, for fuzz_vfio_user or
                                              fuzz_vhost_user
"""

import hashlib
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'test' / 'captures'))
from layers import Dice  # noqa: E402

CORPUS = ROOT / 'fuzz' / 'corpus'


def name_of(octets):
    return hashlib.sha256(octets).hexdigest()[:16]


# ---- fuzz_dissect: a frame behind what it is asked for ----

DIALECTS = ('off', 'draft-v7', 'draft-v10', 'ratified')
FRAMES_OF_A_CAPTURE = 8


def pcap_frames(path):
    octets, at, frames = path.read_bytes(), 24, []
    while at + 16 <= len(octets):
        length = struct.unpack_from('<I', octets, at + 8)[0]
        frames.append(octets[at + 16:at + 16 + length])
        at += 16 + length
    return frames


def dissect_inputs():
    dice = Dice('fuzz_dissect')
    for path in sorted((ROOT / 'test' / 'captures').glob('*.pcap')):
        frames = [frame for frame in pcap_frames(path) if 0 < len(frame) <= 400]
        step = max(1, len(frames) // FRAMES_OF_A_CAPTURE)
        for number, frame in enumerate(frames[::step]):
            dialect = (1, 3, 2, 3)[number % 4]
            tunnels = {1: 0, 2: 0x3f, 3: 0x1ff}[dialect]
            cuts = [dice.below(len(frame) + 1) for _ in range(4)]
            yield struct.pack('<BHHB4H', dialect, 0xfff, tunnels, 0, *cuts) + frame
    yield struct.pack('<BHHB', 0, 0x1ff, 0, 4) + b'\1\2\3\4' + bytes(8) + bytes(60)
    # A home address that ends with its header, an octet before, and one behind.
    for padding in (bytes((1, 2, 0, 0)), bytes(3), bytes(5)):
        options = (padding + b'\xc9\x10' + bytes(range(16)) + bytes(4))[:22]
        yield struct.pack('<BHHB4H', 3, 0xfff, 0x1ff, 0, 0, 0, 0, 0) + ethernet(True) + ip6(17, (60, options)) + udp()


# ---- fuzz_ring ----

RING_FEATURES = ('ctrl_vq', 'indirect', 'event_idx', 'in_order', 'mrg_rxbuf', 'hash', 'ring_reset', 'mq',
                 'rss', 'csum', 'host_tso4', 'host_tso6', 'host_uso', 'host_ufo', 'host_ecn', 'packed')
RING_ACTIONS = {'post': 0, 'receive': 6, 'transmit': 10, 'complete': 13, 'kick': 15, 'suppress': 17,
                'word': 18, 'desc': 19, 'large': 20, 'reset_queue': 21, 'reset': 22, 'map': 23,
                'poll': 24, 'machine': 25, 'registers': 26}


def bits(names, table):
    return sum(1 << table.index(name) for name in names.split())


def size_octet(length):
    """The octet that makes a piece of about that length."""
    return length if length < 32 else min(191, 31 + length // 10)


class Ring:
    """A program for fuzz_ring."""

    def __init__(self, features='', pairs=1, sizes=0xaa, place=()):
        self.octets = bytes([pairs - 1, sizes]) + struct.pack('<H', bits(features, RING_FEATURES))
        self.octets += bytes(place or (0,))
        self.pairs = pairs
        self.control = 2 * pairs if 'mq' in features or 'rss' in features else 2

    def act(self, action, *operands):
        self.octets += bytes([RING_ACTIONS[action], *operands])
        return self

    def post(self, queue, *lengths, indirect=False, hidden=False, kick=False, over=False, tail=(0,)):
        how = len(lengths) - 1 | indirect << 3 | hidden << 4 | kick << 5 | (over and 0xc0)
        self.act('post', queue, how, *map(size_octet, lengths))
        if queue % 2 or queue == self.control:
            self.octets += bytes(tail)
        return self

    def command(self, pairs, indirect=False):
        return self.post(self.control, 8, 1, indirect=indirect, kick=True, tail=(pairs,))

    def receive(self, *lengths, hold=False, first=40):
        self.act('receive', len(lengths) - 1 | hold << 6)
        for length in lengths:
            self.octets += bytes([length, first])
        return self

    def transmit(self, pair=0, asked=1):
        return self.act('transmit', pair + self.pairs * 0 | asked << 4)

    def complete(self, how=0):
        return self.act('complete', how)


SHORT, MIDDLE, LONG, HUGE = 0x40, 0x25, 0xc2, 0xf8  # octets for frames of 60, 254, 1500, 65550


def ring_scenarios():
    every = 'ctrl_vq indirect event_idx mrg_rxbuf hash ring_reset mq'
    for features in ('', 'event_idx', 'indirect', 'in_order', 'mrg_rxbuf', 'hash', 'ctrl_vq ring_reset',
                     'event_idx in_order mrg_rxbuf', 'mrg_rxbuf hash indirect', every):
        indirect = 'indirect' in features
        yield (Ring(features).post(0, 1600, indirect=indirect).receive(SHORT)
               .post(0, 12, 1600, indirect=indirect).receive(MIDDLE, SHORT)
               .post(0, 400).post(0, 400).post(0, 400).receive(SHORT, MIDDLE, SHORT, first=5))
        yield (Ring(features).post(1, 12, 80, indirect=indirect, kick=True).transmit(asked=1).complete()
               .post(1, 120).post(1, 20, 100).post(1, 1, 1, 1, 1, 200).transmit(asked=3).complete(0x41)
               .complete(0x60).post(1, 100).transmit(asked=1).complete())
        yield (Ring(features, sizes=0).post(0, 100).post(0, 100).receive(SHORT, hold=True)
               .receive(SHORT, SHORT, SHORT, hold=True).post(0, 50).post(0, 200).receive(SHORT, MIDDLE))
        yield (Ring(features).act('suppress', 0, 1).act('suppress', 1, 9).post(0, 300).post(0, 300)
               .receive(SHORT).act('suppress', 0, 8).receive(SHORT).post(1, 100, kick=True).transmit()
               .act('suppress', 1, 10).complete().post(1, 100).transmit().complete())
        yield (Ring(features).post(0, 600).act('reset', *struct.pack('<H', bits(features, RING_FEATURES)),
                                               0).post(0, 600).post(1, 100).receive(SHORT).transmit())
    for size in (0x00, 0x15, 0x2a, 0xff):
        program = Ring('mrg_rxbuf event_idx', sizes=size)
        for _ in range(12):
            program.post(0, 60).post(0, 30, 20)
        yield program.receive(MIDDLE, SHORT, LONG, first=20).receive(LONG, hold=True).receive(SHORT)
    for features in ('mrg_rxbuf hash event_idx indirect', 'mrg_rxbuf in_order'):
        for lengths in ((40, 40, 40, 40), (12, 30, 1, 1, 60), (60, 400), (90,) * 5):
            program = Ring(features, sizes=0xff)
            for length in lengths * 4:
                program.post(0, length, indirect='indirect' in features and length % 4 == 0)
            program.receive(MIDDLE, SHORT, SHORT, hold=True).receive(MIDDLE)
            yield program.post(0, 1600).post(0, 200).post(0, 1400).receive(LONG, LONG)
    yield Ring('mrg_rxbuf', sizes=0xff).post(0, 1600).post(0, 1600).receive(HUGE).receive(0xff, 5, 13, 14)
    for reset in (0, 2, 1, 3, 4):
        yield (Ring(every).post(0, 300).post(1, 100, kick=True).transmit(asked=1).command(1)
               .act('reset_queue', reset, 1).post(0, 300).receive(SHORT).post(1, 90, kick=True)
               .transmit(asked=1).complete().complete().command(1))
        yield (Ring('ring_reset', sizes=0x55).post(0, 300).post(1, 100).act('reset_queue', reset, 0)
               .receive(SHORT).transmit().act('reset_queue', reset, 1).act('reset_queue', reset ^ 1, 1)
               .post(0, 300).receive(SHORT).post(1, 90).transmit().complete())
    for pairs in (2, 3):
        program = Ring(every, pairs=pairs).command(pairs)
        for queue in range(0, 2 * pairs, 2):
            program.post(queue, 400).post(queue, 400).post(queue, 60).post(queue, 90, 300)
        for _ in range(4):
            program.receive(*[SHORT] * 8)
            for queue in range(0, 2 * pairs, 2):
                program.post(queue, 300).post(queue, 90, 60)
        program.receive(*[MIDDLE] * 8).act('reset_queue', 2, 0)
        program.post(1, 100).post(3, 100).transmit(0, 1).transmit(1, 1).complete().complete()
        yield program.receive(*[SHORT] * 8).command(0).command(9 % 8).command(1).receive(SHORT)


def ring_ends():
    """Where packed rings of four end: what a list left there, and lists over buffers that are out."""
    for features in ('packed', 'packed in_order event_idx'):
        for queue in (0, 1):
            program = Ring(features, sizes=0x15)
            for lengths in ([(100,)] * 3, [(60, 60)], [(100,)] * 3, [(60,)] * 4, [(40, 20, 50)], [(99,)] * 4):
                for pieces in lengths:
                    program.post(queue, *pieces)
                program.receive(*[SHORT] * 4).transmit(asked=2).complete(0x80)
            yield program
        for n in range(1, 4):
            program = Ring(features, sizes=0x15)
            for _ in range(n):
                program.post(1, 100)
            program.transmit(asked=3).post(1, *[40] * 4, over=True).transmit(asked=3)
            yield program.complete(0x80).post(1, 90).transmit(asked=1)


def ring_faults():
    for features in ('', 'indirect', 'indirect event_idx in_order mrg_rxbuf ctrl_vq'):
        for queue in (0, 1, 2):
            # address, flags with descriptor index in bits 3 to 5, edgy length, edgy next
            for where, flags, length, after in (
                    (0x80, 0x01, 0x20, 0x00), (0x80, 0x03, 0x20, 0x00), (0x80, 0x01, 0x20, 0x3f),
                    (0x10, 0x04, 0x10, 0x00), (0x10, 0x05, 0x10, 0x00), (0x10, 0x04, 0x00, 0x00),
                    (0x10, 0x04, 0x0f, 0x00), (0x10, 0x04, 0x20, 0x00), (0xf8, 0x02, 0x20, 0x00),
                    (0xf9, 0x02, 0x20, 0x00), (0xfa, 0x02, 0xe0, 0x00), (0xfb, 0x02, 0x20, 0x00),
                    (0xff, 0x02, 0x20, 0x00), (0xfd, 0x02, 0x20, 0x00), (0x80, 0x02, 0xe7, 0x00),
                    (0x80, 0x01, 0x20, 0x44), (0x80, 0x03, 0x20, 0x44), (0x80, 0x08, 0x20, 0x00),
                    (0xfc, 0x04, 0x10, 0x00), (0x10, 0x06, 0x10, 0x00), (0x80, 0x0a, 0x20, 0x00)):
                program = Ring(features).post(queue, 200, 100, hidden=True)
                program.act('desc', queue, where, flags, length, after).act('kick', queue)
                yield program.receive(SHORT).transmit().receive(SHORT)
            for at, value in ((1, 0x3f), (1, 0xe0), (1, 0x8f), (2, 0x3f), (2, 0x10), (2, 0x20), (1, 0x21),
                              (1, 0x22), (3, 0x00)):
                program = Ring(features).post(queue, 300).post(queue, 300)
                if at == 1:
                    program.receive(SHORT, SHORT).transmit(asked=2).receive(SHORT).transmit()
                program.act('word', queue, 1, at, 0, value).act('kick', 0x20 + queue)
                yield program.receive(SHORT, SHORT).transmit(asked=2).act('word', queue, 1, 1, 0, 1)
    for how in range(0xe0, 0x100):
        yield Ring('event_idx', place=(0xe0 | how % 3, how)).post(0, 300).receive(SHORT).post(1, 99).transmit()
    for count, how in ((1, 0), (16, 4), (200, 8), (1023, 1), (1024, 0x41), (1025, 1), (300, 0x80), (0, 0x40)):
        for queue in (0, 1, 2):
            program = Ring('indirect ctrl_vq mrg_rxbuf').act('large', queue, *struct.pack('<H', count), how)
            yield program.receive(SHORT).transmit().complete().receive(MIDDLE)
    for features in ('indirect', 'indirect event_idx', 'indirect in_order', 'indirect event_idx in_order'):
        for count in (40, 200):
            program = Ring(features)
            for _ in range(6):
                program.act('large', 1, *struct.pack('<H', count), 0x48)
            program.transmit(asked=3).complete().complete().transmit(asked=3)
            yield program.complete(0xe0).post(1, 100).transmit(asked=3).complete(0xe0)
    for region in range(4):
        program = Ring('mrg_rxbuf').post(0, 300).post(1, 200).act('map', region).receive(SHORT).transmit()
        yield program.complete().act('map', region).receive(SHORT).post(0, 100).receive(SHORT)
    yield (Ring().post(1, 120, kick=True).transmit().act('machine', 1).complete().receive(SHORT)
           .act('machine', 1).act('machine', 0).receive(SHORT).act('machine', 0).post(1, 90, kick=True)
           .transmit().complete())
    for how in range(0, 0x80, 0x10):
        yield Ring('ctrl_vq').post(0, 300).act('registers', how, 0x10).receive(SHORT).act('registers', how, 0x80)
    for queue in range(3):
        yield (Ring('event_idx').act('poll', 0x80 | queue).post(queue, 120).transmit().receive(SHORT)
               .post(queue, 120).act('poll', queue).receive(SHORT).transmit())
    # the header of a transmitted frame, octet by octet
    for header in ((1, 0, 0, 0, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 34, 0, 16, 0),
                   (1, 1, 54, 0, 100, 0, 34, 0, 16, 0), (1, 0x84, 54, 0, 100, 0, 34, 0, 16, 0),
                   (1, 5, 42, 0, 0, 0, 34, 0, 6, 0), (0, 1, 0, 0, 1, 0, 0, 0, 0, 0),
                   (1, 3, 42, 0, 9, 0, 34, 0, 6, 0), (0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0),
                   (1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), (8, 0x21, 0, 0, 1, 0, 0, 0, 0, 0)):
        for features in ('', 'csum', 'csum host_tso4 host_tso6 host_uso host_ufo host_ecn'):
            yield Ring(features).post(1, 12, 150, tail=(0x80, *header), kick=True).transmit().complete()


def ring_random(count):
    dice = Dice('fuzz_ring')
    for _ in range(count):
        features = ' '.join(name for name in RING_FEATURES if dice.below(2))
        pairs = dice.between(1, 3)
        program = Ring(features, pairs, dice.choice((0, 0x2a, 0x3f, 0x80, 0xff)))
        n_queues = 2 * pairs + 1
        for _ in range(dice.between(4, 24)):
            queue = dice.choice((0, 0, 1, 1, dice.below(n_queues)))
            lengths = [dice.choice((1, 12, 20, 60, 150, 400, 1600)) for _ in range(dice.between(1, 4))]
            kind = dice.below(12)
            if kind < 5:
                program.post(queue, *lengths, indirect=dice.below(2) and 'indirect' in features,
                             hidden=not dice.below(6), kick=not dice.below(2))
            elif kind < 8:
                program.receive(*[dice.choice((SHORT, MIDDLE, LONG, 0x10)) for _ in range(dice.between(1, 5))],
                                hold=bool(dice.below(2)), first=dice.below(64))
            elif kind < 9:
                program.transmit(queue // 2 % pairs, dice.below(4))
            elif kind < 10:
                program.complete(dice.below(256))
            elif kind < 11:
                program.command(dice.between(1, pairs))
            else:
                program.octets += bytes([dice.between(15, 26)]) + dice.octets(4)
        yield program


def ring_packed(octets, uneven):
    """The same program in packed rings, the sizes of which need not be powers of two."""
    return octets[:1] + bytes([octets[1] | uneven << 6, octets[2], octets[3] | 0x80]) + octets[4:]


def ring_inputs():
    for programs, every in ((ring_scenarios(), 1), (ring_faults(), 3), (ring_random(60), 2)):
        for number, program in enumerate(programs):
            yield program.octets
            if number % every == 0:
                yield ring_packed(program.octets, number % 2)
    for program in ring_ends():
        yield program.octets


# ---- fuzz_control ----

CONTROL_FEATURES = ('ctrl_vq', 'ctrl_rx', 'ctrl_vlan', 'ctrl_rx_extra', 'guest_announce', 'ctrl_mac_addr',
                    'mq', 'rss', 'hash', 'tunnel', 'draft', 'notf_coal', 'mac', 'status', 'indirect',
                    'event_idx', 'in_order', 'ring_reset', 'mrg_rxbuf', 'mtu', 'ctrl_guest_offloads',
                    'guest_csum', 'guest_tso4', 'guest_tso6', 'guest_ecn', 'guest_ufo', 'guest_uso4',
                    'guest_uso6', 'speed', 'csum', 'host_tso4')
CONTROL_ACTIONS = {'command': 0, 'raw': 10, 'lengths': 12, 'reset': 13, 'time': 14, 'reset_queue': 15,
                   'announce': 16}
ALL_FEATURES = (1 << len(CONTROL_FEATURES)) - 1
MORE_FEATURES = 0xf  # statistics, RSS contexts, host_tso6, host_uso
ROWS = {'promisc': 0, 'allmulti': 1, 'alluni': 2, 'nomulti': 3, 'nouni': 4, 'nobcast': 5, 'table': 6,
        'mac': 7, 'vlan_add': 8, 'vlan_del': 9, 'announce': 10, 'pairs': 11, 'rss': 12, 'hash': 13,
        'offloads': 14, 'tx_coal': 15, 'rx_coal': 16, 'vq_set': 17, 'vq_get': 18, 'tunnel': 19,
        'stats_query': 21, 'stats_get': 22, 'context_cap': 24, 'context_add': 25, 'context_mod': 26,
        'context_del': 27}
RATIFIED, V10, V7, OFF = range(4)  # as vionet_dialect_at() has them
WHOLE = (0, 0, 0)                  # how it is sent: in one piece each way


class Control:
    """A program for fuzz_control."""

    def __init__(self, dialect=RATIFIED, pairs=3, supported=0, features=ALL_FEATURES, more=None):
        self.octets = bytes([dialect | pairs - 1 << 2, supported])
        self.octets += struct.pack('<I', features | (more is not None) << 31) + bytes([more] * (more is not None))

    def command(self, row, *operands, trailing=0, sent=WHOLE):
        self.octets += bytes([CONTROL_ACTIONS['command'], ROWS[row], *operands, trailing, *sent])
        return self

    def raw(self, octets, sent=WHOLE):
        self.octets += bytes([CONTROL_ACTIONS['raw'], len(octets), *octets, *sent])
        return self

    def act(self, action, *operands):
        self.octets += bytes([CONTROL_ACTIONS[action], *operands])
        return self

    def rss(self, types=0x1ff, table=3, key=0, tunnels=(), **more):
        return self.command('rss', table, *struct.pack('<H', types), key, *tunnels, **more)

    def hash(self, types=0x1ff, key=0, tunnels=(), reserved=0, **more):
        return self.command('hash', *struct.pack('<H', types), reserved, key, *tunnels, **more)


def control_modes():
    for row in ('promisc', 'allmulti', 'alluni', 'nomulti', 'nouni', 'nobcast'):
        yield Control().command(row, 1).command(row, 0).command('allmulti', 1).command(row, 2)
    yield (Control().command('table', 2, 1, 2, 2, 3, 4).command('table', 1, 1, 0xff).command('table', 0xfd)
           .command('table', 0, 0).command('table', 0xfe, *[1] * 4, 1, 3)
           .command('table', 0xfe, *[1] * 4, 0xfe, *[3] * 4).command('table', 0, 0, trailing=0xf1))
    yield (Control().command('mac', 1).command('mac', 3).command('mac', 6).command('mac', 2, trailing=0xf1)
           .command('mac', 2, trailing=0xe1).command('mac', 7).act('reset', *struct.pack('<I', ALL_FEATURES)))
    yield (Control().command('vlan_add', 1).command('vlan_add', 2).command('vlan_del', 1)
           .command('vlan_add', 0x86).command('vlan_add', 3).command('vlan_add', 0x8f))
    yield (Control().act('announce').command('announce').act('announce')
           .act('reset', *struct.pack('<I', ALL_FEATURES)).command('announce'))
    yield (Control().command('rx_coal', 0x04, 0x20).command('tx_coal', 0x02, 0x10).act('time', 0x3f)
           .command('vq_set', 0, 0x08, 0x3f).command('vq_get', 0, sent=(0, 0, 0)).command('vq_get', 9)
           .command('vq_get', 1, sent=(0x48, 0, 0)).command('vq_set', 5, 0xff, 0xff).act('time', 0xff, 1, 2, 3, 4)
           .command('rx_coal', 0, 0))
    for mask in (0, 0x1, 0x3, 0x7, 0xf, 0x1f, 0x181, 0x7f, 0x1ff, 0xffff, 0x2, 0x100):
        yield Control().command('offloads', *struct.pack('<H', mask)).command('offloads', 0xff, 1)


def control_steering():
    for dialect in (RATIFIED, V10, V7, OFF):
        masks = (1, 2, 4, 8, 0x10, 0x20, 0x3f, 0xff) if dialect == V10 else (0,)
        program = Control(dialect).rss(tunnels=(0,) * (dialect == V10))
        for mask in masks:
            program.rss(tunnels=(mask,) * (dialect == V10)).hash(tunnels=(mask,) * (dialect == V10))
        for types in (0x4fff, 0x43ff, 0x45ff, 0x49ff, 0x81ff, 0xffff, 1, 0x92, 0):
            program.rss(types, tunnels=(0x3e,) * (dialect == V10))
        yield program
        program = Control(dialect).rss(tunnels=(0,) * (dialect == V10))
        for types in (0x1ff, 1, 2, 8, 0x10, 0x40, 0x80, 0x100, 0x200, 0):
            program.command('tunnel', *struct.pack('<H', types))
        yield program.command('tunnel', 0, 0, trailing=0xe1).command('tunnel', 1, 0, trailing=0xf1)
        for key in (0x80, 0x81, 0x88, 0xa7, 0xa8, 0xa9, 0xbf, 0xff, 0x40, 0x3f):
            yield (Control(dialect, supported=2).rss(tunnels=(5,)).rss(key=key, tunnels=(5,))
                   .hash(key=key, tunnels=(5,)).command('pairs', 2))
        for table in (0, 1, 2, 7, 0x17, 0x1b, 0x23, 0x43, 0x47, 0xf0, 0xf4, 0xff, 0x3f):
            yield (Control(dialect).rss(table=table, tunnels=(0x3e,)).act('reset_queue', 1)
                   .act('reset_queue', 2).act('reset_queue', 1).rss(table=7, tunnels=(0x3e,), trailing=0xf4)
                   .rss(table=7, tunnels=(0x3e,), trailing=0xe4))
    for pairs in range(8):
        yield (Control().command('pairs', pairs).act('reset_queue', 0).act('reset_queue', 1)
               .act('reset_queue', 2).act('reset_queue', 0).command('pairs', 1))
    yield Control().hash(reserved=0xff).hash(1).hash(reserved=0xff)
    yield Control(pairs=1).rss().hash().command('pairs', 1).command('pairs', 2)


def control_statistics():
    """Each queue's, all types and some, with room for all of them and less."""
    for pairs in (1, 3):
        for features in (ALL_FEATURES, ALL_FEATURES & ~(3 << 6), 0x1fff):
            program = Control(pairs=pairs, features=features, more=MORE_FEATURES)
            program.command('stats_query', sent=(0, 2, 0, 0)).command('stats_query', sent=(0, 0, 0, 0))
            for queue in range(2 * pairs + 2):
                for how in (0xf, 1, 2, 4, 8, 0x9f, 0xaf, 0):
                    program.command('stats_get', 0, queue, how, sent=(0, 30, 0, 0))
            yield program
    for room in (0, 1, 6, 7, 8, 20, 60, 255):
        program = Control(more=MORE_FEATURES).rss()
        program.command('stats_get', 3, 0, 9, 6, 1, 1, 9, 2, 1, sent=(0, room, 0, 2, 3, 5))
        yield program.command('stats_get', 1, 0, 15, 255, 1, trailing=0xe3, sent=(0x20, room, 0, 0)).command(
            'mac', 1).command('stats_get', 2, 6, 1, 0, 9, 2, 9, sent=(0, 100, 0, 0))


def control_contexts():
    for dialect in (RATIFIED, V10, V7, OFF):
        types = struct.pack('<H', 0x1ff)
        rss = (3, *types, 0, *((0,) if dialect == V10 else ()))
        program = Control(dialect, more=MORE_FEATURES).command('context_cap').command('context_mod', 1, *rss)
        program.command('context_add', 1, *rss).command('context_add', 1, *rss).command('context_add', 2, *rss)
        program.command('pairs', 2).command('context_mod', 2, *rss)
        program.command('context_mod', 2, 0xf0, *rss[1:]).command('context_mod', 2, *rss).command('context_del', 1)
        program.command('context_del', 1).command('pairs', 2).command('context_del', 2).command('pairs', 2)
        yield program.command('context_add', 0, *rss).command('context_add', 0x90, *rss).command(
            'context_add', 3, *rss, trailing=0xf5)
        program = Control(dialect, more=MORE_FEATURES)
        for table in (0x23, 0x43, 0xf0, 7, 0x3f):
            program.command('context_add', 1, table, *rss[1:]).command('context_del', 1, trailing=0xe1)
        yield program.command('context_add', 1, *rss).act('reset', *struct.pack('<IB', 0xffffffff, 0xf)).command(
            'context_add', 1, *rss)


def control_framing():
    cuts = ((0, 1, 1, 0), (0, 2, 1, 1, 0), (0, 7, 1, 1, 1, 1, 1, 1, 1, 0), (0x20, 0, 0), (0x20, 3, 1, 2, 3, 0),
            (0x40, 0, 0), (0x48, 0, 2, 4, 4), (0x4f, 0, 0), (0x20, 7, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0))
    for sent in cuts:
        yield Control().command('promisc', 1, sent=sent).command('vq_get', 0, sent=sent).rss(sent=sent)
    for length in range(8):
        yield Control().raw(bytes([0, 0, 1, 0, 0, 0, 0, 0])[:length]).command('promisc', 1)
    for kind in range(10):
        yield Control().act('lengths', kind, 0).act('lengths', kind, 1).act('lengths', kind, 2).act(
            'lengths', kind, 3)
    # features off: each command is refused
    for feature in range(len(CONTROL_FEATURES)):
        program = Control(features=ALL_FEATURES & ~(1 << feature))
        program.command('promisc', 1).command('nouni', 0).command('mac', 1).command('vlan_add', 1)
        yield program.command('pairs', 2).rss().hash().command('offloads', 1, 0).command('tunnel', 0xff, 1)
    dice = Dice('fuzz_control')
    for _ in range(40):
        program = Control(dice.below(4), dice.between(1, 3), dice.below(256) * dice.below(2))
        for _ in range(dice.between(3, 10)):
            program.octets += bytes([dice.choice((0, 0, 0, 10, 13, 14, 15, 16))]) + dice.octets(9)
        yield program


def control_inputs():
    for programs in (control_modes(), control_steering(), control_statistics(), control_contexts(),
                     control_framing()):
        for number, program in enumerate(programs):
            octets = program.octets
            yield octets
            if number % 3 == 0:  # the same in packed rings, which the second word of features asks for
                more = octets[6:] if octets[5] & 0x80 else b'\0' + octets[6:]
                yield octets[:5] + bytes([octets[5] | 0x80, more[0] | 0x10]) + more[1:]


# ---- fuzz_pci ----

PCI_ACTIONS = {'boot': 0, 'post': 1, 'deliver': 4, 'transmit': 6, 'isr': 8, 'notify': 9, 'register': 10,
               'bar_write': 12, 'bar_read': 14, 'widths': 15, 'vector': 16, 'msix': 17, 'capability': 18,
               'config_read': 20, 'config_write': 21, 'no_queue': 22, 'machine': 23, 'bus_reset': 24,
               'narrow_write': 25}


class Pci:
    """A program for fuzz_pci. forms: vectors, multiplier << 3, form of notification << 6."""

    def __init__(self, how=0, forms=0):
        self.octets = bytes([how, forms])

    def act(self, action, *operands):
        self.octets += bytes([PCI_ACTIONS[action], *operands])
        return self

    def boot(self, features=0xfff):
        return self.act('boot', *struct.pack('<H', features))

    def traffic(self):
        return (self.act('post', 0x40).act('post', 0x21).act('deliver', 1).act('transmit', 0x40)
                .act('post', 2).act('deliver', 0))


def pci_inputs():
    for how in (0, 1, 2, 4, 8, 12, 0x10, 0x20, 0x32):
        for forms in (0, 1, 2, 4, 8, 0x10, 0x20, 0x38, 0x40, 0x48, 0x80, 0x88, 0xc0, 0xc1, 0xe0, 0xd0):
            program = Pci(how, forms).boot(0xfff if forms & 1 else 0x3ff).traffic()
            if forms < 8:
                program.act('vector', 0).act('vector', 1).act('msix', 0x80).traffic().act('isr')
                program.act('msix', 0xc0).traffic().act('msix', 0x80).act('vector', 0x81).traffic()
                program.act('vector', 1).act('msix', 0x01).traffic().act('msix', 0).act('isr')
            yield program.act('bus_reset').boot(1).traffic().octets
    for forms in (0, 2, 3, 4, 5, 6, 7):
        program = Pci(1, forms).boot(0x3ff)
        for vector in range(4):
            program.act('vector', vector)
        program.act('msix', 0x80).traffic().traffic().act('machine', 0).act('machine', 0x80).traffic()
        yield program.act('msix', 0).traffic().octets
    for at in range(0, 32):
        yield Pci().boot().act('widths', at << 2).act('widths', at << 2 | 1).act('widths', at << 2 | 2).act(
            'widths', at << 2 | 3).act('widths', 0x80 | at << 2 | 3).octets
    for how in range(0, 64, 3):
        yield Pci().act('narrow_write', how, 1, 2, 3, 4, 5, 6, 7, 8).act(
            'narrow_write', how + 1, *[0x81] * 4, *[0x55] * 4).act('narrow_write', how + 2, *bytes(range(8))).octets
    for register in range(16):
        program = Pci(1).boot().act('register', register, 0, 0x05).act('register', register, 1, 0xe0)
        yield program.act('register', register, 2, 0x40).act('register', register, 5, 0x8f).traffic().octets
    for how in (0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x40, 0xc0, 0x20):
        for where in (0x00, 0x14, 0x60, 0x80, 0xa0, 0xc1):
            tail = (3,) * (how >> 6 & 1) + (1,) * (how >> 5 & 1) + (where, 0x14, 0x07, 7, 7, 7, 7)
            yield Pci().boot().act('capability', how, *tail).traffic().act('isr').octets
    for size in (0, 1, 2, 3, 0xf3, 0xf8):
        for queue in (0, 1, 2, 3, 6, 7, 0xff):
            yield Pci(1, queue << 3 & 0x38).boot().act('notify', queue, size, 0x44).act(
                'notify', queue, size, queue).octets
    for offset in range(0, 256, 12):
        program = Pci(offset >> 5 & 3).act('config_read', offset, 0).act('config_read', offset, 2)
        yield program.act('config_write', offset, 2, 0xff).act('config_write', offset, 1, 0).boot().octets
    yield (Pci().boot().act('no_queue', 0, 0).act('no_queue', 0xf8, 0xff).act('machine', 0).act('machine', 0x80)
           .act('machine', 1).act('isr').act('bar_read', 0xc0, 3, 0, 8).act('bar_read', 0, 3, 0xe0, *[0xff] * 8)
           .act('bar_write', 0xc0, 2, 0, 12, 1).act('bar_write', 1, 3, 0x60, 0, *[0] * 8).traffic().octets)


# ---- fuzz_mmio ----

MMIO_ACTIONS = {'boot': 0, 'post': 1, 'deliver': 3, 'transmit': 5, 'notify': 6, 'queue': 7, 'register': 8,
                'read': 10, 'write': 11, 'machine': 12, 'acknowledge': 15, 'reset': 17}
MMIO_WINDOWS = 5


class Mmio:
    """A program for fuzz_mmio. how: pairs, window << 2."""

    def __init__(self, how=0):
        self.octets = bytes([how])
        self.is_mmio = how >> 2 not in (2, 4)

    def act(self, action, *operands):
        self.octets += bytes([MMIO_ACTIONS[action], *operands])
        return self

    def acknowledge(self):
        return self.act('acknowledge', *([3] if self.is_mmio else []))

    def traffic(self):
        return (self.act('post', 0x40).act('post', 0x21).act('deliver', 1).act('transmit', 0x40).acknowledge()
                .act('deliver', 0).acknowledge())


def mmio_inputs():
    for window in range(MMIO_WINDOWS):
        how = window << 2
        for features in range(8):
            yield Mmio(how | features % 3).act('boot', features).traffic().act('reset').act(
                'boot', features ^ 7).traffic().octets
            yield Mmio(how).act('boot', 0x80 | features).traffic().act('machine', 1).act('machine', 0x81).act(
                'machine', 0).act('machine', 0x80).acknowledge().traffic().octets
        for queue in range(8):
            yield Mmio(how | 1).act('boot', 7).traffic().act('queue', queue).traffic().act(
                'queue', 0x80 | queue, 0x11).act('notify', queue).traffic().octets
        for register in range(0, 128, 4):
            program = Mmio(how).act('boot', 3)
            for at in range(register, register + 4):
                program.act('register', at, 0).act('register', at, 1).act('register', at, 0xff, *[0xff] * 4)
                program.act('read', at, 2).act('write', at, 1, 0x44)
            yield program.traffic().octets


# ---- fuzz_vfio_user ----

VFIO_ACTIONS = {'version': 0, 'version_text': 1, 'map': 2, 'unmap': 4, 'ask': 5, 'set_irqs': 7, 'read': 9,
                'write': 10, 'raw': 12, 'come': 13, 'stubborn': 14, 'boot': 15, 'equip': 16, 'post': 17,
                'notify': 19, 'memory': 21, 'shorten': 22, 'event': 23}
VFIO_KINDS = {'file': 0, 'event': 5}


class VfioUser:
    """A program for fuzz_vfio_user. The last operands of a message are its octet of how, and what follows."""

    def __init__(self, come=1):
        self.octets = bytes([VFIO_ACTIONS['come'], come])

    def act(self, action, *operands):
        self.octets += bytes([VFIO_ACTIONS[action], *operands])
        return self

    def running(self):
        return self.act('equip').act('boot')

    def traffic(self):
        return self.act('post', 0x0c).act('post', 0x05).act('notify', 0).act('notify', 1)

    def raw(self, octets, kinds=()):
        """A message as it is; the descriptors of one are of these kinds."""
        for at in range(0, len(octets), 255):
            piece = octets[at:at + 255]
            self.act('raw', len(piece), 1 if kinds else 0)
            self.octets += bytes([len(kinds), *kinds] if kinds else ()) + piece
            kinds = ()
        return self


def vfio_message(command, payload=b'', flags=0):
    return struct.pack('<HHIII', 1, command, 16 + len(payload), flags, 0) + payload


def vfio_messages():
    """Every command with every octet of how, in order and spoiled."""
    for how in (0, 8, 16, 32, 64, 0x28):
        tail = (how, *((3, 0, 5, 11) if how & 16 else ()), *((9,) if how & 32 else ()))
        program = VfioUser(0).act('version', 0, *tail).act('map', 2, 0, 16, 16, *tail)
        program.act('ask', 0, 0, *tail).act('ask', 1, 4, *tail).act('ask', 2, 4, *tail)
        program.act('ask', 3, 2, *tail).act('set_irqs', 0x02 | 2 << 2, *tail).act('unmap', 0, 16, 16, *tail)
        yield program.act('read', 7, 0, 0, 0x60, *tail).act('ask', 7, 0, *tail).running().traffic()
    for how in range(1, 8):
        for near in (0x00, 0x24, 0x45, 0x7f, 0xbf, 0xdf, 0xff):
            tail = (how, near, near)
            program = VfioUser().act('map', 2, 0, 16, 16, *tail).act('unmap', 0, 16, 16, *tail)
            program.act('ask', near & 7, near & 15, *tail).act('set_irqs', near, *tail)
            yield program.act('read', 4, 0, 0, 8, *tail).running().traffic()
    for kind in range(16):
        for command in (2, 3, 8, 9):
            yield VfioUser().raw(vfio_message(command, struct.pack('<II', 32, 3) + bytes(24)), (kind,) * 2)


def vfio_guests():
    yield VfioUser().running().traffic().traffic().act('come', 1).running().traffic()
    for version in (1, 5, 7):
        program = VfioUser(version).act('equip').act('ask', 2, 4, 0).act('boot').act('post', 4).act('post', 5)
        yield program.act('notify', 0x80).act('notify', 0x81).act('notify', 0x82).traffic()
    for shorter in range(0, 256, 24):
        yield VfioUser().running().traffic().act('shorten', shorter).traffic().act('come', 1).running().traffic()
    for events in (0, 1, 2, 0x80, 0x81):
        yield VfioUser().running().act('event', events).traffic().act('event', events).traffic()
    for irqs in range(0, 256, 5):
        yield VfioUser().running().act('set_irqs', irqs, *((2,) if irqs & 0x80 else ()), 0).traffic()
    yield VfioUser().running().traffic().act('unmap', 1, 0).traffic().act('boot').traffic()
    yield VfioUser().running().act('map', 2, 0, 0, 1, 0).traffic().act('map', 8, 0, 32, 16, 0).traffic()
    yield VfioUser().running().act('stubborn', 1).traffic().act('ask', 0, 0, 0).act('stubborn', 0).traffic()
    for _ in range(2):
        program = VfioUser().running().act('stubborn', 1)
        for _ in range(60):
            program.act('read', 4, 0, 0, 0x8d, 0)
        yield program.act('stubborn', _ & 1)
    dice = Dice('fuzz_vfio_user')
    for _ in range(40):
        program = VfioUser().running()
        for _ in range(dice.between(3, 12)):
            program.octets += bytes([dice.below(24)]) + dice.octets(dice.between(1, 6))
        yield program


def vfio_versions():
    for text in (b'{}', b'[', b'[[[[]]]]', b'{"capabilities":{"max_msg_fds":-1}}', b'', b'{"a":"\\ud800"}',
                 b'{"capabilities":{"write_multiple":true,"twin_socket":{"supported":true}}}', b'\xff'):
        yield VfioUser(0).act('version_text', len(text), *text, 0).running().traffic()
    for come in range(8):
        yield VfioUser(come).act('version', come >> 1, 0).act('ask', 2, 4, 0).running().traffic()


# A recording (test/tools/record_messages.py): for each message its length, how many descriptors came
# with it, their kinds, its octets.

RECORDED_AT_ONCE = 60  # messages of one input
SMALL_MEMORY = 0x10000


def recorded_messages(octets):
    at = 0
    while at + 5 <= len(octets):
        length, n_fds = struct.unpack_from('<IB', octets, at)
        kinds = octets[at + 5:at + 5 + n_fds]
        at += 5 + n_fds
        yield octets[at:at + length], kinds
        at += length


def shrunk(message):
    """Memory of a real guest does not fit into the files that the target sends."""
    if len(message) == 48 and message[2] == 2:
        argsz, flags, offset, address, size = struct.unpack_from('<IIQQQ', message, 16)
        return message[:16] + struct.pack('<IIQQQ', argsz, flags, 0, address, min(size, SMALL_MEMORY))
    return message


def recorded_inputs(octets):
    """Pieces of a recording, each behind the messages that set things up."""
    messages = [(shrunk(message), kinds) for message, kinds in recorded_messages(octets)]
    first = [(message, kinds) for message, kinds in messages if message[2] in (1, 2) or kinds]
    for at in range(0, len(messages), RECORDED_AT_ONCE):
        program = VfioUser(0)
        for message, kinds in (first[:20] if at else []) + messages[at:at + RECORDED_AT_ONCE]:
            program.raw(message, [VFIO_KINDS['file'] if kind == 0 else VFIO_KINDS['event'] for kind in kinds])
        yield program.octets


def vfio_inputs():
    for programs in (vfio_messages(), vfio_guests(), vfio_versions()):
        for program in programs:
            yield program.octets


# ---- fuzz_vhost_user ----

VHOST_ACTIONS = {'come': 0, 'boot': 1, 'spoil': 2, 'message': 3, 'ask': 4, 'raw': 5, 'traffic': 6, 'scribble': 7, 'shorten': 8,
                 'look': 9}
VHOST_KINDS = {'memory': 0, 'log': 3, 'event': 4, 'socket': 10, 'inflight': 11}
VHOST_REQUESTS = [*range(1, 22), 24, 25, 31, 32, 34, 36, 37, 38, 39, 40]
VHOST_SESSIONS = {
    # In the order of requests in which each front-end was seen to send them: QEMU's virtio-net and generic device,
    # DPDK's virtio-user; with the ring that each is about.
    'qemu': [1, 15, 16, 17, 36, 3, 1, (13, 0), (14, 0), (13, 1), (14, 1), (18, 0), (18, 1), 2, 39, 5, (8, 0), (10, 0),
             (9, 0), (12, 0), (13, 0), (8, 1), (10, 1), (9, 1), (12, 1), (13, 1), 40, 39],
    'generic': [1, 15, 16, 17, 36, 3, 24, 24, 2, 5, (8, 0), (10, 0), (9, 0), (12, 0), (8, 1), (10, 1), (9, 1), (12, 1),
                (8, 2), (10, 2), (9, 2), (12, 2), (18, 0), (18, 1), (18, 2), 40, 39, 24],
    'dpdk': [3, 1, 15, 16, (13, 0), (13, 1), 2, 39, 40, 40, 5, (8, 0), (10, 0), (9, 0), (12, 0), (8, 1), (10, 1),
             (9, 1), (12, 1), (18, 0), (18, 1), 39],
}


class VhostUser:
    """A program for fuzz_vhost_user."""

    def __init__(self):
        self.octets = b''

    def act(self, action, *operands):
        self.octets += bytes([VHOST_ACTIONS[action], *operands])
        return self

    def spoil(self, request, ring, how, *operands):
        return self.act('spoil', request, 0, ring, how, *operands)


def vhost_sessions():
    for session in VHOST_SESSIONS.values():
        requests = [request if isinstance(request, tuple) else (request, 0) for request in session]
        for stop in range(4, len(requests) + 1, 3):
            program = VhostUser()
            for request, ring in requests[:stop]:
                program.act('ask', request, ring)
            program.act('look').act('traffic', 3)
            for ring in (0, 1, 2):
                program.act('ask', 11, ring)
            yield program.act('look').act('come').act('boot', 0).act('traffic', 7)
        for skip in range(len(requests)):
            program = VhostUser()
            for request, ring in requests[:skip] + requests[skip + 1:]:
                program.act('ask', request, ring)
            yield program.act('look').act('traffic', 5)


def vhost_spoiled():
    for request in VHOST_REQUESTS:
        for how in range(16):
            tail = [3, *[0xff] * 8] if how & 1 else []
            tail += [9, 0] if how & 2 else []
            tail += [2, 1, 4] if how & 4 else []
            tail += [how, 0x80] if how & 8 else []
            yield VhostUser().act('boot', how & 3).act('traffic', 2).spoil(request, 1, how, *tail).act('traffic', 2)


def vhost_guests():
    for features in range(4):
        program = VhostUser().act('boot', features)
        for n in (1, 5, 15, 3, 15, 15):
            program.act('traffic', n)
        for ring in (0, 1, 2):
            program.act('ask', 11, ring)
        yield program.act('boot', features ^ 1).act('traffic', 3)
        yield VhostUser().act('boot', features).act('traffic', 3).act('shorten', features & 1).act('come').act(
            'boot', features).act('traffic', 3)
        for request in (2, 4, 5, 6, 34, 37, 38):
            yield VhostUser().act('boot', features).act('traffic', 3).act('ask', request, 1).act('traffic', 3).act(
                'ask', request, 0).act('traffic', 3)
        for at in range(0, 0x20, 3):
            yield VhostUser().act('boot', features).act('traffic', 1).act('scribble', at, 0x14, 0x77).act(
                'traffic', 2).act('scribble', at, 0x18, 0xff).act('traffic', 2)
    for length in (1, 4, 11, 12, 13, 40):
        yield VhostUser().act('raw', length, *([5, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0] + [1] * 28)[:length], 4).act('look')
    dice = Dice('fuzz_vhost_user')
    for _ in range(60):
        program = VhostUser().act('boot', dice.below(4))
        for _ in range(dice.between(3, 12)):
            program.octets += bytes([dice.below(10)]) + dice.octets(dice.between(1, 6))
        yield program


def vhost_moved(message, user):
    """Request, payload and files of a message whose memory is the target's: small, each ring at its place there."""
    request, _, size = struct.unpack_from('<III', message)
    payload = bytearray(message[12:12 + size])
    if request == 5:
        for at in range(8, size, 32):
            struct.pack_into('<Q', payload, at + 8, SMALL_MEMORY)
            struct.pack_into('<Q', payload, at + 24, 0)
    elif request == 37:
        struct.pack_into('<Q', payload, 16, SMALL_MEMORY)
        struct.pack_into('<Q', payload, 32, 0)
    elif request == 8:
        struct.pack_into('<I', payload, 4, 16)
    elif request == 9:
        ring = struct.unpack_from('<I', payload)[0] % 4 * 0x1000
        struct.pack_into('<QQQ', payload, 8, user + ring, user + ring + 0x800, user + ring + 0x400)
    elif request == 6:
        struct.pack_into('<QQ', payload, 0, 4096, 0)
    return request, bytes(payload), {6: 'log', 32: 'inflight'}.get(request, 'memory')


def vhost_recorded(octets):
    """A recording as it went, cut off in several places, with traffic there and a front-end that comes next."""
    messages, user, programs = list(recorded_messages(octets)), 0, [b'']
    for message, kinds in messages:
        if message[0] == 5:
            user = struct.unpack_from('<Q', message, 12 + 8 + 16)[0]
        elif message[0] == 37 and not user:
            user = struct.unpack_from('<Q', message, 12 + 8 + 16)[0]
        request, payload, file = vhost_moved(message, user)
        places = [(VHOST_KINDS[file], VHOST_KINDS['event'] + request % 4, VHOST_KINDS['socket'])[kind]
                  for kind in kinds[:3]]
        programs.append(bytes([VHOST_ACTIONS['message'], request, len(places), *places]) +
                        struct.pack('<H', len(payload)) + payload)
    for stop in sorted({*range(8, len(programs), 12), len(programs)}):
        first = b''.join(programs[max(0, stop - 90):stop])
        tail = VhostUser().act('look').act('traffic', 5).act('look').act('come').act('boot', 2).act('traffic', 7)
        yield first + tail.octets


def vhost_inputs():
    for programs in (vhost_sessions(), vhost_spoiled(), vhost_guests()):
        for program in programs:
            yield program.octets


# ---- fuzz_packed ----

PACKED_ACTIONS = {'post': 0, 'pop': 6, 'burst': 9, 'push': 10, 'give': 11, 'flush': 16, 'back': 18, 'unpop': 19, 'notify': 20,
                  'kicks': 22, 'store': 24}


def packed_inputs():
    """Buffers that come, are taken, given back and shown, with all else in between now and then."""
    dice = Dice('fuzz_packed')
    for number in range(64):
        octets = bytes([dice.choice((0, 1, 2, 3, 4, 7, 15, 32)), number % 32])
        writable = 0x10 * dice.below(2)
        for _ in range(dice.between(30, 60)):
            kind = dice.choice(('post', 'post', 'post', 'pop', 'pop', 'burst', 'push', 'give', 'flush',
                                dice.choice(('back', 'unpop', 'notify', 'kicks'))))
            octets += bytes([PACKED_ACTIONS[kind]])
            if kind == 'post':
                many = dice.choice((0, 0, 0, 1, 2, 3))
                octets += bytes([many | 0x08 * (not dice.below(4)) | writable, dice.below(256)])
                octets += b''.join(bytes([dice.below(0xf0), dice.between(1, 255)]) for _ in range(many + 1))
            elif kind == 'burst':
                octets += bytes([(writable and 1) | dice.between(1, 15) << 1])
            elif kind in ('push', 'give', 'notify'):
                octets += bytes([dice.below(256), dice.choice((0, 1, 2, 2, 2, 255)) if kind == 'notify'
                                 else dice.below(256)])
            elif kind in ('back', 'kicks'):
                octets += bytes([dice.below(256)])
        if number % 2:
            octets += bytes([PACKED_ACTIONS['store']]) + dice.octets(8) + bytes([PACKED_ACTIONS['pop']] * 8)
        yield octets


# ---- fuzz_reads ----

READS_ACTIONS = {'post': 0, 'pop': 4, 'burst': 9, 'unpop': 11, 'push': 12, 'flush': 14, 'notify': 15, 'kicks': 17,
                 'spoil': 18, 'astray': 20}


def reads_inputs():
    """Every format in memory of both kinds, steady and not; some end in a chain that runs into itself."""
    dice = Dice('fuzz_reads')
    for number in range(96):
        octets = bytes([number % 4 | number % 2 << 4 | (number % 3 == 2) << 5, dice.choice((1, 2, 3, 4, 15)),
                        dice.below(8)])
        writable = 0x18 * dice.below(2)
        for _ in range(dice.between(20, 50)):
            kind = dice.choice(('post', 'post', 'post', 'pop', 'pop', 'burst', 'push', 'push', 'flush',
                                dice.choice(('unpop', 'notify', 'kicks'))))
            octets += bytes([READS_ACTIONS[kind]])
            if kind == 'post':
                many = dice.choice((0, 0, 0, 1, 2, 3))
                octets += bytes([many | 0x04 * (not dice.below(4)) | writable]) + dice.octets(many + 1)
            elif kind == 'burst':
                octets += bytes([(writable and 1) | dice.between(1, 15) << 1])
            elif kind in ('push', 'kicks'):
                octets += bytes([dice.below(256)])
        if number % 4 == 3:
            octets += bytes([READS_ACTIONS['astray'], dice.below(256)])
        else:  # post lists, and turn their words
            for _ in range(3):
                octets += bytes([READS_ACTIONS['post'], 3, 0, 1, 2, 3, READS_ACTIONS['spoil']]) + dice.octets(3)
        yield octets + bytes([READS_ACTIONS['pop']] * 8)
    for how in (0x00, 0x01, 0x10, 0x20, 0x21, 0x30, 0x31):  # a list of four whose last leads to the first
        yield bytes([how, 2, 0, READS_ACTIONS['post'], 3, 0, 1, 2, 3, READS_ACTIONS['spoil'], 0, 3 << 2 | 2, 1,
                     READS_ACTIONS['pop'], 1, 2, 3, 4])
        yield bytes([how, 2, 1, READS_ACTIONS['post'], 7, 0, 1, 2, 3, READS_ACTIONS['spoil'], 2, 3 << 2 | 2, 1,
                     READS_ACTIONS['spoil'], 2, 3 << 2 | 3, 0, READS_ACTIONS['pop'], 1, 2, 3, 4])


# ---- fuzz_segment: a frame behind its offload members ----

TCP4, UFO, TCP6, USO, TUNNEL4, TUNNEL6, ECN = 1, 3, 4, 5, 0x20, 0x40, 0x80
NEEDS_CSUM, TUNNEL_CSUM = 1, 8


def ethernet(v6, vlans=0):
    return bytes(12) + b'\x81\0\0\5' * vlans + (b'\x86\xdd' if v6 else b'\x08\0')


def ip4(protocol, options=b'', flags=0, more=0):
    return struct.pack('>BBHHHBBH', 0x45 + len(options) // 4, 0, more, 0xfffe, flags, 64, protocol, 0) + bytes(
        (10, 0, 0, 1, 10, 0, 0, 2)) + options


def ip6(protocol, *extensions):
    """Extension headers are pairs of type and octets behind the first two."""
    octets, kinds = b'', [kind for kind, _ in extensions] + [protocol]
    for (_, body), after in zip(extensions, kinds[1:]):
        octets += bytes((after, (len(body) + 2) // 8 - 1)) + body
    return struct.pack('>IHBB', 0x60000000, 0, kinds[0], 64) + bytes(range(32)) + octets


def tcp(flags=0x10, options=b'', urgent=0):
    return struct.pack('>HHIIBBHHH', 1025, 80, 0xfffffff0, 1, (5 + len(options) // 4) << 4, flags, 512, 0,
                       urgent) + options


def udp(port=53, checksum=0):
    return struct.pack('>HHHH', 1025, port, 0, checksum)


def segment_input(kind, size, frame, made_up=3000, flags=NEEDS_CSUM, outer=0, inner=0, cuts=(0, 20, 40, 100)):
    return struct.pack('<BBHHHH4H', kind, flags, size, outer, inner, made_up, *cuts) + frame


def segment_inputs():
    options4 = bytes((0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0))
    padding = (0, bytes((1, 4, 0, 0, 0, 0)))
    extensions = ((), (padding,), ((60, bytes((0, 1, 3, 0, 0, 0))),), ((43, bytes((0, 0, 0, 0, 0, 0))),),
                  (padding, (43, bytes(14)), (60, bytes(6))), ((60, bytes((0xc9, 4, 0, 0, 0, 0))),),
                  ((0, bytes((0xc2, 4, 0, 1, 0, 0))),), ((43, bytes((0, 1, 0, 0, 0, 0))),), ((44, bytes(6)),))
    for vlans in range(4):
        for kind, header in ((TCP4, tcp()), (TCP4 | ECN, tcp(0xd8, bytes(12))), (TCP4, tcp(0x39, urgent=1500)),
                             (USO, udp()), (UFO, udp())):
            protocol = 17 if kind in (USO, UFO) else 6
            for size in (1, 7, 536, 1448, 0xffff, 0):
                yield segment_input(kind, size, ethernet(False, vlans) + ip4(protocol) + header)
            yield segment_input(kind, 1000, ethernet(False, vlans) + ip4(protocol, options4) + header)
            for headers in extensions:
                six = TCP6 | kind & ECN if protocol == 6 else kind
                yield segment_input(six, 1000, ethernet(True, vlans) + ip6(protocol, *headers) + header)
    for flags in (0x12, 0x14, 0x11, 0x18, 0x31, 0x80, 0xff):
        for made_up in (0, 1, 1000, 1001):
            yield segment_input(TCP4, 1000, ethernet(False) + ip4(6) + tcp(flags, urgent=7), made_up)
    for urgent in (0, 999, 1000, 1001, 2000):
        yield segment_input(TCP4, 1000, ethernet(False) + ip4(6) + tcp(0x30, urgent=urgent))
    for made_up in (65535 - 28, 65535 - 27, 65535, 8, 0):
        yield segment_input(UFO, 1480, ethernet(False) + ip4(17) + udp(), made_up)
        yield segment_input(USO, 46, ethernet(False) + ip4(17) + udp(), made_up)
        yield segment_input(TCP6, 65500, ethernet(True) + ip6(6) + tcp(), made_up)
    for fragment in (0x2000, 1, 0x4000, 0x8000):
        yield segment_input(TCP4, 1000, ethernet(False) + ip4(6, flags=fragment) + tcp())
    for v6, kind in ((False, TUNNEL4), (True, TUNNEL6)):
        for checksum in (0, 0x1234):
            for inner_v6, inner_kind, header in ((False, TCP4, tcp(0x18)), (True, TCP6, tcp()), (False, USO, udp()),
                                                 (True, USO, udp()), (False, UFO, udp())):
                protocol = 17 if inner_kind in (USO, UFO) else 6
                outer = ethernet(v6) + (ip6(17) if v6 else ip4(17))
                front = outer + udp(4789, checksum) + b'\x08' + bytes(7) + ethernet(inner_v6)
                whole = front + (ip6(protocol) if inner_v6 else ip4(protocol)) + header
                for flags in (NEEDS_CSUM, NEEDS_CSUM | TUNNEL_CSUM):
                    yield segment_input(kind | inner_kind, 1000, whole, 3000, flags, len(outer), len(front))
                yield segment_input(kind | inner_kind, 1000, whole, 3000, 1, len(outer) + 1, len(front))
                yield segment_input(kind | inner_kind, 1000, whole, 3000, 1, len(outer), len(outer) + 7)
                yield segment_input(0x60 | inner_kind, 1000, whole, 3000, 1, len(outer), len(front))


# ---- fuzz_merge ----

DATA_VALID, RAW, SPOILED, WRONG, LAST = 8, 0x10, 0x20, 0x40, 0x80
PUSH, JUMP, SAME_ID, OPTIONS, VLAN = 8, 0x10, 0x20, 0x40, 0x80
BARRIER = 0xfe


def merge_inputs():
    for lacks in (0, 1, 2, 4, 6):
        for connection in range(8):
            frame = bytes((connection | DATA_VALID, 6, 0))
            yield bytes((lacks, 127)) + frame * 6 + bytes((connection, 4, 0xd3)) + bytes(
                (connection | DATA_VALID | LAST, 6 | PUSH, 0x91))
    for connection in (0, 1, 4):
        for change in (PUSH, JUMP, SAME_ID, OPTIONS, VLAN):
            frame = bytes((connection, 6, 0xc8))
            yield bytes((0, 127)) + frame * 3 + bytes((connection, 6 | change, 0)) + frame * 3
            yield bytes((0, 127)) + bytes((connection, 6 | change, 0)) * 5
        for length in range(8):
            yield bytes((0, 127)) + bytes((connection, length, 0)) * 4 + bytes((connection, 4, 0)) * 3
        yield bytes((0, 127)) + bytes((connection, 2, 0x80)) * 100
        yield bytes((0, 127)) + bytes((connection, 7, 0)) * 50
        yield bytes((0, 3)) + bytes((connection, 6, 0, connection ^ 1, 6, 0)) * 12
        for at in range(0, 80, 3):
            for how in (SPOILED, SPOILED | DATA_VALID, WRONG):
                frame = bytes((connection, 6, 0))
                yield bytes((0, 127)) + frame * 2 + bytes((connection | how, 6, 0, at, 0, 1)) + frame * 2
    for connection in range(4):
        for length in (1, 4, 6, 7):
            yield bytes((0, 127)) + bytes((connection | DATA_VALID, length | SAME_ID, 0)) * 4
    for connections in range(1, 9):
        burst = b''.join(bytes((i % connections, 5, i * 37 & 0xff)) for i in range(24))
        yield bytes((0, 127)) + burst + bytes((0, BARRIER, 0)) + burst + bytes((RAW, 0, 0, 3, 1, 2, 3, 4)) + burst
    dice = Dice('fuzz_merge')
    for _ in range(30):
        octets = bytes((dice.choice((0, 0, 1, 2, 4)), dice.choice((127, 127, 5))))
        for _ in range(dice.between(10, 60)):
            octets += bytes((dice.below(16) | LAST * (not dice.below(12)), dice.choice((4, 5, 6, 6, 0x26, 0x0e, 0x46)),
                             dice.below(256)))
        yield octets


# ---- fuzz_state: the reference files, whole and with something in each section changed ----

STATE_HEADER, STATE_SECTION = 24, 28
FIX_LENGTHS, OTHER_CONFIG, FAILOVER = 1, 2, 32
# Bits 2 to 4 of how, by the file; failover too, where it is not one of the first two.
STATE_TRANSPORTS = {'pci-legacy': 1, 'mmio': 3, 'mmio-legacy-big': 5}


def transport_of(path):
    return STATE_TRANSPORTS.get(path.stem.partition('-')[2], 0)


def sections_of(state):
    at, found = STATE_HEADER, []
    while at < len(state):
        size = STATE_SECTION + struct.unpack_from('<I', state, at + 24)[0]
        found.append(state[at:at + size])
        at += size
    return found


def state_of(sections):
    octets = b''.join(sections)
    return struct.pack('<8sIIQ', b'VIONETST', 1, len(sections), STATE_HEADER + len(octets)) + octets


def state_inputs():
    dice = Dice('fuzz_state')
    for path in sorted((ROOT / 'test' / 'state').glob('*.state'), key=lambda path: (transport_of(path), path)):
        rings = path.with_suffix('.rings')
        rings = rings.read_bytes()[:3072] if rings.exists() else b''
        state = path.read_bytes()
        sections = sections_of(state)
        transport = transport_of(path)
        kind = transport << 2 | (FAILOVER if transport else 0)

        def of(octets, how=FIX_LENGTHS, memory=rings, kind=kind):
            return struct.pack('<BH', how | kind, len(memory)) + memory + octets

        yield of(state)
        yield of(state, memory=b'')
        yield of(state, how=OTHER_CONFIG)
        yield of(state[:8] + b'\2' + state[9:], memory=b'')
        for number, section in enumerate(sections):
            rest = sections[:number] + sections[number + 1:]
            yield of(state_of(rest), memory=b'')
            yield of(state_of(sections + [section]), memory=b'')
            yield of(state_of(rest + [section[:16] + bytes((section[16] + 1,)) + section[17:]]), memory=b'')
            for _ in range(2 if transport else 8):
                at = STATE_SECTION + dice.below(max(1, len(section) - STATE_SECTION))
                changed = section[:at] + bytes((dice.below(256),)) + section[at + 1:]
                yield of(state_of(rest + [changed]))


# ---- fuzz_qmp: monitors that do as they are told, with something going wrong at each step ----

QMP_GREETING, QMP_EVENTS, QMP_ERRORS = 0, range(1, 13), range(13, 16)
QMP_GONE, QMP_LINE, QMP_NEXT, QMP_SPOILED, QMP_RAW, QMP_COMMAND, QMP_DRIVE, QMP_LONG = 0, 1, 3, 4, 5, 6, 7, 8
QMP_RESET, QMP_MACHINE_RESET, QMP_ACCEPT, QMP_DECLINE = range(4)


def qmp_inputs():
    agreed = bytes((QMP_NEXT, 0)) * 5
    shown = agreed + bytes((QMP_DRIVE, QMP_ACCEPT, QMP_COMMAND, 0, QMP_NEXT, 0))
    for model in range(3):
        start = bytes((model,))
        yield start
        for number in range(1, 6):
            yield start + agreed[:2 * number] + bytes((QMP_GONE,)) + agreed
            yield start + agreed[:2 * number] + bytes((QMP_LONG, 0))
            for line in (QMP_GREETING, *QMP_ERRORS):
                yield start + agreed[:2 * number] + bytes((QMP_LINE, line)) + agreed
        for event in QMP_EVENTS:
            yield start + shown + bytes((QMP_LINE, event, QMP_NEXT, 0)) * 2
        for command in range(9):
            yield start + shown + bytes((QMP_COMMAND, command, QMP_NEXT, 0, QMP_LINE, 1)) * 2
        for what in (QMP_RESET, QMP_MACHINE_RESET, QMP_DECLINE):
            yield start + shown + bytes((QMP_DRIVE, what, QMP_NEXT, 0, QMP_LINE, 1, QMP_DRIVE, QMP_ACCEPT)) * 2
        for error in QMP_ERRORS:
            yield start + shown[:-2] + bytes((QMP_LINE, error))
            yield start + shown + bytes((QMP_COMMAND, 1, QMP_LINE, error))
        yield start + shown + bytes((QMP_GONE,)) + bytes((QMP_NEXT, 1)) * 5
    dice = Dice('fuzz_qmp')
    lines = (b'{"QMP":{}}\n', b'{"event":"MIGRATION"}\n', b'{"return":[[[[]]]],"id":1}\n', b'[' * 40 + b'\n',
             b'{"event":"\\ud800\\u0041"}\n', b'null\n', b'\0\n', b'{"id":1}\n', b'{"return":{},"id":-1}\n',
             b'{"error":3,"id":1}\n', b'{"return":{},"id":"1"}\n', b'{"QMP":')
    for number in range(6):
        for line in lines:
            yield bytes((2,)) + agreed[:2 * number] + bytes((QMP_RAW,)) + struct.pack('<H', len(line)) + line + agreed
    for _ in range(60):
        actions = b''.join(bytes((QMP_SPOILED, dice.below(18), dice.below(80), dice.below(256), dice.below(16)))
                           for _ in range(dice.between(1, 4)))
        yield bytes((dice.below(3),)) + shown[:2 * dice.between(0, 7)] + actions + shown


# ---- fuzz_whole ----

WHOLE_ACTIONS = {'deliver': 0, 'receive': 4, 'send': 6, 'take': 9, 'complete': 12, 'reclaim': 13, 'command': 14,
                 'reset': 18, 'reset_queue': 19, 'migrate': 20, 'map': 21, 'machine': 22, 'time': 23,
                 'bus_reset': 24, 'sleep': 25, 'race': 26, 'dma_fails': 27, 'spoil': 28, 'kick': 29, 'settle': 30, 'stop': 31}
WHOLE_ROWS = ('promisc', 'allmulti', 'alluni', 'nomulti', 'nouni', 'nobcast', 'mac_table', 'mac', 'vlan_add',
              'vlan_del', 'announce_ack', 'pairs', 'rss', 'hash', 'offloads', 'coal_tx', 'coal_rx', 'coal_set',
              'coal_get', 'tunnels', 'rss_again', 'stats_query', 'stats_get', 'ctx_cap', 'ctx_add', 'ctx_mod',
              'ctx_del')
PLAIN_FRAME, TAGGED, QINQ, VXLAN, GENEVE, GRE_IP, GRE_ETHERNET, IP_IN_IP, EXTENSION, OTHER, RAW_FRAME = range(11)
INNER6, OUTER6, AS_UDP = 0x10, 0x20, 0x40
CHECKSUM, SEGMENTS = 1, 2
TO_DEVICE, TO_ALL = 0, 1
MODERN, LEGACY, LEGACY_BIG, MMIO, MMIO_LEGACY, MMIO_LEGACY_BIG = range(6)
MINIMAL, EVERYTHING, ALL_SPLIT, USUAL = range(4)
WHOLE_DIALECTS = {'off': 0, 'draft-v7': 1, 'draft-v10': 2, 'ratified': 3}


def whole_frame(around=PLAIN_FRAME, to=TO_ALL, ends=1, payload=20, offload=0, cuts=0):
    return bytes((around, to | ends << 3 & 0xff, payload, offload, cuts))


class Whole:
    """A program for fuzz_whole."""

    def __init__(self, transport=MODERN, memory=0, dialect='ratified', pairs=3, sizes=0x0f, receive=1,
                 features=EVERYTHING, tunnels=True):
        self.octets = bytes((transport, memory | WHOLE_DIALECTS[dialect] << 2, pairs - 1, sizes, receive, features))
        self.tunnels = tunnels

    def act(self, action, *operands):
        self.octets += bytes((WHOLE_ACTIONS[action], *operands))
        return self

    def deliver(self, *frames, hold=False, lane=0):
        return self.act('deliver', len(frames) - 1 | lane << 4 | hold << 7, *b''.join(frames))

    def send(self, *frames, pair=0, cut=False, indirect=False, hidden=False):
        return self.act('send', len(frames) - 1 | cut << 3 | indirect << 4 | hidden << 5 | pair << 6,
                        *b''.join(frames))

    def take(self, pair=0, n=8):
        return self.act('take', n - 1 | pair << 4)

    def command(self, row, *operands, layout=1):
        return self.act('command', WHOLE_ROWS.index(row), *operands, layout)

    def hashing(self, row, table=(), key=7, types=0x1ff, tunnels=0x1ff):
        tunnel_octets = struct.pack('<H', tunnels) if self.tunnels else b''
        return self.command(row, *struct.pack('<HB', types, key), *tunnel_octets, *table)


def whole_scenarios():
    frames = [whole_frame(around | six, ends=number + 1, payload=20 + number)
              for number, (around, six) in enumerate((around, six) for around in range(9)
                                                     for six in (0, INNER6, INNER6 | AS_UDP, OUTER6))]
    segments = [whole_frame(around, payload=120, offload=SEGMENTS | 0x40, ends=3)
                for around in (PLAIN_FRAME, INNER6, AS_UDP, INNER6 | AS_UDP, VXLAN, VXLAN | OUTER6, GENEVE | AS_UDP)]
    checksums = [whole_frame(around, payload=33, offload=CHECKSUM) for around in (PLAIN_FRAME, AS_UDP, INNER6)]

    for transport in range(6):
        for memory in (0, 2, 3):
            for features in (MINIMAL, EVERYTHING, ALL_SPLIT, USUAL):
                program = Whole(transport, memory, features=features, sizes=0x0f, receive=2 * (features == USUAL) + 1)
                program.deliver(*frames[:4]).deliver(*checksums, hold=True).act('receive', 9)
                program.send(*frames[4:8], cut=True).take().act('complete', 0x21).send(*segments[:2], indirect=True)
                program.take().act('reclaim', 0).act('sleep', 0).act('sleep', 1).act('settle')
                yield program
    for dialect in WHOLE_DIALECTS:
        for memory in (0, 3):
            for features in (EVERYTHING, ALL_SPLIT):
                program = Whole(dialect=dialect, memory=memory, features=features, receive=1,
                                tunnels=dialect != 'off')
                if dialect == 'ratified':
                    program.command('tunnels', 0xff, 1)
                program.hashing('rss', table=(0x25,))
                for at in range(0, len(frames), 8):
                    program.deliver(*frames[at:at + 8]).act('receive', 31)
                program.hashing('hash', key=99).deliver(*frames[:8]).act('settle')
                yield program.act('migrate').deliver(*frames[8:16]).act('receive', 31)
    for features in (EVERYTHING, ALL_SPLIT, USUAL):
        for receive in (1, 2, 10):
            yield (Whole(features=features, receive=receive).deliver(whole_frame(payload=230), whole_frame(payload=255))
                   .deliver(*segments).act('receive', 31).deliver(*segments[:2], hold=True).act('receive', 2)
                   .command('offloads', 0, 0).deliver(*checksums).deliver(*segments[:2]).act('receive', 31)
                   .command('offloads', 0xff, 1).deliver(*segments[:4]).act('receive', 31))
        yield (Whole(features=features).send(*frames[:6], pair=1).take(1, 3).act('migrate').take(1)
               .act('complete', 0xe0).act('settle').send(*segments, pair=2, cut=True, indirect=True).take(2)
               .act('migrate').act('settle'))
        yield (Whole(features=features).send(*frames[:4]).take(0, 2).act('reset', 2, features).take(0)
               .send(*frames[:2]).take().act('reset', 0, features).act('bus_reset', 1, features)
               .send(frames[0]).take().act('bus_reset', 0, features).act('settle'))
        yield (Whole(features=features).send(*frames[:4]).take(0, 2).deliver(*frames[:4]).act('reset_queue', 1)
               .act('reset_queue', 0).deliver(*frames[4:8]).act('reset_queue', 0x83).send(*frames[:4]).take()
               .act('reset_queue', 2).act('reset_queue', 6).act('settle'))
        yield (Whole(features=features).command('coal_rx', 3, 100).command('coal_tx', 2, 50)
               .command('coal_set', 0, 9, 60).command('coal_get', 0).deliver(frames[0]).act('time', 200)
               .act('sleep', 1).act('sleep', 0).deliver(frames[1]).act('migrate').act('time', 0xe0, 0, 0, 1, 0)
               .act('receive', 3))
        yield (Whole(features=features).command('promisc', 1).command('mac_table', 2, 1).command('mac', 2)
               .command('promisc', 0).command('vlan_add', 5).command('pairs', 2).command('nobcast', 1)
               .deliver(*frames[:8]).command('stats_query').command('stats_get', 1, 0, 0x03, 1, 0x13, 20)
               .act('machine', 3).command('announce_ack', 0).command('pairs', 3).deliver(*frames[8:14])
               .command('ctx_cap').command('ctx_del', 1).act('migrate').deliver(*frames[:8]).act('receive', 31))
        for memory in (0, 2, 3):
            for after in (0, 3, 9, 30):
                for value in (0x11, 0x9f, 0xff):
                    yield (Whole(features=features, memory=memory).send(*frames[:2], indirect=True)
                           .act('race', after % 5 | 0x10 * (after & 1), after, value).take().deliver(*frames[:3])
                           .act('receive', 3).command('promisc', 1).act('reset', 0, features))
        for memory in (2, 3):
            for after in (0, 2, 5, 11, 20):
                yield (Whole(features=features, memory=memory, receive=2).send(*frames[:2]).act('dma_fails', after)
                       .take().deliver(*frames[:3]).command('promisc', 1).act('reset', 0, features))
        for memory in (0, 3):
            yield (Whole(features=features, memory=memory).deliver(*frames[:3]).send(*frames[:4]).take(0, 2)
                   .act('stop', 0x41).act('stop', 0x40).deliver(*frames[:2]).take(0, 1).act('receive', 1)
                   .send(*frames[4:8]).take(0, 3).act('stop', 0xc1).take().act('complete', 0).act('stop', 0xc1)
                   .act('stop', 0xc0).deliver(*frames[:4]).take().act('receive', 31).act('stop', 1).act('stop', 2)
                   .act('reclaim', 0).act('settle'))
            yield (Whole(features=features, memory=memory).act('machine', 13).deliver(*frames[:3]).act('receive', 2)
                   .send(*frames[:3]).take().act('settle').act('migrate').deliver(*frames[:2]).act('settle')
                   .act('machine', 6).act('machine', 5))
        for around in (PLAIN_FRAME, TAGGED, QINQ, VXLAN):
            yield (Whole(pairs=0x82, features=features, receive=1)
                   .deliver(whole_frame(around, payload=208), whole_frame(around, payload=208, offload=SEGMENTS),
                            whole_frame(around, payload=208, cuts=0x12)).act('receive', 9))
        for switch in (0, 1, 2, 4, 12, 20, 28):
            yield (Whole(features=features).act('machine', switch).deliver(*frames[:3]).send(*frames[:3]).take()
                   .act('machine', switch).act('receive', 9).act('kick', 1).take().act('settle'))
        yield (Whole(features=features).deliver(*frames[:2]).act('map', 0).act('map', 1).deliver(*frames[:2])
               .act('map', 1).act('reset', 0, features).act('spoil', 0).deliver(*frames[:3])
               .act('reset', 0, features).act('spoil', 1).take().act('reset', 3, features))
    odd = bytes((PLAIN_FRAME, 1, 40, 3, 1, 1, 54, 9, 34, 16, 0, 0, 0))
    yield Whole(receive=1).deliver(odd, odd).send(odd, odd).take().act('settle')
    for sizes in (0x00, 0x20, 0x2f, 0x40, 0x6a):
        yield Whole(sizes=sizes, receive=9).deliver(*frames[:6]).act('sleep', 0).act('sleep', 1).send(*frames[:6]).take()


def whole_inputs():
    for program in whole_scenarios():
        yield program.octets
    dice = Dice('fuzz_whole')
    for number in range(24):
        program = Whole(transport=number % 6, memory=dice.below(4), features=dice.choice((1, 2, 3)),
                        pairs=1 + number % 3, sizes=dice.below(16), receive=dice.below(32))
        for _ in range(20):
            program.octets += bytes((dice.below(31), *(dice.below(256) for _ in range(dice.below(9)))))
        yield program.octets


# ---- fuzz_standby ----

STANDBY_INPUTS = ('accepted', 'declined', 'running', 'driver-reset', 'machine-reset', 'released', 'refused',
                  'show-failed', 'configured', 'remove', 'hide', 'show', 'migration-starts', 'migration-failed',
                  'migration-left', 'migration-arrived')
FINE, FAILS = 0, 6  # what an operation comes to
OPERATES = ('running', 'remove', 'hide', 'show', 'migration-starts', 'migration-failed')


def standby_inputs():
    dice = Dice('fuzz_standby')
    stories = ('configured accepted running migration-starts released migration-arrived',
               'accepted running configured remove refused remove released',
               'configured accepted running hide released show migration-starts migration-failed',
               'configured accepted running show-failed declined running driver-reset machine-reset',
               'accepted running configured migration-starts released migration-left accepted running')
    for model in range(3):
        for how in (model | 0x20, model | 0x30, model):
            for there in (0, 0x1f, 1, 8):
                for story in stories:
                    octets = bytes((how, there))
                    for word in story.split():
                        octets += bytes((STANDBY_INPUTS.index(word),))
                        octets += bytes((3,)) if word == 'configured' else b''
                        octets += bytes((FINE,)) if model and not there and word in OPERATES else b''
                    yield octets
    for _ in range(40):
        yield bytes((dice.below(3) | dice.choice((0x20, 0x30)), dice.choice((0, 0, 0, 1, 8)),
                     *(dice.choice((8, 3, 0, 2, 12, 13, 9, 5, 6, 10, 11, 15, 0xf7, 0xe7, 0xff, dice.below(256)))
                       for _ in range(dice.between(6, 60)))))


# ---- fuzz_properties ----

def properties_inputs():
    for text in ('', 'mac=52:54:00:00:00:01,queues=4,rss=on,hash=on', 'packed=on,mrg_rxbuf=off', 'queues=4,mq=off',
                 'host_mtu=9000', 'rx_queue_size=1024,tx_queue_size=1000', 'hash=on,hash-tunnel=on,dialect=draft-v10',
                 'speed=10000,duplex=full', 'threads=on,queues=2', 'quees=4', 'mac=1', 'rss=maybe', 'a=b,,c', '=',
                 'hash-types=tcpv4+udpv4', 'tunnel-types=vxlan+geneve', 'disable-legacy=off', 'notify_data=7',
                 'csum=off,host_tso4=on', 'mac', 'on', 'queues=0x2,', 'vectors=3', 'ctrl_vq=off,rss=on',
                 'notf_coal=on,vq_notf_coal=on', 'poll_us=5'):
        yield b'\0' + text.encode()
    for text in ('', 'net=10.0.2.0/24,host=10.0.2.2,dhcpstart=10.0.2.15', 'hostfwd=tcp::2222-:22',
                 'hostfwd=udp:127.0.0.1:53-10.0.2.15:53', 'hostfwd=unix:/tmp/x-:80', 'hostfwd=tcp::99999-:1',
                 'restrict=on,ipv6=off', 'ipv6-prefix=fec0::,ipv6-prefixlen=64', 'dns=1.2.3', 'net=10.0.2.0/40',
                 'hostname=a,,b,domainname=c.d', 'tftp=/tmp,bootfile=x', 'mtu=1500', 'mtu=10', 'x=1', '=,=',
                 'dnssearch=a.b', 'net=', 'ipv6-host=fec0::2,ipv6-dns=fec0::3', 'ipv4=off,ipv6=off', 'net=10.0.2.0/255.255.0.0'):
        yield b'\1' + text.encode()
    # Members by their place in set_member(), and numbers as input_edgy() has them.
    for member in range(32):
        for number in (b'\0', b'\1', b'\3', b'\x50', b'\x8b', b'\x90', b'\xff', b'\xc0\x40\0\0\0'):
            yield b'\2\0' + bytes((member,)) + number
    for features in (57, 62, 53, 23, 39, 32, 38):
        for off in (17, 60, 1, 11, 12):
            yield bytes((2, 1, 2, 0xc0, features, 0, 0, 0, 1, off))
            yield bytes((2, 0, 2, 0xc0, features, 0, 0, 0, 1, off, 21, 1, 20, 0, 5, 3))
    yield bytes((2, 0, 24, 1, 25, 1, 23, 1, 27, 1, 28, 1))
    yield bytes((2, 0, 25, 1, 28, 1, 19, 0xff, 26, 1))
    yield bytes((2, 0, 29, 0xe0, 30, 0x8d))


# ---- fuzz_files ----

def files_inputs():
    vectors = (ROOT / 'test' / 'vectors' / 'frames.pcapng').read_bytes()
    yield b'\0' + vectors[:1200]
    yield b'\1' + vectors[:1200]
    for path in ('ip-in-ip.ratified.ndjson', 'nested.draft-v7.ndjson', 'truncated-geneve.off.ndjson'):
        lines = (ROOT / 'test' / 'captures' / path).read_bytes().splitlines(keepends=True)
        yield b'\1' + b''.join(lines[:3])
        yield b'\1' + b''.join(reversed(lines[:2]))
    for text in ('{"packet": 1, "length": 60, "queue": 3, "hash": "0x00000001", "report": "TCPv4", "tunnel": "GRE"}\n',
                 '{"packet": 2, "hash": null}', '{"packet": 0}', '{"packet": "1"}', '{"capture": "b.pcap", "packet": 1}',
                 '{"packet": 3, "dropped": "runt"}\n{"packet": 3}\n', '{', '', '[]', '{"packet": 1,}', '{"packet": 1} x',
                 '{"packet": 1, "capture": "\\ud800\\u0041\\n"}', '{"packet": 18446744073709551616}', '\0',
                 '{"packet": 9, "queue": 4294967296}', '{"packet": 5, "tunnel": "x"}', '{"packet": 5, "report": "x"}'):
        yield b'\1' + text.encode()

    def block(kind, body, order='<'):
        size = 12 + len(body)
        return struct.pack(order + 'II', kind, size) + body + struct.pack(order + 'I', size)

    def option(code, octets, order='<'):
        return struct.pack(order + 'HH', code, len(octets)) + octets + bytes(-len(octets) % 4)

    for order in '<>':
        section = block(0x0a0d0d0a, struct.pack(order + 'IHHq', 0x1a2b3c4d, 1, 0, -1), order)
        for digits in (b'', option(9, b'\x09', order), option(9, b'\x8a', order), option(14, bytes(8), order)):
            interface = block(1, struct.pack(order + 'HHI', 1, 0, 0) + digits + bytes(4 * bool(digits)), order)
            for options in (b'', option(2, bytes(4), order), option(3, b'\5\1\2\3\4', order) + bytes(4),
                            option(6, struct.pack(order + 'I', 3), order) + option(3, b'\5', order)):
                packet = block(6, struct.pack(order + 'IIIII', 0, 1, 2, 6, 60) + b'frame!\0\0' + options, order)
                yield b'\0' + section + interface + packet
        other = block(3, struct.pack(order + 'I', 4) + b'abcd', order) + block(5, bytes(12), order)
        yield b'\0' + section + interface + other + section + interface + packet + packet[:-3]
        yield b'\0' + section + packet
        yield b'\0' + section[:-4] + bytes(4)


# ---- files ----

TARGETS = {
    'fuzz_control': control_inputs,
    'fuzz_dissect': dissect_inputs,
    'fuzz_files': files_inputs,
    'fuzz_merge': merge_inputs,
    'fuzz_mmio': mmio_inputs,
    'fuzz_packed': packed_inputs,
    'fuzz_pci': pci_inputs,
    'fuzz_properties': properties_inputs,
    'fuzz_qmp': qmp_inputs,
    'fuzz_reads': reads_inputs,
    'fuzz_ring': ring_inputs,
    'fuzz_segment': segment_inputs,
    'fuzz_standby': standby_inputs,
    'fuzz_state': state_inputs,
    'fuzz_vfio_user': vfio_inputs,
    'fuzz_vhost_user': vhost_inputs,
    'fuzz_whole': whole_inputs,
}

RECORDED = {'fuzz_vfio_user': recorded_inputs, 'fuzz_vhost_user': vhost_recorded}


def check():
    problems = []
    for target, inputs in TARGETS.items():
        folder = CORPUS / target
        files = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}
        problems += [f'{target}/{name}: the hash of its octets is {name_of(octets)}'
                     for name, octets in files.items() if name != name_of(octets)]
        problems += [f'{target}/{name_of(octets)} is missing'
                     for octets in inputs() if name_of(octets) not in files]
    print('\n'.join(problems) or 'as it should be')
    return 1 if problems else 0


def write(target, octets):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name_of(octets)).write_bytes(octets)


def main():
    if sys.argv[1:] == ['--check']:
        return check()
    if sys.argv[1:2] == ['--add'] and len(sys.argv) > 3 and sys.argv[2] in TARGETS:
        for path in sys.argv[3:]:
            write(sys.argv[2], pathlib.Path(path).read_bytes())
        return 0
    if sys.argv[1:2] == ['--recorded'] and len(sys.argv) > 3 and sys.argv[2] in RECORDED:
        for path in sys.argv[3:]:
            for octets in RECORDED[sys.argv[2]](pathlib.Path(path).read_bytes()):
                write(sys.argv[2], octets)
        return 0
    if sys.argv[1:]:
        sys.exit(__doc__)
    for target, inputs in TARGETS.items():
        for octets in inputs():
            write(target, octets)
    return 0


if __name__ == '__main__':
    sys.exit(main())
