/* SPDX-License-Identifier: BSD-3-Clause */
/* Received frames over several buffers; see merged.h. Called by receive.c, in the queue's gate. */
#include "net/merged.h"

#include <string.h>

#include "iov.h"
#include "ring/bounce.h"

#include <vionet/spec.h>

/* ---- any buffers ---- */

/* Where an octet of num_buffers is. */
struct spot {
    uint8_t *host; /* NULL: in remote memory */
    uint64_t gpa;
};

/* The two octets of num_buffers in the buffer just taken. */
static void locate_num_buffers(const struct chain *chain, struct spot spots[2])
{
    for (unsigned i = 0; i < 2; i++) {
        struct iov_cursor cursor = iov_begin(chain->in, chain->n_in);
        struct iovec octet;

        iov_skip(&cursor, HEADER_NUM_BUFFERS + i);
        iov_rest(&cursor, &octet, 1);
        spots[i].host = octet.iov_base;
        if (G_UNLIKELY(chain->n_remote > 0) &&
            bounce_find(chain, HEADER_NUM_BUFFERS + i, &spots[i].gpa)) {
            spots[i].host = NULL;
        }
    }
}

/* Stores an octet there, after the buffer was written out. */
static void put_spot(struct queue *queue, const struct spot *spot, uint8_t octet)
{
    struct ring *ring = &queue->ring;

    if (G_LIKELY(spot->host != NULL)) {
        *spot->host = octet;
        if (G_UNLIKELY(ring->map->log.bits != NULL)) {
            memory_log_host(ring->map, spot->host, 1);
        }
    } else if (!memory_write(ring->map, &ring->hint, spot->gpa, &octet, 1)) {
        ring_lose(ring, VIONET_VIOLATION_ADDRESS, VIONET_NONE, spot->gpa);
    }
}

/* Puts n buffers back, the last of those taken, of which the first ones are in queue->several. */
static void untake_several(struct queue *queue, unsigned n)
{
    while (n > 0) {
        ring_unpop(&queue->ring, &queue->several[--n].ref);
    }
}

VionetVerdict merged_fill(struct queue *queue, const struct view *view, const uint8_t *hdr,
                          const VionetFrame *frame, size_t len, struct outcome *outcome)
{
    const size_t hdr_len = view->hdr_len;
    struct iov_cursor from = iov_begin(frame->iov, frame->n_iov);
    struct chain *chain = &queue->chain;
    struct iov_cursor to = iov_begin(chain->in, chain->n_in);
    size_t room = (size_t)chain->in_len - hdr_len;
    struct spot num_buffers[2];
    uint8_t n_octets[2];
    unsigned n_desc = chain->ref.n_desc;
    unsigned n = 0;

    locate_num_buffers(chain, num_buffers);
    iov_write(&to, hdr, hdr_len);
    for (size_t used = hdr_len;; used = 0) {
        size_t here = MIN(room, len);
        int taken;

        iov_copy(&to, &from, here);
        if (!chain_write_out(&queue->ring, chain, used + here)) {
            queue_break(queue, outcome);
            return VIONET_DROP_NOT_RUNNING;
        }
        queue->several[n++] = (struct ring_used){chain->ref, (uint32_t)(used + here)};
        len -= here;
        if (len == 0) {
            break;
        }
        taken = queue_take_buffer(queue);
        if (taken <= 0) {
            untake_several(queue, n);
            if (taken < 0) {
                queue_break(queue, outcome);
                return VIONET_DROP_NOT_RUNNING;
            }
            /* With the whole ring in hand there is nothing to wait for. */
            return n_desc < queue->ring.setup.size ? VIONET_HELD : VIONET_DROP_BUFFER_TOO_SMALL;
        }
        n_desc += chain->ref.n_desc;
        to = iov_begin(chain->in, chain->n_in);
        room = (size_t)chain->in_len;
    }
    view_put16(view, n_octets, (uint16_t)n);
    put_spot(queue, &num_buffers[0], n_octets[0]);
    put_spot(queue, &num_buffers[1], n_octets[1]);
    ring_push_burst(&queue->ring, queue->several, n);
    return VIONET_DELIVERED;
}

/* ---- plain buffers ---- */

#define PLAIN_MAX 64 /* plain buffers that a frame is put into at once */

/* Takes plain buffers until they hold whole octets, or there are no more, or too many; how many. */
static unsigned take_plain(struct ring *ring, struct ring_plain *buffers, uint64_t whole)
{
    uint64_t room = 0;
    unsigned n = 0;

    while (room < whole && n < PLAIN_MAX) {
        const uint64_t more = n ? (whole - room - 1) / buffers[n - 1].len + 1 : 1;
        const unsigned wanted = (unsigned)MIN(more, PLAIN_MAX - n);
        const unsigned got = ring_pop_plain(ring, true, buffers + n, wanted);

        for (unsigned end = n + got; n < end; n++) {
            room += buffers[n].len;
        }
        if (got < wanted) {
            break;
        }
    }
    return n;
}

/* Puts header and frame into buffers that were taken; how many it took, 0 if they do not fit. */
static unsigned fill_plain(const struct view *view, struct ring_plain *buffers, unsigned n,
                           const struct station *station)
{
    struct iov_cursor from = iov_begin(station->frame->iov, station->frame->n_iov);
    const uint32_t whole = view->hdr_len + station->len;
    uint8_t hdr[HEADER_MAX];
    uint32_t filled = 0;
    uint64_t room = 0;
    unsigned used;

    for (used = 0; used < n && room < whole; used++) {
        room += buffers[used].len;
    }
    if (room < whole || buffers[0].len < view->hdr_len) {
        return 0;
    }
    header_write(view, station->frame, &station->hash, hdr);
    view_put16(view, hdr + HEADER_NUM_BUFFERS, (uint16_t)used);
    memcpy(buffers[0].host, hdr, view->hdr_len);
    for (unsigned i = 0; i < used; i++) {
        const uint32_t skip = i ? 0 : view->hdr_len;

        buffers[i].len = MIN(buffers[i].len, whole - filled);
        iov_read(&from, buffers[i].host + skip, buffers[i].len - skip);
        filled += buffers[i].len;
    }
    return used;
}

bool merged_deliver_plain(struct queue *queue, const struct view *view,
                          const struct station *station, VionetVerdict *verdict,
                          struct outcome *outcome)
{
    struct ring_plain buffers[PLAIN_MAX];
    const unsigned n = take_plain(&queue->ring, buffers, (uint64_t)view->hdr_len + station->len);
    const unsigned used = fill_plain(view, buffers, n, station);
    int taken;

    if (used > 0) {
        ring_unpop_plain(&queue->ring, buffers + used, n - used);
        ring_push_plain(&queue->ring, true, buffers, used);
        *verdict = VIONET_DELIVERED;
        return true;
    }
    if (n == PLAIN_MAX || n == 0 || buffers[0].len < view->hdr_len) {
        ring_unpop_plain(&queue->ring, buffers, n);
        return false;
    }
    taken = queue_take_buffer(queue);
    if (taken > 0) {
        ring_unpop(&queue->ring, &queue->chain.ref);
    }
    ring_unpop_plain(&queue->ring, buffers, n);
    if (taken < 0) {
        queue_break(queue, outcome);
        *verdict = VIONET_DROP_NOT_RUNNING;
    } else if (taken == 0) {
        /* With the whole ring in hand there is nothing to wait for. */
        *verdict = n < queue->ring.setup.size ? VIONET_HELD : VIONET_DROP_BUFFER_TOO_SMALL;
    }
    return taken <= 0;
}
