/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way in: the server of the protocol that the command line names, and what all of them have in
 * common. Used by main.c.
 *
 * Threads: that of the event loop. Errors are of domain VIONET_ERROR, one line each.
 */
#ifndef DEVICE_DAEMON_DOOR_H
#define DEVICE_DAEMON_DOOR_H

#include "arguments.h"
#include "frontend.h"

struct door;

/* As in the servers' own operations; each may be NULL. */
struct door_ops {
    void (*connected)(void *opaque, bool connected);
    void (*event)(void *opaque, const VionetEvent *event);
    void (*trace)(void *opaque, const VionetTrace *trace);
};

/* Makes the device, with its server. NULL on error. */
struct door *door_new(const struct arguments *arguments, GMainContext *context,
                      const struct door_ops *ops, void *opaque, GError **error);

/* Ends the connection and frees all; NULL is ignored. */
void door_free(struct door *door);

/* Lets VMMs in, or goes to theirs. False on error. */
bool door_open(struct door *door, const struct arguments *arguments, GError **error);

/* Whether there is a VMM. */
bool door_is_connected(const struct door *door);

/* Stays the door's. */
VionetFrontend *door_frontend(const struct door *door);

#endif
