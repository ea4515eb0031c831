#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vionet-device where the system says no: calls that are interrupted or fail (by strace, which is put on the running
daemon), no descriptors, full disks, peers that do not read, a daemon that is killed. Reports in TAP.

  test_syscalls.py [--long] PROGRAM
"""

import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'tools'))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'unit'))

import tap  # noqa: E402
import test_daemon_client  # noqa: E402
from test_daemon import FEATURES, Daemon, frame, read_all, running  # noqa: E402
from test_daemon_client import REGION_READ, SECONDS, Client, Guest, Refused  # noqa: E402

# Every second call: what a program is to do again, and does, so that nobody notices.
AGAIN = ('recvmsg:error=EINTR', 'recvmsg:error=EAGAIN', 'sendmsg:error=EINTR', 'sendmsg:error=EAGAIN',
         'poll:error=EINTR', 'ppoll:error=EINTR', 'write:error=EINTR', 'read:error=EINTR', 'read:error=EAGAIN',
         'accept4:error=EINTR', 'accept4:error=EAGAIN', 'accept4:error=ECONNABORTED')
# One call: what may cost a client its connection, and nobody else anything.
ONCE = ('recvmsg:error=ECONNRESET', 'recvmsg:error=ENOMEM', 'sendmsg:error=EPIPE', 'sendmsg:error=ENOBUFS',
        'poll:error=ENOMEM', 'write:error=EIO', 'read:error=EIO', 'accept4:error=ENFILE', 'accept4:error=ENOMEM',
        'mmap:error=ENOMEM', 'mmap:error=EACCES', 'eventfd2:error=EMFILE', 'fstat,newfstatat:error=EIO',
        'fcntl:error=EBADF', 'readlink:error=ENOENT', 'timerfd_settime:error=EINVAL', 'rt_sigaction:error=EINVAL')


def session(path, steps=5, eventfds=True):
    """A guest that boots and has frames come back, by message and by eventfd; and its memory taken back."""
    guest = Guest(Client(path))
    try:
        guest.start(FEATURES)
        for i in range(steps):
            guest.send(frame(payload=b'%d' % i))
            assert guest.receive()[1] == frame(payload=b'%d' % i)
        if eventfds:
            guest.notify_by_eventfd()
        guest.send(frame())
        assert guest.receive()[1] == frame()
        assert guest.command(0x0000, b'\x01') == 0
        guest.client.call(13)
        assert guest.status() == 0
        guest.client.call(3, struct.pack('<IIQQ', 24, 0, 0, len(guest.memory)))
    finally:
        guest.close()


@contextlib.contextmanager
def injecting(daemon, what):
    """strace on the daemon, with that fault; gives a function that tells how often it was."""
    record = pathlib.Path(daemon.log.name).with_name('strace')
    calls = what.split(':', maxsplit=1)[0]
    # It says so when it has attached.
    with subprocess.Popen(['strace', '-f', '-o', str(record), '-e', f'trace={calls}', '-e', f'inject={what}',
                           '-p', str(daemon.process.pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as tracer:
        said = ''
        while 'attached' not in said and tracer.poll() is None and len(said) < 1000:
            said = tracer.stderr.readline()
        assert 'attached' in said, said
        try:
            yield lambda: record.read_text(errors='replace').count('(INJECTED)')
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(SECONDS)


def seconds_of(process):
    """Processor time that it has had."""
    fields = pathlib.Path(f'/proc/{process.pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def count_fds(process):
    return len(os.listdir(f'/proc/{process.pid}/fd'))


class Faults:
    def __init__(self, program, thorough):
        self.program = program
        self.thorough = thorough
        self.injected = 0
        self.survived = 0

    def count(self, n=1):
        self.injected += n
        self.survived += n

    def strace_missing(self):
        if not shutil.which('strace'):
            return 'strace'
        done = subprocess.run(['strace', '-qq', '-o', '/dev/null', 'true'], capture_output=True, check=False)
        return None if done.returncode == 0 else 'a kernel that lets a process be traced'

    def lives(self, daemon, fds=None):
        """The next guest is served as if nothing had been, and nothing was left open."""
        session(daemon.socket)
        daemon.wait_for('client has gone')
        if fds is not None:
            end = time.monotonic() + SECONDS
            while count_fds(daemon.process) > fds:
                assert time.monotonic() < end, 'descriptors were left behind'
                time.sleep(0.01)

    # ---- calls ----

    def test_calls_again(self):
        if missing := self.strace_missing():
            return missing
        for what in AGAIN:
            with running(self, '--netdev=loopback') as daemon:
                fds = count_fds(daemon.process)
                with injecting(daemon, f'{what}:when=1+2') as injected:
                    for _ in range(3):
                        # An answer with descriptors is not kept for who does not take it.
                        session(daemon.socket, eventfds='sendmsg' not in what)
                    self.count(injected())
                self.lives(daemon, fds)
                assert daemon.end() == 0, f'{what}: {daemon.text()}'
        assert self.injected > 100, self.injected
        return None

    def test_calls_once(self):
        if missing := self.strace_missing():
            return missing
        numbers = range(1, 31) if self.thorough else (1, 2, 3, 7, 20)
        for threads in ('off', 'on'):
            for what in ONCE:
                with running(self, '--netdev=loopback', f'--device=threads={threads}') as daemon:
                    session(daemon.socket)
                    fds = count_fds(daemon.process)
                    for number in numbers:
                        if not self.call_once(daemon, what, number):
                            break
                    self.lives(daemon, fds)
                    assert daemon.end() == 0, f'{what}: {daemon.text()}'
        return None

    def call_once(self, daemon, what, number):
        """False if there are not so many calls."""
        with injecting(daemon, f'{what}:when={number}') as injected:
            test_daemon_client.SECONDS = 1  # a guest that waits longer waits in vain
            with contextlib.suppress(OSError, Refused, AssertionError, struct.error):
                session(daemon.socket)
            test_daemon_client.SECONDS = SECONDS
            n = injected()
        assert daemon.process.poll() is None, f'{what}, call {number}: {daemon.text()}'
        self.count(n)
        return n > 0

    # ---- descriptors ----

    def test_no_descriptors(self):
        with running(self, '--netdev=loopback') as daemon:
            pid = daemon.process.pid
            session(daemon.socket)
            fds = count_fds(daemon.process)
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            for more in range(12):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (fds + more, limits[1]))
                before = seconds_of(daemon.process)
                with socket.socket(socket.AF_UNIX) as waits:
                    waits.connect(str(daemon.socket))
                    time.sleep(0.1)
                    spent = seconds_of(daemon.process) - before
                    assert spent < 0.08, f'{spent} s of 0.1 for one who cannot be accepted'
                if more > 0:
                    with contextlib.suppress(OSError, Refused):
                        session(daemon.socket)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
                self.lives(daemon, fds)
                self.count()
            assert daemon.end() == 0

    # ---- disks ----

    def test_full_disks(self):
        def little_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

        with tempfile.TemporaryDirectory() as folder:
            for options in ((f'--trace={folder}/t', '--netdev=loopback'), (f'--netdev=pcap,out={folder}/out',)):
                with running(self, *options, preexec_fn=little_room) as daemon:
                    guest = Guest(Client(daemon.socket))
                    guest.start(FEATURES)
                    for _ in range(100):
                        guest.send(frame())
                        self.count()
                    daemon.wait_for('warning')
                    guest.close()
                    assert daemon.end() == 0, daemon.text()

    def test_full_disk_under_the_log(self):
        with open('/dev/full', 'w') as full, tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / 's'
            with subprocess.Popen([self.program, f'--socket={path}', '--netdev=loopback', '--log-level=debug'],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=full) as process:
                end = time.monotonic() + SECONDS
                while not path.exists():
                    assert time.monotonic() < end and process.poll() is None
                    time.sleep(0.01)
                session(path)
                self.count()
                process.terminate()
                assert process.wait(SECONDS) == 0

    # ---- peers ----

    def test_a_client_that_does_not_read(self):
        with tempfile.TemporaryDirectory() as folder:
            with running(self, '--netdev=loopback', f'--status={folder}/status') as daemon:
                client = Client(daemon.socket)
                client.socket.setblocking(False)
                ask = struct.pack('<HHIII', 1, REGION_READ, 32, 0, 0) + struct.pack('<QII', 0, 7, 256)
                for _ in range(100000):
                    try:
                        client.socket.send(ask)
                    except BlockingIOError:
                        break
                before = seconds_of(daemon.process)
                for _ in range(10):
                    assert b'connected' in read_all(f'{folder}/status')
                    time.sleep(0.02)
                assert seconds_of(daemon.process) - before < 0.15, 'the daemon spins'
                client.close()
                self.lives(daemon)
                self.count()
                assert daemon.end() == 0

    def test_a_network_that_does_not_read(self):
        """What it has no room for is dropped; registers answer; when it reads on, frames are whole and in order."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f'{folder}/net')
            listener.listen()
            with running(self, f'--status={folder}/status',
                         f'--netdev=stream,addr.type=unix,addr.path={folder}/net') as daemon:
                wire = listener.accept()[0]
                wire.settimeout(SECONDS)
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                n = 2000
                for i in range(n):
                    guest.send(frame(payload=b'%06d' % i + bytes(1400)))
                dropped = json.loads(read_all(f'{folder}/status'))['backend']['dropped']
                assert 0 < dropped < n, dropped
                numbers = [self.read_number(wire) for _ in range(n - dropped)]
                assert numbers == sorted(set(numbers)), numbers
                guest.send(frame(payload=b'%06d' % n + bytes(1400)))
                assert self.read_number(wire) == n
                guest.close()
                wire.close()
                self.count()
                assert daemon.end() == 0, daemon.text()

    @staticmethod
    def read_number(wire):
        """Of the next frame."""
        octets = b''
        while len(octets) < 4 + 14 + 1406:
            more = wire.recv(4 + 14 + 1406 - len(octets))
            assert more
            octets += more
        assert octets[:4] == struct.pack('>I', 14 + 1406), octets[:4]
        return int(octets[18:24])

    # ---- the daemon killed ----

    def test_a_daemon_that_is_killed(self):
        """At every so many messages of a session: its client sees an end, and the next daemon serves on that path."""
        every = 1 if self.thorough else 9
        at, whole = 1, False
        while not whole:
            with running(self, '--netdev=loopback') as daemon:
                whole = self.kill_at(daemon, at)
                again = Daemon(self.program, daemon.socket.parent, '--netdev=loopback')
                session(again.socket)
                assert again.end() == 0, again.text()
                again.log.close()
                self.count(not whole)
            at += every

    @staticmethod
    def kill_at(daemon, at):
        """True if the session ended before."""
        call, calls = Client.call, 0

        def counted(client, *args, **more):
            nonlocal calls
            calls += 1
            if calls == at:
                daemon.process.kill()
                daemon.process.wait()
            return call(client, *args, **more)

        Client.call = counted
        try:
            session(daemon.socket, 1)
        except OSError:
            return False
        finally:
            Client.call = call
        daemon.end(signal.SIGKILL)
        return True


def main():
    arguments = [one for one in sys.argv[1:] if one != '--long']
    faults = Faults(arguments[0], '--long' in sys.argv)
    report = tap.Tap()
    for name in dir(faults):
        if not name.startswith('test_') or (arguments[1:] and name not in arguments[1:]):
            continue
        began = faults.injected
        words = re.sub('_', ' ', name[5:])
        try:
            if missing := getattr(faults, name)():
                report.skip(words, missing)
            else:
                report.ok(words, faults.injected > began, 'nothing was injected')
        except Exception as error:  # pylint: disable=broad-except
            where = error.__traceback__
            while where.tb_next:
                where = where.tb_next
            faults.injected += 1
            report.ok(words, False, f'{type(error).__name__} in line {where.tb_lineno}: {error}')
    report.note(f'faults injected: {faults.injected}, survived: {faults.survived}')
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
