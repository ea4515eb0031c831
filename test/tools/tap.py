# SPDX-License-Identifier: BSD-3-Clause
"""TAP, the text format in which tests report: writing it, for the check scripts, and reading it back."""

import re
from typing import NamedTuple


class Tap:
    """Writes a test point for each ok() and skip(), and the plan at the end."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def _line(self, verdict, name, directive=''):
        self.count += 1
        # A hash sign would begin a directive.
        name = ' '.join(name.replace('#', '').split())
        print(f'{verdict} {self.count} - {name}{directive}', flush=True)

    def ok(self, name, good, detail=''):
        """One check: passed if good; detail (text or lines) is shown if not."""
        self._line('ok' if good else 'not ok', name)
        if not good:
            self.failed += 1
            self.note(detail)
        return good

    def skip(self, name, missing):
        """A check that cannot be made because something is missing: names it."""
        self._line('ok', name, f' # SKIP {missing}')

    @staticmethod
    def note(text):
        lines = text.splitlines() if isinstance(text, str) else list(text)
        for line in lines:
            print(f'#   {line}')

    def done(self):
        """Ends the report; the exit status to end with."""
        print(f'1..{self.count}', flush=True)
        return 1 if self.failed or not self.count else 0


class Point(NamedTuple):
    status: str  # passed, failed, skipped
    name: str
    detail: str


class Report(NamedTuple):
    points: list
    problem: str  # why the report as a whole cannot be trusted; '' if it can
    skipped: str  # the reason, if the plan says that everything was skipped


_POINT = re.compile(r'(not )?ok\b\s*(\d+)?\s*(?:- )?(.*?)\s*(?:#\s*(skip|todo)\b\S*\s*(.*))?$',
                    re.IGNORECASE)
_PLAN = re.compile(r'1\.\.(\d+)\s*(?:#\s*skip\S*\s*(.*))?$', re.IGNORECASE)
# What GLib says of tests that the one who starts the program does not ask for: they are none of the run.
_NOT_ASKED_FOR = 'by request (-s option)'
_BAIL_OUT = re.compile(r'Bail out!\s*(.*)$')


def _point(match):
    bad, _, name, directive, rest = match.groups()
    directive = (directive or '').upper()
    if directive == 'SKIP' and not bad:
        if rest:
            return Point('skipped', name, rest)
        return Point('failed', name, 'skipped without saying what was missing')
    if directive in ('', 'SKIP'):
        return Point('failed' if bad else 'passed', name, '')
    # The other directive says "not finished yet": nothing that a suite may pass with.
    return Point('failed', name, f'marked {directive}: {rest}')


def parse(text):
    """Reads the TAP in text; lines that are not TAP are passed over."""
    points, plan, problem, skipped, passed_over = [], None, '', '', 0
    for line in text.splitlines():
        if match := _POINT.match(line):
            point = _point(match)
            if point.detail == _NOT_ASKED_FOR and point.status == 'skipped':
                passed_over += 1
            else:
                points.append(point)
        elif match := _PLAN.match(line):
            plan = int(match[1])
            skipped = match[2] if plan == 0 and match[2] else ''
        elif match := _BAIL_OUT.match(line):
            problem = f'bailed out: {match[1]}'.rstrip(': ')
    if not problem and not skipped:
        if plan is None:
            problem = 'no plan: it ended early' if points else 'it reported no test'
        elif plan != len(points) + passed_over:
            problem = f'{len(points) + passed_over} of {plan} planned tests reported'
        elif plan == 0:
            problem = 'it reported no test'
    return Report(points, problem, skipped)
