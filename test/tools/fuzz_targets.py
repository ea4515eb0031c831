#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every libFuzzer target for a while, on its corpus and on from there. Reports in TAP, a line a target.

  fuzz_targets.py SECONDS FOLDER_OF_TARGETS FOLDER_OF_CORPORA WORK_DIR

A target is an executable fuzz_NAME; its corpus is the folder fuzz_NAME or NAME, its dictionary, if it has one,
fuzz_NAME.dict beside the folder of all corpora. The corpora are not written to: new inputs go to
WORK_DIR/fuzz_NAME/found, what broke it to WORK_DIR/fuzz_NAME/artifacts, which are kept.
A target also fails if what it reached is below its floors (fuzz/reach.h).
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

import tap

SLOWEST_INPUT = 25  # seconds
GRACE = 300         # seconds that reading the corpus and ending may take


def corpus_of(name, corpora):
    places = [corpora / name, corpora / name.removeprefix('fuzz_')]
    return next((place for place in places if place.is_dir() and any(place.iterdir())), None)


def fuzz(target, corpora, work, seconds):
    """(what is wrong, what to note)"""
    corpus = corpus_of(target.name, corpora)
    if not corpus:
        return [f'no corpus {target.name} or {target.name.removeprefix("fuzz_")} in {corpora}'], ''
    found, artifacts = work / target.name / 'found', work / target.name / 'artifacts'
    found.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(exist_ok=True)
    log = work / target.name / 'log'
    # A short run, which is for seeing that all is well, is the same every time.
    seed = 1 if seconds < 60 else 0
    # libFuzzer prefers inputs with rare features. By its own threshold thousands are rare while a run is
    # young, and the account of them takes most of the time.
    command = [str(target), '--floors', '-entropic_feature_frequency_threshold=4', f'-seed={seed}',
               f'-max_total_time={seconds}', f'-timeout={SLOWEST_INPUT}', '-rss_limit_mb=4096',
               '-print_final_stats=1', f'-artifact_prefix={artifacts}/']
    words = corpora.parent / f'{target.name}.dict'
    command += ([f'-dict={words}'] if words.exists() else []) + [str(found), str(corpus)]
    with open(log, 'wb') as output:
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=subprocess.STDOUT, timeout=seconds + GRACE,
                                    check=False).returncode
        except subprocess.TimeoutExpired:
            status = 'none: it did not end'
    text = log.read_text(encoding='utf-8', errors='replace')
    runs = re.search(r'stat::number_of_executed_units:\s*(\d+)', text)
    inputs = sum(1 for _ in corpus.iterdir())
    if status == 0 and runs and int(runs[1]) > 0:
        return [], f'{target.name}: {runs[1]} runs, {inputs} inputs in its corpus'
    kept = sorted(str(path) for path in artifacts.iterdir())
    return [f'exit status {status}', *(f'kept: {path}' for path in kept), *text.splitlines()[-40:]], ''


def main():
    if len(sys.argv) != 5:
        sys.exit(f'usage: {sys.argv[0]} SECONDS FOLDER_OF_TARGETS FOLDER_OF_CORPORA WORK_DIR')
    seconds = int(sys.argv[1])
    folder, corpora, work = (pathlib.Path(path).resolve() for path in sys.argv[2:])
    targets = sorted(path for path in folder.glob('fuzz_*') if path.is_file() and os.access(path, os.X_OK))
    report = tap.Tap()
    report.ok('there are targets', bool(targets), f'none in {folder}')
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda target: fuzz(target, corpora, work, seconds), targets)
        for target, (problems, note) in zip(targets, outcomes):
            report.ok(f'{target.name} for {seconds} s', not problems, problems)
            report.note(note)
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
