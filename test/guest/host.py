# SPDX-License-Identifier: BSD-3-Clause
"""The host's side of the guest suite: the daemon under test, frames over a socket, a web server, a network
namespace of our own."""
import ctypes
import fcntl
import hashlib
import http.server
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time

from guest import GuestError, packet, vfio_user, wait_socket

CONTENT = hashlib.shake_256(b"vionet").digest(1 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
MAC = "52:54:00:12:34:56"  # the device's, by default
OTHER = "02:00:00:00:00:02"
EXPERIMENTAL = 0x88B5  # an EtherType for frames that no protocol of the guest answers


class Program:
    """vionet-device: what it can do, before one of it runs."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        # Its help is in the daemon's own words: properties, features with their bits, options.
        self.help = subprocess.run([self.path, "--help"], check=True, capture_output=True, text=True).stdout
        self.names = {int(bit): re.sub(r"^VIRTIO_(NET_)?F_", "", name) for name, bit in
                      re.findall(r"; .*?\b(VIRTIO_\w+) \(bit (\d+)\)", self.help)}

    def has(self, word):
        return word in self.help

    def feature_names(self, bits):
        return " ".join(f"{self.names.get(bit, '?')}({bit})" for bit in sorted(bits))


def bits_of(features):
    """The bits of sysfs's features."""
    return {i for i, bit in enumerate(features) if bit == "1"}


class Daemon:
    """A vionet-device that runs, with what it logs."""

    def __init__(self, program, directory, netdev, device="", protocol=None, client=False, path=None,
                 options=()):
        self.path = path or os.path.join(directory, "device.sock")
        self.options = {}  # of guests that use it
        self.guests = []
        self.status_path = None
        self.log_path = os.path.join(directory, "device.log")
        command = [program.path, "--socket", self.path, "--netdev", netdev, *options]
        if device:
            command += ["--device", device]
        if protocol:
            command += ["--protocol", protocol]
        if client:
            command += ["--client"]
        if program.has("--log-level"):
            command += ["--log-level", "info"]
        if program.has("--status"):
            self.status_path = os.path.join(directory, "status.sock")
            command += ["--status", self.status_path]
        self.command = command
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "G_MESSAGES_DEBUG": "all"})
        try:
            wait_socket(self.status_path if client else self.path, self.process, 60)
        except GuestError as why:
            self.process.kill()
            self.process.wait()
            raise GuestError(f"{why}\n{self.log()}") from None

    def arguments(self, properties):
        """A guest's, for the device."""
        return [vfio_user(self.path, **properties)]

    def running(self):
        return self.process.returncode is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def complaints(self):
        return [line for line in self.log().splitlines()
                if re.search(r"WARNING|CRITICAL|ERROR|\bwarning\b|\berror\b", line)]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self):
        """Kilobytes of its own memory: what the guest shares is not counted."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"RssAnon:\s*(\d+)", file.read()).group(1))

    def status(self):
        """The daemon's own account of itself, None if it gives none."""
        if not self.status_path:
            return None
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.status_path)
            text = b""
            while data := s.recv(65536):
                text += data
        return json.loads(text)

    def negotiated(self):
        """Names of the features that the driver took, None if the daemon does not say."""
        status = self.status()
        return status and [re.sub(r"^VIRTIO_(NET_)?F_", "", name) for name in status["device"]["negotiated"]]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            return "none: it did not end"


class Wire:
    """The other end of the daemon's backend dgram: frames from and to the guest, one by one."""

    def __init__(self, directory):
        self.theirs, ours = os.path.join(directory, "wire.device"), os.path.join(directory, "wire.host")
        self.netdev = (f"dgram,local.type=unix,local.path={self.theirs},"
                       f"remote.type=unix,remote.path={ours}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(ours)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.frames = []
        self.lock = threading.Lock()
        self.closed = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        self.socket.settimeout(0.2)
        while not self.closed:
            try:
                frame = self.socket.recv(1 << 17)
            except TimeoutError:
                continue
            except OSError:
                break
            with self.lock:
                self.frames.append(frame)

    def send(self, frame):
        # Not with this socket's own timeout, which the reader changes.
        while True:
            try:
                return self.socket.sendto(frame, self.theirs)
            except TimeoutError:
                time.sleep(0.01)

    def took(self):
        """The frames that came since the last time."""
        with self.lock:
            frames, self.frames = self.frames, []
        return frames

    def wait(self, condition, timeout=30):
        """Collects frames until condition(frames) holds, or the time is over."""
        frames, until = [], time.monotonic() + timeout
        while True:
            frames += self.took()
            if condition(frames) or time.monotonic() > until:
                return frames
            time.sleep(0.02)

    def close(self):
        self.closed = True
        self.reader.join(5)
        self.socket.close()


def named_frame(name, destination=MAC, vlan=None, length=60):
    """A frame that says in its text what it is."""
    text = name.encode() + b"."
    if vlan is None:
        return packet(destination, OTHER, EXPERIMENTAL, text).ljust(length, b"\0")
    return packet(destination, OTHER, 0x8100, struct.pack("!HH", vlan, EXPERIMENTAL) + text).ljust(length, b"\0")


def names_in(lines):
    """The names of named frames among rxhash's lines."""
    names = []
    for line in lines:
        fields = line.split()
        if len(fields) == 5 and fields[0].isdigit():
            frame = bytes.fromhex(fields[4])
            at = frame.find(struct.pack("!H", EXPERIMENTAL), 12, 20)
            if at >= 0:
                names.append(frame[at + 2:].split(b".")[0].decode(errors="replace"))
    return names


class Web:
    """Serves CONTENT at any path."""

    def __init__(self, address="127.0.0.1"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                try:
                    self.wfile.write(CONTENT)
                except OSError:
                    pass  # tests go away in the middle

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def own_network():
    """Puts this process into a network namespace of its own, where no interface or port disturbs anybody, by
    root's rights or those that a user namespace gives. False if the system does not let us; all but the cases
    that need a TAP interface work without."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_net = 0x10000000, 0x40000000
    if os.geteuid() == 0 and libc.unshare(new_net) == 0:
        interface_up("lo")
        return os.path.exists("/dev/net/tun")
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(new_user | new_net) != 0:
        return False
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        interface_up("lo")
        return os.access("/dev/net/tun", os.R_OK | os.W_OK)
    except OSError:
        return False


def forward():
    """Lets this network namespace route between its interfaces. False if the system does not let us."""
    try:
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("1")
        return True
    except OSError:
        return False


def interface_up(name, address=None, mtu=None):
    """Sets an address, and IFF_UP after IPv6 of the host, which would speak unasked, is off there."""
    if name != "lo":
        try:
            with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as file:
                file.write("1")
        except OSError:
            pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if address:
            for request, value in ((0x8916, address), (0x891C, "255.255.255.0")):  # SIOCSIFADDR, ...NETMASK
                fcntl.ioctl(s, request, struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0,
                                                    socket.inet_aton(value)))
        if mtu:
            fcntl.ioctl(s, 0x8922, struct.pack("16si12x", name.encode(), mtu))  # SIOCSIFMTU
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", name.encode(), 1))  # SIOCSIFFLAGS
