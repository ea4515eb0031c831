#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The rules of the house that can be seen in the text of the sources. Reports in TAP.

  source_checks.py [ROOT]

Looks at the files that Git tracks and at new ones that it does not ignore.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import hardening
import tap

# ---- What is allowed: the exceptions to the rules below ----

# (file, what may stand there): where lib/ may name a ring format outside lib/ring/. '' is every file.
RING_FORMAT_NAMED = [
    ('', r'VIRTIO_F_RING_PACKED'),  # the specification's name of the feature bit
    ('lib/net/feature.c', r'RING_PACKED, "packed", false, "the packed format of queues"'),
    ('lib/net/queue.c', r'\.packed = '),  # where the bit becomes the ring's choice
]
# The same for dialects outside lib/hash/dialect.c.
DIALECT_NAMED = []
# The same for paths that are no machine's own.
ABSOLUTE_PATHS = []

# ---- The rules' own data ----

RING_FORMATS = re.compile(r'(?<![a-z])(?:split|packed)(?![a-z])', re.IGNORECASE)
RING_FORMATS_IN_CAMEL_CASE = re.compile(r'(?<=[a-z])(?:Split|Packed)(?![a-z])')
DIALECTS = re.compile(r'(?<![a-z0-9])(?:draft[_-]?v7|draft[_-]?v10|v7|v10|ratified)(?![a-z0-9])',
                      re.IGNORECASE)
MACHINE_PATHS = re.compile(r'(?<![\w.])/(?:work|root|home|Users)/')
UNFINISHED = re.compile(r'\b(?:[T]ODO|[F]IXME|[X]XX)\b')
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
SPDX = 'SPDX-License-Identifier: '
LICENSE = 'BSD-3-Clause'
# C that includes QEMU's headers, which are under that license, has theirs; nothing else includes any.
LICENSE_WITH_QEMU = 'GPL-2.0-or-later'
WITH_QEMU = 'device/qemu'

# What a folder must not include. The core points down only: hash and ring know nothing of each other, nor of
# what is above them, and nothing in the core knows who uses it.
FORBIDDEN_INCLUDES = {
    'lib': ['device', 'test', 'fuzz', 'examples'],
    'lib/hash': ['lib/ring', 'lib/net', 'lib/transport'],
    'lib/ring': ['lib/hash', 'lib/net', 'lib/transport'],
    'lib/net': ['lib/transport'],
    'include': ['lib', 'device', 'test', 'fuzz', 'examples'],
    'device': ['lib', 'test', 'fuzz', 'examples'],
    'examples': ['lib', 'device', 'test/unit', 'test/machine', 'fuzz'],  # test/driver is a guest for them
}

SOURCE_SUFFIXES = {'.c', '.h', '.cc', '.cpp', '.hpp', '.py', '.sh', '.map', '.build', '.options', '.S'}
SOURCE_NAMES = {'meson_options.txt'}
FORMATTED_FOLDERS = ('lib', 'include', 'device', 'test', 'fuzz', 'examples')
CLANG_FORMAT_VERSION = '14'  # another formats differently


class Tree:
    """The files of the source tree, by their path from its root, and the text of those that are text."""

    def __init__(self, root):
        self.root = root
        self.texts = {}
        self.paths = sorted(path for path in self._list() if (root / path).is_file())
        for path in self.paths:
            octets = (root / path).read_bytes()
            if b'\0' not in octets:
                self.texts[path] = octets.decode('utf-8', 'replace')

    def _list(self):
        # The tree may belong to another user than the one who checks it.
        command = ['git', '-c', 'safe.directory=*', '-C', str(self.root), 'ls-files', '-z', '--cached',
                   '--others', '--exclude-standard']
        if (self.root / '.git').exists():
            listed = subprocess.run(command, capture_output=True, text=True, check=True)
            return set(filter(None, listed.stdout.split('\0')))
        # An unpacked release, without Git.
        found = set()
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders
                          if name != '__pycache__' and not name.startswith('build')]
            found.update(os.path.relpath(os.path.join(folder, name), self.root) for name in files)
        return found

    def under(self, folder):
        return [path for path in self.texts if path.startswith(folder + '/')]


def matches(tree, paths, patterns, allowed=()):
    """FILE:LINE: TEXT of each line in which one of the patterns stands, apart from what is allowed."""
    found = []
    for path in paths:
        exceptions = [pattern for name, pattern in allowed if name in ('', path)]
        for number, line in enumerate(tree.texts[path].splitlines(), 1):
            rest = line
            for exception in exceptions:
                rest = re.sub(exception, '', rest)
            if any(pattern.search(rest) for pattern in patterns):
                found.append(f'{path}:{number}: {line.strip()[:120]}')
    return found


def ring_formats(tree):
    paths = [path for path in tree.under('lib')
             if not path.startswith('lib/ring/') and os.path.basename(path) != 'meson.build']
    return matches(tree, paths, [RING_FORMATS, RING_FORMATS_IN_CAMEL_CASE], RING_FORMAT_NAMED)


def dialects(tree):
    paths = [path for path in tree.under('lib') if path != 'lib/hash/dialect.c']
    return matches(tree, paths, [DIALECTS], DIALECT_NAMED)


def included_file(tree, path, quote, name):
    """Which file of ours an include directive means; '' if none."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    places = [beside] if quote == '"' else []
    places += [os.path.normpath(os.path.join(folder, name))
               for folder in ('include', '', 'lib', 'device', 'test', 'fuzz')]
    return next((place for place in places if place in tree.texts), '')


def includes(tree):
    """FOLDER, then what is wrong with the includes of the files in it."""
    for folder, forbidden in FORBIDDEN_INCLUDES.items():
        wrong = []
        for path in tree.under(folder):
            for number, line in enumerate(tree.texts[path].splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                quote, name = match.groups()
                target = included_file(tree, path, quote, name) or name
                if any(target.startswith(other + '/') for other in forbidden):
                    wrong.append(f'{path}:{number}: {line.strip()}')
                elif target.startswith('include/') and quote == '"':
                    wrong.append(f'{path}:{number}: {line.strip()}: public headers stand in <>')
        yield folder, forbidden, wrong


def is_source(tree, path):
    return os.path.splitext(path)[1] in SOURCE_SUFFIXES or os.path.basename(path) in SOURCE_NAMES or \
        os.path.basename(path) == 'meson.build' or tree.texts[path].startswith('#!')


def license_of(path):
    with_qemu = path.startswith(WITH_QEMU + '/') and path.endswith(('.c', '.h'))
    return LICENSE_WITH_QEMU if with_qemu else LICENSE


def without_license(tree):
    return [f'{path}: {license_of(path)}' for path in tree.texts
            if is_source(tree, path) and
            not re.search(re.escape(SPDX + license_of(path)) + r'(?![\w.-])',
                          '\n'.join(tree.texts[path].splitlines()[:5]))]


def qemu_included(tree):
    return matches(tree, [path for path in tree.texts if path.endswith(('.c', '.h')) and
                          not path.startswith(WITH_QEMU + '/')],
                   [re.compile(r'#\s*include\s*[<"](?:qemu|qom|qapi|hw|sysemu|exec|migration|net)/')],
                   [(path, r'"(?:net|hash)/[\w.]+"|<net/[\w.]+>') for path in tree.texts])


def formatting(tree, report):
    name = 'formatted as .clang-format says'
    program = shutil.which(f'clang-format-{CLANG_FORMAT_VERSION}') or shutil.which('clang-format')
    version = subprocess.run([program, '--version'], capture_output=True, text=True,
                             check=False).stdout if program else ''
    if f'version {CLANG_FORMAT_VERSION}.' not in version:
        report.skip(name, f'clang-format {CLANG_FORMAT_VERSION} is not installed')
        return
    paths = [path for folder in FORMATTED_FOLDERS for path in tree.under(folder)
             if path.endswith(('.c', '.h'))]
    if not paths:
        report.ok(name, False, 'no C files')
        return
    done = subprocess.run([program, '--dry-run', '-Werror', *paths], cwd=tree.root, capture_output=True,
                          text=True, check=False)
    wrong = sorted({line.split(':')[0] for line in done.stderr.splitlines() if ': error: ' in line})
    report.ok(name, done.returncode == 0, [*wrong, f'{program} -i FILE mends it'])


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.').resolve()
    tree = Tree(root)
    report = tap.Tap()

    def none(name, found):
        report.ok(name, not found, found)

    report.ok('the library is here', bool(tree.under('lib')) and bool(tree.under('include')), str(root))
    none('ring formats are named in lib/ring only', ring_formats(tree))
    none('dialects are named in lib/hash/dialect.c only', dialects(tree))
    for folder, forbidden, wrong in includes(tree):
        none(f'{folder} includes nothing of {" ".join(forbidden)}', wrong)
    none('every source file names its license', without_license(tree))
    none(f'nothing of QEMU is included outside {WITH_QEMU}', qemu_included(tree))
    none('no path of one machine', matches(tree, tree.texts, [MACHINE_PATHS], ABSOLUTE_PATHS))
    none('nothing is marked as unfinished', matches(tree, tree.texts, [UNFINISHED]))
    none(f'{hardening.DOCUMENT} is what {hardening.TABLE} says', hardening.stale(root))
    formatting(tree, report)
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
