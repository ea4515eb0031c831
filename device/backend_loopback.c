/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend "loopback": what the guest sends comes back to it. Called through backend.c.
 *
 * Frames are copied into a bounded queue and wait there until the frontend asks for them; when it
 * is full, what is sent is dropped and counted. Offload members travel along: an unfinished
 * checksum is the receiving side's to finish, a frame to be segmented is so for a driver that does
 * not take such frames. Of its queues, each gives back what was sent to it.
 */
#include "backend.h"

#include "fifo.h"
#include "thread_memory.h"

#define QUEUE_FRAMES 256

struct loopback {
    VionetBackend backend;
    struct frame_fifo *fifo;
};

static VionetBackend *loopback_open(backend_values values, GError **error)
{
    struct loopback *loopback = thread_memory_new0(sizeof(*loopback));

    (void)values;
    (void)error;
    loopback->backend.takes =
        BACKEND_CSUM | BACKEND_GSO | BACKEND_UFO | BACKEND_USO | BACKEND_TUNNEL;
    loopback->fifo = frame_fifo_new(QUEUE_FRAMES);
    return &loopback->backend;
}

/* As many as one likes, each as if it were alone. */
static VionetBackend *loopback_queue(VionetBackend *backend, unsigned i, unsigned n, GError **error)
{
    (void)backend;
    (void)i;
    (void)n;
    return loopback_open(NULL, error);
}

static void loopback_close(VionetBackend *backend)
{
    struct loopback *loopback = (struct loopback *)backend;

    frame_fifo_free(loopback->fifo);
    g_aligned_free(loopback);
}

static bool loopback_send(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct loopback *loopback = (struct loopback *)backend;

    for (size_t i = 0; i < n; i++) {
        if (!frame_fifo_put(loopback->fifo, &frames[i])) {
            backend->counters.dropped++;
        }
    }
    return true;
}

static size_t loopback_receive(VionetBackend *backend, VionetFrame *frames, size_t n)
{
    struct loopback *loopback = (struct loopback *)backend;

    return frame_fifo_take(loopback->fifo, frames, n);
}

static void loopback_complete(VionetBackend *backend, const VionetFrame *frames, size_t n)
{
    struct loopback *loopback = (struct loopback *)backend;

    frame_fifo_give_back(loopback->fifo, frames, n);
}

const struct backend_ops backend_loopback = {
    .name = "loopback",
    .help = "loopback: what the guest sends comes back to it",
    .open = loopback_open,
    .close = loopback_close,
    .queue = loopback_queue,
    .send = loopback_send,
    .receive = loopback_receive,
    .complete = loopback_complete,
};
