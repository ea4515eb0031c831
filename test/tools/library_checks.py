#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the library as others get it: its headers, its symbols, what it installs. Reports in TAP.

  library_checks.py BUILD_DIR SOURCE_ROOT

BUILD_DIR has been built with -Ddefault_library=both.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import tap

# What use_vionet.c prints: the first bit of its input is set, so the hash is the key's first 32 bits.
USE_PRINTS = '0x6d5a0000\n'
WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Werror']
HEADER_COMPILERS = {
    'C11': ['gcc', '-std=c11', '-Wstrict-prototypes', '-x', 'c'],
    'C11 by clang': ['clang', '-std=c11', '-Wstrict-prototypes', '-x', 'c'],
    'C++17': ['g++', '-std=c++17', '-x', 'c++'],
}
SUBPROJECT = """project('stranger', 'c')
vionet = dependency('vionet', fallback: ['vionet', 'vionet_dep'])
executable('use_vionet', 'use_vionet.c', dependencies: vionet)
"""


class Failure(Exception):
    """A command failed; its output is the text."""


def run(*command, **environment):
    """The output of a command that has to succeed."""
    command = [str(word) for word in command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        raise Failure('\n'.join([shlex.join(command), f'exit status {done.returncode}',
                                 *done.stdout.splitlines()[-25:]]))
    return done.stdout


class Library:
    """The library as built, and the same installed into a scratch folder."""

    def __init__(self, build, root, scratch):
        self.build = build
        self.root = root
        self.scratch = scratch
        # Some headers are made by the build.
        self.includes = [root / 'include', build / 'include']
        self.headers = sorted(path.relative_to(folder) for folder in self.includes
                              for path in folder.glob('vionet/*.h'))
        self.shared = build / 'lib' / 'libvionet.so'
        self.stage = scratch / 'stage'
        self.prefix = None  # of the installed library, below stage
        self.libdir = None
        self.pc_folder = scratch / 'pkgconfig'

    # ---- Headers ----

    def include_flags(self):
        return [*(f'-I{folder}' for folder in self.includes),
                *shlex.split(run('pkg-config', '--cflags', 'glib-2.0'))]

    def compile_header(self, compiler, header):
        source = self.scratch / 'header.c'
        # A header of macros alone would leave nothing to compile.
        source.write_text(f'#include <{header}>\ntypedef int Anything;\n', encoding='utf-8')
        run(*compiler, *WARNINGS, '-fsyntax-only', *self.include_flags(), source)

    def declared_functions(self):
        """The functions that the public headers declare: the compiler lists them with their places."""
        source, listing = self.scratch / 'all.c', self.scratch / 'all.txt'
        source.write_text(''.join(f'#include <{header}>\n' for header in self.headers), encoding='utf-8')
        run('gcc', '-std=c11', '-fsyntax-only', '-aux-info', listing, *self.include_flags(), source)
        folders = '|'.join(re.escape(str(folder)) for folder in self.includes)
        ours = re.compile(rf'/\* (?:{folders})/\S+:\d+:\w+ \*/ extern [^(]*?(\w+) \(')
        return {match[1] for match in map(ours.match, listing.read_text(encoding='utf-8').splitlines())
                if match}

    # ---- Symbols ----

    def exported(self):
        """The names that the shared library exports; version nodes are absolute symbols."""
        lines = run('nm', '-D', '--defined-only', self.shared).splitlines()
        fields = [line.split() for line in lines]
        return {words[-1].split('@')[0] for words in fields if words[-2] != 'A'}

    def mapped(self):
        """The names and patterns that the version map makes global."""
        text = (self.root / 'lib' / 'vionet.map').read_text(encoding='utf-8')
        text = re.sub(r'/\*.*?\*/|#[^\n]*', '', text, flags=re.DOTALL)
        names = set()
        for block in re.findall(r'global\s*:(.*?)(?:local\s*:|\})', text, flags=re.DOTALL):
            names.update(name.strip() for name in block.split(';') if name.strip())
        return names

    def link_all(self, kind):
        """A program that needs every declared function."""
        functions = sorted(self.declared_functions())
        source, program = self.scratch / f'all-{kind}.c', self.scratch / f'all-{kind}'
        text = ''.join(f'#include <{header}>\n' for header in self.headers)
        text += 'typedef void (*Function)(void);\nstatic const Function functions[] = {\n'
        text += ''.join(f'    (Function){name},\n' for name in functions)
        text += '};\nint main(void)\n{\n    for (unsigned i = 0; i < sizeof(functions) / sizeof(*functions);' \
                ' i++)\n        if (!((volatile const Function *)functions)[i])\n            return 1;\n' \
                '    return 0;\n}\n'
        source.write_text(text, encoding='utf-8')
        self.compile(kind, source, program)

    # ---- Installed ----

    def install(self):
        run('meson', 'install', '-C', self.build, '--no-rebuild', DESTDIR=str(self.stage))
        found = list(self.stage.rglob('vionet.pc'))
        if len(found) != 1:
            raise Failure(f'{len(found)} files named vionet.pc were installed')
        text = found[0].read_text(encoding='utf-8')
        prefix = re.search(r'^prefix=(.*)$', text, flags=re.MULTILINE)[1]
        self.prefix = self.stage / prefix.lstrip('/')
        self.libdir = found[0].parent.parent
        # As if it had been installed where it is: only ours lies there, what it requires is the system's.
        self.pc_folder.mkdir(exist_ok=True)
        moved = re.sub(r'^prefix=.*$', f'prefix={self.prefix}', text, flags=re.MULTILINE)
        (self.pc_folder / 'vionet.pc').write_text(moved, encoding='utf-8')

    def installed_headers(self):
        there = {str(path.relative_to(self.prefix / 'include'))
                 for path in (self.prefix / 'include').rglob('*.h')}
        ours = {str(header) for header in self.headers}
        return [f'not installed: {name}' for name in sorted(ours - there)] + \
            [f'installed and not public: {name}' for name in sorted(there - ours)]

    def build_paths(self):
        text = next(self.stage.rglob('vionet.pc')).read_text(encoding='utf-8')
        return [line for line in text.splitlines() if str(self.root) in line]

    def compile(self, kind, source, program):
        """Compiles a program against the installed library as pkg-config says, and runs it: its output."""
        environment = {'PKG_CONFIG_PATH': str(self.pc_folder)}
        static = ['--static'] if kind == 'static' else []
        flags = shlex.split(run('pkg-config', *static, '--cflags', '--libs', 'vionet', **environment))
        if kind == 'static':
            flags = [str(self.libdir / 'libvionet.a') if flag == '-lvionet' else flag for flag in flags]
        run('gcc', '-std=c11', '-Wall', '-Wextra', '-Werror', source, '-o', program, *flags)
        dynamic = run('readelf', '-d', program)
        if ('[libvionet.so' in dynamic) != (kind == 'shared'):
            raise Failure(f'{program.name} needs or does not need libvionet.so:\n{dynamic}')
        return run(program, LD_LIBRARY_PATH=str(self.libdir))

    def use(self, kind):
        source = self.root / 'test' / 'tools' / 'use_vionet.c'
        printed = self.compile(kind, source, self.scratch / f'use-{kind}')
        return [] if printed == USE_PRINTS else [f'printed {printed!r}']

    def soname(self):
        match = re.search(r'SONAME.*\[(.*)\]', run('readelf', '-d', self.libdir / 'libvionet.so'))
        name = match[1] if match else 'none'
        return [] if re.fullmatch(r'libvionet\.so\.\d+', name) else [f'the soname is {name}']

    # ---- Subproject ----

    def subproject(self):
        project, build = self.scratch / 'stranger', self.scratch / 'stranger-build'
        (project / 'subprojects').mkdir(parents=True)
        (project / 'subprojects' / 'vionet').symlink_to(self.root, target_is_directory=True)
        (project / 'meson.build').write_text(SUBPROJECT, encoding='utf-8')
        program = (self.root / 'test' / 'tools' / 'use_vionet.c').read_text(encoding='utf-8')
        (project / 'use_vionet.c').write_text(program, encoding='utf-8')
        run('meson', 'setup', build, project, '--wrap-mode=nodownload', '--force-fallback-for=vionet')
        run('ninja', '-C', build, 'use_vionet')
        printed = run(build / 'use_vionet')
        if printed != USE_PRINTS:
            return [f'printed {printed!r}']
        installed = json.loads(run('meson', 'introspect', '--installed', build))
        return [f'installs {path}' for path in installed.values()]


def main():
    if len(sys.argv) != 3:
        sys.exit(f'usage: {sys.argv[0]} BUILD_DIR SOURCE_ROOT')
    report = tap.Tap()

    def check(name, function, *arguments):
        try:
            wrong = function(*arguments) or []
        except (Failure, OSError, subprocess.TimeoutExpired) as failure:
            wrong = str(failure)
        return report.ok(name, not wrong, wrong)

    with tempfile.TemporaryDirectory(prefix='vionet-library-') as folder:
        library = Library(*(pathlib.Path(path).resolve() for path in (*sys.argv[1:], folder)))
        check('there are public headers', lambda: [] if library.headers else ['none in include/vionet'])
        for header in library.headers:
            for language, compiler in HEADER_COMPILERS.items():
                check(f'{header} compiles alone in {language}', library.compile_header, compiler, header)

        declared, exported = set(), set()
        check('functions are declared', lambda: declared.update(library.declared_functions()) or
              ([] if declared else ['none']))
        check('functions are exported', lambda: exported.update(library.exported()) or
              ([] if exported else ['none']))
        check('every declared function is exported', lambda: sorted(declared - exported))
        check('nothing else is exported', lambda: sorted(exported - declared))
        check('lib/vionet.map names what is exported, one by one',
              lambda: sorted(library.mapped() ^ exported))

        if check('installs into DESTDIR', library.install):
            check('installs the public headers and no other', library.installed_headers)
            check('vionet.pc has no path of the build', library.build_paths)
            check('has a soname with a version', library.soname)
            for kind in ('shared', 'static'):
                check(f'a program by pkg-config, {kind}', library.use, kind)
                check(f'every declared function links, {kind}', library.link_all, kind)
        check('as a subproject of Meson: builds, runs, installs nothing', library.subproject)
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
