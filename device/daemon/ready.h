/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells who started the daemon that VMMs can connect: a line to a descriptor, and the message that
 * sd_notify(3) sends to the socket in $NOTIFY_SOCKET.
 */
#ifndef DEVICE_DAEMON_READY_H
#define DEVICE_DAEMON_READY_H

#include <stdbool.h>

#include <glib.h>

struct ready {
    int fd;     /* -1: none */
    int notify; /* a socket connected to $NOTIFY_SOCKET, -1: none */
};

/* While sockets can still be made. fd is taken over. False on error. */
bool ready_open(struct ready *ready, int fd, GError **error);

/* Tells them, and closes both. Who does not listen any more is not waited for. */
void ready_tell(struct ready *ready);

#endif
