/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The straight ways of received frames (see burst.h): of frames at the front of a burst, those go that are in one
 * range, ask for no offload, and pass and fit in every other respect. The first that does not ends it: it and
 * all behind it go from station to station. So do frames that are hashed, when the buffers of their queue are
 * not plain or not enough, and all behind them of that queue: in each queue frames stay in order.
 */
#include "net/burst.h"

#include "net/filter.h"

#include <vionet/spec.h>

/* What is asked of each frame. */
struct terms {
    size_t limit; /* octets */
    bool filters;
};

static inline struct terms terms_of(const struct view *view)
{
    const size_t limit =
        view->mtu ? MIN(view->max_frame, view->mtu + ETHERNET_HEADER) : view->max_frame;

    return (struct terms){limit, !(view->filter.modes & RX_MODE_PROMISC)};
}

static inline bool may_go(const struct view *view, struct terms terms, const VionetFrame *frame)
{
    size_t len;

    if (frame->n_iov != 1 || (frame->flags | frame->gso_type)) {
        return false;
    }
    len = frame->iov[0].iov_len;
    return len >= ETHERNET_HEADER + 2 * VLAN_TAG && len <= terms.limit &&
           (!terms.filters || filter_frame(view, frame->iov[0].iov_base, len) == VIONET_DELIVERED);
}

/* Shows the driver the buffers that were filled, which have so many octets of frames; how many they are. */
static unsigned show_hand(struct queue *queue, struct hand *hand, uint64_t octets,
                          struct outcome *outcome)
{
    const unsigned delivered = hand->done;

    hand_put_down(queue, hand);
    if (delivered > 0) {
        burst_count_delivered(queue, delivered, octets, 0);
        queue_flush(queue, delivered, outcome);
    }
    return delivered;
}

/* ---- to the first queue ---- */

/* Puts frames into the buffers in hand; how many octets they have. */
static uint64_t fill_straight(struct hand *hand, const struct view *view, const VionetFrame *frames)
{
    static const struct hash_result no_hash;
    const struct terms terms = terms_of(view);
    const uint32_t hdr_len = view->hdr_len;
    const unsigned n = hand->n;
    uint64_t octets = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        const VionetFrame *frame = &frames[i];

        if (!may_go(view, terms, frame) ||
            !hand_fill_plain(&hand->buffers[i], view, hdr_len, &no_hash, frame->iov[0].iov_base,
                             frame->iov[0].iov_len)) {
            break;
        }
        octets += frame->iov[0].iov_len;
    }
    hand->done = i;
    return octets;
}

/* The queue's gate is all that is entered: it holds the view too. */
void burst_go_straight(struct burst *burst, const VionetFrame *frames)
{
    VionetDevice *device = burst->device;
    struct queue *queue = &device->queues[0];
    struct outcome outcome = {0};
    struct hand hand; /* large: only what is used is set */
    const struct view *view;

    if (!queue_enter(queue, &device->map, &outcome)) {
        burst_note_visit(burst, queue, &outcome);
        return;
    }
    view = device_view(device);
    hand.n = 0;
    if (G_LIKELY(view->way == WAY_STRAIGHT)) {
        hand_take(queue, &hand, burst->n);
    }
    if (hand.n > 0) {
        const uint64_t octets = fill_straight(&hand, view, frames);

        burst->gone = burst_all(show_hand(queue, &hand, octets, &outcome));
    }
    gate_leave(&queue->gate);
    burst_note_visit(burst, queue, &outcome);
}

/* ---- by hash ---- */

/* Frames of the burst that go to one queue, in their order. */
struct lot {
    unsigned n;
    uint8_t at[CHUNK];
};

/* Where frames lie, and their octets. */
struct pieces {
    const uint8_t *data[CHUNK];
    size_t lens[CHUNK];
};

/* Finds hash and pair of the frames at the front that may go. */
static void hash_front(struct burst *burst, struct pieces *pieces, const VionetFrame *frames)
{
    const struct view *view = burst->view;
    const struct steering steering = view->steering; /* what is read of it stands in registers */
    const struct terms terms = terms_of(view);
    VionetFrameHash found[CHUNK];
    unsigned n;

    for (n = 0; n < burst->n && may_go(view, terms, &frames[n]); n++) {
        pieces->data[n] = frames[n].iov[0].iov_base;
        pieces->lens[n] = frames[n].iov[0].iov_len;
    }
    burst->n_known = n;
    if (n == 0) {
        return;
    }
    vionet_hash_frames(steering.key->key, pieces->data, pieces->lens, n, steering.tunnels,
                       steering.hash_types, found);
    for (unsigned i = 0; i < n; i++) {
        burst->hashes[i] = steer_take_hash(view, &found[i]);
        burst->pairs[i] = (uint16_t)steer_hashed(&steering, burst->hashes[i]);
    }
}

static bool all_alike(const uint16_t *pairs, unsigned n)
{
    unsigned differences = 0;

    for (unsigned i = 1; i < n; i++) {
        differences |= pairs[i] ^ pairs[0];
    }
    return differences == 0;
}

/* Parts those that go where the first one goes from the rest; both stay in order. No branch: it would be a coin's toss. */
static void part_lot(const uint16_t *pairs, struct lot *rest, struct lot *lot)
{
    const unsigned pair = pairs[rest->at[0]];
    const unsigned n = rest->n;
    unsigned n_rest = 0;
    unsigned n_lot = 0;

    for (unsigned i = 0; i < n; i++) {
        const uint8_t at = rest->at[i];
        const unsigned same = pairs[at] == pair;

        lot->at[n_lot] = at;
        rest->at[n_rest] = at;
        n_lot += same;
        n_rest += 1 - same;
    }
    lot->n = n_lot;
    rest->n = n_rest;
}

static uint64_t fill_lot(struct hand *hand, struct burst *burst, const struct lot *lot,
                         const struct pieces *pieces)
{
    const struct view *view = burst->view;
    const uint32_t hdr_len = view->hdr_len;
    const unsigned n = hand->n;
    uint64_t octets = 0;
    uint32_t gone = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        const unsigned at = lot->at[i];
        const size_t len = pieces->lens[at];

        if (!hand_fill_plain(&hand->buffers[i], view, hdr_len, &burst->hashes[at], pieces->data[at],
                             len)) {
            break;
        }
        octets += len;
        gone |= UINT32_C(1) << at;
    }
    hand->done = i;
    burst->gone |= gone;
    return octets;
}

/* As many of the lot, all of it known, as the plain buffers hold that its queue has. */
static void deliver_lot(struct burst *burst, const struct lot *lot, const struct pieces *pieces)
{
    VionetDevice *device = burst->device;
    struct queue *queue = &device->queues[2u * burst->pairs[lot->at[0]]];
    struct outcome outcome = {0};
    struct hand hand; /* large: only what is used is set */

    if (queue_enter(queue, &device->map, &outcome)) {
        hand_take(queue, &hand, lot->n);
        if (hand.n > 0) {
            const uint64_t octets = fill_lot(&hand, burst, lot, pieces);

            show_hand(queue, &hand, octets, &outcome);
        }
        gate_leave(&queue->gate);
    }
    burst_note_visit(burst, queue, &outcome);
}

void burst_hash_and_go(struct burst *burst, const VionetFrame *frames)
{
    struct pieces pieces; /* large: only what is used is set */
    struct lot rest, lot;

    hash_front(burst, &pieces, frames);
    rest.n = burst->n_known;
    for (unsigned i = 0; i < CHUNK; i++) {
        rest.at[i] = (uint8_t)i;
    }
    if (rest.n > 0 && all_alike(burst->pairs, rest.n)) {
        deliver_lot(burst, &rest, &pieces);
        return;
    }
    while (rest.n > 0) {
        part_lot(burst->pairs, &rest, &lot);
        deliver_lot(burst, &lot, &pieces);
    }
}
