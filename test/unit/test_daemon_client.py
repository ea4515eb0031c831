# SPDX-License-Identifier: BSD-3-Clause
"""A vfio-user client and a guest driver, as little of each as test_daemon.py needs. Written from the
specifications, not from device/: the numbers here are a second opinion on those there."""

import array
import mmap
import os
import select
import socket
import struct
import time

SECONDS = 30  # that a program may take to do what it was asked

VERSION, DMA_MAP, DMA_UNMAP, DEVICE_INFO, REGION_INFO, REGION_IO_FDS = 1, 2, 3, 4, 5, 6
IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE, RESET = 7, 8, 9, 10, 13
CONFIG_REGION = 7
MSIX = 2

MEMORY = 1 << 20
RECEIVE, TRANSMIT, CONTROL = 0, 1, 2  # of a device with one pair
QUEUE_SIZE = 16
BUFFER = 2048

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8
VERSION_1, MAC, CTRL_VQ, CTRL_RX, MQ, HASH_REPORT = 32, 5, 17, 18, 22, 57


class Refused(Exception):
    """The server answered with an error."""


class Client:
    """A connection that has agreed on a version."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(SECONDS)
        self.socket.connect(str(path))
        self.id = 0
        self.version = self.call(VERSION, struct.pack('<HH', 0, 1) + b'{"capabilities":{}}\0')

    def call(self, command, payload=b'', fds=()):
        self.id += 1
        header = struct.pack('<HHIII', self.id, command, 16 + len(payload), 0, 0)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.socket.sendmsg([header + payload], rights)
        head, self.fds, *_ = socket.recv_fds(self.socket, 16, 16)
        if not head:
            raise ConnectionResetError('the server closed the connection')
        head += self.take(16 - len(head))
        number, command_back, size, flags, error = struct.unpack('<HHIII', head)
        answer = self.take(size - 16)
        assert (number, command_back, flags & 0xf) == (self.id, command, 1), (number, command_back)
        if flags & 0x20:
            raise Refused(os.strerror(error))
        return answer

    def take(self, n):
        octets = b''
        while len(octets) < n:
            more = self.socket.recv(n - len(octets))
            if not more:
                raise ConnectionResetError('the server closed the connection')
            octets += more
        return octets

    def read(self, region, offset, n):
        return self.call(REGION_READ, struct.pack('<QII', offset, region, n))[16:]

    def write(self, region, offset, octets):
        self.call(REGION_WRITE, struct.pack('<QII', offset, region, len(octets)) + octets)

    def close(self):
        self.socket.close()


class Queue:
    """A split virtqueue in guest memory: descriptors, available and used ring, a buffer for each."""

    def __init__(self, index, at):
        self.index = index
        self.desc, self.avail, self.used = at, at + 0x400, at + 0x800
        self.buffers = at + 0x1000
        self.n_avail = 0
        self.n_used = 0


class Guest:
    """A driver of a virtio-net device with one queue pair and a control queue."""

    def __init__(self, client):
        self.client = client
        self.fd = os.memfd_create('guest')
        os.ftruncate(self.fd, MEMORY)
        self.memory = mmap.mmap(self.fd, MEMORY)
        client.call(DMA_MAP, struct.pack('<IIQQQ', 32, 3, 0, 0, MEMORY), [self.fd])
        self.interrupt = os.eventfd(0, os.EFD_NONBLOCK)
        self.find_structures()
        self.queues = [Queue(i, 0x10000 * (i + 1)) for i in range(3)]
        self.header = 12
        self.notify_fd = -1

    # ---- registers ----

    def find_structures(self):
        config = self.client.read(CONFIG_REGION, 0, 256)
        self.where = {}
        at = config[0x34]
        while at:
            if config[at] == 9:
                bar, offset = config[at + 4], struct.unpack_from('<I', config, at + 8)[0]
                self.where[config[at + 3]] = bar, offset
                if config[at + 3] == 2:
                    self.multiplier = struct.unpack_from('<I', config, at + 16)[0]
            at = config[at + 1]
        self.client.write(CONFIG_REGION, 4, struct.pack('<H', 6))  # memory, bus master

    def put(self, offset, form, value):
        bar, at = self.where[1]
        self.client.write(bar, at + offset, struct.pack(form, value))

    def get(self, offset, form):
        bar, at = self.where[1]
        return struct.unpack(form, self.client.read(bar, at + offset, struct.calcsize(form)))[0]

    def status(self):
        return self.get(20, '<B')

    def start(self, features):
        """Life cycle up to DRIVER_OK, with MSI-X: one vector for all queues."""
        self.client.call(SET_IRQS, struct.pack('<IIIII', 20, 0x24, MSIX, 0, 1), [self.interrupt])
        self.client.write(1, 0, struct.pack('<QII', 0xfee00000, 0, 0))  # vector 0, not masked
        control = self.msix_control()
        self.client.write(CONFIG_REGION, control, struct.pack('<H', 0x8000))
        self.put(20, '<B', 0)
        self.put(20, '<B', ACKNOWLEDGE | DRIVER)
        wanted = sum(1 << bit for bit in features)
        for window in (0, 1):
            self.put(8, '<I', window)
            self.put(12, '<I', wanted >> 32 * window & 0xffffffff)
        self.put(20, '<B', ACKNOWLEDGE | DRIVER | FEATURES_OK)
        assert self.status() & FEATURES_OK, 'the device does not take these features'
        self.header = 20 if HASH_REPORT in features else 12
        for queue in self.queues[:3 if CTRL_VQ in features else 2]:
            self.set_up(queue)
        self.put(20, '<B', ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
        for i in range(QUEUE_SIZE):
            self.add(self.queues[RECEIVE], [(i, BUFFER, True)])
        self.notify(RECEIVE)

    def msix_control(self):
        config = self.client.read(CONFIG_REGION, 0, 256)
        at = config[0x34]
        while config[at] != 0x11:
            at = config[at + 1]
        return at + 2

    def set_up(self, queue):
        self.put(22, '<H', queue.index)
        self.put(24, '<H', QUEUE_SIZE)
        self.put(26, '<H', 0)
        self.put(32, '<Q', queue.desc)
        self.put(40, '<Q', queue.avail)
        self.put(48, '<Q', queue.used)
        self.put(28, '<H', 1)

    def notify_by_eventfd(self):
        """From now on the transmit queue is notified by a descriptor."""
        bar, at = self.where[2]
        answer = self.client.call(REGION_IO_FDS, struct.pack('<IIII', 16 + 3 * 40, 0, bar, 0))
        assert struct.unpack_from('<IIII', answer)[3] == 3, answer.hex()
        places = [struct.unpack_from('<QQII', answer, 16 + 40 * i) for i in range(3)]
        assert [one[0] for one in places] == [at + i * self.multiplier for i in range(3)], places
        self.notify_fd = self.client.fds[places[TRANSMIT][2]]

    def notify(self, index):
        if index == TRANSMIT and self.notify_fd >= 0:
            os.eventfd_write(self.notify_fd, 1)
            return
        bar, at = self.where[2]
        self.client.write(bar, at + index * self.multiplier, struct.pack('<H', index))

    # ---- rings ----

    def add(self, queue, descriptors):
        """Makes a chain available: (slot, octets, writable) each, in the queue's own buffers."""
        for i, (slot, size, writable) in enumerate(descriptors):
            last = i + 1 == len(descriptors)
            struct.pack_into('<QIHH', self.memory, queue.desc + 16 * slot,
                             queue.buffers + BUFFER * slot, size,
                             (0 if last else 1) | (2 if writable else 0),
                             0 if last else descriptors[i + 1][0])
        struct.pack_into('<H', self.memory, queue.avail + 4 + 2 * (queue.n_avail % QUEUE_SIZE),
                         descriptors[0][0])
        queue.n_avail += 1
        struct.pack_into('<H', self.memory, queue.avail + 2, queue.n_avail & 0xffff)

    def buffer(self, queue, slot, octets=None):
        at = queue.buffers + BUFFER * slot
        if octets is not None:
            self.memory[at:at + len(octets)] = octets
        return at

    def wait_used(self, queue):
        """The next used element: slot, octets."""
        end = time.monotonic() + SECONDS
        while struct.unpack_from('<H', self.memory, queue.used + 2)[0] == queue.n_used & 0xffff:
            assert time.monotonic() < end, f'queue {queue.index}: nothing was used'
            select.select([self.interrupt], [], [], 0.01)
        slot, octets = struct.unpack_from('<II', self.memory,
                                          queue.used + 4 + 8 * (queue.n_used % QUEUE_SIZE))
        queue.n_used += 1
        return slot, octets

    # ---- frames and commands ----

    def send(self, frame, header=None):
        queue = self.queues[TRANSMIT]
        octets = (bytes(self.header) if header is None else header) + frame
        self.buffer(queue, 0, octets)
        self.add(queue, [(0, len(octets), False)])
        self.notify(TRANSMIT)
        self.wait_used(queue)

    def receive(self):
        """The next frame, with its packet header in front; its buffer is given again."""
        queue = self.queues[RECEIVE]
        slot, octets = self.wait_used(queue)
        at = self.buffer(queue, slot)
        packet = bytes(self.memory[at:at + octets])
        self.add(queue, [(slot, BUFFER, True)])
        self.notify(RECEIVE)
        return packet[:self.header], packet[self.header:]

    def command(self, number, data):
        """A control command (class << 8 | command); the device's answer."""
        queue = self.queues[CONTROL]
        self.buffer(queue, 0, struct.pack('>H', number) + data)
        at = self.buffer(queue, 1, b'\xff')
        self.add(queue, [(0, 2 + len(data), False), (1, 1, True)])
        self.notify(queue.index)
        self.wait_used(queue)
        return self.memory[at]

    def interrupted(self):
        return bool(select.select([self.interrupt], [], [], SECONDS)[0])

    def close(self):
        self.client.close()
        os.close(self.interrupt)
        os.close(self.fd)
