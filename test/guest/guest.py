# SPDX-License-Identifier: BSD-3-Clause
"""Linux guests in QEMU, made by prepare.sh, each with a script that says what it found.

    with Guest(cache, "sid", script, devices=[...]) as guest:
        guest.reach("ready")         # the script's `vt_sync ready`
        ...                          # the host's part
        guest.go("ready")
        result = guest.finish()      # until the script has ended

or, with nothing for the host to do, `result = run(cache, "sid", script, devices=[...])`. What a script can
say is in init. QEMU runs out of the unpacked tree by that tree's own dynamic linker: no root, no chroot,
so paths of sockets are the host's. Nothing of a guest outlives its Guest, nor this process."""
import collections
import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import threading
import time


class GuestError(Exception):
    """The guest or QEMU did not do its part; the message ends with the last lines of console and QEMU."""


class Result:
    def __init__(self):
        self.values = {}  # vt
        self.texts = collections.defaultdict(list)  # vt_text, vt_run: lists of lines
        self.passed = []  # vt_ok
        self.failed = []  # vt_fail: (name, why)
        self.status = None  # what the script's last command left, once it has ended
        self.started = None  # seconds from QEMU's start to the script's first line
        self.uptime = None  # the same by the guest's clock, from the kernel's start
        self.cpu = None  # the same in processor time of QEMU: what a busy machine cannot change
        self.console = []  # lines

    def text(self, name):
        return "\n".join(self.texts.get(name, []))


def qemu_tree(cache, tree=None):
    """Where a QEMU was unpacked: the cache's own, or another."""
    return os.path.abspath(tree or os.path.join(cache, "tree"))


def qemu_command(cache, tree=None, preload=None):
    """How it is run; preload is loaded into it, and nowhere else."""
    root = qemu_tree(cache, tree)
    libraries = os.path.join(root, "usr/lib/x86_64-linux-gnu")
    command = [os.path.join(root, "lib64/ld-linux-x86-64.so.2"), "--library-path", libraries,
               *(["--preload", preload] if preload else []), os.path.join(root, "usr/bin/qemu-system-x86_64")]
    for data in ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"):
        command += ["-L", os.path.join(root, data)]
    return command


def qemu_version(cache, tree=None):
    """"QEMU 7.2"."""
    said = subprocess.run([*qemu_command(cache, tree), "--version"], capture_output=True, text=True, check=True).stdout
    return "QEMU " + ".".join(said.split("version ")[1].split(".")[:2])


def device_arguments(devices):
    """QEMU's arguments of a list in which a dictionary is a device in JSON form."""
    return [word for device in devices
            for word in (["-device", json.dumps(device)] if isinstance(device, dict) else [device])]


def archive(files):
    """A cpio archive (newc) of {name: (bytes, mode)}, as the kernel takes it behind another."""
    out = b""
    for name, (data, mode) in list(files.items()) + [("TRAILER!!!", (b"", 0))]:
        fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return out


_prctl = ctypes.CDLL(None).prctl


def _die_with_parent():
    _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Qemu:
    """A QEMU process with its first and second serial ports and QMP, for guests of any kind. memory: in MiB, or a
    text with a unit."""

    # TCG has all of this model; with "max" a guest takes longer to boot.
    CPU = "Haswell-noTSX,-pcid,-tsc-deadline,-invpcid"

    def __init__(self, cache, arguments, timeout=60, memory=256, shared=True, cpus=1, cpu=CPU, echo=None,
                 machine="", wrapper=(), tree=None, preload=None):
        self.deadline = time.monotonic() + timeout
        self.timeout = timeout
        self.echo = echo
        self.console = []
        self.lock = threading.Condition()
        self.closed = False
        self.process = None
        self.error = None
        self._qmp_buffer = b""
        self._partial = {}
        self.directory = tempfile.mkdtemp(prefix="guest-")
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)))
        self.serial, self.port, self.qmp_socket = ours
        size = memory if isinstance(memory, str) else f"{memory}M"
        command = [*wrapper, *qemu_command(cache, tree, preload), "-nodefaults", "-no-user-config", "-no-reboot",
                   "-display", "none",
                   "-object", (f"memory-backend-memfd,id=mem,share=on,size={size}" if shared
                               else f"memory-backend-ram,id=mem,size={size}"),
                   "-machine", "q35,memory-backend=mem,hpet=off,vmport=off" + machine,
                   "-accel", "tcg,thread=multi", "-cpu", cpu, "-smp", str(cpus), "-m", size]
        for name, end in zip(("console", "port", "qmp"), theirs):
            command += ["-chardev", f"socket,id={name},fd={end.fileno()}"]
        command += ["-serial", "chardev:console", "-serial", "chardev:port",
                    "-mon", "chardev=qmp,mode=control", *arguments]
        self.command = command
        self.complaints = tempfile.TemporaryFile()
        self.begun = time.monotonic()
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self.complaints, stderr=self.complaints,
                pass_fds=[end.fileno() for end in theirs], start_new_session=True,
                preexec_fn=_die_with_parent,
                env={**os.environ, "QEMU_MODULE_DIR": os.path.join(
                    qemu_tree(cache, tree), "usr/lib/x86_64-linux-gnu/qemu"), "LC_ALL": "C"})
        except BaseException:
            self.close()
            raise
        finally:
            for end in theirs:
                end.close()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closed = True
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        if hasattr(self, "reader"):
            self.reader.join(5)
        for end in (self.serial, self.port, self.qmp_socket):
            end.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # What comes from the guest. A thread reads all the time, so that the guest never waits for the host.
    def _read(self):
        selector = selectors.DefaultSelector()
        selector.register(self.serial, selectors.EVENT_READ, self._console_line)
        selector.register(self.port, selectors.EVENT_READ, self._port_line)
        while selector.get_map():
            for key, _ in selector.select(0.2):
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                lines = (self._partial.get(key.data, b"") + data).split(b"\n")
                # The last line may have no end, as a prompt has none.
                self._partial[key.data] = lines.pop()
                with self.lock:
                    for line in lines:
                        key.data(line.decode(errors="replace").rstrip("\r"))
                    self.lock.notify_all()
            if self.closed:
                break
        with self.lock:
            for read, line in self._partial.items():
                if line:
                    read(line.decode(errors="replace").rstrip("\r"))
            self.closed = True
            self.lock.notify_all()

    def _console_line(self, line):
        self.console.append(line)
        if self.echo:
            print(f"{time.monotonic() - self.begun:6.2f} {line}", file=self.echo, flush=True)

    def _port_line(self, line):
        self._console_line(line)

    def console_text(self):
        """All of the console until now, with a line that has no end yet."""
        with self.lock:
            return "\n".join(self.console) + "\n" + self._partial.get(
                self._console_line, b"").decode(errors="replace")

    def wait(self, what, condition, timeout=None):
        """Waits until condition() holds, and returns it; fails if QEMU ends or the time is over first."""
        until = self.deadline if timeout is None else min(self.deadline, time.monotonic() + timeout)
        with self.lock:
            while not (value := condition()):
                if self.error:
                    raise self._failure(self.error)
                if self.closed:
                    raise self._failure(f"QEMU ended before {what}")
                left = until - time.monotonic()
                if left <= 0:
                    raise self._failure(
                        f"after {time.monotonic() - self.begun:.0f} s still waiting for {what}")
                self.lock.wait(min(left, 1))
            return value

    def wait_console(self, text, timeout=None):
        """Waits for text on the console, for guests that are not Linux."""
        def seen():
            return text in "\n".join(self.console) + "\n" + self._partial.get(
                self._console_line, b"").decode(errors="replace")
        self.wait(f"{text!r} on the console", seen, timeout)

    def type(self, text):
        self.serial.sendall(text.encode())

    def processor_time(self):
        """Seconds of processor time that QEMU has taken."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_end(self, timeout=None):
        until = self.deadline if timeout is None else min(self.deadline, time.monotonic() + timeout)
        try:
            return self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._failure("QEMU did not end") from None

    def said(self):
        self.complaints.seek(0)
        return self.complaints.read().decode(errors="replace")

    def _failure(self, why):
        if self.process.poll() is None and self.closed:
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                pass
        status = self.process.poll()
        if status not in (None, 0):
            why += f" (exit status {status})" if status > 0 else f" (signal {-status})"
        lines = [f"  console: {line}" for line in self.console[-15:]]
        lines += [f"  QEMU: {line}" for line in self.said().splitlines()[-15:]]
        return GuestError("\n".join([why] + lines))

    # QMP
    def _qmp_read(self):
        while b"\n" not in self._qmp_buffer:
            self.qmp_socket.settimeout(max(0.1, self.deadline - time.monotonic()))
            try:
                data = self.qmp_socket.recv(65536)
            except TimeoutError:
                raise self._failure("no answer on QMP") from None
            except ConnectionError:
                data = b""
            if not data:
                try:
                    self.process.wait(2)
                except subprocess.TimeoutExpired:
                    pass
                raise self._failure("QEMU ended, or closed QMP")
            self._qmp_buffer += data
        line, self._qmp_buffer = self._qmp_buffer.split(b"\n", 1)
        return json.loads(line)

    def qmp(self, command, **arguments):
        """The answer to a QMP command; events that came before are in self.events."""
        if not hasattr(self, "events"):
            self.events = []
            self._qmp_read()
            self.qmp("qmp_capabilities")
        message = {"execute": command, "arguments": arguments}
        try:
            self.qmp_socket.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            raise self._failure("QEMU ended, or closed QMP") from None
        while True:
            answer = self._qmp_read()
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise GuestError(f"QMP {command}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def wait_event(self, name):
        """Waits for a QMP event of that name, which may have come already."""
        while not any(event["event"] == name for event in self.events):
            answer = self._qmp_read()
            if "event" in answer:
                self.events.append(answer)

    def hmp(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})


class Guest(Qemu):
    """A Linux guest. devices: QEMU's arguments for netdevs and devices, as a list; a dictionary in it is
    a device in JSON form. kernel: "sid" or "bookworm"."""

    def __init__(self, cache, kernel, script, devices=(), files=None, append="", **options):
        self.result = Result()
        self.result.console = []
        self.reached = collections.deque()
        self.ended = False
        with tempfile.NamedTemporaryFile(prefix="guest-initrd-") as initrd:
            with open(os.path.join(cache, kernel, "initramfs"), "rb") as base:
                shutil.copyfileobj(base, initrd)
            contents = {"script": (script.encode(), stat.S_IFREG | 0o755)}
            for name, data in (files or {}).items():
                contents[name] = (data, stat.S_IFREG | 0o755)
            initrd.write(archive(contents))
            initrd.flush()
            image = os.path.join(cache, kernel, "vmlinux")
            if not os.path.exists(image):
                image = os.path.join(cache, kernel, "vmlinuz")
            arguments = ["-kernel", image, "-initrd", initrd.name,
                         # No clocks to measure, tests of ciphers or split pages: a third of the time.
                         "-append", "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check "
                         "mitigations=off random.trust_cpu=on nokaslr rodata=off cryptomgr.notests=1 "
                         "8250.nr_uarts=2 " + append]
            arguments += device_arguments(devices)
            # The archive is gone as soon as QEMU has it, which is so when it answers.
            super().__init__(cache, arguments, **options)
            self.result.console = self.console
            try:
                self.qmp("query-status")
            except BaseException:
                self.close()
                raise

    def _console_line(self, line):
        super()._console_line(line)
        if "Kernel panic" in line:
            self.error = "the guest's kernel panicked"

    def _port_line(self, line):
        result = self.result
        if self.echo:
            print(f"{time.monotonic() - self.begun:6.2f} {line}", file=self.echo, flush=True)
        word, _, rest = line.partition(" ")
        if word == "VT:":
            name, _, value = rest.partition("=")
            result.values[name] = value
        elif word == "VT|":
            name, _, text = rest.partition(" ")
            result.texts[name].append(text)
        elif word == "VT-OK":
            result.passed.append(rest)
        elif word == "VT-FAIL":
            name, _, why = rest.partition(" ")
            result.failed.append((name, why))
        elif word == "VT-START":
            result.started = time.monotonic() - self.begun
            result.uptime = float(rest)
            result.cpu = self.processor_time()
        elif word == "VT>":
            self.reached.append(rest)
        elif word == "VT-DONE":
            result.status = int(rest)
            self.ended = True
        elif line:
            self.error = f"not a line of the protocol: {line!r}"

    def reach(self, name, timeout=None):
        """Waits until the script is at `vt_sync name`."""
        self.wait(f"'{name}' of the script", lambda: self.reached or self.ended, timeout)
        if not self.reached or self.reached[0] != name:
            raise self._failure(f"the script is at {list(self.reached) or 'its end'}, not at '{name}'")
        self.reached.popleft()

    def go(self, name):
        self.port.sendall(f"go {name}\n".encode())

    def finish(self, timeout=None):
        """Waits until the script has ended and QEMU with it; returns what the script said."""
        self.wait("the script's end", lambda: self.ended or self.reached, timeout)
        if not self.ended:
            raise self._failure(f"the script waits at {list(self.reached)}")
        self.wait_end(10)
        return self.result


def run(cache, kernel, script, devices=(), **options):
    with Guest(cache, kernel, script, devices, **options) as guest:
        return guest.finish()


def wait_socket(path, process, timeout=10):
    """Waits until a server, a process of subprocess, listens on a Unix socket."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if process.poll() is not None:
            raise GuestError(f"the server ended with status {process.returncode}")
        # A connection, even one given up at once, could be the only one that the server takes.
        with open("/proc/net/unix", encoding="ascii", errors="replace") as table:
            for line in table:
                fields = line.split()
                if len(fields) == 8 and fields[7] == path and int(fields[3], 16) & 0x10000:
                    return
        time.sleep(0.01)
    raise GuestError(f"nothing listens on {path} after {timeout} s")


def vfio_user(path, **properties):
    """A device for Guest, served by another process on the Unix socket."""
    return {"driver": "vfio-user-pci", "socket": {"path": path, "type": "unix"}, **properties}


def packet(destination, source, kind, data):
    """An Ethernet frame, for netdevs that are sockets."""
    return bytes.fromhex(destination.replace(":", "")) + bytes.fromhex(source.replace(":", "")) + \
        struct.pack("!H", kind) + data
