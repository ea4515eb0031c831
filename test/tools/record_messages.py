#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stands between a vfio-user client, or a vhost-user front-end, and its server, and writes down what it sends.

  record_messages.py PROTOCOL AT SERVER FILE    listens at the socket AT, passes one client on to the socket SERVER;
                                                PROTOCOL is vfio-user or vhost-user

FILE gets, for each message of the client: its length (4 octets), the number of descriptors that came with
it (1), the kind of each (1: 0 a file, 1 an eventfd, 2 a socket), its octets. make_corpus.py makes seeds of it.
"""

import os
import select
import socket
import struct
import sys

MOST_FDS = 64
# Octets of a header, where the length is, and how much more than that a message has.
HEADERS = {'vfio-user': (16, 4, 0), 'vhost-user': (12, 8, 12)}


class Recorder:
    """Puts messages together again from the pieces in which they arrive."""

    def __init__(self, protocol, output):
        self.least, self.at, self.more = HEADERS[protocol]
        self.output = output
        self.octets = b''
        self.kinds = b''

    def size(self):
        """Of the message that is being put together, as far as that is known."""
        if len(self.octets) < self.least:
            return self.least
        return max(self.least, struct.unpack_from('<I', self.octets, self.at)[0] + self.more)

    def missing(self):
        """Octets of it that are: no more are to be read, or descriptors of the next would come with them."""
        return self.size() - len(self.octets)

    def add(self, octets, kinds):
        self.octets += octets
        self.kinds += kinds
        if len(self.octets) >= self.least and self.missing() == 0:
            self.output.write(struct.pack('<IB', len(self.octets), len(self.kinds)) + self.kinds + self.octets)
            self.output.flush()
            self.octets, self.kinds = b'', b''


def kind_of(fd):
    name = os.readlink(f'/proc/self/fd/{fd}')
    return 1 if name == 'anon_inode:[eventfd]' else 2 if name.startswith('socket:') else 0


def relay(source, target, recorder):
    """Passes on what is there; false when the source has gone."""
    octets, fds, _, _ = socket.recv_fds(source, recorder.missing() if recorder else 65536, MOST_FDS)
    if octets:
        if recorder:
            recorder.add(octets, bytes(kind_of(fd) for fd in fds))
        sent = socket.send_fds(target, [octets], fds)
        target.sendall(octets[sent:])
    for fd in fds:
        os.close(fd)
    return bool(octets)


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in HEADERS:
        sys.exit(__doc__)
    protocol, at, server_path, path = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as server, \
            open(path, 'wb') as output:
        listener.bind(at)
        listener.listen(1)
        client, _ = listener.accept()
        os.unlink(at)
        server.connect(server_path)
        recorder = Recorder(protocol, output)
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
