#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the proofs (README.md): CBMC over the sources of lib/, as they stand. Reports in TAP.

  proofs.py CBMC_DIR BUILD_DIR                 the quick ones, at their small bounds
  proofs.py --long CBMC_DIR BUILD_DIR          all, at their large bounds, and what is below
  proofs.py --mutants CBMC_DIR BUILD_DIR       each claim again with a check of lib/ taken away: it has to fail;
                                               and with its marked places made errors: they have to be reached
  proofs.py --only NAME[,NAME] ...             of the above, those claims

CBMC_DIR is what prepare.sh made; BUILD_DIR is a build of vionet, for its version.h.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from claims import CLAIMS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT = 900

# Bounds, pointers, signed overflow, division and shifts are checked by default, and that what is unwound ends.
OPTIONS = ['--unwinding-assertions', '--no-malloc-may-fail', '--drop-unused-functions', '--slice-formula',
           '--verbosity', '8']


class Setting:
    """Where things are."""

    def __init__(self, cbmc, build):
        self.cbmc = pathlib.Path(cbmc).resolve() / 'cbmc'
        self.build = pathlib.Path(build).resolve()


def copy_lib(folder, claim, mutant):
    """lib/ as a claim is about it: its sizes given to flexible arrays, and what a mutant changes."""
    changes = list(claim.adapt) + ([mutant[1:]] if mutant else [])
    subprocess.run(['cp', '-r', str(ROOT / 'lib'), str(folder)], check=True)
    for name, old, new in changes:
        path = folder / name
        text = path.read_text(encoding='utf-8')
        if text.count(old) != 1:
            raise ValueError(f'{name} has {text.count(old)} times: {old}')
        path.write_text(text.replace(old, new), encoding='utf-8')


def check(setting, claim, bounds, mutant=None, reach=False):
    """What CBMC says: 'proved', or what failed first (for reach, the set of marked places reached)."""
    defines = [f'-D{name}={value}' for name, value in bounds.items() if name.isupper()]
    defines += [f'-D{name}' for name in claim.defines] + (['-DPROOF_REACH'] if reach else [])
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        copy_lib(folder, claim, mutant)
        units = []
        for source in [HERE / claim.source] + [folder / name for name in claim.lib]:
            unit = folder / (str(source).replace('/', '_') + '.i')
            subprocess.run(['gcc', '-E', '-std=gnu11', '-D_GNU_SOURCE', '-U_FORTIFY_SOURCE', *defines,
                            '-include', str(HERE / 'proof.h'), '-I', str(HERE / 'stub'), '-I', str(HERE),
                            '-I', str(folder / 'lib'), '-I', str(ROOT / 'include'),
                            '-I', str(setting.build / 'include'), str(source), '-o', str(unit)], check=True)
            units.append(str(unit))
        command = [str(setting.cbmc), *units, '--function', claim.entry, '--unwind', str(bounds['unwind']),
                   *OPTIONS, *claim.options, *([] if reach else ['--stop-on-fail'])]
        if bounds.get('unwindset'):
            command += ['--unwindset', bounds['unwindset']]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            return f'not decided in {TIMEOUT} s'
    if reach:
        return set(re.findall(r'reached: (.*): FAILURE', run.stdout)) if run.returncode in (0, 10) else run.stdout
    if run.returncode == 0 and 'VERIFICATION SUCCESSFUL' in run.stdout:
        return 'proved'
    violated = re.search(r'Violated property:\n(.*)\n(.*)\n', run.stdout)
    if run.returncode == 10 and violated:
        return 'FAILED: ' + ' '.join(violated.group(2).split()) + ' (' + violated.group(1).split(' thread')[0].strip() + ')'
    return 'CBMC: ' + ' '.join((run.stdout + run.stderr).split()[-60:])


def tasks(arguments):
    """(name, what is to be, claim, bounds, mutant, reach) of each run."""
    for claim in CLAIMS:
        if arguments.only and claim.name not in arguments.only.split(','):
            continue
        if not arguments.mutants and (claim.quick or arguments.long):
            yield claim, claim.large if arguments.long else claim.quick, None, False
        if arguments.mutants or arguments.long:
            small = claim.quick or claim.large
            if claim.marks:
                yield claim, small, None, True
            for mutant in claim.mutants:
                yield claim, small, mutant, False


def run_task(setting, task):
    claim, bounds, mutant, reach = task
    began = time.monotonic()
    said = check(setting, claim, bounds, mutant, reach)
    seconds = time.monotonic() - began
    if reach:
        good = said == set(claim.marks)
        name, said = f'{claim.name}: reaches all of it', f'reached: {said}'
    elif mutant:
        good = said.startswith('FAILED')
        name = f'{claim.name}: fails when {mutant[0]}'
    else:
        good = said == 'proved'
        name = f'{claim.plan} {claim.name}'
    return good, name, said, bounds, seconds


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--long', action='store_true')
    parser.add_argument('--mutants', action='store_true')
    parser.add_argument('--only')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('cbmc')
    parser.add_argument('build')
    arguments = parser.parse_args()
    setting = Setting(arguments.cbmc, arguments.build)
    todo = list(tasks(arguments))
    failed = proved = 0
    began = time.monotonic()
    print(f'1..{len(todo)}')
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for number, (good, name, said, bounds, seconds) in enumerate(
                pool.map(lambda task: run_task(setting, task), todo), 1):
            sizes = ' '.join(f'{key}={value}' for key, value in bounds.items() if key.isupper())
            undecided = said.startswith('not decided') # neither proved nor refuted: a bound for another machine
            good = good or undecided
            print(f'{"ok" if good else "not ok"} {number} {name}{" # SKIP " + said if undecided else ""}')
            print(f'# {seconds:.1f} s{", " + sizes if sizes else ""}; {said}', flush=True)
            failed += not good
            proved += said == 'proved'
    print(f'# {proved} proofs, {len(todo) - proved} checks of them, {failed} failed, '
          f'{time.monotonic() - began:.0f} s in all')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
