#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turns what tests reported into lines of results for ./check: status, step, test, detail, tab separated.

  results.py meson STEP BUILD_DIR LOGBASE EXIT_STATUS    after meson test --logbase LOGBASE
  results.py tap STEP LOG EXIT_STATUS                    after a script that writes TAP

Every subtest counts one; a test program without subtests counts one. A program that was killed, timed out,
reported fewer tests than planned or none, or failed in any other way that no subtest shows, is one failure
more. Meson's JUnit file alone would not do: a crash or a time-out after a passed subtest leaves no trace
there, and a program that printed nothing is "skipped". So the counts come from testlog.json, which has the
verdict and the output of each program.
"""

import json
import pathlib
import sys

import tap


def program_points(name, output, exit_status, verdict, speaks_tap, within=True):
    """The results of one test program, as tap.Points named NAME:SUBTEST, or SUBTEST if not within."""
    if not speaks_tap:
        if verdict == 'SKIP':
            return [tap.Point('failed', name, 'skipped without saying what was missing')]
        good = verdict in ('OK', 'EXPECTEDFAIL')
        detail = '' if good else f'{verdict}, exit status {exit_status}'
        return [tap.Point('passed' if good else 'failed', name, detail)]

    report = tap.parse(output)
    points = [point._replace(name=f'{name}:{point.name}' if within else point.name)
              for point in report.points]
    problem = report.problem
    if verdict == 'TIMEOUT':
        problem = 'timed out'
    elif exit_status < 0:
        problem = ', '.join(filter(None, [f'killed by signal {-exit_status}', problem]))
    elif not any(point.status == 'failed' for point in points):
        if exit_status != 0:
            problem = ', '.join(filter(None, [f'exit status {exit_status}', problem]))
        elif verdict not in ('OK', 'SKIP') and not problem:
            problem = f'Meson says {verdict}'
    if problem:
        points.append(tap.Point('failed', name, problem))
    elif report.skipped:
        points.append(tap.Point('skipped', name, report.skipped))
    return points


def plain_name(name):
    """Meson logs "project:suite / name"."""
    return name.rsplit(' / ', 1)[-1]


def meson_points(build, logbase, exit_status):
    with open(build / 'meson-info' / 'intro-tests.json', encoding='utf-8') as file:
        speaks_tap = {test['name']: test['protocol'] == 'tap' for test in json.load(file)}
    points = []
    # Meson puts the name of a wrapper behind the name of the log.
    for log in (build / 'meson-logs').glob(f'{logbase}*.json'):
        for line in log.read_text(encoding='utf-8').splitlines():
            test = json.loads(line)
            name = plain_name(test['name'])
            points += program_points(name, test['stdout'] or '', test['returncode'], test['result'],
                                     speaks_tap.get(name, False))
    if not points:
        points.append(tap.Point('failed', 'meson test', 'nothing ran'))
    elif exit_status != 0 and not any(point.status == 'failed' for point in points):
        points.append(tap.Point('failed', 'meson test', f'exit status {exit_status}'))
    return points


def main():
    kind, step, *arguments = sys.argv[1:]
    if kind == 'meson':
        build, logbase, exit_status = arguments
        points = meson_points(pathlib.Path(build), logbase, int(exit_status))
    else:
        log, exit_status = arguments
        output = pathlib.Path(log).read_text(encoding='utf-8', errors='replace')
        verdict = 'OK' if exit_status == '0' else 'ERROR'
        points = program_points(step, output, int(exit_status), verdict, True, within=False)
    for point in points:
        fields = (point.status, step, point.name, point.detail)
        print('\t'.join(' '.join(field.split()) for field in fields))


if __name__ == '__main__':
    main()
