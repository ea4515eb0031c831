/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for memory that the client has not shared, and the commands that it sends meanwhile. Used by
 * server.c, once a client has agreed on a version.
 *
 * The client may have to get its answer before it looks at our requests for its memory (remote.h), and
 * goes on sending commands while we wait. So nothing touches that memory before the command under way
 * is answered: writes to registers are posted, all of them that may lead there. Of what comes while we
 * wait, in the midst of some queue's work, reads and the rest that leave queues alone are done at once.
 * Notifications, and other writes of registers, are answered and held until the device has come back.
 * If the client then wants to see what became of such a write, or resets the device, the device's work
 * is stopped: its memory fails. As it is resets that come so, and little else, nothing is lost with
 * that.
 *
 * Threads: that of the event loop.
 */
#ifndef DEVICE_VFIO_USER_WAITING_H
#define DEVICE_VFIO_USER_WAITING_H

#include "dma.h"

struct waiting;

/* What a write to registers may lead to. */
enum weight {
    WRITE_LIGHT,        /* to nothing but the register */
    WRITE_NOTIFICATION, /* a queue's work, which no register tells of */
    WRITE_HEAVY,        /* queues may be started or stopped */
};

/* What the server does with a command. */
struct waiting_ops {
    /* What a write leads to; light if it is to be refused. */
    enum weight (*weigh)(void *opaque, const struct stream_message *message);
    /* Answers a write without doing it; false if the connection is to end. */
    bool (*answer)(void *opaque, struct stream_message *message, bool *refused);
    /* Does a write that was answered; false if the connection is to end. */
    bool (*write)(void *opaque, const struct stream_message *message);
    /* Does and answers a command of any kind; false if the connection is to end. */
    bool (*handle)(void *opaque, struct stream_message *message);
};

/*
 * For a client and its memory, which stay the caller's. twin is the second socket, for our requests,
 * which is taken over; NULL: they go over stream. max_data: octets of one request at most.
 */
struct waiting *waiting_new(struct stream *stream, struct stream *twin, uint64_t max_data,
                            struct dma *dma, const struct waiting_ops *ops, void *opaque);

/* NULL is ignored. */
void waiting_free(struct waiting *waiting);

/* The device's access to remote memory; false if that failed. */
bool waiting_read(struct waiting *waiting, uint64_t gpa, void *buf, size_t len);
bool waiting_write(struct waiting *waiting, uint64_t gpa, const void *buf, size_t len);

/* All access fails until waiting_settle(). */
void waiting_stop(struct waiting *waiting);

/*
 * For when nothing of the device is under way: does what was held, as far as answers have room. False
 * if the connection is to end.
 */
bool waiting_settle(struct waiting *waiting);

/* Whether waiting_settle() has something to do. */
bool waiting_is_due(const struct waiting *waiting);

/* Whether that message is the late reply to a request that was given up. It is ticked off. */
bool waiting_was_given_up(struct waiting *waiting, const struct stream_message *message);

/* Whether the connection is to be ended. */
bool waiting_is_lost(const struct waiting *waiting);

#endif
