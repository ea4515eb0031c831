#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Failover through vionet-device, in its sandbox: a monitor of our own, which does as QEMU does or worse, a driver,
and management at the control socket. Reports in TAP.

  test_failover.py PROGRAM
"""

import contextlib
import json
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'tools'))

import tap  # noqa: E402
from test_daemon import OUTSIDE, read_all, running  # noqa: E402
from test_daemon_client import RESET, SECONDS, VERSION_1, MAC, Client, Guest  # noqa: E402

STANDBY = 62
OTHERS = [VERSION_1, MAC]
PRIMARY = 'vmxnet3,id=primary0,mac=52:54:00:12:34:56,netdev=net1'
ARGUMENTS = {'driver': 'vmxnet3', 'id': 'primary0', 'mac': '52:54:00:12:34:56', 'netdev': 'net1'}
GREETING = {'QMP': {'version': {'qemu': {'major': 11, 'minor': 1, 'micro': 0}, 'package': ''}, 'capabilities': []}}


def heard(end):
    """What comes; nothing at the end, which may come hard: what we have written was not read."""
    try:
        return end.recv(65536)
    except ConnectionResetError:
        return b''


class Lines:
    """A socket on which lines of JSON come."""

    def __init__(self, end):
        self.end = end
        self.end.settimeout(SECONDS)
        self.buffer = b''

    def next(self):
        while b'\n' not in self.buffer:
            more = heard(self.end)
            if not more:
                raise EOFError('the connection was closed')
            self.buffer += more
        line, self.buffer = self.buffer.split(b'\n', 1)
        return json.loads(line)

    def is_quiet(self, seconds=0.3):
        return not self.buffer and not select.select([self.end], [], [], seconds)[0]

    def close(self):
        self.end.close()


class Monitor(Lines):
    """QEMU's side of one connection."""

    def __init__(self, listener, devices=()):
        super().__init__(listener.accept()[0])
        self.say(GREETING)
        self.expect('qmp_capabilities')
        self.expect('migrate-set-capabilities', capabilities=[{'capability': 'events', 'state': True}])
        self.expect('qom-list', answer=[{'name': name, 'type': 'child<x>'} for name in ('type', *devices)],
                    path='/machine/peripheral')

    def say(self, document):
        self.end.sendall(json.dumps(document).encode() + b'\r\n')

    def event(self, name, **data):
        self.say({'event': name, 'data': data, 'timestamp': {'seconds': 1, 'microseconds': 2}})

    def expect(self, command, answer=None, error=None, **arguments):
        """The next command is that one; it is answered."""
        message = self.next()
        assert message['execute'] == command and message.get('arguments', {}) == arguments, message
        if error:
            self.say({'error': {'class': error, 'desc': 'it is so'}, 'id': message['id']})
        else:
            self.say({'return': answer or {}, 'id': message['id']})

    def expect_add(self, **more):
        self.expect('device_add', **more, **ARGUMENTS)

    def expect_del(self, **more):
        self.expect('device_del', **more, id='primary0')

    def deleted(self):
        self.event('DEVICE_DELETED', device='primary0', path='/machine/peripheral/primary0')


class Management(Lines):
    """A client of the control socket."""

    def __init__(self, path):
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(path))
        super().__init__(end)
        self.first = self.next()

    def command(self, name):
        """Its answer; events that came before it are in self.events."""
        self.end.sendall(name.encode() + b'\n')
        self.events = []
        while 'command' not in (line := self.next()):
            self.events.append(line)
        assert line['command'] == name, line
        return line.get('why')

    def wait(self, name):
        while (line := self.next()).get('event') != name:
            pass
        return line


class Rig:
    """A daemon with its socket for a monitor, management, and perhaps a driver."""

    def __init__(self, test, model, stack, *options):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.listener.bind(str(self.folder / 'qmp'))
        self.listener.listen()
        self.listener.settimeout(SECONDS)
        self.daemon = stack.enter_context(running(
            test, '--device=standby=on', f'--standby={model}', f'--qmp={self.folder}/qmp', f'--primary={PRIMARY}',
            f'--control={self.folder}/control', f'--status={self.folder}/status', '--log-level=info', *options))
        self.management = Management(self.folder / 'control')
        stack.callback(self.management.close)

    def guest(self, stack, *features):
        client = Client(self.daemon.socket)
        guest = Guest(client)
        stack.callback(guest.close)
        guest.start([*OTHERS, *features])
        return guest

    def status(self):
        return json.loads(read_all(self.folder / 'status'))['standby']

    def state(self):
        return self.status()['primary']

    def wait_state(self, state):
        end = time.monotonic() + SECONDS
        while self.state() != state:
            assert time.monotonic() < end, f'{state} does not come: {self.status()}\n{self.daemon.text()}'
            time.sleep(0.01)

    def end(self):
        assert self.daemon.end() == 0
        assert not (self.folder / 'control').exists()


class Tests:
    def __init__(self, program):
        self.program = program

    def test_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            pair = (f'--qmp={folder}/q', '--standby=coupled')
            for sentence, *options in (
                    ('--qmp and --primary go together', f'--qmp={folder}/q'),
                    ('--qmp and --primary go together', '--primary=a,id=b'),
                    ('--standby, --qmp, --primary and --control go with --protocol=vfio-user',
                     '--protocol=vhost-user', '--standby=coupled'),
                    ('--standby=loose: expected separate, coupled or combined, and release= from 1 to 3600',
                     '--standby=loose'),
                    ('--standby=coupled,release=0: expected separate, coupled or combined, and release= from 1 to 3600',
                     '--standby=coupled,release=0'),
                    ('--primary: driver and id are needed', '--primary=vmxnet3', *pair),
                    ('--primary: driver and id are needed', '--primary={"driver":"vmxnet3","id":7}', *pair),
                    ('--primary: not a JSON object', '--primary={"driver"', *pair),
                    ('--primary: mac is not a MAC address', '--primary=a,id=b,mac=52:54:00:12:34', *pair),
                    ('primary: its MAC address is not the standby\'s', '--primary=a,id=b,mac=52:54:00:12:34:57', *pair)):
                done = subprocess.run([self.program, f'--socket={folder}/s', *options], stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=SECONDS, check=False, env=OUTSIDE)
                assert (done.returncode, done.stderr) == (2, f'vionet-device: {sentence}\n'), (options, done.stderr)

    def test_arguments_are_what_they_look_like(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack, '--primary=e1000e,id=1,bus=rp0,multifunction=on,bootindex=3,x=a,,b')
            rig.guest(stack, STANDBY)
            Monitor(rig.listener).expect('device_add', driver='e1000e', id='1', bus='rp0', multifunction=True,
                                         bootindex=3, x='a,b')
            rig.end()
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'combined', stack, '--primary={"driver":"vfio-pci","id":"p","host":"0000:01:00.0","n":"3"}')
            rig.guest(stack, STANDBY)
            Monitor(rig.listener).expect('device_add', driver='vfio-pci', id='p', host='0000:01:00.0', n='3')
            rig.end()

    def test_coupled(self):
        """Shown at DRIVER_OK, asked back when the driver goes, hidden at once by a reset of the machine."""
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack)
            assert rig.management.first == {'model': 'coupled', 'primary': 'hidden', 'negotiated': False,
                                            'blocks-migration': False, 'monitor': False}, rig.management.first
            monitor = Monitor(rig.listener)
            guest = rig.guest(stack, STANDBY)
            monitor.expect_add()
            assert rig.management.wait('running') == {'event': 'running', 'from': 'hidden', 'to': 'visible',
                                                      'action': 'show', 'outcome': 'done'}
            assert rig.status() == {'model': 'coupled', 'primary': 'visible', 'negotiated': True,
                                    'blocks-migration': True, 'monitor': True}, rig.status()
            guest.put(20, '<B', 0)
            monitor.expect_del()
            assert rig.state() == 'unplugging'
            monitor.deleted()
            rig.wait_state('hidden')
            guest.start([*OTHERS, STANDBY])
            monitor.expect_add()
            guest.client.call(RESET)
            assert rig.state() == 'hidden'
            monitor.expect_del()
            # It begins again before the VMM has removed it: then it comes anew.
            guest.start([*OTHERS, STANDBY])
            assert rig.state() == 'visible'
            assert monitor.is_quiet()
            monitor.deleted()
            monitor.expect_add()
            # The VMM ends.
            guest.client.close()
            rig.wait_state('hidden')
            monitor.expect_del()
            rig.end()

    def test_driver_without_the_feature(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'combined', stack)
            monitor = Monitor(rig.listener)
            rig.guest(stack)
            assert rig.management.command('show') is None
            assert rig.management.command('migration-failed') is None
            assert monitor.is_quiet()
            assert rig.state() == 'hidden' and not rig.status()['negotiated']
            rig.end()

    def test_separate(self):
        """Nothing happens by itself, and all on command."""
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'separate', stack)
            monitor = Monitor(rig.listener)
            guest = rig.guest(stack, STANDBY)
            event = rig.management.wait('running')
            assert (event['action'], event['outcome'], event['to']) == ('show', 'advised', 'hidden'), event
            assert monitor.is_quiet()
            assert rig.management.command('show') is None
            monitor.expect_add()
            guest.put(20, '<B', 0)
            event = rig.management.wait('driver-reset')
            assert (event['action'], event['outcome'], event['to']) == ('unplug', 'advised', 'visible'), event
            assert rig.management.command('remove') is None
            monitor.expect_del()
            monitor.deleted()
            event = rig.management.wait('released')
            assert event['to'] == 'absent', event
            assert rig.management.command('hide') == 'the primary is absent'
            assert rig.management.command('add') is None
            assert rig.management.command('add') == 'primary: there is one already'
            assert rig.management.command('sh\xf6w') == 'no such command'
            rig.end()

    def test_separate_without_a_monitor(self):
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            daemon = stack.enter_context(running(self, '--device=standby=on', f'--control={folder}/control'))
            management = Management(folder / 'control')
            assert management.first == {'model': 'separate', 'primary': 'absent', 'negotiated': False,
                                        'blocks-migration': False}, management.first
            guest = Guest(Client(daemon.socket))
            guest.start([*OTHERS, STANDBY])
            assert management.wait('accepted')['outcome'] == 'done'
            assert management.wait('running')['to'] == 'absent'
            assert management.command('add') == '--primary: there is none on the command line'
            guest.close()
            management.wait('machine-reset')
            management.close()
            assert daemon.end() == 0

    def test_combined_follows_migration(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'combined', stack)
            monitor = Monitor(rig.listener)
            rig.guest(stack, STANDBY)
            monitor.expect_add()
            assert rig.management.command('migration-starts') is None
            monitor.expect_del()
            monitor.deleted()
            rig.wait_state('hidden')
            monitor.event('MIGRATION', status='setup')
            monitor.event('MIGRATION', status='active')
            monitor.event('MIGRATION', status='failed')
            monitor.expect_add()
            assert rig.state() == 'visible'
            # Nobody has asked for the primary before: the VMM does not remove it now, so it must not go on.
            monitor.event('MIGRATION', status='setup')
            monitor.expect_del(error='GenericError')
            monitor.expect('migrate_cancel')
            rig.daemon.wait_for('warning standby: migration cancelled: the guest still has the primary')
            monitor.event('MIGRATION', status='cancelled')
            # It fails before the guest has let go, which it then does: it gets it again.
            assert rig.management.command('migration-starts') is None
            monitor.expect_del()
            monitor.event('MIGRATION', status='failed')
            rig.management.wait('migration-failed')
            assert rig.state() == 'unplugging'
            monitor.deleted()
            monitor.expect_add()
            # It succeeds.
            assert rig.management.command('migration-starts') is None
            monitor.expect_del()
            monitor.deleted()
            monitor.event('MIGRATION', status='completed')
            assert rig.management.wait('migration-left')['to'] == 'hidden'
            assert rig.management.command('show') is None
            assert monitor.is_quiet() and rig.state() == 'hidden'
            rig.end()

    def test_coupled_leaves_migration_to_management(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack)
            monitor = Monitor(rig.listener)
            rig.guest(stack, STANDBY)
            monitor.expect_add()
            monitor.event('MIGRATION', status='setup')
            assert rig.management.wait('migration-starts')['outcome'] == 'advised'
            monitor.event('MIGRATION', status='failed')
            assert rig.management.command('hide') is None
            monitor.expect_del()
            monitor.deleted()
            rig.wait_state('hidden')
            assert rig.management.command('show') is None
            monitor.expect_add()
            rig.end()

    def test_a_guest_that_does_not_let_go(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'combined,release=1', stack)
            monitor = Monitor(rig.listener)
            rig.guest(stack, STANDBY)
            monitor.expect_add()
            assert rig.management.command('hide') is None
            monitor.expect_del()
            assert rig.management.wait('refused')['to'] == 'visible'
            rig.daemon.wait_for('warning standby: refused')
            # The request stands in the VMM, and is not made again.
            assert rig.management.command('hide') is None
            assert monitor.is_quiet()
            monitor.deleted()
            rig.wait_state('hidden')
            assert rig.management.command('show') is None
            monitor.expect_add()
            # One that says no.
            assert rig.management.command('hide') is None
            monitor.expect_del()
            monitor.event('DEVICE_UNPLUG_GUEST_ERROR', device='another', path='/x')
            monitor.event('DEVICE_UNPLUG_GUEST_ERROR', device='primary0', path='/x')
            assert rig.management.wait('refused')['to'] == 'visible'
            # One that lets go unasked.
            monitor.deleted()
            rig.wait_state('hidden')
            assert monitor.is_quiet()
            rig.end()

    def test_a_guest_that_went_before_its_primary_came(self):
        """Then it is hidden, and management told: no driver with STANDBY is there to have it."""
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack)
            monitor = Monitor(rig.listener)
            guest = rig.guest(stack, STANDBY)
            monitor.expect_add()
            guest.client.call(RESET)
            monitor.expect_del()
            guest.start([*OTHERS, STANDBY])
            assert rig.state() == 'visible'
            assert rig.management.command('migration-left') is None
            monitor.deleted()
            assert rig.management.wait('released')['to'] == 'hidden'
            assert monitor.is_quiet()
            # It is here after all.
            guest.put(20, '<B', 0)
            guest.start([*OTHERS, STANDBY])
            monitor.expect_add()
            rig.end()
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'separate', stack)
            monitor = Monitor(rig.listener)
            guest = rig.guest(stack, STANDBY)
            rig.management.wait('running')
            assert rig.management.command('show') is None
            monitor.expect_add()
            guest.put(20, '<B', 0)
            assert rig.management.wait('driver-reset')['to'] == 'visible'
            monitor.close()
            monitor = Monitor(rig.listener)
            assert rig.management.wait('released')['to'] == 'hidden'
            assert monitor.is_quiet()
            rig.end()

    def test_a_primary_that_cannot_be_added(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack)
            monitor = Monitor(rig.listener)
            guest = rig.guest(stack, STANDBY)
            monitor.expect_add(error='GenericError')
            assert rig.management.wait('show-failed')['to'] == 'hidden'
            rig.daemon.wait_for('warning standby: the primary cannot be added: it is so')
            assert monitor.is_quiet()
            guest.put(20, '<B', 0)
            guest.start([*OTHERS, STANDBY])
            monitor.expect_add()
            assert rig.management.command('hide') is None
            monitor.expect_del(error='DeviceNotFound')
            rig.wait_state('hidden')
            rig.end()

    def test_the_monitor_comes_late_and_again(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack)
            guest = rig.guest(stack, STANDBY)
            rig.wait_state('visible')
            monitor = Monitor(rig.listener)
            monitor.expect_add()
            monitor.close()
            guest.put(20, '<B', 0)
            # It has the primary, which nobody wants any more.
            monitor = Monitor(rig.listener, ['other', 'primary0'])
            monitor.expect_del()
            assert rig.state() == 'unplugging'
            monitor.close()
            # It has lost it meanwhile.
            monitor = Monitor(rig.listener)
            rig.wait_state('hidden')
            # It has it, and the guest is to have it.
            guest.start([*OTHERS, STANDBY])
            monitor.expect_add()
            monitor.close()
            monitor = Monitor(rig.listener, ['primary0'])
            assert monitor.is_quiet() and rig.state() == 'visible'
            rig.end()

    def test_a_monitor_that_is_killed_at_each_step(self):
        """Before each of its lines, and in the middle of each; the next one is asked all of it again."""
        answers = {'qmp_capabilities': {}, 'migrate-set-capabilities': {}, 'qom-list': [], 'device_add': {}}
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack)
            rig.guest(stack, STANDBY)
            for steps in range(len(answers) + 1):
                for part in (0, 10):
                    monitor = Lines(rig.listener.accept()[0])
                    line = json.dumps(GREETING).encode() + b'\n'
                    for name in list(answers)[:steps]:
                        monitor.end.sendall(line)
                        message = monitor.next()
                        assert message['execute'] == name, message
                        line = json.dumps({'return': answers[name], 'id': message['id']}).encode() + b'\n'
                    monitor.end.sendall(line[:part])
                    monitor.close()
            monitor = Monitor(rig.listener)
            monitor.expect_add()
            rig.wait_state('visible')
            rig.end()

    def test_a_monitor_that_talks_nonsense(self):
        """It loses its connection, or is not listened to; nothing waits, and the next one is served."""
        ended = (b'x\n', b'{}\n', b'[]\n', b'3\n', b'{"QMP":3}\n', b'{"event":"RESET"}\n', b'{"return":{}}\n',
                 b'y' * (80 * 1024))
        ended_later = (b'{"return":{}}\n', b'{"return":{},"id":4711}\n', b'{"return":{},"id":"1"}\n',
                       b'{"error":3,"id":1}\n', b'{"event"\n', b'[[[]\n', b' ' * (80 * 1024))
        left_out = (b'[' * 1000 + b'\n', b'{"a":' * 1000 + b'\n', b'\0\n', b'{"event":"\\ud800\\udc00"}\n', b'\n', b'\r\n',
                    b'{"event":7}\n', b'{"event":"MIGRATION"}\n', b'{"event":"MIGRATION","data":[]}\n',
                    b'{"event":"MIGRATION","data":{"status":{}}}\n', b'{"event":"DEVICE_DELETED","data":{"device":1}}\n',
                    b'{"event":"DEVICE_DELETED","data":{}}\n', b'{"event":"X","data":null}\n')
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'combined', stack)
            for nonsense in ended:
                with rig.listener.accept()[0] as end:
                    end.settimeout(SECONDS)
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        end.sendall(nonsense)
                    assert heard(end) == b'', nonsense[:80]
            for nonsense in ended_later:
                monitor = Monitor(rig.listener)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    monitor.end.sendall(nonsense)
                try:
                    raise AssertionError(f'{nonsense[:80]}: {monitor.next()}')
                except EOFError:
                    monitor.close()
            monitor = Monitor(rig.listener)
            for nonsense in left_out:
                monitor.end.sendall(nonsense)
            rig.guest(stack, STANDBY)
            monitor.expect_add()
            assert rig.state() == 'visible'
            # Answers that are not what was asked for.
            for answer in ({}, 3, None, [1, {}, {'name': 3}, {'name': None}]):
                monitor.close()
                monitor = Lines(rig.listener.accept()[0])
                monitor.end.sendall(json.dumps(GREETING).encode() + b'\n')
                for name in ('qmp_capabilities', 'migrate-set-capabilities', 'qom-list'):
                    message = monitor.next()
                    assert message['execute'] == name, message
                    returned = answer if name == 'qom-list' else {}
                    monitor.end.sendall(json.dumps({'return': returned, 'id': message['id']}).encode() + b'\n')
            assert monitor.next()['execute'] == 'device_add'  # by the last one's list it is gone
            rig.end()

    def test_management_that_misbehaves(self):
        with contextlib.ExitStack() as stack:
            rig = Rig(self, 'coupled', stack)
            for nonsense in (b'x' * 200, b'\n' * 20000):
                with socket.socket(socket.AF_UNIX) as end:
                    end.settimeout(SECONDS)
                    end.connect(str(rig.folder / 'control'))
                    with contextlib.suppress(OSError):
                        end.sendall(nonsense)
                        end.shutdown(socket.SHUT_WR)
                        while end.recv(65536):
                            pass
            # Nobody reads these answers.
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(str(rig.folder / 'control'))
                end.settimeout(SECONDS)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    for _ in range(200000):
                        end.sendall(b'hide\nshow\n')
                    raise AssertionError('a client that does not read is kept for ever')
            assert rig.management.command('hide') is None
            others = [Management(rig.folder / 'control') for _ in range(8)]
            assert others[-1].command('hide') is None
            for other in others:
                assert other is others[-1] or other.next()['event'] == 'hide'
                other.close()
            rig.end()


def main():
    tests = Tests(sys.argv[1])
    report = tap.Tap()
    wanted = sys.argv[2:]
    for name in dir(tests):
        if not name.startswith('test_') or (wanted and name not in wanted):
            continue
        try:
            getattr(tests, name)()
            report.ok(name[5:].replace('_', ' '), True)
        except Exception as error:  # pylint: disable=broad-except
            where = error.__traceback__
            while where.tb_next and where.tb_next.tb_frame.f_code.co_filename == __file__:
                where = where.tb_next
            report.ok(name[5:].replace('_', ' '), False,
                      f'{type(error).__name__} in line {where.tb_lineno}: {error}')
    return report.done()


if __name__ == '__main__':
    sys.exit(main())
