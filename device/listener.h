/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UNIX sockets at which others connect: made at a path, or handed over by who started us. Used by the
 * servers of vfio-user and vhost-user and by the daemon.
 *
 * Who connects is handed over with came(), close-on-exec and non-blocking, from the event loop; the
 * descriptor is the callee's then. Threads: that of the event loop.
 *
 * Errors are of domain VIONET_ERROR, code VIONET_ERROR_CONFIG, one line each.
 */
#ifndef DEVICE_LISTENER_H
#define DEVICE_LISTENER_H

#include <stdbool.h>

#include <glib.h>

struct listener;

/* Listens at path, where a socket that nobody serves any more is replaced. NULL on error. */
struct listener *listener_open(const char *path, GMainContext *context,
                               void (*came)(void *opaque, int fd), void *opaque, GError **error);

/* Takes over a socket that listens already. NULL, and fd left alone, if it is none. */
struct listener *listener_adopt(int fd, GMainContext *context, void (*came)(void *opaque, int fd),
                                void *opaque, GError **error);

/* Closes the socket, and removes the path that it was opened at; NULL is ignored. */
void listener_close(struct listener *listener);

/* Whether a UNIX socket can be at path; false with an error if not. */
bool listener_check_path(const char *path, GError **error);

/*
 * Whether who connected has closed its end. Of one that comes right behind another, that one's end may be
 * told later.
 */
bool listener_has_lost(int fd);

#endif
