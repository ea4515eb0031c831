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

#define ETHERNET_HEADER 14
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
    slot->out = true;
    slot->large = large;
    *ranges = large < 0 ? slot->iov : queue->large_ranges + (size_t)large * queue->chain.max;
    return slot;
}

/* What the chain has in bounce memory is the frame's until it is given back. */
static void slot_take_bounce(struct queue *queue, struct slot *slot)
{
    size_t len;

    slot->bounce = bounce_steal(&queue->chain, &len);
    slot->bounced = (uint32_t)len;
    queue->bounced += len;
}

/* A token tells the slot, and which of all frames ever taken it is. */
static uint64_t token_make(struct queue *queue, const struct slot *slot)
{
    return queue->n_taken++ << 16 | (uint64_t)(slot - queue->slots);
}

/* The slot of a frame that is out, NULL for any other token. */
static struct slot *slot_of(struct queue *queue, uint64_t token)
{
    const unsigned index = token & 0xffff;

    if (index >= queue->n_slots || !queue->slots[index].out || queue->slots[index].token != token) {
        return NULL;
    }
    return &queue->slots[index];
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
    frame->token = slot->token = token_make(queue, slot);
    slot->ref = *ref;
    slot->life = queue->life;
    if (G_UNLIKELY(queue->chain.n_remote > 0)) {
        slot_take_bounce(queue, slot);
    }
    if (G_UNLIKELY(device->ops.trace)) {
        trace_chain(device, queue, view, frame, VIONET_DELIVERED);
    }
    return TAKEN;
}

/*
 * Whether to stop, the ring being empty: not if the driver added something while it was asked to
 * notify.
 */
static bool drained(struct queue *queue)
{
    return queue->poll || !ring_enable_kicks(&queue->ring);
}

static size_t take_burst(VionetDevice *device, struct queue *queue, const struct view *view,
                         VionetFrame *frames, size_t n, struct outcome *outcome)
{
    const bool learns = steer_learns(view);
    unsigned budget = queue->ring.setup.size;
    uint32_t checked = 0;
    uint64_t octets = 0;
    size_t taken = 0;

    ring_disable_kicks(&queue->ring);
    for (; taken < n && budget > 0; budget--) {
        int popped = ring_pop(&queue->ring, &queue->chain);
        enum taken what;

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
        octets += frames[taken].len;
        if (frames[taken].flags | frames[taken].gso_type) {
            checked += queue_count_offloads(queue, frames[taken].flags, frames[taken].gso_type,
                                            frames[taken].len);
        }
        if (learns) {
            learn(device, view, &frames[taken], queue->index / 2);
        }
        taken++;
    }
    /* Out of budget on frames that were dropped: the caller takes few frames for an empty queue. */
    outcome->kick = budget == 0 && taken < n && queue->live && !drained(queue);
    queue_flush_buffers(queue, outcome);
    queue_count(queue, VIONET_COUNTER_PACKETS, taken);
    queue_count(queue, VIONET_COUNTER_OCTETS, octets);
    queue_count(queue, VIONET_COUNTER_CSUM_NONE, taken - checked);
    count(&queue->verdicts[VIONET_DELIVERED], taken);
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

/* Frees the frame's slot and, if the driver still waits for it, gives it its buffer back. */
static bool give_back(struct queue *queue, const VionetFrame *frame, bool live)
{
    struct slot *slot = slot_of(queue, frame->token);
    bool current;

    if (!slot) {
        queue_count(queue, VIONET_COUNTER_STALE, 1);
        return false;
    }
    current = slot->life == queue->life;
    if (current && queue->paused) {
        slot->out = false;
        slot->done = true; /* memory is out of reach just now */
        return false;
    }
    if (current && live) {
        ring_push(&queue->ring, &slot->ref, 0);
    } else {
        queue_count(queue, VIONET_COUNTER_STALE, 1);
    }
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
    struct outcome outcome = {0};
    uint32_t given = 0;
    bool live;

    if (!queue || n == 0) {
        return;
    }
    live = enter_to_give_back(device, queue, &outcome);
    for (size_t i = 0; i < n; i++) {
        given += give_back(queue, &frames[i], live);
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
