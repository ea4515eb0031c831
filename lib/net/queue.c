/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue's life (VIRTIO 1.4, 2.6) and its notifications, coalescing included (5.1.6.5.9). See
 * queue.h. Called by the device (start, stop, registers) and by the data path.
 */
#include "net/queue.h"

#include <string.h>

#include "net/feature.h"
#include "ring/bounce.h"

#include <vionet/spec.h>

void queue_init(struct queue *queue, uint16_t index, uint16_t max_size, bool transmit,
                const VionetHostOps *ops, void *opaque, _Atomic uint8_t *status)
{
    const unsigned ranges = CHAIN_RANGES(MAX(max_size, CHAIN_MAX_INDIRECT));

    queue->index = index;
    queue->ops = ops;
    queue->opaque = opaque;
    queue->status = status;
    ring_init(&queue->ring, max_size);
    queue->ranges = lines_new0(2 * (size_t)ranges, sizeof(struct iovec));
    chain_init(&queue->chain, queue->ranges, ranges);
    queue->several = transmit ? NULL : lines_new0(max_size, sizeof(struct ring_used));
    if (transmit) {
        queue->n_slots = max_size;
        queue->slots = lines_new0(max_size, sizeof(struct slot));
        queue->slot_ranges = lines_new0((size_t)max_size * SLOT_RANGES, sizeof(struct iovec));
        queue->free_slots = lines_new0(max_size, sizeof(uint16_t));
        queue->n_free_slots = max_size;
        for (uint16_t i = 0; i < max_size; i++) {
            queue->slots[i].index = i;
            queue->slots[i].large = -1;
            queue->free_slots[i] = (uint16_t)(max_size - 1 - i);
        }
        queue->large_ranges = lines_new0(N_LARGE_SLOTS * (size_t)ranges, sizeof(struct iovec));
    }
    queue_reset_registers(queue, max_size);
}

void queue_free(struct queue *queue)
{
    queue_free_state(queue->state);
    ring_free(&queue->ring);
    chain_free(&queue->chain);
    g_aligned_free(queue->ranges);
    g_aligned_free(queue->several);
    for (unsigned i = 0; i < queue->n_slots; i++) {
        g_free(queue->slots[i].bounced ? queue->slots[i].bounce : NULL);
    }
    g_aligned_free(queue->slots);
    g_aligned_free(queue->slot_ranges);
    g_aligned_free(queue->free_slots);
    g_aligned_free(queue->large_ranges);
}

void queue_reset_registers(struct queue *queue, uint16_t max_size)
{
    queue->max_size = max_size;
    queue->size = max_size;
    queue->enabled = false;
    queue->resumes = false;
    queue->base = 0;
    queue_free_state(queue->state);
    queue->state = NULL;
    queue->logs = false;
    queue->log_gpa = 0;
    queue->discards = false;
    queue->journal = NULL;
    queue->big_endian = false;
    memset(queue->area_gpa, 0, sizeof(queue->area_gpa));
}

void queue_reset_counters(struct queue *queue)
{
    atomic_store_explicit(&queue->kicks, 0, memory_order_relaxed);
    for (unsigned i = 0; i < VIONET_N_COUNTERS; i++) {
        atomic_store_explicit(&queue->counters[i], 0, memory_order_relaxed);
    }
    for (unsigned i = 0; i < VIONET_N_VERDICTS; i++) {
        atomic_store_explicit(&queue->verdicts[i], 0, memory_order_relaxed);
    }
}

unsigned queue_count_offloads(struct queue *queue, uint8_t flags, uint8_t gso_type, size_t len)
{
    if (flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        queue_count(queue, VIONET_COUNTER_CSUM_VALID, 1);
    }
    if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        queue_count(queue, VIONET_COUNTER_CSUM_NEEDS, 1);
    }
    if ((gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_NONE) {
        queue_count(queue, VIONET_COUNTER_GSO_PACKETS, 1);
        queue_count(queue, VIONET_COUNTER_GSO_OCTETS, len);
    }
    return (flags & (VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_NEEDS_CSUM)) != 0;
}

/* Frames taken before are none of those that the driver waits for. */
static void begin_life(struct queue *queue)
{
    queue->first_token = TOKEN_OF(queue->n_taken, 0);
}

void queue_set_log(struct queue *queue, bool logs, uint64_t gpa)
{
    queue->logs = logs;
    queue->log_gpa = gpa;
    gate_enter(&queue->gate);
    queue->ring.setup.logs = logs;
    queue->ring.setup.log_gpa = gpa;
    gate_leave(&queue->gate);
}

void queue_set_discard(struct queue *queue, bool discards)
{
    gate_enter(&queue->gate);
    queue->discards = discards;
    gate_leave(&queue->gate);
}

void queue_release_slot_extras(struct queue *queue, struct slot *slot)
{
    if (slot->large >= 0) {
        queue->large_out[slot->large] = false;
        slot->large = -1;
    }
    if (slot->bounced) {
        queue->bounced -= slot->bounced;
        slot->bounced = 0;
        g_free(slot->bounce);
    }
}

/* Gives the driver what the host gave back during a pause, or forgets it with the life it is of. */
static uint32_t settle_done(struct queue *queue, bool give)
{
    uint32_t given = 0;

    for (unsigned i = 0; i < queue->n_slots; i++) {
        struct slot *slot = &queue->slots[i];

        if (!(slot->state & SLOT_DONE)) {
            continue;
        }
        if (give) {
            ring_push(&queue->ring, &slot->ref, 0);
            given++;
        }
        queue_release_slot(queue, slot);
    }
    return given;
}

void queue_stop(struct queue *queue)
{
    queue->started = false;
    gate_enter(&queue->gate);
    queue->live = false;
    queue->paused = false;
    queue->broken = false;
    settle_done(queue, false);
    begin_life(queue);
    gate_leave(&queue->gate);
}

/* Shows the driver of a paused queue what was given back, if its memory is still there. */
static void settle_paused(struct queue *queue, _Atomic(struct memory_map *) *map,
                          struct outcome *outcome)
{
    const bool there = ring_remap(&queue->ring, atomic_load_explicit(map, memory_order_acquire));

    if (settle_done(queue, there)) {
        queue_flush_buffers(queue, outcome);
    }
}

bool queue_enter(struct queue *queue, _Atomic(struct memory_map *) *map, struct outcome *outcome)
{
    gate_enter(&queue->gate);
    if (G_LIKELY(queue->live)) {
        if (G_LIKELY(ring_remap(&queue->ring, atomic_load_explicit(map, memory_order_acquire)))) {
            return true;
        }
        queue_break(queue, outcome);
    }
    gate_leave(&queue->gate);
    return false;
}

void queue_break(struct queue *queue, struct outcome *outcome)
{
    const uint8_t old = atomic_fetch_or(queue->status, VIRTIO_STATUS_DEVICE_NEEDS_RESET);

    outcome->needs_reset = !(old & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    queue->live = false;
    queue->broken = true;
    outcome->faulted = true;
    outcome->fault = queue->ring.fault;
}

void queue_break_with(struct queue *queue, VionetViolation violation, unsigned descriptor,
                      uint64_t value, struct outcome *outcome)
{
    queue->ring.fault = (struct ring_fault){violation, descriptor, value};
    queue_break(queue, outcome);
}

void queue_await(struct queue *queue)
{
    queue->awaited = true;
    queue->awaited_kicks = atomic_load_explicit(&queue->kicks, memory_order_relaxed);
}

void queue_quiet_driver(struct queue *queue)
{
    if (queue->awaited &&
        queue->awaited_kicks == atomic_load_explicit(&queue->kicks, memory_order_relaxed)) {
        return;
    }
    queue->awaited = false;
    ring_disable_kicks(&queue->ring);
}

int queue_take_buffer(struct queue *queue)
{
    int taken = ring_pop(&queue->ring, &queue->chain);

    if (taken == 0 && !queue->poll && ring_enable_kicks(&queue->ring)) {
        taken = ring_pop(&queue->ring, &queue->chain);
    }
    if (taken > 0) {
        queue_quiet(queue);
    }
    return taken;
}

void queue_check(struct queue *queue, struct outcome *outcome)
{
    if (G_UNLIKELY(queue->ring.lost) && queue->live) {
        queue_break(queue, outcome);
    }
}

static void notify(struct queue *queue, struct outcome *outcome)
{
    queue->coalesce.pending = 0;
    queue->coalesce.armed = false;
    if (ring_must_notify(&queue->ring) && G_LIKELY(!queue->ring.lost)) {
        outcome->interrupt = true;
        queue_count(queue, VIONET_COUNTER_INTERRUPTS, 1);
    }
}

/* Either parameter 0 switches coalescing off (5.1.6.5.9.1). */
static bool coalesces(const struct coalesce *coalesce)
{
    return coalesce->max_packets && coalesce->max_usecs;
}

/*
 * Never more packets than the ring has buffers: beyond that the driver could not go on without a
 * notification, and the event index arithmetic could not tell.
 */
static bool coalesce_due(const struct queue *queue)
{
    return queue->coalesce.pending >= MIN(queue->coalesce.max_packets, queue->ring.setup.size);
}

/* Asks for the timer, or notifies if its time is over. The clock is the host's; see device.h. */
static void wait_for_more(struct queue *queue, struct outcome *outcome)
{
    struct coalesce *coalesce = &queue->coalesce;
    const uint64_t now_ns = queue->ops->clock_ns(queue->opaque);
    uint64_t deadline_ns;

    if (!coalesce->armed) {
        coalesce->armed = true;
        coalesce->since_ns = now_ns;
    }
    deadline_ns = coalesce->since_ns + coalesce->max_usecs * UINT64_C(1000);
    if (now_ns >= deadline_ns) {
        notify(queue, outcome);
    } else {
        outcome->deadline_ns = deadline_ns;
    }
}

/* Decides on notifying the driver of what it has just been shown. */
static void decide(struct queue *queue, uint32_t packets, struct outcome *outcome)
{
    struct coalesce *coalesce = &queue->coalesce;

    if (G_LIKELY(!coalesces(coalesce))) {
        notify(queue, outcome);
        return;
    }
    coalesce->pending += packets;
    if (coalesce_due(queue)) {
        notify(queue, outcome);
    } else if (coalesce->pending && !coalesce->armed) {
        wait_for_more(queue, outcome);
    }
}

void queue_flush(struct queue *queue, uint32_t packets, struct outcome *outcome)
{
    if (ring_flush(&queue->ring)) {
        decide(queue, packets, outcome);
    }
    queue_check(queue, outcome);
}

static struct ring_setup setup_for(uint16_t size, const uint64_t *features)
{
    return (struct ring_setup){
        .size = size,
        .indirect = feature_test(features, VIRTIO_F_INDIRECT_DESC),
        .event_idx = feature_test(features, VIRTIO_F_EVENT_IDX),
        .in_order = feature_test(features, VIRTIO_F_IN_ORDER),
        .batches = feature_test(features, VIRTIO_F_IN_ORDER),
        .packed = feature_test(features, VIRTIO_F_RING_PACKED),
    };
}

/* What was out when another device was saved goes back, and what it had to notify of is notified of. */
static void go_on(struct queue *queue, const struct ring_state *state, struct outcome *outcome)
{
    if (state->n_taken) {
        ring_push_burst(&queue->ring, state->taken, state->n_taken);
        queue_flush_buffers(queue, outcome);
    }
    if (queue->coalesce.pending) {
        notify(queue, outcome);
    }
}

static struct ring_setup setup_of(const struct queue *queue, const uint64_t *features)
{
    struct ring_setup setup = setup_for(queue->size, features);

    setup.resumes = queue->resumes;
    setup.base = queue->base;
    setup.state = queue->state;
    setup.in_order |= queue->journal != NULL;
    setup.journal = queue->journal;
    setup.big_endian = queue->big_endian;
    setup.logs = queue->logs;
    setup.log_gpa = queue->log_gpa;
    memcpy(setup.area_gpa, queue->area_gpa, sizeof(setup.area_gpa));
    return setup;
}

void queue_start(struct queue *queue, const uint64_t *features, const struct memory_map *map,
                 struct outcome *outcome)
{
    const struct ring_setup setup = setup_of(queue, features);
    struct ring_state *const state = queue->state;

    queue->state = NULL;
    gate_enter(&queue->gate);
    begin_life(queue);
    queue->poll = false;
    if (queue->awaited) {
        queue_await(
            queue); /* frames that are held from before wait for a notification of this life */
    }
    queue->starved = false;
    queue->draining = false;
    queue->coalesce.pending = state ? queue->coalesce.pending : 0;
    queue->coalesce.armed = false;
    queue->started = true;
    queue->broken = false;
    queue->live = true;
    if (!ring_start(&queue->ring, &setup, map)) {
        queue_break(queue, outcome);
    } else {
        if (state) {
            go_on(queue, state, outcome);
        }
        outcome->kick = ring_enable_kicks(&queue->ring);
        queue_check(queue, outcome);
    }
    gate_leave(&queue->gate);
    queue_free_state(state);
}

/*
 * The base of a queue that never went on from where another device's stood. The driver gets back what was out
 * there, if the ring's memory is there.
 */
static uint32_t leave_state(struct queue *queue, const uint64_t *features,
                            _Atomic(struct memory_map *) *map, struct outcome *outcome)
{
    const struct ring_setup setup = setup_of(queue, features);
    struct ring_state *const state = queue->state;
    uint32_t base = ring_state_base(&setup);

    if (ring_start(&queue->ring, &setup, atomic_load_explicit(map, memory_order_acquire))) {
        go_on(queue, state, outcome);
        base = ring_base(&queue->ring);
    }
    queue->coalesce.pending = 0;
    queue->state = NULL;
    queue_free_state(state);
    return base;
}

void queue_set_broken(struct queue *queue)
{
    queue->started = true;
    queue->broken = true;
    queue->ring.ops = NULL;
}

bool queue_stop_at(struct queue *queue, const uint64_t *features, _Atomic(struct memory_map *) *map,
                   uint32_t *base, struct outcome *outcome)
{
    bool settled;

    gate_enter(&queue->gate);
    if (queue->paused) {
        settle_paused(queue, map, outcome);
    }
    settled = queue->n_free_slots == queue->n_slots;
    queue->draining = !settled;
    if (settled && queue->started && queue->ring.ops) {
        *base = ring_base(&queue->ring);
    } else if (settled) {
        *base = queue->state ? leave_state(queue, features, map, outcome) : queue->base;
    }
    if (settled) {
        queue->started = false;
        queue->live = false;
        queue->paused = false;
        queue->broken = false;
        begin_life(queue);
    }
    gate_leave(&queue->gate);
    return settled;
}

void queue_coalesce_set(struct queue *queue, _Atomic(struct memory_map *) *map,
                        uint32_t max_packets, uint32_t max_usecs, struct outcome *outcome)
{
    struct coalesce *coalesce = &queue->coalesce;

    gate_enter(&queue->gate);
    coalesce->max_packets = max_packets;
    coalesce->max_usecs = max_usecs;
    gate_leave(&queue->gate);
    if (!queue_enter(queue, map, outcome)) {
        return;
    }
    if (coalesce->pending && (!coalesces(coalesce) || coalesce_due(queue))) {
        notify(queue, outcome);
    } else if (coalesce->pending) {
        wait_for_more(queue, outcome);
    }
    queue_check(queue, outcome);
    gate_leave(&queue->gate);
}

void queue_coalesce_expire(struct queue *queue, struct outcome *outcome)
{
    if (queue->coalesce.armed && queue->coalesce.pending) {
        notify(queue, outcome);
    }
    queue_check(queue, outcome);
}

void queue_pause(struct queue *queue)
{
    gate_enter(&queue->gate);
    queue->paused = queue->started && !queue->broken;
    queue->live = false;
    gate_leave(&queue->gate);
}

void queue_resume(struct queue *queue, _Atomic(struct memory_map *) *map, struct outcome *outcome)
{
    uint32_t given;

    gate_enter(&queue->gate);
    queue->live = queue->paused;
    queue->paused = false;
    gate_leave(&queue->gate);
    if (!queue_enter(queue, map, outcome)) {
        return;
    }
    given = settle_done(queue, true);
    if (given) {
        queue_flush_buffers(queue, outcome);
    }
    if (queue->coalesce.armed) { /* its timer may have run out meanwhile */
        wait_for_more(queue, outcome);
    }
    /* Who polls may have found nothing here, and gone. */
    outcome->kick = queue->poll || ring_enable_kicks(&queue->ring);
    queue_check(queue, outcome);
    gate_leave(&queue->gate);
}

/* ---- Being saved and loaded ---- */

/* A buffer that is out, and its place in the order of taking. */
struct out {
    struct ring_used used;
    uint64_t order;
};

static int by_order(const void *one, const void *other)
{
    const uint64_t a = ((const struct out *)one)->order;
    const uint64_t b = ((const struct out *)other)->order;

    return a < b ? -1 : a > b;
}

/* Adds those of frames that the host has, or gave back during a pause, and puts all in order. */
static void add_slots(const struct queue *queue, struct ring_state *state)
{
    const struct ring *ring = &queue->ring;
    struct out *outs = g_new(struct out, queue->size);
    unsigned n = 0;

    for (unsigned i = 0; i < state->n_taken; i++) {
        outs[n++] = (struct out){state->taken[i], ring_turn_of(ring, &state->taken[i].ref)};
    }
    for (unsigned i = 0; i < queue->n_slots; i++) {
        const struct slot *slot = &queue->slots[i];

        if ((slot->state & (SLOT_OUT | SLOT_DONE)) && slot->token >= queue->first_token) {
            outs[n++] =
                (struct out){{slot->ref, 0},
                             ring->setup.in_order ? ring_turn_of(ring, &slot->ref) : slot->token};
        }
    }
    qsort(outs, n, sizeof(outs[0]), by_order);
    for (unsigned i = 0; i < n; i++) {
        state->taken[i] = outs[i].used;
    }
    state->n_taken = n;
    g_free(outs);
}

static struct ring_state *copy_state(const struct ring_state *state)
{
    struct ring_state *copy = g_memdup2(state, sizeof(*state));

    copy->taken = g_memdup2(state->taken, state->n_taken * sizeof(state->taken[0]));
    return copy;
}

struct ring_state *queue_get_state(struct queue *queue)
{
    struct ring_state *state = NULL;

    if (!queue->started) {
        return queue->state ? copy_state(queue->state) : NULL;
    }
    gate_enter(&queue->gate);
    if (!queue->broken) {
        state = g_new0(struct ring_state, 1);
        state->taken = g_new(struct ring_used, queue->size);
        ring_get_state(&queue->ring, state);
        add_slots(queue, state);
    }
    gate_leave(&queue->gate);
    return state;
}

void queue_free_state(struct ring_state *state)
{
    if (state) {
        g_free(state->taken);
        g_free(state);
    }
}

const char *queue_state_wrong(uint16_t size, const uint64_t *features, bool resumes,
                              struct ring_state *state)
{
    struct ring_setup setup = setup_for(size, features);

    setup.resumes = resumes;
    setup.state = state;
    return ring_state_wrong(&setup);
}

void queue_set_state(struct queue *queue, struct ring_state *state, uint32_t pending)
{
    queue->state = state;
    queue->coalesce.pending = pending;
}
