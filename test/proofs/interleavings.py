#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Explores all interleavings of driver and device on small rings (README.md). Reports in TAP.

  interleavings.py BUILD_DIR             small rings
  interleavings.py --long BUILD_DIR      larger ones, and what is below
  interleavings.py --mutants BUILD_DIR   with a check or a barrier of lib/ taken away: a ring has to fail
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCES = ('memory.c', 'ring/ring.c', 'ring/split.c', 'ring/split_big.c', 'ring/packed.c', 'ring/walk.c',
           'ring/journal.c')
SPLIT, PACKED, RING = 'lib/ring/split.c', 'lib/ring/packed.c', 'lib/ring/ring.c'

# Format, size, buffers that the driver sends through.
SMALL = [('split', 1, 2), ('split', 2, 3), ('packed', 1, 2), ('packed', 2, 3), ('packed', 3, 4)]
LARGE = SMALL + [('split', 1, 4), ('split', 2, 5), ('packed', 1, 4), ('packed', 2, 5), ('packed', 3, 6)]

# What is done to lib/, the file, the text, what stands there instead; and the formats that find it.
FENCE = 'atomic_thread_fence(memory_order_seq_cst);'
MUTANTS = [
    ('who enables kicks does not look again', RING, 'return ring->ops->has_more(ring);', 'return false;',
     ('split', 'packed')),
    ('no barrier before looking again', SPLIT,
     "driver's of avail.idx, which we read. */\n    " + FENCE, "driver's of avail.idx, which we read. */", ('split',)),
    ('no barrier before looking again', PACKED,
     "driver's of its flags, which we read. */\n    " + FENCE, "driver's of its flags, which we read. */",
     ('packed',)),
    ('no barrier before deciding on an interrupt', SPLIT,
     "event word or flags, which we read. */\n    " + FENCE, "event word or flags, which we read. */", ('split',)),
    ('no barrier before deciding on an interrupt', PACKED,
     "event words, which we read. */\n    " + FENCE, "event words, which we read. */", ('packed',)),
    ('used.idx may be there before the elements', SPLIT,
     'guest_store16_release(ring->area[VIONET_AREA_DEVICE] + USED_IDX, WORD16(ring->next_used));',
     'guest_store16(ring->area[VIONET_AREA_DEVICE] + USED_IDX, WORD16(ring->next_used));', ('split',)),
    ('the first used descriptor may be there before what is in its buffer', PACKED,
     'guest_store64_release(table + DESC_SIZE * first + DESC_REST, ring->first_put);',
     'guest_store64(table + DESC_SIZE * first + DESC_REST, ring->first_put);', ('packed',)),
    ('the event index is one behind', SPLIT, 'store16(ring, USED_RING + 8u * size, ring->next_avail);',
     'store16(ring, USED_RING + 8u * size, (uint16_t)(ring->next_avail - 1));', ('split',)),
    ('the event has no wrap counter', PACKED, '(ring->avail_wrap ? RING_EVENT_WRAP : 0);\n    uint8_t *device',
     '0u;\n    uint8_t *device', ('packed',)),
]


def build(build_dir, folder, mutant=None):
    subprocess.run(['cp', '-r', str(ROOT / 'lib'), str(folder)], check=True)
    if mutant:
        path = folder / mutant[1]
        text = path.read_text(encoding='utf-8')
        if text.count(mutant[2]) != 1:
            raise ValueError(f'{mutant[1]} has {text.count(mutant[2])} times: {mutant[2]}')
        path.write_text(text.replace(mutant[2], mutant[3]), encoding='utf-8')
    flags = subprocess.run(['pkg-config', '--cflags', '--libs', 'glib-2.0'], capture_output=True, text=True,
                           check=True).stdout.split()
    program = folder / 'interleave'
    subprocess.run(['gcc', '-std=gnu11', '-O2', '-D_GNU_SOURCE', '-fno-strict-aliasing',
                    '-include', str(HERE / 'interleave/access.h'), '-I', str(folder / 'lib'),
                    '-I', str(ROOT / 'include'), '-I', str(build_dir / 'include'),
                    str(HERE / 'interleave/interleave.c'), *(str(folder / 'lib' / name) for name in SOURCES),
                    *flags, '-o', str(program)], check=True)
    return program


def explore(program, ring, event):
    run = subprocess.run([str(program), ring[0], str(ring[1]), str(ring[2]), event], capture_output=True,
                         text=True, timeout=900, check=False)
    return run.returncode, run.stdout.strip() or run.stderr.strip()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--long', action='store_true')
    parser.add_argument('--mutants', action='store_true')
    parser.add_argument('build')
    arguments = parser.parse_args()
    build_dir = pathlib.Path(arguments.build).resolve()
    number = failed = 0
    rings = [] if arguments.mutants else LARGE if arguments.long else SMALL

    def point(good, name, detail):
        nonlocal number, failed
        number += 1
        failed += not good
        print(f'{"ok" if good else "not ok"} {number} {name}\n# {detail}', flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        program = build(build_dir, pathlib.Path(scratch)) if rings else None
        for ring in rings:
            for event in ('event', 'flags'):
                began = time.monotonic()
                status, said = explore(program, ring, event)
                point(status == 0, f'{ring[0]} ring of {ring[1]}, {ring[2]} buffers, by {event}',
                      f'{time.monotonic() - began:.1f} s; {said}')
    for mutant in MUTANTS if arguments.long or arguments.mutants else []:
        with tempfile.TemporaryDirectory() as scratch:
            program = build(build_dir, pathlib.Path(scratch), mutant)
            for name in mutant[4]:
                found = [f'ring of {ring[1]} by {event}: {said}' for ring in SMALL if ring[0] == name
                         for event in ('event', 'flags')
                         for status, said in [explore(program, ring, event)] if status == 1]
                point(bool(found), f'{name} ring fails when {mutant[0]}', found[0] if found else 'it did not')
    print(f'1..{number}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
