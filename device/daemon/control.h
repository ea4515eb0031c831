/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket at which management commands, and hears what happens: lines, commands as words one way, JSON the other.
 * Whoever connects gets a line that says how things stand, then one for each event and one for each of its commands:
 *
 *     < {"model":"coupled","primary":"hidden","negotiated":true,"blocks-migration":false}
 *     > show
 *     < {"event":"show","from":"hidden","to":"visible","action":"show","outcome":"done"}
 *     < {"command":"show","done":true}
 *
 * A client that does not read loses its connection, as does one that writes what is no line. Used by main.c.
 * Threads: that of the event loop.
 */
#ifndef DEVICE_DAEMON_CONTROL_H
#define DEVICE_DAEMON_CONTROL_H

#include <stdbool.h>

#include <glib.h>

struct control;

struct control_ops {
    /* The first line for a client, without its end; freed with g_free(). */
    char *(*describe)(void *opaque);
    bool (*command)(void *opaque, const char *name, GError **error);
};

/* Listens at path. NULL on error. */
struct control *control_listen(const char *path, GMainContext *context,
                               const struct control_ops *ops, void *opaque, GError **error);

/* A line for everybody. */
void control_tell(struct control *control, const char *line);

/* Closes the socket and all connections, removes the path; NULL is ignored. */
void control_free(struct control *control);

#endif
