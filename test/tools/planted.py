#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plants bugs, one at a time, in a copy of this tree, and sees what finds them: fuzz targets, on their corpora and
on from there, and proofs. Reports in TAP, a line a bug, with a table of what found it and after how many seconds.
Targets find nothing in their corpora while nothing is planted: that is looked at first.

  planted.py [--seconds N] [--only WORD] WORK_DIR [CBMC_DIR BUILD_DIR]

WORK_DIR gets the copy and its build for libFuzzer (clang); they stay for another time. CBMC_DIR is what
test/proofs/prepare.sh made, BUILD_DIR a build of vionet; without them proofs are not run. --only takes bugs whose class
or words have WORD. A bug that nothing finds within N seconds (600) a target is a failure. Targets are tried in order,
until one finds it; seconds are of its run alone.
"""

import argparse
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'test' / 'proofs'))
import claims  # noqa: E402
import proofs  # noqa: E402

SPLIT, PACKED, WALK, RING = claims.SPLIT, claims.PACKED, claims.WALK, claims.RING
CONTROL, DISSECT = claims.CONTROL, claims.DISSECT
RECEIVE, TRANSMIT = 'lib/net/receive.c', 'lib/net/transmit.c'


@dataclasses.dataclass
class Bug:
    kind: str
    words: str
    file: str
    old: str
    new: str
    targets: tuple    # by which it is looked for, best first
    claim: str = ''   # and the claim that it breaks


BOUND, TWICE, UNPOP = 'a skipped bound', 'a double read', 'a missed unpop'
WRAP, OPTIONS, LOST = 'a wrong wrap bit', 'an off-by-one in options length', 'a lost completion'

BUGS = (
    Bug(BOUND, 'split: a head is not held against the size', SPLIT, 'if (G_UNLIKELY(head >= ring->setup.size)) {',
        'if (0) {', ('ring', 'reads'), 'split-pop'),
    Bug(BOUND, 'split: idx may jump', SPLIT,
        'if ((uint16_t)(idx - ring->next_avail) > ring->setup.size - ring->in_flight - ring->staged) {', 'if (0) {',
        ('ring', 'reads'), 'split-pop'),
    Bug(BOUND, 'packed: a list goes on over places that are out', PACKED, 'if (G_UNLIKELY(ref->n_desc == room)) {',
        'if (0) {', ('ring', 'packed'), 'packed-pop'),
    Bug(BOUND, 'elements of a chain are not counted', WALK, 'if (G_UNLIKELY(++walk->n > ring->chain_limit)) {', 'if (0) {',
        ('reads', 'ring'), 'indirect-split'),
    # What it reads too much is of a buffer that is long enough, and refused by the next check.
    Bug(BOUND, 'control: the RSS table is not held against the payload', CONTROL,
        'if (len < 8 + 2u * entries + 3) {', 'if (0) {', (), 'control-rss'),
    Bug(BOUND, 'control: any VLAN is one', CONTROL, 'if (id >= N_VLANS) {', 'if (0) {', ('control',), 'control-vlan'),
    Bug(TWICE, 'split: a head is checked, and read again', SPLIT, 'if (G_UNLIKELY(ring->taken[head])) {',
        'head = WORD16(guest_load16(ring_at(ring, VIONET_AREA_DRIVER, AVAIL_RING + 2u * slot, 2)));\n'
        '    if (G_UNLIKELY(ring->taken[head])) {', ('reads', 'whole'), 'split-pop'),
    Bug(TWICE, 'split: the length of a plain buffer is checked, and read again', SPLIT,
        'buffer->len = desc.common.len;', 'buffer->len = WORD32(guest_load32(table + 16u * head + 8));',
        ('reads', 'whole'), 'split-plain'),
    Bug(TWICE, 'packed: flags are checked, and read again with the rest', PACKED,
        'desc_of(load_addr(ring, place.slot), rest);',
        'desc_of(load_addr(ring, place.slot), load_rest(ring, place.slot));', ('reads', 'whole'), 'packed-pop'),
    Bug(TWICE, 'an entry of a table is read again', WALK, 'words[1] = guest_load64(p + 8);',
        'words[1] = guest_load64(p + 8);\n        words[1] = guest_load64(p + 8);', ('reads', 'whole')),
    Bug(UNPOP, 'split: a buffer that is put back stays the next one', SPLIT,
        'release(ring, ref->id);\n    ring->next_avail--;', 'release(ring, ref->id);', ('ring', 'whole'), 'split-pop'),
    Bug(UNPOP, 'packed: its descriptors are still out', PACKED,
        'ring->in_flight = (uint16_t)(ring->in_flight - ref->n_desc);', '', ('packed', 'ring'), 'packed-pop'),
    Bug(UNPOP, 'receive: a buffer that is too small is kept', RECEIVE,
        'ring_unpop(&queue->ring, &chain->ref);\n    return VIONET_DROP_BUFFER_TOO_SMALL;',
        'return VIONET_DROP_BUFFER_TOO_SMALL;', ('ring', 'whole')),
    Bug(UNPOP, 'receive: those that are not enough for a frame are kept', RECEIVE,
        'ring_unpop(&queue->ring, &queue->several[--n].ref);', 'n--;', ('ring', 'whole')),
    Bug(UNPOP, 'transmit: those of a burst that are no frames are kept', TRANSMIT,
        '    ring_unpop_plain(&queue->ring, buffers + taken, there - taken);\n', '', ('ring', 'whole')),
    Bug(WRAP, 'packed: it does not flip', PACKED, '(slot - ring->setup.size), !place.wrap}',
        '(slot - ring->setup.size), place.wrap}', ('packed', 'ring'), 'packed-pop'),
    Bug(WRAP, 'packed: it does not flip back', PACKED, 'ring->setup.size - n), !place.wrap}',
        'ring->setup.size - n), place.wrap}', ('packed', 'ring'), 'packed-pop'),
    Bug(WRAP, 'packed: used descriptors have the available one', PACKED,
        'const uint64_t rest = used_rest(id, written, place.wrap);',
        'const uint64_t rest = used_rest(id, written, ring->avail_wrap);', ('packed', 'ring')),
    Bug(WRAP, 'packed: that of an event is not looked at', PACKED,
        'if (!!(event & RING_EVENT_WRAP) != ring->used_wrap) {', 'if (0) {', ('packed', 'ring'), 'packed-event'),
    Bug(OPTIONS, 'IPv6: an option may end one octet behind its header', DISSECT, 'left(p, end) < 2u + p[1]',
        'left(p, end) < 1u + p[1]', ('dissect',)),
    Bug(OPTIONS, 'IPv6: an option is one octet shorter than it says', DISSECT, 'p += 2 + p[1];', 'p += 1 + p[1];',
        ('dissect',)),
    Bug(OPTIONS, 'IPv4: the longest options end four octets early', DISSECT, 'header = 4u * (p[0] & 0x0f);',
        'header = 4u * (p[0] & 0x0f) - (p[0] % 16 == 15 ? 4 : 0);', ('dissect',)),
    Bug(OPTIONS, 'segmentation: an option of IPv6 is one octet longer', 'device/segment.c', 'i += 2u + options[i + 1];',
        'i += 3u + options[i + 1];', ('segment',)),
    Bug(LOST, 'transmit: one at a time, the last is freed and not given back', TRANSMIT,
        'ring_push(&queue->ring, &ref, 0);\n            given = true;', 'given = true;', ('ring', 'whole')),
    Bug(LOST, 'transmit: of a burst, the last is freed and not given back', TRANSMIT,
        'ring_push_plain(&queue->ring, false, buffers, got);', 'ring_push_plain(&queue->ring, false, buffers, got - 1);',
        ('ring', 'whole')),
    Bug(LOST, 'a flush shows one less, if there are several', SPLIT,
        'ring->next_used = (uint16_t)(ring->next_used + n);\n    /* Release',
        'ring->next_used = (uint16_t)(ring->next_used + n - (n > 1));\n    /* Release', ('ring', 'whole'), 'split-give'),
    Bug(LOST, 'a driver that asked is not told', SPLIT, '(ring->next_used - event - 1)', '(ring->next_used - event)',
        ('ring', 'whole'), 'split-event'),
)


def run(command, log, **more):
    """The exit status; output goes to the end of log."""
    with open(log, 'ab') as output:
        return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.STDOUT, check=False, **more).returncode


def copy_tree(tree):
    """Whatever an earlier run left there is written over; what is the same keeps its time, for ninja."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(('build', '.', '__'))]
        for name in names:
            path = pathlib.Path(folder) / name
            to = tree / path.relative_to(ROOT)
            if not to.exists() or to.read_bytes() != path.read_bytes():
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, to)


class Fuzzing:
    """The copy, and its build."""

    def __init__(self, work, seconds):
        self.work, self.seconds = work, seconds
        self.tree, self.build, self.log = work / 'tree', work / 'build', work / 'log'
        work.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b'')
        copy_tree(self.tree)
        if not (self.build / 'build.ninja').exists():
            status = run(['meson', 'setup', self.build, self.tree, '-Dfuzz=enabled', '-Dtests=disabled',
                          '-Dreplay=disabled', '-Db_sanitize=address,undefined', '-Db_lundef=false'], self.log,
                         env={**os.environ, 'CC': 'clang', 'CXX': 'clang++'})
            if status:
                shutil.rmtree(self.build, ignore_errors=True)
                sys.exit(f'no build for libFuzzer: see {self.log}')

    def find(self, name, *options):
        """Seconds until the target found something, None if it did not; or a sentence. With options of libFuzzer."""
        target = self.build / 'fuzz' / f'fuzz_{name}'
        if run(['ninja', '-C', self.build, f'fuzz/fuzz_{name}'], self.log):
            return f'fuzz_{name} does not build: see {self.log}'
        artifacts = self.work / 'artifacts'
        shutil.rmtree(artifacts, ignore_errors=True)
        artifacts.mkdir()
        began = time.monotonic()
        status = run([target, '-seed=1', '-entropic_feature_frequency_threshold=4', '-timeout=25',
                      f'-max_total_time={self.seconds}', f'-artifact_prefix={artifacts}/', *options,
                      self.tree / 'fuzz' / 'corpus' / f'fuzz_{name}'], self.log)
        if status and not any(artifacts.glob('crash-*')):
            return f'fuzz_{name} ended with {status}, and not by what it found: see {self.log}'
        return time.monotonic() - began if status else None

    def planted(self, bug):
        """What find() says of the targets in their order, up to the first that found it."""
        path = self.tree / bug.file
        right = path.read_text(encoding='utf-8')
        if right.count(bug.old) != 1:
            return [('', f'{bug.file} has {right.count(bug.old)} times: {bug.old}')]
        said = []
        path.write_text(right.replace(bug.old, bug.new), encoding='utf-8')
        try:
            for name in bug.targets:
                said.append((f'fuzz_{name}', self.find(name)))
                if said[-1][1] is not None:
                    break
        finally:
            path.write_text(right, encoding='utf-8')
        return said


def prove(setting, bug):
    """Seconds until the claim failed, None if it did not."""
    claim = next(claim for claim in claims.CLAIMS if claim.name == bug.claim)
    began = time.monotonic()
    said = proofs.check(setting, claim, claim.quick or claim.large, (bug.words, bug.file, bug.old, bug.new))
    return time.monotonic() - began if said.startswith('FAILED') else None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--seconds', type=int, default=600)
    parser.add_argument('--only', default='')
    parser.add_argument('work', type=pathlib.Path)
    parser.add_argument('cbmc', nargs='?')
    parser.add_argument('build', nargs='?')
    arguments = parser.parse_args()
    fuzzing = Fuzzing(arguments.work.resolve(), arguments.seconds)
    setting = proofs.Setting(arguments.cbmc, arguments.build) if arguments.build else None
    report, rows = tap.Tap(), []
    bugs = [bug for bug in BUGS if arguments.only in bug.kind + bug.words]
    for name in sorted({name for bug in bugs for name in bug.targets}):
        report.ok(f'fuzz_{name} finds nothing where nothing is planted', fuzzing.find(name, '-runs=0') is None,
                  f'see {fuzzing.log}')
    for bug in bugs:
        said = fuzzing.planted(bug)
        if setting and bug.claim:
            said.append((f'proof {bug.claim}', prove(setting, bug)))
        if not said: # a proof alone finds it
            report.skip(f'{bug.kind}: {bug.words}', 'CBMC')
            continue
        wrong = [words for _, words in said if isinstance(words, str)]
        found = [(name, seconds) for name, seconds in said if isinstance(seconds, float)]
        report.ok(f'{bug.kind}: {bug.words}', found and not wrong, wrong or f'nothing of {said} found it')
        rows.append(f'{bug.kind:31} {bug.words:63} ' + ', '.join(
            f'{name} {seconds:.1f} s' for name, seconds in found) + ''.join(
                f' (not {name})' for name, seconds in said if seconds is None))
        report.note(rows[-1])
    report.note([f'{"class":31} {"bug":63} found by', *rows])
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
