#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which clauses of the specification have tests, and whether these ran and passed.

  conformance.py TABLE JUNIT_XML [NAME=TAP_LOG]...

TABLE has a row for each clause in scope, columns separated by tabs: id, level (MUST, SHOULD NOT, DESC, ...),
wording, and the tests that hold the device to it, separated by spaces: TEST:SUBTEST for a subtest of a
test of Meson's, TEST for a test as a whole; nothing if there is none yet. Lines that begin with # are
comments. JUNIT_XML is what meson test left (meson-logs/testlog.junit.xml). NAME=TAP_LOG adds the results
of a test that is not Meson's. If the log is not there, the test could not be run here, and what it alone would show
counts as not covered. verdicts.py says how tests are named.

Fails if the table is malformed, or a test in it does not exist, did not run, was skipped or failed. Ends
with the number of clauses covered.
"""

import collections
import os
import re
import sys
from typing import NamedTuple

import verdicts

CLAUSE_ID = re.compile(r'[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+')
LEVEL = re.compile(r'[A-Z]+(?: NOT)?')


class Clause(NamedTuple):
    name: str
    level: str
    tests: list


def read_table(path, problems):
    clauses, seen = [], set()
    for number, (name, level, wording, tests) in verdicts.read_rows(path, problems, 4):
        if not wording:
            problems.append(f'{path}:{number}: not four columns')
        elif not CLAUSE_ID.fullmatch(name):
            problems.append(f'{path}:{number}: "{name}" is no clause id')
        elif name in seen:
            problems.append(f'{path}:{number}: a second row for {name}')
        elif not LEVEL.fullmatch(level):
            problems.append(f'{path}:{number}: "{level}" is no level')
        else:
            seen.add(name)
            clauses.append(Clause(name, level, tests.split()))
    return clauses


def print_shares(title, groups):
    width = max(map(len, groups), default=0)
    print(title)
    for name in sorted(groups):
        done, total = groups[name]
        print(f'  {name:<{width}} {done:4} of {total:4}  {100 * done // total:3} %')


def main():
    if len(sys.argv) < 3 or any('=' not in argument for argument in sys.argv[3:]):
        sys.exit(f'usage: {sys.argv[0]} TABLE JUNIT_XML [NAME=TAP_LOG]...')
    for path in sys.argv[1:3]:
        if not os.path.exists(path):
            sys.exit(f'there is no {path}')
    problems = []
    clauses = read_table(sys.argv[1], problems)
    ran = verdicts.Verdicts(sys.argv[2], sys.argv[3:])
    areas, levels = collections.defaultdict(lambda: [0, 0]), collections.defaultdict(lambda: [0, 0])
    count = 0
    for clause in clauses:
        done = ran.covers(clause.name, clause.tests, problems)
        count += done
        for group in (areas[clause.name.split('-')[0]], levels[clause.level]):
            group[0] += done
            group[1] += 1
    print_shares('clauses with tests, by area:', areas)
    print_shares('by level:', levels)
    for problem in problems:
        print(problem)
    if not clauses:
        print(f'{sys.argv[1]} has no clauses')
    print(f'{count} of {len(clauses)} clauses covered')
    return 1 if problems or not clauses else 0


if __name__ == '__main__':
    sys.exit(main())
