/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What both formats of ring share: setting up, the account of buffers that are out, and the order of
 * giving back (VIRTIO 1.4, 2.6, 2.7.9). Called by the queue (net/queue.c) and the data path.
 */
#include "ring/ring.h"

#include <string.h>

#include "bytes.h"
#include "lines.h"
#include "ring/formats.h"
#include "ring/journal.h"

#include <vionet/spec.h>

/* A power of two, so that indices may run freely through 16 bits, above size. */
static unsigned turns_for(uint16_t size)
{
    unsigned n = 1;

    while (n <= size) {
        n *= 2;
    }
    return n;
}

void ring_init(struct ring *ring, uint16_t max_size)
{
    memset(ring, 0, sizeof(*ring));
    /* One more than can wait, so that the one behind the last is none that waits. */
    ring->turns = lines_new0(turns_for(max_size), sizeof(struct ring_turn));
    ring->unseen = lines_new0(max_size, sizeof(struct ring_used));
    ring->taken = lines_new0(max_size, sizeof(bool));
}

void ring_free(struct ring *ring)
{
    g_aligned_free(ring->turns);
    g_aligned_free(ring->unseen);
    g_aligned_free(ring->taken);
}

static bool ring_fail(struct ring *ring, VionetViolation violation, uint64_t value)
{
    ring->fault = (struct ring_fault){violation, VIONET_NONE, value};
    return false;
}

void ring_lose(struct ring *ring, VionetViolation violation, unsigned descriptor, uint64_t value)
{
    if (!ring->lost) {
        ring->lost = true;
        ring->fault = (struct ring_fault){violation, descriptor, value};
    }
}

const uint8_t *ring_load(struct ring *ring, unsigned area, uint32_t offset, uint32_t len)
{
    const uint64_t gpa = ring->setup.area_gpa[area] + offset;
    const uint8_t *p = memory_pointer(ring->map, &ring->hint, gpa, len, false);

    if (p) {
        return p;
    }
    if (!memory_read(ring->map, &ring->hint, gpa, ring->word, len)) {
        memset(ring->word, 0xff, len);
        ring_lose(ring, VIONET_VIOLATION_RING_ADDRESS, VIONET_NONE, gpa);
    }
    return ring->word;
}

void ring_store(struct ring *ring, unsigned area, uint32_t offset, uint32_t value, uint32_t len)
{
    const uint64_t gpa = ring->setup.area_gpa[area] + offset;
    uint8_t *p = memory_pointer(ring->map, &ring->hint, gpa, len, true);

    if (p && len == 2) {
        guest_store16_release(p, (uint16_t)value);
    } else if (p) {
        guest_store32(p, value);
    } else if (!ring->lost) {
        put_le32(ring->word, value);
        if (!memory_write(ring->map, &ring->hint, gpa, ring->word, len)) {
            ring_lose(ring, VIONET_VIOLATION_RING_ADDRESS, VIONET_NONE, gpa);
        }
    }
}

bool ring_remap(struct ring *ring, const struct memory_map *map)
{
    const struct ring_setup *setup = &ring->setup;

    ring->map = map;
    if (ring->map_serial == map->serial) {
        return true;
    }
    ring->map_serial = map->serial;
    for (unsigned area = 0; area < 3; area++) {
        uint64_t gpa = setup->area_gpa[area];
        uint32_t size = ring->ops->area_size(area, setup->size);
        bool written = ring->ops->area_written[area];

        ring->area[area] = memory_pointer(map, &ring->hint, gpa, size, written);
        if (ring->area[area] == NULL && !memory_exists(map, &ring->hint, gpa, size, written)) {
            return ring_fail(ring, VIONET_VIOLATION_RING_ADDRESS, gpa);
        }
    }
    return true;
}

void ring_legacy_areas(uint16_t size, uint64_t gpa, uint32_t align, uint64_t area_gpa[3])
{
    const uint64_t used = VIRTQ_DESC_TABLE_SIZE((uint64_t)size) + VIRTQ_AVAIL_SIZE((uint64_t)size);

    area_gpa[VIONET_AREA_DESC] = gpa;
    area_gpa[VIONET_AREA_DRIVER] = gpa + VIRTQ_DESC_TABLE_SIZE((uint64_t)size);
    area_gpa[VIONET_AREA_DEVICE] = gpa + ((used + align - 1) & ~((uint64_t)align - 1));
}

static const struct ring_ops *format_of(const struct ring_setup *setup)
{
    if (setup->packed) {
        return &ring_format_packed;
    }
    return setup->big_endian ? &ring_format_split_big : &ring_format_split;
}

static bool size_fits(const struct ring_ops *ops, uint16_t size)
{
    return size > 0 && size <= VIRTQ_MAX_SIZE &&
           !(ops->size_is_power_of_two && (size & (size - 1)) != 0);
}

static void set_place(struct ring *ring, const struct ring_state *state)
{
    ring->next_avail = ring->seen_avail = state->next_avail;
    ring->next_used = ring->next_put = state->next_used;
    ring->avail_wrap = state->avail_wrap;
    ring->used_wrap = ring->put_wrap = state->used_wrap;
}

static void set_state(struct ring *ring, struct ring_state *state)
{
    set_place(ring, state);
    ring->told_used = state->told_used;
    ring->told_valid = state->told_valid;
    ring->untold = state->untold;
    for (unsigned i = 0; i < state->n_taken; i++) {
        ring->ops->retake(ring, &state->taken[i].ref);
    }
}

bool ring_start(struct ring *ring, const struct ring_setup *setup, const struct memory_map *map)
{
    struct ring fresh = {.turns = ring->turns, .unseen = ring->unseen, .taken = ring->taken};

    fresh.setup = *setup;
    fresh.setup.state = NULL; /* it is looked at here and not kept */
    fresh.ops = format_of(setup);
    fresh.avail_wrap = fresh.used_wrap = fresh.put_wrap = true;
    fresh.kicks_wanted = true;
    fresh.chain_limit = (uint16_t)MAX(setup->size, CHAIN_MAX_INDIRECT);
    *ring = fresh;
    if (!size_fits(ring->ops, setup->size)) {
        return ring_fail(ring, VIONET_VIOLATION_QUEUE_SIZE, setup->size);
    }
    memset(ring->taken, 0, setup->size * sizeof(ring->taken[0]));
    ring->turn_mask = (uint16_t)(turns_for(setup->size) - 1);
    memset(ring->turns, 0, turns_for(setup->size) * sizeof(ring->turns[0]));
    for (unsigned area = 0; area < 3; area++) {
        if (setup->area_gpa[area] % ring->ops->area_align[area]) {
            return ring_fail(ring, VIONET_VIOLATION_RING_MISALIGNED, setup->area_gpa[area]);
        }
    }
    if (!ring_remap(ring, map)) {
        return false;
    }
    if (setup->state) {
        set_state(ring, setup->state);
    } else if (setup->journal && journal_is_live(setup->journal, setup->size, setup->packed)) {
        ring->ops->recover(ring);
        ring_flush(ring);
    } else if (setup->resumes) {
        ring->ops->set_base(ring, setup->base);
    }
    if (setup->journal) {
        journal_open(setup->journal, setup->size, setup->packed,
                     (uint16_t)(ring->next_used | (setup->packed && ring->used_wrap) << 15));
    }
    return true;
}

void ring_get_state(const struct ring *ring, struct ring_state *state)
{
    state->next_avail = ring->next_avail;
    state->next_used = ring->next_used;
    state->avail_wrap = ring->avail_wrap;
    state->used_wrap = ring->used_wrap;
    state->told_used = ring->told_used;
    state->told_valid = ring->told_valid;
    state->untold = ring->untold;
    state->n_taken = 0;
    for (uint16_t turn = ring->first_turn; ring->setup.in_order && turn != ring->next_turn;
         turn++) {
        const struct ring_turn *at = &ring->turns[turn & ring->turn_mask];

        if (at->waits) {
            state->taken[state->n_taken++] = at->used;
        }
    }
}

uint32_t ring_state_base(const struct ring_setup *setup)
{
    struct ring ring = {.setup = *setup};

    set_place(&ring, setup->state);
    return format_of(setup)->get_base(&ring);
}

const char *ring_state_wrong(const struct ring_setup *setup)
{
    const struct ring_ops *ops = format_of(setup);

    if (!size_fits(ops, setup->size)) {
        return "its size is none that a queue can have";
    }
    return ops->state_wrong(setup);
}

void ring_unpop(struct ring *ring, const struct chain_ref *ref)
{
    ring->ops->unpop(ring, ref);
    ring->next_turn--;
}

void ring_unpop_plain(struct ring *ring, const struct ring_plain *buffers, unsigned n)
{
    while (n > 0) {
        const struct chain_ref ref = ring_plain_ref(&buffers[--n]);

        ring_unpop(ring, &ref);
    }
}

/*
 * Puts them behind those that are staged. Where the driver takes batches, buffers that nothing was written to go back
 * with one entry (2.7.9, 2.8.9): the driver takes those skipped for used as a whole.
 */
static void stage(struct ring *ring, const struct ring_used *used, unsigned n)
{
    bool written = !ring->setup.batches;

    for (unsigned i = 0; i < n && !written; i++) {
        written = used[i].written > 0;
    }
    if (written) {
        ring->ops->put_used(ring, used, n);
    } else {
        ring->ops->put_batch(ring, used, n);
    }
    ring->staged = (uint16_t)(ring->staged + n);
}

static struct ring_turn *turn_at(struct ring *ring, uint16_t turn)
{
    return &ring->turns[turn & ring->turn_mask];
}

static void wait_turn(struct ring *ring, struct chain_ref ref, uint32_t written)
{
    *turn_at(ring, ref.turn) = (struct ring_turn){{ref, written}, true};
}

/* Puts those that waited for the ones just staged. */
static void stage_waiting(struct ring *ring)
{
    struct ring_turn *turn;

    while ((turn = turn_at(ring, ring->first_turn))->waits) {
        stage(ring, &turn->used, 1);
        turn->waits = false;
        ring->first_turn++;
    }
}

/* IN_ORDER: those go back that nobody before is missing for, and with them who waited for them. */
static void push_in_order(struct ring *ring, const struct ring_used *used, unsigned n)
{
    unsigned next = 0;

    while (next < n && used[next].ref.turn == (uint16_t)(ring->first_turn + next)) {
        next++;
    }
    if (next > 0) {
        stage(ring, used, next);
        ring->first_turn = (uint16_t)(ring->first_turn + next);
    }
    for (unsigned i = next; i < n; i++) {
        wait_turn(ring, used[i].ref, used[i].written);
    }
    stage_waiting(ring);
}

void ring_push_burst(struct ring *ring, const struct ring_used *used, unsigned n)
{
    if (G_LIKELY(!ring->setup.in_order)) {
        stage(ring, used, n);
    } else {
        push_in_order(ring, used, n);
    }
}

void ring_push(struct ring *ring, const struct chain_ref *ref, uint32_t written)
{
    const struct ring_used used = {*ref, written};

    ring_push_burst(ring, &used, 1);
}

void ring_push_plain(struct ring *ring, bool write, const struct ring_plain *buffers, unsigned n)
{
    unsigned next = G_LIKELY(!ring->setup.in_order) ? n : 0;

    while (next < n && buffers[next].turn == (uint16_t)(ring->first_turn + next)) {
        next++;
    }
    if (next > 0) {
        ring->ops->put_plain(ring, write, buffers, next);
        ring->staged = (uint16_t)(ring->staged + next);
    }
    if (ring->setup.in_order) {
        ring->first_turn = (uint16_t)(ring->first_turn + next);
        for (; next < n; next++) {
            wait_turn(ring, ring_plain_ref(&buffers[next]), write ? buffers[next].len : 0);
        }
        stage_waiting(ring);
    }
}

void ring_log(const struct ring *ring, uint32_t offset, uint32_t len)
{
    if (ring->map->log.bits && offset <= UINT64_MAX - ring->setup.log_gpa) {
        memory_log_pages(&ring->map->log, ring->setup.log_gpa + offset, len);
    }
}

bool ring_flush(struct ring *ring)
{
    unsigned shown;

    if (ring->staged == 0 || G_UNLIKELY(ring->lost)) {
        return false;
    }
    shown = ring->ops->publish(ring);
    ring->untold += shown;
    if (ring->untold > UINT16_MAX) {
        ring->told_valid = false;
        ring->untold = UINT16_MAX;
    }
    ring->staged = 0;
    if (G_UNLIKELY(ring->setup.logs)) {
        ring->ops->log_used(ring, shown);
    }
    return true;
}

bool ring_enable_kicks(struct ring *ring)
{
    ring->kicks_wanted = true;
    ring->ops->set_kicks(ring, true);
    return ring->ops->has_more(ring);
}

void ring_disable_kicks(struct ring *ring)
{
    if (ring->kicks_wanted) {
        ring->kicks_wanted = false;
        ring->ops->set_kicks(ring, false);
    }
}
