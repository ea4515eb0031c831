#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which clauses of the specification have tests, and whether these ran and passed.

  conformance.py TABLE JUNIT_XML [NAME=TAP_LOG]...

TABLE has a row for each clause in scope, columns separated by tabs: id, level (MUST, SHOULD NOT, DESC, ...),
wording, and the tests that hold the device to it, separated by spaces: TEST:SUBTEST for a subtest of a
test of Meson's, TEST for a test as a whole; nothing if there is none yet. Lines that begin with # are
comments. JUNIT_XML is what meson test left (meson-logs/testlog.junit.xml). NAME=TAP_LOG adds the results
of a test that is not Meson's, whose subtests are the lines of its log, their words joined by hyphens. If the
log is not there, the test could not be run here, and what it alone would show counts as not covered.

Fails if the table is malformed, or a test in it does not exist, did not run, was skipped or failed. Ends
with the number of clauses covered.
"""

import collections
import os
import re
import sys
import xml.etree.ElementTree
from typing import NamedTuple

import results

CLAUSE_ID = re.compile(r'[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+')
LEVEL = re.compile(r'[A-Z]+(?: NOT)?')


class Clause(NamedTuple):
    name: str
    level: str
    tests: list


def read_table(path, problems):
    clauses, seen = [], set()
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip('\n')
            if not line.strip() or line.startswith('#'):
                continue
            # A row without tests may have lost its last tab.
            fields = [field.strip() for field in line.split('\t')] + ['']
            if fields[0].lower() in ('id', 'clause'):
                continue
            if len(fields) not in (4, 5) or not fields[2]:
                problems.append(f'{path}:{number}: not four columns')
            elif not CLAUSE_ID.fullmatch(fields[0]):
                problems.append(f'{path}:{number}: "{fields[0]}" is no clause id')
            elif fields[0] in seen:
                problems.append(f'{path}:{number}: a second row for {fields[0]}')
            elif not LEVEL.fullmatch(fields[1]):
                problems.append(f'{path}:{number}: "{fields[1]}" is no level')
            else:
                seen.add(fields[0])
                clauses.append(Clause(fields[0], fields[1], fields[3].split()))
    return clauses


def subtest_name(name):
    """Meson puts the number in front: "3 /control/mac" or "3 - /control/mac"."""
    return re.sub(r'^\d+\s+(?:- )?', '', name).strip()


def read_verdicts(path):
    """TEST:SUBTEST and TEST -> passed, skipped or failed."""
    verdicts = {}

    def record(name, element):
        bad = element.find('failure') is not None or element.find('error') is not None
        verdict = 'failed' if bad else 'skipped' if element.find('skipped') is not None else 'passed'
        if verdicts.get(name, 'passed') == 'passed':
            verdicts[name] = verdict

    for suite in xml.etree.ElementTree.parse(path).getroot().iter('testsuite'):
        # A suite is a test with subtests, "project.project:suite / test", or all tests without.
        test = results.plain_name(suite.get('name')) if ' / ' in suite.get('name') else ''
        for case in suite.iter('testcase'):
            if test:
                record(f'{test}:{subtest_name(case.get("name"))}', case)
                record(test, case)
            else:
                record(results.plain_name(case.get('name')), case)
    return verdicts


TAP_LINE = re.compile(r'(not )?ok\s+\d+(?:\s+-)?\s+([^#]*)(#\s*SKIP)?', re.IGNORECASE)


def read_tap(name, path):
    """NAME:SUBTEST -> passed, skipped or failed."""
    verdicts = {}
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            match = TAP_LINE.match(line)
            if match:
                verdict = 'failed' if match[1] else 'skipped' if match[3] else 'passed'
                verdicts[f'{name}:{slug(match[2])}'] = verdict
    return verdicts


def slug(text):
    """A line of TAP as the table names it: words joined by hyphens."""
    return re.sub(r'[^A-Za-z0-9_.=/]+', '-', text.strip()).strip('-')


def covered(clause, verdicts, absent, problems):
    """Whether the clause has tests that all passed."""
    tests = [test for test in clause.tests if test.split(':')[0] not in absent]
    for test in tests:
        if test not in verdicts:
            problems.append(f'{clause.name}: {test} does not exist or did not run')
        elif verdicts[test] != 'passed':
            problems.append(f'{clause.name}: {test} {verdicts[test]}')
    return bool(tests) and all(verdicts.get(test) == 'passed' for test in tests)


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
    verdicts = read_verdicts(sys.argv[2])
    absent = set()
    for argument in sys.argv[3:]:
        name, _, path = argument.partition('=')
        if os.path.exists(path):
            verdicts.update(read_tap(name, path))
        else:
            absent.add(name)
    areas, levels = collections.defaultdict(lambda: [0, 0]), collections.defaultdict(lambda: [0, 0])
    count = 0
    for clause in clauses:
        done = covered(clause, verdicts, absent, problems)
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
