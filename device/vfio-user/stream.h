/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of one vfio-user connection: whole ones in, with the descriptors that came along, whole
 * ones out. The peer is hostile: a message is bounded before it is read, descriptors are counted and
 * closed by whoever does not keep them, nothing waits for the peer. Used by server.c.
 *
 * Threads: one at a time.
 */
#ifndef DEVICE_VFIO_USER_STREAM_H
#define DEVICE_VFIO_USER_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"

#define STREAM_MAX_FDS     16
#define STREAM_MAX_DATA    65536                               /* octets of data in a message */
#define STREAM_MAX_MESSAGE (16 + 16 + (size_t)STREAM_MAX_DATA) /* with both its headers */

struct stream;

struct stream_message {
    struct vfio_user_header header;
    const uint8_t *payload; /* until the next stream_read() */
    size_t len;             /* octets of it */
    int fds[STREAM_MAX_FDS];
    unsigned n_fds;
};

/* Takes over a connected socket. Never NULL. */
struct stream *stream_new(int fd);

/* Closes it, and what descriptors arrived and nobody took; NULL is ignored. */
void stream_free(struct stream *stream);

int stream_fd(const struct stream *stream);

enum stream_result {
    STREAM_MESSAGE,
    STREAM_NOTHING, /* no whole message is there now */
    STREAM_CLOSED,  /* the peer has gone */
    STREAM_BROKEN,  /* it sent what is no message: stream_reason() */
};

/*
 * Reads on. The message's descriptors are close-on-exec; those that are still in message->fds (and
 * not -1) when the next one is read are closed.
 */
enum stream_result stream_read(struct stream *stream, struct stream_message **message);

/*
 * Whether a message is here already, so that nothing has to arrive for stream_read() to have one (or
 * to find it broken).
 */
bool stream_has_message(const struct stream *stream);

/* What the peer did, after STREAM_BROKEN. */
const char *stream_reason(const struct stream *stream);

/*
 * Sends a message, the header's size being set here. What does not go out at once is kept, and goes
 * with stream_flush(). False if the connection is lost, or there is no memory to keep it in.
 */
bool stream_send(struct stream *stream, struct vfio_user_header header, const void *payload,
                 size_t len, const int *fds, unsigned n_fds);

/* Sends what is kept; false if the connection is lost. */
bool stream_flush(struct stream *stream);

/* Whether something is kept. Then nothing more is to be read: a peer has to take its answers. */
bool stream_is_full(const struct stream *stream);

#endif
