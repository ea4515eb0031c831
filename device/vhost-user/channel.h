/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of a back-end's own requests: a socket that the front-end sends (SET_BACKEND_REQ_FD). One is made,
 * and none waits for an answer. Used by server.c.
 *
 * Threads: telling is for any; the rest for one at a time, that of the event loop.
 */
#ifndef DEVICE_VHOST_USER_CHANNEL_H
#define DEVICE_VHOST_USER_CHANNEL_H

#include <stdbool.h>

struct channel;

/* Makes one without a socket. Never NULL. */
struct channel *channel_new(void);

/* Closes the socket; NULL is ignored. */
void channel_free(struct channel *channel);

/* Takes over a socket in place of the one there; -1: none. False, and it is closed, if it is no socket. */
bool channel_set(struct channel *channel, int fd);

/* Tells the front-end, if it can be told, that the configuration space has changed. Does not wait. */
void channel_tell_config(struct channel *channel);

#endif
