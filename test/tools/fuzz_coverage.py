#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints which part of lib/ the corpora of the fuzz targets run through: lines and branches of each file, and
of all. Every block of lines that none reaches has to be explained in fuzz/uncovered.tsv, and what is explained
has to be one; else it says which, and fails, as it does below 95 % of lines.

  fuzz_coverage.py [--run] BUILD_DIR SOURCE_DIR

BUILD_DIR is of gcc: meson setup BUILD_DIR -Db_coverage=true --optimization=0 -Dfuzz=auto. Without --run the
targets are not run, but what they left there is read.

A row of the table: file, function, code, reason. The code is the first line of a block, without the space around
it; a block goes on to the next line that is reached. "*" is all blocks of a function, and "*" for both function
and code all of a file. In front of a reason "may: " is for what other processors or kernels do reach.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

LEAST = 95.0  # per cent of lines

Block = collections.namedtuple('Block', 'file function code first last')


class Line:
    def __init__(self):
        self.count = 0
        self.function = ''
        self.branches = []

    def add(self, line):
        self.count += line['count']
        self.function = line.get('function_name', '')
        taken = [branch['count'] > 0 for branch in line['branches']]
        # A header's inline functions are compiled with each file that includes it, and not alike.
        if len(taken) > len(self.branches):
            self.branches += [False] * (len(taken) - len(self.branches))
        for number, was in enumerate(taken):
            self.branches[number] |= was


def targets(build):
    return sorted(path for path in (build / 'fuzz').glob('fuzz_*') if path.is_file() and os.access(path, os.X_OK))


def run_corpora(build, source):
    for data in build.rglob('*.gcda'):
        data.unlink()

    def run(target):
        corpus = source / 'fuzz' / 'corpus' / target.name
        return target.name, subprocess.run([target, '-runs=0', corpus], stdin=subprocess.DEVNULL, check=False,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, done in pool.map(run, targets(build)):
            if done.returncode:
                sys.exit(f'{name} ends with status {done.returncode}:\n{done.stderr.decode(errors="replace")[-2000:]}')


def read(build, source):
    """{file: {line: Line}} of lib/"""
    files = collections.defaultdict(lambda: collections.defaultdict(Line))
    notes = [path for folder in ('libfuzz-vionet.a.p', 'libfuzz-watched.a.p')
             for path in sorted((build / 'fuzz' / folder).glob('*.gcno'))]
    if not notes:
        sys.exit(f'{build} is no build with -Db_coverage=true')
    for note in notes:
        text = subprocess.run(['gcov', '--json-format', '--stdout', '--branch-probabilities', note], cwd=build,
                              capture_output=True, check=True).stdout
        for part in json.loads(text)['files']:
            path = pathlib.Path(os.path.normpath(build / part['file']))
            if not path.is_relative_to(source / 'lib'):
                continue
            for line in part['lines']:
                files[str(path.relative_to(source))][line['line_number']].add(line)
    return files


def blocks_of(name, lines, source):
    text = (source / name).read_text(encoding='utf-8').splitlines()
    block = None
    for number in sorted(lines):
        line = lines[number]
        if line.count or (block and line.function != block.function):
            if block:
                yield block
            block = None
        if not line.count:
            if not block:
                block = Block(name, line.function, text[number - 1].strip(), number, number)
            block = block._replace(last=number)
    if block:
        yield block


def explanations(path):
    rows = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        if line and not line.startswith('#'):
            row = line.split('\t')
            if len(row) != 4:
                sys.exit(f'{path}:{number}: not four columns')
            rows.append(row)
    return rows


def explains(row, block):
    file, function, code, _ = row
    return (file == block.file and function in ('*', block.function) and code in ('*', block.code) and
            (function != '*' or code == '*'))


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def print_table(files):
    all_lines = all_reached = all_branches = all_taken = 0
    print(f'{"file":34} {"lines":>12} {"":>7} {"branches":>12}')
    for name in sorted(files):
        lines = files[name].values()
        reached = sum(line.count > 0 for line in lines)
        branches = sum(len(line.branches) for line in lines)
        taken = sum(sum(line.branches) for line in lines)
        print(f'{name:34} {reached:5} / {len(lines):4} {percent(reached, len(lines)):6.1f}% '
              f'{taken:5} / {branches:4} {percent(taken, branches):6.1f}%')
        all_lines += len(lines)
        all_reached += reached
        all_branches += branches
        all_taken += taken
    print(f'{"lib/":34} {all_reached:5} / {all_lines:4} {percent(all_reached, all_lines):6.1f}% '
          f'{all_taken:5} / {all_branches:4} {percent(all_taken, all_branches):6.1f}%')
    return percent(all_reached, all_lines)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != '--run']
    if len(arguments) != 2:
        sys.exit(f'usage: {sys.argv[0]} [--run] BUILD_DIR SOURCE_DIR')
    build, source = (pathlib.Path(argument).resolve() for argument in arguments)
    if '--run' in sys.argv:
        run_corpora(build, source)
    files = read(build, source)
    reached = print_table(files)
    rows = explanations(source / 'fuzz' / 'uncovered.tsv')
    blocks = [block for name in sorted(files) for block in blocks_of(name, files[name], source)]
    wrong = []
    for block in blocks:
        if not any(explains(row, block) for row in rows):
            wrong.append(f'{block.file}:{block.first}-{block.last}: {block.function}: not reached, not explained: '
                         f'{block.code}')
    for row in rows:
        if not row[3].startswith('may: ') and not any(explains(row, block) for block in blocks):
            wrong.append(f'{row[0]}: {row[1]}: explained, but reached or gone: {row[2]}')
    if reached < LEAST:
        wrong.append(f'{reached:.1f} % of lines, which should be at least {LEAST:.0f} %')
    print(f'{len(blocks)} blocks are not reached, {len(rows)} explanations')
    print('\n'.join(wrong))
    return bool(wrong)


if __name__ == '__main__':
    sys.exit(main())
