#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""suite.py [--quick|--long] [--kernel K] [--only NAME,...] [--jobs N] [--inside PLUGIN --qemu DIR]
         CACHE VIONET_DEVICE VIONET_REPLAY

Stock guests on the daemon, by stock QEMU over vfio-user: Linux of Debian sid and bookworm, and firmware with a
virtio-net driver. Reports in TAP. CACHE is prepare.sh's directory; the cases are in cases.py. --quick has the
basic cases alone, --long more cycles of everything that repeats. --list prints the cases.

With --inside the cases run that need no daemon, on the device inside a QEMU that loads the plugin, and before it what
stands in front of it with a colon: DIR is where device/qemu/prepare.sh unpacked it."""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback

from guest import Guest, GuestError, qemu_version
from host import Daemon, Program, Wire, bits_of, own_network
from inside import Inside

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import tap  # noqa: E402

CASES = []


class Case:
    def __init__(self, name, function, kernels, quick, needs_tap, inside, only_long):
        self.name = name
        self.function = function
        self.kernels = kernels
        self.quick = quick
        self.needs_tap = needs_tap
        self.inside = inside
        self.only_long = only_long


def case(kernels=("sid",), quick=False, needs_tap=False, variants=("",), inside=(), not_inside=(), only_long=()):
    """Declares a test case: a function of a Test. One for each variant, which it finds in test.variant. The
    kernels of inside are those with which it runs on the device inside QEMU, but for the variants not_inside. The
    variants only_long run with --long, or if they are asked for by name."""
    def declare(function):
        for variant in variants:
            name = function.__name__.replace("_", "-") + (f"-{variant}" if variant else "")
            CASES.append((variant, Case(name, function, kernels, quick, needs_tap,
                                        () if variant in not_inside else inside, variant in only_long)))
        return function
    return declare


class Test:
    """One case as it runs: collects what it finds."""

    def __init__(self, suite, name, kernel, variant):
        self.suite = suite
        self.name = name
        self.kernel = kernel
        self.variant = variant
        self.program = suite.program
        self.cache = suite.cache
        self.root = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
        self.long = suite.options.long
        self.inside = bool(suite.options.inside)  # QEMU, with no daemon
        self.points = []  # ("ok", name, good, detail), ("skip", name, why), ("note", text)
        self.daemons = []
        self.wires = []
        self.guests = []
        self.expected_complaints = None
        self.scratch = tempfile.TemporaryDirectory(prefix="guest-")
        self.directory = self.scratch.name

    # What it finds.
    def full(self, name):
        inside = f"{self.suite.qemu}:" if self.inside else ""
        return " ".join(filter(None, [inside, self.kernel + ":" if self.kernel else "", self.name + ":", name]))

    def ok(self, name, good, detail=""):
        self.points.append(("ok", self.full(name), bool(good), detail if isinstance(detail, str)
                            else repr(detail)))
        return bool(good)

    def same(self, name, found, expected):
        return self.ok(name, found == expected, f"expected {expected!r}\nfound    {found!r}")

    def skip(self, name, why):
        self.points.append(("skip", self.full(name), why))

    def note(self, text):
        self.points.append(("note", text))

    # What it uses.
    def daemon(self, netdev, device="", **options):
        if self.inside:
            self.daemons.append(Inside(self.suite.options.qemu, self.suite.options.inside, netdev, device))
            return self.daemons[-1]
        directory = tempfile.mkdtemp(dir=self.directory)
        daemon = Daemon(self.program, directory, netdev, device, **options)
        self.daemons.append(daemon)
        return daemon

    def wire(self):
        wire = Wire(tempfile.mkdtemp(dir=self.directory))
        self.wires.append(wire)
        return wire

    def guest(self, daemon, script, cpus=1, timeout=300, properties=None, devices=None, more_arguments=(),
              **options):
        guest = Guest(self.cache, self.kernel, script,
                      [*more_arguments, *(devices or daemon.arguments(properties or {}))],
                      timeout=timeout, cpus=cpus, echo=sys.stderr if self.suite.options.echo else None,
                      **options, **daemon.options)
        self.guests.append(guest)
        daemon.guests.append(guest)
        return guest

    def said(self, result):
        """Takes over what the script found, and logs the features that its driver negotiated."""
        for name in result.passed:
            self.ok(name, True)
        for name, why in result.failed:
            self.ok(name, False, why)
        if "features" in result.values:
            bits = bits_of(result.values["features"])
            self.note(f"{self.kernel}, {self.name}: negotiated {self.program.feature_names(bits)}")
        return result

    def run(self, function):
        begun = time.monotonic()
        try:
            function(self)
        except GuestError as why:
            self.ok("comes to its end", False, str(why))
        except Exception:
            self.ok("comes to its end", False, traceback.format_exc())
        finally:
            for guest in self.guests:
                guest.close()
            for daemon in self.daemons:
                complaints = daemon.complaints()
                if self.expected_complaints:
                    complaints = [line for line in complaints
                                  if not re.search(self.expected_complaints, line)]
                if daemon.running():
                    status = daemon.stop()
                    self.ok("the daemon ends well and had nothing to warn of", status == 0 and not complaints,
                            f"exit status {status}\n" + "\n".join(complaints[:20]))
            for wire in self.wires:
                wire.close()
            if any(point[0] == "ok" and not point[2] for point in self.points):
                for daemon in self.daemons:
                    self.note("the daemon: " + " ".join(daemon.command[3:]))
                    self.note("\n".join(daemon.log().splitlines()[-25:]))
            self.scratch.cleanup()
        self.note(f"{self.full('')} {time.monotonic() - begun:.1f} s")
        return self.points


class Suite:
    def __init__(self, options):
        self.options = options
        self.cache = os.path.abspath(options.cache)
        self.program = Program(options.device)
        self.replay = os.path.abspath(options.replay)
        self.has_tap = own_network()
        self.qemu = qemu_version(self.cache, options.qemu) if options.inside else ""

    def wanted(self):
        only = options_list(self.options.only)
        kernels = options_list(self.options.kernel) or ["sid", "bookworm", ""]
        for variant, declared in CASES:
            if only and not any(declared.name == name or declared.name.startswith(name + "-")
                                for name in only):
                continue
            if self.options.quick and not declared.quick:
                continue
            if declared.only_long and not self.options.long and declared.name not in only:
                continue
            for kernel in declared.inside if self.options.inside else declared.kernels:
                if kernel in kernels:
                    yield declared, kernel, variant

    def one(self, declared, kernel, variant):
        test = Test(self, declared.name, kernel, variant)
        if declared.needs_tap and not self.has_tap:
            test.skip("all of it", "TAP interfaces of one's own (root or user namespaces, /dev/net/tun)")
            return test.points
        return test.run(declared.function)

    def run(self):
        report = tap.Tap()
        with open(os.path.join(self.cache, "versions"), encoding="ascii") as file:
            report.note(file.read())
        report.note(subprocess.run([self.program.path, "--version"], capture_output=True, text=True,
                                   check=True).stdout)
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            runs = [pool.submit(self.one, *wanted) for wanted in self.wanted()]
            for done in runs:
                for kind, name, *rest in done.result():
                    if kind == "ok":
                        report.ok(name, *rest)
                    elif kind == "skip":
                        report.skip(name, *rest)
                    else:
                        report.note(name)
                sys.stdout.flush()
        return report.done()


def options_list(texts):
    return [name for text in texts or [] for name in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--only", action="append")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--echo", action="store_true", help="consoles to standard error")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--inside", type=lambda text: ":".join(map(os.path.abspath, text.split(":"))))
    parser.add_argument("--qemu")
    parser.add_argument("cache", nargs="?")
    parser.add_argument("device", nargs="?")
    parser.add_argument("replay", nargs="?")
    options = parser.parse_args()
    if options.list:
        for _, declared in CASES:
            print(declared.name, " ".join(declared.kernels), "quick" if declared.quick else "")
        return 0
    if not options.replay:
        parser.error("CACHE, VIONET_DEVICE and VIONET_REPLAY are missing")
    return Suite(options).run()


if __name__ == "__main__":
    # The cases declare themselves to this very module.
    sys.modules["suite"] = sys.modules["__main__"]
    import cases  # noqa: E402,F401
    import failover  # noqa: E402,F401
    import failover_inside  # noqa: E402,F401
    import hashing  # noqa: E402,F401
    import life  # noqa: E402,F401
    import mmio  # noqa: E402,F401
    import moving  # noqa: E402,F401
    import threads  # noqa: E402,F401
    import tunnels  # noqa: E402,F401
    import firmware  # noqa: E402,F401
    import vhost  # noqa: E402,F401
    sys.exit(main())
