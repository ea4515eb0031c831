#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What broke other devices of our kind, and the tests that show that it does not break this one.

  hardening.py [--partial] check ROOT JUNIT_XML [NAME=TAP_LOG]...    after the tests
  hardening.py document ROOT                                         writes docs/hardening.md anew

test/hardening.tsv has a row for each entry, columns separated by tabs: id, class, what went wrong, the tests that try
it, separated by spaces, and why it cannot happen here, or what is to be said of the tests. verdicts.py says how tests
are named. A row has tests or a reason.

check fails if the table is malformed, if a test in it does not exist, did not run, was skipped or failed, and if a
test whose path has an entry's id between slashes is not in that entry's row. --partial passes over tests of which
there is no trace, for a run of some of them.
"""

import os
import pathlib
import re
import sys
from typing import NamedTuple

import verdicts

TABLE = 'test/hardening.tsv'
DOCUMENT = 'docs/hardening.md'
BEGIN = '<!-- test/tools/hardening.py writes what follows -->'
ID = re.compile(r'[A-Z]-[0-9]{2}')
IN_A_PATH = re.compile(r'(?:(?<=/)|(?<=-))[A-Z]-[0-9]{2}(?=[/-])')


class Entry(NamedTuple):
    name: str
    kind: str
    wrong: str
    tests: list
    reason: str


def read_entries(root, problems):
    path = os.path.join(root, TABLE)
    entries, seen = [], set()
    for number, (name, kind, wrong, tests, reason) in verdicts.read_rows(path, problems, 5):
        if not ID.fullmatch(name):
            problems.append(f'{TABLE}:{number}: "{name}" is no id')
        elif name in seen:
            problems.append(f'{TABLE}:{number}: a second row for {name}')
        elif not kind or not wrong:
            problems.append(f'{TABLE}:{number}: {name} has no class, or does not say what went wrong')
        elif not tests and not reason:
            problems.append(f'{TABLE}:{number}: {name} has neither tests nor a reason')
        else:
            seen.add(name)
            entries.append(Entry(name, kind, wrong, tests.split(), reason))
    if not entries:
        problems.append(f'{TABLE}: no entries')
    return entries


def summary(entries):
    tested = sum(bool(entry.tests) for entry in entries)
    return f'{len(entries)} entries: {tested} with tests, {len(entries) - tested} with reasons'


def names_path(name, path):
    """Whether a name of a row is that of a test of such a path, in whatever circumstances."""
    wanted = name.partition(':')[2]
    return path == wanted or (wanted.endswith('*') and path.startswith(wanted[:-1]))


def unlisted(entries, ran):
    """Tests that name an entry in whose row they are not."""
    rows = {entry.name: entry for entry in entries}
    found = []
    for path in sorted({name.partition(':')[2] for name in ran.of}):
        for tag in IN_A_PATH.findall(path):
            if tag not in rows:
                found.append(f'{path}: no entry is called {tag}')
            elif not any(names_path(name, path) for name in rows[tag].tests):
                found.append(f'{tag}: {path} is not in its row')
    return found


def check(root, junit, logs, partial):
    problems = []
    entries = read_entries(root, problems)
    ran = verdicts.Verdicts(junit, logs, partial)
    tried = [entry for entry in entries
             if entry.tests and ran.covers(entry.name, entry.tests, problems)]
    for entry in entries:
        if entry.tests and entry not in tried:
            print(f'{entry.name}: not tried here')
    problems += unlisted(entries, ran)
    for problem in problems:
        print(problem)
    print(f'{len(tried)} tried and passed; {summary(entries)}')
    return 1 if problems else 0


def cell(text):
    return text.replace('|', r'\|').replace('*', r'\*')


def document(entries):
    """What docs/hardening.md says below its marker."""
    lines = ['', summary(entries) + '.', '']
    for kind in dict.fromkeys(entry.kind for entry in entries):
        lines += [f'## {kind[0].upper()}{kind[1:]}', '', '| | what went wrong | our tests |', '|---|---|---|']
        for entry in entries:
            if entry.kind == kind:
                tests = ' '.join(f'`{name}`' for name in entry.tests)
                parts = [tests, cell(entry.reason) + '.' if entry.reason else '']
                lines.append(f'| {entry.name} | {cell(entry.wrong)} | {"<br>".join(filter(None, parts))} |')
        lines.append('')
    return '\n'.join(lines)


def written(root):
    """docs/hardening.md as it is, and as it is to be; problems of the table."""
    problems = []
    entries = read_entries(root, problems)
    text = pathlib.Path(root, DOCUMENT).read_text(encoding='utf-8')
    head, mark, _ = text.partition(BEGIN)
    if not mark:
        problems.append(f'{DOCUMENT} has no line "{BEGIN}"')
    return text, head + BEGIN + '\n' + document(entries), problems


def stale(root):
    """What source_checks.py reports: nothing if the document is as the table."""
    text, wanted, problems = written(root)
    if text != wanted and not problems:
        problems.append(f'{DOCUMENT} is not what {TABLE} says: test/tools/hardening.py document .')
    return problems


def main():
    arguments = sys.argv[1:]
    partial = '--partial' in arguments
    if partial:
        arguments.remove('--partial')
    if len(arguments) == 2 and arguments[0] == 'document':
        _, wanted, problems = written(arguments[1])
        for problem in problems:
            print(problem)
        pathlib.Path(arguments[1], DOCUMENT).write_text(wanted, encoding='utf-8')
        return 1 if problems else 0
    if len(arguments) < 3 or arguments[0] != 'check' or any('=' not in log for log in arguments[3:]):
        sys.exit(f'usage: {sys.argv[0]} [--partial] check ROOT JUNIT_XML [NAME=TAP_LOG]...\n'
                 f'       {sys.argv[0]} document ROOT')
    if not os.path.exists(arguments[2]):
        sys.exit(f'there is no {arguments[2]}')
    return check(arguments[1], arguments[2], arguments[3:], partial)


if __name__ == '__main__':
    sys.exit(main())
