/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounded queue of copied frames; see fifo.h. Called by the backends.
 *
 * Three counters run freely round a ring of places:
 *
 *     freed ........ taken ........ put ........ freed + n
 *        with the host    waiting        room
 *
 * A frame's token is the counter at which it stands. A place keeps its memory for the next frame,
 * so a queue that has seen its largest frames allocates no more.
 */
#include "fifo.h"

#include "thread_memory.h"

#include <string.h>

#include <glib.h>

struct place {
    uint8_t *octets;
    size_t size; /* of octets */
    struct iovec iov;
    VionetFrame frame;
    bool out; /* taken and not given back */
};

struct frame_fifo {
    uint64_t freed;
    uint64_t taken;
    uint64_t put;
    unsigned n;
    struct place places[];
};

static struct place *place_at(struct frame_fifo *fifo, uint64_t counter)
{
    return &fifo->places[counter % fifo->n];
}

struct frame_fifo *frame_fifo_new(unsigned n)
{
    struct frame_fifo *fifo = thread_memory_new0(sizeof(*fifo) + n * sizeof(fifo->places[0]));

    fifo->n = n;
    return fifo;
}

void frame_fifo_free(struct frame_fifo *fifo)
{
    if (!fifo) {
        return;
    }
    for (unsigned i = 0; i < fifo->n; i++) {
        g_free(fifo->places[i].octets);
    }
    g_aligned_free(fifo);
}

bool frame_fifo_has_room(const struct frame_fifo *fifo)
{
    return frame_fifo_room(fifo) > 0;
}

unsigned frame_fifo_room(const struct frame_fifo *fifo)
{
    return fifo->n - (unsigned)(fifo->put - fifo->freed);
}

unsigned frame_fifo_waiting(const struct frame_fifo *fifo)
{
    return (unsigned)(fifo->put - fifo->taken);
}

/* Copies a frame as it is: the checksum, if it is unfinished, stays so. Its octets, 0 if there is no memory. */
static size_t copy_octets(struct place *place, const VionetFrame *frame)
{
    VionetFrame plain = {.iov = frame->iov, .n_iov = frame->n_iov, .len = frame->len};

    if (place->size < frame->len) {
        g_free(place->octets);
        place->octets = g_try_malloc(frame->len);
        place->size = place->octets ? frame->len : 0;
    }
    if (place->size < frame->len) {
        return 0;
    }
    return vionet_frame_linearize(&plain, place->octets, place->size);
}

bool frame_fifo_put(struct frame_fifo *fifo, const VionetFrame *frame)
{
    struct place *place = place_at(fifo, fifo->put);

    if (!frame_fifo_has_room(fifo)) {
        return false;
    }
    place->iov.iov_len = copy_octets(place, frame);
    if (place->iov.iov_len == 0) {
        return false;
    }
    place->iov.iov_base = place->octets;
    place->frame = *frame;
    place->frame.iov = &place->iov;
    place->frame.n_iov = 1;
    place->frame.len = (uint32_t)place->iov.iov_len;
    place->frame.token = fifo->put++;
    place->out = false;
    return true;
}

unsigned frame_fifo_take(struct frame_fifo *fifo, VionetFrame *frames, size_t n)
{
    unsigned i;

    for (i = 0; i < n && fifo->taken != fifo->put; i++) {
        struct place *place = place_at(fifo, fifo->taken++);

        place->out = true;
        frames[i] = place->frame;
    }
    return i;
}

void frame_fifo_give_back(struct frame_fifo *fifo, const VionetFrame *frames, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct place *place = place_at(fifo, frames[i].token);

        if (place->frame.token == frames[i].token) {
            place->out = false;
        }
    }
    while (fifo->freed != fifo->taken && !place_at(fifo, fifo->freed)->out) {
        fifo->freed++;
    }
}
