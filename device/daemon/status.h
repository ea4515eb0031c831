/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's state as a JSON document, and a socket that gives it to whoever connects.
 *
 * Threads: that of the event loop.
 */
#ifndef DEVICE_DAEMON_STATUS_H
#define DEVICE_DAEMON_STATUS_H

#include <stdbool.h>

#include "failover.h"
#include "frontend.h"

/*
 * The document, of one line or of several. properties is what the frontend was made with. Of counters
 * only those that are not zero are shown, of queues only those that have one. failover may be NULL. To be
 * freed with g_free().
 */
char *status_describe(VionetFrontend *frontend, const char *properties, bool connected,
                      const struct failover *failover, bool one_line);

struct status;

/*
 * Listens at path; describe(opaque) makes the document, which is freed. A client that does not read
 * keeps up nobody, and loses its place to the next ones. NULL on error.
 */
struct status *status_listen(const char *path, GMainContext *context,
                             char *(*describe)(void *opaque), void *opaque, GError **error);

/* Closes the socket and all connections, removes the path; NULL is ignored. */
void status_free(struct status *status);

#endif
