/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host to guest (VIRTIO 1.4, 5.1.6.3 and 5.1.6.4). A frame's way, top to bottom in this file's last
 * functions: checks, filter, dissect, hash, steer; then, queue by queue, pop, header, copy, push, in
 * bursts as long as buffers are plain ones; then one flush and one notification decision for each queue.
 * Frames that take several buffers are merged.c's.
 * Most frames need less of it and go straight before, see straight.c. Called by the embedder from any thread;
 * a lane's gate holds the view in place, a queue's gate its ring too.
 */
#include "net/burst.h"

#include <string.h>

#include "bytes.h"
#include "iov.h"
#include "net/filter.h"
#include "net/merged.h"
#include "ring/bounce.h"

#include <vionet/spec.h>

/* ---- before a queue is known ---- */

/* The frame in one piece, up to as many octets as are needed to look at all of it. */
static const uint8_t *gather(struct lane *lane, const VionetFrame *frame)
{
    struct iov_cursor cursor = iov_begin(frame->iov, frame->n_iov);

    iov_read(&cursor, lane->scratch, VIONET_MAX_FRAME);
    return lane->scratch;
}

static bool exceeds_mtu(const struct view *view, const struct station *station, const uint8_t *data,
                        size_t linear)
{
    size_t limit = view->mtu + ETHERNET_HEADER;
    size_t at = ETHERNET_HEADER - 2;

    if (G_LIKELY(!view->mtu || station->len <= limit) ||
        (station->frame->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_NONE) {
        return false;
    }
    for (int tags = 0; tags < 2 && at + 2 <= linear; tags++, at += VLAN_TAG) {
        uint16_t type = get_be16(data + at);

        if (type != 0x8100 && type != 0x88a8) {
            break;
        }
        limit += VLAN_TAG;
    }
    return station->len > limit;
}

/* What can be said of a frame by its length and the device's state. */
static inline VionetVerdict admit(const struct view *view, size_t len)
{
    if (len < ETHERNET_HEADER) {
        return VIONET_DROP_RUNT;
    }
    if (len > view->max_frame) {
        return VIONET_DROP_OVERSIZE;
    }
    if (!view->running) {
        return VIONET_DROP_NOT_RUNNING;
    }
    return view->link_up ? VIONET_DELIVERED : VIONET_DROP_LINK_DOWN;
}

/* Hash and queue pair. A frame in pieces is put together only if its first piece does not do. */
static void find_queue(struct burst *burst, struct station *station, const uint8_t *data,
                       size_t linear)
{
    const struct view *view = burst->view;
    VionetFlow flow = {0};

    if (steer_needs_flow(view)) {
        vionet_dissect(data, linear, view->steering.tunnels, &flow);
        if (flow.short_of_octets && linear < station->len) {
            data = gather(burst->lane, station->frame);
            vionet_dissect(data, station->len, view->steering.tunnels, &flow);
        }
    }
    steer_hash(view, &flow, &station->hash);
    station->pair = (uint16_t)steer_pair(view, burst->device->flows, &flow, &station->hash);
}

static inline VionetVerdict prepare(struct burst *burst, struct station *station)
{
    const VionetFrame *frame = station->frame;
    const struct view *view = burst->view;
    const size_t len =
        G_LIKELY(frame->n_iov == 1) ? frame->iov[0].iov_len : iov_length(frame->iov, frame->n_iov);
    VionetVerdict verdict = admit(view, len);
    const uint8_t *data;
    size_t linear;

    station->len = (uint32_t)len;
    if (G_UNLIKELY(verdict != VIONET_DELIVERED)) {
        return verdict;
    }
    data = frame->iov[0].iov_base;
    linear = frame->iov[0].iov_len;
    if (G_UNLIKELY(linear < ETHERNET_HEADER + 2 * VLAN_TAG && linear < station->len)) {
        data = gather(burst->lane, frame);
        linear = station->len;
    }
    verdict = filter_frame(view, data, linear);
    if (G_UNLIKELY(verdict != VIONET_DELIVERED)) {
        return verdict;
    }
    if (exceeds_mtu(view, station, data, linear)) {
        return VIONET_DROP_MTU;
    }
    switch (header_check_receive(view, frame, station->len)) {
    case HEADER_REFUSED:
        return VIONET_DROP_OFFLOAD;
    case HEADER_NEEDS_CHECKSUM:
        station->needs_checksum = true;
        break;
    case HEADER_FITS:
        break;
    }
    station->steered = true;
    if (burst->steers) {
        find_queue(burst, station, data, linear);
    }
    return VIONET_DELIVERED;
}

/* ---- in a queue's gate ---- */

/* Writes header and frame to the one buffer that was taken. */
static inline void fill_one(const struct chain *chain, const uint8_t *hdr, size_t hdr_len,
                            const VionetFrame *frame, size_t len)
{
    struct iov_cursor to = iov_begin(chain->in, chain->n_in);
    struct iov_cursor from = iov_begin(frame->iov, frame->n_iov);

    if (G_LIKELY(chain->in[0].iov_len >= hdr_len + len && frame->n_iov == 1)) {
        uint8_t *p = chain->in[0].iov_base;

        memcpy(p, hdr, hdr_len);
        memcpy(p + hdr_len, frame->iov[0].iov_base, len);
        return;
    }
    iov_write(&to, hdr, hdr_len);
    iov_copy(&to, &from, len);
}

/* A buffer that cannot even hold the header is against 5.1.6.3.1. */
static bool holds_header(struct queue *queue, size_t hdr_len, struct outcome *outcome)
{
    if (G_LIKELY(queue->chain.in_len >= hdr_len)) {
        return true;
    }
    queue_break_with(queue, VIONET_VIOLATION_RECEIVE_BUFFER, queue->chain.ref.id,
                     queue->chain.in_len, outcome);
    return false;
}

/* Pop, header, copy, push. */
static VionetVerdict deliver(struct queue *queue, const struct view *view, const VionetFrame *frame,
                             size_t len, const struct hash_result *hash, struct outcome *outcome)
{
    const size_t hdr_len = view->hdr_len;
    struct chain *chain = &queue->chain;
    uint8_t hdr[HEADER_MAX];
    int taken = queue_take_buffer(queue);

    if (taken == 0) {
        return VIONET_HELD;
    }
    if (taken < 0) {
        queue_break(queue, outcome);
        return VIONET_DROP_NOT_RUNNING;
    }
    if (!holds_header(queue, hdr_len, outcome)) {
        return VIONET_DROP_NOT_RUNNING;
    }
    header_write(view, frame, hash, hdr);
    if (G_LIKELY(chain->in_len >= hdr_len + len)) {
        fill_one(chain, hdr, hdr_len, frame, len);
        if (!chain_write_out(&queue->ring, chain, hdr_len + len)) {
            queue_break(queue, outcome);
            return VIONET_DROP_NOT_RUNNING;
        }
        ring_push(&queue->ring, &chain->ref, (uint32_t)(hdr_len + len));
        return VIONET_DELIVERED;
    }
    if (view->mergeable) {
        return merged_fill(queue, view, hdr, frame, len, outcome);
    }
    ring_unpop(&queue->ring, &chain->ref);
    return VIONET_DROP_BUFFER_TOO_SMALL;
}

/* The same for a frame whose checksum the guest will not complete: completed in a copy. */
static VionetVerdict deliver_completed(struct burst *burst, struct queue *queue,
                                       const struct station *station, struct outcome *outcome)
{
    size_t len = vionet_frame_linearize(station->frame, burst->lane->scratch, VIONET_MAX_FRAME);
    struct iovec piece = {burst->lane->scratch, len};
    VionetFrame plain = {.iov = &piece, .n_iov = 1};

    return deliver(queue, burst->view, &plain, len, &station->hash, outcome);
}

/* What the guest was told of a delivered frame; 1 if anything of its checksum. */
static unsigned count_offloads(struct queue *queue, const struct view *view,
                               const struct station *station)
{
    const VionetFrame *frame = station->frame;

    if (G_LIKELY((frame->flags | frame->gso_type) == 0) || station->needs_checksum) {
        return 0; /* a completed frame is delivered as a plain one */
    }
    return queue_count_offloads(queue, header_flags(view, frame), frame->gso_type, station->len);
}

/*
 * Delivers one of left frames to the pair's queue: into a plain buffer if there are any, over several if it
 * is too long for one, the ordinary way if not.
 */
static inline VionetVerdict deliver_next(struct burst *burst, struct queue *queue,
                                         struct hand *hand, const struct station *station,
                                         unsigned left, struct outcome *outcome)
{
    const struct view *view = burst->view;
    VionetVerdict verdict;
    bool plain;

    if (hand->done == hand->n) {
        hand_put_down(queue, hand);
        hand_take(queue, hand, left);
    }
    plain = hand->n > 0 && !station->needs_checksum;
    if (G_LIKELY(plain) && G_LIKELY(hand_fill(&hand->buffers[hand->done], view, &station->hash,
                                              station->frame, station->len))) {
        hand->done++;
        return VIONET_DELIVERED;
    }
    hand_put_down(queue, hand);
    if (G_UNLIKELY(station->needs_checksum)) {
        return deliver_completed(burst, queue, station, outcome);
    }
    if (plain && view->mergeable && merged_deliver_plain(queue, view, station, &verdict, outcome)) {
        return verdict;
    }
    return deliver(queue, view, station->frame, station->len, &station->hash, outcome);
}

static unsigned count_pending(const struct burst *burst, unsigned pair)
{
    unsigned n = 0;

    for (unsigned i = 0; i < burst->n; i++) {
        n += burst->stations[i].pending && burst->stations[i].pair == pair;
    }
    return n;
}

/* All frames of the burst that go to this pair. */
static void deliver_to(struct burst *burst, struct queue *queue, unsigned pair,
                       struct outcome *outcome)
{
    unsigned left = count_pending(burst, pair);
    struct hand hand; /* large: only what is used is set */
    uint32_t checked = 0;
    uint32_t packets = 0;
    uint32_t too_long = UINT32_MAX; /* for the buffers that there are */
    uint64_t octets = 0;
    bool held = false;

    hand.n = hand.done = 0;
    for (unsigned i = 0; i < burst->n; i++) {
        struct station *station = &burst->stations[i];

        if (!station->pending || station->pair != pair) {
            continue;
        }
        station->pending = false;
        if (!queue->live) {
            station->verdict = VIONET_DROP_NOT_RUNNING;
        } else if (held || station->len >= too_long) {
            station->verdict = VIONET_HELD;
        } else {
            station->verdict = deliver_next(burst, queue, &hand, station, left, outcome);
        }
        left--;
        if (G_LIKELY(station->verdict == VIONET_DELIVERED)) {
            packets++;
            octets += station->len;
            checked += count_offloads(queue, burst->view, station);
            continue;
        }
        if (station->verdict == VIONET_HELD) {
            too_long = MIN(too_long, station->len);
            held = burst->hold;
            station->verdict = held ? VIONET_HELD : VIONET_DROP_NO_BUFFER;
        }
        if (station->verdict != VIONET_HELD) {
            count(&queue->verdicts[station->verdict], 1);
            queue_count(queue, VIONET_COUNTER_DROPS, 1);
        }
    }
    hand_put_down(queue, &hand);
    if (packets) {
        burst_count_delivered(queue, packets, octets, checked);
    }
    if (held) {
        queue_await(queue);
    }
    queue_flush(queue, packets, outcome);
}

/* ---- the burst ---- */

static void drop_in_lane(struct burst *burst, struct station *station, VionetVerdict verdict)
{
    station->pending = false;
    station->verdict = verdict;
    count(&burst->lane->verdicts[verdict], 1);
}

/*
 * Frames for a queue that is not there go to the next one, if steering is free to choose
 * (5.1.6.5.5.1).
 */
static void divert(struct burst *burst, unsigned pair, unsigned tries)
{
    const struct steering *steering = &burst->view->steering;
    const bool may = steering->mode == STEER_AUTOMATIC && tries + 1 < steering->n_pairs;
    const struct queue *queue = &burst->device->queues[2 * pair];
    const VionetVerdict verdict = atomic_load_explicit(&queue->broken, memory_order_relaxed)
                                      ? VIONET_DROP_NOT_RUNNING
                                      : VIONET_DROP_QUEUE_DISABLED;

    for (unsigned i = 0; i < burst->n; i++) {
        struct station *station = &burst->stations[i];

        if (!station->pending || station->pair != pair) {
            continue;
        }
        if (may) {
            station->pair = (uint16_t)((pair + 1) % steering->n_pairs);
        } else {
            drop_in_lane(burst, station, verdict);
        }
    }
}

/*
 * Brings a frame, and those of the burst that go the same way, to its queue. A queue that breaks on
 * being entered is a visit to be noted too: diverting ends while there is room for one more visit
 * for each frame.
 */
static void visit_queue_of(struct burst *burst, struct station *station)
{
    for (unsigned tries = 0; station->pending; tries++) {
        const unsigned pair = station->pair;
        struct queue *queue = &burst->device->queues[2 * pair];
        struct outcome outcome = {0};
        bool entered = queue_enter(queue, &burst->device->map, &outcome);

        if (entered) {
            deliver_to(burst, queue, pair, &outcome);
            gate_leave(&queue->gate);
        } else {
            divert(burst, pair, burst->n_visits < CHUNK ? tries : UINT16_MAX);
        }
        burst_note_visit(burst, queue, &outcome);
    }
}

/* Tells the host what became of each frame; in the lane's gate, as the view is needed. */
static void trace_chunk(const struct burst *burst)
{
    const VionetDevice *device = burst->device;

    for (unsigned i = 0; i < burst->n; i++) {
        const struct station *station = &burst->stations[i];
        const bool told = burst->view->reports_hash && station->verdict == VIONET_DELIVERED;
        const VionetTrace trace = {
            .frame = station->frame,
            .len = station->len,
            .queue = station->steered ? 2u * station->pair : VIONET_NONE,
            .verdict = station->verdict,
            .report = told ? station->hash.report : 0,
            .hash = told ? station->hash.value : 0,
        };

        if (station->verdict != VIONET_HELD) {
            device->ops.trace(device->opaque, &trace);
        }
    }
}

/* A frame that went straight, or whose hash was found on the straight way, or one that nothing is known of. */
static void begin_station(struct burst *burst, unsigned i, const VionetFrame *frame)
{
    struct station *station = &burst->stations[i];
    VionetVerdict verdict;

    *station = (struct station){.frame = frame, .verdict = VIONET_DELIVERED};
    if (burst->gone >> i & 1) {
        return;
    }
    station->pending = true;
    if (i < burst->n_known) {
        station->len = (uint32_t)frame->iov[0].iov_len;
        station->hash = burst->hashes[i];
        station->pair = burst->pairs[i];
        station->steered = true;
        return;
    }
    verdict = prepare(burst, station);
    if (verdict != VIONET_DELIVERED) {
        drop_in_lane(burst, station, verdict);
    }
}

/* From station to station, what did not go straight. */
static void deliver_rest(struct burst *burst, const VionetFrame *frames)
{
    burst->steers = steer_chooses(burst->view);
    for (unsigned i = 0; i < burst->n; i++) {
        begin_station(burst, i, &frames[i]);
    }
    for (unsigned i = 0; i < burst->n; i++) {
        if (burst->stations[i].pending) {
            visit_queue_of(burst, &burst->stations[i]);
        }
    }
    if (G_UNLIKELY(burst->device->ops.trace)) {
        trace_chunk(burst);
    }
}

/* In the lane's gate. */
static void deliver_in_lane(struct burst *burst, const VionetFrame *frames)
{
    gate_enter(&burst->lane->gate);
    burst->view = device_view(burst->device);
    burst->n_known = 0;
    /* What went straight has gone, though the driver may just have asked for hashes. */
    if (burst->view->way == WAY_HASHED && burst->gone == 0) {
        burst_hash_and_go(burst, frames);
    }
    if (burst->gone != burst_all(burst->n)) {
        deliver_rest(burst, frames);
    }
    gate_leave(&burst->lane->gate);
}

static void receive_chunk(struct burst *burst, const VionetFrame *frames)
{
    burst->n_visits = 0;
    burst->gone = 0;
    if (atomic_load_explicit(&burst->device->straight, memory_order_relaxed)) {
        burst_go_straight(burst, frames);
    }
    if (burst->gone != burst_all(burst->n)) {
        deliver_in_lane(burst, frames);
    }
    for (unsigned i = 0; i < burst->n_visits; i++) {
        device_settle(burst->device, burst->visits[i].queue, &burst->visits[i].outcome);
    }
}

/* What became of the chunk's frames, into verdicts if there are any; how many were delivered. */
static size_t tell_verdicts(const struct burst *burst, VionetVerdict *verdicts, bool *held)
{
    const bool all = burst->gone == burst_all(burst->n);
    size_t delivered = 0;

    for (unsigned i = 0; i < burst->n && (verdicts || !all); i++) {
        const VionetVerdict verdict = all ? VIONET_DELIVERED : burst->stations[i].verdict;

        delivered += verdict == VIONET_DELIVERED;
        *held |= verdict == VIONET_HELD;
        if (verdicts) {
            verdicts[i] = verdict;
        }
    }
    return all ? burst->n : delivered;
}

size_t vionet_device_receive(VionetDevice *device, unsigned lane, const VionetFrame *frames,
                             size_t n, VionetVerdict *verdicts, unsigned flags)
{
    struct burst burst; /* large: only what is used is set */
    size_t delivered = 0;
    size_t done = 0;
    bool held = false;

    burst.device = device;
    burst.lane = &device->lanes[lane % device->config.max_pairs];
    burst.hold = verdicts && (flags & VIONET_RECEIVE_HOLD);
    /* Between chunks the guest may make room: what stands behind a held frame still has to wait. */
    for (; done < n && !held; done += burst.n) {
        burst.n = (unsigned)MIN(n - done, CHUNK);
        receive_chunk(&burst, frames + done);
        delivered += tell_verdicts(&burst, verdicts ? verdicts + done : NULL, &held);
    }
    for (; done < n; done++) {
        verdicts[done] = VIONET_HELD; /* held is only ever set with verdicts */
    }
    return delivered;
}
