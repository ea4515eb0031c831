/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the client has not shared: it is read and written by messages from the server, DMA_READ
 * and DMA_WRITE, one at a time, and the device waits for the reply. Used by waiting.c.
 *
 * The client is hostile, or stuck: a reply has to come within REMOTE_TIMEOUT_MS and to be exactly what
 * was asked for, or the connection is lost. An error is a reply: that memory cannot be had.
 *
 * Requests go over a twin socket if the client has one. Otherwise they share the client's own, where its
 * commands arrive too; and a client may be waiting for the answer to one of these before it looks at
 * ours (QEMU's does, with its big lock held). So they are handed on while a reply is awaited.
 *
 * Threads: that of the event loop.
 */
#ifndef DEVICE_VFIO_USER_REMOTE_H
#define DEVICE_VFIO_USER_REMOTE_H

#include "stream.h"

#ifndef REMOTE_TIMEOUT_MS
#define REMOTE_TIMEOUT_MS 2000
#endif

struct remote;

/* What is said to a command that came while a reply is awaited. */
enum remote_verdict {
    REMOTE_GO_ON,
    REMOTE_STOP, /* the device has to come back first: the request is given up */
    REMOTE_LOST, /* so is the connection */
};

typedef enum remote_verdict (*remote_command)(void *opaque, struct stream_message *message);

/* For requests over that stream, which stays the caller's and is the client's own if command is there. */
struct remote *remote_new(struct stream *stream, uint64_t max_data, remote_command command,
                          void *opaque);

/* NULL is ignored. */
void remote_free(struct remote *remote);

/* False if that failed. */
bool remote_read(struct remote *remote, uint64_t address, void *buf, size_t len);
bool remote_write(struct remote *remote, uint64_t address, const void *buf, size_t len);

/* Until remote_resume() all fails, as after REMOTE_STOP. */
void remote_stop(struct remote *remote);
void remote_resume(struct remote *remote);

/* Whether that message is the late reply to a request that was given up. It is ticked off. */
bool remote_was_given_up(struct remote *remote, const struct stream_message *message);

/* Whether the connection is to be ended. All fails then. */
bool remote_is_lost(const struct remote *remote);

#endif
