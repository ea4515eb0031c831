# SPDX-License-Identifier: BSD-3-Clause
"""What the tests that ./check ran came to, by the names that tables of tests give them.

A table (test/conformance.tsv, test/hardening.tsv) names a subtest of one of Meson's tests TEST:SUBTEST, and a test as
a whole TEST. What is not Meson's, and reports in TAP, is NAME:SUBTEST. SUBTEST is what the test reports, with words
joined by hyphens. A name that ends in * stands for all that begin so, of which there is one at least. One with ?
in front may have been skipped: what it needs is not to be had everywhere.
"""

import os
import re
import xml.etree.ElementTree

import results

TAP_LINE = re.compile(r'(not )?ok\s+\d+(?:\s+-)?\s+([^#]*)(#\s*SKIP)?', re.IGNORECASE)


def read_rows(path, problems, columns):
    """The rows of a table as (line number, cells): separated by tabs, those missing at the end empty."""
    rows = []
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip('\n')
            if not line.strip() or line.startswith('#'):
                continue
            cells = [cell.strip() for cell in line.split('\t')]
            if len(cells) > columns:
                problems.append(f'{path}:{number}: more than {columns} columns')
            else:
                rows.append((number, cells + [''] * (columns - len(cells))))
    return rows


def subtest_name(name):
    """Meson puts the number in front: "3 /control/mac" or "3 - /control/mac"."""
    return re.sub(r'^\d+\s+(?:- )?', '', name).strip()


def slug(text):
    """What a test reports as a table names it: words joined by hyphens."""
    return re.sub(r'[^A-Za-z0-9_.=/]+', '-', text.strip()).strip('-')


class Verdicts:
    """Verdict (passed, skipped or failed) by name: of a test, or TEST:SUBTEST."""

    def __init__(self, junit, logs=(), partial=False):
        """junit: what meson test left (meson-logs/testlog.junit.xml); logs: NAME=TAP_LOG each.

        Where a log is not there, the test could not be run here: what it shows is absent. If partial, so is every
        test of which there is no trace.
        """
        self.of = {}
        self.absent = set()
        self.partial = partial
        self._read_junit(junit)
        for argument in logs:
            name, _, path = argument.partition('=')
            if os.path.exists(path):
                self._read_tap(name, path)
            else:
                self.absent.add(name)
        self.ran = {name.split(':')[0] for name in self.of}

    def _record(self, name, verdict):
        """Of several of one name the worst."""
        order = ('passed', 'skipped', 'failed')
        self.of[name] = max(self.of.get(name, 'passed'), verdict, key=order.index)

    def _read_junit(self, path):
        for suite in xml.etree.ElementTree.parse(path).getroot().iter('testsuite'):
            # A suite is a test with subtests, "project.project:suite / test", or all tests without.
            test = results.plain_name(suite.get('name')) if ' / ' in suite.get('name') else ''
            for case in suite.iter('testcase'):
                bad = case.find('failure') is not None or case.find('error') is not None
                skipped = case.find('skipped') is not None
                verdict = 'failed' if bad else 'skipped' if skipped else 'passed'
                if test:
                    self._record(f'{test}:{slug(subtest_name(case.get("name")))}', verdict)
                    self._record(test, verdict)
                else:
                    self._record(results.plain_name(case.get('name')), verdict)

    def _read_tap(self, name, path):
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                match = TAP_LINE.match(line)
                if match:
                    verdict = 'failed' if match[1] else 'skipped' if match[3] else 'passed'
                    self._record(f'{name}:{slug(match[2])}', verdict)

    def named(self, name):
        """All that a name of a table stands for."""
        name = name.lstrip('?')
        if name.endswith('*'):
            return [other for other in self.of if other.startswith(name[:-1])]
        return [name] if name in self.of else []

    def covers(self, row, names, problems):
        """Whether those of the tests that could be run all passed, one at least. What is wrong goes to problems."""
        passed = 0
        good = True
        for name in names:
            test = name.split(':')[0].strip('?*')
            if test in self.absent or (self.partial and test not in self.ran):
                continue
            found = self.named(name)
            if not found:
                problems.append(f'{row}: {name} does not exist or did not run')
                good = False
            for other in found:
                if self.of[other] == 'passed':
                    passed += 1
                elif self.of[other] != 'skipped' or not name.startswith('?'):
                    problems.append(f'{row}: {other} {self.of[other]}')
                    good = False
        return good and passed > 0
