/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of one vhost-user connection: whole ones in, with the descriptors that came along, whole ones
 * out. The peer is hostile: a message is bounded before it is read, descriptors are counted and closed by
 * whoever does not keep them, nothing waits for the peer. Used by server.c.
 *
 * Threads: one at a time.
 */
#ifndef DEVICE_VHOST_USER_MESSAGES_H
#define DEVICE_VHOST_USER_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"

#define MESSAGES_MAX_FDS     VHOST_USER_TABLE_REGIONS
#define MESSAGES_MAX_PAYLOAD 512 /* octets; the largest request has 280 */

struct messages;

struct message {
    struct vhost_user_header header;
    uint8_t payload[MESSAGES_MAX_PAYLOAD];
    int fds[MESSAGES_MAX_FDS];
    unsigned n_fds;
};

/* Takes over a connected socket. Never NULL. */
struct messages *messages_new(int fd);

/* Closes it, and what descriptors arrived and nobody took; NULL is ignored. */
void messages_free(struct messages *messages);

int messages_fd(const struct messages *messages);

enum messages_result {
    MESSAGES_WHOLE,
    MESSAGES_NOTHING, /* no whole message is there now */
    MESSAGES_CLOSED,  /* the peer has gone */
    MESSAGES_BROKEN,  /* it sent what is no message: messages_reason() */
};

/*
 * Reads on. The message's descriptors are close-on-exec; those that are still in message->fds (and not
 * -1) when the next one is read are closed.
 */
enum messages_result messages_read(struct messages *messages, struct message **message);

/* What the peer did, after MESSAGES_BROKEN. */
const char *messages_reason(const struct messages *messages);

/* A descriptor that came with the message, now the caller's. */
int message_take_fd(struct message *message, unsigned i);

/*
 * Answers a request. What does not go out at once is kept, and goes with messages_flush(). False if the
 * connection is lost.
 */
bool messages_reply(struct messages *messages, uint32_t request, const void *payload, size_t len);

/* The same with a descriptor, which is taken over; not while something is kept. */
bool messages_reply_with(struct messages *messages, uint32_t request, const void *payload,
                         size_t len, int fd);

/* Sends what is kept; false if the connection is lost. */
bool messages_flush(struct messages *messages);

/* Whether something is kept. Then nothing more is to be read: a peer has to take its answers. */
bool messages_is_full(const struct messages *messages);

#endif
