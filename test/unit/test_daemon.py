#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vionet-device from outside: its command line, its log, its status, its life, and a guest's traffic
through it. Reports in TAP.

  test_daemon.py PROGRAM TABLES

TABLES prints the library's tables, the list of features among them.
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

import tap  # noqa: E402
from test_daemon_client import (CTRL_RX, CTRL_VQ, HASH_REPORT, MAC, MQ, SECONDS,  # noqa: E402
                                VERSION_1, Client, Guest)

OWN = bytes.fromhex('525400123456')
BROADCAST = b'\xff' * 6
FEATURES = [VERSION_1, MAC, CTRL_VQ, CTRL_RX]

OUTSIDE = {name: value for name, value in os.environ.items() if name != 'NOTIFY_SOCKET'}
# LeakSanitizer starts processes and traces them, which no sandbox is to allow.
ENVIRONMENT = {**OUTSIDE, 'ASAN_OPTIONS': OUTSIDE.get('ASAN_OPTIONS', '') + ':detect_leaks=0'}


def frame(to=OWN, payload=b'vionet'):
    return to + bytes.fromhex('525400654321') + b'\x88\xb5' + payload.ljust(46, b'.')


def checksum(octets):
    total = sum(struct.unpack(f'>{len(octets) // 2}H', octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(router, protocol, payload, to='0a000202'):
    """A packet of libslirp's first guest to its router, with its checksums."""
    ends = bytes.fromhex('0a00020f' + to)
    at = 16 if protocol == 6 else 6
    pseudo = ends + struct.pack('>HH', protocol, len(payload))
    total = struct.pack('>H', checksum(pseudo + payload))
    payload = payload[:at] + total + payload[at + 2:]
    header = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + ends
    header = header[:10] + struct.pack('>H', checksum(header)) + header[12:]
    return router + OWN + b'\x08\x00' + header + payload


def resolve(guest):
    """The router's address, by ARP."""
    guest.send(BROADCAST + OWN + bytes.fromhex('0806 0001 0800 06 04 0001') + OWN +
               bytes.fromhex('0a00020f 000000000000 0a000202') + bytes(18))
    answer = guest.receive()[1]
    assert answer[12:14] == b'\x08\x06' and answer[20:22] == b'\0\2', answer.hex()
    return answer[6:12]


def read_pcapng(octets):
    """Blocks of a big-endian file: type, body; and the packets of it, with their options."""
    packets = []
    at = 0
    while at < len(octets):
        kind, size = struct.unpack_from('>II', octets, at)
        assert struct.unpack_from('>I', octets, at + size - 4)[0] == size
        if kind == 6:
            packets.append(read_packet(octets[at + 8:at + size - 4]))
        at += size
    assert at == len(octets)
    return packets


def read_packet(body):
    _, high, low, kept, whole = struct.unpack_from('>IIIII', body)
    packet = {'time': high << 32 | low, 'octets': body[20:20 + kept], 'length': whole}
    at = 20 + (kept + 3 & ~3)
    while True:
        code, size = struct.unpack_from('>HH', body, at)
        value = body[at + 4:at + 4 + size]
        if code == 0:
            return packet
        packet[{1: 'comment', 2: 'flags', 3: 'hash', 6: 'queue'}[code]] = \
            value.decode() if code == 1 else int.from_bytes(value, 'big')
        at += 4 + (size + 3 & ~3)


class Daemon:
    """The program, running."""

    def __init__(self, program, folder, *options, environment=None, pass_fds=(), own_socket=True,
                 **more):
        self.socket = folder / 'vfio.sock'
        self.log = (folder / 'log').open('a')
        ready, told = os.pipe()
        command = [program, f'--ready-fd={told}', *options]
        if own_socket:
            command.append(f'--socket={self.socket}')
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.log, pass_fds=(told, *pass_fds),
                                        env=environment or ENVIRONMENT, **more)
        os.close(told)
        with os.fdopen(ready) as line:
            self.ready = line.readline()

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def text(self):
        return pathlib.Path(self.log.name).read_text(encoding='utf-8')

    def wait_for(self, pattern):
        """The first match in the log."""
        end = time.monotonic() + SECONDS
        while not (match := re.search(pattern, self.text())):
            assert time.monotonic() < end, f'{pattern} is not in the log: {self.text()}'
            time.sleep(0.01)
        return match


@contextlib.contextmanager
def running(test, *options, **more):
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(test.program, pathlib.Path(folder), *options, **more)
        try:
            yield daemon
        finally:
            if daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
            daemon.log.close()


def read_all(path):
    with socket.socket(socket.AF_UNIX) as reader:
        reader.connect(str(path))
        reader.settimeout(SECONDS)
        text = b''
        while more := reader.recv(65536):
            text += more
    return text


class Tests:
    def __init__(self, program, tables):
        self.program = program
        self.tables = tables

    def run(self, *options, environment=None):
        return subprocess.run([self.program, *options], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors='backslashreplace', timeout=SECONDS, check=False,
                              env=environment or OUTSIDE)

    # ---- command line ----

    def test_help_lists_every_feature_with_its_bit(self):
        done = self.run('--help')
        assert done.returncode == 0, done.stderr
        listed = {name: int(bit) for name, bit in
                  re.findall(r'\b(VIRTIO_\w+) \(bit (\d+)\)', done.stdout)}
        table = subprocess.run([self.tables], capture_output=True, text=True, check=True).stdout
        known = {name: int(bit) for bit, name in re.findall(r'\| (\d+) \| `?(VIRTIO_\w+)`?', table)}
        assert len(known) > 20, table
        missing = {name: bit for name, bit in known.items() if listed.get(name) != bit}
        assert not missing, f'not in the help: {missing}'

    def test_help_lists_properties_and_backends(self):
        text = self.run('--help').stdout
        for word in ('mac=', 'queues=', 'hash-tunnel=', 'Backends:', 'loopback', '--trace'):
            assert word in text, word

    def test_version(self):
        done = self.run('--version')
        assert done.returncode == 0 and re.fullmatch(r'vionet-device \d+\.\d+\.\d+\n', done.stdout)

    def refused(self, sentence, *options, environment=None):
        done = self.run(*options, environment=environment)
        assert done.returncode == 2, f'{options}: exit status {done.returncode}'
        assert done.stderr == f'vionet-device: {sentence}\n', f'{options}: {done.stderr}'

    def test_unusable_options(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f'--socket={folder}/s'
            number = 'expected the number of an open descriptor'
            for sentence, *options in (
                    ('--socket=PATH or --socket-fd=N is missing',),
                    ('--socket and --socket-fd do not go together', path, '--socket-fd=0'),
                    ('unexpected argument loopback', path, 'loopback'),
                    ('Unknown option --sockets=x', '--sockets=x'),
                    (f'--socket-fd=x: {number}', '--socket-fd=x'),
                    (f'--socket-fd=777: {number}', '--socket-fd=777'),
                    (f'--ready-fd=-1: {number}', path, '--ready-fd=-1'),
                    ('descriptor 0: expected a UNIX stream socket that listens', '--socket-fd=0'),
                    ('--protocol=nvme: expected vfio-user or vhost-user', path, '--protocol=nvme'),
                    ('--client goes with --protocol=vhost-user and --socket', path, '--client'),
                    ('--client goes with --protocol=vhost-user and --socket', '--socket-fd=0',
                     '--protocol=vhost-user', '--client'),
                    ('--log-level=loud: expected error, warning, message, info or debug', path,
                     '--log-level=loud'),
                    ('--log-format=xml: expected text or json', path, '--log-format=xml'),
                    ('--trace=t,snap=1: expected FILE or FILE,snaplen=N, N from 1 to 262144', path,
                     '--trace=t,snap=1'),
                    ('--trace=t,snaplen=0: expected FILE or FILE,snaplen=N, N from 1 to 262144', path,
                     '--trace=t,snaplen=0'),
                    (f'trace {folder}: Is a directory', path, f'--trace={folder}'),
                    ('trace /dev/full: No space left on device', path, '--trace=/dev/full'),
                    ('unknown property queus (did you mean queues?)', path, '--device=queus=2'),
                    ('unexpected argument a\\x0ab\\x1b', path, 'a\nb\x1b')):
                self.refused(sentence, *options)
            done = self.run(path, '--netdev=carrier')
            assert done.returncode == 2, done.stderr
            assert done.stderr.startswith('vionet-device: unknown backend "carrier": expected one of')
            assert os.listdir(folder) == [], 'a socket was left behind'

    def test_unusable_paths(self):
        with tempfile.TemporaryDirectory() as folder:
            file = f'{folder}/file'
            pathlib.Path(file).touch()
            there = f'socket {file}: is there, and no socket'
            self.refused(there, f'--socket={file}')
            self.refused(there, f'--socket={folder}/s', f'--status={file}')
            self.refused(f'socket {folder}/no/s: No such file or directory',
                         f'--socket={folder}/no/s')
            long = folder + '/' + 'x' * 108
            self.refused(f'socket {long}: the path is too long', f'--socket={long}')
            self.refused(f'NOTIFY_SOCKET={folder}/n: No such file or directory',
                         f'--socket={folder}/s',
                         environment={**OUTSIDE, 'NOTIFY_SOCKET': f'{folder}/n'})
            assert os.listdir(folder) == ['file'], os.listdir(folder)

    # ---- life ----

    def test_ready_and_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with running(self) as daemon:
                assert daemon.ready == 'ready\n', daemon.text()
                Client(daemon.socket).close()
                assert daemon.end(number) == 0, daemon.text()
                assert not daemon.socket.exists()

    def test_status_path_is_removed_and_a_client_is_dropped_at_the_end(self):
        with tempfile.TemporaryDirectory() as folder:
            with running(self, f'--status={folder}/status') as daemon:
                client = Client(daemon.socket)
                assert daemon.end() == 0
                assert client.socket.recv(1) == b''
                assert os.listdir(folder) == []

    def test_a_socket_left_behind_is_replaced(self):
        with running(self) as daemon:
            daemon.process.kill()
            daemon.process.wait()
            assert daemon.socket.exists()
            again = Daemon(self.program, daemon.socket.parent)
            assert again.ready == 'ready\n', again.text()
            Client(again.socket).close()
            self.refused(f'socket {again.socket}: is served by another process',
                         f'--socket={again.socket}')
            assert again.end() == 0
            again.log.close()

    def test_notify_socket(self):
        for name in ('/notify', '@'):
            with tempfile.TemporaryDirectory() as folder, socket.socket(
                    socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                address = folder + name if name[0] == '/' else '@' + folder
                manager.bind(address.replace('@', '\0'))
                manager.settimeout(SECONDS)
                environment = {**ENVIRONMENT, 'NOTIFY_SOCKET': address}
                with running(self, environment=environment) as daemon:
                    assert manager.recv(100) == b'READY=1'
                    assert daemon.end() == 0

    def test_socket_of_a_manager(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f'{folder}/s')
            listener.listen()
            with running(self, f'--socket-fd={listener.fileno()}', pass_fds=[listener.fileno()],
                         own_socket=False) as daemon:
                client = Client(f'{folder}/s')
                assert b'capabilities' in client.version
                client.close()
                assert daemon.end() == 0
                assert os.listdir(folder) == ['s'], 'the path is the manager\'s'

    def test_once(self):
        with running(self, '--once') as daemon:
            Client(daemon.socket).close()
            assert daemon.process.wait(SECONDS) == 0
            assert not daemon.socket.exists()

    def test_a_second_client_is_turned_away(self):
        with running(self) as daemon:
            first = Client(daemon.socket)
            with socket.socket(socket.AF_UNIX) as second:
                second.settimeout(SECONDS)
                second.connect(str(daemon.socket))
                assert second.recv(1) == b''
            daemon.wait_for('a second client was turned away')
            assert first.read(7, 0, 2) == b'\xf4\x1a'
            first.close()
            daemon.wait_for('client has gone')
            again = Client(daemon.socket)
            assert again.read(7, 0, 2) == b'\xf4\x1a'
            again.close()
            assert daemon.end() == 0

    def test_clients_right_behind_each_other(self):
        with running(self) as daemon:
            for _ in range(50):
                Client(daemon.socket).close()
            assert 'turned away' not in daemon.text()
            assert daemon.end() == 0

    # ---- log ----

    def test_log_as_text(self):
        with running(self, '--log-level=info') as daemon:
            Client(daemon.socket).close()
            daemon.wait_for('client has gone')
            assert daemon.end() == 0
            for line in daemon.text().splitlines():
                assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z '
                                    r'(error|warning|message|info|debug) [^\x00-\x1f]+', line), line
            assert 'info vfio-user: client agreed on version 0.1' in daemon.text()

    def test_log_as_json(self):
        with running(self, '--log-level=info', '--log-format=json') as daemon:
            Client(daemon.socket).close()
            daemon.wait_for('client has gone')
            assert daemon.end() == 0
            entries = [json.loads(line) for line in daemon.text().splitlines()]
            assert [(one['level'], one['message']) for one in entries if 'agreed' in one['message']] \
                == [('info', 'vfio-user: client agreed on version 0.1')], entries
            assert all(set(one) == {'time', 'level', 'message'} for one in entries), entries

    def test_log_level(self):
        with running(self, '--log-level=warning') as daemon:
            Client(daemon.socket).close()
            assert daemon.end() == 0
            assert daemon.text() == ''

    def test_a_guest_does_not_fill_the_disk(self):
        with running(self, '--log-format=json') as daemon:
            guest = Guest(Client(daemon.socket))
            for _ in range(200):  # a driver that resets, and breaks a rule each time
                guest.put(20, '<B', 0)
                guest.put(20, '<B', 7)
            guest.close()
            daemon.wait_for('client has gone')
            assert daemon.end() == 0
            entries = [json.loads(line) for line in daemon.text().splitlines()]
            early = [one for one in entries if one.get('kind') == 'driver-ok-early']
            assert 0 < len(early) <= 20, len(early)
            assert all(one['level'] == 'warning' for one in early)

    # ---- status ----

    def test_status(self):
        with tempfile.TemporaryDirectory() as folder:
            with running(self, f'--status={folder}/status', '--device=host_mtu=1400',
                         '--netdev=loopback') as daemon:
                state = json.loads(read_all(f'{folder}/status'))
                assert state['connected'] is False and state['device']['status'] == []
                assert state['properties']['host_mtu'] == '1400'
                assert 'VIRTIO_NET_F_MTU' in state['device']['offered']
                self.check_status_of_traffic(daemon, folder)
                state = json.loads(read_all(f'{folder}/status'))
                assert state['connected'] is False and state['device']['queues'] == []
                assert state['device']['violations'] == {'queue-select': 1}
                assert daemon.end() == 0

    @staticmethod
    def check_status_of_traffic(daemon, folder):
        guest = Guest(Client(daemon.socket))
        guest.start(FEATURES)
        guest.send(frame())
        assert guest.receive()[1] == frame()
        guest.send(frame(bytes.fromhex('525400999999')))
        guest.put(22, '<H', 77)
        guest.put(24, '<H', 4)
        state = json.loads(read_all(f'{folder}/status'))
        device = state['device']
        assert state['connected'] is True and device['running'] is True
        assert state['backend'] == {'name': 'loopback', 'sent': 2, 'received': 2, 'dropped': 0}
        assert device['status'] == ['ACKNOWLEDGE', 'DRIVER', 'FEATURES_OK', 'DRIVER_OK']
        assert device['negotiated'] == ['VIRTIO_NET_F_MAC', 'VIRTIO_NET_F_CTRL_VQ',
                                        'VIRTIO_NET_F_CTRL_RX', 'VIRTIO_F_VERSION_1'], device
        assert device['offloads'] == []
        queues = {one['queue']: one for one in device['queues']}
        assert queues[0]['kind'] == 'receive' and queues[0]['packets'] == 1
        assert queues[1]['packets'] == 2 and queues[1]['octets'] == 2 * len(frame())
        assert queues[2]['kind'] == 'control' and queues[2]['enabled'] is True
        assert device['verdicts'] == {'delivered': 3, 'filter': 1}, device['verdicts']
        assert device['violations'] == {'queue-select': 1}
        guest.close()
        daemon.wait_for('client has gone')

    def test_status_to_many_and_to_those_who_do_not_read(self):
        with tempfile.TemporaryDirectory() as folder:
            with running(self, f'--status={folder}/status') as daemon:
                idle = []
                for _ in range(20):
                    idle.append(socket.socket(socket.AF_UNIX))
                    idle[-1].connect(f'{folder}/status')
                for _ in range(20):
                    json.loads(read_all(f'{folder}/status'))
                for one in idle:
                    one.close()
                assert daemon.end() == 0

    def test_status_in_the_log(self):
        for form in ('text', 'json'):
            with running(self, f'--log-format={form}', '--log-level=error') as daemon:
                daemon.process.send_signal(signal.SIGUSR1)
                daemon.wait_for(r'violations.*\n')
                assert daemon.end() == 0
                line = daemon.text()
                state = json.loads(line)['document'] if form == 'json' else \
                    json.loads(re.match(r'\S+ message status: (.*)', line)[1])
                assert state['backend']['name'] == 'null'

    # ---- traffic ----

    def test_traffic(self, *options, environment=None):
        with running(self, '--netdev=loopback', '--log-level=info', *options,
                     environment=environment) as daemon:
            for _ in range(2):
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                for i in range(100):
                    sent = frame(payload=b'%d' % i)
                    guest.send(sent)
                    assert guest.receive()[1] == sent
                assert guest.interrupted()
                guest.notify_by_eventfd()
                guest.send(frame())
                assert guest.receive()[1] == frame()
                assert guest.command(0x0000, b'\x01') == 0  # promiscuous
                other = frame(bytes.fromhex('525400999999'))
                guest.send(other)
                assert guest.receive()[1] == other
                guest.client.call(13)  # reset
                assert guest.status() == 0
                guest.client.call(3, struct.pack('<IIQQ', 24, 0, 0, len(guest.memory)))
                guest.close()
                daemon.wait_for('client has gone')
            assert daemon.end() == 0, daemon.text()

    def test_traffic_with_threads(self):
        with tempfile.TemporaryDirectory() as folder:
            self.test_traffic('--device=threads=on', f'--status={folder}/status',
                              f'--trace={folder}/trace')
            seen = read_pcapng(pathlib.Path(f'{folder}/trace').read_bytes())
            assert len(seen) == 2 * 2 * 102, len(seen)

    # ---- sandbox ----

    def test_all_threads_are_locked_up(self):
        threaded = '--device=queues=2,threads=on', '--netdev=loopback'
        for options, filtered in ((), '2'), (threaded, '2'), (('--no-sandbox',), '0'):
            with running(self, *options) as daemon:
                threads = pathlib.Path(f'/proc/{daemon.process.pid}/task')
                for thread in threads.iterdir():
                    text = (thread / 'status').read_text()
                    assert re.search(r'^Seccomp:\t(\d)', text, re.M)[1] == filtered, text
                    assert re.search(r'^NoNewPrivs:\t(\d)', text, re.M)[1] == \
                        str(int(filtered == '2')), text
                assert daemon.end() == 0

    def test_traffic_without_sandbox(self):
        with tempfile.TemporaryDirectory() as folder:
            self.test_traffic('--no-sandbox', f'--status={folder}/status', f'--trace={folder}/trace',
                              environment=OUTSIDE)

    def test_capture_files_in_the_sandbox(self):
        with tempfile.TemporaryDirectory() as folder:
            files = f'pcap,in={folder}/in,out={folder}/out'
            packet = frame(payload=b'from a file')
            pathlib.Path(f'{folder}/in').write_bytes(
                struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) +
                struct.pack('<IIII', 0, 0, len(packet), len(packet)) + packet)
            with running(self, f'--netdev={files}') as daemon:
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                guest.send(frame())
                assert guest.receive()[1] == packet
                guest.close()
                assert daemon.end() == 0, daemon.text()
            written = pathlib.Path(f'{folder}/out').read_bytes()
            assert written.endswith(frame()), written

    def test_sockets_in_the_sandbox(self):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ('stream', 'dgram'):
                self.check_socket(folder, kind)

    def check_socket(self, folder, kind):
        ours, theirs = f'{folder}/{kind}-ours', f'{folder}/{kind}-theirs'
        type_ = socket.SOCK_STREAM if kind == 'stream' else socket.SOCK_DGRAM
        with socket.socket(socket.AF_UNIX, type_) as peer:
            peer.bind(ours)
            peer.settimeout(SECONDS)
            options = f'addr.type=unix,addr.path={ours},reconnect-ms=10' if kind == 'stream' else \
                f'local.type=unix,local.path={theirs},remote.type=unix,remote.path={ours}'
            with running(self, f'--netdev={kind},{options}') as daemon:
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                if kind == 'stream':
                    peer.listen()
                    wire = peer.accept()[0]
                    wire.settimeout(SECONDS)
                    wire.sendall(struct.pack('>I', len(frame())) + frame())
                else:
                    wire = peer
                    wire.sendto(frame(), theirs)
                assert guest.receive()[1] == frame()
                guest.send(frame(BROADCAST))
                assert wire.recv(2000)[-len(frame()):] == frame(BROADCAST)
                wire.close()
                guest.close()
                assert daemon.end() == 0, daemon.text()

    def test_the_network_in_the_sandbox(self):
        if 'user' not in self.run('--help').stdout.split('Backends:')[1]:
            return 'libslirp'
        with running(self, '--netdev=user') as daemon, socket.create_server(
                ('127.0.0.1', 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as echo:
            guest = Guest(Client(daemon.socket))
            guest.start(FEATURES)
            router = resolve(guest)
            server.settimeout(SECONDS)
            port = server.getsockname()[1]
            guest.send(ipv4(router, 6, struct.pack('>HHIIBBHHH', 1025, port, 1, 0, 0x50, 2, 8192,
                                                   0, 0)))
            server.accept()[0].close()
            echo.bind(('127.0.0.1', 0))
            echo.settimeout(SECONDS)
            datagram = struct.pack('>HHHH', 1026, echo.getsockname()[1], 16, 0) + b'question'
            guest.send(ipv4(router, 17, datagram))
            assert echo.recv(100) == b'question'
            # to the name server: libslirp looks for the host's
            guest.send(ipv4(router, 17, struct.pack('>HHHH', 1027, 53, 8, 0), to='0a000203'))
            guest.client.read(7, 0, 2)
            guest.close()
            assert daemon.end() == 0, daemon.text()
        return None

    def test_guests_that_vanish_leave_no_connections(self):
        if 'user' not in self.run('--help').stdout.split('Backends:')[1]:
            return 'libslirp'
        with socket.create_server(('127.0.0.1', 0)) as taken:
            forwarded = taken.getsockname()[1]
        with running(self, f'--netdev=user,hostfwd=tcp:127.0.0.1:{forwarded}-:22') as daemon, \
                socket.create_server(('127.0.0.1', 0)) as server:
            server.settimeout(SECONDS)
            descriptors = []
            for _ in range(20):
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                router = resolve(guest)
                descriptors.append(len(os.listdir(f'/proc/{daemon.process.pid}/fd')))
                guest.send(ipv4(router, 6, struct.pack('>HHIIBBHHH', 1025, server.getsockname()[1],
                                                       1, 0, 0x50, 2, 8192, 0, 0)))
                peer = server.accept()[0]
                peer.settimeout(SECONDS)
                with socket.create_connection(('127.0.0.1', forwarded), SECONDS):
                    while True:  # until the connection that is forwarded comes; others are slirp's
                        packet = guest.receive()[1]
                        if packet[12:14] == b'\x08\x00' and packet[36:38] == b'\0\x16':
                            break
                    guest.close()
                    assert peer.recv(1) == b''
                peer.close()
            assert max(descriptors) == min(descriptors), descriptors
            assert daemon.end() == 0, daemon.text()
        return None

    # ---- trace ----

    def test_trace(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(f'{folder}/a=b,c.pcapng')
            file.write_text('what was there before' * 1000, encoding='ascii')
            option = str(file).replace(',', ',,')
            with running(self, f'--trace={option}', '--netdev=loopback',
                         '--device=queues=2,mq=on,hash=on') as daemon:
                report, value = self.traced_traffic(daemon)
                assert daemon.end() == 0, daemon.text()
            seen = read_pcapng(file.read_bytes())
            self.check_trace(seen, report, value)
            if not shutil.which('tshark'):
                return None
            done = subprocess.run(
                ['tshark', '-r', file, '-T', 'fields', '-e', 'frame.number', '-e', 'frame.len', '-e',
                 'frame.packet_flags_direction', '-e', 'frame.comment'], capture_output=True,
                text=True, timeout=SECONDS, check=True)
            lines = [line.split('\t') for line in done.stdout.splitlines()]
            assert len(lines) == len(seen), done.stdout
            assert [line[3] for line in lines] == [one.get('comment', '') for one in seen], lines
            assert {line[2] for line in lines} <= {'0x00000001', '0x00000002', '1', '2'}, lines
        return None

    @staticmethod
    def traced_traffic(daemon):
        """One frame out and back with a hash, one that the filter drops, one that is no frame."""
        guest = Guest(Client(daemon.socket))
        guest.queues[2].index = 4  # two pairs
        guest.start([*FEATURES, MQ, HASH_REPORT])
        key = bytes(range(40))
        assert guest.command(0x0402, struct.pack('<I', 1 << 2) + bytes(8) + b'\x28' + key) == 0
        packet = ipv4(OWN, 17, struct.pack('>HHHH', 1026, 53, 16, 0) + b'question')
        guest.send(packet)
        header, octets = guest.receive()
        assert octets == packet
        value, report = struct.unpack_from('<IH', header, 12)
        guest.send(frame(bytes.fromhex('525400999999')))
        guest.send(b'')
        guest.close()
        return report, value

    @staticmethod
    def check_trace(seen, report, value):
        assert report == 3 and value != 0  # UDPv4
        assert [one['flags'] for one in seen] == [2, 1, 2, 1, 2], seen
        assert seen[0]['octets'] == seen[1]['octets'] and seen[2]['octets'] == seen[3]['octets']
        assert seen[1]['hash'] == 5 << 32 | value and seen[1]['comment'] == 'report: UDPv4'
        assert 'hash' not in seen[0] and 'comment' not in seen[0] and seen[0]['queue'] == 0
        assert seen[1]['queue'] == 0 and 'queue' not in seen[3]
        assert seen[3]['comment'] == 'dropped: filter' and seen[4]['comment'] == 'dropped: runt'
        assert seen[4]['octets'] == b'' and seen[4]['queue'] == 0
        times = [one['time'] for one in seen]
        assert times == sorted(times) and abs(times[0] / 1e9 - time.time()) < 600, times

    def test_trace_of_a_part(self):
        with tempfile.TemporaryDirectory() as folder:
            with running(self, f'--trace={folder}/t,snaplen=20', '--netdev=loopback') as daemon:
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                guest.send(frame())
                guest.receive()
                guest.close()
                assert daemon.end() == 0
            seen = read_pcapng(pathlib.Path(f'{folder}/t').read_bytes())
            assert [(one['octets'], one['length']) for one in seen] == \
                [(frame()[:20], len(frame()))] * 2, seen

    def test_trace_is_written_while_the_daemon_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            with running(self, f'--trace={folder}/t') as daemon:
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                guest.send(frame())
                end = time.monotonic() + SECONDS
                while len(read_pcapng(pathlib.Path(f'{folder}/t').read_bytes())) < 1:
                    assert time.monotonic() < end, 'nothing was written'
                    time.sleep(0.01)
                guest.close()
                assert daemon.end() == 0

    def test_a_full_disk_ends_the_trace_only(self):
        def little_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        with tempfile.TemporaryDirectory() as folder:
            with running(self, f'--trace={folder}/t', '--netdev=loopback',
                         preexec_fn=little_room) as daemon:
                guest = Guest(Client(daemon.socket))
                guest.start(FEATURES)
                for _ in range(3):
                    for _ in range(200):
                        guest.send(frame())
                        assert guest.receive()[1] == frame()
                    daemon.wait_for(f'warning trace {folder}/t: File too large; it ends here')
                guest.close()
                assert daemon.end() == 0
                assert daemon.text().count('File too large') == 1
            octets = pathlib.Path(f'{folder}/t').read_bytes()
            assert len(octets) <= 20000
            read_pcapng(octets)

    @staticmethod
    def ask_features(front_end):
        """A vhost-user front-end's first question."""
        front_end.sendall(struct.pack('<III', 1, 1, 0))
        answer = front_end.recv(64)
        assert struct.unpack_from('<III', answer) == (1, 5, 8), answer
        return struct.unpack_from('<Q', answer, 12)[0]

    def test_vhost_user(self):
        """One right behind the other: the end of the first may be told after the second has come."""
        with running(self, '--protocol=vhost-user', '--netdev=loopback', '--device=mq=on,queues=2') as daemon:
            for _ in range(50):
                with socket.socket(socket.AF_UNIX) as front_end:
                    front_end.connect(str(daemon.socket))
                    features = self.ask_features(front_end)
                    assert features & 1 << 22 and features & 1 << 30 and features & 1 << 32, hex(features)
            assert daemon.end() == 0
            assert not daemon.socket.exists()

    def test_vhost_user_client(self):
        """In its sandbox it still goes to a front-end, also to one that comes late, and again."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            path = f'{folder}/waits'
            with running(self, '--protocol=vhost-user', '--client', f'--socket={path}', own_socket=False) as daemon:
                listener.bind(path)
                listener.listen()
                listener.settimeout(SECONDS)
                for _ in range(2):
                    front_end = listener.accept()[0]
                    self.ask_features(front_end)
                    front_end.close()
                assert daemon.end() == 0
                assert os.path.exists(path), 'the path is the front-end\'s'


def main():
    tests = Tests(sys.argv[1], sys.argv[2])
    report = tap.Tap()
    wanted = sys.argv[3:]
    for name in dir(tests):
        if not name.startswith('test_') or (wanted and name not in wanted):
            continue
        try:
            if missing := getattr(tests, name)():
                report.skip(name[5:].replace('_', ' '), missing)
            else:
                report.ok(name[5:].replace('_', ' '), True)
        except Exception as error:  # pylint: disable=broad-except
            where = error.__traceback__
            while where.tb_next:
                where = where.tb_next
            report.ok(name[5:].replace('_', ' '), False,
                      f'{type(error).__name__} in line {where.tb_lineno}: {error}')
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
