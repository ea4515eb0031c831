/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UNIX sockets at which others connect: made at a path, or handed over by who started us. Used by the
 * servers of vfio-user and vhost-user and by the daemon.
 *
 * Errors are of domain VIONET_ERROR, code VIONET_ERROR_CONFIG, one line each.
 */
#ifndef DEVICE_LISTENER_H
#define DEVICE_LISTENER_H

#include <stdbool.h>

#include <glib.h>

/*
 * A socket that listens at path, close-on-exec and non-blocking; one that nobody serves any more is
 * replaced. The path is the caller's to remove. -1 on error.
 */
int listener_open(const char *path, GError **error);

/*
 * Makes a listening socket of another's making fit for an event loop. False, and fd left alone, if it
 * is none.
 */
bool listener_adopt(int fd, GError **error);

/*
 * Whether who connected has closed its end. Of one that comes right behind another, that one's end may be
 * told later.
 */
bool listener_has_lost(int fd);

#endif
