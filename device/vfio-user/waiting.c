/* SPDX-License-Identifier: BSD-3-Clause */
/* The device waits for remote memory; see waiting.h. Called by server.c. */
#include "waiting.h"

#include "held.h"
#include "remote.h"

struct waiting {
    struct stream *stream; /* the client's */
    struct stream *twin;   /* for requests to the client, NULL: they go over stream */
    struct dma *dma;
    struct remote *remote;
    struct held *held; /* commands for when the device is done with remote memory */
    struct waiting_ops ops;
    void *opaque;
};

/* ---- Commands that come meanwhile ---- */

/* Is answered now, and done later: unless it is refused. */
static bool hold(struct waiting *waiting, struct stream_message *message, enum weight weight)
{
    bool refused;

    return waiting->ops.answer(waiting->opaque, message, &refused) &&
           (refused || held_add(waiting->held, message, true, weight == WRITE_NOTIFICATION));
}

/* Is left, unanswered, until the device has come back, which is to be now. */
static enum remote_verdict stop(struct waiting *waiting, struct stream_message *message)
{
    g_info("vfio-user: command %u does not wait for the device, whose work is stopped",
           message->header.command);
    return held_add(waiting->held, message, false, false) ? REMOTE_STOP : REMOTE_LOST;
}

static enum remote_verdict while_waiting(void *opaque, struct stream_message *message)
{
    struct waiting *waiting = opaque;
    const unsigned command = message->header.command;
    enum weight weight;

    if (command == VFIO_USER_REGION_WRITE || command == VFIO_USER_REGION_WRITE_MULTI) {
        weight = waiting->ops.weigh(waiting->opaque, message);
        if (weight != WRITE_LIGHT || held_count_ordered(waiting->held) > 0) {
            return hold(waiting, message, weight) ? REMOTE_GO_ON : REMOTE_LOST;
        }
    } else if (command == VFIO_USER_DEVICE_RESET || held_count_ordered(waiting->held) > 0) {
        return stop(waiting, message);
    } else if (command == VFIO_USER_DMA_MAP || command == VFIO_USER_DMA_UNMAP) {
        dma_hold(waiting->dma);
    }
    return waiting->ops.handle(waiting->opaque, message) ? REMOTE_GO_ON : REMOTE_LOST;
}

/* The device is done, or has been stopped. */
static void resume(struct waiting *waiting)
{
    remote_resume(waiting->remote);
    dma_settle(waiting->dma);
}

bool waiting_settle(struct waiting *waiting)
{
    struct held_message *held;
    bool good = true;

    resume(waiting);
    while (good && !stream_is_full(waiting->stream) && (held = held_take(waiting->held)) != NULL) {
        good = held->answered ? waiting->ops.write(waiting->opaque, &held->message)
                              : waiting->ops.handle(waiting->opaque, &held->message);
        held_message_free(held);
        resume(waiting);
    }
    return good;
}

bool waiting_is_due(const struct waiting *waiting)
{
    return held_count(waiting->held) > 0 || dma_is_held(waiting->dma);
}

bool waiting_was_given_up(struct waiting *waiting, const struct stream_message *message)
{
    return remote_was_given_up(waiting->remote, message);
}

bool waiting_is_lost(const struct waiting *waiting)
{
    return remote_is_lost(waiting->remote);
}

void waiting_stop(struct waiting *waiting)
{
    remote_stop(waiting->remote);
}

/* ---- The device's access ---- */

/*
 * Whether the device may wait for the client's memory there. Not while a command is held that is not
 * answered: it keeps the client from answering us.
 */
static bool may_wait(struct waiting *waiting, uint64_t gpa, size_t len)
{
    if (!dma_is_remote(waiting->dma, gpa, len)) {
        return false;
    }
    if (held_owes(waiting->held)) {
        remote_stop(waiting->remote);
        return false;
    }
    return true;
}

bool waiting_read(struct waiting *waiting, uint64_t gpa, void *buf, size_t len)
{
    return may_wait(waiting, gpa, len) && remote_read(waiting->remote, gpa, buf, len);
}

bool waiting_write(struct waiting *waiting, uint64_t gpa, const void *buf, size_t len)
{
    return may_wait(waiting, gpa, len) && remote_write(waiting->remote, gpa, buf, len);
}

/* ---- Life ---- */

struct waiting *waiting_new(struct stream *stream, struct stream *twin, uint64_t max_data,
                            struct dma *dma, const struct waiting_ops *ops, void *opaque)
{
    struct waiting *waiting = g_new0(struct waiting, 1);

    waiting->stream = stream;
    waiting->twin = twin;
    waiting->dma = dma;
    waiting->ops = *ops;
    waiting->opaque = opaque;
    waiting->held = held_new();
    waiting->remote =
        remote_new(twin ? twin : stream, max_data, twin ? NULL : while_waiting, waiting);
    return waiting;
}

void waiting_free(struct waiting *waiting)
{
    if (waiting) {
        remote_free(waiting->remote);
        held_free(waiting->held);
        stream_free(waiting->twin);
        g_free(waiting);
    }
}
