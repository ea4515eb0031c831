#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""rings.py [--runs N] [--only REGEX] [--svg FILE] [--instructions] DIR

Frames through a ring, vionet beside DPDK's vhost library with the same driver, DPDK's net_virtio_user: what a
frame costs the device when both ends share a core, and how many come through when each has its own. Devices take
turns; prints medians of N runs (5), both figures and their ratio, and for two cores the fastest run of each too:
where virtual processors are moved about, runs are of two kinds, and a median of both kinds means little. Beside them
stands what the copies cost with no ring at all, only slots and an index each way: no device can do better. DIR is
where everything is kept, outside the tree; the first time takes minutes. Needs root and two cores, and a machine
that does nothing else; uses huge pages if it can get them. --svg draws the ratios. --instructions counts those of
the device for a frame of 64 octets, by callgrind, which has no AVX-512, and nothing else."""
import argparse
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
SOCKET = "/tmp/ring.sock"

# Name; net_virtio_user's arguments; our device's properties.
RINGS = [
    ("split", "mrg_rxbuf=0,in_order=0", "mrg_rxbuf=off"),
    ("split, mergeable", "mrg_rxbuf=1,in_order=0", ""),
    ("split, in order, mergeable", "mrg_rxbuf=1,in_order=1", "in_order=on"),
    ("packed", "packed_vq=1,mrg_rxbuf=0,in_order=0", "packed=on,mrg_rxbuf=off"),
    ("packed, mergeable", "packed_vq=1,mrg_rxbuf=1,in_order=0", "packed=on"),
    ("packed, in order, mergeable", "packed_vq=1,mrg_rxbuf=1,in_order=1", "packed=on,in_order=on"),
]
LENGTHS = [("64", 64), ("IMIX", 0), ("1518", 1518), ("9000", 9000), ("64K, TSO", 65000)]
SEGMENTED = "csum=on,guest_csum=on,host_tso4=on,host_tso6=on,guest_tso4=on,guest_tso6=on"
MODES = ("one", "two")
WAYS = ("receive", "transmit")
DEVICES = ("dpdk", "vionet", "none")
COMMON = "mac=52:54:00:12:34:56,rx_queue_size=1024,tx_queue_size=1024,max-frame=65550"


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


class Bench:
    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.root = os.path.join(self.directory, "tree")
        self.memory = ["--no-huge", "-m", "512"]

    def in_root(self, *command):
        return run(os.path.join(HERE, "in_root.sh"), self.directory, *command)

    def build(self):
        subprocess.run([os.path.join(HERE, "prepare.sh"), self.directory], check=True)
        build = os.path.join(self.directory, "build-rings")
        if not os.path.exists(os.path.join(build, "build.ninja")):
            run("meson", "setup", build, SOURCE, "--buildtype=release", "-Dtests=enabled", "-Ddevice=enabled")
        run("ninja", "-C", build, "test/bench/libring-device.so")
        place = os.path.join(self.root, "opt/rings")
        os.makedirs(place, exist_ok=True)
        run("cp", os.path.join(build, "test/bench/libring-device.so"), os.path.join(HERE, "ring_device.h"),
            os.path.join(HERE, "ring_yardstick.c"), place)
        run("cp", os.path.join(build, "lib/libvionet.so"), os.path.join(place, "libvionet.so.0"))
        # For this machine, as the device's side of DPDK is chosen at run time; and for callgrind.
        for program, machine in ("ring_yardstick", "native"), ("ring_yardstick_counted", "x86-64-v3"):
            self.in_root("sh", "-euc", "cd /opt/rings; gcc -O3 -D_GNU_SOURCE -Wall -Wextra"
                         f" $(pkg-config --cflags libdpdk) -march={machine} -o {program} ring_yardstick.c"
                         " -L. -lring-device -Wl,-rpath-link,. $(pkg-config --libs libdpdk) -lrte_bus_vdev")

    def find_memory(self):
        """Huge pages for two pools, if the kernel has or finds them."""
        path = "/proc/sys/vm/nr_hugepages"
        with open(path, encoding="ascii") as file:
            before = int(file.read())
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(str(max(before, 300)))
        except OSError:
            pass
        with open("/proc/meminfo", encoding="ascii") as file:
            free = int(re.search(r"HugePages_Free:\s+(\d+)", file.read()).group(1))
        if free >= 256:
            self.memory = ["-m", "512", "--in-memory", "--single-file-segments"]

    def run_yardstick(self, program, memory, bits, *arguments):
        text = self.in_root("env", "LD_LIBRARY_PATH=/opt/rings", *program, "--lcores", "0@1", "--no-pci", *memory,
                            f"--force-max-simd-bitwidth={bits}", "--log-level=3", "--", *arguments)
        words = re.search(r"^receive .*$", text, re.M).group().split()
        return dict(zip(words[::2], map(float, words[1::2])))

    def measure(self, device, mode, ring, length):
        _, driver, features = ring
        features = ",".join(part for part in (COMMON, features, SEGMENTED if length > 9700 else "") if part)
        figures = self.run_yardstick(["/opt/rings/ring_yardstick"], self.memory, 512, device, mode, SOCKET, driver,
                                     features, str(length))
        return {way: figures[way] for way in WAYS}

    def count(self, device, ring):
        """Instructions of the device for a frame, each way."""
        counts = {}
        for way in WAYS:
            out = os.path.join(self.root, "tmp/callgrind.out")
            figures = self.run_yardstick(
                ["valgrind", "--tool=callgrind", "--callgrind-out-file=/tmp/callgrind.out", "--collect-atstart=no",
                 f"--toggle-collect={device}_{way}", "/opt/rings/ring_yardstick_counted"],
                ["--no-huge", "-m", "512"], 256, device, "one", SOCKET, ring[1],
                ",".join(part for part in (COMMON, ring[2]) if part), "64", "20")
            with open(out, encoding="utf-8", errors="replace") as file:
                total = int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1))
            os.remove(out)
            counts[way] = total / figures["received" if way == "receive" else "transmitted"]
        return counts


def table(mode, rows):
    titles = {"one": "Both ends on one core, ns a frame", "two": "A core for each end, million frames a second",
              "best": "The same, the fastest run of each: with the processors as near as they come",
              "instructions": "Instructions of the device a frame, without AVX-512"}
    print(f"\n{titles[mode]}: DPDK, vionet, ratio\n")
    limits = any("none" in key for _, _, figures in rows for key in figures)
    heads = ["to the driver", "", "", *(["no ring"] if limits else []), "from the driver", "", "",
             *(["no ring"] if limits else [])]
    print("| ring | octets | " + " | ".join(heads) + " |\n|---|---|" + "--:|" * len(heads))
    for ring, length, figures in rows:
        cells = []
        for way in WAYS:
            theirs, ours = figures["dpdk", way], figures["vionet", way]
            cells += [f"{theirs:.1f}", f"{ours:.1f}", f"{ours / theirs:.2f}"]
            cells += [f"{figures['none', way]:.1f}"] if limits else []
        print(f"| {ring} | {length} | " + " | ".join(cells) + " |")


def draw(path, results):
    """Bars of ratios, better to the right: 1 is as DPDK."""
    bars = []
    for mode, rows in results.items():
        for ring, length, figures in rows:
            for way in WAYS:
                ratio = figures["vionet", way] / figures["dpdk", way]
                speed = 1 / ratio if mode == "one" else ratio
                cores = {"one": "1 core", "two": "2 cores", "best": "2 cores, fastest run"}[mode]
                bars.append((f"{ring}, {length}, {'to' if way == 'receive' else 'from'} driver, {cores}", speed))
    height = 16 * len(bars) + 40
    scale = 400 / max(2.0, max(speed for _, speed in bars))
    with open(path, "w", encoding="ascii") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{height}" '
                   'font-family="sans-serif" font-size="11">\n'
                   '<text x="10" y="16">Speed of vionet, DPDK vhost = 1 (the line)</text>\n')
        for i, (name, speed) in enumerate(bars):
            y = 28 + 16 * i
            colour = "#4a7fb5" if speed >= 1 else "#b5654a"
            file.write(f'<text x="400" y="{y + 10}" text-anchor="end">{name}</text>\n'
                       f'<rect x="408" y="{y}" width="{speed * scale:.1f}" height="12" fill="{colour}"/>\n'
                       f'<text x="{412 + speed * scale:.1f}" y="{y + 10}">{speed:.2f}</text>\n')
        file.write(f'<line x1="{408 + scale:.1f}" y1="22" x2="{408 + scale:.1f}" y2="{height - 8}" '
                   'stroke="black"/>\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="scenarios to run, as 'one split, mergeable 64'")
    parser.add_argument("--svg")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("directory")
    options = parser.parse_args()
    bench = Bench(options.directory)
    try:
        bench.build()
        bench.find_memory()
        if options.instructions:
            table("instructions", [(ring[0], "64", {(device, way): count for device in ("dpdk", "vionet")
                                                    for way, count in bench.count(device, ring).items()})
                                   for ring in RINGS])
            return 0
        samples = {}
        scenarios = [(mode, ring, length) for mode in MODES for ring in RINGS for length in LENGTHS
                     if re.search(options.only, f"{mode} {ring[0]} {length[0]}")]
        for turn in range(options.runs):
            for mode, ring, length in scenarios:
                for device in DEVICES:
                    for way, value in bench.measure(device, mode, ring, length[1]).items():
                        samples.setdefault((mode, ring[0], length[0]), {}).setdefault((device, way), []).append(value)
            print(f"run {turn + 1} of {options.runs}", file=sys.stderr, flush=True)
    except subprocess.CalledProcessError as error:
        print(error.stdout or "", error.stderr or "", error, sep="\n", file=sys.stderr)
        return error.returncode
    print(re.search(r"model name\s*: (.*)", open("/proc/cpuinfo", encoding="ascii").read()).group(1))
    print(open(os.path.join(bench.directory, "versions"), encoding="ascii").readline().strip(), "- medians of",
          options.runs, "runs -", "huge pages" if "--no-huge" not in bench.memory else "small pages")
    results = {}
    for (mode, ring, length), figures in samples.items():
        medians = {key: statistics.median(values) for key, values in figures.items()}
        results.setdefault(mode, []).append((ring, length, medians))
        if mode == "two":
            best = {key: max(values) for key, values in figures.items()}
            results.setdefault("best", []).append((ring, length, best))
    for mode, rows in results.items():
        table(mode, rows)
    if options.svg:
        draw(options.svg, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
