#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stands between a vfio-user client and its server, and writes down what the client sends.

  record_vfio_user.py AT SERVER FILE    listens at the socket AT, passes one client on to the socket SERVER

FILE gets, for each message of the client: its length (4 octets), the number of descriptors that came with
it (1), the kind of each (1: 0 a file, 1 an eventfd), its octets. make_corpus.py --recorded makes seeds of it.
"""

import os
import select
import socket
import struct
import sys

MOST_FDS = 64


class Recorder:
    """Puts messages together again from the pieces in which they arrive."""

    def __init__(self, output):
        self.output = output
        self.octets = b''
        self.kinds = b''

    def add(self, octets, kinds):
        self.octets += octets
        self.kinds += kinds
        while len(self.octets) >= 16:
            size = max(16, struct.unpack_from('<I', self.octets, 4)[0])
            if len(self.octets) < size:
                return
            self.output.write(struct.pack('<IB', size, len(self.kinds)) + self.kinds + self.octets[:size])
            self.output.flush()
            self.octets, self.kinds = self.octets[size:], b''


def kind_of(fd):
    return 1 if os.readlink(f'/proc/self/fd/{fd}') == 'anon_inode:[eventfd]' else 0


def relay(source, target, recorder):
    """Passes on what is there; false when the source has gone."""
    # A read ends where octets with other descriptors begin, and a client sends a message in one piece.
    octets, fds, _, _ = socket.recv_fds(source, 65536, MOST_FDS)
    if octets:
        if recorder:
            recorder.add(octets, bytes(kind_of(fd) for fd in fds))
        sent = socket.send_fds(target, [octets], fds)
        target.sendall(octets[sent:])
    for fd in fds:
        os.close(fd)
    return bool(octets)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    at, server_path, path = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as server, \
            open(path, 'wb') as output:
        listener.bind(at)
        listener.listen(1)
        client, _ = listener.accept()
        os.unlink(at)
        server.connect(server_path)
        recorder = Recorder(output)
        going = True
        while going:
            for source in select.select([client, server], [], [])[0]:
                if source is client:
                    going = going and relay(client, server, recorder)
                else:
                    going = going and relay(server, client, None)
        client.close()


if __name__ == '__main__':
    main()
