/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain receive buffers in hand, while frames are put into them one after the other. Taken from a queue's ring
 * in one go and given back in one go, filled or not, all within one visit to the queue. Inside its gate.
 */
#ifndef VIONET_NET_HAND_H
#define VIONET_NET_HAND_H

#include "copy.h"
#include "iov.h"
#include "lines.h"
#include "net/header.h"
#include "net/queue.h"

#define HAND_MAX 32 /* buffers */

struct hand {
    unsigned n;    /* taken */
    unsigned done; /* of them, filled */
    struct ring_plain buffers[HAND_MAX];
};

/* Takes up to n. None while writes are noted, which the ordinary way does. */
static inline void hand_take(struct queue *queue, struct hand *hand, unsigned n)
{
    const bool logs = queue->ring.map->log.bits != NULL;

    hand->done = 0;
    hand->n = G_UNLIKELY(logs) ? 0 : ring_pop_plain(&queue->ring, true, hand->buffers, n);
    for (unsigned i = 0; i < hand->n; i++) {
        line_fetch_to_write(hand->buffers[i].host);
    }
    if (hand->n > 0) {
        queue_quiet(queue);
    }
}

/* Gives back what was filled, and what was not as if it had not been taken. */
static inline void hand_put_down(struct queue *queue, struct hand *hand)
{
    if (hand->done > 0) {
        ring_push_plain(&queue->ring, true, hand->buffers, hand->done);
    }
    ring_unpop_plain(&queue->ring, hand->buffers + hand->done, hand->n - hand->done);
    hand->n = hand->done = 0;
}

/*
 * Puts a frame without offloads, which lies in one range, into a buffer that was taken, behind its header of
 * view->hdr_len octets; false if they do not fit into it.
 */
static inline bool hand_fill_plain(struct ring_plain *buffer, const struct view *view,
                                   uint32_t hdr_len, const struct hash_result *hash,
                                   const uint8_t *data, size_t len)
{
    uint8_t *to = buffer->host;

    if (G_UNLIKELY(hdr_len + len > buffer->len)) {
        return false;
    }
    header_write_plain(view, hash, to);
    copy_frame(to + hdr_len, data, len);
    buffer->len = (uint32_t)(hdr_len + len); /* as it goes back */
    return true;
}

/* Any frame, of len octets. */
static inline bool hand_fill(struct ring_plain *buffer, const struct view *view,
                             const struct hash_result *hash, const VionetFrame *frame, uint32_t len)
{
    struct iov_cursor from;
    uint8_t hdr[HEADER_MAX];

    if (G_LIKELY(frame->n_iov == 1 && (frame->flags | frame->gso_type) == 0)) {
        return hand_fill_plain(buffer, view, view->hdr_len, hash, frame->iov[0].iov_base, len);
    }
    if (G_UNLIKELY(buffer->len < view->hdr_len + len)) {
        return false;
    }
    from = iov_begin(frame->iov, frame->n_iov);
    header_write(view, frame, hash, hdr);
    memcpy(buffer->host, hdr, view->hdr_len);
    iov_read(&from, buffer->host + view->hdr_len, len);
    buffer->len = view->hdr_len + len;
    return true;
}

#endif
