/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest to host (VIRTIO 1.4, 5.1.6.2): pop, header check, frame handed to the embedder as ranges of
 * guest memory; on completion push, flush, one notification decision a burst. Called by the embedder
 * from any thread, in the queue's gate.
 */
#include "net/device.h"

#include <string.h>

#include "bytes.h"
#include "iov.h"
#include "net/header.h"
#include "ring/bounce.h"

#include <vionet/spec.h>

#define ETHERNET_HEADER 14
/* Plain buffers taken at a time, and frames given back. */
#define CHUNK 32
/* Octets copied to learn a flow from: plain headers, VXLAN or GENEVE with a few options. */
#define LEARN_OCTETS 192

/*
 * A slot for a frame with n ranges, and where they go in *ranges; NULL if too many frames are out. A
 * frame of before a reset keeps its slot until the host gives it back: what the host holds must not
 * change under it.
 */
static struct slot *slot_take(struct queue *queue, unsigned n, struct iovec **ranges)
{
    struct slot *slot;
    int8_t large = -1;

    if (queue->n_free_slots == 0 || G_UNLIKELY(queue->bounced > MAX_BOUNCED)) {
        return NULL;
    }
    if (G_UNLIKELY(n > SLOT_RANGES)) {
        do {
            if (++large == N_LARGE_SLOTS) {
                return NULL;
            }
        } while (queue->large_out[large]);
        queue->large_out[large] = true;
    }
    slot = &queue->slots[queue->free_slots[--queue->n_free_slots]];
    slot->state = large < 0 ? SLOT_OUT : SLOT_OUT | SLOT_EXTRAS;
    slot->large = large;
    *ranges = large < 0 ? queue->slot_ranges + slot->index * SLOT_RANGES
                        : queue->large_ranges + (size_t)large * queue->chain.max;
    return slot;
}

/* What the chain has in bounce memory is the frame's until it is given back. */
static void slot_take_bounce(struct queue *queue, struct slot *slot)
{
    size_t len;

    slot->bounce = bounce_steal(&queue->chain, &len);
    slot->bounced = (uint32_t)len;
    slot->state |= SLOT_EXTRAS;
    queue->bounced += len;
}

/* The slot of a frame that is out, NULL for any other token. */
static struct slot *slot_of(struct queue *queue, uint64_t token)
{
    const unsigned index = token & 0xffff;

    struct slot *slot = &queue->slots[index];

    if (index >= queue->n_slots || !(slot->state & SLOT_OUT) || slot->token != token) {
        return NULL;
    }
    return slot;
}

/*
 * Checks the chain just taken and describes its frame. The packet header is copied out first and
 * judged by the copy; it may lie over any descriptors (2.7.4.1).
 */
static VionetVerdict read_frame(const struct queue *queue, const struct view *view,
                                struct iov_cursor *payload, VionetFrame *frame)
{
    const struct chain *chain = &queue->chain;
    uint8_t hdr[HEADER_MAX];
    uint64_t len;

    if (chain->out_len < view->hdr_len) {
        return VIONET_DROP_MALFORMED;
    }
    len = chain->out_len - view->hdr_len;
    if (len < ETHERNET_HEADER) {
        return VIONET_DROP_RUNT;
    }
    if (len > view->max_frame) {
        return VIONET_DROP_OVERSIZE;
    }
    *payload = iov_begin(chain->out, chain->n_out);
    iov_read(payload, hdr, view->hdr_len);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* hdr is what was read; guest memory is left alone */
    if (!header_read(view, hdr, (size_t)len, frame)) {
        return VIONET_DROP_OFFLOAD;
    }
    frame->len = (uint32_t)len;
    if (G_UNLIKELY(queue->discards)) {
        return VIONET_DROP_QUEUE_DISABLED;
    }
    return view->link_up ? VIONET_DELIVERED : VIONET_DROP_LINK_DOWN;
}

/* Tells the host of the chain just taken; of a frame in more ranges than a slot has, the first. */
static void trace_chain(const VionetDevice *device, const struct queue *queue,
                        const struct view *view, const VionetFrame *frame, VionetVerdict verdict)
{
    const struct chain *chain = &queue->chain;
    struct iov_cursor payload = iov_begin(chain->out, chain->n_out);
    VionetFrame shown = verdict == VIONET_DELIVERED ? *frame : (VionetFrame){0};
    struct iovec ranges[SLOT_RANGES];
    const VionetTrace trace = {
        .frame = &shown,
        .len = (size_t)chain->out_len - iov_skip(&payload, view->hdr_len),
        .transmit = true,
        .queue = queue->index,
        .verdict = verdict,
    };

    shown.iov = ranges;
    shown.n_iov = iov_rest(&payload, ranges, SLOT_RANGES);
    device->ops.trace(device->opaque, &trace);
}

static void learn(VionetDevice *device, const struct view *view, const VionetFrame *frame,
                  unsigned pair)
{
    struct iov_cursor cursor = iov_begin(frame->iov, frame->n_iov);
    uint8_t head[LEARN_OCTETS];
    size_t len = iov_read(&cursor, head, sizeof(head));
    VionetFlow flow;

    vionet_dissect(head, len, view->steering.tunnels, &flow);
    steer_learn(device->flows, &flow, pair);
}

/* What became of the chain just taken. */
enum taken { TAKEN, DROPPED, NO_SLOT };

static enum taken take_frame(const VionetDevice *device, struct queue *queue,
                             const struct view *view, VionetFrame *frame)
{
    const struct chain_ref *ref = &queue->chain.ref;
    struct iov_cursor payload = {0};
    VionetVerdict verdict = read_frame(queue, view, &payload, frame);
    struct iovec *ranges;
    struct slot *slot;

    if (verdict != VIONET_DELIVERED) {
        if (G_UNLIKELY(device->ops.trace)) {
            trace_chain(device, queue, view, frame, verdict);
        }
        ring_push(&queue->ring, ref, 0);
        count(&queue->verdicts[verdict], 1);
        queue_count(queue, VIONET_COUNTER_DROPS, 1);
        return DROPPED;
    }
    slot = slot_take(queue, payload.n, &ranges);
    if (!slot) {
        ring_unpop(&queue->ring, ref);
        return NO_SLOT;
    }
    frame->iov = ranges;
    frame->n_iov = iov_rest(&payload, ranges, queue->chain.max);
    frame->token = slot->token = TOKEN_OF(queue->n_taken++, slot->index);
    slot->ref = *ref;
    if (ref->n_desc > 1) {
        slot->state |= SLOT_EXTRAS;
    }
    if (G_UNLIKELY(queue->chain.n_remote > 0)) {
        slot_take_bounce(queue, slot);
    }
    if (G_UNLIKELY(device->ops.trace)) {
        trace_chain(device, queue, view, frame, VIONET_DELIVERED);
    }
    return TAKEN;
}

/* ---- plain buffers ---- */

/*
 * Whether a plain buffer has a frame that leaves as it is: the shortest of its octets, no more than spread
 * beyond, and a header that asks for nothing. Of that, two octets are looked at; a header that asks for
 * something is read anew, by take_frame().
 */
static inline bool is_simple(const struct ring_plain *buffer, uint32_t shortest, uint32_t spread)
{
    return buffer->len - shortest <= spread &&
           get_le16(buffer->host) == (VIRTIO_NET_HDR_GSO_NONE << 8);
}

/*
 * Describes the frames in n plain buffers, as long as they are simple, of which there are no more than
 * slots; how many, and how many octets they have added to *octets. What of the queue is needed stands in variables: a frame may alias anything.
 */
static unsigned describe(struct queue *queue, const struct view *view,
                         const struct ring_plain *buffers, unsigned n, VionetFrame *frames,
                         uint64_t *octets)
{
    const uint16_t *const free_slots = queue->free_slots;
    struct slot *const slots = queue->slots;
    const uint32_t hdr_len = view->hdr_len;
    const uint32_t shortest = hdr_len + ETHERNET_HEADER;
    const uint32_t spread = view->max_frame - ETHERNET_HEADER;
    uint64_t n_taken = queue->n_taken;
    unsigned n_free = queue->n_free_slots;
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < n && is_simple(&buffers[i], shortest, spread); i++) {
        const uint16_t index = free_slots[--n_free];
        struct slot *const slot = &slots[index];
        const uint64_t token = TOKEN_OF(n_taken++, index);
        const uint32_t len = buffers[i].len - hdr_len;

        slot->ref = ring_plain_ref(&buffers[i]);
        slot->state = SLOT_OUT;
        slot->large = -1;
        slot->token = token;
        slot->plain = (struct iovec){buffers[i].host + hdr_len, len};
        frames[i] = (VionetFrame){.iov = &slot->plain, .n_iov = 1, .len = len, .token = token};
        sum += len;
    }
    queue->n_free_slots = (uint16_t)n_free;
    queue->n_taken = n_taken;
    *octets += sum;
    return i;
}

/* Takes up to n of the next frames as long as they are simple ones in plain buffers; how many, likewise. */
static unsigned take_simple(struct queue *queue, const struct view *view, VionetFrame *frames,
                            unsigned n, uint64_t *octets)
{
    struct ring_plain buffers[CHUNK];
    unsigned taken;
    unsigned there;

    if (G_UNLIKELY(queue->bounced > MAX_BOUNCED)) {
        return 0;
    }
    n = MIN(n, MIN(queue->n_free_slots, CHUNK));
    there = ring_pop_plain(&queue->ring, false, buffers, n);
    for (unsigned i = 0; i < there; i++) {
        __builtin_prefetch(buffers[i].host);
        __builtin_prefetch(buffers[i].host + MIN(buffers[i].len, CACHE_LINE));
    }
    taken = describe(queue, view, buffers, there, frames, octets);
    ring_unpop_plain(&queue->ring, buffers + taken, there - taken);
    return taken;
}

/* ---- the burst ---- */

/*
 * Whether to stop, the ring being empty: not if the driver added something while it was asked to
 * notify.
 */
static bool drained(struct queue *queue)
{
    return queue->poll || !ring_enable_kicks(&queue->ring);
}

/* Counts the frames of a burst, and learns from them. */
static void note_taken(VionetDevice *device, struct queue *queue, const struct view *view,
                       const VionetFrame *frames, size_t n, uint64_t octets)
{
    if (steer_learns(view)) {
        for (size_t i = 0; i < n; i++) {
            learn(device, view, &frames[i], queue->index / 2);
        }
    }
    queue_count(queue, VIONET_COUNTER_PACKETS, n);
    queue_count(queue, VIONET_COUNTER_OCTETS, octets);
    count(&queue->verdicts[VIONET_DELIVERED], n);
}

static size_t take_burst(VionetDevice *device, struct queue *queue, const struct view *view,
                         VionetFrame *frames, size_t n, struct outcome *outcome)
{
    const bool simple = view->link_up && !device->ops.trace && !queue->discards;
    unsigned budget = queue->ring.setup.size;
    uint32_t checked = 0;
    uint64_t octets = 0;
    size_t taken = 0;

    ring_disable_kicks(&queue->ring);
    while (taken < n && budget > 0) {
        const unsigned most = (unsigned)MIN(n - taken, budget);
        const unsigned got = simple ? take_simple(queue, view, frames + taken, most, &octets) : 0;
        enum taken what;
        int popped;

        taken += got;
        budget -= got;
        if (G_LIKELY(got == MIN(most, CHUNK))) {
            continue;
        }
        budget--;
        popped = ring_pop(&queue->ring, &queue->chain);
        if (popped < 0) {
            queue_break(queue, outcome);
            break;
        }
        if (popped == 0) {
            if (drained(queue)) {
                break;
            }
            continue;
        }
        what = take_frame(device, queue, view, &frames[taken]);
        if (what == NO_SLOT) {
            queue->starved = true; /* complete() says when to come again */
            break;
        }
        if (what == DROPPED) {
            continue;
        }
        if (frames[taken].flags | frames[taken].gso_type) {
            checked += queue_count_offloads(queue, frames[taken].flags, frames[taken].gso_type,
                                            frames[taken].len);
        }
        octets += frames[taken].len;
        taken++;
    }
    /* Out of budget on frames that were dropped: the caller takes few frames for an empty queue. */
    outcome->kick = budget == 0 && taken < n && queue->live && !drained(queue);
    queue_flush_buffers(queue, outcome);
    note_taken(device, queue, view, frames, taken, octets);
    queue_count(queue, VIONET_COUNTER_CSUM_NONE, taken - checked);
    return taken;
}

static struct queue *transmit_queue(VionetDevice *device, unsigned pair)
{
    return pair < device->config.max_pairs ? &device->queues[2 * pair + 1] : NULL;
}

size_t vionet_device_transmit(VionetDevice *device, unsigned pair, VionetFrame *frames, size_t n)
{
    struct queue *queue = transmit_queue(device, pair);
    struct outcome outcome = {0};
    size_t taken = 0;

    if (!queue || n == 0) {
        return 0;
    }
    if (queue_enter(queue, &device->map, &outcome)) {
        const struct view *view = device_view(device);

        /* A reset replaces the view before it stops the queues: nothing is taken by the new one. */
        if (view->running && G_LIKELY(!queue->draining)) {
            taken = take_burst(device, queue, view, frames, n, &outcome);
        }
        gate_leave(&queue->gate);
    }
    device_settle(device, queue, &outcome);
    return taken;
}

/*
 * Frees the slots of frames of a live queue, as long as there is nothing special about them; how many, and
 * in buffers what the driver waits for.
 */
static unsigned give_back_simple(struct queue *queue, const VionetFrame *frames, unsigned n,
                                 struct ring_plain *buffers)
{
    uint16_t *const free_slots = queue->free_slots;
    struct slot *const slots = queue->slots;
    const unsigned n_slots = queue->n_slots;
    const uint64_t first_token = queue->first_token;
    unsigned n_free = queue->n_free_slots;
    unsigned i;

    for (i = 0; i < n; i++) {
        const uint64_t token = frames[i].token;
        const uint16_t index = (uint16_t)token;
        struct slot *const slot = &slots[index];

        if (index >= n_slots || token < first_token || slot->token != token ||
            slot->state != SLOT_OUT) {
            break;
        }
        buffers[i].id = slot->ref.id;
        buffers[i].turn = slot->ref.turn;
        slot->state = 0;
        free_slots[n_free++] = index;
    }
    queue->n_free_slots = (uint16_t)n_free;
    return i;
}

/* Frees the frame's slot; true if the driver waits for its buffer, which is *ref then. */
static bool give_back(struct queue *queue, const VionetFrame *frame, bool live,
                      struct chain_ref *ref)
{
    struct slot *slot = slot_of(queue, frame->token);
    bool current;

    if (!slot) {
        queue_count(queue, VIONET_COUNTER_STALE, 1);
        return false;
    }
    current = slot->token >= queue->first_token;
    if (current && queue->paused) {
        /* Memory is out of reach just now. */
        slot->state = (uint8_t)((slot->state & ~SLOT_OUT) | SLOT_DONE);
        return false;
    }
    if (G_UNLIKELY(!current || !live)) {
        queue_count(queue, VIONET_COUNTER_STALE, 1);
    }
    *ref = slot->ref;
    queue_release_slot(queue, slot);
    return current && live;
}

/*
 * Enters the queue's gate, live or not: slots are freed in any case. True if it is live; a queue that
 * came to life between the two looks is entered as such.
 */
static bool enter_to_give_back(VionetDevice *device, struct queue *queue, struct outcome *outcome)
{
    while (!queue_enter(queue, &device->map, outcome)) {
        gate_enter(&queue->gate);
        if (!queue->live) {
            return false;
        }
        gate_leave(&queue->gate);
    }
    return true;
}

void vionet_device_complete(VionetDevice *device, unsigned pair, const VionetFrame *frames,
                            size_t n)
{
    struct queue *queue = transmit_queue(device, pair);
    struct ring_plain buffers[CHUNK];
    struct outcome outcome = {0};
    bool given = false;
    bool live;

    if (!queue || n == 0) {
        return;
    }
    live = enter_to_give_back(device, queue, &outcome);
    for (size_t i = 0; i < n;) {
        const unsigned most = (unsigned)MIN(n - i, CHUNK);
        const unsigned got = live ? give_back_simple(queue, &frames[i], most, buffers) : 0;
        struct chain_ref ref;

        i += got;
        if (got > 0) {
            ring_push_plain(&queue->ring, false, buffers, got);
            given = true;
        } else if (give_back(queue, &frames[i++], live, &ref)) {
            ring_push(&queue->ring, &ref, 0);
            given = true;
        }
    }
    if (live && queue->starved) {
        queue->starved = false;
        outcome.kick = true;
    }
    if (given) {
        queue_flush_buffers(queue, &outcome);
    }
    gate_leave(&queue->gate);
    device_settle(device, queue, &outcome);
}

size_t vionet_frame_linearize(const VionetFrame *frame, void *buf, size_t size)
{
    struct iov_cursor cursor = iov_begin(frame->iov, frame->n_iov);
    size_t len = iov_length(frame->iov, frame->n_iov);
    size_t at = frame->csum_start;
    uint8_t *octets = buf;
    uint32_t sum = 0;

    if (len > size) {
        return 0;
    }
    iov_read(&cursor, buf, len);
    if (!(frame->flags & 1 /* VIRTIO_NET_HDR_F_NEEDS_CSUM */)) {
        return len;
    }
    if (at + frame->csum_offset + 2 > len) {
        return 0;
    }
    for (; at + 1 < len; at += 2) {
        sum += get_be16(octets + at);
    }
    sum += at < len ? (uint32_t)octets[at] << 8 : 0;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16)) & 0xffff;
    /* For UDP 0 would mean "none" (RFC 768); TCP takes both forms of zero. */
    put_be16(octets + frame->csum_start + frame->csum_offset, (uint16_t)(sum ? sum : 0xffff));
    return len;
}
