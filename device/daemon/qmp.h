/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client of QMP, QEMU's monitor, at a UNIX socket: commands, their answers, and events. Used by failover.c.
 *
 * It keeps the connection up by itself: there need not be a VMM yet, and another may come. The peer is not trusted
 * with our time or memory: nothing waits for it, lines and what it owes us are bounded, and one that talks nonsense
 * or owes an answer for long loses its connection.
 *
 * Threads: that of the event loop. Nothing is called from within qmp_execute().
 */
#ifndef DEVICE_DAEMON_QMP_H
#define DEVICE_DAEMON_QMP_H

#include <stdbool.h>

#include <json-glib/json-glib.h>

struct qmp;

struct qmp_ops {
    /* Commands can be executed from now on; or no more, and what was not answered never will be. */
    void (*ready)(void *opaque, bool ready);
    /* data: NULL if the event has none. */
    void (*event)(void *opaque, const char *name, JsonObject *data);
};

/*
 * What became of a command: result is what it returned, or NULL, and then error is a line that says why not and
 * kind the class of the error ("DeviceNotFound", ...). All of it lives until the function returns.
 */
typedef void (*qmp_answered)(void *opaque, JsonNode *result, const char *kind, const char *error);

/* Connects to path, now and whenever there is no connection. NULL if no socket can be there. */
struct qmp *qmp_new(const char *path, GMainContext *context, const struct qmp_ops *ops,
                    void *opaque, GError **error);

/* Closes the connection; nothing is called. NULL is ignored. */
void qmp_free(struct qmp *qmp);

/*
 * Sends a command with arguments, which are taken over and may be NULL; answered may be NULL. False if there is no
 * connection, or too much has not been answered.
 */
bool qmp_execute(struct qmp *qmp, const char *command, JsonObject *arguments,
                 qmp_answered answered);

/* A member that is text; "" if there is none, or object is NULL. */
const char *qmp_text(JsonObject *object, const char *name);

#endif
